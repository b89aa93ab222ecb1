//! Whether uncertainty is where the errors are.

use shared::label::{BACKGROUND, Label};

/// One bin of a reliability curve.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bin {
    /// Upper edge of the bin's confidence.
    pub edge: f64,
    /// Mean confidence of its voxels.
    pub confidence: f64,
    /// Share of its voxels that are right.
    pub accuracy: f64,
    /// Its share of all voxels.
    pub weight: f64,
}

impl Bin {
    /// Joins the same bin of another case.
    pub fn join(&mut self, other: &Bin) {
        let weight = self.weight + other.weight;
        let joined = |a: f64, b: f64| (a * self.weight + b * other.weight) / weight;
        (self.confidence, self.accuracy) =
            (joined(self.confidence, other.confidence), joined(self.accuracy, other.accuracy));
        self.weight = weight;
    }
}

/// Confidence (1 − uncertainty) against accuracy in `bins` bins; the last bin holds confidence 1 too. Empty bins are
/// left out.
pub fn reliability(uncertainty: &[f32], prediction: &[Label], truth: &[Label], bins: usize) -> Vec<Bin> {
    let mut sums = vec![(0_usize, 0_usize, 0.0); bins];
    for ((u, ours), theirs) in uncertainty.iter().zip(prediction).zip(truth) {
        let confidence = 1.0 - f64::from(*u);
        let bin = &mut sums[(confidence * bins as f64).clamp(0.0, bins as f64 - 1.0) as usize];
        bin.0 += usize::from(ours == theirs);
        bin.1 += 1;
        bin.2 += confidence;
    }
    let total = uncertainty.len().max(1) as f64;
    let bin = |(at, (right, count, confidence)): (usize, (usize, usize, f64))| Bin {
        edge: (at + 1) as f64 / bins as f64,
        confidence: confidence / count as f64,
        accuracy: right as f64 / count as f64,
        weight: count as f64 / total,
    };
    sums.into_iter().enumerate().filter(|(_, (_, count, _))| *count > 0).map(bin).collect()
}

/// Expected calibration error: the gap between accuracy and confidence, weighted by voxels.
pub fn expected_calibration_error(curve: &[Bin]) -> f64 {
    curve.iter().map(|bin| bin.weight * (bin.accuracy - bin.confidence).abs()).sum()
}

/// How well a score tells errors from correct voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// Area under the receiver operating characteristic; NaN where all or no voxels are wrong.
    pub auroc: f64,
    /// Area under the precision–recall curve (average precision); NaN where no voxel is wrong.
    pub auprc: f64,
}

/// Ranks voxels by uncertainty and looks where the wrong ones are. Equal uncertainties share a rank.
pub fn separation(uncertainty: &[f32], prediction: &[Label], truth: &[Label]) -> Separation {
    let mut scored: Vec<(f32, bool)> =
        uncertainty.iter().zip(prediction.iter().zip(truth)).map(|(u, (ours, theirs))| (*u, ours != theirs)).collect();
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let wrong = scored.iter().filter(|(_, wrong)| *wrong).count() as f64;
    let right = scored.len() as f64 - wrong;
    let (mut hits, mut seen, mut roc, mut precision_sum) = (0.0, 0.0, 0.0, 0.0);
    for tie in scored.chunk_by(|a, b| a.0 == b.0) {
        let errors = tie.iter().filter(|(_, wrong)| *wrong).count() as f64;
        let others = tie.len() as f64 - errors;
        roc += others * (hits + errors / 2.0);
        hits += errors;
        seen += tie.len() as f64;
        precision_sum += errors * hits / seen;
    }
    Separation { auroc: roc / (wrong * right), auprc: precision_sum / wrong }
}

/// The authors' Dice of certain voxels only, and with uncertain ones counted as right. Inputs are foreground or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CertainDice {
    /// Over voxels that are not uncertain.
    pub filtered: f64,
    /// Over all voxels, uncertain ones as if the network had got them right.
    pub relaxed: f64,
}

