//! The open case: its voxels and what is being painted, outside the reactive graph. Pure data; nothing here works on
//! more than a plane at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shared::acquisition::{RankedSlice, SliceList};
use shared::api::{CaseDetail, ImageInfo};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::crossing::{Contradiction, Shared, contradictions, crossing};
use shared::geometry::{Geometry, Plane};
use shared::intensity::Window;
use shared::label::{BACKGROUND, Label};
use shared::volume::PlaneLayout;

use super::Effort;
use super::edits::Offer;
use super::saving::sync::Sync;
use super::visit::Visit;
use crate::annotate::history::{Gesture, History, Step, difference};
use crate::annotate::tools::{Hand, Position, Tool};
use crate::viewer::presets::Seen;

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

/// Downloads of the open case's voxels. A scan weighs tens of megabytes: one walk at a time fetches what is missing,
/// and walks once more if asked to meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Loading {
    /// Nothing is being fetched.
    #[default]
    Idle,
    /// A walk is under way.
    UnderWay,
    /// A walk is under way, and there may be more to fetch than it knew when it began.
    Again,
}

impl Loading {
    /// Asks for a walk; whether the asker has to do it.
    pub(crate) fn ask(&mut self) -> bool {
        let was = *self;
        *self = if was == Loading::Idle { Loading::UnderWay } else { Loading::Again };
        was == Loading::Idle
    }

    /// A walk is finished; whether another one has to follow.
    pub(crate) fn finish(&mut self) -> bool {
        let again = *self == Loading::Again;
        *self = if again { Loading::UnderWay } else { Loading::Idle };
        again
    }
}

/// The open case.
pub(crate) struct Bench {
    /// The visit that it belongs to.
    pub(crate) visit: Visit,
    /// What the server says about it.
    pub(crate) detail: CaseDetail,
    /// The channel that is looked at.
    pub(crate) channel: usize,
    /// Voxels of the channels loaded so far.
    pub(crate) images: HashMap<usize, Vec<u16>>,
    /// The window that each channel was last looked at with.
    pub(crate) windows: HashMap<usize, Window>,
    /// What the voxels of each channel span.
    pub(crate) seen: HashMap<usize, Seen>,
    /// Uncertainty, 255 is 1.
    pub(crate) uncertainty: Option<Vec<u8>>,
    /// After how many refinements that was.
    pub(crate) uncertainty_rounds: u32,
    /// Segmentations loaded so far.
    pub(crate) segmentations: HashMap<String, Vec<Label>>,
    /// Planes the expert has touched.
    pub(crate) corrections: BTreeMap<Plane, Correction>,
    /// Undo and redo.
    pub(crate) history: History,
    /// The stroke under way.
    pub(crate) stroke: Option<Stroke>,
    /// Downloads under way.
    pub(crate) loading: Loading,
    /// What an edit would make of a plane.
    pub(crate) offer: Option<Offer>,
    /// Planes that the expert has chosen since the case was opened.
    pub(crate) own: BTreeSet<Plane>,
    /// Voxels that corrected planes call by different labels, at least one of them done.
    pub(crate) contradictions: Vec<Contradiction>,
    /// Counts what was said.
    sayings: u64,
    /// How many slices the expert wants to see, and in which round; else it is as many as the budget allows.
    pub(crate) wish: Option<(u32, usize)>,
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

impl Bench {
    /// A case without voxels yet, with what the server holds of its corrections.
    pub(crate) fn new(visit: Visit, detail: CaseDetail) -> Self {
        let mut bench = Self {
            visit,
            channel: 0,
            images: HashMap::new(),
            windows: HashMap::new(),
            seen: HashMap::new(),
            uncertainty: None,
            uncertainty_rounds: 0,
            segmentations: HashMap::new(),
            corrections: BTreeMap::new(),
            history: History::default(),
            stroke: None,
            loading: Loading::Idle,
            offer: None,
            own: BTreeSet::new(),
            contradictions: Vec::new(),
            sayings: 0,
            wish: None,
            detail,
        };
        for slice in bench.detail.corrections.clone() {
            bench.adopt(&slice);
        }
        bench
    }

    /// The grid.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.detail.geometry
    }

    /// What is known of the channel that is looked at.
    pub(crate) fn image_info(&self) -> Option<&ImageInfo> {
        self.detail.images.get(self.channel)
    }

