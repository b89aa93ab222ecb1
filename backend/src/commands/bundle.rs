//! `i3deep bundle list | inspect | verify | create | install`: what is installed, what it can do, whether it is whole;
//! and new ones from trained folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::outputs::{Files, shown};
use crate::bundle::create::{Parts, create};
use crate::bundle::install::{Content, unpack};
use crate::bundle::method::Samples;
use crate::bundle::plans::{Choice, EngineKind};
use crate::bundle::{Bundle, BundleManifest, Refinement, folders};
use crate::scan_io::Intensities;
use crate::tasks::open_bundle;

/// Arguments of `i3deep bundle`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: BundleCommand,
}

#[derive(Debug, clap::Subcommand)]
enum BundleCommand {
    /// List the bundles in a folder, each compared with its digests.
    List {
        /// Folder of bundles.
        #[arg(long, value_name = "DIR", default_value = "models")]
        models: PathBuf,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Say what a bundle segments and how.
    Inspect {
        /// The bundle.
        folder: PathBuf,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Make a bundle from folders that nnU-Net trained.
    Create(CreateArgs),
    /// Install a model that came as one file: what nnUNetv2_export_model_to_zip writes, or a zipped bundle.
    Install(InstallArgs),
    /// Compare every file with its digest.
    Verify {
        /// The bundle.
        folder: PathBuf,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

/// What is made of trained folders.
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Folder that nnU-Net trained: nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION.
    #[arg(long, value_name = "DIR")]
    presegmentation: PathBuf,
    /// Trained folder of a refinement network, which takes corrections as channels. Without, the presegmentation
    /// network learns from each case's corrections.
    #[arg(long, value_name = "DIR")]
    refinement: Option<PathBuf>,
    /// The bundle's folder; must not exist.
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
    /// Folds of both; default: all that were trained.
    #[arg(short = 'f', value_name = "FOLD", num_args = 1..)]
    folds: Vec<String>,
    /// Checkpoint of both, such as checkpoint_best.pth.
    #[arg(long = "chk", value_name = "NAME")]
    checkpoint: Option<String>,
    #[command(flatten)]
    words: Words,
}

/// What a bundle says of itself.
#[derive(Debug, clap::Args)]
struct Words {
    /// Its name; default: its folder's.
    #[arg(long)]
    name: Option<String>,
    /// Its version.
    #[arg(long, default_value = "1.0.0")]
    version: String,
    /// What it segments; default: the dataset's name.
    #[arg(long)]
    task: Option<String>,
    /// Licence of the weights.
    #[arg(long, default_value = "not stated")]
    licence: String,
    /// What it was trained on; default: the dataset's name.
    #[arg(long)]
    training_data: Option<String>,
    /// Within this distance of a corrected plane, in mm, labels pass over to the correction.
    #[arg(long, value_name = "MM", value_parser = super::parse_distance, default_value = "0")]
    blend_mm: f64,
    /// What labels are in coded words, for DICOM SEGs: a file in JSON, {"NAME": {"type": {"scheme": "SCT", "value": …,
    /// "meaning": …}, "modifier": {…}, "category": {…}}}.
    #[arg(long, value_name = "FILE")]
    codes: Option<PathBuf>,
    /// The networks take PET as standardised uptake by body weight (SUVbw): DICOM series of PET are turned into it,
    /// slice by slice, decay counted from the injection; one that lacks an attribute for it is refused by the
    /// attribute's name. Other files are taken for what they are.
    #[arg(long)]
    pet_suv: bool,
}

#[derive(Debug, clap::Args)]
struct InstallArgs {
    /// The zip file.
    file: PathBuf,
    /// Folder of bundles.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// Which of several configurations becomes the bundle: the name of its folder, or a part of it such as 3d_fullres.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    #[command(flatten)]
    words: Words,
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        BundleCommand::Create(args) => create_bundle(args),
        BundleCommand::Install(args) => install(args),
        BundleCommand::List { models, json } => list(models, *json),
        BundleCommand::Inspect { folder, json } => inspect(folder, *json),
        BundleCommand::Verify { folder, json } => verify(folder, *json),
    }
}

fn verify(folder: &Path, as_json: bool) -> Result<()> {
    let BundleManifest { name, files, .. } = open_bundle(folder)?.manifest;
    if as_json {
        println!("{}", json!({ "name": name, "files": files.len() }));
    } else {
        println!("{name}: {} files are as bundled", files.len());
    }
    Ok(())
}

fn create_bundle(args: &CreateArgs) -> Result<()> {
    let mut files = Files::default();
    files.reads_folder("the presegmentation network", &args.presegmentation);
    args.refinement.iter().for_each(|folder| files.reads_folder("the refinement network", folder));
    files.makes_folder("-o", &args.out);
    files.check()?;
    let parts = Parts {
        presegmentation: args.presegmentation.clone(),
        refinement: args.refinement.clone(),
        choice: Choice { folds: args.folds.clone(), checkpoint: args.checkpoint.clone() },
        ..parts(&args.words, &args.out)?
    };
    said(&create(&parts, &args.out)?);
    Ok(())
}

/// What a bundle is made of, but for its networks.
fn parts(words: &Words, out: &Path) -> Result<Parts> {
    let folder = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let codes = match &words.codes {
        None => BTreeMap::new(),
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", shown(file)))?;
            serde_json::from_str(&text).with_context(|| format!("{} is no list of codes by label", shown(file)))?
        }
    };
    Ok(Parts {
        presegmentation: PathBuf::new(),
        refinement: None,
        choice: Choice::default(),
        name: words.name.clone().unwrap_or(folder),
        version: words.version.clone(),
        task: words.task.clone(),
        licence: words.licence.clone(),
        training_data: words.training_data.clone(),
        blend_mm: words.blend_mm,
        codes,
        pet: Intensities::of(words.pet_suv),
    })
}

fn said(bundle: &Bundle) {
    let BundleManifest { name, version, refinement, .. } = &bundle.manifest;
    let refines = match refinement {
        Refinement::Network => "a refinement network",
        Refinement::Adaptation => "adaptation: the presegmentation network learns from each case's corrections",
    };
    println!(
        "{name} {version} in {}: {} fold(s); refines by {refines}",
        shown(&bundle.folder),
        bundle.presegmentation.manifest.folds.len()
    );
}

/// Unpacks beside the bundles, so that what is good is moved, not copied.
fn install(args: &InstallArgs) -> Result<()> {
    let mut files = Files::default();
    files.reads("the zip file", &args.file);
    if let Some(name) = &args.words.name {
        files.makes_folder("the bundle", &args.models.join(folder_name(name)?));
    }
    files.check()?;
    fs::create_dir_all(&args.models).with_context(|| format!("cannot create the folder {}", args.models.display()))?;
    let unpacked = args.models.join(format!(".unpacked-{}", std::process::id()));
    fs::create_dir(&unpacked).with_context(|| format!("cannot create the folder {}", unpacked.display()))?;
    let installed = unpack(&args.file, &unpacked).map_err(anyhow::Error::from).and_then(|content| match content {
        Content::Bundles(folders) => folders.iter().map(|folder| install_bundle(args, folder)).collect(),
        Content::Networks(folders) => Ok(vec![install_network(args, &folders)?]),
    });
    fs::remove_dir_all(&unpacked).with_context(|| format!("cannot remove {}", unpacked.display()))?;
    let installed: Vec<Bundle> = installed?;
    installed.iter().for_each(said);
    println!("a running server offers it as soon as the page is loaded again");
    Ok(())
}

fn install_bundle(args: &InstallArgs, folder: &Path) -> Result<Bundle> {
    let bundle = open_bundle(folder)?;
    let to = args.models.join(folder_name(args.words.name.as_deref().unwrap_or(&bundle.manifest.name))?);
    ensure!(!to.exists(), "{} exists already; give another --name, or move it away", to.display());
    fs::rename(folder, &to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(Bundle::read(&to)?)
}

fn install_network(args: &InstallArgs, folders: &[PathBuf]) -> Result<Bundle> {
    let name_of = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wanted = args.network.as_deref().unwrap_or_default();
    let fitting: Vec<&PathBuf> = folders.iter().filter(|folder| name_of(folder).contains(wanted)).collect();
    let [folder] = fitting[..] else {
        let names: Vec<String> = folders.iter().map(name_of).collect();
        bail!("{} holds {}; choose one with --network", args.file.display(), names.join(", "));
    };
    let dataset = folder.parent().map(|parent| name_of(&parent.to_owned())).filter(|name| !name.starts_with('.'));
    let name = args.words.name.clone().or(dataset).unwrap_or_else(|| name_of(folder));
    let out = args.models.join(folder_name(&name)?);
    Ok(create(&Parts { presegmentation: folder.clone(), name, ..parts(&args.words, &out)? }, &out)?)
}

/// A name that is a folder's name and nothing else.
fn folder_name(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    ensure!(
        !name.is_empty() && !name.starts_with('.') && name.chars().all(plain),
        "'{name}' is no name for a folder; give one with --name"
    );
    Ok(name)
}

fn list(models: &Path, as_json: bool) -> Result<()> {
    let mut rows = Vec::new();
    for folder in folders(models).with_context(|| format!("cannot read the folder {}", models.display()))? {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        rows.push(match Bundle::read(&folder).and_then(|bundle| bundle.verify().map(|()| bundle)) {
            Ok(bundle) => {
                json!({"name": name, "version": bundle.manifest.version, "task": bundle.manifest.task, "problem": null})
            }
            Err(error) => json!({"name": name, "version": null, "task": null, "problem": error.to_string()}),
        });
    }
    if rows.is_empty() {
        bail!("{} holds no bundles", models.display());
    }
    if as_json {
        println!("{}", serde_json::Value::from(rows));
        return Ok(());
    }
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        match row["problem"].as_str() {
            None => println!("{}  {}  {}", text("name"), text("version"), text("task")),
            Some(problem) => println!("{}  cannot be used: {problem}", text("name")),
        }
    }
    Ok(())
}

fn inspect(folder: &Path, as_json: bool) -> Result<()> {
    let bundle = Bundle::read(folder).with_context(|| format!("the bundle {}", folder.display()))?;
    let manifest = &bundle.manifest;
    let network = &bundle.presegmentation.manifest;
    let methods = uncertainty_methods(&bundle);
    if as_json {
        println!("{}", serde_json::to_string(&json!({"manifest": manifest, "uncertainty_methods": methods}))?);
        return Ok(());
    }
    println!("{} {} — {}", manifest.name, manifest.version, manifest.task);
    println!("channels      {}", manifest.channels.join(", "));
    let labels: Vec<String> = manifest.labels.0.iter().map(|label| format!("{} {}", label.value, label.name)).collect();
    println!("labels        {}", labels.join(", "));
    for &stage in bundle.stages() {
        let plan = bundle.plan(stage);
        println!(
            "{:<13} {}, {} fold(s), patch {:?}, spacing {:?} mm, {} input channels",
            stage.folder(),
            engine_name(plan.manifest.engine),
            plan.manifest.folds.len(),
            plan.patch_size,
            plan.spacing_mm,
            plan.manifest.input_channels
        );
    }
    if bundle.refinement.is_none() {
        println!("refinement    adaptation of the presegmentation network to each case's corrections");
    }
    println!("uncertainty   {}; samples: {}", bundle.uncertainty(), methods.join(", "));
    if manifest.pet == Intensities::SuvBw {
        println!("PET           standardised uptake by body weight, computed from DICOM series");
    }
    println!("blending      {} mm beside a corrected slice", manifest.blend_mm);
    if !network.torch_version.is_empty() {
        println!("torch         {}", network.torch_version);
    }
    println!("licence       {}", manifest.licence);
    println!("training data {}", manifest.training_data);
    Ok(())
}

fn engine_name(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::TorchScript => "TorchScript",
        EngineKind::Native => "native",
    }
}

/// Where samples for the uncertainty can come from, as `--uncertainty` names them; they may be joined by `+`.
fn uncertainty_methods(bundle: &Bundle) -> Vec<String> {
    let network = &bundle.presegmentation.manifest;
    let count = |samples: &str| samples.parse().map_or(0, |samples: Samples| samples.count(&bundle.presegmentation));
    let mut methods = vec!["single (one pass)".to_owned()];
    if network.folds.len() > 1 {
        methods.push(format!("folds (ensemble, {})", count("folds")));
    }
    if count("mirrors") > 1 {
        methods.push(format!("mirrors (test-time augmentation, {})", count("mirrors")));
    }
    if network.dropout {
        methods.push("dropout:N (Monte-Carlo dropout, N passes)".to_owned());
    }
    methods
}
