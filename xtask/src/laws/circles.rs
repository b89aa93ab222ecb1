//! Which file imports which, and whether files that lie side by side import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::{product_lines, read, sources};

/// Product code by module (`["pipeline", "crop"]`).
type Code = BTreeMap<Vec<String>, String>;

/// The modules that a module names.
pub(super) type Imports = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The product code of a folder.
pub(super) fn code(folder: &str) -> Code {
    let product = |text: String| product_lines(&text).map(|(_, line)| format!("{line} ")).collect();
    sources(folder).into_iter().map(|file| (module_of(folder, &file), product(read(&file)))).collect()
}

/// Each module with those that it names, as far as they are files of the same crate.
pub(super) fn imports(files: &Code) -> Imports {
    // A path names an item; the longest beginning that is a file is its module.
    let module_with = |path: &[String]| (0..=path.len()).rev().find(|n| files.contains_key(&path[..*n]));
    let passed_on: BTreeMap<Vec<String>, Vec<String>> =
        files.iter().flat_map(|(module, code)| passed_on(module, code)).collect();
    let named = |module: &Vec<String>, code: &str| {
        let paths = paths_in(code).into_iter().filter_map(|path| absolute(module, &path));
        let modules = paths.filter_map(|mut path| {
            // What a folder passes on is where it was made.
            while let Some(from) = module_with(&path).and_then(|n| passed_on.get(&path[..path.len().min(n + 1)])) {
                path = from.clone();
            }
            module_with(&path).map(|n| path[..n].to_vec())
        });
        modules.filter(|other| other != module).collect()
    };
    files.iter().map(|(module, code)| (module.clone(), named(module, code))).collect()
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
pub(super) fn circle(imports: &Imports, within: &[String]) -> Option<Vec<String>> {
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

/// What is found in a folder of these files, each a path within it and its code.
#[track_caller]
fn check(files: &[(&str, &str)], expected: Option<&str>) {
    let module = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let files: Code = files.iter().map(|(path, code)| (module(path), (*code).to_owned())).collect();
    assert_eq!(circle(&imports(&files), &[]).map(|found| found.join(" → ")).as_deref(), expected);
}

#[test]
fn files_that_import_each_other_are_found() {
    check(&[("a", "use crate::b::B;"), ("b", "")], None);
    check(&[("a", "use crate::b::B;"), ("b", "use super::a::A;")], Some("a → b → a"));
    check(&[("a", "use crate::{b::B, c};"), ("b", ""), ("c", "use super::a::A;")], Some("a → c → a"));
    check(&[("a", "b(crate::c::D)"), ("b/x", "use crate::a::A;"), ("c", "use crate::b::x::X;")], Some("a → c → b → a"));
}

#[test]
fn what_a_folder_passes_on_is_where_it_was_made() {
    let root = ("", "pub use a::{A, B}; pub(crate) use c::C;");
    check(&[root, ("a", "use super::C;"), ("c", "")], None);
    check(&[root, ("a", "use super::C;"), ("c", "use crate::B;")], Some("a → c → a"));
}
