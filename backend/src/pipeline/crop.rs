//! Where a scan holds anything: the mask of what is not zero, its holes filled, and the box around it.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, Zip};

/// Voxels where some channel is not zero, with holes filled: background that no path of face neighbours leads out of.
pub fn nonzero(channels: &[ArrayView3<'_, f32>]) -> Array3<bool> {
    let mut mask = Array3::from_elem(channels.first().map_or([0; 3], |c| [c.dim().0, c.dim().1, c.dim().2]), false);
    for channel in channels {
        Zip::from(&mut mask).and(channel).par_for_each(|inside, value| *inside |= *value != 0.0);
    }
    fill_holes(&mut mask);
    mask
}

/// The smallest box that holds every true voxel; the whole volume if there is none.
pub fn bounding_box(mask: &Array3<bool>) -> [Range<usize>; 3] {
    let (nz, ny, nx) = mask.dim();
    let mut low = [nz, ny, nx];
    let mut high = [0; 3];
    for (row, voxels) in mask.rows().into_iter().enumerate() {
        if let (Some(first), Some(last)) =
            (voxels.iter().position(|inside| *inside), voxels.iter().rposition(|inside| *inside))
        {
            for (axis, (from, to)) in
                [(row / ny, row / ny), (row % ny, row % ny), (first, last)].into_iter().enumerate()
            {
                low[axis] = low[axis].min(from);
                high[axis] = high[axis].max(to + 1);
            }
        }
    }
    if high == [0; 3] { [0..nz, 0..ny, 0..nx] } else { [low[0]..high[0], low[1]..high[1], low[2]..high[2]] }
}

/// A stretch of background along x.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
}

/// Joins runs of background that touch; those not joined to the outside are holes. Runs are far fewer than voxels.
fn fill_holes(mask: &mut Array3<bool>) {
    let (nz, ny, nx) = mask.dim();
    let mut runs: Vec<Run> = Vec::new();
    // The runs of row r are `rows[r]..rows[r + 1]`.
    let mut rows = vec![0];
    let mut groups = Groups(vec![0]);
    for (row, voxels) in mask.rows().into_iter().enumerate() {
        let (z, y) = (row / ny, row % ny);
        let first = runs.len();
        push_runs(&mut runs, voxels.iter().copied());
        groups.0.extend(first + 1..=runs.len());
        let at_border = z == 0 || y == 0 || z + 1 == nz || y + 1 == ny;
        for (run, Run { start, end }) in runs.iter().enumerate().skip(first) {
            if at_border || *start == 0 || *end == nx {
                groups.join(run + 1, Groups::OUTSIDE);
            }
        }
        for neighbour in [(y > 0).then(|| row - 1), (z > 0).then(|| row - ny)].into_iter().flatten() {
            join_touching(&runs, rows[neighbour]..rows[neighbour + 1], first..runs.len(), &mut groups);
        }
        rows.push(runs.len());
    }
    let outside = groups.find(Groups::OUTSIDE);
    for (row, mut voxels) in mask.rows_mut().into_iter().enumerate() {
        let first = rows[row];
        for (number, Run { start, end }) in runs[first..rows[row + 1]].iter().enumerate() {
            if groups.find(first + number + 1) != outside {
                voxels.slice_mut(ndarray::s![*start..*end]).fill(true);
            }
        }
    }
}

fn push_runs(runs: &mut Vec<Run>, voxels: impl Iterator<Item = bool>) {
    let mut open = false;
    for (x, inside) in voxels.enumerate() {
        match (inside, open) {
            (false, false) => runs.push(Run { start: x, end: x + 1 }),
            (false, true) => {
                if let Some(run) = runs.last_mut() {
                    run.end = x + 1;
                }
            }
            _ => {}
        }
        open = !inside;
    }
}

