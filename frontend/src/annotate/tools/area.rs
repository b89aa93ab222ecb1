//! Tools that draw an outline: the voxels that a closed line surrounds, those under the line included, get a label.

use shared::label::{BACKGROUND, Label};

use super::{Behaviour, Card, Hand, Position, Way, Work};
use crate::annotate::stencil::{PlaneGrid, Span, stencil, swept};

/// A closed line; what it surrounds gets the chosen label, or with Ctrl, background.
pub(super) struct Outline {
    /// Its words and keys.
    pub(super) card: &'static Card,
}

impl Behaviour for Outline {
    fn card(&self) -> &'static Card {
        self.card
    }

    fn leaves(&self, hand: &Hand) -> Label {
        if hand.inverted { BACKGROUND } else { hand.label }
    }

    fn press(&self, _work: &Work<'_>, _at: Position) -> Vec<Span> {
        Vec::new()
    }

    fn release(&self, work: &Work<'_>, way: &[Position]) -> Vec<Span> {
        area(work, way)
    }

    fn preview(&self, work: &Work<'_>, way: &[Position], at: Position) -> Vec<Span> {
        let surrounded = area(work, &[way, &[at]].concat());
        if !surrounded.is_empty() {
            return surrounded;
        }
        // Corners that were set are seen before they surround anything.
        let corners = if self.card.way == Way::Corners { way } else { &[] };
        corners.iter().chain([&at]).flat_map(|corner| spot(work, *corner)).collect()
    }
}

/// The area within a line from each corner to the next, and from the last to the first. Nothing for fewer than three
/// corners that differ.
fn area(work: &Work<'_>, corners: &[Position]) -> Vec<Span> {
    let mut distinct = corners.to_vec();
    distinct.dedup();
    if distinct.len() < 3 {
        return Vec::new();
    }
    let closed = || distinct.iter().zip(distinct.iter().cycle().skip(1));
    let line = closed().flat_map(|(from, to)| swept(work.grid, *from, *to, 0.0));
    line.chain((0..work.grid.dims[1]).flat_map(|v| inside_row(work.grid, &distinct, v))).collect()
}

/// Voxels of a row whose centres lie within the corners: between the first and second crossing of the row, the third
/// and fourth, and so on.
fn inside_row(grid: &PlaneGrid, corners: &[Position], v: usize) -> Vec<Span> {
    let row = v as f64;
    let edges = corners.iter().zip(corners.iter().cycle().skip(1));
    let mut crossings: Vec<f64> = edges
        .filter(|(a, b)| (a[1] as f64 <= row) != (b[1] as f64 <= row))
        .map(|(a, b)| a[0] as f64 + (row - a[1] as f64) / (b[1] - a[1]) as f64 * (b[0] - a[0]) as f64)
        .collect();
    crossings.sort_unstable_by(f64::total_cmp);
    let span = |pair: &[f64]| {
        let from = pair[0].ceil().max(0.0) as usize;
        let to = (pair[1].floor() + 1.0).clamp(0.0, grid.dims[0] as f64) as usize;
        (from < to).then_some(Span { v, from, to })
    };
    crossings.chunks_exact(2).filter_map(span).collect()
}

/// A corner's voxel.
fn spot(work: &Work<'_>, at: Position) -> Vec<Span> {
    stencil(work.grid, at, 0.0)
}
