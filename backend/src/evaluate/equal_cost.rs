//! Strategies at equal cost: scores over effort and over contour length, from no plane on, and paired tests at the same
//! point of these curves.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::curve::Curve;
use super::results::{Columns, Row, UNREFINED};
use super::statistics::{Spread, mean, wilcoxon};

/// Costs that scores are drawn over: planes and contour length, each as a share of a complete manual segmentation.
const COSTS: [&str; 2] = ["effort", "contour_share"];
/// Scores, each with the one that stands at no cost: the network with no plane.
const SCORES: [(&str, &str); 3] =
    [("dice_refined", "dice_no_plane"), ("dice_refined_outside", "dice_no_plane"), ("nsd_refined", "nsd_no_plane")];
/// Where strategies are compared.
const AT: [f64; 2] = [0.1, 0.2];

/// A score of a strategy over a cost.
#[derive(Clone, Debug, Serialize)]
pub struct Course {
    /// Acquisition strategy.
    pub strategy: String,
    /// Uncertainty.
    pub uncertainty: String,
    /// Column of the score.
    pub score: &'static str,
    /// Column of the cost.
    pub cost: &'static str,
    /// Mean score from no cost to the last of the costs in `at`: the area below the curve by its width. Cases whose
    /// curve does not reach so far have none.
    pub area: Spread,
    /// Scores at a tenth and a fifth of the cost of a complete manual segmentation.
    pub at: Vec<Spread>,
}

/// Two strategies at the same cost.
#[derive(Clone, Debug, Serialize)]
pub struct AtEqualCost {
    /// The first strategy.
    pub strategy: String,
    /// The strategy that it is compared with.
    pub against: String,
    /// Uncertainty.
    pub uncertainty: String,
    /// Column of the score.
    pub score: &'static str,
    /// Column of the cost.
    pub cost: &'static str,
    /// Which cost.
    pub at: f64,
    /// Mean of first − second over the cases that both have.
    pub mean_difference: f64,
    /// Such cases.
    pub cases: usize,
    /// Two-sided Wilcoxon signed-rank test.
    pub p: f64,
}

/// Courses by strategy and uncertainty, and every strategy against `first`.
pub fn at_equal_cost(columns: &Columns, rows: &[Row], first: &str) -> (Vec<Course>, Vec<AtEqualCost>) {
    let refined: Vec<&Row> = rows.iter().filter(|row| row.key.strategy != UNREFINED && row.key.round == 1).collect();
    let settings: BTreeSet<(&str, &str)> =
        refined.iter().map(|row| (row.key.strategy.as_str(), row.key.uncertainty.as_str())).collect();
    let (mut courses, mut comparisons) = (Vec::new(), Vec::new());
    for (score, start) in SCORES {
        for cost in COSTS {
            let curves = |strategy: &str, uncertainty: &str| {
                let own = refined
                    .iter()
                    .copied()
                    .filter(|row| row.key.strategy == strategy && row.key.uncertainty == uncertainty);
                curves_by_case(columns, own, (cost, score, start))
            };
            for (strategy, uncertainty) in &settings {
                let own = curves(strategy, uncertainty);
                courses.push(course((strategy, uncertainty), (score, cost), &own));
                if *strategy != first && settings.contains(&(first, *uncertainty)) {
                    let others = curves(first, uncertainty);
                    comparisons.extend(AT.map(|at| AtEqualCost {
                        strategy: (*strategy).to_owned(),
                        against: first.to_owned(),
                        uncertainty: (*uncertainty).to_owned(),
                        score,
                        cost,
                        at,
                        ..compared(&own, &others, at)
                    }));
                }
            }
        }
    }
    (courses, comparisons)
}

