//! `slices.json` on disk.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use shared::acquisition::{FORMAT, SliceList};

use crate::bundle::text_of;
use crate::scan_io::whole;

/// Reads a list of slices.
///
/// # Errors
/// Files that cannot be read, are something else, or have another format.
pub fn read_slices(path: &Path) -> Result<SliceList> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text =
        text_of(&bytes).with_context(|| format!("{} is not a slices.json: it is no text in UTF-8", path.display()))?;
    let list: SliceList =
        serde_json::from_str(&text).with_context(|| format!("{} is not a slices.json", path.display()))?;
    ensure!(
        list.format == FORMAT,
        "{} has format {}, this program reads format {FORMAT}; choose the slices again with this version",
        path.display(),
        list.format
    );
    Ok(list)
}

/// Writes a list of slices; the file appears whole or not at all.
///
/// # Errors
/// Files that cannot be written.
pub fn write_slices(path: &Path, list: &SliceList) -> Result<()> {
    let text = serde_json::to_string_pretty(list)? + "\n";
    whole(path, |mut file| file.write_all(text.as_bytes())).with_context(|| format!("cannot write {}", path.display()))
}
