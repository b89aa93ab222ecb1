//! How unsure the networks are, voxel by voxel, from the spread of several predictions (folds, flips, dropout passes).
//!
//! Samples go in one at a time and are forgotten: memory does not grow with their number. Knows probabilities, not networks. Nothing here is ever NaN.

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is said about a voxel; all lie in 0 (sure) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Variance between samples, as a share of the largest possible (0.25).
    Variance,
    /// Entropy of the mean prediction: doubt of every kind.
    #[default]
    Entropy,
    /// Entropy of the mean less the mean entropy: only what the samples disagree about.
    MutualInformation,
    /// 1 − Bhattacharyya coefficient of the samples: disagreement, however confident.
    Bhattacharyya,
    /// 1 − the largest mean probability.
    Confidence,
}

impl Measure {
    /// All measures.
    pub const ALL: [Measure; 5] =
        [Measure::Variance, Measure::Entropy, Measure::MutualInformation, Measure::Bhattacharyya, Measure::Confidence];

    /// Name as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Variance => "variance",
            Measure::Entropy => "entropy",
            Measure::MutualInformation => "mutual-information",
            Measure::Bhattacharyya => "bhattacharyya",
            Measure::Confidence => "confidence",
        }
    }

    /// Whether a single sample says anything; the others need two that can differ.
    pub fn works_on_one_sample(self) -> bool {
        matches!(self, Measure::Entropy | Measure::Confidence)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Measure {
    type Err = UncertaintyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Measure::ALL.into_iter().find(|measure| measure.name() == text).ok_or_else(|| UncertaintyError::UnknownMeasure(text.to_owned()))
    }
}

/// Whether classes are looked at together, or one by one as "this class or not".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All classes, background included, as one distribution.
    Joint,
    /// Each class against the rest.
    PerClass,
}

/// What cannot be accumulated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UncertaintyError {
    /// Not the name of a measure.
    #[error("'{0}' is not an uncertainty measure; use variance, entropy, mutual-information, bhattacharyya or confidence")]
    UnknownMeasure(String),
    /// A sample of another size.
    #[error("a sample holds {got} probabilities where {expected} are expected")]
    WrongLength {
        /// heads × voxels.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// A measure whose sums were not kept, or nothing was added.
    #[error("the {0} was not asked for when accumulation began, or no sample was added")]
    NotAccumulated(Measure),
}

/// Running statistics of the samples. Beside the mean (`heads` buffers of one f32 a voxel) it keeps what the measures need:
///
/// | measure | joint | per class |
/// |---|---|---|
/// | entropy, confidence | – | – |
/// | variance, mutual information | 1 each | heads each |
/// | Bhattacharyya | heads | 2 × heads |
///
/// So with three classes any single joint measure takes 3 to 6 buffers, and all but Bhattacharyya together take 5.
#[derive(Debug)]
pub struct Accumulator {
    heads: usize,
    voxels: usize,
    scope: Scope,
    samples: usize,
    mean: Vec<f32>,
    /// Σ (p − mean)², Welford.
    squares: Vec<f32>,
    /// Σ entropy of the samples, nats.
    entropies: Vec<f32>,
    /// Σ log p.
    logs: Vec<f32>,
    /// Σ log (1 − p); per class only.
    logs_rest: Vec<f32>,
}

impl Accumulator {
    /// Ready for samples of `heads × voxels` probabilities, for the given measures of all classes together.
    pub fn new(heads: usize, voxels: usize, measures: &[Measure]) -> Self {
        Self::with_scope(heads, voxels, measures, Scope::Joint)
    }

    /// As [`Accumulator::new`], for classes together or one by one.
    pub fn with_scope(heads: usize, voxels: usize, measures: &[Measure], scope: Scope) -> Self {
        let classes = if scope == Scope::Joint { 1 } else { heads };
        let buffer = |measure: Measure, count: usize| vec![0.0; if measures.contains(&measure) { count * voxels } else { 0 }];
        Self {
            heads,
            voxels,
            scope,
            samples: 0,
            mean: vec![0.0; heads * voxels],
            squares: buffer(Measure::Variance, classes),
            entropies: buffer(Measure::MutualInformation, classes),
            logs: buffer(Measure::Bhattacharyya, heads),
            logs_rest: buffer(Measure::Bhattacharyya, if scope == Scope::Joint { 0 } else { heads }),
        }
    }

