//! A channel's voxels as they arrive: single planes first, then a coarse volume that stands in, then slab by slab what
//! is there.

use std::collections::HashMap;

use shared::geometry::{Geometry, Plane};
use shared::packed::{Coarse, Slabs, unpack};
use shared::volume::PlaneLayout;

/// How much of a plane is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sharpness {
    /// Nothing that could be shown.
    #[default]
    Nothing,
    /// Means stand in for some of its voxels.
    Coarse,
    /// Every voxel.
    Sharp,
}

impl Sharpness {
    /// In a word, for the canvas.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Sharpness::Nothing => "nothing",
            Sharpness::Coarse => "coarse",
            Sharpness::Sharp => "sharp",
        }
    }
}

/// A channel's voxels, as far as they are here.
pub(crate) struct Scan {
    dims: [usize; 3],
    slabs: Slabs,
    voxels: Vec<u16>,
    here: Vec<bool>,
    planes: HashMap<Plane, Vec<u16>>,
    coarse: Option<(Coarse, Vec<u16>)>,
}

impl Scan {
    /// Nothing yet.
    pub(crate) fn new(dims: [usize; 3]) -> Self {
        let slabs = Slabs::new(dims, 2);
        Self {
            dims,
            slabs,
            voxels: vec![0; dims.iter().product()],
            here: vec![false; slabs.count()],
            planes: HashMap::new(),
            coarse: None,
        }
    }

    /// Takes in a slab; whether it is one of this volume.
    pub(crate) fn put_slab(&mut self, slab: usize, packed: &[u8]) -> bool {
        let fits = unpack(packed, self.dims[0], &mut self.voxels[self.slabs.voxels(slab)]);
        if let Some(here) = self.here.get_mut(slab).filter(|_| fits) {
            *here = true;
        }
        if self.is_whole() {
            (self.planes, self.coarse) = (HashMap::new(), None);
        }
        fits
    }

    /// Takes in a plane; whether it is one of this volume.
    pub(crate) fn put_plane(&mut self, geometry: &Geometry, plane: Plane, packed: &[u8]) -> bool {
        let [columns, rows] = geometry.plane_dims(plane.axis);
        let mut voxels = vec![0; columns * rows];
        let fits = unpack(packed, columns, &mut voxels);
        if fits && !self.is_whole() {
            self.planes.insert(plane, voxels);
        }
        fits
    }

    /// Takes in the means that stand in for voxels; whether they are of this volume.
    pub(crate) fn put_coarse(&mut self, coarse: Coarse, packed: &[u8]) -> bool {
        let mut means = vec![0; coarse.dims.iter().product()];
        let fits = unpack(packed, coarse.dims[0], &mut means);
        if fits && !self.is_whole() {
            self.coarse = Some((coarse, means));
        }
        fits
    }

    /// Whether means would stand in for anything, and are not here.
    pub(crate) fn lacks_coarse(&self) -> Option<Coarse> {
        Coarse::of(self.dims, 2).filter(|_| self.coarse.is_none() && !self.is_whole())
    }

    /// Slabs that are not here, those nearest to a plane along the last stored axis first.
    pub(crate) fn missing(&self, plane: usize) -> Vec<usize> {
        let mut slabs = self.slabs.around(plane);
        slabs.retain(|slab| !self.here[*slab]);
        slabs
    }

