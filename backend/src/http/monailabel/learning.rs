//! Which case is next.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use serde_json::{Value, json};
use shared::api::{CaseSummary, ErrorCode};
use shared::case::Stage;

use super::super::people::Visitor;
use super::cases::of_bundle;
use super::{Parts, Refusal, datastore};
use crate::scan_io::SeriesReference;
use crate::store::Sealed;

/// Most cases whose uncertainty is looked at for one answer, the oldest first.
const COMPARED: usize = 32;

/// A case that is segmented and that nobody has corrected; `{}` if there is none left.
pub(super) async fn next(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (bundle, strategy) = path.into_inner();
    let mut waiting = of_bundle(&parts, &visitor, &bundle).await?;
    waiting.retain(|case| case.stage == Stage::Correcting && case.slices_done == 0);
    // The oldest first.
    waiting.reverse();
    let chosen = match strategy.as_str() {
        "first" => waiting.into_iter().next(),
        "random" => {
            let number = uuid::Uuid::new_v4().as_u128() % (waiting.len().max(1) as u128);
            waiting.into_iter().nth(number as usize)
        }
        "uncertainty" => least_certain(&parts, waiting).await?,
        other => {
            let message = format!("there is no strategy {other:?}; there are first, random and uncertainty");
            return Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message));
        }
    };
    let Some(case) = chosen else { return Ok(Json(json!({}))) };
    let mut said = datastore::described(&parts, &case).await?;
    said["id"] = json!(case.id);
    // Slicer would open this path on its own disk if it were there.
    said["path"] = json!(format!("/i3deep/{}.nii.gz", case.id));
    // OHIF opens the study of this series; of whom it is, its PACS says.
    if let Some(Sealed(reference)) = parts.store.series_reference(&case.id).await?
        && let Ok(reference) = serde_json::from_str::<SeriesReference>(&reference)
    {
        let (study, series) = reference.identifiers();
        said["StudyInstanceUID"] = json!(study);
        said["SeriesInstanceUID"] = json!(series);
    }
    Ok(Json(said))
}

/// The case whose uncertainty is largest, as the mean over its voxels.
async fn least_certain(parts: &Parts, cases: Vec<CaseSummary>) -> Result<Option<CaseSummary>, Refusal> {
    let mut largest: Option<(f64, CaseSummary)> = None;
    for case in cases.into_iter().take(COMPARED) {
        let voxels = parts.store.blobs().get(&parts.store.uncertainty(&case.id).await?).await?;
        let mean = voxels.iter().map(|value| f64::from(*value)).sum::<f64>() / voxels.len().max(1) as f64;
        if largest.as_ref().is_none_or(|(most, _)| mean > *most) {
            largest = Some((mean, case));
        }
    }
    Ok(largest.map(|(_, case)| case))
}

/// Networks learn elsewhere: from one case's corrections, in its refinement. Clients take 404 for "is not running".
pub(super) async fn no_training() -> Refusal {
    let message = "nothing is trained here; a refinement may adapt to the case that it is for";
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
}
