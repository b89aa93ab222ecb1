//! The line to the server: the event stream, what it tells, and whether the server answers. A browser opens six
//! connections to a server at most (HTTP/1.1), so one page listens and tells the others; the lock that makes it the
//! listener passes on when it ends. Where no events arrive (a proxy holds them back, the listener sleeps) a page asks
//! now and then instead. Whether the server is there is known from its answers, not from the stream.

use std::collections::BTreeSet;
use std::time::Duration;

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::{Deserialize, Serialize};
use shared::api::{CaseSummary, Event};
use shared::case::{CaseId, JobId, JobKind, JobState};
use shared::geometry::Plane;

use super::bench::Bench;
use super::fact::Fact;
use super::{Session, Shown};
use crate::api::{self, Trouble};
use crate::browser::channel::Channel;
use crate::browser::locks::{Asking, Grant, Held, Locks};
use crate::browser::{is_visible, message};

/// How long to wait before asking a silent server again.
pub(super) const RETRY_MS: u32 = 3_000;
/// Ticks of [`RETRY_MS`] without a sign of life after which the listening page opens its stream anew; the server gives
/// one every 15 s.
const PATIENT_TICKS: u32 = 11;
/// Ticks after which a stream that has brought nothing at all is opened anew.
const IMPATIENT_TICKS: u32 = 4;
/// Ticks after which a page that hears nothing from the listening one asks the server itself; that one answers every
/// tick.
const DEAF_TICKS: u32 = 3;
/// Ticks between questions about jobs under way, should the stream be open but dead.
const ASK_TICKS: u32 = 5;
/// Held by the page that listens to the server.
const LISTENER_LOCK: &str = "i3deep/listener";
/// How long other pages have to say that they live.
const ROLL_CALL_MS: u32 = 300;
/// How long one's own saves are quiet before one asks whether somebody else has saved.
const QUIET_MS: u32 = 1_500;

/// How the line to the server is.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// Whether the server answers.
    pub(crate) online: Fact<bool>,
    /// Jobs whose end is to be told to whoever looks at something else.
    pub(crate) awaited: Fact<BTreeSet<JobId>>,
}

impl Link {
    /// Supposed to hold until shown otherwise.
    pub(super) fn new() -> Self {
        Self { online: Fact::new(true), awaited: Fact::new(BTreeSet::new()) }
    }
}

/// What pages of one browser say to each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The server has said this.
    Heard(Event),
    /// Whether the page that listens hears anything.
    Fed(bool),
    /// Does somebody listen?
    WhoListens,
    /// The server has saved a slice of mine.
    Saved {
        /// Of this case.
        case: CaseId,
        /// This slice.
        plane: Plane,
        /// As this.
        revision: u64,
    },
    /// Who lives? For browsers without locks.
    RollCall,
    /// This page does.
    Alive(String),
    /// I want to work on this case; let go of it.
    LetGo(CaseId),
    /// I have.
    LetGone(CaseId),
}

/// The event stream and how it fares.
#[derive(Default)]
pub(super) struct Stream {
    channel: Option<Channel>,
    /// Where this page listens itself.
    events: Option<api::Events>,
    /// What makes it the listener.
    _listener: Option<Held>,
    /// Events arrive, here or where another page listens.
    fed: bool,
    /// They did not, so some were missed.
    lost: bool,
    /// Ticks without a sign of life.
    quiet_ticks: u32,
    ticks: u32,
    /// Pages that have answered a roll call.
    alive: Vec<String>,
    /// Cases that other pages have let go of.
    let_gone: Vec<CaseId>,
    /// Counts the reasons to look for what others have saved; the last one looks.
    looks: u64,
}

/// What is to be done at a tick.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    /// The stream must be opened anew.
    reopen: bool,
    /// The server must be asked, because nobody tells.
    poll: bool,
    /// It is time to ask about jobs.
    ask: bool,
}

