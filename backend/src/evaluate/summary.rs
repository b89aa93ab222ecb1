//! `summary.json`: each setting's means over the cases, and paired tests between strategies.

use std::collections::BTreeMap;

use serde::Serialize;

use super::results::{Columns, Row};
use super::statistics::{mean, percentile_of, sorted, standard_deviation, wilcoxon};

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

/// One combination of strategy, uncertainty, budget and round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Setting {
    /// Acquisition strategy.
    pub strategy: String,
    /// Uncertainty measure.
    pub uncertainty: String,
    /// Budget as given.
    pub budget: String,
    /// Round.
    pub round: u32,
}

impl Setting {
    /// The setting of a row.
    pub fn of(row: &Row) -> Self {
        let key = &row.key;
        Self { strategy: key.strategy.clone(), uncertainty: key.uncertainty.clone(), budget: key.budget.clone(), round: key.round }
    }
}

/// A setting's numbers.
#[derive(Clone, Debug, Serialize)]
pub struct SettingSummary {
    /// Which.
    #[serde(flatten)]
    pub setting: Setting,
    /// By column of `results.csv`.
    pub columns: BTreeMap<String, Spread>,
}

/// Two strategies on the same cases with the same uncertainty, budget and round; or two uncertainties with the same strategy, budget and round.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The first.
    pub setting: Setting,
    /// The strategy, or the uncertainty, it is compared with.
    pub against: String,
    /// What is compared.
    pub column: String,
    /// Mean of first − second over the cases that both have.
    pub mean_difference: f64,
    /// Such cases.
    pub cases: usize,
    /// Two-sided Wilcoxon signed-rank test.
    pub p: f64,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// In the order of the table.
    pub settings: Vec<SettingSummary>,
    /// Greedy and published against all others.
    pub comparisons: Vec<Comparison>,
    /// Every way to find uncertainty against the default one; `against` names that.
    pub uncertainty_comparisons: Vec<Comparison>,
}

/// Columns that strategies are compared by.
const COMPARED: [&str; 2] = ["dice_refined", "dice_refined_outside"];

/// Sums the rows up; `default` is the uncertainty that others are compared with.
pub fn summarise(columns: &Columns, rows: &[Row], default: &str) -> Summary {
    let mut by_setting: BTreeMap<Setting, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by_setting.entry(Setting::of(row)).or_default().push(row);
    }
    let settings = by_setting.iter().map(|(setting, rows)| {
        let spread = |name: &String| (name.clone(), Spread::of(&rows.iter().map(|row| columns.get(row, name)).collect::<Vec<_>>()));
        SettingSummary { setting: setting.clone(), columns: columns.names().iter().map(spread).collect() }
    });
    let mut comparisons = Vec::new();
    for (first, rows) in by_setting.iter().filter(|(setting, _)| ["greedy", "published"].contains(&setting.strategy.as_str())) {
        for (second, others) in &by_setting {
            let alike = first.uncertainty == second.uncertainty && first.budget == second.budget && first.round == second.round;
            if !alike || first.strategy == second.strategy || (second.strategy == "greedy" && first.strategy == "published") {
                continue;
            }
            comparisons.extend(COMPARED.map(|column| compare(columns, column, (first, rows), (&second.strategy, others))));
        }
    }
    let uncertainty_comparisons = between_uncertainties(columns, &by_setting, default);
    Summary { settings: settings.collect(), comparisons, uncertainty_comparisons }
}

/// AUROC once an uncertainty, as it does not depend on the strategy; refined Dice for every setting.
fn between_uncertainties(columns: &Columns, by_setting: &BTreeMap<Setting, Vec<&Row>>, default: &str) -> Vec<Comparison> {
    let mut judged: Vec<&str> = Vec::new();
    let mut comparisons = Vec::new();
    for (setting, rows) in by_setting.iter().filter(|(setting, _)| setting.uncertainty != default) {
        let other = Setting { uncertainty: default.to_owned(), ..setting.clone() };
        let Some(others) = by_setting.get(&other) else { continue };
        let compared = |column| compare(columns, column, (setting, rows), (default, others));
        // Later rounds look at the refined segmentation's uncertainty, whatever the first one looked at.
        if setting.round <= 1 && !judged.contains(&setting.uncertainty.as_str()) {
            judged.push(&setting.uncertainty);
            comparisons.push(compared("auroc"));
        }
        comparisons.push(compared("dice_refined"));
    }
    comparisons.retain(|comparison| comparison.cases > 0);
    comparisons
}

