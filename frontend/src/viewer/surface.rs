//! Labels as surfaces: naive surface nets over a label's voxels, then relaxed. Nothing is averaged away before the
//! surface is found, so that a voxel that stands alone has one too. Pure.

use fast_surface_nets::ndshape::RuntimeShape;
use fast_surface_nets::{SurfaceNetsBuffer, surface_nets};
use shared::geometry::{Dims, Geometry};
use shared::label::{BACKGROUND, Label};

/// Cells along the longest side of a volume and of a label. What is finer is joined, so that turning stays smooth.
const MOST_CELLS: usize = 256;
const MOST_CELLS_OF_LABEL: usize = 96;
/// The same of a surface that is being turned.
const MOST_CELLS_TURNING: usize = 40;
/// Shares of the way to the middle of its neighbours that a corner moves by, there and back so that nothing shrinks
/// (Taubin 1995), how often, and how far in cells at most: steps of voxels go, voxels stay.
const THERE_AND_BACK: [f32; 2] = [0.5, -0.53];
const RELAXATIONS: usize = 5;
const FARTHEST: f32 = 0.35;

/// A volume of labels, plane by plane along its last axis, in blocks where it is too fine. A block has the label that
/// was seen in it last, background only where there is nothing else.
pub(crate) struct Blocks {
    step: usize,
    dims: Dims,
    labels: Vec<Label>,
}

impl Blocks {
    /// Nothing but background.
    pub(crate) fn new(dims: Dims) -> Self {
        let step = dims.iter().max().map_or(1, |longest| longest.div_ceil(MOST_CELLS)).max(1);
        let dims = dims.map(|count| count.div_ceil(step));
        Self { step, labels: vec![BACKGROUND; dims.iter().product()], dims }
    }

    /// Takes over a plane, x fastest, of `columns`.
    pub(crate) fn add(&mut self, z: usize, columns: usize, plane: &[Label]) {
        for (y, row) in plane.chunks_exact(columns.max(1)).enumerate() {
            let start = Geometry::offset([0, y / self.step, z / self.step], self.dims);
            for (x, label) in row.iter().enumerate().filter(|(_, label)| **label != BACKGROUND) {
                if let Some(block) = self.labels.get_mut(start + x / self.step) {
                    *block = *label;
                }
            }
        }
    }

    /// The labels that are here, with the first block and the one after the last along each axis.
    pub(crate) fn found(&self) -> Vec<(Label, [Dims; 2])> {
        let mut boxes = [None::<[Dims; 2]>; 256];
        for (row, labels) in self.labels.chunks_exact(self.dims[0].max(1)).enumerate() {
            let (y, z) = (row % self.dims[1], row / self.dims[1]);
            for (x, label) in labels.iter().enumerate().filter(|(_, label)| **label != BACKGROUND) {
                let [first, end] = boxes[usize::from(*label)].get_or_insert([[x, y, z], [x + 1, y + 1, z + 1]]);
                for (axis, at) in [x, y, z].into_iter().enumerate() {
                    first[axis] = first[axis].min(at);
                    end[axis] = end[axis].max(at + 1);
                }
            }
        }
        (0..=Label::MAX).zip(boxes).filter_map(|(label, found)| Some((label, found?))).collect()
    }
}

/// How fine a surface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// For the eye that rests on it.
    Full,
    /// For a hand that turns it.
    Turning,
}

/// The surface of one label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Surface {
    /// Which label.
    pub(crate) label: Label,
    /// Corners in millimetres (RAS+).
    pub(crate) corners: Vec<[f32; 3]>,
    /// The voxel that each corner lies in or beside.
    pub(crate) voxels: Vec<[u16; 3]>,
    /// Directions of length 1 away from the surface at each corner, on either side.
    pub(crate) normals: Vec<[f32; 3]>,
    /// Three corners each, which go round against the clock seen from outside.
    pub(crate) triangles: Vec<[u32; 3]>,
}

