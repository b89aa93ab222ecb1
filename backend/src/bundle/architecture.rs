//! The U-Net that a plan describes, as plain numbers: what its layers are, and what its weights must be called and
//! measure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// nnU-Net's two families of U-Nets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `PlainConvUNet`.
    Plain,
    /// `ResidualEncoderUNet`.
    Residual,
}

/// Dropout behind a block's convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The share that is dropped.
    pub p: f64,
    /// Whether whole channels are dropped (`Dropout2d`, `Dropout3d`) or single voxels (`Dropout`).
    pub channels: bool,
}

/// A U-Net, stage by stage from fine to coarse. Kernels and strides have as many entries as the network has axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Plain or residual encoder.
    pub family: Family,
    /// 2 or 3.
    pub axes: usize,
    /// Channels of each stage.
    pub features: Vec<usize>,
    /// Kernel size of each stage.
    pub kernels: Vec<Vec<usize>>,
    /// Stride of the first convolution of each stage.
    pub strides: Vec<Vec<usize>>,
    /// Convolutions (plain) or blocks (residual) of each encoder stage.
    pub convolutions: Vec<usize>,
    /// Convolutions of each decoder stage, from coarse to fine: one less than there are stages.
    pub decoder_convolutions: Vec<usize>,
    /// Whether convolutions have a bias.
    pub bias: bool,
    /// `eps` of the instance normalisation.
    pub norm_eps: f64,
    /// Whether the instance normalisation has a scale and a shift.
    pub affine: bool,
    /// Dropout, where the plan has it.
    pub dropout: Option<Dropout>,
    /// Slope of the leaky ReLU below zero; 0 for a ReLU.
    pub slope: f64,
}

/// Stages beyond this are a mistake or an attack.
const MOST_STAGES: usize = 32;
/// Convolutions of a stage, channels of a layer, voxels of a kernel along an axis: likewise.
const MOST_CONVOLUTIONS: usize = 256;
const MOST_FEATURES: usize = 1 << 14;
const MOST_KERNEL: usize = 64;

impl Architecture {
    /// The architecture of a resolved configuration of `plans.json`, in its new or its old form.
    ///
    /// # Errors
    /// What is missing, contradicts itself or is not supported, by name.
    pub fn parse(configuration: &Map<String, Value>) -> Result<Self, String> {
        let architecture = match configuration.get("architecture") {
            Some(Value::Object(architecture)) => Self::new_form(architecture)?,
            Some(_) => return Err("its architecture is not an object".to_owned()),
            None => Self::old_form(configuration)?,
        };
        architecture.check()?;
        Ok(architecture)
    }

