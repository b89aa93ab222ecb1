//! Stored axes in another order and direction; every voxel keeps its place in the patient. For networks that know scans
//! as their training data were stored.

use std::ops::Range;

use shared::geometry::{Geometry, Plane};
use shared::volume::Volume;

/// A way to store a volume otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reorientation {
    /// Old axis of each new one.
    from: [usize; 3],
    /// Whether a new axis runs against its old one.
    reversed: [bool; 3],
}

impl Reorientation {
    /// Nothing is stored otherwise.
    pub const IDENTITY: Self = Self { from: [0, 1, 2], reversed: [false; 3] };

    /// From how a volume is stored to an orientation such as RAS, whose letters say where the axes run to. Nothing for
    /// what is no orientation.
    pub fn to(wanted: &str, stored: &Geometry) -> Option<Self> {
        const PAIRS: [&str; 3] = ["LR", "PA", "IS"];
        let stored: Vec<char> = stored.orientation().chars().collect();
        let wanted: Vec<char> = wanted.chars().collect();
        let pair = |letter: char| PAIRS.iter().position(|pair| pair.contains(letter));
        let axis = |letter: &char| stored.iter().position(|own| pair(*own).is_some() && pair(*own) == pair(*letter));
        let from: [usize; 3] = wanted.iter().map(axis).collect::<Option<Vec<_>>>()?.try_into().ok()?;
        let all = [0, 1, 2].iter().all(|axis| from.contains(axis));
        all.then(|| Self { from, reversed: std::array::from_fn(|new| stored[from[new]] != wanted[new]) })
    }

    /// Whether nothing changes.
    pub fn is_identity(self) -> bool {
        self == Self::IDENTITY
    }

    /// The way back.
    pub fn inverse(self) -> Self {
        let mut inverse = self;
        for new in 0..3 {
            inverse.from[self.from[new]] = new;
            inverse.reversed[self.from[new]] = self.reversed[new];
        }
        inverse
    }

    /// The same voxels, stored otherwise.
    pub fn apply<T: Copy>(self, volume: Volume<T>) -> Volume<T> {
        if self.is_identity() {
            return volume;
        }
        let old = volume.geometry();
        let geometry = self.geometry(old);
        let [nx, ny, nz] = geometry.dims;
        let strides = [1, old.dims[0], old.dims[0] * old.dims[1]];
        let along = |axis: usize, i: usize| {
            let from = self.from[axis];
            strides[from] * if self.reversed[axis] { old.dims[from] - 1 - i } else { i }
        };
        let mut voxels = Vec::with_capacity(nx * ny * nz);
        for z in 0..nz {
            for y in 0..ny {
                let start = along(1, y) + along(2, z);
                voxels.extend((0..nx).map(|x| volume.voxels()[start + along(0, x)]));
            }
        }
        // As many voxels as before.
        Volume::new(geometry, voxels).unwrap_or_else(|_| unreachable!("a volume stored otherwise has as many voxels"))
    }

    /// A box of the old volume, array axes `[z, y, x]`, in the new one.
    pub fn content(self, old_box: &[Range<usize>; 3], old: &Geometry) -> [Range<usize>; 3] {
        std::array::from_fn(|array| {
            let (new, from) = (2 - array, self.from[2 - array]);
            let Range { start, end } = old_box[2 - from].clone();
            if self.reversed[new] { old.dims[from] - end..old.dims[from] - start } else { start..end }
        })
    }

    /// The new grid.
    pub fn geometry(self, old: &Geometry) -> Geometry {
        let mut affine = old.world_from_voxel;
        for (row, old_row) in affine.iter_mut().zip(&old.world_from_voxel) {
            for new in 0..3 {
                let column = old_row[self.from[new]];
                row[new] = if self.reversed[new] { -column } else { column };
                if self.reversed[new] {
                    row[3] += column * (old.dims[self.from[new]] - 1) as f64;
                }
            }
        }
        let geometry =
            Geometry::new(self.from.map(|axis| old.dims[axis]), self.from.map(|axis| old.spacing_mm[axis]), affine);
        // A grid stored otherwise has the same sizes and an affine that is as invertible.
        geometry.unwrap_or_else(|_| unreachable!("a grid stored otherwise is a grid"))
    }

