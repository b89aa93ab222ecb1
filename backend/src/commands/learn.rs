//! `i3deep learn`: a bundle's next version, from finished cases.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde_json::{Value, json};

use super::outputs::{Files, shown, wrong};
use super::progress::Meter;
use super::words;
use crate::bundle::Bundle;
use crate::evaluate::cases::{CaseFiles, find_cases, orientation_warnings};
use crate::inference::DeviceChoice;
use crate::learn::{Learned, Lessons, Scores, learn};
use crate::tasks::{CaseFailure, open_bundle};

/// Arguments of `i3deep learn`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle whose networks go on learning; it stays as it is.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Scans of finished cases, named as in nnU-Net's imagesTr: NAME_0000.nii.gz, one file a channel; or NAME, the
    /// folder of a DICOM series.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Their segmentations, in which every voxel is right, named as in labelsTr: NAME.nii.gz, .seg.nrrd, .dcm, …
    #[arg(long, value_name = "DIR")]
    labels: PathBuf,
    /// The folder of the new version; must not exist. Beside it, hidden, lie volumes of the cases while they are
    /// compared; a command that is killed leaves them there.
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
    /// Only these cases.
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    only: Vec<String>,
    /// Cases to compare on, of which nothing is learned; without, every fifth at random, one at least.
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    keep_back: Vec<String>,
    /// Steps of every fold of every network, one patch each.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Minutes that all learning may take; without, as long as the steps take, and the result does not depend on the
    /// machine's speed.
    #[arg(long, value_name = "MINUTES", value_parser = parse_minutes)]
    minutes: Option<f64>,
    /// Step size at first (Adam); it falls to 0.
    #[arg(long, default_value_t = 3e-4, value_parser = parse_rate)]
    rate: f64,
    /// Version of the new bundle; default: the next after the old one's.
    #[arg(long)]
    version: Option<String>,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Cases at once while they are compared, one core each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
    /// Where the networks run: auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// For programs.
    #[arg(long)]
    json: bool,
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| minutes.is_finite() && *minutes > 0.0);
    minutes.ok_or_else(|| format!("'{text}' is not a number of minutes above 0"))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate < 1.0);
    rate.ok_or_else(|| format!("'{text}' is not a step size between 0 and 1"))
}

/// Learns, compares, and says what was gained.
pub(crate) fn run(args: &Args) -> Result<()> {
    let bundle = open_bundle(&args.bundle)?;
    let (cases, failures) = find_cases(&args.images, &args.labels, &args.only, bundle.manifest.channels.len())?;
    check_whole(&failures)?;
    check_files(args, &cases)?;
    orientation_warnings(&bundle.manifest, &cases).iter().for_each(|words| eprintln!("warning: {words}"));
    let lessons = lessons(args, &bundle, cases)?;
    let mut meter: Option<(&'static str, Meter)> = None;
    let learned = learn(&bundle, &lessons, &args.out, &mut |what, done| {
        let same = meter.as_ref().is_some_and(|(shown, _)| *shown == what);
        if !same {
            meter = Some((what, Meter::new(what)));
        }
        meter.as_mut().map_or(ControlFlow::Continue(()), |(_, meter)| meter.show(done))
    })?;
    if args.json {
        println!("{}", as_json(&learned, &lessons));
    } else {
        say(args, &bundle, &learned, &lessons);
    }
    Ok(())
}

/// Refuses cases that lack something: whoever names a folder means all of it.
fn check_whole(failures: &[CaseFailure]) -> Result<()> {
    let lines: String =
        failures.iter().map(|failure| format!("\n  case {}: {}", failure.name, words::of(&failure.error))).collect();
    ensure!(failures.is_empty(), "nothing was learned, {} case(s) are not whole:{lines}", failures.len());
    Ok(())
}

/// Refuses to write into what is read.
fn check_files(args: &Args, cases: &[CaseFiles]) -> Result<()> {
    let mut files = Files::default();
    files.reads_folder("the bundle", &args.bundle);
    for case in cases {
        files.reads_scans("the scan", &case.channels);
        files.reads_scan("the labels", &case.label);
    }
    files.makes_folder("-o", &args.out);
    files.check()
}

fn lessons(args: &Args, bundle: &Bundle, cases: Vec<CaseFiles>) -> Result<Lessons> {
    let (kept_back, cases) = split(args, cases)?;
    Ok(Lessons {
        cases,
        kept_back,
        steps: args.steps,
        minutes: args.minutes,
        rate: args.rate,
        seed: args.seed,
        jobs: args.jobs,
        device: args.device,
        version: args.version.clone().unwrap_or_else(|| next(&bundle.manifest.version)),
        date: chrono::Utc::now().date_naive().to_string(),
    })
}

/// Cases to compare on, and those to learn from.
fn split(args: &Args, cases: Vec<CaseFiles>) -> Result<(Vec<CaseFiles>, Vec<CaseFiles>)> {
    const OF: usize = 5;
    ensure!(cases.len() > 1, "one case is too few: at least one to learn from and one to compare on are needed");
    if let Some(unknown) = args.keep_back.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
        return Err(wrong(format!("--keep-back names {unknown}, which is none of the cases")));
    }
    let mut names = args.keep_back.clone();
    if names.is_empty() {
        names = cases.iter().map(|case| case.name.clone()).collect();
        names.shuffle(&mut Pcg64::seed_from_u64(args.seed));
        names.truncate(cases.len().div_ceil(OF));
    }
    let (kept_back, learning): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| names.contains(&case.name));
    if learning.is_empty() {
        return Err(wrong("--keep-back names all the cases: none is left to learn from".to_owned()));
    }
    Ok((kept_back, learning))
}

