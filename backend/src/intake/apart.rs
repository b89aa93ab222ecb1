//! Files that others bring (scans, and label maps of them) are opened in processes of their own, held by the kernel: a
//! file that crashes a reader, or makes it do what it was not written for, has neither the server nor anybody's data.
//! They speak JSON lines over stdin and stdout, as the server and its worker do, stay for the next scan, and end with
//! the server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::api::ErrorCode;
use shared::geometry::Geometry;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::edited::read_labels;
use super::glance::{Glance, glance};
use super::{Brought, Fault, IntakeError, Looked, gather, look_through};
use crate::bundle::{Bundle, folders};
use crate::sandbox::{self, Reach};
use crate::scan_io::{KeptReference, NamedSegment, ScanError, decode_here};

/// Scans that are looked through at a time; each takes several bytes a voxel.
const AT_ONCE: usize = 2;
/// Files that are glanced at at a time, however long scans take.
const GLANCES_AT_ONCE: usize = 2;
/// The file in which greys are left, one byte a pixel.
const GREYS: &str = "greys.u8";
/// The file in which labels are left, one byte a voxel, x fastest.
const LABELS: &str = "labels.u8";
/// How long one may take. The largest takes a minute or two.
const LIMIT: Duration = Duration::from_secs(600);

/// What is asked of files that were brought, by their place within the server's working folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Asked {
    /// Whether they are a scan that can be worked on.
    Scan {
        /// Where they lie.
        folder: PathBuf,
        /// Their names there.
        files: Vec<String>,
        /// The bundle that is to segment it.
        bundle: String,
        /// What is kept of whom a series is.
        kept: KeptReference,
    },
    /// What a file of a series looks like; greys are left beside it.
    Glance {
        /// Where it lies.
        folder: PathBuf,
        /// The file.
        file: String,
    },
    /// Which label each voxel of a stored scan has; they are left beside the files.
    Labels {
        /// Where they lie.
        folder: PathBuf,
        /// The file of labels.
        file: String,
        /// The scan that it is of.
        scan: String,
        /// The task's labels.
        names: LabelSet,
        /// Segments that were named beside the file.
        segments: Vec<NamedSegment>,
    },
}

