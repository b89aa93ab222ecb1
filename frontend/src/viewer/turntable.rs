//! Surfaces from any side, onto a bitmap with a depth for each pixel: no graphics card is asked for. One looks along
//! parallel lines, with a lamp at the eye, so that no side is dark. Pure.

use super::surface::Surface;

/// From where one looks. At 0 degrees one faces the patient: right is on the left of the screen, the head on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Turn {
    /// Degrees round the patient's long axis; growing, the patient's right comes to the front.
    pub(crate) azimuth: f64,
    /// Degrees above the axial plane.
    pub(crate) elevation: f64,
    /// 1 shows all.
    pub(crate) zoom: f64,
}

impl Default for Turn {
    fn default() -> Self {
        Self { azimuth: 25.0, elevation: 20.0, zoom: 1.0 }
    }
}

/// Degrees that a drag turns by per pixel.
const DEGREES_PER_PX: f64 = 0.5;
/// Nearest and farthest look.
const ZOOM: [f64; 2] = [0.3, 12.0];

impl Turn {
    /// After a drag: what is in front follows the hand.
    pub(crate) fn dragged(self, [right, down]: [f64; 2]) -> Self {
        Self {
            azimuth: (self.azimuth + right * DEGREES_PER_PX).rem_euclid(360.0),
            elevation: (self.elevation + down * DEGREES_PER_PX).clamp(-90.0, 90.0),
            ..self
        }
    }

    /// Closer by `factor`.
    pub(crate) fn zoomed(self, factor: f64) -> Self {
        Self { zoom: (self.zoom * factor).clamp(ZOOM[0], ZOOM[1]), ..self }
    }

    /// Directions in the patient (RAS+) that point to the right and up on the screen, and at the eye.
    fn directions(self) -> [[f64; 3]; 3] {
        let (sin, cos) = self.azimuth.to_radians().sin_cos();
        let (rise, flat) = self.elevation.to_radians().sin_cos();
        [[-cos, sin, 0.0], [-sin * rise, -cos * rise, flat], [sin * flat, cos * flat, rise]]
    }
}

/// What lies on the turntable.
pub(crate) struct Scene<'a> {
    /// Surfaces with their colours.
    pub(crate) surfaces: Vec<(&'a Surface, [u8; 3])>,
    /// What it turns about, in millimetres (RAS+).
    pub(crate) middle_mm: [f64; 3],
    /// Nothing is farther from it.
    pub(crate) radius_mm: f64,
}

/// A scene from one side.
pub(crate) struct Picture {
    /// Columns and rows.
    pub(crate) dims: [usize; 2],
    /// Red, green, blue and opacity of each pixel, as little-endian bytes.
    pixels: Vec<u32>,
    /// How near each pixel is; nothing is minus infinity.
    nearness: Vec<f32>,
    /// The corner at each pixel, all surfaces' counted on.
    hits: Vec<u32>,
    /// The number of each surface's first corner.
    firsts: Vec<u32>,
}

/// A letter at the end of one of the patient's axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Compass {
    /// R, L, A, P, S or I.
    pub(crate) letter: &'static str,
    /// From the middle of the picture, in shares of its shorter side, to the right and down.
    pub(crate) at: [f64; 2],
    /// It points at the eye (1) or away from it (-1).
    pub(crate) towards: f64,
}

/// The ends of the patient's axes.
pub(crate) fn compass(turn: Turn) -> [Compass; 6] {
    const ENDS: [(&str, usize, f64); 6] =
        [("R", 0, 1.0), ("L", 0, -1.0), ("A", 1, 1.0), ("P", 1, -1.0), ("S", 2, 1.0), ("I", 2, -1.0)];
    let [right, up, towards] = turn.directions();
    ENDS.map(|(letter, axis, sign)| Compass {
        letter,
        at: [right[axis] * sign * 0.44, -up[axis] * sign * 0.44],
        towards: towards[axis] * sign,
    })
}

/// Pixels per millimetre.
fn scale(scene: &Scene, turn: Turn, dims: [usize; 2]) -> f64 {
    dims[0].min(dims[1]) as f64 * 0.42 / scene.radius_mm.max(1e-9) * turn.zoom
}

/// Where a position in the patient lies on a picture, and how near it is.
pub(crate) fn placed(scene: &Scene, turn: Turn, dims: [usize; 2], at_mm: [f64; 3]) -> [f64; 3] {
    let px_per_mm = scale(scene, turn, dims);
    let from_middle = [0, 1, 2].map(|axis| at_mm[axis] - scene.middle_mm[axis]);
    let [x, y, z] =
        turn.directions().map(|along| (0..3).map(|axis| along[axis] * from_middle[axis]).sum::<f64>() * px_per_mm);
    [dims[0] as f64 / 2.0 + x, dims[1] as f64 / 2.0 - y, z]
}

