//! How well two readers agree on the planes that both have corrected.

use serde::{Deserialize, Serialize};

use crate::correction::{CorrectedSlice, CorrectionError};
use crate::geometry::{Geometry, Plane};
use crate::label::{BACKGROUND, Label, LabelSet};

/// Dice of two readings: 2 |A ∩ B| / (|A| + |B|) of each label that either has used, and the mean of these. Where
/// neither has used any there is nothing to compare, and they agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Agreement {
    /// Over all planes together, 0 to 1; none where neither has used any label.
    pub dice: Option<f64>,
    /// Plane by plane.
    pub slices: Vec<SliceAgreement>,
}

/// The same on one plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SliceAgreement {
    /// Which plane.
    pub plane: Plane,
    /// 0 to 1; none where neither has used any label.
    pub dice: Option<f64>,
}

/// Voxels of one label: both readers', the first's and the second's.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    both: u64,
    either: u64,
}

/// Compares the planes that are in both readings, in the first one's order.
///
/// # Errors
/// [`CorrectionError`] of the first slice that does not fit the volume.
pub fn agreement(
    geometry: &Geometry,
    allowed: &LabelSet,
    first: &[CorrectedSlice],
    second: &[CorrectedSlice],
) -> Result<Agreement, CorrectionError> {
    let mut all = [Count::default(); 256];
    let mut slices = Vec::new();
    for one in first {
        let Some(other) = second.iter().find(|other| other.plane == one.plane) else { continue };
        let counts = counted(&one.labels(geometry, allowed)?, &other.labels(geometry, allowed)?);
        for (sum, count) in all.iter_mut().zip(&counts) {
            sum.both += count.both;
            sum.either += count.either;
        }
        slices.push(SliceAgreement { plane: one.plane, dice: dice(&counts) });
    }
    Ok(Agreement { dice: dice(&all), slices })
}

fn counted(one: &[Label], other: &[Label]) -> [Count; 256] {
    let mut counts = [Count::default(); 256];
    for (&a, &b) in one.iter().zip(other) {
        counts[usize::from(a)].either += 1;
        counts[usize::from(b)].either += 1;
        if a == b {
            counts[usize::from(a)].both += 1;
        }
    }
    counts
}

/// The mean over the labels that occur.
fn dice(counts: &[Count; 256]) -> Option<f64> {
    let foreground = counts.iter().skip(usize::from(BACKGROUND) + 1).filter(|count| count.either > 0);
    let (sum, labels) = foreground
        .map(|count| 2.0 * count.both as f64 / count.either as f64)
        .fold((0.0, 0_u32), |(sum, labels), dice| (sum + dice, labels + 1));
    (labels > 0).then(|| sum / f64::from(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correction::{Runs, SliceState};
    use crate::geometry::Axis;

    fn slice(index: usize, labels: [Label; 4]) -> CorrectedSlice {
        let plane = Plane { axis: Axis::Axial, index };
        CorrectedSlice { plane, state: SliceState::Done, runs: Runs::encode(&labels), revision: 1 }
    }

    #[track_caller]
    fn check(first: &[CorrectedSlice], second: &[CorrectedSlice], expected: Option<f64>, each: &[Option<f64>]) {
        let geometry = Geometry::axis_aligned([2, 2, 3], [1.0; 3]).unwrap();
        let labels: LabelSet = serde_json::from_str(
            r##"[{"value": 1, "name": "a", "colour": "#ff0000"}, {"value": 2, "name": "b", "colour": "#00ff00"}]"##,
        )
        .unwrap();
        let got = agreement(&geometry, &labels, first, second).unwrap();
        let is_close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        };
        assert!(is_close(got.dice, expected), "{got:?}");
        assert_eq!(got.slices.len(), each.len());
        assert!(got.slices.iter().zip(each).all(|(got, expected)| is_close(got.dice, *expected)), "{got:?}");
    }

    #[test]
    fn labels_count_alike_however_large_they_are() {
        // Label 1: 2 · 1 / 3; label 2: 2 · 1 / 3.
        check(&[slice(0, [0, 1, 1, 2])], &[slice(0, [0, 1, 2, 2])], Some(2.0 / 3.0), &[Some(2.0 / 3.0)]);
        // Label 2 is one reader's alone: 0.
        check(&[slice(0, [1, 1, 1, 1])], &[slice(0, [1, 1, 1, 2])], Some(3.0 / 7.0), &[Some(3.0 / 7.0)]);
    }

    #[test]
    fn nothing_on_both_sides_is_nothing_to_compare() {
        check(&[slice(0, [0; 4])], &[slice(0, [0; 4])], None, &[None]);
        check(&[slice(0, [0; 4])], &[slice(0, [1, 0, 0, 0])], Some(0.0), &[Some(0.0)]);
    }

    #[test]
    fn planes_that_only_one_has_read_do_not_count() {
        let first = [slice(0, [1, 1, 0, 0]), slice(1, [1; 4]), slice(2, [0; 4])];
        let second = [slice(2, [0; 4]), slice(0, [1, 0, 0, 0])];
        check(&first, &second, Some(2.0 / 3.0), &[Some(2.0 / 3.0), None]);
    }
}
