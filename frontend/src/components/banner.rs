//! Messages that need no answer: errors above the page, notices below the views.

use std::time::Duration;

use leptos::prelude::*;

use super::icon::{Icon, Shape};
use crate::session::Session;
use crate::session::command::Command;

/// The last error, until it is put away.
#[component]
pub(crate) fn TroubleBanner() -> impl IntoView {
    let session = expect_context::<Session>();
    move || {
        session.messages.trouble.get().map(|message| {
            view! {
                <div class="banner trouble" role="alert" data-testid="trouble">
                    <span>{message}</span>
                    <button
                        class="quiet" aria-label="Dismiss" on:click=move |_| session.dispatch(Command::DismissTrouble)
                    >
                        <Icon shape=Shape::Cross />
                    </button>
                </div>
            }
        })
    }
}

/// How long a notice stays, unless a hand or the focus rests on it.
const STAYS: Duration = Duration::from_secs(12);

/// Something worth knowing, until it is put away, is overtaken or has been there long enough.
#[component]
pub(crate) fn NoticeBanner() -> impl IntoView {
    let session = expect_context::<Session>();
    let is_held = RwSignal::new(false);
    Effect::new(move || {
        if session.messages.notice.with(Option::is_none) {
            is_held.set(false);
        } else if !is_held.get() {
            let leave = set_timeout_with_handle(move || session.dispatch(Command::DismissNotice), STAYS).ok();
            on_cleanup(move || leave.into_iter().for_each(|leave| leave.clear()));
        }
    });
    view! {
        <div class="notice-place" role="status" aria-live="polite">
            {move || {
                session.messages.notice.get().map(|message| {
                    view! {
                        <div
                            class="banner notice" data-testid="notice"
                            on:pointerenter=move |_| is_held.set(true) on:pointerleave=move |_| is_held.set(false)
                            on:focusin=move |_| is_held.set(true) on:focusout=move |_| is_held.set(false)
                        >
                            <span>{message}</span>
                            <button
                                class="quiet" aria-label="Dismiss"
                                on:click=move |_| session.dispatch(Command::DismissNotice)
                            >
                                <Icon shape=Shape::Cross />
                            </button>
                        </div>
                    }
                })
            }}
        </div>
    }
}
