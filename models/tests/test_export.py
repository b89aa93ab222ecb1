"""Exported networks compute what the trained ones do; what cannot be exported is refused."""

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from i3deep_models.export import ExportError, check_dropout, export_network

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
    [
        lambda **rest: PlainConvUNet(n_conv_per_stage=[1, 2, 1], **rest),
        lambda **rest: ResidualEncoderUNet(n_blocks_per_stage=[1, 2, 1], **rest),
    ],
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


DROPOUT = {"dropout_op": nn.Dropout3d, "dropout_op_kwargs": {"p": 0.5, "inplace": False}}


@pytest.mark.parametrize(
    "architecture",
    [
        lambda **rest: PlainConvUNet(n_conv_per_stage=[1, 2, 1], **rest),
        lambda **rest: ResidualEncoderUNet(n_blocks_per_stage=[1, 2, 1], **rest),
    ],
)
def test_dropout_is_switched_in_the_file(architecture, tmp_path):
    torch.manual_seed(3)
    network = architecture(**COMMON, **DROPOUT, deep_supervision=False)
    patch, file = torch.randn(1, 2, 4, 8, 8), tmp_path / "fold_0.pt"
    expected = export_network(network, patch, file)
    check_dropout(network, file, patch)
    exported = torch.jit.load(file)
    with torch.no_grad():
        exported.train()
        assert not torch.equal(exported(patch), exported(patch))
        exported.eval()
        assert torch.equal(exported(patch), exported(patch))
        assert (exported(patch) - expected).abs().max() <= 1e-5


def test_dropout_that_is_demanded_and_not_there_is_refused(tmp_path):
    def check(words: str, **changes) -> None:
        network = PlainConvUNet(n_conv_per_stage=[1, 2, 1], **(COMMON | changes), deep_supervision=False)
        patch, file = torch.randn(1, 2, 4, 8, 8), tmp_path / "fold_0.pt"
        export_network(network, patch, file)
        with pytest.raises(ExportError, match=words):
            check_dropout(network, file, patch)
        assert not file.exists()

    check("fold_0: the network was trained without dropout")
    check("fold_0: the network was trained without dropout", dropout_op=nn.Dropout3d, dropout_op_kwargs={"p": 0.0})
    check("BatchNorm3d", norm_op=nn.BatchNorm3d, **DROPOUT)


def test_dropout_that_was_traced_away_is_refused(tmp_path):
    network = PlainConvUNet(n_conv_per_stage=[1, 2, 1], **COMMON, **DROPOUT, deep_supervision=False).eval()
    patch, file = torch.randn(1, 2, 4, 8, 8), tmp_path / "fold_0.pt"
    torch.jit.trace(network, patch, check_trace=False).save(str(file))
    with pytest.raises(ExportError, match="do not switch the dropout"):
        check_dropout(network, file, patch)


def test_other_architectures_are_refused_by_name(tmp_path):
    with pytest.raises(ExportError, match="Linear"):
        export_network(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "fold_0.pt")
    assert not (tmp_path / "fold_0.pt").exists()
