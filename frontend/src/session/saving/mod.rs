//! Corrections on their way to the server: written down in this browser first, sent soon after the last change, one
//! save at a time for each slice, each naming the revision it is based on. What is not confirmed stays written down
//! until it is.

#[cfg(test)]
mod played;
pub(crate) mod status;

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{CaseDetail, ErrorCode};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

use super::Session;
use super::bench::{Bench, Correction};
use super::fact::Fact;
use super::journal::Kept;
use super::link::Word;
use super::sync::{Contest, Sync, resumed};
use super::versions::VersionList;
use super::visit::Visit;
use crate::annotate::history::difference;
use crate::annotate::journal::Entry;
use crate::api::{self, Trouble};
use status::{SaveState, save_state};

/// Strokes that follow each other faster than this are saved together.
const DEBOUNCE_MS: u32 = 200;
/// How long to wait before sending again what the server did not answer.
const RETRY_MS: u32 = 3_000;
/// How long refinement waits for saves under way.
const PATIENCE_MS: u32 = 10_000;

/// Whether the expert's work is safe.
#[derive(Clone, Copy)]
pub(crate) struct Saving {
    /// Where corrections stand with the server.
    pub(crate) state: Fact<SaveState>,
    /// Why this computer keeps nothing of what the server does not have, or not everything.
    pub(crate) storage_trouble: Fact<Option<String>>,
    /// The versions of a slice, while they are asked for.
    pub(crate) versions: Fact<Option<VersionList>>,
}

impl Saving {
    /// Nothing has been said yet.
    pub(super) fn new() -> Self {
        Self { state: Fact::new(SaveState::Saved), storage_trouble: Fact::new(None), versions: Fact::new(None) }
    }
}

impl Session {
    /// A slice has changed: writes it down and sends it soon.
    pub(super) fn touch(self, plane: Plane) {
        self.sync(plane, Sync::touch);
        self.write_down(plane);
        self.refresh_save_state();
        spawn_local(async move {
            TimeoutFuture::new(DEBOUNCE_MS).await;
            self.flush();
        });
    }

    /// Writes down what the server has not confirmed of a slice, or that it has all.
    fn write_down(self, plane: Plane) {
        let unconfirmed = self.read(|bench| Some((bench.visit.case.clone(), unconfirmed(bench, plane)?)));
        if let Some((case, entry)) = unconfirmed.flatten() {
            self.keep(&case, plane, entry);
        }
    }

    /// Sends what waits.
    pub(super) fn flush(self) {
        let waiting = self.read(|bench| {
            let waiting = bench.corrections.iter().filter(|(_, correction)| correction.sync.is_waiting());
            waiting.map(|(plane, _)| *plane).collect::<Vec<_>>()
        });
        waiting.into_iter().flatten().for_each(|plane| self.send(plane));
        self.refresh_save_state();
    }

