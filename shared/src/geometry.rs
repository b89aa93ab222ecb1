//! Where voxels lie: sizes, spacing, the affine, anatomical axes, and every conversion between index spaces.
//!
//! Spaces. *voxel*: `[x, y, z]` indices along the axes as stored in the scan's file, x fastest. *world*: millimetres,
//! RAS+ (x to the patient's right, y to the front, z to the head), as NIfTI defines it. *plane*: `[u, v]` within one
//! [`Plane`]; u and v are the two other stored axes in ascending order, u fastest. *view*: the plane turned as
//! radiologists expect it on a screen, see [`PlaneView`].

mod same_grid;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use same_grid::{GRID_TOLERANCE, GridDifference};

/// An anatomical axis, named after the planes perpendicular to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Left–right; sagittal planes are perpendicular to it.
    Sagittal,
    /// Back–front; coronal planes are perpendicular to it.
    Coronal,
    /// Foot–head; axial planes are perpendicular to it.
    Axial,
}

impl Axis {
    /// All axes, in world order x, y, z.
    pub const ALL: [Axis; 3] = [Axis::Sagittal, Axis::Coronal, Axis::Axial];

    /// The world axis (0 = x, 1 = y, 2 = z) that planes of this name are perpendicular to.
    pub fn world_index(self) -> usize {
        match self {
            Axis::Sagittal => 0,
            Axis::Coronal => 1,
            Axis::Axial => 2,
        }
    }

    /// Lower-case name as used in files and routes.
    pub fn name(self) -> &'static str {
        match self {
            Axis::Sagittal => "sagittal",
            Axis::Coronal => "coronal",
            Axis::Axial => "axial",
        }
    }
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Axis {
    type Err = GeometryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Axis::ALL
            .into_iter()
            .find(|axis| axis.name() == text)
            .ok_or_else(|| GeometryError::UnknownAxis(text.to_owned()))
    }
}

/// Whether letters say where three axes run to, such as RAS: one of each pair of directions.
pub fn is_orientation(letters: &str) -> bool {
    letters.len() == 3
        && ["LR", "PA", "IS"].iter().all(|pair| letters.chars().filter(|letter| pair.contains(*letter)).count() == 1)
}

/// What can be wrong with a geometry or with an index into it.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GeometryError {
    /// Not one of sagittal, coronal, axial.
    #[error("'{0}' is not an axis; use sagittal, coronal or axial")]
    UnknownAxis(String),
    /// A dimension of zero, or more voxels than can be addressed.
    #[error("a volume of {0:?} voxels has no content or is too large")]
    BadDims([usize; 3]),
    /// Spacing must be finite and positive.
    #[error("the voxel spacing {0:?} mm is not positive and finite")]
    BadSpacing([f64; 3]),
    /// The affine must be finite and invertible.
    #[error("the affine is not invertible, so voxels have no place in space")]
    SingularAffine,
    /// A plane outside the volume.
    #[error("there is no {axis} plane {index}; the volume has {count} (0 to {})", count.saturating_sub(1))]
    NoSuchPlane {
        /// Axis asked for.
        axis: Axis,
        /// Index asked for.
        index: usize,
        /// Planes along that axis.
        count: usize,
    },
    /// A buffer whose length is not that of the volume or plane.
    #[error("expected {expected} voxels, got {got}")]
    WrongLength {
        /// Voxels that the geometry has.
        expected: usize,
        /// Voxels given.
        got: usize,
    },
}

/// Voxels along the stored axes `[x, y, z]`.
pub type Dims = [usize; 3];

/// World-from-voxel transform: three rows of `[r0, r1, r2, t]`, millimetres, RAS+.
pub type Affine = [[f64; 4]; 3];

/// The numbers of a grid, checked or not; what a [`Geometry`] is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grid {
    /// Voxels along x, y, z.
    #[cfg_attr(feature = "openapi", schema(value_type = [usize; 3]))]
    pub dims: Dims,
    /// Distance between voxel centres along x, y, z, in millimetres.
    pub spacing_mm: [f64; 3],
    /// World (RAS+, mm) from voxel.
    #[cfg_attr(feature = "openapi", schema(value_type = [[f64; 4]; 3]))]
    pub world_from_voxel: Affine,
}

/// The grid a volume lies on: a [`Grid`] that has passed [`Geometry::new`]. Its numbers can be read like fields and
/// never changed; reading one from JSON runs the same checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "Grid", into = "Grid")]
pub struct Geometry(Grid);

impl std::ops::Deref for Geometry {
    type Target = Grid;

    fn deref(&self) -> &Grid {
        &self.0
    }
}

impl TryFrom<Grid> for Geometry {
    type Error = GeometryError;