    /// Every voxel is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.here.iter().all(|here| *here)
    }

    /// Voxels that say what intensities there are: all, the means, or those of a plane.
    pub(crate) fn sample(&self) -> Option<&[u16]> {
        let means = self.coarse.as_ref().map(|(_, means)| &means[..]);
        let all = || self.is_whole().then_some(&self.voxels[..]);
        means.or_else(all).or_else(|| self.planes.values().next().map(|plane| &plane[..]))
    }

    /// How much of a plane is here.
    pub(crate) fn sharpness(&self, geometry: &Geometry, plane: Plane) -> Sharpness {
        let is_here = match geometry.stored_axis(plane.axis) {
            2 => self.here.get(self.slabs.of_plane(plane.index)) == Some(&true),
            _ => self.is_whole(),
        };
        if is_here || self.planes.contains_key(&plane) {
            Sharpness::Sharp
        } else if self.coarse.is_some() {
            Sharpness::Coarse
        } else {
            Sharpness::Nothing
        }
    }

    /// A plane's voxels, u fastest, with means where its own are not here.
    pub(crate) fn plane(&self, geometry: &Geometry, plane: Plane) -> Option<Vec<u16>> {
        let layout = PlaneLayout::new(geometry, plane).ok()?;
        if let Some(voxels) = self.planes.get(&plane) {
            return Some(voxels.clone());
        }
        if self.sharpness(geometry, plane) == Sharpness::Sharp {
            return layout.read(&self.voxels);
        }
        let (coarse, means) = self.coarse.as_ref()?;
        let per_plane = self.dims[0] * self.dims[1];
        let voxel = |offset: usize| {
            if self.here[self.slabs.of_plane(offset / per_plane)] {
                return self.voxels[offset];
            }
            means.get(coarse.cell(Geometry::voxel_at(offset, self.dims))).copied().unwrap_or_default()
        };
        Some(layout.offsets().map(voxel).collect())
    }

    /// A voxel, if it is here itself.
    pub(crate) fn voxel(&self, offset: usize) -> Option<u16> {
        let slab = self.slabs.of_plane(offset / (self.dims[0] * self.dims[1]).max(1));
        self.here.get(slab).filter(|here| **here).and_then(|_| self.voxels.get(offset).copied())
    }
}

#[cfg(test)]
mod tests {
    use shared::geometry::Axis;
    use shared::packed::pack;

    use super::*;

    const DIMS: [usize; 3] = [256, 256, 40];

    fn volume() -> Vec<u16> {
        (0..DIMS.iter().product()).map(|at| (at % 251) as u16).collect()
    }

    #[test]
    fn a_scan_sharpens_as_it_arrives() {
        let geometry = Geometry::axis_aligned(DIMS, [1.0; 3]).unwrap();
        let (voxels, slabs) = (volume(), Slabs::new(DIMS, 2));
        assert_eq!(slabs.count(), 3);
        let mut scan = Scan::new(DIMS);
        let [axial, other, coronal] =
            [(Axis::Axial, 3), (Axis::Axial, 39), (Axis::Coronal, 9)].map(|(axis, index)| Plane { axis, index });
        let read = |plane: Plane| -> Vec<u16> {
            PlaneLayout::new(&geometry, plane).unwrap().offsets().map(|offset| voxels[offset]).collect()
        };
        let check = |scan: &Scan, expected: [Sharpness; 3]| {
            assert_eq!([axial, other, coronal].map(|plane| scan.sharpness(&geometry, plane)), expected);
            for plane in [axial, other, coronal] {
                let shown = scan.plane(&geometry, plane);
                match scan.sharpness(&geometry, plane) {
                    Sharpness::Nothing => assert_eq!(shown, None),
                    Sharpness::Coarse => assert!(shown.is_some_and(|shown| shown != read(plane))),
                    Sharpness::Sharp => assert!(shown == Some(read(plane))),
                }
            }
        };
        use Sharpness::{Coarse as Means, Nothing, Sharp};
        check(&scan, [Nothing; 3]);
        assert!(scan.put_plane(&geometry, axial, &pack(&read(axial), 256)));
        check(&scan, [Sharp, Nothing, Nothing]);
        assert_eq!((scan.voxel(3 * 256 * 256), scan.sample().map(<[u16]>::len)), (None, Some(256 * 256)));
        let coarse = scan.lacks_coarse().unwrap();
        let means = vec![125_u16; coarse.dims.iter().product()];
        assert!(scan.put_coarse(coarse, &pack(&means, coarse.dims[0])));
        check(&scan, [Sharp, Means, Means]);
        assert_eq!(scan.missing(39), [2, 1, 0]);
        let slab = |slab: usize| pack(&voxels[slabs.voxels(slab)], 256);
        assert!(scan.put_slab(2, &slab(2)));
        check(&scan, [Sharp, Sharp, Means]);
        // Those of its rows that are here are its own.
        assert_eq!(scan.plane(&geometry, coronal).unwrap()[39 * 256..], read(coronal)[39 * 256..]);
        assert!(!scan.put_slab(1, &slab(2)) && !scan.put_slab(3, &slab(2)));
        assert!(scan.put_slab(0, &slab(0)) && scan.put_slab(1, &slab(1)));
        check(&scan, [Sharp; 3]);
        assert!(scan.is_whole() && scan.lacks_coarse().is_none());
        assert_eq!(scan.voxel(3 * 256 * 256 + 5), Some(voxels[3 * 256 * 256 + 5]));
    }
}
