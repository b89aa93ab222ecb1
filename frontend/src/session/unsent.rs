//! Unsent corrections of cases that are not open: named in the case list, and sent from there when the server answers.

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::ErrorCode;
use shared::case::CaseId;

use super::Session;
use crate::annotate::journal::Entry;
use crate::api::{self, Trouble};

/// How long a case may wait to be opened for what is on its way to the server.
const SENDING_LIMIT_MS: u32 = 10_000;

impl Session {
    /// Whether corrections of cases that are not open wait here.
    pub(super) fn has_noted_elsewhere(self) -> bool {
        !self.noted_elsewhere().is_empty()
    }

    /// At every tick, and when a case is closed: counts what is unsent, takes over what pages that are no more have
    /// left, and sends it.
    pub(super) fn look_after_unsent(self) {
        if self.wanted().is_some()
            || self.sends_unsent.try_update_value(|sends| std::mem::replace(sends, true)) == Some(true)
        {
            return;
        }
        spawn_local(async move {
            let cases: Vec<CaseId> = self.unsent().await.into_keys().collect();
            for case in cases {
                // An open case takes over for itself.
                if self.wanted().is_none() {
                    self.take_over(&case).await;
                }
            }
            for (case, plane) in self.noted_elsewhere() {
                // A case that is opened meanwhile sends for itself; what it says by now may be more than was noted.
                if self.wanted().is_some() {
                    break;
                }
                let Some(entry) = self.noted(&case, plane) else { continue };
                if !self.send_noted(&case, entry).await {
                    break;
                }
            }
            self.list.unsent.learn(self.unsent().await);
            self.sends_unsent.set_value(false);
        });
    }

    /// Waits for what is being sent from the case list: a case that is shown while one of its slices is on its way
    /// would show the slice as it was before, and be in conflict with it.
    pub(super) async fn until_unsent_are_looked_after(self) {
        for _ in 0..SENDING_LIMIT_MS / 20 {
            if self.sends_unsent.try_get_value() != Some(true) {
                return;
            }
            TimeoutFuture::new(20).await;
        }
    }

    /// Sends what was written down of a slice: what was sent before, until it is answered. Whether the server answered.
    async fn send_noted(self, case: &CaseId, entry: Entry) -> bool {
        let statement = entry.sent.clone().unwrap_or_else(|| entry.slice.clone());
        self.keep(case, statement.plane, Some(Entry { sent: Some(statement.clone()), ..entry }));
        match api::save(case, &statement).await {
            Ok(saved) => self.answered_elsewhere(case, &statement, saved.revision),
            Err(Trouble::Unreachable) => {
                self.learn_online(false);
                return false;
            }
            Err(Trouble::Refused { code: ErrorCode::NotFound, .. }) => self.forget_if_gone(case).await,
            // Why is told when the case is opened, and the expert chooses there.
            Err(Trouble::Refused { .. }) => {}
        }
        true
    }

    /// Forgets what was written down of a case that is gone for good. One in the bin may come back.
    async fn forget_if_gone(self, case: &CaseId) {
        if let Ok(bin) = api::bin().await
            && !bin.iter().any(|binned| binned.summary.id == *case)
        {
            self.forget_unsent(case.clone());
        }
    }
}