impl Surface {
    /// Around the blocks of `label`, which all lie in `bounds` (see [`Blocks::found`]).
    pub(crate) fn new(
        blocks: &Blocks,
        geometry: &Geometry,
        (label, [first, end]): (Label, [Dims; 2]),
        detail: Detail,
    ) -> Self {
        let most = match detail {
            Detail::Full => MOST_CELLS_OF_LABEL,
            Detail::Turning => MOST_CELLS_TURNING,
        };
        let extent = [0, 1, 2].map(|axis| end[axis] - first[axis]);
        let step = extent.iter().max().map_or(1, |longest| longest.div_ceil(most)).max(1);
        // A cell of nothing before and two behind close the surface: the net leaves its last faces to a neighbour.
        let cells = extent.map(|count| count.div_ceil(step) + 3);
        let mut field = vec![1.0_f32; cells.iter().product()];
        for z in first[2]..end[2] {
            for y in first[1]..end[1] {
                let row = Geometry::offset([0, y, z], blocks.dims);
                let start = Geometry::offset([1, (y - first[1]) / step + 1, (z - first[2]) / step + 1], cells);
                for x in (first[0]..end[0]).filter(|x| blocks.labels[row + x] == label) {
                    field[start + (x - first[0]) / step] = -1.0;
                }
            }
        }
        let shape = RuntimeShape::<u32, 3>::new(cells.map(|count| count as u32));
        let mut net = SurfaceNetsBuffer::default();
        surface_nets(&field, &shape, [0; 3], cells.map(|count| count as u32 - 1), &mut net);
        let triangles: Vec<[u32; 3]> =
            net.indices.chunks_exact(3).map(|corners| [corners[0], corners[1], corners[2]]).collect();
        // From the corners of voxels, as Gibson (1998) begins: what a net puts in between is smaller than a voxel.
        let corners: Vec<[f32; 3]> = net.surface_points.iter().map(|cell| cell.map(|at| at as f32 + 0.5)).collect();
        let relaxed = relaxed(&corners, &triangles);
        let voxel = |cell: &[f32; 3]| {
            [0, 1, 2].map(|axis| {
                let block = first[axis] as f64 + (f64::from(cell[axis]) - 0.5) * step as f64 - 0.5;
                (block + 0.5) * blocks.step as f64 - 0.5
            })
        };
        let world = |cell: &[f32; 3]| geometry.world_from_voxel(voxel(cell)).map(|mm| mm as f32);
        let corners: Vec<[f32; 3]> = relaxed.iter().map(world).collect();
        let last = geometry.dims.map(|count| (count - 1) as f64);
        let voxels = relaxed.iter().map(|cell| {
            let at = voxel(cell);
            [0, 1, 2].map(|axis| at[axis].round().clamp(0.0, last[axis]) as u16)
        });
        let triangles = outwards(&corners, triangles);
        Self { label, voxels: voxels.collect(), normals: normals(&corners, &triangles), corners, triangles }
    }
}

/// Corners evened out among their neighbours, each no farther than [`FARTHEST`] from where it was.
fn relaxed(corners: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    let mut now = corners.to_vec();
    for share in THERE_AND_BACK.into_iter().cycle().take(2 * RELAXATIONS) {
        let mut sums = vec![([0.0_f32; 3], 0.0_f32); now.len()];
        for triangle in triangles {
            for [at, beside] in [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]] {
                let (sum, count) = &mut sums[triangle[at] as usize];
                let other = now[triangle[beside] as usize];
                (0..3).for_each(|axis| sum[axis] += other[axis]);
                *count += 1.0;
            }
        }
        for ((corner, first), (sum, count)) in now.iter_mut().zip(corners).zip(sums) {
            if count > 0.0 {
                *corner = [0, 1, 2].map(|axis| {
                    let moved = corner[axis] + share * (sum[axis] / count - corner[axis]);
                    moved.clamp(first[axis] - FARTHEST, first[axis] + FARTHEST)
                });
            }
        }
    }
    now
}

/// Triangles of a closed surface, turned round if they face inwards: a grid may be a mirror image.
fn outwards(corners: &[[f32; 3]], mut triangles: Vec<[u32; 3]>) -> Vec<[u32; 3]> {
    let origin = corners.first().copied().unwrap_or_default();
    let volume: f64 = triangles
        .iter()
        .map(|triangle| {
            let [a, b, c] =
                triangle.map(|corner| [0, 1, 2].map(|axis| f64::from(corners[corner as usize][axis] - origin[axis])));
            a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
        })
        .sum();
    if volume < 0.0 {
        triangles.iter_mut().for_each(|triangle| triangle.swap(1, 2));
    }
    triangles
}