    fn try_from(grid: Grid) -> Result<Self, GeometryError> {
        Self::new(grid.dims, grid.spacing_mm, grid.world_from_voxel)
    }
}

impl From<Geometry> for Grid {
    fn from(geometry: Geometry) -> Self {
        geometry.0
    }
}

/// One plane of a volume: perpendicular to an anatomical axis, at a voxel index along the stored axis that runs closest
/// to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plane {
    /// Anatomical axis.
    pub axis: Axis,
    /// Voxel index along the stored axis.
    pub index: usize,
}

impl std::fmt::Display for Plane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.axis, self.index)
    }
}

/// How a plane is laid on the screen in radiological convention: the patient's right on the viewer's left, head and
/// front up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneView {
    /// Stored axis that runs along the screen's horizontal.
    pub horizontal: usize,
    /// Stored axis that runs along the screen's vertical.
    pub vertical: usize,
    /// The horizontal voxel index grows to the left.
    pub flip_horizontal: bool,
    /// The vertical voxel index grows upwards.
    pub flip_vertical: bool,
}

impl Geometry {
    /// Checks sizes, spacing and affine.
    ///
    /// # Errors
    /// [`GeometryError::BadDims`], [`GeometryError::BadSpacing`] or [`GeometryError::SingularAffine`].
    pub fn new(dims: Dims, spacing_mm: [f64; 3], world_from_voxel: Affine) -> Result<Self, GeometryError> {
        let voxels = dims.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if voxels.is_none_or(|n| n == 0 || n as u64 > 1 << 40) {
            return Err(GeometryError::BadDims(dims));
        }
        if spacing_mm.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(GeometryError::BadSpacing(spacing_mm));
        }
        let geometry = Self(Grid { dims, spacing_mm, world_from_voxel });
        // As a share of what the columns span at right angles: voxels of nanometres are as invertible as any.
        let share = determinant(&world_from_voxel).abs() / geometry.column_lengths_mm().iter().product::<f64>();
        if !share.is_finite() || share < 1e-9 || world_from_voxel.iter().any(|row| !row[3].is_finite()) {
            return Err(GeometryError::SingularAffine);
        }
        Ok(geometry)
    }

    /// A grid of the given size with an axis-aligned RAS+ affine and its origin at voxel 0.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub fn axis_aligned(dims: Dims, spacing_mm: [f64; 3]) -> Result<Self, GeometryError> {
        let [sx, sy, sz] = spacing_mm;
        Self::new(dims, spacing_mm, [[sx, 0.0, 0.0, 0.0], [0.0, sy, 0.0, 0.0], [0.0, 0.0, sz, 0.0]])
    }

    /// Number of voxels.
    pub fn voxel_count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Offset of voxel `[x, y, z]` in an x-fastest buffer.
    pub fn offset([x, y, z]: [usize; 3], dims: Dims) -> usize {
        x + dims[0] * (y + dims[1] * z)
    }

    /// The voxel `[x, y, z]` at an offset in an x-fastest buffer; the inverse of [`Geometry::offset`].
    pub fn voxel_at(offset: usize, [nx, ny, _]: Dims) -> [usize; 3] {
        [offset % nx, offset / nx % ny, offset / (nx * ny)]
    }

    /// World position (mm, RAS+) of a voxel position.
    pub fn world_from_voxel(&self, voxel: [f64; 3]) -> [f64; 3] {
        self.world_from_voxel.map(|row| row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3])
    }

    /// For each anatomical axis (world x, y, z) the stored axis that runs closest to it: the assignment with the
    /// largest sum of |cosines|, so that it is always a permutation. Ties go to the stored order.
    pub fn stored_from_world(&self) -> [usize; 3] {
        const PERMUTATIONS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let mut best = PERMUTATIONS[0];
        let mut best_score = f64::NEG_INFINITY;
        for permutation in PERMUTATIONS {
            let score: f64 = (0..3).map(|world| self.cosine(world, permutation[world]).abs()).sum();
            if score > best_score + 1e-9 {
                best = permutation;
                best_score = score;
            }
        }
        best
    }

    /// The stored axis (0 = x, 1 = y, 2 = z) that planes of `axis` are indexed along.
    pub fn stored_axis(&self, axis: Axis) -> usize {
        self.stored_from_world()[axis.world_index()]
    }

    /// The anatomical name of a stored axis; indices above 2 are treated as 2.
    pub fn axis_of_stored(&self, stored: usize) -> Axis {
        let stored_from_world = self.stored_from_world();
        Axis::ALL.into_iter().find(|axis| stored_from_world[axis.world_index()] == stored).unwrap_or(Axis::Axial)
    }

    /// Whether the voxel index along the stored axis of `axis` grows towards right, front or head.
    pub fn grows_positive(&self, axis: Axis) -> bool {
        self.cosine(axis.world_index(), self.stored_axis(axis)) >= 0.0
    }

    /// Planes perpendicular to `axis`.
    pub fn plane_count(&self, axis: Axis) -> usize {
        self.dims[self.stored_axis(axis)]
    }

    /// Distance between neighbouring planes of `axis`, in millimetres.
    pub fn plane_spacing_mm(&self, axis: Axis) -> f64 {
        self.spacing_mm[self.stored_axis(axis)]
    }

    /// The two stored axes within planes of `axis`, ascending: `[u, v]`.
    pub fn in_plane_axes(&self, axis: Axis) -> [usize; 2] {
        match self.stored_axis(axis) {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        }
    }

    /// Size `[u, v]` of a plane of `axis`, in voxels.
    pub fn plane_dims(&self, axis: Axis) -> [usize; 2] {
        self.in_plane_axes(axis).map(|stored| self.dims[stored])
    }

    /// Checks that the plane lies in the volume.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`].
    pub fn check_plane(&self, plane: Plane) -> Result<(), GeometryError> {
        let count = self.plane_count(plane.axis);
        if plane.index < count {
            Ok(())
        } else {
            Err(GeometryError::NoSuchPlane { axis: plane.axis, index: plane.index, count })
        }
    }

    /// Voxel index of a plane position `[u, v]`.
    pub fn voxel_from_plane(&self, plane: Plane, [u, v]: [usize; 2]) -> [usize; 3] {
        let [u_axis, v_axis] = self.in_plane_axes(plane.axis);
        let mut voxel = [0; 3];
        voxel[self.stored_axis(plane.axis)] = plane.index;
        voxel[u_axis] = u;
        voxel[v_axis] = v;
        voxel
    }

    /// How planes of `axis` are shown: axial and coronal with the patient's right on the left of the screen; axial
    /// front up; coronal and sagittal head up; sagittal front on the left.
    pub fn plane_view(&self, axis: Axis) -> PlaneView {
        let (across, up) = match axis {
            Axis::Axial => (Axis::Sagittal, Axis::Coronal),
            Axis::Coronal => (Axis::Sagittal, Axis::Axial),
            Axis::Sagittal => (Axis::Coronal, Axis::Axial),
        };
        // The screen's horizontal grows to the right, where patient left (or back) belongs; its vertical grows
        // downwards.
        PlaneView {
            horizontal: self.stored_axis(across),
            vertical: self.stored_axis(up),
            flip_horizontal: self.grows_positive(across),
            flip_vertical: self.grows_positive(up),
        }
    }

    /// The one rule for "same grid": as many voxels along every axis, and no voxel centre further than
    /// [`GRID_TOLERANCE`] of the smallest spacing from its counterpart. `self` is what was brought, `reference` what it
    /// has to lie on.
    ///
    /// # Errors
    /// The difference, with numbers.
    pub fn check_same_grid(&self, reference: &Geometry) -> Result<(), GridDifference> {
        GridDifference::between(self, reference)
    }

    /// Where the stored axes run to, as nibabel and radiologists write it: RAS grows to the right, front and head.
    pub fn orientation(&self) -> String {
        const TOWARDS: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];
        let letter = |stored: usize| {
            let axis = self.axis_of_stored(stored);
            TOWARDS[axis.world_index()][usize::from(self.grows_positive(axis))]
        };
        [0, 1, 2].map(letter).iter().collect()
    }

    /// Distance of neighbouring voxel centres along the stored axes as the affine has it, in millimetres.
    pub fn column_lengths_mm(&self) -> [f64; 3] {
        [0, 1, 2].map(|stored| (0..3).map(|row| self.world_from_voxel[row][stored].powi(2)).sum::<f64>().sqrt())
    }

    /// Cosine between a world axis and a stored axis.
    fn cosine(&self, world: usize, stored: usize) -> f64 {
        let length = self.column_lengths_mm()[stored];
        if length > 0.0 { self.world_from_voxel[world][stored] / length } else { 0.0 }
    }
}

