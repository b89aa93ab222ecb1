//! `i3deep evaluate`: what acquisition settings are worth on labelled cases, with a simulated expert.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use shared::acquisition::Strategy;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::parse_distance;
use crate::bundle::method::{Method, MethodText};
use crate::bundle::{Bundle, Stage};
use crate::evaluate::calibration::{Bin, reliability};
use crate::evaluate::expert::Expert;
use crate::evaluate::picture::side_by_side;
use crate::evaluate::report::{Report, html};
use crate::evaluate::results::{Columns, Results, Row, UNREFINED};
use crate::evaluate::run::{BINS, Corrections, Plan, Presegmented, Subject};
use crate::evaluate::summary::{Setting, SettingSummary, summarise};
use crate::inference::torch::set_threads;
use crate::inference::{DeviceChoice, Network};
use crate::pipeline::adapt::AdaptationParams;
use crate::pipeline::presegment::presegment;
use crate::pipeline::refine::{Adaptation, RefineInput, refine};
use crate::pipeline::sampling::Sampling;
use crate::scan_io::{Origin, read_labels, read_scan, write_f32, write_labels};
use crate::tasks::{Adapt, AdaptSetting, class_weights, load_stage, read_channels};

/// Arguments of `i3deep evaluate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Scans, named as in nnU-Net's imagesTr: NAME_0000.nii.gz, one file a channel.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Labels, named as in labelsTr: NAME.nii.gz.
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// Where results go. A run that was stopped goes on where it was.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Acquisition strategies.
    #[arg(long, value_delimiter = ',', default_value = "greedy,published,random,equidistant")]
    strategies: Vec<Strategy>,
    /// How uncertainty is found, each as SAMPLES/MEASURE. SAMPLES: folds, mirrors, dropout:N, joined by +, or single. MEASURE: entropy, variance,
    /// mutual-information, bhattacharyya or confidence. A measure alone samples as the bundle does. All share one computation a case.
    #[arg(long, value_delimiter = ',', value_name = "SAMPLES/MEASURE,…", default_value = "entropy")]
    uncertainty: Vec<MethodText>,
    /// Dice that each label usually gets, in the bundle's order: uncertainty is found label by label, and the worse ones count more.
    #[arg(long, value_name = "DICE,…", value_delimiter = ',')]
    class_dice: Option<Vec<f32>>,
    /// Budgets: shares of the axial planes with presegmented foreground.
    #[arg(long, value_delimiter = ',', default_value = "0.2")]
    budgets: Vec<String>,
    /// Rounds of correction, each with the whole budget; from the second on, planes are chosen by the refined segmentation's uncertainty.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Who corrects: perfect, or jitter:MM for contours that waver.
    #[arg(long, default_value_t)]
    expert: Expert,
    /// Within this distance of a corrected plane, in mm, the labels pass over to the correction, as in `i3deep refine`. Default: the bundle's.
    #[arg(long, value_name = "MM", value_parser = parse_distance)]
    blend_mm: Option<f64>,
    /// Whether the network that refines adapts to each case, as in `i3deep refine`; here auto sets no limit of time, so that the numbers do not depend on
    /// the machine.
    #[arg(long, value_name = "SECONDS|off|auto", default_value_t)]
    adapt: Adapt,
    /// Settings of adaptation to try in the place of the product's: steps, rate, anchor or decoder, as NAME=VALUE.
    #[arg(long, value_name = "NAME=VALUE,…", value_delimiter = ',', hide = true)]
    adapt_with: Vec<AdaptSetting>,
    /// Correct and refine nothing: only judge how well each uncertainty finds the presegmentation's errors.
    #[arg(long, conflicts_with_all = ["strategies", "budgets", "rounds"])]
    no_refine: bool,
    /// Keep every refined segmentation, as cases/CASE/refined_STRATEGY_SAMPLES_MEASURE_BUDGET_rROUND.nii.gz; of rows that were there before, none is
    /// made anew.
    #[arg(long)]
    keep: bool,
    /// Only these cases.
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    only: Vec<String>,
    /// Only the cases that no training of the bundle has seen, as its split.json says.
    #[arg(long, conflicts_with = "only")]
    held_out: bool,
    /// Cases at once, one core each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// Where the networks run: auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Seed of the random strategy, of dropout and of the expert's hand.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Args {
    /// Adaptation as settings.json names it; nothing where there is none.
    fn adapted(&self, bundle: &Bundle) -> Vec<String> {
        let adapts = self.adapt.params(bundle).is_some();
        let named = std::iter::once(self.adapt.to_string()).chain(self.adapt_with.iter().map(ToString::to_string));
        if adapts { named.collect() } else { Vec::new() }
    }

    fn blend_mm(&self, bundle: &Bundle) -> f64 {
        self.blend_mm.unwrap_or(bundle.manifest.blend_mm)
    }
}

