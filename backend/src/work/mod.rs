//! Heavy work away from the server: a supervisor leases jobs from the store and hands them to a worker process, the only one that runs networks.
//!
//! They speak JSON lines over the worker's stdin and stdout. A worker that crashes or hangs costs its job one retry and the server nothing; one that
//! loses its server ends. The queue is a table of the store and not a library: a job, its case and its result then change in one transaction, leases are
//! fenced, and a job that kills its worker is counted (the libraries at hand lose one of the three).

mod results;
mod supervisor;
pub mod worker;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shared::acquisition::AcquisitionParams;
use shared::case::JobId;
use shared::geometry::Plane;

use crate::scan_io::ScanError;
use crate::store::{StoreError, is_full};

pub use supervisor::{Supervisor, WorkerState};

/// The refined segmentation in a refinement's output folder.
const REFINED_FILE: &str = "refined.nii.gz";
/// The uncertainty in a refinement's output folder.
const REFINED_UNCERTAINTY_FILE: &str = "refined-uncertainty.nii.gz";
/// The expert's slices in a refinement's output folder, put there for the worker.
const CORRECTIONS_FILE: &str = "corrections.nii.gz";

/// What the supervisor says, one line each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
enum ToWorker {
    /// Do this.
    Run {
        /// For answers.
        job: JobId,
        /// What.
        task: Task,
    },
    /// Stop at the next tile, if the job still runs.
    Cancel {
        /// Which.
        job: JobId,
    },
}

/// Work on files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Task {
    /// Segment, measure uncertainty, choose slices.
    Presegment {
        /// Bundle folder.
        bundle: PathBuf,
        /// Channels in order.
        images: Vec<PathBuf>,
        /// Folder to fill.
        out: PathBuf,
        /// How to choose slices; the bundle's way if absent.
        acquisition: Option<AcquisitionParams>,
    },
    /// Refine with corrected planes.
    Refine {
        /// Bundle folder.
        bundle: PathBuf,
        /// Channels in order.
        images: Vec<PathBuf>,
        /// The presegmentation.
        presegmentation: PathBuf,
        /// The corrected planes, in their places.
        corrections: PathBuf,
        /// Which planes those are.
        planes: Vec<Plane>,
        /// How to choose the next slices; as the presegmentation's were chosen.
        acquisition: Box<AcquisitionParams>,
        /// Folder to fill.
        out: PathBuf,
    },
}

/// What the worker says, one line each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
enum FromWorker {
    /// It is up.
    Ready {
        /// What networks run on.
        device: String,
    },
    /// How far it is.
    Progress {
        /// With what.
        job: JobId,
        /// 0 to 1.
        done: f32,
    },
    /// The files are written.
    Done {
        /// Whose.
        job: JobId,
    },
    /// It cannot be done.
    Failed {
        /// What.
        job: JobId,
        /// Why, in words for the person at the screen.
        reason: String,
    },
    /// It has stopped as asked.
    Cancelled {
        /// What.
        job: JobId,
    },
}

/// Why a job failed, in words for the person at the screen. The innermost cause says it; the outer contexts name files of this server, which the expert
/// neither knows nor should.
fn reason(error: &anyhow::Error) -> String {
    match error.chain().find_map(io_error) {
        Some(full) if is_full(full) => StoreError::Full.to_string(),
        Some(other) => format!("the server could not read or write one of its files ({other}); its operator finds more in the log"),
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
            "the server could not read or write one of its files (entity not found); its operator finds more in the log",
        );
        check(ScanError::UnsupportedType(32), "voxels of NIfTI data type 32 are not supported. Convert the file to int16 or float32");
    }
}
