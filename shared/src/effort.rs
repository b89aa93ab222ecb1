//! What a slice has cost the expert: kept with the case, so that nobody has to guess what correcting takes.

use serde::{Deserialize, Serialize};

use crate::geometry::{Geometry, Plane};
use crate::label::{BACKGROUND, Label};

/// What one slice has taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SliceEffort {
    /// Which slice.
    pub plane: Plane,
    /// Seconds that it was worked on: in view, with a hand at the keys or the pointer.
    pub seconds: f64,
    /// Steps done, undone and done again.
    pub strokes: u32,
    /// Length of the contours that the segmentation did not have, mm.
    pub contour_mm: f64,
    /// Voxels that are called otherwise than by the segmentation.
    pub changed_voxels: u32,
}

impl SliceEffort {
    /// Nothing yet.
    pub fn none(plane: Plane) -> Self {
        Self { plane, seconds: 0.0, strokes: 0, contour_mm: 0.0, changed_voxels: 0 }
    }

    /// What was done in two visits of a page, this one the later: time and strokes add up, what has changed is what the
    /// later one has seen.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        Self { seconds: self.seconds + earlier.seconds, strokes: self.strokes.saturating_add(earlier.strokes), ..self }
    }

    /// Whether its numbers are such as can be.
    pub fn is_sound(&self) -> bool {
        let real = |value: f64| value.is_finite() && value >= 0.0;
        real(self.seconds) && real(self.contour_mm)
    }
}

/// Millimetres between voxels along a plane's rows and columns.
pub fn in_plane_spacing_mm(geometry: &Geometry, plane: Plane) -> [f64; 2] {
    geometry.in_plane_axes(plane.axis).map(|axis| geometry.spacing_mm[axis])
}

/// Length of the lines between different labels, and between foreground and the plane's edge. Steps along pixels are
/// longer than the line they follow, by 4/π on average over its directions, and are shortened by that (Cauchy and
/// Crofton).
pub fn contour_mm(labels: &[Label], dims: [usize; 2], spacing_mm: [f64; 2]) -> f64 {
    length_mm(dims, spacing_mm, |here, there| label(labels, dims, here) != label(labels, dims, there))
}

/// Length of the lines that `after` has and `before` has not, as [`contour_mm`] measures it.
pub fn drawn_mm(before: &[Label], after: &[Label], dims: [usize; 2], spacing_mm: [f64; 2]) -> f64 {
    length_mm(dims, spacing_mm, |here, there| {
        let parts = |labels: &[Label]| label(labels, dims, here) != label(labels, dims, there);
        parts(after) && !parts(before)
    })
}

/// Beyond the first and the last row and column lies background.
fn label(labels: &[Label], [width, height]: [usize; 2], [u, v]: [usize; 2]) -> Label {
    if u < width && v < height { labels.get(u + width * v).copied().unwrap_or(BACKGROUND) } else { BACKGROUND }
}

fn length_mm(
    [width, height]: [usize; 2],
    [u_mm, v_mm]: [f64; 2],
    is_line: impl Fn([usize; 2], [usize; 2]) -> bool,
) -> f64 {
    let mut steps_mm = 0.0;
    for v in 0..=height {
        for u in 0..=width {
            steps_mm += if is_line([u, v], [u.wrapping_sub(1), v]) { v_mm } else { 0.0 };
            steps_mm += if is_line([u, v], [u, v.wrapping_sub(1)]) { u_mm } else { 0.0 };
        }
    }
    steps_mm * std::f64::consts::FRAC_PI_4
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_4, PI};

    use super::*;
    use crate::geometry::Axis;

    fn disc(radius: f64) -> Vec<Label> {
        let inside = |u: i32, v: i32| f64::from((u - 50).pow(2) + (v - 50).pow(2)).sqrt() <= radius;
        (0..101).flat_map(|v| (0..101).map(move |u| u8::from(inside(u, v)))).collect()
    }

    #[test]
    fn the_contour_of_a_disc_is_nearly_its_circumference() {
        // Halves, as a disc around a pixel's centre ends at the far sides of its outermost pixels.
        for radius in [10.5, 25.5, 40.5] {
            let got = contour_mm(&disc(radius), [101, 101], [1.0, 1.0]);
            assert!((got / (2.0 * PI * radius) - 1.0).abs() < 0.01, "{got} for a radius of {radius}");
        }
    }

    #[test]
    fn contours_are_counted_once_and_end_at_the_edge() {
        fn check(labels: &[Label], width: usize, expected: f64) {
            let got = contour_mm(labels, [width, labels.len() / width], [2.0, 3.0]);
            assert!((got - expected * FRAC_PI_4).abs() < 1e-9, "{labels:?}: {got}");
        }
        check(&[0, 0, 0, 0], 2, 0.0);
        // A pixel of 2 mm by 3 mm, and two of them with a line of 3 mm between.
        check(&[1], 1, 10.0);
        check(&[1, 2], 2, 10.0 + 10.0 - 3.0);
        check(&[1, 1], 2, 14.0);
    }

    #[test]
    fn only_lines_that_are_new_count_as_drawn() {
        fn check(before: &[Label], after: &[Label], expected: f64) {
            let got = drawn_mm(before, after, [before.len(), 1], [2.0, 3.0]);
            assert!((got - expected * FRAC_PI_4).abs() < 1e-9, "{before:?} {after:?}: {got}");
        }
        check(&[1, 1, 0], &[1, 1, 0], 0.0);
        check(&[0, 0, 0], &[0, 1, 0], 10.0);
        // Two lines of a pixel's width, and the end.
        check(&[1, 1, 0], &[1, 1, 1], 2.0 + 2.0 + 3.0);
        // What is erased leaves the line at which the rest begins.
        check(&[1, 1, 1], &[0, 1, 1], 3.0);
        // Another name for the same area draws nothing.
        check(&[0, 1, 0], &[0, 2, 0], 0.0);
    }

    #[test]
    fn visits_add_up() {
        let plane = Plane { axis: Axis::Axial, index: 3 };
        let earlier = SliceEffort { seconds: 10.0, strokes: 4, contour_mm: 9.0, changed_voxels: 80, plane };
        let later = SliceEffort { seconds: 2.5, strokes: 1, contour_mm: 3.0, changed_voxels: 20, plane };
        let both = SliceEffort { seconds: 12.5, strokes: 5, contour_mm: 3.0, changed_voxels: 20, plane };
        assert_eq!(later.after(earlier), both);
        assert!(both.is_sound());
        assert!(!SliceEffort { seconds: f64::NAN, ..both }.is_sound());
        assert!(!SliceEffort { contour_mm: -1.0, ..both }.is_sound());
    }
}
