//! One rule for "same grid" in every command, with numbers; and masks that other programs saved for the very scan.

use std::fs;

use i3deep::scan_io::{Origin, write_f32, write_labels};
use shared::geometry::{Affine, Geometry};
use shared::volume::Volume;

use crate::desk::{Desk, Fields, placed};

const DIMS: [usize; 3] = [32, 32, 24];
const SPACING: [f64; 3] = [1.0, 1.0, 1.5];
const PLAIN: Affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.5, 0.0]];

/// Three ways to lie elsewhere, and what is said of them.
fn elsewhere() -> [(&'static str, Affine, &'static str); 3] {
    let mut mirrored = PLAIN;
    (mirrored[0][0], mirrored[0][3]) = (-1.0, 31.0);
    let mut moved = PLAIN;
    moved[1][3] = 0.5;
    let mut stretched = PLAIN;
    stretched[2][2] = 1.6;
    [
        ("mirrored", mirrored, "is stored LAS instead of RAS"),
        ("moved", moved, "lies elsewhere: its first voxel is at (0, 0.5, 0) mm instead of (0, 0, 0)"),
        ("stretched", stretched, "has voxels of 1 × 1 × 1.6 mm instead of 1 × 1 × 1.5"),
    ]
}

#[test]
fn what_lies_elsewhere_is_refused_by_every_command_with_numbers() {
    let desk = Desk::new();
    let image = Volume::new(Geometry::new(DIMS, SPACING, PLAIN).unwrap(), desk.intensities().into_voxels()).unwrap();
    let (image, origin) = placed(&image, SPACING, PLAIN);
    write_f32(&desk.at("scan.nii.gz"), &image, &origin).unwrap();
    let (labels, origin) = placed(&desk.labels(), SPACING, PLAIN);
    write_labels(&desk.at("labels.nii.gz"), &labels, &origin).unwrap();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first", "--device", "cpu"]);
    for (name, affine, words) in elsewhere() {
        let spacing = if name == "stretched" { [1.0, 1.0, 1.6] } else { SPACING };
        let (wrong, origin) = placed(&labels, spacing, affine);
        let file = format!("{name}.nii.gz");
        write_labels(&desk.at(&file), &wrong, &origin).unwrap();
        let refine = [
            "refine",
            "--bundle",
            "BUNDLE",
            "--image",
            "scan.nii.gz",
            "--slices",
            "first/slices.json",
            "--out",
            "r.nii.gz",
        ];
        desk.refused(&[&refine[..], &["--corrections", &file]].concat(), 1, words);
        desk.refused(
            &[&refine[..], &["--corrections", "labels.nii.gz", "--presegmentation", &file]].concat(),
            1,
            words,
        );
        desk.refused(
            &["acquire", "--uncertainty", "first/uncertainty.nii.gz", "--presegmentation", &file, "--out", "s.json"],
            1,
            words,
        );
        let (second, origin) = placed(&image, spacing, affine);
        write_f32(&desk.at(&file), &second, &origin).unwrap();
        let both = ["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--image", &file, "--out", "none"];
        desk.refused(&both, 1, words);
        let unsure = ["--presegmentation", "first/presegmentation.nii.gz", "--uncertainty", &file];
        desk.refused(&[&refine[..], &["--corrections", "labels.nii.gz"], &unsure].concat(), 1, words);
        assert!(!desk.at("r.nii.gz").exists() && !desk.at("s.json").exists() && !desk.at("none/slices.json").exists());
    }
}

/// The scan under some header, and a mask as another program saved it for that scan: `refine` takes it.
#[track_caller]
fn check_mask(desk: &Desk, name: &str, scan: &Fields, mask: &Fields) {
    let intensities = desk.intensities();
    fs::write(desk.at("odd.nii"), scan.floats(intensities.voxels())).unwrap();
    let labels: Vec<f32> = desk.labels().voxels().iter().map(|label| f32::from(*label)).collect();
    fs::write(desk.at("mask.nii"), mask.floats(&labels)).unwrap();
    let out = format!("first-{name}");
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "odd.nii", "--out", &out, "--device", "cpu"]);
    let slices = format!("{out}/slices.json");
    let refined = format!("{out}/refined.nii.gz");
    desk.done(&[
        "refine",
        "--bundle",
        "BUNDLE",
        "--image",
        "odd.nii",
        "--slices",
        &slices,
        "--corrections",
        "mask.nii",
        "--out",
        &refined,
    ]);
}

