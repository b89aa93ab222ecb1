//! A plane as the expert has it, and the stroke that is changing one.

use shared::correction::SliceState;
use shared::geometry::Plane;
use shared::label::Label;

use crate::annotate::history::Gesture;
use crate::annotate::tools::{Hand, Position, Tool};
use crate::session::sync::Sync;

/// A plane as the expert has it.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    /// Its labels, u fastest.
    pub(crate) labels: Vec<Label>,
    /// How far the expert is.
    pub(crate) state: SliceState,
    /// Counts the changes made here since the case was opened.
    pub(crate) edits: u64,
    /// When it was last said, counted over all planes of the case: where planes cross that show neither, the later word
    /// is shown.
    pub(crate) said: u64,
    /// Where it stands with the server.
    pub(crate) sync: Sync,
}

impl Correction {
    /// Whether its labels are shown and saved as the expert's: those of a skipped plane are not.
    pub(crate) fn counts(&self) -> bool {
        self.state != SliceState::Skipped
    }
}

/// A stroke under way.
pub(crate) struct Stroke {
    /// What paints.
    pub(crate) tool: Tool,
    /// How the hand was set when it began.
    pub(crate) hand: Hand,
    /// What it changed.
    pub(crate) gesture: Gesture,
    /// The way so far, in plane space; never empty.
    pub(crate) way: Vec<Position>,
}

/// Labels that are offered for a plane.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// For which.
    pub(crate) plane: Plane,
    /// The labels, u fastest.
    pub(crate) labels: Vec<Label>,
}
