//! The readers of what others bring, without the server around them, and what a target runs them under.

#![allow(dead_code, unused_imports, reason = "the product calls what no target does")]

#[path = "../../src/bundle/mod.rs"]
pub mod bundle;
#[path = "../../src/intake/archive.rs"]
mod intake_archive;
#[path = "../../src/scan_io/mod.rs"]
pub mod scan_io;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// Bytes that may be held at a time. What asks for more has to bear that it gets none; inputs are so short that none
/// needs as much.
const MOST_BYTES: usize = 128 << 20;

#[global_allocator]
static MEMORY: Bounded = Bounded(AtomicUsize::new(0));

/// The system's memory up to [`MOST_BYTES`].
struct Bounded(AtomicUsize);

impl Bounded {
    fn give(&self, layout: Layout, memory: impl FnOnce() -> *mut u8) -> *mut u8 {
        if self.0.fetch_add(layout.size(), Ordering::Relaxed) + layout.size() > MOST_BYTES {
            self.0.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        memory()
    }
}

// SAFETY: every call goes to the system's allocator with the caller's own layout, or answers that there is nothing.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        self.give(layout, || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        self.give(layout, || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Runs a target. Panics that the product catches by itself are none; one that gets here ends the process.
pub fn attempt(run: impl FnOnce()) {
    static QUIET: Once = Once::new();
    static LAST: Mutex<Option<(String, Backtrace)>> = Mutex::new(None);
    QUIET.call_once(|| {
        set_hook(Box::new(|panic| {
            // Names are found for the one that is shown.
            let last = (panic.to_string(), Backtrace::force_capture());
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        }));
    });
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        if let Some((words, trace)) = &*LAST.lock().unwrap_or_else(PoisonError::into_inner) {
            eprintln!("{words}\n{trace}");
        }
        std::process::abort();
    }
}

/// What is brought as an archive of a scan's files.
///
/// # Errors
/// In words.
pub fn unpacked(files: &[PathBuf]) -> Result<Vec<PathBuf>, scan_io::ScanError> {
    intake_archive::unpacked(files)
}
