//! Image and corrected slices in, a better segmentation everywhere out. The expert's word is final.

use ndarray::{Axis, concatenate};
use shared::geometry::Plane;
use shared::label::Label;
use shared::volume::Volume;

use crate::bundle::GuidanceEncoding;
use crate::bundle::method::Method;
use crate::bundle::plans::Plan;
use crate::inference::{Network, NetworkError, Progress};

use super::blend::{Answer, blend};
use super::frame::{network_axes, zyx_view};
use super::preprocess::{Preprocessed, preprocess};
use super::presegment::{SegmentError, on_scan};
use super::sampling::{Sampled, Sampling, sample};
use super::{export, guide};

/// What refinement works on; all volumes on the scan's grid.
#[derive(Clone, Copy, Debug)]
pub struct RefineInput<'a> {
    /// The scan's channels.
    pub channels: &'a [Volume<f32>],
    /// The network's own segmentation.
    pub presegmentation: &'a Volume<Label>,
    /// Labels that are right in `planes`; ignored elsewhere.
    pub corrections: &'a Volume<Label>,
    /// Planes that the expert vouches for.
    pub planes: &'a [Plane],
    /// The task's foreground labels, ascending.
    pub foreground: &'a [Label],
    /// The channels that the network was trained with.
    pub encoding: GuidanceEncoding,
    /// Within this distance of a corrected plane, along its axis, labels pass over to the correction where the network was wrong in that plane; 0 is not
    /// at all.
    pub blend_mm: f64,
}

/// Both on the scan's grid.
#[derive(Clone, Debug)]
pub struct Refined {
    /// The labels. Voxels of corrected planes equal the correction, exactly.
    pub labels: Volume<Label>,
    /// Entropy of the mean prediction, 0 (sure) to 1; 0 outside the crop and in corrected planes, which the expert has settled.
    pub uncertainty: Volume<f32>,
}

