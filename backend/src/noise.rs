//! Smooth noise over space, the same everywhere for the same seed.

/// Smooth noise in [-1, 1]: random values on a lattice, blended.
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    seed: u64,
    cell_mm: f64,
}

impl Noise {
    /// Noise of this seed, with lattice points `cell_mm` apart.
    pub(crate) fn new(seed: u64, cell_mm: f64) -> Self {
        Self { seed, cell_mm: cell_mm.max(1e-3) }
    }

    /// The value at a point.
    pub(crate) fn at(&self, point_mm: [f64; 3]) -> f64 {
        let cell = point_mm.map(|p| (p / self.cell_mm).floor());
        let blend: [f64; 3] = std::array::from_fn(|i| {
            let t = point_mm[i] / self.cell_mm - cell[i];
            t * t * (3.0 - 2.0 * t)
        });
        let mut sum = 0.0;
        for corner in 0..8_usize {
            let bits: [usize; 3] = std::array::from_fn(|i| corner >> i & 1);
            let weight: f64 = (0..3).map(|i| if bits[i] == 1 { blend[i] } else { 1.0 - blend[i] }).product();
            sum += weight * self.lattice(std::array::from_fn(|i| cell[i] as i64 + bits[i] as i64));
        }
        sum
    }

    /// The value at a lattice point: a hash, so that no table has to be as large as the scan (finaliser of SplitMix64).
    fn lattice(&self, point: [i64; 3]) -> f64 {
        let mut hash = self.seed;
        for coordinate in point {
            hash = (hash ^ coordinate as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
            hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            hash ^= hash >> 31;
        }
        (hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_bounded_and_not_constant() {
        let noise = Noise::new(5, 4.0);
        let values: Vec<f64> = (0..400).map(|i| noise.at([i as f64 * 0.1 - 20.0, 1.3, 0.7])).collect();
        assert!(values.iter().all(|v| v.abs() <= 1.0));
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.1));
        let spread = values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            - values.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(spread > 0.3, "{spread}");
    }
}
