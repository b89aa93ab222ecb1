//! Rounds: the slices offered, the effort, refining, and going on to the next round.

use leptos::task::spawn_local;
use shared::acquisition::{RankedSlice, SliceList};
use shared::api::{CaseSummary, RefineOptions};
use shared::case::{CaseId, Job};
use shared::correction::SliceState;
use shared::effort::SliceEffort;
use shared::geometry::Plane;

use super::Session;
use super::bench::{Bench, Effort, Readiness};
use super::fact::Fact;
use crate::api;

/// How long the network may learn from a case when the expert asks for it.
const ADAPT_SECONDS: f64 = 120.0;

/// What is offered to the expert.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    /// The slice list.
    pub(crate) slices: Fact<Vec<SliceRow>>,
    /// How many slices the expert is ready to correct.
    pub(crate) effort: Fact<Effort>,
    /// The slice being corrected.
    pub(crate) target: Fact<Option<Plane>>,
    /// Whether refining would bring anything.
    pub(crate) readiness: Fact<Readiness>,
    /// Whether the expert asks the network to learn from the case before it refines.
    pub(crate) adapts: Fact<bool>,
}

impl Rounds {
    /// Nothing is offered yet.
    pub(super) fn new() -> Self {
        Self {
            slices: Fact::new(Vec::new()),
            effort: Fact::new(Effort::default()),
            target: Fact::new(None),
            readiness: Fact::new(Readiness::default()),
            adapts: Fact::new(false),
        }
    }
}

/// A line of the slice list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SliceRow {
    /// Which plane.
    pub(crate) plane: Plane,
    /// Its place in this round's acquisition; none for a plane of an earlier round.
    pub(crate) rank: Option<usize>,
    /// The part of the case that it cuts most of, 1 for the largest; none where there is only one part, or it cuts
    /// none.
    pub(crate) part: Option<usize>,
    /// Share of the case's uncertainty that it settles.
    pub(crate) settles: f64,
    /// What the strategy ranked by.
    pub(crate) score: f64,
    /// How far the expert is.
    pub(crate) state: SliceState,
    /// Changes made here, for redrawing its thumbnail.
    pub(crate) edits: u64,
    /// Painted on, but not vouched for.
    pub(crate) touched: bool,
    /// The expert has chosen it, no acquisition.
    pub(crate) own: bool,
    /// What it has taken, if that was measured.
    pub(crate) effort: Option<SliceEffort>,
}

impl SliceRow {
    /// The expert has looked at it and found every voxel right as it was.
    pub(crate) fn is_confirmed_unchanged(&self) -> bool {
        self.state == SliceState::Done && self.effort.is_some_and(|effort| effort.changed_voxels == 0)
    }
}

impl Session {
    /// A job was queued; events may have told more of it already.
    fn learn_job(self, id: &CaseId, job: Job) {
        let known = self.read(|bench| bench.detail.summary.clone()).filter(|known| known.id == *id);
        if let Some(known) = known.filter(|known| known.job.as_ref().is_none_or(|known| known.id != job.id)) {
            self.hear_case(CaseSummary { job: Some(job), ..known });
        }
    }

