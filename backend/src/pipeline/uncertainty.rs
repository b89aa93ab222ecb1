//! How unsure the networks are, voxel by voxel, from the spread of several predictions (folds, mirrors, passes with
//! dropout).
//!
//! Samples go in one at a time and are forgotten: memory does not grow with their number. Knows probabilities, not
//! networks. Nothing here is ever NaN.

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use thiserror::Error;

use super::elementary::{exp, ln};
use crate::bundle::method::Measure;

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

/// Running statistics of the samples, in rows of one f32 a voxel:
///
/// | statistic | for | joint | per class |
/// |---|---|---|---|
/// | mean; the background's is what the others leave | all but Bhattacharyya | heads − 1 | heads − 1 |
/// | sum of squares about the mean | variance | 1 | heads |
/// | sum of the samples' entropies | mutual information | 1 | heads |
/// | sum of log p | Bhattacharyya | heads | heads |
/// | sum of log (1 − p) | Bhattacharyya | – | heads |
///
/// So with three classes any single joint measure takes 2 or 3 volumes. Voxels are held in blocks, all rows of a block
/// side by side: a thread takes a sample in block by block and needs no memory beyond a few rows of one.
#[derive(Debug)]
pub struct Accumulator {
    layout: Layout,
    voxels: usize,
    samples: usize,
    /// Block by block, row by row.
    rows: Vec<f32>,
}

impl Accumulator {
    /// Ready for samples of `heads × voxels` values, for the given measures of all classes together.
    pub fn new(heads: usize, voxels: usize, measures: &[Measure]) -> Self {
        Self::with_scope(heads, voxels, measures, Scope::Joint)
    }

    /// As [`Accumulator::new`], for classes together or one by one.
    pub fn with_scope(heads: usize, voxels: usize, measures: &[Measure], scope: Scope) -> Self {
        let layout = Layout::new(heads, measures, scope);
        Self { layout, voxels, samples: 0, rows: vec![0.0; layout.rows() * voxels] }
    }

