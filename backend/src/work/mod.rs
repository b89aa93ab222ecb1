//! Heavy work away from the server: a supervisor leases jobs from the store and hands them to a worker process, the
//! only one that runs networks.
//!
//! They speak JSON lines over the worker's stdin and stdout. A worker that crashes or hangs costs its job one retry and
//! the server nothing; one that loses its server ends. The queue is a table of the store and not a library: a job, its
//! case and its result then change in one transaction, leases are fenced, and a job that kills its worker is counted
//! (the libraries at hand lose one of the three).
//!
//! A kind of work is a file here (what the worker does, what the server keeps of it) and a line in [`performed`] and
//! in [`kept`].

mod presegment;
mod protocol;
mod refine;
mod results;
mod shelf;
mod supervisor;
pub mod worker;
mod workspace;

use std::io;
use std::path::Path;

use anyhow::Result;
use futures_util::future::BoxFuture;
use shared::api::MadeWith;

use crate::inference::Progress;
use crate::scan_io::ScanError;
use crate::store::{Lease, Store, StoreError, Task, is_full};

use shelf::Shelf;
use workspace::Workspace;

pub use supervisor::{Supervisor, WorkerState};
pub use workspace::Folders;

/// A kind of work in the worker. Apart from [`Keep`], so that the server, which performs none, need not hold libtorch.
trait Perform {
    /// Does it: reads blobs, leaves files in the workspace's folder, says which networks it used.
    ///
    /// # Errors
    /// What the expert is told in [`reason`]'s words.
    fn perform(&self, workspace: &Workspace, shelf: &mut Shelf, progress: &mut Progress<'_>) -> Result<MadeWith>;
}

/// A kind of work in the server.
trait Keep: Sync {
    /// Stores what the worker left in its folder; says whether the lease still held.
    ///
    /// # Errors
    /// Files that cannot be read, a store that fails.
    fn keep<'a>(&'a self, store: &'a Store, lease: &'a Lease, left: Left<'a>) -> BoxFuture<'a, Result<bool>>;
}

/// What a worker has left.
#[derive(Clone, Copy, Debug)]
struct Left<'a> {
    /// The folder with its files.
    folder: &'a Path,
    /// What they were made with.
    made_with: &'a MadeWith,
}

/// How each kind of work is done.
fn performed(task: &Task) -> &dyn Perform {
    match task {
        Task::Presegment(task) => task,
        Task::Refine(task) => task.as_ref(),
    }
}

/// What is kept of each kind of work.
fn kept(task: &Task) -> &dyn Keep {
    match task {
        Task::Presegment(task) => task,
        Task::Refine(task) => task.as_ref(),
    }
}

/// Why a job failed, in words for the person at the screen. The innermost cause says it; the outer contexts name files
/// of this server, which the expert neither knows nor should.
fn reason(error: &anyhow::Error) -> String {
    match error.chain().find_map(io_error) {
        Some(full) if is_full(full) => StoreError::Full.to_string(),
        Some(other) => {
            format!("the server could not read or write one of its files ({other}); its operator finds more in the log")
        }
        None => error.root_cause().to_string(),
    }
}

fn io_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    match cause.downcast_ref() {
        Some(ScanError::Io(error)) => Some(error),
        _ => cause.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn reasons_say_what_the_expert_can_use() {
        fn check(error: impl std::error::Error + Send + Sync + 'static, expected: &str) {
            let error = Err::<(), _>(error).context("cannot write /data/work/refined.nii.gz").unwrap_err();
            assert_eq!(reason(&error), expected);
        }
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        check(full(), &StoreError::Full.to_string());
        check(ScanError::Io(full()), &StoreError::Full.to_string());
        check(
            io::Error::from(io::ErrorKind::NotFound),
            "the server could not read or write one of its files (entity not found); its operator finds more in the \
             log",
        );
        check(
            ScanError::UnsupportedType(32),
            "its voxels are complex numbers (NIfTI data type 32), no intensities that can be read. Convert the file to \
             int16 or float32",
        );
    }
}
