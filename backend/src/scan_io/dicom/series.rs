//! From slices to one stack on an even grid, or to what is wrong with them.

use std::path::Path;

use shared::geometry::Geometry;

use super::heads::{Head, Slice};
use super::{DicomError, is_segmentation_class, name};
use crate::scan_io::ScanError;
use crate::scan_io::nifti::{check_voxels, extents};

/// Positions nearer than this share of the slices' distance are one place.
const SAME: f64 = 0.05;
/// Distances may vary by this share of their median: positions are written with few digits.
const EVEN: f64 = 0.02;
/// Directions that differ by less are one: six digits, and rounding.
const SAME_DIRECTION: f64 = 1e-3;
/// By how much of a pixel the last slice may be shifted against the first before the stack counts as tilted.
const STRAIGHT: f64 = 0.1;

/// Slices of one volume, from the first along the normal to the last.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) slices: Vec<Slice>,
}

/// The one stack among files. Localisers of other series, and of the same, are left out where something else is there.
pub(super) fn stacks(heads: Vec<Head>) -> Result<Stack, DicomError> {
    let names = |heads: &[&Head]| heads.iter().map(|head| name(&head.file)).collect::<Vec<_>>();
    let is_coloured = |head: &&Head| head.samples != 1 || head.photometric == "PALETTE COLOR";
    let coloured: Vec<&Head> = heads.iter().filter(is_coloured).collect();
    if let Some(first) = coloured.first() {
        return Err(DicomError::Colours { files: names(&coloured), photometric: first.photometric.clone() });
    }
    let labels: Vec<&Head> = heads.iter().filter(|head| is_segmentation_class(&head.class)).collect();
    if !labels.is_empty() {
        return Err(DicomError::Labels { files: names(&labels) });
    }
    let nowhere: Vec<&Head> = heads.iter().filter(|head| head.slices.is_none()).collect();
    if !nowhere.is_empty() {
        return Err(DicomError::NoPosition { files: names(&nowhere) });
    }
    let scans: Vec<&Head> = heads.iter().filter(|head| !head.is_localiser).collect();
    let scans = if scans.is_empty() { heads.iter().collect() } else { scans };
    one_series(&scans)?;
    let slices: Vec<Slice> = scans.iter().filter_map(|head| head.slices.clone()).flatten().collect();
    if slices.is_empty() {
        return Err(DicomError::NoImages("the folder".to_owned()));
    }
    one_orientation(&slices)?;
    sorted(slices)
}

fn one_series(heads: &[&Head]) -> Result<(), DicomError> {
    let mut series: Vec<(&str, Vec<&Head>)> = Vec::new();
    for head in heads.iter().copied() {
        match series.iter_mut().find(|(uid, _)| *uid == head.series) {
            Some((_, of)) => of.push(head),
            None => series.push((&head.series, vec![head])),
        }
    }
    if series.len() <= 1 {
        return Ok(());
    }
    let words = |heads: &[&Head]| {
        let first = heads[0];
        let slices: usize = heads.iter().filter_map(|head| head.slices.as_ref().map(Vec::len)).sum();
        format!("{} of {slices} slice(s), {} × {} ({} …)", first.modality, first.columns, first.rows, name(&first.file))
    };
    Err(DicomError::SeveralSeries { series: series.iter().map(|(_, heads)| words(heads)).collect() })
}

/// Slices of one size that run one way.
fn one_orientation(slices: &[Slice]) -> Result<(), DicomError> {
    let alike = |a: &Slice, b: &Slice| {
        let near = |a: &[f64], b: &[f64], by: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= by);
        (a.rows, a.columns) == (b.rows, b.columns)
            && near(a.along.as_flattened(), b.along.as_flattened(), SAME_DIRECTION)
            && near(&a.spacing, &b.spacing, 1e-3 * a.spacing[0].abs())
    };
    let mut groups: Vec<Vec<&Slice>> = Vec::new();
    for slice in slices {
        match groups.iter_mut().find(|group| alike(group[0], slice)) {
            Some(group) => group.push(slice),
            None => groups.push(vec![slice]),
        }
    }
    if groups.len() == 1 {
        return Ok(());
    }
    let words = |group: &Vec<&Slice>| {
        format!("{} slice(s) of {} × {} ({} …)", group.len(), group[0].columns, group[0].rows, name(&group[0].file))
    };
    Err(DicomError::SeveralOrientations { groups: groups.iter().map(words).collect() })
}

