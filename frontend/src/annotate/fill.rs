//! Filling: the connected voxels of one label around a starting voxel.

use shared::label::Label;

use super::brush::Span;

/// Voxels that hold the same label as `start` and are joined to it by edges (not by corners). Empty if `start` lies outside the plane.
pub(crate) fn connected(labels: &[Label], dims: [usize; 2], start: [i64; 2]) -> Vec<Span> {
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
        seeds.extend(neighbours.flat_map(|row| (from..to).map(move |u| [u, row])).filter(|&[u, v]| open(&visited, u, v)));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

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
