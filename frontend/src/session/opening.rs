//! Opening a case, and fetching what there is to see of it.

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::CaseDetail;
use shared::case::CaseId;

use super::bench::Bench;
use super::fact::Fact;
use super::lease::Lease;
use super::link::RETRY_MS;
use super::stage::Stage;
use super::visit::{Door, Visit};
use super::{Effort, Session, Shown};
use crate::api::{self, Trouble};

/// The open case.
#[derive(Clone, Copy)]
pub(crate) struct OpenCase {
    /// What the server says about it.
    pub(crate) detail: Fact<Option<CaseDetail>>,
    /// Why it cannot be opened.
    pub(crate) missing: Fact<Option<String>>,
    /// What is still on its way from the server, in words; nothing when all is there.
    pub(crate) loading: Fact<Option<&'static str>>,
    /// The share of its voxels that has arrived; nothing when all is there.
    pub(crate) arrived: Fact<Option<f64>>,
    /// Which tab works on it.
    pub(crate) lease: Fact<Lease>,
}

impl OpenCase {
    /// No case is open.
    pub(super) fn new() -> Self {
        Self {
            detail: Fact::new(None),
            missing: Fact::new(None),
            loading: Fact::new(None),
            arrived: Fact::new(None),
            lease: Fact::new(Lease::Open),
        }
    }
}

impl Session {
    pub(super) fn open_case(self, id: CaseId) {
        self.close_case();
        self.case.loading.set(Some("Opening the case…"));
        let Some(visit) = self.door.try_update_value(|door| door.open(id)) else { return };
        spawn_local(async move {
            // What an earlier page has left belongs to the first picture; so does what an earlier visit could not send.
            self.until_unsent_are_looked_after().await;
            self.await_the_dying(&visit.case).await;
            self.take_over(&visit.case).await;
            while self.wanted().as_ref() == Some(&visit) {
                match api::case(&visit.case).await {
                    // Asked for a visit that is over: what was taken over waits in the journal.
                    _ if self.wanted().as_ref() != Some(&visit) => return,
                    Ok(detail) => return self.show_case(visit, detail),
                    Err(trouble) if trouble.may_pass() => {
                        self.learn_online(trouble != Trouble::Unreachable);
                        self.case.loading.set(Some("The server does not answer; trying again…"));
                        TimeoutFuture::new(RETRY_MS).await;
                    }
                    Err(trouble) => {
                        self.case.loading.set(None);
                        self.case.missing.set(Some(trouble.to_string()));
                        return;
                    }
                }
            }
        });
    }

    pub(super) fn close_case(self) {
        self.end_stroke();
        self.flush();
        self.note_effort(true);
        self.close_changes();
        self.drop_lease();
        self.door.update_value(Door::close);
        self.bench.set_value(None);
        self.stage.update_value(Stage::forget_case);
        self.case.detail.set(None);
        self.case.missing.set(None);
        self.case.loading.set(None);
        self.end_fetches();
        self.rounds.slices.set(Vec::new());
        self.rounds.effort.set(Effort::default());
        self.rounds.target.set(None);
        self.viewing.shown.set(Shown::default());
        self.viewing.format.set(None);
        self.viewing.channel.set(0);
        self.viewing.blend.set(None);
        self.forget_surfaces();
        self.painting.depth.set([0, 0]);
        self.viewing.probe.set(None);
        self.messages.notice.set(None);
        self.saving.versions.set(None);
        self.refresh_save_state();
        self.look_after_unsent();
    }

    fn show_case(self, visit: Visit, detail: CaseDetail) {
        let detail = self.coloured(detail);
        let left = self.noted_of(&visit.case);
        let bench = Bench::new(visit.clone(), detail.clone());
        self.viewing.crosshair.set(bench.centre());
        if let Some(window) = detail.images.first().map(|image| image.window) {
            self.viewing.window.set(window);
        }
        let first_label = detail.labels.0.first().map_or(1, |label| label.value);
        self.painting.label.set(first_label);
        let spacing = detail.geometry.spacing_mm;
        let finest = spacing.into_iter().fold(f64::INFINITY, f64::min);
        self.painting.brush_mm.set((finest * 5.0 * 2.0).round() / 2.0);
        self.bench.set_value(Some(bench));
        self.begin_effort_log(&detail.effort);
        self.learn_patterns();
        self.resume(left, &detail);
        self.recall_steps();
        self.ask_for_lease(visit);
        self.stage.update_value(|stage| stage.show_case(&detail.geometry, self.viewing.convention.now()));
        self.case.detail.set(Some(detail));
        self.refresh_slices();
        self.look_ahead();
        self.draw_all();
        self.load_voxels();
        self.take_what_is_left();
    }

    /// The case has come further: new versions, new slices, corrections from other windows. What the expert is painting
    /// stays.
    pub(super) fn reload_case(self) {
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
    pub(super) fn learn_detail(self, detail: CaseDetail) {
        let detail = self.coloured(detail);
        let before = self.change(|bench| std::mem::replace(&mut bench.detail, detail.clone()));
        if let Some(before) = before {
            self.notice_job_end(&before.summary, &detail.summary);
            if before.labels != detail.labels {
                self.learn_patterns();
            }
        }
        self.case.detail.set(Some(detail));
        if self.change(Bench::catch_up) == Some(true) {
            self.corrections_replaced();
        }
        self.follow_decisions();
        self.refresh_slices();
        self.load_voxels();
    }

    /// The segmentation is here: goes to the first slice that is to be done.
    pub(super) fn begin_work(self) {
        let centre = self.read(Bench::centre);
        centre.into_iter().for_each(|centre| self.viewing.crosshair.set(centre));
        self.refresh_slices();
        match self.first_to_do() {
            Some(plane) => self.go_to(plane),
            None => self.draw_all(),
        }
    }
}
