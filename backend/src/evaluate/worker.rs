//! Deals cases to threads, each with networks of its own, and keeps what they find in the folder of the evaluation.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use shared::geometry::Plane;
use shared::label::Label;
use shared::volume::Volume;

use super::cases::{CaseFiles, truth};
use super::results::{Columns, Key, Results};
use super::run::{Corrections, Plan, Presegmented, Subject};
use crate::bundle::method::{Measure, Method};
use crate::bundle::{Bundle, Stage};
use crate::inference::engine::set_threads;
use crate::inference::{DeviceChoice, Network};
use crate::pipeline::adapt::AdaptationParams;
use crate::pipeline::presegment::presegment;
use crate::pipeline::refine::{Adaptation, RefineInput, Refined, refine};
use crate::pipeline::reorient::Reorientation;
use crate::pipeline::sampling::Sampling;
use crate::scan_io::{Origin, read_labels, read_scan, write_f32, write_labels};
use crate::tasks::{
    CaseFailure, PRESEGMENTATION_FILE, check_dimensions, class_weights, load_stage, read_channels, reorientation,
};

/// An evaluation: what all threads share.
#[derive(Debug)]
pub struct Setup {
    /// The model bundle.
    pub bundle: Bundle,
    /// What is tried.
    pub plan: Plan,
    /// Dice that each label usually gets, if uncertainty is to be found label by label.
    pub class_dice: Option<Vec<f32>>,
    /// Within this distance of a corrected plane labels pass over to the correction, mm.
    pub blend_mm: f64,
    /// How the network that refines adapts to each case, if it does.
    pub adaptation: Option<AdaptationParams>,
    /// The same as `settings.json` names it; nothing where it does not.
    pub adapt: Vec<String>,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// Whether every refined segmentation is kept.
    pub keep: bool,
    /// Where results go.
    pub out: PathBuf,
}

/// Where a case's volumes lie.
pub fn case_folder(out: &Path, name: &str) -> PathBuf {
    out.join("cases").join(name)
}

impl Setup {
    /// Where a case's volumes lie.
    pub fn case_folder(&self, name: &str) -> PathBuf {
        case_folder(&self.out, name)
    }

    /// An uncertainty of a case.
    pub fn uncertainty_file(&self, name: &str, method: Method) -> PathBuf {
        self.case_folder(name).join(uncertainty_name(method))
    }

    /// The presegmentation of a case.
    pub fn presegmentation_file(&self, name: &str) -> PathBuf {
        self.case_folder(name).join(PRESEGMENTATION_FILE)
    }

    /// The refined segmentation of the pictured setting.
    pub fn refined_file(&self, name: &str) -> PathBuf {
        self.case_folder(name).join(REFINED_FILE)
    }
}

/// The refined segmentation of the pictured setting.
const REFINED_FILE: &str = "refined.nii.gz";

fn uncertainty_name(method: Method) -> String {
    format!("uncertainty_{}.nii.gz", method.to_string().replace('/', "_"))
}

fn kept_name(key: &Key) -> String {
    format!("refined_{}_{}_{}_r{}.nii.gz", key.strategy, key.uncertainty.replace('/', "_"), key.budget, key.round)
}

impl Plan {
    /// Names of the volumes that may be written of a case.
    pub fn volume_files(&self, bundle: &Bundle, name: &str, keep: bool) -> Vec<String> {
        let kept = if keep { self.keys(name) } else { Vec::new() };
        let told = told(bundle).filter(|told| self.refine && !self.methods.contains(told));
        let uncertainties = self.methods.iter().copied().chain(told).map(uncertainty_name);
        let segmentations = [PRESEGMENTATION_FILE, REFINED_FILE].map(str::to_owned);
        segmentations.into_iter().chain(uncertainties).chain(kept.iter().map(kept_name)).collect()
    }
}

/// Evaluates all cases, `jobs` at a time; `finished` hears the name of each. Every network computes on one thread, so
/// that no number depends on how many cases run at once. A case that fails stops no other; all of them are answered.
///
/// # Errors
/// Networks that cannot be opened, a disk that is full.
pub fn evaluate_all(
    setup: &Setup,
    cases: &[CaseFiles],
    jobs: u64,
    results: &Results,
    finished: &(dyn Fn(&str) + Sync),
) -> Result<Vec<CaseFailure>> {
    set_threads(1);
    let weights = setup.class_dice.as_deref().map(|dice| class_weights(&setup.bundle, dice)).transpose()?;
    let next = AtomicUsize::new(0);
    let (stop, failures) = (Mutex::new(None), Mutex::new(Vec::new()));
    let work = || -> Result<()> {
        let mut worker = Worker::new(setup, weights.as_deref())?;
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            match worker.evaluate(case, results) {
                // No other case could be written either.
                Err(error) if is_full(&error) => return Err(error.context(case.name.clone())),
                Err(error) => {
                    let failure = CaseFailure { name: case.name.clone(), error };
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                }
                Ok(()) => {}
            }
            finished(&case.name);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len() as u64) {
            scope.spawn(|| {
                if let Err(error) = work() {
                    next.store(cases.len(), Ordering::Relaxed);
                    *stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    stop.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(failures), Err)
}

/// Whether the disk is full.
fn is_full(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::StorageFull)
}

/// The uncertainty that refinement is told of, as where the bundle is in use: what is chosen by is another question.
fn told(bundle: &Bundle) -> Option<Method> {
    Some(bundle.uncertainty()).filter(|method| method.measure == Measure::Entropy)
}

/// A scan as the networks see it.
struct Seen<'a> {
    channels: &'a [Volume<f32>],
    way: Reorientation,
}

/// One thread's networks.
struct Worker<'a> {
    setup: &'a Setup,
    class_weights: Option<&'a [f32]>,
    presegmentation: Vec<Box<dyn Network>>,
    refinement: Vec<Box<dyn Network>>,
}

