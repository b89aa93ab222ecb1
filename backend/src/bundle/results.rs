//! `nnUNet_results`: where nnU-Net keeps what it trained, found by the names that its own commands take.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::trained::subfolders;

/// Why no trained folder was found.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// No dataset of that number or name.
    #[error("{folder} has no dataset {wanted}; it has: {there}", folder = .folder.display())]
    NoDataset {
        /// nnUNet_results.
        folder: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Several of one number.
    #[error("dataset {wanted} may be any of {found}; give the whole name")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What fits.
        found: String,
    },
    /// No training of that name.
    #[error("{folder} has no {wanted}; it has: {there}", folder = .folder.display())]
    NoTraining {
        /// The dataset's folder.
        folder: PathBuf,
        /// `TRAINER__PLANS__CONFIGURATION`.
        wanted: String,
        /// What there is.
        there: String,
    },
}

/// The folder of a training. `dataset` is a number (`4`, `004`) or a name (`Dataset004_Hippocampus`).
///
/// # Errors
/// [`ResultsError`], which lists what there is.
pub fn find(
    results: &Path,
    dataset: &str,
    [trainer, plans, configuration]: [&str; 3],
) -> Result<PathBuf, ResultsError> {
    let datasets: Vec<String> = subfolders(results).into_iter().filter(|name| name.starts_with("Dataset")).collect();
    let number: Option<u32> = dataset.parse().ok();
    let fits = |name: &&String| match number {
        Some(number) => {
            name.strip_prefix("Dataset").and_then(|rest| rest.split('_').next()?.parse().ok()) == Some(number)
        }
        None => *name == dataset,
    };
    let found: Vec<&String> = datasets.iter().filter(fits).collect();
    let name = match found[..] {
        [name] => name,
        [] => {
            return Err(ResultsError::NoDataset {
                folder: results.to_owned(),
                wanted: dataset.to_owned(),
                there: listed(&datasets),
            });
        }
        _ => {
            return Err(ResultsError::Ambiguous {
                wanted: dataset.to_owned(),
                found: found.into_iter().cloned().collect::<Vec<_>>().join(", "),
            });
        }
    };
    let folder = results.join(name);
    let wanted = format!("{trainer}__{plans}__{configuration}");
    if folder.join(&wanted).is_dir() {
        return Ok(folder.join(wanted));
    }
    let trainings: Vec<String> = subfolders(&folder).into_iter().filter(|name| name.contains("__")).collect();
    Err(ResultsError::NoTraining { folder, wanted, there: listed(&trainings) })
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trainings_are_found_by_number_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path();
        for name in [
            "Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__2d",
            "Dataset040_Kidney/x",
            "Dataset007_A",
            "Dataset007_B",
            "notes",
        ] {
            std::fs::create_dir_all(results.join(name)).unwrap();
        }
        let check = |dataset: &str, configuration: &str, expected: Result<&str, &str>| {
            let got = find(results, dataset, ["nnUNetTrainer", "nnUNetPlans", configuration]);
            match expected {
                Ok(path) => assert_eq!(got.unwrap(), results.join(path)),
                Err(words) => {
                    let message = got.unwrap_err().to_string();
                    assert!(message.contains(words), "{message}");
                }
            }
        };
        let hippocampus = Ok("Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__2d");
        check("4", "2d", hippocampus);
        check("004", "2d", hippocampus);
        check("Dataset004_Hippocampus", "2d", hippocampus);
        check(
            "4",
            "3d_fullres",
            Err("has no nnUNetTrainer__nnUNetPlans__3d_fullres; it has: nnUNetTrainer__nnUNetPlans__2d"),
        );
        check("40", "2d", Err("it has: none"));
        check("7", "2d", Err("may be any of Dataset007_A, Dataset007_B"));
        check("5", "2d", Err("has no dataset 5; it has: Dataset004_Hippocampus, Dataset007_A"));
    }
}