    /// Samples added so far.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.rows.len() * size_of::<f32>()
    }

    /// Takes in one sample: logits, head by head (`[head][voxel]`), which must be finite.
    ///
    /// # Errors
    /// [`UncertaintyError::WrongLength`].
    pub fn add(&mut self, logits: &[f16]) -> Result<(), UncertaintyError> {
        self.check_length(logits.len())?;
        let voxels = self.voxels;
        self.take(|head, voxel, row| logits[head * voxels + voxel..][..row.len()].convert_to_f32_slice(row), softmax);
        Ok(())
    }

    /// Takes in one sample as softmax probabilities, head by head. What is not finite counts as "no idea".
    ///
    /// # Errors
    /// [`UncertaintyError::WrongLength`].
    pub fn add_probabilities(&mut self, probabilities: &[f32]) -> Result<(), UncertaintyError> {
        self.check_length(probabilities.len())?;
        let voxels = self.voxels;
        let no_idea = 1.0 / self.layout.heads as f32;
        let clean = |p: f32| if p.is_finite() { p.clamp(0.0, 1.0) } else { no_idea };
        let copy = |head: usize, voxel: usize, row: &mut [f32]| {
            let len = row.len();
            row.iter_mut().zip(&probabilities[head * voxels + voxel..][..len]).for_each(|(to, p)| *to = clean(*p));
        };
        self.take(copy, |_, _, _| {});
        Ok(())
    }

    fn check_length(&self, got: usize) -> Result<(), UncertaintyError> {
        let expected = self.layout.heads * self.voxels;
        if got == expected { Ok(()) } else { Err(UncertaintyError::WrongLength { expected, got }) }
    }

    /// `read` copies a head's values from a voxel on; `normalise` makes a block's values probabilities.
    fn take(
        &mut self,
        read: impl Fn(usize, usize, &mut [f32]) + Sync,
        normalise: impl Fn(&mut [f32], usize, &mut [f32]) + Sync,
    ) {
        self.samples += 1;
        let (layout, share) = (self.layout, 1.0 / self.samples as f32);
        let scratch = || (vec![0.0; layout.heads * BLOCK], vec![0.0; 2 * BLOCK]);
        self.rows.par_chunks_mut(layout.rows() * BLOCK).enumerate().for_each_init(
            scratch,
            |(values, two), (number, rows)| {
                let width = rows.len() / layout.rows();
                let values = &mut values[..layout.heads * width];
                for (head, row) in values.chunks_exact_mut(width).enumerate() {
                    read(head, number * BLOCK, row);
                }
                normalise(values, width, &mut two[..2 * width]);
                layout.split_mut(rows, width).add(values, width, share, &mut two[..2 * width]);
            },
        );
    }

    /// Mean probabilities, head by head (`[head][voxel]`); empty if only the Bhattacharyya coefficient was asked for.
    pub fn mean_probabilities(&self) -> Vec<f32> {
        let layout = self.layout;
        let mut all = vec![0.0; if layout.counts[0] == 0 { 0 } else { layout.heads * self.voxels }];
        let mut background = vec![0.0; BLOCK];
        for (head, of_head) in all.chunks_exact_mut(self.voxels.max(1)).enumerate() {
            for (block, rows) in of_head.chunks_mut(BLOCK).zip(self.rows.chunks(layout.rows() * BLOCK)) {
                let width = block.len();
                let means = Means::new(layout.split(rows, width).mean, width, &mut background[..width]);
                block.copy_from_slice(means.of(head));
            }
        }
        all
    }

    /// The uncertainty of every voxel, 0 to 1. One by one, classes are merged: the mean over the foreground classes.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`].
    pub fn finish(&self, measure: Measure) -> Result<Vec<f32>, UncertaintyError> {
        self.values(measure, &self.of(None))
    }

    /// The uncertainty about one class, 0 to 1; classes must have been accumulated one by one.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`], also where there is no such class.
    pub fn finish_class(&self, measure: Measure, class: usize) -> Result<Vec<f32>, UncertaintyError> {
        if self.layout.scope != Scope::PerClass || class >= self.layout.heads {
            return Err(UncertaintyError::NotAccumulated(measure));
        }
        self.values(measure, &Of::Classes(vec![(class, 1.0)]))
    }

    /// Classes one by one, merged with weights for the foreground classes 1, 2, … (normalised here; see
    /// [`class_weights`]). Classes that were accumulated together have no weights.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`].
    pub fn finish_weighted(&self, measure: Measure, weights: &[f32]) -> Result<Vec<f32>, UncertaintyError> {
        self.values(measure, &self.of(Some(weights)))
    }

    /// As [`Accumulator::finish`], or as [`Accumulator::finish_weighted`] where there are weights, in the memory of the
    /// statistics.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`].
    pub fn into_finished(mut self, measure: Measure, weights: Option<&[f32]>) -> Result<Vec<f32>, UncertaintyError> {
        self.check(measure)?;
        let (layout, samples, of) = (self.layout, self.samples as f32, self.of(weights));
        let scratch = || (vec![0.0; BLOCK], vec![0.0; 2 * BLOCK]);
        self.rows.par_chunks_mut(layout.rows() * BLOCK).for_each_init(scratch, |(result, two), rows| {
            let width = rows.len() / layout.rows();
            let result = &mut result[..width];
            layout.split(rows, width).finish(measure, &of, (layout.heads, samples), &mut two[..2 * width], result);
            rows[..width].copy_from_slice(result);
        });
        // Each block's result lies at its beginning; later ones move forward.
        for voxel in (0..self.voxels).step_by(BLOCK) {
            let (from, width) = (voxel * layout.rows(), BLOCK.min(self.voxels - voxel));
            self.rows.copy_within(from..from + width, voxel);
        }
        self.rows.truncate(self.voxels);
        self.rows.shrink_to_fit();
        Ok(self.rows)
    }

    fn of(&self, weights: Option<&[f32]>) -> Of {
        if self.layout.scope == Scope::Joint {
            return Of::All;
        }
        let weights = weights.map_or_else(|| vec![1.0; self.layout.heads - 1], <[f32]>::to_vec);
        let total: f32 = weights.iter().sum();
        let share = |weight: f32| if total > 0.0 { weight / total } else { 0.0 };
        Of::Classes((1..self.layout.heads).zip(weights.into_iter().map(share)).collect())
    }

    fn values(&self, measure: Measure, of: &Of) -> Result<Vec<f32>, UncertaintyError> {
        self.check(measure)?;
        let (layout, samples) = (self.layout, self.samples as f32);
        let mut values = vec![0.0; self.voxels];
        let blocks = values.par_chunks_mut(BLOCK).zip(self.rows.par_chunks(layout.rows() * BLOCK));
        blocks.for_each_init(
            || vec![0.0; 2 * BLOCK],
            |two, (values, rows)| {
                let width = values.len();
                layout.split(rows, width).finish(measure, of, (layout.heads, samples), &mut two[..2 * width], values);
            },
        );
        Ok(values)
    }

    fn check(&self, measure: Measure) -> Result<(), UncertaintyError> {
        let [mean, squares, entropies, logs, _] = self.layout.counts;
        let kept = match measure {
            Measure::Variance => squares,
            Measure::MutualInformation => entropies,
            Measure::Bhattacharyya => logs,
            Measure::Entropy | Measure::Confidence => mean,
        };
        if kept == 0 || self.samples == 0 { Err(UncertaintyError::NotAccumulated(measure)) } else { Ok(()) }
    }
}

