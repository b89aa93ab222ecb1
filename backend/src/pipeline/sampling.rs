//! All passes of a network over a volume, each computed once: the mean logits, which labels come from, and any number
//! of uncertainties.
//!
//! Labels do not depend on how uncertainty is sampled: all folds and mirrors vote for them, without dropout. Methods
//! that share passes share them here; only passes with dropout come on top.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::{Array4, ArrayView4};
use rayon::prelude::*;
use thiserror::Error;

use super::predict::{Options, window};
use super::uncertainty::{Accumulator, Scope, UncertaintyError};
use crate::bundle::method::{Measure, Method, Pass, Samples};
use crate::bundle::plans::Plan;
use crate::inference::sliding_window::{self, Combine};
use crate::inference::{Network, NetworkError, Progress};

/// What is asked beside the labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampling<'a> {
    /// One uncertainty each. [`Method::check`] says beforehand what a network cannot do.
    pub methods: &'a [Method],
    /// Weights of the foreground classes: uncertainty is then found class by class and merged. Without, it is that of
    /// all classes together.
    pub class_weights: Option<&'a [f32]>,
    /// Seed of dropout.
    pub seed: u64,
}

/// What the passes come to; on the network's grid.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Mean over all folds and mirrors, `[heads, z, y, x]`.
    pub logits: Array4<f16>,
    /// 0 (sure) to 1, `[z, y, x]` with x fastest; one a method, in their order.
    pub uncertainty: Vec<Vec<f32>>,
}