    fn new_form(architecture: &Map<String, Value>) -> Result<Self, String> {
        let class = architecture
            .get("network_class_name")
            .and_then(Value::as_str)
            .ok_or("its architecture names no network")?;
        let family = family(class)?;
        let arguments =
            architecture.get("arch_kwargs").and_then(Value::as_object).ok_or("its architecture has no arch_kwargs")?;
        known(arguments)?;
        let of = |name: &str| arguments.get(name).filter(|value| !value.is_null());
        let named =
            |name: &str| of(name).and_then(Value::as_str).map(|class| class.rsplit('.').next().unwrap_or(class));
        let axes = match named("conv_op") {
            Some("Conv2d") => 2,
            Some("Conv3d") => 3,
            other => {
                return Err(format!(
                    "the convolution '{}' is not supported; supported: Conv2d, Conv3d",
                    other.unwrap_or("none")
                ));
            }
        };
        match named("norm_op") {
            Some("InstanceNorm2d" | "InstanceNorm3d") => {}
            other => {
                let name = other.unwrap_or("none");
                return Err(format!(
                    "the normalisation layer '{name}' is not supported; supported: InstanceNorm2d, InstanceNorm3d"
                ));
            }
        }
        let norm = of("norm_op_kwargs").and_then(Value::as_object);
        if norm.and_then(|norm| norm.get("track_running_stats")).and_then(Value::as_bool) == Some(true) {
            return Err(
                "instance normalisation with running statistics (track_running_stats) is not supported".to_owned()
            );
        }
        let stages = number(of("n_stages")).ok_or("its architecture has no n_stages")?;
        if !(2..=MOST_STAGES).contains(&stages) {
            return Err(format!("a U-Net of {stages} stages is not supported; 2 to {MOST_STAGES} are"));
        }
        let blocks = if family == Family::Plain { "n_conv_per_stage" } else { "n_blocks_per_stage" };
        Ok(Self {
            family,
            axes,
            features: numbers(of("features_per_stage"), stages, "features_per_stage")?,
            kernels: sizes(of("kernel_sizes"), stages, axes, "kernel_sizes")?,
            strides: sizes(of("strides"), stages, axes, "strides")?,
            convolutions: numbers(of(blocks), stages, blocks)?,
            decoder_convolutions: numbers(of("n_conv_per_stage_decoder"), stages - 1, "n_conv_per_stage_decoder")?,
            bias: of("conv_bias").and_then(Value::as_bool).unwrap_or(false),
            norm_eps: norm.and_then(|norm| norm.get("eps")).and_then(Value::as_f64).unwrap_or(1e-5),
            affine: norm.and_then(|norm| norm.get("affine")).and_then(Value::as_bool).unwrap_or(false),
            dropout: dropout(named("dropout_op"), of("dropout_op_kwargs"))?,
            slope: slope(named("nonlin"), of("nonlin_kwargs"))?,
        })
    }

    /// Plans from before there was an `architecture`: what it would have said is spread over the configuration.
    fn old_form(configuration: &Map<String, Value>) -> Result<Self, String> {
        let of = |name: &str| configuration.get(name).filter(|value| !value.is_null());
        let class = of("UNet_class_name")
            .and_then(Value::as_str)
            .ok_or("it names no network: neither architecture nor UNet_class_name")?;
        let family = family(class)?;
        let strides = of("pool_op_kernel_sizes").and_then(Value::as_array).ok_or("it has no pool_op_kernel_sizes")?;
        let stages = strides.len();
        if !(2..=MOST_STAGES).contains(&stages) {
            return Err(format!("a U-Net of {stages} stages is not supported; 2 to {MOST_STAGES} are"));
        }
        let axes = strides[0].as_array().map_or(0, Vec::len);
        let base = number(of("UNet_base_num_features")).ok_or("it has no UNet_base_num_features")?;
        let most = number(of("unet_max_num_features")).ok_or("it has no unet_max_num_features")?;
        Ok(Self {
            family,
            axes,
            features: (0..stages).map(|stage| base.saturating_mul(1 << stage).min(most)).collect(),
            kernels: sizes(of("conv_kernel_sizes"), stages, axes, "conv_kernel_sizes")?,
            strides: sizes(of("pool_op_kernel_sizes"), stages, axes, "pool_op_kernel_sizes")?,
            convolutions: numbers(of("n_conv_per_stage_encoder"), stages, "n_conv_per_stage_encoder")?,
            decoder_convolutions: numbers(of("n_conv_per_stage_decoder"), stages - 1, "n_conv_per_stage_decoder")?,
            bias: true,
            norm_eps: 1e-5,
            affine: true,
            dropout: None,
            slope: 0.01,
        })
    }

    fn check(&self) -> Result<(), String> {
        let positive = |values: &[usize], most: usize| values.iter().all(|value| (1..=most).contains(value));
        if !matches!(self.axes, 2 | 3) {
            return Err(format!("a network with {} axes is not supported; 2 and 3 are", self.axes));
        }
        if !positive(&self.features, MOST_FEATURES) {
            return Err(format!("its features {:?} are not between 1 and {MOST_FEATURES}", self.features));
        }
        if !positive(&self.convolutions, MOST_CONVOLUTIONS) || !positive(&self.decoder_convolutions, MOST_CONVOLUTIONS)
        {
            return Err(format!("its stages have not 1 to {MOST_CONVOLUTIONS} convolutions"));
        }
        if !self.kernels.iter().chain(&self.strides).all(|sizes| positive(sizes, MOST_KERNEL)) {
            return Err(format!("its kernels and strides are not between 1 and {MOST_KERNEL}"));
        }
        if self.strides[0].iter().any(|stride| *stride != 1) {
            return Err(format!(
                "its first stage has stride {:?}; labels would be coarser than the scan",
                self.strides[0]
            ));
        }
        if let Some(even) = self.kernels.iter().find(|kernel| kernel.iter().any(|size| size % 2 == 0)) {
            return Err(format!(
                "the kernel {even:?} has an even size, which shifts the image; odd sizes are supported"
            ));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps.is_finite() && self.slope.is_finite()) {
            return Err("its eps or its slope is not a number to compute with".to_owned());
        }
        Ok(())
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        self.features.len()
    }

