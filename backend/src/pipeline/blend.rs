//! No seam beside a corrected plane: what the network has wrong in it is taken off beside it, less and less.
//!
//! In a corrected plane the network's error is known: 1 − p of the corrected label, −p of every other. Logits along the
//! plane's axis move by as much of it as lies near. Where network and expert agree nothing moves, so that surfaces
//! which slant through a plane stay as the network has them.
//!
//! A hand may waver. Networks say how sure they are, so it is known how far planes should be from what they say, and
//! planes that cross should say the same; the farther the planes are in truth, the less is passed on, and the more the
//! presegmentation counts, which has not listened to that hand; where it is sure more than where it doubts.

use half::f16;
use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;
use shared::label::Label;

use crate::bundle::plans::Plan;

use super::guide::Sheet;
use super::margin::Margins;

/// Logits by which an error of 1 moves what lies in its plane. This and what a steady hand is was fitted by the
/// cross-entropy of validation cases with steady and wavering experts (`i3deep_models.training.card.listening`).
const PULL: f32 = 2.8;
/// Natural logarithm of the surprise up to which a hand is taken for steady, and how sharply that ends.
const STEADY: f64 = 1.6;
const SHARPNESS: f64 = 7.0;
/// Natural logarithm of the surprise from which on the presegmentation counts, and for each unit beyond how often its
/// margin its labels are ahead by; chosen on the same cases so that none with a wavering hand ends more than 0.01 below
/// the presegmentation with the planes pasted in, at no cost to steady hands.
const HEARD_FROM: f64 = 1.7;
const HEARD: f64 = 2.5;
/// What a share of contradictions adds to the logarithm of the surprise, beyond the share that any hand has; chosen
/// likewise.
const CONTRADICTED: f64 = 2.0;
const TOLERATED: f64 = 0.1;
/// The margin, in nats, of a presegmentation of which nobody knows how sure it is.
const MARGIN_UNKNOWN: f32 = 1.5;
/// Smaller errors are not kept: what they would move is less than a hundredth of a logit.
const LEAST_ERROR: f32 = 1e-3;
/// No probability is below this, so that one voxel cannot surprise without bounds.
const LEAST_PROBABILITY: f32 = 1e-4;

/// What an expert said, on the network's grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    /// The corrected planes.
    pub(super) planes: &'a [Vec<Sheet>],
    /// See [`super::refine::RefineInput::contradicted`].
    pub(super) contradicted: f64,
    /// What stood there before, where it is worth something.
    pub(super) presegmentation: Option<Presegmented<'a>>,
    /// Spacing along the network's axes.
    pub(super) spacing_mm: [f64; 3],
    /// A plane's error fades to nothing at this distance.
    pub(super) reach_mm: f64,
}

/// What stood there before the expert spoke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presegmented<'a> {
    pub(super) labels: ArrayView3<'a, Label>,
    /// The entropy of its mean prediction, 0 to 1, where it is known.
    pub(super) uncertainty: Option<ArrayView3<'a, f32>>,
}

/// How the heads of a network stand for labels.
#[derive(Clone, Copy, Debug)]
enum Heads<'a> {
    /// A head for each label, the background's first; probabilities sum to 1.
    Labels,
    /// A head for each region, which holds these labels; each has a probability of its own.
    Regions(&'a [(String, Vec<u16>)]),
}

impl<'a> Heads<'a> {
    fn of(plan: &'a Plan) -> Self {
        match plan.labels.regions_class_order {
            None => Self::Labels,
            Some(_) => Self::Regions(&plan.labels.foreground),
        }
    }

    /// Whether a voxel of this label belongs to a head.
    fn holds(self, head: usize, label: Label) -> bool {
        match self {
            Self::Labels => head == usize::from(label),
            Self::Regions(regions) => regions.get(head).is_some_and(|(_, values)| values.contains(&u16::from(label))),
        }
    }

    /// Turns a voxel's logits into probabilities.
    fn probabilities(self, values: &mut [f32]) {
        match self {
            Self::Labels => {
                let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                values.iter_mut().for_each(|value| *value = (*value - most).exp());
                let sum: f32 = values.iter().sum();
                values.iter_mut().for_each(|value| *value /= sum);
            }
            Self::Regions(_) => values.iter_mut().for_each(|value| *value = 1.0 / (1.0 + (-*value).exp())),
        }
    }

