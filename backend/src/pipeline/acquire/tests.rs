//! What acquisition promises: properties on random cases, pictures of typical ones, and the authors' numbers.

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use serde_json::Value;
use shared::acquisition::{Strategy, plane_budget};
use shared::geometry::{Affine, Axis, Dims, Geometry};
use shared::label::BACKGROUND;

use super::*;
use crate::reference;

fn params(strategy: Strategy, budget: f64) -> AcquisitionParams {
    AcquisitionParams { strategy, budget, ..AcquisitionParams::default() }
}

fn planes(list: &SliceList) -> Vec<Plane> {
    list.slices.iter().map(|slice| slice.plane()).collect()
}

/// Balls of the given centres, radii and labels, each with a shell of uncertainty.
fn balls(dims: Dims, spacing_mm: [f64; 3], balls: &[([f64; 3], f64)]) -> (Volume<f32>, Volume<Label>) {
    let geometry = Geometry::axis_aligned(dims, spacing_mm).unwrap();
    let mut uncertainty = Vec::new();
    let mut labels = Vec::new();
    for z in 0..dims[2] {
        for y in 0..dims[1] {
            for x in 0..dims[0] {
                let at = geometry.world_from_voxel([x as f64, y as f64, z as f64]);
                let depth = |(centre, radius): &([f64; 3], f64)| {
                    radius - (0..3).map(|i| (at[i] - centre[i]).powi(2)).sum::<f64>().sqrt()
                };
                let deepest = balls.iter().map(depth).fold(f64::NEG_INFINITY, f64::max);
                uncertainty.push((-deepest * deepest / 2.0).exp() as f32);
                labels.push(u8::from(deepest > 0.0));
            }
        }
    }
    (Volume::new(geometry.clone(), uncertainty).unwrap(), Volume::new(geometry, labels).unwrap())
}

#[test]
fn a_small_distant_lesion_gets_a_plane() {
    let (uncertainty, labels) = balls([40, 40, 40], [1.0; 3], &[([14.0, 14.0, 14.0], 10.0), ([33.0, 33.0, 33.0], 3.0)]);
    let list = acquire(&uncertainty, &labels, &params(Strategy::Greedy, 0.2), &[]).unwrap();
    assert_eq!(list.slices.len(), 4);
    assert!(
        list.slices.iter().any(|slice| slice.component == Some(2) && (31..=35).contains(&slice.index)),
        "{:?}",
        list.slices
    );
    let alone = acquire(&uncertainty, &labels, &params(Strategy::Published, 0.2), &[]).unwrap();
    assert!(alone.slices.iter().all(|slice| slice.component == Some(1)), "the published rule stays with the large one");
}

#[test]
fn thick_slices_are_preferred_in_plane() {
    let (uncertainty, labels) = balls([48, 48, 12], [0.75, 0.75, 4.0], &[([18.0, 18.0, 22.0], 12.0)]);
    let list = acquire(&uncertainty, &labels, &params(Strategy::Greedy, 0.5), &[]).unwrap();
    assert!(list.slices.iter().all(|slice| slice.axis == Axis::Axial), "{:?}", planes(&list));
}

#[test]
fn axes_can_be_switched_off() {
    let (uncertainty, labels) = balls([20; 3], [1.0; 3], &[([10.0; 3], 6.0)]);
    for strategy in Strategy::ALL {
        let only_coronal = AcquisitionParams { axis_weights: [0.0, 1.0, 0.0], ..params(strategy, 0.3) };
        let list = acquire(&uncertainty, &labels, &only_coronal, &[]).unwrap();
        assert!(!list.slices.is_empty() && list.slices.iter().all(|slice| slice.axis == Axis::Coronal), "{strategy}");
    }
}

