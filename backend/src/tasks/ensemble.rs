//! Several networks' probabilities of a case into one segmentation, as `nnUNetv2_ensemble` does it: their mean in
//! single precision decides.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Array4};
use shared::volume::Volume;

use super::npz::read_npz;
use super::predict::{beside, read_postprocessing};
use super::read_channels;
use crate::bundle::plans::Plan;
use crate::pipeline::export::labels_of_probabilities;
use crate::scan_io::{Intensities, write_labels};

/// Writes `stem` with the plan's file ending from the archives `CASE.npz` that the networks left; the plan of any of
/// them, whose labels are all the same.
///
/// # Errors
/// Archives that are missing or of different sizes, an output that cannot be written.
pub fn ensemble(
    archives: &[PathBuf],
    image: &Path,
    plan: &Plan,
    postprocessing: Option<&Path>,
    stem: &Path,
) -> Result<()> {
    let mut sum: Option<Array4<f32>> = None;
    for archive in archives {
        let values: Array4<f32> =
            read_npz(archive, "probabilities").with_context(|| format!("the probabilities {}", archive.display()))?;
        match &mut sum {
            None => sum = Some(values),
            Some(sum) => {
                ensure!(
                    sum.dim() == values.dim(),
                    "{} has {:?} probabilities, the others {:?}",
                    archive.display(),
                    values.dim(),
                    sum.dim()
                );
                *sum += &values;
            }
        }
    }
    let mut mean = sum.context("an ensemble of no networks")?;
    mean /= archives.len() as f32;
    let heads = mean.shape()[0];
    let voxels = mean.len() / heads.max(1);
    let mean =
        Array2::from_shape_vec((heads, voxels), mean.into_raw_vec_and_offset().0).context("the probabilities")?;
    let (channels, origin) = read_channels(&[image.to_owned()], Intensities::Stored)?;
    let mut labels = Volume::new(channels[0].geometry().clone(), labels_of_probabilities(mean.view(), plan))?;
    if let Some(file) = postprocessing {
        read_postprocessing(file)?.apply(&mut labels);
    }
    let out = beside(stem, &plan.file_ending);
    write_labels(&out, &labels, &origin).with_context(|| format!("cannot write {}", out.display()))
}
