//! A scan comes in: looked through under all checks, packed for the browser, and only then kept. What is refused leaves
//! nothing behind.
//!
//! Whoever brings scans does it at a [`Desk`], whatever protocol it speaks: [`find_bundle`], [`look_through`] and
//! [`keep`], in this order. Knows files and the store, no requests.

mod archive;
mod edited;
mod keep;
mod look;
mod name;
mod take;

use shared::api::{BundleInfo, ErrorCode};
use shared::geometry::GridDifference;
use thiserror::Error;

use crate::pipeline::network_grid::NetworkGridError;
use crate::scan_io::ScanError;
use crate::store::StoreError;

pub use edited::edited_slices;
pub use keep::keep;
pub use look::{Channel, Looked, gather, look_through};
pub use name::case_name;
pub use take::{Brought, Desk};

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
    /// Nothing that the scan is to blame for.
    #[error("the scan could not be looked through: {0}")]
    Failed(String),
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
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
            Self::GridsDiffer { .. } => ErrorCode::GridsDiffer,
            Self::Failed(_) | Self::Store(_) => ErrorCode::Internal,
        }
    }
}

/// The bundle of this name, if it can segment a case of so many images.
///
/// # Errors
/// [`IntakeError::UnknownBundle`], [`IntakeError::BundleUnusable`] or [`IntakeError::WrongChannelCount`].
pub fn find_bundle(offered: &[BundleInfo], wanted: &str, images: usize) -> Result<BundleInfo, IntakeError> {
    let unknown = || IntakeError::UnknownBundle {
        wanted: wanted.to_owned(),
        offered: offered.iter().map(|bundle| bundle.name.clone()).collect(),
    };
    let bundle = offered.iter().find(|bundle| bundle.name == wanted).ok_or_else(unknown)?.clone();
    if let Some(problem) = bundle.problem {
        return Err(IntakeError::BundleUnusable { bundle: bundle.name, problem });
    }
    if bundle.channels.len() != images {
        return Err(IntakeError::WrongChannelCount { bundle: bundle.name, channels: bundle.channels, got: images });
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use shared::label::LabelSet;

    use super::*;

    #[test]
    fn a_bundle_is_found_by_name_and_channels() {
        let bundle = |name: &str, problem: Option<&str>| BundleInfo {
            name: name.into(),
            version: String::new(),
            task: String::new(),
            channels: vec!["T1".into(), "T2".into()],
            labels: LabelSet::default(),
            problem: problem.map(str::to_owned),
        };
        let offered = [bundle("brain", None), bundle("liver", Some("fold_0.pt is missing"))];
        let check = |wanted: &str, images: usize, expected: Result<&str, (ErrorCode, &str)>| {
            let got = find_bundle(&offered, wanted, images);
            let got =
                got.as_ref().map(|bundle| bundle.name.as_str()).map_err(|error| (error.code(), error.to_string()));
            assert_eq!(got, expected.map_err(|(code, words)| (code, words.to_owned())));
        };
        check("brain", 2, Ok("brain"));
        check("lung", 2, Err((ErrorCode::UnknownBundle, "there is no bundle \"lung\"; choose one of: brain, liver")));
        check("liver", 2, Err((ErrorCode::BundleUnusable, "the bundle liver cannot be used: fold_0.pt is missing")));
        check(
            "brain",
            1,
            Err((
                ErrorCode::WrongChannelCount,
                "brain needs 2 image(s) (T1, T2), 1 were sent; send one per channel, in this order",
            )),
        );
    }
}
