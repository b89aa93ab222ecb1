//! The line to the server: the event stream, what it tells, and whether it holds.

use std::time::Duration;

use leptos::prelude::*;
use shared::api::{CaseSummary, Event};
use shared::case::{JobKind, JobState};

use super::bench::Bench;
use super::fact::Fact;
use super::{Session, Shown};
use crate::annotate::journal;
use crate::api;

/// How long to wait before asking a silent server again.
pub(super) const RETRY_MS: u32 = 3_000;

/// Ticks of [`RETRY_MS`] after which a stream that does not come up is opened anew: a half-dead connection can keep a browser waiting for minutes.
const PATIENT_TICKS: u32 = 3;
/// Ticks between questions about jobs under way, should the stream be open but dead.
const ASK_TICKS: u32 = 5;

/// How the line to the server is.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// Whether the server answers.
    pub(crate) online: Fact<bool>,
}

impl Link {
    /// Supposed to hold until shown otherwise.
    pub(super) fn new() -> Self {
        Self { online: Fact::new(true) }
    }
}

/// The event stream and how it fares.
#[derive(Default)]
pub(super) struct Stream {
    events: Option<api::Events>,
    /// It was down, so events were missed.
    lost: bool,
    /// Ticks without an open stream.
    down_ticks: u32,
    ticks: u32,
}

impl Session {
    /// Opens the event stream and watches over it.
    pub(super) fn listen(self) {
        self.open_stream();
        set_interval(move || self.watch_stream(), Duration::from_millis(u64::from(RETRY_MS)));
    }

    fn open_stream(self) {
        let on_link = move |up: bool| {
            self.link.online.learn(up);
            let missed = self.stream.try_update_value(|stream| std::mem::replace(&mut stream.lost, !up) && up);
            if missed == Some(true) {
                self.catch_up();
            }
        };
        let events = api::events(move |event| self.hear(event), on_link);
        self.stream.update_value(|stream| stream.events = events);
    }

    fn watch_stream(self) {
        let (reopen, ask) = self.stream.try_update_value(Stream::tick).unwrap_or_default();
        if reopen {
            self.open_stream();
        }
        if ask && self.has_job_under_way() {
            self.catch_up();
        }
    }

    fn has_job_under_way(self) -> bool {
        let under_way = |case: &CaseSummary| case.job.as_ref().is_some_and(|job| !job.state.is_terminal());
        let listed = self.list.cases.now_with(|cases| cases.iter().flatten().any(under_way));
        listed || self.case.detail.now_with(|detail| detail.as_ref().is_some_and(|detail| under_way(&detail.summary)))
    }

    /// Events may have been missed: asks for everything again.
    fn catch_up(self) {
        self.load_list();
        self.flush();
        self.reload_case();
    }

    pub(super) fn hear(self, event: Event) {
        match event {
            Event::Case(summary) => self.hear_case(summary),
            Event::Deleted { id } => {
                self.list.cases.update(|cases| cases.iter_mut().for_each(|cases| cases.retain(|case| case.id != id)));
                journal::forget(&id);
                if self.wanted().is_some_and(|visit| visit.case == id) {
                    self.case.missing.set(Some("This case was deleted in another window.".into()));
                }
            }
        }
    }

    pub(super) fn hear_case(self, summary: CaseSummary) {
        self.list.cases.update(|cases| {
            let Some(cases) = cases else { return };
            match cases.iter_mut().find(|case| case.id == summary.id) {
                Some(known) => *known = summary.clone(),
                None => cases.insert(0, summary.clone()),
            }
        });
        let Some(before) = self.read(|bench| bench.detail.summary.clone()).filter(|before| before.id == summary.id) else { return };
        let arrived = before.stage != summary.stage || before.rounds != summary.rounds || before.round != summary.round;
        // The server counts other slices done than before and than are done here: another window has been at them.
        let elsewhere = before.slices_done != summary.slices_done && self.read(Bench::slices_done) != Some(summary.slices_done);
        self.notice_job_end(&before, &summary);
        self.change(|bench| bench.detail.summary = summary.clone());
        self.case.detail.update(|detail| detail.iter_mut().for_each(|detail| detail.summary = summary.clone()));
        if arrived || elsewhere {
            self.reload_case();
        }
    }

    pub(super) fn notice_job_end(self, before: &CaseSummary, after: &CaseSummary) {
        let Some(job) =
            after.job.as_ref().filter(|job| before.job.as_ref().is_some_and(|before| (before.id, before.state) != (job.id, job.state)))
        else {
            return;
        };
        match (job.kind, job.state) {
            (JobKind::Refine, JobState::Done) => {
                self.viewing.shown.set(Shown::default());
                self.messages.notice.set(Some("Refined with your slices. Press C to compare before and after.".into()));
            }
            (_, JobState::Failed) => self.messages.trouble.set(Some(job.message.clone())),
            _ => {}
        }
    }
}

impl Stream {
    /// Whether the stream must be opened anew, and whether it is time to ask about jobs.
    fn tick(&mut self) -> (bool, bool) {
        self.ticks += 1;
        let state = self.events.as_ref().map(api::Events::state);
        self.down_ticks = if state == Some(api::StreamState::Open) { 0 } else { self.down_ticks + 1 };
        let reopen = matches!(state, None | Some(api::StreamState::Closed)) || self.down_ticks >= PATIENT_TICKS;
        if reopen {
            self.lost = true;
            self.down_ticks = 0;
        }
        (reopen, self.ticks.is_multiple_of(ASK_TICKS))
    }
}
