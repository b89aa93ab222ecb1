//! Layers as nnU-Net strings them together: convolution, dropout, instance normalisation, leaky ReLU.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use crate::bundle::architecture::{Architecture, Dropout};
use crate::inference::network::Arithmetic;

/// Parameters by nnU-Net's names, in single precision.
pub(super) type Parameters = BTreeMap<String, Tensor>;

fn ints(values: &[usize]) -> Vec<i64> {
    // Kernels and strides are checked to be small.
    values.iter().map(|value| *value as i64).collect()
}

/// What layers are built from.
pub(super) struct Builder<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) parameters: &'a Parameters,
    pub(super) arithmetic: Arithmetic,
}

impl Builder<'_> {
    fn parameter(&self, name: &str) -> Result<Tensor, TchError> {
        self.optional(name).ok_or_else(|| TchError::Torch(format!("there are no weights {name}")))
    }

    fn optional(&self, name: &str) -> Option<Tensor> {
        self.parameters.get(name).map(Tensor::shallow_clone)
    }

    /// The kind that convolutions compute in.
    fn kind(&self) -> Kind {
        if self.arithmetic == Arithmetic::Bfloat16 { Kind::BFloat16 } else { Kind::Float }
    }

    pub(super) fn convolution(
        &self,
        name: &str,
        kernel: &[usize],
        stride: &[usize],
        kind: Kind,
    ) -> Result<Convolution, TchError> {
        let weight = self.parameter(&format!("{name}.weight"))?;
        let one_dnn = self.arithmetic != Arithmetic::Exact && weight.device() == Device::Cpu;
        Ok(Convolution {
            weight: weight.f_to_kind(kind)?,
            bias: self.optional(&format!("{name}.bias")).map(|bias| bias.f_to_kind(kind)).transpose()?,
            stride: ints(stride),
            padding: kernel.iter().map(|size| (*size as i64 - 1) / 2).collect(),
            one_dnn,
        })
    }

    /// The layer that makes logits, always in single precision.
    pub(super) fn head(&self) -> Result<Convolution, TchError> {
        let ones = vec![1; self.architecture.axes];
        self.convolution(&self.architecture.head(), &ones, &ones, Kind::Float)
    }

    pub(super) fn upsampling(&self, name: &str, stride: &[usize]) -> Result<Upsampling, TchError> {
        Ok(Upsampling {
            weight: self.parameter(&format!("{name}.weight"))?.f_to_kind(self.kind())?,
            bias: self.optional(&format!("{name}.bias")).map(|bias| bias.f_to_kind(self.kind())).transpose()?,
            stride: ints(stride),
        })
    }

    /// Convolution, dropout, normalisation and activation.
    pub(super) fn block(&self, name: &str, kernel: &[usize], stride: &[usize]) -> Result<Block, TchError> {
        let bare = self.bare_block(name, kernel, stride)?;
        Ok(Block {
            dropout: self.architecture.dropout,
            activation: Some(Activation::new(self.architecture.slope)),
            ..bare
        })
    }

    /// Convolution and normalisation.
    pub(super) fn bare_block(&self, name: &str, kernel: &[usize], stride: &[usize]) -> Result<Block, TchError> {
        Ok(Block {
            convolution: self.convolution(&format!("{name}.conv"), kernel, stride, self.kind())?,
            dropout: None,
            norm: Norm {
                weight: self.optional(&format!("{name}.norm.weight")),
                bias: self.optional(&format!("{name}.norm.bias")),
                eps: self.architecture.norm_eps,
            },
            activation: None,
        })
    }
}

/// A convolution that keeps the size but for its stride.
pub(super) struct Convolution {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: Vec<i64>,
    padding: Vec<i64>,
    /// Whether oneDNN is called by name: libtorch leaves small single patches to a slower algorithm.
    one_dnn: bool,
}

impl Convolution {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let dilation = vec![1; self.stride.len()];
        let bias = self.bias.as_ref();
        if self.one_dnn {
            return x.f_mkldnn_convolution(&self.weight, bias, &self.padding, &self.stride, &dilation, 1);
        }
        match self.stride.len() {
            2 => x.f_conv2d(&self.weight, bias, &self.stride, &self.padding, &dilation, 1),
            _ => x.f_conv3d(&self.weight, bias, &self.stride, &self.padding, &dilation, 1),
        }
    }
}

