//! The U-Nets themselves: an encoder, plain or residual, and a decoder that joins its stages again.

use tch::{Kind, TchError, Tensor};

use super::layers::{Activation, Block, Builder, Convolution, Parameters, Residual, Upsampling};
use crate::bundle::architecture::{Architecture, Family};
use crate::inference::NetworkError;
use crate::inference::network::Arithmetic;
use crate::inference::torch::Module;

/// A U-Net with its weights.
pub(super) struct UNet {
    architecture: Architecture,
    parameters: Parameters,
    arithmetic: Arithmetic,
    stem: Option<Block>,
    encoder: Vec<Stage>,
    decoder: Vec<Step>,
    head: Convolution,
    /// Whether dropout is on.
    drop: bool,
}

#[expect(unsafe_code, reason = "tch marks its TorchScript modules as shareable, its tensors not")]
// SAFETY: threads only read these tensors, and libtorch counts references to them atomically; what changes them
// (dropout's switch, training's copies) needs the network for itself.
unsafe impl Sync for UNet {}

enum Stage {
    Plain(Vec<Block>),
    Residual(Vec<Residual>),
}

/// A step of the decoder: up, join, convolve.
struct Step {
    up: Upsampling,
    blocks: Vec<Block>,
}

impl UNet {
    /// Builds a network; `parameters` are all that the architecture calls for.
    pub(super) fn new(
        architecture: Architecture,
        parameters: Parameters,
        arithmetic: Arithmetic,
    ) -> Result<Self, TchError> {
        let builder = Builder { architecture: &architecture, parameters: &parameters, arithmetic };
        let ones = vec![1; architecture.axes];
        let stem = match architecture.family {
            Family::Plain => None,
            Family::Residual => Some(builder.block("encoder.stem.convs.0", &architecture.kernels[0], &ones)?),
        };
        let encoder =
            (0..architecture.stages()).map(|stage| encoder_stage(&builder, stage)).collect::<Result<_, _>>()?;
        let decoder =
            (0..architecture.stages() - 1).map(|step| decoder_step(&builder, step)).collect::<Result<_, _>>()?;
        let head = builder.head()?;
        Ok(Self { architecture, parameters, arithmetic, stem, encoder, decoder, head, drop: false })
    }
}

fn encoder_stage(builder: &Builder<'_>, stage: usize) -> Result<Stage, TchError> {
    let architecture = builder.architecture;
    let ones = vec![1; architecture.axes];
    let kernel = &architecture.kernels[stage];
    let numbers = 0..architecture.convolutions[stage];
    let stride = |number: usize| if number == 0 { &architecture.strides[stage] } else { &ones };
    if architecture.family == Family::Plain {
        let block =
            |number: usize| builder.block(&format!("encoder.stages.{stage}.0.convs.{number}"), kernel, stride(number));
        return Ok(Stage::Plain(numbers.map(block).collect::<Result<_, _>>()?));
    }
    let block = |number: usize| {
        let name = format!("encoder.stages.{stage}.blocks.{number}");
        let projection = architecture.projection(stage, number);
        Ok(Residual {
            first: builder.block(&format!("{name}.conv1"), kernel, stride(number))?,
            second: builder.bare_block(&format!("{name}.conv2"), kernel, &ones)?,
            pool: Some(stride(number).clone()).filter(|stride| stride.iter().any(|size| *size != 1)),
            projection: projection
                .map(|at| builder.bare_block(&format!("{name}.skip.{at}"), &ones, &ones))
                .transpose()?,
            activation: Activation::new(architecture.slope),
        })
    };
    Ok(Stage::Residual(numbers.map(block).collect::<Result<_, TchError>>()?))
}

fn decoder_step(builder: &Builder<'_>, step: usize) -> Result<Step, TchError> {
    let architecture = builder.architecture;
    let ones = vec![1; architecture.axes];
    let fine = architecture.stages() - 2 - step;
    let block = |number: usize| {
        builder.block(&format!("decoder.stages.{step}.convs.{number}"), &architecture.kernels[fine], &ones)
    };
    Ok(Step {
        up: builder.upsampling(&format!("decoder.transpconvs.{step}"), &architecture.strides[fine + 1])?,
        blocks: (0..architecture.decoder_convolutions[step]).map(block).collect::<Result<_, _>>()?,
    })
}

impl Module for UNet {
    fn logits(&self, patches: &Tensor) -> Result<Tensor, TchError> {
        let kind = if self.arithmetic == Arithmetic::Bfloat16 { Kind::BFloat16 } else { patches.kind() };
        let mut x = patches.f_to_kind(kind)?;
        if let Some(stem) = &self.stem {
            x = stem.forward(&x, self.drop)?;
        }
        let mut skips = Vec::with_capacity(self.encoder.len());
        for stage in &self.encoder {
            x = match stage {
                Stage::Plain(blocks) => blocks.iter().try_fold(x, |x, block| block.forward(&x, self.drop))?,
                Stage::Residual(blocks) => blocks.iter().try_fold(x, |x, block| block.forward(&x, self.drop))?,
            };
            skips.push(x.shallow_clone());
        }
        // The coarsest stage is not joined with itself.
        skips.pop();
        for step in &self.decoder {
            let up = step.up.forward(&x)?;
            let joined = match skips.pop() {
                Some(skip) => Tensor::f_cat(&[up, skip], 1)?,
                None => up,
            };
            x = step.blocks.iter().try_fold(joined, |x, block| block.forward(&x, self.drop))?;
        }
        if kind == Kind::BFloat16 {
            x = x.f_to_kind(Kind::Float)?;
        }
        self.head.forward(&x)
    }

    fn set_dropout(&mut self, on: bool) -> Result<(), TchError> {
        self.drop = on;
        Ok(())
    }

    fn parameters(&self) -> Result<Vec<(String, Tensor)>, TchError> {
        Ok(self.parameters.iter().map(|(name, parameter)| (name.clone(), parameter.shallow_clone())).collect())
    }

    fn copy(&self) -> Result<Box<dyn Module>, NetworkError> {
        let copied = |(name, parameter): (&String, &Tensor)| {
            let source = parameter.f_detach()?;
            let mut copy = source.f_empty_like()?;
            copy.f_copy_(&source)?;
            Ok((name.clone(), copy))
        };
        let parameters = self.parameters.iter().map(copied).collect::<Result<_, TchError>>()?;
        // Layers in bfloat16 would hold copies of the parameters, which would not follow them.
        let arithmetic = if self.arithmetic == Arithmetic::Exact { Arithmetic::Exact } else { Arithmetic::Fast };
        Ok(Box::new(Self::new(self.architecture.clone(), parameters, arithmetic)?))
    }
}
