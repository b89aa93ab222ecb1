//! DICOM series, generated and real: what makes a volume, and what is refused by name.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use i3deep::scan_io::{Scan, read_scan};

/// A slice to be written; 4 columns, 3 rows.
#[derive(Clone)]
struct Slice {
    series: &'static str,
    position: [f64; 3],
    orientation: [f64; 6],
    rescale: Option<[f64; 2]>,
    pixels: Vec<i16>,
    samples: u16,
    inverted: bool,
    image_type: &'static str,
    number: usize,
}

impl Slice {
    fn at(z: f64, number: usize) -> Self {
        Self {
            series: "1.2.3.4",
            position: [-10.0, 20.0, z],
            orientation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            rescale: Some([2.0, -1000.0]),
            pixels: (0..12).map(|i| i * 10 - 5 + number as i16).collect(),
            samples: 1,
            inverted: false,
            image_type: "ORIGINAL\\PRIMARY\\AXIAL",
            number,
        }
    }

    fn write(&self, path: &Path) {
        let text = |value: String| PrimitiveValue::from(value);
        let numbers = |values: &[f64]| text(values.iter().map(f64::to_string).collect::<Vec<_>>().join("\\"));
        let mut object = InMemDicomObject::new_empty();
        let mut put = |tag, vr, value: PrimitiveValue| drop(object.put(DataElement::new(tag, vr, value)));
        put(tags::SOP_CLASS_UID, VR::UI, text(uids::CT_IMAGE_STORAGE.into()));
        put(tags::SOP_INSTANCE_UID, VR::UI, text(format!("1.2.3.4.5.{}", self.number)));
        put(tags::PATIENT_NAME, VR::PN, text("DOE^JANE".into()));
        put(tags::MODALITY, VR::CS, text("CT".into()));
        put(tags::IMAGE_TYPE, VR::CS, text(self.image_type.into()));
        put(tags::SERIES_INSTANCE_UID, VR::UI, text(self.series.into()));
        put(tags::INSTANCE_NUMBER, VR::IS, text(self.number.to_string()));
        put(tags::IMAGE_POSITION_PATIENT, VR::DS, numbers(&self.position));
        put(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, numbers(&self.orientation));
        put(tags::PIXEL_SPACING, VR::DS, numbers(&[0.8, 0.5]));
        put(tags::SAMPLES_PER_PIXEL, VR::US, self.samples.into());
        put(
            tags::PHOTOMETRIC_INTERPRETATION,
            VR::CS,
            text(
                match (self.samples, self.inverted) {
                    (3, _) => "RGB",
                    (_, true) => "MONOCHROME1",
                    (_, false) => "MONOCHROME2",
                }
                .into(),
            ),
        );
        put(tags::ROWS, VR::US, 3_u16.into());
        put(tags::COLUMNS, VR::US, 4_u16.into());
        put(tags::BITS_ALLOCATED, VR::US, 16_u16.into());
        put(tags::BITS_STORED, VR::US, 12_u16.into());
        put(tags::HIGH_BIT, VR::US, 11_u16.into());
        put(tags::PIXEL_REPRESENTATION, VR::US, 1_u16.into());
        if let Some([slope, intercept]) = self.rescale {
            put(tags::RESCALE_SLOPE, VR::DS, numbers(&[slope]));
            put(tags::RESCALE_INTERCEPT, VR::DS, numbers(&[intercept]));
        }
        // Twelve bits are the pixel's; the four above are not.
        let words: Vec<u16> = self.pixels.iter().map(|v| (v.cast_unsigned() & 0x0fff) | 0x7000).collect();
        put(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words.into()));
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        object.with_meta(meta).unwrap().write_to_file(path).unwrap();
    }
}

/// Five slices, instance numbers against their order in space.
fn five() -> Vec<Slice> {
    (0..5).map(|i| Slice { rescale: Some([1.0 + i as f64, -100.0]), ..Slice::at(3.0 * i as f64, 5 - i) }).collect()
}

/// The series in a folder, as `presegment --image DIR` reads it.
fn read(slices: &[Slice]) -> Result<Scan, String> {
    let folder = tempfile::tempdir().unwrap();
    for (at, slice) in slices.iter().enumerate() {
        slice.write(&folder.path().join(format!("s{at:02}.dcm")));
    }
    fs::write(folder.path().join("notes.txt"), "no slice").unwrap();
    read_scan(folder.path()).map_err(|error| error.to_string())
}

