//! `i3deep evaluate`: what acquisition settings are worth on labelled cases, with a simulated expert.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use shared::acquisition::{MIN_PLANES, Strategy};

use super::outputs::{Files, shown};
use super::parse_distance;
use super::words::none_failed;
use crate::bundle::Bundle;
use crate::bundle::method::{Method, MethodText};
use crate::evaluate::cases::{CaseFiles, find_cases, held_out, orientation_warnings};
use crate::evaluate::expert::Expert;
use crate::evaluate::outcome::{OUTCOMES, write_outcome};
use crate::evaluate::results::{Columns, Results};
use crate::evaluate::run::Plan;
use crate::evaluate::settings::check_settings;
use crate::evaluate::worker::{Setup, case_folder, evaluate_all};
use crate::inference::DeviceChoice;
use crate::pipeline::adapt::AdaptationParams;
use crate::tasks::{Adapt, AdaptSetting, CaseFailure, class_weights, open_bundle};

/// Arguments of `i3deep evaluate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Scans, named as in nnU-Net's imagesTr: NAME_0000.nii.gz (or .nii, .nrrd, .mha), one file a channel; or NAME, the
    /// folder of a DICOM series.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Labels, named as in labelsTr: NAME.nii.gz, .nii, .nrrd, .seg.nrrd, .mha, or .dcm for a DICOM SEG.
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// Where results go. A run that was stopped goes on where it was.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Acquisition strategies.
    #[arg(long, value_delimiter = ',', default_value = "greedy,published,random,equidistant")]
    strategies: Vec<Strategy>,
    /// How uncertainty is found, each as SAMPLES/MEASURE. SAMPLES: folds, mirrors, dropout:N, joined by +, or single.
    /// MEASURE: entropy, variance, mutual-information, bhattacharyya or confidence. A measure alone samples as the
    /// bundle does. All share one computation a case.
    #[arg(long, value_delimiter = ',', value_name = "SAMPLES/MEASURE,…", default_value = "entropy")]
    uncertainty: Vec<MethodText>,
    /// Dice that each label usually gets, in the bundle's order: uncertainty is found label by label, and the worse
    /// ones count more.
    #[arg(long, value_name = "DICE,…", value_delimiter = ',')]
    class_dice: Option<Vec<f32>>,
    /// Budgets: shares of the axial planes with presegmented foreground.
    #[arg(long, value_delimiter = ',', default_value = "0.2")]
    budgets: Vec<String>,
    /// Planes that a round corrects even where its budget allows less. Three are always offered; 1 measures an expert
    /// who stops before.
    #[arg(long, value_name = "PLANES", default_value_t = MIN_PLANES)]
    fewest_planes: usize,
    /// Rounds of correction, each with the whole budget; from the second on, planes are chosen by the refined
    /// segmentation's uncertainty.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Who corrects: perfect, or jitter:MM for contours that waver.
    #[arg(long, default_value_t)]
    expert: Expert,
    /// Within this distance of a corrected plane, in mm, the labels pass over to the correction, as in `i3deep refine`.
    /// Default: the bundle's.
    #[arg(long, value_name = "MM", value_parser = parse_distance)]
    blend_mm: Option<f64>,
    /// Whether the network that refines adapts to each case, as in `i3deep refine`; here auto sets no limit of time, so
    /// that the numbers do not depend on the machine.
    #[arg(long, value_name = "SECONDS|off|auto", default_value_t)]
    adapt: Adapt,
    /// Settings of adaptation to try in the place of the product's: steps, rate, anchor or decoder, as NAME=VALUE.
    #[arg(long, value_name = "NAME=VALUE,…", value_delimiter = ',', hide = true)]
    adapt_with: Vec<AdaptSetting>,
    /// Correct and refine nothing: only judge how well each uncertainty finds the presegmentation's errors.
    #[arg(long, conflicts_with_all = ["strategies", "budgets", "rounds"])]
    no_refine: bool,
    /// Keep every refined segmentation, as cases/CASE/refined_STRATEGY_SAMPLES_MEASURE_BUDGET_rROUND.nii.gz; of rows
    /// that were there before, none is made anew.
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