/// Refines with all folds and mirrors. Every (fold, mirror) pair is one sample for the uncertainty; labels come from the mean logits.
///
/// # Errors
/// [`SegmentError`]; planes outside the scan are a [`shared::geometry::GeometryError`].
pub fn refine(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    input: &RefineInput<'_>,
    progress: &mut Progress<'_>,
) -> Result<Refined, SegmentError> {
    let Preprocessed { data, frame } = preprocess(input.channels, plan)?;
    let scan = input.channels[0].geometry();
    for plane in input.planes {
        scan.check_plane(*plane)?;
    }
    let along = |volume: &Volume<Label>| network_axes(zyx_view(volume), frame.transpose_forward);
    let corrections = along(input.corrections);
    let planes: Vec<(usize, usize)> = input.planes.iter().filter_map(|p| frame.cropped_plane(*p, scan)).collect();
    let projected = guide::project(frame.crop_of(&corrections), &planes, frame.network);
    let presegmentation = guide::nearest(frame.crop_of(&along(input.presegmentation)), frame.network);
    let guidance = guide::channels(projected.view(), presegmentation.view(), input.foreground, input.encoding);
    let data = concatenate(Axis(0), &[data.view(), guidance.view()]).map_err(|error| NetworkError::Engine(error.to_string()))?;
    let sampling = Sampling { methods: &[Method::default()], ..Sampling::default() };
    let Sampled { logits, uncertainty } = sample(folds, plan, data.view(), &sampling, progress)?;
    let mut labels = export::labels(logits.view(), &frame, plan, scan)?;
    let mut uncertainty = on_scan(uncertainty.into_iter().next().unwrap_or_default(), &frame, plan, scan)?;
    if input.blend_mm > 0.0 {
        let answer = Answer { logits: logits.view(), frame: &frame, plan };
        blend(&mut labels, answer, input.corrections, input.planes, input.blend_mm)?;
    }
    for plane in input.planes {
        let corrected = input.corrections.read_plane(*plane)?;
        uncertainty.write_plane(*plane, &vec![0.0; corrected.len()])?;
        labels.write_plane(*plane, &corrected)?;
    }
    Ok(Refined { labels, uncertainty })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use shared::geometry::{Axis as Anatomical, Geometry};

    use crate::bundle::PresegmentationChannels;

    use super::*;

    /// As sure of label 1 as `margin` says, wherever the image is bright; of the background elsewhere.
    struct Bright {
        margin: f32,
    }

    impl Network for Bright {
        fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            let (voxels, margin): (usize, f32) = (size.iter().product(), self.margin);
            let answer = |patch: &[f32]| -> Vec<f32> {
                let ahead = |bright: bool| patch[..voxels].iter().map(move |v| if (*v > 0.0) == bright { margin } else { 0.0 });
                ahead(false).chain(ahead(true)).chain((0..voxels).map(|_| -20.0)).collect()
            };
            Ok(batch.chunks_exact(batch.len() / n).flat_map(answer).collect())
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }
    }

    /// 8 × 8 × 8 voxels, bright where x < 4; a margin of nothing to empty around it, so that the crop leaves the first plane out.
    fn scan() -> Volume<f32> {
        let geometry = Geometry::axis_aligned([8; 3], [1.0; 3]).unwrap();
        let voxels = (0..512)
            .map(|at| {
                if at < 64 {
                    0.0
                } else if at % 8 < 4 {
                    3.0
                } else {
                    1.0
                }
            })
            .collect();
        Volume::new(geometry, voxels).unwrap()
    }

    fn axial(index: usize) -> Plane {
        Plane { axis: Anatomical::Axial, index }
    }

    fn refined(margins: &[f32], corrections: &Volume<Label>, planes: &[Plane], blend_mm: f64) -> Refined {
        let scan = scan();
        let presegmentation = Volume::filled(scan.geometry().clone(), 0);
        let mut folds: Vec<Box<dyn Network>> = margins.iter().map(|margin| Box::new(Bright { margin: *margin }) as _).collect();
        let input = RefineInput {
            channels: &[scan],
            presegmentation: &presegmentation,
            corrections,
            planes,
            foreground: &[1, 2],
            encoding: GuidanceEncoding { annotated: true, presegmentation: PresegmentationChannels::Labels },
            blend_mm,
        };
        refine(&mut folds, &Plan::for_tests([1.0; 3]), &input, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn doubt_is_that_of_the_samples_and_none_where_the_expert_spoke() {
        let corrections = Volume::filled(scan().geometry().clone(), 2);
        let check = |margins: &[f32], expected: std::ops::Range<f32>| {
            let got = refined(margins, &corrections, &[axial(3)], 0.0);
            for z in 0..8 {
                let doubt = got.uncertainty.read_plane(axial(z)).unwrap();
                let settled = z == 0 || z == 3;
                assert!(doubt.iter().all(|u| if settled { *u == 0.0 } else { expected.contains(u) }), "{margins:?}, plane {z}: {doubt:?}");
            }
            assert_eq!(got.labels.read_plane(axial(3)).unwrap(), [2; 64]);
            assert_eq!(got.labels.get([1, 1, 5]), Some(1));
            assert_eq!(got.labels.get([6, 1, 5]), Some(0));
        };
        // ln 2 / ln 3 is the most that two of three classes can be in doubt.
        check(&[0.1], 0.62..0.632);
        check(&[9.0], 0.0..0.01);
        // Folds of which one is sure: a mean probability of (0.5 + 1) / 2.
        check(&[0.1, 15.0], 0.45..0.55);
    }

    #[test]
    fn a_correction_fades_into_its_neighbours_and_nowhere_else() {
        // Where it is dark, the expert sees label 1 in 4 × 4 voxels of one plane.
        let block = |voxel: &[usize; 2]| (4..8).contains(&voxel[0]) && (2..6).contains(&voxel[1]);
        let mut corrections = Volume::filled(scan().geometry().clone(), 0);
        let plane: Vec<Label> = (0..64).map(|at| u8::from(at % 8 < 4 || block(&[at % 8, at / 8]))).collect();
        corrections.write_plane(axial(4), &plane).unwrap();
        // Voxels of the block that hold label 1 in the planes 1 to 7.
        let check = |blend_mm: f64, margin: f32, expected: [usize; 7]| {
            let plain = refined(&[margin], &corrections, &[axial(4)], 0.0);
            let got = refined(&[margin], &corrections, &[axial(4)], blend_mm);
            assert_eq!(got.labels.read_plane(axial(4)).unwrap(), plane, "the expert's word is final");
            assert_eq!(got.uncertainty, plain.uncertainty);
            let mut ones = [0; 7];
            for (at, count) in ones.iter_mut().enumerate() {
                let labels = got.labels.read_plane(axial(at + 1)).unwrap();
                let before = plain.labels.read_plane(axial(at + 1)).unwrap();
                for (offset, label) in labels.iter().enumerate() {
                    if block(&[offset % 8, offset / 8]) {
                        *count += usize::from(*label == 1);
                    } else {
                        assert_eq!(*label, before[offset], "plane {} outside the block", at + 1);
                    }
                }
            }
            assert_eq!(ones, expected, "{blend_mm} mm, {margin}");
        };
        // Off, or too short to reach a neighbour: a step of all 16 voxels.
        check(0.0, 1.0, [0, 0, 0, 16, 0, 0, 0]);
        check(1.0, 1.0, [0, 0, 0, 16, 0, 0, 0]);
        // The less sure the network is, the farther it follows: (1 − w) · margin < w · 4.
        check(3.0, 1.0, [0, 16, 16, 16, 16, 16, 0]);
        check(3.0, 3.0, [0, 0, 16, 16, 16, 0, 0]);
        check(3.0, 9.0, [0, 0, 0, 16, 0, 0, 0]);
    }
}