    fn send(self, plane: Plane) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        let sent = self.change(|bench| {
            let now = bench.saved_form(plane)?;
            bench.corrections.get_mut(&plane).map(|correction| correction.sync.statement_to_send(now))
        });
        let Some(slice) = sent.flatten() else { return };
        self.write_down(plane);
        spawn_local(async move {
            let answer = api::save(&visit.case, &slice).await;
            self.tell_saved(&visit.case, &answer);
            if !self.is_shown(&visit) {
                if let Ok(saved) = answer {
                    self.answered_elsewhere(&visit.case, &slice, saved.revision);
                }
                return;
            }
            self.sync(plane, |sync| sync.in_flight = false);
            match answer {
                Ok(saved) => self.confirmed(&slice, saved.revision),
                Err(trouble @ Trouble::Refused { code: ErrorCode::StaleCorrection, .. }) => {
                    self.meet_conflict(&visit, slice, &trouble).await;
                }
                Err(trouble) => self.keep_trying(plane, &trouble),
            }
            self.refresh_save_state();
        });
    }

    /// Sends all that the server has not confirmed once more, in requests that outlive the page: it is about to go.
    pub(super) fn send_parting(self) {
        self.end_stroke();
        let parting = self.change(|bench| {
            let is_open = |sync: &Sync| sync.is_open() && sync.theirs.is_none();
            let open = bench.corrections.iter().filter(|(_, known)| is_open(&known.sync)).map(|(plane, _)| *plane);
            let statements =
                open.collect::<Vec<_>>().into_iter().filter_map(|plane| parting_statement(bench, plane)).collect();
            (bench.visit.case.clone(), statements)
        });
        let (case, statements): (CaseId, Vec<CorrectedSlice>) = match parting {
            Some(parting) => parting,
            None => return,
        };
        for statement in statements {
            self.write_down(statement.plane);
            api::save_parting(&case, &statement);
        }
    }

    fn confirmed(self, slice: &CorrectedSlice, revision: u64) {
        self.learn_online(true);
        let plane = slice.plane;
        let more = self.change(|bench| {
            bench.corrections.get_mut(&plane).map(|correction| correction.sync.confirm(slice, revision))
        });
        self.write_down(plane);
        if more.flatten() == Some(true) {
            self.flush();
        } else if self.is_more_left() {
            self.replay_journal();
        }
    }

    fn keep_trying(self, plane: Plane, trouble: &Trouble) {
        match trouble {
            Trouble::Unreachable => self.learn_online(false),
            Trouble::Refused { .. } => self.sync(plane, |sync| sync.refuse(trouble)),
        }
        self.write_down(plane);
        if trouble.may_pass() {
            spawn_local(async move {
                TimeoutFuture::new(RETRY_MS).await;
                self.flush();
            });
        }
    }

    /// Sends again what the server has refused; the expert thinks that it will take it now.
    pub(super) fn retry_saving(self) {
        self.change(|bench| bench.corrections.values_mut().for_each(|correction| correction.sync.refused = None));
        self.flush();
    }

    /// The base was stale. If the server holds just this (the answer to an earlier save was lost), all is well; else
    /// the expert decides.
    async fn meet_conflict(self, visit: &Visit, mine: CorrectedSlice, trouble: &Trouble) {
        let plane = mine.plane;
        let all = api::corrections(&visit.case).await;
        if !self.is_shown(visit) {
            return;
        }
        let Ok(all) = all else {
            self.keep_trying(plane, &Trouble::Unreachable);
            return;
        };
        let theirs = all.into_iter().find(|slice| slice.plane == plane);
        let contest = self
            .change(|bench| bench.corrections.get_mut(&plane).map(|known| known.sync.contest(&mine, theirs)))
            .flatten();
        self.write_down(plane);
        match contest {
            Some(Contest::Settled | Contest::Anew) => self.flush(),
            Some(Contest::Unclear) => self.keep_trying(plane, trouble),
            Some(Contest::Conflict | Contest::Late) | None => {}
        }
    }

    /// Saves this computer's version over the other.
    pub(super) fn keep_mine(self) {
        let planes = self.change(|bench| {
            let kept =
                bench.corrections.iter_mut().filter_map(|(plane, known)| known.sync.keep_mine().then_some(*plane));
            kept.collect::<Vec<Plane>>()
        });
        planes.into_iter().flatten().for_each(|plane| self.write_down(plane));
        self.flush();
    }

    /// Takes the other version. This computer's becomes a step that can be undone: whoever has chosen wrongly takes it
    /// back.
    pub(super) fn take_theirs(self) {
        self.end_stroke();
        let planes = self.change(|bench| {
            let theirs: Vec<CorrectedSlice> =
                bench.corrections.values().filter_map(|correction| correction.sync.theirs.clone()).collect();
            for slice in &theirs {
                take_over_version(bench, slice);
            }
            theirs.into_iter().map(|slice| slice.plane).collect::<Vec<_>>()
        });
        planes.into_iter().flatten().for_each(|plane| self.write_down(plane));
        self.corrections_replaced();
    }

    /// Other labels have come in for planes that were corrected.
    pub(super) fn corrections_replaced(self) {
        self.painting.depth.learn(self.read(|bench| bench.history.depth()).unwrap_or_default());
        self.refresh_slices();
        self.refresh_save_state();
        self.repaint();
    }

    /// Takes over what earlier pages could not send, and sends it.
    pub(super) fn replay_journal(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        spawn_local(async move {
            let entries = self.take_over(&visit.case).await;
            if !self.is_shown(&visit) || entries.is_empty() {
                return;
            }
            // What the server holds may have changed since the case was opened.
            let detail = match api::case(&visit.case).await {
                Ok(detail) => detail,
                Err(_) => match self.read(|bench| bench.detail.clone()) {
                    Some(detail) => detail,
                    None => return,
                },
            };
            if self.is_shown(&visit) {
                self.resume(entries, &detail);
                self.corrections_replaced();
            }
        });
    }

    /// Goes on with what was written down, beside what the server holds.
    pub(super) fn resume(self, entries: Vec<Entry>, detail: &CaseDetail) {
        for entry in entries {
            let plane = entry.slice.plane;
            let theirs = detail.corrections.iter().find(|known| known.plane == plane);
            match resumed(entry, theirs) {
                Some((slice, sync)) => {
                    if self.change(|bench| bench.adopt(&slice)) == Some(true) {
                        self.sync(plane, |known| *known = sync);
                        self.write_down(plane);
                    }
                }
                None => self.keep(&detail.summary.id, plane, None),
            }
        }
        self.flush();
    }

    /// Waits until nothing is on its way; whether the server has everything.
    pub(super) async fn all_saved(self) -> bool {
        self.flush();
        for _ in 0..PATIENCE_MS / 50 {
            match self.saving.state.now() {
                SaveState::Saved => return true,
                SaveState::Saving(_) => TimeoutFuture::new(50).await,
                SaveState::Offline(_) | SaveState::NotKept(..) | SaveState::Conflict(_) | SaveState::Refused { .. } => {
                    return false;
                }
            }
        }
        false
    }

    /// Whether the server has yet to confirm something of the open case.
    pub(super) fn has_unsent(self) -> bool {
        self.read(|bench| bench.corrections.values().any(|correction| correction.sync.is_open())) == Some(true)
    }

    /// Other tabs may want to see what was saved.
    fn tell_saved(self, case: &CaseId, answer: &api::Answer<CorrectedSlice>) {
        if let Ok(slice) = answer {
            self.say(&Word::Saved { case: case.clone(), plane: slice.plane, revision: slice.revision });
        }
    }

    fn sync<T>(self, plane: Plane, change: impl FnOnce(&mut Sync) -> T) {
        self.change(|bench: &mut Bench| {
            if let Some(correction) = bench.corrections.get_mut(&plane) {
                change(&mut correction.sync);
            }
        });
    }

    /// Says anew how safe the work is.
    pub(super) fn refresh_save_state(self) {
        let online = self.link.online.now();
        let state = self.read(|bench| {
            self.journal.with_value(|keeper| {
                let kept =
                    |plane, sync: &Sync| if sync.is_open() { keeper.kept(&bench.visit.case, plane) } else { Kept::Yes };
                let standing =
                    |(plane, known): (&Plane, &'_ Correction)| (known.sync.clone(), kept(*plane, &known.sync));
                let all: Vec<(Sync, Kept)> = bench.corrections.iter().map(standing).collect();
                save_state(&all, online)
            })
        });
        self.saving.state.learn(state.unwrap_or(if online { SaveState::Saved } else { SaveState::Offline(0) }));
    }
}

