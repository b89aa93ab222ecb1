//! What the refinement network that comes with the project makes of the expert's word, on a real scan.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use i3deep::bundle::Stage;
use i3deep::inference::DeviceChoice;
use i3deep::pipeline::refine::{RefineInput, refine};
use i3deep::scan_io::{read_labels, read_scan};
use i3deep::tasks::{load_stage, open_bundle};
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

/// A ball of hippocampus copied to where none is, in a case that no training saw; voxels are `[x, y, z]`.
///
/// The refinement falls for few such copies, so these are two of those that it does fall for. The sagittal plane
/// through the copy's centre shows no hippocampus.
struct Copy {
    case: &'static str,
    radius: f32,
    from: [usize; 3],
    to: [usize; 3],
}

struct Case {
    image: Volume<f32>,
    truth: Volume<Label>,
    presegmentation: Volume<Label>,
    /// Offsets of the false component's voxels.
    component: Vec<usize>,
}

/// A scan with the copy in it, and a presegmentation that fell for it.
fn case_with_false_component(copy: &Copy) -> Case {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hippocampus");
    let mut image = read_scan(&data.join(format!("imagesTr/{}_0000.nii.gz", copy.case))).unwrap().volume;
    let truth = read_labels(&data.join(format!("labelsTr/{}.nii.gz", copy.case))).unwrap();
    let dims = truth.geometry().dims;
    let original = image.clone();
    let mut presegmentation = truth.clone();
    let mut component = Vec::new();
    for (step, distance) in ball(copy.radius) {
        let is_inside = |centre: [usize; 3]| {
            (0..3).all(|axis| centre[axis].checked_add_signed(step[axis]).is_some_and(|at| at < dims[axis]))
        };
        if !is_inside(copy.from) || !is_inside(copy.to) {
            continue;
        }
        let at = |centre: [usize; 3]| {
            Geometry::offset(std::array::from_fn(|axis| centre[axis].strict_add_signed(step[axis])), dims)
        };
        let (from, to) = (at(copy.from), at(copy.to));
        assert_eq!(truth.voxels()[to], BACKGROUND);
        // A soft rim, or the ball's edge would give the copy away.
        let weight = (copy.radius + 0.5 - distance).clamp(0.0, 1.0);
        image.voxels_mut()[to] += weight * (original.voxels()[from] - original.voxels()[to]);
        if truth.voxels()[from] != BACKGROUND {
            presegmentation.voxels_mut()[to] = truth.voxels()[from];
            component.push(to);
        }
    }
    Case { image, truth, presegmentation, component }
}

/// Steps from the centre of a ball to its voxels, with their lengths.
fn ball(radius: f32) -> Vec<([isize; 3], f32)> {
    let reach = radius as isize;
    let steps =
        (-reach..=reach).flat_map(|z| (-reach..=reach).flat_map(move |y| (-reach..=reach).map(move |x| [x, y, z])));
    steps
        .map(|step| (step, step.iter().map(|d| (d * d) as f32).sum::<f32>().sqrt()))
        .filter(|(_, length)| *length <= radius)
        .collect()
}

fn bundle_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/hippocampus")
}

fn refined(case: &Case, planes: &[Plane]) -> Volume<Label> {
    let bundle = open_bundle(&bundle_folder()).unwrap();
    let mut folds = load_stage(&bundle, Stage::Refinement, DeviceChoice::Cpu).unwrap();
    let foreground: Vec<Label> = bundle.manifest.labels.0.iter().map(|label| label.value).collect();
    let input = RefineInput {
        channels: std::slice::from_ref(&case.image),
        presegmentation: &case.presegmentation,
        uncertainty: None,
        corrections: &case.truth,
        planes,
        contradicted: 0.0,
        foreground: &foreground,
        encoding: bundle.encoding(),
        blend_mm: bundle.manifest.blend_mm,
    };
    refine(&mut folds, bundle.plan(Stage::Refinement), &input, None, &mut |_| ControlFlow::Continue(())).unwrap().labels
}

/// Share of the voxels that are foreground, left out those in the corrected planes.
fn foreground_share(labels: &Volume<Label>, voxels: &[usize], planes: &[Plane]) -> f64 {
    let dims = labels.geometry().dims;
    let corrected = |at: usize| planes.iter().any(|plane| plane.axis == Axis::Sagittal && at % dims[0] == plane.index);
    let outside: Vec<usize> = voxels.iter().copied().filter(|at| !corrected(*at)).collect();
    outside.iter().filter(|at| labels.voxels()[**at] != BACKGROUND).count() as f64 / outside.len() as f64
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn one_plane_of_background_removes_a_false_component() {
    /// Shares of the component: at least `kept` stays without a word, at most `left` beside the plane.
    fn check(copy: &Copy, kept: f64, left: f64) {
        let case = case_with_false_component(copy);
        let plane = Plane { axis: Axis::Sagittal, index: copy.to[0] };
        assert!(case.truth.read_plane(plane).unwrap().iter().all(|label| *label == BACKGROUND));
        let without = foreground_share(&refined(&case, &[]), &case.component, &[]);
        let corrected = refined(&case, &[plane]);
        let beside = foreground_share(&corrected, &case.component, &[plane]);
        println!(
            "{} voxels of a false component: {without:.3} kept without a word, {beside:.3} left beside the plane",
            case.component.len()
        );
        assert!(without >= kept, "{}: {without:.3} stays without the plane", copy.case);
        assert!(beside <= left, "{}: {beside:.3} is left", copy.case);

        let organ: Vec<usize> =
            (0..case.truth.voxels().len()).filter(|at| case.truth.voxels()[*at] != BACKGROUND).collect();
        let organ_kept = foreground_share(&corrected, &organ, &[plane]);
        assert!(organ_kept > 0.9, "the real hippocampus keeps {organ_kept:.3} of its voxels");
    }
    check(&Copy { case: "hippocampus_075", radius: 6.0, from: [9, 29, 16], to: [26, 27, 18] }, 0.4, 0.02);
    check(&Copy { case: "hippocampus_136", radius: 7.0, from: [12, 34, 9], to: [27, 26, 13] }, 0.5, 0.02);
}
