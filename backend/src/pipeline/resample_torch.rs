//! From one grid to another as `resample_torch_fornnunet` does it: torch's linear interpolation on a CPU, in f32,
//! without libtorch.
//!
//! The same operations in the same order as ATen's kernels with fused multiply-add, so that the last bit agrees where
//! libtorch uses that too: one axis after the other in general; all four corners of a slice at once where slices are
//! small, which is when ATen takes another kernel.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, Zip};

/// Up to this height + width of the resized slice ATen takes its vectorised kernel.
const SMALL_SLICE: usize = 128;

/// Channels that this kernel computes at once; what is left over at the end is computed one by one, in another order.
const LANES: usize = 8;

/// Which channel of how many a volume is. It does not matter to the result's meaning, only to its last bit.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// Counted from 0.
    pub index: usize,
    /// How many are resampled together.
    pub of: usize,
}

/// Resamples a volume linearly; `separate` is an axis resampled by nearest neighbour.
pub fn resample_torch(
    volume: ArrayView3<'_, f32>,
    shape: [usize; 3],
    separate: Option<usize>,
    channel: Channel,
) -> Array3<f32> {
    if volume.shape() == shape {
        return volume.as_standard_layout().into_owned();
    }
    let Some(axis) = separate else {
        return trilinear(volume, shape);
    };
    let [u, v] = [[1, 2], [0, 2], [0, 1]][axis];
    let slices = bilinear(volume.permuted_axes([axis, u, v]), [shape[u], shape[v]], channel);
    let kept = slices.select(Axis(0), &nearest_exact(volume.shape()[axis], shape[axis]));
    let back: [usize; 3] = std::array::from_fn(|to| [axis, u, v].iter().position(|from| *from == to).unwrap_or(to));
    kept.permuted_axes(back).as_standard_layout().into_owned()
}

/// Linear resampling along one axis as a matrix `[length, n]`.
pub(super) fn matrix(n: usize, length: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((length, n));
    for (mut row, pair) in matrix.outer_iter_mut().zip(pairs(n, length)) {
        row[pair.low] += f64::from(pair.low_weight);
        row[pair.high] += f64::from(pair.high_weight);
    }
    matrix
}

pub(super) fn nearest_exact(n: usize, length: usize) -> Vec<usize> {
    let scale = n as f32 / length as f32;
    (0..length).map(|k| (((k as f32 + 0.5) * scale).floor() as usize).min(n - 1)).collect()
}

/// The two samples that a target index lies between.
#[derive(Clone, Copy)]
struct Pair {
    low: usize,
    high: usize,
    low_weight: f32,
    high_weight: f32,
}

fn pairs(n: usize, length: usize) -> Vec<Pair> {
    let scale = n as f32 / length as f32;
    let pair = |k: usize| {
        if n == length {
            return Pair { low: k, high: k, low_weight: 1.0, high_weight: 0.0 };
        }
        let position = scale.mul_add(k as f32 + 0.5, -0.5).max(0.0);
        let low = (position.floor() as usize).min(n - 1);
        let high_weight = (position - low as f32).clamp(0.0, 1.0);
        Pair { low, high: (low + 1).min(n - 1), low_weight: 1.0 - high_weight, high_weight }
    };
    (0..length).map(pair).collect()
}

fn between(low: f32, high: f32, pair: Pair) -> f32 {
    low.mul_add(pair.low_weight, high * pair.high_weight)
}

fn trilinear(volume: ArrayView3<'_, f32>, shape: [usize; 3]) -> Array3<f32> {
    let [along_z, along_y, along_x] = std::array::from_fn(|axis| pairs(volume.shape()[axis], shape[axis]));
    let planes: Vec<ndarray::Array2<f32>> =
        volume.axis_iter(Axis(0)).into_par_iter().map(|plane| one_by_one(plane, &along_y, &along_x)).collect();
    let mut result = Array3::zeros(shape);
    Zip::from(result.outer_iter_mut()).and(&ndarray::Array1::from(along_z)).par_for_each(|mut out, pair| {
        Zip::from(&mut out)
            .and(&planes[pair.low])
            .and(&planes[pair.high])
            .for_each(|out, low, high| *out = between(*low, *high, *pair));
    });
    result
}

