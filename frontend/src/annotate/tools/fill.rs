//! Filling: the connected voxels of one label around a starting voxel get the chosen label.

use shared::label::{BACKGROUND, Label};

use super::{Behaviour, Card, Effect, Hand, Position, Way, Work};
use crate::annotate::stencil::Span;

/// See the module.
pub(super) struct Fill;

const CARD: Card = Card {
    id: "fill",
    name: "Fill",
    keys: ["f", "f", "5"],
    icon: "m3 8.5 5-5 5 5-5 5zM3 8.5h10M6 1.5l2 2",
    hint: "Left gives the region under the pointer the chosen label · Ctrl erases it · Shift moves the crosshair",
    about: "Gives the region under the pointer the chosen label",
    effect: Effect::Paints,
    way: Way::Drag,
};

impl Behaviour for Fill {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn leaves(&self, hand: &Hand) -> Label {
        if hand.inverted { BACKGROUND } else { hand.label }
    }

    fn press(&self, work: &Work<'_>, at: Position) -> Vec<Span> {
        connected(work.labels, work.grid.dims, at)
    }

    /// A hole is filled at once; the background around everything is not.
    fn doubt(&self, work: &Work<'_>, at: Position) -> Option<String> {
        let spans = connected(work.labels, work.grid.dims, at);
        let is_open = is_background(work, at) && spans.iter().any(|span| touches_edge(span, work.grid.dims));
        let count: usize = spans.iter().map(|span| span.to - span.from).sum();
        let share = (count * 100).div_ceil(work.labels.len().max(1));
        (is_open && self.leaves(work.hand) != BACKGROUND).then(|| {
            format!(
                "This would fill the background around everything: {count} voxels, {share} % of the plane. Press again \
                 to do it."
            )
        })
    }
}

fn is_background(work: &Work<'_>, [u, v]: Position) -> bool {
    let offset = usize::try_from(u).ok().zip(usize::try_from(v).ok()).map(|(u, v)| u + v * work.grid.dims[0]);
    offset.and_then(|offset| work.labels.get(offset)) == Some(&BACKGROUND)
}

fn touches_edge(span: &Span, [columns, rows]: [usize; 2]) -> bool {
    span.from == 0 || span.to == columns || span.v == 0 || span.v + 1 == rows
}

/// Voxels that hold the same label as `start` and are joined to it by edges (not by corners). Empty if `start` lies
/// outside the plane.
pub(super) fn connected(labels: &[Label], dims: [usize; 2], start: [i64; 2]) -> Vec<Span> {
    let [columns, rows] = dims;
    let inside = (0..columns as i64).contains(&start[0]) && (0..rows as i64).contains(&start[1]);
    if !inside || labels.len() != columns * rows {
        return Vec::new();
    }
    let [u, v] = start.map(|i| i as usize);
    let wanted = labels[u + v * columns];
    let mut visited = vec![false; labels.len()];
    let open = |visited: &[bool], u: usize, v: usize| labels[u + v * columns] == wanted && !visited[u + v * columns];
    let mut spans = Vec::new();
    let mut seeds = vec![[u, v]];
    while let Some([u, v]) = seeds.pop() {
        if !open(&visited, u, v) {
            continue;
        }
        let from = (0..u).rev().take_while(|&u| open(&visited, u, v)).last().unwrap_or(u);
        let to = (u..columns).take_while(|&u| open(&visited, u, v)).last().unwrap_or(u) + 1;
        visited[from + v * columns..to + v * columns].fill(true);
        spans.push(Span { v, from, to });
        let neighbours = v.checked_sub(1).into_iter().chain((v + 1 < rows).then_some(v + 1));
        seeds.extend(
            neighbours.flat_map(|row| (from..to).map(move |u| [u, row])).filter(|&[u, v]| open(&visited, u, v)),
        );
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::stencil::PlaneGrid;
    use crate::annotate::tools::pictures::hand;

    #[test]
    fn the_background_around_everything_is_asked_for_first() {
        fn check(at: Position, hand: &Hand, asks: bool) {
            let grid = PlaneGrid { dims: [5, 4], spacing_mm: [1.0; 2] };
            let labels = [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 0];
            assert_eq!(Fill.doubt(&Work { grid: &grid, labels: &labels, image: None, hand }, at).is_some(), asks);
        }
        check([0, 0], &hand(), true);
        check([2, 2], &hand(), false);
        check([1, 1], &hand(), false);
        check([1, 1], &Hand { inverted: true, ..hand() }, false);
        check([-1, 0], &hand(), false);
    }

    #[test]
    fn with_ctrl_it_erases() {
        assert_eq!([Fill.leaves(&hand()), Fill.leaves(&Hand { inverted: true, ..hand() })], [1, BACKGROUND]);
    }

    #[track_caller]
    fn check(start: [i64; 2], before: &[&str], after: &[&str]) {
        let dims = [before[0].len(), before.len()];
        let mut cells: Vec<u8> = before.concat().into_bytes();
        for span in connected(&cells.clone(), dims, start) {
            cells[span.v * dims[0] + span.from..span.v * dims[0] + span.to].fill(b'x');
        }
        assert_eq!(String::from_utf8(cells).unwrap(), after.concat());
    }

    #[test]
    fn a_ring_fills_inside_only() {
        check([2, 2], &[".....", ".###.", ".#.#.", ".###.", "....."], &[".....", ".###.", ".#x#.", ".###.", "....."]);
        check([0, 0], &["..#", ".#.", "#.."], &["xx#", "x#.", "#.."]);
    }

    #[test]
    fn concave_shapes_fill_completely() {
        check([0, 0], &["#.#", "#.#", "###"], &["x.x", "x.x", "xxx"]);
        check([1, 0], &["...#", ".##.", "...."], &["xxx#", "x##x", "xxxx"]);
    }

    #[test]
    fn outside_there_is_nothing_to_fill() {
        check([-1, 0], &[".."], &[".."]);
        check([0, 1], &[".."], &[".."]);
    }
}
