//! `report.html`: the results as plots, in one file that needs nothing else.

use std::fmt::Write;

use super::calibration::Bin;
use super::results::{Columns, Row, UNREFINED};
use super::statistics::mean;
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

/// Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008).
const COLOURS: [&str; 8] = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8A8A00"];

/// The page.
pub fn html(report: &Report) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>i3Deep evaluation</title><style>body{font:15px/1.5 system-ui,sans-serif;\
         max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem \
         .7rem;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}svg \
         text{font:12px system-ui,sans-serif;fill:#333}figure{display:inline-block;margin:.5rem 1rem .5rem 0;vertical-align:top}img{image-rendering:\
         pixelated;min-height:240px}</style>",
    );
    let _ = write!(page, "<h1>{}</h1>", escape(report.title));
    section(&mut page, "Settings", &settings_table(report));
    section(&mut page, "Paired comparisons", &comparisons_table(&report.summary.comparisons));
    section(&mut page, "Uncertainty", &uncertainty_table(report));
    section(&mut page, "Uncertainties compared with the default", &comparisons_table(&report.summary.uncertainty_comparisons));
    section(&mut page, "Dice against budget", &budget_plots(report));
    section(&mut page, "Dice by class", &class_boxes(report));
    section(&mut page, "Effort", &effort_plot(report));
    section(&mut page, "Where the chosen planes fall", &plane_histograms(report));
    section(&mut page, "Reliability", &reliability_plot(report));
    let figures: String = report
        .pictures
        .iter()
        .map(|(caption, url)| format!("<figure><img src=\"{url}\" alt=\"\"><figcaption>{}</figcaption></figure>", escape(caption)))
        .collect();
    section(&mut page, "Best, median and worst cases", &figures);
    page + "</html>\n"
}

