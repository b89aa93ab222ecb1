//! Corrections on their way to the server: kept in this browser first, sent soon after the last change, one save at a time for each slice, each
//! naming the revision it is based on. What is not confirmed stays in the journal and is sent again, word for word, before what was painted since: so
//! the server never meets a stranger in what this window itself has sent.

use gloo::timers::future::TimeoutFuture;
use leptos::task::spawn_local;
use shared::api::{CaseDetail, ErrorCode};
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

use super::Session;
use super::bench::{Bench, Sync};
use super::fact::Fact;
use super::visit::Visit;
use crate::annotate::journal::{self, Entry, same_statement};
use crate::api::{self, Trouble};

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
}

impl Saving {
    /// Nothing has been said yet.
    pub(super) fn new() -> Self {
        Self { state: Fact::new(SaveState::Saved) }
    }
}

/// Where corrections stand with the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SaveState {
    /// All saved.
    #[default]
    Saved,
    /// On their way.
    Saving,
    /// Kept on this computer until the server answers.
    Offline,
    /// The server is there and does not take them; why.
    Refused(String),
    /// Another window has saved the same slice.
    Conflict,
}

impl Session {
    /// A slice has changed: keeps it here and sends it soon.
    pub(super) fn touch(self, plane: Plane) {
        self.sync(plane, |sync| {
            sync.unsent = true;
            // What was refused for good is another correction now.
            sync.refused.take_if(|trouble| !trouble.may_pass());
        });
        self.keep(plane);
        self.refresh_save_state();
        spawn_local(async move {
            TimeoutFuture::new(DEBOUNCE_MS).await;
            self.flush();
        });
    }