    /// Voxels of the channel that is looked at, if they are loaded.
    pub(crate) fn image(&self) -> Option<&Vec<u16>> {
        self.images.get(&self.channel)
    }

    /// The newest segmentation's name.
    pub(crate) fn latest(&self) -> Option<&String> {
        self.detail.versions.last()
    }

    /// Takes over a slice as saved; returns whether it fits this case.
    pub(crate) fn adopt(&mut self, slice: &CorrectedSlice) -> bool {
        let Ok(labels) = slice.labels(&self.detail.geometry, &self.detail.labels) else { return false };
        let edits = self.corrections.get(&slice.plane).map_or(0, |correction| correction.edits + 1);
        let sync = Sync { revision: slice.revision, ..Sync::default() };
        self.corrections.insert(slice.plane, Correction { labels, state: slice.state, edits, said: 0, sync });
        self.say(slice.plane);
        true
    }

    /// The expert has said something about a plane: from now on it is the last word where planes cross.
    pub(crate) fn say(&mut self, plane: Plane) {
        self.sayings += 1;
        if let Some(correction) = self.corrections.get_mut(&plane) {
            correction.said = self.sayings;
        }
    }

    /// Takes over what was saved elsewhere since, but for planes that the expert is at work on here: there the next
    /// save brings both versions before them. Returns whether anything was taken over.
    pub(crate) fn catch_up(&mut self) -> bool {
        let stroke = self.stroke.as_ref().map(|stroke| stroke.gesture.plane());
        let is_news = |slice: &&CorrectedSlice| {
            let known = self.corrections.get(&slice.plane).map(|correction| &correction.sync);
            stroke != Some(slice.plane) && known.is_none_or(|sync| slice.revision > sync.revision && !sync.is_open())
        };
        let news: Vec<CorrectedSlice> = self.detail.corrections.iter().filter(is_news).cloned().collect();
        for slice in &news {
            // Steps over labels that are gone cannot be taken back.
            self.history.forget(slice.plane);
            self.adopt(slice);
        }
        !news.is_empty()
    }

    /// Slices that are done, as far as is known here.
    pub(crate) fn slices_done(&self) -> usize {
        self.corrections.values().filter(|correction| correction.state == SliceState::Done).count()
    }

    /// Back to do. A skipped plane shows the newest segmentation, perhaps not the one that it was skipped on; and
    /// planes that cross it may have been painted on since. What is shown around it becomes its labels, in a step that
    /// can be undone. Returns that step if the labels are others than before.
    pub(crate) fn reopen(&mut self, plane: Plane) -> Option<Step> {
        let mut shown = self.current_labels(plane)?;
        self.write_crossing(plane, &mut shown);
        let correction = self.corrections.get_mut(&plane)?;
        let before = std::mem::take(&mut correction.state);
        correction.edits += 1;
        let step = difference(plane, &correction.labels, &shown).map(|step| step.begun_in(before));
        step.iter().for_each(|step| step.apply(&mut correction.labels));
        self.history.push(step.clone().unwrap_or(Step::of_state(plane, [before, SliceState::Todo])));
        step
    }

    /// The correction of a plane as it is saved.
    pub(crate) fn saved_form(&self, plane: Plane) -> Option<CorrectedSlice> {
        let correction = self.corrections.get(&plane)?;
        let (state, runs) = (correction.state, Runs::encode(&correction.labels));
        Some(CorrectedSlice { plane, state, runs, revision: correction.sync.revision })
    }

    /// The correction of a plane, begun from what is shown there if there is none. Nothing without a segmentation to
    /// begin from.
    pub(crate) fn correction_mut(&mut self, plane: Plane) -> Option<&mut Correction> {
        if !self.corrections.contains_key(&plane) {
            let labels = self.current_labels(plane)?;
            self.corrections.insert(
                plane,
                Correction { labels, state: SliceState::Todo, edits: 0, said: 0, sync: Sync::default() },
            );
            self.say(plane);
        }
        self.corrections.get_mut(&plane)
    }

    /// A plane's labels now: the expert's where the plane was corrected, else the newest segmentation's with what the
    /// expert has painted in planes that cross it, finished or not. The picture, the probe and every further correction
    /// come from here.
    pub(crate) fn current_labels(&self, plane: Plane) -> Option<Vec<Label>> {
        if let Some(correction) = self.corrections.get(&plane).filter(|correction| correction.counts()) {
            return Some(correction.labels.clone());
        }
        self.labels_across(plane)
    }

