//! The sources that laws are about.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's folder.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Rust files of a folder but for `tests.rs`, as paths from the workspace root.
pub(super) fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = all_sources(folder).into_iter().filter(|file| !file.ends_with("tests.rs")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no sources");
    files
}

/// The same, `tests.rs` included.
pub(super) fn all_sources(folder: &str) -> Vec<PathBuf> {
    files_with(folder, &["rs"])
}

/// Files of our own with one of these endings.
pub(super) fn files_with(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    const NOT_OURS: [&str; 3] = ["target", "node_modules", "models/work"];
    let mut folders = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if NOT_OURS.iter().any(|other| path.ends_with(other)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending)) {
                files.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    files
}

/// The lines of a file that are neither comments nor part of the tests at its end, with their numbers.
pub(super) fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or(line)))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// Whether `word` stands in the line and no longer word ends with it: `println!` is not in `eprintln!`.
pub(super) fn names(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

/// A file's text.
pub(super) fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}