/// A plane resized along x, then along y.
fn one_by_one(plane: ArrayView2<'_, f32>, along_y: &[Pair], along_x: &[Pair]) -> ndarray::Array2<f32> {
    let rows = ndarray::Array2::from_shape_fn((plane.nrows(), along_x.len()), |(y, x)| {
        let pair = along_x[x];
        between(plane[[y, pair.low]], plane[[y, pair.high]], pair)
    });
    ndarray::Array2::from_shape_fn((along_y.len(), along_x.len()), |(y, x)| {
        let pair = along_y[y];
        between(rows[[pair.low, x]], rows[[pair.high, x]], pair)
    })
}

/// Every slice by itself. ATen sees the slices of all channels as channels.
fn bilinear(volume: ArrayView3<'_, f32>, shape: [usize; 2], channel: Channel) -> Array3<f32> {
    let (slices, height, width) = volume.dim();
    if [height, width] == shape {
        return volume.as_standard_layout().into_owned();
    }
    let (along_y, along_x) = (pairs(height, shape[0]), pairs(width, shape[1]));
    let vectorised = slices * channel.of / LANES * LANES;
    let mut result = Array3::zeros((slices, shape[0], shape[1]));
    Zip::indexed(result.outer_iter_mut()).and(volume.outer_iter()).par_for_each(|slice, mut out, source| {
        if shape[0] + shape[1] <= SMALL_SLICE {
            corners(source, &along_y, &along_x, channel.index * slices + slice < vectorised, &mut out);
        } else {
            out.assign(&one_by_one(source, &along_y, &along_x));
        }
    });
    result
}

/// All four corners at once: from the last to the first where vectorised, else from the first to the last.
fn corners(
    source: ArrayView2<'_, f32>,
    along_y: &[Pair],
    along_x: &[Pair],
    vectorised: bool,
    out: &mut ArrayViewMut2<'_, f32>,
) {
    for (y, h) in along_y.iter().enumerate() {
        for (x, w) in along_x.iter().enumerate() {
            let values =
                [source[[h.low, w.low]], source[[h.low, w.high]], source[[h.high, w.low]], source[[h.high, w.high]]];
            let weights = [
                h.low_weight * w.low_weight,
                h.low_weight * w.high_weight,
                h.high_weight * w.low_weight,
                h.high_weight * w.high_weight,
            ];
            let fused = |at: usize, sum: f32| values[at].mul_add(weights[at], sum);
            out[[y, x]] = if vectorised {
                fused(0, fused(1, fused(3, values[2] * weights[2])))
            } else {
                fused(3, fused(2, fused(0, values[1] * weights[1])))
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    /// `resample_torch_fornnunet` on seven volumes: images and logits, whole and by slices. Where these were made
    /// decides the last bit.
    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn torchs_results_are_reproduced() {
        let index = reference::nnunet_index();
        let mut checked = 0;
        for vector in index["vectors"].as_array().unwrap().iter().filter(|v| v["x_out_torch"].is_string()) {
            // The vectors' logits were resampled with force_separate_z = False, as nnU-Net's torch planner has it.
            let axis = vector["axis"].as_u64().map(|a| a as usize);
            for (input, output, axis) in [("x", "x_out_torch", axis), ("logits", "logits_out_torch", None)] {
                let source = reference::nnunet_array(vector[input].as_str().unwrap());
                let expected = reference::nnunet_array(vector[output].as_str().unwrap());
                let shape = std::array::from_fn(|i| expected.shape()[i + 1]);
                let of = source.shape()[0];
                for (index, (channel, wanted)) in source.outer_iter().zip(expected.outer_iter()).enumerate() {
                    let got = resample_torch(channel, shape, axis, Channel { index, of });
                    for (got, wanted) in got.iter().zip(wanted.iter()) {
                        assert!(
                            (got - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()),
                            "{} {input}: {got} is not {wanted}",
                            vector["name"]
                        );
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 10_000);
    }

    proptest::proptest! {
        #[test]
        fn no_shape_panics_and_the_range_is_kept(
            from in proptest::array::uniform3(1_usize..7),
            to in proptest::array::uniform3(1_usize..9),
            axis in proptest::option::of(0_usize..3),
        ) {
            let volume = Array3::from_shape_fn(from, |(z, y, x)| ((z * 7 + y * 3 + x * 5) % 11) as f32);
            let result = resample_torch(volume.view(), to, axis, Channel { index: 0, of: 1 });
            proptest::prop_assert_eq!(result.shape(), to);
            proptest::prop_assert!(result.iter().all(|v| (-1e-5..=10.00001).contains(v)));
        }
    }
}
