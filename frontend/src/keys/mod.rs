//! Which key does what: presets for hands from elsewhere, and what the person at the screen has chosen. Pure.

mod presets;
mod press;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use presets::{PRESETS, Preset};
use presets::{ids, preset_keys};
pub(crate) use press::{Press, shown};

/// The keys of one browser: a preset, and what was chosen otherwise. An act is known by a stable word, a tool by
/// `tool-` and its word, an edit by `edit-` and its word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyMap {
    /// What holds where nothing else was chosen.
    pub(crate) preset: Preset,
    /// Keys that were chosen, by act.
    own: BTreeMap<String, Vec<String>>,
}

impl KeyMap {
    /// A preset as it is.
    pub(crate) fn of(preset: Preset) -> Self {
        Self { preset, own: BTreeMap::new() }
    }

    /// The keys of an act, by the names that [`Press::names`] gives.
    pub(crate) fn keys(&self, act: &str) -> Vec<String> {
        match self.own.get(act) {
            Some(own) => own.clone(),
            None => preset_keys(self.preset, act).iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    /// The first key of an act as it stands on the keyboard; nothing if it has none.
    pub(crate) fn first(&self, act: &str) -> Option<String> {
        self.keys(act).first().map(|key| shown(key))
    }

    /// The act that one of these names is bound to, the likeliest first.
    pub(crate) fn act(&self, names: &[String]) -> Option<String> {
        names.iter().find_map(|name| ids().find(|id| self.keys(id).contains(name)))
    }

    /// Whether something was chosen otherwise than the preset has it.
    pub(crate) fn is_changed(&self) -> bool {
        !self.own.is_empty()
    }

    /// Binds an act to one key alone. Whatever the key did before has it no longer: returned, so that it can be told.
    pub(crate) fn bind(&mut self, act: &str, key: &str) -> Option<String> {
        let before = ids().find(|id| id != act && self.keys(id).iter().any(|bound| bound == key));
        if let Some(before) = &before {
            let left = self.keys(before).into_iter().filter(|bound| bound != key).collect();
            self.own.insert(before.clone(), left);
        }
        self.own.insert(act.to_owned(), vec![key.to_owned()]);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(map: &KeyMap, name: &str) -> Option<String> {
        map.act(&[name.to_owned()])
    }

    #[test]
    fn no_key_does_two_things_in_any_preset() {
        for (preset, name) in PRESETS {
            let map = KeyMap::of(preset);
            let mut acts: BTreeMap<String, String> = BTreeMap::new();
            for id in ids() {
                assert!(!map.keys(&id).is_empty(), "{id} has no key in {name}");
                for key in map.keys(&id) {
                    assert_eq!(acts.insert(key.clone(), id.clone()), None, "{key} does two things in {name}");
                }
            }
        }
    }

    #[test]
    fn hands_from_elsewhere_find_their_keys() {
        fn check(preset: Preset, name: &str, expected: &str) {
            assert_eq!(act(&KeyMap::of(preset), name).as_deref(), Some(expected), "{preset:?} {name}");
        }
        check(Preset::Reader, "b", "tool-brush");
        check(Preset::Reader, "h", "toggle-segmentation");
        check(Preset::ItkSnap, "4", "tool-brush");
        check(Preset::ItkSnap, "s", "toggle-segmentation");
        check(Preset::ItkSnap, "=", "larger-brush");
        check(Preset::Slicer, "1", "tool-brush");
        check(Preset::Slicer, "z", "undo");
        check(Preset::Slicer, "g", "toggle-segmentation");
        check(Preset::Slicer, "ctrl+z", "undo");
    }

    #[test]
    fn a_key_that_is_bound_anew_is_taken_from_what_it_did() {
        let mut map = KeyMap::default();
        assert_eq!(map.bind("skip", "h").as_deref(), Some("toggle-segmentation"));
        assert_eq!(act(&map, "h").as_deref(), Some("skip"));
        assert_eq!(act(&map, "s"), None);
        assert_eq!(map.first("toggle-segmentation"), None);
        assert_eq!(map.bind("redo", "ctrl+y"), None, "its own key");
        assert_eq!(map.keys("redo"), ["ctrl+y"]);
        let kept: KeyMap = serde_json::from_str(&serde_json::to_string(&map).unwrap()).unwrap();
        assert_eq!(kept, map);
        assert!(kept.is_changed() && !KeyMap::of(Preset::Slicer).is_changed());
    }
}
