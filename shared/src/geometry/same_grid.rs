//! Whether two volumes lie on one grid: one rule, and the difference in numbers.

use thiserror::Error;

use super::{Dims, Geometry};

/// How far a voxel centre may lie from its counterpart, as a share of the smallest spacing. Headers hold f32: a
/// quaternion near half a turn moves the far corner of 512 voxels by 0.04 voxels, programs that print six digits by
/// 0.05; what is further off lies elsewhere.
pub const GRID_TOLERANCE: f64 = 0.1;

/// How a grid differs from the one it should be. Words follow the name of what was brought: "mask.nii.gz has …".
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GridDifference {
    /// Another number of voxels.
    #[error("has {} voxels instead of {}", times(own), times(reference))]
    Dims {
        /// Of what was brought.
        own: Dims,
        /// Of what it should lie on.
        reference: Dims,
    },
    /// The axes run elsewhere: mirrored, or in another order.
    #[error("is stored {own} instead of {reference}: mirrored, or its axes are in another order")]
    Orientation {
        /// Where its stored axes run to, such as RAS.
        own: String,
        /// Where the reference's run to.
        reference: String,
    },
    /// Voxels of another size.
    #[error("has voxels of {} mm instead of {}", sizes(own), sizes(reference))]
    Spacing {
        /// Length of the affine's columns, in mm.
        own: [f64; 3],
        /// Length of the reference's columns, in mm.
        reference: [f64; 3],
    },
    /// As many voxels of the same size, somewhere else.
    #[error(
        "lies elsewhere: its first voxel is at {} mm instead of {}, and voxel {voxel:?} is off by {off_mm:.3} mm",
        at(own),
        at(reference)
    )]
    Place {
        /// World position of the first voxel, in mm.
        own: [f64; 3],
        /// World position of the reference's first voxel, in mm.
        reference: [f64; 3],
        /// The corner that is furthest off.
        voxel: [usize; 3],
        /// By how much.
        off_mm: f64,
    },
}

impl GridDifference {
    pub(super) fn between(own: &Geometry, reference: &Geometry) -> Result<(), Self> {
        if own.dims != reference.dims {
            return Err(Self::Dims { own: own.dims, reference: reference.dims });
        }
        let smallest = reference.spacing_mm.iter().chain(&own.spacing_mm).copied().fold(f64::INFINITY, f64::min);
        let (off_mm, voxel) = furthest_corner(own, reference);
        if off_mm <= GRID_TOLERANCE * smallest {
            return Ok(());
        }
        let (letters, wanted) = (own.orientation(), reference.orientation());
        if letters != wanted {
            return Err(Self::Orientation { own: letters, reference: wanted });
        }
        let (columns, expected) = (own.column_lengths_mm(), reference.column_lengths_mm());
        // Sizes are named where they alone put a voxel at the far side off.
        let differs =
            |axis: usize| (columns[axis] - expected[axis]).abs() * own.dims[axis] as f64 > GRID_TOLERANCE * smallest;
        if (0..3).any(differs) {
            return Err(Self::Spacing { own: columns, reference: expected });
        }
        let first = |geometry: &Geometry| geometry.world_from_voxel([0.0; 3]);
        Err(Self::Place { own: first(own), reference: first(reference), voxel, off_mm })
    }
}

/// The corner that lies furthest from its counterpart, and how far in mm. Between corners the distance is smaller: it
/// is convex in the voxel's position.
fn furthest_corner(own: &Geometry, reference: &Geometry) -> (f64, [usize; 3]) {
    let mut furthest = (0.0, [0; 3]);
    for corner in 0..8 {
        let voxel = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { own.dims[axis] - 1 } else { 0 });
        let position = voxel.map(|i| i as f64);
        let (a, b) = (own.world_from_voxel(position), reference.world_from_voxel(position));
        let off_mm = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        // A grid that is no number anywhere is as far off as can be.
        if off_mm > furthest.0 || off_mm.is_nan() {
            furthest = (off_mm, voxel);
        }
    }
    furthest
}

fn times(dims: &Dims) -> String {
    dims.map(|n| n.to_string()).join(" × ")
}

fn sizes(mm: &[f64; 3]) -> String {
    mm.map(short).join(" × ")
}

fn at(mm: &[f64; 3]) -> String {
    format!("({})", mm.map(short).join(", "))
}

/// Up to four decimals, as many as say something.
fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::Affine;
    use super::*;

    const PLAIN: Affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]];

    fn check(dims: Dims, change: impl FnOnce(&mut Affine), expected: Option<&str>) {
        let reference = Geometry::new([40, 50, 60], [1.0, 2.0, 3.0], PLAIN).unwrap();
        let mut affine = PLAIN;
        change(&mut affine);
        let own = Geometry::new(dims, [1.0, 2.0, 3.0], affine).unwrap();
        let got = own.check_same_grid(&reference).err().map(|difference| difference.to_string());
        assert_eq!(got.as_deref(), expected);
    }

    #[test]
    fn rounding_is_no_difference() {
        check([40, 50, 60], |_| {}, None);
        check([40, 50, 60], |m| m[0][3] += 0.01, None);
        check([40, 50, 60], |m| m[1][0] += 1e-4, None);
        check([40, 50, 60], |m| m[2][2] *= 1.0003, None);
    }

    #[test]
    fn differences_are_said_with_numbers() {
        check([40, 50, 61], |_| {}, Some("has 40 × 50 × 61 voxels instead of 40 × 50 × 60"));
        check(
            [40, 50, 60],
            |m| m[0][3] += 2.0,
            Some(
                "lies elsewhere: its first voxel is at (2, 0, 0) mm instead of (0, 0, 0), and voxel [0, 0, 0] is off \
                 by 2.000 mm",
            ),
        );
        check([40, 50, 60], |m| m[2][2] = 3.3, Some("has voxels of 1 × 2 × 3.3 mm instead of 1 × 2 × 3"));
        check(
            [40, 50, 60],
            |m| (m[0][0], m[0][3]) = (-1.0, 39.0),
            Some("is stored LAS instead of RAS: mirrored, or its axes are in another order"),
        );
        // A small turn: 0.01 rad over 50 voxels.
        check(
            [40, 50, 60],
            |m| (m[0][1], m[1][0]) = (-0.02, 0.01),
            Some(
                "lies elsewhere: its first voxel is at (0, 0, 0) mm instead of (0, 0, 0), and voxel [39, 49, 0] is off \
                 by 1.055 mm",
            ),
        );
    }

    #[test]
    fn the_tolerance_follows_the_voxels_not_the_unit() {
        // A microscope's voxels of 1 µm: a hundredth of a millimetre is ten voxels.
        let affine = |shift: f64| [[1e-3, 0.0, 0.0, shift], [0.0, 1e-3, 0.0, 0.0], [0.0, 0.0, 1e-3, 0.0]];
        let geometry = |shift: f64| Geometry::new([10; 3], [1e-3; 3], affine(shift)).unwrap();
        assert!(geometry(0.01).check_same_grid(&geometry(0.0)).is_err());
        assert!(geometry(0.000_05).check_same_grid(&geometry(0.0)).is_ok());
    }
}