/// What the server has not confirmed of a slice: nothing of a slice that it has.
fn unconfirmed(bench: &Bench, plane: Plane) -> Option<Option<Entry>> {
    let sync = &bench.corrections.get(&plane)?.sync;
    if !sync.is_open() {
        return Some(None);
    }
    Some(Some(Entry { slice: bench.saved_form(plane)?, sent: sync.sent.clone() }))
}

/// What is sent of a slice on the way out. Its answer may come to nobody; should the page stay after all, it is asked
/// for again.
fn parting_statement(bench: &mut Bench, plane: Plane) -> Option<CorrectedSlice> {
    let now = bench.saved_form(plane)?;
    let sync = &mut bench.corrections.get_mut(&plane)?.sync;
    let was_in_flight = sync.in_flight;
    let statement = sync.statement_to_send(now);
    sync.in_flight = was_in_flight;
    Some(statement)
}

/// Shows another version of a slice as the server has it, in a step that can be undone.
fn take_over_version(bench: &mut Bench, slice: &CorrectedSlice) {
    let before = bench.corrections.get(&slice.plane).map(|correction| correction.labels.clone());
    if !bench.adopt(slice) {
        return;
    }
    let after = bench.corrections.get(&slice.plane).map(|correction| &correction.labels);
    let step = before.zip(after).and_then(|(before, after)| difference(slice.plane, &before, after));
    step.into_iter().for_each(|step| bench.history.push(step));
}

impl Session {
    /// A save was answered whose case is not on the screen any more.
    pub(super) fn answered_elsewhere(self, case: &CaseId, sent: &CorrectedSlice, revision: u64) {
        if let Some(entry) = self.noted(case, sent.plane) {
            self.keep(case, sent.plane, entry.answered(sent, revision));
        }
    }
}
