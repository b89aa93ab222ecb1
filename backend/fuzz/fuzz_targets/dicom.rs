//! Any bytes as a DICOM file, as a series of one and of two that are the same, and as a segmentation: an answer in
//! words, no panic, the decoders of others included, no memory beyond what a file may take.
#![no_main]

use backend_fuzz::attempt;
use backend_fuzz::scan_io::{
    Intensities, KeptReference, LabelFile, ScanFiles, decode_here, file_identity, read_origin, read_reference,
    read_scan_files, told_apart,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decode_here();
    attempt(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = ["1.dcm", "2.dcm"].map(|name| folder.path().join(name));
        for file in &files {
            std::fs::write(file, bytes).expect("a temporary file");
        }
        let _ = told_apart(&files);
        let _ = file_identity(&files[0]);
        let _ = read_origin(&files[0]);
        let _ = LabelFile::read(&files[0]);
        let _ = read_reference(&files[..1], KeptReference::Patient);
        let _ = read_scan_files(&ScanFiles::Series(files[..1].to_vec()), Intensities::SuvBw);
        let _ = read_scan_files(&ScanFiles::Series(files.to_vec()), Intensities::Stored);
    });
});
