//! `i3deep refine`: a scan and corrected slices in, a better segmentation out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shared::acquisition::SliceList;
use shared::geometry::{Geometry, Plane};
use shared::label::Label;
use shared::volume::Volume;

use super::networks::{load_stage, open_bundle};
use super::presegment::{PRESEGMENTATION_FILE, read_channels};
use super::progress::Meter;
use crate::inference::bundle::{Bundle, Stage};
use crate::inference::{DeviceChoice, Progress};
use crate::pipeline::presegment::presegment;
use crate::pipeline::refine::{RefineInput, refine};
use crate::pipeline::uncertainty::Measure;
use crate::volume_io::{read_labels, write_labels};

/// Arguments of `i3deep refine`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The scan (NIfTI); once per channel, in the bundle's order.
    #[arg(long, value_name = "FILE", required = true)]
    image: Vec<PathBuf>,
    /// Labels (NIfTI) that are right in the listed planes, background included; everything else in it is ignored.
    #[arg(long, value_name = "FILE")]
    corrections: PathBuf,
    /// The planes that were corrected: the slices.json of `presegment`, cut down if not all were done.
    #[arg(long, value_name = "FILE")]
    slices: PathBuf,
    /// The presegmentation. Default: presegmentation.nii.gz beside slices.json; if that is absent it is computed.
    #[arg(long, value_name = "FILE")]
    presegmentation: Option<PathBuf>,
    /// Where to write the refined segmentation.
    #[arg(long, value_name = "FILE.nii.gz")]
    out: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// How far an affine entry may be off, in millimetres: header rounding.
const TOLERANCE_MM: f64 = 1e-3;

/// Reads, checks, computes, writes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = open_bundle(&args.bundle)?;
    let text = fs::read_to_string(&args.slices).with_context(|| format!("cannot read {}", args.slices.display()))?;
    let list: SliceList = serde_json::from_str(&text).with_context(|| format!("{} is not a slices.json", args.slices.display()))?;
    let planes: Vec<Plane> = list.slices.iter().map(|slice| slice.plane()).collect();
    let beside = args.slices.with_file_name(PRESEGMENTATION_FILE);
    let presegmentation = args.presegmentation.clone().or_else(|| beside.is_file().then_some(beside));
    let mut meter = Meter::new("refining");
    let request = RefineFiles {
        images: &args.image,
        corrections: &args.corrections,
        planes: &planes,
        presegmentation: presegmentation.as_deref(),
        out: &args.out,
    };
    execute(&bundle, &request, args.device, &mut |done| meter.show(done))?;
    println!("refined with {} corrected slices: {}", planes.len(), args.out.display());
    Ok(())
}

/// What refinement reads and writes.
pub(crate) struct RefineFiles<'a> {
    /// Channels in order.
    pub(crate) images: &'a [PathBuf],
    /// Labels that are right in `planes`.
    pub(crate) corrections: &'a Path,
    /// Planes that the expert vouches for.
    pub(crate) planes: &'a [Plane],
    /// Computed if absent.
    pub(crate) presegmentation: Option<&'a Path>,
    /// The result.
    pub(crate) out: &'a Path,
}

/// The whole stage on files; what the server's worker runs too.
pub(crate) fn execute(bundle: &Bundle, files: &RefineFiles<'_>, device: DeviceChoice, progress: &mut Progress<'_>) -> Result<()> {
    let (channels, header) = read_channels(files.images)?;
    let scan = channels[0].geometry();
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
    let refined = refine(&mut folds, bundle.plan(Stage::Refinement), &input, progress)?;
    write_labels(files.out, &refined, &header).with_context(|| format!("cannot write {}", files.out.display()))
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
