//! Corrections on their way to the server: kept in this browser first, sent soon after the last change, one save at a time for each slice, each
//! naming the revision it is based on. What is not confirmed stays in the journal and is sent again.

use gloo::timers::future::TimeoutFuture;
use leptos::task::spawn_local;
use shared::api::CaseDetail;
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

use super::bench::{Bench, Correction, Sync};
use super::{SaveState, Session};
use crate::annotate::journal;
use crate::api::{self, Trouble};

/// Strokes that follow each other faster than this are saved together.
const DEBOUNCE_MS: u32 = 200;
/// How long to wait before sending again what the server did not answer.
const RETRY_MS: u32 = 3_000;
/// How long refinement waits for saves under way.
const PATIENCE_MS: u32 = 10_000;

impl Session {
    /// A slice has changed: keeps it here and sends it soon.
    pub(super) fn touch(self, plane: Plane) {
        let Some(id) = self.open_id() else { return };
        self.sync(plane, |sync| sync.unsent = true);
        self.keep(&id, plane);
        self.refresh_save_state();
        spawn_local(async move {
            TimeoutFuture::new(DEBOUNCE_MS).await;
            self.flush();
        });
    }

    fn keep(self, id: &CaseId, plane: Plane) {
        let Some(slice) = self.read(|bench| bench.saved_form(plane)).flatten() else { return };
        if !journal::keep(id, &slice) {
            self.notice.set(Some("This browser has no room to keep corrections; they are only safe once the status says Saved.".into()));
        }
    }

    /// Sends what waits.
    pub(super) fn flush(self) {
        let Some(id) = self.open_id() else { return };
        let waiting = |correction: &Correction| {
            let Sync { unsent, in_flight, theirs, .. } = &correction.sync;
            *unsent && !in_flight && theirs.is_none()
        };
        let planes: Vec<Plane> = self
            .read(|bench| bench.corrections.iter().filter(|(_, correction)| waiting(correction)).map(|(plane, _)| *plane).collect())
            .unwrap_or_default();
        for plane in planes {
            self.send(id.clone(), plane);
        }
        self.refresh_save_state();
    }

    fn send(self, id: CaseId, plane: Plane) {
        let Some(slice) = self.read(|bench| bench.saved_form(plane)).flatten() else { return };
        self.sync(plane, |sync| {
            sync.unsent = false;
            sync.in_flight = true;
        });
        spawn_local(async move {
            let answer = api::save(&id, &slice).await;
            if self.open_id().as_ref() != Some(&id) {
                // The case was closed meanwhile. A confirmed save needs no journal, if nothing was painted after it.
                if answer.is_ok() && journal::unsent(&id).contains(&slice) {
                    journal::confirm(&id, plane);
                }
                return;
            }
            self.sync(plane, |sync| sync.in_flight = false);
            match answer {
                Ok(saved) => self.confirmed(&id, plane, saved.revision),
                Err(Trouble::Refused { status: 409, .. }) => self.meet_conflict(&id, slice).await,
                Err(trouble) => self.keep_trying(plane, &trouble),
            }
            self.refresh_save_state();
        });
    }

    fn confirmed(self, id: &CaseId, plane: Plane, revision: u64) {
        self.online.learn(true);
        self.sync(plane, |sync| sync.revision = revision);
        let more = self.read(|bench| bench.corrections.get(&plane).is_some_and(|correction| correction.sync.unsent)) == Some(true);
        if more {
            self.keep(id, plane);
            self.flush();
        } else {
            journal::confirm(id, plane);
        }
    }

    fn keep_trying(self, plane: Plane, trouble: &Trouble) {
        self.sync(plane, |sync| sync.unsent = true);
        if !trouble.may_pass() {
            self.complain(trouble);
            return;
        }
        self.online.learn(false);
        spawn_local(async move {
            TimeoutFuture::new(RETRY_MS).await;
            self.flush();
        });
    }

    /// The base was stale. If the server holds just this (the answer to an earlier save was lost), all is well; else the expert decides.
    async fn meet_conflict(self, id: &CaseId, mine: CorrectedSlice) {
        let plane = mine.plane;
        let Ok(all) = api::corrections(id).await else {
            self.keep_trying(plane, &Trouble::Unreachable);
            return;
        };
        let theirs = all.into_iter().find(|slice| slice.plane == plane);
        match theirs {
            Some(theirs) if same_statement(&theirs, &mine) => self.confirmed(id, plane, theirs.revision),
            Some(theirs) => self.sync(plane, |sync| {
                sync.unsent = true;
                sync.theirs = Some(theirs);
            }),
            None => {
                self.sync(plane, |sync| {
                    sync.revision = 0;
                    sync.unsent = true;
                });
                self.flush();
            }
        }
    }

