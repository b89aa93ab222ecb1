//! What corrections cost the expert: planes, contours, area, and an estimate of the seconds.

use shared::acquisition::{SECONDS_PER_MM, SECONDS_PER_PLANE};
use shared::effort::{contour_mm, in_plane_spacing_mm};
use shared::geometry::{Axis, GeometryError, Plane};
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

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;

    use super::*;

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
