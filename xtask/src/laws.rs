//! The laws of the house, as far as a search of the sources can hold them.
//!
//! A law is a line that says which word may stand where. Comments and the tests at a file's end are free.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Rust files of a folder but for `tests.rs`, as paths from the workspace root.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = all_sources(folder).into_iter().filter(|file| !file.ends_with("tests.rs")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no sources");
    files
}

fn all_sources(folder: &str) -> Vec<PathBuf> {
    files_with(folder, &["rs"])
}

/// Files of our own with one of these endings.
fn files_with(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
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
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or(line)))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// Whether `word` stands in the line and no longer word ends with it: `println!` is not in `eprintln!`.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

/// Only files under `allowed` may hold `word`.
#[track_caller]
fn check_only_in(folder: &str, word: &str, allowed: &[&str]) {
    let mut found = Vec::new();
    for file in sources(folder).iter().filter(|file| !allowed.iter().any(|allowed| file.starts_with(allowed))) {
        let text = fs::read_to_string(root().join(file)).unwrap();
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
    check_only_in("backend/src", "dicom_", &["backend/src/scan_io"]);
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
    check_only_in("backend/src", ".route(", &["backend/src/http/api/mod.rs"]);
}

#[test]
fn only_the_tools_room_asks_which_tool_it_is() {
    // Their types are private to the room; what is left is asking by name.
    for id in ["\"brush\"", "\"eraser\"", "\"lasso\"", "\"polygon\"", "\"crosshair\""] {
        check_only_in("frontend/src", id, &["frontend/src/annotate/tools"]);
    }
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
        let text = fs::read_to_string(root().join(file)).unwrap();
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
            let text = fs::read_to_string(root().join(&file)).unwrap();
            assert!(!text.contains("\"skipped: "), "{} prints that it skips, and passes", file.display());
        }
    }
}

/// Modules by path (`["pipeline", "crop"]`), with the modules that their product names, as far as they are files of the
/// same crate.
fn imports(folder: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files: BTreeMap<Vec<String>, PathBuf> =
        sources(folder).into_iter().map(|file| (module_of(folder, &file), file)).collect();
    // A path names an item; the longest beginning that is a file is its module.
    let module_with = |path: &[String]| (0..=path.len()).rev().find(|n| files.contains_key(&path[..*n]));
    let passed_on: BTreeMap<Vec<String>, Vec<String>> =
        files.iter().flat_map(|(module, file)| passed_on(module, &code_of(file))).collect();
    let named = |module: &Vec<String>, file: &PathBuf| {
        let paths = paths_in(&code_of(file)).into_iter().filter_map(|path| absolute(module, &path));
        let modules = paths.filter_map(|mut path| {
            // What a folder passes on is where it was made.
            while let Some(from) = module_with(&path).and_then(|n| passed_on.get(&path[..path.len().min(n + 1)])) {
                path = from.clone();
            }
            module_with(&path).map(|n| path[..n].to_vec())
        });
        modules.filter(|other| other != module).collect()
    };
    files.iter().map(|(module, file)| (module.clone(), named(module, file))).collect()
}

fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap();
    product_lines(&text).map(|(_, line)| format!("{line} ")).collect()
}

/// What a module passes on under its own name, with where it comes from.
fn passed_on(module: &[String], code: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut paths = Vec::new();
    for start in ["pub use ", "pub(crate) use ", "pub(super) use "] {
        for (at, _) in code.match_indices(start) {
            spell_out("", &code[at + start.len()..], &mut paths);
        }
    }
    let outside = |path: &str| ["crate::", "super::"].iter().any(|start| path.starts_with(start));
    let within = |path: String| if outside(&path) { path } else { format!("self::{path}") };
    let from = paths.into_iter().filter_map(|path| absolute(module, &within(path)));
    from.filter_map(|from| Some(([module, &from[from.len().checked_sub(1)?..]].concat(), from))).collect()
}

fn module_of(folder: &str, file: &Path) -> Vec<String> {
    let within = file.strip_prefix(folder).unwrap().with_extension("");
    let mut module: Vec<String> = within.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// `crate::…` and `super::…` paths in code, those of nested `use` groups spelt out.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        let begins = code.match_indices(start).map(|(at, _)| at);
        for at in begins.filter(|at| {
            !code[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
        }) {
            spell_out("", &code[at..], &mut paths);
        }
    }
    paths
}

/// Adds the paths at the beginning of `code` to `paths`, each after `prefix`; returns how much of the code they took.
fn spell_out(prefix: &str, code: &str, paths: &mut Vec<String>) -> usize {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = code.find(|c| !is_path(c)).unwrap_or(code.len());
    let path = format!("{prefix}{}", &code[..end]);
    if !code[end..].starts_with('{') || !path.ends_with("::") {
        paths.push(path);
        return end;
    }
    let mut at = end + 1;
    while let Some(next) = code[at..].chars().next() {
        match next {
            '}' => return at + 1,
            c if is_path(c) => at += spell_out(&path, &code[at..], paths),
            c => at += c.len_utf8(),
        }
    }
    at
}

/// A path as seen from the crate's root.
fn absolute(module: &[String], path: &str) -> Option<Vec<String>> {
    let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
    let mut base = Vec::new();
    if parts.peek() == Some(&"crate") {
        parts.next();
    } else {
        base = module.to_vec();
        parts.next_if_eq(&"self");
        while parts.next_if_eq(&"super").is_some() {
            base.pop()?;
        }
    }
    base.extend(parts.map(str::to_owned));
    Some(base)
}

/// A circle among what lies side by side in one folder: names of files or folders, the first again at the end.
fn circle(imports: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>, within: &[String]) -> Option<Vec<String>> {
    let child = |module: &[String]| {
        (module.len() > within.len() && module.starts_with(within)).then(|| module[within.len()].clone())
    };
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, others) in imports {
        let Some(from) = child(module) else { continue };
        edges
            .entry(from.clone())
            .or_default()
            .extend(others.iter().filter_map(|other| child(other)).filter(|to| *to != from));
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| walk(start, &edges, &mut Vec::new(), &mut done))
}

fn walk(
    at: &str,
    edges: &BTreeMap<String, BTreeSet<String>>,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(first) = path.iter().position(|step| step == at) {
        return Some([&path[first..], &[at.to_owned()]].concat());
    }
    if done.contains(at) {
        return None;
    }
    path.push(at.to_owned());
    let found = edges.get(at).into_iter().flatten().find_map(|next| walk(next, edges, path, done));
    path.pop();
    done.insert(at.to_owned());
    found
}

#[track_caller]
fn check_no_circles(folder: &str) {
    let imports = imports(folder);
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
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS);
        let breakable = lines.filter(|(_, line)| line.trim().contains(' '));
        long.extend(breakable.map(|(at, _)| format!("{}:{}", file.display(), at + 1)));
    }
    assert!(long.is_empty(), "beyond {COLUMNS} columns: {}", long.join(", "));
}
