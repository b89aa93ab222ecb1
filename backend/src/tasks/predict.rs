//! Cases predicted as nnU-Net predicts them, from files to files: while networks work on one, the next is prepared and
//! the one before is written.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use half::f16;
use ndarray::Array4;
use shared::geometry::Geometry;
use shared::label::Label;
use shared::volume::Volume;

use super::npz::{self, NpzWriter, Pickle};
use super::presegment::{check_dimensions, read_channels, warnings};
use super::refine::read_on_grid;
use crate::bundle::TORCH_VERSION;
use crate::bundle::plans::{Choice, EngineKind, Plan, read_json};
use crate::inference::engine::device_name;
use crate::inference::engine::{Arithmetic, Engine, open};
use crate::inference::{DeviceChoice, NetworkError, Progress};
use crate::pipeline::export;
use crate::pipeline::frame::Frame;
use crate::pipeline::postprocess::Postprocessing;
use crate::pipeline::predict::{Options, mean_logits};
use crate::pipeline::preprocess::{Normalised, Preprocessed, crop_and_normalise};
use crate::pipeline::resident::{self, Outcome};
use crate::scan_io::{Intensities, LabelFile, Origin, read_origin, whole, write_labels};

/// Where logits are gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accumulate {
    /// On a CUDA device where it has the memory and only labels are wanted, else in the host's memory.
    #[default]
    Auto,
    /// Where the networks are, or not at all; also on a CPU, where it saves nothing.
    Device,
    /// In the host's memory.
    Host,
}

/// What may be chosen beside the network.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// Folds and checkpoint.
    pub choice: Choice,
    /// How the network walks a volume.
    pub walk: Options,
    /// How exactly networks compute.
    pub arithmetic: Arithmetic,
    /// Whether patches are mirrored as far as the network allows.
    pub mirror: bool,
    /// Writes `CASE.npz` and `CASE.pkl`, as nnU-Net does.
    pub save_probabilities: bool,
    /// Writes the logits on the network's grid as `CASE.logits.npy`, for comparison.
    pub save_logits: bool,
    /// A `postprocessing.json` that is applied to the labels.
    pub postprocessing: Option<PathBuf>,
    /// What PET series are turned into.
    pub pet: Intensities,
    /// Where networks run.
    pub device: DeviceChoice,
    /// Where logits are gathered.
    pub accumulate: Accumulate,
    /// Tells how long each stage took, in seconds, as JSON.
    pub verbose: bool,
    /// Hears warnings, and what was asked for beside the results.
    pub tell: fn(&str),
}

/// A case: images in, a segmentation out.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, for messages.
    pub name: String,
    /// Channels in order.
    pub images: Vec<PathBuf>,
    /// The previous stage's segmentation, in a cascade.
    pub previous: Option<PathBuf>,
    /// The output without file ending.
    pub stem: PathBuf,
}

impl Case {
    /// Whether its results are there: whole, and labels of this scan. What cannot be read is not there.
    pub fn is_written(&self, ending: &str, with_probabilities: bool) -> bool {
        let labels = LabelFile::read(&beside(&self.stem, ending)).ok();
        let scan = self.images.first().and_then(|image| read_origin(image).ok());
        let fits =
            labels.zip(scan).is_some_and(|(labels, scan)| labels.on(&scan).is_ok_and(|labels| labels.all().is_ok()));
        fits && (!with_probabilities
            || (npz::is_whole(&beside(&self.stem, ".npz")) && beside(&self.stem, ".pkl").is_file()))
    }
}

/// A case that has no result, and why.
#[derive(Debug)]
pub struct CaseFailure {
    /// The case's name.
    pub name: String,
    /// What went wrong.
    pub error: anyhow::Error,
}

impl CaseFailure {
    fn keep(failures: &Mutex<Vec<Self>>, case: &Case, error: anyhow::Error) {
        failures.lock().unwrap_or_else(PoisonError::into_inner).push(Self { name: case.name.clone(), error });
    }
}

/// A network folder's plan, ready for cases.
pub struct Predictor {
    folder: PathBuf,
    plan: Plan,
    options: PredictOptions,
    postprocessing: Option<Postprocessing>,
    /// Whether cases stay on the device.
    resident: bool,
}

/// A case ready for the networks.
struct Prepared<'a> {
    case: &'a Case,
    input: Input,
    scan: Geometry,
    origin: Origin,
    clock: Clock,
}