    /// How surprising a voxel's label is, and how surprising it was to be: cross-entropy and entropy, nats.
    fn surprise(self, probabilities: &[f32], label: Label) -> [f64; 2] {
        let nats = |p: f32| -f64::from(p.clamp(LEAST_PROBABILITY, 1.0).ln());
        let mut sums = [0.0; 2];
        for (head, p) in probabilities.iter().enumerate() {
            let holds = self.holds(head, label);
            match self {
                Self::Labels => sums[0] += if holds { nats(*p) } else { 0.0 },
                Self::Regions(_) => {
                    sums[0] += nats(if holds { *p } else { 1.0 - p });
                    sums[1] += f64::from(1.0 - p) * nats(1.0 - p);
                }
            }
            sums[1] += f64::from(*p) * nats(*p);
        }
        sums
    }

    /// The entropy, in nats, that an uncertainty of 1 stands for.
    fn most_entropy(self, heads: usize) -> f32 {
        match self {
            Self::Labels => (heads as f32).ln(),
            Self::Regions(_) => std::f32::consts::LN_2,
        }
    }

    /// By how much a head's logit moves for a difference of 1 in favour of a label: a region's alone has to do what a
    /// label's and all others' do together.
    fn share(self) -> f32 {
        match self {
            Self::Labels => 1.0,
            Self::Regions(_) => 2.0,
        }
    }
}

/// What the network has wrong in a plane.
struct Wrong {
    /// Place along the plane's two axes, head, error.
    errors: Vec<([usize; 2], usize, f32)>,
    /// As of [`Heads::surprise`], all voxels together.
    surprise: [f64; 2],
}

/// Takes off beside the corrected planes what `logits` `[heads, z, y, x]` have wrong in them. Answers the surprise: how
/// far the planes are from what the network says of them, by how far it says that they may be; 1 is as expected, none
/// where there is nothing to compare.
///
/// A voxel is moved by the next planes before and behind it along each axis.
pub(super) fn blend(logits: &mut Array4<f16>, plan: &Plan, said: Said<'_>) -> Option<f64> {
    let heads = Heads::of(plan);
    let mut sheets: Vec<&Sheet> = said.planes.iter().flatten().collect();
    // Of planes that are one to the network the nearest counts, as in the guidance.
    sheets.sort_by(|a, b| (a.axis, a.at).cmp(&(b.axis, b.at)).then(a.distance.total_cmp(&b.distance)));
    sheets.dedup_by_key(|sheet| (sheet.axis, sheet.at));
    let view = logits.view();
    let wrong: Vec<Wrong> = sheets.par_iter().map(|sheet| judged(view, sheet, heads)).collect();
    let [got, expected] = wrong.iter().fold([0.0; 2], |sum, of| [sum[0] + of.surprise[0], sum[1] + of.surprise[1]]);
    let surprise = (expected > 0.0).then(|| got / expected)?;
    let pull = PULL * steadiness(surprise) * heads.share();
    for (number, (sheet, wrong)) in sheets.iter().zip(&wrong).enumerate() {
        let beside = |other: Option<&&Sheet>| other.filter(|other| other.axis == sheet.axis).map(|other| other.at);
        let from = number.checked_sub(1).and_then(|before| beside(sheets.get(before))).map_or(0, |at| at + 1);
        let to = beside(sheets.get(number + 1)).unwrap_or(logits.shape()[sheet.axis + 1]);
        for index in from..to {
            let distance_mm = sheet.at.abs_diff(index) as f64 * said.spacing_mm[sheet.axis];
            let nearness = (1.0 - distance_mm / said.reach_mm) as f32;
            if nearness <= 0.0 {
                continue;
            }
            let mut plane = logits.index_axis_mut(Axis(sheet.axis + 1), index);
            for ([u, v], head, error) in &wrong.errors {
                let value = &mut plane[[*head, *u, *v]];
                *value = f16::from_f32(value.to_f32() + pull * nearness * error);
            }
        }
    }
    if let Some(presegmentation) = said.presegmentation {
        hear(logits, presegmentation, heads, heard(surprise, said.contradicted));
    }
    Some(surprise)
}

/// 1 where the planes are about as far from what the network says as it expects, 0 where they are much farther.
fn steadiness(surprise: f64) -> f32 {
    (1.0 / (1.0 + (SHARPNESS * (surprise.ln() - STEADY)).exp())) as f32
}

