//! Generated scans with known labels: a small, honest segmentation task for demos, training and tests where no patient
//! data may go.
//!
//! An organ and its lesions lie in a body among structures that look alike but are not labelled. Edges blur over voxels
//! (partial volume), tissue has texture, the field is uneven, contrast and noise change from case to case: a network
//! that was trained briefly makes the mistakes that slices correct. Pure, and the same for the same seed.

mod lesions;

use rand::RngExt;
use rand_pcg::Pcg64;
use shared::geometry::{Dims, Geometry, GeometryError};
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

use crate::noise::Noise;

/// The labels of a phantom, by value.
pub const LABELS: [(&str, Label); 3] = [("background", BACKGROUND), ("organ", ORGAN), ("lesion", LESION)];
const ORGAN: Label = 1;
const LESION: Label = 2;

/// Smallest number of voxels along an axis in which the structures can be told apart.
pub const MIN_SIZE: usize = 16;

/// What phantoms are made by.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomParams {
    /// Voxels along x, y, z.
    pub dims: Dims,
    /// Voxel spacing in millimetres.
    pub spacing_mm: [f64; 3],
    /// Same seed, same scans.
    pub seed: u64,
    /// Many small lesions with faint borders, vessels and look-alikes, instead of an organ with a few.
    pub lesions: bool,
}

impl Default for PhantomParams {
    fn default() -> Self {
        Self { dims: [56, 64, 48], spacing_mm: [1.0, 1.0, 1.5], seed: 0, lesions: false }
    }
}

/// A scan and what is in it.
#[derive(Clone, Debug)]
pub struct Phantom {
    /// Intensities; 0 outside the body.
    pub image: Volume<f32>,
    /// Labels, see [`LABELS`].
    pub labels: Volume<Label>,
}

/// Makes the phantom number `case`; independent of how many others are made.
///
/// # Errors
/// [`GeometryError`] if size or spacing are no grid.
pub fn generate(params: &PhantomParams, case: u64) -> Result<Phantom, GeometryError> {
    if params.lesions {
        return lesions::generate(params, case);
    }
    let geometry = Geometry::axis_aligned(params.dims, params.spacing_mm)?;
    let mut rng = Pcg64::new(u128::from(params.seed) << 64 | 0x9e37_79b9, u128::from(case));
    let scene = Scene::draw(&geometry, &mut rng);
    let mut image = Vec::with_capacity(geometry.voxel_count());
    let mut labels = Vec::with_capacity(geometry.voxel_count());
    for z in 0..params.dims[2] {
        for y in 0..params.dims[1] {
            for x in 0..params.dims[0] {
                let point_mm = geometry.world_from_voxel([x as f64, y as f64, z as f64]);
                let (intensity, label) = scene.at(point_mm);
                image.push(scene.measured(intensity, point_mm, &mut rng));
                labels.push(label);
            }
        }
    }
    Ok(Phantom { image: Volume::new(geometry.clone(), image)?, labels: Volume::new(geometry, labels)? })
}

/// Everything drawn once a case.
struct Scene {
    body: Blob,
    /// Drawn over each other in this order; later ones win.
    structures: Vec<(Blob, Option<Label>)>,
    background: f64,
    edge_mm: f64,
    texture: [Noise; 2],
    texture_amplitude: f64,
    bias: Noise,
    noise: f64,
}

