//! The page may go at any moment. What was painted is sent on the way out, and whoever leaves before it is sent is
//! asked.

use leptos::ev;
use leptos::prelude::*;

use super::Session;
use crate::browser::is_visible;

impl Session {
    /// Watches for the page being hidden, left or closed.
    pub(super) fn watch_leaving(self) {
        // The session lives as long as the page; nobody takes these away.
        let _ = window_event_listener(ev::pagehide, move |_| {
            self.send_parting();
            self.note_parting_effort();
        });
        let _ = window_event_listener_untyped("visibilitychange", move |_| {
            // A hidden tab may be killed without another word.
            if !is_visible() {
                self.flush();
                self.note_effort(true);
            }
        });
        let _ = window_event_listener(ev::beforeunload, move |event| {
            self.end_stroke();
            self.flush();
            if self.has_unsent() || self.has_noted_elsewhere() {
                event.prevent_default();
                // Browsers of before 2024 ask only if this is set.
                event.set_return_value("unsent");
            }
        });
    }
}
