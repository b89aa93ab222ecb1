//! What the Playwright specs need: Node, the locked npm packages, and a Chromium that is already there (Playwright's
//! own is never downloaded).

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::{say, version_in};
use crate::process;
use crate::project::Project;

const OLDEST_NODE: u32 = 20;

/// Names that distributions give Chromium and its relatives, best first.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Checks Node, installs the packages, finds or installs Chromium.
pub(crate) fn set_up(project: &Project) -> Result<()> {
    check_node(project)?;
    install_packages(project)?;
    if find_chromium().is_none() {
        install_chromium(project)?;
    }
    Ok(())
}

/// The browser: `$CHROMIUM`, or the first known name on PATH.
pub(crate) fn find_chromium() -> Option<PathBuf> {
    if let Some(chosen) = env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(chosen));
    }
    let path = env::var_os("PATH")?;
    NAMES.iter().find_map(|name| env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()))
}

/// Node, new enough.
pub(super) fn check_node(project: &Project) -> Result<()> {
    let Some(text) = process::output(project.tool("node").arg("--version")) else {
        bail!(
            "Node {OLDEST_NODE} or newer is needed for the browser's side and its tests, and `node` is not on PATH.\n\
             Install it, then run this command again"
        );
    };
    let major = version_in(&text).and_then(|version| version.first().copied()).unwrap_or(0);
    ensure!(
        major >= OLDEST_NODE,
        "Node {OLDEST_NODE} or newer is needed for the browser's side and its tests; `node` is {text}.\n\
         Install a newer one"
    );
    Ok(())
}

/// `npm ci`, unless the packages of this very lock file are there.
fn install_packages(project: &Project) -> Result<()> {
    let folder = project.root.join("e2e");
    let lock = fs::read(folder.join("package-lock.json")).context("cannot read e2e/package-lock.json")?;
    let installed = folder.join("node_modules/.i3deep-lock");
    if fs::read(&installed).is_ok_and(|old| old == lock) {
        return Ok(());
    }
    say("installing the packages of the browser tests (npm ci): about 10 seconds");
    process::run(project.npm("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))
        .context("cannot install the npm packages. They come from the npm registry: is the network there?")?;
    fs::write(installed, lock).context("cannot note which npm packages are installed")
}

fn install_chromium(project: &Project) -> Result<()> {
    const REMEDY: &str = "Install Chromium or Chrome so that it is on PATH, or name it in the environment variable \
                          CHROMIUM.\nTo leave the browser out: cargo xtask test rust python";
    let root = process::output(project.tool("id").arg("-u")).is_some_and(|id| id == "0");
    let apt = process::output(project.tool("apt-get").arg("--version")).is_some();
    ensure!(
        root && apt,
        "no Chromium was found, and it cannot be installed without being root on Debian or Ubuntu.\n{REMEDY}"
    );
    say("installing Chromium with apt-get: about a minute");
    let install = || -> Result<()> {
        process::run(project.tool("apt-get").args(["update", "--quiet=2"]))?;
        process::run(
            project
                .tool("apt-get")
                .args(["install", "--quiet=2", "--yes", "chromium"])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    install().context(REMEDY)?;
    ensure!(find_chromium().is_some(), "apt-get has installed no Chromium.\n{REMEDY}");
    Ok(())
}
