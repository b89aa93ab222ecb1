//! What the program is linked from may be given to a hospital: every crate's licence, as its manifest states it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

use super::sources::root;

/// Licences that ask for no more than a notice.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether a choice among an expression's licences is allowed.
fn is_allowed(expression: &str) -> bool {
    is_among(expression, &ALLOWED)
}

fn is_among(expression: &str, names: &[&str]) -> bool {
    let allowed = |licence: &LicenseReq| names.contains(&licence.license.to_string().as_str());
    Expression::parse_mode(expression, ParseMode::LAX).is_ok_and(|parsed| parsed.evaluate(allowed))
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
    check("GPL-3.0-only OR MIT", true);
    check("GPL-3.0-only", false);
    check("MIT AND LGPL-2.1-or-later", false);
    check("AGPL-3.0", false);
    check("MPL-2.0", false);
    check("my own", false);
}

#[test]
fn every_crate_may_be_given_away() {
    let mut refused = BTreeSet::new();
    let mut seen = 0;
    for target in ["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"] {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", target];
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        seen += packages.len();
        for package in packages {
            let licence = package["license"].as_str().unwrap_or("none");
            if !is_allowed(licence) {
                refused.insert(format!("{} ({licence})", package["name"].as_str().unwrap_or_default()));
            }
        }
    }
    assert!(seen > 100, "only {seen} crates were looked at");
    assert!(refused.is_empty(), "other licences, or none: {refused:?}");
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
