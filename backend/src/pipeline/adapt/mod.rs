//! Adaptation: a network learns from this case's corrected planes, and is believed only where planes that it did not
//! learn from say that it got better.
//!
//! `contrast` turns what is the other way round before anything is learned, `patches` says what the network sees,
//! `trial` how good it is on planes kept back; here is the course. All of it is told how much time has passed and never
//! looks at a clock. What the network knew before is kept by the divergence from its own probabilities, wherever the
//! expert said nothing.

mod contrast;
mod patches;
mod trial;

use std::fmt;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::bundle::plans::Plan;
use crate::inference::engine::Learner;
use crate::inference::engine::TrainableNetwork;
use crate::inference::training::{Layers, LearningRule};
use crate::inference::{NetworkError, Progress};

pub(super) use contrast::{fails, misled, turned_channels};
pub use patches::{AdaptInput, Guidance};
pub(super) use patches::{Patches, Told};

/// How a network adapts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaptationParams {
    /// Seconds that it may take; none for as long as the steps take, which makes the result independent of the
    /// machine's speed.
    pub seconds: Option<f64>,
    /// Steps at most while planes are kept back.
    pub steps: u32,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Adam's step size.
    pub rate: f64,
    /// Weight of what the network knew before, where its error in the corrected planes is 1; the larger its error, the
    /// less it counts.
    pub anchor_weight: f64,
    /// Only the layers behind the bottleneck learn.
    pub decoder_only: bool,
}

impl Default for AdaptationParams {
    fn default() -> Self {
        Self { seconds: None, steps: 40, seed: 0, rate: 3e-4, anchor_weight: 0.3, decoder_only: false }
    }
}

/// Longest gradient, as nnU-Net trains.
const GRADIENT_NORM: f64 = 12.0;
/// An error below this is taken for it, so that no weight grows without bounds.
const LEAST_ERROR: f64 = 0.05;
/// How often each known plane is guidance while the network learns; as often as not it must find out by itself what the
/// plane says.
const SHOWN: f64 = 0.6;
/// Steps between two looks at the planes kept back.
const STEPS_PER_TRIAL: u32 = 10;
/// Trials without a better one after which the rest of the steps is spared.
const PATIENCE: u32 = 2;
/// Of so many planes one is kept back.
const PLANES_PER_KEPT: usize = 5;
/// Steps with all planes, as a share of those that were best without the ones kept back.
const CLOSING_SHARE: f64 = 0.5;

/// How an adaptation went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptationReport {
    /// Planes that the network learned from in the end.
    pub planes: usize,
    /// Planes that were kept back to see whether it got better.
    pub kept_back: usize,
    /// Steps that the result took.
    pub steps: u32,
    /// Error in the planes kept back (cross-entropy + 1 − soft Dice) before and after.
    pub error: Option<[f64; 2]>,
    /// Why the result is the unadapted one after all.
    pub fell_back: Option<FallBack>,
}

/// Why a case goes on with the network as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallBack {
    /// Fewer than two planes: nothing could be kept back.
    TooFewPlanes,
    /// No step made the planes kept back better.
    NoBetter,
    /// The time was over before the first trial.
    NoTime,
    /// The loss left the numbers.
    Diverged,
    /// The network's program cannot learn, or memory does not suffice.
    CannotLearn,
}

impl fmt::Display for AdaptationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.fell_back, self.error) {
            (Some(reason), _) => write!(f, "the network was not adapted: {reason}"),
            (None, Some([before, after])) => {
                let Self { planes, kept_back, steps, .. } = self;
                let change = 100.0 * (1.0 - after / before);
                write!(
                    f,
                    "the network was adapted to {planes} slices in {steps} steps; error in {kept_back} kept back at \
                     first: {change:.0} % less"
                )
            }
            (None, None) => write!(f, "the network was adapted to {} slices in {} steps", self.planes, self.steps),
        }
    }
}

impl fmt::Display for FallBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooFewPlanes => "at least two corrected slices are needed, one of them to check it by",
            Self::NoBetter => "slices that it had not learned from got no better",
            Self::NoTime => "the time allowed was over before it could be checked",
            Self::Diverged => "what it learned led nowhere",
            Self::CannotLearn => "its program cannot learn, or memory does not suffice",
        })
    }
}

/// What an adaptation came to.
pub struct Adapted {
    /// The adapted network; none where it fell back.
    pub network: Option<Box<dyn TrainableNetwork>>,
    /// How it went.
    pub report: AdaptationReport,
}

/// Told how many seconds have passed since the beginning.
pub type Elapsed<'a> = dyn Fn() -> f64 + 'a;

/// Adapts a copy of a network to a case.
///
/// First it learns from all planes but some that are kept back, and is tried on these every few steps. From the best
/// trial on it learns for a while with all planes. Where no trial was better than before, it falls back. What is tried
/// and kept is the running mean of the weights.
///
/// # Errors
/// [`NetworkError::Cancelled`]; whatever else the network says makes it fall back.
pub fn adapt<'a>(
    network: Box<dyn TrainableNetwork>,
    plan: &Plan,
    input: AdaptInput<'a>,
    params: &'a AdaptationParams,
    elapsed_s: &'a Elapsed<'a>,
    progress: &mut Progress<'_>,
) -> Result<Adapted, NetworkError> {
    let planes = input.planes.len();
    let fell_back = |reason| {
        let report = AdaptationReport { planes, kept_back: 0, steps: 0, error: None, fell_back: Some(reason) };
        Ok(Adapted { network: None, report })
    };
    if planes < 2 {
        return fell_back(FallBack::TooFewPlanes);
    }
    match Course::new(network, plan, input, params, elapsed_s).and_then(|course| course.run(progress)) {
        Err(NetworkError::Cancelled) => Err(NetworkError::Cancelled),
        Err(NetworkError::NotFinite) => fell_back(FallBack::Diverged),
        Err(_) => fell_back(FallBack::CannotLearn),
        adapted => adapted,
    }
}

