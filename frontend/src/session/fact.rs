//! A piece of what is known: anyone may read it (and is told when it changes), only the session may write it.

use leptos::prelude::*;

/// A signal whose setters end at the session's door.
pub(crate) struct Fact<T: 'static>(RwSignal<T>);

impl<T> Clone for Fact<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Fact<T> {}

impl<T: Send + Sync + 'static> Fact<T> {
    /// Something known from the beginning.
    pub(in crate::session) fn new(value: T) -> Self {
        Self(RwSignal::new(value))
    }

    /// Reads it, and follows it.
    pub(crate) fn get(&self) -> T
    where
        T: Clone,
    {
        self.0.get()
    }

    /// Reads a part of it, and follows it.
    pub(crate) fn with<U>(&self, read: impl FnOnce(&T) -> U) -> U {
        self.0.with(read)
    }

    /// Reads it as it is now.
    pub(crate) fn now(&self) -> T
    where
        T: Clone,
    {
        self.0.get_untracked()
    }

    /// Reads a part of it as it is now.
    pub(crate) fn now_with<U>(&self, read: impl FnOnce(&T) -> U) -> U {
        self.0.with_untracked(read)
    }

    /// Learns it.
    pub(in crate::session) fn set(&self, value: T) {
        self.0.set(value);
    }

    /// Learns it, and tells nobody if it was known.
    pub(in crate::session) fn learn(&self, value: T)
    where
        T: PartialEq,
    {
        if self.0.with_untracked(|known| *known != value) {
            self.0.set(value);
        }
    }

    /// Changes it.
    pub(in crate::session) fn update(&self, change: impl FnOnce(&mut T)) {
        self.0.update(change);
    }
}
