//! The voxels under a round brush. Round in millimetres, made of whole voxels: a voxel is painted if its centre lies
//! under the brush, and the preview is that same set. Positions are voxels of the plane `[u, v]`; they may lie outside
//! it, so that a stroke can leave and come back.

/// The voxels of a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PlaneGrid {
    /// Voxels along u and v.
    pub(crate) dims: [usize; 2],
    /// Distance between voxel centres along u and v, in millimetres.
    pub(crate) spacing_mm: [f64; 2],
}

/// Voxels `from..to` of row `v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Row.
    pub(crate) v: usize,
    /// First voxel.
    pub(crate) from: usize,
    /// One past the last voxel.
    pub(crate) to: usize,
}

/// Voxels painted by a brush that rests on `centre`.
pub(crate) fn stencil(grid: &PlaneGrid, centre: [i64; 2], diameter_mm: f64) -> Vec<Span> {
    swept(grid, centre, centre, diameter_mm)
}

/// Voxels painted by a brush that moves straight from one voxel to another. There are no gaps, however far apart the
/// two are: the swept shape is a capsule, joined with the line between the voxels for brushes thinner than a voxel.
pub(crate) fn swept(grid: &PlaneGrid, from: [i64; 2], to: [i64; 2], diameter_mm: f64) -> Vec<Span> {
    let radius_mm = diameter_mm.max(0.0) / 2.0;
    let reach = (radius_mm / grid.spacing_mm[1]).floor() as i64;
    let first = (from[1].min(to[1]) - reach).max(0);
    let last = (from[1].max(to[1]) + reach).min(grid.dims[1] as i64 - 1);
    let line = line(from, to);
    (first..=last)
        .filter_map(|v| {
            let on_line = line.iter().filter(|voxel| voxel[1] == v).map(|voxel| voxel[0]);
            let hull =
                on_line.chain(capsule_row(grid, from, to, radius_mm, v)).fold(None, |hull: Option<(i64, i64)>, u| {
                    Some(hull.map_or((u, u), |(low, high)| (low.min(u), high.max(u))))
                });
            let (low, high) = hull?;
            let (low, high) = (low.max(0), high.min(grid.dims[0] as i64 - 1));
            (low <= high).then_some(Span { v: v as usize, from: low as usize, to: high as usize + 1 })
        })
        .collect()
}

/// First and last voxel of row `v` whose centres lie within `radius_mm` of the segment. A capsule is convex, so they
/// bound all of them.
fn capsule_row(grid: &PlaneGrid, from: [i64; 2], to: [i64; 2], radius_mm: f64, v: i64) -> Vec<i64> {
    let reach = (radius_mm / grid.spacing_mm[0]).floor() as i64;
    let mm = |voxel: [i64; 2]| [voxel[0] as f64 * grid.spacing_mm[0], voxel[1] as f64 * grid.spacing_mm[1]];
    let (a, b) = (mm(from), mm(to));
    let inside = |u: &i64| squared_distance(mm([*u, v]), a, b) <= radius_mm * radius_mm + 1e-9;
    let (low, high) = (from[0].min(to[0]) - reach, from[0].max(to[0]) + reach);
    (low..=high).find(inside).into_iter().chain((low..=high).rev().find(inside)).collect()
}

/// Squared distance of a point from the segment `a` to `b`.
fn squared_distance(p: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let (ab, ap) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length = ab[0] * ab[0] + ab[1] * ab[1];
    let along = if length > 0.0 { ((ap[0] * ab[0] + ap[1] * ab[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (du, dv) = (ap[0] - along * ab[0], ap[1] - along * ab[1]);
    du * du + dv * dv
}

/// The voxels of a straight line, ends included, each touching the next at least by a corner.
fn line(from: [i64; 2], to: [i64; 2]) -> Vec<[i64; 2]> {
    let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs());
    let at = |axis: usize, step: i64| {
        from[axis] + ((to[axis] - from[axis]) as f64 * step as f64 / steps.max(1) as f64).round() as i64
    };
    (0..=steps).map(|step| [at(0, step), at(1, step)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(dims: [usize; 2], spans: &[Span]) -> Vec<String> {
        let mut rows = vec![vec!['.'; dims[0]]; dims[1]];
        for span in spans {
            rows[span.v][span.from..span.to].fill('#');
        }
        rows.into_iter().map(String::from_iter).collect()
    }

    #[track_caller]
    fn check(spacing_mm: [f64; 2], from: [i64; 2], to: [i64; 2], diameter_mm: f64, expected: &[&str]) {
        let grid = PlaneGrid { dims: [expected[0].len(), expected.len()], spacing_mm };
        assert_eq!(picture(grid.dims, &swept(&grid, from, to, diameter_mm)), expected);
    }

    #[test]
    fn a_resting_brush_is_round() {
        check([1.0, 1.0], [2, 2], [2, 2], 4.0, &["..#..", ".###.", "#####", ".###.", "..#.."]);
        check([1.0, 1.0], [2, 2], [2, 2], 3.0, &[".....", ".###.", ".###.", ".###.", "....."]);
    }

    #[test]
    fn round_means_round_in_millimetres() {
        // Rows are twice as far apart as columns: the same 4 mm cover half as many.
        check([1.0, 2.0], [2, 2], [2, 2], 4.0, &[".....", "..#..", "#####", "..#..", "....."]);
    }

    #[test]
    fn the_smallest_brush_is_the_voxel_under_the_cursor() {
        check([1.0, 1.0], [1, 1], [1, 1], 0.0, &["...", ".#.", "..."]);
        check([5.0, 5.0], [1, 1], [1, 1], 1.0, &["...", ".#.", "..."]);
    }

    #[test]
    fn fast_strokes_leave_no_gaps() {
        check([1.0, 1.0], [0, 0], [6, 3], 0.0, &["#......", ".##....", "...##..", ".....##"]);
        check([1.0, 1.0], [1, 1], [5, 1], 2.0, &[".#####.", "#######", ".#####."]);
    }

    #[test]
    fn what_leaves_the_plane_is_cut_off() {
        check([1.0, 1.0], [-1, 1], [0, 1], 2.0, &["#..", "##.", "#.."]);
        check([1.0, 1.0], [-9, -9], [-5, -5], 2.0, &["...", "..."]);
    }

    #[test]
    fn every_step_of_a_stroke_covers_its_stencils() {
        let grid = PlaneGrid { dims: [40, 40], spacing_mm: [0.7, 1.3] };
        for (from, to) in [([3, 4], [30, 21]), ([30, 8], [6, 33]), ([10, 10], [11, 30])] {
            let stroke = picture(grid.dims, &swept(&grid, from, to, 5.0));
            for voxel in line(from, to) {
                for span in stencil(&grid, voxel, 4.0) {
                    assert!(
                        stroke[span.v][span.from..span.to].chars().all(|c| c == '#'),
                        "{voxel:?} of {from:?} to {to:?}"
                    );
                }
            }
        }
    }
}
