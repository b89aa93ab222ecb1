//! The laws of the house, as far as a search of the sources can hold them.
//!
//! A law is a line that says which word may stand where. Comments and the tests at a file's end are free.

mod circles;
mod sources;
mod styles;
mod supply;

use std::collections::BTreeSet;
use std::fs;

use circles::{circle, code, imports};
use sources::{all_sources, files_with, names, product_lines, read, root, sources};

/// Only files under `allowed` may hold `word`.
#[track_caller]
fn check_only_in(folder: &str, word: &str, allowed: &[&str]) {
    let mut found = Vec::new();
    for file in sources(folder).iter().filter(|file| !allowed.iter().any(|allowed| file.starts_with(allowed))) {
        let text = read(file);
        let lines = product_lines(&text).filter(|(_, line)| names(line, word));
        found.extend(lines.map(|(number, _)| format!("{}:{number}", file.display())));
    }
    assert!(found.is_empty(), "`{word}` belongs to {allowed:?}, and stands in {}", found.join(", "));
}

#[track_caller]
fn check_does_not_depend_on(package: &str, others: &[&str]) {
    let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
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
    // What runs networks is opened by `inference::engine`.
    check_only_in("backend/src", "inference::torch", &["backend/src/inference"]);
    check_only_in("backend/src", "nifti::", &["backend/src/scan_io"]);
    // Files in one room, the wire that they come by in the other.
    check_only_in("backend/src", "dicom_", &["backend/src/scan_io", "backend/src/dimse"]);
    check_only_in("backend/src", "dicom_ul", &["backend/src/dimse"]);
    check_only_in("backend/src/dimse", "dicom_pixeldata", &[]);
    for decoder in ["jpeg2k::", "jpegls::"] {
        check_only_in("backend/src", decoder, &["backend/src/scan_io/dicom/codecs.rs"]);
    }
    // Two rooms ask other machines; how far they may go is said in one file.
    let asks = ["backend/src/outgoing.rs", "backend/src/pacs", "backend/src/oidc/wire.rs"];
    check_only_in("backend/src", "ureq::", &asks);
    check_only_in("backend/src", "config_builder", &["backend/src/outgoing.rs"]);
    // What others bring is opened in processes of their own, never in the server itself.
    for word in ["LabelFile::read", "read_scan", "read_scan_files", "read_origin"] {
        check_only_in("backend/src/http", word, &[]);
    }
    // Signatures of others' statements are checked there; encryption is rustls' own matter.
    check_only_in("backend/src", "ring::signature", &["backend/src/oidc/token.rs"]);
    check_only_in("backend/src", "sqlx::", &["backend/src/store"]);
    // `serve` starts the runtime that the server runs in.
    check_only_in("backend/src", "actix_web", &["backend/src/http", "backend/src/commands/serve.rs"]);
    check_only_in("backend/src", "create_case(&", &["backend/src/intake", "backend/src/store"]);
    check_only_in("frontend/src", "gloo_net", &["frontend/src/api.rs"]);
    for word in ["IdbDatabase", "local_storage()", "session_storage()", "BroadcastChannel", "gloo::storage"] {
        check_only_in("frontend/src", word, &["frontend/src/browser"]);
    }
    for word in ["XmlHttpRequest", "EventSource", "shared::api::route"] {
        check_only_in("frontend/src", word, &["frontend/src/api.rs"]);
    }
}

#[test]
fn addresses_stand_in_one_list() {
    check_only_in("frontend/src", "\"/api", &[]);
    check_only_in("backend/src", "\"/api", &[]);
    // Another program's protocol has addresses of its own.
    check_only_in("backend/src", ".route(", &["backend/src/http/api/mod.rs", "backend/src/http/monailabel/mod.rs"]);
}

#[test]
fn only_the_tools_room_asks_which_tool_it_is() {
    // Their types are private to the room; what is left is asking by name.
    for id in ["\"brush\"", "\"eraser\"", "\"lasso\"", "\"polygon\"", "\"crosshair\""] {
        check_only_in("frontend/src", id, &["frontend/src/annotate/tools"]);
    }
}

#[test]
fn a_stage_looks_upstream() {
    // What the expert said reaches the pipeline as labels of planes, and these only in `guide` and behind it.
    for word in ["correction::", "CorrectedSlice"] {
        check_only_in("backend/src/pipeline", word, &[]);
    }
    let behind = ["backend/src/pipeline/refine.rs", "backend/src/pipeline/adapt", "backend/src/pipeline/learn.rs"];
    // Blending works on the corrected planes where they lie on the network's grid.
    check_only_in("backend/src/pipeline", "guide::", &[&behind[..], &["backend/src/pipeline/blend.rs"]].concat());
    check_only_in("backend/src/pipeline", "refine::", &behind);
    for (stage, later) in [("preprocess.rs", "presegment::"), ("sampling.rs", "acquire::"), ("guide.rs", "uncertainty")]
    {
        let file = format!("backend/src/pipeline/{stage}");
        let text = read(file.as_ref());
        let found = product_lines(&text).find(|(_, line)| names(line, later));
        assert!(found.is_none(), "{file}:{} names {later}", found.unwrap().0);
    }
}