impl<'a> Worker<'a> {
    fn new(setup: &'a Setup, class_weights: Option<&'a [f32]>) -> Result<Self> {
        let load = |stage: Stage| load_stage(&setup.bundle, stage, setup.device);
        let refinement = if setup.plan.refine { load(Stage::Refinement)? } else { Vec::new() };
        Ok(Self { setup, class_weights, presegmentation: load(Stage::Presegmentation)?, refinement })
    }

    fn evaluate(&mut self, case: &CaseFiles, results: &Results) -> Result<()> {
        let Setup { bundle, plan, .. } = self.setup;
        // Also of a case whose rows are there: its voxels go into the curves.
        let truth = truth(case, &bundle.manifest.labels)?;
        if !Subject::is_unfinished(&case.name, plan, results) {
            return Ok(());
        }
        let (channels, origin) = read_channels(&case.channels, bundle.manifest.pet)?;
        check_dimensions(&origin, &bundle.presegmentation)?;
        let scan = origin.geometry();
        let way = reorientation(&bundle.manifest, scan);
        let channels: Vec<Volume<f32>> = channels.into_iter().map(|channel| way.apply(channel)).collect();
        let seen = Seen { channels: &channels, way };
        let (presegmented, doubt) = self.presegmented(case, &seen, &origin)?;
        let labels = &bundle.manifest.labels;
        let subject = Subject { name: &case.name, presegmented: &presegmented, truth: &truth, labels };
        let foreground: Vec<Label> = labels.0.iter().map(|label| label.value).collect();
        let presegmentation = way.apply(presegmented.labels.clone());
        let doubt = doubt.map(|doubt| way.apply(doubt));
        let refine = |&Corrections { volume: corrections, planes, contradicted, weights }: &Corrections<'_>| {
            let input = RefineInput {
                channels: &channels,
                presegmentation: &presegmentation,
                uncertainty: doubt.as_ref(),
                corrections: &way.apply(corrections.clone()),
                planes: &planes.iter().map(|plane| way.plane(*plane, scan)).collect::<Vec<Plane>>(),
                contradicted,
                foreground: &foreground,
                encoding: bundle.encoding(),
                blend_mm: self.setup.blend_mm,
            };
            let begun = Instant::now();
            let elapsed_s = || begun.elapsed().as_secs_f64();
            let adaptation =
                self.setup.adaptation.as_ref().map(|params| Adaptation { params, weights, elapsed_s: &elapsed_s });
            let refined =
                refine(&mut self.refinement, bundle.plan(Stage::Refinement), &input, adaptation, &mut |_| {
                    ControlFlow::Continue(())
                })?;
            let back = way.inverse();
            let (labels, uncertainty) = (back.apply(refined.labels), back.apply(refined.uncertainty));
            Ok(Refined { labels, uncertainty, ..refined })
        };
        subject.evaluate(plan, results, &Columns::new(labels), refine, |key, segmentation| {
            if plan.is_pictured(key) {
                write_labels(&self.setup.refined_file(&case.name), segmentation, &origin)?;
            }
            if self.setup.keep {
                let file = self.setup.case_folder(&case.name).join(kept_name(key));
                write_labels(&file, segmentation, &origin)?;
            }
            Ok(())
        })
    }

    /// Presegmentation and uncertainties, and what refinement is told of them, from the folder of the case where they
    /// have been computed before; what is missing is computed at once.
    fn presegmented(
        &mut self,
        case: &CaseFiles,
        Seen { channels, way }: &Seen<'_>,
        origin: &Origin,
    ) -> Result<(Presegmented, Option<Volume<f32>>)> {
        let Setup { bundle, plan, .. } = self.setup;
        let folder = self.setup.case_folder(&case.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let labels_file = self.setup.presegmentation_file(&case.name);
        let file = |method: &Method| self.setup.uncertainty_file(&case.name, *method);
        let is_there = |method: &Method| labels_file.is_file() && file(method).is_file();
        // Class by class it is no entropy of the whole.
        let told = told(bundle).filter(|_| plan.refine && self.class_weights.is_none());
        let also = told.filter(|told| !plan.methods.contains(told));
        let missing: Vec<Method> =
            plan.methods.iter().copied().chain(also).filter(|method| !is_there(method)).collect();
        if !missing.is_empty() {
            let sampling = Sampling { methods: &missing, class_weights: self.class_weights, seed: plan.seed };
            let go_on = &mut |_| ControlFlow::Continue(());
            let made = presegment(&mut self.presegmentation, &bundle.presegmentation, channels, &sampling, go_on)?;
            write_labels(&labels_file, &way.inverse().apply(made.labels), origin)?;
            for (method, uncertainty) in missing.iter().zip(made.uncertainty) {
                write_f32(&file(method), &way.inverse().apply(uncertainty), origin)?;
            }
        }
        let read = |method: &Method| -> Result<Volume<f32>> { Ok(read_scan(&file(method))?.volume) };
        let uncertainty = plan.methods.iter().map(read).collect::<Result<_>>()?;
        let presegmented = Presegmented { uncertainty, labels: read_labels(&labels_file)? };
        Ok((presegmented, told.as_ref().map(read).transpose()?))
    }
}
