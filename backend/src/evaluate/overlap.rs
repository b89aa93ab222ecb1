//! How well a segmentation agrees with the truth: Dice, surface distances, missed components. All per label.

use shared::geometry::Dims;
use shared::label::Label;
use shared::volume::Volume;

use super::distance::{distances_mm, surface};
use super::statistics::percentile_of;
use crate::pipeline::components::components;

/// A segmentation against the truth, for one label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// 2 TP / (2 TP + FP + FN); NaN where the label is in neither (nnU-Net's convention: excluded from means).
    pub dice: f64,
    /// Share of both surfaces within [`TOLERANCE_MM`] of the other; NaN where the label is in neither, 0 where it is in one only.
    pub nsd: f64,
    /// 95th percentile of the distances between the surfaces, mm; NaN unless the label is in both.
    pub hd95_mm: f64,
    /// Connected components of the truth.
    pub components: usize,
    /// Those that the segmentation does not touch.
    pub missed: usize,
}

/// Surfaces nearer than this count as equal.
pub const TOLERANCE_MM: f64 = 1.0;

/// Compares one label of a segmentation with the truth, on the same grid.
pub fn agreement(segmentation: &Volume<Label>, truth: &Volume<Label>, label: Label) -> Agreement {
    let dims = truth.geometry().dims;
    let ours: Vec<bool> = segmentation.voxels().iter().map(|l| *l == label).collect();
    let theirs: Vec<bool> = truth.voxels().iter().map(|l| *l == label).collect();
    let (nsd, hd95_mm) = surface_agreement(&ours, &theirs, dims, truth.geometry().spacing_mm);
    let (components, missed) = missed_components(&ours, &theirs, dims);
    Agreement { dice: dice_where(segmentation, truth, label, |_| true), nsd, hd95_mm, components, missed }
}

/// Dice of a label over the voxels (by offset) that `counts` lets through.
pub fn dice_where(segmentation: &Volume<Label>, truth: &Volume<Label>, label: Label, counts: impl Fn(usize) -> bool) -> f64 {
    let (mut both, mut sum) = (0_usize, 0_usize);
    for (at, (ours, theirs)) in segmentation.voxels().iter().zip(truth.voxels()).enumerate() {
        if counts(at) {
            both += usize::from(*ours == label && *theirs == label);
            sum += usize::from(*ours == label) + usize::from(*theirs == label);
        }
    }
    2.0 * both as f64 / sum as f64
}

fn surface_agreement(ours: &[bool], theirs: &[bool], dims: Dims, spacing_mm: [f64; 3]) -> (f64, f64) {
    match (ours.contains(&true), theirs.contains(&true)) {
        (false, false) => return (f64::NAN, f64::NAN),
        (true, true) => {}
        _ => return (0.0, f64::NAN),
    }
    let (our_surface, their_surface) = (surface(ours, dims), surface(theirs, dims));
    let to = |from: &[bool], target: &[bool]| -> Vec<f64> {
        let mm = distances_mm(target, dims, spacing_mm);
        let mut mm: Vec<f64> = from.iter().zip(mm).filter(|(on, _)| **on).map(|(_, mm)| mm).collect();
        mm.sort_unstable_by(f64::total_cmp);
        mm
    };
    let (there, back) = (to(&our_surface, &their_surface), to(&their_surface, &our_surface));
    let near = |mm: &[f64]| mm.iter().filter(|mm| **mm <= TOLERANCE_MM + 1e-9).count();
    let nsd = (near(&there) + near(&back)) as f64 / (there.len() + back.len()) as f64;
    (nsd, percentile_of(&there, 0.95).max(percentile_of(&back, 0.95)))
}

/// Connected components of the truth, and how many of them `ours` does not touch.
fn missed_components(ours: &[bool], theirs: &[bool], dims: Dims) -> (usize, usize) {
    let mut touched: Vec<bool> = Vec::new();
    components(
        dims,
        |at| theirs[at],
        |number, at| {
            touched.resize(number as usize, false);
            touched[number as usize - 1] |= ours[at];
        },
    );
    (touched.len(), touched.iter().filter(|touched| !**touched).count())
}

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;

    use super::*;

    /// A row of voxels 2 mm apart, one digit a label.
    fn row(labels: &str) -> Volume<Label> {
        let geometry = Geometry::axis_aligned([labels.len(), 1, 1], [2.0, 1.0, 1.0]).unwrap();
        Volume::new(geometry, labels.bytes().map(|b| b - b'0').collect()).unwrap()
    }

    #[test]
    fn agreement_of_short_rows() {
        fn check(ours: &str, truth: &str, dice: f64, hd95_mm: f64, missed: usize) {
            let got = agreement(&row(ours), &row(truth), 1);
            let same = |a: f64, b: f64| (a - b).abs() < 1e-9 || (a.is_nan() && b.is_nan());
            assert!(same(got.dice, dice) && same(got.hd95_mm, hd95_mm) && got.missed == missed, "{ours} {truth}: {got:?}");
        }
        check("0110", "0110", 1.0, 0.0, 0);
        check("0100", "0010", 0.0, 2.0, 1);
        check("0000", "0000", f64::NAN, f64::NAN, 0);
        check("0100", "0000", 0.0, f64::NAN, 0);
        check("0000", "1001", 0.0, f64::NAN, 2);
        check("1100000", "1000001", 0.5, 0.95 * 10.0, 1);
        check("2222", "2222", f64::NAN, f64::NAN, 0);
    }

    #[test]
    fn the_surface_dice_has_a_tolerance() {
        let near = agreement(&row("0100"), &row("0010"), 1);
        assert_eq!(near.nsd, 0.0);
        assert_eq!(agreement(&row("0110"), &row("0110"), 1).nsd, 1.0);
        assert!((agreement(&row("0110"), &row("0010"), 1).nsd - 2.0 / 3.0).abs() < 1e-9);
    }
}
