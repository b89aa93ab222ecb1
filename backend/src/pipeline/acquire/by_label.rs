//! Uncertainty by what it is segmented as.

use std::collections::BTreeMap;

use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;

use super::profiles::LabelProfile;

/// Sums of the uncertainty over the planes of each axis, by presegmented label, in the labels' order; background is
/// left out. Both volumes lie on one grid.
pub(super) fn by_label(uncertainty: &Volume<f32>, presegmentation: &Volume<Label>) -> Vec<LabelProfile> {
    let [nx, ny, nz] = uncertainty.geometry().dims;
    let mut profiles: BTreeMap<Label, [Vec<f64>; 3]> = BTreeMap::new();
    let mut voxels = uncertainty.voxels().iter().zip(presegmentation.voxels());
    for z in 0..nz {
        for y in 0..ny {
            for (x, (u, label)) in voxels.by_ref().take(nx).enumerate() {
                if *label != BACKGROUND && *u > 0.0 && u.is_finite() {
                    let sums = profiles.entry(*label).or_insert_with(|| [vec![0.0; nx], vec![0.0; ny], vec![0.0; nz]]);
                    for (axis, at) in [x, y, z].into_iter().enumerate() {
                        sums[axis][at] += f64::from(*u);
                    }
                }
            }
        }
    }
    profiles.into_iter().map(|(label, uncertainty)| LabelProfile { label, uncertainty }).collect()
}

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;

    use super::*;

    #[test]
    fn uncertainty_counts_for_the_label_that_it_lies_in() {
        let geometry = Geometry::axis_aligned([3, 2, 1], [1.0; 3]).unwrap();
        let uncertainty = Volume::new(geometry.clone(), vec![0.5, 0.25, 1.0, f32::NAN, 0.5, -1.0]).unwrap();
        let labels = Volume::new(geometry, vec![2, 1, 0, 1, 1, 2]).unwrap();
        let expected = [
            LabelProfile { label: 1, uncertainty: [vec![0.0, 0.75, 0.0], vec![0.25, 0.5], vec![0.75]] },
            LabelProfile { label: 2, uncertainty: [vec![0.5, 0.0, 0.0], vec![0.5, 0.0], vec![0.5]] },
        ];
        assert_eq!(by_label(&uncertainty, &labels), expected);
    }
}
