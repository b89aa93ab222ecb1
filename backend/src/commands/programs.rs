//! The two programs, which lie beside each other: `i3deep`, and what it becomes for commands that run networks.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Error, Result, anyhow, ensure};

/// The program that people start.
pub(super) const SERVER: &str = "i3deep";
/// The program that has libtorch.
pub(super) const NETWORKS: &str = "i3deep-worker";

/// One of the two, by its name.
///
/// # Errors
/// If it is not there.
pub(super) fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let program = own.with_file_name(name);
    ensure!(
        program.is_file(),
        "{name} does not lie beside this program, in {}; the two belong together: install both, of one version",
        own.parent().unwrap_or(&own).display()
    );
    Ok(program)
}

/// Becomes the program that runs networks, with the same arguments; an answer says why not.
pub(super) fn hand_over() -> Error {
    let program = match beside(NETWORKS) {
        Ok(program) => program,
        Err(error) => return error,
    };
    // Words about arguments name the program that people have started.
    let error = Command::new(&program).arg0(SERVER).args(std::env::args_os().skip(1)).exec();
    Error::from(error).context(format!("cannot start {}", program.display()))
}

/// For commands of the other program.
pub(super) fn not_here() -> Error {
    anyhow!("this is a command of {SERVER}, which lies beside this program")
}
