//! The open case: its voxels and what is being painted, outside the reactive graph. Pure data; nothing here works on
//! more than a plane at a time.

mod blank;
mod correction;
mod crossing;
mod decided;
mod loading;
mod offered;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shared::api::{CaseDetail, ImageInfo};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::crossing::{Contradiction, offset_in_plane};
use shared::geometry::{Geometry, Plane};
use shared::intensity::Window;
use shared::label::{BACKGROUND, Label};
use shared::volume::PlaneLayout;

use super::sync::Sync;
use super::visit::Visit;
use crate::annotate::history::{History, Step, difference};
use crate::viewer::palette::Pattern;
use crate::viewer::presets::Seen;

pub(crate) use blank::BlankStart;
pub(crate) use correction::{Correction, Offer, Stroke};
use decided::Applied;
pub(crate) use decided::{Change, Proof};
pub(crate) use loading::Loading;
pub(crate) use offered::{Effort, Readiness};
pub(crate) use scan::{Scan, Sharpness};
#[cfg(test)]
pub(super) use tests::detail_for_test;

/// The open case.
pub(crate) struct Bench {
    /// The visit that it belongs to.
    pub(crate) visit: Visit,
    /// What the server says about it.
    pub(crate) detail: CaseDetail,
    /// The channel that is looked at.
    pub(crate) channel: usize,
    /// Voxels of the channels that were asked for, as far as they are here.
    pub(crate) images: HashMap<usize, Scan>,
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
    /// What fills the area of labels that are not plain.
    pub(crate) patterns: BTreeMap<Label, Pattern>,
    /// Counts the changes of how labels look.
    pub(crate) looks: u64,
    /// Planes that are shown without their presegmentation.
    blank: BTreeSet<Plane>,
    /// Planes whose presegmentation was asked for.
    revealed: BTreeSet<Plane>,
    /// What the newest refinement changed, once that is known.
    pub(crate) change: Option<Change>,
    /// What is decided about segmentations, as far as it is in those that are here.
    applied: Applied,
    /// Counts what was said.
    sayings: u64,
    /// How many slices the expert wants to see, and in which round; else it is as many as the budget allows.
    pub(crate) wish: Option<(u32, usize)>,
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
            patterns: BTreeMap::new(),
            looks: 0,
            blank: BTreeSet::new(),
            revealed: BTreeSet::new(),
            change: None,
            applied: Applied::new(),
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

    /// Intensity of voxel value 0, and the intensity difference between neighbouring values, in the channel that is
    /// looked at.
    pub(crate) fn grey_scale(&self) -> Option<[f32; 2]> {
        self.image_info().map(|image| [image.minimum, image.step])
    }

    /// How labels are coloured.
    pub(crate) fn label_colours(&self) -> BTreeMap<Label, [u8; 3]> {
        self.detail.labels.0.iter().map(|label| (label.value, label.rgb())).collect()
    }

    /// How much of a plane of the channel that is looked at is here.
    pub(crate) fn sharpness(&self, plane: Plane) -> Sharpness {
        let scan = self.images.get(&self.channel);
        scan.map_or(Sharpness::Nothing, |scan| scan.sharpness(self.geometry(), plane))
    }

    /// A voxel of the channel that is looked at, on a plane, if it is here itself.
    pub(crate) fn stored_voxel(&self, plane: Plane, voxel: [usize; 3]) -> Option<u16> {
        let scan = self.images.get(&self.channel)?;
        let geometry = self.geometry();
        scan.voxel(Geometry::offset(voxel, geometry.dims)).or_else(|| {
            let is_sharp = scan.sharpness(geometry, plane) == Sharpness::Sharp;
            let voxels = is_sharp.then(|| scan.plane(geometry, plane)).flatten()?;
            voxels.get(offset_in_plane(geometry, plane.axis, voxel)).copied()
        })
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
        if self.blank.contains(&plane) { self.blank_labels(plane) } else { self.labels_across(plane) }
    }

    /// Whether a plane is shown without its presegmentation.
    pub(crate) fn is_blank(&self, plane: Plane) -> bool {
        self.blank.contains(&plane)
    }

    /// A plane of a segmentation, if it is loaded.
    pub(crate) fn version_labels(&self, version: &str, plane: Plane) -> Option<Vec<Label>> {
        read_plane(self.geometry(), self.segmentations.get(version)?, plane)
    }

    /// A plane of the channel that is looked at, as far as it is here.
    pub(crate) fn image_plane(&self, plane: Plane) -> Option<Vec<u16>> {
        self.channel_plane(self.channel, plane)
    }

    /// A plane of a channel, as far as it is here.
    pub(crate) fn channel_plane(&self, channel: usize, plane: Plane) -> Option<Vec<u16>> {
        self.images.get(&channel)?.plane(self.geometry(), plane)
    }

    /// A plane's intensities in the channel that is looked at, if all of them are here.
    pub(crate) fn intensities(&self, plane: Plane) -> Option<Vec<f32>> {
        let info = self.image_info().filter(|_| self.sharpness(plane) == Sharpness::Sharp)?;
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
    PlaneLayout::new(geometry, plane).ok()?.read(voxels)
}
