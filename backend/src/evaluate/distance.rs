//! Exact Euclidean distances on anisotropic grids (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled
//! Functions", 2012).

use shared::geometry::{Dims, Geometry, Plane};

/// Voxels of the mask that touch (by a face) something outside it, or the volume's border.
pub(super) fn surface(mask: &[bool], dims: Dims) -> Vec<bool> {
    let strides = [1, dims[0], dims[0] * dims[1]];
    let inside = |at: usize| {
        let voxel = Geometry::voxel_at(at, dims);
        // An axis of one voxel has no faces to speak of: a flat mask is not all surface.
        (0..3).filter(|axis| dims[*axis] > 1).all(|axis| {
            let (first, last) = (voxel[axis] == 0, voxel[axis] + 1 == dims[axis]);
            !first && !last && mask[at - strides[axis]] && mask[at + strides[axis]]
        })
    };
    mask.iter().enumerate().map(|(at, on)| *on && !inside(at)).collect()
}

/// Distance (mm) of every voxel to the nearest voxel of the target; infinite where there is none.
pub(super) fn distances_mm(target: &[bool], dims: Dims, spacing_mm: [f64; 3]) -> Vec<f64> {
    let mut squares: Vec<f64> = target.iter().map(|on| if *on { 0.0 } else { f64::INFINITY }).collect();
    let strides = [1, dims[0], dims[0] * dims[1]];
    for axis in 0..3 {
        let n = dims[axis];
        let starts = (0..squares.len()).filter(|at| (at / strides[axis]).is_multiple_of(n)).collect::<Vec<_>>();
        let mut line = vec![0.0; n];
        for start in starts {
            for (at, value) in line.iter_mut().enumerate() {
                *value = squares[start + at * strides[axis]];
            }
            for (at, value) in lower_envelope(&line, spacing_mm[axis]).into_iter().enumerate() {
                squares[start + at * strides[axis]] = value;
            }
        }
    }
    debug_assert_eq!(squares.len(), Geometry::offset([0, 0, dims[2]], dims));
    squares.into_iter().map(f64::sqrt).collect()
}

/// Distance (mm) of every voxel to the nearest of some planes, along the axis that the plane stands on; infinite
/// without planes.
pub(super) fn distances_to_planes_mm(geometry: &Geometry, planes: &[Plane]) -> Vec<f64> {
    let along = [0, 1, 2].map(|stored| {
        let own: Vec<usize> =
            planes.iter().filter(|plane| geometry.stored_axis(plane.axis) == stored).map(|plane| plane.index).collect();
        let nearest = |at: usize| {
            own.iter()
                .map(|plane| plane.abs_diff(at) as f64 * geometry.spacing_mm[stored])
                .fold(f64::INFINITY, f64::min)
        };
        (0..geometry.dims[stored]).map(nearest).collect::<Vec<f64>>()
    });
    let mut nearest = Vec::with_capacity(geometry.voxel_count());
    for z in &along[2] {
        for y in &along[1] {
            nearest.extend(along[0].iter().map(|x| x.min(*y).min(*z)));
        }
    }
    nearest
}

/// min over q of (p − q)² s² + f(q), for every p of a line.
fn lower_envelope(f: &[f64], spacing_mm: f64) -> Vec<f64> {
    let x = |at: usize| at as f64 * spacing_mm;
    // Parabolas of the envelope, and where each begins to be the lowest.
    let mut parabolas: Vec<(usize, f64)> = Vec::with_capacity(f.len());
    for q in (0..f.len()).filter(|q| f[*q].is_finite()) {
        let mut from = f64::NEG_INFINITY;
        while let Some(&(top, top_from)) = parabolas.last() {
            from = ((f[q] + x(q).powi(2)) - (f[top] + x(top).powi(2))) / (2.0 * (x(q) - x(top)));
            if from > top_from {
                break;
            }
            parabolas.pop();
            from = f64::NEG_INFINITY;
        }
        parabolas.push((q, from));
    }
    if parabolas.is_empty() {
        return f.to_vec();
    }
    let mut lowest = 0;
    let value = |p: usize| {
        while lowest + 1 < parabolas.len() && parabolas[lowest + 1].1 < x(p) {
            lowest += 1;
        }
        let q = parabolas[lowest].0;
        (x(p) - x(q)).powi(2) + f[q]
    };
    (0..f.len()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::geometry::Axis;

    use super::*;

    proptest! {
        #[test]
        fn distances_are_those_of_trying_every_pair(
            target in prop::collection::vec(prop::bool::weighted(0.1), 4 * 5 * 3),
            spacing in prop::array::uniform3(0.3_f64..3.0),
        ) {
            let dims = [4, 5, 3];
            let at = |i: usize| [i % 4, i / 4 % 5, i / 20];
            let got = distances_mm(&target, dims, spacing);
            for (p, mm) in got.iter().enumerate() {
                let apart_mm = |q: usize, axis: usize| (at(p)[axis] as f64 - at(q)[axis] as f64) * spacing[axis];
                let to = |q: usize| (0..3).map(|axis| apart_mm(q, axis).powi(2)).sum::<f64>().sqrt();
                let expected = (0..target.len()).filter(|q| target[*q]).map(to).fold(f64::INFINITY, f64::min);
                prop_assert!((mm - expected).abs() < 1e-9 || *mm == expected, "{} {}", mm, expected);
            }
        }
    }

    #[test]
    fn distances_are_to_the_nearest_plane() {
        let geometry = Geometry::axis_aligned([4, 1, 3], [1.5, 1.0, 2.0]).unwrap();
        let planes = [Plane { axis: Axis::Sagittal, index: 0 }, Plane { axis: Axis::Axial, index: 2 }];
        let got = distances_to_planes_mm(&geometry, &planes);
        assert_eq!(got, [0.0, 1.5, 3.0, 4.0, 0.0, 1.5, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(distances_to_planes_mm(&geometry, &[]).iter().all(|mm| *mm == f64::INFINITY));
    }

    #[test]
    fn the_surface_of_a_block_is_its_shell() {
        let on = surface(&[true; 27], [3, 3, 3]);
        assert_eq!(on.iter().filter(|on| **on).count(), 26);
        assert!(!on[13]);
    }
}