/// Voxels of a block: few enough that all their rows stay in a processor's own cache.
const BLOCK: usize = 2048;

/// Which rows there are.
#[derive(Clone, Copy, Debug)]
struct Layout {
    heads: usize,
    scope: Scope,
    /// Rows of each statistic, in the order of [`Parts`].
    counts: [usize; 5],
}

impl Layout {
    fn new(heads: usize, measures: &[Measure], scope: Scope) -> Self {
        let heads = heads.max(2);
        let asked = |measure: Measure, rows: usize| if measures.contains(&measure) { rows } else { 0 };
        let each = if scope == Scope::Joint { 1 } else { heads };
        let rests = if scope == Scope::Joint { 0 } else { heads };
        let mean = if measures == [Measure::Bhattacharyya] { 0 } else { heads - 1 };
        let counts = [
            mean,
            asked(Measure::Variance, each),
            asked(Measure::MutualInformation, each),
            asked(Measure::Bhattacharyya, heads),
            asked(Measure::Bhattacharyya, rests),
        ];
        Self { heads, scope, counts }
    }

    fn rows(&self) -> usize {
        self.counts.iter().sum()
    }

    fn split<'a>(&self, mut rows: &'a [f32], width: usize) -> Parts<&'a [f32]> {
        let mut next = |count: usize| {
            let (part, rest) = rows.split_at(count * width);
            rows = rest;
            part
        };
        let [mean, squares, entropies, logs, rests] = self.counts;
        Parts {
            mean: next(mean),
            squares: next(squares),
            entropies: next(entropies),
            logs: next(logs),
            rests: next(rests),
        }
    }

    fn split_mut<'a>(&self, mut rows: &'a mut [f32], width: usize) -> Parts<&'a mut [f32]> {
        let mut next = |count: usize| {
            let (part, rest) = std::mem::take(&mut rows).split_at_mut(count * width);
            rows = rest;
            part
        };
        let [mean, squares, entropies, logs, rests] = self.counts;
        Parts {
            mean: next(mean),
            squares: next(squares),
            entropies: next(entropies),
            logs: next(logs),
            rests: next(rests),
        }
    }
}

/// A block's rows by statistic; those that are not kept are empty.
struct Parts<Rows> {
    /// Of the classes from 1 on.
    mean: Rows,
    squares: Rows,
    entropies: Rows,
    logs: Rows,
    rests: Rows,
}

