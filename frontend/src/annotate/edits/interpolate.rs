//! Shape interpolation: the outlines between two corrected planes, by the signed distance of every voxel from each
//! label's edge (Raya and Udupa, 1990).

use shared::label::{BACKGROUND, Label};

use super::{Card, Change, Neighbour, Plate};
use crate::annotate::stencil::PlaneGrid;

/// See the module.
pub(super) struct Interpolate;

impl Change for Interpolate {
    fn card(&self) -> &'static Card {
        &Card {
            id: "interpolate",
            name: "Interpolate",
            about: "Offers the shapes between the nearest corrected planes on either side",
            is_offered: true,
        }
    }

    fn apply(&self, plate: &Plate<'_>) -> Result<Vec<Label>, &'static str> {
        let [Some(before), Some(after)] = plate.corrected else {
            return Err("Interpolation needs a corrected plane on either side of this one.");
        };
        let mut found: Vec<(f64, Label)> = vec![(0.0, BACKGROUND); plate.labels.len()];
        let mut labels: Vec<Label> =
            before.labels.iter().chain(after.labels).copied().filter(|label| *label != BACKGROUND).collect();
        labels.sort_unstable();
        labels.dedup();
        let total = (before.distance + after.distance) as f64;
        for label in labels {
            let depths = [before, after].map(|Neighbour { labels, .. }| depth_mm(plate.grid, |at| labels[at] == label));
            for (at, found) in found.iter_mut().enumerate() {
                // The nearer plane counts more.
                let depth = (depths[0][at] * after.distance as f64 + depths[1][at] * before.distance as f64) / total;
                if depth >= found.0 {
                    *found = (depth, label);
                }
            }
        }
        Ok(found.into_iter().map(|(_, label)| label).collect())
    }
}

/// How deep a voxel lies within a shape, in millimetres from the nearest voxel that does not belong to it; negative
/// outside. Beyond everything where there is no shape at all.
fn depth_mm(grid: &PlaneGrid, is_in: impl Fn(usize) -> bool) -> Vec<f64> {
    let inside = squared_distance_mm(grid, |at| !is_in(at));
    let outside = squared_distance_mm(grid, is_in);
    // Half a voxel, so that the edge lies between the last voxel inside and the first outside.
    let half = grid.spacing_mm[0].min(grid.spacing_mm[1]) / 2.0;
    inside
        .into_iter()
        .zip(outside)
        .map(|(inside, outside)| if outside > 0.0 { half - outside.sqrt() } else { inside.sqrt() - half })
        .collect()
}

/// Squared distance of each voxel from the nearest one that is a seed (Felzenszwalb and Huttenlocher, 2012); the
/// plane's diagonal and more where there is none.
fn squared_distance_mm(grid: &PlaneGrid, is_seed: impl Fn(usize) -> bool) -> Vec<f64> {
    let [columns, rows] = grid.dims;
    let far = (0..2).map(|axis| (grid.dims[axis] as f64 * grid.spacing_mm[axis]).powi(2)).sum::<f64>();
    let mut squared: Vec<f64> = (0..columns * rows).map(|at| if is_seed(at) { 0.0 } else { far }).collect();
    for row in squared.chunks_exact_mut(columns) {
        let lower = envelope(row, grid.spacing_mm[0]);
        row.copy_from_slice(&lower);
    }
    for column in 0..columns {
        let line: Vec<f64> = (0..rows).map(|row| squared[column + row * columns]).collect();
        for (row, value) in envelope(&line, grid.spacing_mm[1]).into_iter().enumerate() {
            squared[column + row * columns] = value;
        }
    }
    squared
}

/// The lower envelope of parabolas that stand on the values of a line.
fn envelope(line: &[f64], spacing_mm: f64) -> Vec<f64> {
    let place = |at: usize| at as f64 * spacing_mm;
    let meet = |a: usize, b: usize| {
        ((line[b] + place(b).powi(2)) - (line[a] + place(a).powi(2))) / (2.0 * (place(b) - place(a)))
    };
    let mut kept: Vec<(usize, f64)> = Vec::new();
    for at in 0..line.len() {
        let mut from = f64::NEG_INFINITY;
        while let Some(&(last, begins)) = kept.last() {
            from = meet(last, at);
            if from > begins {
                break;
            }
            kept.pop();
            from = f64::NEG_INFINITY;
        }
        kept.push((at, from));
    }
    let mut current = 0;
    (0..line.len())
        .map(|at| {
            while kept.get(current + 1).is_some_and(|(_, begins)| *begins < place(at)) {
                current += 1;
            }
            let vertex = kept[current].0;
            (place(at) - place(vertex)).powi(2) + line[vertex]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::edits::pictures::{check_beside, labels};

    const EMPTY: &[&str] = &["......."; 5];

    #[test]
    fn a_shape_moves_and_grows_between_two_planes() {
        let left: &[&str] = &["......", "11....", "11....", "......"];
        let right: &[&str] = &["......", "..11..", "..11..", "......"];
        check_beside(
            &Interpolate,
            &["......"; 4],
            [Some((1, left)), Some((1, right))],
            &["......", ".11...", ".11...", "......"],
        );
        let small: &[&str] = &[".......", ".......", "...1...", ".......", "......."];
        let large: &[&str] = &["1111111"; 5];
        let between = &[".11111.", "1111111", "1111111", "1111111", ".11111."];
        check_beside(&Interpolate, EMPTY, [Some((1, small)), Some((3, large))], between);
    }

    #[test]
    fn equal_planes_have_their_equal_between_them() {
        let shape: &[&str] = &["..22...", ".1122..", ".11222.", "..1....", "......."];
        check_beside(&Interpolate, EMPTY, [Some((2, shape)), Some((5, shape))], shape);
    }

    #[test]
    fn without_a_plane_on_either_side_it_is_refused() {
        let grid = PlaneGrid { dims: [2, 1], spacing_mm: [1.0; 2] };
        let one = labels(&["1."]);
        let plate = Plate {
            grid: &grid,
            labels: &one,
            label: 1,
            adjacent: [None; 2],
            corrected: [Some(Neighbour { distance: 1, labels: &one }), None],
        };
        assert!(Interpolate.apply(&plate).unwrap_err().contains("either side"));
    }

    proptest::proptest! {
        #[test]
        fn distances_are_those_to_the_nearest_seed(
            cells in proptest::collection::vec(proptest::bool::weighted(0.2), 30),
            across in 0.5_f64..2.0,
        ) {
            let grid = PlaneGrid { dims: [6, 5], spacing_mm: [across, 1.0] };
            let place = |at: usize| [(at % 6) as f64 * across, (at / 6) as f64];
            let got = squared_distance_mm(&grid, |at| cells[at]);
            for (at, got) in got.iter().enumerate() {
                let to = |seed: usize| (0..2).map(|i| (place(at)[i] - place(seed)[i]).powi(2)).sum::<f64>();
                let seeds = (0..30).filter(|seed| cells[*seed]);
                if let Some(nearest) = seeds.map(to).min_by(f64::total_cmp) {
                    proptest::prop_assert!((nearest - got).abs() < 1e-9);
                }
            }
        }
    }
}
