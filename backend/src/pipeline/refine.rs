//! Image and corrected slices in, a better segmentation everywhere out. The expert's word is final.

use std::ops::ControlFlow;

use half::f16;
use ndarray::{Array3, Array4, ArrayView4, Axis, Zip, concatenate, s};
use shared::geometry::{Geometry, Plane};
use shared::label::Label;
use shared::volume::Volume;

use crate::bundle::GuidanceEncoding;
use crate::bundle::method::Method;
use crate::bundle::plans::Plan;
use crate::inference::{Network, NetworkError, Progress};

use super::adapt::{
    AdaptInput, AdaptationParams, AdaptationReport, Adapted, Elapsed, Guidance, adapt, fails, misled, turned_channels,
};
use super::blend::{Presegmented, Said, blend};
use super::frame::{Frame, network_axes, zyx_view};
use super::guide::Sheet;
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
    /// The entropy of its mean prediction, 0 (sure) to 1, where it is known.
    pub uncertainty: Option<&'a Volume<f32>>,
    /// Labels that are right in `planes`; ignored elsewhere.
    pub corrections: &'a Volume<Label>,
    /// Planes that the expert vouches for.
    pub planes: &'a [Plane],
    /// See [`super::consistency::Consistency::contradicted_foreground`]; 0 where what planes say of their crossings is
    /// not known.
    pub contradicted: f64,
    /// The task's foreground labels, ascending.
    pub foreground: &'a [Label],
    /// The channels that the network was trained with; none for a presegmentation network, which knows no guidance.
    pub encoding: Option<GuidanceEncoding>,
    /// What the network has wrong in a corrected plane is taken off beside it, along its axis, less and less up to this
    /// distance; 0 is not at all.
    pub blend_mm: f64,
}

/// What the network may learn from the case first.
#[derive(Clone, Copy)]
pub struct Adaptation<'a> {
    /// How.
    pub params: &'a AdaptationParams,
    /// What it learned in this case's earlier rounds, from which it goes on.
    pub weights: Option<&'a [u8]>,
    /// Seconds since the beginning.
    pub elapsed_s: &'a Elapsed<'a>,
}

/// How the network adapted to the case.
#[derive(Clone, Debug)]
pub struct AdaptedTo {
    /// How it went.
    pub report: AdaptationReport,
    /// What it has learned from this case so far, for the next round: safetensors; none if it is as it was bundled.
    pub weights: Option<Vec<u8>>,
}

/// All on the scan's grid.
#[derive(Clone, Debug)]
pub struct Refined {
    /// The labels. Voxels of corrected planes equal the correction, exactly.
    pub labels: Volume<Label>,
    /// Entropy of the mean prediction, 0 (sure) to 1; 0 outside the crop and in corrected planes, which the expert has
    /// settled.
    pub uncertainty: Volume<f32>,
    /// What the network learned first, if it was asked to.
    pub adapted: Option<AdaptedTo>,
    /// Image channels whose contrast is the other way round than what the networks learned from, as the corrected
    /// planes tell; they were turned first.
    pub turned: Vec<usize>,
    /// How far the corrected planes are from what the network says of them, by how far it expects them to be; none
    /// without planes or blending.
    pub surprise: Option<f64>,
}

