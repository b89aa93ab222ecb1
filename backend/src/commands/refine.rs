//! `i3deep refine`: a scan and corrected slices in, a better segmentation out.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use shared::geometry::Plane;

use super::progress::Meter;
use crate::inference::DeviceChoice;
use crate::tasks::{self, PRESEGMENTATION_FILE, RefineFiles, open_bundle, read_slices};

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
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads, checks, computes, writes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = open_bundle(&args.bundle)?;
    let list = read_slices(&args.slices)?;
    let planes: Vec<Plane> = list.slices.iter().map(|slice| slice.plane()).collect();
    let beside = args.slices.with_file_name(PRESEGMENTATION_FILE);
    let presegmentation = args.presegmentation.clone().or_else(|| beside.is_file().then_some(beside));
    let mut meter = Meter::new("refining");
    let request = RefineFiles {
        images: &args.image,
        corrections: &args.corrections,
        planes: &planes,
        planes_grid: Some(&list.geometry),
        presegmentation: presegmentation.as_deref(),
        out: &args.out,
    };
    tasks::refine(&bundle, &request, args.device, &mut |done| meter.show(done))?;
    if args.json {
        println!("{}", json!({ "out": args.out, "planes": planes }));
    } else {
        println!("refined with {} corrected slices: {}", planes.len(), args.out.display());
    }
    Ok(())
}
