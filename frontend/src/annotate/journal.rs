//! Corrections that the server has not confirmed yet, as a browser keeps them: what is written down, under which key,
//! and which of several copies counts. Pure; the session does the writing. Every page load writes under a name of its
//! own, so that what one tab confirms is never another tab's; what a page has left behind that is no more, another one
//! takes over. Holds case, plane, labels and revision; nothing about the patient.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

/// Where all keys begin.
pub(crate) const PREFIX: &str = "i3deep/unsent/";

/// The page that entries were written under before pages had names; it is no more.
const NAMELESS: &str = "";

/// A correction that is not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The slice as it is now; its revision is the one it is based on.
    pub(crate) slice: CorrectedSlice,
    /// What was sent of it and not answered yet: should the server turn out to hold just that, nobody else has been at
    /// the slice.
    pub(crate) sent: Option<CorrectedSlice>,
}

/// What a page has last written about a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Counts up with every record that the page writes: of two copies, the higher one holds.
    pub(crate) written: u64,
    /// What is not confirmed; nothing once all is.
    pub(crate) entry: Option<Entry>,
    /// Records of pages that are no more, which this one goes on from: should their copies still be there, they say
    /// nothing new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) goes_on_from: Vec<Ancestor>,
}

/// A record that another page has gone on from, up to what it said then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ancestor {
    /// The page that wrote it.
    pub(crate) page: String,
    /// How far it had counted.
    pub(crate) written: u64,
}

/// Whose record, about what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The page that wrote it.
    pub(crate) page: String,
    /// The case.
    pub(crate) case: CaseId,
    /// The slice.
    pub(crate) plane: Plane,
}

/// Whether two slices say the same, whatever they are based on.
pub(crate) fn same_statement(a: &CorrectedSlice, b: &CorrectedSlice) -> bool {
    a.runs == b.runs && a.state == b.state
}

impl Entry {
    /// What remains to be kept once the server has saved `sent` as `revision`: nothing if `sent` was the last word,
    /// else the rest on its new base.
    pub(crate) fn answered(self, sent: &CorrectedSlice, revision: u64) -> Option<Self> {
        if self.slice.revision != sent.revision {
            // Written since, on another base: the answer is about something older.
            return Some(self);
        }
        let rest = Self { slice: CorrectedSlice { revision, ..self.slice }, sent: None };
        (!same_statement(&rest.slice, sent)).then_some(rest)
    }
}

impl Record {
    /// The record that was kept as `text`.
    fn parse(text: &str) -> Option<Self> {
        // Entries were kept bare before records counted.
        serde_json::from_str(text).ok().or_else(|| {
            serde_json::from_str(text).ok().map(|entry| Self {
                written: 0,
                entry: Some(entry),
                goes_on_from: Vec::new(),
            })
        })
    }
}

impl Key {
    /// The key as storage knows it.
    pub(crate) fn text(&self) -> String {
        let Self { page, case, plane } = self;
        let page = if page == NAMELESS { String::new() } else { format!("{page}/") };
        format!("{PREFIX}{page}{case}/{}/{}", plane.axis, plane.index)
    }

    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_prefix(PREFIX)?.split('/').collect();
        let (page, case, axis, index) = match parts[..] {
            [page, case, axis, index] => (page, case, axis, index),
            [case, axis, index] => (NAMELESS, case, axis, index),
            _ => return None,
        };
        Some(Self {
            page: page.into(),
            case: case.into(),
            plane: Plane { axis: axis.parse().ok()?, index: index.parse().ok()? },
        })
    }
}

/// What is written down, from copies in any number of places: of one key's, the one written last holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    records: BTreeMap<Key, Record>,
    /// Copies that are still there of records that another page has gone on from.
    outlived: BTreeMap<Key, Record>,
}

