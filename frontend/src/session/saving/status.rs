//! Whether the expert's work is safe, in one word. Each word is a promise: "saved" that the server has it on its disk,
//! "kept here" that this computer has.

use crate::session::journal::Kept;
use crate::session::sync::Sync;

/// Where corrections stand with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SaveState {
    /// The server has all of them.
    Saved,
    /// As many slices are on their way.
    Saving(usize),
    /// The server cannot be reached; as many slices are on this computer's disk until it can.
    Offline(usize),
    /// The server cannot be reached, and as many slices are in this tab's memory only; why.
    NotKept(usize, String),
    /// The server is there and does not take them; why, and whether they are on this computer's disk.
    Refused {
        /// What the server said.
        why: String,
        /// They are kept here.
        kept: bool,
    },
    /// Another window has saved as many of the slices that were changed here.
    Conflict(usize),
}

/// The worst that is to be said of any slice.
pub(super) fn save_state(all: &[(Sync, Kept)], online: bool) -> SaveState {
    let conflicts = all.iter().filter(|(sync, _)| sync.theirs.is_some()).count();
    let refused = all.iter().find_map(|(sync, _)| sync.refused.as_ref());
    let open: Vec<&Kept> = all.iter().filter(|(sync, _)| sync.is_open()).map(|(_, kept)| kept).collect();
    let lost = open.iter().find_map(|kept| if let Kept::No(why) = kept { Some(why.to_string()) } else { None });
    let pending = open.contains(&&Kept::Pending);
    match (refused, lost) {
        _ if conflicts > 0 => SaveState::Conflict(conflicts),
        (Some(trouble), lost) => SaveState::Refused { why: trouble.to_string(), kept: lost.is_none() && !pending },
        (None, Some(why)) if !online => SaveState::NotKept(open.len(), why),
        (None, None) if !online && !pending => SaveState::Offline(open.len()),
        _ if open.is_empty() => SaveState::Saved,
        _ => SaveState::Saving(open.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Trouble;
    use crate::browser::storage::StorageError;
    use shared::api::ErrorCode;
    use shared::correction::{CorrectedSlice, Runs, SliceState};
    use shared::geometry::{Axis, Plane};

    fn slice(label: u8, revision: u64) -> CorrectedSlice {
        let plane = Plane { axis: Axis::Axial, index: 1 };
        CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(label, 4)]), revision }
    }

    #[test]
    fn the_status_names_the_worst() {
        fn check(all: &[(&Sync, Kept)], online: bool, expected: SaveState) {
            let all: Vec<(Sync, Kept)> = all.iter().map(|(sync, kept)| ((*sync).clone(), kept.clone())).collect();
            assert_eq!(save_state(&all, online), expected);
        }
        let blocked = || Kept::No(StorageError::Blocked);
        let not_kept = |count| SaveState::NotKept(count, StorageError::Blocked.to_string());
        let saved = &Sync::default();
        let unsent = &Sync { unsent: true, ..Sync::default() };
        let in_flight = &Sync { in_flight: true, sent: Some(slice(1, 0)), ..Sync::default() };
        let conflict = &Sync { unsent: true, theirs: Some(slice(1, 1)), ..Sync::default() };
        let full = Trouble::Refused { code: ErrorCode::DiskFull, message: "The disk is full.".into() };
        let no_room = &Sync { refused: Some(full), ..in_flight.clone() };
        let told = |kept| SaveState::Refused { why: "The disk is full.".into(), kept };

        check(&[], true, SaveState::Saved);
        // A server that is away is no reason to say "Saved", even if nothing was painted; what it has already is no
        // matter of this computer's storage.
        check(&[], false, SaveState::Offline(0));
        check(&[(saved, blocked())], false, SaveState::Offline(0));
        check(&[(saved, blocked()), (in_flight, blocked())], true, SaveState::Saving(1));
        check(&[(saved, Kept::Pending), (unsent, Kept::Yes)], false, SaveState::Offline(1));
        // "Kept" is said once it is.
        check(&[(unsent, Kept::Pending), (unsent, Kept::Yes)], false, SaveState::Saving(2));
        check(&[(unsent, blocked()), (unsent, Kept::Yes)], false, not_kept(2));
        check(&[(in_flight, Kept::Yes), (no_room, Kept::Yes)], true, told(true));
        check(&[(in_flight, Kept::Yes), (no_room, blocked())], false, told(false));
        check(&[(unsent, Kept::Yes), (no_room, Kept::Yes), (conflict, Kept::Yes)], true, SaveState::Conflict(1));
    }
}
