//! Reads from what cargo, pytest and Playwright print how many tests passed, failed and were skipped, and why these
//! were.

use std::collections::BTreeMap;
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
        // pytest says after a minute how many hours, minutes and seconds that is, with colons between.
        let line = line.rsplit_once(" (").filter(|(_, time)| time.ends_with(')')).map_or(line, |(rest, _)| rest);
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

/// Why tests were skipped, with how many for each reason that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasons(BTreeMap<String, u32>);

impl Reasons {
    /// Notes the reason in a line of cargo (`test NAME ... ignored, REASON`) or pytest (`SKIPPED [2] FILE:LINE:
    /// REASON`), if it has one.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some((tests, reason)) = of_cargo(line).or_else(|| of_pytest(line)) {
            *self.0.entry(reason.to_owned()).or_default() += tests;
        }
    }

    /// Adds those of other checks.
    pub(crate) fn join(&mut self, other: &Self) {
        for (reason, tests) in &other.0 {
            *self.0.entry(reason.clone()).or_default() += tests;
        }
    }

    /// A line for each reason; `skipped` tests in all, some of which may have none.
    pub(crate) fn lines(&self, skipped: u32) -> Vec<String> {
        let unsaid = skipped.saturating_sub(self.0.values().sum());
        let given = self.0.iter().map(|(reason, tests)| format!("{tests} skipped: {reason}"));
        given.chain((unsaid > 0).then(|| format!("{unsaid} skipped: no reason was printed"))).collect()
    }
}

fn of_cargo(line: &str) -> Option<(u32, &str)> {
    let (_, reason) = line.strip_prefix("test ")?.split_once(" ... ignored, ")?;
    Some((1, reason.trim()))
}

fn of_pytest(line: &str) -> Option<(u32, &str)> {
    let (tests, rest) = line.strip_prefix("SKIPPED [")?.split_once("] ")?;
    let (_, reason) = rest.split_once(": ")?;
    Some((tests.parse().ok()?, reason.trim()))
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
    fn reasons_are_added_up_and_a_missing_one_is_said() {
        fn check(lines: &[&str], skipped: u32, expected: &[&str]) {
            let mut reasons = Reasons::default();
            lines.iter().for_each(|line| reasons.read(line));
            let mut joined = Reasons::default();
            joined.join(&reasons);
            assert_eq!(joined.lines(skipped), expected);
        }
        check(&[], 0, &[]);
        check(&["test a::b ... ok", "test result: ok. 1 passed; 2 ignored"], 2, &["2 skipped: no reason was printed"]);
        check(
            &[
                "test a ... ignored, ../shared is not there",
                "SKIPPED [2] tests/a.py:9: ../shared is not there",
                "test b ... ignored, no GPU",
            ],
            4,
            &["3 skipped: ../shared is not there", "1 skipped: no GPU"],
        );
    }

    #[test]
    fn summaries_are_counted_and_other_lines_are_not() {
        fn check(line: &str, expected: Option<(u32, u32, u32)>) {
            let tally = Tally::of_line(line).map(|t| (t.passed, t.failed, t.skipped));
            assert_eq!(tally, expected, "{line}");
        }
        check(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s",
            Some((12, 0, 1)),
        );
        check(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            Some((2, 1, 0)),
        );
        check("12 passed, 1 skipped in 3.21s", Some((12, 0, 1)));
        check("244 passed, 2 warnings in 105.15s (0:01:45)", Some((244, 0, 0)));
        check("1 failed: see above (0:01:45)", None);
        check("=========== 1 failed, 3 passed, 2 warnings, 1 error in 0.12s ===========", Some((3, 2, 0)));
        check("  3 passed (12.3s)", Some((3, 0, 0)));
        check("  1 failed", Some((0, 1, 0)));
        check("  2 did not run", Some((0, 0, 2)));
        check("test geometry::tests::planes ... ok", None);
        check("running 12 tests", None);
        check("", None);
    }
}
