//! Whether an expert's planes agree where they cross.

use std::collections::HashMap;

use shared::geometry::{Geometry, GeometryError, Plane};
use shared::label::{BACKGROUND, Label};
use shared::volume::PlaneLayout;

/// What several planes say about the voxels that they share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consistency {
    /// Voxels that lie in more than one plane.
    pub crossings: usize,
    /// Those of which two planes say different things.
    pub contradictions: usize,
    /// Those that one of the planes calls foreground; all contradictions are among them.
    pub foreground: usize,
}

impl Consistency {
    /// Share of the crossings that are contradictions; 0 where no planes cross.
    pub fn contradicted_share(&self) -> f64 {
        share(self.contradictions, self.crossings)
    }

    /// Share of the foreground's crossings that are contradictions, as far as there are enough of them to tell: half of
    /// it where there are [`FEW`], nearly all where there are many. It does not depend on how much lies around what is
    /// segmented; 0 where none cross.
    pub fn contradicted_foreground(&self) -> f64 {
        let crossings = (self.foreground * self.foreground) as f64;
        share(self.contradictions, self.foreground) * crossings / (crossings + (FEW * FEW) as f64)
    }
}

/// Crossings that prove little: a contour's width at the rim of what is segmented is a contradiction in any hand.
const FEW: usize = 5;

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Compares planes of labels (u fastest, see [`PlaneLayout`]) where they cross.
///
/// # Errors
/// [`GeometryError::NoSuchPlane`].
pub fn consistency(geometry: &Geometry, planes: &[(Plane, Vec<Label>)]) -> Result<Consistency, GeometryError> {
    // How many planes lie at each index of each stored axis: most voxels of a plane lie in no other one.
    let mut lie_at = geometry.dims.map(|n| vec![0_usize; n]);
    for (plane, _) in planes {
        geometry.check_plane(*plane)?;
        lie_at[geometry.stored_axis(plane.axis)][plane.index] += 1;
    }
    let is_crossing = |offset: usize| {
        let voxel = Geometry::voxel_at(offset, geometry.dims);
        (0..3).map(|axis| lie_at[axis][voxel[axis]]).sum::<usize>() > 1
    };
    // By offset: what was said first, and whether it has been contradicted.
    let mut said: HashMap<usize, (Label, bool)> = HashMap::new();
    for (plane, labels) in planes {
        let offsets = PlaneLayout::new(geometry, *plane)?.offsets();
        for (offset, label) in offsets.zip(labels).filter(|(offset, _)| is_crossing(*offset)) {
            let (first, contradicted) = said.entry(offset).or_insert((*label, false));
            *contradicted |= first != label;
        }
    }
    Ok(said.values().fold(Consistency::default(), |sum, (first, contradicted)| Consistency {
        crossings: sum.crossings + 1,
        contradictions: sum.contradictions + usize::from(*contradicted),
        foreground: sum.foreground + usize::from(*contradicted || *first != BACKGROUND),
    }))
}

#[cfg(test)]
mod tests {
    use shared::geometry::Axis;

    use super::*;

    #[test]
    fn planes_are_compared_where_they_cross() {
        let geometry = Geometry::axis_aligned([3, 4, 2], [1.0; 3]).unwrap();
        let check = |planes: &[(Axis, usize, Label)], crossings: usize, contradictions: usize, foreground: usize| {
            let planes: Vec<(Plane, Vec<Label>)> = planes
                .iter()
                .map(|(axis, index, label)| {
                    let plane = Plane { axis: *axis, index: *index };
                    (plane, vec![*label; PlaneLayout::new(&geometry, plane).unwrap().offsets().count()])
                })
                .collect();
            let got = consistency(&geometry, &planes).unwrap();
            assert_eq!(got, Consistency { crossings, contradictions, foreground }, "{planes:?}");
        };
        check(&[], 0, 0, 0);
        check(&[(Axis::Axial, 0, 1), (Axis::Axial, 1, 2)], 0, 0, 0);
        check(&[(Axis::Axial, 0, 0), (Axis::Sagittal, 2, 0)], 4, 0, 0);
        check(&[(Axis::Axial, 0, 1), (Axis::Sagittal, 2, 1)], 4, 0, 4);
        check(&[(Axis::Axial, 0, 1), (Axis::Sagittal, 2, 0)], 4, 4, 4);
        // The same plane twice.
        check(&[(Axis::Coronal, 1, 1), (Axis::Coronal, 1, 2)], 6, 6, 6);
        // Three planes meet in one voxel, which counts once: 4 + 3 + 2 less the two times it is counted too often.
        check(&[(Axis::Axial, 0, 1), (Axis::Sagittal, 2, 1), (Axis::Coronal, 3, 0)], 7, 4, 7);
    }

    #[test]
    fn few_crossings_prove_little() {
        let check = |contradictions: usize, foreground: usize, expected: f64| {
            let agreement = Consistency { crossings: 100, contradictions, foreground };
            assert!((agreement.contradicted_foreground() - expected).abs() < 1e-12, "{agreement:?}");
        };
        check(0, 0, 0.0);
        check(2, 2, 4.0 / 29.0);
        check(5, 5, 0.5);
        check(10, 20, 0.5 * 400.0 / 425.0);
        check(0, 20, 0.0);
    }
}
