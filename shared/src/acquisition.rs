//! Choosing slices: from a case's uncertainty to the few planes that are worth an expert's time. Never sees a label that the expert drew.

use serde::{Deserialize, Serialize};

use crate::geometry::{Axis, Geometry, Plane};

/// How slices are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Ours: one budget over all axes; a plane's gain is the uncertainty it would settle that chosen planes have not settled.
    #[default]
    Greedy,
    /// The published method (V7) as intended.
    Published,
    /// Uniformly random planes.
    Random,
    /// Evenly spaced planes through the volume.
    Equidistant,
    /// Evenly spaced planes through the presegmented foreground.
    EquidistantForeground,
    /// The planes through the middle of each connected component of the presegmentation.
    ComponentCentre,
}

/// What the choice depends on beside the volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcquisitionParams {
    /// How to choose.
    pub strategy: Strategy,
    /// Share of the axial planes with presegmented foreground that may be spent, over all axes together; at least [`MIN_PLANES`] planes are offered.
    pub budget: f64,
    /// Weight of each anatomical axis (sagittal, coronal, axial); 0 switches it off.
    pub axis_weights: [f64; 3],
    /// Seed of the strategies that draw.
    pub seed: u64,
}

/// Slices offered even where the budget would allow fewer.
pub const MIN_PLANES: usize = 3;

impl Default for AcquisitionParams {
    fn default() -> Self {
        Self { strategy: Strategy::default(), budget: 0.2, axis_weights: [1.0; 3], seed: 0 }
    }
}

/// A plane offered to the expert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedSlice {
    /// Anatomical axis.
    pub axis: Axis,
    /// Voxel index along the stored axis.
    pub index: usize,
    /// What the strategy ranked by; comparable within a list only.
    pub score: f64,
    /// 1 is the first to look at.
    pub rank: usize,
    /// Share (0 to 1) of the case's uncertainty that this plane settles beyond the planes ranked before it.
    #[serde(default)]
    pub settles: f64,
}

impl RankedSlice {
    /// The plane.
    pub fn plane(&self) -> Plane {
        Plane { axis: self.axis, index: self.index }
    }
}

/// `slices.json`: which slices were chosen, on which grid, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceList {
    /// Version of this format.
    pub format: u32,
    /// The scan's grid; indices count along its stored axes.
    pub geometry: Geometry,
    /// How the slices were chosen.
    pub params: AcquisitionParams,
    /// Axial planes with presegmented foreground, which the budget is a share of.
    pub foreground_axial_planes: usize,
    /// By rank.
    pub slices: Vec<RankedSlice>,
}

/// Planes that a budget allows: its share of the axial planes with foreground, rounded down, at least [`MIN_PLANES`].
pub fn plane_budget(budget: f64, foreground_axial_planes: usize) -> usize {
    let share = budget.clamp(0.0, 1.0) * foreground_axial_planes as f64;
    // The tiny addend keeps 0.2 × 35 at 7 although 0.2 is slightly off in binary.
    ((share + 1e-9).floor() as usize).max(MIN_PLANES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_round_down_but_never_below_three() {
        fn check(budget: f64, planes: usize, expected: usize) {
            assert_eq!(plane_budget(budget, planes), expected);
        }
        check(0.2, 35, 7);
        check(0.2, 39, 7);
        check(0.2, 0, 3);
        check(1.0, 40, 40);
        check(f64::NAN, 40, 3);
    }
}
