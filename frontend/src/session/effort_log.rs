//! What each slice takes: seconds with a hand at work, strokes, contour and voxels changed. Kept with the case; what a
//! visit has measured is said again as it grows, so that nothing counts twice.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::effort::{SliceEffort, drawn_mm, in_plane_spacing_mm};
use shared::geometry::Plane;

use super::Session;
use super::bench::Bench;
use super::lease::Lease;
use crate::api;

/// Whoever does nothing for longer is not at work.
const IDLE_MS: f64 = 30_000.0;
/// While work goes on it is noted this often.
const NOTE_MS: f64 = 20_000.0;

/// What the open case has taken on this visit.
#[derive(Default)]
pub(super) struct EffortLog {
    slices: BTreeMap<Plane, SliceEffort>,
    /// What the slices had taken before this visit.
    before: BTreeMap<Plane, SliceEffort>,
    /// Something was done.
    seen_ms: Option<f64>,
    /// Something was noted on the server.
    noted_ms: f64,
    is_open: bool,
}

impl EffortLog {
    /// Something is done on a slice: the time since the last act counts, if it was not a pause.
    fn act(&mut self, plane: Option<Plane>, now_ms: f64) {
        let since_ms = self.seen_ms.replace(now_ms).map_or(0.0, |seen_ms| now_ms - seen_ms);
        if let Some(plane) = plane.filter(|_| since_ms > 0.0 && since_ms < IDLE_MS) {
            self.of(plane).seconds += since_ms / 1000.0;
        }
    }

    fn of(&mut self, plane: Plane) -> &mut SliceEffort {
        self.is_open = true;
        let before = self.before.get(&plane).copied().unwrap_or(SliceEffort::none(plane));
        // What has changed stays until it is measured anew.
        self.slices.entry(plane).or_insert(SliceEffort { seconds: 0.0, strokes: 0, ..before })
    }

    /// What a slice has taken on this visit and before; nothing if it has not been worked on here.
    fn total(&self, plane: Plane) -> Option<SliceEffort> {
        let before = self.before.get(&plane).copied().unwrap_or(SliceEffort::none(plane));
        self.slices.get(&plane).map(|now| now.after(before))
    }

    /// What is to be noted, if it is time.
    fn due(&mut self, now_ms: f64, is_urgent: bool) -> Option<Vec<SliceEffort>> {
        if !self.is_open || (!is_urgent && now_ms - self.noted_ms < NOTE_MS) {
            return None;
        }
        (self.is_open, self.noted_ms) = (false, now_ms);
        Some(self.slices.values().copied().collect())
    }
}

impl Session {
    /// The person at the screen has done something.
    pub(super) fn note_act(self) {
        if self.case.lease.now() == Lease::Elsewhere {
            return;
        }
        let target = self.rounds.target.now().filter(|target| self.plane_of(target.axis) == Some(*target));
        self.effort_log.update_value(|log| log.act(target, js_sys::Date::now()));
    }

    /// A stroke was done, undone or done again.
    pub(super) fn note_stroke(self, plane: Plane) {
        self.effort_log.update_value(|log| log.of(plane).strokes += 1);
    }

    /// The expert has said how far a slice is: what has changed on it is measured.
    pub(super) fn note_change(self, plane: Plane) {
        let Some((changed_voxels, contour_mm)) = self.read(|bench| measured(bench, plane)).flatten() else { return };
        self.effort_log.update_value(|log| {
            let entry = log.of(plane);
            (entry.changed_voxels, entry.contour_mm) = (changed_voxels, contour_mm);
        });
    }

    /// What a slice has taken so far, on this visit and before.
    pub(super) fn effort_of(self, bench: &Bench, plane: Plane) -> Option<SliceEffort> {
        let known = || bench.detail.effort.iter().find(|known| known.plane == plane).copied();
        self.effort_log.with_value(|log| log.total(plane)).or_else(known)
    }

    /// Notes on the server what this visit has measured; at once, or if it is time.
    pub(super) fn note_effort(self, is_urgent: bool) {
        let Some(case) = self.read(|bench| bench.visit.case.clone()) else { return };
        let page = self.visit_name();
        let due = self.effort_log.try_update_value(|log| log.due(js_sys::Date::now(), is_urgent)).flatten();
        let Some(slices) = due else { return };
        spawn_local(async move {
            if api::note_effort(&case, &page, &slices).await.is_err() {
                self.effort_log.update_value(|log| log.is_open = true);
            }
        });
    }

    /// Another visit begins.
    pub(super) fn begin_effort_log(self, before: &[SliceEffort]) {
        let before = before.iter().map(|slice| (slice.plane, *slice)).collect();
        self.effort_log.set_value(EffortLog { before, ..EffortLog::default() });
    }

