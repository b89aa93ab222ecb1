//! What the program is linked from, by the rules of `deny.toml`: which licences may be given to a hospital, which
//! crates are banned, where crates come from. `cargo deny` holds the same rules and takes minutes to build; here they
//! cost a second. Advisories need a database from the network: docs/security.md has the command.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};
use toml::Table;

use super::sources::root;

/// Where crates come from whose manifest names nothing else.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The rules.
static RULES: LazyLock<Table> =
    LazyLock::new(|| std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap());

/// Every package that is built, for the server and for the browser.
static PACKAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let targets = ["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"];
    let packages: Vec<Value> = targets.into_iter().flat_map(packages).collect();
    assert!(packages.len() > 100, "only {} crates were found", packages.len());
    packages
});

fn packages(target: &str) -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", target];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Texts of a list within the rules.
fn listed(section: &str, name: &str) -> Vec<&'static str> {
    let values = RULES[section][name].as_array().unwrap();
    values.iter().map(|value| value.as_str().or_else(|| value.get("crate")?.as_str()).unwrap()).collect()
}

/// Whether a choice among an expression's licences is allowed.
fn is_allowed(expression: &str) -> bool {
    is_among(expression, &listed("licenses", "allow"))
}

fn is_among(expression: &str, names: &[&str]) -> bool {
    let allowed = |licence: &LicenseReq| names.contains(&licence.to_string().as_str());
    Expression::parse_mode(expression, ParseMode::LAX).is_ok_and(|parsed| parsed.evaluate(allowed))
}

/// Packages of which this does not hold, with what speaks against them.
#[track_caller]
fn check_all(what: &str, problem: impl Fn(&Value) -> Option<String>) {
    let refused: BTreeSet<String> = PACKAGES
        .iter()
        .filter_map(|package| Some(format!("{} ({})", package["name"].as_str().unwrap_or_default(), problem(package)?)))
        .collect();
    assert!(refused.is_empty(), "{what}: {refused:?}");
}

#[test]
fn only_licences_that_ask_for_a_notice_are_allowed() {
    fn check(expression: &str, expected: bool) {
        assert_eq!(is_allowed(expression), expected, "{expression}");
    }
    check("MIT OR Apache-2.0", true);
    check("MIT/Apache-2.0", true);
    check("(MIT OR Apache-2.0) AND IJG", true);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("MIT WITH GCC-exception-3.1", false);
    check("GPL-3.0-only OR MIT", true);
    check("GPL-3.0-only", false);
    check("MIT AND LGPL-2.1-or-later", false);
    check("AGPL-3.0", false);
    check("MPL-2.0", false);
    check("my own", false);
}

#[test]
fn every_crate_may_be_given_away() {
    check_all("other licences, or none", |package| {
        let licence = package["license"].as_str().unwrap_or("none");
        (!is_allowed(licence)).then(|| licence.to_owned())
    });
}

#[test]
fn every_crate_comes_from_the_registry_or_from_here() {
    let sources = RULES["sources"].as_table().unwrap();
    let allowed = ["allow-registry", "allow-git", "allow-org"].map(|name| sources.contains_key(name));
    assert_eq!(allowed, [false; 3], "this law knows no other sources");
    for name in ["unknown-registry", "unknown-git"] {
        assert_eq!(sources[name].as_str(), Some("deny"), "{name}");
    }
    check_all("from elsewhere", |package| match package["source"].as_str() {
        Some(CRATES_IO) => None,
        Some(other) => Some(other.to_owned()),
        None => {
            let manifest = package["manifest_path"].as_str().unwrap_or_default();
            (!std::path::Path::new(manifest).starts_with(root())).then(|| manifest.to_owned())
        }
    });
}

#[test]
fn no_crate_is_banned_and_none_is_taken_whatever_it_is() {
    let banned = listed("bans", "deny");
    check_all("banned", |package| {
        banned.contains(&package["name"].as_str().unwrap_or_default()).then(|| "see deny.toml".to_owned())
    });
    assert_eq!(RULES["bans"]["wildcards"].as_str(), Some("deny"));
    check_all("any version is taken", |package| {
        // What others ask for is held by the lock; this is about what is asked for here.
        let own = package["source"].is_null();
        let mut dependencies = package["dependencies"].as_array().into_iter().flatten();
        let any = dependencies.find(|dependency| dependency["req"] == "*" && dependency["path"].is_null())?;
        own.then(|| any["name"].to_string())
    });
}

#[test]
fn what_is_fuzzed_depends_on_what_the_product_depends_on() {
    let manifest = |file: &str| std::fs::read_to_string(root().join(file)).unwrap().parse::<Table>().unwrap();
    let [fuzz, backend, workspace] = ["backend/fuzz/Cargo.toml", "backend/Cargo.toml", "Cargo.toml"].map(manifest);
    let named = |table: &Table| table["dependencies"].as_table().unwrap().clone();
    let (fuzz, backend, workspace) = (named(&fuzz), named(&backend), named(workspace["workspace"].as_table().unwrap()));
    assert!(fuzz.len() > 10);
    for (name, asked) in fuzz.iter().filter(|(name, _)| !["shared", "libfuzzer-sys"].contains(&name.as_str())) {
        let of_workspace = backend[name].get("workspace").is_some();
        let own = if of_workspace { &workspace[name] } else { &backend[name] };
        assert_eq!(asked, own, "{name}: the product is built with another");
    }
}

#[test]
fn every_package_of_the_browser_tests_may_be_given_away() {
    let lock = std::fs::read_to_string(root().join("e2e/package-lock.json")).unwrap();
    let lock: Value = serde_json::from_str(&lock).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    assert!(packages.len() > 3);
    let own = "";
    for (name, package) in packages.iter().filter(|(name, _)| name.as_str() != own) {
        let licence = package["license"].as_str().unwrap_or("none");
        // They are not given away with the program; axe is under the MPL, which asks for its own changed files.
        assert!(is_allowed(licence) || is_among(licence, &["MPL-2.0"]), "{name} ({licence})");
    }
}
