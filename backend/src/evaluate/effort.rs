//! What corrections cost the expert: planes, contours, area, and an estimate of the seconds.

use shared::acquisition::{SECONDS_PER_MM, SECONDS_PER_PLANE};
use shared::geometry::{Axis, Geometry, GeometryError, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::{PlaneLayout, Volume};

/// What is drawn in some planes, every contour anew. Correcting a presegmentation takes less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drawing {
    /// Planes.
    pub planes: usize,
    /// Length of the contours in them, mm.
    pub contour_mm: f64,
    /// Area that the contours enclose, mm².
    pub area_mm2: f64,
}

impl Drawing {
    /// What is drawn in these planes of a label volume.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`].
    pub fn of(labels: &Volume<Label>, planes: impl IntoIterator<Item = Plane>) -> Result<Self, GeometryError> {
        let mut drawing = Self::default();
        for plane in planes {
            let drawn = labels.read_plane(plane)?;
            let spacing_mm = in_plane_spacing_mm(labels.geometry(), plane);
            drawing.planes += 1;
            drawing.contour_mm += contour_mm(&drawn, PlaneLayout::new(labels.geometry(), plane)?.dims, spacing_mm);
            drawing.area_mm2 +=
                drawn.iter().filter(|label| **label != BACKGROUND).count() as f64 * spacing_mm[0] * spacing_mm[1];
        }
        Ok(drawing)
    }

    /// What a complete manual segmentation draws: every axial plane with foreground.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`], which the volume's own planes cannot cause.
    pub fn by_hand(labels: &Volume<Label>) -> Result<Self, GeometryError> {
        let axial = (0..labels.geometry().plane_count(Axis::Axial)).map(|index| Plane { axis: Axis::Axial, index });
        let shown = axial.filter(|plane| {
            labels.read_plane(*plane).is_ok_and(|drawn| drawn.iter().any(|label| *label != BACKGROUND))
        });
        Self::of(labels, shown)
    }

    /// Estimated seconds: [`SECONDS_PER_PLANE`] a plane and [`SECONDS_PER_MM`] a millimetre of contour.
    pub fn seconds(&self) -> f64 {
        SECONDS_PER_PLANE * self.planes as f64 + SECONDS_PER_MM * self.contour_mm
    }

    /// Planes as a share of those of a complete manual segmentation. An empty truth counts as one plane: it has to be
    /// looked at.
    pub fn planes_share(&self, by_hand: &Self) -> f64 {
        self.planes as f64 / by_hand.planes.max(1) as f64
    }

    /// Contour as a share of that of a complete manual segmentation; 0 where there is nothing to draw.
    pub fn contour_share(&self, by_hand: &Self) -> f64 {
        share(self.contour_mm, by_hand.contour_mm)
    }

    /// Area as a share of that of a complete manual segmentation; 0 where there is nothing to draw.
    pub fn area_share(&self, by_hand: &Self) -> f64 {
        share(self.area_mm2, by_hand.area_mm2)
    }
}

fn share(of: f64, whole: f64) -> f64 {
    if whole > 0.0 { of / whole } else { 0.0 }
}

fn in_plane_spacing_mm(geometry: &Geometry, plane: Plane) -> [f64; 2] {
    geometry.in_plane_axes(plane.axis).map(|axis| geometry.spacing_mm[axis])
}

/// Length of the lines between different labels, and between foreground and the plane's edge. Steps along pixels are
/// longer than the line they follow, by 4/π on average over its directions, and are shortened by that (Cauchy and
/// Crofton).
fn contour_mm(labels: &[Label], [width, height]: [usize; 2], [u_mm, v_mm]: [f64; 2]) -> f64 {
    let at = |u: usize, v: usize| if u < width && v < height { labels[u + width * v] } else { BACKGROUND };
    let mut steps_mm = 0.0;
    for v in 0..=height {
        for u in 0..=width {
            // Beyond the first and the last row and column lies background.
            let [here, left, above] = [at(u, v), at(u.wrapping_sub(1), v), at(u, v.wrapping_sub(1))];
            steps_mm += if here == left { 0.0 } else { v_mm };
            steps_mm += if here == above { 0.0 } else { u_mm };
        }
    }
    steps_mm * std::f64::consts::FRAC_PI_4
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_4, PI};

    use super::*;

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
    fn effort_is_a_share_of_what_a_complete_segmentation_draws() {
        let geometry = Geometry::axis_aligned([4, 3, 5], [1.0, 2.0, 3.0]).unwrap();
        let mut labels = Volume::filled(geometry.clone(), BACKGROUND);
        for index in [1, 2] {
            labels.write_plane(Plane { axis: Axis::Axial, index }, &[0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]).unwrap();
        }
        let by_hand = Drawing::by_hand(&labels).unwrap();
        assert_eq!((by_hand.planes, by_hand.area_mm2), (2, 8.0));
        let half = Drawing::of(&labels, [Plane { axis: Axis::Axial, index: 2 }]).unwrap();
        assert_eq!(
            (half.planes_share(&by_hand), half.contour_share(&by_hand), half.area_share(&by_hand)),
            (0.5, 0.5, 0.5)
        );
        assert!((half.seconds() - (5.0 + 0.2 * half.contour_mm)).abs() < 1e-9);
        let nothing = Drawing::by_hand(&Volume::filled(geometry, BACKGROUND)).unwrap();
        assert_eq!(
            (half.planes_share(&nothing), half.contour_share(&nothing), half.area_share(&nothing)),
            (1.0, 0.0, 0.0)
        );
    }
}