/// How often their margin the presegmentation's labels are ahead by.
fn heard(surprise: f64, contradicted: f64) -> f32 {
    let doubt = surprise.ln() + CONTRADICTED * (contradicted - TOLERATED).max(0.0);
    (HEARD * (doubt - HEARD_FROM)).max(0.0) as f32
}

/// What a network has wrong in a plane.
fn judged(logits: ArrayView4<'_, f16>, sheet: &Sheet, heads: Heads<'_>) -> Wrong {
    let plane = logits.index_axis(Axis(sheet.axis + 1), sheet.at);
    let mut wrong = Wrong { errors: Vec::new(), surprise: [0.0; 2] };
    let mut voxel = vec![0.0; plane.shape()[0]];
    for ((u, v), label) in sheet.labels.indexed_iter() {
        voxel.iter_mut().enumerate().for_each(|(head, value)| *value = plane[[head, u, v]].to_f32());
        heads.probabilities(&mut voxel);
        let surprise = heads.surprise(&voxel, *label);
        wrong.surprise = [wrong.surprise[0] + surprise[0], wrong.surprise[1] + surprise[1]];
        for (head, p) in voxel.iter().enumerate() {
            let error = f32::from(u8::from(heads.holds(head, *label))) - p;
            if error.abs() > LEAST_ERROR {
                wrong.errors.push(([u, v], head, error));
            }
        }
    }
    wrong
}

