//! How unsure the networks are, voxel by voxel, from the spread of several predictions (folds, mirrors, passes with
//! dropout).
//!
//! Samples go in one at a time and are forgotten: memory does not grow with their number. Knows probabilities, not
//! networks. Nothing here is ever NaN.

mod layout;
mod statistics;
#[cfg(test)]
mod tests;

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use thiserror::Error;

use crate::bundle::method::Measure;
use layout::Layout;
use statistics::{Means, Of, softmax};

pub use layout::Scope;

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

/// Weights of the foreground classes from how well each is usually segmented: softmax(1 − Dice), so that the worse
/// class counts more.
pub fn class_weights(dices: &[f32]) -> Vec<f32> {
    let raw: Vec<f32> = dices.iter().map(|dice| (1.0 - dice).exp()).collect();
    let total: f32 = raw.iter().sum();
    raw.iter().map(|weight| weight / total).collect()
}
