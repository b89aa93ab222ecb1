//! What somebody brings.

use std::path::{Path, PathBuf};

/// Files that are to become a case.
#[derive(Clone, Debug)]
pub struct Brought<'a> {
    /// Their folder, which lies within the server's working folder; results go there, too.
    pub folder: &'a Path,
    /// All of them, in the order in which they came, under names of our own.
    pub files: &'a [PathBuf],
    /// The name of the bundle that segments it.
    pub bundle: &'a str,
    /// What it is called, if it has a name.
    pub name: Option<String>,
}
