//! Corrections as network input. Every corrected plane reaches the network's grid, at any spacing; background that the
//! expert confirmed is told apart from what nobody looked at.
//!
//! The same rules as `i3deep_models.guidance`, tested against its fixtures.

use std::ops::Range;

use ndarray::{Array2, Array3, Array4, ArrayView3, Axis, Zip, s};
use shared::label::Label;

use crate::bundle::{GuidanceEncoding, PresegmentationChannels};

/// A voxel that the expert said nothing about.
pub const UNANNOTATED: i16 = -1;

/// For each target index the source index whose voxel holds its centre.
pub fn source_index(target_size: usize, source_size: usize) -> Vec<usize> {
    (0..target_size)
        .map(|t| (((t as f64 + 0.5) * source_size as f64 / target_size as f64).floor() as usize).min(source_size - 1))
        .collect()
}

/// Target planes that a source plane reaches: those whose centres it holds, else the one that holds its own centre.
fn target_planes(index: usize, source_size: usize, map: &[usize]) -> Vec<usize> {
    let hits: Vec<usize> = (0..map.len()).filter(|t| map[*t] == index).collect();
    if hits.is_empty() {
        let own = ((index as f64 + 0.5) * map.len() as f64 / source_size as f64).floor() as usize;
        return vec![own.min(map.len() - 1)];
    }
    hits
}

/// A corrected plane where it lies on another grid: the labels of one of that grid's planes.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// Array axis that the plane lies across.
    pub axis: usize,
    /// Its index on the other grid.
    pub at: usize,
    /// How far the corrected plane's centre is from it, in voxels of the other grid.
    pub(super) distance: f64,
    /// Along the two other axes, in their order.
    pub labels: Array2<Label>,
}

/// Sheets of one corrected plane `(array axis, index)` of `labels` on the grid of size `target`.
pub fn sheets(labels: ArrayView3<'_, Label>, (axis, index): (usize, usize), target: [usize; 3]) -> Vec<Sheet> {
    let source: [usize; 3] = std::array::from_fn(|axis| labels.shape()[axis]);
    let maps: [Vec<usize>; 3] = std::array::from_fn(|axis| source_index(target[axis], source[axis]));
    let [u, v] = [[1, 2], [0, 2], [0, 1]][axis];
    let plane = labels.index_axis(Axis(axis), index);
    let on_target = Array2::from_shape_fn((target[u], target[v]), |(i, j)| plane[[maps[u][i], maps[v][j]]]);
    let centre = (index as f64 + 0.5) * target[axis] as f64 / source[axis] as f64;
    let sheet = |at: usize| Sheet { axis, at, distance: (centre - (at as f64 + 0.5)).abs(), labels: on_target.clone() };
    target_planes(index, source[axis], &maps[axis]).into_iter().map(sheet).collect()
}

/// Draws sheets into a box of their grid; [`UNANNOTATED`] elsewhere. Where two claim a voxel the nearer wins, of
/// equally near ones the first.
pub fn draw<'a>(sheets: impl IntoIterator<Item = &'a Sheet>, within: [Range<usize>; 3]) -> Array3<i16> {
    let size = within.each_ref().map(ExactSizeIterator::len);
    let mut result = Array3::from_elem(size, UNANNOTATED);
    let mut nearest = Array3::from_elem(size, f64::INFINITY);
    for sheet in sheets.into_iter().filter(|sheet| within[sheet.axis].contains(&sheet.at)) {
        let [u, v] = [[1, 2], [0, 2], [0, 1]][sheet.axis].map(|axis: usize| within[axis].clone());
        let at = sheet.at - within[sheet.axis].start;
        let out = result.index_axis_mut(Axis(sheet.axis), at);
        let near = nearest.index_axis_mut(Axis(sheet.axis), at);
        Zip::from(out).and(near).and(sheet.labels.slice(s![u, v])).for_each(|value, near, label| {
            if sheet.distance < *near {
                (*near, *value) = (sheet.distance, i16::from(*label));
            }
        });
    }
    result
}

/// Carries corrected planes `(array axis, index)` of `labels` to another grid; [`UNANNOTATED`] elsewhere.
///
/// Where two planes claim a voxel the nearer wins (plane centres, in target voxels), then the lower axis, then the
/// lower index.
pub fn project(labels: ArrayView3<'_, Label>, planes: &[(usize, usize)], target: [usize; 3]) -> Array3<i16> {
    let mut planes = planes.to_vec();
    planes.sort_unstable();
    planes.dedup();
    let all: Vec<Sheet> = planes.into_iter().flat_map(|plane| sheets(labels, plane, target)).collect();
    draw(&all, target.map(|n| 0..n))
}

/// Guidance channels `[guidance, z, y, x]` on the network's grid, in the bundle's order: corrected foreground labels,
/// the annotated mask, the presegmentation's foreground labels. Volumes are along the network's axes and cropped.
pub fn channels(
    corrections: ArrayView3<'_, i16>,
    presegmentation: ArrayView3<'_, Label>,
    foreground: &[Label],
    encoding: GuidanceEncoding,
) -> Array4<f32> {
    let (z, y, x) = corrections.dim();
    let mut result = Array4::zeros((encoding.channels(foreground.len()), z, y, x));
    let mut parts = result.axis_iter_mut(Axis(0));
    let bit = |set: bool| if set { 1.0 } else { 0.0 };
    for label in foreground {
        if let Some(mut channel) = parts.next() {
            channel.assign(&corrections.mapv(|v| bit(v == i16::from(*label))));
        }
    }
    if encoding.annotated
        && let Some(mut channel) = parts.next()
    {
        channel.assign(&corrections.mapv(|v| bit(v != UNANNOTATED)));
    }
    if encoding.presegmentation == PresegmentationChannels::Labels {
        for label in foreground {
            if let Some(mut channel) = parts.next() {
                channel.assign(&presegmentation.mapv(|v| bit(v == *label)));
            }
        }
    }
    result
}

