//! Which tab works on a case. Two tabs of one browser that paint the same slice are in conflict at the first stroke; so
//! one holds the case, the others read along, and any may take it over. Across browsers, revisions decide. Where a
//! browser has no locks, every tab works and revisions decide there too.

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::case::CaseId;

use super::Session;
use super::command::Command;
use super::link::Word;
use super::visit::Visit;
use crate::browser::locks::{Asking, Grant, Held, Locks};

/// A page that is being reloaded still holds its case for a moment; as many times is asked for it, this far apart.
const TRIES: u32 = 10;
/// Between two of them.
const TRY_MS: u32 = 100;
/// How long the page that holds a case may take to send what it has, when another one takes the case over.
const LETTING_GO_MS: u32 = 2_000;

/// Who works on the open case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Nobody is asked, or not yet answered: this page may.
    Open,
    /// This page.
    Here,
    /// Another page of this browser.
    Elsewhere,
}

/// What this page holds.
#[derive(Default)]
pub(super) struct Leases {
    _held: Option<Held>,
    /// At the last tick, nobody held the case.
    was_free: bool,
}

impl Session {
    /// Asks for a case that has been opened.
    pub(super) fn ask_for_lease(self, visit: Visit) {
        let Some(locks) = Locks::of_browser() else { return };
        spawn_local(async move {
            for _ in 0..TRIES {
                match self.try_lease(&locks, &visit, Asking::IfFree).await {
                    Some(false) if self.wanted().as_ref() == Some(&visit) => {}
                    _ => return,
                }
                TimeoutFuture::new(TRY_MS).await;
            }
            self.case.lease.learn(Lease::Elsewhere);
        });
    }

    /// Whether the case is held now; nothing where this browser lends no locks.
    async fn try_lease(self, locks: &Locks, visit: &Visit, asking: Asking) -> Option<bool> {
        let loser = visit.clone();
        match locks.hold(&lock_name(&visit.case), asking, move || self.lose_lease(&loser)).await {
            Grant::Denied => None,
            Grant::Taken => Some(false),
            Grant::Held(held) => {
                // Held for a visit that is over, it is let go of here.
                if self.wanted().as_ref() == Some(visit) {
                    self.leases.update_value(|leases| leases._held = Some(held));
                    self.case.lease.learn(Lease::Here);
                }
                Some(true)
            }
        }
    }

    /// The case is closed: others may have it.
    pub(super) fn drop_lease(self) {
        self.leases.set_value(Leases::default());
        self.case.lease.learn(Lease::Open);
    }

    /// Another page has taken the case: what was painted here is sent, and this page reads along.
    fn lose_lease(self, visit: &Visit) {
        if self.wanted().as_ref() == Some(visit) && self.case.lease.now() == Lease::Here {
            self.end_stroke();
            self.flush();
            self.leases.set_value(Leases::default());
            self.case.lease.learn(Lease::Elsewhere);
        }
    }

    /// Another page asks for the case: sends what there is, and lets go.
    pub(super) fn let_go(self, case: CaseId) {
        let Some(visit) = self.wanted().filter(|visit| visit.case == case && self.case.lease.now() == Lease::Here)
        else {
            return;
        };
        spawn_local(async move {
            self.end_stroke();
            self.case.lease.learn(Lease::Elsewhere);
            self.all_saved().await;
            if self.wanted().as_ref() == Some(&visit) {
                self.leases.set_value(Leases::default());
            }
            self.say(&Word::LetGone(case));
        });
    }

    /// The expert wants to work here.
    pub(super) fn take_lease(self) {
        let (Some(locks), Some(visit)) = (Locks::of_browser(), self.wanted()) else { return };
        spawn_local(async move {
            self.was_let_gone(&visit.case);
            self.say(&Word::LetGo(visit.case.clone()));
            for _ in 0..LETTING_GO_MS / 50 {
                TimeoutFuture::new(50).await;
                if self.was_let_gone(&visit.case) {
                    break;
                }
            }
            if self.try_lease(&locks, &visit, Asking::ByForce).await == Some(true) {
                self.messages.notice.learn(None);
                self.reload_case();
                self.replay_journal();
            }
        });
    }

    /// At every tick: whether the page that held the case is gone. One that is reloaded is back by the next tick.
    pub(super) fn watch_lease(self) {
        let (Some(locks), Some(visit)) = (Locks::of_browser(), self.wanted()) else { return };
        if self.case.lease.now() != Lease::Elsewhere {
            return;
        }
        spawn_local(async move {
            let name = lock_name(&visit.case);
            let is_free = locks.held().await.is_some_and(|held| !held.contains(&name));
            let was_free = self.leases.try_update_value(|leases| std::mem::replace(&mut leases.was_free, is_free));
            if is_free && was_free == Some(true) && self.try_lease(&locks, &visit, Asking::IfFree).await == Some(true) {
                self.messages.notice.set(Some("The other tab is closed; you work here now.".into()));
                self.reload_case();
                self.replay_journal();
            }
        });
    }

    /// Whether a wish has to wait because another tab works on the case; says so.
    pub(super) fn is_reading_along(self, command: &Command) -> bool {
        let waits = self.case.lease.now() == Lease::Elsewhere && changes_the_case(command);
        if waits && !matches!(command, Command::ExtendStroke(_) | Command::EndStroke | Command::CancelStroke) {
            self.messages.notice.set(Some(
                "Another tab works on this case; here you read along. Choose \"Work here\" to take over.".into(),
            ));
        }
        waits
    }
}

fn lock_name(case: &CaseId) -> String {
    format!("i3deep/case/{case}")
}

fn changes_the_case(command: &Command) -> bool {
    use Command as C;
    matches!(
        command,
        C::BeginStroke { .. }
            | C::ExtendStroke(_)
            | C::EndStroke
            | C::CancelStroke
            | C::PressHere
            | C::Edit(_)
            | C::TakeOffer
            | C::Decide(..)
            | C::DecideHere
            | C::Reveal
            | C::DecideAll(_)
            | C::BringVersionBack(_)
            | C::CorrectPlane(_)
            | C::Settle(_)
            | C::SettleByLastWord
            | C::Undo
            | C::Redo
            | C::MarkDone
            | C::Skip
            | C::Reopen
            | C::ResetSlice
            | C::KeepMine
            | C::TakeTheirs
            | C::BringBack(..)
            | C::Refine
            | C::BeginRound
    )
}
