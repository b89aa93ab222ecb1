//! From the network's grid back to the scan's: resample, decide, un-crop, un-transpose.
//!
//! No volume of all classes at full resolution ever exists. Where logits are resampled linearly, which is nnU-Net's
//! default, threads walk the scan in slabs of a few planes and decide while they interpolate; else one class after the
//! other is resampled.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::parallel::prelude::*;
use ndarray::{Array3, ArrayView2, ArrayView3, ArrayView4, Axis, Zip, s};
use shared::geometry::{Geometry, GeometryError};
use shared::label::Label;
use shared::volume::Volume;

use crate::bundle::plans::{Plan, Resampling};

use super::frame::{Frame, network_axes};
use super::resample::{Taps, nearest_indices, resample, separate_axis, taps};
use super::resample_torch::{Channel, resample_torch};

/// The label of every voxel of the scan; background outside the crop. Without regions it is the head with the largest
/// logit, the first of equals; with regions every head whose sigmoid exceeds one half writes its label, later ones over
/// earlier ones.
///
/// `logits` is `[heads, z, y, x]` on the network's grid.
///
/// # Errors
/// [`GeometryError`] if the frame is not the scan's.
pub fn labels(
    logits: ArrayView4<'_, f16>,
    frame: &Frame,
    plan: &Plan,
    scan: &Geometry,
) -> Result<Volume<Label>, GeometryError> {
    let rule = Rule::of(plan);
    let labels = match plan.resample_logits {
        Resampling::Spline { order: order @ (0 | 1), separation } if frame.cropped() != frame.network => {
            let separate = separate_axis(frame.network_spacing_mm, frame.spacing_mm, separation);
            labels_by_slab(logits, frame, &linear_taps(frame, order, separate), &rule)
        }
        resampling => labels_by_head(logits, frame, resampling, &rule),
    };
    to_scan(labels, frame, 0, scan)
}

/// The labels as nnU-Net finds them when it is asked for probabilities (from these, not from logits), and every head's
/// probabilities `[x, y, z]` of the scan, x fastest, handed to `take` one head after the other. Outside the crop it is
/// background for certain, with regions nothing.
///
/// # Errors
/// [`GeometryError`] if the frame is not the scan's, and what `take` answers.
pub fn labels_and_probabilities<E: From<GeometryError>>(
    logits: ArrayView4<'_, f16>,
    frame: &Frame,
    plan: &Plan,
    scan: &Geometry,
    mut take: impl FnMut(usize, &[f32]) -> Result<(), E>,
) -> Result<Volume<Label>, E> {
    let rule = Rule::of(plan);
    let of = logits.shape()[0];
    let head = |index: usize| head_on_scan_spacing(logits, Channel { index, of }, frame, plan.resample_logits);
    let softmax = if let Rule::Largest = rule { Some(Softmax::of((0..of).map(head))) } else { None };
    let mut best = Array3::from_elem(frame.cropped(), f32::NEG_INFINITY);
    let mut labels = Array3::<Label>::zeros(frame.cropped());
    for index in 0..of {
        let mut values = head(index);
        match &softmax {
            Some(softmax) => softmax.apply(&mut values),
            None => values.par_mapv_inplace(sigmoid),
        }
        Zip::from(&mut best).and(&mut labels).and(&values).par_for_each(|best, label, probability| match &rule {
            Rule::Largest if *probability > *best => (*best, *label) = (*probability, index as Label),
            Rule::Regions(order) if *probability > 0.5 => *label = order[index],
            _ => {}
        });
        let outside = if index == 0 && softmax.is_some() { 1.0 } else { 0.0 };
        take(index, to_scan(values, frame, outside, scan)?.voxels())?;
    }
    Ok(to_scan(labels, frame, 0, scan)?)
}

/// The label of every voxel from probabilities `[heads, voxels]`, as nnU-Net finds it for an ensemble: the first of the
/// largest, or the last region above one half.
pub fn labels_of_probabilities(probabilities: ArrayView2<'_, f32>, plan: &Plan) -> Vec<Label> {
    let rule = Rule::of(plan);
    let mut labels = vec![0; probabilities.ncols()];
    let mut best = vec![f32::NEG_INFINITY; probabilities.ncols()];
    for (head, values) in probabilities.outer_iter().enumerate() {
        for ((value, label), best) in values.iter().zip(&mut labels).zip(&mut best) {
            match &rule {
                Rule::Largest if *value > *best => (*best, *label) = (*value, head as Label),
                Rule::Regions(order) if *value > 0.5 => *label = order[head],
                _ => {}
            }
        }
    }
    labels
}

