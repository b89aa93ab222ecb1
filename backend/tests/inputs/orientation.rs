//! Scans that are stored as none that the networks were trained on: said, or turned for the networks by the bundle's
//! choice.

use std::fs;

use i3deep::scan_io::{Origin, read_labels, write_f32, write_labels};
use shared::acquisition::SliceList;
use shared::geometry::{Geometry, Plane};
use shared::volume::Volume;

use crate::desk::{Desk, bundle};

/// A volume whose x and y run the other way in its file; every voxel keeps its place.
fn turned<T: Copy>(volume: &Volume<T>) -> Volume<T> {
    let grid = volume.geometry();
    let [nx, ny, _] = grid.dims;
    let mut affine = grid.world_from_voxel;
    for row in &mut affine {
        row[3] += row[0] * (nx - 1) as f64 + row[1] * (ny - 1) as f64;
        (row[0], row[1]) = (-row[0], -row[1]);
    }
    let voxels = volume.voxels().chunks(nx * ny).flat_map(|plane| plane.iter().rev().copied()).collect();
    Volume::new(Geometry::new(grid.dims, grid.spacing_mm, affine).unwrap(), voxels).unwrap()
}

fn planes(list: &SliceList) -> Vec<Plane> {
    list.slices.iter().map(|slice| slice.plane()).collect()
}

#[test]
fn a_scan_stored_otherwise_is_warned_about_or_turned() {
    let desk = Desk::new();
    assert_eq!(desk.labels().geometry().orientation(), "RAS");
    let scan = turned(&desk.intensities());
    assert_eq!(scan.geometry().orientation(), "LPS");
    write_f32(&desk.at("lps.nii.gz"), &scan, &Origin::of_geometry(scan.geometry())).unwrap();
    let labels = turned(&desk.labels());
    write_labels(&desk.at("lps-labels.nii.gz"), &labels, &Origin::of_geometry(labels.geometry())).unwrap();

    let presegment = |bundle: &str, image: &str, out: &str| {
        let (code, said) =
            desk.run(&["presegment", "--bundle", bundle, "--image", image, "--out", out, "--device", "cpu"]);
        assert_eq!(code, 0, "{said}");
        let list: SliceList = serde_json::from_slice(&fs::read(desk.at(out).join("slices.json")).unwrap()).unwrap();
        (read_labels(&desk.at(out).join("presegmentation.nii.gz")).unwrap(), list, said)
    };
    let (expected, slices, said) = presegment("BUNDLE", "scan.nii.gz", "ras");
    assert!(!said.contains("warning"), "{said}");
    let (_, _, said) = presegment("BUNDLE", "lps.nii.gz", "untouched");
    assert!(said.contains("the scan is stored LPS, and the networks were trained on scans stored RAS"), "{said}");

    assert!(
        std::process::Command::new("cp").arg("-r").arg(bundle()).arg(desk.at("turning")).status().unwrap().success()
    );
    let manifest = desk.at("turning/bundle.json");
    let mut content: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    content["reorient"] = true.into();
    fs::write(&manifest, content.to_string()).unwrap();
    let (found, turned_slices, said) = presegment("turning", "lps.nii.gz", "lps");
    assert!(!said.contains("warning"), "{said}");
    assert!(found.voxels() == turned(&expected).voxels(), "the networks saw another scan");
    assert_eq!(planes(&turned_slices).len(), planes(&slices).len());

    let evaluated = |bundle: &str, scan: &str, labels: &str| {
        for (folder, file, name) in [("im", scan, "case_0000.nii.gz"), ("la", labels, "case.nii.gz")] {
            fs::create_dir_all(desk.at(folder)).unwrap();
            fs::copy(desk.at(file), desk.at(folder).join(name)).unwrap();
        }
        let out = format!("evaluated-{bundle}");
        let files = ["--images", "im", "--labels", "la", "--out", &out];
        let (code, said) = desk.run(&[&["evaluate", "--bundle", bundle, "--device", "cpu"][..], &files].concat());
        assert_eq!(code, 0, "{said}");
        let table = fs::read_to_string(desk.at(&out).join("results.csv")).unwrap();
        let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let (names, row) = (lines.next().unwrap(), lines.next().unwrap());
        let of = |name: &str| row[names.iter().position(|other| *other == name).unwrap()].to_owned();
        // What depends on no choice between planes that are worth the same.
        (["dice_presegmentation", "dice_no_plane"].map(of), said)
    };
    let warned = "warning: in 1 of 1 cases (case) the scan is stored LPS, and the networks were trained on";
    let (dice, said) = evaluated("BUNDLE", "scan.nii.gz", "labels.nii.gz");
    assert!(!said.contains(warned), "{said}");
    let (same, said) = evaluated("turning", "lps.nii.gz", "lps-labels.nii.gz");
    assert!(same == dice && !said.contains(warned), "the evaluation saw another scan: {same:?}, not {dice:?}");
    fs::remove_dir_all(desk.at("evaluated-BUNDLE")).unwrap();
    let (_, said) = evaluated("BUNDLE", "lps.nii.gz", "lps-labels.nii.gz");
    assert!(said.contains(warned), "{said}");

    let refine = |bundle: &str, image: &str, corrections: &str, first: &str| {
        let out = format!("{first}/refined.nii.gz");
        let list = format!("{first}/slices.json");
        let arguments = [
            "refine",
            "--bundle",
            bundle,
            "--image",
            image,
            "--corrections",
            corrections,
            "--slices",
            &list,
            "--out",
            &out,
        ];
        desk.done(&[&arguments[..], &["--device", "cpu"]].concat());
        read_labels(&desk.at(&out)).unwrap()
    };
    // The same planes of the patient in both.
    let mut same = turned_slices.clone();
    same.slices = slices.slices.clone();
    let grid = desk.labels().geometry().clone();
    for slice in &mut same.slices {
        let plane = slice.plane();
        let stored = grid.stored_axis(plane.axis);
        if stored < 2 {
            slice.index = grid.dims[stored] - 1 - plane.index;
        }
    }
    fs::write(desk.at("lps/slices.json"), serde_json::to_vec(&same).unwrap()).unwrap();
    let straight = refine("BUNDLE", "scan.nii.gz", "labels.nii.gz", "ras");
    let back = refine("turning", "lps.nii.gz", "lps-labels.nii.gz", "lps");
    assert!(back.voxels() == turned(&straight).voxels(), "the refinement saw another scan");
}
