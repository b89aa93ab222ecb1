//! Which slices are shown to the expert.

use std::collections::BTreeSet;

use shared::acquisition::{RankedSlice, SliceList};
use shared::correction::{CorrectedSlice, Runs};
use shared::geometry::Plane;

use super::Bench;

/// How many of a round's slices are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effort {
    /// As many.
    pub(crate) slices: usize,
    /// As many as have been ranked.
    pub(crate) most: usize,
    /// Share of the case's uncertainty that they settle.
    pub(crate) settles: f64,
}

/// Whether refining would bring anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// No slice is done.
    #[default]
    NothingDone,
    /// The newest refinement has worked with just these slices.
    Unchanged,
    /// It would.
    Ready,
}

impl Bench {
    /// Whether the slices that are done say anything that the newest refinement has not been told.
    pub(crate) fn readiness(&self) -> Readiness {
        let done = self.slices_done();
        if done == 0 {
            return Readiness::NothingDone;
        }
        let told = &self.detail.refined_with;
        let is_same = told.len() == done && told.iter().all(|slice| self.says_still(slice));
        if is_same { Readiness::Unchanged } else { Readiness::Ready }
    }

    fn says_still(&self, told: &CorrectedSlice) -> bool {
        self.corrections.get(&told.plane).is_some_and(|now| {
            let is_as_saved = now.sync.revision == told.revision && !now.sync.is_open();
            now.state == told.state && (is_as_saved || Runs::encode(&now.labels) == told.runs)
        })
    }

    /// This round's slices, by rank: those that fit the effort, and those that the expert has touched.
    pub(crate) fn offered(&self) -> Vec<RankedSlice> {
        let slices = self.effort().slices;
        let is_shown = |slice: &&RankedSlice| slice.rank <= slices || self.corrections.contains_key(&slice.plane());
        self.detail.slices.iter().flat_map(SliceList::ranked).filter(is_shown).cloned().collect()
    }

    /// How many slices are shown.
    pub(crate) fn effort(&self) -> Effort {
        let Some(list) = &self.detail.slices else { return Effort::default() };
        let wish = self.wish.filter(|(round, _)| *round == self.detail.summary.round);
        let slices = wish.map_or(list.slices.len(), |(_, slices)| slices);
        Effort {
            slices,
            most: list.ranked().count(),
            settles: list.ranked().take(slices).map(|slice| slice.settles).sum(),
        }
    }

    /// Slices that this round does not offer: the expert's own, and those corrected in earlier rounds.
    pub(crate) fn others(&self) -> Vec<Plane> {
        let ranked: Vec<Plane> =
            self.detail.slices.iter().flat_map(SliceList::ranked).map(RankedSlice::plane).collect();
        let all: BTreeSet<Plane> = self.corrections.keys().chain(&self.own).copied().collect();
        all.into_iter().filter(|plane| !ranked.contains(plane)).collect()
    }

    /// Whether the expert has chosen a plane that is not offered. In the first round nobody else can have.
    pub(crate) fn is_own(&self, plane: Plane) -> bool {
        self.own.contains(&plane) || self.detail.summary.round <= 1
    }
}
