//! What went wrong, in words: every cause once; what failed of several cases.

use anyhow::{Result, ensure};

use super::outputs::is_invisible;
use crate::tasks::CaseFailure;

/// The chain of causes. A cause whose words stand in those before it already is left out: errors that say their source
/// in their own sentence are the rule.
pub(crate) fn of(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(cause.trim_end_matches('.')) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    // Names of files may hold what turns, hides or colours text.
    line.chars().map(|c| if (c.is_control() && c != '\n') || is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Failures at the end, where they are seen, one a line.
///
/// # Errors
/// These words, if there are any.
pub(crate) fn none_failed(failures: &[CaseFailure], of: usize) -> Result<()> {
    let lines: String =
        failures.iter().map(|failure| format!("\n  case {}: {}", failure.name, self::of(&failure.error))).collect();
    ensure!(failures.is_empty(), "{} of {of} case(s) failed, the others are written:{lines}", failures.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    enum Failure {
        #[error("the scan cannot be read: {0}. Export it again")]
        Said(#[from] std::io::Error),
        #[error("the file {name} cannot be read")]
        Unsaid { name: &'static str, source: std::io::Error },
    }

    #[test]
    fn nothing_is_said_twice() {
        fn check(error: anyhow::Error, expected: &str) {
            assert_eq!(of(&error), expected);
        }
        let gone = || std::io::Error::other("it is gone");
        check(Failure::Said(gone()).into(), "the scan cannot be read: it is gone. Export it again");
        check(
            Err::<(), _>(Failure::Said(gone())).context("case a").unwrap_err(),
            "case a: the scan cannot be read: it is gone. Export it again",
        );
        check(Failure::Unsaid { name: "a.nii", source: gone() }.into(), "the file a.nii cannot be read: it is gone");
        check(anyhow::anyhow!("nothing"), "nothing");
        check(anyhow::anyhow!("no a\u{202e}gz\x1b[31m"), "no a\u{fffd}gz\u{fffd}[31m");
    }
}
