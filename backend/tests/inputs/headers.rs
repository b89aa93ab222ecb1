//! Headers as ITK and nibabel read them: units, files in two parts, NIfTI-2, either byte order, packed with padding,
//! scaled, and contradictions.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use i3deep::scan_io::{read_labels, read_scan};

use crate::desk::{Desk, Fields};

const DIMS: [usize; 3] = [32, 32, 24];

fn plain() -> Fields {
    Fields::plain(DIMS, [1.0, 1.0, 1.5])
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn one_scan_in_many_files_is_one_scan() {
    let desk = Desk::new();
    let intensities = desk.intensities();
    let voxels = intensities.voxels();
    fs::write(desk.at("plain.nii"), plain().floats(voxels)).unwrap();
    let expected = desk.presegmented("plain.nii");
    assert!(expected.voxels().iter().any(|label| *label > 0));
    #[track_caller]
    fn check(desk: &Desk, name: &str, bytes: &[u8], expected: &[u8]) {
        fs::write(desk.at(name), bytes).unwrap();
        assert!(desk.presegmented(name).voxels() == expected, "{name} is another scan");
    }
    let check = |name: &str, bytes: &[u8]| check(&desk, name, bytes, expected.voxels());
    let scaled = |by: f32, units: u8| {
        let mut fields = plain();
        fields.units = units;
        (1..4).for_each(|axis| fields.pixdim[axis] *= by);
        fields.srow.iter_mut().flatten().for_each(|v| *v *= by);
        fields
    };
    // SimpleITK 2.5.7 reads 1 × 1 × 1.5 mm from each of these.
    check("micrometres.nii", &scaled(1000.0, 3).floats(voxels));
    check("metres.nii", &scaled(1e-3, 1).floats(voxels));
    check("unknown-unit.nii", &scaled(1.0, 0).floats(voxels));
    check("seconds-too.nii", &scaled(1000.0, 3 | 8).floats(voxels));
    // The qform alone, and a qform beside an sform of zeros.
    check("qform.nii", &Fields { codes: [1, 0], srow: [[0.0; 4]; 3], ..plain() }.floats(voxels));
    check("sform-of-zeros.nii", &Fields { codes: [1, 1], srow: [[0.0; 4]; 3], ..plain() }.floats(voxels));
    // gunzip, nibabel 5.4.2 and SimpleITK 2.5.7 read all of these.
    let bytes = plain().floats(voxels);
    check("padded.nii.gz", &[packed(&bytes), vec![0; 512]].concat());
    check("garbage-behind.nii.gz", &[packed(&bytes), b"garbage".to_vec()].concat());
    check("members.nii.gz", &[packed(&bytes[..1000]), packed(&bytes[1000..50_000]), packed(&bytes[50_000..])].concat());
    check("big-endian.nii", &plain().bytes(voxels.iter().map(|v| v.to_le_bytes()), true));
    let doubles = Fields { datatype: 64, slope: 2.0, intercept: -10.0, ..plain() };
    check("scaled.nii", &doubles.bytes(voxels.iter().map(|v| ((f64::from(*v) + 10.0) / 2.0).to_le_bytes()), false));
    // nibabel: a slope of 0, or that is no number, means none.
    check("slope-zero.nii", &Fields { slope: 0.0, intercept: 5.0, ..plain() }.floats(voxels));
    check("slope-nan.nii", &Fields { slope: f32::NAN, ..plain() }.floats(voxels));
    let far = [&Fields { offset: 1024.0, ..plain() }.floats(&[])[..], &[7; 1024 - 352], &bytes[352..]].concat();
    check("extension.nii", &far);
    let mut header = bytes[..348].to_vec();
    header[344..348].copy_from_slice(b"ni1\0");
    header[108..112].fill(0);
    fs::write(desk.at("pair.img"), &bytes[352..]).unwrap();
    check("pair.hdr", &header);
    check("pair.img", &bytes[352..]);
    check("second.nii", &second(voxels));
}

/// NIfTI-2, by the offsets of nifti2.h.
fn second(voxels: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 544];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &540_i32.to_le_bytes());
    put(4, b"n+2\0\r\n\x1a\n");
    put(12, &16_i16.to_le_bytes());
    put(14, &32_i16.to_le_bytes());
    [3_i64, 32, 32, 24, 1, 1, 1, 1].iter().enumerate().for_each(|(i, n)| put(16 + 8 * i, &n.to_le_bytes()));
    [1.0_f64, 1.0, 1.0, 1.5].iter().enumerate().for_each(|(i, n)| put(104 + 8 * i, &n.to_le_bytes()));
    put(168, &544_i64.to_le_bytes());
    put(176, &1_f64.to_le_bytes());
    put(348, &1_i32.to_le_bytes());
    for (row, size) in [1.0_f64, 1.0, 1.5].iter().enumerate() {
        put(400 + 32 * row + 8 * row, &size.to_le_bytes());
    }
    put(500, &2_i32.to_le_bytes());
    voxels.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    bytes
}

