//! A scan made ready for a network, in nnU-Net's order: transpose, crop to what is not zero, normalise, resample.

use std::ops::Range;

use ndarray::{Array3, Array4, ArrayView3, Axis, s};
use shared::volume::Volume;
use thiserror::Error;

use crate::inference::plans::{IntensityProperties, Normalization, Plan, Resampling};

use super::resample::{new_shape, resample, separate_axis};

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
    #[error(
        "image {channel} has {dims:?} voxels of {spacing_mm:?} mm, the first image {first_dims:?} of {first_spacing_mm:?} mm; resample them to one grid first"
    )]
    DifferentGrids {
        /// Which image, counted from 0.
        channel: usize,
        /// Its size.
        dims: [usize; 3],
        /// Its spacing.
        spacing_mm: [f64; 3],
        /// Size of the first.
        first_dims: [usize; 3],
        /// Spacing of the first.
        first_spacing_mm: [f64; 3],
    },
    /// Nothing would be left at the network's spacing.
    #[error("the scan is too small: at the network's spacing it would have {0:?} voxels")]
    TooSmall([usize; 3]),
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
}

/// A scan on the network's grid, and the way back. Arrays are `[z, y, x]` in the network's axis order.
#[derive(Clone, Debug)]
pub struct Preprocessed {
    /// `[channels, z, y, x]`.
    pub data: Array4<f32>,
    /// The way back.
    pub frame: Frame,
}

/// Where a network's grid lies in the scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Network axes from `[z, y, x]`.
    pub transpose_forward: [usize; 3],
    /// `[z, y, x]` from network axes.
    pub transpose_backward: [usize; 3],
    /// The scan's size along the network's axes.
    pub full: [usize; 3],
    /// What was kept of it, along the network's axes.
    pub crop: [Range<usize>; 3],
    /// Spacing of the scan along the network's axes, in mm.
    pub spacing_mm: [f64; 3],
    /// Spacing of the network's grid, in mm.
    pub network_spacing_mm: [f64; 3],
    /// Size of the network's grid.
    pub network: [usize; 3],
}

impl Frame {
    /// Size of the crop before resampling.
    pub fn cropped(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.crop[axis].len())
    }
}

/// Prepares the channels of a scan.
///
/// # Errors
/// [`PreprocessError`].
pub fn preprocess(channels: &[Volume<f32>], plan: &Plan) -> Result<Preprocessed, PreprocessError> {
    check_channels(channels, plan)?;
    let transposed: Vec<Array3<f32>> = channels.iter().map(|c| network_axes(zyx(c).view(), plan.transpose_forward)).collect();
    let [sx, sy, sz] = channels[0].geometry().spacing_mm;
    let spacing_mm = plan.transpose_forward.map(|axis| [sz, sy, sx][axis]);
    let mask = nonzero(&transposed);
    let crop = bounding_box(&mask);
    let inside = |volume: ArrayView3<'_, bool>| volume.slice(s![crop[0].clone(), crop[1].clone(), crop[2].clone()]).to_owned();
    let mask = inside(mask.view());
    let network_spacing_mm = plan.target_spacing_mm(spacing_mm);
    let cropped: [usize; 3] = std::array::from_fn(|axis| crop[axis].len());
    let network = if plan.resample_data == Resampling::None { cropped } else { new_shape(cropped, spacing_mm, network_spacing_mm) };
    if network.contains(&0) {
        return Err(PreprocessError::TooSmall(network));
    }
    let mut data = Array4::zeros((channels.len(), network[0], network[1], network[2]));
    for (channel, volume) in transposed.iter().enumerate() {
        let mut values = volume.slice(s![crop[0].clone(), crop[1].clone(), crop[2].clone()]).to_owned();
        normalise(&mut values, &mask, channel, plan)?;
        let resampled = match plan.resample_data {
            Resampling::None => values,
            Resampling::Default { separate_z, order } => {
                let axis = separate_axis(spacing_mm, network_spacing_mm, separate_z);
                resample(values.view(), network, order, axis).mapv(|v| v as f32)
            }
        };
        data.index_axis_mut(Axis(0), channel).assign(&resampled);
    }
    let frame = Frame {
        transpose_forward: plan.transpose_forward,
        transpose_backward: plan.transpose_backward,
        full: std::array::from_fn(|axis| transposed[0].shape()[axis]),
        crop,
        spacing_mm,
        network_spacing_mm,
        network,
    };
    Ok(Preprocessed { data, frame })
}