/// Directions away from the triangles around each corner, larger ones counting more.
fn normals(corners: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    let mut sums = vec![[0.0_f32; 3]; corners.len()];
    for triangle in triangles {
        let [a, b, c] = triangle.map(|corner| corners[corner as usize]);
        let [u, v] = [b, c].map(|end| [0, 1, 2].map(|axis| end[axis] - a[axis]));
        let across = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        for corner in triangle {
            (0..3).for_each(|axis| sums[*corner as usize][axis] += across[axis]);
        }
    }
    for sum in &mut sums {
        let length = sum.iter().map(|along| along * along).sum::<f32>().sqrt();
        if length > 0.0 {
            *sum = sum.map(|along| along / length);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surfaces(geometry: &Geometry, label_at: impl Fn([usize; 3]) -> Label) -> Vec<Surface> {
        let [columns, rows, planes] = geometry.dims;
        let mut blocks = Blocks::new(geometry.dims);
        for z in 0..planes {
            let plane: Vec<Label> = (0..columns * rows).map(|at| label_at([at % columns, at / columns, z])).collect();
            blocks.add(z, columns, &plane);
        }
        let found = blocks.found();
        found.into_iter().map(|found| Surface::new(&blocks, geometry, found, Detail::Full)).collect()
    }

    /// Every edge of a closed surface belongs to two triangles.
    fn is_closed(surface: &Surface) -> bool {
        let mut edges = std::collections::BTreeMap::new();
        for [a, b, c] in &surface.triangles {
            for [from, to] in [[a, b], [b, c], [c, a]] {
                *edges.entry((from.min(to), from.max(to))).or_insert(0) += 1;
            }
        }
        edges.values().all(|count| count % 2 == 0)
    }

    fn middle_and_size(surface: &Surface) -> ([f32; 3], [f32; 3]) {
        let end = |pick: fn(f32, f32) -> f32, from: f32| {
            [0, 1, 2].map(|axis| surface.corners.iter().map(|corner| corner[axis]).fold(from, pick))
        };
        let (low, high) = (end(f32::min, f32::INFINITY), end(f32::max, f32::NEG_INFINITY));
        ([0, 1, 2].map(|axis| (low[axis] + high[axis]) / 2.0), [0, 1, 2].map(|axis| high[axis] - low[axis]))
    }

    #[test]
    fn a_ball_is_round_closed_and_where_it_lies_in_the_patient() {
        let rows = [[0.0, 0.0, -2.0, 90.0], [-1.0, 0.0, 0.0, 5.0], [0.0, 1.5, 0.0, -30.0]];
        let geometry = Geometry::new([40, 30, 24], [1.0, 1.5, 2.0], rows).unwrap();
        let middle = [20.0, 14.0, 12.0];
        let millimetres = |voxel: [usize; 3]| {
            let [world, centre] = [voxel.map(|at| at as f64), middle].map(|at| geometry.world_from_voxel(at));
            (0..3).map(|axis| (world[axis] - centre[axis]).powi(2)).sum::<f64>().sqrt()
        };
        let found = surfaces(&geometry, |voxel| if millimetres(voxel) <= 12.0 { 3 } else { 0 });
        let [ball] = found.as_slice() else { panic!("{} surfaces", found.len()) };
        assert_eq!(ball.label, 3);
        assert!(is_closed(ball));
        let centre = geometry.world_from_voxel(middle).map(|mm| mm as f32);
        let mut sum = 0.0;
        for (corner, normal) in ball.corners.iter().zip(&ball.normals) {
            let away = [0, 1, 2].map(|axis| corner[axis] - centre[axis]);
            let distance = away.iter().map(|mm| mm * mm).sum::<f32>().sqrt();
            assert!((distance - 12.0).abs() < 2.0, "{corner:?} is {distance} mm from the middle");
            // Outwards, in this grid, which is a mirror image.
            let along = (0..3).map(|axis| away[axis] * normal[axis]).sum::<f32>() / distance;
            // At its poles a ball of voxels has tips.
            assert!(along > 0.4, "{normal:?} at {away:?}");
            sum += along;
        }
        assert!(sum / ball.corners.len() as f32 > 0.93, "{}", sum / ball.corners.len() as f32);
        for (corner, voxel) in ball.corners.iter().zip(&ball.voxels) {
            let world = geometry.world_from_voxel(voxel.map(f64::from)).map(|mm| mm as f32);
            assert!((0..3).all(|axis| (world[axis] - corner[axis]).abs() <= 1.01), "{corner:?} {world:?}");
        }
    }

    #[test]
    fn a_voxel_that_stands_alone_is_seen() {
        let geometry = Geometry::axis_aligned([9, 8, 7], [1.0, 1.0, 3.0]).unwrap();
        let found = surfaces(&geometry, |voxel| match voxel {
            [2, 3, 4] => 1,
            [8, 7, 6] => 2,
            _ => 0,
        });
        let seen: Vec<_> = found.iter().map(|surface| (surface.label, middle_and_size(surface))).collect();
        for ((label, (middle, size)), (expected, voxel)) in
            seen.into_iter().zip([(1, [2.0, 3.0, 12.0]), (2, [8.0, 7.0, 18.0])])
        {
            assert_eq!(label, expected);
            assert!((0..3).all(|axis| (middle[axis] - voxel[axis]).abs() < 0.25), "{middle:?}");
            assert!(size.iter().all(|mm| *mm > 0.3), "{size:?}");
        }
    }

    #[test]
    fn a_large_volume_is_joined_and_stays_in_place() {
        let geometry = Geometry::axis_aligned([600, 4, 4], [0.5, 1.0, 1.0]).unwrap();
        let found = surfaces(&geometry, |[x, y, z]| u8::from((30..570).contains(&x) && y > 0 && z == 2));
        let (middle, size) = middle_and_size(&found[0]);
        assert!((middle[0] - 150.0).abs() < 1.5 && (size[0] - 270.0).abs() < 6.0, "{middle:?} {size:?}");
        assert!(found[0].triangles.len() < 20_000);
    }
}