#[test]
fn headers_that_cannot_be_right_are_refused_in_words() {
    let desk = Desk::new();
    let intensities = desk.intensities();
    let voxels = intensities.voxels();
    let check = |name: &str, bytes: &[u8], words: &str| {
        fs::write(desk.at(name), bytes).unwrap();
        desk.refused(
            &["presegment", "--bundle", "BUNDLE", "--image", name, "--out", "none", "--device", "cpu"],
            1,
            words,
        );
        assert!(!desk.at("none/slices.json").exists());
    };
    let sized = |x: f32, y: f32, z: f32| Fields::plain(DIMS, [x, y, z]).floats(voxels);
    check(
        "wide.nii",
        &sized(100.0, 100.0, 150.0),
        "voxels on the network's grid, more than 536870912, which is the limit",
    );
    check("micrometres-said-mm.nii", &sized(1000.0, 1000.0, 1500.0), "may be in micrometres");
    check("metres-of-slices.nii", &sized(1.0, 1.0, 9000.0), "216.0 m long: 24 voxels of 9000 mm");
    check("kilometres-of-slices.nii", &sized(1.0, 1.0, 90_000.0), "spacing");
    check("metres-said-mm.nii", &sized(0.001, 0.001, 0.0015), "may be in metres and say millimetres");
    check("huge.nii", &sized(1e30, 1.0, 1.0), "spacing");
    check(
        "rgb.nii",
        &Fields { datatype: 128, ..plain() }.bytes(voxels.iter().map(|_| [1_u8, 2, 3]), false),
        "RGB colours",
    );
    check(
        "complex.nii",
        &Fields { datatype: 32, ..plain() }.bytes(voxels.iter().map(|_| [0_u8; 8]), false),
        "complex numbers",
    );
    check("offset.nii", &Fields { offset: 300.0, ..plain() }.floats(voxels), "begin at byte 300 (vox_offset)");
    check("offset-far.nii", &Fields { offset: 3e9, ..plain() }.floats(voxels), "(vox_offset)");
    check("offset-behind.nii", &Fields { offset: 1e6, ..plain() }.floats(voxels), "behind its end");
    check(
        "intercept.nii",
        &Fields { slope: 2.0, intercept: f32::NAN, ..plain() }.floats(voxels),
        "adds NaN, which is no number",
    );
    check(
        "no-place.nii",
        &Fields { codes: [0, 1], srow: [[0.0; 4]; 3], ..plain() }.floats(voxels),
        "affine is not invertible",
    );
    check(
        "quaternion.nii",
        &Fields { codes: [1, 0], quatern: [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], ..plain() }.floats(voxels),
        "affine is not invertible",
    );
    let doubles = Fields { datatype: 64, ..plain() };
    check(
        "large.nii",
        &doubles.bytes((0..voxels.len()).map(|at| if at == 33 { 1e48_f64 } else { 1.0 }.to_le_bytes()), false),
        "voxel [1, 1, 0] is 1e48, too large for f32",
    );
    check(
        "flat.nii",
        &Fields { dim: [2, 32, 32, 1, 1, 1, 1, 1], ..plain() }.floats(&voxels[..1024]),
        "picture of two dimensions",
    );
    check("time.nii", &Fields { dim: [4, 32, 32, 12, 2, 1, 1, 1], ..plain() }.floats(voxels), "a scan has 3");
}