#[test]
fn slices_are_stacked_by_position_and_rescaled_one_by_one() {
    let mut slices = five();
    slices.swap(0, 3);
    let scan = read(&slices).unwrap();
    let geometry = scan.volume.geometry();
    assert_eq!((geometry.dims, geometry.spacing_mm), ([4, 3, 5], [0.5, 0.8, 3.0]));
    assert_eq!(geometry.world_from_voxel, [[-0.5, 0.0, 0.0, 10.0], [0.0, -0.8, 0.0, -20.0], [0.0, 0.0, 3.0, 0.0]]);
    for (z, slice) in five().iter().enumerate() {
        let [slope, intercept] = slice.rescale.unwrap();
        for (at, pixel) in slice.pixels.iter().enumerate() {
            let got = scan.volume.get([at % 4, at / 4, z]).unwrap();
            assert_eq!(got, (f64::from(*pixel) * slope + intercept) as f32, "pixel {at} of slice {z}");
        }
    }
}

/// SimpleITK 2.5.7 (GDCM) reads a pixel of 7 as -8, one of 121 as -122, where signed pixels are MONOCHROME1.
#[test]
fn what_is_bright_where_numbers_are_small_is_turned() {
    let plain = read(&five()).unwrap().volume;
    let inverted: Vec<Slice> = five().into_iter().map(|slice| Slice { inverted: true, ..slice }).collect();
    let turned = read(&inverted).unwrap().volume;
    for z in 0..5 {
        let [slope, intercept] = five()[z].rescale.unwrap();
        for at in 0..12 {
            let of = |volume: &shared::volume::Volume<f32>| f64::from(volume.get([at % 4, at / 4, z]).unwrap());
            let pixel = (of(&plain) - intercept) / slope;
            assert_eq!(of(&turned), (-1.0 - pixel) * slope + intercept, "pixel {at} of slice {z}");
        }
    }
}

#[test]
fn what_is_no_volume_is_refused_by_name() {
    #[track_caller]
    fn check(slices: &[Slice], words: &str) {
        let message = read(slices).unwrap_err();
        assert!(message.contains(words), "'{message}' does not say '{words}'");
        assert!(!message.contains("DOE"), "{message}");
    }
    let changed = |change: &dyn Fn(usize, &mut Slice)| {
        let mut slices = five();
        slices.iter_mut().enumerate().for_each(|(at, slice)| change(at, slice));
        slices
    };
    let mut gap = five();
    gap.remove(2);
    check(&gap, "slices are missing: 1 between s01.dcm and s02.dcm");
    check(&[five(), vec![five()[2].clone()]].concat(), "s02.dcm, s05.dcm lie at the same place");
    check(&[five(), five()].concat(), "every slice is there 2 times");
    check(
        &changed(&|at, slice| slice.position[2] += if at == 4 { 0.7 } else { 0.0 }),
        "uneven distances, 3.000 to 3.700 mm",
    );
    check(&changed(&|at, slice| slice.position[1] += at as f64), "the gantry was tilted by 18.4°");
    check(
        &changed(&|at, slice| {
            slice.orientation = if at == 0 { [1.0, 0.0, 0.0, 0.0, 0.0, -1.0] } else { slice.orientation }
        }),
        "have 2 orientations or sizes",
    );
    check(
        &changed(&|at, slice| slice.series = if at > 2 { "1.2.9" } else { slice.series }),
        "there are 2 series: CT of 3 slice(s), 4 × 3 (s00.dcm …)",
    );
    check(
        &changed(&|at, slice| {
            if at == 1 {
                slice.samples = 3;
                slice.pixels = vec![0; 36];
            }
        }),
        "s01.dcm hold colours (RGB)",
    );
    check(
        &changed(&|at, slice| {
            if at == 1 {
                slice.position = [f64::NAN; 3];
            }
        }),
        "s01.dcm have no position",
    );
    check(&[], "holds no DICOM images");
}

