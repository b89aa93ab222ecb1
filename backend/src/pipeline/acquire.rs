//! From uncertainty and presegmentation to the slices worth correcting: [`profiles`] sums the volumes up, [`rank`] chooses by the sums.
//!
//! Looks upstream only: what the expert said reaches it as the names of planes already corrected, never as labels.

mod profiles;
mod rank;
mod settle;

use std::ops::Range;

use rayon::prelude::*;
use shared::acquisition::{AcquisitionParams, SliceList};
use shared::geometry::{Dims, Geometry, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;
use thiserror::Error;

pub use profiles::{AxisProfile, Component, MAX_BLOCKS, Profiles};
pub use rank::{published_planes, rank, suppress};

/// Why slices cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AcquireError {
    /// The two volumes are not of one case.
    #[error("the uncertainty has {uncertainty:?} voxels and the presegmentation {presegmentation:?}; both must lie on the scan's grid")]
    DifferentGrids {
        /// Size of the uncertainty.
        uncertainty: Dims,
        /// Size of the presegmentation.
        presegmentation: Dims,
    },
}

/// Chooses and ranks slices. Planes in `settled` were corrected in earlier rounds: they count as known and are not offered again.
///
/// # Errors
/// [`AcquireError::DifferentGrids`].
pub fn acquire(
    uncertainty: &Volume<f32>,
    presegmentation: &Volume<Label>,
    params: &AcquisitionParams,
    settled: &[Plane],
) -> Result<SliceList, AcquireError> {
    Ok(rank(&profiles(uncertainty, presegmentation)?, params, settled))
}

/// Sums the volumes up. The result does not depend on the number of threads. Uncertainty that is negative or not finite counts as none.
///
/// # Errors
/// [`AcquireError::DifferentGrids`].
pub fn profiles(uncertainty: &Volume<f32>, presegmentation: &Volume<Label>) -> Result<Profiles, AcquireError> {
    let geometry = uncertainty.geometry().clone();
    let dims = geometry.dims;
    if presegmentation.geometry().dims != dims {
        return Err(AcquireError::DifferentGrids { uncertainty: dims, presegmentation: presegmentation.geometry().dims });
    }
    let case = Case { uncertainty: uncertainty.voxels(), labels: presegmentation.voxels(), dims };
    let grid = CellGrid::new(dims);
    let cells = grid.cells(&case);
    let parts = connected(&grid, &cells);
    let weights = (parts.components.len() > 1).then(|| parts.weights());
    let axes = case.axis_profiles(&|y, z, row: &mut [f32]| {
        let Some(weights) = &weights else { return };
        let start = grid.cell_of([0, y, z]);
        for (x, u) in row.iter_mut().enumerate() {
            *u *= weights[start + x / grid.edge];
        }
    });
    let mut components: Vec<Component> = parts.components.into_iter().map(|part| part.described(&grid)).collect();
    components.sort_by_key(|c| std::cmp::Reverse(c.voxels));
    Ok(Profiles { geometry, axes, components })
}

/// A case's voxels, x fastest.
struct Case<'a> {
    uncertainty: &'a [f32],
    labels: &'a [Label],
    dims: Dims,
}

/// What one slab of planes along z adds to the profiles.
struct Slab {
    z: Range<usize>,
    /// `[block of y][x]`, `[block of x][y]`, `[z within the slab][block of y][block of x]`.
    blocks: [Vec<f32>; 3],
    uncertainty: [Vec<f64>; 3],
    foreground: [Vec<u32>; 3],
}