/// Dice of the foreground as seen by someone who knows which voxels are uncertain.
pub fn certain_dice(prediction: &[Label], truth: &[Label], uncertain: impl Fn(usize) -> bool) -> CertainDice {
    let (mut tp, mut errors, mut doubtful_foreground) = (0_usize, 0_usize, 0_usize);
    for (at, (ours, theirs)) in prediction.iter().zip(truth).enumerate() {
        let (ours, theirs) = (*ours != BACKGROUND, *theirs != BACKGROUND);
        if uncertain(at) {
            doubtful_foreground += usize::from(theirs);
        } else {
            tp += usize::from(ours && theirs);
            errors += usize::from(ours != theirs);
        }
    }
    let dice = |tp: usize| if tp + errors == 0 { 1.0 } else { 2.0 * tp as f64 / (2 * tp + errors) as f64 };
    CertainDice { filtered: dice(tp), relaxed: dice(tp + doubtful_foreground) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn separation_of_short_lists() {
        fn check(uncertainty: &[f32], wrong: &[u8], auroc: f64, auprc: f64) {
            let got = separation(uncertainty, wrong, &vec![0; wrong.len()]);
            assert!((got.auroc - auroc).abs() < 1e-9 && (got.auprc - auprc).abs() < 1e-9, "{got:?}");
        }
        check(&[0.9, 0.8, 0.1, 0.0], &[1, 1, 0, 0], 1.0, 1.0);
        check(&[0.0, 0.1, 0.8, 0.9], &[1, 1, 0, 0], 0.0, (1.0 / 3.0 + 2.0 / 4.0) / 2.0);
        check(&[0.5, 0.5, 0.5, 0.5], &[1, 0, 0, 0], 0.5, 0.25);
    }

    #[test]
    fn a_confident_voxel_falls_into_the_last_bin() {
        let curve = reliability(&[0.0, 0.0, 0.95], &[1, 1, 0], &[1, 0, 1], 10);
        assert_eq!(curve.len(), 2);
        assert_eq!(curve[1], Bin { edge: 1.0, confidence: 1.0, accuracy: 0.5, weight: 2.0 / 3.0 });
        assert!((expected_calibration_error(&curve) - (0.5 * 2.0 / 3.0 + 0.05 / 3.0)).abs() < 1e-6);
    }

    fn labels(value: &serde_json::Value) -> Vec<Label> {
        reference::floats(value).into_iter().map(|v| v as Label).collect()
    }

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn the_reference_uncertainty_metrics_are_reproduced() {
        let vectors = reference::vectors();
        let v = &vectors["uncertainty_metrices"];
        let (ours, truth, uncertain) =
            (labels(&v["prediction"]), labels(&v["ground_truth"]), labels(&v["uncertainty"]));
        let got = certain_dice(&ours, &truth, |at| uncertain[at] == 1);
        let expect = |name: &str, got: f64| assert!((got - v[name].as_f64().unwrap()).abs() < 1e-9, "{name}: {got}");
        expect("uncertainty_filtered_dice", got.filtered);
        expect("relaxed_uncertainty_dice", got.relaxed);
    }

    /// The authors count voxels of confidence 1 in no bin; their balanced error sees foreground only and gives every
    /// bin the same weight.
    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn the_reference_calibration_is_reproduced() {
        let vectors = reference::vectors();
        let v = &vectors["calibration"];
        let uncertainty: Vec<f32> = reference::floats(&v["uncertainty"]).into_iter().map(|u| u as f32).collect();
        let (ours, truth) = (labels(&v["prediction"]), labels(&v["gt"]));
        let bins = v["n_bins"].as_u64().unwrap() as usize;
        let check = |foreground_only: bool, curve_key: &str, key: &str, balanced: bool| {
            let kept: Vec<usize> =
                (0..ours.len()).filter(|at| !foreground_only || ours[*at] > 0 || truth[*at] > 0).collect();
            let doubtful: Vec<usize> = kept.iter().copied().filter(|at| uncertainty[*at] > 0.0).collect();
            let of = |labels: &[Label]| doubtful.iter().map(|at| labels[*at]).collect::<Vec<_>>();
            let doubts: Vec<f32> = doubtful.iter().map(|at| uncertainty[*at]).collect();
            let mut curve = reliability(&doubts, &of(&ours), &of(&truth), bins);
            for bin in &mut curve {
                bin.weight *= doubtful.len() as f64 / kept.len() as f64;
            }
            let column = |f: &dyn Fn(&Bin) -> f64| curve.iter().map(|bin| f(bin) as f32).collect::<Vec<f32>>();
            reference::check_near("x", &column(&|bin| bin.edge), &reference::floats(&v[curve_key]["x"]), 1e-6);
            reference::check_near("y", &column(&|bin| bin.accuracy), &reference::floats(&v[curve_key]["y"]), 1e-6);
            reference::check_near("w", &column(&|bin| bin.weight), &reference::floats(&v[curve_key]["w"]), 1e-6);
            let gap = |bin: &Bin| {
                (bin.accuracy - bin.confidence).abs() * if balanced { 1.0 / bins as f64 } else { bin.weight }
            };
            let error: f64 = curve.iter().map(gap).sum();
            assert!((error - v[key].as_f64().unwrap()).abs() < 1e-6, "{key}: {error}");
        };
        check(false, "ece_bins", "ece", false);
        check(true, "bce_bins", "bce", true);
    }
}
