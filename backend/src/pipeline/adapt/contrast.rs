//! Whether a scan's contrast is the other way round than in training. The corrected planes tell, before anything is
//! learned: a picture that was exported inverted, or another weighting of the same anatomy, is as far from what the
//! networks know as can be, and a sign away from it.

use ndarray::{Array4, ArrayView3, Axis};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use shared::label::{BACKGROUND, Label};

use super::AdaptInput;
use super::patches::Patches;
use super::trial;
use crate::bundle::plans::Plan;
use crate::inference::{Network, NetworkError};
use crate::pipeline::guide::Sheet;

/// The contrast is doubted only where the presegmentation has a lower Dice in the corrected planes.
const DOUBTED_DICE: f64 = 0.5;
/// A channel is turned only if that takes away so much of the network's error at least.
const CLEARLY: f64 = 0.5;
/// Planes that the contrast is judged by, at most.
const PLANES: usize = 8;

/// Whether a presegmentation, on the network's grid, `[z, y, x]`, fails in the corrected planes: a Dice of all
/// foreground together below [`DOUBTED_DICE`]. Not where the expert saw none.
pub(in crate::pipeline) fn fails(presegmentation: ArrayView3<'_, Label>, planes: &[Vec<Sheet>]) -> bool {
    let (mut both, mut ours, mut experts) = (0_usize, 0_usize, 0_usize);
    for sheet in planes.iter().flatten() {
        for (label, right) in presegmentation.index_axis(Axis(sheet.axis), sheet.at).iter().zip(&sheet.labels) {
            ours += usize::from(*label != BACKGROUND);
            experts += usize::from(*right != BACKGROUND);
            both += usize::from(*right != BACKGROUND && label == right);
        }
    }
    experts > 0 && 2.0 * (both as f64) < DOUBTED_DICE * (ours + experts) as f64
}

/// The image channels that make the network clearly more right in the corrected planes when they are turned
/// (x → −x once normalised), ascending; found one after the other, with no plane as guidance.
///
/// # Errors
/// Whatever the network says, but numbers that are not finite, which are no better.
pub(in crate::pipeline) fn turned_channels(
    network: &dyn Network,
    plan: &Plan,
    input: AdaptInput<'_>,
) -> Result<Vec<usize>, NetworkError> {
    let error = |image: &Array4<f32>| error_in_planes(network, plan, input.seeing(image.view()));
    let mut image = input.image.to_owned();
    let mut least = error(&image)?;
    let mut turned = Vec::new();
    for channel in 0..image.shape()[0] {
        image.index_axis_mut(Axis(0), channel).mapv_inplace(|value| -value);
        let now = error(&image)?;
        if now < CLEARLY * least {
            least = now;
            turned.push(channel);
        } else {
            image.index_axis_mut(Axis(0), channel).mapv_inplace(|value| -value);
        }
    }
    Ok(turned)
}

/// Whether what a network learned in earlier rounds makes it more wrong in the corrected planes than it was as bundled.
/// So it is where it learned from the scan the other way round than it is seen now.
///
/// # Errors
/// Whatever the networks say, but numbers that are not finite, which are no better.
pub(in crate::pipeline) fn misled(
    learned: &dyn Network,
    bundled: &dyn Network,
    plan: &Plan,
    input: AdaptInput<'_>,
) -> Result<bool, NetworkError> {
    Ok(error_in_planes(learned, plan, input)? > error_in_planes(bundled, plan, input)?)
}

/// How wrong a network is in a few of the corrected planes, none of them shown; infinite without finite numbers.
fn error_in_planes(network: &dyn Network, plan: &Plan, input: AdaptInput<'_>) -> Result<f64, NetworkError> {
    let step = input.planes.len().div_ceil(PLANES).max(1);
    let judges: Vec<usize> = (0..input.planes.len()).step_by(step).collect();
    // The same patches each time, and as they are: which way round is plain to see without mirrors.
    let mut patches = Patches::around_planes(input, plan, &mut Pcg64::seed_from_u64(0));
    patches.mirror_axes.clear();
    match trial::error(network, &patches, &judges, &[]) {
        Err(NetworkError::NotFinite) => Ok(f64::INFINITY),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::pipeline::guide;

    #[test]
    fn a_presegmentation_is_doubted_where_it_fails_in_what_the_expert_saw() {
        // Label 1 in `right` voxels of a plane of 16, label `label` in the first `ours` of them.
        let check = |right: usize, (label, ours): (Label, usize), expected: bool| {
            let labels = |label: Label, count: usize| {
                Array3::from_shape_fn((1, 4, 4), |(_, y, x)| if 4 * y + x < count { label } else { BACKGROUND })
            };
            let sheets = guide::sheets(labels(1, right).view(), (0, 0), [1, 4, 4]);
            assert_eq!(fails(labels(label, ours).view(), &[sheets]), expected, "{right}, {label} × {ours}");
        };
        check(8, (1, 8), false);
        check(8, (1, 3), false);
        check(8, (1, 2), true);
        check(8, (2, 8), true);
        check(8, (1, 0), true);
        // Too much is as wrong as too little; where the expert saw nothing there is nothing to judge by.
        check(2, (1, 16), true);
        check(0, (1, 16), false);
    }
}