#[test]
fn degenerate_cases_fall_back_to_even_planes() {
    let geometry = Geometry::axis_aligned([9, 7, 1], [1.0; 3]).unwrap();
    let nothing = Volume::filled(geometry.clone(), 0.0);
    let broken = Volume::filled(geometry.clone(), f32::NAN);
    let empty = Volume::filled(geometry, BACKGROUND);
    for uncertainty in [&nothing, &broken] {
        let list = acquire(uncertainty, &empty, &params(Strategy::Greedy, 0.2), &[]).unwrap();
        let plane = |axis, index| Plane { axis, index };
        assert_eq!(planes(&list), [plane(Axis::Sagittal, 2), plane(Axis::Coronal, 3), plane(Axis::Sagittal, 6)]);
    }
}

#[test]
fn settled_planes_are_not_offered_again_and_count_as_known() {
    let (uncertainty, labels) = balls([24; 3], [1.0; 3], &[([12.0; 3], 7.0)]);
    // A reach of two planes, so that what is settled shows in what is left of its neighbours.
    let params = AcquisitionParams { reach_mm: Some(2.0), ..params(Strategy::Greedy, 0.2) };
    let first = acquire(&uncertainty, &labels, &params, &[]).unwrap();
    let second = acquire(&uncertainty, &labels, &params, &planes(&first)).unwrap();
    assert!(planes(&second).iter().all(|plane| !planes(&first).contains(plane)));
    assert!(second.slices[0].settles < first.slices[0].settles);
}

#[test]
fn a_smaller_budget_is_the_beginning_of_a_larger_one() {
    let (uncertainty, labels) = balls([30; 3], [1.0; 3], &[([12.0; 3], 8.0), ([24.0, 22.0, 20.0], 4.0)]);
    for strategy in Strategy::ALL.into_iter().filter(|strategy| strategy.ranks_alike_for_all_budgets()) {
        let large = acquire(&uncertainty, &labels, &params(strategy, 0.4), &[]).unwrap();
        for budget in [0.1, 0.2, 0.3, 0.5] {
            let own = acquire(&uncertainty, &labels, &params(strategy, budget), &[]).unwrap();
            assert_eq!(large.within(budget).cloned().collect::<Vec<_>>(), own.slices, "{strategy}");
        }
    }
}

#[test]
fn an_expert_who_stops_before_the_third_plane_gets_the_best_ones() {
    let (uncertainty, labels) = balls([30; 3], [1.0; 3], &[([12.0; 3], 8.0), ([24.0, 22.0, 20.0], 4.0)]);
    for strategy in Strategy::ALL {
        let offered = |fewest: usize| {
            planes(&acquire_at_least(fewest, &uncertainty, &labels, &params(strategy, 0.0), &[]).unwrap())
        };
        let [one, two, three] = [1, 2, 3].map(offered);
        assert_eq!([one.len(), two.len(), three.len()], [1, 2, 3], "{strategy}");
        if strategy.ranks_alike_for_all_budgets() {
            assert_eq!((&three[..1], &three[..2]), (&one[..], &two[..]), "{strategy}");
        }
    }
}

#[test]
fn a_plane_that_costs_less_is_preferred_by_the_second() {
    // Doubt in the middle of a large ball and of a small one, which takes less drawing.
    let dims = [60, 30, 30];
    let (_, labels) = balls(dims, [1.0; 3], &[([16.0, 15.0, 15.0], 12.0), ([50.0, 15.0, 15.0], 3.0)]);
    let mut uncertainty = Volume::filled(labels.geometry().clone(), 0.0);
    for x in [16, 50] {
        uncertainty.voxels_mut()[Geometry::offset([x, 15, 15], dims)] = 1.0;
    }
    // Twice as much in the large one, so that planes alone would decide for it.
    uncertainty.voxels_mut()[Geometry::offset([16, 15, 15], dims)] = 2.0;
    let only_sagittal = |strategy| AcquisitionParams { axis_weights: [1.0, 0.0, 0.0], ..params(strategy, 0.1) };
    let first = |strategy| acquire(&uncertainty, &labels, &only_sagittal(strategy), &[]).unwrap().slices[0].index;
    assert_eq!((first(Strategy::Greedy), first(Strategy::GreedyPerSecond)), (16, 50));
}