fn section(page: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(page, "<h2>{title}</h2>{body}");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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

fn settings_table(report: &Report) -> String {
    if refined(report).next().is_none() {
        return String::new();
    }
    const SHOWN: [(&str, &str); 9] = [
        ("planes", "planes"),
        ("effort", "effort"),
        ("dice_presegmentation", "Dice before"),
        ("dice_refined", "Dice refined"),
        ("dice_presegmentation_outside", "before, outside planes"),
        ("dice_refined_outside", "refined, outside planes"),
        ("nsd_refined", "NSD refined"),
        ("hd95_mm_refined", "HD95 refined (mm)"),
        ("missed_refined", "missed components"),
    ];
    let mut table = String::from("<table><tr><th>setting (means over cases)</th><th>cases</th>");
    for (_, title) in SHOWN {
        let _ = write!(table, "<th>{title}</th>");
    }
    for summary in refined(report) {
        let cases = summary.columns.get("dice_refined").map_or(0, |spread| spread.cases);
        let _ = write!(table, "<tr><td>{}</td><td>{cases}</td>", escape(&name(&summary.setting)));
        for (column, _) in SHOWN {
            let _ = write!(table, "<td>{}</td>", number(summary.columns.get(column).map_or(f64::NAN, |spread| spread.mean)));
        }
    }
    table + "</table>"
}

fn comparisons_table(comparisons: &[Comparison]) -> String {
    if comparisons.is_empty() {
        return String::new();
    }
    let mut table = String::from(
        "<table><tr><th>setting</th><th>against</th><th>measure</th><th>mean difference</th><th>cases</th><th>p (Wilcoxon)</th>",
    );
    for c in comparisons {
        let setting = escape(&name(&c.setting));
        let difference = if c.cases > 0 { format!("{:+.4}", c.mean_difference) } else { "–".to_owned() };
        let _ = write!(
            table,
            "<tr><td>{setting}</td><td>{}</td><td>{}</td><td>{difference}</td><td>{}</td><td>{:.2e}</td>",
            escape(&c.against),
            c.column,
            c.cases,
            c.p
        );
    }
    table + "</table>"
}

/// How well each uncertainty finds the presegmentation's errors, which no strategy or budget changes: one row a case counts.
fn uncertainty_table(report: &Report) -> String {
    const SHOWN: [(&str, &str); 6] = [
        ("auroc", "AUROC of errors"),
        ("auprc", "AUPRC"),
        ("ece", "ECE"),
        ("dice_filtered", "Dice of the certain"),
        ("dice_relaxed", "Dice, uncertain as right"),
        ("uncertainty_mean", "mean"),
    ];
    let mut table = String::from("<table><tr><th>uncertainty (means over cases)</th><th>cases</th>");
    for (_, title) in SHOWN {
        let _ = write!(table, "<th>{title}</th>");
    }
    for uncertainty in distinct(report.rows.iter().map(|row| row.key.uncertainty.clone())) {
        let mut rows: Vec<&Row> = report.rows.iter().filter(|row| row.key.uncertainty == uncertainty && row.key.round <= 1).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows.dedup_by(|a, b| a.key.case == b.key.case);
        let _ = write!(table, "<tr><td>{}</td><td>{}</td>", escape(&uncertainty), rows.len());
        for (column, _) in SHOWN {
            let _ = write!(table, "<td>{}</td>", number(mean(rows.iter().map(|row| report.columns.get(row, column)))));
        }
    }
    table + "</table>"
}

/// A plot area with linear axes.
struct Plot {
    svg: String,
    x: [f64; 2],
    y: [f64; 2],
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 46.0;

impl Plot {
    fn new(title: &str, x: [f64; 2], y: [f64; 2]) -> Self {
        let pad = |[low, high]: [f64; 2]| {
            let room = if high > low { (high - low) * 0.06 } else { 0.05 };
            [low - room, high + room]
        };
        let mut plot = Self { svg: String::new(), x: pad(x), y: pad(y) };
        let (right, bottom) = (WIDTH - 10.0, HEIGHT - MARGIN);
        let _ = write!(
            plot.svg,
            "<figure><svg width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\"><text x=\"{MARGIN}\" y=\"14\">{}</text><path \
             d=\"M{MARGIN} 22V{bottom}H{right}\" fill=\"none\" stroke=\"#333\"/>",
            escape(title)
        );
        for tick in 0..5 {
            let value = plot.y[0] + (plot.y[1] - plot.y[0]) * f64::from(tick) / 4.0;
            let at = plot.py(value);
            let _ = write!(plot.svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value:.3}</text>", MARGIN - 5.0, at + 4.0);
            let _ = write!(plot.svg, "<path d=\"M{MARGIN} {at}H{right}\" stroke=\"#eee\"/>");
        }
        plot
    }

    fn px(&self, x: f64) -> f64 {
        MARGIN + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - 10.0 - MARGIN)
    }

    fn py(&self, y: f64) -> f64 {
        HEIGHT - MARGIN - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - MARGIN - 22.0)
    }

    fn x_label(&mut self, x: f64, text: &str) {
        let (px, py) = (self.px(x), HEIGHT - MARGIN + 16.0);
        let _ = write!(self.svg, "<text x=\"{px}\" y=\"{py}\" text-anchor=\"middle\">{}</text>", escape(text));
    }

    fn line(&mut self, points: &[(f64, f64)], colour: &str) {
        let known = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let path: Vec<String> = known.map(|(x, y)| format!("{:.1},{:.1}", self.px(*x), self.py(*y))).collect();
        let _ = write!(self.svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join(" "));
        for point in path {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = write!(self.svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }

    fn bar(&mut self, x: [f64; 2], y: [f64; 2], colour: &str) {
        if x.iter().chain(&y).any(|v| !v.is_finite()) {
            return;
        }
        let (left, top) = (self.px(x[0]), self.py(y[1]));
        let (width, height) = (self.px(x[1]) - left, self.py(y[0]) - top);
        let _ = write!(
            self.svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\" fill-opacity=\".6\" stroke=\"{colour}\"/>"
        );
    }

    fn legend(mut self, names: &[String]) -> String {
        self.svg += "</svg><figcaption>";
        for (at, name) in names.iter().enumerate() {
            let _ = write!(self.svg, "<span style=\"color:{}\">■</span> {} ", COLOURS[at % COLOURS.len()], escape(name));
        }
        self.svg + "</figcaption></figure>"
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
    let span = values.filter(|v| v.is_finite()).fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    if span[0] <= span[1] { span } else { [0.0, 1.0] }
}

/// A mean of a column for a strategy and round against budget, as points.
fn against_budget(report: &Report, uncertainty: &str, strategy: &str, column: &str) -> Vec<(f64, f64)> {
    let of = report
        .summary
        .settings
        .iter()
        .filter(|s| s.setting.round == 1 && s.setting.uncertainty == uncertainty && s.setting.strategy == strategy);
    let mut points: Vec<(f64, f64)> = of.filter_map(|s| Some((s.setting.budget.parse().ok()?, s.columns.get(column)?.mean))).collect();
    points.retain(|(_, mean)| mean.is_finite());
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn budget_plots(report: &Report) -> String {
    let measures = distinct(refined(report).map(|s| s.setting.uncertainty.clone()));
    let titles = [("dice_refined", "Refined Dice, whole scan"), ("dice_refined_outside", "Refined Dice, outside the corrected planes")];
    let plot = |measure: &String| {
        titles.map(|(column, title)| lines_against_budget(report, measure, column, &format!("{title} ({measure})"))).concat()
    };
    measures.iter().map(plot).collect()
}

fn lines_against_budget(report: &Report, measure: &str, column: &str, title: &str) -> String {
    let strategies = distinct(refined(report).map(|s| s.setting.strategy.clone()));
    let lines: Vec<Vec<(f64, f64)>> = strategies.iter().map(|strategy| against_budget(report, measure, strategy, column)).collect();
    let points = || lines.iter().flatten();
    let mut plot = Plot::new(title, span(points().map(|p| p.0)), span(points().map(|p| p.1)));
    for budget in distinct(points().map(|p| p.0.to_string())) {
        plot.x_label(budget.parse().unwrap_or(0.0), &budget);
    }
    for (at, line) in lines.iter().enumerate() {
        plot.line(line, COLOURS[at % COLOURS.len()]);
    }
    plot.legend(&strategies)
}

fn class_boxes(report: &Report) -> String {
    let boxes = |(value, label): &(u8, String)| {
        let column = format!("dice_refined_{value}");
        let spreads: Vec<(String, _)> = report
            .summary
            .settings
            .iter()
            .filter_map(|s| Some((name(&s.setting), *s.columns.get(&column)?)))
            .filter(|(_, s)| s.cases > 0)
            .collect();
        let before = report.summary.settings.first().and_then(|s| s.columns.get(&format!("dice_presegmentation_{value}")).copied());
        let all: Vec<_> = before.map(|s| ("presegmentation".to_owned(), s)).into_iter().chain(spreads).collect();
        let mut plot =
            Plot::new(&format!("{label}: before and after"), [0.0, all.len() as f64], span(all.iter().flat_map(|(_, s)| s.range)));
        for (at, (_, spread)) in all.iter().enumerate() {
            let (x, colour) = (at as f64 + 0.5, COLOURS[at % COLOURS.len()]);
            plot.bar([x - 0.3, x + 0.3], [spread.quartiles[0], spread.quartiles[2]], colour);
            plot.line(&[(x, spread.range[0]), (x, spread.quartiles[1]), (x, spread.range[1])], colour);
        }
        plot.legend(&all.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    report.labels.iter().map(boxes).collect()
}

fn effort_plot(report: &Report) -> String {
    let strategies = distinct(refined(report).map(|s| s.setting.strategy.clone()));
    if strategies.is_empty() {
        return String::new();
    }
    let value = |s: &SettingSummary, column: &str| s.columns.get(column).map_or(f64::NAN, |spread| spread.mean);
    let of = |column: &str| span(report.summary.settings.iter().map(|s| value(s, column)));
    let mut plot = Plot::new("Refined Dice against effort (planes ÷ axial planes with foreground)", of("effort"), of("dice_refined"));
    let [low, high] = of("effort");
    for x in [low, high] {
        plot.x_label(x, &format!("{x:.2}"));
    }
    for (at, strategy) in strategies.iter().enumerate() {
        for s in report.summary.settings.iter().filter(|s| s.setting.strategy == *strategy) {
            plot.line(&[(value(s, "effort"), value(s, "dice_refined"))], COLOURS[at % COLOURS.len()]);
        }
    }
    plot.legend(&strategies)
}

fn plane_histograms(report: &Report) -> String {
    let strategies = distinct(report.rows.iter().map(|row| row.key.strategy.clone()).filter(|strategy| strategy != UNREFINED));
    let histogram = |strategy: &String| {
        let axes = ["sagittal", "coronal", "axial"];
        let counts = axes.map(|axis| {
            let rows = report.rows.iter().filter(|row| row.key.strategy == *strategy);
            rows.flat_map(|row| row.planes.split(' ')).filter(|plane| plane.starts_with(axis)).count() as f64
        });
        let total = counts.iter().sum::<f64>().max(1.0);
        let mut plot = Plot::new(&format!("{strategy}: share of planes by axis"), [0.0, 3.0], [0.0, 1.0]);
        for (at, count) in counts.into_iter().enumerate() {
            plot.bar([at as f64 + 0.1, at as f64 + 0.9], [0.0, count / total], COLOURS[0]);
            plot.x_label(at as f64 + 0.5, axes[at]);
        }
        plot.legend(&[])
    };
    strategies.iter().map(histogram).collect()
}

fn reliability_plot(report: &Report) -> String {
    if report.reliability.is_empty() {
        return String::new();
    }
    let mut plot = Plot::new("Accuracy against confidence", [0.0, 1.0], [0.0, 1.0]);
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], "#bbb");
    for (at, (_, curve)) in report.reliability.iter().enumerate() {
        let points: Vec<(f64, f64)> = curve.iter().map(|bin| (bin.confidence, bin.accuracy)).collect();
        plot.line(&points, COLOURS[at % COLOURS.len()]);
    }
    for x in [0.0, 0.5, 1.0] {
        plot.x_label(x, &x.to_string());
    }
    plot.legend(&report.reliability.iter().map(|(measure, _)| measure.clone()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use shared::label::{LabelInfo, LabelSet};

    use super::super::results::Key;
    use super::super::summary::summarise;
    use super::*;

    #[test]
    fn the_page_tells_the_numbers_and_loads_nothing() {
        let columns = Columns::new(&LabelSet(vec![LabelInfo { value: 1, name: "organ".into(), colour: "#ffffff".into() }]));
        let row = |strategy: &str, budget: &str, dice: f64| Row {
            key: Key { case: "a<b".into(), strategy: strategy.into(), uncertainty: "entropy".into(), budget: budget.into(), round: 1 },
            values: columns.values(&[("dice_refined".into(), dice), ("dice_refined_1".into(), dice), ("auroc".into(), 0.9625)]),
            planes: "axial:3 coronal:1".into(),
        };
        let rows = [row("greedy", "0.1", 0.8125), row("greedy", "0.2", 0.875), row("random", "0.1", 0.75), row("random", "0.2", f64::NAN)];
        let summary = summarise(&columns, &rows, "entropy");
        let page = html(&Report {
            title: "bundle <x>",
            columns: &columns,
            rows: &rows,
            summary: &summary,
            reliability: &[],
            pictures: &[],
            labels: &[(1, "organ".into())],
        });
        for expected in [
            "bundle &lt;x&gt;",
            "0.875",
            "greedy on entropy at 0.1",
            "+0.0625",
            "<polyline",
            "<td>entropy</td><td>1</td><td>0.963</td><td>–</td>",
        ] {
            assert!(page.contains(expected), "{expected}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "unplottable numbers reached the page");
        assert!(!page.contains("http"), "the page must stand alone");
    }
}