/// What must be the same for rows to stand in one table.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    bundle: String,
    version: String,
    files: std::collections::BTreeMap<String, String>,
    expert: String,
    seed: u64,
    /// 0 in files from before there was a choice.
    #[serde(default)]
    blend_mm: f64,
    /// Off in files from before there was a choice.
    #[serde(default)]
    adapt: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_dice: Option<Vec<f32>>,
}

/// A labelled case in files.
struct CaseFiles {
    name: String,
    channels: Vec<PathBuf>,
    label: PathBuf,
}

/// Evaluates, then writes summary and report.
pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = Bundle::read(&args.bundle).with_context(|| format!("the bundle {}", args.bundle.display()))?;
    bundle.verify()?;
    let plan = plan(args, &bundle)?;
    let class_weights = args.class_dice.as_deref().map(|dice| class_weights(&bundle, dice)).transpose()?;
    let only = if args.held_out { held_out(&bundle)? } else { args.only.clone() };
    let cases = find_cases(args, &only, bundle.manifest.channels.len())?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    check_settings(args, &bundle)?;
    let columns = Columns::new(&bundle.manifest.labels);
    let results = Results::open(&args.out, columns.clone()).context("results.csv")?;
    let setup = Setup { args, bundle: &bundle, plan: &plan, class_weights: class_weights.as_deref() };
    evaluate_all(&setup, &cases, &results)?;
    let (columns, rows) = results.finish()?;
    write_outcome(args, &bundle, &plan, &cases, (&columns, &rows))
}

fn plan(args: &Args, bundle: &Bundle) -> Result<Plan> {
    let budget = |text: &String| {
        let value: f64 = text.trim().parse().with_context(|| format!("the budget '{text}' is not a number"))?;
        ensure!(value > 0.0 && value <= 1.0, "the budget {text} is not a share between 0 and 1");
        Ok((value.to_string(), value))
    };
    let mut methods: Vec<Method> = Vec::new();
    for text in &args.uncertainty {
        let method = text.or(bundle.manifest.uncertainty.samples).check(&bundle.presegmentation)?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(Plan {
        strategies: args.strategies.clone(),
        methods,
        budgets: args.budgets.iter().map(budget).collect::<Result<_>>()?,
        expert: args.expert,
        rounds: args.rounds,
        seed: args.seed,
        refine: !args.no_refine,
    })
}

/// The cases that were set aside when the bundle was trained.
fn held_out(bundle: &Bundle) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Split {
        held_out: Vec<String>,
    }
    let path = bundle.folder.join("split.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Split { held_out } = serde_json::from_str(&text).with_context(|| format!("{} lists no held_out cases", path.display()))?;
    ensure!(!held_out.is_empty(), "{} has set no cases aside", path.display());
    Ok(held_out)
}

fn find_cases(args: &Args, only: &[String], channels: usize) -> Result<Vec<CaseFiles>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(&args.labels).with_context(|| format!("cannot read the folder {}", args.labels.display()))? {
        let label = entry?.path();
        let Some(name) = label.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".nii.gz")).map(str::to_owned) else {
            continue;
        };
        if !only.is_empty() && !only.contains(&name) {
            continue;
        }
        let images: Vec<PathBuf> = (0..channels).map(|channel| args.images.join(format!("{name}_{channel:04}.nii.gz"))).collect();
        if let Some(missing) = images.iter().find(|path| !path.is_file()) {
            bail!("{name} has labels but no image {}", missing.display());
        }
        cases.push(CaseFiles { name, channels: images, label });
    }
    ensure!(!cases.is_empty(), "no cases: {} holds no NAME.nii.gz that was asked for", args.labels.display());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// Refuses to mix rows of different bundles or experts in one folder.
