//! Where things lie, and how the tools are called: the one place that knows paths and environment variables.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Written last into what is installed; what lacks it was interrupted.
pub(crate) const COMPLETE: &str = "i3deep-complete";

/// The variables by which the tests are told of other programs, and where these lie among the installed ones: a Python,
/// and OHIF's files.
pub(crate) const PEERS: [(&str, &str); 2] = [("I3DEEP_PEERS", "venv/bin/python"), ("I3DEEP_OHIF", "ohif/package/dist")];

/// The clone this command runs in, and the user's cache beside it.
#[derive(Debug)]
pub(crate) struct Project {
    /// Workspace root.
    pub(crate) root: PathBuf,
    /// `$XDG_CACHE_HOME/i3deep` or `~/.cache/i3deep`: what several clones share.
    pub(crate) cache: PathBuf,
}

impl Project {
    /// Finds the workspace from where this crate was built and the cache from the environment.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?.to_owned();
        let cache = match env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
            Some(cache) => PathBuf::from(cache),
            None => PathBuf::from(
                env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set: nowhere to keep tools")?,
            )
            .join(".cache"),
        };
        Ok(Self { root, cache: cache.join("i3deep") })
    }

    /// Where `cargo install` puts trunk and wasm-bindgen.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// The project's Python environment.
    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The libtorch of the project's Python environment; `.cargo/config.toml` names the same path.
    pub(crate) fn venv_libtorch(&self) -> PathBuf {
        self.venv().join("torch")
    }

    /// The pinned list of what reads and writes DICOM beside i3Deep.
    pub(crate) fn peers_list(&self) -> PathBuf {
        self.root.join("backend/tests/peers.txt")
    }

    /// Where these are installed, if they are: an environment of their own, named by what is pinned.
    pub(crate) fn peers(&self) -> PathBuf {
        let list = fs::read(self.peers_list()).unwrap_or_default();
        let digest: String = Sha256::digest(list).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        self.cache.join(format!("peers-{digest}"))
    }

    /// The `LIBTORCH` that the user chose, if any. Cargo sets the variable for us from `.cargo/config.toml`, which is
    /// no choice.
    pub(crate) fn user_libtorch(&self) -> Option<PathBuf> {
        env::var_os("LIBTORCH").map(PathBuf::from).filter(|path| *path != self.venv_libtorch())
    }

    /// Where the client is built to.
    pub(crate) fn client(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), |target| self.root.join(target))
    }

    /// The built `i3deep` of a profile folder (`debug`, `release`).
    pub(crate) fn binary(&self, profile: &str) -> PathBuf {
        self.target().join(profile).join(format!("i3deep{}", env::consts::EXE_SUFFIX))
    }

    /// `cargo SUBCOMMAND` in the workspace.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.tool(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg(subcommand);
        command
    }

    /// The Python of the project's environment.
    pub(crate) fn python(&self) -> Command {
        self.tool(self.venv().join("bin/python"))
    }

    /// A tool in the workspace root, with the installed tools first on PATH. Every one is told of the same peers: Cargo
    /// builds the backend anew where they change.
    pub(crate) fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", self.path());
        let peers = self.peers();
        if peers.join(COMPLETE).is_file() {
            let missing = PEERS.into_iter().filter(|(name, _)| env::var_os(name).is_none());
            command.envs(missing.map(|(name, place)| (name, peers.join(place))));
        }
        command
    }

    /// `npm`, `npx` in the folder of the browser tests; never downloads a browser.
    pub(crate) fn npm(&self, program: &str) -> Command {
        let mut command = self.tool(program);
        command.current_dir(self.root.join("e2e")).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        command
    }

    fn path(&self) -> OsString {
        let rest = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.tools().join("bin")).chain(env::split_paths(&rest));
        env::join_paths(folders).unwrap_or(rest)
    }
}
