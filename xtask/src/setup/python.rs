//! The Python environment: torch (whose libtorch the Rust side links), nnU-Net, pytest, ruff, all pinned by
//! `models/constraints.txt`.
//!
//! It lies in the cache under a name made of what was asked for, so that clones share it; `.venv` in the project is a
//! link to it. A `.venv` that is already there is used as it is, if it holds the pinned versions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::{say, version_in};
use crate::process;
use crate::project::{COMPLETE, Project};

/// The only release of torch that the pinned `tch` is made for.
const TORCH: &str = "2.11.0";

/// What is installed; `models/constraints.txt` pins these and everything they bring.
const PACKAGES: &[&str] = &["torch", "nnunetv2", "pytest", "ruff"];

const OLDEST: [u32; 2] = [3, 10];

/// Makes sure of `.venv` and of the link `.venv/torch`.
pub(crate) fn set_up(project: &Project) -> Result<()> {
    let constraints_path = project.root.join("models/constraints.txt");
    let constraints = fs::read_to_string(&constraints_path).context("cannot read models/constraints.txt")?;
    let venv = project.venv();
    let is_ours = fs::read_link(&venv).is_ok_and(|to| to.starts_with(&project.cache));
    if !is_ours && let Ok(problem) = problem_with(project, &constraints) {
        return match problem {
            None => link_torch(&venv),
            Some(problem) => bail!(
                "the Python environment .venv is not what models/constraints.txt pins ({problem}).\nMove it away and \
                 run this command again: it makes a new one"
            ),
        };
    }
    let python = find_python(project)?;
    let home = project.cache.join(format!("venv-{}", fingerprint(&constraints, &python)));
    if !home.join(COMPLETE).is_file() {
        create(project, &python, &home, &constraints_path)?;
    }
    link(&home, &venv)?;
    link_torch(&venv)?;
    match problem_with(project, &constraints)? {
        None => Ok(()),
        Some(problem) => bail!(
            "the Python environment is incomplete ({problem}).\nDelete {} and run this command again",
            home.display()
        ),
    }
}

/// Whether the user's own `LIBTORCH` is to be used; an error if it cannot be.
pub(crate) fn check_user_libtorch(project: &Project) -> Result<bool> {
    let Some(libtorch) = project.user_libtorch() else { return Ok(false) };
    ensure!(
        libtorch.join("lib").is_dir(),
        "LIBTORCH is set to {}, which has no folder `lib`.\nPoint it to libtorch {TORCH}, or unset it to use the one \
         that the set-up installs",
        libtorch.display()
    );
    // The pip package says its version in version.py, the plain archive in build-version.
    let version = ["build-version", "version.py"].iter().find_map(|name| fs::read_to_string(libtorch.join(name)).ok());
    if let Some(version) = version {
        ensure!(
            version.contains(TORCH),
            "LIBTORCH is set to {}, which is not libtorch {TORCH}.\nPoint it to that version, or unset it to use the \
             one that the set-up installs",
            libtorch.display()
        );
    }
    say(&format!("using the libtorch that LIBTORCH names: {}", libtorch.display()));
    Ok(true)
}

fn create(project: &Project, python: &str, home: &Path, constraints: &Path) -> Result<()> {
    say(&format!(
        "making a Python environment with torch {TORCH} and nnU-Net: about 3 GB to download, 3 to 10 minutes"
    ));
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("cannot remove the unfinished {}", home.display()))?;
    }
    fs::create_dir_all(&project.cache).with_context(|| format!("cannot create {}", project.cache.display()))?;
    make_venv(project, python, home)?;
    let mut pip = project.tool(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"])
        .arg(constraints)
        .args(PACKAGES);
    process::run(&mut pip).context(
        "cannot install the Python packages. They come from the Python package index: is the network there?",
    )?;
    fs::write(home.join(COMPLETE), "").context("cannot finish the Python environment")
}

/// An environment with nothing in it.
pub(super) fn make_venv(project: &Project, python: &str, home: &Path) -> Result<()> {
    process::run(project.tool(python).args(["-m", "venv"]).arg(home)).with_context(|| {
        format!(
            "`{python} -m venv` does not work. On Debian and Ubuntu: apt-get install python3-venv; elsewhere install a \
             complete Python"
        )
    })
}

/// What the environment lacks; an error if there is none that runs.
fn problem_with(project: &Project, constraints: &str) -> Result<Option<String>> {
    const SCRIPT: &str = "
import sys
from importlib.metadata import version, PackageNotFoundError
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except PackageNotFoundError:
        print(name, 'missing')
";
    let installed =
        process::output(project.python().args(["-c", SCRIPT]).args(PACKAGES)).context("no Python environment yet")?;
    let difference = installed.lines().zip(PACKAGES).find_map(|(line, package)| {
        let pinned = pinned(constraints, package)?;
        let found = line.split_whitespace().nth(1)?.split('+').next()?;
        (found != pinned).then(|| format!("{package} is {found}, not {pinned}"))
    });
    Ok(difference)
}

fn pinned<'a>(constraints: &'a str, package: &str) -> Option<&'a str> {
    let line = constraints.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))?;
    line.split([';', ' ']).next()
}

/// `$PYTHON`, `python3` or `python`, whichever is new enough.
pub(super) fn find_python(project: &Project) -> Result<String> {
    let chosen = std::env::var("PYTHON").ok();
    let mut found = String::from("none was found");
    for python in chosen.iter().map(String::as_str).chain(["python3", "python"]) {
        let Some(text) = process::output(project.tool(python).arg("--version")) else { continue };
        if version_in(&text).is_some_and(|version| version.as_slice() >= OLDEST.as_slice()) {
            return Ok(python.to_owned());
        }
        found = format!("`{python}` is {text}");
    }
    bail!(
        "Python {}.{} or newer is needed; {found}.\nInstall one, or name it in the environment variable PYTHON",
        OLDEST[0],
        OLDEST[1]
    )
}

/// Names an environment by all that decides what is in it.
fn fingerprint(constraints: &str, python: &str) -> String {
    let version = process::output(std::process::Command::new(python).arg("--version")).unwrap_or_default();
    let digest = Sha256::digest(format!("{version}\n{PACKAGES:?}\n{constraints}"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// `.venv/torch` → the torch package, whichever Python version's folder it is in.
fn link_torch(venv: &Path) -> Result<()> {
    let torch = torch_package(venv).context("the Python environment has no torch package")?;
    let link_path = venv.join("torch");
    if link_path.join("lib").is_dir() {
        return Ok(());
    }
    link(&torch, &link_path)
}

fn torch_package(venv: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(venv.join("lib")).ok()?;
    versions.flatten().map(|entry| entry.path().join("site-packages/torch")).find(|path| path.join("lib").is_dir())
}

fn link(to: &Path, from: &Path) -> Result<()> {
    if from.is_symlink() {
        fs::remove_file(from).with_context(|| format!("cannot replace the link {}", from.display()))?;
    }
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(to, from);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_dir(to, from);
    linked.with_context(|| format!("cannot link {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_tell_versions() {
        let constraints = "pytest-cov==1.0\npytest==9.2.0\ntorch==2.11.0 ; python_version >= '3.10'\n";
        assert_eq!(pinned(constraints, "pytest"), Some("9.2.0"));
        assert_eq!(pinned(constraints, "torch"), Some("2.11.0"));
        assert_eq!(pinned(constraints, "ruff"), None);
    }
}
