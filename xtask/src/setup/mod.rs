//! Installs what a fresh machine with Rust, Python and Node lacks. Every step looks first and is silent when there is
//! nothing to do.

mod python;
mod tools;
mod browser;
mod peers;

use std::time::Instant;

use anyhow::{Context, Result};

use crate::project::Project;

pub(crate) use browser::find_chromium;
pub(crate) use peers::set_up as set_up_peers;

/// Something a command cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// libtorch of the version that `tch` pairs with: the user's, or the one in the Python environment.
    Libtorch,
    /// The Python environment with torch, nnU-Net, pytest and ruff.
    Python,
    /// The WASM target, trunk, wasm-bindgen, and Node, which compresses what they make.
    Wasm,
    /// Node packages of the browser tests, and a Chromium.
    Browser,
}

impl Need {
    /// Everything.
    pub(crate) const ALL: &[Need] = &[Need::Libtorch, Need::Python, Need::Wasm, Need::Browser];
}

/// Makes sure of every need, cheapest checks first, so that what cannot work is said before the long downloads.
pub(crate) fn run(project: &Project, needs: &[Need]) -> Result<()> {
    let started = Instant::now();
    if needs.contains(&Need::Browser) {
        browser::set_up(project).context("set-up of the browser tests")?;
    }
    if needs.contains(&Need::Wasm) {
        browser::check_node(project)?;
        tools::set_up(project).context("set-up of the WASM tools")?;
    }
    let libtorch_chosen = needs.contains(&Need::Libtorch) && python::check_user_libtorch(project)?;
    if needs.contains(&Need::Python) || (needs.contains(&Need::Libtorch) && !libtorch_chosen) {
        python::set_up(project).context("set-up of the Python environment")?;
    }
    say(&format!("ready ({:.0} s)", started.elapsed().as_secs_f64()));
    Ok(())
}

/// One line about the set-up.
pub(crate) fn say(what: &str) {
    println!("[setup] {what}");
}

/// The numbers of a dotted version found anywhere in `text`, such as `v20.11.1` or `Python 3.11.7`.
fn version_in(text: &str) -> Option<Vec<u32>> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(|word| {
            word.split('.')
                .map_while(|part| part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok())
                .collect()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        fn check(text: &str, expected: Option<&[u32]>) {
            assert_eq!(version_in(text).as_deref(), expected, "{text}");
        }
        check("v20.20.2", Some(&[20, 20, 2]));
        check("Python 3.11.7", Some(&[3, 11, 7]));
        check("Python 3.13.0+", Some(&[3, 13, 0]));
        check("trunk 0.21.14", Some(&[0, 21, 14]));
        check("wasm-bindgen 0.2.126 (abc)", Some(&[0, 2, 126]));
        check("no number here", None);
    }
}