/// The voxels as `[z, y, x]`.
pub fn zyx<T: Copy>(volume: &Volume<T>) -> Array3<T> {
    let [x, y, z] = volume.geometry().dims;
    let voxels = volume.voxels();
    Array3::from_shape_fn((z, y, x), |(k, j, i)| voxels[i + x * (j + y * k)])
}

/// A volume `[z, y, x]` along the network's axes.
pub fn network_axes<T: Copy>(volume: ArrayView3<'_, T>, transpose_forward: [usize; 3]) -> Array3<T> {
    volume.permuted_axes(transpose_forward).as_standard_layout().into_owned()
}

fn check_channels(channels: &[Volume<f32>], plan: &Plan) -> Result<(), PreprocessError> {
    let expected = plan.normalization.len();
    if channels.len() != expected || channels.is_empty() {
        return Err(PreprocessError::ChannelCount { expected, got: channels.len(), names: plan.channels.clone() });
    }
    let first = channels[0].geometry();
    for (channel, volume) in channels.iter().enumerate() {
        let geometry = volume.geometry();
        let near = geometry.spacing_mm.iter().zip(&first.spacing_mm).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0));
        if geometry.dims != first.dims || !near {
            return Err(PreprocessError::DifferentGrids {
                channel,
                dims: geometry.dims,
                spacing_mm: geometry.spacing_mm,
                first_dims: first.dims,
                first_spacing_mm: first.spacing_mm,
            });
        }
    }
    Ok(())
}

/// Voxels where some channel is not zero, with holes filled: background that no path of face neighbours leads out of.
fn nonzero(channels: &[Array3<f32>]) -> Array3<bool> {
    let mut mask = Array3::from_elem(channels[0].raw_dim(), false);
    for channel in channels {
        ndarray::Zip::from(&mut mask).and(channel).for_each(|inside, value| *inside |= *value != 0.0);
    }
    fill_holes(&mut mask);
    mask
}

fn fill_holes(mask: &mut Array3<bool>) {
    if mask.iter().all(|inside| *inside) {
        return;
    }
    let shape: [usize; 3] = std::array::from_fn(|axis| mask.shape()[axis]);
    let mut outside = Array3::from_elem(mask.raw_dim(), false);
    let mut stack: Vec<[usize; 3]> = mask
        .indexed_iter()
        .filter(|((z, y, x), inside)| !**inside && [*z, *y, *x].iter().zip(shape).any(|(i, n)| *i == 0 || i + 1 == n))
        .map(|((z, y, x), _)| [z, y, x])
        .collect();
    for voxel in &stack {
        outside[*voxel] = true;
    }
    while let Some(voxel) = stack.pop() {
        for axis in 0..3 {
            for neighbour in [voxel[axis].checked_sub(1), Some(voxel[axis] + 1).filter(|i| *i < shape[axis])].into_iter().flatten() {
                let mut next = voxel;
                next[axis] = neighbour;
                if !mask[next] && !outside[next] {
                    outside[next] = true;
                    stack.push(next);
                }
            }
        }
    }
    ndarray::Zip::from(mask).and(&outside).for_each(|inside, outside| *inside = !outside);
}

/// The smallest box that holds every true voxel; the whole volume if there is none.
fn bounding_box(mask: &Array3<bool>) -> [Range<usize>; 3] {
    std::array::from_fn(|axis| {
        let lanes: Vec<bool> = mask.axis_iter(Axis(axis)).map(|slice| slice.iter().any(|inside| *inside)).collect();
        match (lanes.iter().position(|l| *l), lanes.iter().rposition(|l| *l)) {
            (Some(first), Some(last)) => first..last + 1,
            _ => 0..lanes.len(),
        }
    })
}

fn normalise(values: &mut Array3<f32>, mask: &Array3<bool>, channel: usize, plan: &Plan) -> Result<(), PreprocessError> {
    let (scheme, use_mask) = plan.normalization[channel];
    match scheme {
        Normalization::None => {}
        Normalization::ZScore if use_mask => zscore(values, Some(mask)),
        Normalization::ZScore => zscore(values, None),
        Normalization::Ct => {
            let properties = plan.intensity.get(channel).copied().flatten().ok_or(PreprocessError::NoIntensities { channel })?;
            ct(values, properties);
        }
        Normalization::Rescale => {
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            values.mapv_inplace(|v| v - low);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max).max(1e-8);
            values.mapv_inplace(|v| v / high);
        }
        Normalization::Rgb => {
            if values.iter().any(|v| !(0.0..=255.0).contains(v)) {
                return Err(PreprocessError::NotRgb { channel });
            }
            values.mapv_inplace(|v| v / 255.0);
        }
    }
    Ok(())
}

