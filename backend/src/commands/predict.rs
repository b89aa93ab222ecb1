//! `i3deep predict`: plain nnU-Net prediction with a network folder; files are named as `nnUNetv2_predict` names them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::progress::Meter;
use crate::inference::DeviceChoice;
use crate::inference::bundle::TORCH_VERSION;
use crate::inference::plans::Plan;
use crate::pipeline::preprocess::preprocess;
use crate::pipeline::{export, refine};
use crate::tasks::{load_folds, read_channels};
use crate::volume_io::write_labels;

/// Arguments of `i3deep predict`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Network folder made by `i3deep-models export`.
    #[arg(short = 'm', long, value_name = "DIR")]
    network: PathBuf,
    /// Folder of images: CASE_0000.nii.gz, CASE_0001.nii.gz, …
    #[arg(short = 'i', value_name = "DIR")]
    input: PathBuf,
    /// Folder for segmentations: CASE.nii.gz.
    #[arg(short = 'o', value_name = "DIR")]
    output: PathBuf,
    /// Leave out cases whose segmentation is there already.
    #[arg(long = "continue_prediction")]
    continue_prediction: bool,
    /// No mirroring.
    #[arg(long = "disable_tta")]
    disable_tta: bool,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

/// Predicts every case of the folder.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut plan = Plan::read(&args.network)?;
    let torch = &plan.manifest.torch_version;
    ensure!(torch == TORCH_VERSION, "the network was exported with torch {torch}, this program runs {TORCH_VERSION}; export it again");
    ensure!(plan.labels.regions_class_order.is_none(), "networks with overlapping regions are not supported yet");
    if args.disable_tta {
        plan.manifest.mirror_axes = None;
    }
    let cases = cases(&args.input, &plan.file_ending)?;
    ensure!(!cases.is_empty(), "{} holds no images named CASE_0000{}", args.input.display(), plan.file_ending);
    fs::create_dir_all(&args.output).with_context(|| format!("cannot create the folder {}", args.output.display()))?;
    let mut folds = load_folds(&args.network, &plan, args.device)?;
    for (number, (case, images)) in cases.iter().enumerate() {
        let out = args.output.join(format!("{case}{}", plan.file_ending));
        if args.continue_prediction && out.is_file() {
            continue;
        }
        eprintln!("case {} of {}", number + 1, cases.len());
        let mut meter = Meter::new("predicting");
        let (channels, header) = read_channels(images)?;
        let prepared = preprocess(&channels, &plan)?;
        let logits = refine::mean_logits(&mut folds, &plan, &prepared.data, &mut |done| meter.show(done))?;
        let labels = export::labels(logits.view(), &prepared.frame, &plan, channels[0].geometry())?;
        write_labels(&out, &labels, &header).with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

/// Cases by name with their channels in order: `CASE_0000`, `CASE_0001`, …
fn cases(folder: &Path, ending: &str) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut cases: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((case, number)) = name.strip_suffix(ending).and_then(|stem| stem.rsplit_once('_'))
            && number.len() == 4
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            cases.entry(case.to_owned()).or_default().push(path);
        }
    }
    for images in cases.values_mut() {
        images.sort();
    }
    Ok(cases)
}