impl Parts<&mut [f32]> {
    /// `values` are probabilities, head by head; `share` is 1 ÷ the number of samples, this one included.
    fn add(self, values: &[f32], width: usize, share: f32, two: &mut [f32]) {
        let Parts { mean, squares, entropies, logs, rests } = self;
        if !entropies.is_empty() {
            let per_class = entropies.len() > width;
            for (head, p) in values.chunks_exact(width).enumerate() {
                let entropies = &mut entropies[if per_class { head * width } else { 0 }..][..width];
                if per_class {
                    each(entropies, p, |sum, p| *sum += binary_entropy(p));
                } else {
                    each(entropies, p, |sum, p| *sum -= plogp(p));
                }
            }
        }
        if !logs.is_empty() {
            each(logs, values, |sum, p| *sum += ln(p));
        }
        if !rests.is_empty() {
            each(rests, values, |sum, p| *sum += ln(1.0 - p));
        }
        if squares.is_empty() {
            each(mean, values.get(width..).unwrap_or_default(), |mean, p| *mean += (p - *mean) * share);
        } else {
            welford(mean, squares, values, share, two);
        }
    }
}

/// The mean and the squares about it after one more sample. The background's deviation is what the other classes'
/// leave.
fn welford(mean: &mut [f32], squares: &mut [f32], values: &[f32], share: f32, two: &mut [f32]) {
    let width = two.len() / 2;
    let per_class = squares.len() > width;
    two.fill(0.0);
    let (befores, afters) = two.split_at_mut(width);
    for (class, (mean, p)) in mean.chunks_exact_mut(width).zip(values.chunks_exact(width).skip(1)).enumerate() {
        let squares = &mut squares[if per_class { (class + 1) * width } else { 0 }..][..width];
        for at in 0..width {
            let before = p[at] - mean[at];
            mean[at] += before * share;
            let after = p[at] - mean[at];
            squares[at] += before * after;
            befores[at] += before;
            afters[at] += after;
        }
    }
    for at in 0..width {
        squares[at] += befores[at] * afters[at];
    }
}

/// What uncertainty is asked about.
enum Of {
    /// All classes together.
    All,
    /// These classes, each with its share.
    Classes(Vec<(usize, f32)>),
}

impl Parts<&[f32]> {
    /// A block's uncertainty.
    fn finish(&self, measure: Measure, of: &Of, (heads, samples): (usize, f32), two: &mut [f32], result: &mut [f32]) {
        let width = result.len();
        let (background, one) = two.split_at_mut(width);
        let means = Means::new(self.mean, width, background);
        match of {
            Of::All => self.joint(measure, &means, (heads, samples), result),
            Of::Classes(classes) => {
                result.fill(0.0);
                for (class, share) in classes {
                    self.of_class(measure, *class, &means, samples, one);
                    each(result, one, |sum, u| *sum += share * u.clamp(0.0, 1.0));
                }
            }
        }
        // Rounding can push a sum a hair out of range; clamping also turns −0 into 0.
        result.iter_mut().for_each(|u| *u = u.clamp(0.0, 1.0) + 0.0);
    }

    fn joint(&self, measure: Measure, means: &Means<'_>, (heads, samples): (usize, f32), result: &mut [f32]) {
        let largest_entropy = (heads as f32).ln();
        let entropy = |result: &mut [f32]| {
            result.fill(0.0);
            (0..heads).for_each(|head| each(result, means.of(head), |sum, p| *sum -= plogp(p)));
        };
        match measure {
            Measure::Variance => {
                each(result, self.squares, |u, s| *u = s / (samples * heads as f32 * LARGEST_VARIANCE))
            }
            Measure::Entropy => {
                entropy(result);
                result.iter_mut().for_each(|u| *u /= largest_entropy);
            }
            Measure::MutualInformation => {
                entropy(result);
                each(result, self.entropies, |u, sum| *u = (*u - sum / samples) / largest_entropy);
            }
            Measure::Bhattacharyya => {
                result.fill(1.0);
                self.logs
                    .chunks_exact(result.len())
                    .for_each(|logs| each(result, logs, |u, sum| *u -= exp(sum / samples)));
            }
            Measure::Confidence => {
                result.fill(0.0);
                (0..heads).for_each(|head| each(result, means.of(head), |largest, p| *largest = largest.max(p)));
                result.iter_mut().for_each(|u| *u = 1.0 - *u);
            }
        }
    }

