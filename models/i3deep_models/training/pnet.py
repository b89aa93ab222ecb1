"""P-Net (Wang et al., "DeepIGeoS", TPAMI 2019) as a baseline: full resolution throughout, dilated convolutions instead
of pooling.

With padding, unlike the one of the published comparison, whose blocks were out of register by up to 42 voxels; with
instance norm, without which it learns nothing in a short schedule; and with half the features, to be trainable without
a GPU.
"""

import torch
from torch import nn

FEATURES = 16
COMPRESSED = 4
CONVOLUTIONS = (2, 2, 3, 3, 3)


class PNet(nn.Module):
    """Five blocks of 3³ convolutions with dilation 1 to 5; what each finds is compressed and classified together."""

    def __init__(self, channels: int, heads: int):
        """Input channels and output classes."""
        super().__init__()
        blocks = []
        for dilation, count in enumerate(CONVOLUTIONS, 1):
            first = channels if dilation == 1 else FEATURES
            blocks.append(nn.Sequential(*(convolution(first if i == 0 else FEATURES, dilation) for i in range(count))))
        self.blocks = nn.ModuleList(blocks)
        self.compress = nn.ModuleList([nn.Conv3d(FEATURES, COMPRESSED, 1) for _ in CONVOLUTIONS])
        together = COMPRESSED * len(CONVOLUTIONS)
        self.classify = nn.Sequential(nn.Conv3d(together, FEATURES, 1), nn.ReLU(), nn.Conv3d(FEATURES, heads, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Patches `[n, channels, z, y, x]` → logits `[n, heads, z, y, x]`."""
        found = []
        for block, compress in zip(self.blocks, self.compress, strict=True):
            x = block(x)
            found.append(compress(x))
        return self.classify(torch.cat(found, 1))


def convolution(channels: int, dilation: int) -> nn.Sequential:
    """A dilated convolution that keeps the size."""
    return nn.Sequential(
        nn.Conv3d(channels, FEATURES, 3, padding=dilation, dilation=dilation),
        nn.InstanceNorm3d(FEATURES, affine=True),
        nn.ReLU(inplace=True),
    )