    /// Saves this computer's version over the other.
    pub(super) fn keep_mine(self) {
        self.change(|bench| {
            for correction in bench.corrections.values_mut() {
                if let Some(theirs) = correction.sync.theirs.take() {
                    correction.sync.revision = theirs.revision;
                    correction.sync.unsent = true;
                }
            }
        });
        self.flush();
    }

    /// Takes the other version, and forgets this computer's.
    pub(super) fn take_theirs(self) {
        let Some(id) = self.open_id() else { return };
        let theirs: Vec<CorrectedSlice> = self
            .read(|bench| bench.corrections.values().filter_map(|correction| correction.sync.theirs.clone()).collect())
            .unwrap_or_default();
        for slice in theirs {
            self.change(|bench| {
                bench.adopt(&slice);
                bench.history = Default::default();
            });
            journal::confirm(&id, slice.plane);
        }
        self.depth.set([0, 0]);
        self.refresh_slices();
        self.refresh_save_state();
        self.repaint();
    }

    /// Takes over what an earlier visit could not send.
    pub(super) fn replay_journal(self, detail: &CaseDetail) {
        let id = &detail.summary.id;
        for slice in journal::unsent(id) {
            let theirs = detail.corrections.iter().find(|known| known.plane == slice.plane);
            if theirs.is_some_and(|theirs| same_statement(theirs, &slice)) {
                journal::confirm(id, slice.plane);
                continue;
            }
            let stale = theirs.filter(|theirs| theirs.revision > slice.revision).cloned();
            if self.change(|bench| bench.adopt(&slice)) == Some(true) {
                self.sync(slice.plane, |sync| {
                    sync.unsent = true;
                    sync.theirs = stale;
                });
            }
        }
        self.flush();
    }

    /// Waits until nothing is on its way; whether the server has everything.
    pub(super) async fn all_saved(self) -> bool {
        self.flush();
        for _ in 0..PATIENCE_MS / 50 {
            match self.save.now() {
                SaveState::Saved => return true,
                SaveState::Saving => TimeoutFuture::new(50).await,
                SaveState::Offline | SaveState::Conflict => return false,
            }
        }
        false
    }

    fn sync(self, plane: Plane, change: impl FnOnce(&mut Sync)) {
        self.change(|bench: &mut Bench| {
            if let Some(correction) = bench.corrections.get_mut(&plane) {
                change(&mut correction.sync);
            }
        });
    }

    fn refresh_save_state(self) {
        let online = self.online.now();
        let state = self.read(|bench| save_state(bench.corrections.values().map(|correction| &correction.sync), online));
        self.save.learn(state.unwrap_or_default());
    }
}

fn save_state<'a>(all: impl Iterator<Item = &'a Sync> + Clone, online: bool) -> SaveState {
    let under_way = all.clone().any(|sync| sync.unsent || sync.in_flight);
    if all.clone().any(|sync| sync.theirs.is_some()) {
        SaveState::Conflict
    } else if under_way && !online {
        SaveState::Offline
    } else if under_way {
        SaveState::Saving
    } else {
        SaveState::Saved
    }
}

fn same_statement(a: &CorrectedSlice, b: &CorrectedSlice) -> bool {
    a.runs == b.runs && a.state == b.state
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::correction::{Runs, SliceState};
    use shared::geometry::Axis;

    fn slice() -> CorrectedSlice {
        let plane = Plane { axis: Axis::Axial, index: 1 };
        CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(1, 4)]), revision: 1 }
    }

    #[test]
    fn the_status_names_the_worst() {
        fn check(all: &[Sync], online: bool, expected: SaveState) {
            assert_eq!(save_state(all.iter(), online), expected);
        }
        let saved = Sync::default();
        let unsent = Sync { unsent: true, ..Sync::default() };
        let in_flight = Sync { in_flight: true, ..Sync::default() };
        let conflict = Sync { unsent: true, theirs: Some(slice()), ..Sync::default() };
        check(&[], true, SaveState::Saved);
        check(std::slice::from_ref(&saved), false, SaveState::Saved);
        check(&[saved.clone(), in_flight], true, SaveState::Saving);
        check(&[saved, unsent.clone()], false, SaveState::Offline);
        check(&[unsent, conflict], true, SaveState::Conflict);
    }

    #[test]
    fn a_lost_answer_is_no_conflict_but_another_state_is() {
        assert!(same_statement(&slice(), &CorrectedSlice { revision: 9, ..slice() }));
        assert!(!same_statement(&slice(), &CorrectedSlice { state: SliceState::Todo, ..slice() }));
    }
}