/// Refines with all folds and mirrors. Every (fold, mirror) pair is one sample for the uncertainty; labels come from
/// the mean logits. Asked to adapt, the first fold learns from the case, and all move by what it has learned.
///
/// # Errors
/// [`SegmentError`]; planes outside the scan are a [`shared::geometry::GeometryError`].
pub fn refine(
    folds: &mut [Box<dyn Network>],
    plan: &Plan,
    input: &RefineInput<'_>,
    adaptation: Option<Adaptation<'_>>,
    progress: &mut Progress<'_>,
) -> Result<Refined, SegmentError> {
    let scan = input.channels[0].geometry();
    let mut guided = Guided::new(plan, input)?;
    let turned = guided.turn_contrast(folds, plan, input)?;
    let adaptation = match adaptation {
        Some(adaptation) if !turned.is_empty() => Some(guided.unless_misled(folds, plan, input, adaptation)?),
        adaptation => adaptation,
    };
    let (sampled, adapted) = match adaptation {
        None => (guided.sample(folds, plan, progress)?, None),
        Some(adaptation) => {
            let (sampled, adapted) = guided.adapt_and_sample(folds, plan, input, adaptation, progress)?;
            (sampled, Some(adapted))
        }
    };
    let Sampled { mut logits, uncertainty } = sampled;
    let surprise = guided.blend(&mut logits, plan, input);
    let frame = &guided.frame;
    let mut labels = export::labels(logits.view(), frame, plan, scan)?;
    let mut uncertainty = on_scan(uncertainty.into_iter().next().unwrap_or_default(), frame, plan, scan)?;
    for plane in input.planes {
        let corrected = input.corrections.read_plane(*plane)?;
        uncertainty.write_plane(*plane, &vec![0.0; corrected.len()])?;
        labels.write_plane(*plane, &corrected)?;
    }
    Ok(Refined { labels, uncertainty, adapted, turned, surprise })
}

/// Scan and corrected planes on the network's grid, as the network sees them.
pub(super) struct Guided {
    pub(super) frame: Frame,
    /// Image channels and behind them those of the guidance, `[channels, z, y, x]`.
    pub(super) data: Array4<f32>,
    /// How many of them are the image's.
    images: usize,
    /// The corrected planes in ascending order of `(array axis, index)` within the crop.
    pub(super) planes: Vec<Vec<Sheet>>,
    pub(super) presegmentation: Array3<Label>,
    /// As in [`RefineInput::uncertainty`].
    uncertainty: Option<Array3<f32>>,
}

impl Guided {
    pub(super) fn new(plan: &Plan, input: &RefineInput<'_>) -> Result<Self, SegmentError> {
        let Preprocessed { mut data, frame } = preprocess(input.channels, plan)?;
        let images = data.shape()[0];
        let scan: &Geometry = input.channels[0].geometry();
        for plane in input.planes {
            scan.check_plane(*plane)?;
        }
        let corrections = network_axes(zyx_view(input.corrections), frame.transpose_forward);
        let mut cropped: Vec<(usize, usize)> =
            input.planes.iter().filter_map(|p| frame.cropped_plane(*p, scan)).collect();
        cropped.sort_unstable();
        cropped.dedup();
        let corrections = frame.crop_of(&corrections);
        let planes: Vec<Vec<Sheet>> =
            cropped.into_iter().map(|plane| guide::sheets(corrections, plane, frame.network)).collect();
        let presegmentation = on_network(input.presegmentation, &frame);
        let uncertainty = input.uncertainty.map(|uncertainty| on_network(uncertainty, &frame));
        if let Some(encoding) = input.encoding {
            let drawn = guide::draw(planes.iter().flatten(), frame.network.map(|n| 0..n));
            let guidance = guide::channels(drawn.view(), presegmentation.view(), input.foreground, encoding);
            data = concatenate(Axis(0), &[data.view(), guidance.view()])
                .map_err(|error| NetworkError::Engine(error.to_string()))?;
        }
        Ok(Self { frame, data, images, planes, presegmentation, uncertainty })
    }

    /// Turns the channels whose contrast is the other way round than in training, and answers which. Looked for only
    /// where the presegmentation fails in the corrected planes, so that it costs nothing elsewhere.
    fn turn_contrast(
        &mut self,
        folds: &[Box<dyn Network>],
        plan: &Plan,
        input: &RefineInput<'_>,
    ) -> Result<Vec<usize>, SegmentError> {
        if !fails(self.presegmentation.view(), &self.planes) {
            return Ok(Vec::new());
        }
        let before = self.of_nobody(plan);
        let network = folds.first().ok_or(NetworkError::NoFold)?;
        let turned = turned_channels(&**network, plan, self.shown(input, before.view()))?;
        for channel in &turned {
            self.data.index_axis_mut(Axis(0), *channel).mapv_inplace(|value| -value);
        }
        Ok(turned)
    }