/// An adaptation under way.
struct Course<'a> {
    learner: Learner,
    patches: Patches<'a>,
    params: &'a AdaptationParams,
    elapsed_s: &'a Elapsed<'a>,
    rng: Pcg64,
    /// Planes to learn from until the best trial is known.
    known: Vec<usize>,
    kept_back: Vec<usize>,
    steps: u32,
}

impl<'a> Course<'a> {
    fn new(
        network: Box<dyn TrainableNetwork>,
        plan: &Plan,
        input: AdaptInput<'a>,
        params: &'a AdaptationParams,
        elapsed_s: &'a Elapsed<'a>,
    ) -> Result<Self, NetworkError> {
        let mut rng = Pcg64::seed_from_u64(params.seed);
        let patches = Patches::new(input, plan, &mut rng);
        let all: Vec<usize> = (0..input.planes.len()).collect();
        // What the network knew before is worth as much as it is right where the expert looked: on scans unlike its
        // training it is soon given up.
        let error = trial::error(&*network, &patches, &all, &[])?;
        let rule = LearningRule {
            rate: params.rate,
            gradient_norm: GRADIENT_NORM,
            anchor_weight: params.anchor_weight / error.max(LEAST_ERROR),
            layers: if params.decoder_only { Layers::Decoder } else { Layers::All },
        };
        let learner = Learner::new(network, rule)?;
        let kept_back = trial::kept_back(input, input.planes.len().div_ceil(PLANES_PER_KEPT));
        let known = (0..input.planes.len()).filter(|plane| !kept_back.contains(plane)).collect();
        Ok(Self { learner, patches, params, elapsed_s, rng, known, kept_back, steps: 0 })
    }

    fn run(mut self, progress: &mut Progress<'_>) -> Result<Adapted, NetworkError> {
        let all_steps = f64::from(self.params.steps) * (1.0 + CLOSING_SHARE);
        let before = self.tried()?;
        let mut best = (before, 0, Vec::new());
        let mut tries = 0;
        // The closing steps take half as long as those until the best trial.
        let share = 1.0 / (1.0 + CLOSING_SHARE);
        while self.steps < self.params.steps && tries - best.1 / STEPS_PER_TRIAL < PATIENCE && self.in_time(share) {
            self.learn(&self.known.clone())?;
            if progress((f64::from(self.steps) / all_steps) as f32).is_break() {
                return Err(NetworkError::Cancelled);
            }
            if self.steps.is_multiple_of(STEPS_PER_TRIAL) {
                tries += 1;
                let error = self.tried()?;
                if error < best.0 {
                    best = (error, self.steps, self.learner.weights()?);
                }
            }
        }
        let (after, best_steps, weights) = best;
        let report = AdaptationReport {
            planes: self.known.len() + self.kept_back.len(),
            kept_back: self.kept_back.len(),
            steps: 0,
            error: Some([before, after]),
            fell_back: None,
        };
        if best_steps == 0 {
            let reason = if tries == 0 { FallBack::NoTime } else { FallBack::NoBetter };
            return Ok(Adapted { network: None, report: AdaptationReport { fell_back: Some(reason), ..report } });
        }
        self.learner.set_weights(&weights)?;
        let closing = (f64::from(best_steps) * CLOSING_SHARE) as u32;
        let all: Vec<usize> = (0..report.planes).collect();
        let mut closed = 0;
        while closed < closing && self.in_time(1.0) {
            self.learn(&all)?;
            closed += 1;
            let done = (f64::from(self.params.steps) + f64::from(closed)) / all_steps;
            if progress(done.min(1.0) as f32).is_break() {
                return Err(NetworkError::Cancelled);
            }
        }
        let report = AdaptationReport { steps: best_steps + closed, ..report };
        Ok(Adapted { network: Some(self.learner.into_network()), report })
    }

    fn in_time(&self, share: f64) -> bool {
        self.params.seconds.is_none_or(|seconds| (self.elapsed_s)() < seconds * share)
    }

    fn learn(&mut self, known: &[usize]) -> Result<(), NetworkError> {
        let mut shown: Vec<usize> = known.iter().copied().filter(|_| self.rng.random_bool(SHOWN)).collect();
        shown.shuffle(&mut self.rng);
        let patch = self.patches.draw(Told { known, shown: &shown }, known, &mut self.rng);
        self.learner.learn(&patch)?;
        self.steps += 1;
        Ok(())
    }

    /// The error in the planes kept back, with the others as guidance.
    fn tried(&self) -> Result<f64, NetworkError> {
        trial::error(self.learner.network(), &self.patches, &self.kept_back, &self.known)
    }
}
