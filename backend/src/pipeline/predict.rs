//! nnU-Net's prediction: mirrors averaged patch by patch, folds averaged as logits, in half precision.

use half::f16;
use ndarray::{Array4, ArrayView4};

use crate::bundle::plans::Plan;
use crate::inference::sliding_window::{self, Combine, Window};
use crate::inference::{Network, NetworkError, Progress};

/// nnU-Net's distance of neighbouring patches as a share of the patch.
pub const DEFAULT_STEP: f64 = 0.5;

/// How a network walks a volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Distance of neighbouring patches as a share of the patch, more than 0 and at most 1.
    pub step: f64,
    /// Patches that are forwarded together.
    pub batch: usize,
    /// Batches that are forwarded at the same time.
    pub at_once: usize,
}

impl Options {
    /// Patch by patch, as nnU-Net does it: the same logits. Two forwards run beside each other, since small layers
    /// leave processors idle; each computes with as many threads as if it were alone, so no bit depends on it.
    pub const EXACT: Self = Self { step: DEFAULT_STEP, batch: 1, at_once: 2 };
    /// Two patches at once, where oneDNN's convolutions take over on a CPU; larger batches bring little more and cost
    /// memory. Logits differ in a last bit of half precision.
    pub const FAST: Self = Self { step: DEFAULT_STEP, batch: 2, at_once: 1 };
    /// On a CUDA device: a patch in all its mirrors at once. Where that needs too much memory it is halved.
    pub const CUDA: Self = Self { step: DEFAULT_STEP, batch: 8, at_once: 1 };

    /// Whether logits are nnU-Net's own to the last bit.
    pub fn is_exact(self) -> bool {
        self.batch == 1
    }
}

/// Logits `[heads, z, y, x]` on the network's grid from `data` `[channels, z, y, x]`.
///
/// # Errors
/// [`NetworkError`].
pub fn mean_logits<N: Network>(
    folds: &[N],
    plan: &Plan,
    data: ArrayView4<'_, f32>,
    options: Options,
    progress: &mut Progress<'_>,
) -> Result<Array4<f16>, NetworkError> {
    let mirrors = sliding_window::mirrors(plan.mirror_axes().as_deref());
    let networks: Vec<&dyn Network> = folds.iter().map(|network| network as &dyn Network).collect();
    let mut total: Option<Array4<f16>> = None;
    let mut add = |volumes: Vec<Array4<f16>>| {
        for logits in volumes {
            match &mut total {
                None => total = Some(logits),
                Some(total) => total.zip_mut_with(&logits, |a, b| *a = f16::from_f32(a.to_f32() + b.to_f32())),
            }
        }
    };
    sliding_window::logits_of_folds(
        &networks,
        data,
        &window(plan, options),
        &mirrors,
        Combine::Mean,
        progress,
        &mut add,
    )?;
    let mut total = total.ok_or(NetworkError::NoFold)?;
    if folds.len() > 1 {
        total.mapv_inplace(|v| f16::from_f32(v.to_f32() / folds.len() as f32));
    }
    if total.iter().all(|v| v.is_finite()) { Ok(total) } else { Err(NetworkError::NotFinite) }
}

/// A plan's patches and heads with the caller's options.
pub fn window(plan: &Plan, options: Options) -> Window {
    Window {
        patch: plan.patch(),
        step: options.step,
        two_dimensional: plan.two_dimensional(),
        heads: plan.manifest.heads,
        batch: options.batch,
        at_once: options.at_once,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    /// Answers the same logits everywhere.
    struct Constant(f32);

    impl Network for Constant {
        fn forward(&self, _batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            Ok(vec![self.0; n * 3 * size.iter().product::<usize>()])
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }
    }

    #[test]
    fn folds_are_averaged_as_logits_in_half_precision() {
        fn check(folds: &[f32], expected: f32) {
            let networks: Vec<Constant> = folds.iter().map(|v| Constant(*v)).collect();
            let data = Array4::zeros((1, 4, 4, 4));
            let plan = Plan::for_tests([1.0; 3]);
            let logits =
                mean_logits(&networks, &plan, data.view(), Options::EXACT, &mut |_| ControlFlow::Continue(())).unwrap();
            // In the middle; at the corners a patch weighs so little that halves get coarse.
            assert_eq!(logits[[0, 2, 2, 2]].to_f32(), expected);
        }
        check(&[1.5], 1.5);
        check(&[1.0, 2.0], 1.5);
        // 2048 + 1 is 2048 in half precision; nnU-Net's folds lose as much.
        check(&[2048.0, 1.0], 1024.0);
    }
}