    /// An adaptation to a turned scan without what was learned in earlier rounds, where that is worse than nothing: it
    /// was learned before the planes told that the scan is to be turned.
    fn unless_misled<'a>(
        &self,
        folds: &[Box<dyn Network>],
        plan: &Plan,
        input: &RefineInput<'_>,
        adaptation: Adaptation<'a>,
    ) -> Result<Adaptation<'a>, SegmentError> {
        let Some(weights) = adaptation.weights else { return Ok(adaptation) };
        let before = self.of_nobody(plan);
        let learned = with_weights(folds, weights)?;
        let bundled = folds.first().ok_or(NetworkError::NoFold)?;
        let misled = misled(&*learned, &**bundled, plan, self.shown(input, before.view()))?;
        Ok(Adaptation { weights: (!misled).then_some(weights), ..adaptation })
    }

    /// Logits of nobody, where there is nothing to keep.
    fn of_nobody(&self, plan: &Plan) -> Array4<f16> {
        let [z, y, x] = self.frame.network;
        Array4::from_elem((plan.manifest.heads, z, y, x), f16::ZERO)
    }

    /// What a network may see of the case and its planes; `before`: logits of the network as it is.
    fn shown<'a>(&'a self, input: &RefineInput<'a>, before: ArrayView4<'a, f16>) -> AdaptInput<'a> {
        let guidance = input.encoding.map(|encoding| Guidance {
            encoding,
            foreground: input.foreground,
            presegmentation: self.presegmentation.view(),
        });
        let image = self.data.slice(s![..self.images, .., .., ..]);
        AdaptInput { image, planes: &self.planes, before, guidance }
    }

    /// As [`blend`]; the presegmentation counts unless it fails in the corrected planes.
    fn blend(&self, logits: &mut Array4<f16>, plan: &Plan, input: &RefineInput<'_>) -> Option<f64> {
        let RefineInput { contradicted, blend_mm: reach_mm, .. } = *input;
        if reach_mm <= 0.0 {
            return None;
        }
        let uncertainty = self.uncertainty.as_ref().map(|doubt| doubt.view());
        let presegmentation = Presegmented { labels: self.presegmentation.view(), uncertainty };
        let presegmentation = (!fails(presegmentation.labels, &self.planes)).then_some(presegmentation);
        let spacing_mm = self.frame.network_spacing_mm;
        blend(logits, plan, Said { planes: &self.planes, contradicted, presegmentation, spacing_mm, reach_mm })
    }

    fn sample(
        &self,
        folds: &mut [Box<dyn Network>],
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<Sampled, SegmentError> {
        let sampling = Sampling { methods: &[Method::default()], ..Sampling::default() };
        Ok(sample(folds, plan, self.data.view(), &sampling, progress)?)
    }

    fn adapt_and_sample(
        &self,
        folds: &mut [Box<dyn Network>],
        plan: &Plan,
        input: &RefineInput<'_>,
        adaptation: Adaptation<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(Sampled, AdaptedTo), SegmentError> {
        let Adaptation { params, weights, elapsed_s } = adaptation;
        let before = self.before(folds, plan, weights, &mut part(progress, BEFORE))?;
        let learned_from = self.shown(input, before.of_learner.logits.view());
        let mut network = folds.first().ok_or(NetworkError::NoFold)?.trainable()?;
        if let Some(weights) = weights {
            network.set_weights(weights)?;
        }
        let Adapted { network, report } =
            adapt(network, plan, learned_from, params, elapsed_s, &mut part(progress, LEARNING))?;
        let Some(network) = network else {
            let sampled = if weights.is_some() { before.moved() } else { before.unmoved() };
            return Ok((sampled, AdaptedTo { report, weights: weights.map(<[u8]>::to_vec) }));
        };
        let learned = network.weights()?;
        let sampled = self.sample(&mut [network as Box<dyn Network>], plan, &mut part(progress, AFTER))?;
        let sampled = Before { of_learner: sampled, ..before }.moved();
        Ok((sampled, AdaptedTo { report, weights: Some(learned) }))
    }

    /// What the networks say before any of them learns, with what the first fold learned in earlier rounds.
    fn before(
        &self,
        folds: &mut [Box<dyn Network>],
        plan: &Plan,
        weights: Option<&[u8]>,
        progress: &mut Progress<'_>,
    ) -> Result<Before, SegmentError> {
        let mut earlier = weights.map(|weights| with_weights(folds, weights)).transpose()?;
        let alone = folds.len() < 2;
        let all = if alone && earlier.is_some() {
            None
        } else {
            Some(self.sample(folds, plan, &mut part(progress, [0.0, 0.7]))?)
        };
        let first = match folds.first_mut() {
            Some(first) if !alone => {
                Some(self.sample(std::slice::from_mut(first), plan, &mut part(progress, [0.7, 0.85]))?)
            }
            _ => None,
        };
        let of_earlier = match &mut earlier {
            Some(network) => {
                Some(self.sample(std::slice::from_mut(network), plan, &mut part(progress, [0.85, 1.0]))?)
            }
            None => None,
        };
        let (ensemble, of_bundled) = match (all, first) {
            (Some(all), Some(first)) => (Some(Ensemble { all, first: first.logits.clone() }), Some(first)),
            (all, _) => (None, all),
        };
        Ok(Before { of_learner: of_earlier.or(of_bundled).ok_or(NetworkError::NoFold)?, ensemble })
    }
}

/// A volume of the scan's grid on the network's, by the voxel that holds each centre.
fn on_network<T: Copy>(volume: &Volume<T>, frame: &Frame) -> Array3<T> {
    guide::nearest(frame.crop_of(&network_axes(zyx_view(volume), frame.transpose_forward)), frame.network)
}

/// What networks say of a case of which the first fold learns.
struct Before {
    /// The first fold, with what it has learned.
    of_learner: Sampled,
    /// None where there is one fold only.
    ensemble: Option<Ensemble>,
}

/// As bundled.
struct Ensemble {
    all: Sampled,
    /// Mean logits of the first fold, `[heads, z, y, x]`.
    first: Array4<f16>,
}

impl Before {
    /// What all say where nothing was learned.
    fn unmoved(self) -> Sampled {
        self.ensemble.map_or(self.of_learner, |ensemble| ensemble.all)
    }

    /// The ensemble moved by what its first fold has learned: one fold learns for all of them, and the others' votes
    /// are not lost. Doubt is that of the fold that has learned.
    fn moved(self) -> Sampled {
        let Sampled { mut logits, uncertainty } = self.of_learner;
        if let Some(Ensemble { all, first }) = self.ensemble {
            Zip::from(&mut logits).and(&all.logits).and(&first).par_for_each(|logit, all, first| {
                *logit = f16::from_f32(logit.to_f32() + all.to_f32() - first.to_f32());
            });
        }
        Sampled { logits, uncertainty }
    }
}

/// Shares of an adapted refinement's time: the network as it is, learning, the adapted network.
const BEFORE: [f32; 2] = [0.0, 0.15];
const LEARNING: [f32; 2] = [0.15, 0.9];
const AFTER: [f32; 2] = [0.9, 1.0];

/// Progress of a part of the work.
fn part<'a>(progress: &'a mut Progress<'_>, [from, to]: [f32; 2]) -> impl FnMut(f32) -> ControlFlow<()> + 'a {
    move |share| progress(from + share * (to - from))
}

/// The first fold with what it learned from the case before.
fn with_weights(folds: &[Box<dyn Network>], weights: &[u8]) -> Result<Box<dyn Network>, NetworkError> {
    let mut network = folds.first().ok_or(NetworkError::NoFold)?.trainable()?;
    network.set_weights(weights)?;
    Ok(network)
}

#[cfg(test)]
mod tests {
    use shared::geometry::{Axis as Anatomical, Geometry};

    use crate::bundle::PresegmentationChannels;
    use crate::inference::engine::TrainableNetwork;

    use super::*;

    /// As sure of label 1 as `margin` says, wherever the image is bright; of the background elsewhere.
    struct Bright {
        margin: f32,
    }

    impl Network for Bright {
        fn forward(&self, batch: &[f32], n: usize, size: [usize; 3]) -> Result<Vec<f32>, NetworkError> {
            let (voxels, margin): (usize, f32) = (size.iter().product(), self.margin);
            let answer = |patch: &[f32]| -> Vec<f32> {
                let ahead =
                    |bright: bool| patch[..voxels].iter().map(move |v| if (*v > 0.0) == bright { margin } else { 0.0 });
                ahead(false).chain(ahead(true)).chain((0..voxels).map(|_| -20.0)).collect()
            };
            Ok(batch.chunks_exact(batch.len() / n).flat_map(answer).collect())
        }

        fn set_dropout(&mut self, _seed: Option<u64>) -> Result<(), NetworkError> {
            Ok(())
        }

        fn trainable(&self) -> Result<Box<dyn TrainableNetwork>, NetworkError> {
            Ok(Box::new(Self { margin: self.margin }))
        }
    }

    impl TrainableNetwork for Bright {
        fn weights(&self) -> Result<Vec<u8>, NetworkError> {
            Ok(self.margin.to_le_bytes().to_vec())
        }

        fn set_weights(&mut self, file: &[u8]) -> Result<(), NetworkError> {
            self.margin = f32::from_le_bytes(file.try_into().unwrap());
            Ok(())
        }
    }

    /// 8 × 8 × 8 voxels, bright where x < 4; a margin of nothing to empty around it, so that the crop leaves the first
    /// plane out.
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
        let mut folds: Vec<Box<dyn Network>> =
            margins.iter().map(|margin| Box::new(Bright { margin: *margin }) as _).collect();
        let input = RefineInput {
            channels: &[scan],
            presegmentation: &presegmentation,
            uncertainty: None,
            corrections,
            planes,
            contradicted: 0.0,
            foreground: &[1, 2],
            encoding: Some(GuidanceEncoding { annotated: true, presegmentation: PresegmentationChannels::Labels }),
            blend_mm,
        };
        refine(&mut folds, &Plan::for_tests([1.0; 3]), &input, None, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn doubt_is_that_of_the_samples_and_none_where_the_expert_spoke() {
        let corrections = Volume::filled(scan().geometry().clone(), 2);
        let check = |margins: &[f32], expected: std::ops::Range<f32>| {
            let got = refined(margins, &corrections, &[axial(3)], 0.0);
            for z in 0..8 {
                let doubt = got.uncertainty.read_plane(axial(z)).unwrap();
                let settled = z == 0 || z == 3;
                assert!(
                    doubt.iter().all(|u| if settled { *u == 0.0 } else { expected.contains(u) }),
                    "{margins:?}, plane {z}: {doubt:?}"
                );
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
    fn what_was_learned_the_other_way_round_is_left_behind() {
        let scan = scan();
        let mut corrections = Volume::filled(scan.geometry().clone(), 0);
        let plane: Vec<Label> = (0..64).map(|at| u8::from(at % 8 < 4)).collect();
        corrections.write_plane(axial(4), &plane).unwrap();
        let input = RefineInput {
            channels: &[scan],
            presegmentation: &corrections,
            uncertainty: None,
            corrections: &corrections,
            planes: &[axial(4)],
            contradicted: 0.0,
            foreground: &[1, 2],
            encoding: None,
            blend_mm: 0.0,
        };
        let plan = Plan::for_tests([1.0; 3]);
        let guided = Guided::new(&plan, &input).unwrap();
        let folds: Vec<Box<dyn Network>> = vec![Box::new(Bright { margin: 3.0 })];
        let check = |learned: f32, kept: bool| {
            let weights = learned.to_le_bytes();
            let adaptation =
                Adaptation { params: &AdaptationParams::default(), weights: Some(&weights), elapsed_s: &|| 0.0 };
            let got = guided.unless_misled(&folds, &plan, &input, adaptation).unwrap();
            assert_eq!(got.weights.is_some(), kept, "a margin of {learned}");
        };
        // Surer of the right labels, as sure, sure of the wrong ones, and not a number any more.
        check(9.0, true);
        check(3.0, true);
        check(-3.0, false);
        check(f32::NAN, false);
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
        // The less sure the network is, the farther it follows; who contradicts one that is sure is not passed on at
        // all.
        check(3.0, 1.0, [0, 16, 16, 16, 16, 16, 0]);
        check(3.0, 2.2, [0, 0, 16, 16, 16, 0, 0]);
        check(3.0, 9.0, [0, 0, 0, 16, 0, 0, 0]);
    }
}