impl Journal {
    /// Reads copies, as pairs of key and value.
    pub(crate) fn read(copies: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut records: BTreeMap<Key, Record> = BTreeMap::new();
        let copies = copies.into_iter().filter_map(|(key, value)| Some((Key::parse(&key)?, Record::parse(&value)?)));
        for (key, record) in copies {
            match records.get(&key) {
                Some(known) if known.written >= record.written => {}
                _ => drop(records.insert(key, record)),
            }
        }
        let is_outlived = |key: &Key, record: &Record| {
            let of_slice = records.iter().filter(|(other, _)| (&other.case, other.plane) == (&key.case, key.plane));
            let mut ancestors = of_slice.flat_map(|(_, other)| &other.goes_on_from);
            ancestors.any(|ancestor| ancestor.page == key.page && record.written <= ancestor.written)
        };
        let (outlived, records) = records.clone().into_iter().partition(|(key, record)| is_outlived(key, record));
        Self { records, outlived }
    }

    /// The record of a key and those that it goes on from, as far as their copies are still there: the ancestors of
    /// whoever takes it over.
    pub(crate) fn lineage(&self, key: &Key) -> Vec<Ancestor> {
        let of_slice = self.outlived.iter().filter(|(other, _)| (&other.case, other.plane) == (&key.case, key.plane));
        let own = self.records.get_key_value(key);
        own.into_iter()
            .chain(of_slice)
            .map(|(key, record)| Ancestor { page: key.page.clone(), written: record.written })
            .collect()
    }

    /// Slices of each case with something unconfirmed.
    pub(crate) fn unsent(&self) -> BTreeMap<CaseId, usize> {
        let mut planes: BTreeMap<&CaseId, BTreeSet<Plane>> = BTreeMap::new();
        for (key, _) in self.open() {
            planes.entry(&key.case).or_default().insert(key.plane);
        }
        planes.into_iter().map(|(case, planes)| (case.clone(), planes.len())).collect()
    }

    /// What pages that are no more have left behind of a case: one entry for each slice, and whether more of them wait.
    /// Two pages may have left something about one slice; the second is looked at when the first is dealt with, as if
    /// it came from another computer.
    pub(crate) fn left_behind(&self, case: &CaseId, living: &[String]) -> (Vec<(Key, Entry)>, bool) {
        let mut taken: BTreeMap<Plane, (Key, Entry)> = BTreeMap::new();
        let mut more = false;
        for (key, entry) in self.open().filter(|(key, _)| key.case == *case && !living.contains(&key.page)) {
            more |= taken.contains_key(&key.plane);
            taken.entry(key.plane).or_insert_with(|| (key.clone(), entry.clone()));
        }
        (taken.into_values().collect(), more)
    }

    /// Whether any of these pages has something unconfirmed of a case.
    pub(crate) fn is_open_for(&self, case: &CaseId, pages: &[String]) -> bool {
        self.open().any(|(key, _)| key.case == *case && pages.contains(&key.page))
    }

    /// Records that say nothing any more, of pages that are no more.
    pub(crate) fn spent(&self, living: &[String]) -> Vec<Key> {
        let is_spent = |(key, record): &(&Key, &Record)| record.entry.is_none() && !living.contains(&key.page);
        let spent: Vec<&Key> = self.records.iter().filter(is_spent).map(|(key, _)| key).collect();
        // What they have outlived goes first, or it would come back.
        let outlived = self.outlived.keys().filter(|key| {
            spent.iter().any(|spent| (&spent.case, spent.plane) == (&key.case, key.plane))
                && !self.open().any(|(open, _)| (&open.case, open.plane) == (&key.case, key.plane))
        });
        outlived.chain(spent.iter().copied()).cloned().collect()
    }

    /// All records of a case.
    pub(crate) fn of_case(&self, case: &CaseId) -> Vec<Key> {
        self.records.keys().chain(self.outlived.keys()).filter(|key| key.case == *case).cloned().collect()
    }