/// The version after: its last number by one more, or with a first one behind it.
fn next(version: &str) -> String {
    let digits = version.chars().rev().take_while(char::is_ascii_digit).count();
    let (front, number) = version.split_at(version.len() - digits);
    number.parse::<u64>().map_or_else(|_| format!("{version}.1"), |number| format!("{front}{}", number + 1))
}

fn say(args: &Args, bundle: &Bundle, learned: &Learned, lessons: &Lessons) {
    let (cases, kept_back) = (lessons.cases.len(), lessons.kept_back.len());
    println!("learned from {cases} case(s); mean Dice of {kept_back} kept back, and of the worst changed of them:");
    let named = |s: &Scores| [s.presegmentation, s.refined, s.outside];
    let means = learned.means.each_ref().map(named);
    let changes = learned.cases.iter().map(|(_, scores)| scores.each_ref().map(named));
    let worst = changes.fold([f64::NAN; 3], |worst, [before, after]| {
        std::array::from_fn(|row| worst[row].min(after[row] - before[row]))
    });
    for (row, name) in ["presegmentation", "refined", "outside the slices"].into_iter().enumerate() {
        let ([before, after], worst) = (means.map(|mean| mean[row]), worst[row]);
        println!("  {name:<19} {before:.4} → {after:.4}   {worst:+.4}");
    }
    if learned.stages.len() == 1 && bundle.refinement.is_some() {
        println!("only the {} network is new: the other was better as it was", learned.stages[0].folder());
    }
    println!("version {} is in {}", lessons.version, shown(&args.out));
}

fn as_json(learned: &Learned, lessons: &Lessons) -> Value {
    let scores = |[before, after]: &[Scores; 2]| {
        let one =
            |s: &Scores| json!({"presegmentation": s.presegmentation, "refined": s.refined, "outside": s.outside});
        json!({"before": one(before), "after": one(after)})
    };
    let cases: Vec<Value> = learned.cases.iter().map(|(name, of)| json!({"case": name, "dice": scores(of)})).collect();
    json!({
        "version": lessons.version,
        "learned_from": lessons.cases.len(),
        "networks": learned.stages.iter().map(|stage| stage.folder()).collect::<Vec<_>>(),
        "dice": scores(&learned.means),
        "kept_back": cases,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_counts_on() {
        fn check(version: &str, expected: &str) {
            assert_eq!(next(version), expected);
        }
        check("0.4.0", "0.4.1");
        check("1.9", "1.10");
        check("7", "8");
        check("beta", "beta.1");
        check("", ".1");
    }
}