/// Scalar values of every voxel of the scan, linearly resampled; `outside` beyond the crop.
///
/// # Errors
/// [`GeometryError`] if the frame is not the scan's.
pub fn scalars(
    values: ArrayView3<'_, f32>,
    frame: &Frame,
    plan: &Plan,
    outside: f32,
    scan: &Geometry,
) -> Result<Volume<f32>, GeometryError> {
    let resampled = to_scan_spacing(values, Channel { index: 0, of: 1 }, frame, plan.resample_logits, |v| v as f32);
    to_scan(resampled, frame, outside, scan)
}

/// How logits become labels.
pub(super) enum Rule {
    Largest,
    /// `regions_class_order`.
    Regions(Vec<Label>),
}

impl Rule {
    pub(super) fn of(plan: &Plan) -> Self {
        match &plan.labels.regions_class_order {
            None => Self::Largest,
            Some(order) => {
                Self::Regions(order.iter().map(|label| Label::try_from(*label).unwrap_or(Label::MAX)).collect())
            }
        }
    }
}

/// torch's sigmoid in f32. Its last bit decides whether a logit next to 0 exceeds one half.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Planes that a thread resamples before it goes on to the next class.
const SLAB: usize = 16;

/// Every output plane is decided from two source planes, which are resized within themselves first and kept while they
/// are needed.
fn labels_by_slab(logits: ArrayView4<'_, f16>, frame: &Frame, taps: &[Vec<Taps>; 3], rule: &Rule) -> Array3<Label> {
    let [_, height, width] = frame.cropped();
    let plane = height * width;
    let mut labels = Array3::<Label>::zeros(frame.cropped());
    labels.axis_chunks_iter_mut(Axis(0), SLAB).into_par_iter().enumerate().for_each(|(slab, mut labels)| {
        let Some(labels) = labels.as_slice_mut() else { return };
        let mut best = vec![f64::NEG_INFINITY; labels.len()];
        for (head, logit) in logits.outer_iter().enumerate() {
            let mut planes = Planes::new(logit, taps);
            for (row, (labels, best)) in labels.chunks_exact_mut(plane).zip(best.chunks_exact_mut(plane)).enumerate() {
                let z = slab * SLAB + row;
                let exact = |head: usize, at: usize| {
                    direct(logits.index_axis(Axis(0), head), [&taps[0][z], &taps[1][at / width], &taps[2][at % width]])
                };
                decide(head, planes.values(z), exact, labels, best, rule);
            }
        }
    });
    labels
}

/// How far below the largest value another one may seem and yet be rounded above it.
const CLOSE: f64 = 1e-12;

/// `exact` gives a head's value at an index as scipy sums it; `best` holds the value of each voxel's label, or one that
/// is rounded to the same.
fn decide(
    head: usize,
    values: impl Iterator<Item = f64>,
    exact: impl Fn(usize, usize) -> f64,
    labels: &mut [Label],
    best: &mut [f64],
    rule: &Rule,
) {
    let rounded = |value: f64, head: usize, at: usize| f16_from_f64(settled(value, || exact(head, at)));
    match rule {
        Rule::Largest if head == 0 => best.iter_mut().zip(values).for_each(|(best, value)| *best = value),
        Rule::Largest => {
            for (at, ((value, label), best)) in values.zip(labels).zip(best).enumerate() {
                // Rounding keeps order, so only what is larger can be larger once rounded; equal ones stay with the
                // first.
                if value > *best - best.abs() * CLOSE {
                    if rounded(value, head, at) > rounded(*best, usize::from(*label), at) {
                        *label = head as Label;
                    }
                    *best = best.max(value);
                }
            }
        }
        Rule::Regions(order) => {
            for (at, (value, label)) in values.zip(labels).enumerate() {
                if value > 0.0 && sigmoid(rounded(value, head, at).to_f32()) > 0.5 {
                    *label = order[head];
                }
            }
        }
    }
}