impl Session {
    /// Begins to listen, here or through another page, and watches over it.
    pub(super) fn listen(self) {
        let channel = Channel::open("i3deep", move |word| self.hear_word(word));
        self.stream.update_value(|stream| stream.channel = channel);
        self.say(&Word::WhoListens);
        spawn_local(async move {
            let grant = match Locks::of_browser() {
                Some(locks) => locks.hold(LISTENER_LOCK, Asking::Patiently, || {}).await,
                None => Grant::Denied,
            };
            match grant.held() {
                Some(listener) => {
                    self.stream.update_value(|stream| stream._listener = Some(listener));
                    self.open_stream();
                }
                None => {
                    // Without locks a page listens while it is seen: seldom more than one or two are.
                    self.listen_if_seen();
                    let _ = window_event_listener_untyped("visibilitychange", move |_| self.listen_if_seen());
                }
            }
        });
        set_interval(move || self.watch_stream(), Duration::from_millis(u64::from(RETRY_MS)));
    }

    fn listen_if_seen(self) {
        if is_visible() {
            self.open_stream();
        } else {
            self.stream.update_value(|stream| (stream.events, stream.fed, stream.lost) = (None, false, true));
        }
    }

    fn open_stream(self) {
        let events = api::events(move |event| self.hear_from_server(event), move |is_up| self.feel(is_up));
        self.stream.update_value(|stream| stream.events = events);
    }

    fn hear_from_server(self, event: Event) {
        self.feel(true);
        self.say(&Word::Heard(event.clone()));
        self.hear(event);
    }

    /// The stream has given a sign of life, or has broken.
    fn feel(self, is_up: bool) {
        self.say(&Word::Fed(is_up));
        self.learn_fed(is_up);
        if !is_up {
            self.poll();
        }
    }

    fn learn_fed(self, is_fed: bool) {
        let missed = self.stream.try_update_value(|stream| {
            (stream.fed, stream.quiet_ticks) = (is_fed, 0);
            std::mem::replace(&mut stream.lost, !is_fed) && is_fed
        });
        if is_fed {
            self.learn_online(true);
        }
        if missed == Some(true) {
            self.catch_up();
        }
    }

    /// Says something to the other pages of this browser.
    pub(super) fn say(self, word: &Word) {
        self.stream.with_value(|stream| stream.channel.iter().for_each(|channel| channel.say(word)));
    }

    fn hear_word(self, word: Word) {
        let listens = self.stream.with_value(|stream| stream.events.is_some());
        match word {
            // Where each page listens for itself, it hears for itself.
            Word::Heard(_) | Word::Fed(_) if listens => {}
            Word::Heard(event) => {
                self.learn_fed(true);
                self.hear(event);
            }
            Word::Fed(is_fed) => self.learn_fed(is_fed),
            Word::WhoListens if listens => self.say(&Word::Fed(self.stream.with_value(|stream| stream.fed))),
            Word::WhoListens => {}
            Word::Saved { case, plane, revision } => self.hear_saved(&case, plane, revision),
            Word::RollCall => self.say(&Word::Alive(self.page())),
            Word::Alive(page) => self.stream.update_value(|stream| stream.alive.push(page)),
            Word::LetGo(case) => self.let_go(case),
            Word::LetGone(case) => self.stream.update_value(|stream| stream.let_gone.push(case)),
        }
    }

    /// Asks the other pages who lives.
    pub(super) async fn ask_who_lives(self) -> Vec<String> {
        self.stream.update_value(|stream| stream.alive.clear());
        self.say(&Word::RollCall);
        TimeoutFuture::new(ROLL_CALL_MS).await;
        self.stream.try_update_value(|stream| std::mem::take(&mut stream.alive)).unwrap_or_default()
    }

    /// Whether another page has let go of a case since last asked.
    pub(super) fn was_let_gone(self, case: &CaseId) -> bool {
        let gone = self.stream.try_update_value(|stream| {
            let was = stream.let_gone.contains(case);
            stream.let_gone.retain(|gone| gone != case);
            was
        });
        gone == Some(true)
    }

    fn watch_stream(self) {
        self.say(&Word::WhoListens);
        let state = self.stream.with_value(|stream| stream.events.as_ref().map(api::Events::state));
        let due = self.stream.try_update_value(|stream| stream.tick(state));
        let Some(due) = due else { return };
        if due.reopen {
            self.open_stream();
        }
        if due.poll {
            self.poll();
        }
        if due.ask && self.has_job_under_way() {
            self.catch_up();
        }
        self.watch_journal();
        self.watch_lease();
        self.look_after_unsent();
    }

    fn has_job_under_way(self) -> bool {
        let under_way = |case: &CaseSummary| case.job.as_ref().is_some_and(|job| !job.state.is_terminal());
        let listed = self.list.cases.now_with(|cases| cases.iter().flatten().any(under_way));
        listed || self.case.detail.now_with(|detail| detail.as_ref().is_some_and(|detail| under_way(&detail.summary)))
    }

