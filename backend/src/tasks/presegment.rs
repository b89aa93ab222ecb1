//! A scan in; presegmentation, uncertainty and the slices worth correcting out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shared::acquisition::{AcquisitionParams, SliceList};
use shared::volume::Volume;

use super::networks::load_stage;
use super::{PRESEGMENTATION_FILE, SLICES_FILE, TOLERANCE_MM, UNCERTAINTY_FILE, write_slices};
use crate::inference::bundle::{Bundle, Stage};
use crate::inference::{DeviceChoice, Progress};
use crate::pipeline::acquire::acquire;
use crate::pipeline::presegment as stages;
use crate::pipeline::uncertainty::Measure;
use crate::volume_io::{ScanHeader, read_nifti, write_f32, write_labels};

/// The bundle's defaults.
pub fn default_params(bundle: &Bundle) -> AcquisitionParams {
    AcquisitionParams {
        strategy: bundle.manifest.acquisition.strategy,
        budget: bundle.manifest.acquisition.budget,
        ..AcquisitionParams::default()
    }
}

/// Segments a scan, measures where that is uncertain, chooses slices; writes [`PRESEGMENTATION_FILE`], [`UNCERTAINTY_FILE`] and [`SLICES_FILE`].
///
/// # Errors
/// Files that cannot be read or written, scans that do not fit the bundle, networks that fail or are stopped.
pub fn presegment(
    bundle: &Bundle,
    images: &[PathBuf],
    out: &Path,
    params: &AcquisitionParams,
    device: DeviceChoice,
    progress: &mut Progress<'_>,
) -> Result<SliceList> {
    // Before the networks run: an output folder that cannot be made would cost the whole computation.
    fs::create_dir_all(out).with_context(|| format!("cannot create the folder {}", out.display()))?;
    let (channels, header) = read_channels(images)?;
    check_one_grid(&channels, images)?;
    let mut folds = load_stage(bundle, Stage::Presegmentation, device)?;
    let result = stages::presegment(&mut folds, bundle.plan(Stage::Presegmentation), &channels, Measure::Entropy, progress)?;
    let list = acquire(&result.uncertainty, &result.labels, params, &[])?;
    let at = |name: &str| out.join(name);
    write_labels(&at(PRESEGMENTATION_FILE), &result.labels, &header).with_context(|| format!("cannot write {PRESEGMENTATION_FILE}"))?;
    write_f32(&at(UNCERTAINTY_FILE), &result.uncertainty, &header).with_context(|| format!("cannot write {UNCERTAINTY_FILE}"))?;
    write_slices(&at(SLICES_FILE), &list)?;
    Ok(list)
}

/// Refuses channels that do not lie where the first lies.
///
/// # Errors
/// Names the file that lies elsewhere.
pub(super) fn check_one_grid(channels: &[Volume<f32>], images: &[PathBuf]) -> Result<()> {
    let Some(first) = channels.first().map(Volume::geometry) else { return Ok(()) };
    for (channel, path) in channels.iter().zip(images) {
        ensure!(
            channel.geometry().matches(first, TOLERANCE_MM),
            "{} does not lie on the first image's grid (size, spacing or affine differ); resample it onto the first",
            path.display()
        );
    }
    Ok(())
}

/// All channels and the header of the first, which outputs are written with.
///
/// # Errors
/// [`crate::volume_io::VolumeError`] with the file's name.
pub fn read_channels(images: &[PathBuf]) -> Result<(Vec<Volume<f32>>, ScanHeader)> {
    let mut channels = Vec::new();
    let mut header = None;
    for path in images {
        let image = read_nifti(path).with_context(|| format!("the image {}", path.display()))?;
        header.get_or_insert(image.header);
        channels.push(image.volume);
    }
    let header = header.context("no image was given")?;
    Ok((channels, header))
}

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;

    use super::*;

    #[test]
    fn channels_must_lie_where_the_first_lies() {
        let first = Geometry::axis_aligned([2, 3, 4], [1.0; 3]).unwrap();
        let files = ["t1.nii.gz", "t2.nii.gz"].map(PathBuf::from);
        let check = |shift_mm: f64, expected: Option<&str>| {
            let mut affine = first.world_from_voxel;
            affine[1][3] += shift_mm;
            let second = Geometry::new(first.dims, first.spacing_mm, affine).unwrap();
            let channels = [first.clone(), second].map(|geometry| Volume::filled(geometry, 0.0));
            let message = check_one_grid(&channels, &files).err().map(|error| error.to_string());
            assert_eq!(message.as_deref(), expected);
        };
        check(0.0, None);
        check(2.0, Some("t2.nii.gz does not lie on the first image's grid (size, spacing or affine differ); resample it onto the first"));
    }
}
