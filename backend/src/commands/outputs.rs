//! No command writes over what it was given, nor over its own other outputs: files are the same through links, `.` and
//! `..`, other names of one inode, and folders that do not exist yet. Looked at before anything is computed.

use std::collections::{HashMap, HashSet};
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
    folders_read: Vec<(String, PathBuf)>,
    folders_made: Vec<(String, PathBuf)>,
    folders_emptied: Vec<(String, PathBuf)>,
}

impl Files {
    /// A file that is read; `what` names it in words, such as "the scan".
    pub(crate) fn reads(&mut self, what: &str, path: &Path) {
        self.inputs.push((what.to_owned(), path.to_owned()));
    }

    /// A scan or labels: a file, with the one that belongs to it where there are two, or the folder of a series.
    pub(crate) fn reads_scan(&mut self, what: &str, path: &Path) {
        if path.is_dir() {
            return self.reads_folder(what, path);
        }
        ScanFiles::at(path).paths().into_iter().for_each(|file| self.reads(what, file));
    }

    /// Several of them.
    pub(crate) fn reads_scans(&mut self, what: &str, paths: &[PathBuf]) {
        paths.iter().for_each(|path| self.reads_scan(what, path));
    }

    /// A folder of which everything is read, links to other folders followed.
    pub(crate) fn reads_folder(&mut self, what: &str, folder: &Path) {
        self.folders_read.push((what.to_owned(), folder.to_owned()));
        // Links may lead back.
        let mut seen: HashSet<PathBuf> = HashSet::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            if !seen.insert(place(&folder, 0)) {
                continue;
            }
            for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    self.reads(what, &path);
                }
            }
        }
    }

    /// A file that is written.
    pub(crate) fn writes(&mut self, what: &str, path: &Path) {
        self.outputs.push((what.to_owned(), path.to_owned()));
    }

    /// A folder that is made with all it holds; nothing of its name may be there, and it may lie in none that is read.
    pub(crate) fn makes_folder(&mut self, what: &str, path: &Path) {
        self.folders_made.push((what.to_owned(), path.to_owned()));
    }

    /// A folder that is removed with all it holds.
    pub(crate) fn empties(&mut self, what: &str, path: &Path) {
        self.folders_emptied.push((what.to_owned(), path.to_owned()));
    }

    /// Refuses outputs that are inputs or one another, that are there and no files, or lie in a folder that cannot be
    /// written into.
    ///
    /// # Errors
    /// [`WrongArguments`], or the system's words.
    pub(crate) fn check(&self) -> Result<()> {
        self.folders_made.iter().try_for_each(|(what, path)| self.check_made(what, path))?;
        self.folders_emptied.iter().try_for_each(|(what, path)| self.check_emptied(what, path))?;
        let mut seen: HashMap<Key, (&str, &Path, bool)> = HashMap::new();
        for (what, path) in &self.inputs {
            for key in keys(path) {
                seen.insert(key, (what, path, true));
            }
        }
        for (what, path) in &self.outputs {
            if let Ok(there) = path.metadata()
                && !there.is_file()
            {
                let kind = if there.is_dir() { "is a folder" } else { "is no regular file" };
                return Err(wrong(format!("{what} {} {kind}; choose another name", shown(path))));
            }
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
        let written = self.outputs.iter().chain(&self.folders_made);
        let mut folders: Vec<PathBuf> = written.map(|(_, path)| folder_of(path)).collect();
        folders.sort();
        folders.dedup();
        folders.iter().try_for_each(|folder| check_writable(folder))
    }

    fn check_made(&self, what: &str, path: &Path) -> Result<()> {
        if path.symlink_metadata().is_ok() {
            return Err(wrong(format!("{what} {} exists already; choose another name, or move it away", shown(path))));
        }
        match self.folders_read.iter().find(|(_, folder)| place(path, 0).starts_with(place(folder, 0))) {
            Some((other, folder)) => Err(wrong(format!(
                "{what} {} would lie in {other} {}; choose another place",
                shown(path),
                shown(folder)
            ))),
            None => Ok(()),
        }
    }

    fn check_emptied(&self, what: &str, path: &Path) -> Result<()> {
        let emptied = place(path, 0);
        match self.inputs.iter().find(|(_, input)| place(input, 0).starts_with(&emptied)) {
            Some((other, input)) => Err(wrong(format!(
                "{what} {} is emptied, and {other} {} lies in it; choose another place",
                shown(path),
                shown(input)
            ))),
            None => Ok(()),
        }
    }
}