    /// Notes what is open in a request that outlives the page.
    pub(super) fn note_parting_effort(self) {
        let Some(case) = self.read(|bench| bench.visit.case.clone()) else { return };
        let due = self.effort_log.try_update_value(|log| log.due(js_sys::Date::now(), true)).flatten();
        due.into_iter().for_each(|slices| api::note_effort_parting(&case, &self.visit_name(), &slices));
    }

    /// This visit of the case by a name that no other has.
    fn visit_name(self) -> String {
        let number = self.wanted().map_or(0, |visit| visit.number());
        format!("{}-{number}", self.page())
    }

    /// The effort log as a file.
    pub(super) fn download_effort(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        let page = self.visit_name();
        let slices = self.effort_log.with_value(|log| log.slices.values().copied().collect::<Vec<_>>());
        spawn_local(async move {
            match api::note_effort(&visit.case, &page, &slices).await {
                Ok(()) if self.is_shown(&visit) => self.fetch(&api::effort_url(&visit.case)),
                Ok(()) => {}
                Err(trouble) => self.complain(&trouble),
            }
        });
    }
}

/// Voxels of a plane that are called otherwise than by the newest segmentation, and the contour that was drawn for it.
/// What an earlier round has counted and the segmentation holds by now stays counted.
fn measured(bench: &Bench, plane: Plane) -> Option<(u32, f64)> {
    let before = bench.version_labels(bench.latest()?, plane)?;
    let after = &bench.corrections.get(&plane)?.labels;
    let changed = before.iter().zip(after).filter(|(before, after)| before != after).count() as u32;
    let geometry = bench.geometry();
    let drawn = drawn_mm(&before, after, geometry.plane_dims(plane.axis), in_plane_spacing_mm(geometry, plane));
    let was_refined_with = bench.detail.refined_with.iter().any(|slice| slice.plane == plane);
    let known = bench.detail.effort.iter().find(|known| known.plane == plane).filter(|_| was_refined_with);
    let (known_voxels, known_mm) = known.map_or((0, 0.0), |known| (known.changed_voxels, known.contour_mm));
    Some((changed.max(known_voxels), drawn.max(known_mm)))
}

#[cfg(test)]
mod tests {
    use shared::geometry::Axis;

    use super::*;

    const PLANE: Plane = Plane { axis: Axis::Axial, index: 1 };

    #[test]
    fn seconds_count_while_a_hand_is_at_work() {
        fn check(acts_ms: &[f64], expected: f64) {
            let mut log = EffortLog::default();
            acts_ms.iter().for_each(|now_ms| log.act(Some(PLANE), *now_ms));
            assert_eq!(log.slices.get(&PLANE).map_or(0.0, |slice| slice.seconds), expected, "{acts_ms:?}");
        }
        check(&[], 0.0);
        check(&[5_000.0], 0.0);
        check(&[5_000.0, 7_500.0, 8_000.0], 3.0);
        // A coffee, and back.
        check(&[0.0, 1_000.0, 600_000.0, 602_000.0], 3.0);
        // The clock was set back.
        check(&[5_000.0, 1_000.0, 2_000.0], 1.0);
    }

    #[test]
    fn what_is_noted_is_noted_once_until_more_is_done() {
        let mut log = EffortLog::default();
        assert_eq!(log.due(100_000.0, true), None);
        log.of(PLANE).strokes = 2;
        let noted = log.due(100_000.0, false).unwrap();
        assert_eq!((noted[0].plane, noted[0].strokes), (PLANE, 2));
        assert_eq!(log.due(100_000.0, true), None);
        log.of(PLANE).strokes = 3;
        assert_eq!(log.due(110_000.0, false), None, "too soon");
        assert_eq!(log.due(110_000.0, true).unwrap()[0].strokes, 3);
    }

    #[test]
    fn a_look_at_a_slice_does_not_forget_what_was_changed_on_it() {
        let before = SliceEffort { plane: PLANE, seconds: 9.0, strokes: 3, contour_mm: 7.0, changed_voxels: 40 };
        let mut log = EffortLog { before: [(PLANE, before)].into(), ..EffortLog::default() };
        assert_eq!(log.total(PLANE), None);
        log.act(Some(PLANE), 1_000.0);
        log.act(Some(PLANE), 3_000.0);
        assert_eq!(log.total(PLANE), Some(SliceEffort { seconds: 11.0, ..before }));
        assert_eq!(log.due(0.0, true).unwrap(), [SliceEffort { seconds: 2.0, strokes: 0, ..before }]);
    }
}
