//! `i3deep dataset`: the approved cases of a server as an nnU-Net dataset.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use shared::label::LabelSet;

use super::block_on;
use super::outputs::{Files, shown};
use crate::bundle::{Bundle, Stage};
use crate::scan_io::{read_scan, write_labels};
use crate::store::{self, ApprovedCase};
use crate::tasks::open_bundle;

/// Arguments of `i3deep dataset`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data folder of the server; it may be at work in it.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// The bundle that the cases were worked on with, in any version: its channels and labels.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The folder to make: imagesTr, labelsTr, dataset.json; must not exist. Cases are named by their ids, and nothing
    /// of a patient but the voxels is in it.
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
}

/// Copies scans, writes what was approved of them. The folder appears whole or not at all.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut files = Files::default();
    files.reads_folder("the data folder", &args.data);
    files.reads_folder("the bundle", &args.bundle);
    files.makes_folder("-o", &args.out);
    files.check()?;
    let bundle = open_bundle(&args.bundle)?;
    let name = &bundle.manifest.name;
    let cases = block_on(store::approved(&args.data, name))?
        .with_context(|| format!("cannot read the cases in {}", shown(&args.data)))?;
    ensure!(
        !cases.is_empty(),
        "no case of the bundle {name} in {} stands approved. A case is approved by a reviewer, in the workbench; what \
         was worked on since does not count until it is approved again",
        shown(&args.data)
    );
    let beside = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(beside)?;
    let unfinished = tempfile::Builder::new().prefix(".dataset-").tempdir_in(beside)?;
    for folder in ["imagesTr", "labelsTr"] {
        fs::create_dir(unfinished.path().join(folder))?;
    }
    for case in &cases {
        write_case(&bundle, case, unfinished.path()).with_context(|| format!("case {}", case.id))?;
    }
    let dataset = serde_json::to_vec_pretty(&dataset_json(&bundle, cases.len())?)?;
    fs::write(unfinished.path().join("dataset.json"), dataset)?;
    fs::rename(unfinished.path(), &args.out).with_context(|| format!("cannot write {}", shown(&args.out)))?;
    println!("{} approved case(s) are in {}", cases.len(), shown(&args.out));
    Ok(())
}

fn write_case(bundle: &Bundle, case: &ApprovedCase, out: &Path) -> Result<()> {
    check_task(bundle, &case.labels, case.channels())?;
    let scan = |channel: usize| out.join(format!("imagesTr/{}_{channel:04}.nii.gz", case.id));
    for channel in 0..case.channels() {
        case.copy_scan(channel, &scan(channel))?;
    }
    let labels = case.segmentation()?;
    // Labels and scan lie on one grid to the last bit of the header.
    let first = read_scan(&scan(0))?;
    ensure!(
        first.volume.geometry().dims == labels.geometry().dims,
        "its scan and its segmentation have different sizes; `i3deep verify` says what else is wrong"
    );
    Ok(write_labels(&out.join(format!("labelsTr/{}.nii.gz", case.id)), &labels, &first.origin)?)
}

/// Refuses a case of a version of the bundle that was about something else.
fn check_task(bundle: &Bundle, labels: &LabelSet, channels: usize) -> Result<()> {
    let (ours, theirs) = (bundle.manifest.channels.len(), channels);
    ensure!(ours == theirs, "it has {theirs} channel(s), the bundle takes {ours}");
    let named = |labels: &LabelSet| -> Vec<String> {
        labels.0.iter().map(|label| format!("{} {}", label.value, label.name)).collect()
    };
    let (ours, theirs) = (named(&bundle.manifest.labels), named(labels));
    ensure!(
        ours == theirs,
        "it was worked on with the labels {}, the bundle has {}; name the version of the bundle that it was worked on \
         with",
        theirs.join(", "),
        ours.join(", ")
    );
    Ok(())
}

/// What nnU-Net has to know of these cases: the bundle's channels and labels.
fn dataset_json(bundle: &Bundle, cases: usize) -> Result<Value> {
    let file = bundle.network_folder(Stage::Presegmentation).join("dataset.json");
    let text = fs::read(&file).with_context(|| format!("cannot read {}", shown(&file)))?;
    let known: Map<String, Value> = serde_json::from_slice(&text).with_context(|| shown(&file).to_string())?;
    let kept = ["channel_names", "modality", "labels", "regions_class_order"];
    let mut dataset: Map<String, Value> =
        kept.iter().filter_map(|key| Some(((*key).to_owned(), known.get(*key)?.clone()))).collect();
    dataset.insert("name".to_owned(), json!(bundle.manifest.name));
    dataset.insert("description".to_owned(), json!("approved cases of an i3Deep server"));
    dataset.insert("numTraining".to_owned(), json!(cases));
    dataset.insert("file_ending".to_owned(), json!(".nii.gz"));
    Ok(Value::Object(dataset))
}
