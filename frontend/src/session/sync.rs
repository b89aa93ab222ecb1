//! Where a slice stands with the server. Pure: every step that a save can take is a function here, and a test plays
//! them in any order.
//!
//! At most one statement about a slice is sent and not answered. It is sent again word for word until it is, before
//! what was painted since: so the server never meets a stranger in what this page itself has sent, and may answer twice
//! what it was asked twice.

use shared::correction::CorrectedSlice;

use crate::annotate::journal::{Entry, same_statement};
use crate::api::Trouble;

/// Where a correction stands with the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sync {
    /// The server's revision that this is based on.
    pub(crate) revision: u64,
    /// Has changes that were not sent.
    pub(crate) unsent: bool,
    /// What was sent and not answered.
    pub(crate) sent: Option<CorrectedSlice>,
    /// A request is under way.
    pub(crate) in_flight: bool,
    /// What another window has saved meanwhile.
    pub(crate) theirs: Option<CorrectedSlice>,
    /// Why the server does not take it.
    pub(crate) refused: Option<Trouble>,
}

/// What a stale base comes to, once it is known what the server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contest {
    /// The server holds just this; more may wait to be sent.
    Settled,
    /// The slice is new to the server: it is sent once more, on no base.
    Anew,
    /// Somebody else has saved the slice: the expert decides.
    Conflict,
    /// The server contradicts itself; tried again later.
    Unclear,
    /// It was settled in another way meanwhile.
    Late,
}

impl Sync {
    /// Whether the server has yet to confirm something.
    pub(crate) fn is_open(&self) -> bool {
        self.unsent || self.sent.is_some()
    }

    /// Whether there is something to send, and nothing that stands in its way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_open()
            && !self.in_flight
            && self.theirs.is_none()
            && self.refused.as_ref().is_none_or(Trouble::may_pass)
    }

    /// The slice has changed.
    pub(super) fn touch(&mut self) {
        self.unsent = true;
        // What was refused for good is another correction now.
        self.refused.take_if(|trouble| !trouble.may_pass());
    }

    /// What is to be sent of a slice that is `now`: what was sent before, until it is answered.
    pub(super) fn statement_to_send(&mut self, now: CorrectedSlice) -> CorrectedSlice {
        self.in_flight = true;
        if self.sent.is_none() {
            self.unsent = false;
        }
        self.sent.get_or_insert(now).clone()
    }

    /// The server has saved `statement` as `revision`; whether more waits. An answer about something else comes too
    /// late to say anything.
    pub(super) fn confirm(&mut self, statement: &CorrectedSlice, revision: u64) -> bool {
        if self.sent.as_ref() == Some(statement) {
            (self.revision, self.sent, self.refused) = (revision, None, None);
        }
        self.is_open()
    }

    /// The server has refused what was sent. After a refusal for good nothing of it is unknown, and what is sent next
    /// is the slice as it is then.
    pub(super) fn refuse(&mut self, trouble: &Trouble) {
        self.refused = Some(trouble.clone());
        if !trouble.may_pass() {
            (self.unsent, self.sent) = (true, None);
        }
    }

    /// The base of `mine` was stale, and the server holds `theirs`.
    pub(super) fn contest(&mut self, mine: &CorrectedSlice, theirs: Option<CorrectedSlice>) -> Contest {
        match theirs {
            _ if self.sent.as_ref() != Some(mine) => Contest::Late,
            Some(theirs) if same_statement(&theirs, mine) => {
                self.confirm(mine, theirs.revision);
                Contest::Settled
            }
            Some(theirs) => {
                (self.unsent, self.sent, self.theirs) = (true, None, Some(theirs));
                Contest::Conflict
            }
            None if mine.revision > 0 => {
                (self.revision, self.unsent, self.sent) = (0, true, None);
                Contest::Anew
            }
            None => Contest::Unclear,
        }
    }

    /// The expert keeps this page's version over the other; whether there was one.
    pub(super) fn keep_mine(&mut self) -> bool {
        let Some(theirs) = self.theirs.take() else { return false };
        (self.revision, self.unsent) = (theirs.revision, true);
        true
    }
}

