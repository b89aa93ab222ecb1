//! What a network sees while it adapts: patches around corrected planes and doubtful voxels, turned and re-lit at
//! random.

use half::f16;
use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis, concatenate, s};
use rand::{Rng, RngExt};
use shared::label::Label;

use crate::bundle::GuidanceEncoding;
use crate::bundle::plans::Plan;
use crate::inference::training::TrainingPatch;
use crate::pipeline::elementary::exp;
use crate::pipeline::guide::{self, Sheet, UNANNOTATED};

/// Voxels of a patch at most, whatever the plan's: a step keeps what every layer computed, 2 to 3 kB a voxel for
/// nnU-Net's usual widths.
const MOST_VOXELS: usize = 1 << 20;

/// nnU-Net's 3D networks halve an axis five times at most, so multiples of this fit every one whose own patch they
/// divide.
const COARSEST: usize = 32;

/// How often a patch lies around a doubtful voxel instead of a corrected one.
const DOUBTFUL_SHARE: f64 = 0.25;

/// Voxels remembered of each plane, and of the doubtful ones, to lay patches around.
const CENTRES: usize = 4096;

/// Largest logarithm of the factor, and largest shift (standard deviations of the normalised image), that intensities
/// are changed by.
const RELIGHT: f32 = 0.2;

/// A case to adapt to, on the network's grid; arrays `[z, y, x]`.
#[derive(Clone, Copy, Debug)]
pub struct AdaptInput<'a> {
    /// Normalised image channels, `[channels, z, y, x]`.
    pub image: ArrayView4<'a, f32>,
    /// The corrected planes in ascending order, each as its sheets.
    pub planes: &'a [Vec<Sheet>],
    /// Logits of the network before it adapts, `[heads, z, y, x]`.
    pub before: ArrayView4<'a, f16>,
    /// How planes reach the network; none for one that knows no guidance.
    pub guidance: Option<Guidance<'a>>,
}

impl AdaptInput<'_> {
    /// The same case with another image.
    pub(super) fn seeing<'b>(&'b self, image: ArrayView4<'b, f32>) -> AdaptInput<'b> {
        let guidance = self.guidance.as_ref().map(|guidance| Guidance {
            encoding: guidance.encoding,
            foreground: guidance.foreground,
            presegmentation: guidance.presegmentation.view(),
        });
        AdaptInput { image, planes: self.planes, before: self.before.view(), guidance }
    }
}

/// See [`guide::channels`].
#[derive(Clone, Copy, Debug)]
pub struct Guidance<'a> {
    /// Which channels.
    pub encoding: GuidanceEncoding,
    /// The task's foreground labels, ascending.
    pub foreground: &'a [Label],
    /// The presegmentation on the network's grid.
    pub presegmentation: ArrayView3<'a, Label>,
}

/// What a patch says of a case's planes.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Told<'a> {
    /// Those that are right in it.
    pub(in crate::pipeline) known: &'a [usize],
    /// Those that are guidance.
    pub(in crate::pipeline) shown: &'a [usize],
}

/// Patches of a case.
pub(in crate::pipeline) struct Patches<'a> {
    input: AdaptInput<'a>,
    /// Size of a patch.
    pub(super) size: [usize; 3],
    /// Axes that patches may be turned along.
    pub(super) mirror_axes: Vec<usize>,
    /// Voxels of each plane that patches are laid around: where the expert or the network sees something, else any.
    centres: Vec<Vec<[usize; 3]>>,
    /// Doubtful voxels.
    doubtful: Vec<[usize; 3]>,
}

impl<'a> Patches<'a> {
    pub(in crate::pipeline) fn new(input: AdaptInput<'a>, plan: &Plan, rng: &mut impl Rng) -> Self {
        let mut patches = Self::around_planes(input, plan, rng);
        if !patches.is_one() {
            patches.doubtful = doubtful(input.before, rng);
        }
        patches
    }

    /// The same without doubtful voxels.
    pub(super) fn around_planes(input: AdaptInput<'a>, plan: &Plan, rng: &mut impl Rng) -> Self {
        let size = bounded(plan.patch());
        let mirror_axes = plan.mirror_axes().unwrap_or_default();
        let centres = vec![Vec::new(); input.planes.len()];
        let mut patches = Self { input, size, mirror_axes, centres, doubtful: Vec::new() };
        if !patches.is_one() {
            for (centres, sheets) in patches.centres.iter_mut().zip(input.planes) {
                *centres = plane_centres(sheets, input.before, rng);
            }
        }
        patches
    }

    /// Whether a patch holds the whole case, so that there is nothing to choose.
    fn is_one(&self) -> bool {
        (0..3).all(|axis| self.input.image.shape()[axis + 1] <= self.size[axis])
    }

