//! Scans are looked through in processes of their own, held by the kernel: a file that crashes a reader, or makes it do
//! what it was not written for, has neither the server nor anybody's data. They speak JSON lines over stdin and stdout,
//! as the server and its worker do, stay for the next scan, and end with the server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::api::ErrorCode;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Brought, Fault, IntakeError, Looked, gather, look_through};
use crate::bundle::{Bundle, folders};
use crate::sandbox::{self, Reach};
use crate::scan_io::{KeptReference, ScanError, decode_here};

/// Scans that are looked through at a time; each takes several bytes a voxel.
const AT_ONCE: usize = 2;
/// How long one may take. The largest takes a minute or two.
const LIMIT: Duration = Duration::from_secs(600);

/// What is asked: a scan that was brought, by its place within the server's working folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    folder: PathBuf,
    files: Vec<String>,
    bundle: String,
    kept: KeptReference,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Told {
    /// The scan has passed all checks.
    Looked(Box<Looked>),
    /// It has not.
    Refused {
        /// Whose fault it is.
        fault: Fault,
        /// For programs.
        code: ErrorCode,
        /// What, why, and what to do.
        message: String,
    },
}

/// One such process, seen from within.
#[derive(Debug)]
pub struct Looker {
    models: PathBuf,
    work: PathBuf,
}

impl Looker {
    /// Takes the limits on; what it reads from now on lies beneath these two folders.
    ///
    /// # Errors
    /// The system's.
    pub fn held(models: PathBuf, work: PathBuf, tell: impl Fn(&str)) -> io::Result<Self> {
        sandbox::end_with_the_server()?;
        // Operators may keep bundles elsewhere, and links in their folder.
        let linked = folders(&models).unwrap_or_default().into_iter().filter_map(|folder| folder.canonicalize().ok());
        let reads: Vec<PathBuf> = std::iter::once(models.clone()).chain(linked).collect();
        let reads: Vec<&Path> = reads.iter().map(PathBuf::as_path).collect();
        sandbox::take_on(&Reach { writes: &work, reads: Some(&reads) }, tell);
        decode_here();
        Ok(Self { models, work })
    }

    /// Looks a scan through.
    pub fn look(&self, asked: &Asked) -> Told {
        match self.try_look(asked) {
            Ok(looked) => Told::Looked(Box::new(looked)),
            Err(error) => Told::Refused { fault: error.fault(), code: error.code(), message: error.to_string() },
        }
    }

    fn try_look(&self, asked: &Asked) -> Result<Looked, IntakeError> {
        let folder = self.work.join(&asked.folder);
        let files: Vec<PathBuf> = asked.files.iter().map(|file| folder.join(file)).collect();
        let scans = gather(&files)?;
        let bundle = Bundle::read(&self.models.join(&asked.bundle)).map_err(|error| IntakeError::BundleUnusable {
            bundle: asked.bundle.clone(),
            problem: error.to_string(),
        })?;
        look_through(&scans, &bundle, asked.kept, &folder)
    }
}

/// Those processes, seen from the server; clones share them.
#[derive(Clone, Debug)]
pub struct Lookers {
    program: PathBuf,
    models: PathBuf,
    work: PathBuf,
    /// Where they are talked to: pipes belong to the runtime that opened them, and handlers run in several.
    runtime: Handle,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Process>>>,
}

impl Lookers {
    /// Processes that are started as `program look …` when the first scan comes. To be called in the runtime that lives
    /// as long as the server.
    pub fn new(program: PathBuf, models: PathBuf, work: PathBuf) -> Self {
        let (turns, idle) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::default());
        Self { program, models, work, runtime: Handle::current(), turns, idle }
    }

    /// Has a scan looked through; waits for a turn. Of whom a DICOM series is, as much is taken along as is `kept`.
    ///
    /// # Errors
    /// [`IntakeError::Apart`].
    pub async fn look(&self, brought: &Brought<'_>, kept: KeptReference) -> Result<Looked, IntakeError> {
        let asked = Asked {
            folder: self.place(brought.folder).map_err(ScanError::Io)?,
            files: brought.files.iter().map(|file| name(file)).collect(),
            bundle: brought.bundle.to_owned(),
            kept,
        };
        let these = self.clone();
        let told = self.runtime.spawn(async move { these.ask(&asked).await }).await;
        match told.map_err(io::Error::other).and_then(|told| told) {
            Ok(Told::Looked(looked)) => Ok(*looked),
            Ok(Told::Refused { fault, code, message }) => Err(IntakeError::Apart { fault, code, message }),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Where a folder lies within the working folder.
    fn place(&self, folder: &Path) -> io::Result<PathBuf> {
        let folder = folder.canonicalize()?;
        folder.strip_prefix(&self.work).map(Path::to_owned).map_err(io::Error::other)
    }

    async fn ask(&self, asked: &Asked) -> io::Result<Told> {
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One may have been ended since, such as for want of memory.
        if let Some(process) = waiting.and_then(Process::alive) {
            let told = self.ask_of(process, asked).await?;
            // Bundles that were linked into their folder since are known to a new one.
            if !matches!(told, Told::Refused { fault: Fault::Bundle, .. }) {
                return Ok(told);
            }
        }
        self.ask_of(self.start()?, asked).await
    }

    /// Dropping a process ends it: one that fails is not asked again.
    async fn ask_of(&self, mut process: Process, asked: &Asked) -> io::Result<Told> {
        let told = timeout(LIMIT, process.ask(asked)).await??;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        Ok(told)
    }

    fn start(&self) -> io::Result<Process> {
        let mut child = Command::new(&self.program)
            .arg("look")
            .arg("--models")
            .arg(&self.models)
            .arg("--work")
            .arg(&self.work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let no_pipe = || io::Error::other("a process has no pipe");
        let input = child.stdin.take().ok_or_else(no_pipe)?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(no_pipe)?).lines();
        Ok(Process { child, input, lines })
    }
}

/// A scan whose process has died or takes without end; which of the two is for the log.
fn failed(error: &io::Error) -> IntakeError {
    tracing::error!("a scan could not be looked through: {error}");
    let message = "the process that looks scans through stopped on this one. It may be too large for this machine's \
                   memory, or damaged in a way that is not understood; the server's operator finds more in the log";
    IntakeError::Apart { fault: Fault::Scan, code: ErrorCode::Damaged, message: message.to_owned() }
}

/// A process and its two pipes.
#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    async fn ask(&mut self, asked: &Asked) -> io::Result<Told> {
        let line = serde_json::to_string(asked)? + "\n";
        self.input.write_all(line.as_bytes()).await?;
        self.input.flush().await?;
        loop {
            let line = self.lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            // Libraries may print other lines.
            if let Ok(told) = serde_json::from_str(&line) {
                return Ok(told);
            }
        }
    }
}

/// The name of a file within its folder.
fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
