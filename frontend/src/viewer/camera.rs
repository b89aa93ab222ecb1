//! Where a plane lies on its canvas. Spaces: *plane* `[u, v]` as in `shared::geometry`; *grid* `[column, row]`, the
//! same voxels turned as they are shown (column to the right, row down); *canvas*, CSS pixels from its top left corner.
//! Voxel `[c, r]` of the grid covers `c..c+1`, `r..r+1`.

use shared::geometry::{Axis, Geometry};

use crate::annotate::stencil::PlaneGrid;

/// On which side of the screen the patient's left is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Convention {
    /// On the right: one looks from the feet, and into the patient's face.
    #[default]
    Radiological,
    /// On the left: one looks from the head, and from behind.
    Neurological,
}

/// Planes of one axis as they are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ViewGrid {
    /// Stored axes along the screen's horizontal and vertical.
    pub(crate) stored: [usize; 2],
    /// Columns and rows.
    pub(crate) dims: [usize; 2],
    /// Distance between columns and between rows, in millimetres.
    pub(crate) spacing_mm: [f64; 2],
    /// The voxel index falls along columns, along rows.
    pub(crate) flip: [bool; 2],
    /// Columns run along v rather than u.
    pub(crate) transposed: bool,
    /// Letters at the left, right, top and bottom edge.
    pub(crate) letters: [&'static str; 4],
}

impl ViewGrid {
    /// How planes of `axis` are shown by radiologists.
    pub(crate) fn new(geometry: &Geometry, axis: Axis) -> Self {
        let view = geometry.plane_view(axis);
        let stored = [view.horizontal, view.vertical];
        let letters = match axis {
            Axis::Axial => ["R", "L", "A", "P"],
            Axis::Coronal => ["R", "L", "S", "I"],
            Axis::Sagittal => ["A", "P", "S", "I"],
        };
        Self {
            stored,
            dims: stored.map(|axis| geometry.dims[axis]),
            spacing_mm: stored.map(|axis| geometry.spacing_mm[axis]),
            flip: [view.flip_horizontal, view.flip_vertical],
            transposed: geometry.in_plane_axes(axis)[0] != view.horizontal,
            letters,
        }
    }

    /// The same planes in another convention: where left and right lie along the screen, they change sides.
    pub(crate) fn seen_as(mut self, convention: Convention) -> Self {
        if convention == Convention::Neurological && self.letters[0] == "R" {
            self.flip[0] = !self.flip[0];
            self.letters.swap(0, 1);
        }
        self
    }

    /// The same planes with every so many columns and rows alone, as [`super::frame::thinned`] leaves them.
    pub(crate) fn thinned(mut self, step: usize) -> Self {
        self.dims = self.dims.map(|n| n.div_ceil(step));
        self.spacing_mm = self.spacing_mm.map(|mm| mm * step as f64);
        self
    }

    /// The plane's voxels for the brush.
    pub(crate) fn plane_grid(&self) -> PlaneGrid {
        PlaneGrid { dims: self.swap(self.dims), spacing_mm: self.swap(self.spacing_mm) }
    }

    /// Plane position of a grid position; either may lie outside.
    pub(crate) fn plane_from_grid(&self, cell: [i64; 2]) -> [i64; 2] {
        self.swap([self.flipped(0, cell[0]), self.flipped(1, cell[1])])
    }

    /// Offset of a grid cell in a plane's buffer (u fastest).
    pub(crate) fn plane_offset(&self, column: usize, row: usize) -> usize {
        let h = if self.flip[0] { self.dims[0] - 1 - column } else { column };
        let v = if self.flip[1] { self.dims[1] - 1 - row } else { row };
        if self.transposed { v + h * self.dims[1] } else { h + v * self.dims[0] }
    }

    fn flipped(&self, axis: usize, at: i64) -> i64 {
        if self.flip[axis] { self.dims[axis] as i64 - 1 - at } else { at }
    }

    fn swap<T: Copy>(&self, [a, b]: [T; 2]) -> [T; 2] {
        if self.transposed { [b, a] } else { [a, b] }
    }
}

/// What part of a plane is looked at, and how closely. Independent of the canvas's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Camera {
    /// 1 shows the whole plane.
    pub(crate) zoom: f64,
    /// How far the looked-at point is from the plane's middle, in millimetres to the right and down.
    pub(crate) offset_mm: [f64; 2],
}

