"""The expert of `training.simulation` for a whole batch on the card; volumes `[n, z, y, x]`.

Planes are chosen on the augmented patch, so that every corrected plane is a whole plane of voxels, as in use.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from i3deep_models.guidance import UNANNOTATED, Encoding
from i3deep_models.training.simulation import Simulation

# As many planes as an expert corrects at most, as a share of the axial planes with foreground.
MAX_BUDGET = 0.4


@dataclass
class Batch:
    """What the network is to learn from: image `[n, 1, …]`, labels and presegmentation `[n, …]`, uncertainty `[n,
    …]`."""

    image: torch.Tensor
    labels: torch.Tensor
    presegmentation: torch.Tensor
    uncertainty: torch.Tensor

    def part(self, at: torch.Tensor) -> "Batch":
        """Some of the samples."""
        return Batch(self.image[at], self.labels[at], self.presegmentation[at], self.uncertainty[at])


def entropy(probability: torch.Tensor) -> torch.Tensor:
    """Predictive entropy `[n, …]` of `[n, classes, …]`, 0 to 1."""
    classes = torch.tensor(float(probability.shape[1]), device=probability.device)
    return -(probability * probability.clamp_min(1e-12).log()).sum(1) / classes.log()


def shares(volume: torch.Tensor, weights: list[torch.Tensor]) -> list[torch.Tensor]:
    """Sums over the planes of each axis, `[n, size]`, of a volume that is weighted along each axis."""
    z, y, x = weights
    weighted = volume * z[:, :, None, None] * y[:, None, :, None] * x[:, None, None, :]
    return [weighted.sum((2, 3)), weighted.sum((1, 3)), weighted.sum((1, 2))]


@dataclass(frozen=True)
class Draw:
    """How planes are drawn for each sample: `count` and `kernel_mm` `[n]`; `greedy` `[n]` by uncertainty, else
    anywhere; `axes` `[n, 3]` that may be used; `noise` on the sums."""

    count: torch.Tensor
    kernel_mm: torch.Tensor
    greedy: torch.Tensor
    axes: torch.Tensor
    noise: float


def draw_planes(uncertainty: torch.Tensor, draw: Draw, spacing_mm: torch.Tensor) -> list[torch.Tensor]:
    """Which planes are corrected, `[n, size]` of booleans for each axis.

    Greedy draws take the plane with the most unsettled uncertainty, again and again; each settles what lies near it.
    The settling is a factor along the plane's axis, so three factors hold all of it.
    """
    n, device = len(uncertainty), uncertainty.device
    sizes = uncertainty.shape[1:]
    chosen = [torch.zeros(n, size, dtype=torch.bool, device=device) for size in sizes]
    unsettled = [torch.ones(n, size, device=device) for size in sizes]
    axis_of = torch.cat([torch.full((size,), axis, device=device) for axis, size in enumerate(sizes)])
    index_of = torch.cat([torch.arange(size, device=device) for size in sizes])
    rows = torch.arange(n, device=device)
    for step in range(int(draw.count.max())):
        sums = torch.cat(shares(uncertainty, unsettled), 1)
        if draw.noise:
            sums = sums * (draw.noise * torch.randn_like(sums)).exp()
        # A random axis, then a random plane of it.
        axis = (torch.rand(n, 3, device=device) + 10 * draw.axes).argmax(1)
        anywhere = torch.rand_like(sums) + 10 * (axis_of[None] == axis[:, None])
        score = torch.where(draw.greedy[:, None], sums * draw.axes[:, axis_of], anywhere)
        best = score.argmax(1)
        wanted = (step < draw.count) & (score[rows, best] > 0)
        for number, (planes, weights) in enumerate(zip(chosen, unsettled, strict=True)):
            mine = wanted & (axis_of[best] == number)
            index = index_of[best]
            at = torch.arange(planes.shape[1], device=device)
            planes |= mine[:, None] & (at[None] == index[:, None])
            distance_mm = (at[None] - index[:, None]).abs() * spacing_mm[number]
            settled = 1 - torch.exp(-0.5 * (distance_mm / draw.kernel_mm[:, None]) ** 2)
            weights *= torch.where(mine[:, None], settled, torch.ones_like(settled))
    return chosen


def drawn_as(simulation: Simulation, presegmentation: torch.Tensor) -> Draw:
    """Budgets and manners of drawing of a batch of experts."""
    n, device = len(presegmentation), presegmentation.device
    rand = lambda *shape: torch.rand(*shape, device=device)  # noqa: E731
    if simulation.planes == "published":
        most = torch.full((n,), max(1, presegmentation.shape[3] // 3), device=device)
    else:
        foreground = (presegmentation > 0).any(3).any(2).sum(1)
        most = (MAX_BUDGET * foreground).floor().clamp_min(3)
    count = (rand(n) * (most + 1)).floor().long()
    axes = rand(n, 3) < 0.85
    axes = torch.where(axes.any(1, keepdim=True), axes, torch.ones_like(axes)).float()
    greedy = rand(n) < 0.7
    if simulation.planes != "acquisition":
        axes, greedy = torch.ones_like(axes), torch.zeros_like(greedy)
    return Draw(count, 0.5 + 3.5 * rand(n), greedy, axes, noise=0.4)


def drawn(labels: torch.Tensor, planes: list[torch.Tensor], unsteady: torch.Tensor) -> list[torch.Tensor]:
    """What is said in the planes of each axis, UNANNOTATED elsewhere, in the order that they are drawn in; samples of
    `unsteady` `[n]` are drawn by an unsteady hand."""
    result = []
    for axis in torch.randperm(3).tolist():
        shape = [len(labels), *(labels.shape[1 + a] if a == axis else 1 for a in range(3))]
        inside = planes[axis].reshape(shape)
        said = labels
        if len(at := unsteady.nonzero().flatten()):
            said = labels.clone()
            said[at] = wavering(labels[at], axis)
        result.append(torch.where(inside, said, UNANNOTATED))
    return result


def corrections(labels: torch.Tensor, planes: list[torch.Tensor], unsteady: torch.Tensor) -> torch.Tensor:
    """As [`drawn`], as one."""
    return merged(drawn(labels, planes, unsteady))


def merged(said: list[torch.Tensor]) -> torch.Tensor:
    """What [`drawn`] answers as one; where planes cross, later ones win."""
    first, *others = said
    for later in others:
        first = torch.where(later != UNANNOTATED, later, first)
    return first


# Crossings that prove little, as in the product (`pipeline/consistency.rs`).
FEW = 5


def contradicted(said: list[torch.Tensor]) -> torch.Tensor:
    """Share `[n]` of the voxels in two planes of what [`drawn`] answers, of those that either calls foreground, of
    which planes say different things; half of it where there are `FEW`, nearly all where there are many, 0 where there
    are none."""
    each = torch.stack(said)
    spoken = each != UNANNOTATED
    crossing = (spoken.sum(0) > 1) & (each > 0).any(0)
    most, least = each.amax(0), torch.where(spoken, each, each.amax()).amin(0)
    differs = crossing & (most != least)
    of = crossing.flatten(1).sum(1)
    return differs.flatten(1).sum(1) * of / (of**2 + FEW**2)


# Of an unsteady hand: how far contours are off, in voxels (standard deviation), and the shares of hands that forget
# small parts, and that draw planes too wide and too tight by turns.
# Wider than `simulation.unsteady`, which wavers by a voxel at most: so did what the shipped hippocampus learned from.
WAVERS = (0.3, 1.5)
FORGETS = 0.3
CONTRADICTS = 0.3


def wavering(labels: torch.Tensor, axis: int) -> torch.Tensor:
    """Every plane of an axis as an unsteady hand draws it."""
    n, device = len(labels), labels.device
    size = labels.shape[1:]
    coarse = [size[a] if a == axis else max(2, size[a] // 4) for a in range(3)]
    at = torch.stack(torch.meshgrid(*(torch.arange(s, device=device).float() for s in size), indexing="ij"))
    at = at[None].repeat(n, 1, 1, 1, 1)
    amplitude = WAVERS[0] + (WAVERS[1] - WAVERS[0]) * torch.rand(n, 1, 1, 1, device=device)
    for other in (a for a in range(3) if a != axis):
        shift = F.interpolate(torch.randn(n, 1, *coarse, device=device), size, mode="trilinear")[:, 0]
        at[:, other] += shift / shift.std((1, 2, 3), keepdim=True).clamp_min(1e-6) * amplitude
    index = [at[:, a].round().long().clamp(0, size[a] - 1) for a in range(3)]
    rows = torch.arange(n, device=device).reshape(-1, 1, 1, 1)
    moved = labels[rows, index[0], index[1], index[2]]
    contradicts = (torch.rand(n, device=device) < CONTRADICTS).reshape(-1, 1, 1, 1)
    moved = torch.where(contradicts, by_turns(moved, axis), moved)
    window = [1 if a == axis else 5 for a in range(3)]
    pad = [w // 2 for w in window]
    around = F.avg_pool3d((moved > 0).float()[:, None], window, 1, pad)[:, 0] * 25
    forgets = (torch.rand(n, device=device) < FORGETS).reshape(-1, 1, 1, 1)
    return torch.where(forgets & (around < 8), 0, moved)


def by_turns(labels: torch.Tensor, axis: int) -> torch.Tensor:
    """Planes of an axis a voxel too wide and a voxel too tight by turns; grown voxels take the highest label beside
    them."""
    window = [1 if a == axis else 3 for a in range(3)]
    pad = [w // 2 for w in window]
    values = labels.float()[:, None]
    most = F.max_pool3d(values, window, 1, pad)[:, 0].long()
    least = -F.max_pool3d(-(values > 0).float(), window, 1, pad)[:, 0]
    wider = torch.where(labels > 0, labels, most)
    tighter = torch.where(least > 0, labels, 0)
    shape = [1, *(labels.shape[1 + a] if a == axis else 1 for a in range(3))]
    even = (torch.arange(labels.shape[1 + axis], device=labels.device) % 2 == 0).reshape(shape)
    return torch.where(even, wider, tighter)


def with_doubtful(batch: Batch, share: float) -> tuple[Batch, torch.Tensor]:
    """A share of the samples gets a ball of its foreground copied to where background is, which only the expert can
    judge; and the copies' labels, 0 elsewhere. See `simulation.with_doubtful_component`."""
    n, device = len(batch.labels), batch.labels.device
    component = torch.zeros_like(batch.labels)
    batch = Batch(batch.image.clone(), batch.labels, batch.presegmentation.clone(), batch.uncertainty.clone())
    size = batch.labels.shape[1:]
    box = torch.stack(torch.meshgrid(*(torch.arange(s, device=device) for s in size), indexing="ij"))
    for row in (torch.rand(n) < share).nonzero().flatten().tolist():
        radius = int(torch.randint(3, 7, ()))
        inside = (batch.labels[row] > 0).nonzero()
        if not len(inside):
            continue
        source = inside[int(torch.randint(len(inside), ()))]
        target = torch.stack([torch.randint(radius, s - radius, (), device=device) for s in size])
        away = ((box - target.reshape(3, 1, 1, 1)) ** 2).sum(0)
        ball = away <= radius**2
        if bool(((batch.labels[row] > 0) | (batch.presegmentation[row] > 0))[ball].any()):
            continue
        shift = (target - source).tolist()
        copied = torch.roll(batch.labels[row], shift, (0, 1, 2))
        # A soft rim, or the ball's edge would give the copy away.
        weight = (radius + 0.5 - away.sqrt()).clamp(0, 1)
        moved = torch.roll(batch.image[row, 0], shift, (0, 1, 2))
        batch.image[row, 0] += weight * (moved - batch.image[row, 0])
        component[row] = torch.where(ball, copied, 0)
        if float(torch.rand(())) < 0.7:
            batch.presegmentation[row] = torch.where(ball, copied, batch.presegmentation[row])
        doubt = 0.2 + 0.7 * torch.rand((), device=device)
        batch.uncertainty[row] = torch.where(
            component[row] > 0, batch.uncertainty[row].clamp_min(doubt), batch.uncertainty[row]
        )
    return batch, component


