//! Written here, read here.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use i3deep::scan_io::{
    Algorithm, KeptReference, LabelFile, Origin, SegContent, SegKind, SeriesReference, encode_seg, is_dicom,
    read_origin, read_reference, read_scan, series_files, write_labels,
};
use proptest::prelude::*;
use serde_json::Value;
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{Code, LabelCode, LabelInfo, LabelSet};
use shared::volume::Volume;

use crate::series::{CANARIES, Series};

fn label(value: u8, name: &str) -> LabelInfo {
    let code = Code { scheme: "SCT".into(), value: "5366008".into(), meaning: "Hippocampus".into() };
    let code = (value == 1).then_some(LabelCode { category: None, kind: code, modifier: None });
    LabelInfo { value, name: name.into(), colour: "#E69F00".into(), code }
}

fn two() -> LabelSet {
    LabelSet(vec![label(1, "Anterior"), label(2, "Posterior")])
}

struct Desk {
    folder: tempfile::TempDir,
    scan: Origin,
}

impl Desk {
    fn of(series: &Series) -> Self {
        let folder = tempfile::tempdir().unwrap();
        series.write(&folder.path().join("series"), |[x, y, z]| (x + 10 * y + 100 * z) as i16);
        let scan = read_origin(&folder.path().join("series")).unwrap();
        Self { folder, scan }
    }

    fn series(&self) -> Vec<PathBuf> {
        series_files(&self.folder.path().join("series"))
    }

    fn labels(&self, label: impl Fn([usize; 3]) -> u8) -> Volume<u8> {
        let geometry = self.scan.geometry().clone();
        let voxels = (0..geometry.voxel_count()).map(|at| label(Geometry::voxel_at(at, geometry.dims))).collect();
        Volume::new(geometry, voxels).unwrap()
    }

    fn reference(&self) -> SeriesReference {
        read_reference(&self.series(), KeptReference::Patient).unwrap().unwrap()
    }

    fn written(&self, labels: &Volume<u8>, names: &LabelSet, kind: SegKind, corrected: &[Plane]) -> PathBuf {
        self.written_of(&self.reference(), labels, names, kind, corrected)
    }

    fn written_of(
        &self,
        reference: &SeriesReference,
        labels: &Volume<u8>,
        names: &LabelSet,
        kind: SegKind,
        corrected: &[Plane],
    ) -> PathBuf {
        let algorithm = Algorithm::of("test", "1.0");
        let made = DateTime::<Utc>::from_timestamp(1_700_000_000, 0).unwrap();
        let content = SegContent { labels, names, reference, algorithm: &algorithm, corrected, kind, made };
        let file = self.folder.path().join("seg.dcm");
        std::fs::write(&file, encode_seg(&content).unwrap()).unwrap();
        file
    }

    fn read(&self, file: &Path, names: &LabelSet) -> Volume<u8> {
        LabelFile::read(file).unwrap().on(&self.scan).unwrap().named(names).unwrap().all().unwrap()
    }
}

#[track_caller]
fn check(label: impl Fn([usize; 3]) -> u8, names: &LabelSet) {
    let desk = Desk::of(&Series::tilted([7, 5, 6], 0.4));
    let labels = desk.labels(label);
    for kind in [SegKind::Labelmap, SegKind::Binary] {
        let file = desk.written(&labels, names, kind, &[]);
        assert!(is_dicom(&file));
        assert_eq!(desk.read(&file, names), labels, "{kind:?}");
        // Whoever takes it for a scan is told what it is.
        let words = read_scan(&file).unwrap_err().to_string();
        assert!(words.contains("seg.dcm are segmentations (DICOM SEG), labels and no scan"), "{words}");
    }
}

#[test]
fn planes_without_labels_are_left_out_and_come_back_empty() {
    check(|[x, _, z]| u8::from(x > 3 && [1, 4].contains(&z)) + u8::from(x > 5 && z == 4), &two());
}

#[test]
fn a_segment_that_no_voxel_has_is_one_all_the_same() {
    check(|[x, ..]| 2 * u8::from(x == 2), &two());
    check(|_| 0, &two());
}

#[test]
fn labels_need_not_be_numbered_without_gaps() {
    let names = LabelSet(vec![label(3, "Liver"), label(200, "Tumour")]);
    check(|[x, y, _]| [0, 3, 200][(x + y) % 3], &names);
}

