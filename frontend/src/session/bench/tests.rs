//! The open case, without a browser.

use super::*;
use crate::annotate::history::Gesture;
use crate::annotate::tools::{self, Hand};
use crate::session::visit::Door;
use shared::acquisition::{AcquisitionParams, RankedSlice, SliceList};
use shared::api::PRESEGMENTATION;
use shared::crossing::offset_in_plane;
use shared::geometry::Axis;
use shared::label::{LabelInfo, LabelSet};

/// A case of 3 × 3 × 3 voxels with two labels that nobody has corrected.
pub(in crate::session) fn detail_for_test() -> CaseDetail {
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
        uncertain: None,
        warnings: Vec::new(),
        note: String::new(),
        assigned: Vec::new(),
        review: shared::api::ReviewState::Open,
        is_reading: false,
    };
    let label = |value| LabelInfo { value, name: String::new(), colour: String::new(), code: None };
    CaseDetail {
        summary,
        geometry: Geometry::axis_aligned([3, 3, 3], [1.0; 3]).unwrap(),
        images: vec![],
        labels: LabelSet(vec![label(1), label(2)]),
        versions: vec![shared::api::PRESEGMENTATION.into()],
        slices: None,
        has_series: false,
        next: None,
        corrections: vec![],
        refined_with: vec![],
        decisions: vec![],
        effort: vec![],
    }
}

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
        entropy: None,
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
            sent: Some(CorrectedSlice { plane: AXIAL, state: SliceState::Todo, runs: Runs(vec![(2, 9)]), revision: 1 }),
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
