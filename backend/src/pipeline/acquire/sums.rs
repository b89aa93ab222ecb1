//! Uncertainty and foreground summed over planes and blocks of planes. The sums do not depend on the number of threads.

use std::ops::Range;

use rayon::prelude::*;
use shared::geometry::{Dims, Geometry};
use shared::label::{BACKGROUND, Label};

use super::profiles::{AxisProfile, Profiles};

/// A case's voxels, x fastest.
pub(super) struct Voxels<'a> {
    pub(super) uncertainty: &'a [f32],
    pub(super) labels: &'a [Label],
    pub(super) dims: Dims,
}

/// What one slab of planes along z adds to the profiles.
struct Slab {
    z: Range<usize>,
    /// `[block of y][x]`, `[block of x][y]`, `[z within the slab][block of y][block of x]`.
    blocks: [Vec<f32>; 3],
    uncertainty: [Vec<f64>; 3],
    foreground: [Vec<u32>; 3],
}

impl Voxels<'_> {
    /// Offsets of a row along x.
    pub(super) fn row(&self, y: usize, z: usize) -> Range<usize> {
        let start = Geometry::offset([0, y, z], self.dims);
        start..start + self.dims[0]
    }

    /// Profiles of all axes; `weigh` turns a cleaned row of uncertainty into what the blocks sum.
    pub(super) fn axis_profiles(&self, weigh: &(dyn Fn(usize, usize, &mut [f32]) + Sync)) -> [AxisProfile; 3] {
        let [_, _, nz] = self.dims;
        // One slab a block of z: slabs write to disjoint parts of the profiles, so no thread count changes a sum.
        let slabs: Vec<Slab> = (0..Profiles::block_count(nz))
            .into_par_iter()
            .map(|block| self.slab(block_range(block, nz), weigh))
            .collect();
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
        let mut axes =
            self.dims.map(|n| AxisProfile { uncertainty: vec![0.0; n], foreground: vec![0; n], blocks: Vec::new() });
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

/// Uncertainty that can be summed: what is negative, infinite or not a number is none.
pub(super) fn cleaned(u: f32) -> f32 {
    if u > 0.0 && u < f32::INFINITY { u } else { 0.0 }
}
