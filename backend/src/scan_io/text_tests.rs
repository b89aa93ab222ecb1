//! NRRD and MetaImage, in and out. What other programs write is read in `tests/seg/peers.rs`.

use std::fs;

use proptest::prelude::*;
use shared::geometry::Geometry;
use shared::label::{LabelInfo, LabelSet};
use shared::volume::Volume;

use super::{LabelFile, Origin, read_labels, read_scan, write_f32, write_i16, write_labels, write_segmentation};

/// Two labels.
fn names() -> LabelSet {
    let label = |value, name: &str| LabelInfo { value, name: name.into(), colour: "#E69F00".into(), code: None };
    LabelSet(vec![label(1, "Anterior"), label(2, "Posterior")])
}

/// A grid turned about every axis.
fn oblique(dims: [usize; 3], angles: [f64; 3], spacing: [f64; 3], origin: [f64; 3]) -> Geometry {
    let [(sa, ca), (sb, cb), (sc, cc)] = angles.map(f64::sin_cos);
    let turn = [
        [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
        [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
        [-sb, sa * cb, ca * cb],
    ];
    let row = |row: usize| {
        let [x, y, z] = [0, 1, 2].map(|column| turn[row][column] * spacing[column]);
        [x, y, z, origin[row]]
    };
    Geometry::new(dims, spacing, [row(0), row(1), row(2)]).unwrap()
}

fn write_bytes(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, bytes).unwrap();
    (folder, file)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        dims in (1_usize..7, 1_usize..7, 1_usize..7),
        angles in (-3.0_f64..3.0, -1.5_f64..1.5, -3.0_f64..3.0),
        spacing in (0.1_f64..9.0, 0.1_f64..9.0, 0.1_f64..9.0),
        origin in (-500.0_f64..500.0, -500.0_f64..500.0, -500.0_f64..500.0),
        seed: u32,
    ) {
        let (dims, angles) = ([dims.0, dims.1, dims.2], [angles.0, angles.1, angles.2]);
        let geometry =
            oblique(dims, angles, [spacing.0, spacing.1, spacing.2], [origin.0, origin.1, origin.2]);
        let origin = Origin::of_geometry(&geometry);
        let number = |at: usize| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        let folder = tempfile::tempdir().unwrap();
        for ending in ["nrrd", "mha", "seg.nrrd", "nii.gz"] {
            let file = folder.path().join(format!("volume.{ending}"));
            let floats: Vec<f32> = (0..geometry.voxel_count()).map(|at| number(at) as f32 / 7.0 - 1e6).collect();
            let floats = Volume::new(geometry.clone(), floats).unwrap();
            write_f32(&file, &floats, &origin).unwrap();
            let read = read_scan(&file).unwrap().volume;
            prop_assert_eq!(read.voxels(), floats.voxels());
            prop_assert_eq!(read.geometry().check_same_grid(&geometry), Ok(()));
            if ending != "nii.gz" {
                // As written, to the last digits of a double.
                for (read, written) in
                    read.geometry().world_from_voxel.as_flattened().iter().zip(geometry.world_from_voxel.as_flattened())
                {
                    prop_assert!((read - written).abs() < 1e-9, "{} {}: {}", ending, read, written);
                }
            }
            let shorts = floats.map(|value| (value as i32 % 30_000) as i16);
            write_i16(&file, &shorts, &origin).unwrap();
            let read = read_scan(&file).unwrap().volume.into_voxels();
            prop_assert_eq!(read, shorts.map(f32::from).into_voxels());
            let labels = floats.map(|value| (value.abs() as u32 % 3) as u8);
            write_segmentation(&file, &labels, &origin, &names()).unwrap();
            prop_assert_eq!(read_labels(&file).unwrap().into_voxels(), labels.into_voxels());
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(at in 0_usize..400, value: u8, meta: bool) {
        let name = if meta { "a.mha" } else { "a.nrrd" };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let geometry = Geometry::axis_aligned([3, 2, 2], [1.0; 3]).unwrap();
        write_labels(&file, &Volume::filled(geometry.clone(), 1), &Origin::of_geometry(&geometry)).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        fs::write(&file, bytes).unwrap();
        let _ = read_scan(&file);
    }
}

#[test]
fn segments_have_names_colours_and_extents() {
    let geometry = Geometry::axis_aligned([4, 3, 2], [1.0, 2.0, 3.0]).unwrap();
    let mut labels = Volume::filled(geometry.clone(), 0);
    for voxel in [[1, 0, 1], [3, 2, 1]] {
        labels.voxels_mut()[Geometry::offset(voxel, geometry.dims)] = 1;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.seg.nrrd");
    write_segmentation(&file, &labels, &Origin::of_geometry(&geometry), &names()).unwrap();
    let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    for line in [
        "space: left-posterior-superior",
        "space directions: (-1,0,0) (0,-2,0) (0,0,3)",
        "Segment0_Name:=Anterior",
        "Segment0_Extent:=1 3 0 2 1 1",
        "Segment0_LabelValue:=1",
        "Segment1_Name:=Posterior",
        "Segment1_Extent:=0 -1 0 -1 0 -1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("Segment0_Color:=0.90196"), "{text}");
}

#[test]
fn segments_go_by_their_names() {
    fn check(renamed: &[(&str, &str)], expected: Result<&[u8], &str>) {
        let geometry = Geometry::axis_aligned([3, 1, 1], [1.0; 3]).unwrap();
        let labels = Volume::new(geometry.clone(), vec![0, 1, 2]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.seg.nrrd");
        let mut given = names();
        for (label, (_, name)) in given.0.iter_mut().zip(renamed) {
            label.name = (*name).to_owned();
        }
        write_segmentation(&file, &labels, &Origin::of_geometry(&geometry), &given).unwrap();
        let got = LabelFile::read(&file).unwrap().named(&names()).and_then(LabelFile::all);
        match (got, expected) {
            (Ok(labels), Ok(expected)) => assert_eq!(labels.voxels(), expected),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }
    check(&[("1", "Anterior"), ("2", "Posterior")], Ok(&[0, 1, 2]));
    // 3D Slicer numbers segments in the order in which they were made.
    check(&[("1", "posterior "), ("2", "ANTERIOR")], Ok(&[0, 2, 1]));
    check(&[("1", "Segment_1"), ("2", "Segment_2")], Ok(&[0, 1, 2]));
    check(
        &[("1", "Anterior"), ("2", "scratch")],
        Err("\"scratch\" is none of the task's labels (Anterior, Posterior)"),
    );
}

/// Headers that other programs write; two voxels along x.
#[test]
fn headers_mean_what_itk_takes_them_for() {
    fn check(name: &str, header: &str, world: [[f64; 4]; 3]) {
        let (_folder, file) = write_bytes(name, &[header.as_bytes(), &[7, 0, 9, 0]].concat());
        let scan = read_scan(&file).unwrap();
        assert_eq!(scan.volume.voxels(), [7.0, 9.0], "{header}");
        assert_eq!(scan.volume.geometry().world_from_voxel, world, "{header}");
    }
    const NRRD: &str =
        "NRRD0005\n# made by hand\ntype: short\ndimension: 3\nsizes: 2 1 1\nendian: little\nencoding: raw\n";
    let directions = "space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (10,20,30)\n\n";
    let lps = [[-1.0, 0.0, 0.0, -10.0], [0.0, -2.0, 0.0, -20.0], [0.0, 0.0, 3.0, 30.0]];
    let ras = [[1.0, 0.0, 0.0, 10.0], [0.0, 2.0, 0.0, 20.0], [0.0, 0.0, 3.0, 30.0]];
    let las = [[-1.0, 0.0, 0.0, -10.0], [0.0, 2.0, 0.0, 20.0], [0.0, 0.0, 3.0, 30.0]];
    check("a.nrrd", &format!("{NRRD}space: left-posterior-superior\n{directions}"), lps);
    check("a.nrrd", &format!("{NRRD}space: RAS\n{directions}"), ras);
    check("a.nrrd", &format!("{NRRD}space: left-anterior-superior\n{directions}"), las);
    check("a.nrrd", &format!("{NRRD}space dimension: 3\n{directions}"), lps);
    check("a.nrrd", &format!("{NRRD}spacings: 1 2 3\n\n").replace('\n', "\r\n"), {
        [[-1.0, 0.0, 0.0, 0.0], [0.0, -2.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]]
    });
    const META: &str = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 2 1 1\nElementType = MET_SHORT\n";
    check("a.mha", &format!("{META}Offset = 10 20 30\nElementSpacing = 1 2 3\nElementDataFile = LOCAL\n"), lps);
    check(
        "a.mha",
        &format!(
            "{META}Position = 10 20 30\nElementSize = 1 2 3\nTransformMatrix = 0 1 0 1 0 0 0 0 1\n\
             ElementDataFile = LOCAL\n"
        ),
        [[0.0, -2.0, 0.0, -10.0], [-1.0, 0.0, 0.0, -20.0], [0.0, 0.0, 3.0, 30.0]],
    );
}

#[test]
fn voxels_may_lie_beside_their_header_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let meta = |name: &str| {
        format!("ObjectType = Image\nNDims = 3\nDimSize = 2 1 1\nElementType = MET_UCHAR\nElementDataFile = {name}\n")
    };
    fs::write(at("a.raw"), [3, 4]).unwrap();
    fs::write(at("a.mhd"), meta("a.raw")).unwrap();
    assert_eq!(read_scan(&at("a.mhd")).unwrap().volume.voxels(), [3.0, 4.0]);
    fs::write(at("a.nhdr"), "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 1 1\nencoding: raw\ndata file: a.raw\n\n")
        .unwrap();
    assert_eq!(read_scan(&at("a.nhdr")).unwrap().volume.voxels(), [3.0, 4.0]);
    fs::create_dir(at("sub")).unwrap();
    for name in ["../a.raw", "/etc/passwd", "..\\a.raw", "..", "sub/../a.raw"] {
        fs::write(at("sub/b.mhd"), meta(name)).unwrap();
        let words = read_scan(&at("sub/b.mhd")).unwrap_err().to_string();
        assert!(words.contains("in another folder"), "{name}: {words}");
    }
    fs::write(at("b.mhd"), meta("gone.raw")).unwrap();
    assert!(read_scan(&at("b.mhd")).unwrap_err().to_string().contains("its voxels"));
}

#[test]
fn bad_files_are_refused_in_words() {
    #[track_caller]
    fn check(name: &str, bytes: &[u8], words: &str) {
        let (_folder, file) = write_bytes(name, bytes);
        let message = read_scan(&file).unwrap_err().to_string();
        assert!(message.contains(words), "'{message}' does not say '{words}'");
    }
    let nrrd = |change: &[(&str, &str)], voxels: &[u8]| {
        let mut header =
            "NRRD0004\ntype: short\ndimension: 3\nspace: LPS\nsizes: 2 1 1\nspace directions: (1,0,0) (0,1,0) \
                          (0,0,1)\nendian: little\nencoding: raw\n\n"
                .to_owned();
        for (from, to) in change {
            assert!(header.contains(from), "{from}");
            header = header.replace(from, to);
        }
        [header.as_bytes(), voxels].concat()
    };
    let two = [7, 0, 9, 0];
    check("a.nrrd", &nrrd(&[], &two[..3]), "promises 4 bytes, it holds 3");
    check("a.nrrd", &nrrd(&[("encoding: raw\n", "")], &two), "it has no encoding");
    check("a.nrrd", &nrrd(&[("raw", "bzip2")], &two), "encoded as \"bzip2\"; save it as raw or gzip");
    check("a.nrrd", &nrrd(&[("raw", "gzip")], &two), "said to be packed with gzip");
    check("a.nrrd", &nrrd(&[("short", "block")], &two), "\"block\", no numbers");
    check("a.nrrd", &nrrd(&[("endian: little\n", "")], &two), "which byte order");
    check("a.nrrd", &nrrd(&[("(0,1,0)", "(0,1)")], &two), "no vectors of three numbers");
    check("a.nrrd", &nrrd(&[("(0,1,0)", "none")], &two), "no vectors of three numbers");
    check("a.nrrd", &nrrd(&[("(0,1,0)", "(1,0,0)")], &two), "not invertible");
    check("a.nrrd", &nrrd(&[("(0,1,0)", "(0,nan,0)")], &two), "no vectors of three numbers");
    check("a.nrrd", &nrrd(&[("LPS", "right-up")], &two), "says not where the patient is");
    check("a.nrrd", &nrrd(&[("2 1 1", "2 1")], &two), "contradict each other");
    check("a.nrrd", &nrrd(&[("2 1 1", "2 1"), ("dimension: 3", "dimension: 2")], &two), "2 ([2, 1]) dimensions");
    check(
        "a.nrrd",
        &nrrd(&[("2 1 1", "3 2 1 1"), ("dimension: 3", "dimension: 4")], &two),
        "4 ([3, 2, 1, 1]) dimensions",
    );
    check("a.nrrd", &nrrd(&[("2 1 1", "0 1 1")], &two), "has no content");
    check("a.nrrd", &nrrd(&[("2 1 1", "2048 2048 2048")], &two), "8589934592 voxels");
    check("a.nrrd", &nrrd(&[("2 1 1", "9999999999 1 1")], &two), "voxels along its axes");
    check("a.nrrd", &nrrd(&[("encoding: raw", "encoding: raw\ndata file: LIST")], &two), "many files");
    check(
        "a.nrrd",
        &nrrd(&[("encoding: raw", "encoding: raw\nspace units: \"cm\" \"cm\" \"cm\"")], &two),
        "\"cm\". Save it in mm",
    );
    check("a.nrrd", &nrrd(&[("encoding: raw", "encoding: raw\nbyte skip: -7")], &two), "makes no sense");
    check(
        "a.nrrd",
        &nrrd(&[("encoding: raw", "encoding: raw\nkinds: vector domain domain")], &two),
        "not three of space",
    );
    check("a.nrrd", b"NRRD0004\ntype: short", "does not end");
    check("a.mha", b"ObjectType = Image\nNDims = 3\n", "does not end");
    let meta = |change: (&str, &str)| {
        let header = "ObjectType = Image\nNDims = 3\nCompressedData = False\nDimSize = 2 1 1\nElementType = MET_SHORT\n\
                      ElementDataFile = LOCAL\n";
        assert!(header.contains(change.0));
        [header.replace(change.0, change.1).as_bytes(), &two].concat()
    };
    check("a.mha", &meta(("Image", "Tube")), "\"Tube\" and no image");
    check("a.mha", &meta(("False", "True")), "damaged or cut off");
    check("a.mha", &meta(("MET_SHORT", "MET_FLOAT_ARRAY")), "no numbers that can be read");
    check("a.mha", &meta(("MET_SHORT", "MET_SHORT\nElementNumberOfChannels = 3")), "vectors or colours");
    check("a.mha", &meta(("MET_SHORT", "MET_SHORT\nElementSpacing = 1 1")), "are no numbers, or too few");
    check("a.mha", &meta(("DimSize = 2 1 1", "DimSize = 2 1 1\nHeaderSize = -3")), "HeaderSize makes no sense");
}
