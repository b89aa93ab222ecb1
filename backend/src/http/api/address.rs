//! What the addresses of several routes name.

use serde::Deserialize;
use shared::case::CaseId;
use shared::geometry::{Axis, Plane};
use utoipa::IntoParams;

use super::Refusal;

/// A plane of a case.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfPlane {
    /// The case.
    pub(super) id: CaseId,
    /// What the plane is perpendicular to.
    #[param(value_type = Axis)]
    axis: String,
    /// Which plane along it.
    index: usize,
}

impl OfPlane {
    /// # Errors
    /// When there is no such axis: then there is no such address.
    pub(super) fn plane(&self) -> Result<Plane, Refusal> {
        plane(&self.axis, self.index)
    }
}

/// Something that was said of a plane.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfSliceVersion {
    /// The case.
    pub(super) id: CaseId,
    /// What the plane is perpendicular to.
    #[param(value_type = Axis)]
    axis: String,
    /// Which plane along it.
    index: usize,
    /// Which version.
    pub(super) version: i64,
}

impl OfSliceVersion {
    /// # Errors
    /// When there is no such axis: then there is no such address.
    pub(super) fn plane(&self) -> Result<Plane, Refusal> {
        plane(&self.axis, self.index)
    }
}

/// A segmentation of a case.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfSegmentation {
    /// The case.
    pub(super) id: CaseId,
    /// `presegmentation` or `refinement-N`
    pub(super) version: String,
}

fn plane(axis: &str, index: usize) -> Result<Plane, Refusal> {
    let axis: Axis = axis.parse().map_err(|_| Refusal::no_such_route())?;
    Ok(Plane { axis, index })
}