    /// The newest segmentation's labels of a plane, with what the expert has painted in planes that cross it.
    pub(crate) fn labels_across(&self, plane: Plane) -> Option<Vec<Label>> {
        let mut labels = self.version_labels(self.latest()?, plane)?;
        self.write_crossing(plane, &mut labels);
        Some(labels)
    }

    /// Writes what was painted in planes that cross this one; the later word over the earlier.
    fn write_crossing(&self, plane: Plane, labels: &mut [Label]) {
        let mut across: Vec<(&Plane, &Correction)> = self.counting_across(plane).collect();
        across.sort_by_key(|(_, correction)| correction.said);
        for (other, correction) in across {
            for shared in crossing(self.geometry(), [plane, *other]) {
                if let (Some(label), Some(theirs)) =
                    (labels.get_mut(shared.offsets[0]), correction.labels.get(shared.offsets[1]))
                {
                    *label = *theirs;
                }
            }
        }
    }

    /// Corrections of planes that cross this one.
    fn counting_across(&self, plane: Plane) -> impl Iterator<Item = (&Plane, &Correction)> {
        self.corrections.iter().filter(move |(other, correction)| other.axis != plane.axis && correction.counts())
    }

    /// Carries what a step has changed in its plane to the unfinished planes that cross it: there, too, the last stroke
    /// is what is shown. A finished plane keeps what was vouched for; that the two contradict each other is told.
    /// Returns the planes that have changed.
    pub(crate) fn carry_across(&mut self, step: &Step) -> Vec<Plane> {
        let Some(labels) = self.corrections.get(&step.plane).map(|correction| correction.labels.clone()) else {
            return Vec::new();
        };
        let mut is_changed = vec![false; labels.len()];
        step.offsets().for_each(|offset| is_changed.get_mut(offset).into_iter().for_each(|changed| *changed = true));
        let geometry = self.detail.geometry.clone();
        let mut carried = Vec::new();
        for (other, correction) in &mut self.corrections {
            if other.axis == step.plane.axis || correction.state != SliceState::Todo {
                continue;
            }
            let before = correction.edits;
            for shared in crossing(&geometry, [step.plane, *other]).filter(|shared| is_changed[shared.offsets[0]]) {
                match correction.labels.get_mut(shared.offsets[1]) {
                    Some(label) if *label != labels[shared.offsets[0]] => {
                        *label = labels[shared.offsets[0]];
                        correction.edits = before + 1;
                    }
                    _ => {}
                }
            }
            if correction.edits != before {
                carried.push(*other);
            }
        }
        carried
    }

    /// Looks for voxels that corrected planes call by different labels, where at least one of the planes is done.
    pub(crate) fn find_contradictions(&mut self) {
        let counting: Vec<(&Plane, &Correction)> =
            self.corrections.iter().filter(|(_, correction)| correction.counts()).collect();
        let pairs = counting.iter().enumerate().flat_map(|(at, a)| counting[at + 1..].iter().map(move |b| (a, b)));
        let is_finished = |correction: &Correction| correction.state == SliceState::Done;
        self.contradictions = pairs
            .filter(|(a, b)| is_finished(a.1) || is_finished(b.1))
            .flat_map(|(a, b)| contradictions(&self.detail.geometry, (*a.0, &a.1.labels), (*b.0, &b.1.labels)))
            .collect();
    }

    /// Whether both planes of a contradiction are vouched for: then it stands in the way of refining.
    pub(crate) fn is_between_finished(&self, contradiction: &Contradiction) -> bool {
        contradiction.planes.iter().all(|plane| self.state(*plane) == SliceState::Done)
    }

    /// Makes a plane agree with another in some voxels of the line that they share. It stays as vouched for as it was:
    /// the expert has decided. Returns the step if labels have changed.
    pub(crate) fn agree(&mut self, plane: Plane, with: Plane, is_meant: impl Fn([usize; 3]) -> bool) -> Option<Step> {
        let right = self.corrections.get(&with)?.labels.clone();
        let line: Vec<Shared> =
            crossing(&self.detail.geometry, [plane, with]).filter(|shared| is_meant(shared.voxel)).collect();
        let correction = self.corrections.get_mut(&plane)?;
        let mut labels = correction.labels.clone();
        for shared in line {
            *labels.get_mut(shared.offsets[0])? = *right.get(shared.offsets[1])?;
        }
        let step = difference(plane, &correction.labels, &labels)?.within_state(correction.state);
        correction.labels = labels;
        correction.edits += 1;
        self.history.push(step.clone());
        self.say(plane);
        Some(step)
    }

