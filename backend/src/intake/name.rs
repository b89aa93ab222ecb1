//! What a case is called.

/// Longest name kept for a case.
const NAME_LIMIT: usize = 120;

/// The name given, else the file's without its ending, made fit for one line.
pub fn case_name(given: &str, file: &str) -> String {
    let stem = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.strip_suffix(".gz").unwrap_or(stem);
    let stem = stem.strip_suffix(".nii").unwrap_or(stem);
    let clean = |name: &str| name.chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect::<String>().trim().to_owned();
    [given, stem, "Scan"].into_iter().map(clean).find(|name| !name.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_after_what_is_known() {
        fn check(given: &str, file: &str, expected: &str) {
            assert_eq!(case_name(given, file), expected);
        }
        check("Case 7", "a.nii.gz", "Case 7");
        check("", "hippocampus_001.nii.gz", "hippocampus_001");
        check("  \n", "C:\\scans\\b.nii", "b");
        check("", "", "Scan");
        check("a\u{0}b\r\nc", "", "abc");
        assert_eq!(case_name(&"x".repeat(500), "").len(), NAME_LIMIT);
    }
}
