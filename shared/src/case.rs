//! One patient image on its way: its stage, its jobs, its rounds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies a case; random, says nothing about the patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct CaseId(String);

impl CaseId {
    /// As it stands in addresses.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for CaseId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for CaseId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The presegmentation has not finished.
    Presegmenting,
    /// Slices wait for the expert.
    Correcting,
    /// The refinement is under way.
    Refining,
    /// A refined segmentation exists; corrections may go on.
    Refined,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Presegmentation, uncertainty and acquisition.
    Presegment,
    /// Refinement with the slices that are done.
    Refine,
}

impl JobKind {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Presegment => "Presegmentation",
            Self::Refine => "Refinement",
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for the worker.
    Queued,
    /// The worker is at it.
    Running,
    /// Finished; its result is stored.
    Done,
    /// Gave up; the message says why.
    Failed,
    /// The expert stopped it.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_terminal(self) -> bool {
        matches!(self, JobState::Done | JobState::Failed | JobState::Cancelled)
    }
}

/// A job as the client sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// 0 to 1.
    pub progress: f32,
    /// What it is doing, or why it failed; never patient data.
    pub message: String,
    /// While it waits: how many jobs the worker does first, as far as can be told now.
    #[serde(default)]
    pub ahead: Option<u32>,
}