    /// Nobody tells what happens: asks.
    fn poll(self) {
        spawn_local(async move {
            match api::cases().await {
                Ok(cases) => {
                    self.learn_online(true);
                    let open = self.read(|bench| bench.visit.case.clone());
                    let summary = cases.iter().find(|case| Some(&case.id) == open.as_ref()).cloned();
                    self.list.cases.learn(Some(cases));
                    summary.into_iter().for_each(|summary| self.hear_case(summary));
                    self.flush();
                }
                Err(Trouble::Unreachable) => self.learn_online(false),
                // The server is there; what it said is told when somebody asks for something.
                Err(Trouble::Refused { .. }) => self.learn_online(true),
            }
        });
    }

    /// The server has answered, or has not.
    pub(super) fn learn_online(self, is_online: bool) {
        self.link.online.learn(is_online);
        self.refresh_save_state();
    }

    /// Events may have been missed: asks for everything again.
    fn catch_up(self) {
        self.load_list();
        self.flush();
        self.reload_case();
    }

    pub(super) fn hear(self, event: Event) {
        match event {
            Event::Case(summary) => self.hear_case(*summary),
            Event::Deleted { id } => {
                let known = |case: &&CaseSummary| case.id == id;
                if let Some(gone) = self.list.cases.now_with(|cases| cases.iter().flatten().find(known).cloned()) {
                    self.list.binned.set(Some(gone));
                }
                self.list.cases.update(|cases| cases.iter_mut().for_each(|cases| cases.retain(|case| case.id != id)));
                if self.wanted().is_some_and(|visit| visit.case == id) {
                    let told =
                        "This case was deleted in another window. It is in the bin and can be brought back for a week.";
                    self.case.missing.set(Some(told.into()));
                }
            }
        }
    }

    /// A job that begins or ends changes what others would come to.
    fn foresee_anew(self, summary: &CaseSummary) {
        let state = |case: &CaseSummary| case.job.as_ref().map(|job| job.state);
        let known =
            self.list.cases.now_with(|cases| cases.iter().flatten().find(|case| case.id == summary.id).map(state));
        if known != Some(state(summary)) {
            self.load_forecasts();
        }
    }

    pub(super) fn hear_case(self, summary: CaseSummary) {
        self.tell_end(&summary);
        self.list.binned.update(|binned| drop(binned.take_if(|case| case.id == summary.id)));
        self.foresee_anew(&summary);
        self.list.cases.update(|cases| {
            let Some(cases) = cases else { return };
            match cases.iter_mut().find(|case| case.id == summary.id) {
                Some(known) => *known = summary.clone(),
                None => cases.insert(0, summary.clone()),
            }
        });
        let Some(before) = self.read(|bench| bench.detail.summary.clone()).filter(|before| before.id == summary.id)
        else {
            return;
        };
        let arrived = before.stage != summary.stage || before.rounds != summary.rounds || before.round != summary.round;
        // The server counts other slices done than before and than are done here: another window has been at them.
        let elsewhere =
            before.slices_done != summary.slices_done && self.read(Bench::slices_done) != Some(summary.slices_done);
        self.notice_job_end(&before, &summary);
        self.change(|bench| bench.detail.summary = summary.clone());
        self.case.detail.update(|detail| detail.iter_mut().for_each(|detail| detail.summary = summary.clone()));
        if arrived || elsewhere {
            self.reload_case();
        } else if before.job == summary.job {
            // Nothing in it explains why it was said: somebody has saved a slice, perhaps this page.
            self.look_for_others();
        }
    }

    /// The end of a job is to be told, or is not any more.
    pub(super) fn await_job(self, id: JobId) {
        self.link.awaited.update(|awaited| {
            if !awaited.remove(&id) {
                awaited.insert(id);
            }
        });
        spawn_local(message::ask());
    }

    fn tell_end(self, summary: &CaseSummary) {
        let Some(job) = summary.job.as_ref().filter(|job| job.state.is_terminal()) else { return };
        if self.link.awaited.now_with(|awaited| awaited.contains(&job.id)) {
            self.link.awaited.update(|awaited| awaited.retain(|known| *known != job.id));
            let end = if job.state == JobState::Done { "is ready" } else { "has stopped" };
            message::say(&format!("{} {end}", job.kind.name()));
        }
    }

