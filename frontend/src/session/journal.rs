//! Writing down what the server has not confirmed: into the quick area, which a killed tab does not take along, and
//! onto the disk, which a killed browser does not. "Kept" is said of what is on the disk.

use std::collections::BTreeMap;

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::case::CaseId;
use shared::geometry::Plane;

use super::Session;
use crate::annotate::journal::{Ancestor, Entry, Journal, Key, PREFIX, Record};
use crate::browser::locks::{Asking, Held, Locks};
use crate::browser::random_word;
use crate::browser::storage::{Area, Records, StorageError};

/// How long to wait for a database that does not open, before going on without.
const OPENING_LIMIT_MS: u32 = 3_000;
/// Locks of this name and a page's own are held while the page lives.
const PAGE_LOCK: &str = "i3deep/page/";
/// A page that has just died seems to live for a moment; as many times is looked again, this far apart.
const LOOKS: u32 = 10;
/// Between two of them.
const LOOK_MS: u32 = 100;
/// Held by the page that takes over what others have left.
const HEIR_LOCK: &str = "i3deep/heir";

/// What this page has written down, and where.
pub(super) struct Keeper {
    page: String,
    quick: Area,
    disk: Disk,
    notes: BTreeMap<Key, Note>,
    /// What this page has gone on from.
    ancestors: BTreeMap<Key, Vec<Ancestor>>,
    written: u64,
    /// Pages that are no more have left more about a slice than could be taken over at once.
    more_left: bool,
    /// Says to other pages that this one lives.
    _alive: Option<Held>,
}

enum Disk {
    Opening,
    Open(Records),
    Closed(StorageError),
}

impl Disk {
    /// What is to be said of a record that is written now, until its writing is answered. One that is closed answers
    /// nothing.
    fn outlook(&self) -> Kept {
        match self {
            Disk::Opening | Disk::Open(_) => Kept::Pending,
            Disk::Closed(why) => Kept::No(why.clone()),
        }
    }
}

/// An unconfirmed correction on its way to the disk.
struct Note {
    written: u64,
    text: String,
    state: Kept,
}

/// Whether something is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// On its way.
    Pending,
    /// It is.
    Yes,
    /// It is not.
    No(StorageError),
}

impl Default for Keeper {
    fn default() -> Self {
        Self {
            page: random_word(),
            quick: Area::shared(),
            disk: Disk::Opening,
            notes: BTreeMap::new(),
            ancestors: BTreeMap::new(),
            written: 0,
            more_left: false,
            _alive: None,
        }
    }
}

impl Keeper {
    /// How safe a correction of this page is.
    pub(super) fn kept(&self, case: &CaseId, plane: Plane) -> Kept {
        let key = Key { page: self.page.clone(), case: case.clone(), plane };
        match (self.notes.get(&key), &self.disk) {
            (Some(note), _) => note.state.clone(),
            (None, Disk::Closed(why)) => Kept::No(why.clone()),
            (None, _) => Kept::Pending,
        }
    }

    /// What was written down last of a slice, if it is not confirmed.
    fn noted(&self, case: &CaseId, plane: Plane) -> Option<Entry> {
        let key = Key { page: self.page.clone(), case: case.clone(), plane };
        serde_json::from_str::<Record>(&self.notes.get(&key)?.text).ok()?.entry
    }

    fn is_quickly_kept(&self, case: &CaseId, plane: Plane) -> bool {
        let key = Key { page: self.page.clone(), case: case.clone(), plane };
        self.notes.get(&key).is_some_and(|note| self.quick.get(&key.text()).as_ref() == Some(&note.text))
    }

    /// Why nothing, or not everything, is kept.
    fn trouble(&self) -> Option<StorageError> {
        let failed =
            self.notes.values().find_map(|note| if let Kept::No(why) = &note.state { Some(why.clone()) } else { None });
        match &self.disk {
            Disk::Closed(why) => Some(why.clone()),
            Disk::Opening | Disk::Open(_) => failed,
        }
    }
}

impl Session {
    /// Opens the disk, and lets other pages know that this one lives.
    pub(super) fn open_journal(self) {
        let page = self.page();
        spawn_local(async move {
            let alive = match Locks::of_browser() {
                Some(locks) => locks.hold(&format!("{PAGE_LOCK}{page}"), Asking::Patiently, || {}).await.held(),
                None => None,
            };
            self.journal.update_value(|keeper| keeper._alive = alive);
        });
        spawn_local(async move {
            let disk = match Records::open().await {
                Ok(records) => Disk::Open(records),
                Err(why) => Disk::Closed(why),
            };
            self.journal.update_value(|keeper| keeper.disk = disk);
            self.write_again();
        });
    }