impl Scene {
    fn draw(geometry: &Geometry, rng: &mut Pcg64) -> Self {
        let extent_mm: [f64; 3] = std::array::from_fn(|axis| geometry.dims[axis] as f64 * geometry.spacing_mm[axis]);
        let smallest_mm = extent_mm.iter().copied().fold(f64::INFINITY, f64::min);
        let background = rng.random_range(0.32..0.42);
        let organ_intensity = background + rng.random_range(0.13..0.28);
        let body = Blob::draw(rng, extent_mm.map(|e| e / 2.0), extent_mm.map(|e| e * 0.56), 0.08, background);
        let organ_centre_mm = extent_mm.map(|e| e * rng.random_range(0.42..0.58));
        let organ = Blob::draw(rng, organ_centre_mm, extent_mm.map(|e| e * 0.2), 0.35, organ_intensity);
        let mut structures = Vec::new();
        // Look-alikes beside the organ: same brightness, no label.
        for _ in 0..rng.random_range(2..=4) {
            let centre_mm = organ.outwards(rng, 1.5..2.0);
            let radii_mm = [(); 3].map(|()| smallest_mm * rng.random_range(0.07..0.15));
            let intensity = organ_intensity + rng.random_range(-0.05..0.05);
            structures.push((Blob::draw(rng, centre_mm, radii_mm, 0.3, intensity), None));
        }
        structures.push((organ.clone(), Some(ORGAN)));
        for _ in 0..rng.random_range(1..=3) {
            let centre_mm = organ.outwards(rng, 0.2..0.95);
            let lesion = Blob::lesion(rng, centre_mm, smallest_mm, organ_intensity);
            structures.push((lesion, Some(LESION)));
        }
        for _ in 0..rng.random_range(0..=2) {
            let centre_mm = organ.outwards(rng, 1.4..1.9);
            let spot = Blob::lesion(rng, centre_mm, smallest_mm, organ_intensity);
            structures.push((spot, None));
        }
        Self {
            body,
            structures,
            background,
            edge_mm: rng.random_range(0.5..1.1),
            texture: [Noise::new(rng.random(), 3.0), Noise::new(rng.random(), 8.0)],
            texture_amplitude: rng.random_range(0.03..0.08),
            bias: Noise::new(rng.random(), smallest_mm * 0.7),
            noise: rng.random_range(0.03..0.08),
        }
    }

    /// True intensity and label at a point.
    fn at(&self, point_mm: [f64; 3]) -> (f64, Label) {
        if self.body.depth_mm(point_mm) <= 0.0 {
            return (0.0, BACKGROUND);
        }
        let mut intensity = self.background;
        let mut label = BACKGROUND;
        for (blob, its_label) in &self.structures {
            let depth_mm = blob.depth_mm(point_mm);
            let share = 1.0 / (1.0 + (-2.0 * depth_mm / self.edge_mm).exp());
            intensity += share * (blob.intensity - intensity);
            match its_label {
                Some(value) if depth_mm > 0.0 => label = *value,
                _ => {}
            }
        }
        (intensity, label)
    }

    /// What the scanner makes of a true intensity; air stays exactly 0.
    fn measured(&self, intensity: f64, point_mm: [f64; 3], rng: &mut Pcg64) -> f32 {
        if intensity <= 0.0 {
            return 0.0;
        }
        let texture: f64 = self.texture.iter().map(|noise| noise.at(point_mm)).sum::<f64>() * self.texture_amplitude;
        let bias = 1.0 + 0.25 * self.bias.at(point_mm);
        let value = (intensity + texture) * bias + self.noise * normal(rng);
        measured_value(value)
    }
}

/// Whole numbers, as scanners store them; tissue is never 0.
fn measured_value(value: f64) -> f32 {
    (value.max(0.001) * 1000.0).round() as f32
}

/// An ellipsoid, turned, with a wavy surface.
#[derive(Clone)]
struct Blob {
    centre_mm: [f64; 3],
    radii_mm: [f64; 3],
    /// Rows: the blob's own axes.
    axes: [[f64; 3]; 3],
    waves: Noise,
    /// Height of the waves as a share of the radius.
    waviness: f64,
    intensity: f64,
}

impl Blob {
    fn draw(rng: &mut Pcg64, centre_mm: [f64; 3], radii_mm: [f64; 3], waviness: f64, intensity: f64) -> Self {
        let radii_mm = radii_mm.map(|r| r * rng.random_range(0.85..1.2));
        let radius_mm = radii_mm.iter().sum::<f64>() / 3.0;
        let axes = rotation(rng.random_range(-0.5..0.5), rng.random_range(-0.5..0.5));
        Self { centre_mm, radii_mm, axes, waves: Noise::new(rng.random(), radius_mm * 0.9), waviness, intensity }
    }

    /// A small spot, darker or brighter than the organ.
    fn lesion(rng: &mut Pcg64, centre_mm: [f64; 3], smallest_mm: f64, organ_intensity: f64) -> Self {
        let radii_mm = [(); 3].map(|()| smallest_mm * rng.random_range(0.055..0.12));
        let contrast = rng.random_range(0.11..0.24);
        let intensity = if rng.random_bool(0.7) { organ_intensity + contrast } else { organ_intensity - contrast };
        Self::draw(rng, centre_mm, radii_mm, 0.3, intensity)
    }