impl Picture {
    /// The scene from one side, of `dims` pixels.
    pub(crate) fn new(scene: &Scene, turn: Turn, dims: [usize; 2]) -> Self {
        let count = dims[0] * dims[1];
        let mut picture = Self {
            dims,
            pixels: vec![0; count],
            nearness: vec![f32::NEG_INFINITY; count],
            hits: vec![u32::MAX; count],
            firsts: Vec::new(),
        };
        let px_per_mm = scale(scene, turn, dims);
        let [right, up, towards] = turn.directions().map(|along| along.map(|share| (share * px_per_mm) as f32));
        let eye = turn.directions()[2].map(|share| share as f32);
        let middle = scene.middle_mm.map(|mm| mm as f32);
        let half = dims.map(|count| count as f32 / 2.0);
        let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let mut first = 0;
        for (surface, rgb) in &scene.surfaces {
            picture.firsts.push(first);
            let shades = shades(*rgb);
            let seen: Vec<Corner> = surface
                .corners
                .iter()
                .zip(&surface.normals)
                .map(|(corner, normal)| {
                    let at = [corner[0] - middle[0], corner[1] - middle[1], corner[2] - middle[2]];
                    Corner {
                        at: [half[0] + dot(right, at), half[1] - dot(up, at)],
                        nearness: dot(towards, at),
                        light: SHADES as f32 * (0.25 + 0.75 * dot(eye, *normal).abs()),
                    }
                })
                .collect();
            for triangle in &surface.triangles {
                picture.fill(triangle.map(|corner| seen[corner as usize]), &shades, first + triangle[0]);
            }
            first += surface.corners.len() as u32;
        }
        picture
    }

    /// Four bytes per pixel.
    pub(crate) fn rgba(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect()
    }

    /// The surface and the corner at a pixel; nothing beside all surfaces.
    pub(crate) fn hit(&self, [x, y]: [usize; 2]) -> Option<[usize; 2]> {
        let hit = *(x < self.dims[0]).then(|| self.hits.get(x + y * self.dims[0])).flatten()?;
        let surface = self.firsts.partition_point(|first| *first <= hit).checked_sub(1)?;
        (hit != u32::MAX).then(|| [surface, (hit - self.firsts[surface]) as usize])
    }

    /// Fills the pixels whose middle lies in a triangle that is seen from outside and that nothing nearer covers.
    fn fill(&mut self, [a, c, b]: [Corner; 3], shades: &[u32; SHADES + 1], hit: u32) {
        // Outside, corners go round against the clock; on the screen, whose rows go down, with it: hence `c` and `b`.
        let area = (b.at[0] - a.at[0]) * (c.at[1] - a.at[1]) - (b.at[1] - a.at[1]) * (c.at[0] - a.at[0]);
        if area <= 0.0 {
            return;
        }
        // Pixels whose middle is in between.
        let range = |axis: usize| {
            let low = a.at[axis].min(b.at[axis]).min(c.at[axis]);
            let high = a.at[axis].max(b.at[axis]).max(c.at[axis]);
            let end = ((high - 0.5).floor() + 1.0).clamp(0.0, self.dims[axis] as f32) as usize;
            ((low - 0.5).ceil().max(0.0) as usize, end)
        };
        let ((left, right), (top, bottom)) = (range(0), range(1));
        if left >= right || top >= bottom {
            return;
        }
        // Shares of the corners change by the same from pixel to pixel.
        let begin = [left as f32 + 0.5, top as f32 + 0.5];
        let share = |from: Corner, to: Corner| {
            let (x, y) = (to.at[0] - from.at[0], to.at[1] - from.at[1]);
            [(x * (begin[1] - from.at[1]) - y * (begin[0] - from.at[0])) / area, -y / area, x / area]
        };
        let (of_c, of_a) = (share(a, b), share(b, c));
        let of_b = [1.0 - of_a[0] - of_c[0], -of_a[1] - of_c[1], -of_a[2] - of_c[2]];
        let mixed =
            |of: fn(&Corner) -> f32| [0, 1, 2].map(|at| of_a[at] * of(&a) + of_b[at] * of(&b) + of_c[at] * of(&c));
        let (nearness, light) = (mixed(|corner| corner.nearness), mixed(|corner| corner.light));
        for y in top..bottom {
            let down = (y - top) as f32;
            let row = y * self.dims[0];
            for x in left..right {
                let across = (x - left) as f32;
                let at = |plane: [f32; 3]| plane[0] + across * plane[1] + down * plane[2];
                let is_outside = at(of_a) < 0.0 || at(of_b) < 0.0 || at(of_c) < 0.0;
                let near = at(nearness);
                if is_outside || near <= self.nearness[row + x] {
                    continue;
                }
                self.nearness[row + x] = near;
                self.hits[row + x] = hit;
                self.pixels[row + x] = shades[(at(light) as usize).min(SHADES)];
            }
        }
    }
}

/// How many shades a colour has.
const SHADES: usize = 255;

