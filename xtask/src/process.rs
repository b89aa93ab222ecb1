//! Child processes: run to success, read what they print, or say in words why they could not run.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command with our terminal; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a command and hands every line of its standard output to `see`, after showing it.
///
/// Returns whether it succeeded.
pub(crate) fn run_watching(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n') {
            let text = String::from_utf8_lossy(&bytes?).into_owned();
            // A closed pipe is no reason to lose the tests' verdict.
            let _ = writeln!(std::io::stdout(), "{text}");
            see(&text);
        }
    }
    Ok(child.wait()?.success())
}

/// What a command prints, or nothing if it cannot run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as one would type it, without its folder and environment.
pub(crate) fn line(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Turns "not found" into a sentence that names the program.
fn cannot_start(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    match Command::new(command.get_program()).arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => format!("`{program}` is not installed or not on PATH"),
        _ => format!("cannot start `{program}`"),
    }
}