/// The value itself, unless it lies so close to the middle between two halves that the order of its sum decides which
/// of them it becomes.
fn settled(value: f64, exact: impl Fn() -> f64) -> f64 {
    let exponent = ((value.to_bits() >> 52 & 0x7ff) as i64 - 1023).clamp(-14, 1000);
    let steps = value.abs() * f64::from_bits(((1023 + 10 - exponent) as u64) << 52);
    if (steps - steps.floor() - 0.5).abs() < 1e-6 { exact() } else { value }
}

/// The value at one voxel, its eight terms one after the other, as scipy has them.
fn direct(logit: ArrayView3<'_, f16>, [z, y, x]: [&Taps; 3]) -> f64 {
    let mut sum = 0.0;
    for corner in 0..8 {
        let [a, b, c] = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
        sum += logit[[z.indices[a], y.indices[b], x.indices[c]]].to_f64() * z.weights[a] * y.weights[b] * x.weights[c];
    }
    sum
}

/// The planes of a head, resized within themselves.
struct Planes<'a> {
    logit: ArrayView3<'a, f16>,
    taps: &'a [Vec<Taps>; 3],
    kept: [Option<(usize, Vec<f64>)>; 2],
}

impl<'a> Planes<'a> {
    fn new(logit: ArrayView3<'a, f16>, taps: &'a [Vec<Taps>; 3]) -> Self {
        Self { logit, taps, kept: [None, None] }
    }

    /// The values of an output plane, x fastest.
    fn values(&mut self, z: usize) -> impl Iterator<Item = f64> {
        let Taps { indices: [below, above, ..], weights: [a, b, ..], .. } = self.taps[0][z];
        let [below, above] = self.pair(below, above);
        below.iter().zip(above).map(move |(low, high)| low * a + high * b)
    }

    /// Both planes; an output plane's successor needs the same two, or the later one and a new one.
    fn pair(&mut self, low: usize, high: usize) -> [&[f64]; 2] {
        for wanted in [low, high] {
            if !self.kept.iter().flatten().any(|(index, _)| *index == wanted) {
                let free = self
                    .kept
                    .iter()
                    .position(|kept| kept.as_ref().is_none_or(|(index, _)| *index != low && *index != high));
                self.kept[free.unwrap_or(0)] = Some((wanted, self.resized(wanted)));
            }
        }
        let find = |wanted: usize| {
            self.kept.iter().flatten().find(|(index, _)| *index == wanted).map_or(&[][..], |(_, plane)| plane)
        };
        [find(low), find(high)]
    }

    fn resized(&self, index: usize) -> Vec<f64> {
        let plane = self.logit.index_axis(Axis(0), index);
        let (height, width) = plane.dim();
        let mut row = vec![0.0_f32; width];
        let mut rows = Vec::with_capacity(height * self.taps[2].len());
        for halves in plane.outer_iter() {
            match halves.as_slice() {
                Some(halves) => halves.convert_to_f32_slice(&mut row),
                None => row.iter_mut().zip(halves).for_each(|(value, half)| *value = half.to_f32()),
            }
            let value = |tap: &Taps, at: usize| f64::from(row[tap.indices[at]]) * tap.weights[at];
            rows.extend(self.taps[2].iter().map(|tap| value(tap, 0) + value(tap, 1)));
        }
        let width = self.taps[2].len();
        let mut resized = Vec::with_capacity(self.taps[1].len() * width);
        for taps in &self.taps[1] {
            let row = |at: usize| &rows[taps.indices[at] * width..][..width];
            let [a, b, ..] = taps.weights;
            resized.extend(row(0).iter().zip(row(1)).map(|(low, high)| low * a + high * b));
        }
        resized
    }
}

/// Two taps an axis; for an axis apart both are the nearest sample.
fn linear_taps(frame: &Frame, order: u8, separate: Option<usize>) -> [Vec<Taps>; 3] {
    let cropped = frame.cropped();
    std::array::from_fn(|axis| {
        let (n, length) = (frame.network[axis], cropped[axis]);
        if separate == Some(axis) {
            return nearest_indices(n, length).into_iter().map(Taps::only).collect();
        }
        if order == 0 {
            taps(n, length, 0).into_iter().map(|t| Taps::only(t.indices[0])).collect()
        } else {
            taps(n, length, 1)
        }
    })
}

