//! What a job does, by its kind. A task names its bundle, and volumes by their digests: whoever has the blobs can do
//! it, on this machine or another.

use serde::{Deserialize, Serialize};
use shared::acquisition::{SliceList, Standing};
use shared::correction::CorrectedSlice;
use shared::geometry::Plane;

use super::Digest;

/// Work that is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Segment, measure uncertainty, choose slices.
    Presegment(PresegmentTask),
    /// Refine with corrected slices.
    Refine(Box<RefineTask>),
}

impl Task {
    /// What it is called in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Presegment(_) => "presegmentation",
            Task::Refine(_) => "refinement",
        }
    }
}

impl Task {
    /// The bundle that it is done with.
    pub fn bundle(&self) -> &str {
        match self {
            Task::Presegment(task) => &task.bundle,
            Task::Refine(task) => &task.bundle,
        }
    }
}

/// A presegmentation to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresegmentTask {
    /// Bundle that segments the case.
    pub bundle: String,
    /// Channels as uploaded.
    pub scans: Vec<Digest>,
}

/// A refinement to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefineTask {
    /// Bundle that segments the case.
    pub bundle: String,
    /// Channels as uploaded.
    pub scans: Vec<Digest>,
    /// The presegmentation, as `.nii.gz`.
    pub presegmentation: Digest,
    /// The slices that the expert vouches for; where they cross, later ones win.
    pub corrections: Vec<CorrectedSlice>,
    /// How the case stands now.
    pub before: Before,
    /// How long the network may first learn from the case, 0 not at all; none as the bundle says.
    #[serde(default)]
    pub adapt_seconds: Option<f64>,
}

/// What a network has learned from a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptedWeights {
    /// Its weights, safetensors.
    pub blob: Digest,
    /// The bundle that the network is of: weights are of use to no other.
    pub bundle_digest: String,
}

/// How a case stands before a refinement: what the refinement is measured against, and how its slices were chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// The newest segmentation, u8 per voxel.
    pub labels: Digest,
    /// Its uncertainty, u8 per voxel.
    pub uncertainty: Digest,
    /// What the network has learned from the case in earlier rounds.
    #[serde(default)]
    pub adapted_weights: Option<AdaptedWeights>,
    /// The slices offered.
    pub slices: SliceList,
    /// What earlier refinements worked with.
    pub planes: Vec<Plane>,
    /// What earlier rounds taught.
    pub standing: Standing,
}
