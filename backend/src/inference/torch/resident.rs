//! A case on a device, from its channels to its labels, in tensors that stay there. The same code runs on CPU tensors,
//! where tests compare it with the way over the host.
//!
//! Resampling is three multiplications by matrices in f32; sums of patches are halves, as in `sliding_window`; labels
//! are decided slab by slab, head after head, so that no volume of all heads ever exists on the scan's grid.

use std::ops::{ControlFlow, Range};

use ndarray::{Array2, Array3, ArrayView3};
use tch::{Device, Kind, TchError, Tensor};

use super::TensorNetwork;
use crate::inference::resident::{Case, Clip, Resize};
use crate::inference::window::{Job, Window, gaussian, padding, tiles};
use crate::inference::{NetworkError, Progress};

/// Voxels that are decided at a time: 16 MiB of f32.
const SLAB: usize = 1 << 22;

/// See [`crate::inference::engine::Engine::labels`].
pub(super) fn labels(
    networks: &[&dyn TensorNetwork],
    case: &Case<'_>,
    progress: &mut Progress<'_>,
) -> Result<Array3<u8>, NetworkError> {
    let device = networks.first().ok_or(NetworkError::NoFold)?.device();
    let _no_grad = tch::no_grad_guard();
    let logits = mean_logits(networks, input(case, device)?, case, progress)?;
    decided(&logits, case)
}