fn labels_by_head(logits: ArrayView4<'_, f16>, frame: &Frame, resampling: Resampling, rule: &Rule) -> Array3<Label> {
    let mut best = Array3::from_elem(frame.cropped(), f32::NEG_INFINITY);
    let mut labels = Array3::<Label>::zeros(frame.cropped());
    let of = logits.shape()[0];
    for index in 0..of {
        let values = head_on_scan_spacing(logits, Channel { index, of }, frame, resampling);
        Zip::from(&mut best).and(&mut labels).and(&values).par_for_each(|best, label, value| match rule {
            Rule::Largest if *value > *best => (*best, *label) = (*value, index as Label),
            Rule::Regions(order) if sigmoid(*value) > 0.5 => *label = order[index],
            _ => {}
        });
    }
    labels
}

/// One head's logits on the crop's grid, rounded as nnU-Net rounds them: to half precision by splines, not by torch.
fn head_on_scan_spacing(
    logits: ArrayView4<'_, f16>,
    channel: Channel,
    frame: &Frame,
    resampling: Resampling,
) -> Array3<f32> {
    let logit = logits.index_axis(Axis(0), channel.index);
    match resampling {
        Resampling::Spline { order: order @ (0 | 1), separation } if frame.cropped() != frame.network => {
            let separate = separate_axis(frame.network_spacing_mm, frame.spacing_mm, separation);
            linear_head(logit, frame, &linear_taps(frame, order, separate))
        }
        _ => to_scan_spacing(logit.mapv(f16::to_f32).view(), channel, frame, resampling, |v| f16_from_f64(v).to_f32()),
    }
}

fn linear_head(logit: ArrayView3<'_, f16>, frame: &Frame, taps: &[Vec<Taps>; 3]) -> Array3<f32> {
    let [_, height, width] = frame.cropped();
    let mut result = Array3::zeros(frame.cropped());
    result.axis_chunks_iter_mut(Axis(0), SLAB).into_par_iter().enumerate().for_each(|(slab, mut result)| {
        let Some(result) = result.as_slice_mut() else { return };
        let mut planes = Planes::new(logit, taps);
        for (row, result) in result.chunks_exact_mut(height * width).enumerate() {
            let z = slab * SLAB + row;
            for (at, (result, value)) in result.iter_mut().zip(planes.values(z)).enumerate() {
                let exact = || direct(logit, [&taps[0][z], &taps[1][at / width], &taps[2][at % width]]);
                *result = f16_from_f64(settled(value, exact)).to_f32();
            }
        }
    });
    result
}

fn to_scan_spacing(
    values: ArrayView3<'_, f32>,
    channel: Channel,
    frame: &Frame,
    resampling: Resampling,
    round: impl Fn(f64) -> f32 + Sync,
) -> Array3<f32> {
    let separate = |separation| separate_axis(frame.network_spacing_mm, frame.spacing_mm, separation);
    match resampling {
        Resampling::None => values.to_owned(),
        Resampling::Spline { order, separation } => {
            resample(values, frame.cropped(), order, separate(separation), round)
        }
        Resampling::Torch { separation } => resample_torch(values, frame.cropped(), separate(separation), channel),
    }
}

/// What all heads together contribute to each head's probability.
struct Softmax {
    largest: Array3<f32>,
    total: Array3<f32>,
}

impl Softmax {
    fn of(heads: impl Iterator<Item = Array3<f32>> + Clone) -> Self {
        let mut largest: Option<Array3<f32>> = None;
        for values in heads.clone() {
            match &mut largest {
                None => largest = Some(values),
                Some(largest) => Zip::from(largest).and(&values).par_for_each(|a, b| *a = a.max(*b)),
            }
        }
        let largest = largest.unwrap_or_default();
        let mut total = Array3::zeros(largest.raw_dim());
        for values in heads {
            Zip::from(&mut total)
                .and(&largest)
                .and(&values)
                .par_for_each(|total, largest, value| *total += (value - largest).exp());
        }
        Self { largest, total }
    }