#[test]
fn one_voxel_and_one_plane_are_enough() {
    let desk = Desk::of(&Series::tilted([1, 1, 1], 0.0));
    let labels = desk.labels(|_| 1);
    for kind in [SegKind::Labelmap, SegKind::Binary] {
        assert_eq!(desk.read(&desk.written(&labels, &two(), kind, &[]), &two()), labels);
    }
}

/// The same voxels in a volume that is stored the other way round, as converters to NIfTI leave it.
#[test]
fn a_segmentation_lies_on_the_same_voxels_of_a_turned_volume() {
    let desk = Desk::of(&Series::tilted([7, 5, 6], 0.4));
    let labels = desk.labels(|[x, y, z]| u8::from(x > 2 && y < 3 && z == 2));
    let file = desk.written(&labels, &two(), SegKind::Labelmap, &[]);
    let grid = desk.scan.geometry();
    let [columns, rows, slices] = grid.dims;
    // Rows run backwards, and slices are the first axis.
    let affine = [0, 1, 2].map(|row| {
        let [x, y, z, t] = grid.world_from_voxel[row];
        [z, x, -y, t + y * (rows - 1) as f64]
    });
    let [sx, sy, sz] = grid.spacing_mm;
    let turned = Geometry::new([slices, columns, rows], [sz, sx, sy], affine).unwrap();
    let got = LabelFile::read(&file).unwrap().on(&Origin::of_geometry(&turned)).unwrap().all().unwrap();
    for at in 0..grid.voxel_count() {
        let [x, y, z] = Geometry::voxel_at(at, grid.dims);
        assert_eq!(got.get([z, x, rows - 1 - y]), labels.get([x, y, z]), "{x} {y} {z}");
    }
}

#[test]
fn frames_that_lie_far_apart_are_given_no_more_room_than_the_scan_has() {
    let desk = Desk::of(&Series::tilted([256, 256, 3], 0.4));
    let labels = desk.labels(|[.., z]| u8::from(z != 1));
    let mut far: Value = serde_json::to_value(desk.reference()).unwrap();
    let place = |image: usize, axis: usize| far["images"][image]["position_mm"][axis].as_f64().unwrap();
    let moved: Vec<f64> = (0..3).map(|axis| place(2, axis) + 1600.0 * (place(2, axis) - place(1, axis))).collect();
    far["images"][2]["position_mm"] = moved.into();
    let far: SeriesReference = serde_json::from_value(far).unwrap();
    for (kind, most_bytes) in [(SegKind::Labelmap, 10_000), (SegKind::Binary, 30_000)] {
        let file = desk.written(&labels, &two(), kind, &[]);
        assert!(LabelFile::read_for(&file, &desk.scan).unwrap().on(&desk.scan).is_ok(), "{kind:?}");
        let file = desk.written_of(&far, &labels, &two(), kind, &[]);
        let bytes = std::fs::metadata(&file).unwrap().len();
        assert!(bytes < most_bytes, "{kind:?}: {bytes}");
        let words = LabelFile::read_for(&file, &desk.scan).unwrap_err().to_string();
        let expected = "its frames span 256 × 256 × 1603 voxels, more than the 196608 of the scan";
        assert!(words.contains(expected), "{kind:?}: {words}");
    }
}

#[test]
fn a_segmentation_of_something_else_is_refused() {
    let desk = Desk::of(&Series::tilted([7, 5, 6], 0.4));
    let labels = desk.labels(|[x, ..]| u8::from(x > 2));
    let file = desk.written(&labels, &two(), SegKind::Binary, &[]);
    let moved = |change: &dyn Fn(&mut Series)| {
        let mut series = Series::tilted([7, 5, 6], 0.4);
        change(&mut series);
        let other = Desk::of(&series);
        LabelFile::read(&file).unwrap().on(&other.scan).unwrap_err().to_string()
    };
    assert!(moved(&|series| series.origin[0] += 0.3).contains("lies elsewhere"));
    assert!(moved(&|series| series.spacing[1] = 1.0).contains("has voxels of"));
    assert!(moved(&|series| series.dims[2] = 4).contains("lies elsewhere"));
}

