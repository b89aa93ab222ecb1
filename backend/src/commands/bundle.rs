//! `i3deep bundle list | inspect | verify`: what is installed, what it can do, whether it is whole.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bundle::{Bundle, BundleManifest, Stage, folders};
use crate::bundle::method::Samples;
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
    /// Compare every file with its digest.
    Verify {
        /// The bundle.
        folder: PathBuf,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of the three.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
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

fn list(models: &Path, as_json: bool) -> Result<()> {
    let mut rows = Vec::new();
    for folder in folders(models).with_context(|| format!("cannot read the folder {}", models.display()))? {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        rows.push(match Bundle::read(&folder).and_then(|bundle| bundle.verify().map(|()| bundle)) {
            Ok(bundle) => json!({"name": name, "version": bundle.manifest.version, "task": bundle.manifest.task, "problem": null}),
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
    for stage in [Stage::Presegmentation, Stage::Refinement] {
        let plan = bundle.plan(stage);
        println!(
            "{:<13} {} fold(s), patch {:?}, spacing {:?} mm, {} input channels",
            stage.folder(),
            plan.manifest.folds.len(),
            plan.patch_size,
            plan.spacing_mm,
            plan.manifest.input_channels
        );
    }
    println!("uncertainty   {}; samples: {}", bundle.uncertainty(), methods.join(", "));
    println!("blending      {} mm beside a corrected slice", manifest.blend_mm);
    println!("torch         {}", network.torch_version);
    println!("licence       {}", manifest.licence);
    println!("training data {}", manifest.training_data);
    Ok(())
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
