//! Prediction that stays on a device: the same steps as `preprocess`, `predict` and `export`, told to the device as
//! plain numbers.

use half::f16;
use ndarray::{Array2, Array4};
use shared::geometry::Geometry;
use shared::label::Label;
use shared::volume::Volume;

use crate::bundle::plans::{Plan, Resampling};
use crate::inference::engine::Engine;
use crate::inference::resident::{Case, Clip, Resize};
use crate::inference::{NetworkError, Progress, sliding_window};

use super::export::{Rule, to_scan};
use super::frame::Frame;
use super::predict::{Options, mean_logits, window};
use super::preprocess::Normalised;
use super::presegment::SegmentError;
use super::{resample, resample_torch};

/// The label of every voxel of the scan, computed where the networks are. Labels are those of
/// [`super::predict::mean_logits`] and [`super::export::labels`] but for last bits: resampling is in f32.
///
/// # Errors
/// [`SegmentError`]; a [`crate::inference::NetworkError::Engine`] where the device has too little memory, upon which
/// the way over the host may serve.
pub fn labels(
    engine: &dyn Engine,
    plan: &Plan,
    scan: &Geometry,
    normalised: &Normalised,
    options: Options,
    progress: &mut Progress<'_>,
) -> Result<Volume<Label>, SegmentError> {
    let frame = &normalised.frame;
    let there = [frame.spacing_mm, frame.network_spacing_mm];
    let back = [frame.network_spacing_mm, frame.spacing_mm];
    let mirrors = sliding_window::mirrors(plan.mirror_axes().as_deref());
    let window = window(plan, options);
    let case = Case {
        channels: normalised.channels.iter().map(|values| values.view()).collect(),
        to_network: resize([frame.cropped(), frame.network], there, plan.resample_data),
        more: normalised.previous.iter().map(|values| values.view()).collect(),
        window: &window,
        mirrors: &mirrors,
        to_scan: resize([frame.network, frame.cropped()], back, plan.resample_logits),
        half: matches!(plan.resample_logits, Resampling::Spline { .. }),
        regions: match Rule::of(plan) {
            Rule::Largest => None,
            Rule::Regions(order) => Some(order),
        },
    };
    Ok(to_scan(engine.labels(&case, progress)?, frame, 0, scan)?)
}

/// What a case came to.
#[derive(Debug)]
pub enum Outcome {
    /// Labels of the scan.
    Labels(Volume<Label>),
    /// Logits `[heads, z, y, x]` on the network's grid, with the way back to the scan.
    Logits(Array4<f16>, Frame),
}

/// [`labels`]; where the device's memory does not suffice, logits that are gathered on the host, as by [`mean_logits`].
/// `fell_back` hears why.
///
/// # Errors
/// [`SegmentError`].
pub fn labels_or_logits(
    engine: &dyn Engine,
    plan: &Plan,
    scan: &Geometry,
    normalised: Normalised,
    options: Options,
    progress: &mut Progress<'_>,
    fell_back: &mut dyn FnMut(&str),
) -> Result<Outcome, SegmentError> {
    match labels(engine, plan, scan, &normalised, options, progress) {
        Err(SegmentError::Network(NetworkError::Engine(why))) => {
            fell_back(&why);
            let prepared = normalised.resampled(plan);
            Ok(Outcome::Logits(
                mean_logits(engine.folds(), plan, prepared.data.view(), options, progress)?,
                prepared.frame,
            ))
        }
        labels => Ok(Outcome::Labels(labels?)),
    }
}

/// Resampling as matrices; None where nothing changes.
fn resize([from, to]: [[usize; 3]; 2], [from_mm, to_mm]: [[f64; 3]; 2], resampling: Resampling) -> Option<Resize> {
    let (order, separation) = match resampling {
        Resampling::None => return None,
        Resampling::Spline { order, separation } => (Some(order), separation),
        Resampling::Torch { separation } => (None, separation),
    };
    let apart = resample::separate_axis(from_mm, to_mm, separation);
    let axis = |axis: usize| {
        let (n, length) = (from[axis], to[axis]);
        match order {
            _ if n == length => None,
            Some(_) if apart == Some(axis) => Some(selection(n, &resample::nearest_indices(n, length))),
            None if apart == Some(axis) => Some(selection(n, &resample_torch::nearest_exact(n, length))),
            Some(order) => Some(resample::matrix(n, length, order)),
            None => Some(resample_torch::matrix(n, length)),
        }
    };
    let clip = match (order, apart) {
        (Some(3), None) => Clip::Volume,
        (Some(3), Some(axis)) => Clip::Slices(axis),
        _ => Clip::Off,
    };
    (from != to).then(|| Resize { shape: to, axes: std::array::from_fn(axis), clip })
}

/// A matrix that picks samples.
fn selection(n: usize, indices: &[usize]) -> Array2<f64> {
    Array2::from_shape_fn((indices.len(), n), |(row, column)| f64::from(u8::from(indices[row] == column)))
}

