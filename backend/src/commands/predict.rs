//! `i3deep predict`: `nnUNetv2_predict_from_modelfolder` with a network folder; the same options, the same files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValue;
use serde_json::json;

use super::outputs::{Files, shown, with_ending, wrong};
use super::progress::Meter;
use super::words;
use crate::bundle::plans::{Choice, Plan};
use crate::bundle::results::find;
use crate::inference::DeviceChoice;
use crate::inference::engine::{Arithmetic, computes_bfloat16};
use crate::pipeline::predict::Options;
use crate::scan_io::{Intensities, series_files, whole};
use crate::tasks::{Accumulate, Case, CaseFailure, PredictOptions, Predictor, ensemble};

/// What nnU-Net writes beside its results.
const RECORDS: [&str; 3] = ["dataset.json", "plans.json", "predict_from_raw_data_args.json"];

impl clap::ValueEnum for Accumulate {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Device, Self::Host]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => (
                "auto",
                "On a CUDA device where it has the memory and only labels are wanted, else in the host's memory",
            ),
            Self::Device => ("device", "Where the networks are, or not at all; also on a CPU, where it saves nothing"),
            Self::Host => ("host", "In the host's memory"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// Arguments of `i3deep predict`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of images: CASE_0000.nii.gz, CASE_0001.nii.gz, …
    #[arg(short = 'i', value_name = "DIR")]
    input: PathBuf,
    /// Folder for segmentations: CASE.nii.gz. Created if absent.
    #[arg(short = 'o', value_name = "DIR")]
    output: PathBuf,
    /// Folder that nnU-Net trained (TRAINER__PLANS__CONFIGURATION, as it lies), or one made by `i3deep-models export`.
    /// Several are an ensemble: the mean of their probabilities decides.
    #[arg(
        short = 'm', long, value_name = "DIR", num_args = 1..,
        required_unless_present = "dataset", conflicts_with_all = ["dataset", "configurations"]
    )]
    network: Vec<PathBuf>,
    /// In place of -m: dataset in the folder nnUNet_results (an environment variable), by number or name.
    #[arg(short = 'd', value_name = "DATASET", requires = "configurations")]
    dataset: Option<String>,
    /// Configurations, such as 2d or 3d_fullres; several are an ensemble.
    #[arg(short = 'c', value_name = "CONFIGURATION", num_args = 1.., requires = "dataset")]
    configurations: Vec<String>,
    /// Trainer.
    #[arg(long = "tr", value_name = "TRAINER", default_value = "nnUNetTrainer")]
    trainer: String,
    /// Plans.
    #[arg(short = 'p', value_name = "PLANS", default_value = "nnUNetPlans")]
    plans: String,
    /// Folds, such as 0 1 2 or all; default: all numbered ones that are there.
    #[arg(short = 'f', value_name = "FOLD", num_args = 1..)]
    folds: Vec<String>,
    /// Distance of neighbouring patches as a share of the patch, more than 0 and at most 1. Larger is faster and less
    /// accurate.
    #[arg(long = "step_size", value_name = "SHARE", default_value_t = 0.5)]
    step_size: f64,
    /// No mirroring: faster, less accurate.
    #[arg(long = "disable_tta")]
    disable_tta: bool,
    /// Turn DICOM series of PET into standardised uptake by body weight (SUVbw), decay counted from the injection; one
    /// that lacks an attribute for it is refused by the attribute's name.
    #[arg(long)]
    pet_suv: bool,
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
    /// `exact`: nnU-Net's own labels, voxel by voxel. `fast`: patches two by two, and nnU-Net's own weights in bfloat16
    /// on processors that have it: then voxels at borders may change their label.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Where logits are gathered: on the device, in the host's memory, or (auto) in `fast` mode on a CUDA device that
    /// has the memory.
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
    /// Checkpoint, such as checkpoint_best.pth; default: checkpoint_final.pth.
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
    /// The same but for voxels at borders, sooner.
    Fast,
}