impl Case<'_> {
    fn row(&self, y: usize, z: usize) -> Range<usize> {
        let start = Geometry::offset([0, y, z], self.dims);
        start..start + self.dims[0]
    }

    /// Profiles of all axes; `weigh` turns a cleaned row of uncertainty into what the blocks sum.
    fn axis_profiles(&self, weigh: &(dyn Fn(usize, usize, &mut [f32]) + Sync)) -> [AxisProfile; 3] {
        let [_, _, nz] = self.dims;
        // One slab a block of z: slabs write to disjoint parts of the profiles, so no thread count changes a sum.
        let slabs: Vec<Slab> =
            (0..Profiles::block_count(nz)).into_par_iter().map(|block| self.slab(block_range(block, nz), weigh)).collect();
        self.joined(&slabs)
    }

    fn slab(&self, z: Range<usize>, weigh: &(dyn Fn(usize, usize, &mut [f32]) + Sync)) -> Slab {
        let [nx, ny, _] = self.dims;
        let [bx, by] = [nx, ny].map(Profiles::block_count);
        let sizes = [nx, ny, z.len()];
        let mut slab = Slab {
            blocks: [vec![0.0; by * nx], vec![0.0; bx * ny], vec![0.0; z.len() * by * bx]],
            uncertainty: sizes.map(|n| vec![0.0; n]),
            foreground: sizes.map(|n| vec![0; n]),
            z: z.clone(),
        };
        let x_blocks: Vec<Range<usize>> = (0..bx).map(|block| block_range(block, nx)).collect();
        let mut row = vec![0.0_f32; nx];
        for (at, z) in z.enumerate() {
            for y in 0..ny {
                for (clean, u) in row.iter_mut().zip(&self.uncertainty[self.row(y, z)]) {
                    *clean = cleaned(*u);
                }
                slab.add_sums(at, y, &row, &self.labels[self.row(y, z)]);
                weigh(y, z, &mut row);
                slab.add_blocks(at, y, ny, &row, &x_blocks);
            }
        }
        slab
    }

    fn joined(&self, slabs: &[Slab]) -> [AxisProfile; 3] {
        let [nx, ny, nz] = self.dims;
        let [bx, by] = [nx, ny].map(Profiles::block_count);
        let mut axes = self.dims.map(|n| AxisProfile { uncertainty: vec![0.0; n], foreground: vec![0; n], blocks: Vec::new() });
        axes[2].blocks = vec![0.0; by * bx * nz];
        for slab in slabs {
            for stored in [0, 1] {
                axes[stored].blocks.extend_from_slice(&slab.blocks[stored]);
                add(&mut axes[stored].uncertainty, &slab.uncertainty[stored]);
                add(&mut axes[stored].foreground, &slab.foreground[stored]);
            }
            axes[2].uncertainty[slab.z.clone()].copy_from_slice(&slab.uncertainty[2]);
            axes[2].foreground[slab.z.clone()].copy_from_slice(&slab.foreground[2]);
            for (at, z) in slab.z.clone().enumerate() {
                for block in 0..by * bx {
                    axes[2].blocks[block * nz + z] = slab.blocks[2][at * by * bx + block];
                }
            }
        }
        axes
    }
}

impl Slab {
    fn add_sums(&mut self, at: usize, y: usize, row: &[f32], labels: &[Label]) {
        for (total, u) in self.uncertainty[0].iter_mut().zip(row) {
            *total += f64::from(*u);
        }
        let sum = f64::from(sum(row));
        self.uncertainty[1][y] += sum;
        self.uncertainty[2][at] += sum;
        let mut count = 0;
        for (total, label) in self.foreground[0].iter_mut().zip(labels) {
            let foreground = u32::from(*label != BACKGROUND);
            *total += foreground;
            count += foreground;
        }
        self.foreground[1][y] += count;
        self.foreground[2][at] += count;
    }

    fn add_blocks(&mut self, at: usize, y: usize, ny: usize, row: &[f32], x_blocks: &[Range<usize>]) {
        let nx = row.len();
        let block_y = Profiles::block_of(y, ny);
        for (sum, u) in self.blocks[0][block_y * nx..(block_y + 1) * nx].iter_mut().zip(row) {
            *sum += u;
        }
        let (bx, by) = (x_blocks.len(), Profiles::block_count(ny));
        for (block, range) in x_blocks.iter().enumerate() {
            let sum = sum(&row[range.clone()]);
            self.blocks[1][block * ny + y] += sum;
            self.blocks[2][(at * by + block_y) * bx + block] += sum;
        }
    }
}