    /// Samples added so far.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let floats = self.mean.len() + self.squares.len() + self.entropies.len() + self.logs.len() + self.logs_rest.len();
        floats * size_of::<f32>()
    }

    /// Takes in one sample: softmax probabilities, head by head (`[head][voxel]`). What is not finite counts as "no idea".
    ///
    /// # Errors
    /// [`UncertaintyError::WrongLength`].
    pub fn add(&mut self, probabilities: &[f32]) -> Result<(), UncertaintyError> {
        let expected = self.heads * self.voxels;
        if probabilities.len() != expected {
            return Err(UncertaintyError::WrongLength { expected, got: probabilities.len() });
        }
        self.samples += 1;
        if self.voxels == 0 {
            return Ok(());
        }
        for (head, sample) in probabilities.chunks(self.voxels).enumerate() {
            self.add_head(head, sample);
        }
        Ok(())
    }

    fn add_head(&mut self, head: usize, sample: &[f32]) {
        let no_idea = 1.0 / self.heads as f32;
        let clean = move |p: f32| if p.is_finite() { p.clamp(0.0, 1.0) } else { no_idea };
        let own = head * self.voxels..(head + 1) * self.voxels;
        let kept = if self.scope == Scope::Joint { 0..self.voxels } else { own.clone() };
        let per_class = self.scope == Scope::PerClass;
        if !self.entropies.is_empty() {
            each(&mut self.entropies[kept.clone()], sample, |sum, p| {
                let p = clean(p);
                *sum -= plogp(p) + if per_class { plogp(1.0 - p) } else { 0.0 };
            });
        }
        if !self.logs.is_empty() {
            each(&mut self.logs[own.clone()], sample, |sum, p| *sum += log(clean(p)));
        }
        if !self.logs_rest.is_empty() {
            each(&mut self.logs_rest[own.clone()], sample, |sum, p| *sum += log(1.0 - clean(p)));
        }
        let share = 1.0 / self.samples as f32;
        let mean = &mut self.mean[own];
        if self.squares.is_empty() {
            each(mean, sample, |mean, p| *mean += (clean(p) - *mean) * share);
        } else {
            mean.par_iter_mut().zip(&mut self.squares[kept]).zip(sample).with_min_len(CHUNK).for_each(|((mean, squares), p)| {
                let p = clean(*p);
                let before = p - *mean;
                *mean += before * share;
                *squares += before * (p - *mean);
            });
        }
    }

    /// Mean probabilities, head by head (`[head][voxel]`).
    pub fn mean_probabilities(&self) -> &[f32] {
        &self.mean
    }

    /// Gives up the mean probabilities.
    pub fn into_mean_probabilities(self) -> Vec<f32> {
        self.mean
    }

    /// The uncertainty of every voxel, 0 to 1. One by one, classes are merged: the mean over the foreground classes.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`].
    pub fn finish(&self, measure: Measure) -> Result<Vec<f32>, UncertaintyError> {
        match self.scope {
            Scope::Joint => self.joint(measure),
            Scope::PerClass => self.finish_weighted(measure, &vec![1.0; self.heads.saturating_sub(1)]),
        }
    }

    /// The uncertainty about one class, 0 to 1; classes must have been accumulated one by one.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`], also where there is no such class.
    pub fn finish_class(&self, measure: Measure, class: usize) -> Result<Vec<f32>, UncertaintyError> {
        if self.scope != Scope::PerClass || class >= self.heads {
            return Err(UncertaintyError::NotAccumulated(measure));
        }
        self.check(measure)?;
        let own = class * self.voxels..(class + 1) * self.voxels;
        let samples = self.samples as f32;
        let mean = &self.mean[own.clone()];
        let binary_entropy = |p: f32| -(plogp(p) + plogp(1.0 - p)) / std::f32::consts::LN_2;
        Ok(match measure {
            Measure::Variance => map(&self.squares[own], |s| s / samples / LARGEST_VARIANCE),
            Measure::Entropy => map(mean, binary_entropy),
            Measure::MutualInformation => {
                let each = &self.entropies[own];
                generate(self.voxels, |v| binary_entropy(mean[v]) - each[v] / samples / std::f32::consts::LN_2)
            }
            Measure::Bhattacharyya => {
                let (logs, rest) = (&self.logs[own.clone()], &self.logs_rest[own]);
                generate(self.voxels, |v| 1.0 - (logs[v] / samples).exp() - (rest[v] / samples).exp())
            }
            Measure::Confidence => map(mean, |p| 1.0 - p.max(1.0 - p)),
        })
    }

    /// Classes one by one, merged with weights for the foreground classes 1, 2, … (normalised here; see [`class_weights`]).
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`].
    pub fn finish_weighted(&self, measure: Measure, weights: &[f32]) -> Result<Vec<f32>, UncertaintyError> {
        let total: f32 = weights.iter().sum();
        let mut merged = vec![0.0; self.voxels];
        for (class, weight) in (1..self.heads).zip(weights) {
            let share = if total > 0.0 { weight / total } else { 0.0 };
            each(&mut merged, &self.finish_class(measure, class)?, |sum, u| *sum += share * u);
        }
        Ok(merged)
    }

    fn joint(&self, measure: Measure) -> Result<Vec<f32>, UncertaintyError> {
        self.check(measure)?;
        let heads = self.heads;
        let samples = self.samples as f32;
        let largest_entropy = (heads.max(2) as f32).ln();
        let at = |buffer: &[f32], v: usize, head: usize| buffer[head * self.voxels + v];
        let entropy = |v: usize| -(0..heads).map(|head| plogp(at(&self.mean, v, head))).sum::<f32>();
        Ok(match measure {
            Measure::Variance => map(&self.squares, |s| s / samples / heads as f32 / LARGEST_VARIANCE),
            Measure::Entropy => generate(self.voxels, |v| entropy(v) / largest_entropy),
            Measure::MutualInformation => generate(self.voxels, |v| (entropy(v) - self.entropies[v] / samples) / largest_entropy),
            Measure::Bhattacharyya => {
                generate(self.voxels, |v| 1.0 - (0..heads).map(|head| (at(&self.logs, v, head) / samples).exp()).sum::<f32>())
            }
            Measure::Confidence => generate(self.voxels, |v| 1.0 - (0..heads).map(|head| at(&self.mean, v, head)).fold(0.0, f32::max)),
        })
    }

    fn check(&self, measure: Measure) -> Result<(), UncertaintyError> {
        let missing = self.voxels > 0
            && match measure {
                Measure::Variance => self.squares.is_empty(),
                Measure::MutualInformation => self.entropies.is_empty(),
                Measure::Bhattacharyya => self.logs.is_empty(),
                Measure::Entropy | Measure::Confidence => false,
            };
        if missing || self.samples == 0 { Err(UncertaintyError::NotAccumulated(measure)) } else { Ok(()) }
    }
}

/// Weights of the foreground classes from how well each is usually segmented: softmax(1 − Dice), so that the worse class counts more.
pub fn class_weights(dices: &[f32]) -> Vec<f32> {
    let raw: Vec<f32> = dices.iter().map(|dice| (1.0 - dice).exp()).collect();
    let total: f32 = raw.iter().sum();
    raw.iter().map(|weight| weight / total).collect()
}

/// The largest variance of something that lies in 0 to 1.
const LARGEST_VARIANCE: f32 = 0.25;

/// Voxels below which a split over threads costs more than it saves.
const CHUNK: usize = 1 << 14;

fn each(sums: &mut [f32], sample: &[f32], add: impl Fn(&mut f32, f32) + Sync) {
    sums.par_iter_mut().zip(sample).with_min_len(CHUNK).for_each(|(sum, p)| add(sum, *p));
}

fn map(values: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    generate(values.len(), |v| f(values[v]))
}

/// Rounding can push a sum a hair out of range; clamping also turns −0 into 0.
fn generate(voxels: usize, f: impl Fn(usize) -> f32 + Sync) -> Vec<f32> {
    (0..voxels).into_par_iter().with_min_len(CHUNK).map(|v| f(v).clamp(0.0, 1.0) + 0.0).collect()
}

/// p ln p, 0 at 0.
fn plogp(p: f32) -> f32 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

/// ln p with a floor, so that one certain sample does not become minus infinity.
fn log(p: f32) -> f32 {
    p.max(f32::MIN_POSITIVE).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    /// `samples[t]` holds the probabilities `[head][voxel]` of sample t.
    fn accumulate(samples: &[Vec<f32>], heads: usize, scope: Scope) -> Accumulator {
        let mut accumulator = Accumulator::with_scope(heads, samples[0].len() / heads, &Measure::ALL, scope);
        for sample in samples {
            accumulator.add(sample).unwrap();
        }
        accumulator
    }

    /// Two classes, one voxel: the foreground probability of each sample.
    fn binary(foreground: &[f32]) -> Accumulator {
        let samples: Vec<Vec<f32>> = foreground.iter().map(|p| vec![1.0 - p, *p]).collect();
        accumulate(&samples, 2, Scope::PerClass)
    }

    #[test]
    fn measures_of_one_voxel() {
        fn check(foreground: &[f32], measure: Measure, expected: f32) {
            let got = binary(foreground).finish(measure).unwrap()[0];
            assert!((got - expected).abs() < 1e-6, "{measure} of {foreground:?}: {got}, expected {expected}");
        }
        check(&[0.5], Measure::Entropy, 1.0);
        check(&[0.9, 0.1], Measure::Bhattacharyya, 0.4);
        check(&[1.0, 0.0], Measure::Bhattacharyya, 1.0);
        check(&[0.5, 0.5], Measure::Bhattacharyya, 0.0);
        check(&[1.0, 0.0], Measure::Variance, 1.0);
        check(&[0.7, 0.7, 0.7], Measure::Variance, 0.0);
        check(&[1.0, 0.0], Measure::MutualInformation, 1.0);
        check(&[0.5, 0.5], Measure::MutualInformation, 0.0);
        check(&[0.8, 0.6], Measure::Confidence, 0.3);
        check(&[f32::NAN, f32::INFINITY], Measure::Entropy, 1.0);
    }

    #[test]
    fn joint_measures_stay_in_range_and_finite_for_extreme_samples() {
        let samples = vec![vec![1.0, 0.0, 0.0, f32::NAN, 0.3, 1e-30], vec![0.0, 0.0, 1.0, 0.2, 0.3, 1.0]];
        let accumulator = accumulate(&samples, 3, Scope::Joint);
        for measure in Measure::ALL {
            assert!(accumulator.finish(measure).unwrap().iter().all(|u| (0.0..=1.0).contains(u)), "{measure}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_samples_and_no_joint_measure_needs_more_than_six_buffers() {
        let (heads, voxels) = (3, 1000);
        let sample = vec![1.0 / 3.0; heads * voxels];
        for measure in Measure::ALL {
            let mut accumulator = Accumulator::new(heads, voxels, &[measure]);
            let before = accumulator.bytes();
            for _ in 0..40 {
                accumulator.add(&sample).unwrap();
            }
            assert_eq!(accumulator.bytes(), before);
            assert!(before <= 6 * voxels * size_of::<f32>(), "{measure} holds {before} bytes");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_an_error() {
        let mut accumulator = Accumulator::new(2, 1, &[Measure::Entropy]);
        assert!(accumulator.finish(Measure::Entropy).is_err());
        assert_eq!(accumulator.add(&[0.5]), Err(UncertaintyError::WrongLength { expected: 2, got: 1 }));
        accumulator.add(&[0.5, 0.5]).unwrap();
        assert!(accumulator.finish(Measure::Variance).is_err());
        assert!(accumulator.finish_class(Measure::Entropy, 1).is_err());
    }

    /// The authors' numbers, quirks included; the quirks live here and nowhere else.
    #[test]
    fn the_reference_numbers_are_reproduced() {
        let Some(vectors) = reference::vectors() else { return };
        let probabilities = reference::floats(&vectors["probs"]["values"]);
        let (heads, samples, voxels) = (3, 4, 12);
        // [class][sample][voxel] → one [class][voxel] per sample.
        let samples: Vec<Vec<f32>> = (0..samples)
            .map(|t| {
                (0..heads).flat_map(|c| (0..voxels).map(move |v| (c * samples + t) * voxels + v)).map(|i| probabilities[i] as f32).collect()
            })
            .collect();
        let one_by_one = accumulate(&samples, heads, Scope::PerClass);
        let joint = accumulate(&samples, heads, Scope::Joint);
        let expected = &vectors["uncertainty"];

        let check = |name: &str, got: &[f32], want: &serde_json::Value| reference::check_near(name, got, &reference::floats(want), 1e-6);
        for class in 0..heads {
            let of = |measure| one_by_one.finish_class(measure, class).unwrap();
            check("variance", &reference::min_max(&of(Measure::Variance)), &expected["variance"]["per_class"][class]);
            check("entropy", &of(Measure::Entropy), &expected["entropy"]["per_class"][class]);
            check("bhattacharyya", &of(Measure::Bhattacharyya), &expected["bhattacharyya"]["per_class"][class]);
        }
        check("variance / 0.25", &one_by_one.finish_class(Measure::Variance, 1).unwrap(), &expected["variance_intended_div_0.25_class1"]);
        check("entropy, merged", &one_by_one.finish(Measure::Entropy).unwrap(), &expected["entropy"]["merged_mean_fg"]);
        check("bhattacharyya, merged", &one_by_one.finish(Measure::Bhattacharyya).unwrap(), &expected["bhattacharyya"]["merged_mean_fg"]);
        let weights = class_weights(&[0.75, 0.28]);
        check("weights", &weights, &expected["class_dice_weights"]["weights"]);
        check("three weights", &class_weights(&[0.78, 0.57, 0.79]), &expected["class_dice_weights_3"]["weights"]);
        let weighted = one_by_one.finish_weighted(Measure::Entropy, &weights).unwrap();
        check("entropy, weighted", &weighted, &expected["entropy"]["merged_weighted_fg"]);

        check("joint entropy", &joint.finish(Measure::Entropy).unwrap(), &expected["class_entropy"]);
        let bhattacharyya = joint.finish(Measure::Bhattacharyya).unwrap();
        check("joint bhattacharyya", &bhattacharyya, &expected["class_bhattacharyya_intended_exponent_1_over_T"]);
        check("confidence", &joint.finish(Measure::Confidence).unwrap(), &expected["confidence"]);
        let coded: Vec<f32> =
            (0..voxels).map(|v| 1.0 - (0..heads).map(|c| (joint.logs[c * voxels + v] / heads as f32).exp()).sum::<f32>()).collect();
        check("joint bhattacharyya as coded", &coded, &expected["class_bhattacharyya_as_coded_exponent_1_over_C"]);
        let class_variances: Vec<Vec<f32>> =
            (0..heads).map(|c| reference::min_max(&one_by_one.finish_class(Measure::Variance, c).unwrap())).collect();
        let mean_of = |classes: &[Vec<f32>]| -> Vec<f32> {
            (0..voxels).map(|v| classes.iter().map(|class| class[v]).sum::<f32>() / classes.len() as f32).collect()
        };
        check("joint variance", &mean_of(&class_variances), &expected["class_variance"]);
        check("variance, merged", &mean_of(&class_variances[1..]), &expected["variance"]["merged_mean_fg"]);
        let mean = joint.mean_probabilities();
        let prediction: Vec<f32> =
            (0..voxels).map(|v| (0..heads).max_by(|a, b| mean[a * voxels + v].total_cmp(&mean[b * voxels + v])).unwrap() as f32).collect();
        check("prediction", &prediction, &expected["prediction"]);
    }
}
