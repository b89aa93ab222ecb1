//! Scans with many small lesions in an organ, as in the liver or the lungs: faint borders, vessels, and look-alikes
//! that only an expert can tell.
//!
//! Look-alikes are drawn from the same distribution as lesions and carry no label: no network can be right about all of
//! them, one corrected plane can.

use rand::RngExt;
use rand_pcg::Pcg64;
use shared::geometry::{Geometry, GeometryError};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

use super::{Blob, LESION, ORGAN, Phantom, PhantomParams, measured_value, normal};
use crate::noise::Noise;

/// Makes the phantom number `case`.
pub(super) fn generate(params: &PhantomParams, case: u64) -> Result<Phantom, GeometryError> {
    let geometry = Geometry::axis_aligned(params.dims, params.spacing_mm)?;
    let mut rng = Pcg64::new(u128::from(params.seed) << 64 | 0x1e51_0e5f, u128::from(case));
    let scene = Scene::draw(&geometry, &mut rng);
    let mut canvas = Canvas::of(&geometry, &scene);
    for spot in &scene.spots {
        canvas.paint(spot, &scene.organ);
    }
    let image = canvas.measured(&scene, &mut rng);
    Ok(Phantom { image: Volume::new(geometry.clone(), image)?, labels: Volume::new(geometry, canvas.labels)? })
}

/// Everything drawn once a case.
struct Scene {
    body: Blob,
    organ: Blob,
    /// Vessels, look-alikes and lesions, drawn over each other in this order.
    spots: Vec<Spot>,
    texture: [(Noise, f64); 3],
    bias: Noise,
    noise: f64,
}

/// A blob that adds to what it lies in.
struct Spot {
    blob: Blob,
    /// Added in its middle.
    contrast: f64,
    /// Width of its border.
    edge_mm: f64,
    label: Option<Label>,
}

impl Scene {
    fn draw(geometry: &Geometry, rng: &mut Pcg64) -> Self {
        let extent_mm: [f64; 3] = std::array::from_fn(|axis| geometry.dims[axis] as f64 * geometry.spacing_mm[axis]);
        let background = rng.random_range(0.32..0.42);
        let body = Blob::draw(rng, extent_mm.map(|mm| mm / 2.0), extent_mm.map(|mm| mm * 0.56), 0.06, background);
        let organ_intensity = background + rng.random_range(0.12..0.22);
        let centre_mm = extent_mm.map(|mm| mm * rng.random_range(0.46..0.54));
        let organ = Blob::draw(rng, centre_mm, extent_mm.map(|mm| mm * 0.3), 0.25, organ_intensity);
        let smallest_mm = extent_mm.iter().copied().fold(f64::INFINITY, f64::min);
        let coarsest_mm = geometry.spacing_mm.iter().copied().fold(0.0, f64::max);
        let mut spots = vessels(rng, &organ, smallest_mm);
        let mut taken: Vec<([f64; 3], f64)> = Vec::new();
        let (lesions, alike) = (rng.random_range(10..=24), rng.random_range(4..=9));
        for number in 0..lesions + alike {
            let radius_mm = small_radius_mm(rng, smallest_mm, coarsest_mm);
            let Some(centre_mm) = free_place(rng, &organ, radius_mm, &taken) else { continue };
            taken.push((centre_mm, radius_mm));
            // The look-alikes come first, so that a lesion that touches one keeps its label.
            spots.push(Spot::draw(rng, (centre_mm, radius_mm), coarsest_mm, (number >= alike).then_some(LESION)));
        }
        let texture = [(1.3, 0.03), (4.0, 0.03), (12.0, 0.025)]
            .map(|(cell_mm, amount)| (Noise::new(rng.random(), cell_mm), amount));
        Self {
            body,
            organ,
            spots,
            texture,
            bias: Noise::new(rng.random(), smallest_mm * 0.8),
            noise: rng.random_range(0.02..0.035),
        }
    }
}

/// Radii from a fiftieth to a fifteenth of the scan, small ones far more often; never less than a voxel is thick.
fn small_radius_mm(rng: &mut Pcg64, smallest_mm: f64, coarsest_mm: f64) -> f64 {
    let (least, most) = (smallest_mm / 50.0, smallest_mm / 15.0);
    let drawn = least * (most / least).powf(rng.random::<f64>().powi(2));
    drawn.max(1.2 * coarsest_mm)
}

