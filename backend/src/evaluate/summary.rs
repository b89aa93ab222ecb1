//! `summary.json` and `summary.csv`: each setting's means over the cases, each with its number of cases, and paired
//! tests between strategies.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::acquisition::Strategy;

use super::equal_cost::{AtEqualCost, Course, at_equal_cost};
use super::results::{Columns, Row, UNREFINED};
use super::statistics::{Spread, mean, wilcoxon};

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
        Self {
            strategy: key.strategy.clone(),
            uncertainty: key.uncertainty.clone(),
            budget: key.budget.clone(),
            round: key.round,
        }
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
    /// What refinement removes; nothing where nothing was refined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
}

/// Share of the error (1 − mean Dice) that is gone after refinement, of the better of presegmentation and network with
/// no plane: what the planes did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Removed {
    /// Over whole scans.
    pub everywhere: f64,
    /// Which of the two was better over whole scans.
    pub from: &'static str,
    /// Outside the corrected planes.
    pub outside: f64,
    /// Which of the two was better there.
    pub from_outside: &'static str,
    /// Cases.
    pub cases: usize,
    /// Those among all that have both whose refined Dice is more than [`TELLING_DICE`] below that of the
    /// presegmentation with the planes pasted in.
    pub below_pasted: usize,
}

/// Dice that a case may lose before it counts as worse.
const TELLING_DICE: f64 = 0.01;

impl Removed {
    fn of(columns: &Columns, rows: &[&Row]) -> Option<Self> {
        let share = |suffix: &str| {
            let names = ["presegmentation", "no_plane", "refined"].map(|line| format!("dice_{line}{suffix}"));
            let triples = rows.iter().map(|row| names.each_ref().map(|name| columns.get(row, name)));
            let whole: Vec<[f64; 3]> = triples.filter(|triple| triple.iter().all(|dice| dice.is_finite())).collect();
            let [before, alone, after] = [0, 1, 2].map(|line| mean(whole.iter().map(|triple| triple[line])));
            let (best, from) = if alone > before { (alone, "no_plane") } else { (before, "presegmentation") };
            (1.0 - (1.0 - after) / (1.0 - best), from, whole.len())
        };
        let ((everywhere, from, cases), (outside, from_outside, _)) = (share(""), share("_outside"));
        let lost =
            |row: &&&Row| columns.get(row, "dice_corrections_pasted") - columns.get(row, "dice_refined") > TELLING_DICE;
        let below_pasted = rows.iter().filter(lost).count();
        (cases > 0).then_some(Self { everywhere, from, outside, from_outside, cases, below_pasted })
    }
}

/// Two strategies on the same cases with the same uncertainty, budget and round; or two uncertainties with the same
/// strategy, budget and round.
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
    /// Scores over effort and over contour length.
    pub courses: Vec<Course>,
    /// Strategies at equal effort and at equal contour length.
    pub at_equal_cost: Vec<AtEqualCost>,
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
        let spread = |name: &String| {
            (name.clone(), Spread::of(&rows.iter().map(|row| columns.get(row, name)).collect::<Vec<_>>()))
        };
        let removed = if setting.strategy == UNREFINED { None } else { Removed::of(columns, rows) };
        SettingSummary { setting: setting.clone(), columns: columns.names().iter().map(spread).collect(), removed }
    });
    let mut comparisons = Vec::new();
    for (first, rows) in
        by_setting.iter().filter(|(setting, _)| ["greedy", "published"].contains(&setting.strategy.as_str()))
    {
        for (second, others) in &by_setting {
            let alike =
                first.uncertainty == second.uncertainty && first.budget == second.budget && first.round == second.round;
            if !alike
                || first.strategy == second.strategy
                || (second.strategy == "greedy" && first.strategy == "published")
            {
                continue;
            }
            comparisons
                .extend(COMPARED.map(|column| compare(columns, column, (first, rows), (&second.strategy, others))));
        }
    }
    let uncertainty_comparisons = between_uncertainties(columns, &by_setting, default);
    let (courses, at_equal_cost) = at_equal_cost(columns, rows, Strategy::default().name());
    Summary { settings: settings.collect(), comparisons, uncertainty_comparisons, courses, at_equal_cost }
}

