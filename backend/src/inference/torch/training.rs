//! Steps of learning on a network's tensors, whichever engine runs it.

use ndarray::{ArrayView, Dimension};
use tch::nn::{Adam, Optimizer, OptimizerConfig, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use super::TensorNetwork;
use crate::inference::network::TrainableNetwork;
use crate::inference::training::{Layers, LearningRule, TrainingPatch};
use crate::inference::{Network, NetworkError};

/// Half-precision gradients are kept from vanishing by a loss this much larger; they are made smaller again before they
/// are used.
const CUDA_LOSS_SCALE: f64 = 1024.0;

/// The running mean of the weights looks back about so many steps; single steps on single patches lead to and fro.
const AVERAGED_STEPS: f64 = 10.0;

/// A network while it learns, and the running mean of its weights, which is what comes of it.
pub struct Learner {
    student: Box<dyn TrainableNetwork>,
    average: Box<dyn TrainableNetwork>,
    /// Parameters that learn, each with its running mean.
    learning: Vec<(Tensor, Tensor)>,
    optimizer: Optimizer,
    rule: LearningRule,
    steps: u32,
}

impl Learner {
    /// Ready for the first step.
    ///
    /// # Errors
    /// [`NetworkError::NotTrainable`] if it does not compute on tensors or has no parameters.
    pub fn new(student: Box<dyn TrainableNetwork>, rule: LearningRule) -> Result<Self, NetworkError> {
        let mut average = student.trainable()?;
        // The student may have been given other weights than its file's.
        average.set_weights(&student.weights()?)?;
        let parameters = tensors(student.as_ref())?.parameters()?;
        let means = tensors(average.as_ref())?.parameters()?;
        let in_decoder = |name: &str| name.split('.').any(|part| part == "decoder");
        let all = rule.layers == Layers::All || !parameters.iter().any(|(name, _)| in_decoder(name));
        let store = VarStore::new(tensors(student.as_ref())?.device());
        let mut learning = Vec::new();
        for ((name, parameter), (_, mean)) in parameters.into_iter().zip(means) {
            let learns = all || in_decoder(&name);
            // Without a gradient nothing is computed or stored for a parameter.
            let (parameter, mean) = (parameter.f_set_requires_grad(learns)?, mean.f_set_requires_grad(false)?);
            if learns {
                learning.push((store.root().add(&name.replace('.', "_"), parameter, true), mean));
            }
        }
        if learning.is_empty() {
            return Err(NetworkError::NotTrainable("it has no parameters".to_owned()));
        }
        let optimizer = Adam::default().build(&store, rule.rate)?;
        Ok(Self { student, average, learning, optimizer, rule, steps: 0 })
    }

    /// The network with the running mean of the weights.
    pub fn network(&self) -> &dyn Network {
        self.average.as_ref()
    }

    /// The same, for good.
    pub fn into_network(self) -> Box<dyn TrainableNetwork> {
        self.average
    }

    /// The running mean of the weights; see [`TrainableNetwork::weights`].
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn weights(&self) -> Result<Vec<u8>, NetworkError> {
        self.average.weights()
    }

    /// Adam's step size from now on.
    pub fn set_rate(&mut self, rate: f64) {
        self.optimizer.set_lr(rate);
    }

    /// Goes on from these weights; what the optimiser remembers of earlier steps stays.
    ///
    /// # Errors
    /// As [`TrainableNetwork::set_weights`].
    pub fn set_weights(&mut self, file: &[u8]) -> Result<(), NetworkError> {
        self.student.set_weights(file)?;
        self.average.set_weights(file)
    }

    /// One step of learning; the loss before it. On CUDA in mixed precision. A gradient that is not finite changes
    /// nothing.
    ///
    /// # Errors
    /// [`NetworkError::NotFinite`] for a loss that is not; [`NetworkError::Engine`], for example for want of memory.
    pub fn learn(&mut self, patch: &TrainingPatch) -> Result<f32, NetworkError> {
        let network = tensors(self.student.as_ref())?;
        let cuda = matches!(network.device(), Device::Cuda(_));
        let scale = if cuda { CUDA_LOSS_SCALE } else { 1.0 };
        let [input, target, anchor] = upload(patch, network)?;
        let logits = tch::autocast(cuda, || network.logits(&input))?.f_squeeze_dim(0)?;
        let loss = loss(&logits, &target, &anchor, self.rule.anchor_weight)?;
        let value = loss.f_double_value(&[])? as f32;
        if !value.is_finite() {
            return Err(NetworkError::NotFinite);
        }
        self.optimizer.zero_grad();
        loss.f_mul_scalar(scale)?.f_backward()?;
        if self.cut_gradients(scale)? {
            self.optimizer.step();
            self.steps += 1;
            self.follow()?;
        }
        Ok(value)
    }

    /// Moves the running mean towards the student; the first steps count more, so that the beginning is soon forgotten.
    fn follow(&self) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        let weight = (4.0 / (f64::from(self.steps) + 4.0)).max(1.0 / AVERAGED_STEPS);
        for (parameter, mean) in &self.learning {
            let _ = mean.shallow_clone().f_lerp_(parameter, weight)?;
        }
        Ok(())
    }

    /// Turns the gradients of a loss that was `scale` times as large into those of the loss, none longer than the rule
    /// allows; whether they are finite.
    fn cut_gradients(&self, scale: f64) -> Result<bool, TchError> {
        let _no_grad = tch::no_grad_guard();
        let mut gradients =
            self.learning.iter().map(|(parameter, _)| parameter.f_grad()).collect::<Result<Vec<_>, _>>()?;
        gradients.retain(Tensor::defined);
        let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])? / scale;
        let factor = (self.rule.gradient_norm / (norm + 1e-6)).min(1.0) / scale;
        if factor != 1.0 {
            for gradient in &mut gradients {
                let _ = gradient.f_mul_scalar_(factor)?;
            }
        }
        Ok(norm.is_finite())
    }
}

