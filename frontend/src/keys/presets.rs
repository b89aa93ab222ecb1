//! The keys that each preset gives: one row an act. Tools bring theirs along.

use serde::{Deserialize, Serialize};

use crate::annotate::tools::TOOLS;

/// Whose hands the keys are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Preset {
    /// i3Deep's own: those that viewers in reading rooms agree on.
    #[default]
    Reader,
    /// As in ITK-SNAP, where it has the act.
    ItkSnap,
    /// As in 3D Slicer's segment editor, where it has the act.
    Slicer,
}

/// All presets, with their names.
pub(crate) const PRESETS: [(Preset, &str); 3] =
    [(Preset::Reader, "Reader"), (Preset::ItkSnap, "ITK-SNAP"), (Preset::Slicer, "3D Slicer")];

/// An act's keys: the reader's, and those of the other presets where they differ.
struct Row {
    act: &'static str,
    reader: &'static [&'static str],
    itk_snap: Option<&'static [&'static str]>,
    slicer: Option<&'static [&'static str]>,
}

const fn same(act: &'static str, reader: &'static [&'static str]) -> Row {
    Row { act, reader, itk_snap: None, slicer: None }
}

const fn each(
    act: &'static str,
    reader: &'static [&'static str],
    itk_snap: &'static [&'static str],
    slicer: &'static [&'static str],
) -> Row {
    Row { act, reader, itk_snap: Some(itk_snap), slicer: Some(slicer) }
}

const ROWS: &[Row] = &[
    same("mark-done", &["Enter", "Space"]),
    each("skip", &["s"], &["k"], &["s"]),
    same("reopen", &["Backspace"]),
    same("reset-slice", &["Delete"]),
    same("slice-versions", &["shift+v"]),
    same("next-slice", &["n"]),
    same("previous-slice", &["p"]),
    same("return", &["r"]),
    each("correct-plane", &["a"], &["c"], &["a"]),
    each("next-label", &["z"], &["."], &["w"]),
    each("previous-label", &["shift+z"], &[","], &["q"]),
    same("lock-label", &["shift+l"]),
    same("limit", &["shift+t"]),
    each("smaller-brush", &["[", "-"], &["-", "["], &["-", "["]),
    each("larger-brush", &["]", "+"], &["=", "+", "]"], &["=", "+", "]"]),
    each("undo", &["ctrl+z"], &["ctrl+z"], &["z", "ctrl+z"]),
    each("redo", &["ctrl+shift+z", "ctrl+y"], &["ctrl+shift+z", "ctrl+y"], &["y", "ctrl+y", "ctrl+shift+z"]),
    each("press-here", &["."], &["/"], &["."]),
    same("cancel", &["Escape"]),
    each("next-plane", &["ArrowDown", "ArrowRight"], &["ArrowDown", "ArrowRight"], &["ArrowRight", "f", "ArrowDown"]),
    each("previous-plane", &["ArrowUp", "ArrowLeft"], &["ArrowUp", "ArrowLeft"], &["ArrowLeft", "b", "ArrowUp"]),
    same("crosshair-left", &["shift+ArrowLeft"]),
    same("crosshair-right", &["shift+ArrowRight"]),
    same("crosshair-up", &["shift+ArrowUp"]),
    same("crosshair-down", &["shift+ArrowDown"]),
    same("five-planes-on", &["PageDown"]),
    same("five-planes-back", &["PageUp"]),
    each("automatic-window", &["0"], &["ctrl+j", "0"], &["0"]),
    same("next-channel", &["i"]),
    each("single-view", &["q"], &["q"], &["shift+w"]),
    same("next-view", &["shift+q"]),
    same("four-views", &["shift+x"]),
    same("blend-channel", &["shift+o"]),
    same("switch-sides", &["t"]),
    each("fit-views", &["w"], &["ctrl+f", "w"], &["shift+r"]),
    same("smooth-image", &["shift+s"]),
    each("toggle-segmentation", &["h"], &["s"], &["g"]),
    same("toggle-fill", &["o"]),
    each("less-opaque", &["<"], &["a"], &["<"]),
    each("more-opaque", &[">"], &["d"], &[">"]),
    same("toggle-uncertainty", &["u"]),
    each("toggle-crosshair", &["v"], &["x"], &["v"]),
    same("toggle-image-first", &["shift+f"]),
    same("reveal", &["shift+b"]),
    each("compare", &["c"], &["shift+c"], &["c"]),
    each("changes", &["d"], &["shift+d"], &["d"]),
    same("next-change", &["j"]),
    same("previous-change", &["shift+j"]),
    each("decide-change", &["y"], &["y"], &["shift+y"]),
    same("refine", &["shift+Enter"]),
    same("another-round", &["shift+a"]),
    same("download", &["ctrl+s"]),
    same("sheet", &["?"]),
    same("edit-grow", &["shift+g"]),
    same("edit-shrink", &["shift+k"]),
    same("edit-smooth", &["shift+m"]),
    same("edit-copy-previous", &["shift+p"]),
    same("edit-copy-next", &["shift+n"]),
    same("edit-interpolate", &["shift+i"]),
];

/// Every act that has keys.
pub(super) fn ids() -> impl Iterator<Item = String> {
    ROWS.iter().map(|row| row.act.to_owned()).chain(TOOLS.iter().map(|tool| format!("tool-{}", tool.card().id)))
}

/// The keys that a preset gives an act.
pub(super) fn preset_keys(preset: Preset, act: &str) -> &'static [&'static str] {
    if let Some(tool) = act.strip_prefix("tool-").and_then(|id| TOOLS.iter().find(|tool| tool.card().id == id)) {
        let at = PRESETS.iter().position(|(known, _)| *known == preset).unwrap_or(0);
        return std::slice::from_ref(&tool.card().keys[at]);
    }
    let Some(row) = ROWS.iter().find(|row| row.act == act) else { return &[] };
    let other = match preset {
        Preset::Reader => None,
        Preset::ItkSnap => row.itk_snap,
        Preset::Slicer => row.slicer,
    };
    other.unwrap_or(row.reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::edits::EDITS;

    #[test]
    fn every_edit_has_keys() {
        for edit in EDITS {
            let id = format!("edit-{}", edit.card().id);
            assert!(!preset_keys(Preset::Reader, &id).is_empty(), "{id} has no row");
        }
    }
}
