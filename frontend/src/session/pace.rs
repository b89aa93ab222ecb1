//! How long jobs have taken, as far as this browser has watched them, to say beforehand how long the next one takes.

use std::collections::BTreeMap;

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use shared::api::CaseSummary;
use shared::case::{Job, JobId, JobKind, JobState};

use super::Session;
use crate::browser::storage::Area;

/// Where it is kept.
const PACES: &str = "i3deep/paces";
/// A job that had come farther when it was first seen was not watched from its beginning.
const BEGINNING: f32 = 0.05;

/// Milliseconds that jobs took for each voxel, by bundle and kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Paces(BTreeMap<String, f64>);

impl Paces {
    fn kept() -> Self {
        Area::shared().get(PACES).and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default()
    }

    fn key(bundle: &str, kind: JobKind) -> String {
        format!("{}/{bundle}", kind.name())
    }
}

/// A job that is watched from its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Watch {
    job: JobId,
    since_ms: f64,
}

/// What is watched after news of a job, and how long it took if it is done and was watched from its beginning.
fn watched(before: Option<Watch>, job: &Job, now_ms: f64) -> (Option<Watch>, Option<f64>) {
    let known = before.filter(|watch| watch.job == job.id);
    match job.state {
        JobState::Running if known.is_none() && job.progress < BEGINNING => {
            (Some(Watch { job: job.id, since_ms: now_ms }), None)
        }
        JobState::Running => (known, None),
        JobState::Done => (None, known.map(|watch| now_ms - watch.since_ms)),
        _ => (None, None),
    }
}

/// A length of time as one says it beforehand.
pub(crate) fn time_text(seconds: f64) -> String {
    match seconds {
        ..45.0 => "less than a minute".to_owned(),
        ..90.0 => "about a minute".to_owned(),
        ..3600.0 => format!("about {:.0} minutes", seconds / 60.0),
        _ => format!("about {:.1} hours", seconds / 3600.0),
    }
}

impl Session {
    /// News of the open case's job.
    pub(super) fn watch_job(self, summary: &CaseSummary) {
        let Some(job) = &summary.job else { return };
        let (watch, took_ms) = watched(self.watch.get_value(), job, js_sys::Date::now());
        self.watch.set_value(watch);
        let voxels = self.read(|bench| bench.geometry().voxel_count() as f64);
        if let (Some(took_ms), Some(voxels)) = (took_ms, voxels) {
            let mut paces = Paces::kept();
            paces.0.insert(Paces::key(&summary.bundle, job.kind), took_ms / voxels.max(1.0));
            // Where nothing can be kept, nothing is said beforehand.
            let _ = Area::shared().set(PACES, &serde_json::to_string(&paces).unwrap_or_default());
        }
    }

    /// How long a job of the open case is likely to take; nothing where none of its kind was watched yet.
    pub(crate) fn expected_time(self, kind: JobKind) -> Option<String> {
        let (bundle, voxels) =
            self.read(|bench| (bench.detail.summary.bundle.clone(), bench.geometry().voxel_count() as f64))?;
        let pace = Paces::kept().0.get(&Paces::key(&bundle, kind)).copied()?;
        Some(format!("{} on this server, as the last one", time_text(pace * voxels / 1000.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: i64, state: JobState, progress: f32) -> Job {
        Job { id: JobId(id), kind: JobKind::Refine, state, progress, message: String::new(), ahead: None }
    }

    #[test]
    fn a_job_is_timed_from_its_beginning_or_not_at_all() {
        fn check(news: &[(i64, JobState, f32, f64)], expected: Option<f64>) {
            let mut watch = None;
            let mut took = None;
            for (id, state, progress, now_ms) in news {
                (watch, took) = watched(watch, &job(*id, *state, *progress), *now_ms);
            }
            assert_eq!(took, expected, "{news:?}");
        }
        use JobState::{Cancelled, Done, Queued, Running};
        check(
            &[(1, Queued, 0.0, 0.0), (1, Running, 0.0, 5.0), (1, Running, 0.5, 9.0), (1, Done, 1.0, 25.0)],
            Some(20.0),
        );
        check(&[(1, Running, 0.4, 0.0), (1, Done, 1.0, 9.0)], None);
        check(&[(1, Running, 0.0, 0.0), (2, Done, 1.0, 9.0)], None);
        check(&[(1, Running, 0.0, 0.0), (1, Cancelled, 0.5, 9.0), (1, Done, 1.0, 10.0)], None);
        check(
            &[(1, Running, 0.0, 0.0), (1, Queued, 0.0, 3.0), (1, Running, 0.0, 10.0), (1, Done, 1.0, 14.0)],
            Some(4.0),
        );
    }
}