#[test]
fn only_commands_read_arguments() {
    check_only_in("backend/src", "clap::", &["backend/src/commands"]);
}

#[test]
fn only_commands_write_to_the_output() {
    // The worker talks to the server through its own.
    for word in ["println!", "print!", "eprintln!", "eprint!", "std::io::stdout"] {
        check_only_in("backend/src", word, &["backend/src/commands", "backend/src/work/worker.rs"]);
    }
}

#[test]
fn no_path_is_sent_to_a_worker() {
    for (file, what) in [("backend/src/work/protocol.rs", "enum ToWorker"), ("backend/src/store/task.rs", "enum Task")]
    {
        let text = read(file.as_ref());
        assert!(text.contains(what), "{what} is no longer in {file}");
        let found = product_lines(&text).find(|(_, line)| names(line, "Path") || names(line, "PathBuf"));
        assert!(found.is_none(), "{file}:{} sends a path: a worker may be on another host", found.unwrap().0);
    }
}

#[test]
fn only_the_intake_makes_cases() {
    check_only_in("backend/src", "create_case", &["backend/src/intake", "backend/src/store"]);
}

#[test]
fn the_pipeline_knows_no_files_clocks_or_requests() {
    for word in ["std::fs", "std::path", "SystemTime", "Instant::now", "async fn", "actix_web"] {
        check_only_in("backend/src/pipeline", word, &[]);
    }
}

#[test]
fn where_a_voxel_lies_is_worked_out_in_one_place() {
    for word in ["% dims[0]", "% dims[1]", "/ dims[0] %", "% self.dims[0]", "% size[0]", "% self.size[0]"] {
        for folder in ["backend/src", "frontend/src", "shared/src"] {
            check_only_in(folder, word, &["shared/src/geometry.rs", "shared/src/geometry"]);
        }
    }
}

#[test]
fn a_test_without_its_material_is_ignored_and_not_passed() {
    for folder in ["backend/src", "backend/tests", "frontend/src", "shared/src"] {
        for file in all_sources(folder) {
            let text = read(&file);
            assert!(!text.contains("\"skipped: "), "{} prints that it skips, and passes", file.display());
        }
    }
}

#[track_caller]
fn check_no_circles(folder: &str) {
    let imports = imports(&code(folder));
    let folders: BTreeSet<&[String]> =
        imports.keys().flat_map(|module| (0..module.len()).map(|n| &module[..n])).collect();
    assert!(
        imports.values().map(BTreeSet::len).sum::<usize>() > 0,
        "{folder} imports nothing: this test reads it wrongly"
    );
    let of =
        |within: &[String]| Some((format!("{folder}/{}", within.join("/")), circle(&imports, within)?.join(" → ")));
    let circles: Vec<(String, String)> = folders.into_iter().filter_map(of).collect();
    assert!(circles.is_empty(), "files import each other: {circles:?}");
}

#[test]
fn no_folder_imports_in_a_circle() {
    check_no_circles("backend/src");
    check_no_circles("frontend/src");
    check_no_circles("shared/src");
}

/// Lines end here, in Rust, Python and TypeScript; a word that is longer by itself may stand alone.
const COLUMNS: usize = 120;

#[test]
fn lines_end_at_120_columns() {
    let folders = ["backend", "frontend", "shared", "xtask", "models", "e2e"];
    let mut long = Vec::new();
    for file in folders.iter().flat_map(|folder| files_with(folder, &["rs", "py", "ts"])) {
        let text = read(&file);
        let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS);
        let breakable = lines.filter(|(_, line)| line.trim().contains(' '));
        long.extend(breakable.map(|(at, _)| format!("{}:{}", file.display(), at + 1)));
    }
    assert!(long.is_empty(), "beyond {COLUMNS} columns: {}", long.join(", "));
}

#[test]
fn the_code_map_names_every_room() {
    let readme = read("README.md".as_ref());
    let rooms = fs::read_dir(root().join("backend/src")).unwrap().map(|entry| entry.unwrap());
    let folders = rooms.filter(|room| room.path().is_dir()).map(|room| room.file_name().to_string_lossy().into_owned());
    let missing: Vec<String> = folders.filter(|room| !readme.contains(&format!("| `backend/src/{room}/` |"))).collect();
    assert!(missing.is_empty(), "README's code map lacks {missing:?}");
}

#[test]
fn what_browser_tests_may_rely_on_is_listed() {
    let readme = read("frontend/README.md".as_ref());
    let mut missing = BTreeSet::new();
    for text in sources("frontend/src").iter().map(|file| read(file)) {
        for (at, start) in text.match_indices("data-testid=\"").chain(text.match_indices("test_id=\"")) {
            let id = text[at + start.len()..].split('"').next().unwrap_or_default().to_owned();
            if !readme.contains(&format!("`{id}`")) {
                missing.insert(id);
            }
        }
    }
    assert!(missing.is_empty(), "frontend/README.md does not list {missing:?}");
}
