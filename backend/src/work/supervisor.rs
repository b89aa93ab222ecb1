//! One worker process, one job at a time; the queue goes on whatever becomes of either.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use shared::api::MadeWith;
use shared::case::JobId;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, timeout};

use super::protocol::{FromWorker, ToWorker};
use super::workspace::Folders;
use super::{Left, kept, reason};
use crate::inference::DeviceChoice;
use crate::store::{Lease, Store, StoreError};

/// How long a worker may take to start: it loads libtorch and asks the driver for devices.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a worker may say nothing at all: its heartbeat comes every two seconds, whatever it computes.
const SILENCE_LIMIT: Duration = Duration::from_secs(12);
/// How long a running job may come no further. Tiles take seconds; resampling a huge scan takes minutes.
const STANDSTILL_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long a job may take altogether.
const JOB_LIMIT: Duration = Duration::from_secs(4 * 3600);
/// How long a cancelled job may take to stop by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Pause after a worker that could not be started, or a queue that could not be read.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Progress is stored at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// How the worker fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerState {
    /// Whether it is up.
    pub up: bool,
    /// What its networks run on, or what was asked for as long as it has not said.
    pub device: String,
}

/// The parts of the supervisor that others hold; clones share it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    store: Store,
    folders: Folders,
    program: PathBuf,
    device: DeviceChoice,
    wake: Arc<Notify>,
    cancel: broadcast::Sender<JobId>,
    state: Arc<Mutex<WorkerState>>,
}

impl Supervisor {
    /// A supervisor that starts `program worker --device …`. Nothing runs before [`Supervisor::run`].
    pub fn new(store: Store, models: PathBuf, program: PathBuf, device: DeviceChoice) -> Self {
        let state = WorkerState { up: false, device: device.to_string() };
        let cancel = broadcast::channel(16).0;
        let folders = Folders { blobs: store.blobs().folder().to_owned(), models, work: store.work().to_owned() };
        Self { store, folders, program, device, wake: Arc::default(), cancel, state: Arc::new(Mutex::new(state)) }
    }

    /// Says that a job has been queued.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Says that a job has been cancelled or deleted in the store.
    pub fn stop(&self, job: JobId) {
        // Fails only if nothing runs.
        let _ = self.cancel.send(job);
    }

