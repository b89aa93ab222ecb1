//! Voxels on a grid. Knows planes, not files.

use crate::geometry::{Geometry, GeometryError, Plane};

/// Voxels of one kind with their geometry; `voxels` is x-fastest, so its reversed view `[z, y, x]` is contiguous.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    geometry: Geometry,
    voxels: Vec<T>,
}

impl<T: Copy> Volume<T> {
    /// Joins voxels and grid.
    ///
    /// # Errors
    /// [`GeometryError::WrongLength`] if the buffer is not the grid's size.
    pub fn new(geometry: Geometry, voxels: Vec<T>) -> Result<Self, GeometryError> {
        let expected = geometry.voxel_count();
        if voxels.len() == expected {
            Ok(Self { geometry, voxels })
        } else {
            Err(GeometryError::WrongLength { expected, got: voxels.len() })
        }
    }

    /// A volume that holds `value` everywhere.
    pub fn filled(geometry: Geometry, value: T) -> Self {
        let voxels = vec![value; geometry.voxel_count()];
        Self { geometry, voxels }
    }

    /// The grid.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// All voxels, x fastest.
    pub fn voxels(&self) -> &[T] {
        &self.voxels
    }

    /// All voxels for writing, x fastest.
    pub fn voxels_mut(&mut self) -> &mut [T] {
        &mut self.voxels
    }

    /// Gives up the buffer.
    pub fn into_voxels(self) -> Vec<T> {
        self.voxels
    }

    /// The voxel at `[x, y, z]`, if it exists.
    pub fn get(&self, voxel: [usize; 3]) -> Option<T> {
        let inside = voxel.iter().zip(&self.geometry.dims).all(|(i, n)| i < n);
        if inside { self.voxels.get(Geometry::offset(voxel, self.geometry.dims)).copied() } else { None }
    }

    /// Applies `f` to every voxel.
    pub fn map<U: Copy>(&self, f: impl FnMut(T) -> U) -> Volume<U> {
        Volume { geometry: self.geometry.clone(), voxels: self.voxels.iter().copied().map(f).collect() }
    }

    /// Copies a plane out, u fastest.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`].
    pub fn read_plane(&self, plane: Plane) -> Result<Vec<T>, GeometryError> {
        // A volume holds every voxel of its geometry.
        Ok(PlaneLayout::new(&self.geometry, plane)?.read(&self.voxels).unwrap_or_default())
    }

    /// Writes a plane, u fastest.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`] or [`GeometryError::WrongLength`].
    pub fn write_plane(&mut self, plane: Plane, values: &[T]) -> Result<(), GeometryError> {
        let layout = PlaneLayout::new(&self.geometry, plane)?;
        let expected = layout.dims[0] * layout.dims[1];
        if values.len() != expected {
            return Err(GeometryError::WrongLength { expected, got: values.len() });
        }
        for (offset, value) in layout.offsets().zip(values) {
            self.voxels[offset] = *value;
        }
        Ok(())
    }
}

/// Where a plane's voxels lie in the x-fastest buffer.
#[derive(Clone, Copy, Debug)]
pub struct PlaneLayout {
    /// Offset of `[u, v] = [0, 0]`.
    pub start: usize,
    /// Steps in the buffer along u and v.
    pub strides: [usize; 2],
    /// Size along u and v.
    pub dims: [usize; 2],
}

impl PlaneLayout {
    /// The layout of `plane` in a volume of this geometry.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`].
    pub fn new(geometry: &Geometry, plane: Plane) -> Result<Self, GeometryError> {
        geometry.check_plane(plane)?;
        let strides = [1, geometry.dims[0], geometry.dims[0] * geometry.dims[1]];
        let [u, v] = geometry.in_plane_axes(plane.axis);
        Ok(Self {
            start: plane.index * strides[geometry.stored_axis(plane.axis)],
            strides: [strides[u], strides[v]],
            dims: [geometry.dims[u], geometry.dims[v]],
        })
    }

    /// The plane's voxels, u fastest, of a buffer; none if that is too short.
    pub fn read<T: Copy>(self, voxels: &[T]) -> Option<Vec<T>> {
        let [columns, rows] = self.dims;
        let mut plane = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            let start = self.start + row * self.strides[1];
            if self.strides[0] == 1 {
                plane.extend_from_slice(voxels.get(start..start + columns)?);
            } else {
                plane.extend(voxels.get(start..)?.iter().step_by(self.strides[0]).take(columns));
            }
        }
        (plane.len() == columns * rows).then_some(plane)
    }

    /// Buffer offsets of the plane's voxels, u fastest.
    pub fn offsets(self) -> impl Iterator<Item = usize> {
        (0..self.dims[1])
            .flat_map(move |v| (0..self.dims[0]).map(move |u| self.start + u * self.strides[0] + v * self.strides[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Axis;

    fn counting() -> Volume<usize> {
        let geometry = Geometry::axis_aligned([2, 3, 2], [1.0; 3]).unwrap();
        Volume::new(geometry, (0..12).collect()).unwrap()
    }

    #[test]
    fn planes_read_u_fastest() {
        fn check(axis: Axis, index: usize, expected: &[usize]) {
            assert_eq!(counting().read_plane(Plane { axis, index }).unwrap(), expected);
        }
        check(Axis::Axial, 1, &[6, 7, 8, 9, 10, 11]);
        check(Axis::Coronal, 1, &[2, 3, 8, 9]);
        check(Axis::Sagittal, 1, &[1, 3, 5, 7, 9, 11]);
    }

    #[test]
    fn a_buffer_that_is_too_short_has_no_plane() {
        fn check(axis: Axis, last: usize) {
            let (volume, plane) = (counting(), Plane { axis, index: last });
            let layout = PlaneLayout::new(volume.geometry(), plane).unwrap();
            assert_eq!(layout.read(&volume.voxels).unwrap(), volume.read_plane(plane).unwrap());
            assert_eq!(layout.read(&volume.voxels[..11]), None, "{axis:?}");
        }
        check(Axis::Axial, 1);
        check(Axis::Coronal, 2);
        check(Axis::Sagittal, 1);
    }

    #[test]
    fn a_written_plane_reads_back_and_touches_nothing_else() {
        for axis in Axis::ALL {
            let mut volume = counting();
            let plane = Plane { axis, index: 0 };
            let ones = vec![99; volume.read_plane(plane).unwrap().len()];
            volume.write_plane(plane, &ones).unwrap();
            assert_eq!(volume.read_plane(plane).unwrap(), ones);
            assert_eq!(volume.voxels().iter().filter(|v| **v == 99).count(), ones.len());
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        assert!(counting().write_plane(Plane { axis: Axis::Axial, index: 0 }, &[1]).is_err());
        assert!(counting().read_plane(Plane { axis: Axis::Axial, index: 2 }).is_err());
        assert!(Volume::new(Geometry::axis_aligned([2, 2, 2], [1.0; 3]).unwrap(), vec![0_u8; 7]).is_err());
    }
}
