//! What acquisition looks at: sums of a case's uncertainty. Small beside the volumes, yet enough to know what crossing
//! planes have settled.

use shared::geometry::{Axis, Geometry};
use shared::label::Label;

/// Blocks an axis is divided into at most; an axis of no more planes is kept plane by plane.
pub const MAX_BLOCKS: usize = 64;

/// A case's uncertainty and presegmentation, summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles {
    /// The scan's grid.
    pub geometry: Geometry,
    /// One per stored axis x, y, z.
    pub axes: [AxisProfile; 3],
    /// Connected parts of foreground and strong uncertainty, largest first.
    pub components: Vec<Component>,
    /// Uncertainty by presegmented label; empty unless the strategy looks at it.
    pub by_label: Vec<LabelProfile>,
}

/// Uncertainty of what is presegmented as one label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelProfile {
    /// The label, not background.
    pub label: Label,
    /// Summed over each plane, per stored axis x, y, z.
    pub uncertainty: [Vec<f64>; 3],
}

/// The planes along one stored axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AxisProfile {
    /// Uncertainty summed over each plane.
    pub uncertainty: Vec<f64>,
    /// Voxels of presegmented foreground in each plane.
    pub foreground: Vec<u32>,
    /// Uncertainty, weighted by component, summed over blocks of the two other axes: `[block of the later axis][block
    /// of the earlier axis][plane]`.
    pub blocks: Vec<f32>,
}

/// A connected part of what is segmented or in doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Voxels, roughly.
    pub voxels: usize,
    /// Whether any of it is presegmented foreground.
    pub foreground: bool,
    /// First and last index along the stored axes x, y, z, of its foreground if it has any.
    pub bounds: [[usize; 2]; 3],
    /// Uncertainty in it.
    pub uncertainty: f64,
}

impl Component {
    /// The plane through the middle of its bounds along a stored axis.
    pub fn middle(&self, stored: usize) -> usize {
        let [first, last] = self.bounds[stored];
        first + last.saturating_sub(first) / 2
    }
}

impl Profiles {
    /// Blocks that `planes` planes are divided into.
    pub fn block_count(planes: usize) -> usize {
        planes.min(MAX_BLOCKS)
    }

    /// The block that plane `index` of `planes` lies in.
    pub fn block_of(index: usize, planes: usize) -> usize {
        index * Self::block_count(planes) / planes.max(1)
    }

    /// Uncertainty of the whole case.
    pub fn total(&self) -> f64 {
        self.axes[0].uncertainty.iter().sum()
    }

    /// Axial planes with presegmented foreground.
    pub fn foreground_axial_planes(&self) -> usize {
        self.axes[self.geometry.stored_axis(Axis::Axial)].foreground.iter().filter(|n| **n > 0).count()
    }

    /// First plane with foreground and the one after the last along a stored axis, if there is any.
    pub fn foreground_range(&self, stored: usize) -> Option<std::ops::Range<usize>> {
        let foreground = &self.axes[stored].foreground;
        let first = foreground.iter().position(|n| *n > 0)?;
        let last = foreground.iter().rposition(|n| *n > 0)?;
        Some(first..last + 1)
    }

    /// Typical radius (mm) of what is segmented: that of a sphere as large, averaged over the foreground's components
    /// by size; without foreground, a twentieth of the scan's extent. Scales with the spacing.
    pub fn typical_radius_mm(&self) -> f64 {
        let voxel_mm3: f64 = self.geometry.spacing_mm.iter().product();
        let parts = self.components.iter().filter(|c| c.foreground).map(|c| c.voxels as f64 * voxel_mm3);
        let (volume, weighted) = parts.fold((0.0, 0.0), |(sum, weighted), mm3| {
            let radius_mm = (mm3 * 3.0 / (4.0 * std::f64::consts::PI)).cbrt();
            (sum + mm3, weighted + mm3 * radius_mm)
        });
        if volume > 0.0 {
            return weighted / volume;
        }
        let extent_mm3: f64 =
            self.geometry.dims.iter().zip(&self.geometry.spacing_mm).map(|(n, s)| *n as f64 * s).product();
        extent_mm3.cbrt() / 20.0
    }
}