/// Labels, or other values, on another grid by the voxel that holds each centre.
pub fn nearest<T: Copy>(values: ArrayView3<'_, T>, target: [usize; 3]) -> Array3<T> {
    let maps: [Vec<usize>; 3] = std::array::from_fn(|axis| source_index(target[axis], values.shape()[axis]));
    Array3::from_shape_fn(target, |(z, y, x)| values[[maps[0][z], maps[1][y], maps[2][x]]])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// What `models/tests/test_guidance_fixtures.py` writes and checks on its side.
    #[test]
    fn python_builds_the_same_guidance() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/guidance");
        let cases: Vec<serde_json::Value> =
            serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        for case in &cases {
            let ints = |name: &str| -> Vec<i64> { serde_json::from_value(case[name].clone()).unwrap() };
            let shape = |name: &str| -> [usize; 3] { serde_json::from_value(case[name].clone()).unwrap() };
            let labels =
                Array3::from_shape_vec(shape("source_shape"), ints("labels").iter().map(|v| *v as Label).collect())
                    .unwrap();
            let planes: Vec<(usize, usize)> = serde_json::from_value(case["planes"].clone()).unwrap();
            let got = project(labels.view(), &planes, shape("target_shape"));
            assert_eq!(got.iter().map(|v| i64::from(*v)).collect::<Vec<_>>(), ints("projected"), "{}", case["name"]);
            let presegmentation = got.mapv(|v| v.rem_euclid(2) as Label);
            let encoding: GuidanceEncoding = serde_json::from_value(case["encoding"].clone()).unwrap();
            let channels = channels(got.view(), presegmentation.view(), &[1, 2], encoding);
            let sums: Vec<i64> = channels.axis_iter(Axis(0)).map(|c| c.sum() as i64).collect();
            assert_eq!(sums, ints("channel_sums"), "{}", case["name"]);
        }
        assert!(cases.len() >= 6);
    }

    #[test]
    fn a_plane_of_background_says_something_only_where_annotated_planes_are_marked() {
        fn differs(annotated: bool) -> bool {
            let encoding = GuidanceEncoding { annotated, presegmentation: PresegmentationChannels::None };
            let background = Array3::from_elem([4, 4, 4], 0_u8);
            let channels_of = |planes: &[(usize, usize)]| {
                let projected = project(background.view(), planes, [4, 4, 4]);
                channels(projected.view(), background.view(), &[1], encoding)
            };
            channels_of(&[(0, 2)]) != channels_of(&[])
        }
        assert!(differs(true));
        // The published encoding: a false component cannot be contradicted.
        assert!(!differs(false));
    }

    proptest::proptest! {
        /// A box of the drawing is the drawing's box.
        #[test]
        fn sheets_are_drawn_alike_in_a_box_and_whole(
            source in proptest::array::uniform3(1_usize..9),
            target in proptest::array::uniform3(1_usize..9),
            low in proptest::array::uniform3(0.0_f64..1.0),
        ) {
            let labels = Array3::from_shape_fn(source, |(z, y, x)| ((z * 5 + y * 3 + x) % 4) as Label);
            let planes: Vec<(usize, usize)> = (0..3).map(|axis| (axis, source[axis] / 2)).collect();
            let whole = project(labels.view(), &planes, target);
            let start = |axis: usize| (low[axis] * target[axis] as f64) as usize;
            let within: [Range<usize>; 3] = std::array::from_fn(|axis| start(axis)..target[axis]);
            let all: Vec<Sheet> = planes.iter().flat_map(|plane| sheets(labels.view(), *plane, target)).collect();
            let [z, y, x] = within.clone();
            proptest::prop_assert_eq!(draw(&all, within), whole.slice(s![z, y, x]).to_owned());
        }

        /// No plane vanishes, and labels stay within half a source voxel of where they were (within one target voxel
        /// where that is coarser).
        #[test]
        fn no_plane_vanishes(
            source in proptest::array::uniform3(1_usize..14),
            target in proptest::array::uniform3(1_usize..14),
            axis in 0_usize..3,
            pick in 0.0_f64..1.0,
        ) {
            let index = ((pick * source[axis] as f64) as usize).min(source[axis] - 1);
            let labels = Array3::from_elem(source, 1_u8);
            let projected = project(labels.view(), &[(axis, index)], target);
            let is_full = |t: &usize| projected.index_axis(Axis(axis), *t).iter().all(|v| *v == 1);
            let reached: Vec<usize> = (0..target[axis]).filter(is_full).collect();
            proptest::prop_assert!(!reached.is_empty());
            for t in reached {
                let there = (t as f64 + 0.5) * source[axis] as f64 / target[axis] as f64;
                let half = 0.5_f64.max(0.5 * source[axis] as f64 / target[axis] as f64);
                proptest::prop_assert!((there - (index as f64 + 0.5)).abs() <= half + 1e-9);
            }
            let annotated = projected.iter().filter(|v| **v != UNANNOTATED).count();
            proptest::prop_assert_eq!(annotated % (target.iter().product::<usize>() / target[axis]), 0);
        }
    }
}