    fn open(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.records.iter().filter_map(|(key, record)| Some((key, record.entry.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::correction::{Runs, SliceState};
    use shared::geometry::Axis;

    const PLANE: Plane = Plane { axis: Axis::Axial, index: 1 };

    fn slice(label: u8, revision: u64) -> CorrectedSlice {
        CorrectedSlice { plane: PLANE, state: SliceState::Todo, runs: Runs(vec![(label, 4)]), revision }
    }

    fn key(page: &str) -> Key {
        Key { page: page.into(), case: "c".into(), plane: PLANE }
    }

    fn copy(page: &str, written: u64, label: Option<u8>) -> (String, String) {
        let entry = label.map(|label| Entry { slice: slice(label, 0), sent: None });
        (key(page).text(), serde_json::to_string(&Record { written, entry, goes_on_from: vec![] }).unwrap())
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

    #[test]
    fn of_two_copies_the_later_one_holds() {
        fn check(copies: Vec<(String, String)>, unsent: usize) {
            assert_eq!(Journal::read(copies.clone()).unsent().values().sum::<usize>(), unsent);
            assert_eq!(
                Journal::read(copies.into_iter().rev()).unsent().values().sum::<usize>(),
                unsent,
                "in either order"
            );
        }
        // Confirmed on the disk, while the quick copy came back from before a crash.
        check(vec![copy("a", 1, Some(1)), copy("a", 2, None)], 0);
        // Painted again before the tab was killed, and the disk knows the confirmation only.
        check(vec![copy("a", 3, Some(1)), copy("a", 2, None)], 1);
        check(vec![copy("a", 1, Some(1)), copy("b", 2, None)], 1);
        check(vec![("i3deep/unsent/c/axial/nonsense".into(), "{}".into()), ("other".into(), String::new())], 0);
    }

    #[test]
    fn only_what_the_dead_left_is_taken_over_one_at_a_time() {
        let journal = Journal::read([
            copy("dead", 1, Some(1)),
            copy("dead too", 1, Some(2)),
            copy("alive", 1, Some(3)),
            copy("gone", 2, None),
        ]);
        let living = ["alive".to_owned()];
        let (taken, more) = journal.left_behind(&"c".into(), &living);
        assert_eq!(taken, [(key("dead"), Entry { slice: slice(1, 0), sent: None })]);
        assert!(more);
        assert_eq!(journal.spent(&living), [key("gone")]);
        assert_eq!(journal.left_behind(&"another case".into(), &living), (vec![], false));
    }

    #[test]
    fn a_copy_that_another_page_has_gone_on_from_says_nothing_new() {
        fn check(copies: &[(String, String)], taken: &[&str], spent: &[&str]) {
            let journal = Journal::read(copies.to_vec());
            let keys = |pages: &[&str]| pages.iter().map(|page| key(page)).collect::<Vec<_>>();
            let left: Vec<Key> = journal.left_behind(&"c".into(), &[]).0.into_iter().map(|(key, _)| key).collect();
            assert_eq!((left, journal.spent(&[])), (keys(taken), keys(spent)));
        }
        let heir = |written, label: Option<u8>, of: u64| {
            let entry = label.map(|label| Entry { slice: slice(label, 0), sent: None });
            let goes_on_from = vec![Ancestor { page: "a".into(), written: of }];
            (key("b").text(), serde_json::to_string(&Record { written, entry, goes_on_from }).unwrap())
        };
        // Killed before it could erase what it had taken over.
        check(&[copy("a", 3, Some(1)), heir(1, Some(2), 3)], &["b"], &[]);
        // All is confirmed, and the copy is still there: it goes first.
        check(&[copy("a", 3, Some(1)), heir(2, None, 3)], &[], &["a", "b"]);
        // A page that was taken for dead and has painted since.
        check(&[copy("a", 4, Some(1)), heir(1, Some(2), 3)], &["a"], &[]);
        let journal = Journal::read([copy("a", 3, Some(1)), heir(1, Some(2), 3)]);
        let ancestor = |page: &str, written| Ancestor { page: page.into(), written };
        assert_eq!(journal.lineage(&key("b")), [ancestor("b", 1), ancestor("a", 3)]);
    }

    #[test]
    fn what_an_earlier_client_kept_is_understood() {
        let bare = serde_json::to_string(&Entry { slice: slice(1, 4), sent: None }).unwrap();
        let journal = Journal::read([("i3deep/unsent/c/axial/1".to_owned(), bare)]);
        let (taken, _) = journal.left_behind(&"c".into(), &["alive".to_owned()]);
        assert_eq!(taken, [(key(NAMELESS), Entry { slice: slice(1, 4), sent: None })]);
        assert_eq!(key(NAMELESS).text(), "i3deep/unsent/c/axial/1", "or it could not be removed");
    }
}
