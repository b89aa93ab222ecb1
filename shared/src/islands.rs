//! Islands of change between two segmentations: what the expert looks through after a refinement, to take or to leave.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::geometry::Geometry;
use crate::label::Label;

/// Voxels that hang together by their faces and were all changed from one label to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Island {
    /// What they were called.
    pub before: Label,
    /// What they are called.
    pub after: Label,
    /// The voxels, ascending, x fastest.
    pub voxels: Vec<u32>,
    /// The one nearest to their middle.
    pub middle: [usize; 3],
}

/// A voxel that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which, x fastest.
    pub at: u32,
    /// What it was called.
    pub before: Label,
    /// What it is called.
    pub after: Label,
}

/// The islands of voxels that were changed, which ascend; the largest first, among equals the first.
pub fn islands(dims: [usize; 3], changed: &[Changed]) -> Vec<Island> {
    let mut parents: Vec<u32> = (0..changed.len() as u32).collect();
    let strides = [1, dims[0], dims[0] * dims[1]];
    // The voxel before each along an axis stands before it in the list, further and further on.
    let mut behind = [0; 3];
    for (here, voxel) in changed.iter().enumerate() {
        let position = Geometry::voxel_at(voxel.at as usize, dims);
        for axis in (0..3).filter(|axis| position[*axis] > 0) {
            let wanted = voxel.at - strides[axis] as u32;
            while changed[behind[axis]].at < wanted {
                behind[axis] += 1;
            }
            let other = changed[behind[axis]];
            if other.at == wanted && (other.before, other.after) == (voxel.before, voxel.after) {
                let (a, b) = (root(&mut parents, behind[axis] as u32), root(&mut parents, here as u32));
                parents[a.max(b) as usize] = a.min(b);
            }
        }
    }
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for here in 0..changed.len() {
        members.entry(root(&mut parents, here as u32)).or_default().push(here);
    }
    let mut found: Vec<Island> = members.into_values().map(|members| island(dims, changed, &members)).collect();
    found.sort_by_key(|island| Reverse(island.voxels.len()));
    found
}

fn root(parents: &mut [u32], mut at: u32) -> u32 {
    while parents[at as usize] != at {
        parents[at as usize] = parents[parents[at as usize] as usize];
        at = parents[at as usize];
    }
    at
}

fn island(dims: [usize; 3], changed: &[Changed], members: &[usize]) -> Island {
    let Changed { before, after, .. } = changed[members[0]];
    let voxels: Vec<u32> = members.iter().map(|member| changed[*member].at).collect();
    let place = |at: &u32| Geometry::voxel_at(*at as usize, dims);
    let sum = voxels.iter().map(place).fold([0; 3], |sum, voxel| [0, 1, 2].map(|axis| sum[axis] + voxel[axis]));
    let centre = sum.map(|sum| sum as f64 / voxels.len() as f64);
    let distance = |voxel: [usize; 3]| (0..3).map(|axis| (voxel[axis] as f64 - centre[axis]).powi(2)).sum::<f64>();
    let middle = voxels.iter().map(place).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or_default();
    Island { before, after, voxels, middle }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(dims: [usize; 3], before: &[Label], after: &[Label]) -> Vec<(Label, Label, Vec<u32>, [usize; 3])> {
        let changed = before.iter().zip(after).enumerate().filter(|(_, (before, after))| before != after);
        let changed: Vec<Changed> =
            changed.map(|(at, (before, after))| Changed { at: at as u32, before: *before, after: *after }).collect();
        islands(dims, &changed).into_iter().map(|i| (i.before, i.after, i.voxels, i.middle)).collect()
    }

    #[test]
    fn voxels_hang_together_by_faces_and_by_what_became_of_them() {
        // A row that ends at the edge does not go on in the next one; a corner is no face.
        let got = between([3, 2, 1], &[0, 0, 0, 0, 0, 0], &[0, 0, 1, 1, 1, 0]);
        assert_eq!(got, [(0, 1, vec![3, 4], [0, 1, 0]), (0, 1, vec![2], [2, 0, 0])]);
        let got = between([3, 2, 1], &[0, 0, 2, 0, 0, 2], &[1, 1, 1, 1, 0, 0]);
        let expected = [(0, 1, vec![0, 1, 3], [0, 0, 0]), (2, 1, vec![2], [2, 0, 0]), (2, 0, vec![5], [2, 1, 0])];
        assert_eq!(got, expected);
        assert_eq!(between([2, 2, 1], &[1; 4], &[1; 4]), []);
    }

    #[test]
    fn an_island_reaches_through_planes() {
        let mut after = [0; 27];
        [4, 13, 22].into_iter().for_each(|at: usize| after[at] = 1);
        assert_eq!(between([3, 3, 3], &[0; 27], &after), [(0, 1, vec![4, 13, 22], [1, 1, 1])]);
    }

    proptest::proptest! {
        #[test]
        fn every_changed_voxel_is_of_one_island_and_neighbours_are_of_the_same(
            before in proptest::collection::vec(0_u8..3, 60),
            after in proptest::collection::vec(0_u8..3, 60),
        ) {
            let dims = [5, 4, 3];
            let found = between(dims, &before, &after);
            let mut of = vec![None; 60];
            for (number, island) in found.iter().enumerate() {
                for at in &island.2 {
                    proptest::prop_assert_eq!(of[*at as usize].replace(number), None);
                    let change = (before[*at as usize], after[*at as usize]);
                    proptest::prop_assert_eq!(change, (island.0, island.1));
                }
            }
            for at in 0..60 {
                proptest::prop_assert_eq!(of[at].is_some(), before[at] != after[at]);
                let voxel = Geometry::voxel_at(at, dims);
                for axis in 0..3 {
                    let mut next = voxel;
                    next[axis] += 1;
                    if next[axis] < dims[axis] {
                        let next = Geometry::offset(next, dims);
                        let alike = of[at].is_some() && (before[at], after[at]) == (before[next], after[next]);
                        proptest::prop_assert!(!alike || of[at] == of[next]);
                    }
                }
            }
        }
    }
}
