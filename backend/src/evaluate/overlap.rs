//! How well a segmentation agrees with the truth: Dice, surface distances, components found, slices that need no hand.
//!
//! A label that is in one of the two volumes only gets the worst value there is, so that no mean gets better by leaving
//! it out.

use shared::geometry::{Axis, Dims, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

use super::distance::{distances_mm, surface};
use super::statistics::percentile_of;
use crate::pipeline::components::components;

/// A segmentation against the truth, for one label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// 2 TP / (2 TP + FP + FN); NaN where the label is in neither (nnU-Net's convention: excluded from means).
    pub dice: f64,
    /// Share of both surfaces within [`TOLERANCE_MM`] of the other; NaN where the label is in neither, 0 where it is in
    /// one only.
    pub nsd: f64,
    /// 95th percentile of the distances between the surfaces, mm; NaN where the label is in neither, the volume's
    /// diagonal where it is in one only.
    pub hd95_mm: f64,
    /// Connected components of the truth.
    pub components: usize,
    /// Those that the segmentation does not touch.
    pub missed: usize,
    /// Connected components of the segmentation that the truth does not touch.
    pub invented: usize,
}

/// Surfaces nearer than this count as equal.
pub const TOLERANCE_MM: f64 = 1.0;

/// Compares one label of a segmentation with the truth, on the same grid.
pub fn agreement(segmentation: &Volume<Label>, truth: &Volume<Label>, label: Label) -> Agreement {
    let dims = truth.geometry().dims;
    let ours: Vec<bool> = segmentation.voxels().iter().map(|l| *l == label).collect();
    let theirs: Vec<bool> = truth.voxels().iter().map(|l| *l == label).collect();
    let (nsd, hd95_mm) = surface_agreement(&ours, &theirs, dims, truth.geometry().spacing_mm);
    let (components, missed) = untouched_components(&theirs, &ours, dims);
    let (_, invented) = untouched_components(&ours, &theirs, dims);
    Agreement { dice: dice_where(segmentation, truth, label, |_| true), nsd, hd95_mm, components, missed, invented }
}

