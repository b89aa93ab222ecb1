//! How far a label is ahead of all others, by the entropy of its voxel: all that is kept of a presegmentation are its
//! labels and their uncertainty.

/// Nobody is surer than this, in nats.
const SUREST: f32 = 9.0;
const STEPS: usize = 1024;

/// Margins by entropy, as if a label had one other beside it.
#[derive(Clone, Debug)]
pub(super) struct Margins {
    /// The entropy, in nats, of an uncertainty of 1.
    most: f32,
    /// Entropies of margins that fall in even steps from [`SUREST`] to 0.
    entropies: Vec<f32>,
}

impl Margins {
    /// For uncertainties that are shares of an entropy of `most` nats.
    pub(super) fn of(most: f32) -> Self {
        let entropy = |step: usize| {
            let p = 1.0 / (1.0 + (-f64::from(margin(step as f32))).exp());
            (-p * p.ln() - (1.0 - p) * (1.0 - p).ln()) as f32
        };
        Self { most, entropies: (0..=STEPS).map(entropy).collect() }
    }

    /// Natural logarithm of p / (1 − p) for an uncertainty of 0 to 1; 0 where there is more doubt than two labels can
    /// have.
    pub(super) fn at(&self, uncertainty: f32) -> f32 {
        let nats = uncertainty * self.most;
        let after = self.entropies.partition_point(|entropy| *entropy < nats).clamp(1, STEPS);
        let [low, high] = [self.entropies[after - 1], self.entropies[after]];
        let share = ((nats - low) / (high - low)).clamp(0.0, 1.0);
        margin((after - 1) as f32 + share)
    }
}

/// The margin of a step.
fn margin(step: f32) -> f32 {
    SUREST * (1.0 - step / STEPS as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_that_of_two_labels_with_this_entropy() {
        for heads in [2.0_f32, 3.0, 7.0] {
            let check = |p: f64, expected: f32| {
                let entropy = -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
                let got = Margins::of(heads.ln()).at((entropy / f64::from(heads.ln())) as f32);
                assert!((got - expected).abs() < 2e-3, "{heads} heads, {p}: {got} instead of {expected}");
            };
            check(0.5, 0.0);
            check(0.6, 0.4055);
            check(0.9, 2.1972);
            check(0.999, 6.9068);
            check(1.0 - 1e-7, 9.0);
        }
        let check = |uncertainty: f32, expected: f32| assert_eq!(Margins::of(3.0_f32.ln()).at(uncertainty), expected);
        check(0.0, 9.0);
        // Three labels can be in more doubt than two.
        check(1.0, 0.0);
        // Of a file that holds no uncertainty.
        check(-1.0, 9.0);
        check(40.0, 0.0);
    }
}
