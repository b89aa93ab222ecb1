//! Patches blended over a volume, in half-precision accumulators, as nnU-Net does it.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::{Array4, s};

use super::NetworkError;
use super::window::{Window, gaussian};

/// Weighted sums of overlapping patches in half precision: part of what nnU-Net computes, so part of what it predicts.
pub(super) struct Blend {
    heads: usize,
    size: [usize; 3],
    patch: [usize; 3],
    weights: Vec<f32>,
    sums: Vec<f16>,
    counts: Vec<f16>,
}

impl Blend {
    pub(super) fn new(window: &Window, size: [usize; 3]) -> Self {
        let voxels = size.iter().product();
        Self {
            heads: window.heads,
            size,
            patch: window.patch,
            weights: gaussian(window.patch, window.two_dimensional).to_f32_vec(),
            sums: vec![f16::ZERO; window.heads * voxels],
            counts: vec![f16::ZERO; voxels],
        }
    }

    pub(super) fn add(&mut self, logits: &Array4<f32>, at: [usize; 3]) {
        let [pz, py, px] = self.patch;
        let voxels: usize = self.size.iter().product();
        let mut sums = vec![0.0; px];
        for (row, patch_row) in logits.rows().into_iter().enumerate() {
            let (head, z, y) = (row / (pz * py), row / py % pz, row % py);
            let start = ((at[0] + z) * self.size[1] + at[1] + y) * self.size[2] + at[2];
            let weights = &self.weights[(z * py + y) * px..][..px];
            if head == 0 {
                add_row(&mut self.counts[start..start + px], weights.iter().copied(), &mut sums);
            }
            let weighted = patch_row.iter().zip(weights).map(|(logit, weight)| logit * weight);
            add_row(&mut self.sums[head * voxels + start..][..px], weighted, &mut sums);
        }
    }

    pub(super) fn finish(mut self, low: [usize; 3], size: [usize; 3]) -> Result<Array4<f16>, NetworkError> {
        let counts = self.counts.to_f32_vec();
        let mut row = vec![0.0; counts.len()];
        for sums in self.sums.chunks_exact_mut(counts.len()) {
            sums.convert_to_f32_slice(&mut row);
            for (sum, count) in row.iter_mut().zip(&counts) {
                *sum /= count;
            }
            sums.convert_from_f32_slice(&row);
        }
        if self.sums.iter().any(|v| !v.is_finite()) {
            return Err(NetworkError::NotFinite);
        }
        let shape = (self.heads, self.size[0], self.size[1], self.size[2]);
        let (expected, got) = (self.heads * counts.len(), self.sums.len());
        let whole = Array4::from_shape_vec(shape, self.sums).map_err(|_| NetworkError::WrongShape { expected, got })?;
        let inside = whole.slice(s![.., low[0]..low[0] + size[0], low[1]..low[1] + size[1], low[2]..low[2] + size[2]]);
        Ok(if inside.dim() == whole.dim() { whole } else { inside.as_standard_layout().into_owned() })
    }
}

/// Adds in f32 and rounds once, as torch adds to half precision.
fn add_row(sums: &mut [f16], more: impl Iterator<Item = f32>, scratch: &mut [f32]) {
    sums.convert_to_f32_slice(scratch);
    for (sum, more) in scratch.iter_mut().zip(more) {
        *sum += more;
    }
    sums.convert_from_f32_slice(scratch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_accumulation_is_reproduced() {
        let index = reference::nnunet_index();
        let vector =
            index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "fp16_accumulate").unwrap().clone();
        let values = |name: &str| reference::nnunet_f64(vector[name].as_str().unwrap());
        let (w, acc, out) = (values("w"), values("acc"), values("out"));
        let (voxels, heads) = (values("cnt").len(), acc.len() / values("cnt").len());
        let rounds = w.len() / voxels;
        let mut blend = Blend {
            heads,
            size: [1, 1, voxels],
            patch: [1, 1, voxels],
            weights: Vec::new(),
            sums: vec![f16::ZERO; acc.len()],
            counts: vec![f16::ZERO; voxels],
        };
        for (round, logits) in values("y").chunks_exact(acc.len()).enumerate().take(rounds) {
            blend.weights = w[round * voxels..][..voxels].iter().map(|v| *v as f32).collect();
            let logits = logits.iter().map(|v| *v as f32).collect();
            blend.add(&Array4::from_shape_vec((heads, 1, 1, voxels), logits).unwrap(), [0; 3]);
        }
        assert!(blend.sums.iter().map(|v| v.to_f64()).eq(acc));
        assert!(blend.counts.iter().map(|v| v.to_f64()).eq(values("cnt")));
        assert!(blend.finish([0; 3], [1, 1, voxels]).unwrap().iter().map(|v| v.to_f64()).eq(out));
    }
}