    /// Another page of this browser has saved a slice.
    fn hear_saved(self, case: &CaseId, plane: Plane, revision: u64) {
        let is_news = self.read(|bench| {
            let known = bench.corrections.get(&plane).map_or(0, |correction| correction.sync.revision);
            bench.visit.case == *case && revision > known
        });
        if is_news == Some(true) {
            self.reload_case();
        }
    }

    /// Asks what others have saved, once this page's own saves are quiet.
    fn look_for_others(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        let look = self.stream.try_update_value(|stream| {
            stream.looks += 1;
            stream.looks
        });
        spawn_local(async move {
            TimeoutFuture::new(QUIET_MS).await;
            let is_last = self.stream.with_value(|stream| Some(stream.looks) == look);
            if is_last && self.is_shown(&visit) && !self.has_unsent() {
                self.reload_case();
            }
        });
    }

    pub(super) fn notice_job_end(self, before: &CaseSummary, after: &CaseSummary) {
        let Some(job) = after
            .job
            .as_ref()
            .filter(|job| before.job.as_ref().is_some_and(|before| (before.id, before.state) != (job.id, job.state)))
        else {
            return;
        };
        match (job.kind, job.state) {
            (JobKind::Refine, JobState::Done) => {
                self.viewing.shown.set(Shown::default());
                self.messages.notice.set(Some(format!(
                    "Refined with your slices. {} compares before and after, {} goes through what changed.",
                    self.key_of("compare"),
                    self.key_of("next-change")
                )));
            }
            (_, JobState::Failed) => self.messages.trouble.set(Some(job.message.clone())),
            _ => {}
        }
    }
}

impl Stream {
    /// Time has passed; the page's own stream, if it has one, is in this state.
    fn tick(&mut self, state: Option<api::StreamState>) -> Due {
        self.ticks += 1;
        self.quiet_ticks += 1;
        let patience = match (state, self.fed) {
            (None, _) => DEAF_TICKS,
            (Some(_), true) => PATIENT_TICKS,
            (Some(_), false) => IMPATIENT_TICKS,
        };
        let is_silent = self.quiet_ticks > patience;
        let reopen = state == Some(api::StreamState::Closed) || (state.is_some() && is_silent);
        if reopen || is_silent {
            (self.fed, self.lost) = (false, true);
        }
        if reopen {
            self.quiet_ticks = 0;
        }
        Due { reopen, poll: !self.fed, ask: self.ticks.is_multiple_of(ASK_TICKS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StreamState;

    /// At which of the first ticks something is due.
    fn due(mut stream: Stream, state: Option<StreamState>, ticks: u32, is_due: impl Fn(&Due) -> bool) -> Vec<u32> {
        (1..=ticks).filter(|_| is_due(&stream.tick(state))).collect()
    }

    #[test]
    fn a_page_that_is_told_asks_nothing() {
        let fed = || Stream { fed: true, ..Stream::default() };
        assert!(due(fed(), Some(StreamState::Open), 11, |due| due.poll || due.reopen).is_empty());
        assert!(due(fed(), None, 3, |due| due.poll || due.reopen).is_empty());
    }

    #[test]
    fn a_page_that_nobody_tells_asks_itself() {
        let fed = || Stream { fed: true, ..Stream::default() };
        // The listening page sleeps; the connection is half dead; a proxy holds everything back from the beginning.
        assert_eq!(due(fed(), None, 6, |due| due.poll), [4, 5, 6]);
        assert_eq!(due(fed(), Some(StreamState::Open), 13, |due| due.poll), [12, 13]);
        assert_eq!(due(Stream::default(), Some(StreamState::Connecting), 3, |due| due.poll), [1, 2, 3]);
    }

    #[test]
    fn a_stream_that_brings_nothing_is_opened_anew_now_and_then() {
        assert_eq!(due(Stream::default(), Some(StreamState::Connecting), 11, |due| due.reopen), [5, 10]);
        assert_eq!(due(Stream { fed: true, ..Stream::default() }, Some(StreamState::Open), 13, |due| due.reopen), [12]);
        assert_eq!(due(Stream::default(), Some(StreamState::Closed), 2, |due| due.reopen), [1, 2]);
        assert!(due(Stream::default(), None, 9, |due| due.reopen).is_empty());
    }
}