#[test]
fn who_the_patient_is_stands_in_it_only_if_it_is_kept() {
    let desk = Desk::of(&Series::tilted([4, 4, 3], 0.0));
    let labels = desk.labels(|[x, ..]| u8::from(x > 2));
    let of = |kept| {
        let reference = read_reference(&desk.series(), kept).unwrap()?;
        let algorithm = Algorithm::of("test", "1.0");
        let (names, made) = (two(), DateTime::<Utc>::from_timestamp(1_700_000_000, 0).unwrap());
        let (corrected, kind) = (&[][..], SegKind::Labelmap);
        assert!(!format!("{reference:?}").contains("CANARY"));
        let (labels, names) = (&labels, &names);
        let content = SegContent { labels, names, reference: &reference, algorithm: &algorithm, corrected, kind, made };
        Some(String::from_utf8_lossy(&encode_seg(&content).unwrap()).into_owned())
    };
    let (patient, identifiers) = (of(KeptReference::Patient).unwrap(), of(KeptReference::Identifiers).unwrap());
    for canary in CANARIES {
        assert!(patient.contains(canary), "{canary}");
        assert!(!identifiers.contains(canary), "{canary}");
    }
    assert!(identifiers.contains(&Series::instance(2)));
    assert_eq!(of(KeptReference::Nothing), None);
}

#[test]
fn corrected_planes_are_named() {
    let desk = Desk::of(&Series::tilted([4, 4, 3], 0.0));
    let labels = desk.labels(|[x, ..]| u8::from(x > 2));
    let planes = [Plane { axis: Axis::Axial, index: 1 }, Plane { axis: Axis::Coronal, index: 3 }];
    let bytes = std::fs::read(desk.written(&labels, &two(), SegKind::Labelmap, &planes)).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("Corrected by an expert, counted from 0 in the volume: axial 1, coronal 3"));
    assert_eq!(text.matches("Corrected by an expert").count(), 2, "one for the object, one for the frame");
    assert!(text.contains("SEMIAUTOMATIC") && text.contains("i3Deep test"));
}

#[test]
fn damaged_segmentations_are_refused_in_words() {
    let desk = Desk::of(&Series::tilted([4, 4, 3], 0.0));
    let labels = desk.labels(|[x, ..]| u8::from(x > 2));
    for kind in [SegKind::Labelmap, SegKind::Binary] {
        let file = desk.written(&labels, &two(), kind, &[]);
        let whole = std::fs::read(&file).unwrap();
        for keep in (140..whole.len() - 1).step_by(97) {
            std::fs::write(&file, &whole[..keep]).unwrap();
            let outcome = LabelFile::read(&file).map(|_| ());
            assert!(outcome.is_err(), "{kind:?} cut to {keep} of {}", whole.len());
        }
    }
    write_labels(&desk.folder.path().join("labels.nii.gz"), &labels, &desk.scan).unwrap();
    let image = &desk.series()[0];
    let words = LabelFile::read(image).unwrap_err().to_string();
    assert!(words.contains("it is a DICOM image, which holds intensities and no labels"), "{words}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_written_reads_back(
        dims in (1_usize..20, 1_usize..9, 1_usize..7), angle in -1.5_f64..1.5, seed: u64, share in 1_u64..9
    ) {
        let desk = Desk::of(&Series::tilted([dims.0, dims.1, dims.2], angle));
        let labels = desk.labels(|[x, y, z]| {
            let hash = (x as u64 + 97 * y as u64 + 7919 * z as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed;
            if (hash >> 40) % 9 < share { (hash >> 33) as u8 % 3 } else { 0 }
        });
        for kind in [SegKind::Labelmap, SegKind::Binary] {
            let file = desk.written(&labels, &two(), kind, &[]);
            prop_assert_eq!(desk.read(&file, &two()), labels.clone());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(at in 132_usize..4000, value: u8, binary: bool) {
        let desk = Desk::of(&Series::tilted([4, 4, 2], 0.0));
        let labels = desk.labels(|[x, ..]| u8::from(x > 2));
        let file = desk.written(&labels, &two(), if binary { SegKind::Binary } else { SegKind::Labelmap }, &[]);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] = value;
        std::fs::write(&file, bytes).unwrap();
        let _ = LabelFile::read(&file);
    }
}
