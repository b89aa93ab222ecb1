"""nnU-Net's augmentations of a batch, on whatever device it is. Volumes are `[n, channels, z, y, x]`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Placing:
    """Where patches lie in their cases: for each of their voxels a place in the case, as `grid_sample` wants it."""

    grid: torch.Tensor


@dataclass(frozen=True)
class Source:
    """What patches are cut from: size and spacing of volumes `[z, y, x]`, and the axes that they may be mirrored
    along."""

    size: tuple[int, ...]
    spacing: torch.Tensor
    mirror_axes: tuple[int, ...] = (0, 1, 2)


def placing(centres: torch.Tensor, source: Source, patch: tuple[int, ...]) -> Placing:
    """Patches around voxels `centres` `[n, 3]`: rotated (±30°) and scaled (0.7 to 1.4) with nnU-Net's probability of
    0.2 each, mirrored along every axis that allows it with 0.5."""
    n, device, spacing = len(centres), centres.device, source.spacing
    angles = (torch.rand(n, 3, device=device) * 2 - 1) * math.pi / 6
    angles = angles * (torch.rand(n, 1, device=device) < 0.2)
    turn = torch.eye(3, device=device).expand(n, 3, 3)
    for axis in range(3):
        u, v = (a for a in range(3) if a != axis)
        one = torch.eye(3, device=device).repeat(n, 1, 1)
        cos, sin = angles[:, axis].cos(), angles[:, axis].sin()
        one[:, u, u], one[:, v, v], one[:, u, v], one[:, v, u] = cos, cos, -sin, sin
        turn = turn @ one
    # Turned in millimetres, or anisotropic voxels would shear.
    turn = turn * spacing[None, None, :] / spacing[None, :, None]
    scale = torch.where(
        torch.rand(n, device=device) < 0.5,
        0.7 + 0.3 * torch.rand(n, device=device),
        1 + 0.4 * torch.rand(n, device=device),
    )
    scale = torch.where(torch.rand(n, device=device) < 0.2, scale, torch.ones_like(scale))
    may = torch.tensor([axis in source.mirror_axes for axis in range(3)], device=device)
    mirror = torch.where((torch.rand(n, 3, device=device) < 0.5) & may, -1.0, 1.0)
    matrix = turn * scale[:, None, None] * mirror[:, None, :]
    offsets = [torch.arange(size, device=device) - (size - 1) / 2 for size in patch]
    at = torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1).reshape(-1, 3)
    # Whole voxels where nothing is turned: half a voxel lies between the middle of an even patch and a voxel.
    middle = centres.float() + 0.5
    voxel = torch.einsum("nij,pj->npi", matrix, at) + middle[:, None, :]
    size = torch.tensor(source.size, device=device, dtype=torch.float32)
    grid = (2 * voxel + 1) / size - 1
    return Placing(grid.flip(-1).reshape(n, *patch, 3))


# Volumes with this many times a patch's voxels are cut to the part that a patch touches before anything is computed.
MUCH_LARGER = 4


def touched(volumes: torch.Tensor, at: Placing) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Parts of volumes `[n, …, z, y, x]` and the places in them that patches take their voxels from, in order; all at
    once where volumes are hardly larger than patches."""
    size = volumes.shape[-3:]
    if math.prod(size) < MUCH_LARGER * math.prod(at.grid.shape[1:4]):
        yield volumes, at.grid
        return
    for volume, grid in zip(volumes, at.grid, strict=True):
        box, places = [], []
        for axis, whole in enumerate(size):
            # In voxels, as `grid_sample` counts them; linear interpolation takes one more on either side.
            voxel = ((grid[..., 2 - axis] + 1) * whole - 1) / 2
            first = min(max(math.floor(float(voxel.min())) - 1, 0), whole - 1)
            last = max(min(math.ceil(float(voxel.max())) + 1, whole - 1), first)
            box.append(slice(first, last + 1))
            places.append((2 * (voxel - first) + 1) / (last + 1 - first) - 1)
        yield volume[(..., *box)][None], torch.stack(places[::-1], -1)[None]


def placed(volumes: torch.Tensor, at: Placing) -> torch.Tensor:
    """Values `[n, channels, z, y, x]` by linear interpolation; 0 outside."""
    return torch.cat([_sampled(part.float(), grid) for part, grid in touched(volumes, at)])


def placed_labels(labels: torch.Tensor, heads: int, at: Placing) -> torch.Tensor:
    """Labels `[n, z, y, x]` by the largest of the interpolated one-hot channels, as nnU-Net resamples them."""
    found = []
    for part, grid in touched(labels, at):
        foreground = torch.stack([part == head for head in range(1, heads)], 1).float()
        best, label = _sampled(foreground, grid).max(1)
        found.append(torch.where(best > 0.5, label + 1, 0))
    return torch.cat(found)


