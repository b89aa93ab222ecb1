//! Slices in every transfer syntax that needs a decoder of its own, as other programs have packed them
//! (`tests/packed/make.py`): read to what they were made from, and refused in words where they are damaged.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dicom_core::DataElement;
use dicom_core::VR;
use dicom_core::value::PixelFragmentSequence;
use dicom_dictionary_std::tags;
use i3deep::scan_io::{decode_here, read_scan};
use serde_json::Value;

const KINDS: [&str; 4] = ["u8", "u12", "s16", "s12"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packed")
}

/// The farthest that a voxel of one file is from the other's.
fn farthest(a: &Path, b: &Path) -> f32 {
    let [a, b] = [a, b].map(|file| read_scan(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    assert_eq!(a.origin.geometry(), b.origin.geometry());
    let pairs = a.volume.voxels().iter().zip(b.volume.voxels());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Every slice of a folder against the plain one; what loses something by how much of the range of its kind.
fn check_all(folder: &Path) {
    decode_here();
    let mut checked = 0;
    for (kind, range) in KINDS.into_iter().zip([255.0, 4095.0, 65_535.0, 4095.0_f32]) {
        for (syntax, most) in [
            ("jpegls", 0.0),
            ("j2k", 0.0),
            ("htj2k", 0.0),
            ("htj2k-rpcl", 0.0),
            ("jpegls-near", 3.0),
            ("j2k-lossy", range * 0.015),
            ("htj2k-lossy", range * 0.015),
            ("jpeg-extended", 6.0),
        ] {
            let packed = folder.join(format!("{kind}-{syntax}.dcm"));
            if packed.exists() {
                let far = farthest(&folder.join(format!("{kind}-plain.dcm")), &packed);
                assert!(far <= most, "{kind} {syntax}: {far}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 28);
}

#[test]
fn every_transfer_syntax_is_read() {
    check_all(&folder());
}

#[test]
#[cfg_attr(not(packers), ignore = "I3DEEP_PEERS names no Python with pyjpegls, pylibjpeg and imagecodecs")]
fn whatever_others_pack_is_read() {
    for (size, seed) in [("32x32", "1"), ("33x97", "2"), ("200x61", "3"), ("128x512", "4")] {
        let folder = tempfile::tempdir().unwrap();
        let script = self::folder().join("make.py");
        let mut python = Command::new(std::env::var_os("I3DEEP_PEERS").unwrap());
        let output = python.arg(script).arg(folder.path()).args([size, seed]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        check_all(folder.path());
    }
}

/// Has a file unpacked as commands do, by a process that the kernel holds: what it says.
fn unpacked(file: &Path, out: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
    command.args(["unpack", "--out"]).arg(out).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&[file]).unwrap()).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn commands_have_them_unpacked_apart() {
    let out = tempfile::tempdir().unwrap();
    for name in ["u12-jpegls", "s16-htj2k"] {
        let (kind, _) = name.split_once('-').unwrap();
        let plain = read_scan(&folder().join(format!("{kind}-plain.dcm"))).unwrap();
        assert_eq!(unpacked(&folder().join(format!("{name}.dcm")), out.path())["say"], "read");
        let bytes = std::fs::read(out.path().join("voxels")).unwrap();
        let (voxels, _) = bytes.as_chunks::<4>();
        let voxels: Vec<f32> = voxels.iter().map(|voxel| f32::from_le_bytes(*voxel)).collect();
        assert_eq!(voxels, plain.volume.voxels(), "{name}");
    }
    let cut = out.path().join("cut.dcm");
    damaged(&folder().join("s16-j2k.dcm"), &cut, |stream| stream.truncate(200));
    let said = unpacked(&cut, out.path());
    assert!(said["message"].as_str().unwrap().starts_with("cut.dcm: its pixels cannot be decoded"), "{said}");
}

/// A slice with other bytes in the place of its codestream.
fn damaged(file: &Path, to: &Path, damage: impl Fn(&mut Vec<u8>)) {
    let mut object = dicom_object::open_file(file).unwrap();
    let mut stream = object.element(tags::PIXEL_DATA).unwrap().fragments().unwrap()[0].clone();
    damage(&mut stream);
    let fragments = PixelFragmentSequence::new(vec![0_u32], vec![stream]);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, fragments));
    object.write_to_file(to).unwrap();
}

/// What is said of a damaged slice; nothing if it is read.
fn refusal(file: &Path) -> Option<String> {
    decode_here();
    let words = read_scan(file).err()?.to_string();
    assert!(words.len() < 400 && !words.chars().any(char::is_control), "{words:?}");
    Some(words)
}

#[test]
fn codestreams_that_are_cut_off_are_refused() {
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("cut.dcm");
    for name in
        ["u12-jpegls", "u8-jpegls-near", "s16-j2k", "u8-j2k-lossy", "s16-htj2k", "u12-htj2k-rpcl", "u12-jpeg-extended"]
    {
        for eighths in 0..8 {
            damaged(&folder().join(format!("{name}.dcm")), &file, |stream| stream.truncate(stream.len() * eighths / 8));
            let words = refusal(&file).unwrap_or_else(|| panic!("{name} {eighths}/8 is read"));
            assert!(words.starts_with("cut.dcm: its pixels cannot be decoded"), "{name} {eighths}/8: {words}");
        }
    }
}

#[test]
fn codestreams_that_claim_other_sizes_are_refused() {
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("other.dcm");
    let check = |name: &str, place: usize, bytes: &[u8], says: &str| {
        let put = |stream: &mut Vec<u8>| stream[place..place + bytes.len()].copy_from_slice(bytes);
        damaged(&folder().join(format!("{name}.dcm")), &file, put);
        let words = refusal(&file).unwrap_or_default();
        assert!(words.contains(says), "{name} at {place}: {words:?}");
    };
    // Behind SOI, length and precision of a frame; behind the capabilities of a size segment.
    check("u12-jpegls", 7, &[0xff, 0xff, 0xff, 0xff], "they are 65535 × 65535, and the image 40 × 36");
    check("s16-j2k", 8, &[0x7f, 0xff, 0xff, 0xff], "and the image 40 × 36");
    check("s16-htj2k", 12, &[0x7f, 0xff, 0xff, 0xff], "and the image 40 × 36");
    check("s16-j2k", 40, &[0, 4], "4 components of 16 bits");
    check("s16-j2k", 42, &[37], "1 components of 38 bits");
    // A box in the place of a codestream.
    check("u12-j2k", 0, &[0, 0, 0, 12, b'j', b'P', b' ', b' '], "do not begin as their transfer syntax has it");
}

#[test]
fn turned_bytes_are_read_or_refused_in_words() {
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("turned.dcm");
    for name in ["u12-jpegls", "s16-j2k", "s16-htj2k", "u12-jpeg-extended"] {
        for try_ in 0..60_usize {
            let turn = |stream: &mut Vec<u8>| {
                let place = 20 + (try_ * 2_654_435_761) % (stream.len() - 20);
                stream[place] ^= 1 << (try_ % 8);
            };
            damaged(&folder().join(format!("{name}.dcm")), &file, turn);
            let words = refusal(&file);
            assert!(words.as_ref().is_none_or(|words| words.starts_with("turned.dcm: ")), "{name} {try_}: {words:?}");
        }
    }
}