/// Why sampling stopped.
#[derive(Debug, Error)]
pub enum SamplingError {
    /// The network failed or was stopped.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Samples of different sizes.
    #[error(transparent)]
    Uncertainty(#[from] UncertaintyError),
}

/// Walks `data` `[channels, z, y, x]` with every fold and mirror, and with dropout as often as a method wants it.
///
/// # Errors
/// [`SamplingError`].
pub fn sample(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    data: ArrayView4<'_, f32>,
    sampling: &Sampling<'_>,
    progress: &mut Progress<'_>,
) -> Result<Sampled, SamplingError> {
    if folds.is_empty() {
        return Err(NetworkError::NoFold.into());
    }
    let (_, z, y, x) = data.dim();
    let heads = plan.manifest.heads;
    let mirrors = sliding_window::mirrors(plan.mirror_axes().as_deref());
    let window = window(plan, Options::FAST);
    let mut tally = Tally::new(heads, z * y * x, sampling);
    let dropped = dropout_passes(folds.len(), mirrors.len(), sampling.methods);
    let all = (folds.len() * mirrors.len() + dropped.len()) as f32;
    let mut done = 0;
    // As many mirrors as are forwarded together; every more costs a volume of logits.
    let group = window.batch.max(1);
    for (fold, network) in folds.iter_mut().enumerate() {
        for first in (0..mirrors.len()).step_by(group) {
            let mirrors = &mirrors[first..(first + group).min(mirrors.len())];
            let mut inner = |share: f32| progress((done as f32 + share * mirrors.len() as f32) / all);
            let volumes =
                sliding_window::logits(network.as_mut(), data, &window, mirrors, Combine::Separate, &mut inner)?;
            for (mirror, logits) in (first..).zip(volumes) {
                tally.add(
                    Pass { fold, mirror, dropout: None },
                    logits.as_standard_layout().as_slice().unwrap_or_default(),
                )?;
            }
            done += mirrors.len();
        }
    }
    for pass in dropped {
        let network = folds[pass.fold].as_mut();
        network.set_dropout(Some(pass_seed(sampling.seed, pass)))?;
        let mut inner = |share: f32| progress((done as f32 + share) / all);
        let mirror = &mirrors[pass.mirror..=pass.mirror];
        let volumes = sliding_window::logits(network, data, &window, mirror, Combine::Separate, &mut inner);
        network.set_dropout(None)?;
        for logits in volumes? {
            tally.add(pass, logits.as_standard_layout().as_slice().unwrap_or_default())?;
        }
        done += 1;
    }
    if progress(1.0).is_break() {
        return Err(NetworkError::Cancelled.into());
    }
    let Tallied { logits, uncertainty } = tally.finish()?;
    let (expected, got) = (heads * z * y * x, logits.len());
    let logits =
        Array4::from_shape_vec((heads, z, y, x), logits).map_err(|_| NetworkError::WrongShape { expected, got })?;
    Ok(Sampled { logits, uncertainty })
}

/// The passes with dropout that any of the methods takes.
fn dropout_passes(folds: usize, mirrors: usize, methods: &[Method]) -> Vec<Pass> {
    let most = methods.iter().map(|method| method.samples.dropout).max().unwrap_or(0);
    let mut passes = Vec::new();
    for fold in 0..folds {
        for mirror in 0..mirrors {
            passes.extend((0..most).map(|number| Pass { fold, mirror, dropout: Some(number) }));
        }
    }
    passes.retain(|pass| methods.iter().any(|method| method.samples.takes(*pass)));
    passes
}

/// The same pass draws the same masks, whichever methods share it. Batches count on from here, so passes lie far apart.
fn pass_seed(seed: u64, Pass { fold, mirror, dropout }: Pass) -> u64 {
    let number = u64::from(dropout.unwrap_or(0)) + 1000 * (mirror as u64 + 8 * fold as u64);
    (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The sums over passes: mean logits, and the statistics of each kind of samples. Beside the pass that comes in it
/// holds one f32 volume a head, and what [`Accumulator`] says.
#[derive(Debug)]
pub struct Tally<'a> {
    sums: Vec<f32>,
    passes: usize,
    methods: &'a [Method],
    class_weights: Option<&'a [f32]>,
    kinds: Vec<(Samples, Accumulator)>,
}

/// What a [`Tally`] comes to.
#[derive(Clone, Debug)]
pub struct Tallied {
    /// Mean over the passes without dropout, `[head][voxel]`.
    pub logits: Vec<f16>,
    /// One a method, in their order.
    pub uncertainty: Vec<Vec<f32>>,
}

/// Values that a thread adds at a time.
const RUN: usize = 4096;

impl<'a> Tally<'a> {
    /// Ready for passes of `heads × voxels` logits.
    pub fn new(heads: usize, voxels: usize, sampling: &Sampling<'a>) -> Self {
        let Sampling { methods, class_weights, .. } = *sampling;
        let mut measures: Vec<(Samples, Vec<Measure>)> = Vec::new();
        for method in methods {
            match measures.iter_mut().find(|(samples, _)| *samples == method.samples) {
                Some((_, measures)) => measures.push(method.measure),
                None => measures.push((method.samples, vec![method.measure])),
            }
        }
        let scope = if class_weights.is_some() { Scope::PerClass } else { Scope::Joint };
        let kind = |(samples, measures): (Samples, Vec<Measure>)| {
            (samples, Accumulator::with_scope(heads, voxels, &measures, scope))
        };
        Self {
            sums: vec![0.0; heads * voxels],
            passes: 0,
            methods,
            class_weights,
            kinds: measures.into_iter().map(kind).collect(),
        }
    }

    /// Takes in a pass's logits, `[head][voxel]`.
    ///
    /// # Errors
    /// [`UncertaintyError::WrongLength`].
    pub fn add(&mut self, pass: Pass, logits: &[f16]) -> Result<(), UncertaintyError> {
        if logits.len() != self.sums.len() {
            return Err(UncertaintyError::WrongLength { expected: self.sums.len(), got: logits.len() });
        }
        if pass.dropout.is_none() {
            self.passes += 1;
            self.sums.par_chunks_mut(RUN).zip(logits.par_chunks(RUN)).for_each_init(
                || vec![0.0; RUN],
                |values, (sums, logits)| {
                    let values = &mut values[..logits.len()];
                    logits.convert_to_f32_slice(values);
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
                },
            );
        }
        self.kinds
            .iter_mut()
            .filter(|(samples, _)| samples.takes(pass))
            .try_for_each(|(_, statistics)| statistics.add(logits))
    }

    /// Uncertainties and mean logits.
    ///
    /// # Errors
    /// [`UncertaintyError::NotAccumulated`] where a method got no sample.
    pub fn finish(self) -> Result<Tallied, UncertaintyError> {
        let Self { sums, passes, methods, class_weights, kinds } = self;
        let mut uncertainty = vec![Vec::new(); methods.len()];
        for (samples, statistics) in kinds {
            let mut of_kind: Vec<usize> = (0..methods.len()).filter(|at| methods[*at].samples == samples).collect();
            // The last one takes the statistics' memory.
            let last = of_kind.pop();
            for at in of_kind {
                uncertainty[at] = match class_weights {
                    Some(weights) => statistics.finish_weighted(methods[at].measure, weights)?,
                    None => statistics.finish(methods[at].measure)?,
                };
            }
            if let Some(at) = last {
                uncertainty[at] = statistics.into_finished(methods[at].measure, class_weights)?;
            }
        }
        let logits = sums.par_iter().map(|sum| f16::from_f32(sum / passes as f32)).collect();
        Ok(Tallied { logits, uncertainty })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::bundle::method::MethodText;

    /// Answers, times the head, its patch plus its own number, a pattern that does not turn with the patch, and noise
    /// that the seed decides while dropout is on; remembers the seeds.
    struct Noisy {
        number: f32,
        seed: Option<u64>,
        seeds: Arc<Mutex<Vec<u64>>>,
    }

    impl Network for Noisy {
        fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            let voxels: usize = size.iter().product();
            let noise = self.seed.map_or(0.0, |seed| (seed >> 40) as f32 / 3e6);
            let patches = batch.chunks_exact(voxels).take(n);
            let value = |(at, v): (usize, &f32)| v + self.number + (at % 7) as f32 / 9.0 + noise;
            let answer = |patch: &[f32]| {
                (0..3 * voxels)
                    .map(|i| (i / voxels) as f32 * value((i % voxels, &patch[i % voxels])))
                    .collect::<Vec<_>>()
            };
            Ok(patches.flat_map(answer).collect())
        }

        fn set_dropout(&mut self, seed: Option<u64>) -> Result<(), NetworkError> {
            self.seed = seed;
            self.seeds.lock().unwrap().extend(seed);
            Ok(())
        }
    }

    /// What two folds say of a small volume, and the seeds that dropout was switched on with.
    fn sampled(texts: &[&str], class_weights: Option<&[f32]>, seed: u64) -> (Sampled, Vec<u64>) {
        let methods: Vec<Method> =
            texts.iter().map(|text| text.parse::<MethodText>().unwrap().or(Samples::default())).collect();
        let seeds = Arc::new(Mutex::new(Vec::new()));
        let fold = |number: f32| Box::new(Noisy { number, seed: None, seeds: seeds.clone() }) as Box<dyn Network>;
        let mut folds = [fold(0.25), fold(-0.5)];
        let data = Array4::from_shape_fn((1, 5, 6, 7), |(_, z, y, x)| (z * y + x) as f32 / 10.0 - 1.0);
        let sampling = Sampling { methods: &methods, class_weights, seed };
        let result =
            sample(&mut folds, &Plan::for_tests([1.0; 3]), data.view(), &sampling, &mut |_| ControlFlow::Continue(()))
                .unwrap();
        let seeds = seeds.lock().unwrap().clone();
        (result, seeds)
    }

    #[test]
    fn labels_do_not_depend_on_the_samples() {
        let expected = sampled(&[], None, 0).0.logits;
        for texts in [
            &["entropy"][..],
            &["mirrors/variance", "folds/entropy"],
            &["dropout:3/entropy"],
            &["folds+mirrors+dropout:2/variance"],
        ] {
            assert_eq!(sampled(texts, None, 7).0.logits, expected, "{texts:?}");
        }
    }

    #[test]
    fn methods_together_say_what_they_say_alone_and_share_passes() {
        let texts = [
            "entropy",
            "mirrors/variance",
            "folds/mutual-information",
            "dropout:2/variance",
            "folds+dropout:3/variance",
            "single/confidence",
        ];
        for weights in [None, Some(&[0.3, 0.7][..])] {
            let (together, seeds) = sampled(&texts, weights, 5);
            // Two folds, three passes each: the shorter method's are among them.
            assert_eq!(seeds.len(), 6);
            for (text, uncertainty) in texts.iter().zip(&together.uncertainty) {
                assert_eq!(uncertainty, &sampled(&[text], weights, 5).0.uncertainty[0], "{text}");
                assert!(uncertainty.iter().any(|u| *u > 0.0), "{text}");
            }
        }
    }

    #[test]
    fn dropout_is_drawn_anew_in_every_pass_and_alike_for_a_seed() {
        let texts = ["folds+mirrors+dropout:4/variance"];
        let (first, mut seeds) = sampled(&texts, None, 1);
        assert_eq!(first.uncertainty, sampled(&texts, None, 1).0.uncertainty);
        assert_ne!(first.uncertainty, sampled(&texts, None, 2).0.uncertainty);
        assert_eq!(seeds.len(), 2 * 8 * 4);
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 2 * 8 * 4);
    }
}