fn tensors(network: &dyn TrainableNetwork) -> Result<&dyn TensorNetwork, NetworkError> {
    super::tensors(network).ok_or_else(|| NetworkError::NotTrainable("it does not compute on tensors".to_owned()))
}

/// Input `[1, channels, (z,) y, x]`, target `[(z,) y, x]` and anchor `[heads, (z,) y, x]` on the network's device.
fn upload(patch: &TrainingPatch, network: &dyn TensorNetwork) -> Result<[Tensor; 3], TchError> {
    let flat =
        |tensor: Tensor, z_axis: i64| if network.two_dimensional() { tensor.f_squeeze_dim(z_axis) } else { Ok(tensor) };
    let put = |tensor: Tensor| tensor.f_to_device(network.device());
    let input = put(flat(tensor(patch.input.view())?, 1)?.f_unsqueeze(0)?)?;
    let target = put(flat(tensor(patch.target.view())?, 0)?)?.f_to_kind(Kind::Int64)?;
    Ok([input, target, put(flat(tensor(patch.anchor.view())?, 1)?)?])
}

fn tensor<T: tch::kind::Element + Copy, D: Dimension>(values: ArrayView<'_, T, D>) -> Result<Tensor, TchError> {
    let shape: Vec<i64> = values.shape().iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
    let tensor = match values.as_slice() {
        Some(values) => Tensor::f_from_slice(values)?,
        None => Tensor::f_from_slice(&values.iter().copied().collect::<Vec<_>>())?,
    };
    tensor.f_reshape(&shape)
}