pub(super) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Sorts along the normal; refuses duplicates, several volumes, gaps, uneven distances and tilt.
fn sorted(mut slices: Vec<Slice>) -> Result<Stack, DicomError> {
    let normal = cross(slices[0].along[0], slices[0].along[1]);
    let height = |slice: &Slice| dot(slice.position, normal);
    slices.sort_by(|a, b| height(a).total_cmp(&height(b)));
    let file = |slice: &Slice| name(&slice.file);
    let steps =
        |slices: &[Slice]| slices.windows(2).map(|pair| height(&pair[1]) - height(&pair[0])).collect::<Vec<f64>>();
    let mut apart: Vec<f64> = steps(&slices).into_iter().filter(|mm| *mm > 1e-3).collect();
    apart.sort_by(f64::total_cmp);
    let typical = apart.get(apart.len() / 2).copied().unwrap_or(1.0);
    if slices.len() > 1 {
        let places: Vec<&[Slice]> = slices.chunk_by(|a, b| height(b) - height(a) <= SAME * typical).collect();
        if places.len() < slices.len() {
            let times = places[0].len();
            if times > 1 && places.iter().all(|place| place.len() == times) {
                return Err(DicomError::SeveralVolumes { times, files: places[0].iter().map(file).collect() });
            }
            let double =
                places.iter().filter(|place| place.len() > 1).flat_map(|place| place.iter().map(file)).collect();
            return Err(DicomError::Duplicates { files: double });
        }
    }
    let distances = steps(&slices);
    let mut ordered = distances.clone();
    ordered.sort_by(f64::total_cmp);
    let Some(median) = ordered.get(ordered.len() / 2).copied() else { return Ok(Stack { slices }) };
    let gaps: Vec<String> = distances
        .iter()
        .enumerate()
        .filter(|(_, mm)| (*mm / median).round() >= 2.0 && (*mm / median - (*mm / median).round()).abs() < 0.1)
        .map(|(at, mm)| format!("{:.0} between {} and {}", mm / median - 1.0, file(&slices[at]), file(&slices[at + 1])))
        .collect();
    if !gaps.is_empty() {
        return Err(DicomError::Missing { gaps });
    }
    let (least, most) = (ordered[0], ordered[ordered.len() - 1]);
    if most - least > EVEN * median.max(1e-6) {
        let at = distances.iter().position(|mm| *mm == most).unwrap_or_default();
        let between = format!("{} and {}", file(&slices[at]), file(&slices[at + 1]));
        return Err(DicomError::Irregular { smallest: least, largest: most, between });
    }
    let stack = Stack { slices };
    let step = stack.step();
    let upright = dot(step, normal);
    let sideways = (dot(step, step) - upright * upright).max(0.0).sqrt();
    if sideways * distances.len() as f64 > STRAIGHT * stack.slices[0].spacing[0].min(stack.slices[0].spacing[1]) {
        return Err(DicomError::Tilted { degrees: (sideways / upright).atan().to_degrees() });
    }
    Ok(stack)
}

impl Stack {
    /// From a slice to the next, mm, LPS.
    fn step(&self) -> [f64; 3] {
        let first = &self.slices[0];
        let last = &self.slices[self.slices.len() - 1];
        let count = self.slices.len() as f64 - 1.0;
        if count > 0.0 {
            return std::array::from_fn(|axis| (last.position[axis] - first.position[axis]) / count);
        }
        let thickness = first.thickness.unwrap_or(1.0);
        cross(first.along[0], first.along[1]).map(|v| v * thickness)
    }

    /// The grid: x along rows, y along columns, z along the normal; RAS.
    ///
    /// # Errors
    /// [`ScanError`] for one that cannot be worked on.
    pub(super) fn geometry(&self) -> Result<Geometry, ScanError> {
        let first = &self.slices[0];
        let dims = extents([first.columns, first.rows, self.slices.len()].map(|n| n as i64))?;
        let step = self.step();
        let length = dot(step, step).sqrt();
        let [x, y] = [0, 1].map(|axis| first.along[axis].map(|v| v * first.spacing[axis]));
        let row = |axis: usize| {
            // DICOM's x and y run to the left and back.
            let sign = if axis < 2 { -1.0 } else { 1.0 };
            [x[axis], y[axis], step[axis], first.position[axis]].map(|v| sign * v)
        };
        let geometry = Geometry::new(dims, [first.spacing[0], first.spacing[1], length], [row(0), row(1), row(2)])?;
        check_voxels(&geometry)?;
        Ok(geometry)
    }

    /// Slices by file, so that each is read once: the file and where its frames go.
    pub(super) fn by_file(&self) -> Vec<(&Path, Vec<(usize, &Slice)>)> {
        let mut files: Vec<(&Path, Vec<(usize, &Slice)>)> = Vec::new();
        let mut at = std::collections::HashMap::new();
        for (z, slice) in self.slices.iter().enumerate() {
            let number = *at.entry(slice.file.as_path()).or_insert_with(|| {
                files.push((slice.file.as_path(), Vec::new()));
                files.len() - 1
            });
            files[number].1.push((z, slice));
        }
        files
    }
}
