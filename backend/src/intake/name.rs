//! What a case is called. Never after its file: scanners and people name those after patients, and a case's name is on
//! every page.

use super::IntakeError;

/// Longest name kept for a case.
const NAME_LIMIT: usize = 120;

/// A name that was typed, made fit for one line; nothing if none was.
///
/// # Errors
/// [`IntakeError::Name`] if it would be read as something else than it is.
pub fn case_name(typed: &str) -> Result<Option<String>, IntakeError> {
    let one_line: String = typed.chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect();
    let name = one_line.trim();
    if name.is_empty() {
        return Ok(None);
    }
    if let Some(turns) = name.chars().find(|c| turns_text(*c)) {
        return Err(IntakeError::Name(format!(
            "it has a character that turns the text around it (U+{:04X})",
            u32::from(turns)
        )));
    }
    if let Some(hidden) = name.chars().find(|c| is_hidden(*c)) {
        return Err(IntakeError::Name(format!("it has a character that nobody sees (U+{:04X})", u32::from(hidden))));
    }
    Ok(Some(name.to_owned()))
}

/// Bidirectional controls (Unicode standard annex 9, table 4): with them a name looks like another.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Code points that take no room (the standard's `Default_Ignorable_Code_Point`), and blanks that look like letters.
/// Joiners are among them: in names of cases nobody misses them.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200D}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}'
            | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_as_was_typed() {
        fn check(typed: &str, expected: Option<&str>) {
            assert_eq!(case_name(typed).unwrap().as_deref(), expected);
        }
        check("Study 12, left", Some("Study 12, left"));
        check(" Ünïcode Παύλος 李 ", Some("Ünïcode Παύλος 李"));
        check("a\u{0}b\r\nc", Some("abc"));
        check("", None);
        check("  \n\u{3000}", None);
        assert_eq!(case_name(&"x".repeat(500)).unwrap().unwrap().len(), NAME_LIMIT);
    }

    #[test]
    fn names_that_deceive_are_refused() {
        fn check(typed: &str, says: &str) {
            let error = case_name(typed).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        check("Case \u{202E}7 esaC", "turns the text around it (U+202E)");
        check("\u{2066}a\u{2069}", "U+2066");
        check("\u{200B}\u{200B}", "nobody sees (U+200B)");
        check("Case\u{00AD}7", "U+00AD");
        check("\u{3164}", "U+3164");
        check("a\u{E0041}", "U+E0041");
    }
}
