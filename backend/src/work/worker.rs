//! The worker process: reads what to do from stdin, does it, says so on stdout. Ends when stdin does.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{FromWorker, REFINED_FILE, REFINED_UNCERTAINTY_FILE, Task, ToWorker, reason};
use crate::inference::{DeviceChoice, NetworkError, torch};
use crate::tasks::{self, PresegmentOptions, RefineFiles, SLICES_FILE, open_bundle};

/// Progress is said at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// No job has this number.
const NONE: i64 = -1;

/// Works until stdin ends.
///
/// # Errors
/// If the device is not there or stdout is gone.
pub fn run(device: DeviceChoice) -> Result<()> {
    let out = Speaker::default();
    out.say(&FromWorker::Ready { device: torch::device_name(device)? })?;
    let cancelled = Arc::new(AtomicI64::new(NONE));
    let tasks = listen(Arc::clone(&cancelled));
    for (job, task) in tasks {
        let mut last = Instant::now();
        let mut progress = |done: f32| {
            if cancelled.load(Ordering::Relaxed) == job {
                return ControlFlow::Break(());
            }
            if last.elapsed() >= PROGRESS_INTERVAL {
                last = Instant::now();
                // A supervisor that is gone ends this process through stdin.
                let _ = out.say(&FromWorker::Progress { job, done });
            }
            ControlFlow::Continue(())
        };
        let answer = match perform(&task, device, &mut progress) {
            Ok(()) => FromWorker::Done { job },
            Err(error) if is_cancelled(&error) => FromWorker::Cancelled { job },
            Err(error) => FromWorker::Failed { job, reason: reason(&error) },
        };
        out.say(&answer)?;
    }
    Ok(())
}

/// Reads stdin on a thread of its own, so that a cancellation is heard during a job and the end of the server ends a job too.
fn listen(cancelled: Arc<AtomicI64>) -> mpsc::Receiver<(i64, Task)> {
    let (sender, tasks) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(ToWorker::Run { job, task }) => {
                    if sender.send((job, task)).is_err() {
                        break;
                    }
                }
                Ok(ToWorker::Cancel { job }) => cancelled.store(job, Ordering::Relaxed),
                Err(error) => eprintln!("worker: not understood: {error}"),
            }
        }
        // Nobody is left to take results.
        std::process::exit(0);
    });
    tasks
}

fn perform(task: &Task, device: DeviceChoice, progress: &mut dyn FnMut(f32) -> ControlFlow<()>) -> Result<()> {
    match task {
        Task::Presegment { bundle, images, out, acquisition } => {
            let bundle = open_bundle(bundle)?;
            let mut options = PresegmentOptions::of(&bundle, device);
            options.acquisition = acquisition.clone().unwrap_or(options.acquisition);
            tasks::presegment(&bundle, images, out, &options, progress).map(drop)
        }
        Task::Refine { bundle, images, presegmentation, corrections, planes, acquisition, out } => {
            let bundle = open_bundle(bundle)?;
            let files = RefineFiles {
                images,
                corrections,
                planes,
                planes_grids: &[],
                presegmentation: Some(presegmentation),
                blend_mm: None,
                out: &out.join(REFINED_FILE),
                uncertainty_out: Some(&out.join(REFINED_UNCERTAINTY_FILE)),
                slices_out: Some((&out.join(SLICES_FILE), acquisition.as_ref())),
            };
            tasks::refine(&bundle, &files, device, progress)
        }
    }
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(NetworkError::Cancelled)))
}

/// Stdout, one JSON a line.
#[derive(Clone, Default)]
struct Speaker(Arc<Mutex<()>>);

impl Speaker {
    fn say(&self, what: &FromWorker) -> Result<()> {
        let _one_at_a_time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(what)?).and_then(|()| out.flush()).context("the supervisor is gone")
    }
}
