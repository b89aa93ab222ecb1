//! Any bytes as a scan and as a label map, by any format's name: an answer in words, no panic, no memory beyond what a
//! file may take. The first byte chooses the name.
#![no_main]

use i3deep::scan_io::{LabelFile, read_origin, read_scan};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 8] =
    ["scan.nii", "scan.nii.gz", "scan.hdr", "scan.nrrd", "scan.nhdr", "scan.mha", "scan.mhd", "scan.seg.nrrd"];

fuzz_target!(|bytes: &[u8]| {
    let Some((name, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join(NAMES[usize::from(*name) % NAMES.len()]);
    std::fs::write(&file, bytes).expect("a temporary file");
    let _ = read_origin(&file);
    let _ = read_scan(&file);
    let _ = LabelFile::read(&file);
});