impl Summary {
    /// `summary.csv`: a row for each setting and column, with mean, standard deviation and number of cases.
    ///
    /// # Errors
    /// If the rows cannot be written as CSV.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["strategy", "uncertainty", "budget", "round", "column", "mean", "sd", "cases"])?;
        for SettingSummary { setting, columns, .. } in &self.settings {
            let Setting { strategy, uncertainty, budget, round } = setting;
            for (column, spread) in columns {
                let number = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
                let (mean, sd) = (number(spread.mean), number(spread.sd));
                writer.write_record([
                    strategy,
                    uncertainty,
                    budget,
                    &round.to_string(),
                    column,
                    &mean,
                    &sd,
                    &spread.cases.to_string(),
                ])?;
            }
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// AUROC once an uncertainty, as it does not depend on the strategy; refined Dice for every setting.
fn between_uncertainties(
    columns: &Columns,
    by_setting: &BTreeMap<Setting, Vec<&Row>>,
    default: &str,
) -> Vec<Comparison> {
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
    let differences: Vec<f64> =
        pairs.map(|(a, b)| columns.get(a, column) - columns.get(b, column)).filter(|d| d.is_finite()).collect();
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
        let key = Key {
            case: case.into(),
            strategy: strategy.into(),
            uncertainty: "entropy".into(),
            budget: "0.2".into(),
            round: 1,
        };
        Row { key, values: columns.values(&[("dice_refined".into(), dice)]), planes: String::new() }
    }

    #[test]
    fn strategies_are_compared_case_by_case() {
        let columns = Columns::new(&LabelSet::default());
        let rows = [
            ("a", "greedy", 0.9),
            ("b", "greedy", 0.8),
            ("a", "random", 0.7),
            ("b", "random", 0.75),
            ("c", "random", 0.1),
        ]
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
    fn what_planes_remove_is_counted_from_the_better_start() {
        let columns = Columns::new(&LabelSet::default());
        let check = |cases: &[[f64; 3]], everywhere: f64, from: &str, counted: usize| {
            let rows: Vec<Row> = cases
                .iter()
                .enumerate()
                .map(|(at, [before, alone, after])| {
                    let values =
                        [("dice_presegmentation", *before), ("dice_no_plane", *alone), ("dice_refined", *after)];
                    let values = values.map(|(name, value)| (name.to_owned(), value));
                    Row { values: columns.values(&values), ..row(&columns, &at.to_string(), "greedy", 0.0) }
                })
                .collect();
            let removed = Removed::of(&columns, &rows.iter().collect::<Vec<_>>()).unwrap();
            assert!((removed.everywhere - everywhere).abs() < 1e-12, "{removed:?}");
            assert_eq!((removed.from, removed.cases), (from, counted));
        };
        check(&[[0.8, 0.85, 0.925]], 0.5, "no_plane", 1);
        check(&[[0.9, 0.8, 0.95], [0.7, 0.7, 0.75], [0.5, 0.5, f64::NAN]], 0.25, "presegmentation", 2);
    }

    #[test]
    fn every_mean_says_over_how_many_cases() {
        let columns = Columns::new(&LabelSet::default());
        let rows = [("a", 0.9), ("b", f64::NAN), ("c", 0.7)].map(|(case, dice)| row(&columns, case, "greedy", dice));
        let text = String::from_utf8(summarise(&columns, &rows, "entropy").csv().unwrap()).unwrap();
        assert!(text.contains("\ngreedy,entropy,0.2,1,dice_refined,0.8,"), "{text}");
        assert!(text.lines().all(|line| line.split(',').count() == 8));
        assert!(text.lines().find(|line| line.contains(",dice_refined,")).unwrap().ends_with(",2"));
        assert!(text.lines().find(|line| line.contains(",nsd_refined,")).unwrap().ends_with(",,,0"));
    }

    #[test]
    fn uncertainties_are_compared_with_the_default() {
        let columns = Columns::new(&LabelSet::default());
        let row = |case: &str, uncertainty: &str, budget: &str, auroc: f64, dice: f64| {
            let (strategy, round) = if budget == "0" { ("none", 0) } else { ("greedy", 1) };
            let key = Key {
                case: case.into(),
                strategy: strategy.into(),
                uncertainty: uncertainty.into(),
                budget: budget.into(),
                round,
            };
            Row {
                key,
                values: columns.values(&[("auroc".into(), auroc), ("dice_refined".into(), dice)]),
                planes: String::new(),
            }
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