def _sampled(volumes: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(volumes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _some(n: int, share: float, device: torch.device) -> torch.Tensor:
    return (torch.rand(n, device=device) < share).nonzero().flatten()


def _uniform(n: int, low: float, high: float, device: torch.device) -> torch.Tensor:
    return (low + (high - low) * torch.rand(n, device=device)).reshape(-1, 1, 1, 1, 1)


def blurred(image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Each sample `[n, 1, z, y, x]` by a Gaussian of its own width in voxels."""
    n = len(image)
    at = torch.arange(-4, 5, device=image.device)
    kernel = torch.exp(-0.5 * (at[None] / sigma.reshape(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    out = image.reshape(1, n, *image.shape[2:])
    for axis in range(3):
        shape = [9 if a == axis else 1 for a in range(3)]
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = 4
        out = F.conv3d(F.pad(out, pad, mode="replicate"), kernel.reshape(n, 1, *shape), groups=n)
    return out.reshape(image.shape)


def relit(image: torch.Tensor) -> torch.Tensor:
    """Noise, blur, brightness, contrast, lower resolution, gamma: nnU-Net's, with its probabilities, one channel."""
    n, device = len(image), image.device
    image = image.clone()
    if len(at := _some(n, 0.1, device)):
        image[at] += torch.randn_like(image[at]) * _uniform(len(at), 0, 0.1, device).sqrt()
    if len(at := _some(n, 0.2, device)):
        image[at] = blurred(image[at], _uniform(len(at), 0.5, 1.0, device))
    if len(at := _some(n, 0.15, device)):
        image[at] *= _uniform(len(at), 0.75, 1.25, device)
    if len(at := _some(n, 0.15, device)):
        image[at] = _contrast(image[at], _uniform(len(at), 0.75, 1.25, device))
    if len(at := _some(n, 0.25, device)):
        image[at] = _coarser(image[at], 0.5 + 0.5 * float(torch.rand(())))
    for share, inverted in ((0.1, True), (0.3, False)):
        if len(at := _some(n, share, device)):
            image[at] = _gamma(image[at], inverted)
    return image


def _contrast(image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    mean, low, high = image.mean((2, 3, 4), True), image.amin((2, 3, 4), True), image.amax((2, 3, 4), True)
    return ((image - mean) * factor + mean).clamp(low, high)


def _coarser(image: torch.Tensor, scale: float) -> torch.Tensor:
    size = image.shape[2:]
    small = F.interpolate(image, [max(1, round(s * scale)) for s in size], mode="nearest")
    return F.interpolate(small, size, mode="trilinear")


def _gamma(image: torch.Tensor, inverted: bool) -> torch.Tensor:
    image = -image if inverted else image
    mean, deviation = image.mean((2, 3, 4), True), image.std((2, 3, 4), keepdim=True)
    low, high = image.amin((2, 3, 4), True), image.amax((2, 3, 4), True)
    n = len(image)
    gamma = torch.where(
        torch.rand(n, device=image.device) < 0.5,
        0.7 + 0.3 * torch.rand(n, device=image.device),
        1 + 0.5 * torch.rand(n, device=image.device),
    ).reshape(-1, 1, 1, 1, 1)
    image = ((image - low) / (high - low + 1e-7)) ** gamma * (high - low) + low
    image = (image - image.mean((2, 3, 4), True)) / image.std((2, 3, 4), keepdim=True).clamp_min(1e-8)
    image = image * deviation + mean
    return -image if inverted else image


def spoilt(image: torch.Tensor) -> torch.Tensor:
    """As a bad day at the scanner leaves it: strong noise, blur, another contrast. What a network makes of it stands
    for a presegmentation that is worse than in training."""
    n, device = len(image), image.device
    image = relit(image)
    kind = torch.randint(0, 4, (n,), device=device)
    out = image.clone()
    if len(at := (kind == 0).nonzero().flatten()):
        out[at] += torch.randn_like(image[at]) * _uniform(len(at), 0.2, 0.8, device)
    if len(at := (kind == 1).nonzero().flatten()):
        out[at] = blurred(image[at], _uniform(len(at), 1.0, 2.0, device))
    if len(at := (kind == 2).nonzero().flatten()):
        low, high = image[at].amin((2, 3, 4), True), image[at].amax((2, 3, 4), True)
        share = (image[at] - low) / (high - low + 1e-7)
        out[at] = share ** _uniform(len(at), 0.4, 2.5, device) * (high - low) + low
    if len(at := (kind == 3).nonzero().flatten()):
        out[at] = _contrast(image[at], _uniform(len(at), 0.2, 0.6, device)) + _uniform(len(at), -1, 1, device)
    return out
