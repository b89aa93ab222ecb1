//! The simulated expert: says of each acquired plane what the labels say, or something beside it, as people do.

use std::fmt;
use std::str::FromStr;

use shared::geometry::{Geometry, GeometryError, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::{PlaneLayout, Volume};
use thiserror::Error;

use crate::noise::Noise;

/// How the expert draws. The default is exactly what the labels say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expert {
    /// Contours waver smoothly by this much: standard deviation along each direction of the plane, mm.
    pub jitter_mm: f64,
    /// Islands of a plane that are smaller than this are not drawn, mm².
    pub overlooked_mm2: f64,
    /// Planes contradict each other: by turns they are drawn this much too wide and too tight, mm.
    pub contradiction_mm: f64,
}

/// Not a way to draw.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "'{0}' is not an expert; use perfect, or what is wrong with one, joined by +: jitter:1.5 for contours that waver \
     by 1.5 mm, overlook:20 for islands below 20 mm² that are not drawn, contradict:1 for planes that are drawn 1 mm \
     too wide and 1 mm too tight by turns"
)]
pub struct UnknownExpert(String);

impl FromStr for Expert {
    type Err = UnknownExpert;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut expert = Expert::default();
        if text == "perfect" {
            return Ok(expert);
        }
        for part in text.split('+') {
            let (fault, amount) = part.split_once(':').ok_or_else(|| UnknownExpert(text.to_owned()))?;
            let amount = amount.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
            let amount = amount.ok_or_else(|| UnknownExpert(text.to_owned()))?;
            match fault {
                "jitter" => expert.jitter_mm = amount,
                "overlook" => expert.overlooked_mm2 = amount,
                "contradict" => expert.contradiction_mm = amount,
                _ => return Err(UnknownExpert(text.to_owned())),
            }
        }
        Ok(expert)
    }
}

impl fmt::Display for Expert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults =
            [("jitter", self.jitter_mm), ("overlook", self.overlooked_mm2), ("contradict", self.contradiction_mm)];
        let said: Vec<String> = faults
            .iter()
            .filter(|(_, amount)| *amount > 0.0)
            .map(|(fault, amount)| format!("{fault}:{amount}"))
            .collect();
        f.write_str(if said.is_empty() { "perfect".to_owned() } else { said.join("+") }.as_str())
    }
}

impl Expert {
    /// What the expert draws in each plane, in the order in which they are corrected.
    ///
    /// # Errors
    /// [`GeometryError::NoSuchPlane`].
    pub fn drawn(
        self,
        truth: &Volume<Label>,
        planes: &[Plane],
        seed: u64,
    ) -> Result<Vec<(Plane, Vec<Label>)>, GeometryError> {
        let draw = |(turn, plane): (usize, &Plane)| {
            let sheet = Sheet::of(truth, *plane)?;
            let mut labels = truth.read_plane(*plane)?;
            if self.contradiction_mm > 0.0 {
                labels = sheet.resized(&labels, self.contradiction_mm, turn.is_multiple_of(2));
            }
            if self.jitter_mm > 0.0 {
                labels = sheet.wavering(&labels, self.jitter_mm, seed);
            }
            if self.overlooked_mm2 > 0.0 {
                sheet.overlook(&mut labels, self.overlooked_mm2);
            }
            Ok((*plane, labels))
        };
        planes.iter().enumerate().map(draw).collect()
    }
}

/// Drawn planes as one volume: background elsewhere. Where planes cross, the later one wins.
///
/// # Errors
/// [`GeometryError`], if a plane does not fit.
pub fn corrections(geometry: &Geometry, drawn: &[(Plane, Vec<Label>)]) -> Result<Volume<Label>, GeometryError> {
    let mut corrections = Volume::filled(geometry.clone(), BACKGROUND);
    for (plane, labels) in drawn {
        corrections.write_plane(*plane, labels)?;
    }
    Ok(corrections)
}

/// A plane's pixels, u fastest.
struct Sheet {
    plane: Plane,
    dims: [usize; 2],
    spacing_mm: [f64; 2],
}

impl Sheet {
    fn of(truth: &Volume<Label>, plane: Plane) -> Result<Self, GeometryError> {
        let geometry = truth.geometry();
        let spacing_mm = geometry.in_plane_axes(plane.axis).map(|axis| geometry.spacing_mm[axis]);
        Ok(Self { plane, dims: PlaneLayout::new(geometry, plane)?.dims, spacing_mm })
    }

