//! Messages that need no answer: errors above the page, notices below the views.

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

/// Something worth knowing, until it is put away or overtaken.
#[component]
pub(crate) fn NoticeBanner() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <div class="notice-place" role="status" aria-live="polite">
            {move || {
                session.messages.notice.get().map(|message| {
                    view! {
                        <div class="banner notice" data-testid="notice">
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