/// A place in the organ that keeps its distance from what is there.
fn free_place(rng: &mut Pcg64, organ: &Blob, radius_mm: f64, taken: &[([f64; 3], f64)]) -> Option<[f64; 3]> {
    let apart = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    (0..60).find_map(|_| {
        let at = organ.outwards(rng, 0.05..0.9);
        let is_free = organ.depth_mm(at) > radius_mm
            && taken.iter().all(|(other, their_mm)| apart(&at, other) > 1.8 * (radius_mm + their_mm));
        is_free.then_some(at)
    })
}

impl Spot {
    fn draw(rng: &mut Pcg64, (centre_mm, radius_mm): ([f64; 3], f64), coarsest_mm: f64, label: Option<Label>) -> Self {
        let radii_mm = [(); 3].map(|()| radius_mm * rng.random_range(0.75..1.3));
        let blob = Blob::draw(rng, centre_mm, radii_mm, 0.35, 0.0);
        let contrast = rng.random_range(0.06..0.17) * if rng.random_bool(0.75) { -1.0 } else { 1.0 };
        // From sharp borders to those that fade over the lesion's own radius; a thick voxel blurs both.
        let edge_mm = (radius_mm * rng.random_range(0.15..0.9)).max(0.5 * coarsest_mm);
        Self { blob, contrast, edge_mm, label }
    }
}

/// Bright tubes that branch away from the organ's middle, as rows of overlapping balls: what cuts across a lesion's
/// shape in one plane.
fn vessels(rng: &mut Pcg64, organ: &Blob, smallest_mm: f64) -> Vec<Spot> {
    let mut spots = Vec::new();
    for _ in 0..rng.random_range(4..=7) {
        let (start, end) = (organ.outwards(rng, 0.0..0.2), organ.outwards(rng, 0.7..1.0));
        let bend = [(); 3].map(|()| normal(rng) * smallest_mm * 0.04);
        let (thick_mm, contrast) = (smallest_mm * rng.random_range(0.012..0.025), rng.random_range(0.08..0.14));
        for step in 0..=40 {
            let t = f64::from(step) / 40.0;
            let at: [f64; 3] = std::array::from_fn(|i| {
                start[i] + (end[i] - start[i]) * t + bend[i] * (std::f64::consts::PI * t).sin()
            });
            let blob = Blob::draw(rng, at, [thick_mm * (1.0 - 0.6 * t); 3], 0.0, 0.0);
            spots.push(Spot { blob, contrast, edge_mm: 0.3 * thick_mm, label: None });
        }
    }
    spots
}

/// The scan while it is drawn.
struct Canvas {
    dims: [usize; 3],
    spacing_mm: [f64; 3],
    /// True intensity without texture; what spots add is kept apart, so that overlapping balls of a vessel do not add
    /// up.
    base: Vec<f64>,
    added: Vec<f64>,
    labels: Vec<Label>,
}

impl Canvas {
    fn of(geometry: &Geometry, scene: &Scene) -> Self {
        let (dims, spacing_mm) = (geometry.dims, geometry.spacing_mm);
        let count = geometry.voxel_count();
        let mut canvas = Self {
            dims,
            spacing_mm,
            base: Vec::with_capacity(count),
            added: vec![0.0; count],
            labels: Vec::with_capacity(count),
        };
        for z in 0..dims[2] {
            for y in 0..dims[1] {
                for x in 0..dims[0] {
                    let at_mm = canvas.point_mm([x, y, z]);
                    let body = scene.body.depth_mm(at_mm);
                    let organ = scene.organ.depth_mm(at_mm);
                    let inside = 1.0 / (1.0 + (-organ / 0.8).exp());
                    let value = scene.body.intensity + inside * (scene.organ.intensity - scene.body.intensity);
                    canvas.base.push(if body > 0.0 { value } else { 0.0 });
                    canvas.labels.push(if organ > 0.0 && body > 0.0 { ORGAN } else { BACKGROUND });
                }
            }
        }
        canvas
    }

    fn point_mm(&self, voxel: [usize; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| voxel[axis] as f64 * self.spacing_mm[axis])
    }

