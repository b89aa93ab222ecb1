//! A scan made ready for a network, in nnU-Net's order: transpose, crop to what is not zero, normalise, resample.

use std::ops::Range;

use ndarray::{Array3, Array4, ArrayView3, Axis, Zip, s};
use shared::geometry::{Geometry, GridDifference};
use shared::label::Label;
use shared::volume::Volume;
use thiserror::Error;

use crate::bundle::plans::{Plan, Resampling};

use super::crop;
use super::frame::{Frame, zyx_view};
use super::network_grid::{NetworkGridError, network_shape};
use super::normalise::{Misfit, normalise};
use super::resample::{resample, separate_axis};
use super::resample_labels::{resample_labels, resample_labels_torch};
use super::resample_torch::{Channel, resample_torch};

/// Why a scan does not fit a network.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PreprocessError {
    /// Too few or too many images.
    #[error("this task needs {expected} image(s) ({names}), got {got}", names = names.join(", "))]
    ChannelCount {
        /// Channels of the task.
        expected: usize,
        /// Images given.
        got: usize,
        /// Channel names in order.
        names: Vec<String>,
    },
    /// Images on different grids.
    #[error("image {channel} {difference}. The images of a case must lie on one grid; resample it onto the first")]
    DifferentGrids {
        /// Which image, counted from 0.
        channel: usize,
        /// From the first.
        difference: GridDifference,
    },
    /// Nothing would be left at the network's spacing, or more than any machine holds.
    #[error(transparent)]
    NetworkGrid(#[from] NetworkGridError),
    /// RGB images must hold 0 to 255.
    #[error("image {channel} holds intensities outside 0 to 255, which its RGB normalisation does not allow")]
    NotRgb {
        /// Which image, counted from 0.
        channel: usize,
    },
    /// A CT channel without statistics.
    #[error("the plan has no foreground intensities for channel {channel}, which CT normalisation needs")]
    NoIntensities {
        /// Which channel.
        channel: usize,
    },
    /// A value that breaks every computation after it.
    #[error(
        "voxel [{x}, {y}, {z}] of image {channel} is {value}, not a number that can be computed with",
        x = voxel[0],
        y = voxel[1],
        z = voxel[2]
    )]
    NotFinite {
        /// Which image, counted from 0.
        channel: usize,
        /// Where, as x, y, z.
        voxel: [usize; 3],
        /// What it holds.
        value: f32,
    },
    /// A cascade without its first half.
    #[error("the network is the second stage of a cascade; it needs the segmentations of {stage}")]
    NoPreviousStage {
        /// The configuration of the first stage.
        stage: String,
    },
    /// A first stage on another grid.
    #[error("the previous stage's segmentation {0}. It must lie on the scan's grid")]
    PreviousStageGrid(GridDifference),
}

impl PreprocessError {
    fn of_misfit(misfit: Misfit, channel: usize) -> Self {
        match misfit {
            Misfit::NotRgb => Self::NotRgb { channel },
            Misfit::NoIntensities => Self::NoIntensities { channel },
        }
    }
}

/// A scan on the network's grid, and the way back. Arrays are `[z, y, x]` in the network's axis order.
#[derive(Clone, Debug)]
pub struct Preprocessed {
    /// `[channels, z, y, x]`.
    pub data: Array4<f32>,
    /// The way back.
    pub frame: Frame,
}

/// Prepares the channels of a scan for a single-stage network.
///
/// # Errors
/// [`PreprocessError`].
pub fn preprocess(channels: &[Volume<f32>], plan: &Plan) -> Result<Preprocessed, PreprocessError> {
    preprocess_stage(channels, None, plan)
}

/// Prepares the channels of a scan; a cascade's network also gets the previous stage's labels, as one channel per
/// foreground label.
///
/// # Errors
/// [`PreprocessError`].
pub fn preprocess_stage(
    channels: &[Volume<f32>],
    previous: Option<&Volume<Label>>,
    plan: &Plan,
) -> Result<Preprocessed, PreprocessError> {
    Ok(crop_and_normalise(channels, previous, plan)?.resampled(plan))
}

/// A scan's crop, normalised, on the scan's spacing still. Arrays are `[z, y, x]` in the network's axis order.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// One per image.
    pub channels: Vec<Array3<f32>>,
    /// A cascade's labels on the network's grid, one per foreground label.
    pub previous: Vec<Array3<f32>>,
    /// The way to the network's grid and back.
    pub frame: Frame,
}

impl Normalised {
    /// On the network's grid.
    pub fn resampled(self, plan: &Plan) -> Preprocessed {
        let Self { channels, previous, frame } = self;
        let of = channels.len();
        let mut data = Array4::zeros((of + previous.len(), frame.network[0], frame.network[1], frame.network[2]));
        for (index, values) in channels.into_iter().enumerate() {
            data.index_axis_mut(Axis(0), index).assign(&to_network(
                values,
                &frame,
                plan.resample_data,
                Channel { index, of },
            ));
        }
        for (number, labels) in previous.iter().enumerate() {
            data.index_axis_mut(Axis(0), of + number).assign(labels);
        }
        Preprocessed { data, frame }
    }
}

