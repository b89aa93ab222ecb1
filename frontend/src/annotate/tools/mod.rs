//! The tools. A tool is one file here and one row in [`TOOLS`]: what it paints when it is pressed, dragged and
//! released, what it shows beforehand, its key, its icon and its words. Everything else on the page goes by its
//! [`Card`].

mod area;
mod brush;
mod crosshair;
mod eraser;
mod fill;
mod keep;
mod lasso;
mod polygon;
mod remove;
mod round;

use std::collections::BTreeSet;

use shared::label::Label;

use super::stencil::{PlaneGrid, Span};

/// All tools, in the order in which they are shown.
pub(crate) const TOOLS: &[Tool] = &[
    Tool(&brush::BRUSH),
    Tool(&eraser::ERASER),
    Tool(&lasso::LASSO),
    Tool(&polygon::POLYGON),
    Tool(&fill::Fill),
    Tool(&keep::Keep),
    Tool(&remove::Remove),
    Tool(&crosshair::Crosshair),
];

/// The tool that is in the hand at first, and that a label is painted with if the one in the hand paints none.
pub(crate) const FIRST: Tool = Tool(&brush::BRUSH);

/// A voxel of the plane; may lie outside it.
pub(crate) type Position = [i64; 2];

/// One of [`TOOLS`].
#[derive(Clone, Copy)]
pub(crate) struct Tool(&'static dyn Behaviour);

/// What the page says about a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    /// Stable word: `brush`.
    pub(crate) id: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// The key that takes it: a reader's, ITK-SNAP's, 3D Slicer's.
    pub(crate) keys: [&'static str; 3],
    /// Line icon in a square of 16: the `d` of an SVG path.
    pub(crate) icon: &'static str,
    /// What the left button does, for the status bar.
    pub(crate) hint: &'static str,
    /// What it is for, for the sheet of keys.
    pub(crate) about: &'static str,
    /// What a press does to labels.
    pub(crate) effect: Effect,
    /// Whether a gesture is a drag, or corners set one by one.
    pub(crate) way: Way,
}

/// How a gesture is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Press, drag, release.
    Drag,
    /// A press for each corner; the first corner again, or Enter, closes it.
    Corners,
}

/// What a press does to labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it moves the crosshair.
    Looks,
    /// The chosen label is painted.
    Paints,
    /// Labels change, whichever is chosen.
    Erases,
}

/// How the hand is set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hand {
    /// The chosen label.
    pub(crate) label: Label,
    /// Brush diameter.
    pub(crate) brush_mm: f64,
    /// Ctrl is held: brush and eraser change roles.
    pub(crate) inverted: bool,
    /// Labels that are not to be changed.
    pub(crate) locked: BTreeSet<Label>,
    /// Only voxels of these intensities, ends included, are to be changed.
    pub(crate) limit: Option<[f32; 2]>,
}

/// What a tool works on: one plane, as it is now.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// Its voxels.
    pub(crate) grid: &'a PlaneGrid,
    /// Its labels, u fastest.
    pub(crate) labels: &'a [Label],
    /// Its intensities, u fastest; there whenever the hand is limited to some.
    pub(crate) image: Option<&'a [f32]>,
    /// How the hand is set.
    pub(crate) hand: &'a Hand,
}

impl Work<'_> {
    /// Whether a voxel may be changed: its label is not locked, and its intensity within the limit.
    pub(crate) fn may_change(&self, offset: usize) -> bool {
        let is_locked = self.labels.get(offset).is_some_and(|label| self.hand.locked.contains(label));
        let is_within = self.hand.limit.is_none_or(|[low, high]| {
            self.image.and_then(|image| image.get(offset)).is_some_and(|intensity| (low..=high).contains(intensity))
        });
        !is_locked && is_within
    }

    /// The parts of spans that may be changed.
    pub(crate) fn allowed(&self, spans: Vec<Span>) -> Vec<Span> {
        if self.hand.locked.is_empty() && self.hand.limit.is_none() {
            return spans;
        }
        let columns = self.grid.dims[0];
        spans.into_iter().flat_map(|span| runs(span, |u| self.may_change(u + span.v * columns))).collect()
    }
}

/// The runs of a span in which `is_in` holds.
fn runs(span: Span, is_in: impl Fn(usize) -> bool) -> Vec<Span> {
    let mut runs: Vec<Span> = Vec::new();
    for u in (span.from..span.to).filter(|u| is_in(*u)) {
        match runs.last_mut() {
            Some(run) if run.to == u => run.to = u + 1,
            _ => runs.push(Span { from: u, to: u + 1, ..span }),
        }
    }
    runs
}