fn determinant(m: &Affine) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(rows: Affine) -> Geometry {
        Geometry::new([4, 5, 6], [1.0, 2.0, 3.0], rows).unwrap()
    }

    const RAS: Affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]];
    const LPS: Affine = [[-1.0, 0.0, 0.0, 0.0], [0.0, -2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]];
    /// Stored as (front, head, right), as a sagittally acquired scan.
    const ASR: Affine = [[0.0, 0.0, 3.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]];

    #[test]
    fn stored_axes_follow_the_affine() {
        fn check(rows: Affine, expected: [usize; 3]) {
            assert_eq!(geometry(rows).stored_from_world(), expected);
        }
        check(RAS, [0, 1, 2]);
        check(LPS, [0, 1, 2]);
        check(ASR, [2, 0, 1]);
        // 30 degrees about z is still RAS.
        let (s, c) = 30_f64.to_radians().sin_cos();
        check([[c, -s, 0.0, 0.0], [s, c, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [0, 1, 2]);
    }

    #[test]
    fn planes_count_along_their_stored_axis() {
        let g = geometry(ASR);
        assert_eq!(Axis::ALL.map(|axis| g.plane_count(axis)), [6, 4, 5]);
        assert_eq!(Axis::ALL.map(|axis| g.plane_dims(axis)), [[4, 5], [5, 6], [4, 6]]);
        assert_eq!(g.voxel_from_plane(Plane { axis: Axis::Sagittal, index: 5 }, [2, 3]), [2, 3, 5]);
        assert!(g.check_plane(Plane { axis: Axis::Coronal, index: 4 }).is_err());
    }

    #[test]
    fn views_are_radiological() {
        // RAS: x grows to the right of the patient, which is shown on the left: flip. Likewise z grows to the head,
        // shown on top: flip.
        let v = geometry(RAS).plane_view(Axis::Axial);
        assert_eq!((v.horizontal, v.vertical, v.flip_horizontal, v.flip_vertical), (0, 1, true, true));
        let v = geometry(LPS).plane_view(Axis::Axial);
        assert_eq!((v.flip_horizontal, v.flip_vertical), (false, false));
        let v = geometry(ASR).plane_view(Axis::Sagittal);
        assert_eq!((v.horizontal, v.vertical, v.flip_horizontal, v.flip_vertical), (0, 1, true, true));
    }

    #[test]
    fn bad_geometry_is_refused() {
        assert!(Geometry::new([0, 1, 1], [1.0; 3], RAS).is_err());
        assert!(Geometry::new([1, 1, 1], [1.0, 0.0, 1.0], RAS).is_err());
        assert!(Geometry::new([1, 1, 1], [1.0; 3], [[0.0; 4]; 3]).is_err());
        assert!(Geometry::new([usize::MAX, 2, 2], [1.0; 3], RAS).is_err());
    }

    #[test]
    fn orientations_name_each_axis_once() {
        for good in ["RAS", "LPS", "SPL", "AIR"] {
            assert!(is_orientation(good), "{good}");
        }
        for bad in ["", "RA", "RLS", "RASL", "ras", "RAX"] {
            assert!(!is_orientation(bad), "{bad}");
        }
        assert_eq!([RAS, LPS, ASR].map(|rows| geometry(rows).orientation()), ["RAS", "LPS", "ASR"]);
    }

    #[test]
    fn json_passes_the_same_checks() {
        fn check(dims: &str, spacing: &str, expected: bool) {
            let text = format!(
                r#"{{"dims":{dims},"spacing_mm":{spacing},"world_from_voxel":[[1,0,0,0],[0,1,0,0],[0,0,1,0]]}}"#
            );
            let read = serde_json::from_str::<Geometry>(&text);
            assert_eq!(read.is_ok(), expected, "{text}: {read:?}");
            if let Ok(geometry) = read {
                assert_eq!(
                    serde_json::from_str::<Geometry>(&serde_json::to_string(&geometry).unwrap()).unwrap(),
                    geometry
                );
            }
        }
        check("[4,5,6]", "[1,1,1]", true);
        check("[4,0,6]", "[1,1,1]", false);
        check("[4,5,6]", "[1,-1,1]", false);
        check("[9999999,9999999,9999999]", "[1,1,1]", false);
    }

    proptest::proptest! {
        #[test]
        fn voxels_and_offsets_are_inverse(dims in proptest::array::uniform3(1_usize..9), at in 0_usize..1000) {
            let at = at % dims.iter().product::<usize>();
            let voxel = Geometry::voxel_at(at, dims);
            proptest::prop_assert!(voxel.iter().zip(dims).all(|(i, n)| *i < n));
            proptest::prop_assert_eq!(Geometry::offset(voxel, dims), at);
        }

        #[test]
        fn stored_from_world_is_a_permutation(entries in proptest::array::uniform9(-2.0_f64..2.0)) {
            let rows = [0, 1, 2].map(|r| [entries[3 * r], entries[3 * r + 1], entries[3 * r + 2], 0.0]);
            if let Ok(g) = Geometry::new([2, 2, 2], [1.0; 3], rows) {
                let mut axes = g.stored_from_world();
                axes.sort_unstable();
                proptest::prop_assert_eq!(axes, [0, 1, 2]);
                for axis in Axis::ALL {
                    proptest::prop_assert_eq!(g.axis_of_stored(g.stored_axis(axis)), axis);
                }
            }
        }
    }
}
