//! A scan and corrected slices in, a better segmentation out.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Serialize;
use shared::acquisition::AcquisitionParams;
use shared::correction::{CorrectedSlice, corrections_volume, drawn_planes};
use shared::geometry::{Geometry, Plane};
use shared::label::Label;
use shared::volume::Volume;

use super::adapt::Adapt;
use super::networks::Networks;
use super::orientation::reorientation;
use super::presegment::{check_dimensions, read_channels};
use super::write_slices;
use crate::bundle::method::Method;
use crate::bundle::{Bundle, Stage};
use crate::inference::Progress;
use crate::pipeline::acquire::acquire;
use crate::pipeline::adapt::AdaptationReport;
use crate::pipeline::consistency::consistency;
use crate::pipeline::presegment::presegment;
use crate::pipeline::refine::{self as stages, Adaptation, RefineInput};
use crate::pipeline::sampling::Sampling;
use crate::scan_io::{LabelFile, Origin, VOLUME_ENDINGS, is_volume_name, read_scan, write_f32, write_segmentation};

/// Where the corrected planes are.
#[derive(Clone, Copy, Debug)]
pub enum Corrections<'a> {
    /// In a file of labels on the scan's grid, which are right in these planes.
    File(&'a Path, &'a [Plane]),
    /// Here; where they cross, later ones win.
    Slices(&'a [CorrectedSlice]),
}

/// Where it stands how unsure a presegmentation is.
#[derive(Clone, Copy, Debug)]
pub enum Uncertainty<'a> {
    /// In a file on the scan's grid, 0 to 1.
    File(&'a Path),
    /// In a file of a byte a voxel, x fastest, 255 for 1.
    Bytes(&'a Path),
}

/// What refinement reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct RefineFiles<'a> {
    /// Channels in order.
    pub images: &'a [PathBuf],
    /// What the expert vouches for.
    pub corrections: Corrections<'a>,
    /// The grids that the planes were chosen on, as far as they are known.
    pub planes_grids: &'a [Geometry],
    /// Computed if absent.
    pub presegmentation: Option<&'a Path>,
    /// Of the presegmentation: the entropy of its mean prediction. All its labels count alike if this is absent.
    pub uncertainty: Option<Uncertainty<'a>>,
    /// See [`RefineInput::blend_mm`]; the bundle's own if absent.
    pub blend_mm: Option<f64>,
    /// The refined labels.
    pub out: &'a Path,
    /// Where the refinement is uncertain, if asked for.
    pub uncertainty_out: Option<&'a Path>,
    /// Whether and how long the network adapts to the case.
    pub adapt: Adapt,
    /// What the network learned from this case in earlier rounds, to go on from.
    pub adapted_weights: Option<&'a Path>,
    /// Where what it has learned by now is written, if it has learned anything.
    pub adapted_weights_out: Option<&'a Path>,
    /// The slices of the next round and how to choose them, if asked for; all planes corrected so far count as settled.
    pub slices_out: Option<(&'a Path, &'a AcquisitionParams)>,
}

/// What was done for this case alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RefineReport {
    /// How the network adapted, if it was to.
    pub adaptation: Option<AdaptationReport>,
    /// Image channels that were turned, see [`stages::Refined::turned`].
    pub turned_channels: Vec<usize>,
    /// See [`stages::Refined::surprise`].
    pub surprise: Option<f64>,
}

/// From this surprise on the expert is told of it. No validation case with a steady hand had more (5.3 at most).
const SURPRISING: f64 = 5.5;

impl RefineReport {
    /// In words; none if nothing was done.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let turned = (!self.turned_channels.is_empty()).then(|| {
            let channels: Vec<String> = self.turned_channels.iter().map(ToString::to_string).collect();
            format!(
                "the scan's contrast is the other way round than what the networks learned from, as the corrected \
                 slices show: bright and dark were exchanged in channel {}",
                channels.join(", ")
            )
        });
        let surprised = self.surprise.filter(|surprise| *surprise >= SURPRISING).map(|surprise| {
            format!(
                "the corrected slices differ from what the networks see {surprise:.1} times as much as these expect; \
                 they were passed on to their neighbours less than usual, as for contours that waver"
            )
        });
        let adapted = self.adaptation.as_ref().map(ToString::to_string);
        let words: Vec<String> = turned.into_iter().chain(surprised).chain(adapted).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// Refines a scan on disk; answers what was done for it alone.