/// A transposed convolution whose kernel is its stride.
pub(super) struct Upsampling {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: Vec<i64>,
}

impl Upsampling {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (zeros, ones) = (vec![0; self.stride.len()], vec![1; self.stride.len()]);
        let bias = self.bias.as_ref();
        match self.stride.len() {
            2 => x.f_conv_transpose2d(&self.weight, bias, &self.stride, &zeros, &zeros, 1, &ones),
            _ => x.f_conv_transpose3d(&self.weight, bias, &self.stride, &zeros, &zeros, 1, &ones),
        }
    }
}

/// Instance normalisation: always with the patch's own statistics.
struct Norm {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    eps: f64,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_instance_norm(
            self.weight.as_ref(),
            self.bias.as_ref(),
            None::<&Tensor>,
            None::<&Tensor>,
            true,
            0.1,
            self.eps,
            true,
        )
    }
}

/// Leaky ReLU.
pub(super) enum Activation {
    /// Of torch's default slope, 0.01.
    Leaky,
    /// Of slope 0.
    Relu,
    /// Of any slope.
    Slope(f64),
}

impl Activation {
    pub(super) fn new(slope: f64) -> Self {
        match slope {
            0.01 => Self::Leaky,
            0.0 => Self::Relu,
            slope => Self::Slope(slope),
        }
    }

    /// In place; nothing else uses what it is given.
    pub(super) fn forward(&self, mut x: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Leaky => x.f_leaky_relu_(),
            Self::Relu => x.f_relu_(),
            Self::Slope(slope) => {
                let weight = Tensor::f_from_slice(&[*slope as f32])?.f_to_device(x.device())?.f_to_kind(x.kind())?;
                x.f_prelu(&weight)
            }
        }
    }
}

/// A convolution and what follows it.
pub(super) struct Block {
    convolution: Convolution,
    dropout: Option<Dropout>,
    norm: Norm,
    activation: Option<Activation>,
}

impl Block {
    pub(super) fn forward(&self, x: &Tensor, drop: bool) -> Result<Tensor, TchError> {
        let mut y = self.convolution.forward(x)?;
        if let Some(Dropout { p, channels }) = self.dropout.filter(|_| drop) {
            y = if channels { y.f_feature_dropout(p, true)? } else { y.f_dropout(p, true)? };
        }
        let y = self.norm.forward(&y)?;
        match &self.activation {
            Some(activation) => activation.forward(y),
            None => Ok(y),
        }
    }
}

/// Two convolutions beside a skip.
pub(super) struct Residual {
    pub(super) first: Block,
    pub(super) second: Block,
    /// The stride that the skip is pooled with.
    pub(super) pool: Option<Vec<usize>>,
    /// Where channels change.
    pub(super) projection: Option<Block>,
    pub(super) activation: Activation,
}

impl Residual {
    pub(super) fn forward(&self, x: &Tensor, drop: bool) -> Result<Tensor, TchError> {
        let main = self.second.forward(&self.first.forward(x, drop)?, drop)?;
        let mut skip = match &self.pool {
            Some(stride) => pooled(x, &ints(stride))?,
            None => x.shallow_clone(),
        };
        if let Some(projection) = &self.projection {
            skip = projection.forward(&skip, drop)?;
        }
        self.activation.forward(main.f_add(&skip)?)
    }
}

/// Means of blocks. libtorch has no such thing in bfloat16 on a CPU.
fn pooled(x: &Tensor, stride: &[i64]) -> Result<Tensor, TchError> {
    let kind = x.kind();
    let x = if kind == Kind::BFloat16 { x.f_to_kind(Kind::Float)? } else { x.shallow_clone() };
    let zeros = vec![0; stride.len()];
    let mean = match stride.len() {
        2 => x.f_avg_pool2d(stride, stride, &zeros, false, true, None)?,
        _ => x.f_avg_pool3d(stride, stride, &zeros, false, true, None)?,
    };
    mean.f_to_kind(kind)
}