#[cfg(all(test, feature = "torch"))]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::bundle::plans::Separation;
    use crate::inference::resized;
    use crate::pipeline::resample_torch::{Channel, resample_torch};

    fn check(
        from: [usize; 3],
        to: [usize; 3],
        apart: Option<usize>,
        order: Option<u8>,
    ) -> Result<(), proptest::test_runner::TestCaseError> {
        let volume = Array3::from_shape_fn(from, |(z, y, x)| ((z * 7 + y * 3 + x * 5) % 11) as f32 - 4.0);
        let mut from_mm = [1.0; 3];
        if let Some(axis) = apart {
            from_mm[axis] = 5.0;
        }
        let separation = Separation::default();
        let resampling =
            order.map_or(Resampling::Torch { separation }, |order| Resampling::Spline { order, separation });
        let expected = match order {
            Some(order) => resample::resample(volume.view(), to, order, apart, |v| v as f32),
            None => resample_torch(volume.view(), to, apart, Channel { index: 0, of: 1 }),
        };
        let Some(resize) = resize([from, to], [from_mm, [1.0; 3]], resampling) else {
            proptest::prop_assert_eq!(from, to);
            return Ok(());
        };
        let got = resized(volume.view(), &resize);
        proptest::prop_assert_eq!(got.shape(), expected.shape());
        for (at, value) in got.indexed_iter() {
            proptest::prop_assert!(
                (value - expected[at]).abs() < 1e-4,
                "{} instead of {} at {:?}",
                value,
                expected[at],
                at
            );
        }
        Ok(())
    }

    proptest::proptest! {
        /// The matrices are our own resampling: splines of every order and torch's, whole or with an axis apart.
        #[test]
        fn matrices_resample_as_the_host_does(
            from in proptest::array::uniform3(1_usize..9),
            to in proptest::array::uniform3(1_usize..12),
            apart in proptest::option::of(0_usize..3),
            order in proptest::sample::select(vec![None, Some(0), Some(1), Some(3)]),
        ) {
            check(from, to, apart, order)?;
        }
    }
}

#[cfg(test)]
mod fall_back_tests {
    use std::ops::ControlFlow;

    use ndarray::Array3;

    use super::*;
    use crate::inference::Network;
    use crate::inference::engine::TrainableNetwork;
    use crate::pipeline::preprocess::crop_and_normalise;

    /// A device that does not hold a case whole; patch by patch it computes, unless it is broken.
    struct Small {
        broken: bool,
    }

    impl Network for Small {
        fn forward(&self, batch: &[f32], _n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            if self.broken {
                return Err(NetworkError::Engine("out of memory, patch by patch".to_owned()));
            }
            // Three heads: the patch, its opposite and nothing.
            let patches = batch.chunks(size.iter().product());
            Ok(patches
                .flat_map(|patch| [1.0, -1.0, 0.0].into_iter().flat_map(|sign| patch.iter().map(move |v| sign * v)))
                .collect())
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }
    }

    /// An engine whose device has no room for a case.
    struct Device {
        answer: fn() -> NetworkError,
        folds: Vec<Box<dyn Network>>,
    }

    impl Engine for Device {
        fn folds(&self) -> &[Box<dyn Network>] {
            &self.folds
        }

        fn folds_mut(&mut self) -> &mut [Box<dyn Network>] {
            &mut self.folds
        }

        fn into_folds(self: Box<Self>) -> Vec<Box<dyn Network>> {
            self.folds
        }

        fn labels(&self, _case: &Case<'_>, _progress: &mut Progress<'_>) -> Result<Array3<u8>, NetworkError> {
            Err((self.answer)())
        }

        fn trainable(&self, fold: usize) -> Result<Box<dyn TrainableNetwork>, NetworkError> {
            self.folds[fold].trainable()
        }
    }

    fn run(answer: fn() -> NetworkError, broken: bool) -> (Result<Outcome, SegmentError>, Vec<String>) {
        let engine = Device { answer, folds: vec![Box::new(Small { broken })] };
        let scan =
            Geometry::new([6, 5, 7], [1.0; 3], [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
                .unwrap();
        let voxels = (0..210).map(|at| (at * 37 % 101) as f32 + 1.0).collect();
        let channel = Volume::new(scan.clone(), voxels).unwrap();
        let plan = Plan::for_tests([1.0; 3]);
        let normalised = crop_and_normalise(&[channel], None, &plan).unwrap();
        let mut reasons = Vec::new();
        let go_on = &mut |_| ControlFlow::Continue(());
        let outcome = labels_or_logits(&engine, &plan, &scan, normalised, Options::FAST, go_on, &mut |why| {
            reasons.push(why.to_owned())
        });
        (outcome, reasons)
    }

    #[test]
    fn what_the_device_cannot_hold_is_gathered_on_the_host() {
        let full = || NetworkError::Engine("out of memory".to_owned());
        let (outcome, reasons) = run(full, false);
        let Outcome::Logits(logits, frame) = outcome.unwrap() else { panic!("labels of a device that has none") };
        assert_eq!(reasons, ["out of memory"]);
        assert_eq!(logits.shape(), [3, 7, 5, 6]);
        assert_eq!(frame.network, [7, 5, 6]);
        assert!(logits.index_axis(ndarray::Axis(0), 0).iter().any(|v| v.to_f32() > 0.5), "the volume is there");

        let (outcome, reasons) = run(full, true);
        assert_eq!(
            outcome.unwrap_err().to_string(),
            NetworkError::Engine("out of memory, patch by patch".to_owned()).to_string()
        );
        assert_eq!(reasons, ["out of memory"], "it was tried");
    }

    #[test]
    fn nothing_else_is_tried_again() {
        for (device, expected) in [
            ((|| NetworkError::Cancelled) as fn() -> NetworkError, NetworkError::Cancelled),
            (|| NetworkError::NotFinite, NetworkError::NotFinite),
        ] {
            let (outcome, reasons) = run(device, false);
            assert_eq!(outcome.unwrap_err().to_string(), expected.to_string());
            assert_eq!(reasons, [""; 0]);
        }
    }
}