fn check_settings(args: &Args, bundle: &Bundle) -> Result<()> {
    let path = args.out.join("settings.json");
    let settings = Settings {
        bundle: bundle.manifest.name.clone(),
        version: bundle.manifest.version.clone(),
        files: bundle.manifest.files.clone(),
        expert: args.expert.to_string(),
        seed: args.seed,
        blend_mm: args.blend_mm(bundle),
        adapt: args.adapted(bundle),
        class_dice: args.class_dice.clone(),
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let before: Settings = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
            ensure!(
                before == settings,
                "{} holds results of another bundle, expert, seed, blending or class Dice; use another folder",
                args.out.display()
            );
        }
        Err(_) => fs::write(&path, serde_json::to_string_pretty(&settings)?).with_context(|| format!("cannot write {}", path.display()))?,
    }
    Ok(())
}

/// Deals cases to workers, each with networks of its own. Every network computes on one thread, so that no number depends on how many work at once.
fn evaluate_all(setup: &Setup<'_>, cases: &[CaseFiles], results: &Results) -> Result<()> {
    set_threads(1);
    let Setup { args, plan, .. } = setup;
    let bar = progress_bar((cases.len() * plan.rows_per_case()) as u64);
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || -> Result<()> {
        let mut worker = Worker::new(setup)?;
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            worker.evaluate(case, results).with_context(|| case.name.clone())?;
            bar.inc(plan.rows_per_case() as u64);
            if bar.is_hidden() {
                println!("{}", case.name);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.min(cases.len() as u64) {
            scope.spawn(|| {
                if let Err(error) = work() {
                    next.store(cases.len(), Ordering::Relaxed);
                    *failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                }
            });
        }
    });
    bar.finish_and_clear();
    match failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn progress_bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows).with_style(style)
}

/// What all threads share.
struct Setup<'a> {
    args: &'a Args,
    bundle: &'a Bundle,
    plan: &'a Plan,
    class_weights: Option<&'a [f32]>,
}

/// One thread's networks.
struct Worker<'a> {
    setup: &'a Setup<'a>,
    presegmentation: Vec<Box<dyn Network>>,
    refinement: Vec<Box<dyn Network>>,
}

impl<'a> Worker<'a> {
    fn new(setup: &'a Setup<'a>) -> Result<Self> {
        let load = |stage: Stage| load_stage(setup.bundle, stage, setup.args.device);
        let refinement = if setup.plan.refine { load(Stage::Refinement)? } else { Vec::new() };
        Ok(Self { setup, presegmentation: load(Stage::Presegmentation)?, refinement })
    }

