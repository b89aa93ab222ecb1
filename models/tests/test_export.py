"""Exported networks compute what the trained ones do; what cannot be exported is refused."""

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from i3deep_models.export import ExportError, export_network

COMMON = {
    "input_channels": 2,
    "n_stages": 3,
    "features_per_stage": [4, 8, 8],
    "conv_op": nn.Conv3d,
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "num_classes": 3,
    "n_conv_per_stage_decoder": [1, 1],
    "conv_bias": True,
    "norm_op": nn.InstanceNorm3d,
    "norm_op_kwargs": {"affine": True},
    "nonlin": nn.LeakyReLU,
    "nonlin_kwargs": {"inplace": True},
}


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize(
    "architecture",
    [lambda **rest: PlainConvUNet(n_conv_per_stage=[1, 2, 1], **rest), lambda **rest: ResidualEncoderUNet(n_blocks_per_stage=[1, 2, 1], **rest)],
)
def test_the_file_gives_the_trained_networks_logits(architecture, deep_supervision, tmp_path):
    torch.manual_seed(3)
    network = architecture(**COMMON, deep_supervision=deep_supervision).eval()
    network.decoder.deep_supervision = False
    patch = torch.randn(1, 2, 4, 8, 8)
    expected = export_network(network, patch, tmp_path / "fold_0.pt")
    with torch.no_grad():
        got = torch.jit.load(tmp_path / "fold_0.pt")(patch)
    assert got.shape == (1, 3, 4, 8, 8)
    assert (got - expected).abs().max() <= 1e-5
    assert expected.std() > 0


def test_other_architectures_are_refused_by_name(tmp_path):
    with pytest.raises(ExportError, match="Linear"):
        export_network(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "fold_0.pt")
    assert not (tmp_path / "fold_0.pt").exists()
