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
use super::{SaveState, Session, Shown};
use crate::annotate::journal;
use crate::api;

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
        if let Some(id) = self.open_id() {
            self.reload_case(id);
        }
    }

    fn hear(self, event: Event) {
        match event {
            Event::Case(summary) => self.hear_case(summary),
            Event::Deleted { id } => {
                self.cases.update(|cases| cases.iter_mut().for_each(|cases| cases.retain(|case| case.id != id)));
                journal::forget(&id);
                if self.open_id().as_ref() == Some(&id) {
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
        let id = summary.id.clone();
        let arrived = before.stage != summary.stage || before.rounds != summary.rounds;
        self.notice_job_end(&before, &summary);
        self.change(|bench| bench.detail.summary = summary.clone());
        self.detail.update(|detail| detail.iter_mut().for_each(|detail| detail.summary = summary.clone()));
        if arrived {
            self.reload_case(id);
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
                (Err(trouble), _) | (_, Err(trouble)) if trouble.may_pass() => {
                    self.online.learn(false);
                    TimeoutFuture::new(RETRY_MS).await;
                    if self.cases.now_with(Option::is_none) {
                        self.load_list();
                    }
                }
                (Err(trouble), _) | (_, Err(trouble)) => self.complain(&trouble),
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
        spawn_local(async move {
            match api::case(&id).await {
                Ok(detail) => self.show_case(detail),
                Err(trouble) => {
                    self.loading.set(None);
                    self.missing.set(Some(trouble.to_string()));
                }
            }
        });
    }

    pub(super) fn close_case(self) {
        self.flush();
        self.bench.set_value(None);
        self.stage.update_value(Stage::forget_case);
        self.detail.set(None);
        self.missing.set(None);
        self.loading.set(None);
        self.slices.set(Vec::new());
        self.target.set(None);
        self.shown.set(Shown::default());
        self.save.set(SaveState::Saved);
        self.depth.set([0, 0]);
        self.probe.set(None);
        self.notice.set(None);
    }

    fn show_case(self, detail: CaseDetail) {
        let bench = Bench::new(detail.clone());
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
        self.detail.set(Some(detail.clone()));
        self.refresh_slices();
        self.draw_all();
        self.load_voxels(detail.summary.id);
    }

    /// The case has come further: new versions, new slices. What the expert paints stays.
    fn reload_case(self, id: CaseId) {
        spawn_local(async move {
            let Ok(detail) = api::case(&id).await else { return };
            if self.open_id().as_ref() != Some(&id) {
                return;
            }
            let before = self.change(|bench| std::mem::replace(&mut bench.detail, detail.clone()));
            before.into_iter().for_each(|before| self.notice_job_end(&before.summary, &detail.summary));
            self.detail.set(Some(detail));
            self.refresh_slices();
            self.load_voxels(id);
        });
    }

    /// Fetches what is not here yet, the image first so that there is something to see.
    fn load_voxels(self, id: CaseId) {
        spawn_local(async move {
            if let Err(trouble) = self.try_load_voxels(&id).await
                && self.open_id().as_ref() == Some(&id)
            {
                self.complain(&trouble);
            }
            self.loading.set(None);
        });
    }

    async fn try_load_voxels(self, id: &CaseId) -> api::Answer<()> {
        if self.read(|bench| bench.image.is_none()) == Some(true) {
            self.loading.set(Some("Loading the scan…"));
            let image = api::image(id, 0).await?;
            self.put(id, |bench| bench.image = Some(image));
        }
        let wanted = self.read(|bench| bench.detail.versions.clone()).unwrap_or_default();
        let known: HashSet<String> = self.read(|bench| bench.segmentations.keys().cloned().collect()).unwrap_or_default();
        let first = known.is_empty();
        // The newest first, then the one it is compared with; older ones when asked for.
        for version in wanted.into_iter().rev().take(2).filter(|version| !known.contains(version)) {
            self.loading.set(Some("Loading the segmentation…"));
            let labels = api::segmentation(id, &version).await?;
            self.put(id, |bench| bench.segmentations.insert(version, labels));
        }
        if first && self.read(|bench| !bench.segmentations.is_empty()) == Some(true) {
            self.begin_work();
        }
        let has_segmentation = self.read(|bench| !bench.detail.versions.is_empty()) == Some(true);
        if has_segmentation && self.read(|bench| bench.uncertainty.is_none()) == Some(true) {
            self.loading.set(Some("Loading the uncertainty…"));
            let uncertainty = api::uncertainty(id).await?;
            self.put(id, |bench| bench.uncertainty = Some(uncertainty));
        }
        Ok(())
    }

    /// Stores voxels if the case is still the open one, and shows them.
    fn put<T>(self, id: &CaseId, store: impl FnOnce(&mut Bench) -> T) {
        if self.open_id().as_ref() == Some(id) {
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
        let Some(id) = self.open_id() else { return };
        spawn_local(async move {
            match api::segmentation(&id, &version).await {
                Ok(labels) => self.put(&id, |bench| bench.segmentations.insert(version, labels)),
                Err(trouble) => self.complain(&trouble),
            };
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
        let Some(id) = self.open_id() else { return };
        self.notice.set(None);
        spawn_local(async move {
            if !self.all_saved().await {
                self.trouble
                    .set(Some("Refinement waits: not all corrections have reached the server. Try again when they are saved.".into()));
                return;
            }
            match api::refine(&id).await {
                Ok(job) => self.learn_job(&id, job),
                Err(trouble) => self.complain(&trouble),
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
