//! Networks over volumes, patch by patch, as nnU-Net does it. Knows shapes, not scans.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, sync_channel};

use half::f16;
use ndarray::{Array4, ArrayView4, Axis, s};

use super::blend::Blend;
use super::window::{Job, padding, tiles};
use super::{Network, NetworkError, Progress};

pub use super::window::{Mirror, Window, mirrors};

/// What becomes of the mirrored copies of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Averaged patch by patch, in nnU-Net's order: one volume of logits.
    Mean,
    /// Blended apart: one volume of logits per mirror, as samples.
    Separate,
}

/// Logits over a volume.
///
/// `data` is `[channels, z, y, x]`; the answer holds volumes `[heads, z, y, x]` of the same size, one for
/// [`Combine::Mean`], one per mirror for [`Combine::Separate`].
///
/// # Errors
/// [`NetworkError`]: the network's, infinite logits, or [`NetworkError::Cancelled`] when `progress` says so.
pub fn logits(
    network: &dyn Network,
    data: ArrayView4<'_, f32>,
    window: &Window,
    mirrors: &[Mirror],
    combine: Combine,
    progress: &mut Progress<'_>,
) -> Result<Vec<Array4<f16>>, NetworkError> {
    let mut all = Vec::new();
    logits_of_folds(&[network], data, window, mirrors, combine, progress, &mut |volumes| all = volumes)?;
    Ok(all)
}

