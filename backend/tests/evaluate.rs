//! `i3deep evaluate` from the outside: the same numbers however many cases run at once, and after being killed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const CASES: usize = 3;
/// Per case: two strategies, two budgets.
const ROWS: usize = 4;

/// A folder with labelled scans, and the evaluations of it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let phantom = ["phantom", "--out", ".", "--seed", "5", "--size", "32,32,24", "--cases"];
        assert!(desk.command(&phantom).arg(CASES.to_string()).status().unwrap().success());
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        command.args(arguments).current_dir(&self.folder).stdout(Stdio::null()).stderr(Stdio::inherit());
        command
    }

    fn start(&self, out: &str, more: &[&str]) -> Child {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom");
        let mut command = self
            .command(&["evaluate", "--images", "imagesTr", "--labels", "labelsTr", "--device", "cpu", "--out", out]);
        command.arg("--bundle").arg(bundle).args(more).spawn().unwrap()
    }

    /// Evaluates to the end; the rows, header first.
    fn rows(&self, out: &str, more: &[&str]) -> Vec<String> {
        assert!(self.start(out, more).wait().unwrap().success());
        self.lines(out)
    }

    /// Whole lines of the table as it stands.
    fn lines(&self, out: &str) -> Vec<String> {
        let text = fs::read_to_string(self.at(out).join("results.csv")).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }
}

const SETTINGS: [&str; 4] = ["--strategies", "greedy,equidistant", "--budgets", "0.2,0.4"];