enum Input {
    /// For networks that answer logits.
    OnHost(Preprocessed),
    /// For networks that answer labels.
    OnDevice(Normalised),
}

/// A case whose networks are done.
struct Predicted<'a> {
    case: &'a Case,
    output: Outcome,
    scan: Geometry,
    origin: Origin,
    clock: Clock,
}

impl Predictor {
    /// The plan of a network folder, exported or nnU-Net's own, with the chosen folds and mirrors.
    ///
    /// # Errors
    /// [`crate::bundle::plans::PlansError`]; another libtorch; a network with other input channels than its plan calls
    /// for.
    pub fn plan(folder: &Path, options: &PredictOptions) -> Result<Plan> {
        let mut plan = Plan::choose(folder, &options.choice)?;
        let torch = &plan.manifest.torch_version;
        ensure!(
            plan.manifest.engine == EngineKind::Native || torch == TORCH_VERSION,
            "the network was exported with torch {torch}, this program runs {TORCH_VERSION}; export it again"
        );
        let stage = if plan.previous_stage.is_some() { plan.labels.values().len() } else { 0 };
        let (wanted, got) = (plan.normalization.len() + stage, plan.manifest.input_channels);
        ensure!(
            wanted == got,
            "the network takes {got} channels, its plan calls for {wanted}; weights and plan are not from the same \
             training"
        );
        if !options.mirror {
            plan.manifest.mirror_axes = None;
        }
        Ok(plan)
    }

    /// Reads what there is to read but the networks themselves.
    ///
    /// # Errors
    /// A postprocessing.json that cannot be used, a device that is not there, choices that contradict each other.
    pub fn new(folder: &Path, plan: Plan, mut options: PredictOptions) -> Result<Self> {
        let postprocessing = options.postprocessing.as_deref().map(read_postprocessing).transpose()?;
        let cuda = device_name(options.device)?.starts_with("cuda");
        let labels_only = !options.save_probabilities && !options.save_logits;
        let resident = match options.accumulate {
            Accumulate::Host => false,
            Accumulate::Auto => labels_only && cuda && !options.walk.is_exact(),
            Accumulate::Device => {
                ensure!(
                    labels_only,
                    "what is gathered on the device leaves it as labels; leave out --accumulate device to save \
                     probabilities"
                );
                true
            }
        };
        if cuda && !options.walk.is_exact() {
            options.walk.batch = Options::CUDA.batch;
        }
        Ok(Self { folder: folder.to_owned(), plan, options, postprocessing, resident })
    }