#[test]
fn masks_that_other_programs_saved_for_the_scan_are_taken() {
    let desk = Desk::new();
    let plain = Fields::plain(DIMS, [1.0, 1.0, 1.5]);
    let saved = |srow: [[f32; 4]; 3], spacing: [f32; 3]| Fields { srow, codes: [0, 1], ..Fields::plain(DIMS, spacing) };
    // SimpleITK 2.5.7 puts a scan without orientation at the origin, x to the left and y to the back.
    let none = Fields { codes: [0, 0], ..plain.clone() };
    let lps = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.5, 0.0]];
    check_mask(&desk, "none-itk", &none, &saved(lps, [1.0, 1.0, 1.5]));
    // nibabel 5.4.2 puts its middle there, x to the left.
    let centred = [[-1.0, 0.0, 0.0, 15.5], [0.0, 1.0, 0.0, -15.5], [0.0, 0.0, 1.5, -17.25]];
    check_mask(&desk, "none-nibabel", &none, &saved(centred, [1.0, 1.0, 1.5]));
    // Where sform and qform differ, SimpleITK goes by the qform unless the sform's code is 1; nibabel by the sform.
    let two = Fields { codes: [1, 2], quatern: [0.0, 0.0, 0.0, -10.0, -20.0, 30.0], ..plain.clone() };
    check_mask(
        &desk,
        "two-itk",
        &two,
        &saved([[1.0, 0.0, 0.0, -10.0], [0.0, 1.0, 0.0, -20.0], [0.0, 0.0, 1.5, 30.0]], [1.0, 1.0, 1.5]),
    );
    check_mask(&desk, "two-nibabel", &two, &saved(plain.srow, [1.0, 1.0, 1.5]));
    // Where pixdim and sform differ, SimpleITK has the sform's directions and pixdim's sizes.
    let mut wide = plain.clone();
    wide.srow[0][0] = 1.2;
    wide.codes = [0, 1];
    check_mask(&desk, "wide-itk", &wide, &saved(plain.srow, [1.0, 1.0, 1.5]));
    // A sheared sform is none for SimpleITK, which takes the qform.
    let mut sheared = plain.clone();
    sheared.srow[0][1] = 0.3;
    check_mask(&desk, "sheared-itk", &sheared, &saved(plain.srow, [1.0, 1.0, 1.5]));
    check_mask(&desk, "sheared-nibabel", &sheared, &saved(sheared.srow, [1.0, 1.0, 1.5]));
}

#[test]
fn the_same_scan_stored_mirrored_gives_the_same_slices_or_none() {
    let desk = Desk::new();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first", "--device", "cpu"]);
    let labels = i3deep::scan_io::read_labels(&desk.at("first/presegmentation.nii.gz")).unwrap();
    let grid = labels.geometry();
    let mut affine = grid.world_from_voxel;
    for row in &mut affine {
        row[3] += row[0] * 31.0;
        row[0] = -row[0];
    }
    let mirrored = Geometry::new(grid.dims, grid.spacing_mm, affine).unwrap();
    let voxels = labels.voxels().chunks(32).flat_map(|row| row.iter().rev().copied()).collect();
    let volume = Volume::new(mirrored.clone(), voxels).unwrap();
    write_labels(&desk.at("mirrored.nii.gz"), &volume, &Origin::of_geometry(&mirrored)).unwrap();
    let acquire = [
        "acquire",
        "--uncertainty",
        "first/uncertainty.nii.gz",
        "--presegmentation",
        "mirrored.nii.gz",
        "--out",
        "s.json",
    ];
    desk.refused(&acquire, 1, "mirrored, or its axes are in another order");
}
