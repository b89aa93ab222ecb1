//! The small inputs of `../shared/cases`, folder by folder: what its README calls right. Every kind also has tests of
//! generated inputs; here it is only seen that its own instances are right as well.

use std::fs;
use std::path::{Path, PathBuf};

use i3deep::scan_io::{read_labels, read_scan};
use shared::intensity::{Packing, Quantiles, Window};

use crate::desk::Desk;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases")
}

/// A desk with a copy of one of the folders.
fn desk(folder: &str) -> Desk {
    let desk = Desk::new();
    let from = cases().join(folder);
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), desk.at(&entry.file_name().to_string_lossy())).unwrap();
    }
    desk
}

const PRESEGMENT: [&str; 5] = ["presegment", "--bundle", "BUNDLE", "--device", "cpu"];
const REFINE: [&str; 5] = ["refine", "--bundle", "BUNDLE", "--device", "cpu"];

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn units_01() {
    let desk = desk("01-units");
    assert!(desk.presegmented("mm.nii.gz").voxels() == desk.presegmented("micrometre.nii.gz").voxels());
    let wide = [&PRESEGMENT[..], &["--image", "spacing-100mm.nii.gz", "--out", "none"]].concat();
    desk.refused(&wide, 1, "voxels on the network's grid, more than 536870912, which is the limit");
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn output_over_input_02() {
    let desk = desk("02-output-over-input");
    desk.done(&[&PRESEGMENT[..], &["--image", "scan.nii.gz", "--out", "first"]].concat());
    let before = ["scan.nii.gz", "corrected.nii.gz"].map(|name| fs::read(desk.at(name)).unwrap());
    let given = ["--image", "scan.nii.gz", "--corrections", "corrected.nii.gz", "--slices", "first/slices.json"];
    for out in
        [&["--out", "scan.nii.gz"][..], &["--out", "corrected.nii.gz"], &["--out", "u", "--uncertainty-out", "u"]]
    {
        desk.refused(&[&REFINE[..], &given, out].concat(), 2, "choose");
    }
    assert!(before == ["scan.nii.gz", "corrected.nii.gz"].map(|name| fs::read(desk.at(name)).unwrap()));
    let over = [&PRESEGMENT[..], &["--image", "first/presegmentation.nii.gz", "--out", "first"]].concat();
    desk.refused(&over, 2, "would be written over the scan");
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn channels_apart_03() {
    let desk = desk("03-channels-apart");
    fs::create_dir(desk.at("images")).unwrap();
    fs::rename(desk.at("case_0_0000.nii.gz"), desk.at("images/case_0_0000.nii.gz")).unwrap();
    fs::rename(desk.at("mirrored_0001.nii.gz"), desk.at("images/case_0_0001.nii.gz")).unwrap();
    let network = cases().join("networks/two");
    let predict = ["predict", "-m", network.to_str().unwrap(), "-i", "images", "-o", "out", "-device", "cpu"];
    desk.refused(&predict, 1, "case_0_0001.nii.gz is stored LAS instead of RAS");
    assert!(!desk.at("out/case_0.nii.gz").exists());
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn acquire_mirrored_04() {
    let desk = desk("04-acquire-mirrored");
    let acquire = ["acquire", "--uncertainty", "uncertainty.nii.gz", "--presegmentation"];
    desk.done(&[&acquire[..], &["presegmentation.nii.gz"]].concat());
    desk.refused(&[&acquire[..], &["presegmentation-stored-mirrored.nii.gz"]].concat(), 1, "mirrored");
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn window_05() {
    let look = |name: &str| {
        let voxels = read_scan(&cases().join("05-window").join(name)).unwrap().volume.into_voxels();
        let quantiles = Quantiles::of(&voxels);
        let range = voxels.iter().fold([f32::MAX, f32::MIN], |[low, high], v| [low.min(*v), high.max(*v)]);
        let packing = Packing::of(&voxels, &quantiles);
        let levels: Vec<u16> = voxels.iter().map(|voxel| packing.pack(*voxel)).collect();
        let full = Window::full(&quantiles);
        let ends = [full.centre - full.width / 2.0, full.centre + full.width / 2.0];
        let off = range.iter().zip(ends).map(|(range, end)| (range - end).abs()).fold(0.0, f32::max);
        assert!(off <= 0.01 * full.width, "{name}: {full:?}, there is {range:?}");
        // How many of the voxels that are not padding the automatic window shows neither black nor white.
        let window = Window::of(&quantiles);
        let shade = |v: f32| (v - window.centre) / window.width + 0.5;
        let tissue: Vec<f32> = voxels.iter().copied().filter(|v| *v != voxels[0]).map(shade).collect();
        let grey = tissue.iter().filter(|shade| (0.0..=1.0).contains(*shade)).count() as f64 / tissue.len() as f64;
        let count = |mut all: Vec<u32>| {
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        // Of so many different intensities so many are left when they are packed.
        (grey, count(voxels.iter().map(|v| v.to_bits()).collect()), count(levels.into_iter().map(u32::from).collect()))
    };
    for name in ["left-column-is-padding-8x500x400.nii.gz", "one-hot-voxel.nii.gz", "whole-numbers.nii.gz"] {
        let (grey, intensities, levels) = look(name);
        // Padding may share a level with what is darkest.
        assert!(levels + 1 >= intensities.min(200), "{name}: {levels} of {intensities} levels");
        assert!(grey > 0.5, "{name}: {grey} of the tissue is grey");
    }
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn dot_files_06() {
    let desk = desk("06-dot-files");
    fs::create_dir(desk.at("images")).unwrap();
    fs::rename(desk.at("a_0000.nii.gz"), desk.at("images/a_0000.nii.gz")).unwrap();
    // Beside it what a Mac leaves; the folder's own has lost its name on some ways.
    fs::write(desk.at("images/._a_0000.nii.gz"), "Mac OS X").unwrap();
    desk.done(&["predict", "-m", "NETWORK", "-i", "images", "-o", "out", "-device", "cpu"]);
    assert!(desk.at("out/a.nii.gz").is_file() && !desk.at("out/._a.nii.gz").exists());
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn labels_07_and_masks_08() {
    for (folder, scan, mask) in [
        ("07-labels-a-hair-off", "scan.nii.gz", "one-ulp.nii.gz"),
        ("08-resaved-masks", "no-orientation.nii.gz", "no-orientation_mask-by-SimpleITK.nii.gz"),
    ] {
        let desk = desk(folder);
        desk.done(&[&PRESEGMENT[..], &["--image", scan, "--out", "first"]].concat());
        let given =
            ["--image", scan, "--corrections", mask, "--slices", "first/slices.json", "--out", "refined.nii.gz"];
        desk.done(&[&REFINE[..], &given].concat());
        assert_eq!(
            read_labels(&desk.at("refined.nii.gz")).unwrap().geometry(),
            read_scan(&desk.at(scan)).unwrap().volume.geometry(),
            "{folder}"
        );
    }
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn padded_gzip_09() {
    let desk = desk("09-gz-padded");
    assert!(desk.presegmented("zeros-behind.nii.gz").voxels().iter().any(|label| *label > 0));
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn absent_labels_12() {
    let desk = Desk::new();
    let folder = cases().join("12-evaluate-absent-label");
    let [images, labels] = ["images", "labels"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let given = ["evaluate", "--bundle", "BUNDLE", "--images", &images, "--labels", &labels, "--out", "out"];
    desk.done(&[&given[..], &["--strategies", "greedy", "--device", "cpu"]].concat());
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(desk.at("out/summary.json")).unwrap()).unwrap();
    let spread = &summary["settings"][0]["columns"]["hd95_mm_refined"];
    assert_eq!(spread["cases"], 3, "{spread}");
    let table = fs::read_to_string(desk.at("out/results.csv")).unwrap();
    let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let at = lines.next().unwrap().iter().position(|name| *name == "hd95_mm_refined").unwrap();
    let mm: Vec<f64> = lines.map(|row| row[at].parse().unwrap()).collect();
    let [empty, full, no_lesion] = mm[..] else { panic!("{mm:?}") };
    assert!(full < no_lesion && no_lesion < empty, "the false lesions look worst: {mm:?}");
}