/// Dice of a label over the voxels (by offset) that `counts` lets through.
pub fn dice_where(
    segmentation: &Volume<Label>,
    truth: &Volume<Label>,
    label: Label,
    counts: impl Fn(usize) -> bool,
) -> f64 {
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
        _ => return (0.0, diagonal_mm(dims, spacing_mm)),
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

/// From corner to corner of the volume: farther than any two voxels lie apart.
fn diagonal_mm(dims: Dims, spacing_mm: [f64; 3]) -> f64 {
    dims.iter().zip(spacing_mm).map(|(n, mm)| (*n as f64 * mm).powi(2)).sum::<f64>().sqrt()
}

/// Axial planes with foreground in either volume, and those of them that an expert would leave untouched: every voxel
/// lies within [`TOLERANCE_MM`], in the plane, of one that truly has its label, and the other way round.
pub fn accepted_slices(segmentation: &Volume<Label>, truth: &Volume<Label>) -> (usize, usize) {
    let geometry = truth.geometry();
    let planes = (0..geometry.plane_count(Axis::Axial)).map(|index| Plane { axis: Axis::Axial, index });
    let spacing_mm = geometry.in_plane_axes(Axis::Axial).map(|axis| geometry.spacing_mm[axis]);
    let dims = geometry.plane_dims(Axis::Axial);
    let (mut shown, mut accepted) = (0, 0);
    for (ours, theirs) in
        planes.filter_map(|plane| Some((segmentation.read_plane(plane).ok()?, truth.read_plane(plane).ok()?)))
    {
        if ours.iter().chain(&theirs).any(|label| *label != BACKGROUND) {
            shown += 1;
            accepted +=
                usize::from(lie_near(&ours, &theirs, dims, spacing_mm) && lie_near(&theirs, &ours, dims, spacing_mm));
        }
    }
    (shown, accepted)
}

/// Whether each pixel of a plane has its label within [`TOLERANCE_MM`] in the other.
fn lie_near(ours: &[Label], theirs: &[Label], [width, height]: [usize; 2], spacing_mm: [f64; 2]) -> bool {
    let reach = spacing_mm.map(|mm| (TOLERANCE_MM / mm + 1e-9) as usize);
    let is_near = |u: usize, v: usize, label: Label| {
        let rows = v.saturating_sub(reach[1])..(v + reach[1] + 1).min(height);
        rows.flat_map(|y| (u.saturating_sub(reach[0])..(u + reach[0] + 1).min(width)).map(move |x| (x, y))).any(
            |(x, y)| {
                let mm = (x.abs_diff(u) as f64 * spacing_mm[0]).hypot(y.abs_diff(v) as f64 * spacing_mm[1]);
                mm <= TOLERANCE_MM + 1e-9 && theirs[x + width * y] == label
            },
        )
    };
    (0..height)
        .all(|v| (0..width).all(|u| ours[u + width * v] == theirs[u + width * v] || is_near(u, v, ours[u + width * v])))
}

/// Connected components of `of`, and how many of them `by` does not touch.
fn untouched_components(of: &[bool], by: &[bool], dims: Dims) -> (usize, usize) {
    let mut touched: Vec<bool> = Vec::new();
    components(
        dims,
        |at| of[at],
        |number, at| {
            touched.resize(number as usize, false);
            touched[number as usize - 1] |= by[at];
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
        fn check(ours: &str, truth: &str, dice: f64, hd95_mm: f64, [missed, invented]: [usize; 2]) {
            let got = agreement(&row(ours), &row(truth), 1);
            let same = |a: f64, b: f64| (a - b).abs() < 1e-9 || (a.is_nan() && b.is_nan());
            let components = (got.missed, got.invented) == (missed, invented);
            assert!(same(got.dice, dice) && same(got.hd95_mm, hd95_mm) && components, "{ours} {truth}: {got:?}");
        }
        check("0110", "0110", 1.0, 0.0, [0, 0]);
        check("0100", "0010", 0.0, 2.0, [1, 1]);
        check("0000", "0000", f64::NAN, f64::NAN, [0, 0]);
        check("1100000", "1000001", 0.5, 0.95 * 10.0, [1, 0]);
        check("2222", "2222", f64::NAN, f64::NAN, [0, 0]);
        check("1010101", "1000100", 2.0 / 3.0, 4.0, [0, 2]);
    }

    #[test]
    fn a_label_in_one_volume_only_gets_the_worst_value() {
        /// A label of `ours` and a label of the truth in opposite corners of 4 × 3 × 2 voxels.
        fn check(ours: Label, truth: Label, spacing_mm: [f64; 3], diagonal_mm: f64) {
            let geometry = Geometry::axis_aligned([4, 3, 2], spacing_mm).unwrap();
            let with = |at: usize, label| {
                let mut volume = Volume::filled(geometry.clone(), BACKGROUND);
                volume.voxels_mut()[at] = label;
                volume
            };
            let got = agreement(&with(0, ours), &with(23, truth), 1);
            assert_eq!((got.dice, got.nsd), (0.0, 0.0));
            assert!((got.hd95_mm - diagonal_mm).abs() < 1e-9, "{got:?}");
        }
        check(1, 0, [1.0; 3], 29.0_f64.sqrt());
        check(0, 1, [1.0; 3], 29.0_f64.sqrt());
        check(1, 2, [0.5, 2.0, 3.0], 76.0_f64.sqrt());
    }

    #[test]
    fn slices_are_accepted_where_contours_are_a_millimetre_off_at_most() {
        fn check(ours: &[&str], truth: &[&str], mm: f64, expected: (usize, usize)) {
            let volume = |planes: &[&str]| {
                let geometry = Geometry::axis_aligned([planes[0].len(), 1, planes.len()], [mm, 1.0, 1.0]).unwrap();
                Volume::new(geometry, planes.iter().flat_map(|plane| plane.bytes().map(|b| b - b'0')).collect())
                    .unwrap()
            };
            assert_eq!(accepted_slices(&volume(ours), &volume(truth)), expected, "{ours:?} {truth:?}");
        }
        check(&["0110", "0000"], &["0110", "0000"], 1.0, (1, 1));
        check(&["00100", "01100"], &["01100", "01110"], 1.0, (2, 2));
        check(&["00100", "01100"], &["01100", "01110"], 1.1, (2, 0));
        check(&["000100", "011000"], &["011000", "000000"], 1.0, (2, 0));
        check(&["0120"], &["0110"], 1.0, (1, 0));
    }

    #[test]
    fn the_surface_dice_has_a_tolerance() {
        let near = agreement(&row("0100"), &row("0010"), 1);
        assert_eq!(near.nsd, 0.0);
        assert_eq!(agreement(&row("0110"), &row("0110"), 1).nsd, 1.0);
        assert!((agreement(&row("0110"), &row("0010"), 1).nsd - 2.0 / 3.0).abs() < 1e-9);
    }
}
