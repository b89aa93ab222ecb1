//! Planes kept back: which, and how wrong a network is in them.

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, s};

use super::AdaptInput;
use super::patches::{Patches, softmax};
use crate::inference::sliding_window::mirrors;
use crate::inference::training::TrainingPatch;
use crate::inference::{Network, NetworkError};

/// Planes to keep back: those whose error before adaptation is in the middle, so that they stand for the others.
pub(super) fn kept_back(input: AdaptInput<'_>, count: usize) -> Vec<usize> {
    let mut errors: Vec<(usize, usize)> =
        input.planes.iter().enumerate().map(|(plane, _)| (wrong(input, plane), plane)).collect();
    errors.sort_unstable();
    let first = errors.len().saturating_sub(count) / 2;
    errors.into_iter().skip(first).take(count).map(|(_, plane)| plane).collect()
}

/// Voxels of a plane that the network had wrong.
fn wrong(input: AdaptInput<'_>, plane: usize) -> usize {
    let mut count = 0;
    for sheet in &input.planes[plane] {
        let logits = input.before.index_axis(Axis(sheet.axis + 1), sheet.at);
        for ((i, j), label) in sheet.labels.indexed_iter() {
            let voxel = logits.slice(s![.., i, j]);
            let best = voxel.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (head, logit)| {
                let logit = logit.to_f32();
                if logit > best.1 { (head, logit) } else { best }
            });
            count += usize::from(best.0 != usize::from(*label));
        }
    }
    count
}

/// Sums over voxels of known head.
#[derive(Default)]
struct Sums {
    voxels: f64,
    cross_entropy: f64,
    /// Over the foreground heads: probability where the head is right, probability, voxels where it is right.
    foreground: [f64; 3],
}

/// Cross-entropy + 1 − soft Dice in `planes`, with `shown` ones as guidance: of the mean over mirrors, as the network
/// is used. Dice is that of all foreground together, for a plane may show a label in a few voxels only.
pub(super) fn error(
    network: &dyn Network,
    patches: &Patches<'_>,
    planes: &[usize],
    shown: &[usize],
) -> Result<f64, NetworkError> {
    let mut sums = Sums::default();
    for patch in patches.of_planes(planes, shown) {
        sums.add(mirrored(network, patches, &patch)?.view(), patch.target.view());
    }
    if sums.error().is_finite() { Ok(sums.error()) } else { Err(NetworkError::NotFinite) }
}

/// Logits of a patch, the mean over all mirrors.
fn mirrored(network: &dyn Network, patches: &Patches<'_>, patch: &TrainingPatch) -> Result<Array4<f32>, NetworkError> {
    let shape = patch.anchor.dim();
    let expected = patch.anchor.len();
    let mirrors = mirrors(Some(&patches.mirror_axes));
    let mut sum = Array4::zeros(shape);
    for mirror in &mirrors {
        let turned = flipped(patch.input.view(), mirror);
        let logits = network.forward(turned.as_standard_layout().as_slice().unwrap_or_default(), 1, patches.size)?;
        let wrong_shape = NetworkError::WrongShape { expected, got: logits.len() };
        let logits = ArrayView4::from_shape(shape, &logits).map_err(|_| wrong_shape)?;
        sum += &flipped(logits, mirror);
    }
    sum /= mirrors.len() as f32;
    Ok(sum)
}

fn flipped<'a>(mut volumes: ArrayView4<'a, f32>, mirror: &[usize]) -> ArrayView4<'a, f32> {
    for axis in mirror {
        volumes.invert_axis(Axis(axis + 1));
    }
    volumes
}

impl Sums {
    fn add(&mut self, logits: ArrayView4<'_, f32>, target: ArrayView3<'_, i16>) {
        let probabilities = softmax(logits);
        for ((z, y, x), target) in target.indexed_iter() {
            let Ok(right) = usize::try_from(*target) else { continue };
            let voxel = probabilities.slice(s![.., z, y, x]);
            self.voxels += 1.0;
            self.cross_entropy -= f64::from(voxel.get(right).copied().unwrap_or(0.0).max(f32::MIN_POSITIVE)).ln();
            for (head, probability) in voxel.iter().enumerate().skip(1) {
                let is_right = f64::from(u8::from(head == right));
                for (sum, value) in self.foreground.iter_mut().zip([
                    f64::from(*probability) * is_right,
                    f64::from(*probability),
                    is_right,
                ]) {
                    *sum += value;
                }
            }
        }
    }

    fn error(&self) -> f64 {
        let [both, ours, truth] = self.foreground;
        self.cross_entropy / self.voxels.max(1.0) + 1.0 - (2.0 * both + 1.0) / (ours + truth + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;

    use super::*;

    #[test]
    fn the_error_is_cross_entropy_and_dice_of_known_voxels() {
        #[track_caller]
        fn check(logits: [[f32; 2]; 2], target: [i16; 2], expected: f64) {
            let [[a, b], [c, d]] = logits;
            let logits = Array4::from_shape_vec((2, 1, 1, 2), vec![a, c, b, d]).unwrap();
            let mut sums = Sums::default();
            sums.add(logits.view(), arr3(&[[target]]).view());
            assert!((sums.error() - expected).abs() < 1e-5, "{} instead of {expected}", sums.error());
        }
        let ln_2 = std::f64::consts::LN_2;
        // One voxel undecided and right to be head 1: ln 2, and a soft Dice of (2 · 0.5 + 1) / (0.5 + 1 + 1).
        check([[0.0, 0.0], [9.0, 0.0]], [1, -1], ln_2 + 1.0 - 2.0 / 2.5);
        check([[0.0, 40.0], [40.0, 0.0]], [1, 0], 0.0);
        // Nothing is known: no error.
        check([[0.0, 40.0], [40.0, 0.0]], [-1, -1], 0.0);
    }
}
