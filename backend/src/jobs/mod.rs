//! Heavy work away from the server: a supervisor leases jobs from the store and hands them to a worker process, the only one that runs networks.
//!
//! They speak JSON lines over the worker's stdin and stdout. A worker that crashes or hangs costs its job one retry and the server nothing; one that
//! loses its server ends. The queue is a table of the store and not a library: a job, its case and its result then change in one transaction, leases are
//! fenced, and a job that kills its worker is counted (the libraries at hand lose one of the three).

mod results;
mod supervisor;
pub mod worker;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shared::acquisition::AcquisitionParams;
use shared::case::JobId;
use shared::geometry::Plane;

pub use supervisor::{Supervisor, WorkerState};

/// The refined segmentation in a refinement's output folder.
const REFINED_FILE: &str = "refined.nii.gz";
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
        /// File to write.
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
