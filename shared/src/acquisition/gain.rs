//! What another round would be worth, learned from how far earlier rounds moved the labels.

use serde::{Deserialize, Serialize};

use super::RankedSlice;
use crate::label::{BACKGROUND, Label};

/// Another round is worth the expert's time from this share of the segmentation on. A segmentation of which 1 % changes
/// keeps a Dice of about 0.995 with itself: less than two experts differ by, or one from day to day.
pub const WORTHWHILE_SHARE: f64 = 0.01;

/// What a round taught.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundOutcome {
    /// Uncertainty that the planes corrected in it were to settle: their shares (see [`RankedSlice::settles`]) times
    /// the case's, summed over voxels.
    pub settled: f64,
    /// Voxels whose label correction and refinement changed.
    pub changed: u64,
}

/// How a case stands after a refinement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Standing {
    /// Uncertainty that is left, summed over voxels.
    pub uncertainty: f64,
    /// Voxels of the segmentation that are not background.
    pub foreground: u64,
    /// What the rounds taught, oldest first.
    pub outcomes: Vec<RoundOutcome>,
}

/// A round from what it began with to what it came to. Labels and uncertainties (0 to 255 for 0 to 1) hold one value
/// per voxel, in the same order.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Sum of the shares of uncertainty that the planes corrected in it were to settle; see [`RankedSlice::settles`].
    pub settles: f64,
    /// The segmentation before.
    pub labels_before: &'a [Label],
    /// Its uncertainty.
    pub uncertainty_before: &'a [u8],
    /// The refined segmentation.
    pub labels: &'a [Label],
    /// Its uncertainty.
    pub uncertainty: &'a [u8],
}

impl Standing {
    /// How a case stands before its first round: a label and an uncertainty (0 to 255 for 0 to 1) a voxel.
    pub fn begun(labels: &[Label], uncertainty: &[u8]) -> Self {
        Self { uncertainty: summed(uncertainty), foreground: foreground(labels), outcomes: Vec::new() }
    }

    /// How a case stands after one more round.
    pub fn after(&self, round: &Round<'_>) -> Self {
        let changed =
            round.labels_before.iter().zip(round.labels).filter(|(before, after)| before != after).count() as u64;
        let outcome = RoundOutcome { settled: round.settles * summed(round.uncertainty_before), changed };
        Self {
            uncertainty: summed(round.uncertainty),
            foreground: foreground(round.labels),
            outcomes: self.outcomes.iter().copied().chain([outcome]).collect(),
        }
    }
}

fn foreground(labels: &[Label]) -> u64 {
    labels.iter().filter(|label| **label != BACKGROUND).count() as u64
}

fn summed(uncertainty: &[u8]) -> f64 {
    uncertainty.iter().map(|value| u64::from(*value)).sum::<u64>() as f64 / 255.0
}

/// What the next slices are expected to change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExpectedGain {
    /// Voxels.
    pub voxels: f64,
    /// The same as a share of the segmentation's voxels.
    pub share: f64,
    /// Whether that is too little to go on for: less than [`WORTHWHILE_SHARE`].
    pub stop: bool,
}