    fn evaluate(&mut self, case: &CaseFiles, results: &Results) -> Result<()> {
        let Setup { args, bundle, plan, .. } = self.setup;
        if !Subject::is_unfinished(&case.name, plan, results) {
            return Ok(());
        }
        let (channels, origin) = read_channels(&case.channels)?;
        let truth = read_labels(&case.label).with_context(|| case.label.display().to_string())?;
        if let Err(difference) = truth.geometry().check_same_grid(channels[0].geometry()) {
            bail!("{} {difference}. Labels must lie on the scan's own grid", case.label.display());
        }
        let presegmented = self.presegmented(case, &channels, &origin)?;
        let labels = &bundle.manifest.labels;
        let subject = Subject { name: &case.name, presegmented: &presegmented, truth: &truth, labels };
        let foreground: Vec<Label> = labels.0.iter().map(|label| label.value).collect();
        let adapt = args.adapt.params(bundle).map(|params| match args.adapt {
            Adapt::Seconds(_) => AdaptationParams { seed: args.seed, ..params },
            // Without a limit of time the numbers do not depend on the machine.
            Adapt::Off | Adapt::Auto => AdaptationParams { seconds: None, seed: args.seed, ..params },
        });
        let adapt = adapt.map(|params| args.adapt_with.iter().fold(params, |params, setting| setting.applied(params)));
        let refine = |&Corrections { volume: corrections, planes, weights }: &Corrections<'_>| {
            let input = RefineInput {
                channels: &channels,
                presegmentation: &presegmented.labels,
                corrections,
                planes,
                foreground: &foreground,
                encoding: bundle.encoding(),
                blend_mm: args.blend_mm(bundle),
            };
            let begun = Instant::now();
            let elapsed_s = || begun.elapsed().as_secs_f64();
            let adaptation = adapt.as_ref().map(|params| Adaptation { params, weights, elapsed_s: &elapsed_s });
            Ok(refine(&mut self.refinement, bundle.plan(Stage::Refinement), &input, adaptation, &mut |_| ControlFlow::Continue(()))?)
        };
        let folder = case_folder(args, &case.name);
        subject.evaluate(plan, results, &Columns::new(labels), refine, |key, segmentation| {
            if plan.is_pictured(key) {
                write_labels(&folder.join("refined.nii.gz"), segmentation, &origin)?;
            }
            if args.keep {
                let setting = format!("{}_{}_{}_r{}", key.strategy, key.uncertainty.replace('/', "_"), key.budget, key.round);
                write_labels(&folder.join(format!("refined_{setting}.nii.gz")), segmentation, &origin)?;
            }
            Ok(())
        })
    }

    /// Presegmentation and uncertainties, from the folder of the case where they have been computed before; what is missing is computed at once.
    fn presegmented(&mut self, case: &CaseFiles, channels: &[Volume<f32>], origin: &Origin) -> Result<Presegmented> {
        let Setup { args, bundle, plan, class_weights } = self.setup;
        let folder = case_folder(args, &case.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let labels_file = folder.join("presegmentation.nii.gz");
        let file = |method: &Method| folder.join(uncertainty_file(*method));
        let is_there = |method: &Method| labels_file.is_file() && file(method).is_file();
        let missing: Vec<Method> = plan.methods.iter().copied().filter(|method| !is_there(method)).collect();
        if !missing.is_empty() {
            let sampling = Sampling { methods: &missing, class_weights: *class_weights, seed: args.seed };
            let go_on = &mut |_| ControlFlow::Continue(());
            let made = presegment(&mut self.presegmentation, &bundle.presegmentation, channels, &sampling, go_on)?;
            write_labels(&labels_file, &made.labels, origin)?;
            for (method, uncertainty) in missing.iter().zip(&made.uncertainty) {
                write_f32(&file(method), uncertainty, origin)?;
            }
        }
        let uncertainty = plan.methods.iter().map(|method| Ok(read_scan(&file(method))?.volume));
        Ok(Presegmented { uncertainty: uncertainty.collect::<Result<_>>()?, labels: read_labels(&labels_file)? })
    }
}

fn case_folder(args: &Args, name: &str) -> PathBuf {
    args.out.join("cases").join(name)
}

fn uncertainty_file(method: Method) -> String {
    format!("uncertainty_{}.nii.gz", method.to_string().replace('/', "_"))
}