/// Labels that were sent for a stored scan.
#[derive(Debug)]
pub struct SentLabels<'a> {
    /// The file, in a folder of the server's working folder.
    pub file: &'a Path,
    /// The scan's file, beside it.
    pub scan: &'a Path,
    /// The scan's grid.
    pub geometry: &'a Geometry,
    /// The task's labels.
    pub names: &'a LabelSet,
    /// Segments that were named beside the file.
    pub segments: Vec<NamedSegment>,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Told {
    /// The scan has passed all checks.
    Looked(Box<Looked>),
    /// The greys are there.
    Glanced {
        /// Columns and rows.
        size: [usize; 2],
    },
    /// The labels are there.
    Labels,
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

    /// Opens what was brought, and answers.
    pub fn answer(&self, asked: &Asked) -> Told {
        self.try_answer(asked).unwrap_or_else(|error| Told::Refused {
            fault: error.fault(),
            code: error.code(),
            message: error.to_string(),
        })
    }

    fn try_answer(&self, asked: &Asked) -> Result<Told, IntakeError> {
        match asked {
            Asked::Scan { folder, files, bundle, kept } => {
                let folder = self.work.join(folder);
                let files: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
                let scans = gather(&files)?;
                let read = Bundle::read(&self.models.join(bundle)).map_err(|error| IntakeError::BundleUnusable {
                    bundle: bundle.clone(),
                    problem: error.to_string(),
                })?;
                Ok(Told::Looked(Box::new(look_through(&scans, &read, *kept, &folder)?)))
            }
            Asked::Glance { folder, file } => {
                let folder = self.work.join(folder);
                let Glance { size, greys } = glance(&folder.join(file))?;
                std::fs::write(folder.join(GREYS), greys).map_err(ScanError::Io)?;
                Ok(Told::Glanced { size })
            }
            Asked::Labels { folder, file, scan, names, segments } => {
                let folder = self.work.join(folder);
                let labels = read_labels(&folder.join(file), &folder.join(scan), names, segments.clone())?;
                std::fs::write(folder.join(LABELS), labels.voxels()).map_err(ScanError::Io)?;
                Ok(Told::Labels)
            }
        }
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
    glances: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Process>>>,
}

impl Lookers {
    /// Processes that are started as `program look …` when the first scan comes. To be called in the runtime that lives
    /// as long as the server.
    pub fn new(program: PathBuf, models: PathBuf, work: PathBuf) -> Self {
        let [turns, glances] = [AT_ONCE, GLANCES_AT_ONCE].map(|turns| Arc::new(Semaphore::new(turns)));
        Self { program, models, work, runtime: Handle::current(), turns, glances, idle: Arc::default() }
    }

    /// Has a process ready for what comes soon: starting one takes longer than a glance.
    pub fn get_ready(&self) {
        let these = self.clone();
        self.runtime.spawn(async move {
            let mut idle = these.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.is_empty() {
                // Whoever needs one is told if none can be started.
                idle.extend(these.start());
            }
        });
    }

    /// Has a scan looked through; waits for a turn. Of whom a DICOM series is, as much is taken along as is `kept`.
    ///
    /// # Errors
    /// [`IntakeError::Apart`].
    pub async fn look(&self, brought: &Brought<'_>, kept: KeptReference) -> Result<Looked, IntakeError> {
        let asked = Asked::Scan {
            folder: self.place(brought.folder).map_err(ScanError::Io)?,
            files: brought.files.iter().map(|file| name(file)).collect(),
            bundle: brought.bundle.to_owned(),
            kept,
        };
        match self.told(asked).await? {
            Told::Looked(looked) => Ok(*looked),
            other => Err(unexpected(other)),
        }
    }

    /// Has one file of a series, which lies alone in a folder of the server's working folder, looked at.
    ///
    /// # Errors
    /// [`IntakeError::Apart`].
    pub async fn glance(&self, file: &Path) -> Result<Glance, IntakeError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let asked = Asked::Glance { folder: self.place(folder).map_err(ScanError::Io)?, file: name(file) };
        let size = match self.told(asked).await? {
            Told::Glanced { size } => size,
            other => return Err(unexpected(other)),
        };
        let greys = folder.join(GREYS);
        let most = std::fs::metadata(&greys).map_err(|error| failed(&error))?.len();
        let greys = if most > 1 << 20 { Vec::new() } else { std::fs::read(&greys).map_err(|error| failed(&error))? };
        Glance::believed(size, greys).ok_or_else(|| failed(&io::Error::other("greys that make no picture")))
    }

    /// Has a file of labels read; waits for a turn.
    ///
    /// # Errors
    /// [`IntakeError::Apart`].
    pub async fn read_labels(&self, sent: SentLabels<'_>) -> Result<Volume<Label>, IntakeError> {
        let folder = sent.file.parent().unwrap_or(Path::new(""));
        let asked = Asked::Labels {
            folder: self.place(folder).map_err(ScanError::Io)?,
            file: name(sent.file),
            scan: name(sent.scan),
            names: sent.names.clone(),
            segments: sent.segments,
        };
        match self.told(asked).await? {
            Told::Labels => {}
            other => return Err(unexpected(other)),
        }
        // What comes back is as little believed as what was sent.
        let odd = |words: &str| failed(&io::Error::other(words.to_owned()));
        let length = sent.geometry.voxel_count() as u64;
        let file = folder.join(LABELS);
        if std::fs::metadata(&file).map_err(|error| failed(&error))?.len() != length {
            return Err(odd("another number of labels than voxels"));
        }
        let voxels = std::fs::read(&file).map_err(|error| failed(&error))?;
        if !voxels.iter().all(|label| sent.names.allows(*label)) {
            return Err(odd("labels that the task does not have"));
        }
        Volume::new(sent.geometry.clone(), voxels).map_err(|error| odd(&error.to_string()))
    }

    async fn told(&self, asked: Asked) -> Result<Told, IntakeError> {
        let these = self.clone();
        let told = self.runtime.spawn(async move { these.ask(&asked).await }).await;
        match told.map_err(io::Error::other).and_then(|told| told) {
            Ok(Told::Refused { fault, code, message }) => Err(IntakeError::Apart { fault, code, message }),
            Ok(told) => Ok(told),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Where a folder lies within the working folder.
    fn place(&self, folder: &Path) -> io::Result<PathBuf> {
        let folder = folder.canonicalize()?;
        folder.strip_prefix(&self.work).map(Path::to_owned).map_err(io::Error::other)
    }

    async fn ask(&self, asked: &Asked) -> io::Result<Told> {
        // Who only glances at a slice does not wait for whole scans.
        let turns = if matches!(asked, Asked::Glance { .. }) { &self.glances } else { &self.turns };
        let _turn = turns.acquire().await.map_err(io::Error::other)?;
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

/// An answer to something that was not asked.
fn unexpected(told: Told) -> IntakeError {
    failed(&io::Error::other(format!("{told:?} was not asked")))
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