    /// What a patch's size must be a multiple of, axis by axis.
    pub fn divisor(&self) -> Vec<usize> {
        (0..self.axes).map(|axis| self.strides.iter().map(|stride| stride[axis]).product()).collect()
    }

    /// Name and shape of every tensor that a network with so many input channels and heads computes with; the heads of
    /// deep supervision are not among them.
    pub fn tensors(&self, input_channels: usize, heads: usize) -> BTreeMap<String, Vec<usize>> {
        let mut tensors = Tensors { architecture: self, all: BTreeMap::new() };
        let mut channels = input_channels;
        if self.family == Family::Residual {
            tensors.block("encoder.stem.convs.0", [channels, self.features[0]], &self.kernels[0], self.bias);
            channels = self.features[0];
        }
        for stage in 0..self.stages() {
            channels = tensors.encoder_stage(stage, channels);
        }
        let last = self.stages() - 1;
        for step in 0..last {
            let fine = last - 1 - step;
            let (from, to) = (self.features[fine + 1], self.features[fine]);
            tensors.convolution(&format!("decoder.transpconvs.{step}"), [to, from], &self.strides[fine + 1], self.bias);
            for number in 0..self.decoder_convolutions[step] {
                let from = if number == 0 { 2 * to } else { to };
                tensors.block(
                    &format!("decoder.stages.{step}.convs.{number}"),
                    [from, to],
                    &self.kernels[fine],
                    self.bias,
                );
            }
        }
        tensors.convolution(&self.head(), [self.features[0], heads], &vec![1; self.axes], true);
        tensors.all
    }

    /// The name of the layer that makes logits of the finest stage.
    pub fn head(&self) -> String {
        format!("decoder.seg_layers.{}", self.stages() - 2)
    }

    /// The name of the first convolution, whose weights tell the number of input channels.
    pub fn first(&self) -> &'static str {
        match self.family {
            Family::Plain => "encoder.stages.0.0.convs.0.conv",
            Family::Residual => "encoder.stem.convs.0.conv",
        }
    }

    /// The number behind `skip.` of a residual block's projection, if it has one: behind the pooling, where there is
    /// pooling.
    pub fn projection(&self, stage: usize, block: usize) -> Option<usize> {
        let from = if stage == 0 { self.features[0] } else { self.features[stage - 1] };
        let pools = self.strides[stage].iter().any(|stride| *stride != 1);
        (block == 0 && from != self.features[stage]).then_some(usize::from(pools))
    }
}

/// Names and shapes, as they are collected.
struct Tensors<'a> {
    architecture: &'a Architecture,
    all: BTreeMap<String, Vec<usize>>,
}