    /// This page's name among those of the browser.
    pub(super) fn page(self) -> String {
        self.journal.with_value(|keeper| keeper.page.clone())
    }

    /// Writes down what is unconfirmed of a slice, or that nothing is.
    pub(super) fn keep(self, case: &CaseId, plane: Plane, entry: Option<Entry>) {
        let key = Key { page: self.page(), case: case.clone(), plane };
        let is_open = entry.is_some();
        self.journal.update_value(|keeper| {
            keeper.written += 1;
            let written = keeper.written;
            let goes_on_from = keeper.ancestors.get(&key).cloned().unwrap_or_default();
            let text = serde_json::to_string(&Record { written, entry, goes_on_from }).unwrap_or_default();
            if is_open {
                keeper.quick.set(&key.text(), &text);
                let state = keeper.disk.outlook();
                keeper.notes.insert(key.clone(), Note { written, text: text.clone(), state });
            } else {
                keeper.quick.remove(&key.text());
                keeper.notes.remove(&key);
            }
            if let Disk::Open(records) = &keeper.disk {
                let landing = records.write(&key.text(), Some(&text));
                spawn_local(async move { self.landed(&key, written, landing.await) });
            }
        });
        self.tell_storage_trouble();
    }

    /// What was written down last of a slice, if it is not confirmed.
    pub(super) fn noted(self, case: &CaseId, plane: Plane) -> Option<Entry> {
        self.journal.with_value(|keeper| keeper.noted(case, plane))
    }

    /// All that this page has written down of a case and the server has not confirmed.
    pub(super) fn noted_of(self, case: &CaseId) -> Vec<Entry> {
        self.journal.with_value(|keeper| {
            let keys = keeper.notes.keys().filter(|key| key.case == *case);
            keys.filter_map(|key| keeper.noted(case, key.plane)).collect()
        })
    }

    /// Slices of cases that are not open of which this page has written down what the server has not confirmed.
    pub(super) fn noted_elsewhere(self) -> Vec<(CaseId, Plane)> {
        let open = self.read(|bench| bench.visit.case.clone());
        self.journal.with_value(|keeper| {
            let keys = keeper.notes.keys().filter(|key| Some(&key.case) != open.as_ref());
            keys.map(|key| (key.case.clone(), key.plane)).collect()
        })
    }

    /// What was written is on the disk, or never will be.
    fn landed(self, key: &Key, written: u64, result: Result<(), StorageError>) {
        self.journal.update_value(|keeper| {
            if let Some(note) = keeper.notes.get_mut(key).filter(|note| note.written == written) {
                note.state = result.map_or_else(Kept::No, |()| Kept::Yes);
            }
        });
        self.tell_storage_trouble();
        self.refresh_save_state();
    }

    /// Writes what did not reach the disk once more.
    pub(super) fn write_again(self) {
        self.journal.update_value(|keeper| {
            let Disk::Open(records) = &keeper.disk else {
                if let Disk::Closed(why) = &keeper.disk {
                    keeper.notes.values_mut().for_each(|note| note.state = Kept::No(why.clone()));
                }
                return;
            };
            for (key, note) in keeper.notes.iter_mut().filter(|(_, note)| note.state != Kept::Yes) {
                let (key, written, landing) = (key.clone(), note.written, records.write(&key.text(), Some(&note.text)));
                spawn_local(async move { self.landed(&key, written, landing.await) });
            }
        });
        self.tell_storage_trouble();
        self.refresh_save_state();
    }

    /// At every tick: there may be room again.
    pub(super) fn watch_journal(self) {
        let has_failed =
            self.journal.with_value(|keeper| keeper.notes.values().any(|note| matches!(note.state, Kept::No(_))));
        if has_failed {
            self.write_again();
        }
        self.take_what_is_left();
    }

    /// Takes over what could not be taken over before, once nothing of the open case is on its way.
    pub(super) fn take_what_is_left(self) {
        if self.read(|_| ()).is_some() && !self.has_unsent() && self.is_more_left() {
            self.replay_journal();
        }
    }

    fn tell_storage_trouble(self) {
        let trouble = self.journal.with_value(Keeper::trouble);
        self.saving.storage_trouble.learn(trouble.map(|why| why.to_string()));
    }

    /// Waits a moment for pages that have unsent work on a case and may be dying: whoever paints on without what they
    /// have left is in conflict with it later.
    pub(super) async fn await_the_dying(self, case: &CaseId) {
        for _ in 0..LOOKS {
            let mut others = self.living_pages().await;
            others.retain(|page| *page != self.page());
            if !self.read_journal().await.is_open_for(case, &others) {
                return;
            }
            TimeoutFuture::new(LOOK_MS).await;
        }
    }

