//! What a sample adds to a block's statistics, and the uncertainty that follows from them.

use super::layout::Parts;
use crate::bundle::method::Measure;
use crate::pipeline::elementary::{exp, ln};

impl Parts<&mut [f32]> {
    /// `values` are probabilities, head by head; `share` is 1 ÷ the number of samples, this one included.
    pub(super) fn add(self, values: &[f32], width: usize, share: f32, two: &mut [f32]) {
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
pub(super) enum Of {
    /// All classes together.
    All,
    /// These classes, each with its share.
    Classes(Vec<(usize, f32)>),
}

impl Parts<&[f32]> {
    /// A block's uncertainty.
    pub(super) fn finish(
        &self,
        measure: Measure,
        of: &Of,
        (heads, samples): (usize, f32),
        two: &mut [f32],
        result: &mut [f32],
    ) {
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
pub(super) struct Means<'a> {
    background: &'a [f32],
    others: &'a [f32],
}

impl<'a> Means<'a> {
    pub(super) fn new(others: &'a [f32], width: usize, background: &'a mut [f32]) -> Self {
        background.fill(1.0);
        others.chunks_exact(width).for_each(|row| each(background, row, |rest, p| *rest -= p));
        background.iter_mut().for_each(|rest| *rest = rest.max(0.0));
        Self { background, others }
    }

    pub(super) fn of(&self, head: usize) -> &[f32] {
        let width = self.background.len();
        if head == 0 { self.background } else { &self.others[(head - 1) * width..][..width] }
    }
}

/// Probabilities of logits, in place; rows of heads, `two` rows to compute in.
pub(super) fn softmax(values: &mut [f32], width: usize, two: &mut [f32]) {
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
