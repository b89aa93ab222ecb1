//! Images of the protocol are cases of one bundle.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use shared::api::{BundleInfo, CaseDetail, CaseSummary, ErrorCode, Event};
use shared::case::{CaseId, Job, JobState};
use shared::label::{Label, LabelSet};
use shared::shown::as_shown;
use shared::volume::Volume;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::super::api::visible;
use super::super::people::Visitor;
use super::{Parts, Refusal};
use crate::store::StoreError;

/// How long a client waits for a computation; 3D Slicer itself waits without end.
const WORK_LIMIT: Duration = Duration::from_secs(600);

/// The bundle that the address names.
pub(super) async fn bundle(parts: &Parts, name: &str) -> Result<BundleInfo, Refusal> {
    let (bundles, wanted) = (parts.bundles.clone(), name.to_owned());
    let found = actix_web::web::block(move || bundles.list().into_iter().find(|bundle| bundle.name == wanted));
    let found = found.await.map_err(|error| Refusal::internal(&error))?;
    found.ok_or_else(|| {
        let message = format!("there is no bundle {name:?}; the address is /monailabel/BUNDLE");
        Refusal::new(StatusCode::NOT_FOUND, ErrorCode::UnknownBundle, message)
    })
}

/// The visitor's cases of a bundle, newest first.
pub(super) async fn of_bundle(parts: &Parts, visitor: &Visitor, bundle: &str) -> Result<Vec<CaseSummary>, Refusal> {
    let mut cases = visible(parts, visitor).await?;
    cases.retain(|case| case.bundle == bundle);
    Ok(cases)
}

/// A case of the bundle that is the visitor's to see.
pub(super) async fn case(parts: &Parts, visitor: &Visitor, bundle: &str, id: &str) -> Result<CaseId, Refusal> {
    let id = CaseId::from(id);
    let missing = || StoreError::NotFound("such image");
    if !visitor.sees(parts, id.as_str()).await? || parts.store.summary(&id).await?.bundle != bundle {
        return Err(missing().into());
    }
    Ok(id)
}

/// The newest case of the bundle that came from a series and is the visitor's to see.
pub(super) async fn of_series(
    parts: &Parts,
    visitor: &Visitor,
    bundle: &str,
    series: &str,
) -> Result<Option<CaseId>, Refusal> {
    for id in parts.store.cases_of_series(series).await? {
        if visitor.sees(parts, id.as_str()).await? && parts.store.summary(&id).await?.bundle == bundle {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Whether an image is called by the UID of its series, as OHIF does, and not by its case's id.
pub(super) fn is_series(image: &str) -> bool {
    image.contains('.')
}

/// The labels by name, as the protocol has them.
pub(super) fn label_names(labels: &LabelSet) -> Value {
    labels.0.iter().map(|label| (label.name.clone(), json!(label.value))).collect::<Map<_, _>>().into()
}

/// Waits until nothing is computed for a case; answers how its latest job ended.
pub(super) async fn settled(parts: &Parts, id: &CaseId) -> Result<Option<Job>, Refusal> {
    let mut events = parts.store.listen();
    let until = Instant::now() + WORK_LIMIT;
    loop {
        let job = parts.store.summary(id).await?.job;
        if job.as_ref().is_none_or(|job| job.state.is_terminal()) {
            return Ok(job);
        }
        loop {
            match timeout_at(until, events.recv()).await {
                Ok(Ok(Event::Case(case))) if case.id != *id => {}
                // Whoever falls behind looks again.
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) | Err(_) => return Err(Refusal::busy("the computation takes long")),
            }
        }
    }
}

/// Waits until a case's latest job has ended well.
pub(super) async fn finished(parts: &Parts, id: &CaseId) -> Result<(), Refusal> {
    match settled(parts, id).await? {
        Some(job) if job.state != JobState::Done => {
            let message = format!("the computation did not finish: {}", job.message);
            Err(Refusal::new(StatusCode::CONFLICT, ErrorCode::NotNow, message))
        }
        _ => Ok(()),
    }
}

/// What a case's segmentation has been, the presegmentation first, and last as the workbench shows it now; never
/// nothing.
pub(super) async fn states(parts: &Parts, detail: &CaseDetail) -> Result<Vec<Volume<Label>>, Refusal> {
    let mut states = Vec::new();
    for version in &detail.versions {
        let blobs = parts.store.segmentation(&detail.summary.id, version).await?;
        let labels = parts.store.blobs().get(&blobs.labels).await?.to_vec();
        states.push(Volume::new(detail.geometry.clone(), labels).map_err(|error| Refusal::internal(&error))?);
    }
    let nothing_yet = StoreError::NotNow("the presegmentation has not finished");
    let (version, newest) = detail.versions.last().zip(states.last().cloned()).ok_or(nothing_yet)?;
    let now = as_shown(detail, version, newest).map_err(|error| Refusal::internal(&error))?;
    states.push(now);
    Ok(states)
}
