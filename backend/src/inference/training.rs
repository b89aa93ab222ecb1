//! Learning, told in plain numbers: what a network sees in a patch, what is right there, and what it had better not
//! forget.

use ndarray::{Array3, Array4};

/// A patch to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingPatch {
    /// What the network sees, `[channels, z, y, x]`.
    pub input: Array4<f32>,
    /// The head that is right at each voxel, `[z, y, x]`; negative where nobody knows.
    pub target: Array3<i16>,
    /// Probabilities to stay near to where nobody knows, `[heads, z, y, x]`; 0 for every head where it does not matter.
    pub anchor: Array4<f32>,
}

/// How a network learns from a patch: Adam (Kingma & Ba 2015) on cross-entropy + 1 − mean soft Dice of the foreground
/// heads over the voxels whose head is known, and the Kullback–Leibler divergence from the anchor over the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRule {
    /// Adam's step size.
    pub rate: f64,
    /// Longest gradient (L2 norm over all parameters); longer ones are cut to it.
    pub gradient_norm: f64,
    /// Weight of the divergence.
    pub anchor_weight: f64,
    /// Which parameters change.
    pub layers: Layers,
}

/// Parts of a network that learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// All.
    All,
    /// Those behind the bottleneck, by the parameters' names; all where no name says so. Half the work of a step is
    /// saved.
    Decoder,
}