impl Tensors<'_> {
    fn convolution(&mut self, name: &str, [from, to]: [usize; 2], kernel: &[usize], bias: bool) {
        let shape = [&[to, from], kernel].concat();
        self.all.insert(format!("{name}.weight"), shape);
        if bias {
            // A transposed convolution is told with its channels the other way round.
            let biases = if name.contains("transpconvs") { from } else { to };
            self.all.insert(format!("{name}.bias"), vec![biases]);
        }
    }

    fn block(&mut self, name: &str, channels: [usize; 2], kernel: &[usize], bias: bool) {
        self.convolution(&format!("{name}.conv"), channels, kernel, bias);
        if self.architecture.affine {
            for kind in ["weight", "bias"] {
                self.all.insert(format!("{name}.norm.{kind}"), vec![channels[1]]);
            }
        }
    }

    /// Returns the channels that the next stage gets.
    fn encoder_stage(&mut self, stage: usize, channels: usize) -> usize {
        let architecture = self.architecture;
        let (to, kernel) = (architecture.features[stage], &architecture.kernels[stage]);
        for number in 0..architecture.convolutions[stage] {
            let from = if number == 0 { channels } else { to };
            match architecture.family {
                Family::Plain => self.block(
                    &format!("encoder.stages.{stage}.0.convs.{number}"),
                    [from, to],
                    kernel,
                    architecture.bias,
                ),
                Family::Residual => {
                    let name = format!("encoder.stages.{stage}.blocks.{number}");
                    self.block(&format!("{name}.conv1"), [from, to], kernel, architecture.bias);
                    self.block(&format!("{name}.conv2"), [to, to], kernel, architecture.bias);
                    if let Some(at) = architecture.projection(stage, number) {
                        self.block(&format!("{name}.skip.{at}"), [from, to], &vec![1; architecture.axes], false);
                    }
                }
            }
        }
        to
    }
}

fn family(class: &str) -> Result<Family, String> {
    match class.rsplit('.').next().unwrap_or(class) {
        "PlainConvUNet" => Ok(Family::Plain),
        "ResidualEncoderUNet" => Ok(Family::Residual),
        other => Err(format!(
            "the network '{other}' is not supported; supported: PlainConvUNet, ResidualEncoderUNet. Put a TorchScript \
             program of it into a network folder (models/README.md), or train one of these"
        )),
    }
}

/// Refuses what would change the network and is not known here.
fn known(arguments: &Map<String, Value>) -> Result<(), String> {
    const READ: [&str; 15] = [
        "n_stages",
        "features_per_stage",
        "conv_op",
        "kernel_sizes",
        "strides",
        "n_conv_per_stage",
        "n_blocks_per_stage",
        "n_conv_per_stage_decoder",
        "conv_bias",
        "norm_op",
        "norm_op_kwargs",
        "dropout_op",
        "dropout_op_kwargs",
        "nonlin",
        "nonlin_kwargs",
    ];
    let harmless = |name: &str, value: &Value| match name {
        _ if value.is_null() || READ.contains(&name) => true,
        "deep_supervision" => true,
        "nonlin_first" | "squeeze_excitation" => value == &Value::Bool(false),
        "stochastic_depth_p" => value.as_f64() == Some(0.0),
        "pool" | "pool_type" => value == "conv",
        "squeeze_excitation_reduction_ratio" => true,
        _ => false,
    };
    match arguments.iter().find(|(name, value)| !harmless(name, value)) {
        Some((name, value)) => Err(format!("the network's option {name} = {value} is not supported")),
        None => Ok(()),
    }
}

fn dropout(class: Option<&str>, options: Option<&Value>) -> Result<Option<Dropout>, String> {
    let channels = match class {
        None => return Ok(None),
        Some("Dropout2d" | "Dropout3d") => true,
        Some("Dropout") => false,
        Some(other) => {
            return Err(format!(
                "the dropout layer '{other}' is not supported; supported: Dropout, Dropout2d, Dropout3d"
            ));
        }
    };
    let p = options.and_then(|options| options.get("p")).and_then(Value::as_f64).unwrap_or(0.5);
    if !(0.0..1.0).contains(&p) {
        return Err(format!("dropout of a share of {p} is none"));
    }
    Ok((p > 0.0).then_some(Dropout { p, channels }))
}

fn slope(class: Option<&str>, options: Option<&Value>) -> Result<f64, String> {
    match class {
        Some("LeakyReLU") => {
            Ok(options.and_then(|options| options.get("negative_slope")).and_then(Value::as_f64).unwrap_or(0.01))
        }
        Some("ReLU") => Ok(0.0),
        other => {
            Err(format!("the nonlinearity '{}' is not supported; supported: LeakyReLU, ReLU", other.unwrap_or("none")))
        }
    }
}