    fn apply(&self, values: &mut Array3<f32>) {
        Zip::from(values).and(&self.largest).and(&self.total).par_for_each(|value, largest, total| {
            *value = (*value - largest).exp() / total;
        });
    }
}

pub(super) fn to_scan<T: Copy>(
    cropped: Array3<T>,
    frame: &Frame,
    outside: T,
    scan: &Geometry,
) -> Result<Volume<T>, GeometryError> {
    let mut full = Array3::from_elem(frame.full, outside);
    let [z, y, x] = frame.crop.clone();
    full.slice_mut(s![z, y, x]).assign(&cropped);
    let voxels = network_axes(full.view(), frame.transpose_backward).into_raw_vec_and_offset().0;
    Volume::new(scan.clone(), voxels)
}

/// numpy's direct rounding. By way of f32 a value could be rounded twice; "round to odd" on the way prevents that.
pub(super) fn f16_from_f64(value: f64) -> f16 {
    let single = value as f32;
    let exact = f64::from(single);
    if exact == value || !single.is_finite() || single.to_bits() & 1 == 1 {
        return f16::from_f32(single);
    }
    let towards =
        if (value > exact) == (single > 0.0) { single.to_bits() + 1 } else { single.to_bits().wrapping_sub(1) };
    f16::from_f32(if single == 0.0 { single } else { f32::from_bits(towards) })
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;
    use crate::bundle::plans::Separation;
    use crate::reference;

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn halves_are_rounded_once() {
        let index = reference::nnunet_index();
        let vector =
            index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "f64_to_f16_numpy").unwrap().clone();
        let values = reference::nnunet_f64(vector["x"].as_str().unwrap());
        let expected = reference::nnunet_f64(vector["out"].as_str().unwrap());
        assert!(values.len() > 100 && values.len() == expected.len(), "{} values", values.len());
        for (value, wanted) in values.iter().zip(expected) {
            assert_eq!(f16_from_f64(*value).to_f64(), wanted, "{value}");
        }
    }

    fn plan(resample_logits: Resampling, regions_class_order: Option<Vec<u16>>) -> Plan {
        let mut plan = Plan::for_tests([1.0; 3]);
        plan.resample_logits = resample_logits;
        plan.labels.regions_class_order = regions_class_order;
        plan
    }

    fn frame(network: [usize; 3], cropped: [usize; 3], spacing_mm: [f64; 3]) -> Frame {
        Frame {
            transpose_forward: [0, 1, 2],
            transpose_backward: [0, 1, 2],
            full: cropped,
            crop: cropped.map(|n| 0..n),
            spacing_mm,
            network_spacing_mm: [1.0; 3],
            network,
        }
    }

    fn spline() -> Resampling {
        Resampling::Spline { order: 1, separation: Separation::default() }
    }

    proptest::proptest! {
        /// Deciding in slabs is summing as scipy does, rounding, and deciding.
        #[test]
        fn slabs_decide_as_scipys_sums_do(
            network in proptest::array::uniform3(1_usize..8),
            cropped in proptest::array::uniform3(1_usize..40),
            heads in 1_usize..5,
            seed: u64,
            thick: bool,
            regions: bool,
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Few values, so that ties abound.
                f16::from_f32(((state >> 40) % 7) as f32 / 4.0 - 0.75)
            };
            let logits = Array4::from_shape_simple_fn([heads, network[0], network[1], network[2]], &mut next);
            let frame = frame(network, cropped, if thick { [4.0, 1.0, 1.0] } else { [1.0; 3] });
            let plan = plan(spline(), regions.then(|| (1..=heads as u16).collect()));
            let scan = Geometry::axis_aligned([cropped[2], cropped[1], cropped[0]], [1.0; 3]).unwrap();
            let got = labels(logits.view(), &frame, &plan, &scan).unwrap();
            let taps = linear_taps(&frame, 1, thick.then_some(0));
            let expected = Array3::from_shape_fn(cropped, |(z, y, x)| {
                let taps = [&taps[0][z], &taps[1][y], &taps[2][x]];
                let values = logits.outer_iter().map(|logit| f16_from_f64(direct(logit, taps)));
                let mut label = 0;
                let mut best = f16::NEG_INFINITY;
                for (head, value) in values.enumerate() {
                    if if regions { sigmoid(value.to_f32()) > 0.5 } else { value > best } {
                        (best, label) = (value, (head + usize::from(regions)) as Label);
                    }
                }
                label
            });
            proptest::prop_assert_eq!(got.voxels(), expected.as_slice().unwrap());
            let by_head = labels_by_head(logits.view(), &frame, spline(), &Rule::of(&plan));
            proptest::prop_assert_eq!(by_head, expected);
        }
    }

    /// nnU-Net's own function on logits, to the last bit of half precision.
    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_logits_are_reproduced() {
        let index = reference::nnunet_index();
        let mut checked = 0;
        for vector in index["vectors"].as_array().unwrap().iter().filter(|v| v["logits_out"].is_string()) {
            let [logits, expected] =
                ["logits", "logits_out"].map(|name| reference::nnunet_array(vector[name].as_str().unwrap()));
            let [network, cropped] =
                [&logits, &expected].map(|volume| std::array::from_fn(|axis| volume.shape()[axis + 1]));
            let taps =
                linear_taps(&frame(network, cropped, [1.0; 3]), 1, vector["axis"].as_u64().map(|axis| axis as usize));
            for (logit, expected) in logits.outer_iter().zip(expected.outer_iter()) {
                let got = linear_head(logit.mapv(f16::from_f32).view(), &frame(network, cropped, [1.0; 3]), &taps);
                assert_eq!(got, expected, "{}", vector["name"]);
                checked += got.len();
            }
        }
        assert!(checked > 10_000);
    }

    #[test]
    fn probabilities_sum_to_one_and_are_background_outside_of_the_crop() {
        let logits =
            Array4::from_shape_fn((3, 2, 2, 2), |(h, z, y, x)| f16::from_f32((h * (z + 2 * y + x)) as f32 / 3.0));
        let frame = Frame { full: [4, 2, 2], crop: [1..3, 0..2, 0..2], ..frame([2, 2, 2], [2, 2, 2], [1.0; 3]) };
        let scan = Geometry::axis_aligned([2, 2, 4], [1.0; 3]).unwrap();
        let mut heads: Vec<Vec<f32>> = Vec::new();
        let with = labels_and_probabilities(logits.view(), &frame, &plan(spline(), None), &scan, |_, values| {
            heads.push(values.to_vec());
            Ok::<(), GeometryError>(())
        });
        assert_eq!(with.unwrap(), labels(logits.view(), &frame, &plan(spline(), None), &scan).unwrap());
        for voxel in 0..16 {
            assert!((heads.iter().map(|h| h[voxel]).sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_eq!([heads[0][0], heads[1][0], heads[2][15]], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn later_regions_write_over_earlier_ones() {
        let logits =
            Array4::from_shape_vec((2, 1, 1, 3), [1.0, 1.0, -1.0, -1.0, 1.0, 1.0].map(f16::from_f32).to_vec()).unwrap();
        let scan = Geometry::axis_aligned([3, 1, 1], [1.0; 3]).unwrap();
        let frame = frame([1, 1, 3], [1, 1, 3], [1.0; 3]);
        let got = labels(logits.view(), &frame, &plan(spline(), Some(vec![4, 2])), &scan).unwrap();
        assert_eq!(got.voxels(), [4, 2, 2]);
    }

    #[test]
    fn cropped_labels_return_to_their_place() {
        let frame = Frame {
            transpose_forward: [2, 0, 1],
            transpose_backward: [1, 2, 0],
            full: [4, 2, 3],
            crop: [1..3, 0..1, 2..3],
            spacing_mm: [1.0; 3],
            network_spacing_mm: [1.0; 3],
            network: [2, 1, 1],
        };
        let scan = Geometry::axis_aligned([4, 3, 2], [1.0; 3]).unwrap();
        let volume = to_scan(Array3::from_elem((2, 1, 1), 7_u8), &frame, 0, &scan).unwrap();
        // Network axes are (x, z, y): x 1 and 2, z 0, y 2.
        let set: Vec<usize> = (0..24).filter(|i| volume.voxels()[*i] == 7).collect();
        assert_eq!(set, [Geometry::offset([1, 2, 0], [4, 3, 2]), Geometry::offset([2, 2, 0], [4, 3, 2])]);
    }
}