/// nnU-Net's long options with one dash, as clap reads them: with two.
pub(crate) fn with_two_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    const OPTIONS: [&str; 9] =
        ["step_size", "prev_stage_predictions", "num_parts", "part_id", "device", "chk", "tr", "npp", "nps"];
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
        crate::inference::engine::set_threads(threads);
        // Fails only where threads are at work already, which here they are not.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let networks = networks(args)?;
    if let [network] = &networks[..] {
        let Predicted { failures, of, .. } =
            Run { args, network, output: &args.output, in_ensemble: false }.predict()?;
        return words::none_failed(&failures, of);
    }
    // A run that was stopped leaves its probabilities, which are large; the next one into the same folder removes them.
    let parts = args.output.join(".ensemble");
    check_ensemble(args, &networks, &parts)?;
    let outcome = predict_ensemble(args, &networks, &parts);
    match fs::remove_dir_all(&parts) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            eprintln!("warning: {} could not be removed: {error}", shown(&parts))
        }
        _ => {}
    }
    outcome
}

/// The folders of the networks, as they were named.
fn networks(args: &Args) -> Result<Vec<PathBuf>> {
    let Some(dataset) = &args.dataset else { return Ok(args.network.clone()) };
    let results = std::env::var_os("nnUNet_results").context(
        "-d looks into the folder nnUNet_results, which the environment does not name; set it, or give the network's \
         own folder with -m",
    )?;
    let find =
        |configuration: &String| Ok(find(Path::new(&results), dataset, [&args.trainer, &args.plans, configuration])?);
    args.configurations.iter().map(find).collect()
}

/// Refuses what the ensemble would write over, before its first network computes.
fn check_ensemble(args: &Args, networks: &[PathBuf], parts: &Path) -> Result<()> {
    let mut files = Files::default();
    files.empties("the folder of the networks' probabilities", parts);
    let mut written = None;
    for network in networks {
        let run = Run { args, network, output: &args.output, in_ensemble: false };
        let plan = Predictor::plan(network, &run.options())?;
        check_plan(args, &plan)?;
        let cases = run.cases(&plan)?;
        run.reads(&mut files, &cases);
        written.get_or_insert((run, cases, plan.file_ending));
    }
    if let Some((run, cases, ending)) = written {
        run.writes(&mut files, &cases, &ending);
    }
    files.check()
}

/// Every network's probabilities, then the mean of each case's.
fn predict_ensemble(args: &Args, networks: &[PathBuf], parts: &Path) -> Result<()> {
    let folders: Vec<PathBuf> = (0..networks.len()).map(|number| parts.join(number.to_string())).collect();
    let mut first: Option<Predicted> = None;
    let mut failures: Vec<CaseFailure> = Vec::new();
    for (network, output) in networks.iter().zip(&folders) {
        let mut predicted = Run { args, network, output, in_ensemble: true }.predict()?;
        failures.append(&mut predicted.failures);
        if let Some(first) = &first {
            ensure!(
                first.plan.labels == predicted.plan.labels,
                "{} predicts other labels than {}",
                shown(network),
                shown(&networks[0])
            );
        }
        first.get_or_insert(predicted);
    }
    let Some(Predicted { plan, cases, of, .. }) = first else { return Ok(()) };
    failures.sort_by(|a, b| a.name.cmp(&b.name));
    failures.dedup_by(|a, b| a.name == b.name);
    write_records(args, &networks[0], &args.output)?;
    for case in &cases {
        if failures.iter().any(|failure| failure.name == case.name) {
            continue;
        }
        let name = case.stem.file_name().unwrap_or_default();
        let archives: Vec<PathBuf> = folders.iter().map(|folder| folder.join(with_ending(name, ".npz"))).collect();
        if let Err(error) =
            ensemble(&archives, &case.images[0], &plan, args.postprocessing.as_deref(), &args.output.join(name))
        {
            failures.push(CaseFailure { name: case.name.clone(), error });
        }
    }
    words::none_failed(&failures, of)
}

