//! How labels look where somebody wants them otherwise than the task has them: colours, and patterns for eyes that
//! colours tell little.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::label::{Label, LabelSet};

/// What fills a label's area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pattern {
    /// All of it.
    #[default]
    Plain,
    /// Rising stripes.
    Rising,
    /// Falling stripes.
    Falling,
    /// A grid of dots.
    Dots,
}

impl Pattern {
    /// All, with their words.
    pub(crate) const ALL: [(Self, &str); 4] =
        [(Self::Plain, "plain"), (Self::Rising, "rising"), (Self::Falling, "falling"), (Self::Dots, "dots")];

    /// Whether a cell of the view is filled.
    pub(crate) fn fills(self, column: usize, row: usize) -> bool {
        match self {
            Self::Plain => true,
            Self::Rising => (column + row).is_multiple_of(3),
            Self::Falling => (column + 3 - row % 3).is_multiple_of(3),
            Self::Dots => column.is_multiple_of(2) && row.is_multiple_of(2),
        }
    }
}

/// How one label looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelLook {
    /// `#RRGGBB`; none as the task has it.
    colour: Option<String>,
    /// What fills it.
    pattern: Pattern,
}

/// How labels look, by the bundle that names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Palette(BTreeMap<String, BTreeMap<Label, LabelLook>>);

impl Palette {
    /// Another colour; what is no colour changes nothing.
    pub(crate) fn set_colour(&mut self, bundle: &str, label: Label, colour: &str) {
        let digits = colour.strip_prefix('#').unwrap_or_default();
        if digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            self.look(bundle, label).colour = Some(colour.to_owned());
        }
    }

    /// Another pattern.
    pub(crate) fn set_pattern(&mut self, bundle: &str, label: Label, pattern: Pattern) {
        self.look(bundle, label).pattern = pattern;
    }

    /// A bundle's labels look as the task has them.
    pub(crate) fn reset(&mut self, bundle: &str) {
        self.0.remove(bundle);
    }

    /// Whether a bundle's labels look otherwise than the task has them.
    pub(crate) fn is_changed(&self, bundle: &str) -> bool {
        self.0.contains_key(bundle)
    }

    fn look(&mut self, bundle: &str, label: Label) -> &mut LabelLook {
        self.0.entry(bundle.to_owned()).or_default().entry(label).or_default()
    }

    /// The labels in their colours.
    pub(crate) fn coloured(&self, bundle: &str, mut labels: LabelSet) -> LabelSet {
        for (label, look) in self.0.get(bundle).into_iter().flatten() {
            let found = labels.0.iter_mut().find(|known| known.value == *label);
            if let (Some(found), Some(colour)) = (found, &look.colour) {
                found.colour.clone_from(colour);
            }
        }
        labels
    }

    /// The pattern of a label.
    pub(crate) fn pattern(&self, bundle: &str, label: Label) -> Pattern {
        self.0.get(bundle).and_then(|looks| looks.get(&label)).map_or(Pattern::Plain, |look| look.pattern)
    }
}

#[cfg(test)]
mod tests {
    use shared::label::LabelInfo;

    use super::*;

    #[test]
    fn patterns_are_told_apart() {
        fn check(pattern: Pattern, expected: [&str; 3]) {
            let row = |row| (0..4).map(|column| if pattern.fills(column, row) { '#' } else { '.' }).collect::<String>();
            assert_eq!([row(0), row(1), row(2)], expected, "{pattern:?}");
        }
        check(Pattern::Plain, ["####", "####", "####"]);
        check(Pattern::Rising, ["#..#", "..#.", ".#.."]);
        check(Pattern::Falling, ["#..#", ".#..", "..#."]);
        check(Pattern::Dots, ["#.#.", "....", "#.#."]);
    }

    #[test]
    fn a_task_keeps_its_colours_where_nobody_chose_others() {
        let label = |value, colour: &str| LabelInfo { value, name: String::new(), colour: colour.into(), code: None };
        let labels = || LabelSet(vec![label(1, "#ff0000"), label(2, "#00ff00")]);
        let mut palette = Palette::default();
        palette.set_colour("liver", 2, "#0000FF");
        palette.set_colour("liver", 1, "red; background: url(x)");
        palette.set_pattern("liver", 1, Pattern::Dots);
        let seen = |palette: &Palette, bundle: &str| {
            palette.coloured(bundle, labels()).0.into_iter().map(|label| label.colour).collect::<Vec<_>>()
        };
        assert_eq!(seen(&palette, "liver"), ["#ff0000", "#0000FF"]);
        assert_eq!(seen(&palette, "brain"), ["#ff0000", "#00ff00"]);
        assert_eq!([palette.pattern("liver", 1), palette.pattern("liver", 2)], [Pattern::Dots, Pattern::Plain]);
        palette.reset("liver");
        assert!(!palette.is_changed("liver"));
        assert_eq!(seen(&palette, "liver"), ["#ff0000", "#00ff00"]);
    }
}
