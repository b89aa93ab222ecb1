//! What the person at the screen prefers, kept in this browser: nothing of it is about a case.

use serde::de::DeserializeOwned;
use shared::api::CaseDetail;
use shared::label::{Label, LabelInfo};

use super::Session;
use super::fact::Fact;
use crate::browser::storage::Area;
use crate::keys::{KeyMap, Preset};
use crate::viewer::palette::{Palette, Pattern};

/// Where the keys are kept.
const KEYS: &str = "i3deep/keys";

/// Where the palette is kept.
const PALETTE: &str = "i3deep/palette";

/// How a label is to look.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// In this colour, `#RRGGBB`.
    Colour(Label, String),
    /// With this pattern.
    Pattern(Label, Pattern),
    /// All as the task has them.
    Task,
}

/// What is preferred.
#[derive(Clone, Copy)]
pub(crate) struct Preferences {
    /// Which key does what.
    pub(crate) keys: Fact<KeyMap>,
    /// How labels look.
    pub(crate) palette: Fact<Palette>,
}

impl Preferences {
    /// As they were kept; what cannot be read is as if nothing had been chosen.
    pub(super) fn new() -> Self {
        Self { keys: Fact::new(kept(KEYS)), palette: Fact::new(kept(PALETTE)) }
    }
}

fn kept<T: DeserializeOwned + Default>(key: &str) -> T {
    Area::shared().get(key).and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default()
}

impl Session {
    /// Changes how labels of the open case look.
    pub(super) fn change_palette(self, look: &Look) {
        let Some(bundle) = self.read(|bench| bench.detail.summary.bundle.clone()) else { return };
        self.preferences.palette.update(|palette| match look {
            Look::Colour(label, colour) => palette.set_colour(&bundle, *label, colour),
            Look::Pattern(label, pattern) => palette.set_pattern(&bundle, *label, *pattern),
            Look::Task => palette.reset(&bundle),
        });
        self.keep_preference(PALETTE, &self.preferences.palette.now_with(serde_json::to_string).unwrap_or_default());
        self.learn_patterns();
        // The colours of the task, for labels for which none is chosen any more.
        self.reload_case();
    }

    /// What the server says of a case, in the colours that are preferred.
    pub(super) fn coloured(self, detail: CaseDetail) -> CaseDetail {
        let labels = self
            .preferences
            .palette
            .now_with(|palette| palette.coloured(&detail.summary.bundle, detail.labels.clone()));
        CaseDetail { labels, ..detail }
    }

    /// Fills labels with the patterns that are preferred.
    pub(super) fn learn_patterns(self) {
        self.change(|bench| {
            let detail = &bench.detail;
            bench.patterns = self.preferences.palette.now_with(|palette| {
                let pattern = |label: &LabelInfo| (label.value, palette.pattern(&detail.summary.bundle, label.value));
                detail.labels.0.iter().map(pattern).collect()
            });
            bench.looks += 1;
        });
        self.repaint();
    }

    /// Takes a preset as it is.
    pub(super) fn use_preset(self, preset: Preset) {
        self.preferences.keys.learn(KeyMap::of(preset));
        self.keep_keys();
    }

    /// Binds an act to a key.
    pub(super) fn bind_key(self, act: &str, key: &str) {
        self.preferences.keys.update(|keys| drop(keys.bind(act, key)));
        self.keep_keys();
    }

    fn keep_keys(self) {
        self.keep_preference(KEYS, &self.preferences.keys.now_with(serde_json::to_string).unwrap_or_default());
    }

    fn keep_preference(self, key: &str, kept: &str) {
        if !Area::shared().set(key, kept) {
            let why = "This browser keeps nothing: what you choose holds until the page is closed.";
            self.messages.notice.set(Some(why.into()));
        }
    }

    /// The key of an act, for sentences.
    pub(super) fn key_of(self, act: &str) -> String {
        self.preferences.keys.now_with(|keys| keys.first(act)).unwrap_or_else(|| "its button".into())
    }
}