/// One network's predictions of all cases.
struct Run<'a> {
    args: &'a Args,
    network: &'a Path,
    output: &'a Path,
    /// Whether they are on their way into an ensemble.
    in_ensemble: bool,
}

/// What came of them.
struct Predicted {
    plan: Plan,
    /// Those that there was something to do for.
    cases: Vec<Case>,
    failures: Vec<CaseFailure>,
    /// How many cases there are.
    of: usize,
}

impl Run<'_> {
    fn predict(&self) -> Result<Predicted> {
        let args = self.args;
        let options = self.options();
        let plan = Predictor::plan(self.network, &options)?;
        check_plan(args, &plan)?;
        let mine = self.cases(&plan)?;
        let mut files = Files::default();
        self.reads(&mut files, &mine);
        self.writes(&mut files, &mine, &plan.file_ending);
        files.check()?;
        fs::create_dir_all(self.output).with_context(|| format!("cannot create the folder {}", shown(self.output)))?;
        write_records(args, self.network, self.output)?;
        let of = mine.len();
        let (cases, mut failures) = sorted_out(args, mine, &plan);
        if !cases.is_empty() {
            let predictor = Predictor::new(self.network, plan.clone(), options)?;
            let mut meter: Option<Meter> = None;
            failures.extend(predictor.cases(&cases, &mut |number, done| {
                if args.disable_progress_bar {
                    return ControlFlow::Continue(());
                }
                if done == 0.0 {
                    eprintln!("case {} of {}: {}", number + 1, cases.len(), cases[number].name);
                    meter = None;
                }
                meter.get_or_insert_with(|| Meter::new("predicting")).show(done)
            })?);
        }
        Ok(Predicted { plan, cases, failures, of })
    }

    fn case(&self, name: &OsStr, images: Vec<PathBuf>, plan: &Plan) -> Case {
        let previous = self.args.previous.as_ref().filter(|_| plan.previous_stage.is_some());
        let previous = previous.map(|folder| folder.join(with_ending(name, &plan.file_ending)));
        Case { stem: self.output.join(name), name: shown(Path::new(name)), images, previous }
    }

    fn options(&self) -> PredictOptions {
        let args = self.args;
        let (walk, arithmetic) = match args.precision {
            Precision::Exact => (Options::EXACT, Arithmetic::Exact),
            Precision::Fast if computes_bfloat16() => (Options::FAST, Arithmetic::Bfloat16),
            Precision::Fast => (Options::FAST, Arithmetic::Fast),
        };
        // Whoever allows one thread does not want two forwards.
        let at_once = if args.threads == Some(1) { 1 } else { walk.at_once };
        PredictOptions {
            choice: Choice { folds: args.folds.clone(), checkpoint: args.checkpoint.clone() },
            walk: Options { step: args.step_size, at_once, ..walk },
            arithmetic,
            mirror: !args.disable_tta,
            save_probabilities: args.save_probabilities || self.in_ensemble,
            save_logits: args.save_logits && !self.in_ensemble,
            postprocessing: args.postprocessing.clone().filter(|_| !self.in_ensemble),
            pet: Intensities::of(args.pet_suv),
            device: args.device,
            accumulate: args.accumulate,
            verbose: args.verbose,
            tell: |words| eprintln!("{words}"),
        }
    }

    /// The cases of this part of the work.
    fn cases(&self, plan: &Plan) -> Result<Vec<Case>> {
        let args = self.args;
        let found = cases(&args.input, &plan.file_ending)?;
        ensure!(!found.is_empty(), "{} holds no images named CASE_0000{}", shown(&args.input), plan.file_ending);
        let mine = found.into_iter().skip(args.part_id).step_by(args.num_parts);
        Ok(mine.map(|(name, images)| self.case(&name, images, plan)).collect())
    }

    /// Images, the network, the previous stage.
    fn reads(&self, files: &mut Files, cases: &[Case]) {
        files.reads_folder("the network", self.network);
        self.args.postprocessing.iter().for_each(|file| files.reads("the postprocessing", file));
        for case in cases {
            files.reads_scans("the image", &case.images);
            case.previous.iter().for_each(|labels| files.reads_scan("the previous stage's segmentation", labels));
        }
    }

    /// Results, and what nnU-Net writes beside them.
    fn writes(&self, files: &mut Files, cases: &[Case], ending: &str) {
        let args = self.args;
        RECORDS.iter().for_each(|name| files.writes("the record", &self.output.join(name)));
        let mut endings = vec![ending];
        endings.extend(if args.save_probabilities || self.in_ensemble { &[".npz", ".pkl"][..] } else { &[] });
        endings.extend(args.save_logits.then_some(".logits.npy"));
        for case in cases {
            for ending in &endings {
                let name = with_ending(case.stem.file_name().unwrap_or_default(), ending);
                files.writes("the result", &case.stem.with_file_name(name));
            }
        }
    }
}

