//! How many voxels a scan has on a network's grid: known from its header before anything is allocated, and limited.

use std::ops::Range;

use shared::geometry::Geometry;
use shared::volume::Volume;
use thiserror::Error;

use super::resample::new_shape;
use crate::bundle::plans::{Plan, Resampling};

/// Most voxels on a network's grid, as on a scan's: 2 GiB a channel, and 1 GiB a label for what the network says.
pub const MAX_NETWORK_VOXELS: usize = 1 << 29;
/// Longer than any patient, and than what a scanner sees: a scan that claims more has a wrong unit or spacing.
const LONGEST_MM: f64 = 3000.0;

/// Why a scan has no place on a network's grid.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NetworkGridError {
    /// Nothing would be left at the network's spacing.
    #[error("the scan is too small: at the network's spacing it would have {0:?} voxels")]
    TooSmall([usize; 3]),
    /// More than any machine holds.
    #[error(
        "the scan would have {} voxels on the network's grid, more than {MAX_NETWORK_VOXELS}, which is the limit: its \
         voxels are {} mm, the network's {} (last axis first). {cause}",
        network.map(|n| n.to_string()).join(" × "),
        spacing_mm.map(|mm| mm.to_string()).join(" × "),
        network_spacing_mm.map(|mm| mm.to_string()).join(" × ")
    )]
    TooLarge {
        /// What it would have.
        network: [usize; 3],
        /// The network's spacing.
        network_spacing_mm: [f64; 3],
        /// The scan's spacing.
        spacing_mm: [f64; 3],
        /// What is probably wrong, and what to do.
        cause: &'static str,
    },
}

/// Voxels of a box of the scan, `[z, y, x]` in the network's axis order, on the network's grid.
///
/// # Errors
/// [`NetworkGridError`].
pub(super) fn network_shape(
    cropped: [usize; 3],
    spacing_mm: [f64; 3],
    network_spacing_mm: [f64; 3],
    plan: &Plan,
) -> Result<[usize; 3], NetworkGridError> {
    let network = if plan.resample_data == Resampling::None {
        cropped
    } else {
        new_shape(cropped, spacing_mm, network_spacing_mm)
    };
    let voxels =
        |shape: [usize; 3]| shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)).unwrap_or(usize::MAX);
    if network.contains(&0) {
        return Err(NetworkGridError::TooSmall(network));
    }
    if voxels(network) <= MAX_NETWORK_VOXELS {
        return Ok(network);
    }
    let with_unit = |factor: f64| new_shape(cropped, spacing_mm.map(|mm| mm * factor), network_spacing_mm);
    let fits = |factor: f64| {
        let shape = with_unit(factor);
        !shape.contains(&0) && voxels(shape) <= MAX_NETWORK_VOXELS
    };
    let flat = cropped.contains(&1)
        && spacing_mm.iter().any(|mm| *mm > 500.0 * spacing_mm.iter().copied().fold(f64::INFINITY, f64::min));
    let longer_than_a_body = cropped.iter().zip(spacing_mm).any(|(n, mm)| *n as f64 * mm > LONGEST_MM);
    let cause = if flat {
        "The file is a picture of two dimensions, or its slices are much too far apart; this network takes volumes of \
         three"
    } else if longer_than_a_body && fits(1e-3) {
        "Its header may be in micrometres and say millimetres (xyzt_units); correct the unit"
    } else {
        "Its spacing (pixdim) may be wrong; correct it, or crop the scan"
    };
    Err(NetworkGridError::TooLarge { network, network_spacing_mm, spacing_mm, cause })
}

/// The box around what is not zero in a channel, `[z, y, x]`, as preprocessing will crop; nothing if all is zero.
pub fn content_box(channel: &Volume<f32>) -> Option<[Range<usize>; 3]> {
    let [nx, ny, _] = channel.geometry().dims;
    let mut found = None;
    for (row, values) in channel.voxels().chunks(nx).enumerate() {
        let (Some(first), Some(last)) = (values.iter().position(|v| *v != 0.0), values.iter().rposition(|v| *v != 0.0))
        else {
            continue;
        };
        let (z, y) = (row / ny, row % ny);
        found = joined(found, Some([z..z + 1, y..y + 1, first..last + 1]));
    }
    found
}

