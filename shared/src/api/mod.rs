//! Routes and the types that travel on them; no logic. All routes stand under [`PREFIX`].
//!
//! ```text
//! GET    /bundles                                      Vec<BundleInfo>
//! GET    /cases                                        Vec<CaseSummary>, newest first
//! POST   /cases                 multipart: bundle, name (optional), image (one part per channel, in order) → 201 CaseSummary; queues presegmentation
//! GET    /cases/{id}                                   CaseDetail
//! DELETE /cases/{id}                                   204
//! GET    /cases/{id}/image/{channel}                   voxels, u16 little-endian, x fastest; intensity = minimum + step * voxel (ImageInfo)
//! GET    /cases/{id}/uncertainty                       voxels, u8, x fastest; 255 = 1.0; that of the newest segmentation
//! GET    /cases/{id}/segmentations/{version}           labels, u8, x fastest
//! GET    /cases/{id}/segmentations/{version}/nifti     the same as .nii.gz with the scan's own geometry, as a download
//! GET    /cases/{id}/corrections                       Vec<CorrectedSlice>
//! PUT    /cases/{id}/corrections/{axis}/{index}        CorrectedSlice (revision = the one it is based on) → CorrectedSlice; 409 if the base is stale
//! POST   /cases/{id}/refine                            202 Job; 409 if no slice is done or a job is under way
//! POST   /cases/{id}/rounds                            CaseDetail with the next slices to correct; 409 unless a refinement has chosen some
//! POST   /jobs/{id}/cancel                             Job
//! GET    /events                                       server-sent events; each `data:` line is an Event
//! GET    /health                                       Health
//! ```
//! Every error is an [`ApiError`] with a 4xx or 5xx status. Binary bodies are compressed as the client's `Accept-Encoding` allows.

use serde::{Deserialize, Serialize};

use crate::acquisition::{ExpectedGain, SliceList, Standing};
use crate::case::{CaseId, Job, Stage};
use crate::correction::CorrectedSlice;
use crate::geometry::Geometry;
use crate::intensity::Window;
use crate::label::LabelSet;

/// Where every route begins.
pub const PREFIX: &str = "/api";

/// The version name of the presegmentation.
pub const PRESEGMENTATION: &str = "presegmentation";

/// The version name of the segmentation that round `round` (1, 2, …) of refinement made.
pub fn refinement_version(round: u32) -> String {
    format!("refinement-{round}")
}

/// What went wrong, in words for the person at the screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// Stable word for programs, such as `not_a_nifti`.
    pub code: String,
    /// What, why, and what to do.
    pub message: String,
}

/// A model bundle the server offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleInfo {
    /// Folder name; what uploads refer to.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it segments.
    pub task: String,
    /// Channel names in the order that images are expected.
    pub channels: Vec<String>,
    /// Foreground labels.
    pub labels: LabelSet,
    /// Why it cannot be used, if so (corrupt, other torch version).
    pub problem: Option<String>,
}

/// A line of the case list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseSummary {
    /// Identifier.
    pub id: CaseId,
    /// Name given at upload.
    pub name: String,
    /// Bundle it is segmented with.
    pub bundle: String,
    /// Seconds since 1970, UTC.
    pub created_s: i64,
    /// How far it is.
    pub stage: Stage,
    /// The latest job.
    pub job: Option<Job>,
    /// Slices offered now or done in any round.
    pub slices: usize,
    /// Slices done in any round.
    pub slices_done: usize,
    /// Refinements finished.
    pub rounds: u32,
    /// Which round's slices are offered, 1 for the first.
    pub round: u32,
}

/// How image voxels are packed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// Channel name.
    pub channel: String,
    /// Intensity of voxel value 0.
    pub minimum: f32,
    /// Intensity difference between neighbouring voxel values.
    pub step: f32,
    /// A good first window.
    pub window: Window,
    /// The window from the smallest to the largest intensity there is; absent in cases from before it was kept.
    #[serde(default)]
    pub full: Option<Window>,
    /// What is odd about the scan, in sentences for the expert.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Everything the workbench needs beside voxels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseDetail {
    /// The list's line.
    pub summary: CaseSummary,
    /// The scan's grid.
    pub geometry: Geometry,
    /// One per channel.
    pub images: Vec<ImageInfo>,
    /// The task's labels.
    pub labels: LabelSet,
    /// Segmentations that exist, oldest first: [`PRESEGMENTATION`], then refinements.
    pub versions: Vec<String>,
    /// The slices of this round, once there is a presegmentation.
    pub slices: Option<SliceList>,
    /// What another round would bring, from a refinement until the round begins.
    pub next: Option<NextRound>,
    /// What the expert has said so far.
    pub corrections: Vec<CorrectedSlice>,
}

/// What another round would bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextRound {
    /// Its slices; planes that are done are not among them.
    pub slices: SliceList,
    /// What the expectation follows from, so that the client can form it for another number of slices.
    pub standing: Standing,
    /// What its slices are expected to change; nothing if that cannot be told.
    pub expected: Option<ExpectedGain>,
}

/// Something happened on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A case is new or has changed (stage, job, progress).
    Case(CaseSummary),
    /// A case is gone.
    Deleted {
        /// Which.
        id: CaseId,
    },
}

/// Whether the server can work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Its version.
    pub version: String,
    /// Whether the worker process is up.
    pub worker: bool,
    /// What networks run on, such as `cpu` or `cuda:0`.
    pub device: String,
}