/// Cases to be predicted, and those that cannot be: a case that lacks a channel stops no other.
fn sorted_out(args: &Args, cases: Vec<Case>, plan: &Plan) -> (Vec<Case>, Vec<CaseFailure>) {
    let (mut todo, mut failures) = (Vec::new(), Vec::new());
    for case in cases {
        match check_channels(&case, plan) {
            Err(error) => failures.push(CaseFailure { name: case.name, error }),
            Ok(()) if is_done(args, &case, &plan.file_ending) => {}
            Ok(()) => todo.push(case),
        }
    }
    (todo, failures)
}

fn check(args: &Args) -> Result<()> {
    if !(args.step_size > 0.0 && args.step_size <= 1.0) {
        return Err(wrong(format!("-step_size {}: more than 0 and at most 1 is needed", args.step_size)));
    }
    let several = args.network.len().max(args.configurations.len()) > 1;
    if several && (args.save_probabilities || args.continue_prediction) {
        return Err(wrong(
            "--save_probabilities and --continue_prediction are each network's own; predict with one network after the \
             other".to_owned(),
        ));
    }
    if args.part_id >= args.num_parts {
        return Err(wrong(format!(
            "-part_id {}: parts are counted from 0 to {}",
            args.part_id,
            args.num_parts.saturating_sub(1)
        )));
    }
    Ok(())
}

fn check_plan(args: &Args, plan: &Plan) -> Result<()> {
    if let (Some(stage), None) = (&plan.previous_stage, &args.previous) {
        anyhow::bail!(
            "the network is the second stage of a cascade; give the segmentations of {stage} with \
             -prev_stage_predictions DIR"
        );
    }
    Ok(())
}

/// Refuses a case that lacks one of the network's channels, or has others: by their numbers.
fn check_channels(case: &Case, plan: &Plan) -> Result<()> {
    if case.images.iter().any(|image| image.is_dir()) && plan.normalization.len() == 1 && case.images.len() == 1 {
        return Ok(());
    }
    let stem = case.stem.file_name().unwrap_or_default();
    let wanted: Vec<OsString> = (0..plan.normalization.len())
        .map(|channel| with_ending(stem, &format!("_{channel:04}{}", plan.file_ending)))
        .collect();
    let names = |names: Vec<&OsStr>| names.iter().map(|name| shown(Path::new(name))).collect::<Vec<_>>().join(", ");
    let got: Vec<&OsStr> = case.images.iter().filter_map(|image| image.file_name()).collect();
    let missing: Vec<&OsStr> = wanted.iter().map(OsString::as_os_str).filter(|name| !got.contains(name)).collect();
    ensure!(missing.is_empty(), "{} is missing; the network takes {} image(s) a case", names(missing), wanted.len());
    let more: Vec<&OsStr> = got.into_iter().filter(|name| !wanted.iter().any(|wanted| wanted == name)).collect();
    ensure!(more.is_empty(), "{} is one too many; the network takes {} image(s) a case", names(more), wanted.len());
    Ok(())
}

/// Whether a case's results are there, whole and on the scan's grid; what a run left that was stopped does not count.
fn is_done(args: &Args, case: &Case, ending: &str) -> bool {
    args.continue_prediction && case.is_written(ending, args.save_probabilities)
}