/// The first steps of [`preprocess_stage`]: everything but the resampling of the images.
///
/// # Errors
/// [`PreprocessError`].
pub fn crop_and_normalise(
    channels: &[Volume<f32>],
    previous: Option<&Volume<Label>>,
    plan: &Plan,
) -> Result<Normalised, PreprocessError> {
    check_channels(channels, plan)?;
    let previous = check_previous(channels, previous, plan)?;
    let views: Vec<ArrayView3<'_, f32>> = channels.iter().map(zyx_view).collect();
    let mask = crop::nonzero(&views);
    let found = crop::bounding_box(&mask);
    let axes = plan.transpose_forward;
    let crop = axes.map(|axis| found[axis].clone());
    let frame = frame(channels[0].geometry(), crop.clone(), plan)?;
    let [z, y, x] = crop;
    let mask = mask.view().permuted_axes(axes);
    let mask = mask.slice(s![z.clone(), y.clone(), x.clone()]);
    let previous = previous.map(|labels| {
        let labels = zyx_view(labels).permuted_axes(axes);
        // Outside of the scan a label other than background still counts as inside.
        let entry = |label: &Label, inside: &bool| if *label == 0 && !inside { -1 } else { i16::from(*label) };
        Zip::from(labels.slice(s![z.clone(), y.clone(), x.clone()])).and(mask).map_collect(entry)
    });
    let mask = previous.as_ref().map_or_else(|| mask.to_owned(), |labels| labels.mapv(|label| label >= 0));
    let normalised = views.iter().enumerate().map(|(index, view)| {
        let inside = view.permuted_axes(axes);
        let inside = inside.slice(s![z.clone(), y.clone(), x.clone()]);
        let (scheme, masked) = plan.normalization[index];
        let intensity = plan.intensity.get(index).copied().flatten();
        normalise(inside, scheme, masked.then(|| mask.view()), intensity)
            .map_err(|misfit| PreprocessError::of_misfit(misfit, index))
    });
    let channels = normalised.collect::<Result<Vec<_>, _>>()?;
    let previous = previous.map_or_else(Vec::new, |labels| {
        let labels = labels_to_network(labels, &frame, plan.resample_labels);
        let one_hot = |value: u16| labels.mapv(|label| f32::from(u8::from(i32::from(label) == i32::from(value))));
        plan.labels.values().into_iter().map(one_hot).collect()
    });
    Ok(Normalised { channels, previous, frame })
}

fn frame(scan: &Geometry, crop: [Range<usize>; 3], plan: &Plan) -> Result<Frame, PreprocessError> {
    let axes = plan.transpose_forward;
    let [x, y, z] = scan.dims;
    let [sx, sy, sz] = scan.spacing_mm;
    let spacing_mm = axes.map(|axis| [sz, sy, sx][axis]);
    let network_spacing_mm = plan.target_spacing_mm(spacing_mm);
    let cropped = crop.each_ref().map(ExactSizeIterator::len);
    let network = network_shape(cropped, spacing_mm, network_spacing_mm, plan)?;
    Ok(Frame {
        transpose_forward: axes,
        transpose_backward: plan.transpose_backward,
        full: axes.map(|axis| [z, y, x][axis]),
        crop,
        spacing_mm,
        network_spacing_mm,
        network,
    })
}

fn to_network(values: Array3<f32>, frame: &Frame, resampling: Resampling, channel: Channel) -> Array3<f32> {
    let separate = |separation| separate_axis(frame.spacing_mm, frame.network_spacing_mm, separation);
    match resampling {
        Resampling::None => values,
        Resampling::Spline { .. } | Resampling::Torch { .. } if values.shape() == frame.network => values,
        Resampling::Spline { order, separation } => {
            resample(values.view(), frame.network, order, separate(separation), |v| v as f32)
        }
        Resampling::Torch { separation } => resample_torch(values.view(), frame.network, separate(separation), channel),
    }
}

fn labels_to_network(labels: Array3<i16>, frame: &Frame, resampling: Resampling) -> Array3<i16> {
    let separate = |separation| separate_axis(frame.spacing_mm, frame.network_spacing_mm, separation);
    match resampling {
        Resampling::None => labels,
        Resampling::Spline { order, separation } => {
            resample_labels(labels.view(), frame.network, order, separate(separation))
        }
        Resampling::Torch { separation } => resample_labels_torch(labels.view(), frame.network, separate(separation)),
    }
}

fn check_channels(channels: &[Volume<f32>], plan: &Plan) -> Result<(), PreprocessError> {
    let expected = plan.normalization.len();
    if channels.len() != expected || channels.is_empty() {
        return Err(PreprocessError::ChannelCount { expected, got: channels.len(), names: plan.channels.clone() });
    }
    let first = channels[0].geometry();
    for (channel, volume) in channels.iter().enumerate() {
        let geometry = volume.geometry();
        geometry
            .check_same_grid(first)
            .map_err(|difference| PreprocessError::DifferentGrids { channel, difference })?;
        if let Some((at, value)) = volume.voxels().iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(PreprocessError::NotFinite {
                channel,
                voxel: Geometry::voxel_at(at, geometry.dims),
                value: *value,
            });
        }
    }
    Ok(())
}

