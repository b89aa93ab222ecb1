//! One fold of one network learns.

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result};
use shared::acquisition::AcquisitionParams;
use shared::geometry::Plane;
use shared::label::Label;
use shared::volume::Volume;

use super::Lessons;
use crate::bundle::{Bundle, Stage};
use crate::evaluate::cases::{CaseFiles, truth};
use crate::inference::Progress;
use crate::pipeline::acquire::acquire;
use crate::pipeline::learn::{Course, FinishedCase, LearnParams, Lesson, learn};
use crate::pipeline::presegment::presegment;
use crate::pipeline::sampling::Sampling;
use crate::tasks::{check_dimensions, load_stage, read_channels, reorientation};

/// Twice the planes that a bundle offers by itself are chosen, so that its refinement meets an expert's second round as
/// well.
const ROUNDS: f64 = 2.0;

/// What the bundle makes of a case that it has not learned from.
pub(super) struct Prepared {
    presegmentation: Volume<Label>,
    chosen: Vec<Plane>,
}

/// Presegments every case to learn from, and chooses its planes.
pub(super) fn prepared(bundle: &Bundle, lessons: &Lessons, progress: &mut Progress<'_>) -> Result<Vec<Prepared>> {
    let mut folds = load_stage(bundle, Stage::Presegmentation, lessons.device)?;
    let plan = bundle.plan(Stage::Presegmentation);
    let method = bundle.uncertainty();
    let sampling = Sampling { methods: &[method], class_weights: None, seed: lessons.seed };
    let acquisition = bundle.manifest.acquisition;
    let params = AcquisitionParams {
        strategy: acquisition.strategy,
        budget: (ROUNDS * acquisition.budget).min(1.0),
        seed: lessons.seed,
        ..AcquisitionParams::default()
    };
    let mut all = Vec::new();
    for (number, case) in lessons.cases.iter().enumerate() {
        let Opened { channels, .. } = opened(bundle, case).with_context(|| format!("the case {}", case.name))?;
        let made = presegment(&mut folds, plan, &channels, &sampling, &mut |_| ControlFlow::Continue(()))?;
        let uncertainty = made.uncertainty.into_iter().next().context("no uncertainty was found")?;
        let slices = acquire(&uncertainty, &made.labels, &params, &[])?.slices;
        let chosen = slices.iter().map(|slice| slice.plane()).collect();
        all.push(Prepared { presegmentation: made.labels, chosen });
        let _ = progress((number + 1) as f32 / lessons.cases.len() as f32);
    }
    Ok(all)
}

/// A case, turned as the networks want it.
struct Opened {
    channels: Vec<Volume<f32>>,
    truth: Volume<Label>,
}

fn opened(bundle: &Bundle, case: &CaseFiles) -> Result<Opened> {
    let truth = truth(case, &bundle.manifest.labels)?;
    let (channels, origin) = read_channels(&case.channels, bundle.manifest.pet)?;
    check_dimensions(&origin, &bundle.presegmentation)?;
    let way = reorientation(&bundle.manifest, origin.geometry());
    let channels = channels.into_iter().map(|channel| way.apply(channel)).collect();
    Ok(Opened { channels, truth: way.apply(truth) })
}

/// Which network learns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pupil {
    pub(super) stage: Stage,
    pub(super) fold: usize,
}

/// Who teaches it what.
pub(super) struct Teacher<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) lessons: &'a Lessons,
    pub(super) prepared: &'a [Prepared],
    /// Seconds that it may take.
    pub(super) seconds: Option<f64>,
}

impl Teacher<'_> {
    /// The weights of a fold after it has learned, as safetensors.
    pub(super) fn teach(&self, pupil: Pupil, progress: &mut Progress<'_>) -> Result<Vec<u8>> {
        let Self { bundle, lessons, prepared, seconds } = *self;
        let plan = bundle.plan(pupil.stage);
        let foreground: Vec<Label> = bundle.manifest.labels.0.iter().map(|label| label.value).collect();
        let guidance = match pupil.stage {
            Stage::Presegmentation => None,
            Stage::Refinement => bundle.encoding(),
        };
        let begun = Instant::now();
        let elapsed_s = || begun.elapsed().as_secs_f64();
        let course = Course {
            plan,
            guidance: guidance.map(|encoding| (encoding, foreground.as_slice())),
            cases: lessons.cases.len(),
            params: LearnParams {
                steps: lessons.steps,
                seconds,
                // Folds that learned the same in the same order would be one.
                seed: lessons.seed + pupil.fold as u64,
                rate: lessons.rate,
            },
            elapsed_s: &elapsed_s,
        };
        let mut lesson = |number: usize| -> Result<Lesson> {
            let case = &lessons.cases[number];
            let Opened { channels, truth } = opened(bundle, case).with_context(|| format!("the case {}", case.name))?;
            let Prepared { presegmentation, chosen } = &prepared[number];
            Ok(Lesson::new(plan, &FinishedCase { channels: &channels, truth: &truth, presegmentation, chosen })?)
        };
        let network = load_stage(bundle, pupil.stage, lessons.device)?[pupil.fold].trainable()?;
        Ok(learn(network, &course, &mut lesson, progress)?.weights()?)
    }
}
