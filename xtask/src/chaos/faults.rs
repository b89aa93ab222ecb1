//! Faults from outside the program: system calls that kill it, or fail.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::bed::Server;

/// Calls at which the server is killed: those that a save, an upload and a result pass.
pub(crate) const KILLS: [&str; 3] = ["pwrite64", "fdatasync", "fsync"];
/// Calls that fail, and how.
pub(crate) const FAILURES: [(&str, &str); 4] =
    [("fsync,fdatasync", "EIO"), ("fsync,fdatasync", "ENOSPC"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")];

/// How long strace may take to have attached.
const ATTACH: Duration = Duration::from_millis(300);

/// A fault that lasts until it is ended.
pub(crate) struct Injection(Child);

impl Injection {
    /// Kills the server when one of its threads makes a call for the n-th time.
    pub(crate) fn kill(server: &Server, call: &str, n: u64) -> Result<Self> {
        Self::attach(server, call, &format!("{call}:signal=KILL:when={n}"))
    }

    /// Makes calls fail.
    pub(crate) fn fail(server: &Server, call: &str, error: &str) -> Result<Self> {
        Self::attach(server, call, &format!("{call}:error={error}"))
    }

    fn attach(server: &Server, call: &str, fault: &str) -> Result<Self> {
        let child = Command::new("strace")
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={fault}"),
                "-p",
                &server.id().to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start strace")?;
        sleep(ATTACH);
        Ok(Self(child))
    }

    /// Lets the server go.
    pub(crate) fn end(mut self) {
        // It detaches when it is asked to; killed, it would leave the server stopped. It has ended already if the
        // server has.
        let _ = Command::new("kill").arg(self.0.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
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
    Injection(child).end();
    None
}
