//! The case list: sending scans, deleting cases, stopping jobs.

use std::collections::BTreeMap;

use gloo::timers::future::TimeoutFuture;
use leptos::task::spawn_local;
use shared::api::{BundleInfo, CaseSummary, Event};
use shared::case::{CaseId, JobId};

use super::Session;
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
    /// Share of the upload under way that is sent.
    pub(crate) upload: Fact<Option<f64>>,
    /// Uploads that succeeded, so that the form knows when to empty itself.
    pub(crate) uploaded: Fact<u32>,
    /// Slices of each case that this computer has and the server has not.
    pub(crate) unsent: Fact<BTreeMap<CaseId, usize>>,
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
            uploaded: Fact::new(0),
            unsent: Fact::new(BTreeMap::new()),
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

    pub(super) fn send_scan(self, upload: api::Upload) {
        self.messages.trouble.set(None);
        self.list.upload.set(Some(0.0));
        spawn_local(async move {
            let answer = api::upload(&upload, move |share| self.list.upload.set(Some(share))).await;
            self.list.upload.set(None);
            match answer {
                Ok(summary) => {
                    self.list.uploaded.update(|count| *count += 1);
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

    /// Takes a case out of the bin; what this computer has and the server has not is sent then.
    pub(super) fn bring_case_back(self, id: CaseId) {
        spawn_local(async move {
            match api::restore_case(&id).await {
                Ok(summary) => self.hear_case(summary),
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
}
