//! `report.html`: the results as tables and plots, in one file that needs nothing else. What it looks like is in
//! `templates/report.html`.

mod plot;

use askama::Template;

use self::plot::{HEIGHT, MARGIN, Plot, WIDTH, colour};
use super::calibration::Bin;
use super::equal_cost::{AtEqualCost, Course};
use super::results::{Columns, LINES, Row, UNREFINED, column};
use super::statistics::{Spread, mean};
use super::summary::{Comparison, Setting, SettingSummary, Summary};

/// What a report is made from.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was evaluated: bundle, cases, expert.
    pub title: &'a str,
    /// The columns of the rows.
    pub columns: &'a Columns,
    /// All rows.
    pub rows: &'a [Row],
    /// Their summary.
    pub summary: &'a Summary,
    /// Reliability curves by uncertainty.
    pub reliability: &'a [(String, Vec<Bin>)],
    /// Pictures with captions, as data URLs.
    pub pictures: &'a [(String, String)],
    /// Label values with names.
    pub labels: &'a [(u8, String)],
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    sections: Vec<Section>,
    pictures: &'a [(String, String)],
}

/// A heading with what stands below it.
struct Section {
    title: &'static str,
    table: Option<Table>,
    plots: Vec<Plot>,
}

/// A table whose first column is words and whose others are numbers.
struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// The page.
///
/// # Errors
/// If the template cannot be filled in.
pub fn html(report: &Report) -> Result<String, askama::Error> {
    let table = |title, table: Option<Table>| Section { title, table, plots: Vec::new() };
    let plots = |title, plots| Section { title, table: None, plots };
    let mut sections = vec![
        table("Dice", lines_table(report, "dice")),
        table("Dice outside the corrected planes", lines_table(report, "dice_outside")),
        table("Error removed, from the better of presegmentation and network with no plane", removed_table(report)),
        table("Surface Dice at 1 mm", lines_table(report, "nsd")),
        table("HD95 (mm); a label in one volume only counts as the volume's diagonal", lines_table(report, "hd95_mm")),
        table("Components missed", lines_table(report, "missed")),
        table("Components invented", lines_table(report, "invented")),
        table("Share of axial slices that an expert would leave untouched", lines_table(report, "accepted")),
        table("Effort: 5 s a plane and 0.2 s a millimetre of contour, as if drawn anew", effort_table(report)),
        table("Over effort and over contour length, from the network with no plane on", courses_table(report)),
        table("Strategies at equal cost", equal_cost_table(report)),
        table("Paired comparisons", comparisons_table(&report.summary.comparisons)),
        table("Uncertainty", Some(uncertainty_table(report))),
        table("Uncertainties compared with the default", comparisons_table(&report.summary.uncertainty_comparisons)),
        plots("Dice against budget", budget_plots(report)),
        plots("Dice by class", class_boxes(report)),
        plots("Effort", effort_plot(report).into_iter().collect()),
        plots("Where the chosen planes fall", plane_histograms(report)),
        plots("Reliability", reliability_plot(report).into_iter().collect()),
    ];
    sections.retain(|section| section.table.is_some() || !section.plots.is_empty());
    Page { title: report.title, sections, pictures: report.pictures }.render()
}

fn name(setting: &Setting) -> String {
    if setting.strategy == UNREFINED {
        return setting.uncertainty.clone();
    }
    let round = if setting.round > 1 { format!(", round {}", setting.round) } else { String::new() };
    format!("{} on {} at {}{round}", setting.strategy, setting.uncertainty, setting.budget)
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "–".to_owned() }
}

/// Settings with something refined.
fn refined<'a>(report: &'a Report) -> impl Iterator<Item = &'a SettingSummary> {
    report.summary.settings.iter().filter(|s| s.setting.strategy != UNREFINED)
}