/// Sums in f64, which differs from numpy's pairwise f32 sums by about 1e-7 of the value.
fn zscore(values: &mut Array3<f32>, mask: Option<&Array3<bool>>) {
    let chosen = |at: usize| mask.is_none_or(|m| m.as_slice().is_none_or(|m| m[at]));
    let of = |f: &dyn Fn(f32) -> f64| -> (f64, usize) {
        let picked = values.iter().enumerate().filter(|(at, _)| chosen(*at));
        picked.fold((0.0, 0), |(sum, n), (_, v)| (sum + f(*v), n + 1))
    };
    let (sum, n) = of(&f64::from);
    if n == 0 {
        return;
    }
    let mean = (sum / n as f64) as f32;
    let (squares, _) = of(&|v| f64::from(v - mean).powi(2));
    let std = ((squares / n as f64).sqrt() as f32).max(1e-8);
    for (at, value) in values.iter_mut().enumerate() {
        if mask.is_none_or(|m| m.as_slice().is_none_or(|m| m[at])) {
            *value = (*value - mean) / std;
        }
    }
}

fn ct(values: &mut Array3<f32>, properties: IntensityProperties) {
    let (low, high) = (properties.percentile_00_5 as f32, properties.percentile_99_5 as f32);
    let (mean, std) = (properties.mean as f32, (properties.std as f32).max(1e-8));
    values.mapv_inplace(|v| (v.clamp(low, high) - mean) / std);
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;

    use super::*;
    use crate::reference;

    #[test]
    fn holes_are_filled_and_tunnels_are_not() {
        let mut ring = Array3::from_elem((3, 3, 3), true);
        ring[[1, 1, 1]] = false;
        let mut tunnel = ring.clone();
        tunnel[[0, 1, 1]] = false;
        fill_holes(&mut ring);
        assert!(ring.iter().all(|v| *v));
        let before = tunnel.clone();
        fill_holes(&mut tunnel);
        assert_eq!(tunnel, before);
    }

    #[test]
    fn boxes_hold_what_is_true() {
        let mut mask = Array3::from_elem((4, 5, 6), false);
        assert_eq!(bounding_box(&mask), [0..4, 0..5, 0..6]);
        mask[[1, 2, 3]] = true;
        mask[[2, 2, 5]] = true;
        assert_eq!(bounding_box(&mask), [1..3, 2..3, 3..6]);
    }

    #[test]
    fn nnunets_normalisations_are_reproduced() {
        let Some(index) = reference::nnunet_index() else { return };
        let vector = index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "norm").unwrap().clone();
        let array = |name: &str| reference::nnunet_array3(vector[name].as_str().unwrap());
        let mask = array("seg").mapv(|v| v >= 0.0);
        let check = |name: &str, change: &dyn Fn(&mut Array3<f32>)| {
            let mut values = array("x");
            change(&mut values);
            for (got, wanted) in values.iter().zip(array(name).iter()) {
                assert!((got - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()), "{name}: {got} is not {wanted}");
            }
        };
        check("zscore", &|v| zscore(v, None));
        check("zscore_mask", &|v| zscore(v, Some(&mask)));
        let properties: IntensityProperties = serde_json::from_value(vector["ip"].clone()).unwrap();
        check("ct", &|v| ct(v, properties));
    }

    #[test]
    fn nnunets_crop_is_reproduced() {
        let Some(index) = reference::nnunet_index() else { return };
        for name in ["crop", "crop_empty"] {
            let vector = index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == name).unwrap().clone();
            let channels: Vec<Array3<f32>> =
                reference::nnunet_array(vector["x"].as_str().unwrap()).outer_iter().map(|c| c.to_owned()).collect();
            let expected: [[usize; 2]; 3] = serde_json::from_value(vector["bbox"].clone()).unwrap();
            assert_eq!(bounding_box(&nonzero(&channels)), expected.map(|[a, b]| a..b), "{name}");
        }
    }

    #[test]
    fn network_axes_and_back() {
        let volume = arr3(&[[[1, 2, 3], [4, 5, 6]]]);
        let there = network_axes(volume.view(), [2, 0, 1]);
        assert_eq!(there.shape(), [3, 1, 2]);
        assert_eq!(network_axes(there.view(), [1, 2, 0]), volume);
    }
}
