//! What hangs together: the one walk over neighbours. Voxels, or cells of several, touch by faces, edges and corners.

use shared::geometry::{Dims, Geometry};

/// Numbers the components of the voxels (by offset, x fastest) that `belongs` lets through: from 1, in the order of
/// their first voxels; 0 is none. `visit` hears every component's number and each of its voxels, one component after
/// the other.
pub fn components(dims: Dims, belongs: impl Fn(usize) -> bool, mut visit: impl FnMut(u32, usize)) -> Vec<u32> {
    let mut number_of = vec![0_u32; dims.iter().product()];
    let mut number = 0;
    let mut open = Vec::new();
    for seed in 0..number_of.len() {
        if number_of[seed] != 0 || !belongs(seed) {
            continue;
        }
        number += 1;
        number_of[seed] = number;
        open.push(seed);
        while let Some(at) = open.pop() {
            visit(number, at);
            for near in neighbours(at, dims) {
                if number_of[near] == 0 && belongs(near) {
                    number_of[near] = number;
                    open.push(near);
                }
            }
        }
    }
    number_of
}

/// The up to 26 voxels around a voxel, and itself.
fn neighbours(at: usize, dims: Dims) -> impl Iterator<Item = usize> {
    let voxel = Geometry::voxel_at(at, dims);
    let [xs, ys, zs] =
        std::array::from_fn::<_, 3, _>(|axis| voxel[axis].saturating_sub(1)..(voxel[axis] + 2).min(dims[axis]));
    zs.flat_map(move |z| {
        let xs = xs.clone();
        ys.clone().flat_map(move |y| xs.clone().map(move |x| Geometry::offset([x, y, z], dims)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dims: Dims, voxels: &str, expected: &str) {
        let set: Vec<bool> = voxels.bytes().filter(|b| *b != b' ').map(|b| b == b'#').collect();
        let mut sizes = Vec::new();
        let numbers = components(
            dims,
            |at| set[at],
            |number, _| {
                sizes.resize(number as usize, 0);
                sizes[number as usize - 1] += 1;
            },
        );
        let shown: String = numbers.iter().map(|n| n.to_string()).collect();
        assert_eq!(shown, expected.replace(' ', ""));
        for (at, size) in sizes.iter().enumerate() {
            assert_eq!(numbers.iter().filter(|n| **n as usize == at + 1).count(), *size, "every voxel is visited once");
        }
    }

    #[test]
    fn voxels_touch_by_faces_edges_and_corners() {
        check([5, 1, 1], "##.#.", "11020");
        check([3, 3, 1], "#.. .#. ..#", "100 010 001");
        check([2, 2, 2], "#. .. .. .#", "10 00 00 01");
        // The end of a row does not touch the beginning of the next.
        check([4, 2, 1], "...# #...", "0001 2000");
        check([3, 1, 3], "#.. ... #..", "100 000 200");
        check([2, 1, 1], "..", "00");
    }
}
