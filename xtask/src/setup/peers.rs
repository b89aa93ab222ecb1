//! What reads and writes DICOM beside i3Deep, for the tests that ask it: Python packages in an environment of their
//! own, pinned by `backend/tests/peers.txt`, and a built OHIF that knows LABELMAP. Nothing else needs them.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{python, say};
use crate::process;
use crate::project::{COMPLETE, PEERS, Project};

/// OHIF as it is published. An older one is in the package `monailabel`.
const OHIF: &str = "@ohif/app@3.13.2";

/// Installs them, unless they are there; what was interrupted begins anew.
pub(crate) fn set_up(project: &Project) -> Result<()> {
    let (home, started) = (project.peers(), Instant::now());
    if !home.join(COMPLETE).is_file() {
        install(project, &home)?;
    }
    for (name, place) in PEERS {
        println!("{name}={}", home.join(place).display());
    }
    say(&format!("ready ({:.0} s): cargo xtask test rust e2e asks them", started.elapsed().as_secs_f64()));
    Ok(())
}

fn install(project: &Project, home: &Path) -> Result<()> {
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("cannot remove the unfinished {}", home.display()))?;
    }
    let ohif = home.join("ohif");
    fs::create_dir_all(&ohif).with_context(|| format!("cannot create {}", ohif.display()))?;
    say("installing the programs that DICOM is tested with: about 270 MB to download, a minute");
    python::make_venv(project, &python::find_python(project)?, &home.join("venv"))?;
    let mut pip = project.tool(home.join("venv/bin/python"));
    // The list names all that is needed; MONAI Label itself asks for torch, its client does not.
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
    process::run(pip.arg(project.peers_list())).context(
        "cannot install the Python packages: they are for Python 3.11 and 3.12 (`PYTHON` names another one), and come \
         from the Python package index",
    )?;
    let mut pack = project.npm("npm");
    pack.args(["pack", OHIF, "--loglevel=error", "--pack-destination"]).arg(&ohif);
    process::run(&mut pack).context("cannot fetch OHIF. It comes from the npm registry: is the network there?")?;
    unpack(project, &ohif)?;
    fs::write(home.join(COMPLETE), "").context("cannot finish the programs' folder")
}

/// Unpacks the one archive of a folder, and removes it.
fn unpack(project: &Project, folder: &Path) -> Result<()> {
    let archives = fs::read_dir(folder).context("cannot list what npm has fetched")?.flatten();
    let archive = archives.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|it| it == "tgz"));
    let archive = archive.context("npm has fetched no archive")?;
    process::run(project.tool("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder)).context("cannot unpack OHIF")?;
    fs::remove_file(&archive).context("cannot remove OHIF's archive")
}
