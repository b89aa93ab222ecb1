//! From uncertainty and presegmentation to the slices worth correcting: [`profiles`] sums the volumes up, [`rank`]
//! chooses by the sums.
//!
//! Looks upstream only: what the expert said reaches it as the names of planes already corrected, never as labels.

mod by_label;
mod cells;
mod profiles;
mod rank;
mod settle;
mod sums;

use shared::acquisition::{AcquisitionParams, MIN_PLANES, SliceList, Strategy};
use shared::geometry::{GridDifference, Plane};
use shared::label::Label;
use shared::volume::Volume;
use thiserror::Error;

use by_label::by_label;
use cells::{CellComponents, CellGrid};
use sums::Voxels;

pub use profiles::{AxisProfile, Component, LabelProfile, MAX_BLOCKS, Profiles};
pub use rank::{published_planes, rank, suppress};

/// Why slices cannot be chosen.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum AcquireError {
    /// The two volumes are not of one case.
    #[error("the presegmentation {0}, on which the uncertainty lies; both must lie on the scan's grid")]
    DifferentGrids(GridDifference),
}

/// Chooses and ranks slices. Planes in `settled` were corrected in earlier rounds: they count as known and are not
/// offered again.
///
/// # Errors
/// [`AcquireError::DifferentGrids`].
pub fn acquire(
    uncertainty: &Volume<f32>,
    presegmentation: &Volume<Label>,
    params: &AcquisitionParams,
    settled: &[Plane],
) -> Result<SliceList, AcquireError> {
    acquire_at_least(MIN_PLANES, uncertainty, presegmentation, params, settled)
}

/// The same with another number of planes that is offered even where the budget allows less.
///
/// # Errors
/// [`AcquireError::DifferentGrids`].
pub fn acquire_at_least(
    fewest: usize,
    uncertainty: &Volume<f32>,
    presegmentation: &Volume<Label>,
    params: &AcquisitionParams,
    settled: &[Plane],
) -> Result<SliceList, AcquireError> {
    let mut profiles = profiles(uncertainty, presegmentation)?;
    if params.strategy == Strategy::ClassStratified {
        profiles.by_label = by_label(uncertainty, presegmentation);
    }
    Ok(rank(&profiles, params, settled, fewest))
}

/// Sums the volumes up. The result does not depend on the number of threads. Uncertainty that is negative or not finite
/// counts as none.
///
/// # Errors
/// [`AcquireError::DifferentGrids`].
pub fn profiles(uncertainty: &Volume<f32>, presegmentation: &Volume<Label>) -> Result<Profiles, AcquireError> {
    let geometry = uncertainty.geometry().clone();
    let dims = geometry.dims;
    presegmentation.geometry().check_same_grid(&geometry).map_err(AcquireError::DifferentGrids)?;
    let voxels = Voxels { uncertainty: uncertainty.voxels(), labels: presegmentation.voxels(), dims };
    let grid = CellGrid::new(dims);
    let found = CellComponents::of(&grid, &grid.cells(&voxels));
    let weights = (found.components.len() > 1).then(|| found.weights());
    let axes = voxels.axis_profiles(&|y, z, row: &mut [f32]| {
        let Some(weights) = &weights else { return };
        let start = grid.cell_of([0, y, z]);
        for (x, u) in row.iter_mut().enumerate() {
            *u *= weights[start + x / grid.edge];
        }
    });
    let mut components: Vec<Component> =
        found.components.into_iter().map(|component| component.described(&grid)).collect();
    components.sort_by_key(|c| std::cmp::Reverse(c.voxels));
    Ok(Profiles { geometry, axes, components, by_label: Vec::new() })
}

#[cfg(test)]
mod tests;