/// Logits of several networks over a volume: `take` gets each network's volumes, see [`logits`], in the networks'
/// order.
///
/// Memory: one network's volumes, and `window.at_once` forwards with at most two finished batches each.
///
/// # Errors
/// As [`logits`].
pub fn logits_of_folds(
    networks: &[&dyn Network],
    data: ArrayView4<'_, f32>,
    window: &Window,
    mirrors: &[Mirror],
    combine: Combine,
    progress: &mut Progress<'_>,
    take: &mut dyn FnMut(Vec<Array4<f16>>),
) -> Result<(), NetworkError> {
    let Padded { input, low } = Padded::new(data, window.patch);
    let padded = [1, 2, 3].map(|axis| input.shape()[axis]);
    let size = [1, 2, 3].map(|axis| data.shape()[axis]);
    let tiles = tiles(padded, window);
    let jobs: Vec<Job<'_>> = tiles.iter().flat_map(|at| mirrors.iter().map(|mirror| Job { at: *at, mirror })).collect();
    let batches: Vec<(&dyn Network, &[Job<'_>])> =
        networks.iter().flat_map(|network| jobs.chunks(window.batch.max(1)).map(|jobs| (*network, jobs))).collect();
    let total = networks.len() * jobs.len();
    let mut blender: Option<Blender> = None;
    let mut done = 0;
    let compute = |(network, jobs): &(&dyn Network, &[Job<'_>])| forward(*network, input.view(), window, jobs);
    in_order(&batches, window.at_once, compute, |answers| {
        for logits in answers? {
            let job = &jobs[done % jobs.len()];
            let blending = blender.get_or_insert_with(|| Blender::new(window, padded, mirrors.len(), combine));
            blending.add(done % mirrors.len(), logits, job.at);
            done += 1;
            if done % jobs.len() == 0
                && let Some(finished) = blender.take()
            {
                take(finished.finish(low, size)?);
            }
        }
        match progress(done as f32 / total as f32) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(NetworkError::Cancelled),
        }
    })
}

/// Computes `items` on several threads and hands the answers over in the items' order. Every thread is at most two
/// answers ahead of `take`.
fn in_order<T: Sync, A: Send, E>(
    items: &[T],
    threads: usize,
    compute: impl Fn(&T) -> A + Sync,
    mut take: impl FnMut(A) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.iter().try_for_each(|item| take(compute(item)));
    }
    let compute = &compute;
    std::thread::scope(|scope| {
        let lane = |first: usize| -> Receiver<A> {
            let (send, receive) = sync_channel(1);
            scope.spawn(move || {
                for item in items.iter().skip(first).step_by(threads) {
                    if send.send(compute(item)).is_err() {
                        break; // An answer was refused; nobody waits for more.
                    }
                }
            });
            receive
        };
        let lanes: Vec<Receiver<A>> = (0..threads).map(lane).collect();
        for number in 0..items.len() {
            // A thread that ends early has panicked; the scope passes that on.
            let Ok(answer) = lanes[number % threads].recv() else { break };
            take(answer)?;
        }
        Ok(())
    })
}

/// A volume with zeros around it, at least as large as a patch.
struct Padded {
    input: Array4<f32>,
    /// Where the volume begins.
    low: [usize; 3],
}

impl Padded {
    fn new(data: ArrayView4<'_, f32>, patch: [usize; 3]) -> Self {
        let (channels, z, y, x) = data.dim();
        let (padded, low) = padding([z, y, x], patch);
        let mut input = Array4::<f32>::zeros((channels, padded[0], padded[1], padded[2]));
        input.slice_mut(s![.., low[0]..low[0] + z, low[1]..low[1] + y, low[2]..low[2] + x]).assign(&data);
        Self { input, low }
    }
}

/// The patches of one network on their way into its volumes.
struct Blender {
    blends: Vec<Blend>,
    mirrors: usize,
    sum: Option<Array4<f32>>,
}

impl Blender {
    fn new(window: &Window, size: [usize; 3], mirrors: usize, combine: Combine) -> Self {
        let volumes = if combine == Combine::Mean { 1 } else { mirrors };
        Self { blends: (0..volumes).map(|_| Blend::new(window, size)).collect(), mirrors, sum: None }
    }

    /// Takes a patch's logits; its mirrors come one after the other.
    fn add(&mut self, mirror: usize, logits: Array4<f32>, at: [usize; 3]) {
        if self.blends.len() > 1 {
            return self.blends[mirror].add(&logits, at);
        }
        // nnU-Net's order of summation: the unflipped patch, then every mirror; one division at the end.
        let mut total = match self.sum.take() {
            Some(total) => total + logits,
            None => logits,
        };
        if mirror + 1 < self.mirrors {
            self.sum = Some(total);
            return;
        }
        if self.mirrors > 1 {
            total /= self.mirrors as f32;
        }
        self.blends[0].add(&total, at);
    }

    fn finish(self, low: [usize; 3], size: [usize; 3]) -> Result<Vec<Array4<f16>>, NetworkError> {
        self.blends.into_iter().map(|blend| blend.finish(low, size)).collect()
    }
}

/// Forwards patches as one batch and turns the answers back; where the engine fails, for example for want of memory, as
/// two halves.
fn forward(
    network: &dyn Network,
    input: ArrayView4<'_, f32>,
    window: &Window,
    jobs: &[Job<'_>],
) -> Result<Vec<Array4<f32>>, NetworkError> {
    let [z, y, x] = window.patch;
    let mut batch = Vec::with_capacity(jobs.len() * input.shape()[0] * z * y * x);
    for job in jobs {
        let patch = input.slice(s![.., job.at[0]..job.at[0] + z, job.at[1]..job.at[1] + y, job.at[2]..job.at[2] + x]);
        batch.extend(flipped(patch, job.mirror).iter());
    }
    let output = match network.forward(&batch, jobs.len(), window.patch) {
        Err(NetworkError::Engine(_)) if jobs.len() > 1 => {
            drop(batch);
            let (first, second) = jobs.split_at(jobs.len() / 2);
            let mut all = forward(network, input, window, first)?;
            all.extend(forward(network, input, window, second)?);
            return Ok(all);
        }
        other => other?,
    };
    let length = window.heads * z * y * x;
    if output.len() != length * jobs.len() {
        return Err(NetworkError::WrongShape { expected: length * jobs.len(), got: output.len() });
    }
    let turned = output.chunks_exact(length).zip(jobs).map(|(logits, job)| {
        let logits = ArrayView4::from_shape((window.heads, z, y, x), logits)
            .map_err(|_| NetworkError::WrongShape { expected: length, got: logits.len() })?;
        Ok(flipped(logits, job.mirror).as_standard_layout().into_owned())
    });
    turned.collect()
}

fn flipped<'a>(mut patch: ArrayView4<'a, f32>, mirror: &[usize]) -> ArrayView4<'a, f32> {
    for axis in mirror {
        patch.invert_axis(Axis(axis + 1));
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers twice its input plus, in a second head, the voxel's z index within the patch.
    struct Ruler;

    impl Network for Ruler {
        fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            let voxels: usize = size.iter().product();
            let plane = size[1] * size[2];
            Ok((0..n)
                .flat_map(|i| {
                    let patch = &batch[i * voxels..(i + 1) * voxels];
                    patch.iter().map(|v| 2.0 * v).chain((0..voxels).map(|at| (at / plane) as f32)).collect::<Vec<_>>()
                })
                .collect())
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }
    }

    #[test]
    fn a_volume_comes_back_whole_whatever_its_size() {
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 1 };
        for size in [(1, 1, 9, 4), (1, 4, 4, 4), (1, 7, 2, 11)] {
            let data = Array4::from_shape_fn(size, |(_, z, y, x)| (z + y + x) as f32);
            let all = logits(&Ruler, data.view(), &window, &mirrors(Some(&[0, 1, 2])), Combine::Mean, &mut |_| {
                ControlFlow::Continue(())
            })
            .unwrap();
            for (at, value) in all[0].slice(s![0..1, .., .., ..]).indexed_iter() {
                // Half-precision accumulators keep about three digits; the corners' weights, a few units of the
                // smallest half, keep whole numbers.
                assert!((value.to_f32() - 2.0 * data[at]).abs() <= 0.004 * (1.0 + data[at]), "{value} at {at:?}");
            }
        }
    }

    #[test]
    fn mirrored_answers_are_turned_back() {
        let window = Window { patch: [4, 2, 2], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 1 };
        let data = Array4::<f32>::zeros((1, 4, 2, 2));
        let all = logits(&Ruler, data.view(), &window, &mirrors(Some(&[0])), Combine::Separate, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let along_z = |volume: &Array4<f16>| (0..4).map(|z| volume[[1, z, 0, 0]].to_f32()).collect::<Vec<_>>();
        assert_eq!(along_z(&all[0]), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(along_z(&all[1]), [3.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn batches_of_any_size_give_the_same_volume() {
        let data = Array4::from_shape_fn((1, 5, 6, 7), |(_, z, y, x)| (z * y + x) as f32);
        let run = |batch: usize, at_once: usize| {
            let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch, at_once };
            logits(&Ruler, data.view(), &window, &mirrors(Some(&[0, 2])), Combine::Mean, &mut |_| {
                ControlFlow::Continue(())
            })
            .unwrap()
        };
        for (batch, at_once) in [(2, 1), (3, 1), (8, 1), (100, 1), (1, 2), (1, 3), (3, 2), (100, 2)] {
            assert_eq!(run(batch, at_once), run(1, 1), "batch {batch}, {at_once} at once");
        }
    }

    #[test]
    fn answers_come_in_order_whoever_is_first() {
        fn check(threads: usize, refuse: Option<usize>, expected: &[usize]) {
            let mut taken = Vec::new();
            let items: Vec<usize> = (0..7).collect();
            let slow_at_first = |item: &usize| {
                std::thread::sleep(std::time::Duration::from_millis(if item.is_multiple_of(2) { 4 } else { 0 }));
                *item
            };
            let outcome = in_order(&items, threads, slow_at_first, |item| {
                if refuse == Some(item) {
                    return Err(item);
                }
                taken.push(item);
                Ok(())
            });
            assert_eq!((outcome.err(), &taken[..]), (refuse, expected), "{threads} threads");
        }
        for threads in [0, 1, 2, 3, 7, 20] {
            check(threads, None, &[0, 1, 2, 3, 4, 5, 6]);
            check(threads, Some(3), &[0, 1, 2]);
        }
    }

    /// Fails from the given forward on.
    struct Failing {
        forwards: std::sync::atomic::AtomicUsize,
        from: usize,
    }

    impl Network for Failing {
        fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            let number = self.forwards.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number >= self.from {
                Err(NetworkError::Engine(format!("forward {number}")))
            } else {
                Ruler.forward(batch, n, size)
            }
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }
    }

    #[test]
    fn a_network_that_fails_beside_another_forward_ends_the_run() {
        let data = Array4::<f32>::zeros((1, 4, 4, 40));
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 2 };
        let network = Failing { forwards: 0.into(), from: 3 };
        let outcome =
            logits(&network, data.view(), &window, &mirrors(None), Combine::Mean, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(outcome, Err(NetworkError::Engine(_))));
        assert!(network.forwards.into_inner() < 12, "of 19 forwards the rest is left out");
    }

    #[test]
    fn folds_come_one_after_the_other() {
        let data = Array4::from_elem((1, 4, 4, 4), 1.5);
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 2 };
        let (one, two) = (Ruler, Failing { forwards: 0.into(), from: usize::MAX });
        let (mut volumes, mut shares) = (0, Vec::new());
        let mut progress = |done: f32| {
            shares.push(done);
            ControlFlow::Continue(())
        };
        let networks: [&dyn Network; 2] = [&one, &two];
        let mut take = |all: Vec<Array4<f16>>| volumes += all.len();
        logits_of_folds(&networks, data.view(), &window, &mirrors(Some(&[0])), Combine::Mean, &mut progress, &mut take)
            .unwrap();
        assert_eq!((volumes, shares), (2, vec![0.25, 0.5, 0.75, 1.0]));
    }

    /// Has memory for one patch.
    struct Small;

    impl Network for Small {
        fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            if n > 1 { Err(NetworkError::Engine("out of memory".into())) } else { Ruler.forward(batch, n, size) }
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }
    }

    #[test]
    fn batches_that_do_not_fit_are_halved() {
        let data = Array4::<f32>::zeros((1, 4, 4, 9));
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 5, at_once: 1 };
        let all =
            logits(&Small, data.view(), &window, &mirrors(None), Combine::Mean, &mut |_| ControlFlow::Continue(()))
                .unwrap();
        assert_eq!(all[0].dim(), (2, 4, 4, 9));
    }

    #[test]
    fn infinite_logits_are_an_error() {
        let data = Array4::from_elem((1, 4, 4, 4), 3e38);
        let window = Window { patch: [4, 4, 4], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 1 };
        let outcome =
            logits(&Ruler, data.view(), &window, &mirrors(None), Combine::Mean, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(outcome, Err(NetworkError::NotFinite)));
    }

    #[test]
    fn a_cancelled_run_stops() {
        let window = Window { patch: [2, 2, 2], step: 0.5, two_dimensional: false, heads: 2, batch: 1, at_once: 1 };
        let data = Array4::<f32>::zeros((1, 4, 4, 4));
        let outcome =
            logits(&Ruler, data.view(), &window, &mirrors(None), Combine::Mean, &mut |_| ControlFlow::Break(()));
        assert!(matches!(outcome, Err(NetworkError::Cancelled)));
    }
}
