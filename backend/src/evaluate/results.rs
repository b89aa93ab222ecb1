//! `results.csv`: one row per case and setting, appended as rows are finished, so that a run that was stopped goes on
//! where it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use shared::label::LabelSet;

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Name of the case.
    pub case: String,
    /// Name of the acquisition strategy, or [`UNREFINED`].
    pub strategy: String,
    /// The uncertainty as samples and measure, such as `folds+mirrors/entropy`.
    pub uncertainty: String,
    /// The budget as given on the command line.
    pub budget: String,
    /// 1 is the first round, 0 before any.
    pub round: u32,
}

/// In place of a strategy, in rows that judge an uncertainty only: budget and round are 0, and what needs a refined
/// segmentation is empty.
pub const UNREFINED: &str = "none";

/// A finished measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is about.
    pub key: Key,
    /// One value per column of [`Columns`]; NaN is an empty field.
    pub values: Vec<f64>,
    /// The corrected planes, such as `axial:12 sagittal:3`.
    pub planes: String,
}

/// Names of the values, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(Vec<String>);

const KEYS: [&str; 5] = ["case", "strategy", "uncertainty", "budget", "round"];

/// The four segmentations that are judged: before anyone corrects; the same with the corrected planes pasted in, which
/// needs no network; what the refinement network makes of the scan when it is shown no plane; and what it makes of it
/// with the planes. What the planes taught it lies between the last two.
pub const LINES: [&str; 4] = ["presegmentation", "corrections_pasted", "no_plane", "refined"];

/// What is measured of each of [`LINES`]: means over the labels that are in it or in the truth (`labels` says how many
/// these are), and sums.
///
/// `outside` leaves the corrected planes out. `missed` components of the truth are not touched, `invented` ones touch
/// nothing true. `accepted` is the share of the axial slices that an expert would leave untouched
/// ([`super::overlap::accepted_slices`]).
const OF_EACH_LINE: [&str; 8] = ["dice", "dice_outside", "nsd", "hd95_mm", "missed", "invented", "accepted", "labels"];

/// What corrections cost (see [`super::effort::Drawing`]; shares are of a complete manual segmentation), what they
/// bring, and how good the uncertainty is.
///
/// `gain_per_plane` is Dice beyond that of the network with no plane, by plane. `harmed_far` counts voxels that the
/// presegmentation had right and the refinement has wrong, more than 3 mm from every plane; `mended_far` the other way
/// round. `contradicted` is the share of the voxels in two of the expert's planes of which these say different things;
/// `surprise` is as in [`crate::pipeline::refine::Refined`].
const OTHERS: [&str; 23] = [
    "planes",
    "effort",
    "contour_mm",
    "contour_share",
    "drawn_mm2",
    "drawn_share",
    "voxels_changed",
    "seconds",
    "gain_per_plane",
    "harmed_far",
    "mended_far",
    "contradicted",
    "surprise",
    "components",
    "auroc",
    "auprc",
    "ece",
    "dice_filtered",
    "dice_relaxed",
    "uncertainty_mean",
    "adapted_steps",
    "adapted_error_before",
    "adapted_error_after",
];

/// The column of a measure of one of [`LINES`]: `dice_outside` of `refined` is `dice_refined_outside`.
pub fn column(measure: &str, line: &str) -> String {
    match measure.strip_suffix("_outside") {
        Some(measure) => format!("{measure}_{line}_outside"),
        None => format!("{measure}_{line}"),
    }
}

impl Columns {
    /// The columns for a task: measures of all labels together, then Dice per label.
    pub fn new(labels: &LabelSet) -> Self {
        let of_lines = OF_EACH_LINE.iter().flat_map(|measure| LINES.map(|line| column(measure, line)));
        let per_label = labels.0.iter().flat_map(|label| {
            let measures = LINES.iter().flat_map(|line| ["dice", "dice_outside"].map(|measure| column(measure, line)));
            measures.map(|measure| format!("{measure}_{}", label.value)).collect::<Vec<_>>()
        });
        let others = OTHERS.iter().map(|name| (*name).to_owned());
        Self(others.chain(of_lines).chain(per_label).collect())
    }

    /// Names, in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The values of a row from pairs of name and value; what is not given is NaN.
    pub fn values(&self, given: &[(String, f64)]) -> Vec<f64> {
        let value = |name: &String| given.iter().find(|(given, _)| given == name).map_or(f64::NAN, |(_, value)| *value);
        self.0.iter().map(value).collect()
    }

    /// A row's value of this name; NaN if there is none.
    pub fn get(&self, row: &Row, name: &str) -> f64 {
        self.0.iter().position(|column| column == name).and_then(|at| row.values.get(at)).copied().unwrap_or(f64::NAN)
    }

    fn header(&self) -> Vec<&str> {
        KEYS.iter().copied().chain(self.0.iter().map(String::as_str)).chain(["slices"]).collect()
    }

    fn record(&self, row: &Row) -> Vec<String> {
        let key = &row.key;
        let keys = [
            key.case.clone(),
            key.strategy.clone(),
            key.uncertainty.clone(),
            key.budget.clone(),
            key.round.to_string(),
        ];
        // The shortest text that reads back as the same number.
        let values = row.values.iter().map(|v| if v.is_nan() { String::new() } else { v.to_string() });
        keys.into_iter().chain(values).chain([row.planes.clone()]).collect()
    }