impl Default for Camera {
    fn default() -> Self {
        Self { zoom: 1.0, offset_mm: [0.0; 2] }
    }
}

/// Closest and farthest look.
const ZOOM: [f64; 2] = [0.25, 40.0];
/// Pixels left free around a plane that is shown whole.
const MARGIN_PX: f64 = 30.0;

/// Where a grid lies on a canvas, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placement {
    /// The grid's top left corner.
    pub(crate) origin_px: [f64; 2],
    /// Size of a voxel.
    pub(crate) voxel_px: [f64; 2],
}

impl Placement {
    /// Where `camera` puts `grid` on a canvas of `size_px`.
    pub(crate) fn new(grid: &ViewGrid, size_px: [f64; 2], camera: &Camera) -> Self {
        let scale = fit_px_per_mm(grid, size_px) * camera.zoom;
        let voxel_px = grid.spacing_mm.map(|mm| mm * scale);
        let origin = |axis: usize| {
            size_px[axis] / 2.0 - grid.dims[axis] as f64 * voxel_px[axis] / 2.0 - camera.offset_mm[axis] * scale
        };
        Self { origin_px: [origin(0), origin(1)], voxel_px }
    }

    /// The whole of `grid` on a canvas of `size_px`, without a margin.
    pub(crate) fn whole(grid: &ViewGrid, size_px: [f64; 2]) -> Self {
        let fit = |axis: usize| size_px[axis] / (grid.dims[axis] as f64 * grid.spacing_mm[axis]);
        let scale = fit(0).min(fit(1));
        let voxel_px = grid.spacing_mm.map(|mm| mm * scale);
        Self { origin_px: [0, 1].map(|axis| (size_px[axis] - grid.dims[axis] as f64 * voxel_px[axis]) / 2.0), voxel_px }
    }

    /// Canvas position of a grid position.
    pub(crate) fn canvas_from_grid(&self, at: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| self.origin_px[axis] + at[axis] * self.voxel_px[axis])
    }

    /// Grid position of a canvas position.
    pub(crate) fn grid_from_canvas(&self, at: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| (at[axis] - self.origin_px[axis]) / self.voxel_px[axis])
    }

    /// The voxel under a canvas position, perhaps outside the grid.
    pub(crate) fn cell_from_canvas(&self, at: [f64; 2]) -> [i64; 2] {
        self.grid_from_canvas(at).map(|at| at.floor() as i64)
    }
}

/// Zooms by `factor` so that what is under `at` (canvas) stays there.
pub(crate) fn zoomed(camera: Camera, grid: &ViewGrid, size_px: [f64; 2], at: [f64; 2], factor: f64) -> Camera {
    let zoom = (camera.zoom * factor).clamp(ZOOM[0], ZOOM[1]);
    let fit = fit_px_per_mm(grid, size_px);
    let kept = |axis: usize| {
        camera.offset_mm[axis] + (at[axis] - size_px[axis] / 2.0) / fit * (1.0 / camera.zoom - 1.0 / zoom)
    };
    Camera { zoom, offset_mm: [kept(0), kept(1)] }
}

/// Moves the plane by `by_px` on the canvas.
pub(crate) fn panned(camera: Camera, grid: &ViewGrid, size_px: [f64; 2], by_px: [f64; 2]) -> Camera {
    let scale = fit_px_per_mm(grid, size_px) * camera.zoom;
    Camera { offset_mm: [0, 1].map(|axis| camera.offset_mm[axis] - by_px[axis] / scale), ..camera }
}

