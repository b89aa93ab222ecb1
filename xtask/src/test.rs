//! `cargo xtask test`: every check there is, part by part, with one summary at the end. A failing check does not hide
//! the ones after it.
//!
//! The browser's code is tested natively (it is pure but for `viewer::gl` and `annotate::journal`) and as WASM by the
//! Playwright specs, in a real Chromium against the real server: a second WASM test runner would need a chromedriver of
//! the very version of that Chromium.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::process;
use crate::project::Project;
use crate::setup::{self, Need, find_chromium};
use crate::tally::{Reasons, Tally};

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these parts; all if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// A group of checks that need the same tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// rustfmt, clippy, all Rust tests.
    Rust,
    /// The client as WASM.
    Wasm,
    /// ruff and pytest of `models/`, and predictions against nnU-Net's.
    Python,
    /// TypeScript's checks and the Playwright specs.
    E2e,
}

impl Part {
    const ALL: [Part; 4] = [Part::Rust, Part::Wasm, Part::Python, Part::E2e];

    fn name(self) -> &'static str {
        match self {
            Part::Rust => "rust",
            Part::Wasm => "wasm",
            Part::Python => "python",
            Part::E2e => "e2e",
        }
    }

    fn needs(self) -> &'static [Need] {
        match self {
            Part::Rust => &[Need::Libtorch],
            Part::Wasm => &[Need::Wasm],
            Part::Python => &[Need::Libtorch, Need::Python],
            Part::E2e => Need::ALL,
        }
    }
}

/// One command of a part.
struct Step {
    part: Part,
    name: &'static str,
    command: Command,
    /// The rest of the part is pointless without it.
    stops: bool,
}

/// How a step went.
struct Outcome {
    part: Part,
    name: &'static str,
    tally: Tally,
    skipped_for: Reasons,
    elapsed: Duration,
    note: &'static str,
}

/// Sets up and runs the chosen parts.
pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let parts: Vec<Part> =
        Part::ALL.into_iter().filter(|part| args.parts.is_empty() || args.parts.contains(part)).collect();
    let started = Instant::now();
    let needs: Vec<Need> = parts.iter().flat_map(|part| part.needs()).copied().collect();
    setup::run(project, &needs)?;
    let setup_elapsed = started.elapsed();
    let outcomes = perform(steps(project, &parts, &[]));
    Ok(summarise(&outcomes, setup_elapsed, started.elapsed()))
}

/// Sets up and runs the Playwright specs alone.
pub(crate) fn run_e2e(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    let started = Instant::now();
    setup::run(project, Part::E2e.needs())?;
    let setup_elapsed = started.elapsed();
    let outcomes = perform(steps(project, &[Part::E2e], arguments));
    Ok(summarise(&outcomes, setup_elapsed, started.elapsed()))
}

fn steps(project: &Project, parts: &[Part], playwright: &[String]) -> Vec<Step> {
    let mut steps = Vec::new();
    for &part in parts {
        let mut add = |name, stops, command| steps.push(Step { part, name, command, stops });
        match part {
            Part::Rust => {
                add("formatting", false, with(project.cargo("fmt"), &["--all", "--check"]));
                let built = &["--workspace", "--all-targets", "--no-run"];
                add("clippy", false, linted(project, with(project.cargo("test"), built)));
                add("tests", false, linted(project, with(project.cargo("test"), &["--workspace", "--no-fail-fast"])));
                // On the program that the tests have built.
                let mut chaos = with(project.cargo("xtask"), &["chaos"]);
                chaos.env("I3DEEP_BIN", project.binary("debug"));
                add("chaos", false, chaos);
            }
            Part::Wasm => add("build of the client", true, trunk_build(project)),
            Part::Python => {
                let models = project.root.join("models");
                let mut ruff = project.tool(project.venv().join("bin/ruff"));
                ruff.current_dir(&models).args(["check", "."]);
                add("ruff", false, ruff);
                let mut pytest = project.python();
                pytest.current_dir(&models).args(["-m", "pytest", "-q", "-rs"]);
                add("tests", false, pytest);
                build_server(project, parts, &mut add);
                let mut parity = project.python();
                parity.current_dir(&models).args(["-W", "ignore", "-m", "i3deep_models", "parity", "--random-only"]);
                // One thread: threads that wait for each other on a busy machine take minutes for networks this small.
                parity.env("I3DEEP_BIN", project.binary("debug")).env("I3DEEP_PARITY_THREADS", "1");
                add("parity with nnU-Net", false, parity);
                let mut card = project.python();
                card.current_dir(&models).args(["-W", "ignore", "-m", "i3deep_models.parity.card"]);
                card.args(["--device", "cpu", "--small"]).env("I3DEEP_BIN", project.binary("debug"));
                add("the card's script", false, card);
            }
            Part::E2e => {
                if !parts.contains(&Part::Wasm) {
                    add("build of the client", true, trunk_build(project));
                }
                build_server(project, parts, &mut add);
                add("TypeScript", false, with(project.npm("npx"), &["--no-install", "tsc", "--noEmit"]));
                let mut specs = with(project.npm("npx"), &["--no-install", "playwright", "test"]);
                specs
                    .args(playwright)
                    .env("I3DEEP_BIN", project.binary("debug"))
                    .env("I3DEEP_CLIENT", project.client());
                specs.env("CHROMIUM", find_chromium().unwrap_or_default());
                add("specs", false, specs);
            }
        }
    }
    steps
}