#[test]
fn jobs_change_no_number_and_a_killed_run_goes_on_where_it_was() {
    let desk = Desk::new();
    let with = |jobs: &'static str| [&SETTINGS[..], &["--jobs", jobs]].concat();
    let whole = desk.rows("one", &with("1"));
    assert_eq!(whole.len(), 1 + CASES * ROWS);
    assert_eq!(desk.rows("two", &with("2")), whole, "--jobs 2");
    for file in ["summary.json", "cases/phantom_001/presegmentation.nii.gz", "cases/phantom_001/refined.nii.gz"] {
        assert!(fs::read(desk.at("one").join(file)).unwrap() == fs::read(desk.at("two").join(file)).unwrap(), "{file}");
    }

    let mut running = desk.start("killed", &with("1"));
    let patience = Instant::now() + Duration::from_secs(1800);
    while desk.lines("killed").len() < 1 + ROWS + 1 {
        assert!(Instant::now() < patience, "no row of a second case in half an hour");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let finished = desk.lines("killed");
    assert!(finished.len() < whole.len(), "killed too late to show anything");
    // A row that was computed again would lose this mark.
    let marked = finished[1].replacen(":", ":0", 1);
    assert_ne!(marked, finished[1]);
    let table = fs::read_to_string(desk.at("killed/results.csv")).unwrap().replace(&finished[1], &marked);
    fs::write(desk.at("killed/results.csv"), table).unwrap();

    let resumed = desk.rows("killed", &with("2"));
    assert_eq!(resumed.len(), whole.len());
    for line in &whole {
        let expected = if *line == finished[1] { &marked } else { line };
        assert!(resumed.contains(expected), "{expected}");
    }
}

#[test]
fn uncertainties_are_judged_and_segmentations_kept() {
    let desk = Desk::new();
    let methods = ["--uncertainty", "entropy,mirrors/mutual-information,dropout:2/variance"];
    let judged = desk.rows("judged", &[&methods[..], &["--no-refine", "--jobs", "2"]].concat());
    assert_eq!(judged.len(), 1 + CASES * 3);
    assert_eq!(
        judged,
        desk.rows("judged-one-by-one", &[&methods[..], &["--no-refine"]].concat()),
        "dropout does not depend on --jobs"
    );
    for (row, method) in
        judged[1..4].iter().zip(["dropout:2/variance", "folds+mirrors/entropy", "mirrors/mutual-information"])
    {
        assert!(row.starts_with(&format!("phantom_001,none,{method},0,0,")), "{row}");
    }
    let report = fs::read_to_string(desk.at("judged/report.html")).unwrap();
    assert!(report.contains("AUROC of errors") && report.contains("<td>mirrors/mutual-information</td><td>3</td>"));
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(desk.at("judged/summary.json")).unwrap()).unwrap();
    let compared = summary["uncertainty_comparisons"].as_array().unwrap();
    assert_eq!(compared.len(), 2);
    assert!(
        compared.iter().all(|c| c["against"] == "folds+mirrors/entropy" && c["column"] == "auroc" && c["cases"] == 3)
    );

    let kept = desk.rows("judged", &["--strategies", "greedy", "--rounds", "2", "--keep", "--only", "phantom_002"]);
    assert_eq!(kept.len(), judged.len() + 2, "rows with and without refinement share a table");
    let folder = desk.at("judged/cases/phantom_002");
    for file in [
        "presegmentation.nii.gz",
        "refined_greedy_folds+mirrors_entropy_0.2_r1.nii.gz",
        "refined_greedy_folds+mirrors_entropy_0.2_r2.nii.gz",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let planes = |round: usize| {
        let start = format!("phantom_002,greedy,folds+mirrors/entropy,0.2,{round},");
        let row = kept.iter().find(|row| row.starts_with(&start)).unwrap();
        row.trim_end().rsplit(',').next().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, second) = (planes(1), planes(2));
    assert_eq!(second[..first.len()], first[..]);
    assert!(
        second.len() > first.len() && second[first.len()..].iter().all(|plane| !first.contains(plane)),
        "{second:?}"
    );
}

#[test]
fn blending_has_a_table_of_its_own() {
    let desk = Desk::new();
    let one = ["--strategies", "greedy", "--budgets", "0.4", "--only", "phantom_001"];
    let blended = [&one[..], &["--blend-mm", "3"]].concat();
    let plain = desk.rows("plain", &[&one[..], &["--blend-mm", "0"]].concat());
    assert_eq!(plain.len(), 2);
    assert!(desk.rows("blended", &blended) != plain, "voxels beside the planes change, and Dice with them");

    assert!(!desk.start("plain", &blended).wait().unwrap().success(), "its rows would not be comparable");
    assert_eq!(desk.lines("plain"), plain, "nothing was added");
}

#[test]
fn a_bad_case_stops_no_other() {
    let desk = Desk::new();
    // The second case's labels are cut off, the third has no scan; a fourth lies elsewhere, a fifth has half labels;
    // dot files are other programs' own.
    let labels = fs::read(desk.at("labelsTr/phantom_002.nii.gz")).unwrap();
    fs::write(desk.at("labelsTr/phantom_002.nii.gz"), &labels[..labels.len() - 9]).unwrap();
    fs::remove_file(desk.at("imagesTr/phantom_003_0000.nii.gz")).unwrap();
    fs::write(desk.at("labelsTr/._phantom_001.nii.gz"), "a Mac's").unwrap();
    let phantom = ["phantom", "--out", "other", "--seed", "6", "--size", "40,32,24", "--cases", "1"];
    assert!(desk.command(&phantom).status().unwrap().success());
    fs::copy(desk.at("imagesTr/phantom_001_0000.nii.gz"), desk.at("imagesTr/phantom_004_0000.nii.gz")).unwrap();
    fs::copy(desk.at("other/labelsTr/phantom_001.nii.gz"), desk.at("labelsTr/phantom_004.nii.gz")).unwrap();
    fs::copy(desk.at("imagesTr/phantom_001_0000.nii.gz"), desk.at("imagesTr/phantom_005_0000.nii.gz")).unwrap();
    fs::create_dir(desk.at("labelsTr/phantom_005.nii.gz")).unwrap();

    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom");
    let run = |more: &[&str]| {
        let given = ["evaluate", "--images", "imagesTr", "--labels", "labelsTr", "--device", "cpu", "--out", "out"];
        let mut command = desk.command(&[&given[..], &["--no-refine", "--jobs", "2"], more].concat());
        let output =
            command.arg("--bundle").arg(&bundle).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said, failed) = run(&[]);
    assert_eq!(code, Some(1), "{failed}");
    assert!(said.contains("1 cases") && said.contains("report.html"), "{said}");
    let lines: Vec<&str> = failed.lines().collect();
    let expected = [
        "error: 4 of 5 case(s) failed, the others are written:",
        "  case phantom_002: the labels labelsTr/phantom_002.nii.gz",
        "  case phantom_003: has labels but no image imagesTr/phantom_003_0000.nii.gz",
        "  case phantom_004: the labels labelsTr/phantom_004.nii.gz has 40 × 32 × 24 voxels instead of 32 × 32 × 24",
        "  case phantom_005: the labels labelsTr/phantom_005.nii.gz",
    ];
    assert_eq!(lines.len(), expected.len(), "{failed}");
    assert!(lines.iter().zip(expected).all(|(line, expected)| line.starts_with(expected)), "{failed}");
    let report = fs::read_to_string(desk.at("out/report.html")).unwrap();
    assert!(report.contains("1 of 5 cases (4 failed)"));
    assert_eq!(desk.lines("out").len(), 2, "header and one row");

    // Mended, it goes on; a name that nobody has is a failure, too.
    fs::write(desk.at("labelsTr/phantom_002.nii.gz"), &labels).unwrap();
    let (code, said, failed) = run(&["--only", "phantom_001,phantom_002,phantom_009"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("2 cases"), "{said}");
    assert!(failed.contains("1 of 3 case(s) failed") && failed.contains("labelsTr holds no phantom_009.nii.gz"));
    // Rows that are there count no more once their case's labels are gone bad.
    fs::write(desk.at("labelsTr/phantom_002.nii.gz"), "gone").unwrap();
    let (code, said, _) = run(&["--only", "phantom_001,phantom_002"]);
    assert_eq!((code, said.contains("1 cases")), (Some(1), true), "{said}");
    fs::remove_file(desk.at("imagesTr/phantom_001_0000.nii.gz")).unwrap();
    assert_eq!(run(&["--only", "phantom_001,phantom_002"]).0, Some(1), "none is left");
}
