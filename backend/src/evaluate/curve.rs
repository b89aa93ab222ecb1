//! A score over what it costs: at a cost between two budgets, and the area below.

/// Points of cost and score in ascending order of cost; between them the score goes in a straight line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve(Vec<(f64, f64)>);

impl Curve {
    /// From points in any order. Of points of one cost the last one counts; what is not a number is left out.
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut sorted: Vec<(f64, f64)> =
            points.into_iter().filter(|(cost, score)| cost.is_finite() && score.is_finite()).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        sorted.reverse();
        sorted.dedup_by(|a, b| a.0 == b.0);
        sorted.reverse();
        Self(sorted)
    }

    /// The score at a cost; NaN beyond the first or the last point: nothing was measured there.
    pub fn at(&self, cost: f64) -> f64 {
        let Some(after) = self.0.iter().position(|point| point.0 >= cost) else { return f64::NAN };
        let right = self.0[after];
        if right.0 == cost {
            return right.1;
        }
        let Some(left) = after.checked_sub(1).map(|before| self.0[before]) else { return f64::NAN };
        left.1 + (right.1 - left.1) * (cost - left.0) / (right.0 - left.0)
    }

    /// Mean score from no cost to this one: the area below the curve by its width. NaN where the curve does not reach
    /// so far.
    pub fn mean_until(&self, cost: f64) -> f64 {
        let ends = [(0.0, self.at(0.0)), (cost, self.at(cost))];
        let between = self.0.iter().copied().filter(|point| point.0 > 0.0 && point.0 < cost);
        let points: Vec<(f64, f64)> =
            ends[..1].iter().copied().chain(between).chain(ends[1..].iter().copied()).collect();
        points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum::<f64>() / cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_budgets_the_score_goes_in_a_straight_line() {
        let curve = Curve::new([(0.2, 0.9), (0.0, 0.5), (0.1, 0.8), (0.3, f64::NAN)]);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
        let check = |cost: f64, at: f64, mean: f64| {
            assert!(
                near(curve.at(cost), at) && near(curve.mean_until(cost), mean),
                "{cost}: {} {}",
                curve.at(cost),
                curve.mean_until(cost)
            );
        };
        check(0.1, 0.8, 0.65);
        check(0.05, 0.65, 0.575);
        check(0.2, 0.9, 0.75);
        check(0.25, f64::NAN, f64::NAN);
        assert!(Curve::default().at(0.0).is_nan());
    }

    #[test]
    fn of_equal_costs_the_last_counts() {
        assert_eq!(Curve::new([(0.0, 0.5), (0.1, 0.6), (0.1, 0.7)]).at(0.1), 0.7);
    }
}
