//! `i3deep predict`: `nnUNetv2_predict_from_modelfolder` with a network folder; the same options, the same files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::progress::Meter;
use crate::inference::DeviceChoice;
use crate::inference::plans::Plan;
use crate::pipeline::predict::Options;
use crate::tasks::{Accumulate, Case, PredictOptions, Predictor};

/// Arguments of `i3deep predict`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of images: CASE_0000.nii.gz, CASE_0001.nii.gz, …
    #[arg(short = 'i', value_name = "DIR")]
    input: PathBuf,
    /// Folder for segmentations: CASE.nii.gz. Created if absent.
    #[arg(short = 'o', value_name = "DIR")]
    output: PathBuf,
    /// Network folder made by `i3deep-models export`.
    #[arg(short = 'm', long, value_name = "DIR")]
    network: PathBuf,
    /// Folds; default: all that were exported.
    #[arg(short = 'f', value_name = "FOLD", num_args = 1..)]
    folds: Vec<String>,
    /// Distance of neighbouring patches as a share of the patch, more than 0 and at most 1. Larger is faster and less accurate.
    #[arg(long = "step_size", value_name = "SHARE", default_value_t = 0.5)]
    step_size: f64,
    /// No mirroring: faster, less accurate.
    #[arg(long = "disable_tta")]
    disable_tta: bool,
    /// Write probabilities too: CASE.npz and CASE.pkl, as nnUNetv2_ensemble reads them.
    #[arg(long = "save_probabilities")]
    save_probabilities: bool,
    /// Leave out cases whose results are there already.
    #[arg(long = "continue_prediction", alias = "c")]
    continue_prediction: bool,
    /// Segmentations of the previous stage: CASE.nii.gz. A cascade needs them.
    #[arg(long = "prev_stage_predictions", value_name = "DIR")]
    previous: Option<PathBuf>,
    /// How many predict commands share the work.
    #[arg(long = "num_parts", value_name = "N", default_value_t = 1)]
    num_parts: usize,
    /// Which of them this is, counted from 0.
    #[arg(long = "part_id", value_name = "N", default_value_t = 0)]
    part_id: usize,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// `exact`: nnU-Net's own labels, voxel by voxel. `fast`: patches two by two, which differs in a last bit here and there. Default: exact on a CPU.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Where logits are gathered: on the device, in the host's memory, or (auto) in `fast` mode on a CUDA device that has the memory.
    #[arg(long, value_enum, default_value_t, hide = true)]
    accumulate: Accumulate,
    /// nnU-Net's postprocessing.json, to be applied to the segmentations.
    #[arg(long, value_name = "FILE")]
    postprocessing: Option<PathBuf>,
    /// Threads; default: one per processor.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Show no progress.
    #[arg(long = "disable_progress_bar")]
    disable_progress_bar: bool,
    /// The checkpoint that must have been exported.
    #[arg(long = "chk", value_name = "NAME")]
    checkpoint: Option<String>,
    /// Write CASE.logits.npy, on the network's grid.
    #[arg(long = "save_logits", hide = true)]
    save_logits: bool,
    /// nnU-Net's number of preprocessing processes; there is one process here, whose threads do that.
    #[arg(long = "npp", hide = true, default_value_t = 3)]
    npp: usize,
    /// nnU-Net's number of export processes.
    #[arg(long = "nps", hide = true, default_value_t = 3)]
    nps: usize,
    /// Say how long each stage took.
    #[arg(long)]
    verbose: bool,
}

/// How faithful to nnU-Net.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Precision {
    /// The same voxels.
    #[default]
    Exact,
    /// The same to a handful of voxels, sooner.
    Fast,
}

/// nnU-Net's long options with one dash, as clap reads them: with two.
pub(crate) fn with_two_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    const OPTIONS: [&str; 8] = ["step_size", "prev_stage_predictions", "num_parts", "part_id", "device", "chk", "npp", "nps"];
    let mut all: Vec<OsString> = arguments.into_iter().collect();
    if all.get(1).is_none_or(|command| command != "predict") {
        return all;
    }
    for argument in all.iter_mut().skip(2) {
        let text = argument.to_string_lossy();
        let name = text.strip_prefix('-').map(|name| name.split_once('=').map_or(name, |(name, _)| name));
        if name.is_some_and(|name| OPTIONS.contains(&name)) {
            *argument = format!("-{text}").into();
        }
    }
    all
}

