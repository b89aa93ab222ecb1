//! `i3deep refine`: a scan and corrected slices in, a better segmentation out.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use shared::acquisition::{RankedSlice, SliceList};
use shared::geometry::{Geometry, Plane};

use super::outputs::{Files, shown};
use super::progress::Meter;
use super::{parse_distance, parse_share};
use crate::inference::DeviceChoice;
use crate::tasks::{
    self, Adapt, Corrections, OpenedNetworks, PRESEGMENTATION_FILE, RefineFiles, UNCERTAINTY_FILE, Uncertainty,
    open_bundle, read_slices,
};

/// Arguments of `i3deep refine`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The scan (NIfTI, NRRD, MetaImage, or the folder of a DICOM series); once per channel, in the bundle's order.
    #[arg(long, value_name = "FILE", required = true)]
    image: Vec<PathBuf>,
    /// Labels that are right in the listed planes, background included; everything else in them is ignored. A volume in
    /// any of the scans' formats, .seg.nrrd of 3D Slicer, or a DICOM SEG; segments go by their names.
    #[arg(long, value_name = "FILE")]
    corrections: PathBuf,
    /// The planes that were corrected: the slices.json of `presegment`, cut down if not all were done. Once per round,
    /// the first round's first.
    #[arg(long, value_name = "FILE", required = true)]
    slices: Vec<PathBuf>,
    /// The presegmentation. Default: presegmentation.nii.gz beside the first slices.json; if that is absent it is
    /// computed.
    #[arg(long, value_name = "FILE")]
    presegmentation: Option<PathBuf>,
    /// How unsure the presegmentation is: the entropy that `presegment` writes unless it is asked for another measure.
    /// Default: uncertainty.nii.gz beside the first slices.json, if that says it is an entropy and no other
    /// presegmentation is named. Where the corrected slices waver, a presegmentation counts as far as it is sure;
    /// without this file, everywhere alike.
    #[arg(long, value_name = "FILE", requires = "presegmentation")]
    uncertainty: Option<PathBuf>,
    /// Where to write the refined segmentation: .nii.gz, .nii, .seg.nrrd, .nrrd or .mha.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Within this distance of a corrected plane, in mm, the labels pass over to the correction where the network was
    /// wrong in that plane. 0: not at all. Default: the bundle's.
    #[arg(long, value_name = "MM", value_parser = parse_distance)]
    blend_mm: Option<f64>,
    /// Whether the network that refines first learns from the corrected slices: off, auto (as the bundle says; one
    /// without a refinement network does) or for how many seconds at most. It goes back to what it was where slices
    /// that it did not learn from get no better.
    #[arg(long, value_name = "SECONDS|off|auto", default_value_t)]
    adapt: Adapt,
    /// What the network learned from this case in an earlier round (safetensors), to go on from; never of another case.
    #[arg(long, value_name = "FILE")]
    adapted_weights: Option<PathBuf>,
    /// Where to write what the network has learned from this case.
    #[arg(long, value_name = "FILE")]
    adapted_weights_out: Option<PathBuf>,
    /// Where to write how uncertain the refinement is, 0 to 1; 0 in corrected planes.
    #[arg(long, value_name = "FILE.nii.gz")]
    uncertainty_out: Option<PathBuf>,
    /// Where to write the slices that another round would correct; none that is corrected already.
    #[arg(long, value_name = "FILE.json")]
    slices_out: Option<PathBuf>,
    /// Budget of those slices, as a share of the axial planes with foreground. Default: that of the slices just
    /// corrected.
    #[arg(long, value_parser = parse_share, requires = "slices_out")]
    budget: Option<f64>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads, checks, computes, writes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let beside = |name: &str| args.slices.first().map(|file| file.with_file_name(name)).filter(|file| file.is_file());
    let (presegmentation, uncertainty) = match &args.presegmentation {
        Some(presegmentation) => (Some(presegmentation.clone()), args.uncertainty.clone()),
        None => (beside(PRESEGMENTATION_FILE), beside(UNCERTAINTY_FILE)),
    };
    check_files(args, presegmentation.as_deref(), uncertainty.as_deref())?;
    let bundle = open_bundle(&args.bundle)?;
    let lists = args.slices.iter().map(|file| read_slices(file)).collect::<Result<Vec<SliceList>>>()?;
    let is_entropy = args.uncertainty.is_some() || lists.first().is_some_and(|list| list.entropy == Some(true));
    let uncertainty = uncertainty.filter(|_| is_entropy);
    let planes: Vec<Plane> = lists.iter().flat_map(|list| &list.slices).map(RankedSlice::plane).collect();
    let grids: Vec<Geometry> = lists.iter().map(|list| list.geometry.clone()).collect();
    let mut params = lists.last().map(|list| list.params.clone()).unwrap_or_default();
    params.budget = args.budget.unwrap_or(params.budget);
    let mut meter = Meter::new("refining");
    let request = RefineFiles {
        images: &args.image,
        corrections: Corrections::File(&args.corrections, &planes),
        planes_grids: &grids,
        presegmentation: presegmentation.as_deref(),
        uncertainty: uncertainty.as_deref().map(Uncertainty::File),
        blend_mm: args.blend_mm,
        adapt: args.adapt,
        adapted_weights: args.adapted_weights.as_deref(),
        adapted_weights_out: args.adapted_weights_out.as_deref(),
        out: &args.out,
        uncertainty_out: args.uncertainty_out.as_deref(),
        slices_out: args.slices_out.as_deref().map(|file| (file, &params)),
    };
    let report = tasks::refine(&bundle, &request, &mut OpenedNetworks::on(args.device), &mut |done| meter.show(done))?;
    if args.json {
        let tasks::RefineReport { adaptation, turned_channels, surprise } = report;
        let out = args.out.to_string_lossy();
        let did = json!({
            "out": out, "planes": planes, "adaptation": adaptation, "turned_channels": turned_channels,
            "surprise": surprise,
        });
        println!("{did}");
    } else {
        println!("refined with {} corrected slices: {}", planes.len(), shown(&args.out));
        if let Some(words) = report.words() {
            println!("{words}");
        }
    }
    Ok(())
}

/// Refuses to write over what is read, or one result over another.
fn check_files(args: &Args, presegmentation: Option<&Path>, uncertainty: Option<&Path>) -> Result<()> {
    let mut files = Files::default();
    files.reads_folder("the bundle", &args.bundle);
    files.reads_scans("the scan", &args.image);
    files.reads_scan("the corrections", &args.corrections);
    args.slices.iter().for_each(|list| files.reads("the slices", list));
    presegmentation.into_iter().for_each(|labels| files.reads_scan("the presegmentation", labels));
    uncertainty.into_iter().for_each(|doubt| files.reads_scan("the uncertainty", doubt));
    args.adapted_weights.iter().for_each(|file| files.reads("the adapted weights", file));
    files.writes("--out", &args.out);
    args.uncertainty_out.iter().for_each(|file| files.writes("--uncertainty-out", file));
    args.slices_out.iter().for_each(|file| files.writes("--slices-out", file));
    args.adapted_weights_out.iter().for_each(|file| files.writes("--adapted-weights-out", file));
    files.check()
}
