//! What went wrong, for the person at the screen and for programs.

use serde::{Deserialize, Serialize};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// For programs: the client decides by this, never by the HTTP status.
    pub code: ErrorCode,
    /// What, why, and what to do.
    pub message: String,
}

/// All that can go wrong. A new kind is a new row here, and the compiler shows who has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The slice was saved from elsewhere since: a conflict, and the only one.
    StaleCorrection,
    /// The case is not where it would have to be for this; it may be later.
    NotNow,
    /// The correction does not fit the case's grid or labels.
    CorrectionDoesNotFit,
    /// The address speaks of another plane than the correction.
    PlaneMismatch,
    /// There is no such case, job or volume, or it is not this person's to see.
    NotFound,
    /// Nothing is at this address.
    NoSuchRoute,
    /// The request is not what the route takes.
    UnreadableRequest,
    /// The form has more images than any bundle has channels.
    TooManyFiles,
    /// The form has a part that no route takes.
    UnknownPart,
    /// A text of the form is too long.
    TextTooLong,
    /// A text of the form is not UTF-8.
    NotText,
    /// A name that cannot be seen for what it is.
    BadName,
    /// The upload ended before its end.
    UploadCutOff,
    /// There is no such bundle.
    UnknownBundle,
    /// The bundle cannot be used at present.
    BundleUnusable,
    /// The bundle takes another number of images.
    WrongChannelCount,
    /// The form has no image.
    NoImage,
    /// Larger than this server takes.
    TooLarge,
    /// Not a file format that is read.
    NotANifti,
    /// A header without its voxels: the other file of a pair was not sent.
    VoxelsMissing,
    /// Files of a series that are no volume.
    NotASeries,
    /// The header contradicts itself.
    BadHeader,
    /// The file's checksum or packing is broken.
    Damaged,
    /// The file ends before its voxels do.
    Truncated,
    /// The scan has not three dimensions.
    #[serde(rename = "not_3d")]
    NotThreeDimensional,
    /// The voxels' data type is not read.
    UnsupportedType,
    /// A voxel is not a number.
    NotFinite,
    /// A voxel is not a label.
    NotALabel,
    /// The header's geometry makes no sense.
    BadGeometry,
    /// The channels lie on different grids.
    GridsDiffer,
    /// The PACS does not answer, or cannot right now.
    PacsAway,
    /// The PACS answers, and not with what was asked for.
    PacsRefused,
    /// Another site asks, or asks under another name.
    ForeignRequest,
    /// Nobody is signed in, or not any more.
    SignInNeeded,
    /// The name or the password is not right.
    WrongPassword,
    /// This person may not do this.
    NotAllowed,
    /// Too much at once, or too often; later it will do.
    Busy,
    /// The sender was too slow.
    TooSlow,
    /// Nothing can be written right now.
    NotReady,
    /// The disk is full.
    DiskFull,
    /// The server could not do it; its log says why.
    Internal,
    /// A word that this client does not know: the server is newer.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Whether asking again later, unchanged, may succeed.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::NotReady
                | Self::TooSlow
                | Self::DiskFull
                | Self::Internal
                | Self::SignInNeeded
                | Self::UploadCutOff
                | Self::PacsAway
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words() {
        fn check(code: ErrorCode, word: &str) {
            assert_eq!(serde_json::to_string(&code).unwrap(), word);
            assert_eq!(serde_json::from_str::<ErrorCode>(word).unwrap(), code);
        }
        check(ErrorCode::StaleCorrection, "\"stale_correction\"");
        check(ErrorCode::NotThreeDimensional, "\"not_3d\"");
        check(ErrorCode::NotANifti, "\"not_a_nifti\"");
        assert_eq!(serde_json::from_str::<ErrorCode>("\"of_next_year\"").unwrap(), ErrorCode::Unknown);
    }
}
