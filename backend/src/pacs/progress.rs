//! How far a fetch is, as those who fetch and those who wait for it see it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How far a fetch is, and whether it is still wanted.
#[derive(Debug, Default)]
pub struct Progress {
    fetched: AtomicU32,
    of: AtomicU32,
    is_stopped: AtomicBool,
}

impl Progress {
    /// Objects that are here.
    pub fn fetched(&self) -> u32 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Objects there will be; 0 as long as that is not known.
    pub fn of(&self) -> u32 {
        self.of.load(Ordering::Relaxed)
    }

    /// So many objects there will be.
    pub(super) fn expect(&self, objects: usize) {
        self.of.store(u32::try_from(objects).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// So many more, instead of so many.
    pub(super) fn expect_instead(&self, before: usize, now: usize) {
        self.expect((self.of() as usize).saturating_sub(before).saturating_add(now));
    }

    /// One more is here.
    pub(super) fn came(&self) {
        self.fetched.fetch_add(1, Ordering::Relaxed);
    }

    /// One that is here belongs to something else.
    pub(super) fn went(&self) {
        self.fetched.fetch_sub(1, Ordering::Relaxed);
    }

    /// It is not wanted any more.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it is not wanted any more.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}