/// Evaluates, then writes summary and report.
pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = open_bundle(&args.bundle)?;
    let plan = plan(args, &bundle)?;
    if let Some(dice) = &args.class_dice {
        class_weights(&bundle, dice)?;
    }
    let only = if args.held_out { held_out(&bundle)? } else { args.only.clone() };
    let (cases, mut failures) = find_cases(&args.images, &args.labels, &only, bundle.manifest.channels.len())?;
    check_files(args, &plan, &bundle, &cases)?;
    orientation_warnings(&bundle.manifest, &cases).iter().for_each(|words| eprintln!("warning: {words}"));
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let setup = Setup {
        plan,
        class_dice: args.class_dice.clone(),
        blend_mm: args.blend_mm.unwrap_or(bundle.manifest.blend_mm),
        adaptation: adaptation(args, &bundle),
        adapt: adapted(args, &bundle),
        device: args.device,
        keep: args.keep,
        out: args.out.clone(),
        bundle,
    };
    check_settings(&setup)?;
    let results = Results::open(&args.out, Columns::new(&setup.bundle.manifest.labels)).context("results.csv")?;
    let of = cases.len() + failures.len();
    failures.extend(evaluate_with_progress(&setup, &cases, args.jobs, &results)?);
    failures.sort_by(|a, b| a.name.cmp(&b.name));
    let (columns, mut rows) = results.finish()?;
    // What was measured of a case before it failed is no part of a mean.
    let failed = |name: &str| failures.iter().any(|failure| failure.name == name);
    rows.retain(|row| !failed(&row.key.case));
    let whole: Vec<CaseFiles> = cases.into_iter().filter(|case| !failed(&case.name)).collect();
    if !whole.is_empty() {
        for line in write_outcome(&setup, &whole, (&columns, &rows), of)? {
            println!("{line}");
        }
        println!("results.csv, summary.json and report.html are in {}", shown(&args.out));
    }
    none_failed(&failures, of)
}

/// Refuses to write over scans, labels or the bundle, or one result over another.
fn check_files(args: &Args, plan: &Plan, bundle: &Bundle, cases: &[CaseFiles]) -> Result<()> {
    let mut files = Files::default();
    files.reads_folder("the bundle", &args.bundle);
    for case in cases {
        files.reads_scans("the scan", &case.channels);
        files.reads_scan("the labels", &case.label);
    }
    for name in OUTCOMES {
        files.writes("the result", &args.out.join(name));
    }
    for case in cases {
        for name in plan.volume_files(bundle, &case.name, args.keep) {
            files.writes("the result", &case_folder(&args.out, &case.name).join(name));
        }
    }
    files.check()
}

/// How the network that refines adapts to each case, if it does.
fn adaptation(args: &Args, bundle: &Bundle) -> Option<AdaptationParams> {
    let params = args.adapt.params(bundle).map(|params| match args.adapt {
        Adapt::Seconds(_) => AdaptationParams { seed: args.seed, ..params },
        // Without a limit of time the numbers do not depend on the machine.
        Adapt::Off | Adapt::Auto => AdaptationParams { seconds: None, seed: args.seed, ..params },
    });
    params.map(|params| args.adapt_with.iter().fold(params, |params, setting| setting.applied(params)))
}

/// Adaptation as settings.json names it; nothing where there is none.
fn adapted(args: &Args, bundle: &Bundle) -> Vec<String> {
    let adapts = args.adapt.params(bundle).is_some();
    let named = std::iter::once(args.adapt.to_string()).chain(args.adapt_with.iter().map(ToString::to_string));
    if adapts { named.collect() } else { Vec::new() }
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
    ensure!(args.fewest_planes > 0, "a round without planes corrects nothing: --fewest-planes starts at 1");
    Ok(Plan {
        strategies: args.strategies.clone(),
        methods,
        budgets: args.budgets.iter().map(budget).collect::<Result<_>>()?,
        fewest_planes: args.fewest_planes,
        expert: args.expert,
        rounds: args.rounds,
        seed: args.seed,
        refine: !args.no_refine,
    })
}

/// A bar on a terminal, a line a case elsewhere.
fn evaluate_with_progress(
    setup: &Setup,
    cases: &[CaseFiles],
    jobs: u64,
    results: &Results,
) -> Result<Vec<CaseFailure>> {
    let rows = setup.plan.rows_per_case() as u64;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(cases.len() as u64 * rows).with_style(style);
    let outcome = evaluate_all(setup, cases, jobs, results, &|name| {
        bar.inc(rows);
        if bar.is_hidden() {
            println!("{name}");
        }
    });
    bar.finish_and_clear();
    outcome
}
