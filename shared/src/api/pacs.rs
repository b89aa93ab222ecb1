//! A PACS on the other end: what is looked for there, what is opened, what is sent.

use serde::{Deserialize, Serialize};

use super::ExportFormat;
use crate::case::CaseId;

/// A PACS that this server's operator has named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PacsInfo {
    /// What people and addresses call it.
    pub name: String,
    /// Whether the asker may search it; else cases can only be sent there.
    pub may_search: bool,
}

/// What to look for. What is empty says nothing; all of it may not be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct StudyQuery {
    /// A patient's number, whole, or part of their name.
    pub patient: String,
    /// Accession number.
    pub accession: String,
    /// The first day, as `2024-02-29`.
    pub from: String,
    /// The last day.
    pub until: String,
    /// Such as `MR`.
    pub modality: String,
}

/// Studies that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundStudies {
    /// The latest first.
    pub studies: Vec<PacsStudy>,
    /// Whether there are more than these.
    pub are_more: bool,
}

/// A study, as the PACS describes it; texts are empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PacsStudy {
    /// Its unique identifier.
    pub study: String,
    /// Whose, as people write it.
    pub patient_name: String,
    /// The patient's number.
    pub patient_id: String,
    /// As `1970-01-31`.
    pub birth_date: String,
    /// As `2024-02-29`.
    pub date: String,
    /// Accession number.
    pub accession: String,
    /// What was done.
    pub description: String,
    /// Such as `CT` and `SEG`.
    pub modalities: Vec<String>,
}

/// A series of a study.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PacsSeries {
    /// Its unique identifier.
    pub series: String,
    /// Such as `CT`.
    pub modality: String,
    /// What it shows.
    pub description: String,
    /// Its number in the study.
    pub number: Option<i32>,
    /// How many images it has.
    pub images: Option<u32>,
}

/// A series that is to become a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenSeries {
    /// The study.
    pub study: String,
    /// One series for each of the bundle's channels, in their order.
    pub series: Vec<String>,
    /// The bundle that segments it.
    pub bundle: String,
    /// The case's name; a number if there is none. Never what the PACS calls it.
    #[serde(default)]
    pub name: String,
}

/// A series on its way from a PACS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Import {
    /// Identifier.
    pub id: String,
    /// The PACS.
    pub source: String,
    /// The bundle that will segment it.
    pub bundle: String,
    /// How far it is.
    pub state: ImportState,
    /// Images that are here.
    pub fetched: u32,
    /// Of how many; 0 as long as that is not known.
    pub of: u32,
    /// Why it failed; else empty.
    pub message: String,
    /// What it became.
    pub case: Option<CaseId>,
    /// Whether one of its slices can be looked at already; not when it is over.
    #[serde(default)]
    pub has_picture: bool,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// Others come first.
    Waiting,
    /// Images are coming.
    Fetching,
    /// They are here, and are looked through.
    Checking,
    /// There is a case.
    Done,
    /// There is none.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl ImportState {
    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Where a segmentation is to go, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SendTo {
    /// The PACS.
    pub source: String,
    /// `seg` or `seg-binary`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub format: ExportFormat,
}

/// A segmentation that a PACS has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sent {
    /// The study that it belongs to.
    pub study: String,
    /// Its series.
    pub series: String,
    /// The object.
    pub instance: String,
    /// Whether the PACS was asked for it afterwards and had it; else it said that it has stored it.
    pub found: bool,
}
