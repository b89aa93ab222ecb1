"""nnU-Net trained-model folder → network folder: TorchScript per fold, plans, golden logits.

nnU-Net's U-Nets do not script as shipped (`encoder.forward` returns a list or a tensor, residual skips are lambdas),
and a traced network has its dropout fixed. [`scriptable`] re-wraps the trained modules so that `train()`/`eval()` still
switch dropout after export.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import nn

from i3deep_models.workspace import read_json, write_json

FORMAT = 1
GOLDEN_TOLERANCE = 1e-4


class ExportError(Exception):
    """The network cannot be exported; the message says why and what to do."""


class ScriptableUNet(nn.Module):
    """The forward pass of nnU-Net's U-Nets over their own trained modules, in a form that TorchScript compiles."""

    def __init__(self, stages: list[nn.Module], transposed: list[nn.Module], decoder: list[nn.Module], head: nn.Module):
        """Encoder stages from fine to coarse; transposed convolutions and decoder stages from coarse to fine; the last
        segmentation layer."""
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.transposed = nn.ModuleList(transposed)
        self.decoder = nn.ModuleList(decoder)
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Patches `[n, channels, …]` → logits `[n, heads, …]`."""
        skips: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        level = len(skips) - 2
        for up, stage in zip(self.transposed, self.decoder):  # noqa: B905 - TorchScript knows no `strict`
            x = stage(torch.cat((up(x), skips[level]), 1))
            level -= 1
        return self.head(x)


class ScriptableResidual(nn.Module):
    """A residual block without the lambda that nnU-Net uses for an identity skip."""

    def __init__(self, block: nn.Module):
        """Takes over a trained `BasicBlockD` or `BottleneckD`."""
        super().__init__()
        convolutions = [
            scriptable_block(getattr(block, name)) for name in ("conv1", "conv2", "conv3") if hasattr(block, name)
        ]
        self.main = nn.Sequential(*convolutions)
        self.skip = block.skip if isinstance(block.skip, nn.Module) else nn.Identity()
        self.activation = block.nonlin2 if hasattr(block, "nonlin2") else block.nonlin3
        if getattr(block, "apply_stochastic_depth", False) or getattr(block, "apply_se", False):
            raise ExportError(
                "residual blocks with stochastic depth or squeeze-and-excitation are not supported; export without them"
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Block output."""
        return self.activation(self.main(x) + self.skip(x))


def scriptable_block(module: nn.Module) -> nn.Module:
    """A convolution block, stack of them, or residual stage, as plain sequences of its trained layers."""
    name = type(module).__name__
    if name == "ConvDropoutNormReLU":
        return nn.Sequential(*module.all_modules)
    if name == "StackedConvBlocks":
        return nn.Sequential(*(scriptable_block(block) for block in module.convs))
    if name == "StackedResidualBlocks":
        return nn.Sequential(*(scriptable_block(block) for block in module.blocks))
    if name in ("BasicBlockD", "BottleneckD"):
        return ScriptableResidual(module)
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*(scriptable_block(child) for child in module))
    if len(list(module.children())) == 0:
        return module
    raise ExportError(
        f"the network holds a {name}, which this export does not know; plain and residual-encoder U-Nets are supported"
    )


def scriptable(network: nn.Module) -> nn.Module:
    """The same network in scriptable form, sharing its weights.

    Raises ExportError for architectures other than nnU-Net's plain and residual-encoder U-Nets.
    """
    encoder, decoder = getattr(network, "encoder", None), getattr(network, "decoder", None)
    if encoder is None or decoder is None or not hasattr(encoder, "stages") or not hasattr(decoder, "transpconvs"):
        raise ExportError(
            f"{type(network).__name__} is not one of nnU-Net's U-Nets "
            "(PlainConvUNet, ResidualEncoderUNet, ResidualUNet)"
        )
    stages = [scriptable_block(stage) for stage in encoder.stages]
    if getattr(encoder, "stem", None) is not None:
        stages[0] = nn.Sequential(scriptable_block(encoder.stem), stages[0])
    return ScriptableUNet(
        stages, list(decoder.transpconvs), [scriptable_block(stage) for stage in decoder.stages], decoder.seg_layers[-1]
    )


def export_network(network: nn.Module, patch: torch.Tensor, file: Path) -> torch.Tensor:
    """Scripts a trained network to `file` and returns its eager logits of `patch`; refuses to leave a file that
    computes something else."""
    network = network.eval()
    with torch.no_grad():
        expected = network(patch)
        torch.jit.script(scriptable(network)).eval().save(str(file))
        difference = float((torch.jit.load(str(file)).eval()(patch) - expected).abs().max())
    if difference > 1e-5:
        file.unlink()
        raise ExportError(
            f"the exported network differs from the trained one by {difference:.2e} logits; nothing was written"
        )
    return expected