#[test]
fn localisers_are_left_out() {
    let mut slices = five();
    slices.push(Slice {
        series: "1.9",
        image_type: "ORIGINAL\\PRIMARY\\LOCALIZER",
        orientation: [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        ..Slice::at(0.0, 9)
    });
    assert_eq!(read(&slices).unwrap().volume.geometry().dims, [4, 3, 5]);
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (at, slice) in five().iter().enumerate() {
        slice.write(&folder.path().join(format!("s{at}.dcm")));
    }
    let whole = fs::read(folder.path().join("s3.dcm")).unwrap();
    for keep in [whole.len() - 5, whole.len() / 2, 200, 140] {
        fs::write(folder.path().join("s3.dcm"), &whole[..keep]).unwrap();
        let message = read_scan(folder.path()).unwrap_err().to_string();
        assert!(message.contains("s3.dcm"), "cut to {keep}: {message}");
    }
}

/// What SimpleITK 2.5.7 (GDCM, sorted by position) reads from a real series: size, spacing, origin (LPS), the
/// direction's columns, sums.
struct Expected {
    folder: &'static str,
    dims: [usize; 3],
    spacing: [f64; 3],
    origin: [f64; 3],
    x: [f64; 3],
    z: [f64; 3],
    sum: f64,
    squares: f64,
    middle: f32,
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn real_series_are_as_simpleitk_reads_them() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/dicom");
    let axes = ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]);
    let crop = |folder, dims, sum, squares, middle| Expected {
        folder,
        dims,
        spacing: [1.0; 3],
        origin: [0.0, 0.0, 1.0],
        x: axes.0,
        z: axes.1,
        sum,
        squares,
        middle,
    };
    let all = [
        Expected {
            folder: "hippocrop/Study1/12-T1post-05670",
            dims: [512, 512, 22],
            spacing: [0.4297, 0.4297, 6.500003353140597],
            origin: [-106.109, -186.371, -42.7965],
            x: [0.999679144893503, 0.025329967725896994, 9.930499446644552e-09],
            z: [-0.006747156917399674, 0.2662846853544883, 0.9638708119967079],
            sum: 5634537196.0,
            squares: 14686492865968.0,
            middle: 1633.0,
        },
        crop("hippocrop/Study1/13_HCropVolume", [35, 51, 32], 3346681.0, 227429913.0, 27.0),
        crop("hippocrop/Study2/14_HCropVolume", [36, 48, 35], 40238527.0, 33629776245.0, 106.0),
        crop("hippocrop/Study3/11_HCropVolume", [34, 50, 40], 4453961.0, 338001643.0, 88.0),
        Expected {
            folder: "mr_head_384/dicoms",
            dims: [274, 384, 384],
            spacing: [0.699987828731537, 0.666666686534882, 0.666666686534881],
            origin: [-91.4495864331908, -160.06035870244, -142.505487236053],
            x: [0.999032176469449, -0.021788374125217943, 0.03820964710247002],
            z: [-0.035091704455740905, 0.1289333338387348, 0.9910321728902753],
            sum: 445196399.0,
            squares: 19809130303.0,
            middle: 62.0,
        },
    ];
    for expected in all {
        let scan = read_scan(&data.join(expected.folder)).unwrap();
        let geometry = scan.volume.geometry();
        assert_eq!(geometry.dims, expected.dims, "{}", expected.folder);
        let near =
            |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-4, "{}: {got} is not {wanted}", expected.folder);
        for axis in 0..3 {
            near(geometry.spacing_mm[axis], expected.spacing[axis]);
            let lps = if axis < 2 { -1.0 } else { 1.0 };
            let row = geometry.world_from_voxel[axis];
            near(lps * row[3], expected.origin[axis]);
            near(lps * row[0] / expected.spacing[0], expected.x[axis]);
            near(lps * row[2] / expected.spacing[2], expected.z[axis]);
        }
        let voxels = scan.volume.voxels();
        assert_eq!(voxels.iter().map(|v| f64::from(*v)).sum::<f64>(), expected.sum, "{}", expected.folder);
        assert_eq!(voxels.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>(), expected.squares, "{}", expected.folder);
        assert_eq!(scan.volume.get(expected.dims.map(|n| n / 2)), Some(expected.middle), "{}", expected.folder);
    }
}
