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
/// Voxels this many times as large as a network's are not what it was trained on.
const MUCH_LARGER: f64 = 10.0;
/// A scan that is so much smaller than a patch has hardly the unit that it claims.
const SMALL_PART: usize = 8;

/// Why a scan has no place on a network's grid.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NetworkGridError {
    /// Nothing would be left at the network's spacing.
    #[error(
        "the scan is too small: at the network's spacing it would have {} voxels (last axis first). \
         Its header may be in metres and say millimetres (xyzt_units), or its spacing (pixdim) be wrong; correct it",
        .0.map(|n| n.to_string()).join(" × ")
    )]
    TooSmall([usize; 3]),
    /// Longer than any patient, in voxels that are much larger than the network's.
    #[error(
        "the scan would be {:.1} m long: {voxels} voxels of {mm} mm, where the network's have {network_mm} mm. \
         Its spacing (pixdim) or its unit (xyzt_units) is wrong; correct it",
        length_mm / 1000.0
    )]
    TooLong {
        /// The whole axis.
        length_mm: f64,
        /// Voxels along it.
        voxels: usize,
        /// Their size.
        mm: f64,
        /// The network's.
        network_mm: f64,
    },
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
        return too_long(cropped, spacing_mm, network_spacing_mm).map_or(Ok(network), Err);
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

/// An axis that is longer than any patient, if its voxels are much larger than the network's: networks for large things
/// have large voxels themselves.
fn too_long(cropped: [usize; 3], spacing_mm: [f64; 3], network_spacing_mm: [f64; 3]) -> Option<NetworkGridError> {
    let axes = cropped.into_iter().zip(spacing_mm).zip(network_spacing_mm);
    let mut lengths = axes.map(|((voxels, mm), network_mm)| (voxels as f64 * mm, voxels, mm, network_mm));
    let (length_mm, voxels, mm, network_mm) = lengths.find(|(length_mm, voxels, mm, network_mm)| {
        *voxels > 1 && *length_mm > LONGEST_MM && *mm > MUCH_LARGER * network_mm
    })?;
    Some(NetworkGridError::TooLong { length_mm, voxels, mm, network_mm })
}

/// What is to be said of a scan that is a small part of what the network sees at once, along every axis.
pub fn size_warning(scan: &Geometry, plan: &Plan) -> Option<String> {
    let (voxels, spacing_mm, network_spacing_mm) = in_network_order(scan, plan);
    let grid = new_shape(voxels, spacing_mm, network_spacing_mm);
    let seen = plan.patch_size.iter().rev().zip(grid.iter().rev());
    let mm = scan.dims.iter().zip(scan.spacing_mm).map(|(n, mm)| format!("{:.3}", *n as f64 * mm));
    seen.into_iter().all(|(patch, n)| n * SMALL_PART <= *patch).then(|| {
        format!(
            "the scan is only {} mm large, and the networks see {SMALL_PART} times as much at once along every axis; \
             its spacing (pixdim) or its unit \
             (xyzt_units) may be wrong",
            mm.collect::<Vec<_>>().join(" × ")
        )
    })
}

/// A scan's voxels, their sizes, and the network's, in the network's axis order.
fn in_network_order(scan: &Geometry, plan: &Plan) -> ([usize; 3], [f64; 3], [f64; 3]) {
    let axes = plan.transpose_forward;
    let ([x, y, z], [sx, sy, sz]) = (scan.dims, scan.spacing_mm);
    let spacing_mm = axes.map(|axis| [sz, sy, sx][axis]);
    (axes.map(|axis| [z, y, x][axis]), spacing_mm, plan.target_spacing_mm(spacing_mm))
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
    let (_, spacing_mm, network_spacing_mm) = in_network_order(scan, plan);
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
        // Slices nine metres apart; a decimetre each; three metres of a whole body; what is large to its network, too.
        check(
            [1.0, 1.0, 9000.0],
            [32, 32, 24],
            Some("216.0 m long: 24 voxels of 9000 mm, where the network's have 1.5"),
        );
        check([1.0, 1.0, 130.0], [32, 32, 24], Some("3.1 m long"));
        check([100.0, 1.0, 1.0], [40, 8, 8], Some("4.0 m long: 40 voxels of 100 mm, where the network's have 1 mm"));
        check([1.0, 1.0, 5.0], [256, 256, 400], None);
        check([1.0, 1.0, 12.0], [32, 32, 300], None);
        check([1.0, 1.0, 9000.0], [32, 32, 1], None);
        check([1e-3, 1e-3, 1.5e-3], dims, Some("may be in metres and say millimetres"));
    }

    #[test]
    fn a_scan_that_is_a_speck_is_warned_about() {
        fn check(spacing_mm: f64, dims: [usize; 3], expected: bool) {
            let scan = Geometry::axis_aligned(dims, [spacing_mm; 3]).unwrap();
            let said = size_warning(&scan, &Plan { patch_size: vec![16, 16, 16], ..Plan::for_tests([1.5, 1.0, 1.0]) });
            assert_eq!(said.is_some(), expected, "{spacing_mm} mm, {dims:?}: {said:?}");
        }
        check(1.0, [56, 64, 48], false);
        check(1.0, [6, 6, 6], false);
        check(0.03, [56, 64, 48], true);
        check(0.001, [1000, 1000, 1000], true);
        check(0.01, [200, 200, 2000], false);
        check(1.0, [2, 2, 3], true);
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
