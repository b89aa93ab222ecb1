//! Means, quartiles and paired tests; what is not a number is left out, and a [`Spread`] says how many are left.

use serde::Serialize;

/// Finite values only, ascending.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut kept: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    kept.sort_unstable_by(f64::total_cmp);
    kept
}

/// Mean of the finite values; NaN of none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) =
        values.into_iter().filter(|v| v.is_finite()).fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
    sum / count as f64
}

/// A percentile (0 to 1) of ascending values, linear between them; NaN of none.
pub fn percentile_of(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let position = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    ascending[low] + (ascending[high] - ascending[low]) * position.fract()
}

/// Sample standard deviation of the finite values; NaN of fewer than two.
pub fn standard_deviation(values: &[f64]) -> f64 {
    let kept = sorted(values.iter().copied());
    if kept.len() < 2 {
        return f64::NAN;
    }
    let centre = mean(kept.iter().copied());
    (kept.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (kept.len() as f64 - 1.0)).sqrt()
}

/// Mean, median and spread of one column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over cases.
    pub sd: f64,
    /// Quartiles: 25 %, median, 75 %.
    pub quartiles: [f64; 3],
    /// Smallest and largest.
    pub range: [f64; 2],
    /// Cases that have a value.
    pub cases: usize,
}

impl Spread {
    /// Of the finite ones among `values`.
    pub fn of(values: &[f64]) -> Self {
        let ascending = sorted(values.iter().copied());
        Self {
            mean: mean(ascending.iter().copied()),
            sd: standard_deviation(&ascending),
            quartiles: [0.25, 0.5, 0.75].map(|share| percentile_of(&ascending, share)),
            range: [0.0, 1.0].map(|share| percentile_of(&ascending, share)),
            cases: ascending.len(),
        }
    }
}

/// Two-sided p-value of Wilcoxon's signed-rank test on differences, by the normal approximation with corrections for
/// ties and continuity; zeros are left out. 1 where nothing differs.
pub fn wilcoxon(differences: &[f64]) -> f64 {
    let mut kept: Vec<f64> = differences.iter().copied().filter(|d| d.is_finite() && *d != 0.0).collect();
    kept.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = kept.len() as f64;
    let (mut before, mut positive, mut ties) = (0.0, 0.0, 0.0);
    for tie in kept.chunk_by(|a, b| a.abs() == b.abs()) {
        let t = tie.len() as f64;
        let rank = before + (t + 1.0) / 2.0;
        positive += rank * tie.iter().filter(|d| **d > 0.0).count() as f64;
        ties += t.powi(3) - t;
        before += t;
    }
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((positive - n * (n + 1.0) / 4.0).abs() - 0.5).max(0.0) / variance.sqrt();
    libm::erfc(z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilcoxon_agrees_with_scipy() {
        // scipy.stats.wilcoxon(d, correction=True, method="approx").pvalue
        fn check(differences: &[f64], expected: f64) {
            let got = wilcoxon(differences);
            assert!((got - expected).abs() <= 1e-15, "{got:?} {expected:?}");
        }
        check(&[0.1, 0.2, -0.05, 0.3, 0.4, 0.15, 0.25, -0.02], 0.042_315_274_905_714);
        check(&[1.0, 1.0, 1.0, -1.0, 2.0, 0.0, 2.0, 3.0], 0.057_831_277_341_991_92);
        check(&(1..=30).map(|at| f64::from(at) / 100.0).collect::<Vec<_>>(), 1.825_371_456_361_214e-6);
        check(&[0.0, 0.0], 1.0);
        check(&[], 1.0);
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        assert_eq!(mean([1.0, f64::NAN, 3.0]), 2.0);
        assert!(mean([]).is_nan());
        assert!((standard_deviation(&[1.0, f64::NAN, 3.0]) - 2.0_f64.sqrt()).abs() < 1e-12);
    }
}
