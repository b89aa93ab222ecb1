//! What is written when all rows are there: `summary.json`, `summary.csv`, `report.html`, and a line for each setting.

use std::fs;

use anyhow::{Context, Result};
use shared::label::{Label, LabelSet};

use super::calibration::{Bin, reliability};
use super::cases::{CaseFiles, truth};
use super::picture::side_by_side;
use super::report::{Report, html};
use super::results::{Columns, LINES, Row, UNREFINED, column};
use super::run::BINS;
use super::summary::{Setting, SettingSummary, summarise};
use super::worker::Setup;
use crate::bundle::method::Method;
use crate::scan_io::{read_labels, read_scan};

/// Files that an evaluation writes beside each other; the table's second name is that of the one being written.
pub const OUTCOMES: [&str; 6] =
    ["settings.json", "results.csv", "results.csv.part", "summary.json", "summary.csv", "report.html"];

/// Writes summary and report of the cases that did not fail, `of` so many; returns a line for each setting.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write_outcome(
    setup: &Setup,
    cases: &[CaseFiles],
    (columns, rows): (&Columns, &[Row]),
    of: usize,
) -> Result<Vec<String>> {
    let (bundle, plan) = (&setup.bundle, &setup.plan);
    // The bundle's own way, or else the first that was asked for.
    let default =
        [bundle.uncertainty()].into_iter().chain(plan.methods.iter().copied()).map(|method| method.to_string());
    let default =
        default.into_iter().find(|name| rows.iter().any(|row| row.key.uncertainty == *name)).unwrap_or_default();
    let summary = summarise(columns, rows, &default);
    let put = |name: &str, text: String| {
        let path = setup.out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put("summary.json", serde_json::to_string_pretty(&summary)? + "\n")?;
    put("summary.csv", String::from_utf8(summary.csv()?)?)?;
    let manifest = &bundle.manifest;
    let count = match of - cases.len() {
        0 => format!("{of} cases"),
        failed => format!("{} of {of} cases ({failed} failed)", cases.len()),
    };
    let title = format!("{} {}, {count}, {} expert", manifest.name, manifest.version, plan.expert);
    let curve = |method: &Method| Ok((method.to_string(), mean_curve(setup, *method, cases)?));
    let reliability = plan.methods.iter().map(curve).collect::<Result<Vec<_>>>()?;
    let pictures = pictures(setup, cases, (columns, rows))?;
    let labels = label_names(&manifest.labels);
    let report = Report {
        title: &title,
        columns,
        rows,
        summary: &summary,
        reliability: &reliability,
        pictures: &pictures,
        labels: &labels,
    };
    put("report.html", html(&report)?)?;
    let legend = plan.refine.then(|| LEGEND.to_owned());
    Ok(summary.settings.iter().map(line).chain(legend).collect())
}

/// A setting's means in words, with the number of cases; a mean over fewer of them says so.
fn line(summary: &SettingSummary) -> String {
    let Setting { strategy, uncertainty, budget, round } = &summary.setting;
    let all = summary.columns.values().map(|spread| spread.cases).max().unwrap_or(0);
    let value = |column: &str, digits: usize| match summary.columns.get(column) {
        Some(spread) if spread.cases == all => format!("{:.digits$}", spread.mean),
        Some(spread) if spread.cases > 0 => format!("{:.digits$} ({} cases)", spread.mean, spread.cases),
        _ => "unknown".to_owned(),
    };
    if strategy == UNREFINED {
        let [auroc, auprc, ece] = ["auroc", "auprc", "ece"].map(|column| value(column, 4));
        return format!("{uncertainty:<40} AUROC {auroc}, AUPRC {auprc}, ECE {ece}; {all} cases");
    }
    let dice = |measure: &str| LINES.map(|line| value(&column(measure, line), 4)).join(" / ");
    let removed = summary.removed.map_or_else(String::new, |removed| {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let below = match removed.below_pasted {
            0 => String::new(),
            below => format!("; {below} more than 0.01 below the pasted planes"),
        };
        format!("; of the error {} removed, outside {}{below}", percent(removed.everywhere), percent(removed.outside))
    });
    format!(
        "{strategy:<24} {uncertainty:<24} {budget:>5} round {round}: {} planes, {} of the contours, {} s; Dice {}, \
         outside {}{removed}; {all} cases",
        value("planes", 1),
        value("contour_share", 3),
        value("seconds", 0),
        dice("dice"),
        dice("dice_outside"),
    )
}

/// What the numbers in [`line`]s are.
const LEGEND: &str = "Dice of presegmentation / with the corrected planes pasted in / of the network with no plane / \
                      refined; outside: without the corrected planes; the error that is removed is that of the better \
                      of presegmentation and network with no plane";

/// The worst, the median and the best case of the pictured setting: presegmentation and refinement.
fn pictures(setup: &Setup, cases: &[CaseFiles], (columns, rows): (&Columns, &[Row])) -> Result<Vec<(String, String)>> {
    let dice = |row: &Row| columns.get(row, "dice_refined");
    let mut pictured: Vec<&Row> =
        rows.iter().filter(|row| setup.plan.is_pictured(&row.key) && dice(row).is_finite()).collect();
    pictured.sort_by(|a, b| dice(b).total_cmp(&dice(a)));
    let Some(last) = pictured.len().checked_sub(1) else { return Ok(Vec::new()) };
    let mut chosen = vec![("best", 0), ("median", last / 2), ("worst", last)];
    chosen.dedup_by_key(|(_, at)| *at);
    let mut made = Vec::new();
    for (which, at) in chosen {
        let row = pictured[at];
        let Some(case) = cases.iter().find(|case| case.name == row.key.case) else { continue };
        let image = read_scan(&case.channels[0])?.volume;
        let truth = truth(case, &setup.bundle.manifest.labels)?;
        let before = read_labels(&setup.presegmentation_file(&case.name))?;
        let after = read_labels(&setup.refined_file(&case.name))?;
        let caption =
            format!("{which}: {}, Dice {:.3} → {:.3}", case.name, columns.get(row, "dice_presegmentation"), dice(row));
        made.extend(
            side_by_side(&image, &truth, &[&before, &after], &setup.bundle.manifest.labels).map(|url| (caption, url)),
        );
    }
    Ok(made)
}

fn label_names(labels: &LabelSet) -> Vec<(Label, String)> {
    labels.0.iter().map(|label| (label.value, label.name.clone())).collect()
}

/// The reliability curve over all voxels of all cases, from what the cases' folders hold.
fn mean_curve(setup: &Setup, method: Method, cases: &[CaseFiles]) -> Result<Vec<Bin>> {
    let mut sums: Vec<Bin> = Vec::new();
    for case in cases {
        let uncertainty = read_scan(&setup.uncertainty_file(&case.name, method))?.volume;
        let labels = read_labels(&setup.presegmentation_file(&case.name))?;
        let truth = truth(case, &setup.bundle.manifest.labels)?;
        for bin in reliability(uncertainty.voxels(), labels.voxels(), truth.voxels(), BINS) {
            match sums.iter_mut().find(|sum| sum.edge == bin.edge) {
                Some(sum) => sum.join(&bin),
                None => sums.push(bin),
            }
        }
    }
    sums.sort_by(|a, b| a.edge.total_cmp(&b.edge));
    Ok(sums)
}
