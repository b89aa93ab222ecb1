//! `i3deep presegment`: a scan in; presegmentation, uncertainty and the slices worth correcting out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shared::acquisition::{AcquisitionParams, SliceList, Strategy};
use shared::volume::Volume;

use super::networks::{load_stage, open_bundle};
use super::progress::Meter;
use crate::inference::bundle::{Bundle, Stage};
use crate::inference::{DeviceChoice, Progress};
use crate::pipeline::acquire::acquire;
use crate::pipeline::presegment::presegment;
use crate::pipeline::uncertainty::Measure;
use crate::volume_io::{ScanHeader, read_nifti, write_f32, write_labels};

/// Arguments of `i3deep presegment`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The scan (NIfTI); once per channel, in the bundle's order.
    #[arg(long, value_name = "FILE", required = true)]
    image: Vec<PathBuf>,
    /// Folder to write: presegmentation.nii.gz, uncertainty.nii.gz, slices.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Share of the axial planes with presegmented foreground that may be spent, over all axes together; at least 3 planes. Default: the bundle's.
    #[arg(long)]
    budget: Option<f64>,
    /// How to choose slices; default: the bundle's.
    #[arg(long)]
    strategy: Option<Strategy>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print slices.json instead of words.
    #[arg(long)]
    json: bool,
}

/// Names of the files in the output folder.
pub(crate) const PRESEGMENTATION_FILE: &str = "presegmentation.nii.gz";
pub(crate) const UNCERTAINTY_FILE: &str = "uncertainty.nii.gz";
pub(crate) const SLICES_FILE: &str = "slices.json";

/// Reads, computes, writes, says what was found.
pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = open_bundle(&args.bundle)?;
    let mut params = default_params(&bundle);
    params.budget = args.budget.unwrap_or(params.budget);
    params.strategy = args.strategy.unwrap_or(params.strategy);
    ensure!((0.0..=1.0).contains(&params.budget), "--budget {}: a share between 0 and 1 is needed", params.budget);
    let mut meter = Meter::new("presegmenting");
    let list = execute(&bundle, &args.image, &args.out, &params, args.device, &mut |done| meter.show(done))?;
    if args.json {
        println!("{}", serde_json::to_string(&list)?);
        return Ok(());
    }
    println!("{} slices are worth correcting, see {}:", list.slices.len(), args.out.join(SLICES_FILE).display());
    for slice in &list.slices {
        println!("{:>3}. {}", slice.rank, slice.plane());
    }
    Ok(())
}

/// The bundle's defaults.
pub(crate) fn default_params(bundle: &Bundle) -> AcquisitionParams {
    AcquisitionParams {
        strategy: bundle.manifest.acquisition.strategy,
        budget: bundle.manifest.acquisition.budget,
        ..AcquisitionParams::default()
    }
}

/// The whole stage on files; what the server's worker runs too.
pub(crate) fn execute(
    bundle: &Bundle,
    images: &[PathBuf],
    out: &Path,
    params: &AcquisitionParams,
    device: DeviceChoice,
    progress: &mut Progress<'_>,
) -> Result<SliceList> {
    let (channels, header) = read_channels(images)?;
    let mut folds = load_stage(bundle, Stage::Presegmentation, device)?;
    let result = presegment(&mut folds, bundle.plan(Stage::Presegmentation), &channels, Measure::Entropy, progress)?;
    let list = acquire(&result.uncertainty, &result.labels, params, &[])?;
    fs::create_dir_all(out).with_context(|| format!("cannot create the folder {}", out.display()))?;
    let at = |name: &str| out.join(name);
    write_labels(&at(PRESEGMENTATION_FILE), &result.labels, &header).with_context(|| format!("cannot write {PRESEGMENTATION_FILE}"))?;
    write_f32(&at(UNCERTAINTY_FILE), &result.uncertainty, &header).with_context(|| format!("cannot write {UNCERTAINTY_FILE}"))?;
    fs::write(at(SLICES_FILE), serde_json::to_string_pretty(&list)? + "\n").with_context(|| format!("cannot write {SLICES_FILE}"))?;
    Ok(list)
}

/// All channels and the header of the first, which outputs are written with.
pub(crate) fn read_channels(images: &[PathBuf]) -> Result<(Vec<Volume<f32>>, ScanHeader)> {
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
