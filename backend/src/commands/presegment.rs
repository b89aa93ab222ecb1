//! `i3deep presegment`: a scan in; presegmentation, uncertainty and the slices worth correcting out.

use std::path::PathBuf;

use anyhow::Result;
use shared::acquisition::Strategy;

use super::outputs::{Files, shown};
use super::parse_share;
use super::progress::Meter;
use crate::bundle::method::MethodText;
use crate::inference::DeviceChoice;
use crate::tasks::{
    self, OpenedNetworks, PRESEGMENTATION_FILE, PresegmentOptions, SLICES_FILE, UNCERTAINTY_FILE, open_bundle,
};

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
    /// Share of the axial planes with presegmented foreground that may be spent, over all axes together; at least 3
    /// planes. Default: the bundle's.
    #[arg(long, value_parser = parse_share)]
    budget: Option<f64>,
    /// How to choose slices; default: the bundle's.
    #[arg(long)]
    strategy: Option<Strategy>,
    /// How uncertainty is found; default: the bundle's. SAMPLES: folds, mirrors, dropout:N, joined by +, or single.
    /// MEASURE: entropy, variance, mutual-information, bhattacharyya or confidence. A measure alone keeps the bundle's
    /// samples.
    #[arg(long, value_name = "SAMPLES/MEASURE")]
    uncertainty: Option<MethodText>,
    /// Dice that each label usually gets, in the bundle's order: uncertainty is found label by label, and the worse
    /// ones count more.
    #[arg(long, value_name = "DICE,…", value_delimiter = ',')]
    class_dice: Option<Vec<f32>>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print slices.json instead of words.
    #[arg(long)]
    json: bool,
}

/// Reads, computes, writes, says what was found.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut files = Files::default();
    files.reads_folder("the bundle", &args.bundle);
    files.reads_scans("the scan", &args.image);
    for name in [PRESEGMENTATION_FILE, UNCERTAINTY_FILE, SLICES_FILE] {
        files.writes("the result", &args.out.join(name));
    }
    files.check()?;
    let bundle = open_bundle(&args.bundle)?;
    let mut options = PresegmentOptions::of(&bundle, |words| eprintln!("warning: {words}"));
    options.acquisition.budget = args.budget.unwrap_or(options.acquisition.budget);
    options.acquisition.strategy = args.strategy.unwrap_or(options.acquisition.strategy);
    if let Some(text) = args.uncertainty {
        options.uncertainty = text.or(bundle.manifest.uncertainty.samples);
    }
    options.class_dice.clone_from(&args.class_dice);
    let mut meter = Meter::new("presegmenting");
    let mut networks = OpenedNetworks::on(args.device);
    let list =
        tasks::presegment(&bundle, &args.image, &args.out, &options, &mut networks, &mut |done| meter.show(done))?;
    if args.json {
        println!("{}", serde_json::to_string(&list)?);
        return Ok(());
    }
    println!("{} slices are worth correcting, see {}:", list.slices.len(), shown(&args.out.join(SLICES_FILE)));
    for slice in &list.slices {
        println!("{:>3}. {}", slice.rank, slice.plane());
    }
    Ok(())
}
