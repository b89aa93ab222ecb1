//! A bundle learns from finished cases: its networks go on from their weights, and what comes of it is compared with
//! what was, on cases that were kept back. Nothing that is worse there is written.

mod judge;
mod teach;

use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::bundle::revise::{Revision, check_revisable, revise};
use crate::bundle::{Bundle, Stage};
use crate::evaluate::cases::CaseFiles;
use crate::inference::DeviceChoice;
use crate::inference::engine::set_threads;

pub use judge::Scores;
use judge::{judged, means};
use teach::{Pupil, Teacher, prepared};

/// Hears what is being done and the share of it that is over; may call it off.
pub type Said<'a> = dyn FnMut(&'static str, f32) -> ControlFlow<()> + Send + 'a;

/// What a bundle learns from, and how.
#[derive(Clone, Debug)]
pub struct Lessons {
    /// Cases to learn from.
    pub cases: Vec<CaseFiles>,
    /// Cases to compare on; none of them is learned from.
    pub kept_back: Vec<CaseFiles>,
    /// Steps of each fold of each network.
    pub steps: u32,
    /// Minutes that all learning may take; none for as long as the steps take.
    pub minutes: Option<f64>,
    /// Adam's step size at first.
    pub rate: f64,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Cases at once, while they are compared.
    pub jobs: u64,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// Version of the new bundle.
    pub version: String,
    /// When it learned, for its description.
    pub date: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Networks that the new bundle has; the others are those of before.
    pub stages: Vec<Stage>,
    /// Kept back cases by name, before and after.
    pub cases: Vec<(String, [Scores; 2])>,
    /// Their means.
    pub means: [Scores; 2],
}

/// Lets a bundle learn, and writes its next version to `out`, which must not exist; `said` hears what is being done and
/// how far that is.
///
/// # Errors
/// Cases that cannot be read, networks that cannot learn; learning that made nothing better, after which nothing is
/// written.
pub fn learn(bundle: &Bundle, lessons: &Lessons, out: &Path, said: &mut Said<'_>) -> Result<Learned> {
    ensure!(!out.exists(), "{} exists already; choose another folder with -o, or move it away", out.display());
    bundle.stages().iter().try_for_each(|stage| check_revisable(bundle, *stage))?;
    let work = Workplace::beside(out)?;
    let before = judged(bundle, lessons, &work.at("before"), said)?;
    let weights = taught(bundle, lessons, said)?;
    // Both networks as they are now, or one of them with the other as it was.
    let both: Vec<Stage> = weights.iter().map(|(stage, _)| *stage).collect();
    let mut tries = vec![both.clone()];
    if both.len() > 1 {
        tries.extend(both.iter().map(|stage| vec![*stage]));
    }
    for (number, stages) in tries.into_iter().enumerate() {
        let revision = Revision {
            version: lessons.version.clone(),
            training_data: training_data(bundle, lessons),
            weights: weights.iter().filter(|(stage, _)| stages.contains(stage)).cloned().collect(),
        };
        let candidate = revise(bundle, &revision, &work.at(&format!("candidate_{number}")))?;
        let after = judged(&candidate, lessons, &work.at(&format!("after_{number}")), said)?;
        let means = [means(&before), means(&after)];
        if !means[1].is_better_than(means[0]) {
            continue;
        }
        fs::rename(&candidate.folder, out).with_context(|| format!("cannot write {}", out.display()))?;
        let cases = before.into_iter().zip(after).map(|((name, before), (_, after))| (name, [before, after])).collect();
        return Ok(Learned { stages, cases, means });
    }
    bail!(
        "nothing was gained: on the {} case(s) kept back the networks that had learned were no better than before. No \
         bundle was written. More cases, more --steps or a smaller --rate may do",
        lessons.kept_back.len()
    );
}

/// Every fold of every network, after it has learned.
fn taught(bundle: &Bundle, lessons: &Lessons, said: &mut Said<'_>) -> Result<Vec<(Stage, Vec<Vec<u8>>)>> {
    // Comparing has left one thread to each network.
    set_threads(std::thread::available_parallelism().map_or(1, NonZero::get));
    let prepared = prepared(bundle, lessons, &mut |done| said("looking at the cases", done))?;
    let folds: usize = bundle.stages().iter().map(|stage| bundle.plan(*stage).manifest.folds.len()).sum();
    let begun = Instant::now();
    let mut done = 0;
    let mut weights = Vec::new();
    for stage in bundle.stages() {
        let mut learned = Vec::new();
        for fold in 0..bundle.plan(*stage).manifest.folds.len() {
            let teacher = Teacher {
                bundle,
                lessons,
                prepared: &prepared,
                // What earlier folds left of the time is shared by the others.
                seconds: lessons
                    .minutes
                    .map(|minutes| (60.0 * minutes - begun.elapsed().as_secs_f64()).max(0.0) / (folds - done) as f64),
            };
            let pupil = Pupil { stage: *stage, fold };
            let mut show = |share: f32| said("learning", (done as f32 + share) / folds as f32);
            learned.push(teacher.teach(pupil, &mut show)?);
            done += 1;
        }
        weights.push((*stage, learned));
    }
    Ok(weights)
}

/// What a bundle says of its training from now on: how many cases, never which.
fn training_data(bundle: &Bundle, lessons: &Lessons) -> String {
    let (cases, kept_back) = (lessons.cases.len(), lessons.kept_back.len());
    let date = &lessons.date;
    format!(
        "{}; then {cases} finished case(s) on {date}, compared on {kept_back} kept back",
        bundle.manifest.training_data
    )
}

/// A folder for what is made on the way. It lies beside the new bundle, so that one can be moved there, and is hidden,
/// so that no server offers what is in it.
struct Workplace(PathBuf);

impl Workplace {
    fn beside(out: &Path) -> Result<Self> {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let folder = out.with_file_name(format!(".{name}.learning-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // Volumes of patients lie in it; what cannot be removed is hidden and named after the bundle.
        let _ = fs::remove_dir_all(&self.0);
    }
}