    fn row(&self, record: &csv::StringRecord) -> Option<Row> {
        let field = |at: usize| record.get(at).map(str::to_owned);
        let key = Key {
            case: field(0)?,
            strategy: field(1)?,
            uncertainty: field(2)?,
            budget: field(3)?,
            round: field(4)?.parse().ok()?,
        };
        let number = |text: &str| if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() };
        let values: Option<Vec<f64>> =
            (KEYS.len()..KEYS.len() + self.0.len()).map(|at| number(record.get(at)?)).collect();
        Some(Row { key, values: values?, planes: field(KEYS.len() + self.0.len())? })
    }
}

/// The growing file; rows may come from several threads.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    columns: Columns,
    rows: Mutex<(File, Vec<Row>)>,
}

impl Results {
    /// Opens `results.csv` in a folder and reads the rows that are there; a last row that was cut off is dropped.
    ///
    /// # Errors
    /// If the file cannot be read or written, or has other columns.
    pub fn open(folder: &Path, columns: Columns) -> io::Result<Self> {
        let path = folder.join("results.csv");
        let rows = if path.is_file() { read(&path, &columns)? } else { Vec::new() };
        write_whole(&path, &columns, &rows)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(Self { path, columns, rows: Mutex::new((file, rows)) })
    }

    /// Whether a row is there.
    pub fn contains(&self, key: &Key) -> bool {
        self.locked(|(_, rows)| rows.iter().any(|row| row.key == *key))
    }

    /// Appends a row, at once on disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn push(&self, row: Row) -> io::Result<()> {
        let line = lines([self.columns.record(&row)])?;
        self.locked(|(file, rows)| {
            file.write_all(&line)?;
            rows.push(row);
            Ok(())
        })
    }

    /// Sorts the file, so that it does not depend on who finished first, and gives up the rows.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<(Columns, Vec<Row>)> {
        let mut rows = self.locked(|(_, rows)| std::mem::take(rows));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        write_whole(&self.path, &self.columns, &rows)?;
        Ok((self.columns, rows))
    }

    fn locked<T>(&self, f: impl FnOnce(&mut (File, Vec<Row>)) -> T) -> T {
        // A thread that panicked while it held the lock has written a whole row or none.
        f(&mut self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn read(path: &Path, columns: &Columns) -> io::Result<Vec<Row>> {
    let bytes = fs::read(path)?;
    // A row without its line break was cut off, even where every field has something in it.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&bytes[..whole]);
    if reader.headers()?.iter().ne(columns.header()) {
        let message =
            format!("{} has other columns than this evaluation writes; use another --out folder", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(reader.records().map_while(Result::ok).filter_map(|record| columns.row(&record)).collect())
}

fn write_whole(path: &Path, columns: &Columns, rows: &[Row]) -> io::Result<()> {
    let header = columns.header().into_iter().map(str::to_owned).collect();
    let bytes = lines(std::iter::once(header).chain(rows.iter().map(|row| columns.record(row))))?;
    let temporary = path.with_extension("csv.part");
    fs::write(&temporary, bytes)?;
    fs::rename(temporary, path)
}

fn lines(records: impl IntoIterator<Item = Vec<String>>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.write_record(&record)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use shared::label::LabelInfo;

    use super::*;

    fn columns() -> Columns {
        Columns::new(&LabelSet(vec![LabelInfo { value: 1, name: "a".into(), colour: "#ffffff".into(), code: None }]))
    }

    fn row(case: &str, dice: f64) -> Row {
        let key = Key {
            case: case.into(),
            strategy: "greedy".into(),
            uncertainty: "entropy".into(),
            budget: "0.2".into(),
            round: 1,
        };
        Row { key, values: columns().values(&[("dice_refined".into(), dice)]), planes: "axial:3 coronal:1".into() }
    }

    #[test]
    fn a_stopped_run_goes_on_after_the_last_whole_row() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::open(folder.path(), columns()).unwrap();
        results.push(row("b, with a comma", 0.1 + 0.2)).unwrap();
        drop(results);
        let path = folder.path().join("results.csv");
        // All of a row but the end of its last field.
        let cut = lines([columns().record(&row("c", 0.5))]).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&cut[..cut.len() - 4]).unwrap();

        let results = Results::open(folder.path(), columns()).unwrap();
        assert!(results.contains(&row("b, with a comma", 0.0).key));
        assert!(!results.contains(&row("c", 0.0).key));
        results.push(row("a", f64::NAN)).unwrap();
        let (columns, rows) = results.finish().unwrap();
        assert_eq!(rows.iter().map(|row| row.key.case.as_str()).collect::<Vec<_>>(), ["a", "b, with a comma"]);
        assert!(columns.get(&rows[0], "dice_refined").is_nan());
        assert_eq!(columns.get(&rows[1], "dice_refined"), 0.1 + 0.2);
        assert_eq!(read(&path, &columns).unwrap().len(), 2);
    }

    #[test]
    fn a_file_with_other_columns_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("results.csv"), "case,dice\na,1\n").unwrap();
        assert!(Results::open(folder.path(), columns()).is_err());
    }
}
