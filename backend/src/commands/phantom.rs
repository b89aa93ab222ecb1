//! `i3deep phantom`: writes generated scans with labels as an nnU-Net raw dataset.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::outputs::{Files, shown, wrong};
use crate::phantom::{LABELS, MIN_SIZE, Phantom, PhantomParams, generate};
use crate::scan_io::{Origin, write_i16, write_labels};

/// What the dataset is called.
const NAME: &str = "Phantom";

/// Arguments of `i3deep phantom`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to write: imagesTr, labelsTr, dataset.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many scans.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    cases: u64,
    /// Same seed, same scans.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Voxels along x, y and z; 56,64,48 unless given, with --lesions 192,192,192.
    #[arg(long, value_name = "X,Y,Z", value_parser = parse_triple::<usize>)]
    size: Option<[usize; 3]>,
    /// Voxel spacing along x, y and z in millimetres; 1,1,1.5 unless given, with --lesions 1,1,1.
    #[arg(long, value_name = "X,Y,Z", value_parser = parse_triple::<f64>)]
    spacing: Option<[f64; 3]>,
    /// Many small lesions with faint borders, vessels, and look-alikes that only an expert can tell, instead of an
    /// organ with a few.
    #[arg(long)]
    lesions: bool,
}

/// Generates and writes all cases; `dataset.json` comes last, so that a folder that has one is complete.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (size, spacing) = if args.lesions { ([192; 3], [1.0; 3]) } else { ([56, 64, 48], [1.0, 1.0, 1.5]) };
    let (size, spacing) = (args.size.unwrap_or(size), args.spacing.unwrap_or(spacing));
    ensure!(
        size.iter().all(|n| (MIN_SIZE..=1024).contains(n)),
        "--size {size:?}: each axis needs {MIN_SIZE} to 1024 voxels"
    );
    let params = PhantomParams { dims: size, spacing_mm: spacing, seed: args.seed, lesions: args.lesions };
    check_files(args)?;
    for folder in ["imagesTr", "labelsTr"] {
        let folder = args.out.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    (0..args.cases).into_par_iter().try_for_each(|case| write_case(&args.out, &params, case))?;
    let path = args.out.join("dataset.json");
    let text = serde_json::to_string_pretty(&dataset_json(args))?;
    fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("{} generated scans in {}", args.cases, shown(&args.out));
    Ok(())
}

/// Refuses to write one file over another, or into a dataset of real scans.
fn check_files(args: &Args) -> Result<()> {
    let dataset = args.out.join("dataset.json");
    if fs::read(&dataset).is_ok_and(|text| !is_generated(&text)) {
        return Err(wrong(format!("{} is that of other scans; choose another folder", shown(&dataset))));
    }
    let mut files = Files::default();
    files.writes("the dataset", &dataset);
    for case in 0..args.cases {
        let [scan, truth] = case_files(&args.out, case);
        files.writes("the scan", &scan);
        files.writes("the labels", &truth);
    }
    files.check()
}

/// Whether a `dataset.json` is one of this command's.
fn is_generated(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|dataset| dataset["name"] == NAME)
}

/// Scan and labels.
fn case_files(out: &Path, case: u64) -> [PathBuf; 2] {
    let name = format!("phantom_{:03}", case + 1);
    [out.join(format!("imagesTr/{name}_0000.nii.gz")), out.join(format!("labelsTr/{name}.nii.gz"))]
}

fn write_case(out: &Path, params: &PhantomParams, case: u64) -> Result<()> {
    let Phantom { image, labels } = generate(params, case)?;
    let origin = Origin::of_geometry(image.geometry());
    let [scan, truth] = case_files(out, case);
    write_i16(&scan, &image.map(|v| v as i16), &origin).with_context(|| format!("cannot write {}", scan.display()))?;
    write_labels(&truth, &labels, &origin).with_context(|| format!("cannot write {}", truth.display()))
}

fn dataset_json(args: &Args) -> Value {
    let Args { cases, seed, .. } = args;
    let lesions = if args.lesions { " --lesions" } else { "" };
    let labels: Map<String, Value> = LABELS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "name": NAME,
        "description": format!("Generated scans (i3deep phantom --cases {cases} --seed {seed}{lesions}); no patient \
                                data"),
        "channel_names": { "0": "MRI" },
        "labels": labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
    })
}

/// Reads `1,2,3`.
pub(super) fn parse_triple<T: std::str::FromStr>(text: &str) -> Result<[T; 3], String> {
    let numbers: Option<Vec<T>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers.and_then(|n| n.try_into().ok()).ok_or_else(|| format!("'{text}' is not three numbers such as 56,64,48"))
}
