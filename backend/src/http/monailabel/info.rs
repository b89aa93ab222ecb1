//! What the server offers, in the form that each client can read.

use actix_web::web::{Data, Json, Path};
use serde_json::{Value, json};
use shared::case::Stage;

use super::super::people::Visitor;
use super::cases::{bundle, label_names, of_bundle};
use super::{Parts, Refusal};

/// The model that segments.
pub(super) const SEGMENTATION: &str = "segmentation";
/// The model that refines.
pub(super) const REFINEMENT: &str = "refinement";

/// Models, strategies, how far cases are. `labels` at the top is a list: OHIF pushes to it, MITK reads a vector. There
/// is no `config` at the top: Slicer would take the server for an old one.
pub(super) async fn show(parts: Data<Parts>, visitor: Visitor, path: Path<String>) -> Result<Json<Value>, Refusal> {
    let bundle = bundle(&parts, &path).await?;
    let cases = of_bundle(&parts, &visitor, &bundle.name).await?;
    let done = cases.iter().filter(|case| case.stage == Stage::Refined).count();
    let segmented = cases.iter().filter(|case| case.stage != Stage::Presegmenting).count();
    let names: Vec<&str> = bundle.labels.0.iter().map(|label| label.name.as_str()).collect();
    let model = |kind: &str, description: String| {
        json!({
            "type": kind, "labels": label_names(&bundle.labels), "dimension": 3, "description": description,
            "config": {},
        })
    };
    let strategy = |description: &str| json!({ "description": description });
    Ok(Json(json!({
        "name": format!("i3Deep {}", bundle.name),
        "description": bundle.task,
        "version": env!("CARGO_PKG_VERSION"),
        "labels": names,
        "models": {
            // Only `scribbles` makes Slicer send labels along.
            SEGMENTATION: model("segmentation", format!("{}, without help", bundle.task)),
            REFINEMENT: model("scribbles", format!("{}, from the slices that were edited", bundle.task)),
        },
        "trainers": {},
        "strategies": {
            "first": strategy("The oldest case that nobody has corrected"),
            "uncertainty": strategy("The case whose segmentation is least certain"),
            "random": strategy("Any case that nobody has corrected"),
        },
        "scoring": {},
        "train_stats": {},
        "datastore": {
            "total": cases.len(), "completed": done, "label_tags": { "original": segmented, "final": done },
        },
    })))
}