    pub(super) fn refine(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        self.end_stroke();
        if self.is_contradicted() {
            return;
        }
        if let Some(why) = why_not(self.rounds.readiness.now(), self.rounds.adapts.now()) {
            return self.messages.notice.set(Some(why.into()));
        }
        self.messages.notice.set(None);
        self.note_effort(true);
        spawn_local(async move {
            let saved = self.all_saved().await;
            if !self.is_shown(&visit) {
                return;
            }
            if !saved {
                self.messages.trouble.set(Some(
                    "Refinement waits: not all corrections have reached the server. Try again when they are saved."
                        .into(),
                ));
                return;
            }
            let options = RefineOptions { adapt_seconds: self.rounds.adapts.now().then_some(ADAPT_SECONDS) };
            match api::refine(&visit.case, options).await {
                Ok(job) => self.learn_job(&visit.case, job),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    /// Why refining would bring nothing, if so.
    pub(crate) fn why_not_refined(&self) -> Option<&'static str> {
        why_not(self.rounds.readiness.get(), self.rounds.adapts.get())
    }

    /// The expert wants to go on: shows the slices that the refinement chose and goes to the first.
    pub(super) fn begin_round(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        self.flush();
        // Asked for once is enough.
        self.case.detail.update(|detail| detail.iter_mut().for_each(|detail| detail.next = None));
        spawn_local(async move {
            let answer = api::begin_round(&visit.case).await;
            if !self.is_shown(&visit) {
                return;
            }
            match answer {
                Ok(detail) => {
                    self.learn_detail(detail);
                    self.first_to_do().into_iter().for_each(|plane| self.go_to(plane));
                }
                Err(trouble) => {
                    self.complain(&trouble);
                    self.reload_case();
                }
            }
        });
    }

    /// Brings the slice list up to date.
    pub(super) fn refresh_slices(self) {
        let rows = self.read(|bench| {
            let several = bench
                .detail
                .slices
                .iter()
                .flat_map(SliceList::ranked)
                .any(|slice| slice.component.is_some_and(|part| part > 1));
            let row = |plane: Plane, slice: Option<&RankedSlice>| SliceRow {
                plane,
                rank: slice.map(|slice| slice.rank),
                part: slice.and_then(|slice| slice.component).filter(|_| several),
                settles: slice.map_or(0.0, |slice| slice.settles),
                score: slice.map_or(0.0, |slice| slice.score),
                state: bench.state(plane),
                edits: bench.corrections.get(&plane).map_or(0, |correction| correction.edits),
                touched: bench.corrections.contains_key(&plane) && bench.state(plane) == SliceState::Todo,
                own: slice.is_none() && bench.is_own(plane),
                effort: self.effort_of(bench, plane),
            };
            let offered = bench.offered().into_iter().map(|slice| row(slice.plane(), Some(&slice)));
            offered.chain(bench.others().into_iter().map(|plane| row(plane, None))).collect()
        });
        self.rounds.slices.learn(rows.unwrap_or_default());
        self.rounds.effort.learn(self.read(Bench::effort).unwrap_or_default());
        self.rounds.readiness.learn(self.read(Bench::readiness).unwrap_or_default());
        let target = self.rounds.target.now();
        let is_blank = self.read(|bench| target.is_some_and(|plane| bench.is_blank(plane)));
        self.viewing.is_blank.learn(is_blank == Some(true));
        self.refresh_crossings();
    }

    /// More or fewer slices; the first stays.
    pub(super) fn set_effort(self, slices: usize) {
        self.change(|bench| {
            bench.wish = Some((bench.detail.summary.round, slices.clamp(1, bench.effort().most.max(1))))
        });
        self.refresh_slices();
    }

    /// The first slice that is to be done.
    pub(super) fn first_to_do(self) -> Option<Plane> {
        let to_do = self
            .rounds
            .slices
            .now_with(|rows| rows.iter().find(|row| row.state == SliceState::Todo).map(|row| row.plane));
        to_do.or_else(|| self.rounds.slices.now_with(|rows| rows.first().map(|row| row.plane)))
    }

    /// The next slice to be done after this one, from the list's beginning if need be.
    pub(super) fn next_to_do(self, plane: Plane) -> Option<Plane> {
        self.rounds.slices.now_with(|rows| {
            let here = rows.iter().position(|row| row.plane == plane).map_or(0, |at| at + 1);
            let order = rows.iter().skip(here).chain(rows.iter().take(here));
            order.filter(|row| row.state == SliceState::Todo && row.plane != plane).map(|row| row.plane).next()
        })
    }
}

fn why_not(readiness: Readiness, adapts: bool) -> Option<&'static str> {
    match readiness {
        Readiness::NothingDone => Some("Refinement needs at least one slice that is done."),
        Readiness::Unchanged if !adapts => {
            Some("Nothing has changed since this version was refined. Correct or finish another slice first.")
        }
        Readiness::Unchanged | Readiness::Ready => None,
    }
}
