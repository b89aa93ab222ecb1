//! The WASM target, trunk and wasm-bindgen: reused from PATH where the version is right, else installed into the cache.

use anyhow::{Context, Result, bail};

use super::{say, version_in};
use crate::process;
use crate::project::Project;

const TARGET: &str = "wasm32-unknown-unknown";

/// The newest trunk that the pinned compiler builds.
const TRUNK: &str = "0.21.14";

/// Installs what is missing.
pub(crate) fn set_up(project: &Project) -> Result<()> {
    add_target(project)?;
    install(project, &Tool { package: "trunk", program: "trunk", version: TRUNK, minutes: "5 to 15" })?;
    let version = locked_version(&project.root, "wasm-bindgen")?;
    let bindgen = Tool { package: "wasm-bindgen-cli", program: "wasm-bindgen", version: &version, minutes: "2 to 5" };
    install(project, &bindgen)
}

/// A program that comes from crates.io.
struct Tool<'a> {
    package: &'a str,
    program: &'a str,
    version: &'a str,
    minutes: &'a str,
}

fn install(project: &Project, tool: &Tool) -> Result<()> {
    let Tool { package, program, version, minutes } = tool;
    let installed = process::output(project.tool(program).arg("--version"));
    if installed.as_deref().and_then(version_in) == version_in(version) {
        return Ok(());
    }
    say(&format!("installing {package} {version} from source, once: {minutes} minutes on two cores"));
    process::run(
        project
            .cargo("install")
            .args(["--quiet", "--locked", "--root"])
            .arg(project.tools())
            .arg(format!("{package}@{version}")),
    )
    .with_context(|| {
        format!("cannot install {package} {version}. Without access to crates.io: put `{program}` {version} on PATH")
    })
}

fn add_target(project: &Project) -> Result<()> {
    let libraries = process::output(project.tool("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    if libraries.is_some_and(|path| std::path::Path::new(&path).is_dir()) {
        return Ok(());
    }
    say(&format!("adding the Rust target {TARGET}: a few seconds"));
    process::run(project.tool("rustup").args(["target", "add", TARGET])).with_context(|| {
        format!(
            "cannot add the Rust target {TARGET}. If Rust was not installed with rustup, install its WASM standard \
             library"
        )
    })
}

/// The version of a package in `Cargo.lock`: library and command line tool of wasm-bindgen must be the same.
fn locked_version(root: &std::path::Path, package: &str) -> Result<String> {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    match version_of(&lock, package) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("Cargo.lock does not list {package}"),
    }
}

fn version_of<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_tells_versions() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"0.2.1\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.126\"\n";
        assert_eq!(version_of(lock, "wasm-bindgen"), Some("0.2.126"));
        assert_eq!(version_of(lock, "trunk"), None);
    }
}
