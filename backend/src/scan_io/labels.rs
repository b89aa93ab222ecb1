//! Files of labels: whole numbers, a hair off where a program has calculated with them. Only what is looked at is
//! checked.

use std::path::Path;

use shared::geometry::{GRID_TOLERANCE, Geometry, GridDifference, Plane};
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::dicom;
use super::files::read_raw;
use super::nifti::{MAX_VOXELS, Raw};
use super::raster::NamedSegment;
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
    /// The segments that the file names.
    segments: Vec<NamedSegment>,
    /// Whether planes that hold background alone are left out of the file.
    sparse: bool,
}

impl LabelFile {
    /// Reads a file: a volume of labels in any format, or a DICOM SEG.
    ///
    /// # Errors
    /// As [`super::read_scan`], but for the voxels.
    pub fn read(path: &Path) -> Result<Self, ScanError> {
        Self::read_within(path, MAX_VOXELS)
    }

    /// Reads a file of labels that belong to a scan: frames that span more than the scan are not made room for.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_for(path: &Path, scan: &Origin) -> Result<Self, ScanError> {
        Self::read_within(path, scan.geometry().voxel_count())
    }

    fn read_within(path: &Path, most_voxels: usize) -> Result<Self, ScanError> {
        let files = ScanFiles::at(path);
        let (Raw { origin, decoded }, segments) = match &files {
            ScanFiles::One(file) => read_raw(file, None)?,
            ScanFiles::Pair { header, voxels } => read_raw(header, Some(voxels))?,
            ScanFiles::Series(files) => dicom::read_segmentation(files, most_voxels)?,
        };
        let too_large = decoded.too_large.map(|(_, value)| value);
        let values = Volume::new(origin.geometry().clone(), decoded.values)?;
        Ok(Self { values, origin, too_large, segments, sparse: matches!(files, ScanFiles::Series(_)) })
    }

    /// These labels on a scan's grid, if they lie there in any place that the scan's header allows. A DICOM SEG may
    /// leave planes out, and run along other axes of the same voxels.
    ///
    /// # Errors
    /// How they differ.
    pub fn on(self, scan: &Origin) -> Result<Self, GridDifference> {
        let values = if self.sparse {
            spread(&self.values, scan.geometry())?
        } else {
            scan.accept(&self.origin)?;
            let values = Volume::new(scan.geometry().clone(), self.values.into_voxels());
            // As many voxels, or they would not have been accepted.
            values.unwrap_or_else(|_| unreachable!("grids have the same size"))
        };
        Ok(Self { values, origin: scan.clone(), sparse: false, ..self })
    }

    /// With segments that were named elsewhere than in the file; none leave it as it is.
    #[must_use]
    pub fn with_segments(self, segments: Vec<NamedSegment>) -> Self {
        if segments.is_empty() { self } else { Self { segments, ..self } }
    }

    /// These labels with a task's numbers, if the file names its segments as the task names its labels: programs number
    /// segments as they come. A file that names none of them is left as it is.
    ///
    /// # Errors
    /// [`ScanError::UnknownSegment`] if it names some of the task's labels, and others.
    pub fn named(self, task: &LabelSet) -> Result<Self, ScanError> {
        let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
        let known = |segment: &NamedSegment| task.0.iter().find(|label| same(&label.name, &segment.name));
        if !self.segments.iter().any(|segment| known(segment).is_some()) {
            return Ok(self);
        }
        let mut values = [None; 256];
        for segment in &self.segments {
            let unknown = || ScanError::UnknownSegment {
                name: segment.name.clone(),
                known: task.0.iter().map(|label| label.name.clone()).collect(),
            };
            values[usize::from(segment.value)] = Some(known(segment).ok_or_else(unknown)?.value);
        }
        let renumbered = |value: f32| label(value, || [0; 3]).ok().and_then(|label| values[usize::from(label)]);
        let values = self.values.map(|value| renumbered(value).map_or(value, f32::from));
        Ok(Self { values, segments: Vec::new(), ..self })
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

/// Labels of some planes in their places on the whole grid, background elsewhere.
fn spread(labels: &Volume<f32>, grid: &Geometry) -> Result<Volume<f32>, GridDifference> {
    let own = labels.geometry();
    let Place { axes, first } = place_on(own, grid).ok_or_else(|| difference(own, grid))?;
    let mut spread = Volume::filled(grid.clone(), 0.0);
    for (at, value) in labels.voxels().iter().enumerate().filter(|(_, value)| **value != 0.0) {
        let voxel = Geometry::voxel_at(at, own.dims);
        let mut target = first;
        for (axis, (onto, step)) in axes.iter().enumerate() {
            target[*onto] += step * voxel[axis] as i64;
        }
        let inside = target.iter().zip(grid.dims).all(|(at, extent)| (0..extent as i64).contains(at));
        if !inside {
            return Err(difference(own, grid));
        }
        spread.voxels_mut()[Geometry::offset(target.map(|at| at as usize), grid.dims)] = *value;
    }
    Ok(spread)
}

/// How one grid's voxels lie on another's.
struct Place {
    /// For each axis the other's axis that it runs along, forwards (1) or backwards (-1).
    axes: [(usize, i64); 3],
    /// Where the first voxel lies.
    first: [i64; 3],
}

/// Nothing if voxels do not lie on voxels.
fn place_on(own: &Geometry, grid: &Geometry) -> Option<Place> {
    let column = |of: &Geometry, axis: usize| [0, 1, 2].map(|row| of.world_from_voxel[row][axis]);
    let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let tolerance = GRID_TOLERANCE * grid.spacing_mm.into_iter().fold(f64::INFINITY, f64::min);
    let along = |axis: usize| {
        let direction = column(own, axis);
        (0..3).flat_map(|onto| [(onto, 1), (onto, -1)]).find(|(onto, step)| {
            let other = column(grid, *onto);
            let off = direction.iter().zip(other).map(|(a, b)| (a - *step as f64 * b).powi(2)).sum::<f64>().sqrt();
            off * (own.dims[axis].max(2) - 1) as f64 <= tolerance
        })
    };
    let axes = [along(0)?, along(1)?, along(2)?];
    let apart = [0, 1, 2].map(|row| own.world_from_voxel[row][3] - grid.world_from_voxel[row][3]);
    let first = [0, 1, 2].map(|axis| {
        let direction = column(grid, axis);
        (dot(apart, direction) / dot(direction, direction)).round()
    });
    let (there, here) = (grid.world_from_voxel(first), own.world_from_voxel([0.0; 3]));
    let off = there.iter().zip(here).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let different = axes[0].0 != axes[1].0 && axes[1].0 != axes[2].0 && axes[0].0 != axes[2].0;
    (off <= tolerance && different).then(|| Place { axes, first: first.map(|at| at as i64) })
}

/// How a grid of some planes differs from the one that it should lie on.
fn difference(own: &Geometry, grid: &Geometry) -> GridDifference {
    let sizes = own.column_lengths_mm().iter().zip(grid.column_lengths_mm()).any(|(a, b)| (a - b).abs() > 1e-3 * b);
    if sizes {
        return GridDifference::Spacing { own: own.column_lengths_mm(), reference: grid.column_lengths_mm() };
    }
    let (here, there) = (own.world_from_voxel([0.0; 3]), grid.world_from_voxel([0.0; 3]));
    let off_mm = here.iter().zip(there).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    GridDifference::Place { own: here, reference: there, voxel: [0; 3], off_mm }
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
