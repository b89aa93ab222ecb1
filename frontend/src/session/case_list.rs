//! The case list: sending scans, deleting cases, stopping jobs.

use std::collections::BTreeMap;

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{BundleInfo, CaseSummary, Event, Forecast, Note};
use shared::case::{CaseId, Job, JobId, Stage};

use super::Session;
use super::batch::{Sending, Untaken};
use super::fact::Fact;
use super::link::RETRY_MS;
use crate::api::{self, Trouble};

/// What the page at `/` shows.
#[derive(Clone, Copy)]
pub(crate) struct CaseList {
    /// The cases, once they are known.
    pub(crate) cases: Fact<Option<Vec<CaseSummary>>>,
    /// The bundles offered, once they are known.
    pub(crate) bundles: Fact<Option<Vec<BundleInfo>>>,
    /// How far sending is.
    pub(crate) upload: Fact<Option<Sending>>,
    /// Scans that were not taken.
    pub(crate) untaken: Fact<Vec<Untaken>>,
    /// Uploads that are over, so that the form knows when to empty itself.
    pub(crate) uploaded: Fact<u32>,
    /// Slices of each case that this computer has and the server has not.
    pub(crate) unsent: Fact<BTreeMap<CaseId, usize>>,
    /// Whom cases can be given to; nobody where there are no accounts, or where the person at the screen gives none.
    pub(crate) people: Fact<Vec<String>>,
    /// What jobs would come to now.
    pub(crate) forecasts: Fact<Vec<Forecast>>,
    /// The case that was deleted last while this page was open; it can be brought back.
    pub(crate) binned: Fact<Option<CaseSummary>>,
}

impl CaseList {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            cases: Fact::new(None),
            bundles: Fact::new(None),
            upload: Fact::new(None),
            untaken: Fact::new(Vec::new()),
            uploaded: Fact::new(0),
            unsent: Fact::new(BTreeMap::new()),
            people: Fact::new(Vec::new()),
            forecasts: Fact::new(Vec::new()),
            binned: Fact::new(None),
        }
    }
}

impl Session {
    /// Asks for the case list and the bundles until the server answers.
    pub(super) fn load_list(self) {
        spawn_local(async move {
            match (api::cases().await, api::bundles().await) {
                (Ok(cases), Ok(bundles)) => {
                    self.list.cases.set(Some(cases));
                    self.list.bundles.learn(Some(bundles));
                    self.learn_online(true);
                    self.load_forecasts();
                    self.load_people().await;
                }
                (Err(trouble), _) | (_, Err(trouble)) => {
                    match trouble {
                        Trouble::Unreachable => self.learn_online(false),
                        Trouble::Refused { .. } => self.complain(&trouble),
                    }
                    if trouble.may_pass() {
                        TimeoutFuture::new(RETRY_MS).await;
                        if self.list.cases.now_with(Option::is_none) {
                            self.load_list();
                        }
                    }
                }
            }
        });
    }

    /// Sends scans, one after the other. One that is refused does not hold up the others.
    pub(super) fn send_scans(self, uploads: Vec<api::Upload>) {
        // What stands alone in the form can be mended there and sent again.
        let stays_in_form = uploads.len() == 1;
        self.send_all(uploads, stays_in_form);
    }

    /// Sends again what was not taken.
    pub(super) fn send_again(self) {
        self.send_all(self.untaken.with_value(Clone::clone), false);
    }

    fn send_all(self, uploads: Vec<api::Upload>, stays_in_form: bool) {
        if self.list.upload.now().is_some() || uploads.is_empty() {
            return;
        }
        self.messages.trouble.set(None);
        self.forget_untaken();
        let of = uploads.len();
        self.list.upload.set(Some(Sending { at: 1, of, share: 0.0 }));
        spawn_local(async move {
            let mut last = None;
            for (at, upload) in (1..).zip(uploads) {
                let heard = move |share| self.list.upload.set(Some(Sending { at, of, share }));
                heard(0.0);
                match api::upload(&upload, heard).await {
                    Ok(summary) => self.hear_case(summary),
                    Err(trouble) => {
                        let file = upload.images.first().map(|file| file.name()).unwrap_or_default();
                        self.list.untaken.update(|all| all.push(Untaken { file, why: trouble.to_string() }));
                        self.untaken.update_value(|all| all.push(upload));
                        last = Some(trouble);
                    }
                }
            }
            self.list.upload.set(None);
            match last {
                Some(trouble) if stays_in_form => {
                    self.forget_untaken();
                    self.complain(&trouble);
                }
                _ => self.list.uploaded.update(|count| *count += 1),
            }
        });
    }

    /// What was not taken is given up.
    pub(super) fn forget_untaken(self) {
        self.list.untaken.learn(Vec::new());
        self.untaken.set_value(Vec::new());
    }

    /// What jobs would come to now. Without an answer nothing is foretold.
    pub(super) fn load_forecasts(self) {
        spawn_local(async move {
            if let Ok(forecasts) = api::forecasts().await {
                self.list.forecasts.learn(forecasts);
            }
        });
    }

    /// Whom cases can be given to. Without an answer the list shows whom they were given to, and gives none.
    async fn load_people(self) {
        if api::me().await.is_ok_and(|me| me.role.sees_all())
            && let Ok(people) = api::people().await
        {
            let working = people.into_iter().filter(|person| !person.disabled);
            self.list.people.learn(working.map(|person| person.name).collect());
        }
    }

    /// Where the small picture of a case is; another address once the case has come further.
    pub(crate) fn picture_of(&self, case: &CaseSummary) -> String {
        let is_segmented = case.stage != Stage::Presegmenting;
        format!("{}?{}-{}", api::thumbnail_url(&case.id), case.rounds, u8::from(is_segmented))
    }

    /// Writes a note on a case. What the server has not taken is told, and stays in its field.
    pub(super) fn set_note(self, id: CaseId, note: String) {
        spawn_local(async move {
            if let Err(trouble) = api::set_note(&id, &Note { note }).await {
                self.complain(&trouble);
            }
        });
    }

    /// Gives a case to somebody, or to nobody.
    pub(super) fn give_case(self, id: CaseId, to: Option<String>) {
        spawn_local(async move {
            if let Err(trouble) = api::assign(&id, to.as_slice()).await {
                self.complain(&trouble);
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

    /// Takes a case out of the bin; what this computer has and the server has not is sent then.
    pub(super) fn bring_case_back(self, id: CaseId) {
        spawn_local(async move {
            match api::restore_case(&id).await {
                Ok(summary) => self.hear_case(summary),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    pub(super) fn retry_job(self, job: JobId) {
        self.messages.trouble.set(None);
        spawn_local(async move {
            match api::retry(job).await {
                Ok(again) => self.learn_retry(job, again),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    /// Shows at once that a job is tried again.
    fn learn_retry(self, failed: JobId, again: Job) {
        let is_its = |case: &&CaseSummary| case.job.as_ref().is_some_and(|job| job.id == failed);
        let listed = self.list.cases.now_with(|cases| cases.iter().flatten().find(is_its).cloned());
        let open = || self.read(|bench| bench.detail.summary.clone()).filter(|case| is_its(&case));
        if let Some(case) = listed.or_else(open) {
            self.hear_case(CaseSummary { job: Some(again), ..case });
        }
    }

    pub(super) fn cancel_job(self, job: JobId) {
        spawn_local(async move {
            if let Err(trouble) = api::cancel(job).await {
                self.complain(&trouble);
            }
        });
    }
}