    fn keep(self, plane: Plane) {
        let kept = self.read(|bench| {
            let entry = Entry { slice: bench.saved_form(plane)?, sent: bench.corrections.get(&plane)?.sync.sent.clone() };
            Some(journal::keep(&bench.visit.case, &entry))
        });
        if kept.flatten() == Some(false) {
            self.messages
                .notice
                .set(Some("This browser has no room to keep corrections; they are only safe once the status says Saved.".into()));
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
            bench.corrections.get_mut(&plane).map(|correction| statement_to_send(&mut correction.sync, now))
        });
        let Some(slice) = sent.flatten() else { return };
        self.keep(plane);
        spawn_local(async move {
            let answer = api::save(&visit.case, &slice).await;
            if !self.is_shown(&visit) {
                if let Ok(saved) = answer {
                    journal::answered(&visit.case, &slice, saved.revision);
                }
                return;
            }
            self.sync(plane, |sync| sync.in_flight = false);
            match answer {
                Ok(saved) => self.confirmed(plane, saved.revision),
                Err(trouble @ Trouble::Refused { code: ErrorCode::StaleCorrection, .. }) => {
                    self.meet_conflict(&visit, slice, &trouble).await
                }
                Err(trouble) => self.keep_trying(plane, &trouble),
            }
            self.refresh_save_state();
        });
    }

    fn confirmed(self, plane: Plane, revision: u64) {
        self.link.online.learn(true);
        let more = self.change(|bench| {
            let sync = &mut bench.corrections.get_mut(&plane)?.sync;
            (sync.revision, sync.sent, sync.refused) = (revision, None, None);
            let more = sync.unsent;
            if !more {
                journal::confirm(&bench.visit.case, plane);
            }
            Some(more)
        });
        if more.flatten() == Some(true) {
            self.flush();
        }
    }

    fn keep_trying(self, plane: Plane, trouble: &Trouble) {
        match trouble {
            Trouble::Unreachable => self.link.online.learn(false),
            Trouble::Refused { .. } => self.sync(plane, |sync| learn_refusal(sync, trouble)),
        }
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

    /// The base was stale. If the server holds just this (the answer to an earlier save was lost), all is well; else the expert decides.
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
        match all.into_iter().find(|slice| slice.plane == plane) {
            Some(theirs) if same_statement(&theirs, &mine) => self.confirmed(plane, theirs.revision),
            Some(theirs) => self.sync(plane, |sync| {
                (sync.unsent, sync.sent, sync.theirs) = (true, None, Some(theirs));
            }),
            None if mine.revision > 0 => {
                self.sync(plane, |sync| (sync.revision, sync.unsent, sync.sent) = (0, true, None));
                self.flush();
            }
            None => self.keep_trying(plane, trouble),
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
        self.end_stroke();
        self.change(|bench| {
            let theirs: Vec<CorrectedSlice> = bench.corrections.values().filter_map(|correction| correction.sync.theirs.clone()).collect();
            for slice in theirs {
                bench.history.forget(slice.plane);
                bench.adopt(&slice);
                journal::confirm(&bench.visit.case, slice.plane);
            }
        });
        self.corrections_replaced();
    }

    /// Other labels have come in for planes that were corrected.
    pub(super) fn corrections_replaced(self) {
        self.painting.depth.learn(self.read(|bench| bench.history.depth()).unwrap_or_default());
        self.refresh_slices();
        self.refresh_save_state();
        self.repaint();
    }

    /// Takes over what an earlier visit could not send.
    pub(super) fn replay_journal(self, detail: &CaseDetail) {
        let id = &detail.summary.id;
        for entry in journal::unconfirmed(id) {
            let plane = entry.slice.plane;
            let theirs = detail.corrections.iter().find(|known| known.plane == plane);
            match resumed(entry, theirs) {
                Some((slice, sync)) => {
                    if self.change(|bench| bench.adopt(&slice)) == Some(true) {
                        self.sync(plane, |known| *known = sync);
                    }
                }
                None => journal::confirm(id, plane),
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
                SaveState::Saving => TimeoutFuture::new(50).await,
                SaveState::Offline | SaveState::Conflict | SaveState::Refused(_) => return false,
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
        let online = self.link.online.now();
        let state = self.read(|bench| save_state(bench.corrections.values().map(|correction| &correction.sync), online));
        self.saving.state.learn(state.unwrap_or_default());
    }
}

fn save_state<'a>(all: impl Iterator<Item = &'a Sync> + Clone, online: bool) -> SaveState {
    let under_way = all.clone().any(Sync::is_open);
    let refused = all.clone().find_map(|sync| sync.refused.as_ref());
    if all.clone().any(|sync| sync.theirs.is_some()) {
        SaveState::Conflict
    } else if let Some(trouble) = refused {
        SaveState::Refused(trouble.to_string())
    } else if under_way && !online {
        SaveState::Offline
    } else if under_way {
        SaveState::Saving
    } else {
        SaveState::Saved
    }
}

/// What is to be sent of a slice that is `now`: what was sent before, until it is answered.
fn statement_to_send(sync: &mut Sync, now: CorrectedSlice) -> CorrectedSlice {
    sync.in_flight = true;
    if sync.sent.is_none() {
        sync.unsent = false;
    }
    sync.sent.get_or_insert(now).clone()
}

/// The server has refused what was sent. After a refusal for good nothing of it is unknown, and what is sent next is the slice as it is then.
fn learn_refusal(sync: &mut Sync, trouble: &Trouble) {
    sync.refused = Some(trouble.clone());
    if !trouble.may_pass() {
        (sync.unsent, sync.sent) = (true, None);
    }
}

/// How a journal's entry goes on beside what the server holds of its slice by now: the slice on its base, and what is to be done about it. Nothing if
/// the server has it.
fn resumed(entry: Entry, theirs: Option<&CorrectedSlice>) -> Option<(CorrectedSlice, Sync)> {
    let Entry { mut slice, sent } = entry;
    let base = slice.revision;
    let Some(theirs) = theirs.filter(|theirs| theirs.revision > base || same_statement(theirs, &slice)) else {
        return Some((slice, Sync { revision: base, unsent: true, sent, ..Sync::default() }));
    };
    if same_statement(theirs, &slice) {
        return None;
    }
    if sent.is_some_and(|sent| same_statement(theirs, &sent)) {
        // The answer was lost with the page, not the save: nobody else has been here.
        slice.revision = theirs.revision;
        return Some((slice, Sync { revision: theirs.revision, unsent: true, ..Sync::default() }));
    }
    Some((slice, Sync { revision: base, unsent: true, theirs: Some(theirs.clone()), ..Sync::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::correction::{Runs, SliceState};
    use shared::geometry::Axis;

    fn slice(label: u8, revision: u64) -> CorrectedSlice {
        let plane = Plane { axis: Axis::Axial, index: 1 };
        CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(label, 4)]), revision }
    }

    fn refused(code: ErrorCode) -> Trouble {
        Trouble::Refused { code, message: "The disk is full.".into() }
    }

    #[test]
    fn the_status_names_the_worst() {
        fn check(all: &[Sync], online: bool, expected: SaveState) {
            assert_eq!(save_state(all.iter(), online), expected);
        }
        let saved = Sync::default();
        let unsent = Sync { unsent: true, ..Sync::default() };
        let in_flight = Sync { in_flight: true, sent: Some(slice(1, 0)), ..Sync::default() };
        let conflict = Sync { unsent: true, theirs: Some(slice(1, 1)), ..Sync::default() };
        let no_room = Sync { refused: Some(refused(ErrorCode::DiskFull)), ..in_flight.clone() };
        let told = SaveState::Refused("The disk is full.".into());
        check(&[], true, SaveState::Saved);
        check(std::slice::from_ref(&saved), false, SaveState::Saved);
        check(&[saved.clone(), in_flight.clone()], true, SaveState::Saving);
        check(&[saved, unsent.clone()], false, SaveState::Offline);
        check(&[in_flight, no_room.clone()], true, told.clone());
        check(&[unsent.clone(), no_room.clone()], false, told);
        check(&[unsent, no_room, conflict], true, SaveState::Conflict);
    }

    #[test]
    fn what_was_not_answered_is_sent_again_word_for_word() {
        let mut sync = Sync { unsent: true, ..Sync::default() };
        assert_eq!(statement_to_send(&mut sync, slice(1, 0)), slice(1, 0));
        assert!(!sync.unsent && !sync.is_waiting() && sync.is_open());
        // The answer is lost, and the expert has painted since.
        (sync.in_flight, sync.unsent) = (false, true);
        assert!(sync.is_waiting());
        assert_eq!(statement_to_send(&mut sync, slice(2, 0)), slice(1, 0));
        assert!(sync.unsent, "what was painted since still waits");
    }

    #[test]
    fn a_refusal_for_good_waits_for_the_expert() {
        fn check(code: ErrorCode, tries_again: bool, sends: CorrectedSlice) {
            let mut sync = Sync { sent: Some(slice(1, 0)), ..Sync::default() };
            learn_refusal(&mut sync, &refused(code));
            assert_eq!((sync.is_open(), sync.is_waiting()), (true, tries_again));
            assert_eq!(statement_to_send(&mut sync, slice(2, 0)), sends);
        }
        check(ErrorCode::DiskFull, true, slice(1, 0));
        check(ErrorCode::CorrectionDoesNotFit, false, slice(2, 0));
        check(ErrorCode::NotNow, false, slice(2, 0));
    }

    #[test]
    fn a_reload_makes_no_conflict_with_oneself() {
        fn check(kept: CorrectedSlice, sent: Option<CorrectedSlice>, theirs: Option<CorrectedSlice>, expected: Option<Sync>) {
            let got = resumed(Entry { slice: kept.clone(), sent }, theirs.as_ref());
            assert_eq!(got.as_ref().map(|(_, sync)| sync), expected.as_ref());
            if let Some((slice, sync)) = got {
                assert!(same_statement(&slice, &kept));
                assert_eq!(slice.revision, sync.revision);
            }
        }
        let unsent = |revision| Sync { revision, unsent: true, ..Sync::default() };
        // The server has it; has nothing; has what this is based on.
        check(slice(1, 0), None, Some(slice(1, 1)), None);
        check(slice(1, 0), None, None, Some(unsent(0)));
        check(slice(2, 3), None, Some(slice(1, 3)), Some(unsent(3)));
        // What was sent before the reload arrived; it did not, or not yet.
        check(slice(2, 0), Some(slice(1, 0)), Some(slice(1, 1)), Some(unsent(1)));
        check(slice(2, 0), Some(slice(1, 0)), None, Some(Sync { sent: Some(slice(1, 0)), ..unsent(0) }));
        // Another window was there.
        check(slice(2, 0), Some(slice(1, 0)), Some(slice(3, 1)), Some(Sync { theirs: Some(slice(3, 1)), ..unsent(0) }));
        check(slice(2, 0), None, Some(slice(3, 1)), Some(Sync { theirs: Some(slice(3, 1)), ..unsent(0) }));
    }
}