/// A colour from dark to fully lit, as pixels.
fn shades(rgb: [u8; 3]) -> [u32; SHADES + 1] {
    std::array::from_fn(|shade| {
        let [r, g, b] = rgb.map(|channel| (usize::from(channel) * shade / SHADES) as u8);
        u32::from_le_bytes([r, g, b, 255])
    })
}

/// A corner as it is seen.
#[derive(Clone, Copy)]
struct Corner {
    at: [f32; 2],
    nearness: f32,
    light: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facing() -> Turn {
        Turn { azimuth: 0.0, elevation: 0.0, zoom: 1.0 }
    }

    #[test]
    fn one_faces_the_patient_first_and_then_goes_round() {
        fn check(azimuth: f64, elevation: f64, left_top_front: &str) {
            let ends = compass(Turn { azimuth, elevation, zoom: 1.0 });
            let at =
                |by: fn(&Compass) -> f64| ends.iter().max_by(|a, b| by(a).total_cmp(&by(b))).unwrap().letter.to_owned();
            let found = [at(|end| -end.at[0]), at(|end| -end.at[1]), at(|end| end.towards)].concat();
            assert_eq!(found, left_top_front, "{azimuth} {elevation}");
        }
        check(0.0, 0.0, "RSA");
        check(90.0, 0.0, "PSR");
        check(180.0, 0.0, "LSP");
        check(270.0, 0.0, "ASL");
        check(0.0, 90.0, "RPS");
        check(0.0, -90.0, "RAI");
    }

    #[test]
    fn what_is_in_front_follows_the_hand() {
        let turned = facing().dragged([60.0, 20.0]);
        assert_eq!((turned.azimuth, turned.elevation), (30.0, 10.0));
        let front = compass(turned)[2];
        assert!(front.at[0] > 0.0 && front.at[1] > 0.0, "{front:?}");
        assert_eq!(facing().dragged([-60.0, 900.0]), Turn { azimuth: 330.0, elevation: 90.0, zoom: 1.0 });
        assert_eq!(facing().zoomed(1e9).zoom, ZOOM[1]);
    }

    fn square(label: u8, y_mm: f32, side_mm: f32) -> Surface {
        let corner = |x: f32, z: f32| [x * side_mm, y_mm, z * side_mm];
        Surface {
            label,
            corners: vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)],
            voxels: vec![[1, 2, 3]; 4],
            normals: vec![[0.0, 1.0, 0.0]; 4],
            // Seen from either side.
            triangles: vec![[0, 1, 2], [0, 2, 3], [0, 2, 1], [0, 3, 2]],
        }
    }

    #[test]
    fn a_corner_is_found_by_its_pixel() {
        let (small, large) = (square(1, 5.0, 4.0), square(2, -5.0, 8.0));
        let scene = Scene { surfaces: vec![(&small, [9; 3]), (&large, [9; 3])], middle_mm: [0.0; 3], radius_mm: 10.0 };
        let picture = Picture::new(&scene, facing(), [100, 100]);
        assert_eq!(picture.hit([50, 50]).map(|hit| hit[0]), Some(0));
        assert_eq!(picture.hit([22, 50]).map(|hit| hit[0]), Some(1));
        assert!(picture.hit([22, 50]).is_some_and(|hit| hit[1] < 4));
        assert_eq!(picture.hit([2, 2]), None);
    }

    #[test]
    fn the_nearer_surface_hides_the_other() {
        let (small, large) = (square(1, 5.0, 4.0), square(2, -5.0, 8.0));
        let scene = |swapped: bool| Scene {
            surfaces: if swapped {
                vec![(&large, [0, 200, 0]), (&small, [200, 0, 0])]
            } else {
                vec![(&small, [200, 0, 0]), (&large, [0, 200, 0])]
            },
            middle_mm: [0.0; 3],
            radius_mm: 10.0,
        };
        fn check(scene: &Scene, azimuth: f64, at: [usize; 2], expected: Option<[u8; 3]>) {
            let picture = Picture::new(scene, Turn { azimuth, ..facing() }, [100, 100]);
            let found = picture.hit(at).map(|_| {
                let pixel = 4 * (at[0] + 100 * at[1]);
                let rgba = picture.rgba();
                [rgba[pixel], rgba[pixel + 1], rgba[pixel + 2]]
            });
            assert_eq!(found, expected, "{azimuth} {at:?}");
        }
        for swapped in [false, true] {
            let scene = scene(swapped);
            check(&scene, 0.0, [50, 50], Some([200, 0, 0]));
            check(&scene, 0.0, [22, 50], Some([0, 200, 0]));
            check(&scene, 0.0, [5, 50], None);
            check(&scene, 180.0, [50, 50], Some([0, 200, 0]));
            check(&scene, 0.0, [100, 50], None);
        }
        assert_eq!(placed(&scene(false), facing(), [100, 100], [-10.0, 3.0, 10.0]).map(f64::round), [92.0, 8.0, 13.0]);
    }
}
