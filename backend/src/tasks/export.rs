//! Labels in a file → another format, with the names and codes of a bundle's labels.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use shared::geometry::Plane;

use super::refine::read_on_grid;
use crate::bundle::Bundle;
use crate::scan_io::{
    Algorithm, KeptReference, LabelFile, ScanFiles, SegContent, SegKind, encode_seg, read_origin, read_reference,
    whole, write_segmentation,
};

/// What is written, of what.
#[derive(Clone, Debug)]
pub struct ExportFiles<'a> {
    /// The labels.
    pub labels: &'a Path,
    /// The scan that they were made from; for a DICOM SEG a series.
    pub scan: &'a Path,
    /// Where to; its ending says the format.
    pub out: &'a Path,
    /// How a DICOM SEG is laid out.
    pub kind: SegKind,
    /// What a DICOM SEG says of the patient.
    pub kept: KeptReference,
    /// Planes that an expert has corrected.
    pub corrected: &'a [Plane],
    /// When a DICOM SEG is made.
    pub made: DateTime<Utc>,
}

/// Whether a name is that of a DICOM SEG.
pub fn is_dicom_name(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "dcm")
}

/// Writes labels in another format.
///
/// # Errors
/// Files that cannot be read or written, labels that lie elsewhere or that the bundle lacks, a DICOM SEG of what is no
/// series.
pub fn export(bundle: &Bundle, files: &ExportFiles<'_>) -> Result<()> {
    let names = &bundle.manifest.labels;
    let scan = read_origin(files.scan).with_context(|| format!("the scan {}", files.scan.display()))?;
    let labels = read_on_grid("the labels", files.labels, &scan)?.named(names).and_then(LabelFile::all);
    let labels = labels.with_context(|| format!("the labels {}", files.labels.display()))?;
    for plane in files.corrected {
        labels.geometry().check_plane(*plane).context("the corrected slices do not fit the scan")?;
    }
    let cannot = || format!("cannot write {}", files.out.display());
    if !is_dicom_name(files.out) {
        return write_segmentation(files.out, &labels, &scan, names).with_context(cannot);
    }
    let series: Vec<PathBuf> = match ScanFiles::at(files.scan) {
        ScanFiles::Series(series) => series,
        ScanFiles::One(_) | ScanFiles::Pair { .. } => Vec::new(),
    };
    ensure!(
        !series.is_empty(),
        "a DICOM SEG names the images that were segmented, and {} is no DICOM series; give the folder of the series",
        files.scan.display()
    );
    let reference = read_reference(&series, files.kept)?.context("nothing is known of the series")?;
    let algorithm = Algorithm::of(&bundle.manifest.name, &bundle.manifest.version);
    let content = SegContent {
        labels: &labels,
        names,
        reference: &reference,
        algorithm: &algorithm,
        corrected: files.corrected,
        kind: files.kind,
        made: files.made,
    };
    let bytes = encode_seg(&content)?;
    whole(files.out, |mut file| file.write_all(&bytes)).with_context(cannot)
}