///
/// # Errors
/// Files that cannot be read or written or do not lie on one grid, labels that the task lacks, networks that fail or
/// are stopped.
pub fn refine(
    bundle: &Bundle,
    files: &RefineFiles<'_>,
    networks: &mut dyn Networks,
    progress: &mut Progress<'_>,
) -> Result<RefineReport> {
    // Before the networks run: an output that cannot be written would cost the whole computation.
    check_volume_output(files.out)?;
    files.uncertainty_out.map_or(Ok(()), check_volume_output)?;
    files.slices_out.map_or(Ok(()), |(path, _)| check_output(path))?;
    let (channels, origin) = read_channels(files.images, bundle.manifest.pet)?;
    check_dimensions(&origin, bundle.plan(Stage::Presegmentation))?;
    let scan = origin.geometry();
    let way = reorientation(&bundle.manifest, scan);
    let channels: Vec<Volume<f32>> = channels.into_iter().map(|channel| way.apply(channel)).collect();
    for grid in files.planes_grids {
        if let Err(difference) = grid.check_same_grid(scan) {
            bail!(
                "the slices were chosen on another scan: it {difference}. Use the slices.json that was made for this \
                 one"
            );
        }
    }
    let Corrected { corrections, planes, contradicted } = corrected(bundle, &origin, files.corrections)?;
    let (presegmentation, doubt) = match files.presegmentation {
        Some(path) => {
            let labels = read_on_grid("the presegmentation", path, &origin)?.named(&bundle.manifest.labels);
            let labels = labels.and_then(LabelFile::all);
            let labels = way.apply(labels.with_context(|| format!("the presegmentation {}", path.display()))?);
            let doubt = files.uncertainty.map(|file| read_uncertainty(file, &origin)).transpose()?;
            (labels, doubt.map(|doubt| way.apply(doubt)))
        }
        None => {
            let folds = networks.of(bundle, Stage::Presegmentation)?;
            let sampling = Sampling { methods: &[Method::default()], ..Sampling::default() };
            let plan = bundle.plan(Stage::Presegmentation);
            let go_on = &mut |_| std::ops::ControlFlow::Continue(());
            let made = presegment(folds, plan, &channels, &sampling, go_on)?;
            (made.labels, made.uncertainty.into_iter().next())
        }
    };
    let turned: Vec<Plane> = planes.iter().map(|plane| way.plane(*plane, scan)).collect();
    let corrections = way.apply(corrections);
    let foreground: Vec<Label> = bundle.manifest.labels.0.iter().map(|label| label.value).collect();
    let input = RefineInput {
        channels: &channels,
        presegmentation: &presegmentation,
        uncertainty: doubt.as_ref(),
        corrections: &corrections,
        planes: &turned,
        contradicted,
        foreground: &foreground,
        encoding: bundle.encoding(),
        blend_mm: files.blend_mm.unwrap_or(bundle.manifest.blend_mm),
    };
    let params = files.adapt.params(bundle);
    let begun = Instant::now();
    let elapsed_s = || begun.elapsed().as_secs_f64();
    let earlier = files.adapted_weights.map(read_weights).transpose()?;
    let adaptation =
        params.as_ref().map(|params| Adaptation { params, weights: earlier.as_deref(), elapsed_s: &elapsed_s });
    let folds = networks.of(bundle, Stage::Refinement)?;
    let refined = stages::refine(folds, bundle.plan(Stage::Refinement), &input, adaptation, progress)?;
    let (labels, uncertainty) = (way.inverse().apply(refined.labels), way.inverse().apply(refined.uncertainty));
    let cannot = |file: &Path| format!("cannot write {}", file.display());
    write_segmentation(files.out, &labels, &origin, &bundle.manifest.labels).with_context(|| cannot(files.out))?;
    if let Some(file) = files.uncertainty_out {
        write_f32(file, &uncertainty, &origin).with_context(|| cannot(file))?;
    }
    if let Some((file, params)) = files.slices_out {
        write_slices(file, &acquire(&uncertainty, &labels, params, &planes)?)?;
    }
    let (adaptation, weights) = refined.adapted.map_or((None, None), |adapted| (Some(adapted.report), adapted.weights));
    if let (Some(file), Some(weights)) = (files.adapted_weights_out, weights) {
        std::fs::write(file, weights).with_context(|| cannot(file))?;
    }
    Ok(RefineReport { adaptation, turned_channels: refined.turned, surprise: refined.surprise })
}

/// What the expert said, on the scan's grid.
struct Corrected {
    /// The corrected planes in their places; every label in them is one of the bundle's.
    corrections: Volume<Label>,
    planes: Vec<Plane>,
    /// See [`RefineInput::contradicted`]; of a file in which one plane was written over another nobody knows.
    contradicted: f64,
}