    fn pixels(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [width, height] = self.dims;
        (0..height).flat_map(move |v| (0..width).map(move |u| [u, v]))
    }

    fn at(&self, [u, v]: [usize; 2]) -> usize {
        u + self.dims[0] * v
    }

    /// Every label looked up a smoothly varying distance away.
    fn wavering(&self, labels: &[Label], sigma_mm: f64, seed: u64) -> Vec<Label> {
        /// Standard deviation of [`Noise`] in a plane: 1/√3 at lattice points, less in between.
        const NOISE_SIGMA: f64 = 0.43;
        // A hand wavers over a few widths of its own error, not from pixel to pixel.
        let cell_mm = 4.0 * sigma_mm + self.spacing_mm[0].max(self.spacing_mm[1]);
        let noises = [0, 1].map(|direction| Noise::new(seed ^ (direction << 32), cell_mm));
        let depth_mm = cell_mm * (self.plane.index * 3 + self.plane.axis.world_index()) as f64;
        let moved = |[u, v]: [usize; 2]| {
            let at_mm = [u as f64 * self.spacing_mm[0], v as f64 * self.spacing_mm[1], depth_mm];
            let index = |direction: usize, at: usize| {
                let shift_mm = noises[direction].at(at_mm) * sigma_mm / NOISE_SIGMA;
                let last = self.dims[direction] as f64 - 1.0;
                (at as f64 + shift_mm / self.spacing_mm[direction]).round().clamp(0.0, last) as usize
            };
            labels[self.at([index(0, u), index(1, v)])]
        };
        self.pixels().map(moved).collect()
    }

    /// The foreground grown or shrunk by a distance; grown pixels take the nearest label.
    fn resized(&self, labels: &[Label], by_mm: f64, wider: bool) -> Vec<Label> {
        let reach = self.spacing_mm.map(|mm| (by_mm / mm + 1e-9).floor() as isize);
        let mut steps: Vec<([isize; 2], f64)> = (-reach[1]..=reach[1])
            .flat_map(|v| (-reach[0]..=reach[0]).map(move |u| [u, v]))
            .map(|step| (step, (step[0] as f64 * self.spacing_mm[0]).hypot(step[1] as f64 * self.spacing_mm[1])))
            .filter(|(_, mm)| *mm <= by_mm + 1e-9)
            .collect();
        steps.sort_by(|a, b| a.1.total_cmp(&b.1));
        let near = |[u, v]: [usize; 2]| {
            let there = move |step: [isize; 2]| Some([u.checked_add_signed(step[0])?, v.checked_add_signed(step[1])?]);
            let inside = move |at: &[usize; 2]| at[0] < self.dims[0] && at[1] < self.dims[1];
            steps.iter().filter_map(move |(step, _)| there(*step)).filter(inside).map(|at| labels[self.at(at)])
        };
        let resized = |at: [usize; 2]| match (labels[self.at(at)], wider) {
            (BACKGROUND, true) => near(at).find(|label| *label != BACKGROUND).unwrap_or(BACKGROUND),
            (label, false) if label != BACKGROUND && near(at).any(|label| label == BACKGROUND) => BACKGROUND,
            (label, _) => label,
        };
        self.pixels().map(resized).collect()
    }

