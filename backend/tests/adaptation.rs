//! What a network learns from a case's corrected slices, and that nothing of it stays behind: the phantom bundle's own
//! networks on generated scans.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use i3deep::bundle::{Bundle, Stage};
use i3deep::inference::engine::set_threads;
use i3deep::inference::{DeviceChoice, Network, NetworkError};
use i3deep::phantom::{PhantomParams, generate};
use i3deep::pipeline::adapt::{AdaptationParams, FallBack};
use i3deep::pipeline::presegment::SegmentError;
use i3deep::pipeline::refine::{Adaptation, RefineInput, Refined, refine};
use i3deep::scan_io::read_labels;
use i3deep::tasks::{load_stage, open_bundle};
use serde_json::Value;
use shared::geometry::{Axis, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

/// A generated scan that the bundle's networks find hard: bright is dark.
struct Hard {
    image: Volume<f32>,
    truth: Volume<Label>,
}

fn hard(case: u64) -> Hard {
    let made = generate(&PhantomParams { seed: 77, ..PhantomParams::default() }, case).unwrap();
    let mut image = made.image;
    let largest = image.voxels().iter().copied().fold(0.0, f32::max);
    for value in image.voxels_mut() {
        // The body alone: what is 0 around it stays.
        *value = if *value > 0.0 { 1.1 * largest - *value } else { 0.0 };
    }
    Hard { image, truth: made.labels }
}

fn planes(indices: &[(Axis, usize)]) -> Vec<Plane> {
    indices.iter().map(|(axis, index)| Plane { axis: *axis, index: *index }).collect()
}

/// Planes through the middle of what is there.
fn through(truth: &Volume<Label>) -> Vec<Plane> {
    let geometry = truth.geometry();
    let shown = |plane: &Plane| truth.read_plane(*plane).unwrap().iter().filter(|label| **label != BACKGROUND).count();
    [Axis::Sagittal, Axis::Coronal, Axis::Axial]
        .into_iter()
        .flat_map(|axis| {
            let mut all: Vec<Plane> = (0..geometry.plane_count(axis)).map(|index| Plane { axis, index }).collect();
            all.retain(|plane| shown(plane) > 0);
            [all[all.len() / 3], all[2 * all.len() / 3]]
        })
        .collect()
}

struct Networks {
    bundle: Bundle,
    folds: Vec<Box<dyn Network>>,
}

fn presegmentation() -> Networks {
    // The tests run side by side; threads of one that wait for each other hold the others up.
    set_threads(1);
    let bundle = open_bundle(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/phantom")).unwrap();
    let folds = load_stage(&bundle, Stage::Presegmentation, DeviceChoice::Cpu).unwrap();
    Networks { bundle, folds }
}

/// Refines with the presegmentation network alone, as a bundle without a refinement network does. The presegmentation
/// is as good as can be, so that nobody doubts the contrast: here networks must learn.
fn run(
    networks: &mut Networks,
    case: &Hard,
    (corrections, planes): (&Volume<Label>, &[Plane]),
    params: Option<&AdaptationParams>,
    weights: Option<&[u8]>,
    progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
) -> Result<Refined, SegmentError> {
    let input = RefineInput {
        channels: std::slice::from_ref(&case.image),
        presegmentation: &case.truth,
        uncertainty: None,
        corrections,
        planes,
        contradicted: 0.0,
        foreground: &[1, 2],
        encoding: None,
        blend_mm: 0.0,
    };
    let plan = networks.bundle.plan(Stage::Presegmentation).clone();
    let adaptation = params.map(|params| Adaptation { params, weights, elapsed_s: &|| 0.0 });
    refine(&mut networks.folds, &plan, &input, adaptation, progress)
}

fn go_on(_: f32) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Dice of all foreground outside of the planes.
fn dice_outside(labels: &Volume<Label>, truth: &Volume<Label>, planes: &[Plane]) -> f64 {
    let mut inside = Volume::filled(truth.geometry().clone(), false);
    for plane in planes {
        let size = truth.read_plane(*plane).unwrap().len();
        inside.write_plane(*plane, &vec![true; size]).unwrap();
    }
    let (mut both, mut sum) = (0, 0);
    for ((ours, theirs), inside) in labels.voxels().iter().zip(truth.voxels()).zip(inside.voxels()) {
        if !inside {
            both += usize::from(*ours != BACKGROUND && *theirs != BACKGROUND);
            sum += usize::from(*ours != BACKGROUND) + usize::from(*theirs != BACKGROUND);
        }
    }
    2.0 * both as f64 / sum as f64
}

const FEW_STEPS: AdaptationParams =
    AdaptationParams { seconds: None, steps: 10, seed: 3, rate: 2e-3, anchor_weight: 0.3, decoder_only: false };

#[test]
fn what_is_learned_from_a_few_slices_helps_beyond_them_and_stays_with_the_case() {
    let mut networks = presegmentation();
    let (case, other) = (hard(0), hard(1));
    let planes = through(&case.truth);
    let none = Volume::filled(other.truth.geometry().clone(), BACKGROUND);
    let other_before = run(&mut networks, &other, (&none, &[]), None, None, &mut go_on).unwrap();
    let before = run(&mut networks, &case, (&case.truth, &planes), None, None, &mut go_on).unwrap();
    let once = run(&mut networks, &case, (&case.truth, &planes), Some(&FEW_STEPS), None, &mut go_on).unwrap();
    let again = run(&mut networks, &case, (&case.truth, &planes), Some(&FEW_STEPS), None, &mut go_on).unwrap();

    let [was, is] = [&before, &once].map(|refined| dice_outside(&refined.labels, &case.truth, &planes));
    println!("Dice outside of {} planes: {was:.3} → {is:.3}", planes.len());
    assert!(is > was + 0.1, "Dice outside of the planes {was:.3} → {is:.3}");
    let adapted = once.adapted.unwrap();
    assert_eq!(adapted.report.fell_back, None, "{}", adapted.report);
    let [error_was, error_is] = adapted.report.error.unwrap();
    assert!(error_is < error_was);

    // The same seed, the same bits.
    let repeated = again.adapted.unwrap();
    assert_eq!((&adapted.report, &adapted.weights), (&repeated.report, &repeated.weights));
    assert_eq!((&once.labels, &once.uncertainty), (&again.labels, &again.uncertainty));

    // Nothing is left behind in the networks.
    let other_after = run(&mut networks, &other, (&none, &[]), None, None, &mut go_on).unwrap();
    assert_eq!((other_before.labels, other_before.uncertainty), (other_after.labels, other_after.uncertainty));

    // The next round goes on from there, also without learning anything more.
    let no_time = AdaptationParams { seconds: Some(0.0), ..FEW_STEPS };
    let next =
        run(&mut networks, &case, (&case.truth, &planes), Some(&no_time), adapted.weights.as_deref(), &mut go_on)
            .unwrap();
    assert_eq!(next.labels, once.labels);
    let next = next.adapted.unwrap();
    assert_eq!((next.report.fell_back, next.weights), (Some(FallBack::NoTime), adapted.weights));
}

#[test]
fn planes_tell_that_bright_is_dark() {
    let mut networks = presegmentation();
    let plan = networks.bundle.plan(Stage::Presegmentation).clone();
    let made = generate(&PhantomParams { seed: 77, ..PhantomParams::default() }, 0).unwrap();
    // Nothing was found beforehand, so the contrast is in doubt.
    let mut check = |case: &Hard, turned: &[usize], least: f64| {
        let planes = through(&case.truth);
        let input = RefineInput {
            channels: std::slice::from_ref(&case.image),
            presegmentation: &Volume::filled(case.truth.geometry().clone(), BACKGROUND),
            uncertainty: None,
            corrections: &case.truth,
            planes: &planes,
            contradicted: 0.0,
            foreground: &[1, 2],
            encoding: None,
            blend_mm: 0.0,
        };
        let refined = refine(&mut networks.folds, &plan, &input, None, &mut go_on).unwrap();
        assert_eq!(refined.turned, turned);
        let dice = dice_outside(&refined.labels, &case.truth, &planes);
        assert!(dice > least, "Dice outside of the planes {dice:.3}");
    };
    check(&hard(0), &[0], 0.6);
    check(&Hard { image: made.image, truth: made.labels }, &[], 0.6);
}

#[test]
fn an_ensemble_moves_by_what_its_first_fold_learns() {
    let case = hard(0);
    let planes = through(&case.truth);
    let refined = |networks: &mut Networks, params: Option<&AdaptationParams>| {
        run(networks, &case, (&case.truth, &planes), params, None, &mut go_on).unwrap()
    };
    // Twins say the same before, so together they say what one of them says after.
    let (mut one, mut twins) = (presegmentation(), presegmentation());
    twins.folds.extend(presegmentation().folds);
    let (alone, together) = (refined(&mut one, Some(&FEW_STEPS)), refined(&mut twins, Some(&FEW_STEPS)));
    assert_eq!(alone.adapted.as_ref().unwrap().report.fell_back, None);
    assert_eq!((alone.labels, alone.uncertainty), (together.labels, together.uncertainty));
    // Where nothing was learned, all folds say what they said.
    let no_time = AdaptationParams { seconds: Some(0.0), ..FEW_STEPS };
    let (plain, fell_back) = (refined(&mut twins, None), refined(&mut twins, Some(&no_time)));
    assert_eq!(fell_back.adapted.unwrap().report.fell_back, Some(FallBack::NoTime));
    assert_eq!((plain.labels, plain.uncertainty), (fell_back.labels, fell_back.uncertainty));
}

#[test]
fn slices_that_contradict_the_others_do_not_spoil_the_result() {
    let mut networks = presegmentation();
    let made = generate(&PhantomParams { seed: 77, ..PhantomParams::default() }, 0).unwrap();
    let case = Hard { image: made.image, truth: made.labels };
    // The expert wipes the organ out of its largest planes; one plane, with the middle error, is right.
    let [wiped, right, empty] =
        [(Axis::Axial, 24), (Axis::Coronal, 32), (Axis::Sagittal, 1)].map(|plane| planes(&[plane])[0]);
    let mut corrections = case.truth.clone();
    let size = case.truth.read_plane(wiped).unwrap().len();
    corrections.write_plane(wiped, &vec![BACKGROUND; size]).unwrap();
    let all = [wiped, right, empty];
    let plain = run(&mut networks, &case, (&corrections, &all), None, None, &mut go_on).unwrap();
    let guarded = run(&mut networks, &case, (&corrections, &all), Some(&FEW_STEPS), None, &mut go_on).unwrap();
    let adapted = guarded.adapted.unwrap();
    assert_eq!(adapted.report.fell_back, Some(FallBack::NoBetter), "{}", adapted.report);
    assert_eq!((adapted.weights, guarded.labels), (None, plain.labels));
}

#[test]
fn one_slice_is_too_few_to_check_it_by() {
    let mut networks = presegmentation();
    let case = hard(0);
    let plane = &through(&case.truth)[..1];
    let refined = run(&mut networks, &case, (&case.truth, plane), Some(&FEW_STEPS), None, &mut go_on).unwrap();
    assert_eq!(refined.adapted.unwrap().report.fell_back, Some(FallBack::TooFewPlanes));
}

#[test]
fn learning_stops_when_it_is_called_off() {
    let mut networks = presegmentation();
    let case = hard(0);
    let planes = through(&case.truth);
    let mut heard = Vec::new();
    let mut call_off = |done: f32| {
        heard.push(done);
        if done > 0.2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let stopped = run(&mut networks, &case, (&case.truth, &planes), Some(&FEW_STEPS), None, &mut call_off);
    assert!(matches!(stopped, Err(SegmentError::Network(NetworkError::Cancelled))));
    assert!(heard.is_sorted() && heard.last().is_some_and(|done| *done < 0.3), "{heard:?}");
}

#[test]
fn weights_of_another_network_are_refused() {
    let mut networks = presegmentation();
    let case = hard(0);
    let planes = through(&case.truth);
    let refused = run(&mut networks, &case, (&case.truth, &planes), Some(&FEW_STEPS), Some(b"nothing"), &mut go_on);
    assert!(matches!(refused, Err(SegmentError::Network(NetworkError::NotTrainable(_)))));
}

/// Runs the program in a folder; its exit status and what it printed.
fn i3deep(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_i3deep")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_line_says_whether_and_how_long_to_adapt() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/phantom");
    let bundle = bundle.to_str().unwrap();
    let run = |arguments: &[&str]| i3deep(folder.path(), arguments);
    assert_eq!(run(&["phantom", "--out", ".", "--cases", "1", "--seed", "5", "--size", "32,32,24"]).0, 0);
    let (image, labels) = ("imagesTr/phantom_001_0000.nii.gz", "labelsTr/phantom_001.nii.gz");
    assert_eq!(run(&["presegment", "--bundle", bundle, "--image", image, "--out", "case"]).0, 0);
    let refine = |adapt: &str, out: &str| {
        let files = ["--image", image, "--corrections", labels, "--slices", "case/slices.json", "--out", out];
        let learned = ["--adapt", adapt, "--adapted-weights-out", "learned.safetensors", "--json"];
        run(&[&["refine", "--bundle", bundle], &files[..], &learned[..]].concat())
    };
    let voxels = |out: &str| read_labels(&folder.path().join(out)).unwrap().into_voxels();

    let (code, printed, _) = refine("off", "off.nii.gz");
    let said: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &said["adaptation"]), (0, &Value::Null));

    let (code, printed, _) = refine("0.001", "short.nii.gz");
    let said: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, said["adaptation"]["fell_back"].as_str()), (0, Some("no_time")), "{printed}");
    assert_eq!(voxels("short.nii.gz"), voxels("off.nii.gz"));
    assert!(!folder.path().join("learned.safetensors").exists(), "nothing was learned");

    let (code, _, complaint) = refine("soon", "never.nii.gz");
    assert_eq!(code, 2);
    assert!(complaint.contains("'soon' is neither off, auto nor a number of seconds above 0"), "{complaint}");
}
