//! Many scans at once: which files make one scan, and sending one after the other.

use std::collections::BTreeMap;

/// Files that have been sorted into scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sorted<F> {
    /// The files of each scan.
    pub(crate) scans: Vec<Vec<F>>,
    /// Names of files that are none.
    pub(crate) left_out: Vec<String>,
}

/// What lies beside scans in folders.
const NO_SCANS: [&str; 16] = [
    "json", "txt", "csv", "tsv", "xml", "pdf", "md", "png", "jpg", "jpeg", "html", "doc", "docx", "xlsx", "bval",
    "bvec",
];

/// Sorts files, given with their paths, into scans of so many channels: a volume or an archive is a scan; a header and
/// its voxels are; all else of one folder is a series of slices. Channels of one scan are told by nnU-Net's endings
/// (`_0000`, `_0001`, …). The server looks into the files; here only names are known.
pub(crate) fn sort_files<F>(mut files: Vec<(String, F)>, channels: usize) -> Sorted<F> {
    // Browsers tell of a folder's files in any order.
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut keys: Vec<String> = Vec::new();
    let mut scans: BTreeMap<String, Vec<(String, F)>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for (path, file) in files {
        let Some(key) = scan_of(&path, channels) else {
            left_out.push(path.rsplit('/').next().unwrap_or_default().to_owned());
            continue;
        };
        if !scans.contains_key(&key) {
            keys.push(key.clone());
        }
        scans.entry(key).or_default().push((path, file));
    }
    let files_of = |files: Vec<(String, F)>| files.into_iter().map(|(_, file)| file).collect();
    Sorted { scans: keys.iter().filter_map(|key| scans.remove(key)).map(files_of).collect(), left_out }
}

/// A word that the files of one scan share; none for what is no scan.
fn scan_of(path: &str, channels: usize) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let lower = name.to_lowercase();
    let ending = |ending: &str| lower.strip_suffix(ending);
    let is_beside = lower.rsplit_once('.').is_some_and(|(_, ending)| NO_SCANS.contains(&ending));
    if lower.starts_with('.') || lower == "dicomdir" || is_beside {
        return None;
    }
    if let Some(stem) = ending(".nii.gz").or(ending(".nii")) {
        let of_several = stem.rsplit_once('_').filter(|(_, number)| {
            channels > 1 && number.len() == 4 && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        return Some(match of_several {
            Some((stem, _)) => format!("{folder}/{stem}"),
            None => path.to_owned(),
        });
    }
    if [".zip", ".nrrd", ".mha"].iter().any(|own| ending(own).is_some()) {
        return Some(path.to_owned());
    }
    let pair = ending(".hdr").or(ending(".img")).or(ending(".hdr.gz")).or(ending(".img.gz"));
    Some(pair.map_or_else(|| format!("{folder}/"), |stem| format!("{folder}/{stem}.hdr")))
}

/// How far sending is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sending {
    /// Which scan, counted from 1.
    pub(crate) at: usize,
    /// Of how many.
    pub(crate) of: usize,
    /// How much of it is sent, 0 to 1.
    pub(crate) share: f64,
}

/// A scan that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untaken {
    /// Its file, or the first of its files, as it is called on this computer.
    pub(crate) file: String,
    /// Why.
    pub(crate) why: String,
}

/// The name of one of several cases that are to have the same name; none stays none.
pub(crate) fn numbered(name: &str, at: usize, of: usize) -> String {
    if name.is_empty() || of == 1 { name.to_owned() } else { format!("{name} {at}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(paths: &[&str], channels: usize) -> Sorted<String> {
        sort_files(paths.iter().map(|path| ((*path).to_owned(), (*path).to_owned())).collect(), channels)
    }

    #[test]
    fn files_are_sorted_into_scans() {
        fn check(channels: usize, paths: &[&str], scans: &[&[&str]], left_out: &[&str]) {
            let got = sorted(paths, channels);
            assert_eq!(got.scans, scans, "{paths:?}");
            assert_eq!(got.left_out, left_out, "{paths:?}");
        }
        check(1, &["b.nii.gz", "a.NII"], &[&["a.NII"], &["b.nii.gz"]], &[]);
        check(1, &["x_0000.nii.gz", "x_0001.nii.gz"], &[&["x_0000.nii.gz"], &["x_0001.nii.gz"]], &[]);
        check(
            2,
            &["x_0001.nii.gz", "x_0000.nii.gz", "y_0000.nii.gz", "y_0001.nii.gz"],
            &[&["x_0000.nii.gz", "x_0001.nii.gz"], &["y_0000.nii.gz", "y_0001.nii.gz"]],
            &[],
        );
        // A study: a folder a series, without endings or with them.
        check(
            1,
            &["st/1/IM2", "st/1/IM1", "st/2/a.dcm", "st/2/b.dcm", "st/DICOMDIR", "st/notes.txt"],
            &[&["st/1/IM1", "st/1/IM2"], &["st/2/a.dcm", "st/2/b.dcm"]],
            &["DICOMDIR", "notes.txt"],
        );
        check(1, &["p.img", "p.hdr", "q.zip", ".DS_Store"], &[&["p.hdr", "p.img"], &["q.zip"]], &[".DS_Store"]);
        check(1, &["v.nrrd", "w.mha", "d/v.nii"], &[&["d/v.nii"], &["v.nrrd"], &["w.mha"]], &[]);
        check(1, &[], &[], &[]);
    }

    #[test]
    fn cases_of_one_name_are_numbered() {
        assert_eq!(numbered("liver", 2, 12), "liver 2");
        assert_eq!(numbered("liver", 1, 1), "liver");
        assert_eq!(numbered("", 3, 12), "");
    }
}
