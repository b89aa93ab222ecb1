//! A scan in; presegmentation, uncertainty and the slices worth correcting out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use shared::acquisition::{AcquisitionParams, SliceList};
use shared::geometry::Geometry;
use shared::volume::Volume;

use super::networks::Networks;
use super::orientation::{orientation_warning, reorientation};
use super::{PRESEGMENTATION_FILE, SLICES_FILE, UNCERTAINTY_FILE, write_slices};
use crate::bundle::method::{Measure, Method};
use crate::bundle::plans::Plan;
use crate::bundle::{Bundle, Stage};
use crate::inference::Progress;
use crate::pipeline::acquire::acquire;
use crate::pipeline::distribution::Distribution;
use crate::pipeline::network_grid::size_warning;
use crate::pipeline::outliers::outliers;
use crate::pipeline::presegment as stages;
use crate::pipeline::sampling::Sampling;
use crate::pipeline::uncertainty;
use crate::scan_io::{Intensities, Origin, Scan, read_scan_as, write_f32, write_labels};

/// What may be chosen beside the bundle.
#[derive(Clone, Debug)]
pub struct PresegmentOptions {
    /// How slices are chosen.
    pub acquisition: AcquisitionParams,
    /// How uncertainty is found.
    pub uncertainty: Method,
    /// Dice that each foreground label usually gets; the uncertainty is then found label by label, and the worse ones
    /// count more.
    pub class_dice: Option<Vec<f32>>,
    /// Hears the warnings.
    pub tell: fn(&str),
}

impl PresegmentOptions {
    /// The bundle's defaults.
    pub fn of(bundle: &Bundle, tell: fn(&str)) -> Self {
        let defaults = bundle.manifest.acquisition;
        let acquisition =
            AcquisitionParams { strategy: defaults.strategy, budget: defaults.budget, ..AcquisitionParams::default() };
        Self { acquisition, uncertainty: bundle.uncertainty(), class_dice: None, tell }
    }
}

/// Weights of a task's foreground labels from their usual Dice; see [`uncertainty::class_weights`].
///
/// # Errors
/// Another number of values than there are labels, or values that are no Dice.
pub fn class_weights(bundle: &Bundle, dice: &[f32]) -> Result<Vec<f32>> {
    let labels = bundle.manifest.labels.0.len();
    ensure!(
        dice.len() == labels,
        "{} Dice are given for {labels} label(s); give one for each, in the order of `bundle inspect`",
        dice.len()
    );
    if let Some(wrong) = dice.iter().find(|dice| !(0.0..=1.0).contains(*dice)) {
        bail!("{wrong} is not a Dice; it lies between 0 and 1");
    }
    Ok(uncertainty::class_weights(dice))
}

/// Segments a scan, measures where that is uncertain, chooses slices; writes [`PRESEGMENTATION_FILE`],
/// [`UNCERTAINTY_FILE`] and [`SLICES_FILE`].
///
/// # Errors
/// An uncertainty that the bundle cannot find, files that cannot be read or written, scans that do not fit the bundle,
/// networks that fail or are stopped.
pub fn presegment(
    bundle: &Bundle,
    images: &[PathBuf],
    out: &Path,
    options: &PresegmentOptions,
    networks: &mut dyn Networks,
    progress: &mut Progress<'_>,
) -> Result<SliceList> {
    let plan = bundle.plan(Stage::Presegmentation);
    let method = options.uncertainty.check(plan)?;
    let class_weights = options.class_dice.as_deref().map(|dice| class_weights(bundle, dice)).transpose()?;
    // Before the networks run: an output folder that cannot be made would cost the whole computation.
    fs::create_dir_all(out).with_context(|| format!("cannot create the folder {}", out.display()))?;
    let (channels, origin) = read_channels(images, bundle.manifest.pet)?;
    check_dimensions(&origin, plan)?;
    let way = reorientation(&bundle.manifest, origin.geometry());
    let seen = way.geometry(origin.geometry());
    warnings(&channels, &origin, &seen, plan).iter().for_each(|words| (options.tell)(words));
    orientation_warning(&bundle.manifest, origin.geometry()).iter().for_each(|words| (options.tell)(words));
    let channels: Vec<Volume<f32>> = channels.into_iter().map(|channel| way.apply(channel)).collect();
    let folds = networks.of(bundle, Stage::Presegmentation)?;
    let sampling =
        Sampling { methods: &[method], class_weights: class_weights.as_deref(), seed: options.acquisition.seed };
    let result = stages::presegment(folds, plan, &channels, &sampling, progress)?;
    let labels = way.inverse().apply(result.labels);
    let uncertainty = &way.inverse().apply(result.uncertainty.into_iter().next().context("no uncertainty was found")?);
    let entropy = method.measure == Measure::Entropy && class_weights.is_none();
    let chosen = acquire(uncertainty, &labels, &options.acquisition, &[])?;
    let list = SliceList { entropy: Some(entropy), ..chosen };
    let at = |name: &str| out.join(name);
    write_labels(&at(PRESEGMENTATION_FILE), &labels, &origin)
        .with_context(|| format!("cannot write {PRESEGMENTATION_FILE}"))?;
    write_f32(&at(UNCERTAINTY_FILE), uncertainty, &origin)
        .with_context(|| format!("cannot write {UNCERTAINTY_FILE}"))?;
    write_slices(&at(SLICES_FILE), &list)?;
    Ok(list)
}