/// Has clippy's driver compile the workspace's crates, as `cargo clippy -- -D warnings` has it check them: what was
/// linted is what is tested, and dependencies are compiled once, not also checked once.
fn linted(project: &Project, mut command: Command) -> Command {
    // Beside the compiler, whether rustup manages it or not.
    let sysroot = process::output(project.tool("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    command.env("RUSTC_WORKSPACE_WRAPPER", Path::new(sysroot.trim()).join("bin").join("clippy-driver"));
    // How cargo-clippy hands arguments on: this word follows each.
    command.env("CLIPPY_ARGS", ["-D", "warnings", ""].join("__CLIPPY_HACKERY__"));
    command
}

/// The program that later checks run; the Rust tests have built it, if they ran. With the whole workspace, as they do:
/// alone, its crates get other features and most are compiled again.
fn build_server(project: &Project, parts: &[Part], add: &mut impl FnMut(&'static str, bool, Command)) {
    if !parts.contains(&Part::Rust) {
        let programs = ["--workspace", "--bin", "i3deep", "--bin", "i3deep-worker"];
        add("build of the server", true, with(project.cargo("build"), &programs));
    }
}

/// Builds the client into `dist/`, as the demo serves it.
pub(crate) fn trunk_build(project: &Project) -> Command {
    let mut trunk = project.tool("trunk");
    // Trunk takes NO_COLOR=1 for a malformed value of one of its options.
    trunk.args(["build", "--release", "--locked", "--offline=true", "--skip-version-check"]).env_remove("NO_COLOR");
    trunk
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn perform(steps: Vec<Step>) -> Vec<Outcome> {
    let mut stopped = None;
    let mut outcomes = Vec::new();
    for Step { part, name, mut command, stops } in steps {
        if stopped == Some(part) {
            let tally = Tally::of_check(false);
            outcomes.push(Outcome {
                part,
                name,
                tally,
                skipped_for: Reasons::default(),
                elapsed: Duration::ZERO,
                note: "not run",
            });
            continue;
        }
        println!("\n== {}: {name} ({})", part.name(), process::line(&command));
        let started = Instant::now();
        let (tally, skipped_for) = count(&mut command);
        if stops && tally.failed > 0 {
            stopped = Some(part);
        }
        outcomes.push(Outcome { part, name, tally, skipped_for, elapsed: started.elapsed(), note: "" });
    }
    outcomes
}

/// Runs a command and counts its tests; one that counts none is a single check. Notes why tests were skipped.
fn count(command: &mut Command) -> (Tally, Reasons) {
    let mut tally = Tally::default();
    let mut reasons = Reasons::default();
    let success = process::run_watching(command, |line| {
        if let Some(more) = Tally::of_line(line) {
            tally += more;
        }
        reasons.read(line);
    });
    let success = success.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        false
    });
    if tally.is_empty() || (!success && tally.failed == 0) {
        tally += Tally::of_check(success);
    }
    (tally, reasons)
}

fn summarise(outcomes: &[Outcome], setup: Duration, total: Duration) -> ExitCode {
    println!("\n{:<8} {:<22} {:>7} {:>7} {:>8} {:>9}", "part", "check", "passed", "failed", "skipped", "seconds");
    println!("{:<8} {:<22} {:>7} {:>7} {:>8} {:>9.1}", "set-up", "", "", "", "", setup.as_secs_f64());
    let mut sum = Tally::default();
    let mut reasons = Reasons::default();
    for Outcome { part, name, tally, skipped_for, elapsed, note } in outcomes {
        sum += *tally;
        reasons.join(skipped_for);
        let Tally { passed, failed, skipped } = tally;
        println!(
            "{:<8} {name:<22} {passed:>7} {failed:>7} {skipped:>8} {:>9.1} {note}",
            part.name(),
            elapsed.as_secs_f64()
        );
    }
    println!("{:<8} {:<22} {:>7} {:>7} {:>8} {:>9.1}\n", "total", "", "", "", "", total.as_secs_f64());
    reasons.lines(sum.skipped).iter().for_each(|line| println!("{line}"));
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
