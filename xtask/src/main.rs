//! The commands of the README: they set up what is missing, then call cargo, trunk, pytest, Playwright. No product
//! code.

mod project;
mod chaos;
mod fuzz;
mod load;
mod process;
mod setup;
mod tally;
mod test;
mod demo;
mod server;
mod scans;
#[cfg(test)]
mod laws;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use project::Project;
use setup::Need;

/// Set-up and commands of i3Deep. Everything is pinned, installed once and reused.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up, build, start the server with a demo scan (or your own scans), and say what to open.
    Demo(demo::Args),
    /// Set up and run every test: Rust, WASM, Python, Playwright in a real Chromium.
    Test(test::Args),
    /// Only the Playwright specs; arguments after `--` go to Playwright.
    E2e {
        /// Arguments of `playwright test`, such as `--headed`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Install what the other commands need, and nothing else.
    Setup,
    /// Install what reads and writes DICOM beside i3Deep (highdicom, dcmqi, dciodvfy, MONAI Label's client, OHIF): the
    /// tests that need them run from then on.
    Peers,
    /// Kill the server at any moment and let its disk fail beside people who save; nothing acknowledged may be lost.
    Chaos(chaos::Args),
    /// Let a fuzzer make up files for the readers of what others bring.
    Fuzz(fuzz::Args),
    /// Measure how soon saves are acknowledged while many people paint.
    Load(load::Args),
    /// Measure speed: criterion for the pure parts, whole processes against Python nnU-Net.
    Bench {
        /// Only this, which is not measured otherwise.
        #[arg(value_enum)]
        part: Option<Part>,
        /// Arguments of `cargo bench`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Compare predictions with Python nnU-Net, voxel by voxel.
    Parity {
        /// Arguments of the Python driver.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

/// What is measured apart.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    /// A scan of real size in a browser without a graphics card, over a hospital's line.
    Viewer,
    /// How soon a series of real size comes from Orthanc, beside Orthanc's own time for it.
    Pacs,
}

fn main() -> ExitCode {
    match Project::find().and_then(|project| run(&project, Cli::parse().command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(project: &Project, command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(project, &args)?,
        Command::Test(args) => return test::run(project, &args),
        Command::E2e { arguments } => return test::run_e2e(project, &arguments),
        Command::Setup => setup::run(project, Need::ALL)?,
        Command::Peers => setup::set_up_peers(project)?,
        Command::Load(args) => load::run(project, &args)?,
        Command::Chaos(args) => chaos::run(project, &args)?,
        Command::Fuzz(args) => fuzz::run(project, &args)?,
        Command::Bench { part: Some(Part::Viewer), .. } => bench_spec(project, "viewer")?,
        Command::Bench { part: Some(Part::Pacs), .. } => bench_spec(project, "pacs")?,
        Command::Bench { part: None, arguments } => bench(project, &arguments)?,
        Command::Parity { arguments } => {
            compare(project, "parity", &arguments)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Criterion's benchmarks of the pure parts, then whole processes against Python nnU-Net.
fn bench(project: &Project, arguments: &[String]) -> Result<()> {
    setup::run(project, &[Need::Libtorch, Need::Python])?;
    process::run(project.cargo("bench").args(["--package", "backend", "--bench", "pure"]).args(arguments))?;
    process::run(project.cargo("build").args(["--release", "--package", "backend", "--example", "stages"]))?;
    compare(project, "bench", &[])
}

/// One of `e2e/bench`; the release build, as people run it.
fn bench_spec(project: &Project, spec: &str) -> Result<()> {
    setup::run(project, Need::ALL)?;
    process::run(&mut test::trunk_build(project))?;
    process::run(project.cargo("build").args(["--release", "--package", "backend"]))?;
    let mut playwright = project.npm("npx");
    playwright.args(["--no-install", "playwright", "test", "--config", "bench/playwright.config.ts", spec]);
    playwright.env("I3DEEP_BIN", project.binary("release")).env("I3DEEP_CLIENT", project.client());
    process::run(playwright.env("CHROMIUM", setup::find_chromium().unwrap_or_default()))
}

/// Runs a command of the Python package that compares the release build with Python nnU-Net.
fn compare(project: &Project, command: &str, arguments: &[String]) -> Result<()> {
    setup::run(project, &[Need::Libtorch, Need::Python])?;
    process::run(project.cargo("build").args(["--release", "--package", "backend"]))?;
    let mut python = project.python();
    python.current_dir(project.root.join("models")).args(["-m", "i3deep_models", command]).args(arguments);
    process::run(python.env("I3DEEP_BIN", project.binary("release")))
}