#[test]
fn a_picture_stays_one() {
    // SimpleITK 2.5.7: size (32, 20), spacing (1.5, 2).
    let desk = Desk::new();
    let fields =
        Fields { dim: [2, 32, 20, 1, 1, 1, 1, 1], pixdim: [1.0, 1.5, 2.0, 7.0, 0.0, 0.0, 0.0, 0.0], ..plain() };
    fs::write(desk.at("picture.nii"), fields.floats(&vec![1.0; 640])).unwrap();
    let scan = read_scan(&desk.at("picture.nii")).unwrap();
    assert_eq!(scan.volume.geometry().dims, [32, 20, 1]);
    // nnU-Net gives the missing axis 999 times the larger spacing.
    assert_eq!(scan.volume.geometry().spacing_mm, [1.5, 2.0, 1998.0]);
    i3deep::scan_io::write_labels(&desk.at("labels.nii"), &scan.volume.map(|v| v as u8), &scan.origin).unwrap();
    let written = fs::read(desk.at("labels.nii")).unwrap();
    assert_eq!(written[40..48], [2, 0, 32, 0, 20, 0, 1, 0], "two dimensions again");
    assert_eq!(read_labels(&desk.at("labels.nii")).unwrap().geometry(), scan.volume.geometry());
}

#[test]
fn labels_a_hair_off_are_labels_and_only_what_is_looked_at_is_checked() {
    let desk = Desk::new();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first", "--device", "cpu"]);
    let text = fs::read_to_string(desk.at("first/slices.json")).unwrap();
    fs::write(desk.at("bom.json"), format!("\u{feff}{text}")).unwrap();
    let list: shared::acquisition::SliceList = serde_json::from_str(&text).unwrap();
    let labels = desk.labels();
    let whole: Vec<f32> = labels.voxels().iter().map(|label| f32::from(*label)).collect();
    let refine = [
        "refine",
        "--bundle",
        "BUNDLE",
        "--image",
        "scan.nii.gz",
        "--slices",
        "bom.json",
        "--out",
        "r.nii.gz",
        "--device",
        "cpu",
    ];
    let check = |name: &str, bytes: &[u8], expected: Option<&str>| {
        fs::write(desk.at(name), bytes).unwrap();
        let arguments = [&refine[..], &["--corrections", name]].concat();
        match expected {
            None => desk.done(&arguments),
            Some(words) => desk.refused(&arguments, 1, words),
        }
    };
    let floats = |change: &dyn Fn(usize, f32) -> f32| {
        plain().floats(&whole.iter().enumerate().map(|(at, v)| change(at, *v)).collect::<Vec<_>>())
    };
    check("ulp.nii", &floats(&|_, v| if v == 1.0 { 0.999_999_94 } else { v }), None);
    check("small-slope.nii", &floats(&|_, v| v * 0.996), None);
    check("above.nii", &floats(&|_, v| v * 1.000_000_1), None);
    // A byte with a float slope, as some editors save: 249 × 0.004 = 0.996.
    let bytes = Fields { datatype: 2, slope: 0.004, ..plain() };
    check(
        "slope.nii",
        &bytes.bytes(labels.voxels().iter().map(|label| [[0_u8, 249][usize::from(*label).min(1)]]), false),
        None,
    );
    check("halves.nii", &floats(&|_, v| v / 2.0), Some("labels are whole numbers"));
    // Elsewhere than in the listed planes anything may stand.
    let grid = labels.geometry();
    let listed = |at: usize| {
        let voxel = shared::geometry::Geometry::voxel_at(at, grid.dims);
        list.slices.iter().any(|slice| voxel[grid.stored_axis(slice.plane().axis)] == slice.plane().index)
    };
    check("elsewhere.nii", &floats(&|at, v| if listed(at) { v } else { 0.37 }), None);
    check("nan-elsewhere.nii", &floats(&|at, v| if listed(at) { v } else { f32::NAN }), None);
}