fn int(n: usize) -> i64 {
    // No size of an array exceeds i64.
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Sizes of the last three axes.
fn spatial(tensor: &Tensor) -> [usize; 3] {
    let size = tensor.size();
    std::array::from_fn(|axis| size.get(axis + 1).map_or(0, |n| usize::try_from(*n).unwrap_or(0)))
}

fn upload(volume: ArrayView3<'_, f32>, device: Device) -> Result<Tensor, TchError> {
    let shape = volume.shape().iter().map(|n| int(*n)).collect::<Vec<_>>();
    let tensor = match volume.as_slice() {
        Some(values) => Tensor::f_from_slice(values)?,
        None => Tensor::f_from_slice(&volume.iter().copied().collect::<Vec<_>>())?,
    };
    tensor.f_reshape(&shape)?.f_to_device(device)
}

/// All channels on the network's grid: `[channels, z, y, x]`.
fn input(case: &Case<'_>, device: Device) -> Result<Tensor, TchError> {
    let stack = |volumes: &[ArrayView3<'_, f32>]| -> Result<Tensor, TchError> {
        let volumes = volumes.iter().map(|volume| upload(volume.view(), device)).collect::<Result<Vec<_>, _>>()?;
        Tensor::f_stack(&volumes, 0)
    };
    let mut channels = stack(&case.channels)?;
    if let Some(resize) = &case.to_network {
        channels = Matrices::new(resize, device)?.planes(&channels, 0..resize.shape[0])?;
    }
    if case.more.is_empty() { Ok(channels) } else { Tensor::f_cat(&[channels, stack(&case.more)?], 0) }
}

/// Half-precision logits `[heads, z, y, x]`, averaged over mirrors and folds as nnU-Net does it.
fn mean_logits(
    networks: &[&dyn TensorNetwork],
    input: Tensor,
    case: &Case<'_>,
    progress: &mut Progress<'_>,
) -> Result<Tensor, NetworkError> {
    let size = spatial(&input);
    let (padded, low) = padding(size, case.window.patch);
    let around: Vec<i64> =
        [2, 1, 0].iter().flat_map(|&axis| [int(low[axis]), int(padded[axis] - size[axis] - low[axis])]).collect();
    let input = input.f_constant_pad_nd(&around)?;
    let tiles = tiles(padded, case.window);
    let jobs: Vec<Job<'_>> =
        tiles.iter().flat_map(|at| case.mirrors.iter().map(|mirror| Job { at: *at, mirror })).collect();
    let mut batch = case.window.batch.max(1);
    let mut total: Option<Tensor> = None;
    for (number, network) in networks.iter().enumerate() {
        let mut blend = Blend::new(case, padded, input.device())?;
        let mut done = 0;
        while done < jobs.len() {
            let chunk = &jobs[done..jobs.len().min(done + batch)];
            let logits = match forward(*network, &input, case.window, chunk) {
                // What did not fit is tried again in halves, and the rest of the case with it.
                Err(NetworkError::Engine(_)) if chunk.len() > 1 => {
                    batch = chunk.len() / 2;
                    continue;
                }
                other => other?,
            };
            for (index, job) in chunk.iter().enumerate() {
                blend.add((done + index) % case.mirrors.len(), &logits.f_select(0, int(index))?, job)?;
            }
            done += chunk.len();
            let share = (number as f32 + done as f32 / jobs.len() as f32) / networks.len() as f32;
            if progress(share) == ControlFlow::Break(()) {
                return Err(NetworkError::Cancelled);
            }
        }
        let logits = cut(&blend.finish()?, low, size)?;
        total = Some(match total {
            None => logits,
            Some(total) => total.f_add(&logits)?,
        });
    }
    let total = total.ok_or(NetworkError::NoFold)?;
    let mean = if networks.len() > 1 { total.f_div_scalar(int(networks.len()))? } else { total };
    finite(mean)
}

/// A part of the last three axes, not copied.
fn cut(volumes: &Tensor, at: [usize; 3], size: [usize; 3]) -> Result<Tensor, TchError> {
    (0..3).try_fold(volumes.shallow_clone(), |volumes, axis| {
        volumes.f_narrow(axis - 3, int(at[axis as usize]), int(size[axis as usize]))
    })
}

/// Along the axes (0 = z) of `[…, z, y, x]`.
fn flipped(volumes: Tensor, mirror: &[usize]) -> Result<Tensor, TchError> {
    if mirror.is_empty() {
        return Ok(volumes);
    }
    volumes.f_flip(mirror.iter().map(|axis| int(*axis) - 3).collect::<Vec<_>>())
}

/// Logits `[n, heads, z, y, x]` of mirrored patches, still mirrored. On CUDA in mixed precision, as nnU-Net has it
/// there, with channels last.
fn forward(
    network: &dyn TensorNetwork,
    input: &Tensor,
    window: &Window,
    jobs: &[Job<'_>],
) -> Result<Tensor, NetworkError> {
    let patches =
        jobs.iter().map(|job| flipped(cut(input, job.at, window.patch)?, job.mirror)).collect::<Result<Vec<_>, _>>()?;
    let mut batch = Tensor::f_stack(&patches, 0)?;
    drop(patches);
    let cuda = matches!(network.device(), Device::Cuda(_));
    if cuda {
        batch = batch.f_permute([0, 2, 3, 4, 1])?.f_contiguous()?.f_permute([0, 4, 1, 2, 3])?;
    }
    if network.two_dimensional() {
        batch = batch.f_squeeze_dim(2)?;
    }
    let mut logits = tch::autocast(cuda, || network.logits(&batch))?;
    if network.two_dimensional() {
        logits = logits.f_unsqueeze(2)?;
    }
    let expected = jobs.len() * window.heads * window.patch.iter().product::<usize>();
    if logits.numel() != expected || logits.dim() != 5 {
        return Err(NetworkError::WrongShape { expected, got: logits.numel() });
    }
    Ok(logits)
}

/// Weighted sums of overlapping patches, see `sliding_window`.
struct Blend {
    patch: [usize; 3],
    mirrors: usize,
    weights: Tensor,
    sums: Tensor,
    counts: Tensor,
    mirrored: Option<Tensor>,
}

impl Blend {
    fn new(case: &Case<'_>, size: [usize; 3], device: Device) -> Result<Self, TchError> {
        let [z, y, x] = size.map(int);
        let weights = Tensor::f_from_slice(&gaussian(case.window.patch, case.window.two_dimensional))?;
        Ok(Self {
            patch: case.window.patch,
            mirrors: case.mirrors.len(),
            weights: weights.f_reshape(case.window.patch.map(int))?.f_to_device(device)?,
            sums: Tensor::f_zeros([int(case.window.heads), z, y, x], (Kind::Half, device))?,
            counts: Tensor::f_zeros([z, y, x], (Kind::Half, device))?,
            mirrored: None,
        })
    }

    /// Takes a patch's logits `[heads, z, y, x]`, still mirrored; a patch's mirrors come one after the other.
    fn add(&mut self, mirror: usize, logits: &Tensor, job: &Job<'_>) -> Result<(), TchError> {
        let logits = flipped(logits.shallow_clone(), job.mirror)?;
        let total = match self.mirrored.take() {
            Some(total) => total.f_add(&logits)?,
            None => logits,
        };
        if mirror + 1 < self.mirrors {
            self.mirrored = Some(total);
            return Ok(());
        }
        let mean = if self.mirrors > 1 { total.f_div_scalar(int(self.mirrors))? } else { total };
        let _ = cut(&self.sums, job.at, self.patch)?.f_add_(&mean.f_mul(&self.weights)?)?;
        let _ = cut(&self.counts, job.at, self.patch)?.f_add_(&self.weights)?;
        Ok(())
    }

    fn finish(mut self) -> Result<Tensor, NetworkError> {
        finite(self.sums.f_div_(&self.counts)?)
    }
}

fn finite(logits: Tensor) -> Result<Tensor, NetworkError> {
    if logits.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 { Err(NetworkError::NotFinite) } else { Ok(logits) }
}

/// Decides every voxel of the scan's grid and brings the labels to the host.
fn decided(logits: &Tensor, case: &Case<'_>) -> Result<Array3<u8>, NetworkError> {
    let matrices = case.to_scan.as_ref().map(|resize| Matrices::new(resize, logits.device())).transpose()?;
    let shape = case.to_scan.as_ref().map_or_else(|| spatial(logits), |resize| resize.shape);
    let labels = Tensor::f_zeros(shape.map(int), (Kind::Uint8, logits.device()))?;
    let planes = (SLAB / (shape[1] * shape[2]).max(1)).max(1);
    for start in (0..shape[0]).step_by(planes) {
        let slab = start..shape[0].min(start + planes);
        let values = |head: usize| -> Result<Tensor, TchError> {
            let logit = logits.f_narrow(0, int(head), 1)?;
            let values = match &matrices {
                Some(matrices) => matrices.planes(&logit, slab.clone())?,
                None => logit.f_narrow(1, int(slab.start), int(slab.len()))?,
            };
            if case.half { values.f_to_kind(Kind::Half)?.f_squeeze_dim(0) } else { values.f_squeeze_dim(0) }
        };
        decide(case, values, labels.f_narrow(0, int(slab.start), int(slab.len()))?)?;
    }
    let mut voxels = vec![0_u8; shape.iter().product()];
    labels.f_to_device(Device::Cpu)?.f_copy_data(&mut voxels, labels.numel())?;
    Array3::from_shape_vec(shape, voxels)
        .map_err(|_| NetworkError::WrongShape { expected: shape.iter().product(), got: labels.numel() })
}

/// Writes the labels of a slab, whose heads' values are computed one after the other.
fn decide(
    case: &Case<'_>,
    values: impl Fn(usize) -> Result<Tensor, TchError>,
    mut labels: Tensor,
) -> Result<(), TchError> {
    if let Some(order) = &case.regions {
        for (head, label) in order.iter().enumerate() {
            let inside = values(head)?.f_to_kind(Kind::Float)?.f_sigmoid()?.f_gt(0.5)?;
            labels = labels.f_masked_fill_(&inside, i64::from(*label))?;
        }
        return Ok(());
    }
    let mut best = values(0)?;
    for head in 1..case.window.heads {
        let values = values(head)?;
        labels = labels.f_masked_fill_(&values.f_gt_tensor(&best)?, int(head))?;
        best = best.f_maximum(&values)?;
    }
    Ok(())
}

/// A [`Resize`] on a device.
struct Matrices {
    axes: [Option<Tensor>; 3],
    clip: Clip,
    /// The first plane that each output plane is made of, and the one behind the last.
    sources: Vec<(usize, usize)>,
}

impl Matrices {
    fn new(resize: &Resize, device: Device) -> Result<Self, TchError> {
        let upload = |matrix: &Array2<f64>| -> Result<Tensor, TchError> {
            let values: Vec<f32> = matrix.iter().map(|weight| *weight as f32).collect();
            Tensor::f_from_slice(&values)?.f_reshape([int(matrix.nrows()), int(matrix.ncols())])?.f_to_device(device)
        };
        let [z, y, x] = &resize.axes;
        let axis = |matrix: &Option<Array2<f64>>| matrix.as_ref().map(upload).transpose();
        let sources = match z {
            None => (0..resize.shape[0]).map(|plane| (plane, plane + 1)).collect(),
            Some(matrix) => matrix
                .outer_iter()
                .map(|row| {
                    let used = |weight: &f64| *weight != 0.0;
                    let first = row.iter().position(used).unwrap_or(0);
                    (first, row.iter().rposition(used).map_or(first, |last| last + 1))
                })
                .collect(),
        };
        Ok(Self { axes: [axis(z)?, axis(y)?, axis(x)?], clip: resize.clip, sources })
    }

    /// Planes of `volumes` `[n, z, y, x]` on the new grid, in f32.
    fn planes(&self, volumes: &Tensor, planes: Range<usize>) -> Result<Tensor, TchError> {
        let sources = &self.sources[planes.clone()];
        let first = sources.iter().map(|source| source.0).min().unwrap_or(0);
        let last = sources.iter().map(|source| source.1).max().unwrap_or(first);
        let part = volumes.f_narrow(1, int(first), int(last - first))?.f_to_kind(Kind::Float)?;
        let limits = match self.clip {
            Clip::Off => None,
            Clip::Slices(0) => Some(range(&part, &[2, 3])?),
            Clip::Slices(1) => Some(range(volumes, &[1, 3])?),
            Clip::Slices(_) => Some(range(volumes, &[1, 2])?),
            Clip::Volume => Some(range(volumes, &[1, 2, 3])?),
        };
        let apart = if let Clip::Slices(axis) = self.clip { Some(axis) } else { None };
        let along_z = self.axes[0].as_ref().map(|matrix| -> Result<Tensor, TchError> {
            matrix.f_narrow(0, int(planes.start), int(planes.len()))?.f_narrow(1, int(first), int(last - first))
        });
        let along = [
            along_z.transpose()?,
            self.axes[1].as_ref().map(Tensor::shallow_clone),
            self.axes[2].as_ref().map(Tensor::shallow_clone),
        ];
        let mut result = part;
        for axis in (0..3).filter(|axis| apart != Some(*axis)) {
            result = along_axis(result, axis, along[axis].as_ref())?;
        }
        if let Some((low, high)) = limits {
            result = result.f_clamp_tensor(Some(low), Some(high))?;
        }
        match apart {
            Some(axis) => along_axis(result, axis, along[axis].as_ref()),
            None => Ok(result),
        }
    }
}

fn range(volumes: &Tensor, axes: &[i64]) -> Result<(Tensor, Tensor), TchError> {
    let volumes = volumes.f_to_kind(Kind::Float)?;
    Ok((volumes.f_amin(axes, true)?, volumes.f_amax(axes, true)?))
}

/// `[n, z, y, x]` times a matrix along one of z (0), y and x.
fn along_axis(volumes: Tensor, axis: usize, matrix: Option<&Tensor>) -> Result<Tensor, TchError> {
    let Some(matrix) = matrix else { return Ok(volumes) };
    match axis {
        0 => {
            let [n, z, y, x] = volumes.size()[..] else { return Ok(volumes) };
            matrix.f_matmul(&volumes.f_reshape([n, z, y * x])?)?.f_reshape([n, -1, y, x])
        }
        1 => matrix.f_matmul(&volumes),
        _ => volumes.f_matmul(&matrix.f_transpose(0, 1)?),
    }
}

/// Volumes on another grid, computed as on a device; for tests of [`Resize`].
#[cfg(test)]
pub(crate) fn resized(volume: ArrayView3<'_, f32>, resize: &Resize) -> Array3<f32> {
    let tensor = upload(volume, Device::Cpu).unwrap().unsqueeze(0);
    let result = Matrices::new(resize, Device::Cpu).unwrap().planes(&tensor, 0..resize.shape[0]).unwrap().contiguous();
    let mut values = vec![0.0_f32; result.numel()];
    result.copy_data(&mut values, result.numel());
    Array3::from_shape_vec(resize.shape, values).unwrap()
}

#[cfg(test)]
mod tests {
    use tch::CModule;

    use super::super::fold::Fold;
    use super::super::script::Script;
    use super::*;
    use crate::inference::window::{Mirror, mirrors};

    /// Two heads, the patch and its opposite; has memory for `batch` patches at a time, no more and no fewer.
    fn network(batch: i64) -> Fold {
        let shape = [batch, 1, 4, 4, 4];
        let mut forward = |inputs: &[Tensor]| {
            let patch = inputs[0].reshape(shape);
            vec![Tensor::cat(&[patch.shallow_clone(), patch.neg()], 1)]
        };
        let input = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let module = CModule::create_by_tracing("network", "forward", &[input], &mut forward).unwrap();
        Fold::new(Box::new(Script::of(module)), Device::Cpu, 1, false)
    }

    /// What two folds make of a volume in which signs change.
    fn run(
        volume: &Array3<f32>,
        memory: i64,
        regions: Option<Vec<u8>>,
        go_on: ControlFlow<()>,
    ) -> Result<Array3<u8>, NetworkError> {
        let all: Vec<Mirror> = mirrors(Some(&[0, 1, 2]));
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 3, at_once: 1 };
        let case = Case {
            channels: vec![volume.view()],
            to_network: None,
            more: Vec::new(),
            window: &window,
            mirrors: &all,
            to_scan: None,
            half: true,
            regions,
        };
        labels(&[&network(memory), &network(memory)], &case, &mut |_| go_on)
    }

    fn signs(size: [usize; 3]) -> Array3<f32> {
        Array3::from_shape_fn(size, |(z, y, x)| if (z * 3 + y * 2 + x) % 5 < 2 { -1.5 } else { 2.5 })
    }

    #[test]
    fn batches_that_do_not_fit_are_halved_until_they_do() {
        for size in [[5, 6, 7], [4, 4, 4], [2, 9, 3]] {
            let volume = signs(size);
            let labels = run(&volume, 1, None, ControlFlow::Continue(())).unwrap();
            assert_eq!(labels, volume.mapv(|value| u8::from(value < 0.0)), "{size:?}");
        }
        // Not even one patch fits: the caller hears why.
        assert!(matches!(run(&signs([4; 3]), 2, None, ControlFlow::Continue(())), Err(NetworkError::Engine(_))));
    }

    #[test]
    fn regions_write_one_over_the_other() {
        let volume = signs([5, 6, 7]);
        let labels = run(&volume, 1, Some(vec![4, 9]), ControlFlow::Continue(())).unwrap();
        assert_eq!(labels, volume.mapv(|value| if value < 0.0 { 9 } else { 4 }));
    }

    #[test]
    fn what_cannot_be_computed_with_and_what_is_cancelled_ends() {
        let infinite = Array3::from_elem((4, 4, 4), 3e38);
        assert!(matches!(run(&infinite, 1, None, ControlFlow::Continue(())), Err(NetworkError::NotFinite)));
        assert!(matches!(run(&signs([4; 3]), 1, None, ControlFlow::Break(())), Err(NetworkError::Cancelled)));
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 1 };
        let case = Case {
            channels: Vec::new(),
            to_network: None,
            more: Vec::new(),
            window: &window,
            mirrors: &[],
            to_scan: None,
            half: true,
            regions: None,
        };
        assert!(matches!(labels(&[], &case, &mut |_| ControlFlow::Continue(())), Err(NetworkError::NoFold)));
    }
}