fn corrected(bundle: &Bundle, origin: &Origin, corrections: Corrections<'_>) -> Result<Corrected> {
    match corrections {
        Corrections::File(file, planes) => corrected_in_file(bundle, origin, file, planes),
        Corrections::Slices(slices) => {
            let scan = origin.geometry();
            let misfit = "a correction does not fit the scan or the bundle";
            let drawn = drawn_planes(scan, &bundle.manifest.labels, slices).context(misfit)?;
            Ok(Corrected {
                corrections: corrections_volume(scan, &drawn)?,
                planes: slices.iter().map(|slice| slice.plane).collect(),
                contradicted: consistency(scan, &drawn)?.contradicted_foreground(),
            })
        }
    }
}

fn corrected_in_file(bundle: &Bundle, origin: &Origin, file: &Path, planes: &[Plane]) -> Result<Corrected> {
    let labels = &bundle.manifest.labels;
    for plane in planes {
        origin.geometry().check_plane(*plane).context("slices.json does not fit the scan")?;
    }
    let read = read_on_grid("the corrections", file, origin)?;
    let volume = read.named(labels).and_then(|corrections| corrections.planes(planes));
    let corrections = volume.with_context(|| format!("the corrections {}", file.display()))?;
    for plane in planes {
        for label in corrections.read_plane(*plane)? {
            ensure!(
                labels.allows(label),
                "the correction of {plane} holds label {label}, which this task does not have"
            );
        }
    }
    Ok(Corrected { corrections, planes: planes.to_vec(), contradicted: 0.0 })
}

/// As [`check_output`]; refuses names that no reader would take for a volume.
fn check_volume_output(file: &Path) -> Result<()> {
    let [first @ .., last] = &VOLUME_ENDINGS;
    ensure!(is_volume_name(file), "{} does not end in {} or {last}", file.display(), first.join(", "));
    check_output(file)
}

/// Makes the folder of a file to be written.
fn check_output(file: &Path) -> Result<()> {
    ensure!(!file.is_dir(), "{} is a folder", file.display());
    let folder = file.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}

/// Labels from a file, on a scan's grid; `what` says in words what they are.
///
/// # Errors
/// [`crate::scan_io::ScanError`] with the file's name; labels that lie elsewhere, with the difference.
pub fn read_on_grid(what: &str, path: &Path, scan: &Origin) -> Result<LabelFile> {
    let labels = LabelFile::read_for(path, scan).with_context(|| format!("{what} {}", path.display()))?;
    labels.on(scan).map_err(|difference| {
        anyhow!(
            "{what} {} {difference}. Labels must lie on the scan's own grid; resample them, or copy the scan's header",
            path.display()
        )
    })
}

/// How unsure a presegmentation is, on the scan's grid.
fn read_uncertainty(from: Uncertainty<'_>, scan: &Origin) -> Result<Volume<f32>> {
    match from {
        Uncertainty::File(path) => {
            let found = read_scan(path).with_context(|| format!("the uncertainty {}", path.display()))?;
            found.origin.geometry().check_same_grid(scan.geometry()).map_err(|difference| {
                anyhow!(
                    "the uncertainty {} {difference}. Use the one that `presegment` wrote for this scan",
                    path.display()
                )
            })?;
            Ok(found.volume)
        }
        Uncertainty::Bytes(path) => {
            let cannot = || format!("cannot read the uncertainty {}", path.display());
            let bytes = std::fs::read(path).with_context(cannot)?;
            let voxels = bytes.into_iter().map(|byte| f32::from(byte) / 255.0).collect();
            Volume::new(scan.geometry().clone(), voxels).with_context(cannot)
        }
    }
}

/// What a network learned from the case before.
fn read_weights(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read the adapted weights {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expert_hears_of_a_surprise_that_no_steady_hand_gives() {
        let words = |surprise| RefineReport { turned_channels: Vec::new(), adaptation: None, surprise }.words();
        let check = |surprise: Option<f64>, expected: Option<&str>| {
            let words = words(surprise);
            assert_eq!(words.is_some(), expected.is_some(), "{surprise:?}: {words:?}");
            if let (Some(words), Some(expected)) = (words, expected) {
                assert!(words.contains(expected), "{words}");
            }
        };
        check(None, None);
        check(Some(1.0), None);
        check(Some(5.3), None);
        check(Some(7.26), Some("7.3 times as much as these expect"));
    }
}
