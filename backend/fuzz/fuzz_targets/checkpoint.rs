//! Any bytes as a checkpoint: an answer in words, no panic, no memory beyond what the file can hold.
#![no_main]

use std::io::Write;

use i3deep::bundle::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    let _ = Checkpoint::open(file.path());
});