fn number(value: Option<&Value>) -> Option<usize> {
    value.and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
}

/// A number for each stage; a single one is everybody's.
fn numbers(value: Option<&Value>, count: usize, name: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("its {name} are not {count} numbers");
    match value {
        Some(Value::Array(all)) if all.len() == count => {
            all.iter().map(|value| number(Some(value)).ok_or_else(wrong)).collect()
        }
        Some(value) => number(Some(value)).map(|number| vec![number; count]).ok_or_else(wrong),
        None => Err(format!("it has no {name}")),
    }
}

/// A size for each stage, with an entry for each axis; single numbers are all axes'.
fn sizes(value: Option<&Value>, count: usize, axes: usize, name: &str) -> Result<Vec<Vec<usize>>, String> {
    let wrong = || format!("its {name} are not {count} sizes with {axes} entries");
    match value {
        Some(Value::Array(all)) if all.len() == count => {
            all.iter().map(|value| numbers(Some(value), axes, name).map_err(|_| wrong())).collect()
        }
        Some(value) => number(Some(value)).map(|number| vec![vec![number; axes]; count]).ok_or_else(wrong),
        None => Err(format!("it has no {name}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(residual: bool) -> Value {
        let blocks = if residual { "n_blocks_per_stage" } else { "n_conv_per_stage" };
        json!({
            "n_stages": 3, "features_per_stage": [8, 16, 16], "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
            blocks: [1, 2, 1], "n_conv_per_stage_decoder": [1, 1], "conv_bias": true,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": true},
            "dropout_op": null, "dropout_op_kwargs": null,
            "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": true}
        })
    }

    fn configuration(class: &str, arguments: Value) -> Map<String, Value> {
        let class = format!("dynamic_network_architectures.architectures.unet.{class}");
        json!({"architecture": {"network_class_name": class, "arch_kwargs": arguments}}).as_object().unwrap().clone()
    }

    #[test]
    fn layers_have_nnunets_names_and_shapes() {
        let check = |tensors: &BTreeMap<String, Vec<usize>>, expected: &[(&str, &[usize])]| {
            for (name, shape) in expected {
                assert_eq!(tensors.get(*name).map(Vec::as_slice), Some(*shape), "{name}");
            }
        };
        let plain = Architecture::parse(&configuration("PlainConvUNet", arguments(false))).unwrap();
        assert_eq!(plain.divisor(), [2, 4, 4]);
        let tensors = plain.tensors(2, 3);
        // 4 blocks of the encoder and 2 of the decoder with 4 tensors each, 2 transposed convolutions and a head with
        // 2.
        assert_eq!(tensors.len(), 6 * 4 + 2 * 2 + 2);
        check(
            &tensors,
            &[
                ("encoder.stages.0.0.convs.0.conv.weight", &[8, 2, 1, 3, 3]),
                ("encoder.stages.1.0.convs.1.conv.weight", &[16, 16, 3, 3, 3]),
                ("decoder.transpconvs.0.weight", &[16, 16, 2, 2, 2]),
                ("decoder.transpconvs.1.weight", &[16, 8, 1, 2, 2]),
                ("decoder.transpconvs.1.bias", &[8]),
                ("decoder.stages.1.convs.0.conv.weight", &[8, 16, 1, 3, 3]),
                ("decoder.seg_layers.1.weight", &[3, 8, 1, 1, 1]),
            ],
        );
        let residual = Architecture::parse(&configuration("ResidualEncoderUNet", arguments(true))).unwrap();
        let tensors = residual.tensors(2, 3);
        check(
            &tensors,
            &[
                ("encoder.stem.convs.0.conv.weight", &[8, 2, 1, 3, 3]),
                ("encoder.stages.0.blocks.0.conv1.conv.weight", &[8, 8, 1, 3, 3]),
                // Channels change and the skip is pooled: the projection comes behind the pooling.
                ("encoder.stages.1.blocks.0.skip.1.conv.weight", &[16, 8, 1, 1, 1]),
                ("encoder.stages.1.blocks.0.skip.1.norm.bias", &[16]),
            ],
        );
        let absent = [
            "encoder.stages.1.blocks.0.skip.1.conv.bias",
            "encoder.stages.1.blocks.1.skip.1.conv.weight",
            "encoder.stages.2.blocks.0.skip.1.conv.weight",
        ];
        assert!(absent.iter().all(|name| !tensors.contains_key(*name)));
    }

    #[test]
    fn old_plans_say_the_same_in_other_words() {
        let old = json!({
            "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 8, "unet_max_num_features": 16,
            "n_conv_per_stage_encoder": [1, 2, 1], "n_conv_per_stage_decoder": [1, 1],
            "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
            "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
        });
        let new = Architecture::parse(&configuration("PlainConvUNet", arguments(false))).unwrap();
        assert_eq!(Architecture::parse(old.as_object().unwrap()).unwrap(), new);
    }

    #[test]
    fn single_numbers_are_for_all_stages_and_axes() {
        let mut short = arguments(false);
        (short["kernel_sizes"], short["n_conv_per_stage"]) = (json!(3), json!(2));
        let got = Architecture::parse(&configuration("PlainConvUNet", short)).unwrap();
        assert_eq!((got.kernels, got.convolutions), (vec![vec![3; 3]; 3], vec![2; 3]));
    }

    #[test]
    fn what_is_not_built_is_named() {
        let check = |class: &str, change: &dyn Fn(&mut Value), expected: &str| {
            let mut arguments = arguments(class.starts_with("Residual"));
            change(&mut arguments);
            let message = Architecture::parse(&configuration(class, arguments)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        };
        let same = |_: &mut Value| ();
        check("Primus", &same, "the network 'Primus' is not supported");
        check("ResidualUNet", &same, "the network 'ResidualUNet' is not supported");
        let plain = "PlainConvUNet";
        check(
            plain,
            &|a| a["norm_op"] = json!("torch.nn.modules.batchnorm.BatchNorm3d"),
            "the normalisation layer 'BatchNorm3d'",
        );
        check(plain, &|a| a["norm_op"] = Value::Null, "the normalisation layer 'none'");
        check(plain, &|a| a["nonlin"] = json!("torch.nn.GELU"), "the nonlinearity 'GELU'");
        check(plain, &|a| a["conv_op"] = json!("torch.nn.modules.conv.Conv1d"), "the convolution 'Conv1d'");
        check(plain, &|a| a["nonlin_first"] = json!(true), "the network's option nonlin_first = true");
        check(
            "ResidualEncoderUNet",
            &|a| a["squeeze_excitation"] = json!(true),
            "the network's option squeeze_excitation = true",
        );
        check(plain, &|a| a["kernel_sizes"] = json!([3, 2, 3]), "has an even size");
        check(plain, &|a| a["strides"] = json!([2, 2, 2]), "its first stage has stride [2, 2, 2]");
        check(plain, &|a| a["n_stages"] = json!(1_000_000), "a U-Net of 1000000 stages");
        check(plain, &|a| a["features_per_stage"] = json!([8, 16]), "its features_per_stage are not 3 numbers");
        check(plain, &|a| a["dropout_op"] = json!("torch.nn.AlphaDropout"), "the dropout layer 'AlphaDropout'");
    }

    #[test]
    fn dropout_is_the_plans() {
        let check = |class: Value, options: Value, expected: Option<Dropout>| {
            let mut arguments = arguments(false);
            (arguments["dropout_op"], arguments["dropout_op_kwargs"]) = (class, options);
            assert_eq!(Architecture::parse(&configuration("PlainConvUNet", arguments)).unwrap().dropout, expected);
        };
        check(Value::Null, Value::Null, None);
        check(json!("torch.nn.modules.dropout.Dropout3d"), json!({"p": 0.1}), Some(Dropout { p: 0.1, channels: true }));
        check(json!("torch.nn.Dropout"), json!({"p": 0.2}), Some(Dropout { p: 0.2, channels: false }));
        check(json!("torch.nn.Dropout"), json!({"p": 0}), None);
    }
}
