//! What the refinement network that comes with the project makes of the expert's word, on a real scan.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use i3deep::inference::DeviceChoice;
use i3deep::inference::bundle::Stage;
use i3deep::pipeline::refine::{RefineInput, refine};
use i3deep::tasks::{load_stage, open_bundle};
use i3deep::volume_io::{read_labels, read_nifti};
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

/// One of the cases that no training saw. Its last eleven planes along x hold no hippocampus.
const CASE: &str = "hippocampus_162";

/// Where the false component is put: x of its centre.
const CENTRE_X: usize = 32;

struct Case {
    image: Volume<f32>,
    truth: Volume<Label>,
    presegmentation: Volume<Label>,
    /// Offsets of the false component's voxels.
    component: Vec<usize>,
}

/// A scan with a ball of its hippocampus copied to where none is, and a presegmentation that fell for it.
fn case_with_false_component(radius: f32) -> Option<Case> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hippocampus");
    if !data.is_dir() {
        eprintln!("skipped: ../shared/data/hippocampus is not there");
        return None;
    }
    let mut image = read_nifti(&data.join(format!("imagesTr/{CASE}_0000.nii.gz"))).unwrap().volume;
    let truth = read_labels(&data.join(format!("labelsTr/{CASE}.nii.gz"))).unwrap();
    let dims = truth.geometry().dims;
    let source = middle(&truth);
    let original = image.clone();
    let mut presegmentation = truth.clone();
    let mut component = Vec::new();
    for (step, distance) in ball(radius) {
        let from = Geometry::offset(std::array::from_fn(|axis| source[axis].strict_add_signed(step[axis])), dims);
        let to = Geometry::offset(std::array::from_fn(|axis| [CENTRE_X, source[1], source[2]][axis].strict_add_signed(step[axis])), dims);
        assert_eq!(truth.voxels()[to], BACKGROUND);
        // A soft rim, or the ball's edge would give the copy away.
        let weight = (radius + 0.5 - distance).clamp(0.0, 1.0);
        image.voxels_mut()[to] += weight * (original.voxels()[from] - original.voxels()[to]);
        if truth.voxels()[from] != BACKGROUND {
            presegmentation.voxels_mut()[to] = truth.voxels()[from];
            component.push(to);
        }
    }
    Some(Case { image, truth, presegmentation, component })
}

/// The foreground voxel nearest to the foreground's centre.
fn middle(labels: &Volume<Label>) -> [usize; 3] {
    let dims = labels.geometry().dims;
    let position = |at: usize| [at % dims[0], at / dims[0] % dims[1], at / (dims[0] * dims[1])];
    let inside: Vec<[usize; 3]> = (0..labels.voxels().len()).filter(|at| labels.voxels()[*at] != BACKGROUND).map(position).collect();
    let centre: [usize; 3] = std::array::from_fn(|axis| inside.iter().map(|voxel| voxel[axis]).sum::<usize>() / inside.len());
    let distance = |voxel: &&[usize; 3]| (0..3).map(|axis| voxel[axis].abs_diff(centre[axis]).pow(2)).sum::<usize>();
    *inside.iter().min_by_key(distance).unwrap()
}

/// Steps from the centre of a ball to its voxels, with their lengths.
fn ball(radius: f32) -> Vec<([isize; 3], f32)> {
    let reach = radius as isize;
    let steps = (-reach..=reach).flat_map(|z| (-reach..=reach).flat_map(move |y| (-reach..=reach).map(move |x| [x, y, z])));
    steps.map(|step| (step, step.iter().map(|d| (d * d) as f32).sum::<f32>().sqrt())).filter(|(_, length)| *length <= radius).collect()
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
        corrections: &case.truth,
        planes,
        foreground: &foreground,
        encoding: bundle.manifest.guidance,
        blend_mm: 0.0,
    };
    refine(&mut folds, &bundle.refinement, &input, &mut |_| ControlFlow::Continue(())).unwrap().labels
}

/// Share of the voxels that are foreground, left out those in the corrected planes.
fn foreground_share(labels: &Volume<Label>, voxels: &[usize], planes: &[Plane]) -> f64 {
    let dims = labels.geometry().dims;
    let corrected = |at: usize| planes.iter().any(|plane| plane.axis == Axis::Sagittal && at % dims[0] == plane.index);
    let outside: Vec<usize> = voxels.iter().copied().filter(|at| !corrected(*at)).collect();
    outside.iter().filter(|at| labels.voxels()[**at] != BACKGROUND).count() as f64 / outside.len() as f64
}

#[test]
fn one_plane_of_background_removes_a_false_component() {
    /// Shares of the component: at least `kept` stays without a word, at most `left` beside the plane.
    fn check(radius: f32, kept: f64, left: f64) {
        let Some(case) = case_with_false_component(radius) else { return };
        let plane = Plane { axis: Axis::Sagittal, index: CENTRE_X };
        assert!(case.truth.read_plane(plane).unwrap().iter().all(|label| *label == BACKGROUND));
        let without = foreground_share(&refined(&case, &[]), &case.component, &[]);
        let corrected = refined(&case, &[plane]);
        let beside = foreground_share(&corrected, &case.component, &[plane]);
        println!(
            "{} voxels of a false component: {without:.3} kept without a word, {beside:.3} left beside the plane",
            case.component.len()
        );
        assert!(without >= kept, "radius {radius}: {without:.3} stays without the plane");
        assert!(beside <= left, "radius {radius}: {beside:.3} is left");

        let organ: Vec<usize> = (0..case.truth.voxels().len()).filter(|at| case.truth.voxels()[*at] != BACKGROUND).collect();
        let organ_kept = foreground_share(&corrected, &organ, &[plane]);
        assert!(organ_kept > 0.9, "the real hippocampus keeps {organ_kept:.3} of its voxels");
    }
    check(4.0, 0.4, 0.02);
    // A larger one loses half of what stays without a word; two planes would be needed.
    check(5.0, 0.5, 0.3);
}