fn compare(columns: &Columns, column: &str, first: (&Setting, &[&Row]), second: (&str, &[&Row])) -> Comparison {
    let partner = |row: &Row| second.1.iter().find(|other| other.key.case == row.key.case);
    let pairs = first.1.iter().filter_map(|row| Some((row, partner(row)?)));
    let differences: Vec<f64> = pairs.map(|(a, b)| columns.get(a, column) - columns.get(b, column)).filter(|d| d.is_finite()).collect();
    Comparison {
        setting: first.0.clone(),
        against: second.0.to_owned(),
        column: column.to_owned(),
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

    fn row(columns: &Columns, case: &str, strategy: &str, dice: f64) -> Row {
        let key = Key { case: case.into(), strategy: strategy.into(), uncertainty: "entropy".into(), budget: "0.2".into(), round: 1 };
        Row { key, values: columns.values(&[("dice_refined".into(), dice)]), planes: String::new() }
    }

    #[test]
    fn strategies_are_compared_case_by_case() {
        let columns = Columns::new(&LabelSet::default());
        let rows = [("a", "greedy", 0.9), ("b", "greedy", 0.8), ("a", "random", 0.7), ("b", "random", 0.75), ("c", "random", 0.1)]
            .map(|(case, strategy, dice)| row(&columns, case, strategy, dice));
        let summary = summarise(&columns, &rows, "entropy");
        assert!(summary.uncertainty_comparisons.is_empty());
        assert_eq!(summary.settings.len(), 2);
        assert_eq!(summary.settings[0].columns["dice_refined"].cases, 2);
        assert_eq!(summary.settings[0].columns["nsd_refined"].cases, 0);
        let comparison = &summary.comparisons[0];
        assert_eq!((comparison.against.as_str(), comparison.cases), ("random", 2));
        assert!((comparison.mean_difference - 0.125).abs() < 1e-12);
    }

    #[test]
    fn uncertainties_are_compared_with_the_default() {
        let columns = Columns::new(&LabelSet::default());
        let row = |case: &str, uncertainty: &str, budget: &str, auroc: f64, dice: f64| {
            let (strategy, round) = if budget == "0" { ("none", 0) } else { ("greedy", 1) };
            let key = Key { case: case.into(), strategy: strategy.into(), uncertainty: uncertainty.into(), budget: budget.into(), round };
            Row { key, values: columns.values(&[("auroc".into(), auroc), ("dice_refined".into(), dice)]), planes: String::new() }
        };
        let mut rows = Vec::new();
        for case in ["a", "b"] {
            for budget in ["0.1", "0.2"] {
                rows.push(row(case, "folds+mirrors/entropy", budget, 0.9, 0.8));
                rows.push(row(case, "mirrors/variance", budget, 0.8, 0.85));
            }
            rows.push(row(case, "folds+mirrors/entropy", "0", 0.9, f64::NAN));
            rows.push(row(case, "dropout:4/variance", "0", 0.95, f64::NAN));
        }
        let summary = summarise(&columns, &rows, "folds+mirrors/entropy");
        let found: Vec<(&str, &str, f64, usize)> = summary
            .uncertainty_comparisons
            .iter()
            .map(|c| (c.setting.uncertainty.as_str(), c.column.as_str(), (c.mean_difference * 100.0).round(), c.cases))
            .collect();
        let expected = [
            ("mirrors/variance", "auroc", -10.0, 2),
            ("mirrors/variance", "dice_refined", 5.0, 2),
            ("mirrors/variance", "dice_refined", 5.0, 2),
            ("dropout:4/variance", "auroc", 5.0, 2),
        ];
        assert_eq!(found, expected);
        assert!(summary.uncertainty_comparisons.iter().all(|c| c.against == "folds+mirrors/entropy"));
    }
}
