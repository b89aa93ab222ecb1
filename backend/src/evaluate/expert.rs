//! The simulated expert: says of each acquired plane what the labels say, or a little beside it, as a hand would.

use std::fmt;
use std::str::FromStr;

use shared::geometry::{Geometry, GeometryError, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::{PlaneLayout, Volume};
use thiserror::Error;

use crate::noise::Noise;

/// How the expert draws.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Expert {
    /// Exactly the labels.
    #[default]
    Perfect,
    /// The labels with contours that waver smoothly, by `sigma_mm` in the mean square.
    Jitter {
        /// Standard deviation of the displacement along each direction of the plane, millimetres.
        sigma_mm: f64,
    },
}

/// Not a way to draw.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is not an expert; use perfect, or jitter:1.5 for contours that waver by 1.5 mm")]
pub struct UnknownExpert(String);

impl FromStr for Expert {
    type Err = UnknownExpert;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sigma = || text.strip_prefix("jitter:")?.parse().ok().filter(|mm: &f64| mm.is_finite() && *mm >= 0.0);
        match text {
            "perfect" => Ok(Expert::Perfect),
            _ => sigma().map(|sigma_mm| Expert::Jitter { sigma_mm }).ok_or_else(|| UnknownExpert(text.to_owned())),
        }
    }
}

impl fmt::Display for Expert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expert::Perfect => f.write_str("perfect"),
            Expert::Jitter { sigma_mm } => write!(f, "jitter:{sigma_mm}"),
        }
    }
}

impl Expert {
    /// What the expert makes of the planes: labels in them, background elsewhere. Where planes cross, the later one wins.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`].
    pub fn corrections(self, truth: &Volume<Label>, planes: &[Plane], seed: u64) -> Result<Volume<Label>, GeometryError> {
        let mut corrections = Volume::filled(truth.geometry().clone(), BACKGROUND);
        for plane in planes {
            let labels = match self {
                Expert::Perfect => truth.read_plane(*plane)?,
                Expert::Jitter { sigma_mm } => wavering(truth, *plane, sigma_mm, seed)?,
            };
            corrections.write_plane(*plane, &labels)?;
        }
        Ok(corrections)
    }
}

/// A plane of labels, each looked up a smoothly varying distance away.
fn wavering(truth: &Volume<Label>, plane: Plane, sigma_mm: f64, seed: u64) -> Result<Vec<Label>, GeometryError> {
    /// Standard deviation of [`Noise`] in a plane: 1/√3 at lattice points, less in between.
    const NOISE_SIGMA: f64 = 0.43;
    let labels = truth.read_plane(plane)?;
    let dims = PlaneLayout::new(truth.geometry(), plane)?.dims;
    let spacing_mm = truth.geometry().in_plane_axes(plane.axis).map(|axis| truth.geometry().spacing_mm[axis]);
    // A hand wavers over a few widths of its own error, not from pixel to pixel.
    let cell_mm = 4.0 * sigma_mm + spacing_mm[0].max(spacing_mm[1]);
    let noises = [0, 1].map(|direction| Noise::new(seed ^ (direction << 32), cell_mm));
    let depth_mm = cell_mm * (plane.index * 3 + plane.axis.world_index()) as f64;
    let moved = |u: usize, v: usize| {
        let at_mm = [u as f64 * spacing_mm[0], v as f64 * spacing_mm[1], depth_mm];
        let index = |direction: usize, at: usize| {
            let shift_mm = noises[direction].at(at_mm) * sigma_mm / NOISE_SIGMA;
            (at as f64 + shift_mm / spacing_mm[direction]).round().clamp(0.0, dims[direction] as f64 - 1.0) as usize
        };
        labels[index(0, u) + dims[0] * index(1, v)]
    };
    Ok((0..dims[1]).flat_map(|v| (0..dims[0]).map(move |u| (u, v))).map(|(u, v)| moved(u, v)).collect())
}

/// Which voxels lie in any of the planes.
pub fn within(geometry: &Geometry, planes: &[Plane]) -> Result<Vec<bool>, GeometryError> {
    let mut inside = vec![false; geometry.voxel_count()];
    for plane in planes {
        for offset in PlaneLayout::new(geometry, *plane)?.offsets() {
            inside[offset] = true;
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use shared::geometry::Axis;

    use super::*;

    /// A cube of label 1 in the middle of a cube.
    fn truth() -> Volume<Label> {
        let geometry = Geometry::axis_aligned([20; 3], [1.0; 3]).unwrap();
        let middle = 5..15;
        let label = |i: usize| u8::from([i % 20, i / 20 % 20, i / 400].iter().all(|at| middle.contains(at)));
        Volume::new(geometry, (0..8000).map(label).collect()).unwrap()
    }

    fn planes() -> [Plane; 3] {
        [Plane { axis: Axis::Sagittal, index: 6 }, Plane { axis: Axis::Coronal, index: 9 }, Plane { axis: Axis::Axial, index: 2 }]
    }

    #[test]
    fn a_perfect_expert_copies_the_planes_and_nothing_else() {
        let truth = truth();
        let corrections = Expert::Perfect.corrections(&truth, &planes(), 0).unwrap();
        let inside = within(truth.geometry(), &planes()).unwrap();
        for (at, inside) in inside.iter().enumerate() {
            assert_eq!(corrections.voxels()[at], if *inside { truth.voxels()[at] } else { BACKGROUND });
        }
        assert_eq!(inside.iter().filter(|inside| **inside).count(), 3 * 400 - 3 * 20 + 1);
    }

    #[test]
    fn a_wavering_expert_errs_near_the_contour_only_and_always_alike() {
        let truth = truth();
        let plane = Plane { axis: Axis::Axial, index: 10 };
        let exact = truth.read_plane(plane).unwrap();
        let drawn = |seed| Expert::Jitter { sigma_mm: 1.0 }.corrections(&truth, &[plane], seed).unwrap().read_plane(plane).unwrap();
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let changed: Vec<usize> = (0..400).filter(|at| drawn(1)[*at] != exact[*at]).collect();
        assert!(changed.len() > 4 && changed.len() < 100, "{}", changed.len());
        let far = |at: usize| (at as i64 - 10).abs() <= 1;
        assert!(changed.iter().all(|at| !(far(at % 20) && far(at / 20))), "the middle of the cube stays what it is");
        assert_eq!(Expert::Jitter { sigma_mm: 0.0 }.corrections(&truth, &[plane], 0).unwrap().read_plane(plane).unwrap(), exact);
    }

    #[test]
    fn experts_are_named() {
        fn check(text: &str, expected: Option<Expert>) {
            assert_eq!(text.parse().ok(), expected);
        }
        check("perfect", Some(Expert::Perfect));
        check("jitter:1.5", Some(Expert::Jitter { sigma_mm: 1.5 }));
        check("jitter:-1", None);
        check("tired", None);
    }
}