/// How a journal's entry goes on beside what the server holds of its slice by now: the slice on its base, and what is
/// to be done about it. Nothing if the server has it.
pub(crate) fn resumed(entry: Entry, theirs: Option<&CorrectedSlice>) -> Option<(CorrectedSlice, Sync)> {
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
    use shared::api::ErrorCode;
    use shared::correction::{Runs, SliceState};
    use shared::geometry::{Axis, Plane};

    fn slice(label: u8, revision: u64) -> CorrectedSlice {
        let plane = Plane { axis: Axis::Axial, index: 1 };
        CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(label, 4)]), revision }
    }

    #[test]
    fn what_was_not_answered_is_sent_again_word_for_word() {
        let mut sync = Sync { unsent: true, ..Sync::default() };
        assert_eq!(sync.statement_to_send(slice(1, 0)), slice(1, 0));
        assert!(!sync.unsent && !sync.is_waiting() && sync.is_open());
        // The answer is lost, and the expert has painted since.
        (sync.in_flight, sync.unsent) = (false, true);
        assert!(sync.is_waiting());
        assert_eq!(sync.statement_to_send(slice(2, 0)), slice(1, 0));
        assert!(sync.unsent, "what was painted since still waits");
    }

    #[test]
    fn an_answer_speaks_of_what_was_sent_and_nothing_else() {
        fn check(sent: Option<CorrectedSlice>, answered: CorrectedSlice, more: bool, revision: u64) {
            let mut sync = Sync { sent, ..Sync::default() };
            assert_eq!(sync.confirm(&answered, 1), more);
            assert_eq!(sync.revision, revision);
        }
        check(Some(slice(1, 0)), slice(1, 0), false, 1);
        // Asked twice, answered twice, and meanwhile another statement is under way.
        check(Some(slice(2, 1)), slice(1, 0), true, 0);
        check(None, slice(1, 0), false, 0);
    }

    #[test]
    fn a_refusal_for_good_waits_for_the_expert() {
        fn check(code: ErrorCode, tries_again: bool, sends: CorrectedSlice) {
            let mut sync = Sync { sent: Some(slice(1, 0)), ..Sync::default() };
            sync.refuse(&Trouble::Refused { code, message: String::new() });
            assert_eq!((sync.is_open(), sync.is_waiting()), (true, tries_again));
            assert_eq!(sync.statement_to_send(slice(2, 0)), sends);
        }
        check(ErrorCode::DiskFull, true, slice(1, 0));
        check(ErrorCode::CorrectionDoesNotFit, false, slice(2, 0));
        check(ErrorCode::NotNow, false, slice(2, 0));
    }

    #[test]
    fn a_stale_base_is_no_conflict_with_oneself() {
        fn check(mine: CorrectedSlice, theirs: Option<CorrectedSlice>, expected: Contest, revision: u64) {
            let mut sync = Sync { revision: mine.revision, sent: Some(mine.clone()), ..Sync::default() };
            assert_eq!(sync.contest(&mine, theirs), expected);
            assert_eq!(sync.revision, revision);
        }
        check(slice(1, 0), Some(slice(1, 1)), Contest::Settled, 1);
        check(slice(1, 0), Some(slice(2, 1)), Contest::Conflict, 0);
        check(slice(1, 3), None, Contest::Anew, 0);
        check(slice(1, 0), None, Contest::Unclear, 0);
    }

    #[test]
    fn a_reload_makes_no_conflict_with_oneself() {
        fn check(
            kept: CorrectedSlice,
            sent: Option<CorrectedSlice>,
            theirs: Option<CorrectedSlice>,
            expected: Option<Sync>,
        ) {
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