    /// Roughly how far inside (positive) or outside the surface a point lies.
    fn depth_mm(&self, point_mm: [f64; 3]) -> f64 {
        let offset: [f64; 3] = std::array::from_fn(|i| point_mm[i] - self.centre_mm[i]);
        let scaled: [f64; 3] =
            std::array::from_fn(|row| (0..3).map(|i| self.axes[row][i] * offset[i]).sum::<f64>() / self.radii_mm[row]);
        let distance = scaled.iter().map(|s| s * s).sum::<f64>().sqrt();
        let radius_mm = self.radii_mm.iter().sum::<f64>() / 3.0;
        if distance > 2.0 {
            return (1.0 - distance) * radius_mm;
        }
        (1.0 + self.waviness * self.waves.at(point_mm) - distance) * radius_mm
    }

    /// A point in a random direction from the centre, at `share` of the surface's distance.
    fn outwards(&self, rng: &mut Pcg64, share: std::ops::Range<f64>) -> [f64; 3] {
        let direction = [(); 3].map(|()| normal(rng));
        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt().max(1e-9);
        let share = rng.random_range(share);
        std::array::from_fn(|i| self.centre_mm[i] + direction[i] / length * share * self.radii_mm[i])
    }
}

/// A turn about z by `yaw`, then about x by `pitch` (radians).
fn rotation(yaw: f64, pitch: f64) -> [[f64; 3]; 3] {
    let (sy, cy) = yaw.sin_cos();
    let (sp, cp) = pitch.sin_cos();
    [[cy, sy, 0.0], [-sy * cp, cy * cp, sp], [sy * sp, -cy * sp, cp]]
}

/// A draw from the standard normal distribution (Box–Muller).
fn normal(rng: &mut Pcg64) -> f64 {
    let u: f64 = 1.0 - rng.random::<f64>();
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(seed: u64) -> PhantomParams {
        PhantomParams { dims: [40, 44, 32], seed, ..PhantomParams::default() }
    }

    #[test]
    fn the_same_seed_makes_the_same_scan_and_another_seed_another() {
        let first = generate(&params(1), 0).unwrap();
        let again = generate(&params(1), 0).unwrap();
        assert_eq!(first.image, again.image);
        assert_eq!(first.labels, again.labels);
        assert_ne!(first.image, generate(&params(2), 0).unwrap().image);
        assert_ne!(first.image, generate(&params(1), 1).unwrap().image);
    }

    #[test]
    fn every_scan_holds_an_organ_and_a_lesion_within_a_body() {
        for case in 0..8 {
            let phantom = generate(&params(7), case).unwrap();
            let voxels = phantom.labels.voxels().len();
            let share =
                |label: Label| phantom.labels.voxels().iter().filter(|l| **l == label).count() as f64 / voxels as f64;
            assert!((0.01..0.25).contains(&share(ORGAN)), "organ {} of case {case}", share(ORGAN));
            assert!((0.0002..0.05).contains(&share(LESION)), "lesion {} of case {case}", share(LESION));
            assert!(phantom.image.voxels().iter().all(|v| v.is_finite() && *v >= 0.0));
            assert!(phantom.image.voxels().contains(&0.0), "case {case} has no air");
        }
    }

    #[test]
    fn brightness_alone_does_not_tell_the_organ() {
        // The best threshold on intensity must be a bad segmentation, or the task teaches nothing.
        let phantom = generate(&params(3), 0).unwrap();
        let best = (300..900).step_by(20).map(|level| threshold_dice(&phantom, level as f32)).fold(0.0, f64::max);
        assert!(best < 0.8, "a threshold reaches Dice {best}");
    }

    fn threshold_dice(phantom: &Phantom, level: f32) -> f64 {
        let pairs = phantom.image.voxels().iter().zip(phantom.labels.voxels()).map(|(v, l)| (*v > level, *l == ORGAN));
        let (mut both, mut sum) = (0_usize, 0_usize);
        for (above, organ) in pairs {
            both += usize::from(above && organ);
            sum += usize::from(above) + usize::from(organ);
        }
        2.0 * both as f64 / sum.max(1) as f64
    }

    #[test]
    fn a_grid_that_is_none_is_refused() {
        assert!(generate(&PhantomParams { dims: [0, 4, 4], ..params(0) }, 0).is_err());
    }
}
