//! The case list, the event stream, and opening a case.

use std::collections::HashSet;
use std::time::Duration;

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{CaseDetail, CaseSummary, Event};
use shared::case::{CaseId, Job, JobId, JobKind, JobState};

use super::bench::Bench;
use super::stage::Stage;
use super::visit::{Door, Visit};
use super::{Effort, SaveState, Session, Shown};
use crate::annotate::journal;
use crate::api::{self, Trouble};

/// How long to wait before asking a silent server again.
const RETRY_MS: u32 = 3_000;

/// Ticks of [`RETRY_MS`] after which a stream that does not come up is opened anew: a half-dead connection can keep a browser waiting for minutes.
const PATIENT_TICKS: u32 = 3;
/// Ticks between questions about jobs under way, should the stream be open but dead.
const ASK_TICKS: u32 = 5;

/// The event stream and how it fares.
#[derive(Default)]
pub(super) struct Link {
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
            self.online.learn(up);
            let missed = self.link.try_update_value(|link| std::mem::replace(&mut link.lost, !up) && up);
            if missed == Some(true) {
                self.catch_up();
            }
        };
        let events = api::events(move |event| self.hear(event), on_link);
        self.link.update_value(|link| link.events = events);
    }

    fn watch_stream(self) {
        let (reopen, ask) = self.link.try_update_value(Link::tick).unwrap_or_default();
        if reopen {
            self.open_stream();
        }
        if ask && self.has_job_under_way() {
            self.catch_up();
        }
    }

    fn has_job_under_way(self) -> bool {
        let under_way = |case: &CaseSummary| case.job.as_ref().is_some_and(|job| !job.state.is_terminal());
        let listed = self.cases.now_with(|cases| cases.iter().flatten().any(under_way));
        listed || self.detail.now_with(|detail| detail.as_ref().is_some_and(|detail| under_way(&detail.summary)))
    }

    /// Events may have been missed: asks for everything again.
    fn catch_up(self) {
        self.load_list();
        self.flush();
        self.reload_case();
    }

    fn hear(self, event: Event) {
        match event {
            Event::Case(summary) => self.hear_case(summary),
            Event::Deleted { id } => {
                self.cases.update(|cases| cases.iter_mut().for_each(|cases| cases.retain(|case| case.id != id)));
                journal::forget(&id);
                if self.wanted().is_some_and(|visit| visit.case == id) {
                    self.missing.set(Some("This case was deleted in another window.".into()));
                }
            }
        }
    }

    fn hear_case(self, summary: CaseSummary) {
        self.cases.update(|cases| {
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
        self.detail.update(|detail| detail.iter_mut().for_each(|detail| detail.summary = summary.clone()));
        if arrived || elsewhere {
            self.reload_case();
        }
    }

    fn notice_job_end(self, before: &CaseSummary, after: &CaseSummary) {
        let Some(job) =
            after.job.as_ref().filter(|job| before.job.as_ref().is_some_and(|before| (before.id, before.state) != (job.id, job.state)))
        else {
            return;
        };
        match (job.kind, job.state) {
            (JobKind::Refine, JobState::Done) => {
                self.shown.set(Shown::default());
                self.notice.set(Some("Refined with your slices. Press C to compare before and after.".into()));
            }
            (_, JobState::Failed) => self.trouble.set(Some(job.message.clone())),
            _ => {}
        }
    }

    /// Asks for the case list and the bundles until the server answers.
    pub(super) fn load_list(self) {
        spawn_local(async move {
            match (api::cases().await, api::bundles().await) {
                (Ok(cases), Ok(bundles)) => {
                    self.cases.set(Some(cases));
                    self.bundles.learn(Some(bundles));
                    self.online.learn(true);
                }
                (Err(trouble), _) | (_, Err(trouble)) => {
                    match trouble {
                        Trouble::Unreachable => self.online.learn(false),
                        Trouble::Refused { .. } => self.complain(&trouble),
                    }
                    if trouble.may_pass() {
                        TimeoutFuture::new(RETRY_MS).await;
                        if self.cases.now_with(Option::is_none) {
                            self.load_list();
                        }
                    }
                }
            }
        });
    }

    pub(super) fn send_scan(self, upload: api::Upload) {
        self.trouble.set(None);
        self.upload.set(Some(0.0));
        spawn_local(async move {
            let answer = api::upload(&upload, move |share| self.upload.set(Some(share))).await;
            self.upload.set(None);
            match answer {
                Ok(summary) => {
                    self.uploaded.update(|count| *count += 1);
                    self.hear_case(summary);
                }
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    pub(super) fn delete_case(self, id: CaseId) {
        spawn_local(async move {
            match api::delete_case(&id).await {
                Ok(()) => self.hear(Event::Deleted { id }),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    pub(super) fn cancel_job(self, job: JobId) {
        spawn_local(async move {
            if let Err(trouble) = api::cancel(job).await {
                self.complain(&trouble);
            }
        });
    }

    pub(super) fn open_case(self, id: CaseId) {
        self.close_case();
        self.loading.set(Some("Opening the case…"));
        let Some(visit) = self.door.try_update_value(|door| door.open(id)) else { return };
        spawn_local(async move {
            let answer = api::case(&visit.case).await;
            if self.wanted().as_ref() != Some(&visit) {
                return;
            }
            match answer {
                Ok(detail) => self.show_case(visit, detail),
                Err(trouble) => {
                    self.loading.set(None);
                    self.missing.set(Some(trouble.to_string()));
                }
            }
        });
    }

    pub(super) fn close_case(self) {
        self.end_stroke();
        self.flush();
        self.door.update_value(Door::close);
        self.bench.set_value(None);
        self.stage.update_value(Stage::forget_case);
        self.detail.set(None);
        self.missing.set(None);
        self.loading.set(None);
        self.slices.set(Vec::new());
        self.effort.set(Effort::default());
        self.target.set(None);
        self.shown.set(Shown::default());
        self.channel.set(0);
        self.save.set(SaveState::Saved);
        self.depth.set([0, 0]);
        self.probe.set(None);
        self.notice.set(None);
    }

    fn show_case(self, visit: Visit, detail: CaseDetail) {
        let bench = Bench::new(visit, detail.clone());
        self.crosshair.set(bench.centre());
        if let Some(window) = detail.images.first().map(|image| image.window) {
            self.window.set(window);
        }
        let first_label = detail.labels.0.first().map_or(1, |label| label.value);
        self.label.set(first_label);
        let spacing = detail.geometry.spacing_mm;
        let finest = spacing.into_iter().fold(f64::INFINITY, f64::min);
        self.brush_mm.set((finest * 5.0 * 2.0).round() / 2.0);
        self.bench.set_value(Some(bench));
        self.replay_journal(&detail);
        self.stage.update_value(|stage| stage.show_case(&detail.geometry));
        self.detail.set(Some(detail));
        self.refresh_slices();
        self.draw_all();
        self.load_voxels();
    }

    /// The case has come further: new versions, new slices, corrections from other windows. What the expert is painting stays.
    fn reload_case(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        spawn_local(async move {
            let answer = api::case(&visit.case).await;
            if !self.is_shown(&visit) {
                return;
            }
            let detail = match answer {
                Ok(detail) => detail,
                // The event stream, when it is back, asks again.
                Err(Trouble::Unreachable) => return,
                Err(trouble) => return self.complain(&trouble),
            };
            self.learn_detail(detail);
        });
    }

    /// The server has said anew how the open case stands.
    fn learn_detail(self, detail: CaseDetail) {
        let before = self.change(|bench| std::mem::replace(&mut bench.detail, detail.clone()));
        before.into_iter().for_each(|before| self.notice_job_end(&before.summary, &detail.summary));
        self.detail.set(Some(detail));
        if self.change(Bench::catch_up) == Some(true) {
            self.corrections_replaced();
        }
        self.refresh_slices();
        self.load_voxels();
    }

    /// Fetches what is not here yet, the image first so that there is something to see.
    pub(super) fn load_voxels(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        if self.change(|bench| bench.loading.ask()) != Some(true) {
            return;
        }
        spawn_local(async move {
            loop {
                let trouble = self.try_load_voxels(&visit).await.err();
                if !self.is_shown(&visit) {
                    return;
                }
                trouble.iter().for_each(|trouble| self.complain(trouble));
                if trouble == Some(Trouble::Unreachable) {
                    // What has arrived stays; the rest is fetched when the server is back.
                    TimeoutFuture::new(RETRY_MS).await;
                    if !self.is_shown(&visit) {
                        return;
                    }
                } else if self.change(|bench| bench.loading.finish()) != Some(true) {
                    break;
                }
            }
            self.loading.set(None);
        });
    }

    async fn try_load_voxels(self, visit: &Visit) -> api::Answer<()> {
        let id = &visit.case;
        let channel = self.read(|bench| (!bench.images.contains_key(&bench.channel)).then_some(bench.channel)).flatten();
        if let Some(channel) = channel {
            self.loading.set(Some("Loading the scan…"));
            let image = api::image(id, channel).await?;
            self.put(visit, |bench| bench.images.insert(channel, image));
        }
        let wanted = self.read(|bench| bench.detail.versions.clone()).unwrap_or_default();
        let known: HashSet<String> = self.read(|bench| bench.segmentations.keys().cloned().collect()).unwrap_or_default();
        // The newest first, then the one it is compared with; older ones when asked for.
        for version in wanted.into_iter().rev().take(2).filter(|version| !known.contains(version)) {
            if !self.is_shown(visit) {
                return Ok(());
            }
            self.loading.set(Some("Loading the segmentation…"));
            let labels = api::segmentation(id, &version).await?;
            let first = self.is_shown(visit) && self.read(|bench| bench.segmentations.is_empty()) == Some(true);
            self.put(visit, |bench| bench.segmentations.insert(version, labels));
            if first {
                self.begin_work();
            }
        }
        if !self.is_shown(visit) {
            return Ok(());
        }
        if let Some(rounds) = self.read(|bench| bench.lacks_uncertainty().then_some(bench.detail.summary.rounds)).flatten() {
            self.loading.set(Some("Loading the uncertainty…"));
            let uncertainty = api::uncertainty(id).await?;
            self.put(visit, |bench| (bench.uncertainty, bench.uncertainty_rounds) = (Some(uncertainty), rounds));
        }
        Ok(())
    }

    /// Stores voxels if they still concern what is on the screen, and shows them.
    fn put<T>(self, visit: &Visit, store: impl FnOnce(&mut Bench) -> T) {
        if self.is_shown(visit) {
            self.change(store);
            self.stage.update_value(Stage::image_changed);
            self.repaint();
        }
    }

    /// The segmentation is here: goes to the first slice that is to be done.
    fn begin_work(self) {
        let centre = self.read(Bench::centre);
        centre.into_iter().for_each(|centre| self.crosshair.set(centre));
        self.refresh_slices();
        match self.first_to_do() {
            Some(plane) => self.go_to(plane),
            None => self.draw_all(),
        }
    }

    /// Loads a version that is asked for.
    pub(super) fn load_version(self, version: String) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        spawn_local(async move {
            match api::segmentation(&visit.case, &version).await {
                Ok(labels) => self.put(&visit, |bench| bench.segmentations.insert(version, labels)),
                Err(trouble) if self.is_shown(&visit) => self.complain(&trouble),
                Err(_) => {}
            }
        });
    }

    /// A job was queued; events may have told more of it already.
    fn learn_job(self, id: &CaseId, job: Job) {
        let known = self.read(|bench| bench.detail.summary.clone()).filter(|known| known.id == *id);
        if let Some(known) = known.filter(|known| known.job.as_ref().is_none_or(|known| known.id != job.id)) {
            self.hear_case(CaseSummary { job: Some(job), ..known });
        }
    }

    pub(super) fn refine(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        self.notice.set(None);
        spawn_local(async move {
            let saved = self.all_saved().await;
            if !self.is_shown(&visit) {
                return;
            }
            if !saved {
                self.trouble
                    .set(Some("Refinement waits: not all corrections have reached the server. Try again when they are saved.".into()));
                return;
            }
            match api::refine(&visit.case).await {
                Ok(job) => self.learn_job(&visit.case, job),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }
}

impl Session {
    /// The expert wants to go on: shows the slices that the refinement chose and goes to the first.
    pub(super) fn begin_round(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        self.flush();
        // Asked for once is enough.
        self.detail.update(|detail| detail.iter_mut().for_each(|detail| detail.next = None));
        spawn_local(async move {
            let answer = api::begin_round(&visit.case).await;
            if !self.is_shown(&visit) {
                return;
            }
            match answer {
                Ok(detail) => {
                    self.learn_detail(detail);
                    self.first_to_do().into_iter().for_each(|plane| self.go_to(plane));
                }
                Err(trouble) => {
                    self.complain(&trouble);
                    self.reload_case();
                }
            }
        });
    }
}

impl Link {
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
