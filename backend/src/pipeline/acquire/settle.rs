//! What chosen planes have settled. A plane settles its own voxels wholly and those beside it by a bell curve of the
//! distance in millimetres; what several planes leave open is the product of what each leaves open, so it factors into
//! one number per plane of each axis: crossings cost nothing extra.

use super::profiles::Profiles;

/// What is still open, after the planes settled so far.
pub(super) struct Open<'a> {
    profiles: &'a Profiles,
    /// Share still open, per stored axis and plane.
    factors: [Vec<f64>; 3],
    /// Bell curve by distance in planes, per stored axis.
    kernels: [Vec<f64>; 3],
    /// Open uncertainty per plane but for the axis' own factor, per stored axis; renewed when another axis' factors
    /// change.
    through: [Vec<f64>; 3],
    stale: [bool; 3],
    total: f64,
}

impl<'a> Open<'a> {
    /// Nothing settled yet; `reach_mm` is the bell curve's standard deviation.
    pub(super) fn new(profiles: &'a Profiles, reach_mm: f64) -> Self {
        let kernels = profiles.geometry.spacing_mm.map(|spacing_mm| kernel(spacing_mm, reach_mm));
        let factors = profiles.geometry.dims.map(|n| vec![1.0; n]);
        let total = profiles.axes[0].blocks.iter().map(|u| f64::from(*u)).sum();
        Self { profiles, factors, kernels, through: [Vec::new(), Vec::new(), Vec::new()], stale: [true; 3], total }
    }

    /// Share of the case's uncertainty that each plane of a stored axis would settle now.
    pub(super) fn gains(&mut self, stored: usize) -> Vec<f64> {
        self.renew(stored);
        let open: Vec<f64> =
            self.through[stored].iter().zip(&self.factors[stored]).map(|(through, factor)| through * factor).collect();
        let kernel = &self.kernels[stored];
        (0..open.len())
            .map(|plane| {
                around(plane, kernel, open.len()).map(|(at, share)| share * open[at]).sum::<f64>() / self.scale()
            })
            .collect()
    }

    /// Settles a plane.
    pub(super) fn settle(&mut self, stored: usize, plane: usize) {
        let n = self.factors[stored].len();
        for (at, share) in around(plane, &self.kernels[stored], n) {
            self.factors[stored][at] *= 1.0 - share;
        }
        for other in (0..3).filter(|other| *other != stored) {
            self.stale[other] = true;
        }
    }

    fn scale(&self) -> f64 {
        if self.total > 0.0 { self.total } else { 1.0 }
    }

    /// Sums the blocks of an axis, each as far as the planes of the other two axes have left it open.
    fn renew(&mut self, stored: usize) {
        if !std::mem::take(&mut self.stale[stored]) {
            return;
        }
        let n = self.factors[stored].len();
        let [earlier, later] = others(stored);
        let (u, v) = (self.block_factors(earlier), self.block_factors(later));
        let mut sums = vec![0.0_f32; n];
        for (row, blocks) in self.profiles.axes[stored].blocks.chunks(n).enumerate() {
            let factor = (u[row % u.len()] * v[row / u.len()]) as f32;
            for (sum, uncertainty) in sums.iter_mut().zip(blocks) {
                *sum += factor * uncertainty;
            }
        }
        self.through[stored] = sums.into_iter().map(f64::from).collect();
    }

    /// Mean share still open in each block of an axis.
    fn block_factors(&self, stored: usize) -> Vec<f64> {
        let factors = &self.factors[stored];
        let mut sums = vec![(0.0, 0.0); Profiles::block_count(factors.len())];
        for (plane, factor) in factors.iter().enumerate() {
            let block = &mut sums[Profiles::block_of(plane, factors.len())];
            block.0 += factor;
            block.1 += 1.0;
        }
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }
}

/// The two other stored axes, ascending.
pub(super) fn others(stored: usize) -> [usize; 2] {
    match stored {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    }
}

/// The bell curve at distances of 0, 1, 2 … planes, to three standard deviations.
fn kernel(spacing_mm: f64, reach_mm: f64) -> Vec<f64> {
    let mut kernel = vec![1.0];
    let bell = |planes: usize| (-0.5 * (planes as f64 * spacing_mm / reach_mm).powi(2)).exp();
    kernel.extend((1..10_000).map(bell).take_while(|share| *share > 0.011));
    kernel
}

/// Planes that a plane's bell curve touches, with their shares.
fn around(plane: usize, kernel: &[f64], planes: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
    let reach = kernel.len() - 1;
    (plane.saturating_sub(reach)..(plane + reach + 1).min(planes)).map(move |at| (at, kernel[at.abs_diff(plane)]))
}