/// All channels on the first one's grid, and where that comes from, which outputs are written with. Channels may lie
/// wherever the first one's header allows.
///
/// # Errors
/// [`crate::scan_io::ScanError`] with the file's name; channels that lie elsewhere, with the difference.
pub fn read_channels(images: &[PathBuf], intensities: Intensities) -> Result<(Vec<Volume<f32>>, Origin)> {
    let mut channels = Vec::new();
    let mut first: Option<Origin> = None;
    for path in images {
        let Scan { volume, origin } =
            read_scan_as(path, intensities).with_context(|| format!("the image {}", path.display()))?;
        let first = first.get_or_insert_with(|| origin.clone());
        if let Err(difference) = first.accept(&origin) {
            bail!(
                "{} {difference}. The images of a case must lie on one grid; resample it onto the first",
                path.display()
            );
        }
        channels.push(Volume::new(first.geometry().clone(), volume.into_voxels())?);
    }
    Ok((channels, first.context("no image was given")?))
}

/// A picture of two dimensions is for networks of two dimensions.
///
/// # Errors
/// In words, where the network takes volumes.
pub fn check_dimensions(origin: &Origin, plan: &Plan) -> Result<()> {
    ensure!(
        !origin.is_flat() || plan.patch_size.len() == 2,
        "the image is a picture of two dimensions; this network takes volumes of three"
    );
    Ok(())
}

/// What is to be said of a case before its networks run: a header that contradicts itself, voxels that ruin a
/// normalisation; `seen` is the grid as the networks see it.
pub fn warnings(channels: &[Volume<f32>], origin: &Origin, seen: &Geometry, plan: &Plan) -> Vec<String> {
    let mut warnings: Vec<String> =
        origin.contradictions().map(|words| format!("the scan's header {words}")).into_iter().collect();
    warnings.extend(size_warning(seen, plan));
    for ((volume, (normalization, _)), name) in channels.iter().zip(&plan.normalization).zip(&plan.channels) {
        let known = Distribution::of(volume.voxels());
        warnings.extend(outliers(volume, &known, *normalization).map(|words| format!("{name}: {words}")));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan_io::write_f32;

    #[test]
    fn channels_must_lie_where_the_first_lies() {
        let folder = tempfile::tempdir().unwrap();
        let first = Geometry::axis_aligned([2, 3, 4], [1.0; 3]).unwrap();
        let check = |shift_mm: f64, expected: Option<&str>| {
            let mut affine = first.world_from_voxel;
            affine[1][3] += shift_mm;
            let second = Geometry::new(first.dims, first.spacing_mm, affine).unwrap();
            let files = [("t1.nii.gz", first.clone()), ("t2.nii.gz", second)].map(|(name, geometry)| {
                let file = folder.path().join(name);
                write_f32(&file, &Volume::filled(geometry.clone(), 0.0), &Origin::of_geometry(&geometry)).unwrap();
                file
            });
            let message = read_channels(&files, Intensities::Stored)
                .err()
                .map(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""));
            assert_eq!(message.as_deref(), expected);
        };
        check(0.0, None);
        check(
            2.0,
            Some(
                "t2.nii.gz lies elsewhere: its first voxel is at (0, 2, 0) mm instead of (0, 0, 0), and voxel [0, 0, \
                 0] is off by 2.000 mm. The images of a case must lie on one grid; resample it onto the first",
            ),
        );
    }
}