/// Voxels that correcting `next` and refining would change: the uncertainty that the slices would settle, times the
/// voxels that a unit of settled uncertainty has changed so far. A round counts half as much as the one after it,
/// because refinement's doubts differ from presegmentation's. Never more than the most that a round has changed: rounds
/// get smaller. On five hippocampi the second round was foretold to 9 % of what it then changed, the third to 17 %
/// (mean error; BENCHMARKS.md).
///
/// Nothing where nothing can be learned: no round yet, or none whose planes were to settle any uncertainty.
pub fn expected_gain<'a>(standing: &Standing, next: impl IntoIterator<Item = &'a RankedSlice>) -> Option<ExpectedGain> {
    let weighted = |value: fn(&RoundOutcome) -> f64| {
        standing
            .outcomes
            .iter()
            .rev()
            .zip(std::iter::successors(Some(1.0), |weight| Some(weight * 0.5)))
            .map(move |(o, w)| w * value(o))
            .sum()
    };
    let (settled, changed): (f64, f64) =
        (weighted(|outcome| outcome.settled), weighted(|outcome| outcome.changed as f64));
    if !settled.is_finite() || settled <= 0.0 {
        return None;
    }
    let share: f64 = next.into_iter().map(|slice| slice.settles).sum();
    let most = standing.outcomes.iter().map(|outcome| outcome.changed).max().unwrap_or(0) as f64;
    let voxels = (changed / settled * share * standing.uncertainty).clamp(0.0, most);
    let share = voxels / standing.foreground.max(1) as f64;
    Some(ExpectedGain { voxels, share, stop: share < WORTHWHILE_SHARE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Axis;

    fn slices(settles: &[f64]) -> Vec<RankedSlice> {
        let slice = |(index, settles): (usize, &f64)| RankedSlice {
            axis: Axis::Axial,
            index,
            score: *settles,
            rank: index + 1,
            settles: *settles,
            component: None,
        };
        settles.iter().enumerate().map(slice).collect()
    }

    #[test]
    fn a_round_adds_what_it_taught_to_what_was_known() {
        let before = Standing { outcomes: vec![RoundOutcome { settled: 1.0, changed: 2 }], ..Standing::default() };
        let round = Round {
            settles: 0.5,
            labels_before: &[0, 1, 1, 2],
            uncertainty_before: &[255, 255, 0, 0],
            labels: &[1, 1, 0, 2],
            uncertainty: &[51, 0, 0, 0],
        };
        let outcomes = vec![RoundOutcome { settled: 1.0, changed: 2 }, RoundOutcome { settled: 1.0, changed: 2 }];
        assert_eq!(before.after(&round), Standing { uncertainty: 0.2, foreground: 3, outcomes });
    }

    #[track_caller]
    fn check(
        outcomes: &[(f64, u64)],
        uncertainty: f64,
        foreground: u64,
        settles: &[f64],
        expected: Option<(f64, f64, bool)>,
    ) {
        let outcomes =
            outcomes.iter().map(|(settled, changed)| RoundOutcome { settled: *settled, changed: *changed }).collect();
        let gain = expected_gain(&Standing { uncertainty, foreground, outcomes }, &slices(settles));
        assert_eq!(gain.map(|gain| (gain.voxels, gain.share, gain.stop)), expected);
    }

    #[test]
    fn the_next_slices_change_as_much_per_settled_uncertainty_as_the_last_ones() {
        // 200 voxels for 100 of uncertainty; the next slices settle half of 80.
        check(&[(100.0, 200)], 80.0, 4000, &[0.3, 0.2], Some((80.0, 0.02, false)));
        check(&[(100.0, 200)], 80.0, 4000, &[0.2], Some((32.0, 0.008, true)));
        // One per cent is worth it.
        check(&[(100.0, 200)], 80.0, 4000, &[0.25], Some((40.0, 0.01, false)));
    }

    #[test]
    fn the_last_round_counts_twice_the_one_before() {
        // (0.5 · 100 + 1 · 10) / (0.5 · 20 + 1 · 20) = 2.
        check(&[(20.0, 100), (20.0, 10)], 10.0, 1000, &[0.5], Some((10.0, 0.01, false)));
    }

    #[test]
    fn no_round_is_expected_to_change_more_than_the_largest_did() {
        check(&[(0.001, 50)], 1000.0, 1000, &[0.9], Some((50.0, 0.05, false)));
    }

    #[test]
    fn what_cannot_be_learned_is_not_said() {
        check(&[], 80.0, 4000, &[0.3], None);
        // No uncertainty to begin with: evenly spaced planes settle none.
        check(&[(0.0, 300)], 0.0, 4000, &[0.0], None);
        check(&[(f64::NAN, 300)], 80.0, 4000, &[0.3], None);
    }

    #[test]
    fn where_nothing_moves_or_nothing_is_left_the_expert_can_stop() {
        check(&[(100.0, 0)], 80.0, 4000, &[0.3], Some((0.0, 0.0, true)));
        check(&[(100.0, 200)], 0.0, 4000, &[0.0], Some((0.0, 0.0, true)));
        check(&[(100.0, 200)], 80.0, 4000, &[], Some((0.0, 0.0, true)));
        check(&[(100.0, 0)], 80.0, 0, &[0.3], Some((0.0, 0.0, true)));
    }
}
