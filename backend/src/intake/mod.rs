//! A scan comes in: looked through under all checks, packed for the browser, and only then kept. What is refused leaves
//! nothing behind.
//!
//! Whoever brings scans does it at a [`Desk`], whatever protocol it speaks: [`find_bundle`], [`Lookers::look`] and
//! [`keep`], in this order. Files are opened in processes of their own ([`apart`]), which the kernel holds: nobody
//! knows yet what is in them. Knows files and the store, no requests.

mod apart;
mod archive;
mod brought;
mod edited;
mod glance;
mod keep;
mod look;
mod name;
mod take;

use serde::{Deserialize, Serialize};
use shared::api::{BundleInfo, ErrorCode};
use shared::geometry::GridDifference;
use shared::label::Label;
use thiserror::Error;

use crate::pipeline::network_grid::NetworkGridError;
use crate::scan_io::ScanError;
use crate::store::{StoreError, is_full};

pub use apart::{Asked, Looker, Lookers, SentLabels, Told};
pub use brought::Brought;
pub use edited::edited_slices;
pub use glance::Glance;
pub use keep::{Kept, keep};
pub use look::{Looked, gather, look_through};
pub use name::case_name;
pub use take::Desk;

/// Why a scan is not taken, in words for the person who brought it.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// A bundle that is not offered.
    #[error("there is no bundle {wanted:?}; choose one of: {}", offered.join(", "))]
    UnknownBundle {
        /// What was asked for.
        wanted: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// A bundle that does not work.
    #[error("the bundle {bundle} cannot be used: {problem}")]
    BundleUnusable {
        /// Its name.
        bundle: String,
        /// Why.
        problem: String,
    },
    /// Too few or too many images.
    #[error(
        "{bundle} needs {} image(s) ({}), {got} were sent; send one per channel, in this order",
        channels.len(),
        channels.join(", ")
    )]
    WrongChannelCount {
        /// Its name.
        bundle: String,
        /// What it takes.
        channels: Vec<String>,
        /// Images given.
        got: usize,
    },
    /// A name that would be taken for another.
    #[error("this name cannot be used: {0}. Type it again without")]
    Name(String),
    /// Nothing to look at.
    #[error("no image was sent")]
    NoImage,
    /// An image that is none, or not one that can be worked on.
    #[error("{channel}: {error}")]
    Scan {
        /// Which channel.
        channel: String,
        /// What is wrong; not a source, so that no chain says it twice.
        error: ScanError,
    },
    /// Files that make no scan.
    #[error(transparent)]
    Files(#[from] ScanError),
    /// A scan that is too large or too small for the networks.
    #[error(transparent)]
    Network(#[from] NetworkGridError),
    /// Channels on different grids.
    #[error("{channel} {difference}. Channels must share one grid; resample it onto the first")]
    GridsDiffer {
        /// Which channel.
        channel: String,
        /// From the first channel.
        difference: GridDifference,
    },
    /// A label map that lies elsewhere than the scan that it is of.
    #[error("the label map {0}. It must lie on the image's own grid")]
    LabelsElsewhere(GridDifference),
    /// A label that the task does not have.
    #[error("the label map holds label {0}, which this task does not have")]
    UnknownLabel(Label),
    /// Refused by a process that looks scans through, in its words.
    #[error("{message}")]
    Apart {
        /// Whose fault it is.
        fault: Fault,
        /// For programs.
        code: ErrorCode,
        /// What, why, and what to do.
        message: String,
    },
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose fault it is that a scan is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// What was asked for makes no sense.
    Asker,
    /// The bundle's.
    Bundle,
    /// The scan is not one that can be worked on.
    Scan,
    /// The scan is larger than this machine can hold.
    Size,
    /// The disk is full.
    Disk,
    /// This server's; the log says more.
    Server,
}

impl IntakeError {
    /// For programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownBundle { .. } => ErrorCode::UnknownBundle,
            Self::BundleUnusable { .. } => ErrorCode::BundleUnusable,
            Self::WrongChannelCount { .. } => ErrorCode::WrongChannelCount,
            Self::Name(_) => ErrorCode::BadName,
            Self::NoImage => ErrorCode::NoImage,
            Self::Scan { error, .. } => error.code(),
            Self::Files(error) => error.code(),
            Self::Network(_) => ErrorCode::TooLarge,
            Self::GridsDiffer { .. } | Self::LabelsElsewhere(_) => ErrorCode::GridsDiffer,
            Self::UnknownLabel(_) => ErrorCode::NotALabel,
            Self::Apart { code, .. } => *code,
            Self::Store(_) => ErrorCode::Internal,
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::UnknownBundle { .. } | Self::WrongChannelCount { .. } | Self::NoImage => Fault::Asker,
            Self::BundleUnusable { .. } => Fault::Bundle,
            Self::Files(ScanError::Io(error)) | Self::Scan { error: ScanError::Io(error), .. } if is_full(error) => {
                Fault::Disk
            }
            Self::Files(ScanError::Io(_)) | Self::Scan { error: ScanError::Io(_), .. } | Self::Store(_) => {
                Fault::Server
            }
            Self::Scan { error: ScanError::TooLarge { .. } | ScanError::NoMemory { .. }, .. } => Fault::Size,
            Self::Files(ScanError::TooLarge { .. } | ScanError::NoMemory { .. }) => Fault::Size,
            Self::Name(_)
            | Self::Files(_)
            | Self::Network(_)
            | Self::Scan { .. }
            | Self::GridsDiffer { .. }
            | Self::LabelsElsewhere(_)
            | Self::UnknownLabel(_) => Fault::Scan,
            Self::Apart { fault, .. } => *fault,
        }
    }
}