fn fit_px_per_mm(grid: &ViewGrid, size_px: [f64; 2]) -> f64 {
    let fit =
        |axis: usize| (size_px[axis] - 2.0 * MARGIN_PX).max(16.0) / (grid.dims[axis] as f64 * grid.spacing_mm[axis]);
    fit(0).min(fit(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::geometry::{Affine, Plane};
    use shared::volume::Volume;

    const RAS: Affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]];
    const LPS: Affine = [[-1.0, 0.0, 0.0, 0.0], [0.0, -2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]];
    /// Stored as (front, head, right), as a sagittally acquired scan.
    const ASR: Affine = [[0.0, 0.0, 3.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]];

    /// The screen's top left voxel of every middle plane, named by where it lies in the patient.
    #[test]
    fn the_patients_right_front_and_head_are_where_radiologists_expect_them() {
        for rows in [RAS, LPS, ASR] {
            let geometry = Geometry::new([4, 5, 6], [1.0, 2.0, 3.0], rows).unwrap();
            for (axis, corner) in [(Axis::Axial, "RA"), (Axis::Coronal, "RS"), (Axis::Sagittal, "AS")] {
                let grid = ViewGrid::new(&geometry, axis);
                let world_at = |cell: [i64; 2]| {
                    let position = grid.plane_from_grid(cell).map(|i| i as usize);
                    geometry.world_from_voxel(
                        geometry.voxel_from_plane(Plane { axis, index: 0 }, position).map(|i| i as f64),
                    )
                };
                let first = world_at([0, 0]);
                let last = world_at(grid.dims.map(|n| n as i64 - 1));
                for letter in corner.chars() {
                    let world = "RAS".find(letter).unwrap();
                    assert!(first[world] > last[world], "{axis}: {letter} should be top left, with {rows:?}");
                }
            }
        }
    }

    #[test]
    fn grid_cells_and_plane_offsets_agree() {
        for rows in [RAS, LPS, ASR] {
            let geometry = Geometry::new([4, 5, 6], [1.0, 2.0, 3.0], rows).unwrap();
            let offsets: Vec<usize> = (0..geometry.voxel_count()).collect();
            let volume = Volume::new(geometry.clone(), offsets).unwrap();
            for axis in Axis::ALL {
                let grid = ViewGrid::new(&geometry, axis);
                let plane = Plane { axis, index: 1 };
                let voxels = volume.read_plane(plane).unwrap();
                assert_eq!(grid.plane_grid().dims, geometry.plane_dims(axis));
                for (column, row) in [(0, 0), (1, 2), (3, 3)] {
                    let position = grid.plane_from_grid([column as i64, row as i64]);
                    let voxel = geometry.voxel_from_plane(plane, position.map(|i| i as usize));
                    assert_eq!(voxels[grid.plane_offset(column, row)], Geometry::offset(voxel, geometry.dims));
                }
            }
        }
    }

    /// The 48 ways in which a scan's axes may lie, and five scans that lie askew.
    fn orientations() -> Vec<Affine> {
        let spacing = [1.0, 2.0, 3.0];
        let mut all = Vec::new();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for flips in 0..8 {
                let mut rows = [[0.0; 4]; 3];
                for (stored, world) in order.into_iter().enumerate() {
                    rows[world][stored] = if flips >> stored & 1 == 1 { -spacing[stored] } else { spacing[stored] };
                }
                all.push(rows);
            }
        }
        for degrees in [[15.0, 0.0, 0.0], [0.0, -20.0, 0.0], [0.0, 0.0, 25.0], [10.0, 15.0, -12.0], [-18.0, 8.0, 20.0]]
        {
            let [[sa, ca], [sb, cb], [sc, cc]] =
                degrees.map(|angle: f64| <[f64; 2]>::from(angle.to_radians().sin_cos()));
            let turned = [
                [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
                [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
                [-sb, sa * cb, ca * cb],
            ];
            all.push(turned.map(|row| [row[0] * spacing[0], row[1] * spacing[1], row[2] * spacing[2], 7.0]));
        }
        all
    }

    #[test]
    fn letters_and_painted_voxels_are_right_in_every_orientation() {
        let all = orientations();
        assert_eq!(all.len(), 53);
        for rows in all {
            let geometry = Geometry::new([5, 6, 7], [1.0, 2.0, 3.0], rows).unwrap();
            for (axis, letters, worlds) in [
                (Axis::Axial, ["R", "L", "A", "P"], [0, 1]),
                (Axis::Coronal, ["R", "L", "S", "I"], [0, 2]),
                (Axis::Sagittal, ["A", "P", "S", "I"], [1, 2]),
            ] {
                let grid = ViewGrid::new(&geometry, axis);
                let plane = Plane { axis, index: 1 };
                let voxel =
                    |cell: [i64; 2]| geometry.voxel_from_plane(plane, grid.plane_from_grid(cell).map(|at| at as usize));
                let world = |cell: [i64; 2]| geometry.world_from_voxel(voxel(cell).map(|at| at as f64));
                assert_eq!(grid.letters, letters);
                // To the right and down on the screen, the patient's coordinates along these axes fall.
                for (step, along) in [[1, 0], [0, 1]].into_iter().zip(worlds) {
                    let moved: Vec<f64> = (0..3).map(|at| world(step)[at] - world([0, 0])[at]).collect();
                    let largest = (0..3).max_by(|a, b| moved[*a].abs().total_cmp(&moved[*b].abs())).unwrap();
                    assert_eq!((largest, moved[along] < 0.0), (along, true), "{axis} {step:?} {rows:?}");
                }
                let mut labels = vec![0_u8; grid.dims[0] * grid.dims[1]];
                labels[grid.plane_offset(2, 3)] = 1;
                let mut volume = Volume::filled(geometry.clone(), 0_u8);
                volume.write_plane(plane, &labels).unwrap();
                assert_eq!(volume.get(voxel([2, 3])), Some(1), "{axis} {rows:?}");
                assert_eq!(volume.voxels().iter().filter(|label| **label == 1).count(), 1);
            }
        }
    }

    #[test]
    fn neurologists_see_left_on_the_left() {
        let geometry = Geometry::axis_aligned([4, 5, 6], [1.0; 3]).unwrap();
        for (axis, mirrored) in [(Axis::Axial, true), (Axis::Coronal, true), (Axis::Sagittal, false)] {
            let radiological = ViewGrid::new(&geometry, axis);
            let neurological = radiological.seen_as(Convention::Neurological);
            assert_eq!(radiological.seen_as(Convention::Radiological), radiological);
            assert_eq!(neurological.flip[0] != radiological.flip[0], mirrored);
            assert_eq!(neurological.letters[0] != radiological.letters[0], mirrored);
            let first = neurological.plane_from_grid([0, 0]);
            let last = radiological.plane_from_grid([radiological.dims[0] as i64 - 1, 0]);
            assert_eq!(first == last, mirrored, "{axis}");
        }
    }

    fn anisotropic() -> ViewGrid {
        ViewGrid::new(&Geometry::axis_aligned([10, 20, 30], [1.0, 1.0, 4.0]).unwrap(), Axis::Coronal)
    }

    #[test]
    fn millimetres_are_square_on_the_screen() {
        let placement = Placement::new(&anisotropic(), [400.0, 300.0], &Camera::default());
        assert!((placement.voxel_px[1] / placement.voxel_px[0] - 4.0).abs() < 1e-9);
        assert_eq!(placement.canvas_from_grid([5.0, 15.0]), [200.0, 150.0]);
    }

    #[test]
    fn a_whole_plane_touches_two_edges() {
        let placement = Placement::whole(&anisotropic(), [60.0, 60.0]);
        assert_eq!((placement.origin_px, placement.voxel_px), ([27.5, 0.0], [0.5, 2.0]));
    }

    #[test]
    fn zooming_keeps_what_is_under_the_cursor() {
        let (grid, size_px, at) = (anisotropic(), [400.0, 300.0], [250.0, 40.0]);
        let mut camera = Camera { zoom: 1.5, offset_mm: [3.0, -7.0] };
        let before = Placement::new(&grid, size_px, &camera).grid_from_canvas(at);
        for factor in [1.3, 2.0, 0.2] {
            camera = zoomed(camera, &grid, size_px, at, factor);
            let after = Placement::new(&grid, size_px, &camera).grid_from_canvas(at);
            assert!(before.iter().zip(after).all(|(a, b)| (a - b).abs() < 1e-9), "{before:?} {after:?}");
        }
        assert_eq!(zoomed(camera, &grid, size_px, at, 1e9).zoom, ZOOM[1]);
    }

    #[test]
    fn panning_moves_the_plane_with_the_hand() {
        let (grid, size_px) = (anisotropic(), [400.0, 300.0]);
        let camera = Camera { zoom: 2.0, offset_mm: [1.0, 1.0] };
        let before = Placement::new(&grid, size_px, &camera);
        let after = Placement::new(&grid, size_px, &panned(camera, &grid, size_px, [30.0, -10.0]));
        assert!((after.origin_px[0] - before.origin_px[0] - 30.0).abs() < 1e-9);
        assert!((after.origin_px[1] - before.origin_px[1] + 10.0).abs() < 1e-9);
    }
}
