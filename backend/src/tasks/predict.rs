//! A case predicted as nnU-Net predicts it, from files to files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use half::f16;
use ndarray::Array4;
use shared::geometry::Geometry;
use shared::label::Label;
use shared::volume::Volume;

use super::networks::load_folds;
use super::presegment::read_channels;
use crate::inference::bundle::TORCH_VERSION;
use crate::inference::plans::{Plan, read_json};
use crate::inference::{DeviceChoice, Network, Progress};
use crate::pipeline::export;
use crate::pipeline::postprocess::Postprocessing;
use crate::pipeline::predict::{Options, mean_logits};
use crate::pipeline::preprocess::{Frame, preprocess_stage};
use crate::volume_io::{NpzWriter, Pickle, read_labels, write_labels};

/// What may be chosen beside the network.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// Folds by name; all that were exported, if empty.
    pub folds: Vec<String>,
    /// How the network walks a volume.
    pub walk: Options,
    /// Whether patches are mirrored as far as the network allows.
    pub mirror: bool,
    /// Writes `CASE.npz` and `CASE.pkl`, as nnU-Net does.
    pub save_probabilities: bool,
    /// Writes the logits on the network's grid as `CASE.logits.npy`, for comparison.
    pub save_logits: bool,
    /// A `postprocessing.json` that is applied to the labels.
    pub postprocessing: Option<PathBuf>,
    /// Where networks run.
    pub device: DeviceChoice,
    /// Prints how long each stage took, in seconds, as JSON.
    pub verbose: bool,
}

/// A network folder's plan and folds, ready for cases.
pub struct Predictor {
    plan: Plan,
    folds: Vec<Box<dyn Network>>,
    options: PredictOptions,
    postprocessing: Option<Postprocessing>,
}

impl Predictor {
    /// The plan of a network folder with the chosen folds and mirrors.
    ///
    /// # Errors
    /// [`crate::inference::plans::PlansError`], folds that were not exported, another libtorch.
    pub fn plan(folder: &Path, options: &PredictOptions) -> Result<Plan> {
        let mut plan = Plan::read(folder)?;
        let torch = &plan.manifest.torch_version;
        ensure!(torch == TORCH_VERSION, "the network was exported with torch {torch}, this program runs {TORCH_VERSION}; export it again");
        if !options.mirror {
            plan.manifest.mirror_axes = None;
        }
        if !options.folds.is_empty() {
            for fold in &options.folds {
                let exported = plan.manifest.folds.join(", ");
                ensure!(plan.manifest.folds.contains(fold), "fold {fold} was not exported; the folder {} has {exported}", folder.display());
            }
            plan.manifest.folds = options.folds.clone();
        }
        Ok(plan)
    }

    /// Loads the folds.
    ///
    /// # Errors
    /// [`crate::inference::NetworkError`], a postprocessing.json that cannot be used.
    pub fn load(folder: &Path, plan: Plan, options: PredictOptions) -> Result<Self> {
        let postprocessing = options.postprocessing.as_deref().map(read_postprocessing).transpose()?;
        let folds = load_folds(folder, &plan, options.device)?;
        Ok(Self { plan, folds, options, postprocessing })
    }

    /// Predicts a case. `stem` is the output without file ending; `previous` the previous stage's segmentation, in a cascade.
    ///
    /// # Errors
    /// Files that cannot be read or written, scans that do not fit the network, networks that fail or are stopped.
    pub fn case(&mut self, images: &[PathBuf], previous: Option<&Path>, stem: &Path, progress: &mut Progress<'_>) -> Result<()> {
        let mut clock = Clock::start();
        let (channels, header) = read_channels(images)?;
        clock.lap("read_s");
        let previous = match previous {
            Some(file) => Some(read_labels(file).with_context(|| format!("the previous stage's segmentation {}", file.display()))?),
            None => None,
        };
        let prepared = preprocess_stage(&channels, previous.as_ref(), &self.plan)?;
        let scan = channels[0].geometry().clone();
        drop((channels, previous));
        clock.lap("preprocessing_s");
        let logits = mean_logits(&mut self.folds, &self.plan, prepared.data.view(), self.options.walk, progress)?;
        clock.lap("network_s");
        if self.options.save_logits {
            let file = beside(stem, ".logits.npy");
            ndarray_npy::write_npy(&file, &logits.mapv(f16::to_f32)).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let mut labels = if self.options.save_probabilities {
            self.write_probabilities(&logits, &prepared.frame, &scan, stem)?
        } else {
            export::labels(logits.view(), &prepared.frame, &self.plan, &scan)?
        };
        if let Some(postprocessing) = &self.postprocessing {
            postprocessing.apply(&mut labels);
        }
        clock.lap("export_s");
        let out = beside(stem, &self.plan.file_ending);
        write_labels(&out, &labels, &header).with_context(|| format!("cannot write {}", out.display()))?;
        clock.lap("write_s");
        if self.options.verbose {
            eprintln!("{}", serde_json::to_string(&clock.laps)?);
        }
        Ok(())
    }

    fn write_probabilities(&self, logits: &Array4<f16>, frame: &Frame, scan: &Geometry, stem: &Path) -> Result<Volume<Label>> {
        let [x, y, z] = scan.dims;
        let (archive, pickle) = (beside(stem, ".npz"), beside(stem, ".pkl"));
        let cannot = |file: &Path| format!("cannot write {}", file.display());
        let mut writer =
            NpzWriter::create(&archive, "probabilities", &[self.plan.manifest.heads, z, y, x]).with_context(|| cannot(&archive))?;
        let labels = export::labels_and_probabilities(logits.view(), frame, &self.plan, scan, |_, values| -> Result<()> {
            writer.append(values).with_context(|| cannot(&archive))
        })?;
        writer.finish().with_context(|| cannot(&archive))?;
        std::fs::write(&pickle, properties(scan, frame).bytes()).with_context(|| cannot(&pickle))?;
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

    fn lap(&mut self, stage: &str) {
        let milliseconds = self.since.elapsed().as_millis();
        self.laps.insert(stage.to_owned(), (milliseconds as f64 / 1000.0).into());
        self.since = Instant::now();
    }
}

fn beside(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    stem.with_file_name(name)
}

fn read_postprocessing(file: &Path) -> Result<Postprocessing> {
    let content: serde_json::Value = read_json(file)?;
    Postprocessing::parse(&content).with_context(|| format!("the postprocessing {}", file.display()))
}

/// What nnU-Net pickles beside probabilities; its `nnUNetv2_ensemble` writes segmentations with it. Geometry as ITK has it: x and y run to the left
/// and back.
fn properties(scan: &Geometry, frame: &Frame) -> Pickle {
    let [sx, sy, sz] = scan.spacing_mm;
    let itk = |row: usize| if row < 2 { -1.0 } else { 1.0 };
    let origin: Vec<f64> = (0..3).map(|row| itk(row) * scan.world_from_voxel[row][3]).collect();
    let direction: Vec<f64> = (0..9).map(|at| itk(at / 3) * scan.world_from_voxel[at / 3][at % 3] / scan.spacing_mm[at % 3]).collect();
    let crop = frame.crop.iter().map(|range| Pickle::List(vec![Pickle::Int(range.start as i64), Pickle::Int(range.end as i64)]));
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