    /// A patch to learn from, around a voxel of one of the planes `around`, or a doubtful one.
    pub(in crate::pipeline) fn draw(&self, told: Told<'_>, around: &[usize], rng: &mut impl Rng) -> TrainingPatch {
        let start = self.start(self.centre(around, rng));
        let mut patch = self.at(start, told);
        let images = self.input.image.shape()[0];
        for mut channel in patch.input.axis_iter_mut(Axis(0)).take(images) {
            let (factor, shift) = (rng.random_range(-RELIGHT..=RELIGHT).exp(), rng.random_range(-RELIGHT..=RELIGHT));
            channel.mapv_inplace(|value| value * factor + shift);
        }
        for axis in &self.mirror_axes {
            if rng.random_bool(0.5) {
                patch.input.invert_axis(Axis(axis + 1));
                patch.target.invert_axis(Axis(*axis));
                patch.anchor.invert_axis(Axis(axis + 1));
            }
        }
        patch
    }

    /// Patches that see these planes, a few of each where they are larger than a patch; `shown` are guidance in them,
    /// and only these planes are right.
    pub(super) fn of_planes(&self, planes: &[usize], shown: &[usize]) -> Vec<TrainingPatch> {
        const MOST: usize = 2;
        let mut starts: Vec<[isize; 3]> = Vec::new();
        for centres in planes.iter().map(|plane| &self.centres[*plane]) {
            let step = centres.len().div_ceil(MOST).max(1);
            starts.extend(centres.iter().skip(step / 2).step_by(step).map(|centre| self.start(*centre)));
        }
        if starts.is_empty() {
            starts.push(self.start([0; 3]));
        }
        starts.sort_unstable();
        starts.dedup();
        starts.into_iter().map(|start| self.at(start, Told { known: planes, shown })).collect()
    }

    fn centre(&self, around: &[usize], rng: &mut impl Rng) -> [usize; 3] {
        let of = |voxels: &[[usize; 3]], rng: &mut dyn Rng| {
            voxels.get(rng.random_range(0..voxels.len().max(1))).copied().unwrap_or_default()
        };
        if !self.doubtful.is_empty() && rng.random_bool(DOUBTFUL_SHARE) {
            return of(&self.doubtful, rng);
        }
        let plane = around.get(rng.random_range(0..around.len().max(1))).and_then(|plane| self.centres.get(*plane));
        plane.map_or([0; 3], |voxels| of(voxels, rng))
    }

    /// Where a patch around a voxel begins; below 0 where it is larger than the case, which then lies in its middle as
    /// in `sliding_window`.
    fn start(&self, centre: [usize; 3]) -> [isize; 3] {
        std::array::from_fn(|axis| {
            let (volume, patch) = (self.input.image.shape()[axis + 1], self.size[axis]);
            match volume.checked_sub(patch) {
                Some(last) => centre[axis].saturating_sub(patch / 2).min(last).cast_signed(),
                None => -((patch - volume) / 2).cast_signed(),
            }
        })
    }

    fn at(&self, start: [isize; 3], Told { known, shown }: Told<'_>) -> TrainingPatch {
        let AdaptInput { image, planes, before, guidance } = self.input;
        let volume = [1, 2, 3].map(|axis| image.shape()[axis]);
        // The part of the case in the patch, in the case's voxels and in the patch's.
        let low: [usize; 3] = std::array::from_fn(|axis| start[axis].max(0).cast_unsigned());
        let high: [usize; 3] = std::array::from_fn(|axis| {
            (start[axis] + self.size[axis].cast_signed()).min(volume[axis].cast_signed()).cast_unsigned()
        });
        let within: [std::ops::Range<usize>; 3] = std::array::from_fn(|axis| low[axis]..high[axis]);
        let place: [std::ops::Range<usize>; 3] = std::array::from_fn(|axis| {
            let first = (low[axis].cast_signed() - start[axis]).cast_unsigned();
            first..first + within[axis].len()
        });
        let [z, y, x] = within.clone();
        let drawn = |which: &[usize]| {
            let mut which = which.to_vec();
            which.sort_unstable();
            guide::draw(which.iter().flat_map(|plane| &planes[*plane]), within.clone())
        };
        let mut channels = image.slice(s![.., z.clone(), y.clone(), x.clone()]).to_owned();
        if let Some(Guidance { encoding, foreground, presegmentation }) = guidance {
            let presegmentation = presegmentation.slice(s![z.clone(), y.clone(), x.clone()]);
            let guidance = guide::channels(drawn(shown).view(), presegmentation, foreground, encoding);
            // Both are as large as the box, so they always fit.
            channels = concatenate(Axis(0), &[channels.view(), guidance.view()]).unwrap_or(channels);
        }
        let anchor = softmax(before.slice(s![.., z, y, x]));
        let [z, y, x] = place;
        let shape = |channels: usize| (channels, self.size[0], self.size[1], self.size[2]);
        let mut patch = TrainingPatch {
            input: Array4::zeros(shape(channels.shape()[0])),
            target: Array3::from_elem(self.size, UNANNOTATED),
            anchor: Array4::zeros(shape(anchor.shape()[0])),
        };
        patch.input.slice_mut(s![.., z.clone(), y.clone(), x.clone()]).assign(&channels);
        patch.target.slice_mut(s![z.clone(), y.clone(), x.clone()]).assign(&drawn(known));
        patch.anchor.slice_mut(s![.., z, y, x]).assign(&anchor);
        patch
    }
}

