//! Corrections that the server has not confirmed yet, kept in this browser. Local storage, because its writes are finished when the call returns: a
//! tab that closes in the middle of a stroke loses that stroke and nothing else. Holds case, plane, labels and revision; nothing about the patient.

use gloo::storage::{LocalStorage, Storage};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

/// Keeps a correction until it is confirmed; returns whether the browser had room for it.
pub(crate) fn keep(case: &CaseId, slice: &CorrectedSlice) -> bool {
    LocalStorage::set(key(case, slice.plane), slice).is_ok()
}

/// The server has it.
pub(crate) fn confirm(case: &CaseId, plane: Plane) {
    LocalStorage::delete(key(case, plane));
}

/// What the server has not confirmed, in no particular order.
pub(crate) fn unsent(case: &CaseId) -> Vec<CorrectedSlice> {
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
