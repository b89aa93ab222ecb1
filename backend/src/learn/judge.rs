//! What a bundle is worth on cases that nothing was learned from.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use shared::acquisition::MIN_PLANES;

use super::{Lessons, Said};
use crate::bundle::Bundle;
use crate::evaluate::expert::Expert;
use crate::evaluate::results::{Columns, Results};
use crate::evaluate::run::Plan;
use crate::evaluate::worker::{Setup, evaluate_all};
use crate::pipeline::adapt::AdaptationParams;
use crate::tasks::Adapt;

/// Mean Dice over the task's labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Of the presegmentation.
    pub presegmentation: f64,
    /// After a perfect expert has corrected the slices of the bundle's own budget.
    pub refined: f64,
    /// The same outside of these slices.
    pub outside: f64,
}

impl Scores {
    /// Whether neither network is worse and one is better. What differs by rounding alone is neither.
    pub fn is_better_than(self, before: Self) -> bool {
        const ROUNDING: f64 = 1e-6;
        let gains = [self.presegmentation - before.presegmentation, self.refined - before.refined];
        gains.iter().all(|gain| *gain > -ROUNDING) && gains.iter().any(|gain| *gain > ROUNDING)
    }
}

/// Scores of the cases kept back, by name.
pub(super) fn judged(
    bundle: &Bundle,
    lessons: &Lessons,
    folder: &Path,
    said: &mut Said<'_>,
) -> Result<Vec<(String, Scores)>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let acquisition = bundle.manifest.acquisition;
    // Without a limit of time the numbers do not depend on the machine.
    let adaptation = Adapt::Auto.params(bundle).map(|params| AdaptationParams { seconds: None, ..params });
    let setup = Setup {
        plan: Plan {
            strategies: vec![acquisition.strategy],
            methods: vec![bundle.uncertainty()],
            budgets: vec![(acquisition.budget.to_string(), acquisition.budget)],
            fewest_planes: MIN_PLANES,
            expert: Expert::default(),
            rounds: 1,
            seed: lessons.seed,
            refine: true,
        },
        class_dice: None,
        blend_mm: bundle.manifest.blend_mm,
        adaptation,
        adapt: Vec::new(),
        device: lessons.device,
        keep: false,
        out: folder.to_owned(),
        bundle: bundle.clone(),
    };
    let results = Results::open(folder, Columns::new(&bundle.manifest.labels))?;
    let done = Mutex::new(0_usize);
    let said = Mutex::new(said);
    let failures = evaluate_all(&setup, &lessons.kept_back, lessons.jobs, &results, &|_| {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        let share = *done as f32 / lessons.kept_back.len() as f32;
        // Whoever calls it off is heard at the next step of learning.
        let _ = (said.lock().unwrap_or_else(PoisonError::into_inner))("comparing", share);
    })?;
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure.error.context(format!("the case {}, which was kept back", failure.name)));
    }
    let (columns, rows) = results.finish()?;
    let scores = rows.iter().map(|row| {
        let dice = |name: &str| columns.get(row, name);
        let scores = Scores {
            presegmentation: dice("dice_presegmentation"),
            refined: dice("dice_refined"),
            outside: dice("dice_refined_outside"),
        };
        (row.key.case.clone(), scores)
    });
    let scores: Vec<(String, Scores)> = scores.collect();
    if let Some((name, _)) = scores.iter().find(|(_, scores)| !scores.presegmentation.is_finite()) {
        bail!("the case {name}, which was kept back, shows none of the task's labels: nothing can be compared on it");
    }
    Ok(scores)
}

/// Means over cases; of the Dice outside of the slices over those that have any there.
pub(super) fn means(cases: &[(String, Scores)]) -> Scores {
    let mean = |of: fn(&Scores) -> f64| {
        let values: Vec<f64> = cases.iter().map(|(_, scores)| of(scores)).filter(|value| value.is_finite()).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    Scores {
        presegmentation: mean(|scores| scores.presegmentation),
        refined: mean(|scores| scores.refined),
        outside: mean(|scores| scores.outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_worse_in_nothing() {
        #[track_caller]
        fn check(gained: [f64; 3], expected: bool) {
            let before = Scores { presegmentation: 0.8, refined: 0.9, outside: 0.85 };
            let after = Scores {
                presegmentation: before.presegmentation + gained[0],
                refined: before.refined + gained[1],
                outside: before.outside + gained[2],
            };
            assert_eq!(after.is_better_than(before), expected, "{gained:?}");
        }
        check([0.01, 0.01, 0.0], true);
        check([0.01, 0.0, 0.0], true);
        check([0.0, 0.01, -0.01], true);
        check([0.01, -0.001, 0.0], false);
        check([-0.001, 0.01, 0.01], false);
        check([0.0, 0.0, 0.0], false);
        check([1e-9, -1e-9, 0.0], false);
        check([f64::NAN, 0.1, 0.1], false);
    }

    #[test]
    fn means_leave_out_what_there_is_not() {
        let case = |dice: f64, outside: f64| (String::new(), Scores { presegmentation: dice, refined: dice, outside });
        let got = means(&[case(0.5, 0.4), case(0.7, f64::NAN)]);
        assert!((got.presegmentation - 0.6).abs() < 1e-12 && (got.outside - 0.4).abs() < 1e-12, "{got:?}");
    }
}