    /// Takes over what pages that are no more have left of a case: under this page's name first, away from theirs then.
    pub(super) async fn take_over(self, case: &CaseId) -> Vec<Entry> {
        let _turn = match Locks::of_browser() {
            Some(locks) => locks.hold(HEIR_LOCK, Asking::Patiently, || {}).await.held(),
            None => None,
        };
        let living = self.living_pages().await;
        let journal = self.read_journal().await;
        let (left, more) = journal.left_behind(case, &living);
        // A slice that this page itself is at work on comes first.
        let mine = |plane| {
            self.journal.with_value(|keeper| keeper.notes.keys().any(|key| key.case == *case && key.plane == plane))
        };
        let (left, busy): (Vec<_>, Vec<_>) = left.into_iter().partition(|(key, _)| !mine(key.plane));
        for (key, entry) in &left {
            let lineage = journal.lineage(key);
            let own = Key { page: self.page(), ..key.clone() };
            self.journal.update_value(|keeper| drop(keeper.ancestors.insert(own, lineage.clone())));
            self.keep(case, key.plane, Some(entry.clone()));
            if self.is_written(case, key.plane).await {
                // The earliest first: a copy must not outlast what says that it is outlived.
                for Ancestor { page, .. } in lineage.into_iter().rev() {
                    self.erase(&Key { page, ..key.clone() });
                }
            }
        }
        journal.spent(&living).iter().for_each(|key| self.erase(key));
        self.journal.update_value(|keeper| keeper.more_left = more || !busy.is_empty());
        left.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Whether a correction is as safe as this browser can make it, once that is known.
    async fn is_written(self, case: &CaseId, plane: Plane) -> bool {
        for _ in 0..OPENING_LIMIT_MS / 20 {
            let (kept, has_disk) =
                self.journal.with_value(|keeper| (keeper.kept(case, plane), matches!(keeper.disk, Disk::Open(_))));
            if self.noted(case, plane).is_none() {
                // The server has it by now.
                return true;
            }
            match kept {
                Kept::Yes => return true,
                Kept::No(_) => {
                    return !has_disk && self.journal.with_value(|keeper| keeper.is_quickly_kept(case, plane));
                }
                Kept::Pending => TimeoutFuture::new(20).await,
            }
        }
        false
    }

    /// Whether there is more to take over, now that a slice is dealt with.
    pub(super) fn is_more_left(self) -> bool {
        self.journal.try_update_value(|keeper| std::mem::take(&mut keeper.more_left)) == Some(true)
    }

    /// How many slices of each case the server has not confirmed, as far as this browser knows.
    pub(super) async fn unsent(self) -> BTreeMap<CaseId, usize> {
        self.read_journal().await.unsent()
    }

    /// Forgets a case, whoever wrote of it.
    pub(super) fn forget_unsent(self, case: CaseId) {
        self.journal.update_value(|keeper| keeper.notes.retain(|key, _| key.case != case));
        spawn_local(async move {
            let keys = self.read_journal().await.of_case(&case);
            keys.iter().for_each(|key| self.erase(key));
        });
    }

    fn erase(self, key: &Key) {
        self.journal.with_value(|keeper| {
            keeper.quick.remove(&key.text());
            if let Disk::Open(records) = &keeper.disk {
                let erased = records.write(&key.text(), None);
                // A copy that stays is taken over again, and found to be saved.
                spawn_local(async move { drop(erased.await) });
            }
        });
    }

    async fn read_journal(self) -> Journal {
        let mut waited_ms = 0;
        while self.journal.with_value(|keeper| matches!(keeper.disk, Disk::Opening)) && waited_ms < OPENING_LIMIT_MS {
            TimeoutFuture::new(20).await;
            waited_ms += 20;
        }
        let records = self.journal.with_value(|keeper| match &keeper.disk {
            Disk::Open(records) => Some(records.clone()),
            Disk::Opening | Disk::Closed(_) => None,
        });
        let on_disk = match records {
            Some(records) => records.all().await.unwrap_or_default(),
            None => Vec::new(),
        };
        let quick = self.journal.with_value(|keeper| keeper.quick.all(PREFIX));
        Journal::read(on_disk.into_iter().chain(quick))
    }

    /// Names of the pages that live, this one among them.
    async fn living_pages(self) -> Vec<String> {
        let held = match Locks::of_browser() {
            Some(locks) => locks.held().await,
            None => None,
        };
        let others = match held {
            Some(names) => names.iter().filter_map(|name| name.strip_prefix(PAGE_LOCK)).map(str::to_owned).collect(),
            None => self.ask_who_lives().await,
        };
        others.into_iter().chain([self.page()]).collect()
    }
}