/// Predicts every case of the folder.
pub(crate) fn run(args: &Args) -> Result<()> {
    check(args)?;
    if let Some(threads) = args.threads {
        crate::inference::torch::set_threads(threads);
        // Fails only where threads are at work already, which here they are not.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let options = options(args);
    let plan = Predictor::plan(&args.network, &options)?;
    check_plan(args, &plan)?;
    let cases = cases(&args.input, &plan.file_ending)?;
    ensure!(!cases.is_empty(), "{} holds no images named CASE_0000{}", args.input.display(), plan.file_ending);
    check_channels(&cases, &plan)?;
    fs::create_dir_all(&args.output).with_context(|| format!("cannot create the folder {}", args.output.display()))?;
    write_records(args)?;
    let ending = plan.file_ending.clone();
    let mine: Vec<(String, Vec<PathBuf>)> = cases.into_iter().skip(args.part_id).step_by(args.num_parts).collect();
    let todo: Vec<(String, Vec<PathBuf>)> = mine.into_iter().filter(|(case, _)| !is_done(args, case, &ending)).collect();
    if todo.is_empty() {
        return Ok(());
    }
    let cases: Vec<Case> = todo.into_iter().map(|(name, images)| case(args, name, images, &ending)).collect();
    let predictor = Predictor::new(&args.network, plan, options)?;
    let mut meter: Option<Meter> = None;
    predictor.cases(&cases, &mut |number, done| {
        if args.disable_progress_bar {
            return ControlFlow::Continue(());
        }
        if done == 0.0 {
            eprintln!("case {} of {}: {}", number + 1, cases.len(), cases[number].name);
            meter = None;
        }
        meter.get_or_insert_with(|| Meter::new("predicting")).show(done)
    })
}

fn case(args: &Args, name: String, images: Vec<PathBuf>, ending: &str) -> Case {
    let previous = args.previous.as_ref().map(|folder| folder.join(format!("{name}{ending}")));
    Case { stem: args.output.join(&name), name, images, previous }
}

fn options(args: &Args) -> PredictOptions {
    let walk = match args.precision {
        Precision::Exact => Options::EXACT,
        Precision::Fast => Options::FAST,
    };
    // Whoever allows one thread does not want two forwards.
    let at_once = if args.threads == Some(1) { 1 } else { walk.at_once };
    PredictOptions {
        folds: args.folds.clone(),
        walk: Options { step: args.step_size, at_once, ..walk },
        mirror: !args.disable_tta,
        save_probabilities: args.save_probabilities,
        save_logits: args.save_logits,
        postprocessing: args.postprocessing.clone(),
        device: args.device,
        accumulate: args.accumulate,
        verbose: args.verbose,
    }
}

fn check(args: &Args) -> Result<()> {
    ensure!(args.step_size > 0.0 && args.step_size <= 1.0, "-step_size {}: more than 0 and at most 1 is needed", args.step_size);
    ensure!(args.part_id < args.num_parts, "-part_id {}: parts are counted from 0 to {}", args.part_id, args.num_parts.saturating_sub(1));
    Ok(())
}

fn check_plan(args: &Args, plan: &Plan) -> Result<()> {
    if let (Some(stage), None) = (&plan.previous_stage, &args.previous) {
        anyhow::bail!("the network is the second stage of a cascade; give the segmentations of {stage} with -prev_stage_predictions DIR");
    }
    if let (Some(wanted), exported) = (&args.checkpoint, &plan.manifest.checkpoint) {
        ensure!(
            wanted == exported,
            "the network was exported from {exported}, not from {wanted}; export it again with --checkpoint {wanted}"
        );
    }
    Ok(())
}

fn check_channels(cases: &BTreeMap<String, Vec<PathBuf>>, plan: &Plan) -> Result<()> {
    let wanted = plan.normalization.len();
    for (case, images) in cases {
        ensure!(
            images.len() == wanted,
            "case {case} has {} image(s), the network takes {wanted}: {}",
            images.len(),
            (0..wanted).map(|channel| format!("{case}_{channel:04}{}", plan.file_ending)).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

fn is_done(args: &Args, case: &str, ending: &str) -> bool {
    let there = |ending: &str| args.output.join(format!("{case}{ending}")).is_file();
    args.continue_prediction && there(ending) && (!args.save_probabilities || there(".npz"))
}

/// What nnU-Net writes beside its results.
fn write_records(args: &Args) -> Result<()> {
    for name in ["dataset.json", "plans.json"] {
        let to = args.output.join(name);
        fs::copy(args.network.join(name), &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    let record = json!({
        "list_of_lists_or_source_folder": args.input,
        "output_folder_or_list_of_truncated_output_files": args.output,
        "save_probabilities": args.save_probabilities,
        "overwrite": !args.continue_prediction,
        "num_processes_preprocessing": args.npp,
        "num_processes_segmentation_export": args.nps,
        "folder_with_segs_from_prev_stage": args.previous,
        "num_parts": args.num_parts,
        "part_id": args.part_id,
    });
    let to = args.output.join("predict_from_raw_data_args.json");
    fs::write(&to, serde_json::to_string_pretty(&record)? + "\n").with_context(|| format!("cannot write {}", to.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nnunets_options_may_have_one_dash() {
        fn check(line: &str, expected: &str) {
            let got = with_two_dashes(line.split(' ').map(OsString::from));
            assert_eq!(got, expected.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
        check("i3deep predict -i a -o b -step_size 0.7 -device cpu", "i3deep predict -i a -o b --step_size 0.7 --device cpu");
        check("i3deep predict -step_size=0.7 --device cpu -f 0 1", "i3deep predict --step_size=0.7 --device cpu -f 0 1");
        check("i3deep predict -num_parts 2 -part_id 1 -chk x", "i3deep predict --num_parts 2 --part_id 1 --chk x");
        check("i3deep refine -device cpu", "i3deep refine -device cpu");
    }

    #[test]
    fn cases_have_their_channels_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b_0000.nii.gz", "a_x_0001.nii.gz", "a_x_0000.nii.gz", "notes.txt", "c_00.nii.gz", "d_0000.nii"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = cases(folder.path(), ".nii.gz").unwrap();
        let names: Vec<(String, Vec<String>)> = found
            .into_iter()
            .map(|(case, images)| (case, images.iter().map(|i| i.file_name().unwrap().to_string_lossy().into_owned()).collect()))
            .collect();
        let expected = [("a_x", vec!["a_x_0000.nii.gz", "a_x_0001.nii.gz"]), ("b", vec!["b_0000.nii.gz"])];
        assert_eq!(names, expected.map(|(case, images)| (case.to_owned(), images.iter().map(|i| (*i).to_owned()).collect())));
    }
}
