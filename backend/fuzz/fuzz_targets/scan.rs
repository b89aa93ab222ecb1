//! Any bytes as a scan and as a label map, by any format's name: an answer in words, no panic, no memory beyond what a
//! file may take. The first byte chooses the name; headers that stand alone find the same bytes beside them.
#![no_main]

use backend_fuzz::attempt;
use backend_fuzz::scan_io::{LabelFile, ScanFiles, read_origin, read_scan, write_without_texts};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 8] =
    ["scan.nii", "scan.nii.gz", "scan.hdr", "scan.nrrd", "scan.nhdr", "scan.mha", "scan.mhd", "scan.seg.nrrd"];
/// Where voxels are for a header that stands alone.
const BESIDE: [(&str, &str); 3] = [("scan.hdr", "scan.img"), ("scan.nhdr", "scan.raw"), ("scan.mhd", "scan.raw")];

fuzz_target!(|bytes: &[u8]| {
    let Some((name, bytes)) = bytes.split_first() else { return };
    let name = NAMES[usize::from(*name) % NAMES.len()];
    attempt(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).expect("a temporary file");
        for (_, beside) in BESIDE.iter().filter(|(header, _)| *header == name) {
            std::fs::write(folder.path().join(beside), bytes).expect("a temporary file");
        }
        let _ = read_origin(&file);
        let _ = LabelFile::read(&file).and_then(LabelFile::all);
        if let Ok(scan) = read_scan(&file) {
            let _ = write_without_texts(&ScanFiles::at(&file), &scan, std::io::sink());
        }
    });
});
