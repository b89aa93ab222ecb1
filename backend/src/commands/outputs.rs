//! No command writes over what it was given, nor over its own other outputs: files are the same through links, `.` and
//! `..`, other names of one inode, and folders that do not exist yet. Looked at before anything is computed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use thiserror::Error;

use crate::scan_io::ScanFiles;

/// Arguments that contradict each other; the program ends with status 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct WrongArguments(String);

/// Ends the command: the arguments were wrong.
pub(crate) fn wrong(words: String) -> anyhow::Error {
    WrongArguments(words).into()
}

/// What a command reads and writes, as files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    inputs: Vec<(String, PathBuf)>,
    outputs: Vec<(String, PathBuf)>,
}

impl Files {
    /// A file that is read; `what` names it in words, such as "the scan".
    pub(crate) fn reads(&mut self, what: &str, path: &Path) {
        self.inputs.push((what.to_owned(), path.to_owned()));
    }

    /// Scans, each with the file that belongs to it where there are two.
    pub(crate) fn reads_scans(&mut self, what: &str, paths: &[PathBuf]) {
        for path in paths {
            ScanFiles::at(path).paths().into_iter().for_each(|file| self.reads(what, file));
        }
    }

    /// A folder of which everything is read.
    pub(crate) fn reads_folder(&mut self, what: &str, folder: &Path) {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            // Links to folders are left alone: they may lead back.
            if path.is_dir() && !path.is_symlink() {
                self.reads_folder(what, &path);
            } else {
                self.reads(what, &path);
            }
        }
    }

    /// A file that is written.
    pub(crate) fn writes(&mut self, what: &str, path: &Path) {
        self.outputs.push((what.to_owned(), path.to_owned()));
    }

    /// Refuses outputs that are inputs or one another, or lie in a folder that cannot be written into.
    ///
    /// # Errors
    /// [`WrongArguments`], or the system's words.
    pub(crate) fn check(&self) -> Result<()> {
        let mut seen: HashMap<Key, (&str, &Path, bool)> = HashMap::new();
        for (what, path) in &self.inputs {
            for key in keys(path) {
                seen.insert(key, (what, path, true));
            }
        }
        for (what, path) in &self.outputs {
            let keys = keys(path);
            if let Some((other, at, is_input)) = keys.iter().find_map(|key| seen.get(key).copied()) {
                return Err(wrong(if is_input {
                    format!("{what} {} would be written over {other} {}; choose another place", shown(path), shown(at))
                } else {
                    format!("{what} {} and {other} {} are the same file; choose two places", shown(path), shown(at))
                }));
            }
            for key in keys {
                seen.insert(key, (what, path, false));
            }
        }
        let mut folders: Vec<PathBuf> = self.outputs.iter().map(|(_, path)| folder_of(path)).collect();
        folders.sort();
        folders.dedup();
        folders.iter().try_for_each(|folder| check_writable(folder))
    }
}

/// A path in words: without the characters that turn or hide text.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that change how a line reads without being seen: directions, joiners, marks of byte order.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// What makes two names one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Where the name leads once links are followed.
    Place(PathBuf),
    /// Device and inode of what is there.
    #[cfg(unix)]
    Inode(u64, u64),
}

fn keys(path: &Path) -> Vec<Key> {
    let mut keys = vec![Key::Place(place(path, 0))];
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path)
        && metadata.is_file()
    {
        use std::os::unix::fs::MetadataExt;
        keys.push(Key::Inode(metadata.dev(), metadata.ino()));
    }
    keys
}

/// Where a path leads, whether or not something is there: links followed, also those that dangle, `.` and `..`
/// resolved.
fn place(path: &Path, depth: usize) -> PathBuf {
    const LINKS: usize = 40;
    if let Ok(place) = path.canonicalize() {
        return place;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut at = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                at.pop();
            }
            Component::CurDir => {}
            Component::Normal(name) => {
                at.push(name);
                if let Ok(target) = std::fs::read_link(&at)
                    && depth < LINKS
                {
                    at.pop();
                    at = place(&at.join(target), depth + 1);
                }
            }
            root => at.push(root),
        }
    }
    at
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
}

/// Makes a file that goes again in a folder, or where the folder will be made: what cannot be written is better known
/// before the computation.
fn check_writable(folder: &Path) -> Result<()> {
    let there = place(folder, 0);
    let there = there.ancestors().find(|folder| folder.exists()).unwrap_or(&there);
    tempfile::Builder::new()
        .prefix(".i3deep-")
        .tempfile_in(there)
        .map(drop)
        .with_context(|| format!("cannot write into the folder {}", shown(there)))
}

/// A name with something behind it, whatever characters the name is made of.
pub(crate) fn with_ending(name: &std::ffi::OsStr, ending: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(ending);
    name
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with `scan`, a link and another name of it, a link that dangles, and a folder's link.
    fn desk() -> tempfile::TempDir {
        let desk = tempfile::tempdir().unwrap();
        let at = |name: &str| desk.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("folder/scan"), "voxels").unwrap();
        fs::hard_link(at("folder/scan"), at("hard")).unwrap();
        std::os::unix::fs::symlink("folder/scan", at("soft")).unwrap();
        std::os::unix::fs::symlink("soft", at("softer")).unwrap();
        std::os::unix::fs::symlink("folder", at("other")).unwrap();
        std::os::unix::fs::symlink("folder/new", at("dangling")).unwrap();
        desk
    }

    fn check(inputs: &[&str], outputs: &[&str], expected: Option<&str>) {
        let desk = desk();
        let mut files = Files::default();
        for input in inputs {
            files.reads("the scan", &desk.path().join(input));
        }
        for output in outputs {
            files.writes("--out", &desk.path().join(output));
        }
        let refused = files.check().err();
        assert!(refused.as_ref().is_none_or(|error| error.is::<WrongArguments>()));
        let words = refused.map(|error| error.to_string());
        assert_eq!(words.is_some(), expected.is_some(), "{inputs:?} {outputs:?}: {words:?}");
        assert!(words.zip(expected).is_none_or(|(words, expected)| words.contains(expected)));
        assert_eq!(fs::read(desk.path().join("folder/scan")).unwrap(), b"voxels");
        assert!(!desk.path().join("folder/new").exists());
    }

    #[test]
    fn outputs_are_never_inputs() {
        for output in [
            "folder/scan",
            "folder/./scan",
            "folder/../folder/scan",
            "soft",
            "softer",
            "hard",
            "other/scan",
            "absent/../soft",
        ] {
            check(&["folder/scan"], &[output], Some("would be written over the scan"));
            check(&[output], &["folder/scan"], Some("would be written over the scan"));
        }
        check(&["folder/scan"], &["folder/scan.nii", "scan"], None);
    }

    #[test]
    fn outputs_are_never_one_another() {
        for (one, two) in [
            ("a", "a"),
            ("a", "folder/../a"),
            ("folder/new", "dangling"),
            ("other/new", "folder/new"),
            ("new/a", "new/b/../a"),
        ] {
            check(&["folder/scan"], &[one, two], Some("are the same file"));
        }
        check(&["folder/scan"], &["a", "b", "new/a", "new/b"], None);
    }

    #[test]
    fn names_are_shown_without_what_turns_them() {
        assert_eq!(shown(Path::new("a\u{202e}gpj.nii\n")), "a\u{fffd}gpj.nii\u{fffd}");
        assert_eq!(shown(Path::new("größe/脳.nii")), "größe/脳.nii");
    }
}
