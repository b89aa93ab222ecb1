//! What travels between client and server: routes ([`route`]), the types on them, and what can go wrong
//! ([`ErrorCode`]); no logic.
//!
//! Every error is an [`ApiError`] with a 4xx or 5xx status. Binary bodies are compressed as the client's
//! `Accept-Encoding` allows. The same for programs, as OpenAPI: [`route::OPENAPI`].

mod error;
mod pacs;
mod people;
mod review;
pub mod route;

use serde::{Deserialize, Serialize};

use crate::acquisition::{ExpectedGain, SliceList, Standing};
use crate::case::{CaseId, Job, JobKind, Stage};
use crate::correction::{CorrectedSlice, SliceState};
use crate::effort::SliceEffort;
use crate::geometry::Geometry;
use crate::intensity::Window;
use crate::label::LabelSet;
use crate::patch::Patch;

pub use error::{ApiError, ErrorCode};
pub use pacs::{
    FoundStudies, Import, ImportState, OpenSeries, PacsInfo, PacsSeries, PacsStudy, SendTo, Sent, StudyQuery,
};
pub use people::{Account, KeyInfo, KeyMade, Me, NewKey, Person, Role, SignIn, SignInTrouble, SignInWays};
pub use review::{
    Judgement, NewReading, Reading, Review, ReviewState, SLICE_NOTES_LIMIT, Said, SliceAuthors, SliceNote, Verdict,
};

/// Name of the event that the stream brings at its beginning and in silence, so that a page can tell a stream that
/// arrives from one that a proxy holds back; it carries nothing.
pub const SIGN_OF_LIFE: &str = "here";

/// The version name of the presegmentation.
pub const PRESEGMENTATION: &str = "presegmentation";

/// The version name of the segmentation that round `round` (1, 2, …) of refinement made.
pub fn refinement_version(round: u32) -> String {
    format!("refinement-{round}")
}

/// Query of [`route::REFINE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RefineOptions {
    /// Seconds that the network which refines may first learn from the case; 0 is not at all, none is as the bundle
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapt_seconds: Option<f64>,
}

/// Longest time that an adaptation may be asked for: a day.
pub const MAX_ADAPT_SECONDS: f64 = 86_400.0;

/// What a segmentation can be downloaded as, beside NIfTI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// DICOM SEG of the type LABELMAP.
    Seg,
    /// DICOM SEG of the type BINARY, which older readers know.
    SegBinary,
    /// `.seg.nrrd`, 3D Slicer's.
    Nrrd,
}

impl ExportFormat {
    /// As it stands in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seg => "seg",
            Self::SegBinary => "seg-binary",
            Self::Nrrd => "nrrd",
        }
    }
}

/// A model bundle the server offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Uncertainty for each voxel that is segmented, so that small and large cases can be compared; none before there
    /// is a segmentation with foreground.
    #[serde(default)]
    pub uncertain: Option<f64>,
    /// What is odd about the scan, in sentences for the expert.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What somebody has written on it, for themselves or for others; empty where nobody has.
    #[serde(default)]
    pub note: String,
    /// Names of those that it was given to.
    #[serde(default)]
    pub assigned: Vec<String>,
    /// Where it stands with those who review it.
    #[serde(default)]
    pub review: ReviewState,
    /// Whether it is a second reading of some slices of another case.
    #[serde(default)]
    pub is_reading: bool,
}

/// What is written on a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Note {
    /// The words; empty takes them away.
    pub note: String,
}

/// Most characters of a [`Note`].
pub const NOTE_LIMIT: usize = 500;

/// How image voxels are packed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Whether the case came from a DICOM series of which enough is kept for a DICOM SEG.
    #[serde(default)]
    pub has_series: bool,
    /// What another round would bring, from a refinement until the round begins.
    pub next: Option<NextRound>,
    /// What the expert has said so far.
    pub corrections: Vec<CorrectedSlice>,
    /// The slices that the newest refinement worked with, as they were when it was asked for; none before the first.
    #[serde(default)]
    pub refined_with: Vec<CorrectedSlice>,
    /// What the expert has decided about whole segmentations, the oldest first.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// What the slices have taken.
    #[serde(default)]
    pub effort: Vec<SliceEffort>,
}

/// What the expert decides about a segmentation as a whole: changes of a refinement that are not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Decision {
    /// The segmentation's version.
    pub version: String,
    /// Counts the saves; 0 has never been saved.
    pub revision: u64,
    /// Voxels that are called otherwise than the segmentation calls them.
    pub patch: Patch,
}

/// What another round would bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextRound {
    /// Its slices; planes that are done are not among them.
    pub slices: SliceList,
    /// What the expectation follows from, so that the client can form it for another number of slices.
    pub standing: Standing,
    /// What its slices are expected to change; nothing if that cannot be told.
    pub expected: Option<ExpectedGain>,
}

/// Something that was said of a slice: what holds now, what held earlier, or what was refused because somebody else had
/// been at the slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SliceVersion {
    /// Its number; later ones are larger.
    pub id: i64,
    /// The revision that it was based on.
    pub base: u64,
    /// Its own revision; none if it was refused.
    pub revision: Option<u64>,
    /// How far the expert was with the slice.
    pub state: SliceState,
    /// Seconds since 1970, UTC.
    pub saved_s: i64,
    /// Who said it.
    pub saved_by: String,
    /// Whether it is the one that holds.
    pub holds: bool,
}

/// Says that a version is to hold again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BringBack {
    /// The revision that holds now, as far as the asker knows; 0 if none does.
    pub base: u64,
}

/// A deleted case that can be brought back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BinnedCase {
    /// How it stood.
    pub summary: CaseSummary,
    /// When it was deleted, in seconds since 1970, UTC.
    pub deleted_s: i64,
    /// By whom.
    pub deleted_by: String,
    /// Until when it can be brought back.
    pub until_s: i64,
}

/// Which networks made a segmentation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeWith {
    /// The bundle's version.
    pub bundle_version: String,
    /// SHA-256 of its `bundle.json`, which names the digests of all its files.
    pub bundle_digest: String,
    /// Folds that voted.
    pub folds: usize,
    /// What was done for this case alone: how the networks were adapted to it, whether bright and dark were exchanged;
    /// nothing if nothing was.
    pub adaptation: Option<String>,
}

/// Where a segmentation comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Provenance {
    /// The bundle's name.
    pub bundle: String,
    /// The networks.
    pub made_with: MadeWith,
    /// i3Deep's version.
    pub program_version: String,
    /// Who asked for it.
    pub asked_by: String,
    /// When it was finished, in seconds since 1970, UTC.
    pub made_s: i64,
}

/// Something happened on the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A case is new or has changed (stage, job, progress).
    Case(Box<CaseSummary>),
    /// A case is gone.
    Deleted {
        /// Which.
        id: CaseId,
    },
}

/// What a job would come to if it were asked for now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forecast {
    /// The bundle whose networks would do it.
    pub bundle: String,
    /// What would be done.
    pub kind: JobKind,
    /// Seconds until it begins, as far as can be told: what runs, and what goes first.
    pub wait_s: f64,
    /// Seconds that the latest ones took, as their median.
    pub takes_s: f64,
}

/// Whether the server can work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Its version.
    pub version: String,
    /// Whether the worker process is up.
    pub worker: bool,
    /// What networks run on, such as `cpu` or `cuda:0`.
    pub device: String,
}