/// Sum in eight lanes: the processor adds them at once, where a plain sum waits for each addition.
fn sum(values: &[f32]) -> f32 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0_f32; 8];
    for eight in eights {
        for (lane, value) in lanes.iter_mut().zip(eight) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

fn add<T: Copy + std::ops::AddAssign>(sums: &mut [T], values: &[T]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += *value;
    }
}

/// The planes of a block: those whose [`Profiles::block_of`] it is.
fn block_range(block: usize, planes: usize) -> Range<usize> {
    let blocks = Profiles::block_count(planes);
    (block * planes).div_ceil(blocks)..((block + 1) * planes).div_ceil(blocks)
}

/// The volume in cubes of `edge` voxels, few enough to look for components in a moment; a cube is a voxel where the volume is small.
struct CellGrid {
    edge: usize,
    /// Cells along x, y, z.
    size: Dims,
    dims: Dims,
}

/// A cube of voxels.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    sum: f32,
    largest: f32,
    foreground: u32,
}

impl CellGrid {
    const MOST_CELLS: usize = 1 << 20;

    fn new(dims: Dims) -> Self {
        let size = |edge: usize| dims.map(|n| n.div_ceil(edge));
        let edge = (1..).find(|edge| size(*edge).iter().product::<usize>() <= Self::MOST_CELLS).unwrap_or(1);
        Self { edge, size: size(edge), dims }
    }

    fn cell_of(&self, voxel: [usize; 3]) -> usize {
        Geometry::offset(voxel.map(|i| i / self.edge), self.size)
    }

    fn position(&self, cell: usize) -> [usize; 3] {
        [cell % self.size[0], cell / self.size[0] % self.size[1], cell / (self.size[0] * self.size[1])]
    }

    fn cells(&self, case: &Case) -> Vec<Cell> {
        let layer = self.size[0] * self.size[1];
        let mut cells = vec![Cell::default(); layer * self.size[2]];
        cells.par_chunks_mut(self.size[0]).enumerate().for_each(|(row, cells)| {
            let (cy, cz) = (row % self.size[1], row / self.size[1]);
            self.add_columns(case, cy, cz).chunks(self.edge).zip(cells).for_each(|(columns, cell)| {
                columns.iter().for_each(|column| cell.join(column));
            });
        });
        cells
    }

    /// A row of cells before it is cut along x: one column of voxels per x.
    fn add_columns(&self, case: &Case, cy: usize, cz: usize) -> Vec<Cell> {
        let range = |axis: usize, at: usize| at * self.edge..((at + 1) * self.edge).min(self.dims[axis]);
        let mut columns = vec![Cell::default(); self.dims[0]];
        for z in range(2, cz) {
            for y in range(1, cy) {
                let row = case.row(y, z);
                for (column, (u, label)) in columns.iter_mut().zip(case.uncertainty[row.clone()].iter().zip(&case.labels[row])) {
                    let u = cleaned(*u);
                    column.join(&Cell { sum: u, largest: u, foreground: u32::from(*label != BACKGROUND) });
                }
            }
        }
        columns
    }
}

/// Uncertainty that can be summed: what is negative, infinite or not a number is none.
fn cleaned(u: f32) -> f32 {
    if u > 0.0 && u < f32::INFINITY { u } else { 0.0 }
}

impl Cell {
    fn join(&mut self, other: &Cell) {
        self.sum += other.sum;
        self.largest = if other.largest > self.largest { other.largest } else { self.largest };
        self.foreground += other.foreground;
    }
}

/// Connected cells of foreground or strong uncertainty.
struct Parts {
    /// Component of each cell, from 1; 0 is none.
    part_of: Vec<u32>,
    components: Vec<Part>,
    uncertainty: f64,
}

#[derive(Clone, Debug)]
struct Part {
    cells: usize,
    foreground: usize,
    uncertainty: f64,
    /// First and last cell of all of it, and of its foreground.
    all: [[usize; 2]; 3],
    of_foreground: [[usize; 2]; 3],
}