#[test]
fn random_foreground_shows_foreground_while_there_is_any() {
    let (uncertainty, labels) = balls([30; 3], [1.0; 3], &[([12.0; 3], 4.0)]);
    for seed in 0..20 {
        let list =
            acquire(&uncertainty, &labels, &AcquisitionParams { seed, ..params(Strategy::RandomForeground, 0.5) }, &[])
                .unwrap();
        let shown = |plane: &Plane| labels.read_plane(*plane).unwrap().iter().any(|label| *label != BACKGROUND);
        assert!(planes(&list).iter().all(shown), "{:?}", planes(&list));
    }
}

#[test]
fn every_label_gets_its_turn() {
    let (uncertainty, mut labels) = balls([40; 3], [1.0; 3], &[([14.0; 3], 10.0), ([33.0; 3], 3.0)]);
    let small = |at: [usize; 3]| at.iter().all(|i| *i > 28);
    for z in 0..40 {
        for y in 0..40 {
            for x in 0..40 {
                let at = Geometry::offset([x, y, z], [40; 3]);
                labels.voxels_mut()[at] *= if small([x, y, z]) { 2 } else { 1 };
            }
        }
    }
    for seed in 0..20 {
        let list =
            acquire(&uncertainty, &labels, &AcquisitionParams { seed, ..params(Strategy::ClassStratified, 0.2) }, &[])
                .unwrap();
        let shows = |label: Label| {
            planes(&list).iter().filter(|plane| labels.read_plane(**plane).unwrap().contains(&label)).count()
        };
        assert!(list.slices.len() == 4 && shows(2) >= 2 && shows(1) >= 2, "{:?}", planes(&list));
    }
}

#[test]
fn other_grids_are_refused() {
    let uncertainty = Volume::filled(Geometry::axis_aligned([3, 3, 3], [1.0; 3]).unwrap(), 0.5);
    let labels = Volume::filled(Geometry::axis_aligned([3, 3, 4], [1.0; 3]).unwrap(), 1);
    assert!(acquire(&uncertainty, &labels, &AcquisitionParams::default(), &[]).is_err());
}

/// A case with its stored axes re-ordered (`from[new] = old`) and some of them reversed; anatomy stays where it is.
fn stored_differently<T: Copy>(volume: &Volume<T>, from: [usize; 3], reversed: [bool; 3]) -> Volume<T> {
    let old = volume.geometry();
    let dims = from.map(|axis| old.dims[axis]);
    let mut rows: Affine = [[0.0; 4]; 3];
    for (row, old_row) in rows.iter_mut().zip(old.world_from_voxel) {
        row[3] = old_row[3];
        for new in 0..3 {
            row[new] = old_row[from[new]] * if reversed[new] { -1.0 } else { 1.0 };
            row[3] += if reversed[new] { old_row[from[new]] * (dims[new] - 1) as f64 } else { 0.0 };
        }
    }
    let geometry = Geometry::new(dims, from.map(|axis| old.spacing_mm[axis]), rows).unwrap();
    let mut voxels = Vec::with_capacity(volume.voxels().len());
    for z in 0..dims[2] {
        for y in 0..dims[1] {
            for x in 0..dims[0] {
                let mut voxel = [0; 3];
                for (new, at) in [x, y, z].into_iter().enumerate() {
                    voxel[from[new]] = if reversed[new] { dims[new] - 1 - at } else { at };
                }
                voxels.push(volume.get(voxel).unwrap());
            }
        }
    }
    Volume::new(geometry, voxels).unwrap()
}

