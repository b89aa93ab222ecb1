//! Faults from outside the program: system calls that kill it, or fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::bed::Server;

/// Calls at which the server is killed: those that a save passes, and the mark beside the database.
pub(crate) const KILLS: [&str; 4] = ["pwrite64", "fsync", "pwrite64", "rename,renameat,renameat2"];

/// Calls that fail, how, and on which file if not on all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) calls: &'static str,
    pub(crate) error: &'static str,
    pub(crate) file: Option<&'static str>,
}

impl Failure {
    const fn of(calls: &'static str, error: &'static str, file: Option<&'static str>) -> Self {
        Self { calls, error, file }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { calls, error, file } = self;
        write!(f, "{error} in {calls} of {}", file.unwrap_or("any file"))
    }
}

const LOG: Option<&str> = Some("i3deep.sqlite-wal");
const SYNC: &str = "fsync,fdatasync";
const WRITE: &str = "pwrite64";

/// A disk that fails for a while.
pub(crate) const FAILURES: [Failure; 4] = [
    Failure::of(SYNC, "EIO", None),
    Failure::of(SYNC, "ENOSPC", None),
    Failure::of(WRITE, "EIO", None),
    Failure::of(WRITE, "ENOSPC", None),
];

/// One failure in the middle of a COMMIT: its pages are written to the log, then the log is flushed.
pub(crate) const IN_A_COMMIT: [Failure; 4] = [
    Failure::of(SYNC, "EIO", LOG),
    Failure::of(SYNC, "ENOSPC", LOG),
    Failure::of(WRITE, "EIO", LOG),
    Failure::of(WRITE, "ENOSPC", LOG),
];

/// How long strace may take to have attached.
const ATTACH: Duration = Duration::from_millis(300);

/// What strace writes behind a call that it made fail.
const STRUCK: &str = "(INJECTED)";

/// A fault that lasts until it is ended.
pub(crate) struct Injection {
    strace: Child,
    /// The calls it has seen.
    log: PathBuf,
}

impl Injection {
    /// Kills the server when one of its threads makes a call for the n-th time.
    pub(crate) fn kill(server: &Server, data: &Path, call: &str, n: u64) -> Result<Self> {
        Self::attach(server, data, call, &format!("{call}:signal=KILL:when={n}"), None)
    }

    /// Makes calls fail until it is ended, or only the n-th of a thread.
    pub(crate) fn fail(server: &Server, data: &Path, failure: &Failure, only: Option<u64>) -> Result<Self> {
        let Failure { calls, error, file } = failure;
        let when = only.map_or(String::new(), |n| format!(":when={n}"));
        Self::attach(server, data, calls, &format!("{calls}:error={error}{when}"), *file)
    }

    fn attach(server: &Server, data: &Path, calls: &str, fault: &str, file: Option<&str>) -> Result<Self> {
        let log = data.with_extension("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(&log);
        strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={fault}")]);
        if let Some(file) = file {
            strace.arg("-P").arg(data.join(file));
        }
        strace.args(["-p", &server.id().to_string()]);
        let strace = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let strace = strace.spawn().context("cannot start strace")?;
        sleep(ATTACH);
        Ok(Self { strace, log })
    }

    /// Whether a call has failed already.
    pub(crate) fn has_struck(&self) -> Result<bool> {
        Ok(fs::read_to_string(&self.log)?.contains(STRUCK))
    }

    /// Lets the server go.
    pub(crate) fn end(mut self) {
        detach(&mut self.strace);
    }
}

fn detach(strace: &mut Child) {
    // It detaches when it is asked to; killed, it would leave the server stopped. It has ended already if the server
    // has.
    let _ = Command::new("kill").arg(strace.id().to_string()).stderr(Stdio::null()).status();
    let _ = strace.wait();
}

/// Why faults cannot be injected here, if so.
pub(crate) fn unavailable(server: &Server) -> Option<String> {
    let mut attach = Command::new("strace");
    attach
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "-p", &server.id().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = attach.spawn() else { return Some("strace is not installed".into()) };
    sleep(ATTACH);
    if matches!(child.try_wait(), Ok(Some(_))) {
        return Some("strace may not attach to a process here".into());
    }
    detach(&mut child);
    None
}
