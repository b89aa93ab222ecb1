//! Learning across cases: a network goes on from its weights with finished cases, of which every voxel is right.
//!
//! What a lesson shows is what adaptation shows of a case's corrected planes, only that all planes are known. A network
//! that listens to an expert sees the first of the planes that acquisition had chosen, as many as fall to it: the
//! guidance that it will meet.

use std::ops::ControlFlow;

use half::f16;
use ndarray::Array4;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use shared::geometry::{Axis, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

use super::adapt::{AdaptInput, Elapsed, Guidance, Patches, Told};
use super::presegment::SegmentError;
use super::refine::{Guided, RefineInput};
use crate::bundle::GuidanceEncoding;
use crate::bundle::plans::Plan;
use crate::inference::engine::{Learner, TrainableNetwork};
use crate::inference::training::{Layers, LearningRule};
use crate::inference::{NetworkError, Progress};

/// How a network learns from finished cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnParams {
    /// Steps, a patch each.
    pub steps: u32,
    /// Seconds that it may take; none for as long as the steps take, which makes the result independent of the
    /// machine's speed.
    pub seconds: Option<f64>,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Adam's step size at first. It falls as nnU-Net's does, by (1 − share done)^0.9.
    pub rate: f64,
}

/// Longest gradient, as nnU-Net trains.
const GRADIENT_NORM: f64 = 12.0;
/// nnU-Net's exponent of the falling rate.
const FALL: f64 = 0.9;
/// Steps with a case before the next one's turn comes.
const STEPS_A_VISIT: u32 = 5;

/// A finished case; all volumes on the scan's grid.
#[derive(Clone, Copy, Debug)]
pub struct FinishedCase<'a> {
    /// The scan's channels.
    pub channels: &'a [Volume<f32>],
    /// What is right.
    pub truth: &'a Volume<Label>,
    /// What the networks made of it before they knew it.
    pub presegmentation: &'a Volume<Label>,
    /// The planes that acquisition chose then, in their order.
    pub chosen: &'a [Plane],
}

/// A finished case on the network's grid.
pub struct Lesson {
    guided: Guided,
    /// Logits of nobody, `[heads, z, y, x]`: nothing is to be kept where everything is known.
    nobodys: Array4<f16>,
    /// Planes that show foreground; all if none does.
    showing: Vec<usize>,
    /// The planes that acquisition chose, in their order.
    chosen: Vec<usize>,
}

impl Lesson {
    /// What a case teaches the network of a plan.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub fn new(plan: &Plan, case: &FinishedCase<'_>) -> Result<Self, SegmentError> {
        let scan = case.truth.geometry();
        let all: Vec<Plane> = [Axis::Sagittal, Axis::Coronal, Axis::Axial]
            .into_iter()
            .flat_map(|axis| (0..scan.plane_count(axis)).map(move |index| Plane { axis, index }))
            .collect();
        let guided = Guided::new(
            plan,
            &RefineInput {
                channels: case.channels,
                presegmentation: case.presegmentation,
                uncertainty: None,
                corrections: case.truth,
                planes: &all,
                contradicted: 0.0,
                foreground: &[],
                encoding: None,
                blend_mm: 0.0,
            },
        )?;
        let shows =
            |at: &usize| guided.planes[*at].iter().any(|sheet| sheet.labels.iter().any(|label| *label != BACKGROUND));
        let mut showing: Vec<usize> = (0..guided.planes.len()).filter(shows).collect();
        if showing.is_empty() {
            showing = (0..guided.planes.len()).collect();
        }
        let mut cropped: Vec<(usize, usize)> =
            all.iter().filter_map(|plane| guided.frame.cropped_plane(*plane, scan)).collect();
        cropped.sort_unstable();
        let place = |plane: &Plane| cropped.binary_search(&guided.frame.cropped_plane(*plane, scan)?).ok();
        let chosen = case.chosen.iter().filter_map(place).collect();
        let [z, y, x] = guided.frame.network;
        let nobodys = Array4::from_elem((plan.manifest.heads, z, y, x), f16::ZERO);
        Ok(Self { guided, nobodys, showing, chosen })
    }
}

/// What is asked of a network that learns.
pub struct Course<'a> {
    /// The network's plan.
    pub plan: &'a Plan,
    /// How planes reach it, and the task's foreground labels; none for one that knows no guidance.
    pub guidance: Option<(GuidanceEncoding, &'a [Label])>,
    /// Number of cases.
    pub cases: usize,
    /// How it learns.
    pub params: LearnParams,
    /// Seconds since the beginning.
    pub elapsed_s: &'a Elapsed<'a>,
}

/// Goes on training a copy of a network; answers it with the running mean of its weights. `lesson` opens a case by its
/// number, again whenever its turn comes, so that one case at a time is in memory.
///
/// # Errors
/// Whatever `lesson` says; [`NetworkError`] of a network that cannot learn, whose loss leaves the numbers, or that is
/// stopped.
pub fn learn<E: From<NetworkError>>(
    network: Box<dyn TrainableNetwork>,
    course: &Course<'_>,
    lesson: &mut dyn FnMut(usize) -> Result<Lesson, E>,
    progress: &mut Progress<'_>,
) -> Result<Box<dyn TrainableNetwork>, E> {
    let LearnParams { steps, seconds, seed, rate } = course.params;
    let mut rng = Pcg64::seed_from_u64(seed);
    let rule = LearningRule { rate, gradient_norm: GRADIENT_NORM, anchor_weight: 0.0, layers: Layers::All };
    let mut learner = Learner::new(network, rule)?;
    let mut turns: Vec<usize> = Vec::new();
    let mut done = 0;
    // The share of the steps or of the time that is over, whichever is more.
    let share = |done: u32| {
        let of_time = seconds.map_or(0.0, |seconds| (course.elapsed_s)() / seconds);
        (f64::from(done) / f64::from(steps.max(1))).max(of_time)
    };
    while share(done) < 1.0 {
        if turns.is_empty() {
            turns = (0..course.cases).collect();
            turns.shuffle(&mut rng);
        }
        let Some(case) = turns.pop() else { break };
        let lesson = lesson(case)?;
        let input = lesson.input(course);
        let patches = Patches::new(input, course.plan, &mut rng);
        let known: Vec<usize> = (0..input.planes.len()).collect();
        for _ in 0..STEPS_A_VISIT {
            let over = share(done);
            if over >= 1.0 {
                break;
            }
            learner.set_rate(rate * (1.0 - over).powf(FALL));
            let shown = &lesson.chosen[..rng.random_range(0..=lesson.chosen.len())];
            learner.learn(&patches.draw(Told { known: &known, shown }, &lesson.showing, &mut rng))?;
            done += 1;
            if progress(share(done).min(1.0) as f32) == ControlFlow::Break(()) {
                return Err(NetworkError::Cancelled.into());
            }
        }
    }
    Ok(learner.into_network())
}

impl Lesson {
    fn input<'a>(&'a self, course: &Course<'a>) -> AdaptInput<'a> {
        let guidance = course.guidance.map(|(encoding, foreground)| Guidance {
            encoding,
            foreground,
            presegmentation: self.guided.presegmentation.view(),
        });
        AdaptInput {
            image: self.guided.data.view(),
            planes: &self.guided.planes,
            before: self.nobodys.view(),
            guidance,
        }
    }
}