/// What a tool does. A gesture leaves one label, in the voxels that press, drag and release add up to.
pub(crate) trait Behaviour: Send + Sync {
    /// Its words and keys.
    fn card(&self) -> &'static Card;

    /// The label that a gesture leaves.
    fn leaves(&self, hand: &Hand) -> Label;

    /// Voxels painted by pressing at a position.
    fn press(&self, work: &Work<'_>, at: Position) -> Vec<Span>;

    /// Voxels painted by moving on from one position to another.
    fn drag(&self, _work: &Work<'_>, _from: Position, _to: Position) -> Vec<Span> {
        Vec::new()
    }

    /// Voxels painted by letting go, after the whole way.
    fn release(&self, _work: &Work<'_>, _way: &[Position]) -> Vec<Span> {
        Vec::new()
    }

    /// Voxels that will be painted if the hand goes on from its way (empty before a press) to a position and stops
    /// there.
    fn preview(&self, work: &Work<'_>, _way: &[Position], at: Position) -> Vec<Span> {
        self.press(work, at)
    }

    /// What to ask before pressing at a position, if the expert hardly means it.
    fn doubt(&self, _work: &Work<'_>, _at: Position) -> Option<String> {
        None
    }
}

impl Tool {
    /// The tool of this word.
    pub(crate) fn by_id(id: &str) -> Option<Self> {
        TOOLS.iter().find(|tool| tool.card().id == id).copied()
    }

    /// Whether it changes labels.
    pub(crate) fn paints(self) -> bool {
        self.card().effect != Effect::Looks
    }
}

impl std::ops::Deref for Tool {
    type Target = dyn Behaviour;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl PartialEq for Tool {
    fn eq(&self, other: &Self) -> bool {
        self.card().id == other.card().id
    }
}

impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.card().id)
    }
}

#[cfg(test)]
pub(in crate::annotate) mod pictures {
    //! Little pictures in which tools are tested: `.` is background, a digit its label; `x` stands where something was
    //! painted.

    use super::*;

    /// How the hand is set in most pictures.
    pub(in crate::annotate) fn hand() -> Hand {
        Hand { label: 1, brush_mm: 1.0, inverted: false, locked: BTreeSet::new(), limit: None }
    }

    /// What a gesture along `way` makes of a picture.
    pub(in crate::annotate) fn painted(
        tool: &dyn Behaviour,
        hand: &Hand,
        way: &[Position],
        before: &[&str],
    ) -> Vec<String> {
        let grid = PlaneGrid { dims: [before[0].len(), before.len()], spacing_mm: [1.0; 2] };
        let labels: Vec<Label> =
            before.concat().bytes().map(|cell| if cell == b'.' { 0 } else { cell - b'0' }).collect();
        // Intensities are as many as labels: 0 where there is background.
        let image: Vec<f32> = labels.iter().map(|label| f32::from(*label)).collect();
        let work = Work { grid: &grid, labels: &labels, image: Some(&image), hand };
        let steps = way.windows(2).flat_map(|step| tool.drag(&work, step[0], step[1]));
        let spans = tool.press(&work, way[0]).into_iter().chain(steps).chain(tool.release(&work, way));
        let mut rows: Vec<Vec<char>> = before.iter().map(|row| row.chars().collect()).collect();
        for span in work.allowed(spans.collect()) {
            rows[span.v][span.from..span.to].fill('x');
        }
        rows.into_iter().map(String::from_iter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pictures::{hand, painted};

    #[test]
    fn locked_labels_and_other_intensities_stay() {
        let way = [[0, 0], [4, 0]];
        let locked = Hand { locked: [2].into(), ..hand() };
        assert_eq!(painted(&brush::BRUSH, &locked, &way, &["1.2.2"]), ["xx2x2"]);
        // In pictures the intensity is the label's number.
        let limited = Hand { limit: Some([1.0, 2.0]), ..hand() };
        assert_eq!(painted(&brush::BRUSH, &limited, &way, &["1.232"]), ["x.x3x"]);
    }

    #[test]
    fn no_two_tools_share_a_word_or_a_key() {
        let ids: BTreeSet<&str> = TOOLS.iter().map(|tool| tool.card().id).collect();
        assert_eq!(ids.len(), TOOLS.len());
        for preset in 0..3 {
            let keys: BTreeSet<&str> = TOOLS.iter().map(|tool| tool.card().keys[preset]).collect();
            assert_eq!(keys.len(), TOOLS.len());
        }
        assert!(ids.iter().all(|id| Tool::by_id(id).is_some_and(|tool| tool.card().id == *id)));
    }
}