    fn of_class(&self, measure: Measure, class: usize, means: &Means<'_>, samples: f32, result: &mut [f32]) {
        let width = result.len();
        let row = |rows: &'_ [f32]| -> std::ops::Range<usize> {
            if rows.is_empty() { 0..0 } else { class * width..(class + 1) * width }
        };
        let entropy = |p: f32| binary_entropy(p) / std::f32::consts::LN_2;
        match measure {
            Measure::Variance => {
                each(result, &self.squares[row(self.squares)], |u, s| *u = s / samples / LARGEST_VARIANCE)
            }
            Measure::Entropy => each(result, means.of(class), |u, p| *u = entropy(p)),
            Measure::MutualInformation => {
                each(result, means.of(class), |u, p| *u = entropy(p));
                each(result, &self.entropies[row(self.entropies)], |u, sum| {
                    *u -= sum / samples / std::f32::consts::LN_2
                });
            }
            Measure::Bhattacharyya => {
                each(result, &self.logs[row(self.logs)], |u, sum| *u = 1.0 - exp(sum / samples));
                each(result, &self.rests[row(self.rests)], |u, sum| *u -= exp(sum / samples));
            }
            Measure::Confidence => each(result, means.of(class), |u, p| *u = 1.0 - p.max(1.0 - p)),
        }
    }
}

/// A block's mean probabilities by head.
struct Means<'a> {
    background: &'a [f32],
    others: &'a [f32],
}

impl<'a> Means<'a> {
    fn new(others: &'a [f32], width: usize, background: &'a mut [f32]) -> Self {
        background.fill(1.0);
        others.chunks_exact(width).for_each(|row| each(background, row, |rest, p| *rest -= p));
        background.iter_mut().for_each(|rest| *rest = rest.max(0.0));
        Self { background, others }
    }

    fn of(&self, head: usize) -> &[f32] {
        let width = self.background.len();
        if head == 0 { self.background } else { &self.others[(head - 1) * width..][..width] }
    }
}

/// Probabilities of logits, in place; rows of heads, `two` rows to compute in.
fn softmax(values: &mut [f32], width: usize, two: &mut [f32]) {
    let (largest, total) = two.split_at_mut(width);
    largest.fill(f32::NEG_INFINITY);
    total.fill(0.0);
    values.chunks_exact(width).for_each(|row| each(largest, row, |largest, value| *largest = largest.max(value)));
    for row in values.chunks_exact_mut(width) {
        for ((value, largest), total) in row.iter_mut().zip(&*largest).zip(&mut *total) {
            *value = exp(*value - largest);
            *total += *value;
        }
    }
    values.chunks_exact_mut(width).for_each(|row| each(row, total, |value, total| *value /= total));
}

/// Weights of the foreground classes from how well each is usually segmented: softmax(1 − Dice), so that the worse
/// class counts more.
pub fn class_weights(dices: &[f32]) -> Vec<f32> {
    let raw: Vec<f32> = dices.iter().map(|dice| (1.0 - dice).exp()).collect();
    let total: f32 = raw.iter().sum();
    raw.iter().map(|weight| weight / total).collect()
}

/// The largest variance of something that lies in 0 to 1.
const LARGEST_VARIANCE: f32 = 0.25;

fn each(sums: &mut [f32], values: &[f32], add: impl Fn(&mut f32, f32)) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| add(sum, *value));
}

/// p ln p, 0 at 0.
fn plogp(p: f32) -> f32 {
    p * ln(p)
}