/// Moves logits towards the presegmentation's labels by so many times their margin.
fn hear(logits: &mut Array4<f16>, presegmentation: Presegmented<'_>, heads: Heads<'_>, times: f32) {
    if times == 0.0 {
        return;
    }
    let margins = Margins::of(heads.most_entropy(logits.shape()[0]));
    let margin = match presegmentation.uncertainty {
        Some(uncertainty) => uncertainty.mapv(|doubt| margins.at(doubt)),
        None => Array3::from_elem(presegmentation.labels.dim(), MARGIN_UNKNOWN),
    };
    for (head, mut values) in logits.outer_iter_mut().enumerate() {
        ndarray::Zip::from(&mut values).and(presegmentation.labels).and(&margin).par_for_each(
            |value, label, margin| {
                let by = times * margin;
                let against = if let Heads::Labels = heads { 0.0 } else { -by };
                let by = if heads.holds(head, *label) { by } else { against };
                *value = f16::from_f32(value.to_f32() + by);
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ndarray::s;

    use super::*;
    use crate::pipeline::guide;

    const SIZE: usize = 8;

    /// Of three labels the background is ahead by `margin` everywhere.
    fn sure_of_nothing(margin: f32) -> Array4<f16> {
        Array4::from_shape_fn((3, SIZE, SIZE, SIZE), |(head, ..)| f16::from_f32(if head == 0 { margin } else { 0.0 }))
    }

    /// Planes `(array axis, index)` in which the expert sees label 1 in 4 × 4 voxels.
    fn planes(at: &[(usize, usize)]) -> Vec<Vec<Sheet>> {
        let mut labels = Array3::<Label>::zeros([SIZE; 3]);
        for (axis, index) in at {
            labels.index_axis_mut(Axis(*axis), *index).slice_mut(s![2..6, 2..6]).fill(1);
        }
        at.iter().map(|plane| guide::sheets(labels.view(), *plane, [SIZE; 3])).collect()
    }

    fn blended(logits: &Array4<f16>, plan: &Plan, planes: &[Vec<Sheet>], heard: Option<Label>) -> (Array4<f16>, f64) {
        contradicted(logits, plan, planes, heard, 0.0)
    }

    fn contradicted(
        logits: &Array4<f16>,
        plan: &Plan,
        planes: &[Vec<Sheet>],
        heard: Option<Label>,
        contradicted: f64,
    ) -> (Array4<f16>, f64) {
        let presegmentation = heard.map(|label| Array3::from_elem([SIZE; 3], label));
        let presegmentation =
            presegmentation.as_ref().map(|labels| Presegmented { labels: labels.view(), uncertainty: None });
        let mut moved = logits.clone();
        let said = Said { planes, contradicted, presegmentation, spacing_mm: [1.0; 3], reach_mm: 4.0 };
        let surprise = blend(&mut moved, plan, said).unwrap();
        (moved, surprise)
    }

    /// How much of the way between the margins label 1 has come at the block's middle, plane by plane, in thirds or
    /// quarters of what it came in the first corrected plane.
    fn course(logits: &Array4<f16>, before: &Array4<f16>) -> Vec<f32> {
        let ahead = |logits: &Array4<f16>, z| (logits[[1, z, 4, 4]] - logits[[0, z, 4, 4]]).to_f32();
        (0..SIZE).map(|z| ahead(logits, z) - ahead(before, z)).collect()
    }

    /// What `models/tests/test_listening.py` writes and checks on its side.
    #[test]
    fn what_was_fitted_is_what_blends() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/blending.json");
        let fixture: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let of = |value: &serde_json::Value, name: &str| value[name].as_f64().unwrap();
        let believed = ["scale", "pull", "steady", "heard", "heard_from", "contradicted", "tolerated"]
            .map(|name| of(&fixture["belief"], name));
        let ours = [1.0, f64::from(PULL), STEADY, HEARD, HEARD_FROM, CONTRADICTED, TOLERATED];
        assert!(ours.iter().zip(believed).all(|(ours, fitted)| (ours - fitted).abs() < 1e-6), "{believed:?}");
        let size: [usize; 3] = serde_json::from_value(fixture["size"].clone()).unwrap();
        let heads = fixture["heads"].as_u64().unwrap() as usize;
        let spacing_mm = serde_json::from_value(fixture["spacing_mm"].clone()).unwrap();
        for case in fixture["cases"].as_array().unwrap() {
            let labels = |name: &str| {
                Array3::<Label>::from_shape_vec(size, serde_json::from_value(case[name].clone()).unwrap()).unwrap()
            };
            let logits = |name: &str| {
                let values: Vec<f32> = serde_json::from_value(case[name].clone()).unwrap();
                Array4::from_shape_vec((heads, size[0], size[1], size[2]), values).unwrap()
            };
            let at: Vec<(usize, usize)> = serde_json::from_value(case["planes"].clone()).unwrap();
            let corrections = labels("corrections");
            let planes: Vec<Vec<Sheet>> =
                at.iter().map(|plane| guide::sheets(corrections.view(), *plane, size)).collect();
            let (before, doubt) = (labels("presegmentation"), case["uncertainty"].clone());
            let doubt = Array3::from_shape_vec(size, serde_json::from_value(doubt).unwrap()).unwrap();
            let presegmentation = Some(Presegmented { labels: before.view(), uncertainty: Some(doubt.view()) });
            let mut moved = logits("logits").mapv(f16::from_f32);
            let (contradicted, reach_mm) = (of(case, "contradicted"), of(&fixture, "reach_mm"));
            let said = Said { planes: &planes, contradicted, presegmentation, spacing_mm, reach_mm };
            let surprise = blend(&mut moved, &Plan::for_tests([1.0; 3]), said).unwrap();
            assert!((surprise.ln() - of(case, "log_surprise")).abs() < 2e-3, "{at:?}: {surprise}");
            for (got, expected) in moved.iter().zip(&logits("blended")) {
                // Large logits are rounded more coarsely.
                let tolerance = (expected.abs() / 1024.0).max(0.02);
                assert!((got.to_f32() - expected).abs() < tolerance, "{at:?}: {got} instead of {expected}");
            }
        }
    }

    #[test]
    fn what_is_wrong_in_a_plane_fades_beside_it() {
        let before = sure_of_nothing(1.0);
        let check = |at: &[(usize, usize)], shares: [f32; SIZE]| {
            let (after, _) = blended(&before, &Plan::for_tests([1.0; 3]), &planes(at), None);
            let course = course(&after, &before);
            let most = course.iter().copied().fold(0.0, f32::max);
            assert!(most > 1.0, "{course:?}");
            for (got, share) in course.iter().zip(shares) {
                assert!((got / most - share).abs() < 0.01, "{at:?}: {course:?}");
            }
            // Where the expert agrees, the background only gains.
            let beside = [[0, 2, 0, 0], [1, 2, 0, 0]].map(|at| (after[at] - before[at]).to_f32());
            assert!(beside[0] >= 0.0 && beside[1] <= 0.0, "{beside:?}");
        };
        check(&[(0, 3)], [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0]);
        check(&[(0, 0)], [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0, 0.0]);
        // Between two planes both count, beyond one only that one.
        check(&[(0, 2), (0, 4)], [0.5, 0.75, 1.0, 1.5, 1.0, 0.75, 0.5, 0.25].map(|share| share / 1.5));
    }

    #[test]
    fn a_hand_that_surprises_is_passed_on_less() {
        let plan = Plan::for_tests([1.0; 3]);
        let block = planes(&[(0, 3)]);
        let check = |margin: f32, surprising: bool, passed_on: std::ops::Range<f32>| {
            let before = sure_of_nothing(margin);
            let (after, surprise) = blended(&before, &plan, &block, None);
            assert_eq!(surprise.ln() > STEADY, surprising, "{margin}: {surprise}");
            let most = course(&after, &before)[3];
            assert!(passed_on.contains(&most), "{margin}: {most}");
        };
        // A quarter of the plane is wrong, which a network that is 58 % or 84 % sure may expect; one that is 98 % sure
        // does not.
        check(1.0, false, 2.5..3.9);
        check(2.4, false, 2.5..5.2);
        check(4.5, true, 0.0..0.2);
    }

    #[test]
    fn the_presegmentation_is_heard_where_the_hand_surprises() {
        let plan = Plan::for_tests([1.0; 3]);
        let block = planes(&[(0, 3)]);
        let check = |margin: f32, heard: std::ops::Range<f32>| {
            let before = sure_of_nothing(margin);
            let [without, with] = [None, Some(2)].map(|label| blended(&before, &plan, &block, label).0);
            let moved: Vec<f32> =
                (0..3).map(|head| (with[[head, 0, 0, 0]] - without[[head, 0, 0, 0]]).to_f32()).collect();
            assert!(moved[0] == 0.0 && moved[1] == 0.0 && heard.contains(&moved[2]), "{margin}: {moved:?}");
        };
        check(0.5, 0.0..1e-6);
        check(4.5, 0.5..3.0);
    }

    #[test]
    fn the_presegmentation_is_heard_where_planes_contradict_each_other() {
        let (plan, block, before) = (Plan::for_tests([1.0; 3]), planes(&[(0, 3)]), sure_of_nothing(2.4));
        let check = |share: f64, heard: std::ops::Range<f32>| {
            let [without, with] = [None, Some(2)].map(|heard| contradicted(&before, &plan, &block, heard, share).0);
            let moved = (with[[2, 0, 0, 0]] - without[[2, 0, 0, 0]]).to_f32();
            assert!(heard.contains(&moved), "{share}: {moved}");
            assert!(course(&without, &before)[3] > 2.5, "{share}: what one plane says is passed on all the same");
        };
        check(0.0, 0.0..1e-6);
        check(0.1, 0.0..1e-6);
        check(1.0, 0.5..6.0);
    }

    #[test]
    fn regions_move_as_labels_do() {
        let mut plan = Plan::for_tests([1.0; 3]);
        let two = Array4::from_shape_fn((2, SIZE, SIZE, SIZE), |(head, ..)| f16::from_f32(-(head as f32)));
        let block = planes(&[(0, 3)]);
        let (labels, of_labels) = blended(&two, &plan, &block, Some(0));
        plan.labels.foreground.truncate(1);
        plan.labels.regions_class_order = Some(vec![1]);
        let one = Array4::from_elem((1, SIZE, SIZE, SIZE), f16::from_f32(-1.0));
        let (region, of_region) = blended(&one, &plan, &block, Some(0));
        assert!((of_labels - of_region).abs() < 1e-3, "{of_labels} {of_region}");
        for ((at, region), of_labels) in region.index_axis(Axis(0), 0).indexed_iter().zip(
            ndarray::Zip::from(labels.index_axis(Axis(0), 0))
                .and(labels.index_axis(Axis(0), 1))
                .map_collect(|a, b| b - a),
        ) {
            assert!((region.to_f32() - of_labels.to_f32()).abs() < 0.01, "{at:?}: {region} {of_labels}");
        }
    }

    #[test]
    fn without_planes_nothing_is_said() {
        let mut logits = sure_of_nothing(1.0);
        let said = Said { planes: &[], contradicted: 0.0, presegmentation: None, spacing_mm: [1.0; 3], reach_mm: 4.0 };
        assert_eq!(blend(&mut logits, &Plan::for_tests([1.0; 3]), said), None);
        assert_eq!(logits, sure_of_nothing(1.0));
    }
}