/// Refuses two folders of which one is the other, or lies in it.
///
/// # Errors
/// [`WrongArguments`].
pub(crate) fn check_apart(one: (&str, &Path), other: (&str, &Path)) -> Result<()> {
    let (here, there) = (place(one.1, 0), place(other.1, 0));
    let lies = match (here.starts_with(&there), there.starts_with(&here)) {
        (true, true) => "is",
        (true, false) => "lies in",
        (false, true) => "holds",
        (false, false) => return Ok(()),
    };
    Err(wrong(format!("{} {} {lies} {} {}; choose another place", one.0, shown(one.1), other.0, shown(other.1))))
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
    fn outputs_replace_no_folder_and_no_device() {
        check(&["folder/scan"], &["folder"], Some("is a folder"));
        check(&["folder/scan"], &["other"], Some("is a folder"));
        let mut files = Files::default();
        files.writes("--out", Path::new("/dev/null"));
        assert!(files.check().unwrap_err().to_string().contains("/dev/null is no regular file"));
    }

    #[test]
    fn a_folder_is_read_through_links_that_may_lead_back() {
        let desk = desk();
        std::os::unix::fs::symlink("..", desk.path().join("folder/back")).unwrap();
        fs::create_dir(desk.path().join("bundle")).unwrap();
        std::os::unix::fs::symlink("../folder", desk.path().join("bundle/network")).unwrap();
        let mut files = Files::default();
        files.reads_folder("the bundle", &desk.path().join("bundle"));
        files.writes("--out", &desk.path().join("folder/scan"));
        let words = files.check().unwrap_err().to_string();
        assert!(words.contains("would be written over the bundle"), "{words}");
    }

    #[test]
    fn folders_are_made_where_nothing_is_and_emptied_where_nothing_is_read() {
        let desk = desk();
        let at = |name: &str| desk.path().join(name);
        let made = |name: &str| {
            let mut files = Files::default();
            files.reads_folder("the network", &at("folder"));
            files.makes_folder("-o", &at(name));
            files.check().err().map(|error| error.to_string())
        };
        for name in ["folder", "other", "dangling", "hard", "folder/../soft"] {
            assert!(made(name).unwrap().contains("exists already"), "{name}");
        }
        for name in ["folder/new-one", "other/new-one", "new/../folder/new-one"] {
            assert!(made(name).unwrap().contains("would lie in the network"), "{name}");
        }
        assert_eq!(made("new/one"), None);

        let emptied = |name: &str| {
            let mut files = Files::default();
            files.reads("the image", &at("soft"));
            files.empties("the folder", &at(name));
            files.check().is_err()
        };
        assert!(emptied("folder") && emptied("other") && emptied("."));
        assert!(!emptied("new") && !emptied("folder/sub"));
    }

    #[test]
    fn folders_are_apart() {
        let desk = desk();
        let apart = |one: &str, other: &str| {
            check_apart(("--out", &desk.path().join(one)), ("--data", &desk.path().join(other)))
                .err()
                .map(|error| error.to_string())
        };
        for (one, other, words) in [
            ("folder", "other", " is --data"),
            ("other/new", "folder", " lies in --data"),
            ("new", "new/a/../b", " holds --data"),
        ] {
            assert!(apart(one, other).unwrap().contains(words), "{one} {other}");
        }
        assert_eq!(apart("new", "newer"), None);
        assert_eq!(apart("folder/a", "folder/b"), None);
    }

    #[test]
    fn names_are_shown_without_what_turns_them() {
        assert_eq!(shown(Path::new("a\u{202e}gpj.nii\n")), "a\u{fffd}gpj.nii\u{fffd}");
        assert_eq!(shown(Path::new("größe/脳.nii")), "größe/脳.nii");
    }
}