    /// Turns islands of foreground (8 neighbours) below an area to background.
    fn overlook(&self, labels: &mut [Label], below_mm2: f64) {
        let pixel_mm2 = self.spacing_mm[0] * self.spacing_mm[1];
        let mut seen = vec![false; labels.len()];
        for seed in self.pixels() {
            let mut island = Vec::new();
            let mut queue = vec![seed];
            while let Some(at) = queue.pop() {
                if labels[self.at(at)] == BACKGROUND || std::mem::replace(&mut seen[self.at(at)], true) {
                    continue;
                }
                island.push(self.at(at));
                let around = |axis: usize| at[axis].saturating_sub(1)..(at[axis] + 2).min(self.dims[axis]);
                queue.extend(around(1).flat_map(|v| around(0).map(move |u| [u, v])));
            }
            if (island.len() as f64) * pixel_mm2 < below_mm2 {
                island.into_iter().for_each(|at| labels[at] = BACKGROUND);
            }
        }
    }
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
        [
            Plane { axis: Axis::Sagittal, index: 6 },
            Plane { axis: Axis::Coronal, index: 9 },
            Plane { axis: Axis::Axial, index: 2 },
        ]
    }

    /// What an expert makes of one plane of the cube.
    fn plane_by(expert: &str, plane: Plane, seed: u64) -> Vec<Label> {
        let (_, labels) = expert.parse::<Expert>().unwrap().drawn(&truth(), &[plane], seed).unwrap().remove(0);
        labels
    }

    #[test]
    fn a_perfect_expert_copies_the_planes_and_nothing_else() {
        let truth = truth();
        let drawn = Expert::default().drawn(&truth, &planes(), 0).unwrap();
        let corrections = corrections(truth.geometry(), &drawn).unwrap();
        let inside = within(truth.geometry(), &planes()).unwrap();
        for (at, inside) in inside.iter().enumerate() {
            assert_eq!(corrections.voxels()[at], if *inside { truth.voxels()[at] } else { BACKGROUND });
        }
        assert_eq!(inside.iter().filter(|inside| **inside).count(), 3 * 400 - 3 * 20 + 1);
    }

    const MIDDLE: Plane = Plane { axis: Axis::Axial, index: 10 };

    #[test]
    fn a_wavering_expert_errs_near_the_contour_only_and_always_alike() {
        let exact = truth().read_plane(MIDDLE).unwrap();
        let drawn = |seed| plane_by("jitter:1", MIDDLE, seed);
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let changed: Vec<usize> = (0..400).filter(|at| drawn(1)[*at] != exact[*at]).collect();
        assert!(changed.len() > 4 && changed.len() < 100, "{}", changed.len());
        let far = |at: usize| (at as i64 - 10).abs() <= 1;
        assert!(changed.iter().all(|at| !(far(at % 20) && far(at / 20))), "the middle of the cube stays what it is");
        assert_eq!(plane_by("jitter:0", MIDDLE, 0), exact);
    }

    #[test]
    fn planes_that_contradict_are_too_wide_and_too_tight_by_turns() {
        let expert: Expert = "contradict:1".parse().unwrap();
        let area = |index: usize| Plane { axis: Axis::Axial, index };
        let drawn = expert.drawn(&truth(), &[area(9), area(10), area(11)], 0).unwrap();
        let sizes: Vec<usize> =
            drawn.iter().map(|(_, labels)| labels.iter().filter(|label| **label == 1).count()).collect();
        // A square of ten: with a row of ten on each side, and without its outermost ones.
        assert_eq!(sizes, [140, 64, 140]);
    }

    #[test]
    fn small_islands_are_overlooked() {
        let geometry = Geometry::axis_aligned([6, 4, 1], [2.0, 1.0, 1.0]).unwrap();
        #[rustfmt::skip]
        let voxels = vec![
            1, 1, 0, 0, 0, 2,
            1, 1, 0, 0, 1, 0,
            0, 0, 0, 0, 0, 0,
            1, 0, 0, 0, 0, 0,
        ];
        let truth = Volume::new(geometry, voxels.clone()).unwrap();
        let drawn = |mm2: &str| {
            let expert: Expert = format!("overlook:{mm2}").parse().unwrap();
            let (_, labels) = expert.drawn(&truth, &[Plane { axis: Axis::Axial, index: 0 }], 0).unwrap().remove(0);
            labels
        };
        assert_eq!(drawn("2"), voxels, "2 mm² are not below 2 mm²");
        // The lone pixel of 2 mm² goes; the corner-to-corner pair of 4 mm² stays until 4.1.
        assert_eq!(drawn("3").iter().map(|l| usize::from(*l)).sum::<usize>(), 4 + 3);
        assert_eq!(drawn("4.1").iter().map(|l| usize::from(*l)).sum::<usize>(), 4);
    }

    #[test]
    fn experts_are_named() {
        fn check(text: &str, expected: Option<[f64; 3]>) {
            let expert: Result<Expert, _> = text.parse();
            assert_eq!(
                expert.as_ref().ok().map(|e| [e.jitter_mm, e.overlooked_mm2, e.contradiction_mm]),
                expected,
                "{text}"
            );
            if let Ok(expert) = expert {
                assert_eq!(expert.to_string(), text);
            }
        }
        check("perfect", Some([0.0; 3]));
        check("jitter:1.5", Some([1.5, 0.0, 0.0]));
        check("jitter:1+overlook:20+contradict:0.5", Some([1.0, 20.0, 0.5]));
        check("jitter:-1", None);
        check("jitter:1+", None);
        check("overlook:much", None);
        check("tired", None);
    }
}
