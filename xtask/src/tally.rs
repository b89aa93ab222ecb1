//! Reads from what cargo, pytest and Playwright print how many tests passed, failed and were skipped.

use std::ops::AddAssign;

/// Counts of tests, or of checks that are one test each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Tally {
    /// What a line says, if it is a summary: it starts with a count or, from cargo, with `test result:`.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let line = line.trim().trim_matches('=').trim();
        let (line, from_cargo) = match line.split_once("test result: ") {
            Some(("", rest)) => (rest.split_once(". ")?.1, true),
            _ => (line, false),
        };
        let mut tally = Self::default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let first = count(words.first()?, words.get(1)?);
        first.filter(|_| from_cargo || !line.contains(':'))?;
        for pair in words.windows(2) {
            let Some((number, verdict)) = count(pair[0], pair[1]) else { continue };
            match verdict {
                Verdict::Passed => tally.passed += number,
                Verdict::Failed => tally.failed += number,
                Verdict::Skipped => tally.skipped += number,
            }
        }
        Some(tally)
    }

    /// One check that either passed or did not.
    pub(crate) fn of_check(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

enum Verdict {
    Passed,
    Failed,
    Skipped,
}

fn count(number: &str, word: &str) -> Option<(u32, Verdict)> {
    let verdict = match word.trim_end_matches([',', ';', '.']) {
        "passed" => Verdict::Passed,
        "failed" | "error" | "errors" | "interrupted" => Verdict::Failed,
        // Playwright: "2 did not run". A flaky test needed a second try and passed.
        "skipped" | "ignored" | "did" => Verdict::Skipped,
        "flaky" => Verdict::Passed,
        _ => return None,
    };
    Some((number.parse().ok()?, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_counted_and_other_lines_are_not() {
        fn check(line: &str, expected: Option<(u32, u32, u32)>) {
            let tally = Tally::of_line(line).map(|t| (t.passed, t.failed, t.skipped));
            assert_eq!(tally, expected, "{line}");
        }
        check("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s", Some((12, 0, 1)));
        check("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s", Some((2, 1, 0)));
        check("12 passed, 1 skipped in 3.21s", Some((12, 0, 1)));
        check("=========== 1 failed, 3 passed, 2 warnings, 1 error in 0.12s ===========", Some((3, 2, 0)));
        check("  3 passed (12.3s)", Some((3, 0, 0)));
        check("  1 failed", Some((0, 1, 0)));
        check("  2 did not run", Some((0, 0, 2)));
        check("test geometry::tests::planes ... ok", None);
        check("running 12 tests", None);
        check("", None);
    }
}
