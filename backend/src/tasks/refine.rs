//! A scan and corrected slices in, a better segmentation out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shared::geometry::{Geometry, Plane};
use shared::label::Label;
use shared::volume::Volume;

use super::TOLERANCE_MM;
use super::networks::load_stage;
use super::presegment::{check_one_grid, read_channels};
use crate::inference::bundle::{Bundle, Stage};
use crate::inference::{DeviceChoice, Progress};
use crate::pipeline::presegment::presegment;
use crate::pipeline::refine::{self as stages, RefineInput};
use crate::pipeline::uncertainty::Measure;
use crate::volume_io::{read_labels, write_labels};

/// What refinement reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct RefineFiles<'a> {
    /// Channels in order.
    pub images: &'a [PathBuf],
    /// Labels that are right in `planes`.
    pub corrections: &'a Path,
    /// Planes that the expert vouches for.
    pub planes: &'a [Plane],
    /// The grid that the planes were chosen on, where it is known.
    pub planes_grid: Option<&'a Geometry>,
    /// Computed if absent.
    pub presegmentation: Option<&'a Path>,
    /// The result.
    pub out: &'a Path,
}

/// Refines a scan on disk.
///
/// # Errors
/// Files that cannot be read or written or do not lie on one grid, labels that the task lacks, networks that fail or are stopped.
pub fn refine(bundle: &Bundle, files: &RefineFiles<'_>, device: DeviceChoice, progress: &mut Progress<'_>) -> Result<()> {
    // Before the networks run: an output that cannot be written would cost the whole computation.
    check_output(files.out)?;
    let (channels, header) = read_channels(files.images)?;
    check_one_grid(&channels, files.images)?;
    let scan = channels[0].geometry();
    ensure!(
        files.planes_grid.is_none_or(|grid| grid.matches(scan, TOLERANCE_MM)),
        "the slices were chosen on another scan (size, spacing or affine differ); use the slices.json that was made for this one"
    );
    let corrections = read_on_grid(files.corrections, scan)?;
    for plane in files.planes {
        scan.check_plane(*plane).context("slices.json does not fit the scan")?;
        for label in corrections.read_plane(*plane)? {
            ensure!(bundle.manifest.labels.allows(label), "the correction of {plane} holds label {label}, which this task does not have");
        }
    }
    let presegmentation = match files.presegmentation {
        Some(path) => read_on_grid(path, scan)?,
        None => {
            let mut folds = load_stage(bundle, Stage::Presegmentation, device)?;
            presegment(&mut folds, bundle.plan(Stage::Presegmentation), &channels, Measure::Entropy, &mut |_| {
                std::ops::ControlFlow::Continue(())
            })?
            .labels
        }
    };
    let foreground: Vec<Label> = bundle.manifest.labels.0.iter().map(|label| label.value).collect();
    let input = RefineInput {
        channels: &channels,
        presegmentation: &presegmentation,
        corrections: &corrections,
        planes: files.planes,
        foreground: &foreground,
        encoding: bundle.manifest.guidance,
    };
    let mut folds = load_stage(bundle, Stage::Refinement, device)?;
    let refined = stages::refine(&mut folds, bundle.plan(Stage::Refinement), &input, progress)?;
    write_labels(files.out, &refined.labels, &header).with_context(|| format!("cannot write {}", files.out.display()))
}

/// Makes the folder of a file to be written; refuses names that no reader would take for NIfTI.
fn check_output(file: &Path) -> Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ensure!(name.ends_with(".nii.gz") || name.ends_with(".nii"), "{} does not end in .nii.gz or .nii", file.display());
    ensure!(!file.is_dir(), "{} is a folder", file.display());
    let folder = file.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}

fn read_on_grid(path: &Path, scan: &Geometry) -> Result<Volume<Label>> {
    let labels = read_labels(path).with_context(|| format!("the labels {}", path.display()))?;
    let own = labels.geometry();
    ensure!(
        own.dims == scan.dims,
        "{} has {:?} voxels, the scan {:?}; labels must lie on the scan's own grid",
        path.display(),
        own.dims,
        scan.dims
    );
    ensure!(
        own.matches(scan, TOLERANCE_MM),
        "{} has another affine than the scan; labels must lie where the scan lies (resample them, or copy the scan's header)",
        path.display()
    );
    Ok(labels)
}
