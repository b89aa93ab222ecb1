//! What the supervisor and its worker say to each other: JSON, one line each, over the worker's stdin and stdout.

use serde::{Deserialize, Serialize};
use shared::api::MadeWith;
use shared::case::JobId;

use crate::store::Task;

/// What the supervisor says, one line each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum ToWorker {
    /// Do this.
    Run {
        /// For answers.
        job: JobId,
        /// Which run of it this is.
        attempt: i64,
        /// What.
        task: Task,
    },
    /// Stop at the next tile, if the job still runs.
    Cancel {
        /// Which.
        job: JobId,
    },
}

/// What the worker says, one line each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum FromWorker {
    /// It is up.
    Ready {
        /// What networks run on.
        device: String,
    },
    /// It lives; said by a thread of its own, whatever the others compute.
    Alive,
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
        /// What they were made with.
        made_with: MadeWith,
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