    /// Draws a spot within the box that it can reach. Lesions are labelled where the organ is.
    fn paint(&mut self, spot: &Spot, organ: &Blob) {
        let reach_mm = spot.blob.radii_mm.iter().copied().fold(0.0, f64::max) * 1.4 + 3.0 * spot.edge_mm;
        let range = |axis: usize| {
            let voxel = |mm: f64| (mm / self.spacing_mm[axis]).clamp(0.0, self.dims[axis] as f64) as usize;
            voxel(spot.blob.centre_mm[axis] - reach_mm)
                ..(voxel(spot.blob.centre_mm[axis] + reach_mm) + 1).min(self.dims[axis])
        };
        let [xs, ys, zs] = [range(0), range(1), range(2)];
        for z in zs {
            for y in ys.clone() {
                for x in xs.clone() {
                    let at_mm = self.point_mm([x, y, z]);
                    let depth_mm = spot.blob.depth_mm(at_mm);
                    let adds = spot.contrast / (1.0 + (-2.0 * depth_mm / spot.edge_mm).exp());
                    let at = Geometry::offset([x, y, z], self.dims);
                    if adds.abs() > self.added[at].abs() {
                        self.added[at] = adds;
                    }
                    match spot.label {
                        Some(label) if depth_mm > 0.0 && organ.depth_mm(at_mm) > 0.0 => self.labels[at] = label,
                        _ => {}
                    }
                }
            }
        }
    }

    /// What the scanner makes of it; air stays exactly 0.
    fn measured(&self, scene: &Scene, rng: &mut Pcg64) -> Vec<f32> {
        let mut image = Vec::with_capacity(self.base.len());
        for z in 0..self.dims[2] {
            for y in 0..self.dims[1] {
                for x in 0..self.dims[0] {
                    let at = Geometry::offset([x, y, z], self.dims);
                    let at_mm = self.point_mm([x, y, z]);
                    image.push(if self.base[at] > 0.0 {
                        let texture: f64 = scene.texture.iter().map(|(noise, amount)| noise.at(at_mm) * amount).sum();
                        let bias = 1.0 + 0.2 * scene.bias.at(at_mm);
                        measured_value((self.base[at] + self.added[at] + texture) * bias + scene.noise * normal(rng))
                    } else {
                        0.0
                    });
                }
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::overlap::agreement;

    fn phantom(case: u64, dims: [usize; 3], spacing_mm: [f64; 3]) -> Phantom {
        generate(&PhantomParams { dims, spacing_mm, seed: 3, lesions: true }, case).unwrap()
    }

    #[test]
    fn there_are_many_lesions_most_of_them_small() {
        // Thick slices make the smallest lesion nearly a centimetre wide, so that many of them need a wider organ.
        for (case, dims, spacing_mm) in [(0, [72, 72, 72], [1.5; 3]), (1, [80, 80, 32], [2.0, 2.0, 4.0])] {
            let made = phantom(case, dims, spacing_mm);
            let lesions = agreement(&made.labels, &made.labels, LESION).components;
            assert!((7..=24).contains(&lesions), "{lesions} lesions in case {case}");
            let share = |label: Label| {
                made.labels.voxels().iter().filter(|l| **l == label).count() as f64 / made.labels.voxels().len() as f64
            };
            assert!(
                share(LESION) < 0.25 * share(ORGAN) && share(LESION) > 0.001,
                "{} of {}",
                share(LESION),
                share(ORGAN)
            );
        }
    }

    #[test]
    fn no_brightness_tells_a_lesion_from_the_organ_around_it() {
        let made = phantom(0, [72, 72, 72], [1.5; 3]);
        let pairs: Vec<(f32, bool)> = made
            .image
            .voxels()
            .iter()
            .zip(made.labels.voxels())
            .filter(|(_, l)| **l != BACKGROUND)
            .map(|(v, l)| (*v, *l == LESION))
            .collect();
        let dice = |level: f32| {
            let both = pairs.iter().filter(|(v, lesion)| *v < level && *lesion).count() as f64;
            2.0 * both
                / (pairs.iter().filter(|(v, _)| *v < level).count() + pairs.iter().filter(|(_, l)| *l).count()).max(1)
                    as f64
        };
        let best = (200..900).step_by(10).map(|level| dice(level as f32)).fold(0.0, f64::max);
        assert!(best < 0.7, "a threshold reaches Dice {best}");
    }

    #[test]
    fn the_same_seed_makes_the_same_lesions() {
        let [first, again, other] = [0, 0, 1].map(|case| phantom(case, [40, 40, 40], [2.5; 3]));
        assert_eq!((&first.image, &first.labels), (&again.image, &again.labels));
        assert_ne!(first.labels, other.labels);
    }
}
