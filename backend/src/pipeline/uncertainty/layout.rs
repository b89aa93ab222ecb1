//! Which statistics are kept, and where a block's rows of each lie.

use crate::bundle::method::Measure;

/// Whether classes are looked at together, or one by one as "this class or not".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All classes, background included, as one distribution.
    Joint,
    /// Each class against the rest.
    PerClass,
}

/// Which rows there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) heads: usize,
    pub(super) scope: Scope,
    /// Rows of each statistic, in the order of [`Parts`].
    pub(super) counts: [usize; 5],
}

impl Layout {
    pub(super) fn new(heads: usize, measures: &[Measure], scope: Scope) -> Self {
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

    pub(super) fn rows(&self) -> usize {
        self.counts.iter().sum()
    }

    pub(super) fn split<'a>(&self, mut rows: &'a [f32], width: usize) -> Parts<&'a [f32]> {
        let next = |count: usize| {
            let (part, rest) = rows.split_at(count * width);
            rows = rest;
            part
        };
        Parts::of(self.counts, next)
    }

    pub(super) fn split_mut<'a>(&self, mut rows: &'a mut [f32], width: usize) -> Parts<&'a mut [f32]> {
        let next = |count: usize| {
            let (part, rest) = std::mem::take(&mut rows).split_at_mut(count * width);
            rows = rest;
            part
        };
        Parts::of(self.counts, next)
    }
}

/// A block's rows by statistic; those that are not kept are empty.
pub(super) struct Parts<Rows> {
    /// Of the classes from 1 on.
    pub(super) mean: Rows,
    pub(super) squares: Rows,
    pub(super) entropies: Rows,
    pub(super) logs: Rows,
    pub(super) rests: Rows,
}

impl<Rows> Parts<Rows> {
    /// One statistic after the other, in the order of the rows.
    fn of([mean, squares, entropies, logs, rests]: [usize; 5], mut next: impl FnMut(usize) -> Rows) -> Self {
        Self {
            mean: next(mean),
            squares: next(squares),
            entropies: next(entropies),
            logs: next(logs),
            rests: next(rests),
        }
    }
}