    /// A plane of the old volume in the new one.
    pub fn plane(self, plane: Plane, old: &Geometry) -> Plane {
        let stored = old.stored_axis(plane.axis);
        let reversed = (0..3).any(|new| self.from[new] == stored && self.reversed[new]);
        Plane { axis: plane.axis, index: if reversed { old.dims[stored] - 1 - plane.index } else { plane.index } }
    }
}

#[cfg(test)]
mod tests {
    use shared::geometry::Axis;

    use super::*;

    /// 2 × 3 × 4 voxels stored as LPS, numbered.
    fn volume() -> Volume<usize> {
        let geometry = Geometry::new(
            [2, 3, 4],
            [1.0, 2.0, 3.0],
            [[-1.0, 0.0, 0.0, 5.0], [0.0, -2.0, 0.0, 6.0], [0.0, 0.0, 3.0, 7.0]],
        );
        Volume::new(geometry.unwrap(), (0..24).collect()).unwrap()
    }

    #[test]
    fn every_voxel_keeps_its_place() {
        let old = volume();
        for wanted in ["LPS", "RAS", "ASR", "SPL", "IRA", "PIR"] {
            let way = Reorientation::to(wanted, old.geometry()).unwrap();
            let new = way.apply(old.clone());
            assert_eq!(new.geometry().orientation(), wanted);
            assert_eq!(way.is_identity(), wanted == "LPS");
            for (at, voxel) in new.voxels().iter().enumerate() {
                let place = |geometry: &Geometry, at: usize| {
                    geometry.world_from_voxel(Geometry::voxel_at(at, geometry.dims).map(|i| i as f64))
                };
                let (there, here) = (place(new.geometry(), at), place(old.geometry(), *voxel));
                assert!(
                    there.iter().zip(here).all(|(a, b)| (a - b).abs() < 1e-9),
                    "{wanted}: {there:?} is not {here:?}"
                );
            }
            assert_eq!(way.inverse().apply(new), old, "{wanted}");
        }
    }

    #[test]
    fn a_box_keeps_its_voxels() {
        let old = volume();
        let old_box = [1..4, 0..2, 1..2];
        let way = Reorientation::to("ASR", old.geometry()).unwrap();
        let marked = |volume: &Volume<usize>, inside: &[Range<usize>; 3]| {
            let at = |offset: usize| Geometry::voxel_at(offset, volume.geometry().dims);
            let is_in = |voxel: [usize; 3]| (0..3).all(|axis| inside[2 - axis].contains(&voxel[axis]));
            let mut found: Vec<usize> =
                volume.voxels().iter().enumerate().filter(|(offset, _)| is_in(at(*offset))).map(|(_, v)| *v).collect();
            found.sort_unstable();
            found
        };
        let new_box = way.content(&old_box, old.geometry());
        assert_eq!(marked(&way.apply(old.clone()), &new_box), marked(&old, &old_box));
    }

    #[test]
    fn planes_keep_their_voxels() {
        let old = volume();
        let way = Reorientation::to("ASR", old.geometry()).unwrap();
        let new = way.apply(old.clone());
        for axis in Axis::ALL {
            for index in 0..old.geometry().plane_count(axis) {
                let plane = Plane { axis, index };
                let sorted = |mut voxels: Vec<usize>| {
                    voxels.sort_unstable();
                    voxels
                };
                let there = sorted(new.read_plane(way.plane(plane, old.geometry())).unwrap());
                assert_eq!(there, sorted(old.read_plane(plane).unwrap()), "{plane}");
            }
        }
    }

    #[test]
    fn what_is_no_orientation_is_nothing() {
        for wanted in ["", "RA", "RAA", "RAX", "RASL"] {
            assert_eq!(Reorientation::to(wanted, volume().geometry()), None, "{wanted}");
        }
    }
}
