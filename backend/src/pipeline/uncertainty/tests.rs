//! Measures of samples that one can check by hand, and the reference numbers.

use super::*;
use crate::reference;

/// `samples[t]` holds the probabilities `[head][voxel]` of sample t.
fn accumulate(samples: &[Vec<f32>], heads: usize, scope: Scope) -> Accumulator {
    let mut accumulator = Accumulator::with_scope(heads, samples[0].len() / heads, &Measure::ALL, scope);
    for sample in samples {
        accumulator.add_probabilities(sample).unwrap();
    }
    accumulator
}

/// Two classes, one voxel: the foreground probability of each sample.
fn binary(foreground: &[f32]) -> Accumulator {
    let samples: Vec<Vec<f32>> = foreground.iter().map(|p| vec![1.0 - p, *p]).collect();
    accumulate(&samples, 2, Scope::PerClass)
}

#[test]
fn measures_of_one_voxel() {
    fn check(foreground: &[f32], measure: Measure, expected: f32) {
        let got = binary(foreground).finish(measure).unwrap()[0];
        assert!((got - expected).abs() < 1e-6, "{measure} of {foreground:?}: {got}, expected {expected}");
    }
    check(&[0.5], Measure::Entropy, 1.0);
    check(&[0.9, 0.1], Measure::Bhattacharyya, 0.4);
    check(&[1.0, 0.0], Measure::Bhattacharyya, 1.0);
    check(&[0.5, 0.5], Measure::Bhattacharyya, 0.0);
    check(&[1.0, 0.0], Measure::Variance, 1.0);
    check(&[0.7, 0.7, 0.7], Measure::Variance, 0.0);
    check(&[1.0, 0.0], Measure::MutualInformation, 1.0);
    check(&[0.5, 0.5], Measure::MutualInformation, 0.0);
    check(&[0.8, 0.6], Measure::Confidence, 0.3);
    check(&[f32::NAN, f32::INFINITY], Measure::Entropy, 1.0);
}

#[test]
fn joint_measures_stay_in_range_and_finite_for_extreme_samples() {
    let samples = vec![vec![1.0, 0.0, 0.0, f32::NAN, 0.3, 1e-30], vec![0.0, 0.0, 1.0, 0.2, 0.3, 1.0]];
    let accumulator = accumulate(&samples, 3, Scope::Joint);
    for measure in Measure::ALL {
        assert!(accumulator.finish(measure).unwrap().iter().all(|u| (0.0..=1.0).contains(u)), "{measure}");
    }
}

#[test]
fn memory_does_not_grow_with_samples_and_no_joint_measure_needs_more_than_three_volumes() {
    let (heads, voxels) = (3, 1000);
    let sample = vec![1.0 / 3.0; heads * voxels];
    for measure in Measure::ALL {
        let mut accumulator = Accumulator::new(heads, voxels, &[measure]);
        let before = accumulator.bytes();
        for _ in 0..40 {
            accumulator.add_probabilities(&sample).unwrap();
        }
        assert_eq!(accumulator.bytes(), before);
        assert!(before <= 3 * voxels * size_of::<f32>(), "{measure} holds {before} bytes");
    }
}

/// Logits of samples that are far apart, `[head][voxel]`, over more than one block.
fn logits(heads: usize, voxels: usize, seed: usize) -> Vec<f16> {
    (0..heads * voxels).map(|at| f16::from_f32(((at * 7919 + seed * 104_729) % 2003) as f32 / 100.0 - 10.0)).collect()
}

#[test]
fn logits_and_their_probabilities_come_to_the_same() {
    let (heads, voxels) = (3, 2 * BLOCK + 77);
    for scope in [Scope::Joint, Scope::PerClass] {
        let mut of_logits = Accumulator::with_scope(heads, voxels, &Measure::ALL, scope);
        let mut of_probabilities = Accumulator::with_scope(heads, voxels, &Measure::ALL, scope);
        for seed in 0..4 {
            let sample = logits(heads, voxels, seed);
            let exponentials: Vec<f64> = sample.iter().map(|v| v.to_f64().exp()).collect();
            let total = |voxel: usize| (0..heads).map(|head| exponentials[head * voxels + voxel]).sum::<f64>();
            let probabilities: Vec<f32> =
                exponentials.iter().enumerate().map(|(at, e)| (e / total(at % voxels)) as f32).collect();
            of_logits.add(&sample).unwrap();
            of_probabilities.add_probabilities(&probabilities).unwrap();
        }
        for measure in Measure::ALL {
            let (got, expected) = (of_logits.finish(measure).unwrap(), of_probabilities.finish(measure).unwrap());
            let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-6, "{measure}: {worst}");
        }
    }
}

#[test]
fn finishing_in_place_changes_no_value() {
    let (heads, voxels) = (4, 3 * BLOCK + 5);
    for (scope, weights) in [(Scope::Joint, None), (Scope::PerClass, None), (Scope::PerClass, Some([0.2, 0.5, 0.3]))] {
        for measure in Measure::ALL {
            let mut accumulator = Accumulator::with_scope(heads, voxels, &[measure], scope);
            (0..3).for_each(|seed| accumulator.add(&logits(heads, voxels, seed)).unwrap());
            let weights = weights.as_ref().map(<[f32; 3]>::as_slice);
            let expected = match weights {
                Some(weights) => accumulator.finish_weighted(measure, weights),
                None => accumulator.finish(measure),
            };
            let got = accumulator.into_finished(measure, weights).unwrap();
            assert_eq!(got, expected.unwrap(), "{measure}");
            assert!(got.capacity() < 2 * voxels, "the statistics' memory is given back");
        }
    }
}

