//! Corrections that the server has not confirmed yet, kept in this browser. Local storage, because its writes are finished when the call returns: a
//! tab that closes in the middle of a stroke loses that stroke and nothing else. Holds case, plane, labels and revision; nothing about the patient.

use gloo::storage::{LocalStorage, Storage};
use serde::{Deserialize, Serialize};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

/// A correction that is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The slice as it is now; its revision is the one it is based on.
    pub(crate) slice: CorrectedSlice,
    /// What was sent of it and not answered yet: should the server turn out to hold just that, nobody else has been at the slice.
    pub(crate) sent: Option<CorrectedSlice>,
}

impl Entry {
    /// What remains to be kept once the server has saved `sent` as `revision`: nothing if `sent` was the last word, else the rest on its new base.
    pub(crate) fn answered(self, sent: &CorrectedSlice, revision: u64) -> Option<Self> {
        if self.slice.revision != sent.revision {
            // Written since, on another base: the answer is about something older.
            return Some(self);
        }
        let rest = Self { slice: CorrectedSlice { revision, ..self.slice }, sent: None };
        (!same_statement(&rest.slice, sent)).then_some(rest)
    }
}

/// Whether two slices say the same, whatever they are based on.
pub(crate) fn same_statement(a: &CorrectedSlice, b: &CorrectedSlice) -> bool {
    a.runs == b.runs && a.state == b.state
}

/// Keeps a correction until it is confirmed; returns whether the browser had room for it.
pub(crate) fn keep(case: &CaseId, entry: &Entry) -> bool {
    LocalStorage::set(key(case, entry.slice.plane), entry).is_ok()
}

/// The server has saved `sent` as `revision` while the case was not open.
pub(crate) fn answered(case: &CaseId, sent: &CorrectedSlice, revision: u64) {
    let Ok(entry) = LocalStorage::get::<Entry>(key(case, sent.plane)) else { return };
    match entry.answered(sent, revision) {
        // Without room for the new base the old one stays, and the expert is asked which version is right.
        Some(rest) => drop(keep(case, &rest)),
        None => confirm(case, sent.plane),
    }
}

/// The server has it.
pub(crate) fn confirm(case: &CaseId, plane: Plane) {
    LocalStorage::delete(key(case, plane));
}

/// What the server has not confirmed, in no particular order.
pub(crate) fn unconfirmed(case: &CaseId) -> Vec<Entry> {
    keys(case).iter().filter_map(|key| LocalStorage::get(key).ok()).collect()
}

/// Forgets a case.
pub(crate) fn forget(case: &CaseId) {
    keys(case).iter().for_each(LocalStorage::delete);
}

fn keys(case: &CaseId) -> Vec<String> {
    let storage = LocalStorage::raw();
    let count = storage.length().unwrap_or(0);
    let prefix = prefix(case);
    (0..count).filter_map(|at| storage.key(at).ok().flatten()).filter(|key| key.starts_with(&prefix)).collect()
}

fn key(case: &CaseId, plane: Plane) -> String {
    format!("{}{}/{}", prefix(case), plane.axis, plane.index)
}

fn prefix(case: &CaseId) -> String {
    format!("i3deep/unsent/{case}/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::correction::{Runs, SliceState};
    use shared::geometry::Axis;

    fn slice(label: u8, revision: u64) -> CorrectedSlice {
        let plane = Plane { axis: Axis::Axial, index: 1 };
        CorrectedSlice { plane, state: SliceState::Todo, runs: Runs(vec![(label, 4)]), revision }
    }

    #[test]
    fn an_answer_leaves_only_what_was_painted_since() {
        fn check(kept: CorrectedSlice, sent: CorrectedSlice, saved_as: u64, expected: Option<CorrectedSlice>) {
            let entry = Entry { slice: kept, sent: Some(sent.clone()) };
            assert_eq!(entry.answered(&sent, saved_as).map(|rest| rest.slice), expected);
        }
        check(slice(1, 0), slice(1, 0), 1, None);
        check(slice(2, 0), slice(1, 0), 1, Some(slice(2, 1)));
        // An answer that comes after later saves says nothing about what is kept now, even if it says the same.
        check(slice(1, 2), slice(1, 0), 1, Some(slice(1, 2)));
    }

    #[test]
    fn the_base_is_no_part_of_what_is_said_but_the_state_is() {
        assert!(same_statement(&slice(1, 0), &slice(1, 9)));
        assert!(!same_statement(&slice(1, 0), &CorrectedSlice { state: SliceState::Done, ..slice(1, 0) }));
    }
}
