//! What was pressed, on any keyboard. A character means itself wherever the layout puts it; on layouts without Latin
//! letters the key's place counts, and so it does for the digits of a row that types something else.

use web_sys::KeyboardEvent;

/// A key press, as the browser tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Press {
    /// `KeyboardEvent.key`.
    pub(crate) key: String,
    /// `KeyboardEvent.code`.
    pub(crate) code: String,
    /// Shift is held.
    pub(crate) shift: bool,
    /// Ctrl or Cmd is held, and not as a part of AltGr.
    pub(crate) ctrl: bool,
    /// Alt is held, and not to type a character.
    pub(crate) alt: bool,
    /// It is held down, and this is not its first press.
    pub(crate) repeated: bool,
}

impl From<&KeyboardEvent> for Press {
    fn from(event: &KeyboardEvent) -> Self {
        let key = event.key();
        // Windows says Ctrl and Alt where AltGr is held; a Mac types brackets with its option key.
        let types =
            event.get_modifier_state("AltGraph") || (event.alt_key() && !event.ctrl_key() && is_punctuation(&key));
        Self {
            code: event.code(),
            shift: event.shift_key(),
            ctrl: (event.ctrl_key() || event.meta_key()) && !types,
            alt: event.alt_key() && !types,
            repeated: event.repeat(),
            key,
        }
    }
}

impl Press {
    /// Whether it operates a button that has the focus.
    pub(crate) fn operates(&self) -> bool {
        matches!(self.key.as_str(), "Enter" | " ")
    }

    /// Whether it moves within a slider or a list that has the focus.
    pub(crate) fn moves(&self) -> bool {
        ["Arrow", "Page", "Home", "End"].iter().any(|start| self.key.starts_with(start))
    }

    /// Names under which it may be bound, the likeliest first: `b`, `shift+1`, `ctrl+shift+z`, `[`, `Enter`.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        match single(&self.key) {
            Some(' ') => names.push(self.with_modifiers("Space")),
            Some(letter) if letter.is_ascii_alphabetic() => {
                names.push(self.with_modifiers(&letter.to_ascii_lowercase().to_string()))
            }
            // Shift is how some layouts type it.
            Some(typed) if typed.is_ascii() => names.push(self.with_ctrl(&typed.to_string())),
            Some(_) => {}
            None => {
                names.push(self.with_modifiers(&self.key));
                names.push(self.with_ctrl(&self.key));
            }
        }
        names.extend(self.placed().map(|place| self.with_modifiers(&place)));
        names
    }

    /// What stands in this place on a Latin keyboard, where what was typed says nothing.
    fn placed(&self) -> Option<String> {
        let typed = single(&self.key);
        if let Some(digit) = self.code.strip_prefix("Digit") {
            // A digit that was typed is that digit, wherever it stands.
            return (!typed.is_some_and(|typed| typed.is_ascii_digit())).then(|| digit.to_owned());
        }
        let foreign = typed.map_or_else(
            || matches!(self.key.as_str(), "Dead" | "Process" | "Unidentified"),
            |typed| !typed.is_ascii(),
        );
        match self.code.as_str() {
            _ if !foreign => None,
            "BracketLeft" => Some("[".into()),
            "BracketRight" => Some("]".into()),
            code => code.strip_prefix("Key").map(str::to_lowercase),
        }
    }

    fn with_ctrl(&self, name: &str) -> String {
        if self.ctrl { format!("ctrl+{name}") } else { name.to_owned() }
    }

    fn with_modifiers(&self, name: &str) -> String {
        let shift = if self.shift { "shift+" } else { "" };
        self.with_ctrl(&format!("{shift}{name}"))
    }
}