    /// Predicts cases. Three at most are in memory: one in the networks, the next one prepared, the one before being
    /// written. Networks are loaded while the first case is prepared. `progress` is told a case's number and the share
    /// of it that is done, beginning with 0. A case that fails (files that cannot be read or written, scans that do not
    /// fit the network, networks that fail) stops no other.
    ///
    /// # Errors
    /// Networks that cannot be loaded, or that are stopped.
    pub fn cases(
        &self,
        cases: &[Case],
        progress: &mut dyn FnMut(usize, f32) -> ControlFlow<()>,
    ) -> Result<Vec<CaseFailure>> {
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let (ready, prepared) = sync_channel(0);
            scope.spawn(move || self.prepare_all(cases, &ready));
            let (done, predicted) = sync_channel(0);
            let writer = scope.spawn(|| self.write_all(predicted, &failures));
            let outcome = self.predict_all(&prepared, &done, &failures, progress);
            drop(prepared);
            drop(done);
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome
        })?;
        Ok(failures.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn prepare_all<'a>(&self, cases: &'a [Case], ready: &SyncSender<(&'a Case, Result<Prepared<'a>>)>) {
        for case in cases {
            if ready.send((case, self.prepare(case))).is_err() {
                return;
            }
        }
    }

    fn predict_all<'a>(
        &self,
        prepared: &Receiver<(&'a Case, Result<Prepared<'a>>)>,
        done: &SyncSender<Predicted<'a>>,
        failures: &Mutex<Vec<CaseFailure>>,
        progress: &mut dyn FnMut(usize, f32) -> ControlFlow<()>,
    ) -> Result<()> {
        let engine = open(&self.folder, &self.plan, self.options.device, self.options.arithmetic)?;
        for (number, (case, prepared)) in prepared.iter().enumerate() {
            if progress(number, 0.0) == ControlFlow::Break(()) {
                return Err(NetworkError::Cancelled.into());
            }
            match prepared.and_then(|prepared| self.predict(&*engine, prepared, &mut |share| progress(number, share))) {
                Ok(predicted) => {
                    if done.send(predicted).is_err() {
                        break; // The writer has panicked, and says why.
                    }
                }
                Err(error)
                    if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(NetworkError::Cancelled))) =>
                {
                    return Err(error);
                }
                Err(error) => CaseFailure::keep(failures, case, error),
            }
        }
        Ok(())
    }

    fn write_all(&self, predicted: Receiver<Predicted<'_>>, failures: &Mutex<Vec<CaseFailure>>) {
        for predicted in predicted {
            let case = predicted.case;
            if let Err(error) = self.write(predicted) {
                CaseFailure::keep(failures, case, error);
            }
        }
    }

    fn tell(&self, words: &str) {
        (self.options.tell)(words);
    }

    fn prepare<'a>(&self, case: &'a Case) -> Result<Prepared<'a>> {
        let mut clock = Clock::start();
        let (channels, origin) = read_channels(&case.images, self.options.pet)?;
        clock.lap("read_s");
        check_dimensions(&origin, &self.plan)?;
        warnings(&channels, &origin, origin.geometry(), &self.plan)
            .iter()
            .for_each(|words| self.tell(&format!("warning: case {}: {words}", case.name)));
        let previous = match &case.previous {
            Some(file) => Some(
                read_on_grid("the previous stage's segmentation", file, &origin)?
                    .all()
                    .with_context(|| file.display().to_string())?,
            ),
            None => None,
        };
        let normalised = crop_and_normalise(&channels, previous.as_ref(), &self.plan)?;
        let scan = channels[0].geometry().clone();
        drop((channels, previous));
        let input =
            if self.resident { Input::OnDevice(normalised) } else { Input::OnHost(normalised.resampled(&self.plan)) };
        clock.lap("preprocessing_s");
        Ok(Prepared { case, input, scan, origin, clock })
    }

    fn predict<'a>(
        &self,
        engine: &dyn Engine,
        prepared: Prepared<'a>,
        progress: &mut Progress<'_>,
    ) -> Result<Predicted<'a>> {
        let Prepared { case, input, scan, origin, mut clock } = prepared;
        clock.resume();
        let output = match input {
            Input::OnHost(prepared) => self.logits(engine, prepared, progress)?,
            Input::OnDevice(normalised) => self.resident(engine, &scan, normalised, progress)?,
        };
        clock.lap("network_s");
        Ok(Predicted { case, output, scan, origin, clock })
    }

    fn logits(&self, engine: &dyn Engine, prepared: Preprocessed, progress: &mut Progress<'_>) -> Result<Outcome> {
        let logits = mean_logits(engine.folds(), &self.plan, prepared.data.view(), self.options.walk, progress)?;
        Ok(Outcome::Logits(logits, prepared.frame))
    }

    /// Labels from the device; where it cannot, logits gathered on the host, unless that was ruled out.
    fn resident(
        &self,
        engine: &dyn Engine,
        scan: &Geometry,
        normalised: Normalised,
        progress: &mut Progress<'_>,
    ) -> Result<Outcome> {
        let (plan, walk) = (&self.plan, self.options.walk);
        if self.options.accumulate != Accumulate::Auto {
            return Ok(Outcome::Labels(resident::labels(engine, plan, scan, &normalised, walk, progress)?));
        }
        let mut fell_back = false;
        let told = &mut |why: &str| {
            fell_back = true;
            self.tell(&format!(
                "the device cannot hold this case ({why}); its logits are gathered in the host's memory"
            ));
        };
        let outcome = resident::labels_or_logits(engine, plan, scan, normalised, walk, progress, told);
        if !fell_back {
            return Ok(outcome?);
        }
        outcome.context("neither with the logits on the device nor with them in the host's memory; try --device cpu")
    }

    fn write(&self, predicted: Predicted<'_>) -> Result<()> {
        let Predicted { case, output, scan, origin, mut clock } = predicted;
        clock.resume();
        let mut labels = match output {
            Outcome::Labels(labels) => labels,
            Outcome::Logits(logits, frame) => self.labels(&logits, &frame, &scan, &case.stem)?,
        };
        if let Some(postprocessing) = &self.postprocessing {
            postprocessing.apply(&mut labels);
        }
        clock.lap("export_s");
        let out = beside(&case.stem, &self.plan.file_ending);
        write_labels(&out, &labels, &origin).with_context(|| format!("cannot write {}", out.display()))?;
        clock.lap("write_s");
        if self.options.verbose {
            self.tell(&serde_json::to_string(&clock.laps)?);
        }
        Ok(())
    }

    fn labels(&self, logits: &Array4<f16>, frame: &Frame, scan: &Geometry, stem: &Path) -> Result<Volume<Label>> {
        if self.options.save_logits {
            let file = beside(stem, ".logits.npy");
            ndarray_npy::write_npy(&file, &logits.mapv(f16::to_f32))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if self.options.save_probabilities {
            return self.write_probabilities(logits, frame, scan, stem);
        }
        Ok(export::labels(logits.view(), frame, &self.plan, scan)?)
    }

    fn write_probabilities(
        &self,
        logits: &Array4<f16>,
        frame: &Frame,
        scan: &Geometry,
        stem: &Path,
    ) -> Result<Volume<Label>> {
        let [x, y, z] = scan.dims;
        let (archive, pickle) = (beside(stem, ".npz"), beside(stem, ".pkl"));
        let cannot = |file: &Path| format!("cannot write {}", file.display());
        let mut writer = NpzWriter::create(&archive, "probabilities", &[self.plan.manifest.heads, z, y, x])
            .with_context(|| cannot(&archive))?;
        let labels =
            export::labels_and_probabilities(logits.view(), frame, &self.plan, scan, |_, values| -> Result<()> {
                writer.append(values).with_context(|| cannot(&archive))
            })?;
        writer.finish().with_context(|| cannot(&archive))?;
        whole(&pickle, |mut file| file.write_all(&properties(scan, frame).bytes())).with_context(|| cannot(&pickle))?;
        Ok(labels)
    }
}

