//! What the expert sees, for whoever takes it away: every download, whatever its format, comes from here.

use crate::api::CaseDetail;
use crate::correction::{CorrectionError, corrected};
use crate::label::Label;
use crate::volume::Volume;

/// A segmentation as the workbench shows it: `labels` of this version, with what the expert has decided about its
/// changes and what is corrected.
///
/// # Errors
/// [`CorrectionError`] of the first slice that does not fit.
pub fn as_shown(
    detail: &CaseDetail,
    version: &str,
    mut labels: Volume<Label>,
) -> Result<Volume<Label>, CorrectionError> {
    for decision in detail.decisions.iter().filter(|decision| decision.version == version) {
        decision.patch.apply(labels.voxels_mut());
    }
    corrected(labels, &detail.labels, &detail.corrections)
}