/// Two rows' runs in step, as both are ascending.
fn join_touching(runs: &[Run], mut a: Range<usize>, mut b: Range<usize>, groups: &mut Groups) {
    while !a.is_empty() && !b.is_empty() {
        let (one, other) = (runs[a.start], runs[b.start]);
        if one.start < other.end && other.start < one.end {
            groups.join(a.start + 1, b.start + 1);
        }
        if one.end < other.end { a.start += 1 } else { b.start += 1 }
    }
}

/// Which runs belong together: each points to another of its group, the last one to itself.
struct Groups(Vec<usize>);

impl Groups {
    /// What lies outside of the volume.
    const OUTSIDE: usize = 0;

    fn find(&mut self, mut item: usize) -> usize {
        while self.0[item] != item {
            self.0[item] = self.0[self.0[item]];
            item = self.0[item];
        }
        item
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        let (low, high) = (a.min(b), a.max(b));
        self.0[high] = low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn holes_are_filled_and_tunnels_are_not() {
        let mut ring = Array3::from_elem((3, 3, 3), true);
        ring[[1, 1, 1]] = false;
        let mut tunnel = ring.clone();
        tunnel[[0, 1, 1]] = false;
        fill_holes(&mut ring);
        assert!(ring.iter().all(|v| *v));
        let before = tunnel.clone();
        fill_holes(&mut tunnel);
        assert_eq!(tunnel, before);
    }

    #[test]
    fn boxes_hold_what_is_true() {
        let mut mask = Array3::from_elem((4, 5, 6), false);
        assert_eq!(bounding_box(&mask), [0..4, 0..5, 0..6]);
        mask[[1, 2, 3]] = true;
        mask[[2, 2, 5]] = true;
        assert_eq!(bounding_box(&mask), [1..3, 2..3, 3..6]);
    }

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_crop_is_reproduced() {
        let index = reference::nnunet_index();
        for name in ["crop", "crop_empty"] {
            let vector = index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == name).unwrap().clone();
            let channels = reference::nnunet_array(vector["x"].as_str().unwrap());
            let mask = nonzero(&channels.outer_iter().collect::<Vec<_>>());
            let expected: [[usize; 2]; 3] = serde_json::from_value(vector["bbox"].clone()).unwrap();
            assert_eq!(bounding_box(&mask), expected.map(|[a, b]| a..b), "{name}");
            if let Some(file) = vector["mask"].as_str() {
                assert_eq!(mask, reference::nnunet_array3(file).mapv(|v| v != 0.0), "{name}");
            }
        }
    }

    /// Floods the outside voxel by voxel: slow, and plainly right.
    fn flooded(mask: &Array3<bool>) -> Array3<bool> {
        let (nz, ny, nx) = mask.dim();
        let mut outside = Array3::from_elem((nz + 2, ny + 2, nx + 2), false);
        let mut stack = vec![[0_usize; 3]];
        while let Some([z, y, x]) = stack.pop() {
            let inside = (1..=nz).contains(&z) && (1..=ny).contains(&y) && (1..=nx).contains(&x);
            if outside[[z, y, x]] || (inside && mask[[z - 1, y - 1, x - 1]]) {
                continue;
            }
            outside[[z, y, x]] = true;
            for axis in 0..3 {
                for step in [-1, 1] {
                    let next = [z, y, x][axis] as i64 + step;
                    if (0..[nz + 2, ny + 2, nx + 2][axis] as i64).contains(&next) {
                        let mut voxel = [z, y, x];
                        voxel[axis] = next as usize;
                        stack.push(voxel);
                    }
                }
            }
        }
        Array3::from_shape_fn(mask.dim(), |(z, y, x)| !outside[[z + 1, y + 1, x + 1]])
    }

    proptest::proptest! {
        #[test]
        fn holes_are_what_no_flood_reaches(
            shape in proptest::array::uniform3(1_usize..6),
            seed: u64,
            share in 1_u64..7,
        ) {
            let mut state = seed | 1;
            let mask = Array3::from_shape_simple_fn(shape, || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % 8 < share
            });
            let mut filled = mask.clone();
            fill_holes(&mut filled);
            proptest::prop_assert_eq!(filled, flooded(&mask));
        }
    }
}