#[test]
fn what_was_not_asked_for_is_an_error() {
    let mut accumulator = Accumulator::new(2, 1, &[Measure::Entropy]);
    assert!(accumulator.finish(Measure::Entropy).is_err());
    assert_eq!(accumulator.add_probabilities(&[0.5]), Err(UncertaintyError::WrongLength { expected: 2, got: 1 }));
    accumulator.add_probabilities(&[0.5, 0.5]).unwrap();
    assert!(accumulator.finish(Measure::Variance).is_err());
    assert!(accumulator.finish_class(Measure::Entropy, 1).is_err());
}

/// The authors' numbers, quirks included; the quirks live here and nowhere else.
#[test]
#[cfg_attr(not(material), ignore = "../shared is not there")]
fn the_reference_numbers_are_reproduced() {
    let vectors = reference::vectors();
    let probabilities = reference::floats(&vectors["probs"]["values"]);
    let (heads, samples, voxels) = (3, 4, 12);
    // [class][sample][voxel] → one [class][voxel] per sample.
    let samples: Vec<Vec<f32>> = (0..samples)
        .map(|t| {
            (0..heads)
                .flat_map(|c| (0..voxels).map(move |v| (c * samples + t) * voxels + v))
                .map(|i| probabilities[i] as f32)
                .collect()
        })
        .collect();
    let one_by_one = accumulate(&samples, heads, Scope::PerClass);
    let joint = accumulate(&samples, heads, Scope::Joint);
    let expected = &vectors["uncertainty"];

    let check = |name: &str, got: &[f32], want: &serde_json::Value| {
        reference::check_near(name, got, &reference::floats(want), 1e-6)
    };
    for class in 0..heads {
        let of = |measure| one_by_one.finish_class(measure, class).unwrap();
        check("variance", &reference::min_max(&of(Measure::Variance)), &expected["variance"]["per_class"][class]);
        check("entropy", &of(Measure::Entropy), &expected["entropy"]["per_class"][class]);
        check("bhattacharyya", &of(Measure::Bhattacharyya), &expected["bhattacharyya"]["per_class"][class]);
    }
    check(
        "variance / 0.25",
        &one_by_one.finish_class(Measure::Variance, 1).unwrap(),
        &expected["variance_intended_div_0.25_class1"],
    );
    check("entropy, merged", &one_by_one.finish(Measure::Entropy).unwrap(), &expected["entropy"]["merged_mean_fg"]);
    check(
        "bhattacharyya, merged",
        &one_by_one.finish(Measure::Bhattacharyya).unwrap(),
        &expected["bhattacharyya"]["merged_mean_fg"],
    );
    let weights = class_weights(&[0.75, 0.28]);
    check("weights", &weights, &expected["class_dice_weights"]["weights"]);
    check("three weights", &class_weights(&[0.78, 0.57, 0.79]), &expected["class_dice_weights_3"]["weights"]);
    let weighted = one_by_one.finish_weighted(Measure::Entropy, &weights).unwrap();
    check("entropy, weighted", &weighted, &expected["entropy"]["merged_weighted_fg"]);

    check("joint entropy", &joint.finish(Measure::Entropy).unwrap(), &expected["class_entropy"]);
    let bhattacharyya = joint.finish(Measure::Bhattacharyya).unwrap();
    check("joint bhattacharyya", &bhattacharyya, &expected["class_bhattacharyya_intended_exponent_1_over_T"]);
    check("confidence", &joint.finish(Measure::Confidence).unwrap(), &expected["confidence"]);
    let logs = joint.layout.split(&joint.rows, voxels).logs;
    let coded: Vec<f32> = (0..voxels)
        .map(|v| 1.0 - (0..heads).map(|c| (logs[c * voxels + v] / heads as f32).exp()).sum::<f32>())
        .collect();
    check("joint bhattacharyya as coded", &coded, &expected["class_bhattacharyya_as_coded_exponent_1_over_C"]);
    let class_variances: Vec<Vec<f32>> =
        (0..heads).map(|c| reference::min_max(&one_by_one.finish_class(Measure::Variance, c).unwrap())).collect();
    let mean_of = |classes: &[Vec<f32>]| -> Vec<f32> {
        (0..voxels).map(|v| classes.iter().map(|class| class[v]).sum::<f32>() / classes.len() as f32).collect()
    };
    check("joint variance", &mean_of(&class_variances), &expected["class_variance"]);
    check("variance, merged", &mean_of(&class_variances[1..]), &expected["variance"]["merged_mean_fg"]);
    let mean = joint.mean_probabilities();
    let prediction: Vec<f32> = (0..voxels)
        .map(|v| (0..heads).max_by(|a, b| mean[a * voxels + v].total_cmp(&mean[b * voxels + v])).unwrap() as f32)
        .collect();
    check("prediction", &prediction, &expected["prediction"]);
}
