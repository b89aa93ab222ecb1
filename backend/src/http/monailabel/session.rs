//! Sessions: images that are not in the datastore. Here every image is a case, so that nothing of the work is lost.

use actix_multipart::Multipart;
use actix_web::web::{Data, Json, Path};
use serde_json::{Value, json};

use super::super::people::Visitor;
use super::cases::case;
use super::datastore::new_case;
use super::{Parts, Refusal};

/// Seconds that clients are told a session lasts; it lasts as long as its case.
const EXPIRY_S: u32 = 7 * 24 * 3600;

/// A new case.
pub(super) async fn create(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<String>,
    form: Multipart,
) -> Result<Json<Value>, Refusal> {
    let case = new_case(&parts, &visitor, &path, form).await?;
    Ok(Json(json!({ "session_id": case.id, "session_info": described(case.id.as_str(), case.created_s) })))
}

/// What is known of it.
pub(super) async fn show(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let id = case(&parts, &visitor, &path.0, &path.1).await?;
    Ok(Json(described(id.as_str(), parts.store.summary(&id).await?.created_s)))
}

/// Clients end sessions without asking anybody; the case stays, with what was corrected in it.
pub(super) async fn end(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    case(&parts, &visitor, &path.0, &path.1).await?;
    Ok(Json(json!({})))
}

fn described(id: &str, created_s: i64) -> Value {
    json!({
        "name": id, "path": "", "image": format!("{id}.nii.gz"), "meta": {}, "create_ts": created_s,
        "last_access_ts": created_s, "expiry": EXPIRY_S,
    })
}