/// How long each stage took.
struct Clock {
    since: Instant,
    laps: serde_json::Map<String, serde_json::Value>,
}

impl Clock {
    fn start() -> Self {
        Self { since: Instant::now(), laps: serde_json::Map::new() }
    }

    /// Leaves out the time that a case waited.
    fn resume(&mut self) {
        self.since = Instant::now();
    }

    fn lap(&mut self, stage: &str) {
        let milliseconds = self.since.elapsed().as_millis();
        self.laps.insert(stage.to_owned(), (milliseconds as f64 / 1000.0).into());
        self.since = Instant::now();
    }
}

pub(super) fn beside(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    stem.with_file_name(name)
}

pub(super) fn read_postprocessing(file: &Path) -> Result<Postprocessing> {
    let content: serde_json::Value = read_json(file)?;
    Postprocessing::parse(&content).with_context(|| format!("the postprocessing {}", file.display()))
}

/// What nnU-Net pickles beside probabilities; its `nnUNetv2_ensemble` writes segmentations with it. Geometry as ITK has
/// it: x and y run to the left and back.
fn properties(scan: &Geometry, frame: &Frame) -> Pickle {
    let [sx, sy, sz] = scan.spacing_mm;
    let itk = |row: usize| if row < 2 { -1.0 } else { 1.0 };
    let origin: Vec<f64> = (0..3).map(|row| itk(row) * scan.world_from_voxel[row][3]).collect();
    let direction: Vec<f64> =
        (0..9).map(|at| itk(at / 3) * scan.world_from_voxel[at / 3][at % 3] / scan.spacing_mm[at % 3]).collect();
    let crop = frame
        .crop
        .iter()
        .map(|range| Pickle::List(vec![Pickle::Int(range.start as i64), Pickle::Int(range.end as i64)]));
    Pickle::Dict(vec![
        (
            "sitk_stuff",
            Pickle::Dict(vec![
                ("spacing", Pickle::floats(&scan.spacing_mm)),
                ("origin", Pickle::floats(&origin)),
                ("direction", Pickle::floats(&direction)),
            ]),
        ),
        ("spacing", Pickle::List([sz, sy, sx].map(Pickle::Float).to_vec())),
        ("shape_before_cropping", Pickle::sizes(&frame.full)),
        ("bbox_used_for_cropping", Pickle::List(crop.collect())),
        ("shape_after_cropping_and_before_resampling", Pickle::sizes(&frame.cropped())),
    ])
}