/// Cells at least this share of the largest uncertainty belong to a component even without foreground: what the network may have missed.
const STRONG: f32 = 0.5;

fn connected(grid: &CellGrid, cells: &[Cell]) -> Parts {
    let largest = cells.par_iter().map(|cell| cell.largest).reduce(|| 0.0, f32::max);
    let belongs = |cell: &Cell| cell.foreground > 0 || (largest > 0.0 && cell.largest >= STRONG * largest);
    let mut part_of = vec![0_u32; cells.len()];
    let mut components = Vec::new();
    let mut queue = Vec::new();
    for seed in 0..cells.len() {
        if part_of[seed] != 0 || !belongs(&cells[seed]) {
            continue;
        }
        let number = components.len() as u32 + 1;
        let mut part = Part::empty();
        part_of[seed] = number;
        queue.push(seed);
        while let Some(at) = queue.pop() {
            part.add(grid.position(at), &cells[at]);
            for near in neighbours(grid, at) {
                if part_of[near] == 0 && belongs(&cells[near]) {
                    part_of[near] = number;
                    queue.push(near);
                }
            }
        }
        components.push(part);
    }
    let uncertainty = cells.iter().map(|cell| f64::from(cell.sum)).sum();
    Parts { part_of, components, uncertainty }
}

/// The up to 26 cells around a cell.
fn neighbours(grid: &CellGrid, cell: usize) -> impl Iterator<Item = usize> + '_ {
    let ranges = std::array::from_fn::<_, 3, _>(|axis| {
        let at = grid.position(cell)[axis];
        at.saturating_sub(1)..(at + 2).min(grid.size[axis])
    });
    let [xs, ys, zs] = ranges;
    zs.flat_map(move |z| {
        let xs = xs.clone();
        ys.clone().flat_map(move |y| xs.clone().map(move |x| Geometry::offset([x, y, z], grid.size)))
    })
}

impl Part {
    fn empty() -> Self {
        let nowhere = [[usize::MAX, 0]; 3];
        Self { cells: 0, foreground: 0, uncertainty: 0.0, all: nowhere, of_foreground: nowhere }
    }

    fn add(&mut self, position: [usize; 3], cell: &Cell) {
        self.cells += 1;
        self.foreground += cell.foreground as usize;
        self.uncertainty += f64::from(cell.sum);
        let widen = |bounds: &mut [[usize; 2]; 3]| {
            for (bound, at) in bounds.iter_mut().zip(position) {
                *bound = [bound[0].min(at), bound[1].max(at)];
            }
        };
        widen(&mut self.all);
        if cell.foreground > 0 {
            widen(&mut self.of_foreground);
        }
    }

    fn described(self, grid: &CellGrid) -> Component {
        let bounds = if self.foreground > 0 { self.of_foreground } else { self.all };
        let voxels = if self.foreground > 0 { self.foreground } else { self.cells * grid.edge.pow(3) };
        let in_voxels = |axis: usize| [bounds[axis][0] * grid.edge, ((bounds[axis][1] + 1) * grid.edge).min(grid.dims[axis]) - 1];
        Component { voxels, foreground: self.foreground > 0, bounds: [0, 1, 2].map(in_voxels), uncertainty: self.uncertainty }
    }
}

impl Parts {
    /// A weight for each cell, so that a component counts with the square root of its uncertainty. Specks of noise are not lifted, and no component by
    /// more than a factor of four.
    fn weights(&self) -> Vec<f32> {
        const SPECK: f64 = 0.002;
        const MOST: f64 = 4.0;
        let largest = self.components.iter().map(|part| part.uncertainty).fold(0.0, f64::max);
        let weight = |part: &Part| {
            if part.uncertainty > SPECK * self.uncertainty { (largest / part.uncertainty).sqrt().min(MOST) } else { 1.0 }
        };
        let weights: Vec<f32> = std::iter::once(1.0).chain(self.components.iter().map(|part| weight(part) as f32)).collect();
        self.part_of.iter().map(|part| weights[*part as usize]).collect()
    }
}

#[cfg(test)]
mod tests;