/// See [`LearningRule`]. `logits` `[heads, …]`, `target` `[…]`, `anchor` `[heads, …]`.
fn loss(logits: &Tensor, target: &Tensor, anchor: &Tensor, anchor_weight: f64) -> Result<Tensor, TchError> {
    let log_probability = logits.f_log_softmax(0, Kind::Float)?;
    let probability = log_probability.f_exp()?;
    let known = target.f_ge(0)?.f_to_kind(Kind::Float)?;
    let voxels = known.f_sum(Kind::Float)?.f_clamp_min(1.0)?;
    let of_target = log_probability.f_gather(0, &target.f_clamp_min(0)?.f_unsqueeze(0)?, false)?.f_squeeze_dim(0)?;
    let cross_entropy = of_target.f_mul(&known)?.f_sum(Kind::Float)?.f_div(&voxels)?.f_neg()?;
    let heads = logits.size().first().copied().unwrap_or(0);
    let mut dice = Vec::new();
    for head in 1..heads {
        let truth = target.f_eq(head)?.f_to_kind(Kind::Float)?;
        let ours = probability.f_select(0, head)?.f_mul(&known)?;
        let both = ours.f_mul(&truth)?.f_sum(Kind::Float)?;
        let all = ours.f_sum(Kind::Float)?.f_add(&truth.f_sum(Kind::Float)?)?;
        // One voxel of each, so that a label that is nowhere costs nothing where none is predicted.
        dice.push(both.f_mul_scalar(2.0)?.f_add_scalar(1.0)?.f_div(&all.f_add_scalar(1.0)?)?);
    }
    let dice = Tensor::f_stack(&dice, 0)?.f_mean(Kind::Float)?;
    let unknown =
        anchor.f_sum_dim_intlist(&[0i64][..], false, Kind::Float)?.f_mul(&known.f_neg()?.f_add_scalar(1.0)?)?;
    let divergence = anchor.f_mul(&anchor.f_clamp_min(1e-6)?.f_log()?.f_sub(&log_probability)?)?;
    let divergence = divergence
        .f_sum_dim_intlist(&[0i64][..], false, Kind::Float)?
        .f_mul(&unknown.f_gt(0.0)?.f_to_kind(Kind::Float)?)?;
    let divergence = divergence.f_sum(Kind::Float)?.f_div(&unknown.f_sum(Kind::Float)?.f_clamp_min(1.0)?)?;
    cross_entropy.f_sub(&dice)?.f_add_scalar(1.0)?.f_add(&divergence.f_mul_scalar(anchor_weight)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two voxels of two heads; the first voxel is known to be head 1.
    #[track_caller]
    fn check(logits: [[f32; 2]; 2], anchor: [f32; 2], weight: f64, expected: f64) {
        let logits =
            Tensor::from_slice(&[logits[0][0], logits[1][0], logits[0][1], logits[1][1]]).reshape([2, 1, 1, 2]);
        let target = Tensor::from_slice(&[1_i64, -1]).reshape([1, 1, 2]);
        let anchor = Tensor::from_slice(&[0.0, anchor[0], 0.0, anchor[1]]).reshape([2, 1, 1, 2]);
        let got = loss(&logits, &target, &anchor, weight).unwrap().double_value(&[]);
        assert!((got - expected).abs() < 1e-5, "{got} instead of {expected}");
    }

    #[test]
    fn the_loss_is_cross_entropy_dice_and_divergence() {
        let ln_2 = std::f64::consts::LN_2;
        // Undecided where it is known: ln 2 and a soft Dice of (2 · 0.5 + 1) / (0.5 + 1 + 1); as the anchor elsewhere.
        let undecided = ln_2 + 1.0 - 2.0 / 2.5;
        check([[0.0, 0.0], [0.0, 0.0]], [0.5, 0.5], 1.0, undecided);
        // Right where it is known, off the anchor elsewhere: Σ a ln (a / p) = 1 · ln (1 / 0.5).
        check([[-30.0, 30.0], [0.0, 0.0]], [1.0, 0.0], 0.3, 0.3 * ln_2);
        // Where the anchor says nothing it does not matter.
        check([[-30.0, 30.0], [5.0, 0.0]], [0.0, 0.0], 1.0, 0.0);
    }
}
