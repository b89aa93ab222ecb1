//! The worker process: reads what to do from stdin, does it, says so on stdout. Ends when stdin does.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use shared::case::JobId;

use super::protocol::{FromWorker, ToWorker};
use super::shelf::Shelf;
use super::workspace::{Folders, Workspace};
use super::{performed, reason};
use crate::inference::{DeviceChoice, NetworkError, engine};
use crate::sandbox::{self, Reach};
use crate::store::Task;

/// Progress is said at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// How often the worker says that it lives.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);
/// No job has this number.
const NONE: i64 = -1;

/// Works until stdin ends.
///
/// # Errors
/// If the device is not there or stdout is gone.
pub fn run(device: DeviceChoice, folders: &Folders) -> Result<()> {
    sandbox::end_with_the_server()?;
    sandbox::take_on(&Reach { writes: &folders.work, reads: None }, |words| eprintln!("worker: {words}"));
    let out = Speaker::default();
    out.say(&FromWorker::Ready { device: engine::device_name(device)? })?;
    beat(out.clone());
    let cancelled = Arc::new(AtomicI64::new(NONE));
    let mut shelf = Shelf::new(device);
    for Run { job, attempt, task } in listen(Arc::clone(&cancelled)) {
        let mut last = Instant::now();
        let mut progress = |done: f32| {
            if cancelled.load(Ordering::Relaxed) == job.0 {
                return ControlFlow::Break(());
            }
            if last.elapsed() >= PROGRESS_INTERVAL {
                last = Instant::now();
                // A supervisor that is gone ends this process through stdin.
                let _ = out.say(&FromWorker::Progress { job, done });
            }
            ControlFlow::Continue(())
        };
        let done = Workspace::new(folders, job, attempt)
            .and_then(|workspace| performed(&task).perform(&workspace, &mut shelf, &mut progress));
        let answer = match done {
            Ok(made_with) => FromWorker::Done { job, made_with },
            Err(error) if is_cancelled(&error) => FromWorker::Cancelled { job },
            Err(error) => {
                shelf.clear();
                FromWorker::Failed { job, reason: reason(&error) }
            }
        };
        shelf.trim();
        out.say(&answer)?;
    }
    Ok(())
}

/// Says again and again that this process lives, so that one that hangs is noticed in seconds.
fn beat(out: Speaker) {
    thread::spawn(move || {
        while out.say(&FromWorker::Alive).is_ok() {
            thread::sleep(HEARTBEAT);
        }
    });
}

/// One run of a job.
struct Run {
    job: JobId,
    attempt: i64,
    task: Task,
}

/// Reads stdin on a thread of its own, so that a cancellation is heard during a job and the end of the server ends a
/// job too.
fn listen(cancelled: Arc<AtomicI64>) -> mpsc::Receiver<Run> {
    let (sender, tasks) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(ToWorker::Run { job, attempt, task }) => {
                    if sender.send(Run { job, attempt, task }).is_err() {
                        break;
                    }
                }
                Ok(ToWorker::Cancel { job }) => cancelled.store(job.0, Ordering::Relaxed),
                Err(error) => eprintln!("worker: not understood: {error}"),
            }
        }
        // Nobody is left to take results.
        std::process::exit(0);
    });
    tasks
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