/// What nnU-Net writes beside its results.
fn write_records(args: &Args, network: &Path, output: &Path) -> Result<()> {
    let [dataset, plans, arguments] = RECORDS;
    let put = |name: &str, bytes: &[u8]| {
        let to = output.join(name);
        whole(&to, |mut file| file.write_all(bytes)).with_context(|| format!("cannot write {}", shown(&to)))
    };
    for name in [dataset, plans] {
        // Content alone: a network folder that nobody may write into makes no results that nobody may write over.
        let from = network.join(name);
        put(name, &fs::read(&from).with_context(|| format!("cannot read {}", shown(&from)))?)?;
    }
    let record = json!({
        "list_of_lists_or_source_folder": args.input.to_string_lossy(),
        "output_folder_or_list_of_truncated_output_files": args.output.to_string_lossy(),
        "save_probabilities": args.save_probabilities,
        "overwrite": !args.continue_prediction,
        "num_processes_preprocessing": args.npp,
        "num_processes_segmentation_export": args.nps,
        "folder_with_segs_from_prev_stage": args.previous.as_ref().map(|folder| folder.to_string_lossy()),
        "num_parts": args.num_parts,
        "part_id": args.part_id,
    });
    put(arguments, (serde_json::to_string_pretty(&record)? + "\n").as_bytes())
}

/// Cases by name with their channels in order: `CASE_0000`, `CASE_0001`, …; a folder of DICOM files is a case of one
/// channel. Names are bytes, whether or not they are text; those that begin with a dot are other programs' own.
fn cases(folder: &Path, ending: &str) -> Result<BTreeMap<OsString, Vec<PathBuf>>> {
    let mut cases: BTreeMap<OsString, Vec<PathBuf>> = BTreeMap::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", shown(folder)))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if path.is_dir() && !name.starts_with(b".") && !series_files(&path).is_empty() {
            cases.entry(OsStr::from_bytes(name).to_owned()).or_default().push(path);
            continue;
        }
        if let Some(stem) = name.strip_suffix(ending.as_bytes()).filter(|_| !name.starts_with(b"."))
            && let Some((case, number)) = stem.split_last_chunk::<5>()
            && !case.is_empty()
            && number[0] == b'_'
            && number[1..].iter().all(u8::is_ascii_digit)
        {
            cases.entry(OsStr::from_bytes(case).to_owned()).or_default().push(path);
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
        check(
            "i3deep predict -i a -o b -step_size 0.7 -device cpu",
            "i3deep predict -i a -o b --step_size 0.7 --device cpu",
        );
        check(
            "i3deep predict -step_size=0.7 --device cpu -f 0 1",
            "i3deep predict --step_size=0.7 --device cpu -f 0 1",
        );
        check("i3deep predict -num_parts 2 -part_id 1 -chk x", "i3deep predict --num_parts 2 --part_id 1 --chk x");
        check("i3deep refine -device cpu", "i3deep refine -device cpu");
    }

    #[test]
    fn cases_have_their_channels_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "b_0000.nii.gz",
            "a_x_0001.nii.gz",
            "a_x_0000.nii.gz",
            "notes.txt",
            "c_00.nii.gz",
            "d_0000.nii",
            "._b_0000.nii.gz",
            "_0000.nii.gz",
        ];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = cases(folder.path(), ".nii.gz").unwrap();
        let names: Vec<(String, Vec<String>)> = found
            .into_iter()
            .map(|(case, images)| {
                (
                    case.into_string().unwrap(),
                    images.iter().map(|i| i.file_name().unwrap().to_string_lossy().into_owned()).collect(),
                )
            })
            .collect();
        let expected = [("a_x", vec!["a_x_0000.nii.gz", "a_x_0001.nii.gz"]), ("b", vec!["b_0000.nii.gz"])];
        assert_eq!(
            names,
            expected.map(|(case, images)| (case.to_owned(), images.iter().map(|i| (*i).to_owned()).collect()))
        );
    }
}