/// Entropy (nats) of "this class or not".
fn binary_entropy(p: f32) -> f32 {
    -(plogp(p) + plogp(1.0 - p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    /// `samples[t]` holds the probabilities `[head][voxel]` of sample t.
    fn accumulate(samples: &[Vec<f32>], heads: usize, scope: Scope) -> Accumulator {
        let mut accumulator = Accumulator::with_scope(heads, samples[0].len() / heads, &Measure::ALL, scope);
        for sample in samples {
            accumulator.add_probabilities(sample).unwrap();
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
    fn memory_does_not_grow_with_samples_and_no_joint_measure_needs_more_than_three_volumes() {
        let (heads, voxels) = (3, 1000);
        let sample = vec![1.0 / 3.0; heads * voxels];
        for measure in Measure::ALL {
            let mut accumulator = Accumulator::new(heads, voxels, &[measure]);
            let before = accumulator.bytes();
            for _ in 0..40 {
                accumulator.add_probabilities(&sample).unwrap();
            }
            assert_eq!(accumulator.bytes(), before);
            assert!(before <= 3 * voxels * size_of::<f32>(), "{measure} holds {before} bytes");
        }
    }

    /// Logits of samples that are far apart, `[head][voxel]`, over more than one block.
    fn logits(heads: usize, voxels: usize, seed: usize) -> Vec<f16> {
        (0..heads * voxels)
            .map(|at| f16::from_f32(((at * 7919 + seed * 104_729) % 2003) as f32 / 100.0 - 10.0))
            .collect()
    }

    #[test]
    fn logits_and_their_probabilities_come_to_the_same() {
        let (heads, voxels) = (3, 2 * BLOCK + 77);
        for scope in [Scope::Joint, Scope::PerClass] {
            let mut of_logits = Accumulator::with_scope(heads, voxels, &Measure::ALL, scope);
            let mut of_probabilities = Accumulator::with_scope(heads, voxels, &Measure::ALL, scope);
            for seed in 0..4 {
                let sample = logits(heads, voxels, seed);
                let exponentials: Vec<f64> = sample.iter().map(|v| v.to_f64().exp()).collect();
                let total = |voxel: usize| (0..heads).map(|head| exponentials[head * voxels + voxel]).sum::<f64>();
                let probabilities: Vec<f32> =
                    exponentials.iter().enumerate().map(|(at, e)| (e / total(at % voxels)) as f32).collect();
                of_logits.add(&sample).unwrap();
                of_probabilities.add_probabilities(&probabilities).unwrap();
            }
            for measure in Measure::ALL {
                let (got, expected) = (of_logits.finish(measure).unwrap(), of_probabilities.finish(measure).unwrap());
                let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 2e-6, "{measure}: {worst}");
            }
        }
    }

    #[test]
    fn finishing_in_place_changes_no_value() {
        let (heads, voxels) = (4, 3 * BLOCK + 5);
        for (scope, weights) in
            [(Scope::Joint, None), (Scope::PerClass, None), (Scope::PerClass, Some([0.2, 0.5, 0.3]))]
        {
            for measure in Measure::ALL {
                let mut accumulator = Accumulator::with_scope(heads, voxels, &[measure], scope);
                (0..3).for_each(|seed| accumulator.add(&logits(heads, voxels, seed)).unwrap());
                let weights = weights.as_ref().map(<[f32; 3]>::as_slice);
                let expected = match weights {
                    Some(weights) => accumulator.finish_weighted(measure, weights),
                    None => accumulator.finish(measure),
                };
                let got = accumulator.into_finished(measure, weights).unwrap();
                assert_eq!(got, expected.unwrap(), "{measure}");
                assert!(got.capacity() < 2 * voxels, "the statistics' memory is given back");
            }
        }
    }

    #[test]
    fn what_was_not_asked_for_is_an_error() {
        let mut accumulator = Accumulator::new(2, 1, &[Measure::Entropy]);
        assert!(accumulator.finish(Measure::Entropy).is_err());
        assert_eq!(accumulator.add_probabilities(&[0.5]), Err(UncertaintyError::WrongLength { expected: 2, got: 1 }));
        accumulator.add_probabilities(&[0.5, 0.5]).unwrap();
        assert!(accumulator.finish(Measure::Variance).is_err());
        assert!(accumulator.finish_class(Measure::Entropy, 1).is_err());
    }

    /// The authors' numbers, quirks included; the quirks live here and nowhere else.
    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn the_reference_numbers_are_reproduced() {
        let vectors = reference::vectors();
        let probabilities = reference::floats(&vectors["probs"]["values"]);
        let (heads, samples, voxels) = (3, 4, 12);
        // [class][sample][voxel] → one [class][voxel] per sample.
        let samples: Vec<Vec<f32>> = (0..samples)
            .map(|t| {
                (0..heads)
                    .flat_map(|c| (0..voxels).map(move |v| (c * samples + t) * voxels + v))
                    .map(|i| probabilities[i] as f32)
                    .collect()
            })
            .collect();
        let one_by_one = accumulate(&samples, heads, Scope::PerClass);
        let joint = accumulate(&samples, heads, Scope::Joint);
        let expected = &vectors["uncertainty"];

        let check = |name: &str, got: &[f32], want: &serde_json::Value| {
            reference::check_near(name, got, &reference::floats(want), 1e-6)
        };
        for class in 0..heads {
            let of = |measure| one_by_one.finish_class(measure, class).unwrap();
            check("variance", &reference::min_max(&of(Measure::Variance)), &expected["variance"]["per_class"][class]);
            check("entropy", &of(Measure::Entropy), &expected["entropy"]["per_class"][class]);
            check("bhattacharyya", &of(Measure::Bhattacharyya), &expected["bhattacharyya"]["per_class"][class]);
        }
        check(
            "variance / 0.25",
            &one_by_one.finish_class(Measure::Variance, 1).unwrap(),
            &expected["variance_intended_div_0.25_class1"],
        );
        check("entropy, merged", &one_by_one.finish(Measure::Entropy).unwrap(), &expected["entropy"]["merged_mean_fg"]);
        check(
            "bhattacharyya, merged",
            &one_by_one.finish(Measure::Bhattacharyya).unwrap(),
            &expected["bhattacharyya"]["merged_mean_fg"],
        );
        let weights = class_weights(&[0.75, 0.28]);
        check("weights", &weights, &expected["class_dice_weights"]["weights"]);
        check("three weights", &class_weights(&[0.78, 0.57, 0.79]), &expected["class_dice_weights_3"]["weights"]);
        let weighted = one_by_one.finish_weighted(Measure::Entropy, &weights).unwrap();
        check("entropy, weighted", &weighted, &expected["entropy"]["merged_weighted_fg"]);

        check("joint entropy", &joint.finish(Measure::Entropy).unwrap(), &expected["class_entropy"]);
        let bhattacharyya = joint.finish(Measure::Bhattacharyya).unwrap();
        check("joint bhattacharyya", &bhattacharyya, &expected["class_bhattacharyya_intended_exponent_1_over_T"]);
        check("confidence", &joint.finish(Measure::Confidence).unwrap(), &expected["confidence"]);
        let logs = joint.layout.split(&joint.rows, voxels).logs;
        let coded: Vec<f32> = (0..voxels)
            .map(|v| 1.0 - (0..heads).map(|c| (logs[c * voxels + v] / heads as f32).exp()).sum::<f32>())
            .collect();
        check("joint bhattacharyya as coded", &coded, &expected["class_bhattacharyya_as_coded_exponent_1_over_C"]);
        let class_variances: Vec<Vec<f32>> =
            (0..heads).map(|c| reference::min_max(&one_by_one.finish_class(Measure::Variance, c).unwrap())).collect();
        let mean_of = |classes: &[Vec<f32>]| -> Vec<f32> {
            (0..voxels).map(|v| classes.iter().map(|class| class[v]).sum::<f32>() / classes.len() as f32).collect()
        };
        check("joint variance", &mean_of(&class_variances), &expected["class_variance"]);
        check("variance, merged", &mean_of(&class_variances[1..]), &expected["variance"]["merged_mean_fg"]);
        let mean = joint.mean_probabilities();
        let prediction: Vec<f32> = (0..voxels)
            .map(|v| (0..heads).max_by(|a, b| mean[a * voxels + v].total_cmp(&mean[b * voxels + v])).unwrap() as f32)
            .collect();
        check("prediction", &prediction, &expected["prediction"]);
    }
}