fn single(key: &str) -> Option<char> {
    let mut characters = key.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn is_punctuation(key: &str) -> bool {
    single(key).is_some_and(|typed| typed.is_ascii_punctuation())
}

/// A bound name as it stands on a key: `Ctrl+Shift+Z`, `↓`.
pub(crate) fn shown(name: &str) -> String {
    let part = |part: &str| match part {
        "ctrl" => "Ctrl".to_owned(),
        "shift" => "Shift".to_owned(),
        "ArrowUp" => "↑".to_owned(),
        "ArrowDown" => "↓".to_owned(),
        "ArrowLeft" => "←".to_owned(),
        "ArrowRight" => "→".to_owned(),
        "PageUp" => "Page ↑".to_owned(),
        "PageDown" => "Page ↓".to_owned(),
        "Escape" => "Esc".to_owned(),
        "-" => "−".to_owned(),
        one if single(one).is_some() => one.to_uppercase(),
        other => other.to_owned(),
    };
    // A plus that is a key itself stands last.
    match name.strip_suffix("++") {
        Some(modifiers) => modifiers.split('+').map(part).chain(["+".to_owned()]).collect::<Vec<_>>().join("+"),
        None if name == "+" => name.to_owned(),
        None => name.split('+').map(part).collect::<Vec<_>>().join("+"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(key: &str, code: &str, shift: bool) -> Press {
        Press { key: key.into(), code: code.into(), shift, ..Press::default() }
    }

    #[test]
    fn letters_are_found_on_every_layout() {
        fn check(key: &str, code: &str, expected: &str) {
            assert_eq!(press(key, code, false).names().last().map(String::as_str), Some(expected), "{key} {code}");
        }
        check("b", "KeyB", "b");
        check("B", "KeyB", "b");
        // Cyrillic, Greek, Hebrew, an input method.
        check("и", "KeyB", "b");
        check("β", "KeyB", "b");
        check("נ", "KeyB", "b");
        check("Process", "KeyB", "b");
        // QWERTZ and AZERTY: where they are typed.
        check("z", "KeyY", "z");
        check("a", "KeyQ", "a");
    }

    #[test]
    fn digits_are_found_where_they_are_typed_or_stand() {
        fn check(key: &str, code: &str, shift: bool, expected: &str) {
            assert!(press(key, code, shift).names().contains(&expected.to_owned()), "{key} {code}");
        }
        check("1", "Digit1", false, "1");
        check("1", "Numpad1", false, "1");
        // AZERTY types signs without Shift and digits with it; Czech types letters.
        check("&", "Digit1", false, "1");
        check("1", "Digit1", true, "1");
        check("é", "Digit2", false, "2");
        check("š", "Digit3", false, "3");
        check("!", "Digit1", true, "shift+1");
    }

    #[test]
    fn signs_mean_what_is_typed() {
        fn check(key: &str, code: &str, shift: bool, expected: &[&str]) {
            assert_eq!(press(key, code, shift).names(), expected, "{key} {code}");
        }
        check("[", "BracketLeft", false, &["["]);
        // AZERTY types a minus where others have the 6: the sign comes first.
        check("-", "Digit6", false, &["-", "6"]);
        check("-", "NumpadSubtract", false, &["-"]);
        check("+", "NumpadAdd", false, &["+"]);
        check("?", "Comma", true, &["?"]);
        check("?", "Digit7", true, &["?", "shift+7"]);
        // German and Russian: the keys where brackets stand elsewhere.
        check("ü", "BracketLeft", false, &["["]);
        check("ъ", "BracketRight", false, &["]"]);
        check("Dead", "BracketLeft", false, &["Dead", "Dead", "["]);
        // Without the number lock the pad moves.
        check("End", "Numpad1", false, &["End", "End"]);
        check(",", "KeyM", false, &[","]);
    }

    #[test]
    fn ctrl_stays_with_its_letter() {
        fn check(key: &str, code: &str, shift: bool, expected: &str) {
            assert_eq!(Press { ctrl: true, ..press(key, code, shift) }.names()[0], expected);
        }
        check("z", "KeyZ", false, "ctrl+z");
        check("Z", "KeyZ", true, "ctrl+shift+z");
        check("я", "KeyZ", false, "ctrl+z");
        check("ζ", "KeyZ", false, "ctrl+z");
        check("-", "Minus", false, "ctrl+-");
    }

    #[test]
    fn names_are_shown_as_on_the_keys() {
        fn check(name: &str, expected: &str) {
            assert_eq!(shown(name), expected);
        }
        check("ctrl+shift+z", "Ctrl+Shift+Z");
        check("ArrowDown", "↓");
        check("+", "+");
        check("[", "[");
        check("Enter", "Enter");
    }
}
