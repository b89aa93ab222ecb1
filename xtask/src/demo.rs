//! `cargo xtask demo`: from a fresh clone to a case in the browser.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;
use crate::project::Project;
use crate::scans::{self, Scan};
use crate::server::{self, Server};
use crate::setup::{self, Need};
use crate::test::trunk_build;

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Real scans instead of a generated one: a folder in nnU-Net's raw layout, or with plain NIfTI files.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Model bundle for the scans. Default: `phantom` for generated scans, else the first other one with as many
    /// channels as the scans.
    #[arg(long, value_name = "NAME")]
    bundle: Option<String>,
    /// Import at most this many scans.
    #[arg(long, value_name = "N", default_value_t = 3)]
    limit: usize,
    /// Where the server listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Where cases are kept. Default: target/demo/data.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The bundle that is trained on generated scans and fits no others.
const PHANTOM: &str = "phantom";

/// Sets up, builds, serves, imports; returns when the server stops.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    server::check_free(args.bind)?;
    let real = args.images.as_deref().map(scans::find).transpose()?;
    setup::run(project, &[Need::Libtorch, Need::Wasm])?;
    build(project)?;
    let generated = real.is_none();
    let scans = real.map_or_else(|| generate(project), Ok)?;

    let data = args.data.clone().unwrap_or_else(|| project.target().join("demo/data"));
    let mut command = project.tool(project.binary("release"));
    command.arg("serve").args(["--bind", &args.bind.to_string()]);
    command
        .arg("--data")
        .arg(&data)
        .arg("--models")
        .arg(project.root.join("models"))
        .arg("--client")
        .arg(project.client());
    let server = Server::start(&mut command, args.bind)?;
    import(&server, &scans, args, generated)?;
    println!("\nOpen {} in a browser. Ctrl-C stops the server; the cases stay in {}.", server.url(), data.display());
    server.wait()
}

fn build(project: &Project) -> Result<()> {
    println!("[demo] building the client and the server: 10 to 20 minutes the first time on two cores, then seconds");
    process::run(&mut trunk_build(project)).context("the client does not build")?;
    process::run(project.cargo("build").args(["--release", "--package", "backend"]))
        .context("the server does not build")
}

/// One generated scan that no bundle was trained on (another seed).
fn generate(project: &Project) -> Result<Vec<Scan>> {
    let folder = project.target().join("demo/scans");
    if !folder.join("dataset.json").is_file() {
        let mut phantom = project.tool(project.binary("release"));
        process::run(phantom.args(["phantom", "--cases", "1", "--seed", "20260101", "--out"]).arg(&folder))?;
    }
    scans::find(&folder)
}

/// Imports the scans that the server does not have yet.
fn import(server: &Server, scans: &[Scan], args: &Args, generated: bool) -> Result<()> {
    let bundles = server.get("/api/bundles")?;
    let present = server.get("/api/cases")?;
    let has = |name: &str| present.as_array().is_some_and(|cases| cases.iter().any(|case| case["name"] == name));
    for scan in scans.iter().take(args.limit).filter(|scan| !has(&scan.name)) {
        let bundle = match (&args.bundle, generated) {
            (Some(bundle), _) => bundle,
            (None, true) => PHANTOM,
            (None, false) => fitting(&bundles, scan.channels.len())?,
        };
        server.import(scan, bundle)?;
        println!("[demo] {} is a case now; the bundle `{bundle}` segments it", scan.name);
    }
    if scans.len() > args.limit {
        println!("[demo] {} of {} scans were imported; --limit N changes that", args.limit, scans.len());
    }
    Ok(())
}

/// The first usable bundle for real scans with this many channels.
fn fitting(bundles: &Value, channels: usize) -> Result<&str> {
    let usable = |bundle: &&Value| bundle["problem"].is_null() && bundle["name"] != PHANTOM;
    let fits = |bundle: &&Value| bundle["channels"].as_array().is_some_and(|names| names.len() == channels);
    let found = bundles.as_array().into_iter().flatten().filter(usable).find(fits);
    match found.and_then(|bundle| bundle["name"].as_str()) {
        Some(name) => Ok(name),
        None => bail!(
            "no bundle in models/ takes scans of {channels} channel(s). README.md says how to make one from an \
             nnU-Net; --bundle NAME chooses"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_usable_bundle_with_as_many_channels_is_chosen() {
        let bundles = json!([
            { "name": "broken", "channels": ["MRI"], "problem": "the file plans.json is missing" },
            { "name": "brats", "channels": ["T1", "T2"], "problem": null },
            { "name": "phantom", "channels": ["MRI"], "problem": null },
            { "name": "hippocampus", "channels": ["MRI"], "problem": null },
        ]);
        assert_eq!(fitting(&bundles, 1).unwrap(), "hippocampus");
        assert_eq!(fitting(&bundles, 2).unwrap(), "brats");
        assert!(fitting(&bundles, 3).unwrap_err().to_string().contains("3 channel"));
    }
}
