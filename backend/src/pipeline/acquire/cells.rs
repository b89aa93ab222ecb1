//! The volume in coarse cells, and which of them hang together: components of what is segmented or in doubt.

use rayon::prelude::*;
use shared::geometry::{Dims, Geometry};
use shared::label::BACKGROUND;

use super::profiles::Component;
use super::sums::{Voxels, cleaned};
use crate::pipeline::components::components;

/// Cells at least this share of the largest uncertainty belong to a component even without foreground: what the network
/// may have missed. A convention (a peak's width at half its height), not a measurement; a share, because measures of
/// uncertainty differ in scale.
const STRONG: f32 = 0.5;

/// Components with less than this share of the case's uncertainty are noise and not lifted. Lifted by [`MOST`] they
/// would still be below one per cent, less than a plane is worth offering for.
const SPECK: f64 = 0.002;

/// No component is lifted more than this, which one with a sixteenth of the largest's uncertainty is: below that, what
/// a component counts falls with its uncertainty again, so that many tiny ones cannot outweigh a large one.
const MOST: f64 = 4.0;

/// The volume in cubes of `edge` voxels, few enough to look for components in a moment; a cube is a voxel where the
/// volume is small.
pub(super) struct CellGrid {
    pub(super) edge: usize,
    /// Cells along x, y, z.
    size: Dims,
    dims: Dims,
}

/// A cube of voxels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    sum: f32,
    largest: f32,
    foreground: u32,
}

impl CellGrid {
    const MOST_CELLS: usize = 1 << 20;

    pub(super) fn new(dims: Dims) -> Self {
        let size = |edge: usize| dims.map(|n| n.div_ceil(edge));
        let edge = (1..).find(|edge| size(*edge).iter().product::<usize>() <= Self::MOST_CELLS).unwrap_or(1);
        Self { edge, size: size(edge), dims }
    }

    /// The cell that holds a voxel.
    pub(super) fn cell_of(&self, voxel: [usize; 3]) -> usize {
        Geometry::offset(voxel.map(|i| i / self.edge), self.size)
    }

    fn position(&self, cell: usize) -> [usize; 3] {
        Geometry::voxel_at(cell, self.size)
    }

    /// Sums over each cell.
    pub(super) fn cells(&self, voxels: &Voxels<'_>) -> Vec<Cell> {
        let layer = self.size[0] * self.size[1];
        let mut cells = vec![Cell::default(); layer * self.size[2]];
        cells.par_chunks_mut(self.size[0]).enumerate().for_each(|(row, cells)| {
            let (cy, cz) = (row % self.size[1], row / self.size[1]);
            self.add_columns(voxels, cy, cz).chunks(self.edge).zip(cells).for_each(|(columns, cell)| {
                columns.iter().for_each(|column| cell.join(column));
            });
        });
        cells
    }

    /// A row of cells before it is cut along x: one column of voxels per x.
    fn add_columns(&self, voxels: &Voxels<'_>, cy: usize, cz: usize) -> Vec<Cell> {
        let range = |axis: usize, at: usize| at * self.edge..((at + 1) * self.edge).min(self.dims[axis]);
        let mut columns = vec![Cell::default(); self.dims[0]];
        for z in range(2, cz) {
            for y in range(1, cy) {
                let row = voxels.row(y, z);
                for (column, (u, label)) in
                    columns.iter_mut().zip(voxels.uncertainty[row.clone()].iter().zip(&voxels.labels[row]))
                {
                    let u = cleaned(*u);
                    column.join(&Cell { sum: u, largest: u, foreground: u32::from(*label != BACKGROUND) });
                }
            }
        }
        columns
    }
}

impl Cell {
    fn join(&mut self, other: &Cell) {
        self.sum += other.sum;
        self.largest = if other.largest > self.largest { other.largest } else { self.largest };
        self.foreground += other.foreground;
    }
}

/// Components of cells with foreground or strong uncertainty.
pub(super) struct CellComponents {
    /// Component of each cell, from 1; 0 is none.
    component_of: Vec<u32>,
    pub(super) components: Vec<CellComponent>,
    /// Of the whole case.
    uncertainty: f64,
}

#[derive(Clone, Debug)]
pub(super) struct CellComponent {
    cells: usize,
    foreground: usize,
    uncertainty: f64,
    /// First and last cell of all of it, and of its foreground.
    all: [[usize; 2]; 3],
    of_foreground: [[usize; 2]; 3],
}

impl CellComponents {
    pub(super) fn of(grid: &CellGrid, cells: &[Cell]) -> Self {
        let largest = cells.par_iter().map(|cell| cell.largest).reduce(|| 0.0, f32::max);
        let belongs = |cell: &Cell| cell.foreground > 0 || (largest > 0.0 && cell.largest >= STRONG * largest);
        let mut found: Vec<CellComponent> = Vec::new();
        let component_of = components(
            grid.size,
            |at| belongs(&cells[at]),
            |number, at| {
                found.resize_with(number as usize, CellComponent::empty);
                found[number as usize - 1].add(grid.position(at), &cells[at]);
            },
        );
        let uncertainty = cells.iter().map(|cell| f64::from(cell.sum)).sum();
        Self { component_of, components: found, uncertainty }
    }

    /// A weight for each cell, so that a component counts with the square root of its uncertainty.
    pub(super) fn weights(&self) -> Vec<f32> {
        let largest = self.components.iter().map(|component| component.uncertainty).fold(0.0, f64::max);
        let weight = |component: &CellComponent| {
            if component.uncertainty > SPECK * self.uncertainty {
                (largest / component.uncertainty).sqrt().min(MOST)
            } else {
                1.0
            }
        };
        let weights: Vec<f32> =
            std::iter::once(1.0).chain(self.components.iter().map(|component| weight(component) as f32)).collect();
        self.component_of.iter().map(|component| weights[*component as usize]).collect()
    }
}

impl CellComponent {
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

    /// In voxels.
    pub(super) fn described(self, grid: &CellGrid) -> Component {
        let bounds = if self.foreground > 0 { self.of_foreground } else { self.all };
        let voxels = if self.foreground > 0 { self.foreground } else { self.cells * grid.edge.pow(3) };
        let in_voxels =
            |axis: usize| [bounds[axis][0] * grid.edge, ((bounds[axis][1] + 1) * grid.edge).min(grid.dims[axis]) - 1];
        Component {
            voxels,
            foreground: self.foreground > 0,
            bounds: [0, 1, 2].map(in_voxels),
            uncertainty: self.uncertainty,
        }
    }
}