fn write_outcome(args: &Args, bundle: &Bundle, plan: &Plan, cases: &[CaseFiles], (columns, rows): (&Columns, &[Row])) -> Result<()> {
    // The bundle's own way, or else the first that was asked for.
    let default = [bundle.uncertainty()].into_iter().chain(plan.methods.iter().copied()).map(|method| method.to_string());
    let default = default.into_iter().find(|name| rows.iter().any(|row| row.key.uncertainty == *name)).unwrap_or_default();
    let summary = summarise(columns, rows, &default);
    let put = |name: &str, text: String| {
        let path = args.out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put("summary.json", serde_json::to_string_pretty(&summary)? + "\n")?;
    let manifest = &bundle.manifest;
    let title = format!("{} {}, {} cases, {} expert", manifest.name, manifest.version, cases.len(), args.expert);
    let reliability =
        plan.methods.iter().map(|method| Ok((method.to_string(), mean_curve(args, *method, cases)?))).collect::<Result<Vec<_>>>()?;
    let pictures = pictures(args, bundle, plan, cases, (columns, rows))?;
    let labels = label_names(&manifest.labels);
    let report =
        Report { title: &title, columns, rows, summary: &summary, reliability: &reliability, pictures: &pictures, labels: &labels };
    put("report.html", html(&report))?;
    for setting in &summary.settings {
        println!("{}", line(setting));
    }
    println!("results.csv, summary.json and report.html are in {}", args.out.display());
    Ok(())
}

/// A setting's means in words.
fn line(summary: &SettingSummary) -> String {
    let value = |column: &str| summary.columns.get(column).map_or(f64::NAN, |spread| spread.mean);
    let Setting { strategy, uncertainty, budget, round } = &summary.setting;
    if strategy == UNREFINED {
        let [auroc, auprc, ece] = ["auroc", "auprc", "ece"].map(value);
        return format!("{uncertainty:<40} AUROC {auroc:.4}, AUPRC {auprc:.4}, ECE {ece:.4}");
    }
    format!(
        "{strategy:<24} {uncertainty:<24} {budget:>5} round {round}: {:>4.1} planes, Dice {:.4} → {:.4}, outside the planes {:.4} → {:.4}",
        value("planes"),
        value("dice_presegmentation"),
        value("dice_refined"),
        value("dice_presegmentation_outside"),
        value("dice_refined_outside"),
    )
}

/// The worst, the median and the best case of the pictured setting: presegmentation and refinement.
fn pictures(
    args: &Args,
    bundle: &Bundle,
    plan: &Plan,
    cases: &[CaseFiles],
    (columns, rows): (&Columns, &[Row]),
) -> Result<Vec<(String, String)>> {
    let dice = |row: &Row| columns.get(row, "dice_refined");
    let mut pictured: Vec<&Row> = rows.iter().filter(|row| plan.is_pictured(&row.key) && dice(row).is_finite()).collect();
    pictured.sort_by(|a, b| dice(b).total_cmp(&dice(a)));
    let Some(last) = pictured.len().checked_sub(1) else { return Ok(Vec::new()) };
    let mut chosen = vec![("best", 0), ("median", last / 2), ("worst", last)];
    chosen.dedup_by_key(|(_, at)| *at);
    let mut made = Vec::new();
    for (which, at) in chosen {
        let row = pictured[at];
        let Some(case) = cases.iter().find(|case| case.name == row.key.case) else { continue };
        let folder = case_folder(args, &case.name);
        let image = read_scan(&case.channels[0])?.volume;
        let truth = read_labels(&case.label)?;
        let before = read_labels(&folder.join("presegmentation.nii.gz"))?;
        let after = read_labels(&folder.join("refined.nii.gz"))?;
        let caption = format!("{which}: {}, Dice {:.3} → {:.3}", case.name, columns.get(row, "dice_presegmentation"), dice(row));
        made.extend(side_by_side(&image, &truth, &[&before, &after], &bundle.manifest.labels).map(|url| (caption, url)));
    }
    Ok(made)
}

fn label_names(labels: &LabelSet) -> Vec<(Label, String)> {
    labels.0.iter().map(|label| (label.value, label.name.clone())).collect()
}

/// The reliability curve over all voxels of all cases, from what the cases' folders hold.
fn mean_curve(args: &Args, method: Method, cases: &[CaseFiles]) -> Result<Vec<Bin>> {
    let mut sums: Vec<Bin> = Vec::new();
    for case in cases {
        let folder = case_folder(args, &case.name);
        let uncertainty = read_scan(&folder.join(uncertainty_file(method)))?.volume;
        let labels = read_labels(&folder.join("presegmentation.nii.gz"))?;
        let truth = read_labels(&case.label)?;
        for bin in reliability(uncertainty.voxels(), labels.voxels(), truth.voxels(), BINS) {
            match sums.iter_mut().find(|sum| sum.edge == bin.edge) {
                Some(sum) => sum.join(&bin),
                None => sums.push(bin),
            }
        }
    }
    sums.sort_by(|a, b| a.edge.total_cmp(&b.edge));
    Ok(sums)
}