    /// A plane of a segmentation, if it is loaded.
    pub(crate) fn version_labels(&self, version: &str, plane: Plane) -> Option<Vec<Label>> {
        read_plane(self.geometry(), self.segmentations.get(version)?, plane)
    }

    /// A plane of the image, if it is loaded.
    pub(crate) fn image_plane(&self, plane: Plane) -> Option<Vec<u16>> {
        read_plane(self.geometry(), self.image()?, plane)
    }

    /// A plane's intensities in the channel that is looked at, if it is loaded.
    pub(crate) fn intensities(&self, plane: Plane) -> Option<Vec<f32>> {
        let info = self.image_info()?;
        Some(self.image_plane(plane)?.into_iter().map(|voxel| info.minimum + info.step * f32::from(voxel)).collect())
    }

    /// A plane of uncertainty, if it is loaded.
    pub(crate) fn uncertainty_plane(&self, plane: Plane) -> Option<Vec<u8>> {
        read_plane(self.geometry(), self.uncertainty.as_ref()?, plane)
    }

    /// The uncertainty that is here is not, or no longer, that of the newest segmentation.
    pub(crate) fn lacks_uncertainty(&self) -> bool {
        !self.detail.versions.is_empty()
            && (self.uncertainty.is_none() || self.uncertainty_rounds != self.detail.summary.rounds)
    }

    /// This round's slices, by rank: those that fit the effort, and those that the expert has touched.
    pub(crate) fn offered(&self) -> Vec<RankedSlice> {
        let slices = self.effort().slices;
        let is_shown = |slice: &&RankedSlice| slice.rank <= slices || self.corrections.contains_key(&slice.plane());
        self.detail.slices.iter().flat_map(SliceList::ranked).filter(is_shown).cloned().collect()
    }

    /// How many slices are shown.
    pub(crate) fn effort(&self) -> Effort {
        let Some(list) = &self.detail.slices else { return Effort::default() };
        let wish = self.wish.filter(|(round, _)| *round == self.detail.summary.round);
        let slices = wish.map_or(list.slices.len(), |(_, slices)| slices);
        Effort {
            slices,
            most: list.ranked().count(),
            settles: list.ranked().take(slices).map(|slice| slice.settles).sum(),
        }
    }

    /// Slices that this round does not offer: the expert's own, and those corrected in earlier rounds.
    pub(crate) fn others(&self) -> Vec<Plane> {
        let ranked: Vec<Plane> =
            self.detail.slices.iter().flat_map(SliceList::ranked).map(RankedSlice::plane).collect();
        let all: BTreeSet<Plane> = self.corrections.keys().chain(&self.own).copied().collect();
        all.into_iter().filter(|plane| !ranked.contains(plane)).collect()
    }

    /// Whether the expert has chosen a plane that is not offered. In the first round nobody else can have.
    pub(crate) fn is_own(&self, plane: Plane) -> bool {
        self.own.contains(&plane) || self.detail.summary.round <= 1
    }

    /// How far the expert is with a slice.
    pub(crate) fn state(&self, plane: Plane) -> SliceState {
        self.corrections.get(&plane).map_or(SliceState::Todo, |correction| correction.state)
    }

    /// The middle of what is segmented, to look at first; the middle of the scan if nothing is.
    pub(crate) fn centre(&self) -> [usize; 3] {
        let dims = self.geometry().dims;
        let labels = self.latest().and_then(|version| self.segmentations.get(version));
        let (mut sum, mut count) = ([0_usize; 3], 0_usize);
        for (offset, _) in labels.into_iter().flatten().enumerate().filter(|(_, label)| **label != BACKGROUND) {
            let voxel = Geometry::voxel_at(offset, dims);
            (0..3).for_each(|axis| sum[axis] += voxel[axis]);
            count += 1;
        }
        if count > 0 { sum.map(|sum| sum / count) } else { dims.map(|n| n / 2) }
    }
}

fn read_plane<T: Copy>(geometry: &Geometry, voxels: &[T], plane: Plane) -> Option<Vec<T>> {
    let layout = PlaneLayout::new(geometry, plane).ok()?;
    layout.offsets().map(|offset| voxels.get(offset).copied()).collect()
}