def has_dropout(network: nn.Module) -> bool:
    """Whether `train()` makes the network draw."""
    return any(isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0 for module in network.modules())


def check_dropout(network: nn.Module, file: Path, patch: torch.Tensor) -> None:
    """Refuses a network without dropout, and an exported `file` whose dropout `train()` and `eval()` do not switch;
    removes the file then."""
    reason = None
    if not has_dropout(network):
        reason = (
            "the network was trained without dropout; export it without --dropout, or train it with a dropout_op in "
            "its plans"
        )
    elif norms := [type(m).__name__ for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]:
        reason = (
            f"train() would also switch the network's {norms[0]} to the statistics of the patch; train it with "
            "instance normalisation"
        )
    else:
        exported = torch.jit.load(str(file))
        with torch.no_grad():
            exported.train()
            draws = not torch.equal(exported(patch), exported(patch))
            exported.eval()
            stays = torch.equal(exported(patch), exported(patch))
        if not (draws and stays):
            reason = "train() and eval() do not switch the dropout of the exported network"
    if reason:
        file.unlink()
        raise ExportError(f"{file.stem}: {reason}")


def export(
    trained: Path,
    output: Path,
    folds: list[str] | None = None,
    checkpoint: str = "checkpoint_final.pth",
    seed: int = 0,
    demand_dropout: bool = False,
) -> None:
    """Writes a network folder from an nnU-Net trained-model folder (`<trainer>__<plans>__<configuration>`).

    `demand_dropout` refuses networks whose dropout cannot be switched on again.
    """
    from i3deep_models.training.predict import load_network

    if not (trained / "plans.json").exists():
        raise ExportError(f"{trained} is no trained-model folder: it has no plans.json")
    found = sorted(f.name.removeprefix("fold_") for f in trained.glob("fold_*") if (f / checkpoint).exists())
    folds = folds or [fold for fold in found if fold != "all"] or found
    missing = [fold for fold in folds if fold not in found]
    if missing or not folds:
        raise ExportError(
            f"{trained} has no {checkpoint} for fold {', '.join(missing) or 'any'}; found: {', '.join(found) or 'none'}"
        )
    (output / "golden").mkdir(parents=True, exist_ok=True)
    for name in ("plans.json", "dataset.json"):
        shutil.copyfile(trained / name, output / name)

    stored = torch.load(trained / f"fold_{folds[0]}" / checkpoint, map_location="cpu", weights_only=False)
    mirror_axes = stored.get("inference_allowed_mirroring_axes")
    configuration = stored["init_args"]["configuration"]
    resolved = _configuration(read_json(trained / "plans.json"), configuration)
    generator = torch.Generator().manual_seed(seed)
    channels = next(w for w in stored["network_weights"].values() if w.ndim >= 4).shape[1]
    patch = torch.randn((1, channels, *golden_size(resolved)), generator=generator)
    heads = 0
    dropout = True
    for fold in folds:
        network = load_network(trained / f"fold_{fold}" / checkpoint)
        logits = export_network(network, patch, output / f"fold_{fold}.pt")
        heads = logits.shape[1]
        if demand_dropout:
            check_dropout(network, output / f"fold_{fold}.pt", patch)
        dropout = dropout and has_dropout(network)
        np.save(output / "golden" / f"fold_{fold}.npy", logits.numpy().astype(np.float32))
        print(f"exported fold {fold}", flush=True)
    np.save(output / "golden" / "input.npy", patch.numpy().astype(np.float32))
    content = {
        "format": FORMAT,
        "torch_version": torch.__version__.split("+")[0],
        "configuration": configuration,
        "trainer": stored["trainer_name"],
        "checkpoint": checkpoint,
        "folds": folds,
        "mirror_axes": list(mirror_axes) if mirror_axes is not None else None,
        "input_channels": int(channels),
        "heads": int(heads),
        "patch_size": [int(n) for n in resolved["patch_size"]],
        "dropout": dropout,
        "golden_tolerance": GOLDEN_TOLERANCE,
    }
    write_json(output / "network.json", content)


def _configuration(plans: dict, name: str) -> dict:
    configuration = plans["configurations"][name]
    parent = configuration.get("inherits_from")
    return {**_configuration(plans, parent), **configuration} if parent else configuration


def golden_size(configuration: dict) -> list[int]:
    """A small patch that the network's strides divide and that still has more than one voxel at the bottom."""
    if "architecture" in configuration:
        strides = configuration["architecture"]["arch_kwargs"]["strides"]
    else:
        strides = configuration["pool_op_kernel_sizes"]
    total = np.prod(np.array(strides), axis=0)
    return [int(n) * (2 if n > 1 else 4) for n in total]