/// The box around two boxes.
pub fn joined(one: Option<[Range<usize>; 3]>, other: Option<[Range<usize>; 3]>) -> Option<[Range<usize>; 3]> {
    match (one, other) {
        (Some(one), Some(other)) => {
            Some(std::array::from_fn(|axis| one[axis].start.min(other[axis].start)..one[axis].end.max(other[axis].end)))
        }
        (one, other) => one.or(other),
    }
}

/// Whether a scan whose content fills this box (`[z, y, x]`, as [`content_box`] finds it; all of the scan if there is
/// none) fits a network's grid.
///
/// # Errors
/// [`NetworkGridError`].
pub fn check_network_grid(
    scan: &Geometry,
    content: Option<&[Range<usize>; 3]>,
    plan: &Plan,
) -> Result<(), NetworkGridError> {
    let axes = plan.transpose_forward;
    let [sx, sy, sz] = scan.spacing_mm;
    let spacing_mm = axes.map(|axis| [sz, sy, sx][axis]);
    let network_spacing_mm = plan.target_spacing_mm(spacing_mm);
    let [x, y, z] = scan.dims;
    let sizes = content.map_or([z, y, x], |content| content.each_ref().map(ExactSizeIterator::len));
    let cropped = axes.map(|axis| sizes[axis]);
    network_shape(cropped, spacing_mm, network_spacing_mm, plan).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a scan of 56 × 64 × 48 voxels with this spacing, by a network of 1.5 × 1 × 1 mm (z, y, x).
    fn check(spacing_mm: [f64; 3], dims: [usize; 3], expected: Option<&str>) {
        let scan = Geometry::axis_aligned(dims, spacing_mm).unwrap();
        let plan = Plan::for_tests([1.5, 1.0, 1.0]);
        let said = check_network_grid(&scan, None, &plan).err().map(|error| error.to_string());
        assert_eq!(said.is_some(), expected.is_some(), "{said:?}");
        let (said, expected) = (said.unwrap_or_default(), expected.unwrap_or_default());
        assert!(said.contains(expected), "'{said}' does not say '{expected}'");
    }

    #[test]
    fn a_grid_that_no_machine_holds_is_refused_with_its_cause() {
        let dims = [56, 64, 48];
        check([1.0, 1.0, 1.5], dims, None);
        check([8.0, 8.0, 12.0], dims, None);
        check(
            [100.0, 100.0, 150.0],
            dims,
            Some("4800 × 6400 × 5600 voxels on the network's grid, more than 536870912"),
        );
        check([1000.0, 1000.0, 1500.0], dims, Some("may be in micrometres"));
        check([20.0; 3], [64; 3], Some("853 × 1280 × 1280 voxels"));
        check([9000.0, 9000.0, 9000.0], [2000, 2000, 100], Some("spacing (pixdim) may be wrong"));
        check([1.0, 1.0, 999.0], [2000, 2000, 1], Some("picture of two dimensions"));
        check([1.0; 3], [1024, 1024, 800], Some("or crop the scan"));
    }

    #[test]
    fn the_content_is_what_is_not_zero_in_some_channel() {
        let geometry = Geometry::axis_aligned([5, 6, 7], [1.0; 3]).unwrap();
        let volume = |at: &[[usize; 3]]| {
            let mut volume = Volume::filled(geometry.clone(), 0.0);
            at.iter().for_each(|voxel| volume.voxels_mut()[Geometry::offset(*voxel, [5, 6, 7])] = -1.0);
            volume
        };
        let boxes = [
            content_box(&volume(&[[1, 2, 3], [1, 4, 3]])),
            content_box(&volume(&[[4, 2, 5]])),
            content_box(&volume(&[])),
        ];
        assert_eq!(boxes, [Some([3..4, 2..5, 1..2]), Some([5..6, 2..3, 4..5]), None]);
        assert_eq!(boxes.into_iter().fold(None, joined), Some([3..6, 2..5, 1..5]));
    }
}