fn case_strategy() -> impl proptest::strategy::Strategy<Value = (Volume<f32>, Volume<Label>)> {
    (prop::array::uniform3(2_usize..14), prop::array::uniform3(0.5_f64..3.0)).prop_flat_map(|(dims, spacing_mm)| {
        let n = dims.iter().product::<usize>();
        (prop::collection::vec(0.0_f32..1.0, n), prop::collection::vec(0_u8..3, n)).prop_map(
            move |(uncertainty, labels)| {
                let geometry = Geometry::axis_aligned(dims, spacing_mm).unwrap();
                (Volume::new(geometry.clone(), uncertainty).unwrap(), Volume::new(geometry, labels).unwrap())
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_plane_twice_and_never_over_budget(
        (uncertainty, labels) in case_strategy(),
        budget in 0.0_f64..1.0,
        seed: u64,
    ) {
        for strategy in Strategy::ALL {
            let params = AcquisitionParams { seed, ..params(strategy, budget) };
            let list = acquire(&uncertainty, &labels, &params, &[]).unwrap();
            let mut seen: Vec<Plane> = list.slices.iter().chain(&list.beyond).map(|slice| slice.plane()).collect();
            let offered = seen.len();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), offered, "{} offers a plane twice", strategy);
            let most = plane_budget(budget, list.foreground_axial_planes);
            prop_assert!((1..=most).contains(&list.slices.len()));
            prop_assert!(seen.iter().all(|plane| uncertainty.geometry().check_plane(*plane).is_ok()));
            prop_assert!(list.slices.iter().all(|slice| slice.score.is_finite()));
            prop_assert!(list.slices.iter().all(|slice| (0.0..=1.0).contains(&slice.settles)));
            let again = acquire(&uncertainty, &labels, &params, &[]).unwrap();
            prop_assert_eq!(&list, &again, "{} is not deterministic", strategy);
        }
    }

    #[test]
    fn how_a_scan_is_stored_changes_nothing(
        (uncertainty, labels) in case_strategy(),
        from in prop::sample::select(vec![[0, 1, 2], [2, 0, 1], [1, 0, 2], [2, 1, 0]]),
        reversed: [bool; 3],
    ) {
        let turned = stored_differently(&uncertainty, from, reversed);
        let turned_labels = stored_differently(&labels, from, reversed);
        for strategy in [Strategy::Greedy, Strategy::Published] {
            let mut expected = planes(&acquire(&uncertainty, &labels, &params(strategy, 0.5), &[]).unwrap());
            for plane in &mut expected {
                let new = turned.geometry().stored_axis(plane.axis);
                if reversed[new] {
                    plane.index = turned.geometry().dims[new] - 1 - plane.index;
                }
            }
            let mut got = planes(&acquire(&turned, &turned_labels, &params(strategy, 0.5), &[]).unwrap());
            // The published rule gives the axes equal rights, in stored order.
            if strategy == Strategy::Published {
                expected.sort_unstable();
                got.sort_unstable();
            }
            prop_assert_eq!(got, expected, "{}", strategy);
        }
    }

    #[test]
    fn scaling_the_spacing_scales_nothing_but_millimetres(
        (uncertainty, labels) in case_strategy(),
        scale in 0.2_f64..5.0,
    ) {
        let dims = uncertainty.geometry().dims;
        let scaled = Geometry::axis_aligned(dims, uncertainty.geometry().spacing_mm.map(|s| s * scale)).unwrap();
        let larger = Volume::new(scaled.clone(), uncertainty.voxels().to_vec()).unwrap();
        let larger_labels = Volume::new(scaled, labels.voxels().to_vec()).unwrap();
        // Seconds go by what a contour measures in millimetres.
        for strategy in Strategy::ALL.into_iter().filter(|strategy| *strategy != Strategy::GreedyPerSecond) {
            let before = acquire(&uncertainty, &labels, &params(strategy, 0.4), &[]).unwrap();
            let after = acquire(&larger, &larger_labels, &params(strategy, 0.4), &[]).unwrap();
            prop_assert_eq!(planes(&before), planes(&after), "{}", strategy);
        }
    }

    /// Millimetres between the planes of an axis, from the very rule on volumes.
    #[test]
    fn published_planes_keep_their_gap_in_millimetres(
        (uncertainty, labels) in case_strategy(),
        budget in 0.2_f64..1.0,
    ) {
        let geometry = uncertainty.geometry();
        let extents_mm = geometry.dims.iter().zip(&geometry.spacing_mm).map(|(n, mm)| *n as f64 * mm);
        let extent_mm = extents_mm.fold(0.0, f64::max);
        let list = acquire(&uncertainty, &labels, &params(Strategy::Published, budget), &[]).unwrap();
        let chosen = planes(&list);
        for (at, a) in chosen.iter().enumerate() {
            let spacing_mm = geometry.spacing_mm[geometry.stored_axis(a.axis)];
            for b in chosen[..at].iter().filter(|b| b.axis == a.axis) {
                let apart_mm = a.index.abs_diff(b.index) as f64 * spacing_mm;
                prop_assert!(apart_mm > extent_mm * 30.0 / 1280.0 - 1e-6, "{} and {} lie {} mm apart", a, b, apart_mm);
            }
        }
    }

    #[test]
    fn settled_planes_are_never_offered_again(
        (uncertainty, labels) in case_strategy(),
        budget in 0.0_f64..0.6,
        seed: u64,
    ) {
        for strategy in Strategy::ALL {
            let params = AcquisitionParams { seed, ..params(strategy, budget) };
            let mut settled: Vec<Plane> = Vec::new();
            for _ in 0..4 {
                let list = acquire(&uncertainty, &labels, &params, &settled).unwrap();
                let offered: Vec<Plane> = list.slices.iter().chain(&list.beyond).map(|slice| slice.plane()).collect();
                prop_assert!(offered.iter().all(|plane| !settled.contains(plane)), "{} offers a plane again", strategy);
                prop_assert!(list.slices.len() <= plane_budget(budget, list.foreground_axial_planes));
                settled.extend(planes(&list));
            }
        }
    }

    #[test]
    fn planes_kept_lie_more_than_the_gap_apart(
        profile in prop::collection::vec(0.0_f64..1.0, 1..60),
        gap in 0_usize..9,
        most in 1_usize..15,
    ) {
        let kept = published_planes(&profile, gap, most, 0.1, 99);
        prop_assert!(!kept.is_empty() && kept.len() <= most);
        for (at, a) in kept.iter().enumerate() {
            prop_assert!(kept[..at].iter().all(|b| a.abs_diff(*b) > gap));
        }
    }
}

fn counts(value: &Value) -> Vec<usize> {
    reference::floats(value).into_iter().map(|v| v as usize).collect()
}

/// A reference volume: axes x, y, z in C order, so z is fastest there.
fn reference_volume<T: Copy>(value: &Value, shape: [usize; 3], convert: impl Fn(f64) -> T) -> Volume<T> {
    let flat = reference::floats(value);
    let mut voxels = Vec::new();
    for z in 0..shape[2] {
        for y in 0..shape[1] {
            for x in 0..shape[0] {
                voxels.push(convert(flat[(x * shape[1] + y) * shape[2] + z]));
            }
        }
    }
    Volume::new(Geometry::axis_aligned(shape, [1.0; 3]).unwrap(), voxels).unwrap()
}

/// Sum of the true labels in the union of the planes.
fn mask_sum(truth: &Volume<Label>, planes: &[Vec<usize>; 3]) -> usize {
    let dims = truth.geometry().dims;
    let within = |at: [usize; 3]| (0..3).any(|axis| planes[axis].contains(&at[axis]));
    let position = |i: usize| Geometry::voxel_at(i, dims);
    truth.voxels().iter().enumerate().filter(|(i, _)| within(position(*i))).map(|(_, l)| usize::from(*l)).sum()
}

#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn the_reference_choices_are_reproduced() {
    let vectors = reference::vectors();
    let cases = vectors["filter_indices"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let (most, gap) = (case["num_slices"].as_u64().unwrap() as usize, case["gap"].as_u64().unwrap() as usize);
        assert_eq!(suppress(&counts(&case["indices"]), most, gap), counts(&case["out"]), "{case}");
    }

    let shape = [14, 12, 10];
    let volume = &vectors["volume"];
    let expected = &vectors["acquisition"];
    let uncertainty = reference_volume(&volume["uncertainty"], shape, |v| v as f32);
    let prediction = reference_volume(&volume["prediction"], shape, |v| v as u8);
    let truth = reference_volume(&volume["gt"], shape, |v| v as u8);
    let sums = profiles(&uncertainty, &prediction).unwrap();
    for axis in 0..3 {
        let profile: Vec<f32> = sums.axes[axis].uncertainty.iter().map(|u| *u as f32).collect();
        reference::check_near("profile", &profile, &reference::floats(&expected[format!("profile_axis{axis}")]), 1e-3);
        let order = published_planes(&sums.axes[axis].uncertainty, 0, 99, 0.0, 99);
        assert_eq!(order, counts(&expected[format!("argsort_desc_axis{axis}")]));
    }
    assert_eq!(sums.foreground_axial_planes() as u64, expected["comp_infected_slices(pred)"].as_u64().unwrap());

    for name in ["V7_a", "V7_b", "V7_c"] {
        let case = &expected[name];
        let number = |key: &str| case["params"][key].as_f64().unwrap();
        let keep =
            (sums.foreground_axial_planes() as f64 * number("max_slices_based_on_infected_slices") / 3.0) as usize;
        // The vectors give the gap in voxels, after adaptation.
        let chosen = [0, 1, 2].map(|axis| {
            let most = number("num_slices") as usize;
            let gap = number("slice_gap") as usize;
            published_planes(&sums.axes[axis].uncertainty, gap, most, number("min_uncertainty"), keep)
        });
        let keys = ["sagittal_axis0", "coronal_axis1", "axial_axis2"];
        assert_eq!(chosen, keys.map(|key| counts(&case[key])), "{name}");
        assert_eq!(mask_sum(&truth, &chosen) as u64, case["mask_sum"].as_u64().unwrap(), "{name}");
    }

    let chosen = &expected["V7_empty_prediction"]["chosen"];
    let one = |axis: usize| published_planes(&sums.axes[axis].uncertainty, 1, 12, 0.1, 0);
    assert_eq!([0, 1, 2].map(one), ["Sagittal", "Coronal", "Axial"].map(|key| counts(&chosen[key])));

    let fixed = |gap: Option<usize>, most: usize, profile: &dyn Fn(usize) -> Vec<f64>| {
        [0, 1, 2].map(|axis| published_planes(&profile(axis), gap.unwrap_or(0), most, 0.0, most))
    };
    let plain = |axis: usize| sums.axes[axis].uncertainty.clone();
    let check = |key: &str, chosen: [Vec<usize>; 3]| {
        assert_eq!(
            chosen.iter().map(Vec::len).sum::<usize>() as u64,
            expected[key]["recommended_slices"].as_u64().unwrap(),
            "{key}"
        );
        assert_eq!(mask_sum(&truth, &chosen) as u64, expected[key]["mask_sum"].as_u64().unwrap(), "{key}");
    };
    check("V1", fixed(None, 3, &plain));
    check("V2 (globals num_slices=4, gap=1)", fixed(Some(1), 4, &plain));
    let middles =
        [0, 1, 2].map(|axis| sums.components.iter().filter(|c| c.foreground).map(|c| c.middle(axis)).collect());
    check("V3", middles);
    let label_sums = |axis: usize| -> Vec<f32> {
        let axis = prediction.geometry().axis_of_stored(axis);
        let sum = |index| prediction.read_plane(Plane { axis, index }).unwrap().iter().map(|l| f32::from(*l)).sum();
        (0..prediction.geometry().plane_count(axis)).map(sum).collect()
    };
    let weighted = |axis: usize| -> Vec<f64> {
        plain(axis).iter().zip(reference::min_max(&label_sums(axis))).map(|(u, share)| u * f64::from(share)).collect()
    };
    check("V6 (num_slices=4,gap=1)", fixed(Some(1), 4, &weighted));
}