/// Means of some columns, a row a setting. A mean over fewer cases than the setting has says over how many.
fn settings_table(report: &Report, shown: &[(String, &'static str)]) -> Option<Table> {
    let row = |summary: &SettingSummary| {
        let all = summary.columns.values().map(|spread| spread.cases).max().unwrap_or(0);
        let mean = |(column, _): &(String, &str)| match summary.columns.get(column) {
            Some(spread) if spread.cases == all => number(spread.mean),
            Some(spread) if spread.cases > 0 => format!("{} ({})", number(spread.mean), spread.cases),
            _ => "–".to_owned(),
        };
        [name(&summary.setting), all.to_string()].into_iter().chain(shown.iter().map(mean)).collect()
    };
    let head =
        ["setting (means over cases)", "cases"].into_iter().chain(shown.iter().map(|(_, title)| *title)).collect();
    let rows: Vec<Vec<String>> = refined(report).map(row).collect();
    (!rows.is_empty()).then_some(Table { head, rows })
}

/// A measure of the four lines: before, pasted, with no plane, refined.
fn lines_table(report: &Report, measure: &str) -> Option<Table> {
    const TITLES: [&str; 4] = ["presegmentation", "planes pasted", "network, no plane", "refined"];
    let shown: Vec<(String, &str)> =
        LINES.iter().zip(TITLES).map(|(line, title)| (column(measure, line), title)).collect();
    settings_table(report, &shown)
}

fn effort_table(report: &Report) -> Option<Table> {
    const SHOWN: [(&str, &str); 11] = [
        ("planes", "planes"),
        ("effort", "planes, share"),
        ("contour_mm", "contour (mm)"),
        ("contour_share", "contour, share"),
        ("drawn_mm2", "area (mm²)"),
        ("drawn_share", "area, share"),
        ("voxels_changed", "voxels changed"),
        ("seconds", "seconds (estimate)"),
        ("gain_per_plane", "Dice gained a plane"),
        ("harmed_far", "wrong now, beyond 3 mm"),
        ("contradicted", "crossings contradicted"),
    ];
    settings_table(report, &SHOWN.map(|(column, title)| (column.to_owned(), title)))
}

fn removed_table(report: &Report) -> Option<Table> {
    let percent = |share: f64| if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "–".to_owned() };
    let row = |summary: &SettingSummary| {
        let removed = summary.removed?;
        let [from, from_outside] = [removed.from, removed.from_outside].map(str::to_owned);
        let cells = [
            percent(removed.everywhere),
            from,
            percent(removed.outside),
            from_outside,
            removed.below_pasted.to_string(),
        ];
        Some([name(&summary.setting), removed.cases.to_string()].into_iter().chain(cells).collect())
    };
    let rows: Vec<Vec<String>> = refined(report).filter_map(row).collect();
    let head = vec![
        "setting",
        "cases",
        "error removed",
        "counted from",
        "outside the planes",
        "counted from",
        "cases > 0.01 below pasting",
    ];
    (!rows.is_empty()).then_some(Table { head, rows })
}

fn courses_table(report: &Report) -> Option<Table> {
    let said = |spread: &Spread| {
        if spread.cases > 0 { format!("{} ({})", number(spread.mean), spread.cases) } else { "–".to_owned() }
    };
    let row = |course: &Course| {
        let words =
            [format!("{} on {}", course.strategy, course.uncertainty), course.score.to_owned(), course.cost.to_owned()];
        words.into_iter().chain(course.at.iter().map(said)).chain([said(&course.area)]).collect()
    };
    let head = vec!["strategy", "score", "over", "at 10 % (cases)", "at 20 % (cases)", "mean up to 20 % (cases)"];
    let courses = &report.summary.courses;
    (!courses.is_empty()).then(|| Table { head, rows: courses.iter().map(row).collect() })
}

fn equal_cost_table(report: &Report) -> Option<Table> {
    let row = |c: &AtEqualCost| {
        let difference = if c.cases > 0 { format!("{:+.4}", c.mean_difference) } else { "–".to_owned() };
        let at = format!("{:.0} % {}", 100.0 * c.at, c.cost);
        vec![
            c.strategy.clone(),
            c.against.clone(),
            c.score.to_owned(),
            at,
            difference,
            c.cases.to_string(),
            format!("{:.2e}", c.p),
        ]
    };
    let head = vec!["strategy", "against", "score", "at", "mean difference", "cases", "p (Wilcoxon)"];
    let compared = &report.summary.at_equal_cost;
    (!compared.is_empty()).then(|| Table { head, rows: compared.iter().map(row).collect() })
}

fn comparisons_table(comparisons: &[Comparison]) -> Option<Table> {
    let row = |c: &Comparison| {
        let difference = if c.cases > 0 { format!("{:+.4}", c.mean_difference) } else { "–".to_owned() };
        vec![
            name(&c.setting),
            c.against.clone(),
            c.column.clone(),
            difference,
            c.cases.to_string(),
            format!("{:.2e}", c.p),
        ]
    };
    let head = vec!["setting", "against", "measure", "mean difference", "cases", "p (Wilcoxon)"];
    (!comparisons.is_empty()).then(|| Table { head, rows: comparisons.iter().map(row).collect() })
}

/// How well each uncertainty finds the presegmentation's errors, which no strategy or budget changes: one row a case
/// counts.
fn uncertainty_table(report: &Report) -> Table {
    const SHOWN: [(&str, &str); 6] = [
        ("auroc", "AUROC of errors"),
        ("auprc", "AUPRC"),
        ("ece", "ECE"),
        ("dice_filtered", "Dice of the certain"),
        ("dice_relaxed", "Dice, uncertain as right"),
        ("uncertainty_mean", "mean"),
    ];
    let row = |uncertainty: String| {
        let mut rows: Vec<&Row> =
            report.rows.iter().filter(|row| row.key.uncertainty == uncertainty && row.key.round <= 1).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows.dedup_by(|a, b| a.key.case == b.key.case);
        let means = SHOWN.map(|(column, _)| {
            let values: Vec<f64> =
                rows.iter().map(|row| report.columns.get(row, column)).filter(|value| value.is_finite()).collect();
            let of = if values.len() < rows.len() { format!(" ({})", values.len()) } else { String::new() };
            number(mean(values)) + &of
        });
        [uncertainty, rows.len().to_string()].into_iter().chain(means).collect()
    };
    let head = ["uncertainty (means over cases)", "cases"].into_iter().chain(SHOWN.map(|(_, title)| title)).collect();
    Table {
        head,
        rows: distinct(report.rows.iter().map(|row| row.key.uncertainty.clone())).into_iter().map(row).collect(),
    }
}

/// Distinct values, in the order in which they come.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

fn span(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let span = values
        .filter(|v| v.is_finite())
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    if span[0] <= span[1] { span } else { [0.0, 1.0] }
}

/// A mean of a column for a strategy and round against budget, as points.
fn against_budget(report: &Report, uncertainty: &str, strategy: &str, column: &str) -> Vec<(f64, f64)> {
    let of = report
        .summary
        .settings
        .iter()
        .filter(|s| s.setting.round == 1 && s.setting.uncertainty == uncertainty && s.setting.strategy == strategy);
    let mut points: Vec<(f64, f64)> =
        of.filter_map(|s| Some((s.setting.budget.parse().ok()?, s.columns.get(column)?.mean))).collect();
    points.retain(|(_, mean)| mean.is_finite());
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn budget_plots(report: &Report) -> Vec<Plot> {
    let measures = distinct(refined(report).map(|s| s.setting.uncertainty.clone()));
    let titles = [("dice", "Refined Dice, whole scan"), ("dice_outside", "Refined Dice, outside the corrected planes")];
    let plots = |uncertainty: &String| {
        titles.map(|(measure, title)| {
            lines_against_budget(report, uncertainty, measure, &format!("{title} ({uncertainty})"))
        })
    };
    measures.iter().flat_map(plots).collect()
}

/// Refined, a line a strategy; and what stands without the network's listening, of the first strategy: the other three
/// of the four lines.
fn lines_against_budget(report: &Report, uncertainty: &str, measure: &str, title: &str) -> Plot {
    let strategies = distinct(refined(report).map(|s| s.setting.strategy.clone()));
    let refined = strategies.iter().map(|strategy| (strategy.clone(), strategy, column(measure, "refined")));
    let others = [
        ("presegmentation", "presegmentation"),
        ("planes pasted", "corrections_pasted"),
        ("network, no plane", "no_plane"),
    ];
    let others = strategies
        .first()
        .into_iter()
        .flat_map(|first| others.map(|(name, line)| (name.to_owned(), first, column(measure, line))));
    let (names, lines): (Vec<String>, Vec<Vec<(f64, f64)>>) = refined
        .chain(others)
        .map(|(name, strategy, column)| (name, against_budget(report, uncertainty, strategy, &column)))
        .unzip();
    let points = || lines.iter().flatten();
    let mut plot = Plot::new(title, span(points().map(|p| p.0)), span(points().map(|p| p.1)));
    for budget in distinct(points().map(|p| p.0.to_string())) {
        plot.x_label(budget.parse().unwrap_or(0.0), budget.as_str());
    }
    for (at, line) in lines.iter().enumerate() {
        plot.line(line, colour(at));
    }
    plot.with_legend(&names)
}

fn class_boxes(report: &Report) -> Vec<Plot> {
    let boxes = |(value, label): &(u8, String)| {
        let column = format!("dice_refined_{value}");
        let spreads: Vec<(String, _)> = report
            .summary
            .settings
            .iter()
            .filter_map(|s| Some((name(&s.setting), *s.columns.get(&column)?)))
            .filter(|(_, s)| s.cases > 0)
            .collect();
        let before = report
            .summary
            .settings
            .first()
            .and_then(|s| s.columns.get(&format!("dice_presegmentation_{value}")).copied());
        let all: Vec<_> = before.map(|s| ("presegmentation".to_owned(), s)).into_iter().chain(spreads).collect();
        let mut plot = Plot::new(
            format!("{label}: before and after"),
            [0.0, all.len() as f64],
            span(all.iter().flat_map(|(_, s)| s.range)),
        );
        for (at, (_, spread)) in all.iter().enumerate() {
            let (x, colour) = (at as f64 + 0.5, colour(at));
            plot.bar([x - 0.3, x + 0.3], [spread.quartiles[0], spread.quartiles[2]], colour);
            plot.line(&[(x, spread.range[0]), (x, spread.quartiles[1]), (x, spread.range[1])], colour);
        }
        plot.with_legend(&all.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    report.labels.iter().map(boxes).collect()
}

fn effort_plot(report: &Report) -> Option<Plot> {
    let strategies = distinct(refined(report).map(|s| s.setting.strategy.clone()));
    if strategies.is_empty() {
        return None;
    }
    let value = |s: &SettingSummary, column: &str| s.columns.get(column).map_or(f64::NAN, |spread| spread.mean);
    let of = |column: &str| span(report.summary.settings.iter().map(|s| value(s, column)));
    let mut plot = Plot::new(
        "Refined Dice against effort (planes ÷ axial planes with foreground)",
        of("effort"),
        of("dice_refined"),
    );
    let [low, high] = of("effort");
    for x in [low, high] {
        plot.x_label(x, format!("{x:.2}"));
    }
    for (at, strategy) in strategies.iter().enumerate() {
        for s in report.summary.settings.iter().filter(|s| s.setting.strategy == *strategy) {
            plot.line(&[(value(s, "effort"), value(s, "dice_refined"))], colour(at));
        }
    }
    Some(plot.with_legend(&strategies))
}

fn plane_histograms(report: &Report) -> Vec<Plot> {
    let strategies =
        distinct(report.rows.iter().map(|row| row.key.strategy.clone()).filter(|strategy| strategy != UNREFINED));
    let histogram = |strategy: &String| {
        let axes = ["sagittal", "coronal", "axial"];
        let counts = axes.map(|axis| {
            let rows = report.rows.iter().filter(|row| row.key.strategy == *strategy);
            rows.flat_map(|row| row.planes.split(' ')).filter(|plane| plane.starts_with(axis)).count() as f64
        });
        let total = counts.iter().sum::<f64>().max(1.0);
        let mut plot = Plot::new(format!("{strategy}: share of planes by axis"), [0.0, 3.0], [0.0, 1.0]);
        for (at, count) in counts.into_iter().enumerate() {
            plot.bar([at as f64 + 0.1, at as f64 + 0.9], [0.0, count / total], colour(0));
            plot.x_label(at as f64 + 0.5, axes[at]);
        }
        plot
    };
    strategies.iter().map(histogram).collect()
}

fn reliability_plot(report: &Report) -> Option<Plot> {
    if report.reliability.is_empty() {
        return None;
    }
    let mut plot = Plot::new("Accuracy against confidence", [0.0, 1.0], [0.0, 1.0]);
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], "#bbb");
    for (at, (_, curve)) in report.reliability.iter().enumerate() {
        let points: Vec<(f64, f64)> = curve.iter().map(|bin| (bin.confidence, bin.accuracy)).collect();
        plot.line(&points, colour(at));
    }
    for x in [0.0, 0.5, 1.0] {
        plot.x_label(x, x.to_string());
    }
    Some(plot.with_legend(&report.reliability.iter().map(|(measure, _)| measure.clone()).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use shared::label::{LabelInfo, LabelSet};

    use super::super::results::Key;
    use super::super::summary::summarise;
    use super::*;

    #[test]
    fn the_page_tells_the_numbers_and_loads_nothing() {
        let columns = Columns::new(&LabelSet(vec![LabelInfo {
            value: 1,
            name: "organ".into(),
            colour: "#ffffff".into(),
            code: None,
        }]));
        let row = |strategy: &str, budget: &str, dice: f64| Row {
            key: Key {
                case: "a<b".into(),
                strategy: strategy.into(),
                uncertainty: "entropy".into(),
                budget: budget.into(),
                round: 1,
            },
            values: columns.values(&[
                ("dice_refined".into(), dice),
                ("dice_refined_1".into(), dice),
                ("auroc".into(), 0.9625),
            ]),
            planes: "axial:3 coronal:1".into(),
        };
        let rows = [
            row("greedy", "0.1", 0.8125),
            row("greedy", "0.2", 0.875),
            row("random", "0.1", 0.75),
            row("random", "0.2", f64::NAN),
        ];
        let summary = summarise(&columns, &rows, "entropy");
        let page = html(&Report {
            title: "bundle <x>",
            columns: &columns,
            rows: &rows,
            summary: &summary,
            reliability: &[],
            pictures: &[],
            labels: &[(1, "organ".into())],
        })
        .unwrap();
        for expected in [
            "bundle &#60;x&#62;",
            "0.875",
            "greedy on entropy at 0.1",
            "+0.0625",
            "<polyline",
            "<td>entropy</td><td>1</td><td>0.963</td><td>– (0)</td>",
        ] {
            assert!(page.contains(expected), "{expected}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "unplottable numbers reached the page");
        assert!(!page.contains("http"), "the page must stand alone");
    }
}
