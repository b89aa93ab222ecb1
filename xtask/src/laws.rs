//! The README's laws, as far as a search of the sources can hold them.

use std::fs;
use std::path::{Path, PathBuf};

/// Rust files of a folder but for `tests.rs`, as paths from the workspace root.
fn sources(root: &Path, folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                files.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    files
}

/// Only files under `allowed` may hold `word` in a line that is neither a comment nor part of the tests at the file's end.
#[track_caller]
fn check_only_in(folder: &str, word: &str, allowed: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = sources(root, folder);
    assert!(!files.is_empty(), "{folder} has no sources");
    for file in files.iter().filter(|file| !allowed.iter().any(|allowed| file.starts_with(allowed))) {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let mut product = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        let line = product.position(|line| !line.trim_start().starts_with("//") && line.contains(word));
        assert!(line.is_none(), "{}:{} names `{word}`, which belongs to {allowed:?}", file.display(), line.unwrap_or(0) + 1);
    }
}

#[track_caller]
fn check_does_not_depend_on(package: &str, others: &[&str]) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(package).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    for other in others {
        let depends = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(other));
        assert!(!depends, "{package} depends on {other}");
    }
}

#[test]
fn frontend_and_backend_meet_only_in_shared() {
    check_does_not_depend_on("shared", &["backend", "frontend"]);
    check_does_not_depend_on("frontend", &["backend", "i3deep"]);
    check_does_not_depend_on("backend", &["frontend"]);
}

#[test]
fn each_outside_thing_has_one_door() {
    check_only_in("backend/src", "tch::", &["backend/src/inference/torch", "backend/src/inference/native"]);
    check_only_in("backend/src", "nifti::", &["backend/src/scan_io"]);
    check_only_in("backend/src", "create_case(&", &["backend/src/intake", "backend/src/store"]);
    check_only_in("frontend/src", "gloo_net", &["frontend/src/api.rs"]);
    for word in ["XmlHttpRequest", "EventSource", "shared::api::route"] {
        check_only_in("frontend/src", word, &["frontend/src/api.rs"]);
    }
}

#[test]
fn addresses_stand_in_one_list() {
    check_only_in("frontend/src", "\"/api", &[]);
    check_only_in("backend/src", "\"/api", &[]);
    check_only_in("backend/src", ".route(", &["backend/src/http/api/mod.rs"]);
}

#[test]
fn the_pipeline_knows_no_files_clocks_or_requests() {
    for word in ["std::fs", "SystemTime", "Instant::now", "async fn", "actix_web"] {
        check_only_in("backend/src/pipeline", word, &[]);
    }
}
