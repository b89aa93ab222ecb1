//! A second pair of eyes: a case is handed in, sent back or approved, and slices of it are read a second time by
//! somebody who does not see the first reading.

use serde::{Deserialize, Serialize};

use crate::agreement::Agreement;
use crate::case::CaseId;
use crate::correction::SliceState;
use crate::geometry::Plane;

/// Where a case stands with those who review it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    /// Nobody has handed it in.
    #[default]
    Open,
    /// It waits for a reviewer.
    HandedIn,
    /// It was sent back, with notes.
    SentBack,
    /// A reviewer has approved it as it is.
    Approved,
    /// It was approved, and has been worked on since: the approval is of something else.
    Changed,
}

/// What is said of a case as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is ready to be looked at.
    HandedIn,
    /// It has to be corrected again.
    SentBack,
    /// It is right.
    Approved,
}

/// What a reviewer has to say of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SliceNote {
    /// Which slice.
    pub plane: Plane,
    /// The words.
    pub note: String,
}

/// What a reviewer decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Judgement {
    /// [`Verdict::SentBack`] or [`Verdict::Approved`].
    pub verdict: Verdict,
    /// What it is about: [`Review::work`] as the reviewer has seen it.
    pub work: String,
    /// Of the case as a whole.
    #[serde(default)]
    pub note: String,
    /// Of single slices.
    #[serde(default)]
    pub slices: Vec<SliceNote>,
}

/// Most slices that one judgement has notes on.
pub const SLICE_NOTES_LIMIT: usize = 500;

/// What was said, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Said {
    /// What.
    pub verdict: Verdict,
    /// Of the case as a whole.
    pub note: String,
    /// Of single slices.
    pub slices: Vec<SliceNote>,
    /// Who.
    pub said_by: String,
    /// Seconds since 1970, UTC.
    pub said_s: i64,
}

/// Who has corrected a slice, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SliceAuthors {
    /// Which slice.
    pub plane: Plane,
    /// How far it is.
    pub state: SliceState,
    /// Whose word holds.
    pub saved_by: String,
    /// Since when, in seconds since 1970, UTC.
    pub saved_s: i64,
    /// Everybody who has corrected it, by name.
    pub all: Vec<String>,
}

/// Slices that somebody reads a second time without seeing the first reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reading {
    /// The case that the second reader works on.
    pub case: CaseId,
    /// Who reads.
    pub reader: String,
    /// Who asked for it.
    pub asked_by: String,
    /// When, in seconds since 1970, UTC.
    pub asked_s: i64,
    /// Slices to be read.
    pub slices: usize,
    /// When it was finished, in seconds since 1970, UTC.
    pub finished_s: Option<i64>,
    /// How well the two agree, once it is finished.
    pub agreement: Option<Agreement>,
}

/// Asks somebody for a second reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewReading {
    /// Whose case it is not, and who sees none but their own.
    pub reader: String,
    /// Which share of the slices that are done, above 0 and up to 1; at least one is read. They are drawn at random.
    pub share: f64,
}

/// A case as those who review it see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Review {
    /// Where it stands.
    pub state: ReviewState,
    /// How far the work on it is; another text once somebody has worked on it.
    pub work: String,
    /// Everything that was said, the latest first.
    pub said: Vec<Said>,
    /// Who has corrected what.
    pub authors: Vec<SliceAuthors>,
    /// Second readings; none for those who do not see every case.
    pub readings: Vec<Reading>,
}
