//! Any bytes as a zipped model: nothing lies outside of the folder that it is unpacked into.
#![no_main]

use std::io::Write;

use i3deep::bundle::install::unpack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    let around = tempfile::tempdir().expect("a temporary folder");
    let inside = around.path().join("inside");
    std::fs::create_dir(&inside).expect("a temporary folder");
    let _ = unpack(file.path(), &inside);
    assert_eq!(std::fs::read_dir(around.path()).expect("a temporary folder").count(), 1);
});
