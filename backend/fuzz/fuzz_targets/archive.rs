//! Any bytes as a zipped model and as the archive of a scan: nothing lies outside of the folder that it is unpacked
//! into.
#![no_main]

use backend_fuzz::bundle::install::unpack;
use backend_fuzz::{attempt, unpacked};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    attempt(|| {
        let around = tempfile::tempdir().expect("a temporary folder");
        let file = around.path().join("brought");
        std::fs::write(&file, bytes).expect("a temporary file");
        let inside = around.path().join("inside");
        std::fs::create_dir(&inside).expect("a temporary folder");
        let _ = unpack(&file, &inside);
        let _ = unpacked(&[file]);
        let names = std::fs::read_dir(around.path()).expect("a temporary folder");
        let mut names: Vec<_> = names.map(|entry| entry.expect("a temporary file").file_name()).collect();
        names.retain(|name| name != "brought.content");
        names.sort();
        assert_eq!(names, ["brought", "inside"]);
    });
});
