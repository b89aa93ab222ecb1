//! How a channel's intensities are distributed, found on all processors at once.

use rayon::prelude::*;
use shared::intensity::{Counts, Packing, Quantiles};

/// Voxels that are looked at at a time.
const PIECE: usize = 1 << 20;
/// Up to here, f32 holds every whole number.
const LARGEST_WHOLE: f32 = (1 << 24) as f32;

/// The distribution of finite intensities.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Percentiles.
    pub quantiles: Quantiles,
    /// How often each is there, if they are whole numbers that span less than 65,536: all CT and nearly all MR.
    pub counts: Option<Counts>,
}

impl Distribution {
    /// Counts the intensities.
    pub fn of(intensities: &[f32]) -> Self {
        match counts(intensities) {
            Some(counts) => Self { quantiles: Quantiles::of_counts(&counts), counts: Some(counts) },
            None => Self { quantiles: Quantiles::of(intensities), counts: None },
        }
    }

    /// How these intensities, whose distribution this is, are packed.
    pub fn packing(&self, intensities: &[f32]) -> Packing {
        match self.counts {
            Some(_) => Packing { minimum: self.quantiles.minimum(), step: 1.0 },
            None => Packing::of(intensities, &self.quantiles),
        }
    }
}

fn counts(intensities: &[f32]) -> Option<Counts> {
    let of = |piece: &[f32]| {
        piece.iter().fold((f32::INFINITY, f32::NEG_INFINITY, true), |(least, most, are_whole), v| {
            (least.min(*v), most.max(*v), are_whole & (v.abs() <= LARGEST_WHOLE) & (*v as i32 as f32 == *v))
        })
    };
    let both = |a: (f32, f32, bool), b: (f32, f32, bool)| (a.0.min(b.0), a.1.max(b.1), a.2 & b.2);
    let (least, most, are_whole) = intensities.par_chunks(PIECE).map(of).reduce_with(both)?;
    if !are_whole || most - least > f32::from(u16::MAX) {
        return None;
    }
    let bins = (most - least) as usize + 1;
    let add = |mut counts: Vec<u64>, piece: &[f32]| {
        piece.iter().for_each(|v| counts[(v - least) as usize] += 1);
        counts
    };
    let sum = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let none = || vec![0; bins];
    Some(Counts::new(least, intensities.par_chunks(PIECE).fold(none, add).reduce(none, sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found on all processors is what is found voxel by voxel.
    fn check(intensities: &[f32], are_counted: bool) {
        let known = Distribution::of(intensities);
        let quantiles = Quantiles::of(intensities);
        assert_eq!(known.counts.is_some(), are_counted);
        assert_eq!(format!("{:?}", known.quantiles), format!("{quantiles:?}"));
        assert_eq!(known.packing(intensities), Packing::of(intensities, &quantiles));
    }

    #[test]
    fn intensities_are_counted_where_they_are_whole() {
        let whole: Vec<f32> = (0..3 * PIECE + 7).map(|at| (at * 7919 % 4000) as f32 - 1024.0).collect();
        check(&whole, true);
        let mut odd = whole.clone();
        odd[2 * PIECE] = 0.5;
        check(&odd, false);
        odd[2 * PIECE] = 70_000.0;
        check(&odd, false);
        check(&[7.0; 9], true);
        check(&[0.0, -0.0, 65_535.0], true);
        check(&[0.0, 65_536.0], false);
        check(&[3e9, 3e9 + 256.0], false);
        check(&[], false);
    }
}