/// A patch's size made small enough to learn with: the longest axis is shortened by a step that every halving of the
/// network divides, again and again.
fn bounded(patch: [usize; 3]) -> [usize; 3] {
    let step = patch.map(|n| (1_usize << n.trailing_zeros()).min(COARSEST));
    let mut size = patch;
    while size.iter().product::<usize>() > MOST_VOXELS {
        let longest = (0..3).filter(|axis| size[*axis] > step[*axis]).max_by_key(|axis| size[*axis]);
        let Some(axis) = longest else { break };
        size[axis] -= step[axis];
    }
    size
}

/// Probabilities of logits `[heads, z, y, x]`.
pub(super) fn softmax<T: Copy + Into<f32>>(logits: ArrayView4<'_, T>) -> Array4<f32> {
    let mut values = logits.mapv(Into::into);
    for mut voxel in values.lanes_mut(Axis(0)) {
        let largest = voxel.fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        voxel.mapv_inplace(|logit| exp(logit - largest));
        let sum = voxel.sum();
        voxel.mapv_inplace(|value| value / sum);
    }
    values
}

/// The head with the largest logit, and how far it is ahead of the next.
fn best_and_margin(logits: impl Iterator<Item = f16>) -> (usize, f32) {
    let (mut best, mut first, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (head, logit) in logits.enumerate() {
        let logit = logit.to_f32();
        if logit > first {
            (best, second, first) = (head, first, logit);
        } else {
            second = second.max(logit);
        }
    }
    (best, first - second)
}

fn plane_centres(sheets: &[Sheet], before: ArrayView4<'_, f16>, rng: &mut impl Rng) -> Vec<[usize; 3]> {
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for sheet in sheets {
        for ((i, j), label) in sheet.labels.indexed_iter() {
            let voxel = match sheet.axis {
                0 => [sheet.at, i, j],
                1 => [i, sheet.at, j],
                _ => [i, j, sheet.at],
            };
            let [z, y, x] = voxel;
            let network = best_and_margin(before.slice(s![.., z, y, x]).iter().copied()).0;
            if *label != 0 || network != 0 {
                seen.push(voxel);
            }
            all.push(voxel);
        }
    }
    let voxels = if seen.is_empty() { all } else { seen };
    thinned(voxels.len(), voxels.into_iter(), rng)
}

/// Voxels that are less than sure: the best head is ahead by less than odds of ten to one.
fn doubtful(before: ArrayView4<'_, f16>, rng: &mut impl Rng) -> Vec<[usize; 3]> {
    let sure = 10.0_f32.ln();
    let (_, nz, ny, nx) = before.dim();
    let voxels = || {
        let all = (0..nz).flat_map(move |z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [z, y, x])));
        all.filter(move |[z, y, x]| best_and_margin(before.slice(s![.., *z, *y, *x]).iter().copied()).1 < sure)
    };
    // Counted first: all of a large case would be gigabytes.
    thinned(voxels().count(), voxels(), rng)
}

/// [`CENTRES`] of so many voxels at most, evenly taken from a random first one on, in their order.
fn thinned(count: usize, voxels: impl Iterator<Item = [usize; 3]>, rng: &mut impl Rng) -> Vec<[usize; 3]> {
    let step = count.div_ceil(CENTRES).max(1);
    let first = rng.random_range(0..step);
    voxels.skip(first).step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_small_enough_to_learn_with() {
        let check = |patch: [usize; 3], expected: [usize; 3]| {
            let got = bounded(patch);
            assert_eq!(got, expected);
            assert!(got.iter().product::<usize>() <= MOST_VOXELS);
        };
        check([40, 56, 40], [40, 56, 40]);
        check([128, 128, 128], [96, 96, 96]);
        check([1, 512, 512], [1, 512, 512]);
        check([20, 320, 256], [20, 224, 224]);
        check([1, 2048, 2048], [1, 1024, 1024]);
    }
}