    /// How the worker fares.
    pub fn state(&self) -> WorkerState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, up: bool, device: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.up = up;
        state.device = device.unwrap_or_else(|| state.device.clone());
    }

    /// Works through the queue until the task is dropped, which kills the worker.
    pub async fn run(self) {
        let mut worker = None;
        loop {
            if worker.is_none() {
                match self.start().await {
                    Ok(started) => worker = Some(started),
                    Err(error) => {
                        tracing::error!("the worker does not start: {error:#}");
                        tokio::time::sleep(RETRY_PAUSE).await;
                        continue;
                    }
                }
            }
            // Listening begins before the lease, so that no cancellation falls between.
            let mut cancelled = self.cancel.subscribe();
            match self.store.lease().await {
                Ok(Some(lease)) => worker = self.serve(worker.take(), &lease, &mut cancelled).await,
                Ok(None) => worker = self.idle(worker.take()).await,
                Err(error) => {
                    tracing::error!("the queue cannot be read: {error}");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
            if worker.is_none() {
                self.set_state(false, None);
            }
        }
    }

    /// Waits for a job; notices a worker that ends meanwhile.
    async fn idle(&self, worker: Option<Worker>) -> Option<Worker> {
        let mut worker = worker?;
        loop {
            tokio::select! {
                () = self.wake.notified() => return Some(worker),
                heard = timeout(SILENCE_LIMIT, worker.hear()) => match heard {
                    Ok(Ok(_)) => {}
                    // It has ended, or it hangs; dropping it kills it.
                    Ok(Err(_)) | Err(_) => return None,
                },
            }
        }
    }

    async fn start(&self) -> Result<Worker> {
        let mut child = Command::new(&self.program)
            .args(["worker", "--device", &self.device.to_string()])
            .arg("--blobs")
            .arg(&self.folders.blobs)
            .arg("--models")
            .arg(&self.folders.models)
            .arg("--work")
            .arg(&self.folders.work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let input = child.stdin.take().context("the worker has no stdin")?;
        let lines = BufReader::new(child.stdout.take().context("the worker has no stdout")?).lines();
        let mut worker = Worker { child, input, lines };
        match timeout(START_LIMIT, worker.hear()).await.context("it says nothing")?? {
            FromWorker::Ready { device } => {
                tracing::info!("the worker is up on {device}");
                self.set_state(true, Some(device));
                Ok(worker)
            }
            other => anyhow::bail!("it begins with {other:?}"),
        }
    }

    /// One job from lease to end. Gives the worker back if it can go on.
    async fn serve(
        &self,
        worker: Option<Worker>,
        lease: &Lease,
        cancelled: &mut broadcast::Receiver<JobId>,
    ) -> Option<Worker> {
        let mut worker = worker?;
        let out = self.folders.out(lease.job, lease.attempt);
        tracing::info!(
            job = lease.job.0,
            case = lease.case.as_str(),
            attempt = lease.attempt,
            "{} begins",
            lease.task.kind().name()
        );
        let begun = Instant::now();
        let outcome = self.drive(&mut worker, lease, cancelled).await;
        tracing::info!(job = lease.job.0, seconds = begun.elapsed().as_secs_f32(), "{}", outcome.word());
        // A job whose end is not noted would be under way for ever; a full disk is made room on sooner or later.
        while let Err(error) = self.note(&outcome, lease, &out).await {
            tracing::error!(job = lease.job.0, "its end cannot be stored, trying again: {error}");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        // What cannot be removed now is removed at the next start.
        let _ = tokio::fs::remove_dir_all(&out).await;
        match outcome {
            Outcome::Crashed | Outcome::Unresponsive | Outcome::TooLong => {
                // Fails only if it is dead already.
                let _ = worker.child.kill().await;
                None
            }
            Outcome::Done(_) | Outcome::Failed(_) | Outcome::Stopped => Some(worker),
        }
    }

    /// Stores how a job ended.
    async fn note(&self, outcome: &Outcome, lease: &Lease, out: &Path) -> Result<(), StoreError> {
        match outcome {
            Outcome::Done(made_with) => self.keep_result(lease, Left { folder: out, made_with }).await,
            Outcome::Failed(reason) => self.store.fail(lease, reason).await,
            Outcome::TooLong => self.store.fail(lease, TOO_LONG).await,
            Outcome::Stopped | Outcome::Unresponsive => Ok(()),
            Outcome::Crashed => self.store.note_crash(lease, CRASHED).await,
        }
    }

    async fn keep_result(&self, lease: &Lease, left: Left<'_>) -> Result<(), StoreError> {
        let Err(error) = kept(&lease.task).keep(&self.store, lease, left).await else { return Ok(()) };
        tracing::error!(job = lease.job.0, "its result cannot be stored: {error:#}");
        // What is not swept now is swept later.
        let _ = self.store.sweep().await;
        self.store.fail(lease, &format!("the result could not be stored: {}", reason(&error))).await
    }

    async fn drive(&self, worker: &mut Worker, lease: &Lease, cancelled: &mut broadcast::Receiver<JobId>) -> Outcome {
        let run = ToWorker::Run { job: lease.job, attempt: lease.attempt, task: lease.task.clone() };
        if worker.say(&run).await.is_err() {
            return Outcome::Crashed;
        }
        let begun = Instant::now();
        let (mut noted, mut moved) = (begun, begun);
        loop {
            if begun.elapsed() > JOB_LIMIT {
                return Outcome::TooLong;
            }
            let heard = tokio::select! {
                heard = timeout(SILENCE_LIMIT, worker.hear()) => heard,
                () = stopped(cancelled, lease.job) => return self.call_off(worker, lease.job).await,
            };
            match heard {
                Ok(Ok(FromWorker::Progress { job, done })) if job == lease.job => {
                    moved = Instant::now();
                    if noted.elapsed() >= PROGRESS_INTERVAL {
                        noted = moved;
                        self.note_progress(lease, done).await;
                    }
                }
                Ok(Ok(FromWorker::Done { job, made_with })) if job == lease.job => return Outcome::Done(made_with),
                Ok(Ok(FromWorker::Failed { job, reason })) if job == lease.job => return Outcome::Failed(reason),
                Ok(Ok(_)) if moved.elapsed() < STANDSTILL_LIMIT => {}
                Ok(Ok(_) | Err(_)) | Err(_) => return Outcome::Crashed,
            }
        }
    }

    async fn note_progress(&self, lease: &Lease, done: f32) {
        if let Err(error) = self.store.note_progress(lease, done).await {
            tracing::warn!(job = lease.job.0, "its progress cannot be stored: {error}");
        }
    }

    /// Asks the worker to stop, and gives it a moment.
    async fn call_off(&self, worker: &mut Worker, job: JobId) -> Outcome {
        let stop = async {
            worker.say(&ToWorker::Cancel { job }).await?;
            loop {
                match worker.hear().await? {
                    FromWorker::Done { job: ended, .. }
                    | FromWorker::Failed { job: ended, .. }
                    | FromWorker::Cancelled { job: ended }
                        if ended == job =>
                    {
                        return Ok::<(), anyhow::Error>(());
                    }
                    _ => {}
                }
            }
        };
        match timeout(CANCEL_GRACE, stop).await {
            Ok(Ok(())) => Outcome::Stopped,
            Ok(Err(_)) | Err(_) => Outcome::Unresponsive,
        }
    }
}

/// What the expert reads when a job has killed its workers.
const CRASHED: &str = "the network process stopped unexpectedly, twice. The scan may be too large for this machine's \
                       memory; the server's log says more";

/// What the expert reads when a job has had its time.
const TOO_LONG: &str = "this took longer than four hours and was stopped. The scan may be too large for this machine, \
                        or its spacing not be in millimetres";

/// Resolves when the job is called off.
async fn stopped(cancelled: &mut broadcast::Receiver<JobId>, job: JobId) {
    loop {
        match cancelled.recv().await {
            Ok(id) if id == job => return,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            // The sender lives as long as the supervisor.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// How a run of a job ended.
enum Outcome {
    Done(MadeWith),
    Failed(String),
    /// Called off; the worker is free.
    Stopped,
    /// Called off, but the worker does not listen.
    Unresponsive,
    /// It has had its time.
    TooLong,
    /// The worker died or fell silent.
    Crashed,
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "is done",
            Outcome::Failed(_) => "has failed",
            Outcome::TooLong => "took too long",
            Outcome::Stopped | Outcome::Unresponsive => "was called off",
            Outcome::Crashed => "has killed its worker",
        }
    }
}

/// A worker process and its two pipes.
struct Worker {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    async fn say(&mut self, what: &ToWorker) -> Result<()> {
        let line = serde_json::to_string(what)? + "\n";
        self.input.write_all(line.as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// The next line that is one of ours; libraries may print others.
    async fn hear(&mut self) -> io::Result<FromWorker> {
        loop {
            let line = self.lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if let Ok(said) = serde_json::from_str(&line) {
                return Ok(said);
            }
        }
    }
}