@dataclass(frozen=True)
class Met:
    """A batch after its experts were at work, and what they said."""

    batch: Batch
    corrections: torch.Tensor


def meet(batch: Batch, simulation: Simulation, spacing_mm: torch.Tensor) -> Met:
    """Experts at work on a batch. A doubtful component is what they say it is, true or false by a coin; where no plane
    meets it, it is what the presegmentation says."""
    batch, component = with_doubtful(batch, simulation.doubtful)
    planes = draw_planes(batch.uncertainty, drawn_as(simulation, batch.presegmentation), spacing_mm)
    z, y, x = planes
    seen = z[:, :, None, None] | y[:, None, :, None] | x[:, None, None, :]
    met = ((component > 0) & seen).flatten(1).any(1)
    shown = ((component > 0) & (batch.presegmentation > 0)).flatten(1).any(1)
    n, device = len(component), component.device
    true = torch.where(met, torch.rand(n, device=device) < 0.5, shown).reshape(-1, 1, 1, 1)
    labels = torch.where((component > 0) & true, component, batch.labels)
    unsteady = torch.rand(n, device=device) < simulation.imperfect
    batch = Batch(batch.image, labels, batch.presegmentation, batch.uncertainty)
    return Met(batch, corrections(labels, planes, unsteady))


def channels(met: Met, heads: int, encoding: Encoding) -> torch.Tensor:
    """Guidance channels `[n, G, z, y, x]`, as `guidance.channels` makes them of one case."""
    parts = [met.corrections == head for head in range(1, heads)]
    if encoding.annotated:
        parts.append(met.corrections != UNANNOTATED)
    parts = [part.float() for part in parts]
    if encoding.presegmentation == "labels":
        parts += [(met.batch.presegmentation == head).float() for head in range(1, heads)]
    if encoding.presegmentation == "doubted":
        sure = 1 - met.batch.uncertainty
        parts += [(met.batch.presegmentation == head) * sure for head in range(heads)]
    return torch.stack(parts, 1)