fn course(
    (strategy, uncertainty): (&str, &str),
    (score, cost): (&'static str, &'static str),
    curves: &BTreeMap<&str, Curve>,
) -> Course {
    let spread = |value: &dyn Fn(&Curve) -> f64| Spread::of(&curves.values().map(value).collect::<Vec<_>>());
    Course {
        strategy: strategy.to_owned(),
        uncertainty: uncertainty.to_owned(),
        score,
        cost,
        area: spread(&|curve| curve.mean_until(AT[1])),
        at: AT.iter().map(|at| spread(&|curve| curve.at(*at))).collect(),
    }
}

fn curves_by_case<'a>(
    columns: &Columns,
    rows: impl Iterator<Item = &'a Row>,
    (cost, score, start): (&str, &str, &str),
) -> BTreeMap<&'a str, Curve> {
    let mut points: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let own = points.entry(&row.key.case).or_insert_with(|| vec![(0.0, columns.get(row, start))]);
        own.push((columns.get(row, cost), columns.get(row, score)));
    }
    points.into_iter().map(|(case, points)| (case, Curve::new(points))).collect()
}

/// The numbers of a comparison; its names are the caller's.
fn compared(own: &BTreeMap<&str, Curve>, others: &BTreeMap<&str, Curve>, at: f64) -> AtEqualCost {
    let pairs = own.iter().filter_map(|(case, curve)| Some((curve.at(at), others.get(case)?.at(at))));
    let differences: Vec<f64> = pairs.map(|(a, b)| a - b).filter(|difference| difference.is_finite()).collect();
    AtEqualCost {
        strategy: String::new(),
        against: String::new(),
        uncertainty: String::new(),
        score: "",
        cost: "",
        at,
        mean_difference: mean(differences.iter().copied()),
        cases: differences.len(),
        p: wilcoxon(&differences),
    }
}

#[cfg(test)]
mod tests {
    use shared::label::LabelSet;

    use super::super::results::Key;
    use super::*;

    #[test]
    fn strategies_are_compared_at_the_same_contour_length() {
        let columns = Columns::new(&LabelSet::default());
        let row = |case: &str, strategy: &str, budget: &str, contour: f64, dice: f64| {
            let key = Key {
                case: case.into(),
                strategy: strategy.into(),
                uncertainty: "entropy".into(),
                budget: budget.into(),
                round: 1,
            };
            let values = [("dice_no_plane", 0.8), ("dice_refined", dice), ("contour_share", contour), ("effort", 0.1)];
            Row {
                key,
                values: columns.values(&values.map(|(name, value)| (name.to_owned(), value))),
                planes: String::new(),
            }
        };
        // Greedy draws twice the contour for a given budget; per contour, random is ahead.
        let mut rows = Vec::new();
        for case in ["a", "b"] {
            rows.extend([
                row(case, "greedy", "0.1", 0.2, 0.9),
                row(case, "random", "0.1", 0.1, 0.88),
                row(case, "random", "0.2", 0.2, 0.91),
            ]);
        }
        rows.push(row("c", "random", "0.1", 0.05, 0.85));
        let (courses, comparisons) = at_equal_cost(&columns, &rows, "greedy");
        let course = courses
            .iter()
            .find(|c| (c.strategy.as_str(), c.score, c.cost) == ("greedy", "dice_refined", "contour_share"))
            .unwrap();
        assert!((course.at[0].mean - 0.85).abs() < 1e-12 && (course.area.mean - 0.85).abs() < 1e-12);
        let found: Vec<(f64, f64, usize)> = comparisons
            .iter()
            .filter(|c| (c.score, c.cost) == ("dice_refined", "contour_share"))
            .map(|c| (c.at, (c.mean_difference * 1e4).round() / 1e4, c.cases))
            .collect();
        assert_eq!(
            found,
            [(0.1, 0.03, 2), (0.2, 0.01, 2)],
            "a case whose curve ends before is counted out, and that is said"
        );
        let reached = courses
            .iter()
            .find(|c| (c.strategy.as_str(), c.score, c.cost) == ("random", "dice_refined", "contour_share"))
            .unwrap();
        assert_eq!((reached.at[0].cases, reached.area.cases), (2, 2));
    }
}