fn check_previous<'a>(
    channels: &[Volume<f32>],
    previous: Option<&'a Volume<Label>>,
    plan: &Plan,
) -> Result<Option<&'a Volume<Label>>, PreprocessError> {
    match (&plan.previous_stage, previous) {
        (None, _) => Ok(None),
        (Some(stage), None) => Err(PreprocessError::NoPreviousStage { stage: stage.clone() }),
        (Some(_), Some(labels)) => {
            labels.geometry().check_same_grid(channels[0].geometry()).map_err(PreprocessError::PreviousStageGrid)?;
            Ok(Some(labels))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::plans::Normalization;
    use crate::pipeline::frame::network_axes;

    fn scan(dims: [usize; 3], spacing_mm: [f64; 3], value: impl FnMut([usize; 3]) -> f32) -> Volume<f32> {
        let mut value = value;
        let voxels = (0..dims.iter().product()).map(|at| value(Geometry::voxel_at(at, dims))).collect();
        Volume::new(Geometry::axis_aligned(dims, spacing_mm).unwrap(), voxels).unwrap()
    }

    #[test]
    fn what_is_not_a_number_is_named() {
        for bad in [f32::NAN, f32::INFINITY] {
            let scan = scan([3, 4, 5], [1.0; 3], |voxel| if voxel == [2, 1, 3] { bad } else { 1.0 });
            let error = preprocess(&[scan], &Plan::for_tests([1.0; 3])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("voxel [2, 1, 3] of image 0 is {bad}, not a number that can be computed with")
            );
        }
    }

    #[test]
    fn a_scan_that_vanishes_is_refused() {
        let scan = scan([1, 1, 1], [0.4; 3], |_| 1.0);
        assert_eq!(
            preprocess(&[scan], &Plan::for_tests([1.0; 3])).unwrap_err(),
            NetworkGridError::TooSmall([0, 0, 0]).into()
        );
    }

    #[test]
    fn the_second_stage_of_a_cascade_sees_the_first_as_channels() {
        let image = scan([2, 1, 1], [1.0; 3], |_| 3.0);
        let plan = Plan { previous_stage: Some("3d_lowres".into()), ..Plan::for_tests([1.0; 3]) };
        assert!(
            preprocess(std::slice::from_ref(&image), &plan)
                .unwrap_err()
                .to_string()
                .contains("needs the segmentations of 3d_lowres")
        );
        let labels = Volume::new(image.geometry().clone(), vec![2, 1]).unwrap();
        let data = preprocess_stage(&[image], Some(&labels), &plan).unwrap().data;
        assert_eq!(data.into_raw_vec_and_offset().0, [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    }

    proptest::proptest! {
        /// Any size, transposed or not, empty or not: never a panic, and the way back leads to the scan's own size.
        #[test]
        fn every_scan_has_a_way_there_and_back(
            dims in proptest::array::uniform3(1_usize..7),
            spacing in proptest::array::uniform3(0.3_f64..6.0),
            axes in proptest::sample::select(vec![
                ([0, 1, 2], [0, 1, 2]),
                ([2, 0, 1], [1, 2, 0]),
                ([1, 0, 2], [1, 0, 2]),
            ]),
            empty in 0_u8..3,
            masked: bool,
        ) {
            let is_empty = |[x, y, z]: [usize; 3]| empty == 0 || (empty == 1 && x + y < z);
            let intensity = |[x, y, z]: [usize; 3]| (1 + x * y + z) as f32;
            let scan = scan(dims, spacing, |at| if is_empty(at) { 0.0 } else { intensity(at) });
            let plan = Plan {
                transpose_forward: axes.0,
                transpose_backward: axes.1,
                normalization: vec![(Normalization::ZScore, masked)],
                ..Plan::for_tests([1.5, 1.0, 0.7])
            };
            let prepared = match preprocess(std::slice::from_ref(&scan), &plan) {
                Ok(prepared) => prepared,
                Err(error) => {
                    let too_small = matches!(error, PreprocessError::NetworkGrid(NetworkGridError::TooSmall(_)));
                    proptest::prop_assert!(too_small, "{}", error);
                    return Ok(());
                }
            };
            proptest::prop_assert!(prepared.data.iter().all(|v| v.is_finite()));
            let logits = prepared.data.mapv(half::f16::from_f32);
            let labels = super::super::export::labels(logits.view(), &prepared.frame, &plan, scan.geometry()).unwrap();
            proptest::prop_assert_eq!(labels.voxels().len(), dims.iter().product::<usize>());
            let there = network_axes(zyx_view(&scan), plan.transpose_forward);
            let back = network_axes(there.view(), plan.transpose_backward);
            proptest::prop_assert_eq!(back.view(), zyx_view(&scan));
        }
    }
}
