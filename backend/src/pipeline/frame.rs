//! Where a network's grid lies in the scan: the way from the scan's voxels to the network's axes and crop, and back.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, s};
use shared::geometry::{Geometry, Plane};
use shared::volume::Volume;

/// Where a network's grid lies in the scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Network axes from `[z, y, x]`.
    pub transpose_forward: [usize; 3],
    /// `[z, y, x]` from network axes.
    pub transpose_backward: [usize; 3],
    /// The scan's size along the network's axes.
    pub full: [usize; 3],
    /// What was kept of it, along the network's axes.
    pub crop: [Range<usize>; 3],
    /// Spacing of the scan along the network's axes, in mm.
    pub spacing_mm: [f64; 3],
    /// Spacing of the network's grid, in mm.
    pub network_spacing_mm: [f64; 3],
    /// Size of the network's grid.
    pub network: [usize; 3],
}

impl Frame {
    /// Size of the crop before resampling.
    pub fn cropped(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.crop[axis].len())
    }

    /// The crop of a volume that lies along the network's axes, not copied.
    pub fn crop_of<'a, T>(&self, volume: &'a Array3<T>) -> ArrayView3<'a, T> {
        let [z, y, x] = self.crop.clone();
        volume.slice(s![z, y, x])
    }

    /// A plane of the scan as `(array axis, index)` within the crop, along the network's axes; nothing if it lies
    /// outside the crop.
    pub fn cropped_plane(&self, plane: Plane, scan: &Geometry) -> Option<(usize, usize)> {
        let zyx_axis = 2 - scan.stored_axis(plane.axis);
        let axis = self.transpose_forward.iter().position(|from| *from == zyx_axis)?;
        let range = &self.crop[axis];
        range.contains(&plane.index).then(|| (axis, plane.index - range.start))
    }
}

/// The voxels as `[z, y, x]`, not copied.
pub fn zyx_view<T: Copy>(volume: &Volume<T>) -> ArrayView3<'_, T> {
    let [x, y, z] = volume.geometry().dims;
    // A volume holds as many voxels as its grid, so the shape always fits.
    ArrayView3::from_shape((z, y, x), volume.voxels())
        .unwrap_or_else(|_| unreachable!("a volume's voxels fill its grid"))
}

/// A volume `[z, y, x]` along the network's axes.
pub fn network_axes<T: Copy>(volume: ArrayView3<'_, T>, transpose_forward: [usize; 3]) -> Array3<T> {
    volume.permuted_axes(transpose_forward).as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;
    use shared::geometry::Axis;

    use super::*;

    #[test]
    fn network_axes_and_back() {
        let volume = arr3(&[[[1, 2, 3], [4, 5, 6]]]);
        let there = network_axes(volume.view(), [2, 0, 1]);
        assert_eq!(there.shape(), [3, 1, 2]);
        assert_eq!(network_axes(there.view(), [1, 2, 0]), volume);
    }

    #[test]
    fn planes_are_found_in_the_crop() {
        let scan = Geometry::axis_aligned([9, 8, 7], [1.0; 3]).unwrap();
        // The network's axes are x, z, y of the scan.
        let frame = Frame {
            transpose_forward: [2, 0, 1],
            transpose_backward: [1, 2, 0],
            full: [9, 7, 8],
            crop: [2..9, 0..7, 3..6],
            spacing_mm: [1.0; 3],
            network_spacing_mm: [1.0; 3],
            network: [7, 7, 3],
        };
        let check = |axis: Axis, index: usize, expected: Option<(usize, usize)>| {
            assert_eq!(frame.cropped_plane(Plane { axis, index }, &scan), expected, "{axis} {index}");
        };
        check(Axis::Sagittal, 2, Some((0, 0)));
        check(Axis::Sagittal, 1, None);
        check(Axis::Axial, 6, Some((1, 6)));
        check(Axis::Coronal, 5, Some((2, 2)));
        check(Axis::Coronal, 6, None);
    }
}