/// The bundle of this name, if it can be used.
///
/// # Errors
/// [`IntakeError::UnknownBundle`] or [`IntakeError::BundleUnusable`].
pub fn find_bundle(offered: &[BundleInfo], wanted: &str) -> Result<BundleInfo, IntakeError> {
    let unknown = || IntakeError::UnknownBundle {
        wanted: wanted.to_owned(),
        offered: offered.iter().map(|bundle| bundle.name.clone()).collect(),
    };
    let bundle = offered.iter().find(|bundle| bundle.name == wanted).ok_or_else(unknown)?.clone();
    match bundle.problem {
        Some(problem) => Err(IntakeError::BundleUnusable { bundle: bundle.name, problem }),
        None => Ok(bundle),
    }
}

/// Whether a bundle takes so many images.
///
/// # Errors
/// [`IntakeError::WrongChannelCount`].
pub fn check_images(bundle: &BundleInfo, images: usize) -> Result<(), IntakeError> {
    let BundleInfo { name, channels, .. } = bundle;
    if channels.len() == images {
        return Ok(());
    }
    Err(IntakeError::WrongChannelCount { bundle: name.clone(), channels: channels.clone(), got: images })
}

#[cfg(test)]
mod tests {
    use shared::label::LabelSet;

    use super::*;

    #[test]
    fn a_bundle_is_found_by_name() {
        let bundle = |name: &str, problem: Option<&str>| BundleInfo {
            name: name.into(),
            version: String::new(),
            task: String::new(),
            channels: vec!["T1".into(), "T2".into()],
            labels: LabelSet::default(),
            problem: problem.map(str::to_owned),
        };
        let offered = [bundle("brain", None), bundle("liver", Some("fold_0.pt is missing"))];
        let check = |wanted: &str, expected: Result<&str, (ErrorCode, &str)>| {
            let got = find_bundle(&offered, wanted);
            let got =
                got.as_ref().map(|bundle| bundle.name.as_str()).map_err(|error| (error.code(), error.to_string()));
            assert_eq!(got, expected.map_err(|(code, words)| (code, words.to_owned())));
        };
        check("brain", Ok("brain"));
        check("lung", Err((ErrorCode::UnknownBundle, "there is no bundle \"lung\"; choose one of: brain, liver")));
        check("liver", Err((ErrorCode::BundleUnusable, "the bundle liver cannot be used: fold_0.pt is missing")));
    }
}
