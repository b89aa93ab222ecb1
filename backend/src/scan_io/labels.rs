//! Files of labels: whole numbers, a hair off where a program has calculated with them. Only what is looked at is
//! checked.

use std::path::Path;

use shared::geometry::{Geometry, GridDifference, Plane};
use shared::label::Label;
use shared::volume::Volume;

use super::nifti::{Raw, read_raw};
use super::{Origin, ScanError, ScanFiles};

/// How far a value may be from a whole number. A float slope in front of bytes leaves 0.996 or 2.0000001; a value that
/// is further off was interpolated.
const LABEL_TOLERANCE: f32 = 0.01;

/// A file of labels, none of which has been looked at.
#[derive(Clone, Debug)]
pub struct LabelFile {
    values: Volume<f32>,
    origin: Origin,
    /// The first value that is a number but none that f32 holds.
    too_large: Option<f64>,
}

impl LabelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// As [`super::read_scan`], but for the voxels.
    pub fn read(path: &Path) -> Result<Self, ScanError> {
        let Raw { origin, decoded } = match ScanFiles::at(path) {
            ScanFiles::Nifti(file) => read_raw(&file, None)?,
            ScanFiles::Pair { header, voxels } => read_raw(&header, Some(&voxels))?,
            ScanFiles::Series(_) => {
                return Err(ScanError::NotNifti("it is DICOM, which holds intensities and no labels".into()));
            }
        };
        let too_large = decoded.too_large.map(|(_, value)| value);
        Ok(Self { values: Volume::new(origin.geometry().clone(), decoded.values)?, origin, too_large })
    }

    /// These labels on a scan's grid, if they lie there in any place that the scan's header allows.
    ///
    /// # Errors
    /// How they differ.
    pub fn on(self, scan: &Origin) -> Result<Self, GridDifference> {
        scan.accept(&self.origin)?;
        let values = Volume::new(scan.geometry().clone(), self.values.into_voxels());
        // As many voxels, or they would not have been accepted.
        Ok(Self {
            values: values.unwrap_or_else(|_| unreachable!("grids have the same size")),
            origin: scan.clone(),
            too_large: self.too_large,
        })
    }

    /// The grid.
    pub fn geometry(&self) -> &Geometry {
        self.values.geometry()
    }

    /// Where the file's voxels lie.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The labels in some planes, background elsewhere.
    ///
    /// # Errors
    /// [`ScanError::NotALabel`] within the planes, [`ScanError::Geometry`] for planes that the grid lacks.
    pub fn planes(&self, planes: &[Plane]) -> Result<Volume<Label>, ScanError> {
        let mut labels = Volume::filled(self.geometry().clone(), 0);
        for plane in planes {
            let values = self.values.read_plane(*plane)?;
            let [u, _] = self.geometry().plane_dims(plane.axis);
            let place = |at: usize| self.geometry().voxel_from_plane(*plane, [at % u, at / u]);
            let plane_labels = values
                .iter()
                .enumerate()
                .map(|(at, value)| label(*value, || place(at)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| self.in_words(error))?;
            labels.write_plane(*plane, &plane_labels)?;
        }
        Ok(labels)
    }

    /// All labels.
    ///
    /// # Errors
    /// [`ScanError::NotALabel`].
    pub fn all(self) -> Result<Volume<Label>, ScanError> {
        let dims = self.geometry().dims;
        let values = self.values.voxels().iter().enumerate();
        let labels =
            values.map(|(at, value)| label(*value, || Geometry::voxel_at(at, dims))).collect::<Result<Vec<_>, _>>();
        let labels = labels.map_err(|error| self.in_words(error))?;
        Ok(Volume::new(self.geometry().clone(), labels)?)
    }
}

impl LabelFile {
    /// A value beyond f32 by its own digits.
    fn in_words(&self, error: ScanError) -> ScanError {
        match (error, self.too_large) {
            (ScanError::NotALabel { voxel, value }, Some(large)) if value.ends_with("inf") => {
                ScanError::NotALabel { voxel, value: format!("{large:e}") }
            }
            (error, _) => error,
        }
    }
}

/// Reads a label volume.
///
/// # Errors
/// As [`LabelFile::read`], and [`ScanError::NotALabel`].
pub fn read_labels(path: &Path) -> Result<Volume<Label>, ScanError> {
    LabelFile::read(path)?.all()
}

fn label(value: f32, voxel: impl Fn() -> [usize; 3]) -> Result<Label, ScanError> {
    let whole = value.round();
    if (value - whole).abs() <= LABEL_TOLERANCE && (0.0..=255.0).contains(&whole) {
        Ok(whole as Label)
    } else {
        Err(ScanError::NotALabel { voxel: voxel(), value: value.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::{Header, Voxels};
    use super::*;

    #[test]
    fn a_value_that_is_no_label_is_said_by_its_own_digits() {
        let folder = tempfile::tempdir().unwrap();
        let header = Header::of_geometry(&Geometry::axis_aligned([1, 1, 3], [1.0; 3]).unwrap());
        let voxels = Voxels { datatype: 64, bits: 64, slope: 1.0, intercept: 0.0 };
        for (value, expected) in
            [(1e48, "is 1e48,"), (-1e300, "is -1e300,"), (1.4, "is 1.4,"), (f64::INFINITY, "is inf,")]
        {
            let file = folder.path().join("labels.nii");
            let bytes = [1.0, value, 0.0].into_iter().flat_map(f64::to_le_bytes);
            std::fs::write(&file, header.written(voxels).into_iter().chain(bytes).collect::<Vec<u8>>()).unwrap();
            let words = read_labels(&file).unwrap_err().to_string();
            assert!(words.contains(expected) && words.contains("[0, 0, 1]"), "{words}");
            let planes = [Plane { axis: shared::geometry::Axis::Axial, index: 1 }];
            assert_eq!(LabelFile::read(&file).unwrap().planes(&planes).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn labels_a_hair_off_are_labels() {
        fn check(value: f32, expected: Option<Label>) {
            assert_eq!(label(value, || [0; 3]).ok(), expected, "{value}");
        }
        check(0.999_999_94, Some(1));
        check(0.996, Some(1));
        check(2.000_000_1, Some(2));
        check(-0.004, Some(0));
        check(255.0, Some(255));
        check(254.991, Some(255));
        check(0.5, None);
        check(0.98, None);
        check(256.0, None);
        check(-1.0, None);
        check(f32::NAN, None);
        check(f32::INFINITY, None);
    }
}