/// A case of 3 × 3 × 3 voxels with two labels that nobody has corrected.
#[cfg(test)]
pub(super) fn detail_for_test() -> CaseDetail {
    use shared::label::{LabelInfo, LabelSet};

    let summary = shared::api::CaseSummary {
        id: "c".into(),
        name: "case".into(),
        bundle: "b".into(),
        created_s: 0,
        stage: shared::case::Stage::Correcting,
        job: None,
        slices: 0,
        slices_done: 0,
        rounds: 0,
        round: 1,
        warnings: Vec::new(),
    };
    let label = |value| LabelInfo { value, name: String::new(), colour: String::new() };
    CaseDetail {
        summary,
        geometry: Geometry::axis_aligned([3, 3, 3], [1.0; 3]).unwrap(),
        images: vec![],
        labels: LabelSet(vec![label(1), label(2)]),
        versions: vec![shared::api::PRESEGMENTATION.into()],
        slices: None,
        next: None,
        corrections: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotate::tools;
    use crate::session::visit::Door;
    use shared::acquisition::AcquisitionParams;
    use shared::api::PRESEGMENTATION;
    use shared::crossing::offset_in_plane;
    use shared::geometry::Axis;

    /// 3 × 3 × 3 voxels; the segmentation holds label 1 in the axial plane 1 and background elsewhere.
    fn bench() -> Bench {
        let mut bench = Bench::new(Door::default().open("c".into()), detail_for_test());
        let voxels = [[0; 9], [1; 9], [0; 9]].concat();
        bench.segmentations.insert(PRESEGMENTATION.into(), voxels);
        bench
    }

    fn stroke() -> Stroke {
        let hand = Hand { label: 2, brush_mm: 1.0, inverted: false, locked: BTreeSet::new(), limit: None };
        Stroke { tool: tools::FIRST, hand, gesture: Gesture::new(AXIAL, 2), way: vec![[0, 0]] }
    }

    const AXIAL: Plane = Plane { axis: Axis::Axial, index: 1 };
    const CORONAL: Plane = Plane { axis: Axis::Coronal, index: 2 };

    #[test]
    fn a_correction_begins_with_the_segmentation() {
        let mut bench = bench();
        assert_eq!(bench.correction_mut(AXIAL).unwrap().labels, [1; 9]);
        assert_eq!(bench.correction_mut(CORONAL).unwrap().labels, [0, 0, 0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(bench.state(AXIAL), SliceState::Todo);
    }

    #[test]
    fn what_was_painted_shows_in_planes_that_cross() {
        fn check(state: SliceState, expected: [Label; 9]) {
            let mut bench = bench();
            let correction = bench.correction_mut(AXIAL).unwrap();
            correction.labels = vec![2; 9];
            correction.state = state;
            assert_eq!(bench.current_labels(CORONAL).unwrap(), expected);
        }
        check(SliceState::Done, [0, 0, 0, 2, 2, 2, 0, 0, 0]);
        check(SliceState::Todo, [0, 0, 0, 2, 2, 2, 0, 0, 0]);
        check(SliceState::Skipped, [0, 0, 0, 1, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn painting_a_plane_touches_no_other_plane() {
        let mut bench = bench();
        bench.correction_mut(AXIAL).unwrap().labels = vec![2; 9];
        for index in [0, 2] {
            assert_eq!(bench.current_labels(Plane { index, ..AXIAL }).unwrap(), [0; 9]);
        }
    }

    /// Paints the voxel that AXIAL and CORONAL share at x = 1.
    fn paint_shared(bench: &mut Bench, plane: Plane, label: Label) -> Step {
        let offset = offset_in_plane(bench.geometry(), plane.axis, [1, 2, 1]);
        let correction = bench.correction_mut(plane).unwrap();
        let mut after = correction.labels.clone();
        after[offset] = label;
        let step = difference(plane, &correction.labels, &after).unwrap();
        step.apply(&mut correction.labels);
        step
    }

    #[test]
    fn unfinished_planes_follow_a_stroke_and_its_undo() {
        let mut bench = bench();
        bench.correction_mut(CORONAL).unwrap();
        let step = paint_shared(&mut bench, AXIAL, 2);
        assert_eq!(bench.carry_across(&step), [CORONAL]);
        assert_eq!(bench.current_labels(CORONAL).unwrap(), [0, 0, 0, 1, 2, 1, 0, 0, 0]);
        step.revert(&mut bench.correction_mut(AXIAL).unwrap().labels);
        assert_eq!(bench.carry_across(&step), [CORONAL]);
        assert_eq!(bench.current_labels(CORONAL).unwrap(), [0, 0, 0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(bench.carry_across(&step), []);
    }

    #[test]
    fn a_finished_plane_keeps_its_word_and_the_contradiction_is_found() {
        let mut bench = bench();
        bench.correction_mut(CORONAL).unwrap().state = SliceState::Done;
        let step = paint_shared(&mut bench, AXIAL, 2);
        assert_eq!(bench.carry_across(&step), []);
        assert_eq!(bench.current_labels(CORONAL).unwrap(), [0, 0, 0, 1, 1, 1, 0, 0, 0]);
        bench.find_contradictions();
        let found = Contradiction { planes: [CORONAL, AXIAL], voxel: [1, 2, 1], labels: [1, 2] };
        assert_eq!(bench.contradictions, [found]);
        assert!(!bench.is_between_finished(&found), "one of the two may still change");
        bench.correction_mut(AXIAL).unwrap().state = SliceState::Done;
        assert!(bench.is_between_finished(&found));

        let step = bench.agree(CORONAL, AXIAL, |voxel| voxel == [1, 2, 1]).unwrap();
        bench.find_contradictions();
        assert_eq!(bench.contradictions, []);
        assert_eq!((bench.state(CORONAL), step.states), (SliceState::Done, [SliceState::Done; 2]));
        assert_eq!(bench.current_labels(CORONAL).unwrap(), [0, 0, 0, 1, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn a_plane_that_is_reopened_takes_what_was_painted_across() {
        let mut bench = bench();
        bench.correction_mut(CORONAL).unwrap().state = SliceState::Done;
        paint_shared(&mut bench, AXIAL, 2);
        let step = bench.reopen(CORONAL).unwrap();
        assert_eq!(step.states, [SliceState::Done, SliceState::Todo]);
        assert_eq!(bench.current_labels(CORONAL).unwrap(), [0, 0, 0, 1, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn where_two_planes_cross_a_third_the_later_word_is_shown() {
        let mut bench = bench();
        let sagittal = Plane { axis: Axis::Sagittal, index: 1 };
        for (plane, label) in [(CORONAL, 2), (AXIAL, 0)] {
            bench.correction_mut(plane).unwrap().state = SliceState::Done;
            bench.corrections.get_mut(&plane).unwrap().labels = vec![label; 9];
        }
        let offset = offset_in_plane(bench.geometry(), Axis::Sagittal, [1, 2, 1]);
        assert_eq!(bench.current_labels(sagittal).unwrap()[offset], 0);
        bench.say(CORONAL);
        assert_eq!(bench.current_labels(sagittal).unwrap()[offset], 2);
    }

    #[test]
    fn saved_slices_come_back_as_they_were() {
        let mut first = bench();
        first.correction_mut(CORONAL).unwrap().state = SliceState::Done;
        let saved = first.saved_form(CORONAL).unwrap();
        let mut second = bench();
        assert!(second.adopt(&CorrectedSlice { revision: 7, ..saved.clone() }));
        assert_eq!(second.saved_form(CORONAL).unwrap(), CorrectedSlice { revision: 7, ..saved.clone() });
        assert!(!second.adopt(&CorrectedSlice { runs: Runs(vec![(0, 4)]), ..saved }));
    }

    #[test]
    fn effort_shows_more_or_fewer_slices_and_never_hides_what_was_touched() {
        let slice = |index: usize, rank: usize, settles: f64| RankedSlice {
            axis: Axis::Axial,
            index,
            score: settles,
            rank,
            settles,
            component: None,
        };
        let mut bench = bench();
        bench.detail.slices = Some(SliceList {
            format: 1,
            geometry: bench.geometry().clone(),
            params: AcquisitionParams::default(),
            foreground_axial_planes: 1,
            slices: vec![slice(1, 1, 0.5), slice(0, 2, 0.25)],
            beyond: vec![slice(2, 3, 0.125)],
        });
        bench.correction_mut(CORONAL).unwrap().state = SliceState::Done;
        let check = |bench: &Bench, planes: &[usize], slices: usize, settles: f64| {
            assert_eq!(bench.offered().iter().map(|slice| slice.index).collect::<Vec<_>>(), planes);
            assert_eq!(bench.effort(), Effort { slices, most: 3, settles });
            assert_eq!(bench.others(), [CORONAL]);
        };
        check(&bench, &[1, 0], 2, 0.75);
        bench.wish = Some((1, 3));
        check(&bench, &[1, 0, 2], 3, 0.875);
        bench.wish = Some((1, 1));
        check(&bench, &[1], 1, 0.5);
        bench.correction_mut(Plane { index: 2, ..AXIAL }).unwrap();
        check(&bench, &[1, 2], 1, 0.5);
        // In the next round the budget speaks first.
        bench.detail.summary.round = 2;
        check(&bench, &[1, 0, 2], 2, 0.75);
    }

    #[test]
    fn uncertainty_is_fetched_again_after_a_refinement() {
        let mut bench = bench();
        assert!(bench.lacks_uncertainty());
        bench.uncertainty = Some(vec![0; 27]);
        assert!(!bench.lacks_uncertainty());
        bench.detail.summary.rounds = 1;
        assert!(bench.lacks_uncertainty());
        bench.uncertainty_rounds = 1;
        assert!(!bench.lacks_uncertainty());
    }

    #[test]
    fn the_first_look_is_at_what_is_segmented() {
        let mut bench = bench();
        assert_eq!(bench.centre(), [1, 1, 1]);
        bench.segmentations.insert(PRESEGMENTATION.into(), vec![0; 27]);
        assert_eq!(bench.centre(), [1, 1, 1]);
    }

    #[test]
    fn what_other_windows_saved_is_taken_over_where_nobody_works_here() {
        fn check(known: Sync, saved_as: u64, painting: bool, expected: Label) {
            let mut bench = bench();
            let correction = bench.correction_mut(AXIAL).unwrap();
            let step = difference(AXIAL, &[1; 9], &[2; 9]).unwrap();
            step.apply(&mut correction.labels);
            correction.sync = known;
            bench.history.push(step);
            bench.stroke = painting.then(stroke);
            let runs = Runs::encode(&[0; 9]);
            bench.detail.corrections =
                vec![CorrectedSlice { plane: AXIAL, state: SliceState::Done, runs, revision: saved_as }];
            assert_eq!(bench.catch_up(), expected == 0);
            assert_eq!(bench.current_labels(AXIAL).unwrap(), [expected; 9]);
            assert_eq!(bench.history.depth()[0], usize::from(expected != 0), "its steps go with its labels");
        }
        let saved = Sync { revision: 1, ..Sync::default() };
        check(saved.clone(), 2, false, 0);
        check(saved.clone(), 1, false, 2);
        check(saved.clone(), 2, true, 2);
        check(Sync { unsent: true, ..saved.clone() }, 2, false, 2);
        check(
            Sync {
                sent: Some(CorrectedSlice {
                    plane: AXIAL,
                    state: SliceState::Todo,
                    runs: Runs(vec![(2, 9)]),
                    revision: 1,
                }),
                ..saved
            },
            2,
            false,
            2,
        );
    }

    #[test]
    fn reopening_a_skipped_slice_brings_what_is_shown_there() {
        let mut bench = bench();
        bench.correction_mut(AXIAL).unwrap().state = SliceState::Skipped;
        bench.detail.versions.push("refinement-1".into());
        bench.segmentations.insert("refinement-1".into(), vec![2; 27]);
        let step = bench.reopen(AXIAL).unwrap();
        assert_eq!((bench.state(AXIAL), bench.current_labels(AXIAL).unwrap()), (SliceState::Todo, vec![2; 9]));
        step.revert(&mut bench.correction_mut(AXIAL).unwrap().labels);
        assert_eq!(bench.current_labels(AXIAL).unwrap(), [1; 9], "undo brings back what was there before");
    }

    #[test]
    fn reopening_a_slice_that_is_done_leaves_its_labels() {
        let mut bench = bench();
        let correction = bench.correction_mut(AXIAL).unwrap();
        (correction.labels, correction.state) = (vec![2; 9], SliceState::Done);
        assert_eq!(bench.reopen(AXIAL), None);
        assert_eq!((bench.state(AXIAL), bench.current_labels(AXIAL).unwrap()), (SliceState::Todo, vec![2; 9]));
    }

    #[test]
    fn one_walk_fetches_and_another_follows_if_asked_for() {
        let mut loading = Loading::default();
        assert!(loading.ask());
        assert!(!loading.ask() && !loading.ask());
        assert!(loading.finish());
        assert!(!loading.finish());
        assert!(loading.ask());
    }
}
