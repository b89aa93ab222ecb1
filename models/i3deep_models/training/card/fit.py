"""Training by the clock: a network learns until its seconds are over, at nnU-Net's learning rate over that time."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from pydoc import locate
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from i3deep_models.training.card import augment, expert
from i3deep_models.training.card.pack import CONFIGURATION, Pack


def build(plans: dict, channels: int, heads: int) -> nn.Module:
    """nnU-Net's network of a plan, with deep supervision and nnU-Net's first weights."""
    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    arguments = dict(architecture["arch_kwargs"])
    for name in architecture["_kw_requires_import"]:
        if arguments[name] is not None:
            arguments[name] = locate(arguments[name])
    network_class = locate(architecture["network_class_name"])
    network = network_class(input_channels=channels, num_classes=heads, deep_supervision=True, **arguments)
    network.apply(network.initialize)
    return network


class Cases:
    """A task's cases on the card, padded to one size; sizes, and voxels of each label to lay patches around."""

    def __init__(self, pack: Pack, device: torch.device, around_labels: float = 1 / 3, voxels: int = 2048):
        """Uploads all cases of a pack. `around_labels`: share of the patches that lie around a labelled voxel."""
        self.pack, self.device, self.around_labels = pack, device, around_labels
        sizes = torch.tensor([image.shape for image in pack.images])
        self.sizes = sizes.to(device)
        configuration = pack.plans["configurations"][CONFIGURATION]
        self.patch = tuple(configuration["patch_size"])
        self.spacing_mm = torch.tensor(configuration["spacing"], device=device, dtype=torch.float32)
        # A multiple of what any network here halves, so that whole cases fit one as well.
        self.size = tuple(int(-(-int(most) // 16) * 16) for most in sizes.max(0).values)
        self.images = torch.zeros(len(sizes), *self.size, dtype=torch.float16, device=device)
        self.labels = torch.zeros(len(sizes), *self.size, dtype=torch.uint8, device=device)
        for number, (image, labels) in enumerate(zip(pack.images, pack.labels, strict=True)):
            at = (number, *(slice(0, size) for size in image.shape))
            values = torch.from_numpy(image).to(device).float() * pack.step + pack.low
            self.images[at] = values.half()
            self.labels[at] = torch.from_numpy(labels).to(device)
        self.heads = len(pack.dataset["labels"])
        self.source = augment.Source(self.size, self.spacing_mm, tuple(pack.mirror_axes))
        generator = torch.Generator().manual_seed(0)
        self.around = []
        for number in range(len(sizes)):
            self.around.append(self._around(number, voxels, generator))
        self.around = torch.stack(self.around).to(device)

    def _around(self, number: int, voxels: int, generator: torch.Generator) -> torch.Tensor:
        """Some of a case's labelled voxels, of every label alike, as nnU-Net draws them; its middle if it has none."""
        labels = self.labels[number]
        inside = [(labels == head).nonzero().cpu() for head in range(1, self.heads)]
        inside = [places for places in inside if len(places)] or [(self.sizes[number] // 2)[None].cpu()]
        share = -(-voxels // len(inside))
        drawn = [places[torch.randint(len(places), (share,), generator=generator)] for places in inside]
        return torch.cat(drawn)[torch.randperm(share * len(inside), generator=generator)][:voxels]

    def numbers(self, names: list[str]) -> torch.Tensor:
        """Numbers of cases by name."""
        return torch.tensor([self.pack.cases.index(name) for name in names], device=self.device)

    def centres(self, cases: torch.Tensor) -> torch.Tensor:
        """Where patches lie: around a labelled voxel in a share of them, else anywhere they fit; a patch as large as
        its case is off its middle by up to four voxels."""
        n = len(cases)
        sizes = self.sizes[cases].float()
        half = torch.tensor(self.patch, device=self.device) / 2
        low = torch.minimum(half, sizes / 2 - 4)
        high = torch.maximum(sizes - half, sizes / 2 + 4)
        anywhere = low + torch.rand(n, 3, device=self.device) * (high - low)
        pick = torch.randint(self.around.shape[1], (n,), device=self.device)
        around = self.around[cases, pick].float()
        around = torch.minimum(torch.maximum(around, low), high)
        mine = torch.rand(n, 1, device=self.device) < self.around_labels
        return torch.where(mine, around, anywhere).floor()


@dataclass(frozen=True)
class Step:
    """What one step learns from: input `[n, channels, …]`, target `[n, …]`, weight of each voxel's cross-entropy."""

    data: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor | None = None


def presegmentation_steps(cases: Cases, numbers: torch.Tensor, batch: int) -> Iterator[Step]:
    """Endless augmented patches of some cases."""
    while True:
        chosen = numbers[torch.randint(len(numbers), (batch,), device=cases.device)]
        at = augment.placing(cases.centres(chosen), cases.source, cases.patch)
        image = augment.relit(augment.placed(cases.images[chosen][:, None], at))
        yield Step(image, augment.placed_labels(cases.labels[chosen], cases.heads, at))


@dataclass(frozen=True)
class Learned:
    """Out-of-fold presegmentations: probabilities of every case, `[n, variants, heads, z, y, x]` f16 on the padded
    size. Variant 0 is the network at its best; the others are of spoilt scans."""

    probabilities: torch.Tensor
    at_best: float = 0.6


def refinement_steps(
    cases: Cases, numbers: torch.Tensor, batch: int, learned: Learned, refinement: "Refinement"
) -> Iterator[Step]:
    """Endless patches with presegmentations by networks that do not know the case, and experts at work on them."""
    while True:
        chosen = numbers[torch.randint(len(numbers), (batch,), device=cases.device)]
        at = augment.placing(cases.centres(chosen), cases.source, cases.patch)
        variants = learned.probabilities.shape[1]
        other = torch.randint(1, variants, (batch,), device=cases.device) if variants > 1 else torch.zeros_like(chosen)
        best = torch.rand(batch, device=cases.device) < learned.at_best
        found = learned.probabilities[chosen, torch.where(best, 0, other)]
        # Outside the case it is background for certain.
        found = augment.placed(found[:, 1:], at).clamp(0, 1)
        found = torch.cat([(1 - found.sum(1, keepdim=True)).clamp_min(0), found], 1)
        met = expert.meet(
            expert.Batch(
                image=augment.placed(cases.images[chosen][:, None], at),
                labels=augment.placed_labels(cases.labels[chosen], cases.heads, at),
                presegmentation=found.argmax(1),
                uncertainty=expert.entropy(found),
            ),
            refinement.simulation,
            cases.spacing_mm,
        )
        guidance = expert.channels(met, cases.heads, refinement.encoding)
        if refinement.encoding.presegmentation != "none":
            seen = guidance.shape[1] - (cases.heads - 1) - int(refinement.encoding.annotated)
            dropped = torch.rand(batch, 1, 1, 1, 1, device=cases.device) < refinement.drop_presegmentation
            guidance[:, -seen:] *= ~dropped
        weight = None
        if refinement.wrong_weight != 1:
            wrong = (met.batch.presegmentation != met.batch.labels) & (met.corrections < 0)
            weight = 1 + (refinement.wrong_weight - 1) * wrong.float()
        yield Step(torch.cat([augment.relit(met.batch.image), guidance], 1), met.batch.labels, weight)


@dataclass(frozen=True)
class Refinement:
    """What makes a refinement."""

    encoding: expert.Encoding
    simulation: expert.Simulation
    # Logits of the presegmentation where it is sure, which the network's are added to; 0 where they are not.
    residual: float = 0.0
    # How much more a voxel counts where the presegmentation is wrong.
    wrong_weight: float = 1.0
    drop_presegmentation: float = 0.15


@dataclass(frozen=True)
class Schedule:
    """How long, how much at a time, how fast, and by whose rule: nnU-Net's, or Adam's, which is further after few
    steps."""

    seconds: float
    batch: int
    rate: float = 0.01
    rule: Literal["nnunet", "adam"] = "nnunet"

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """At its first rate."""
        if self.rule == "adam":
            return torch.optim.AdamW(network.parameters(), self.rate, weight_decay=1e-4)
        return torch.optim.SGD(network.parameters(), self.rate, momentum=0.99, weight_decay=3e-5, nesterov=True)


@dataclass(frozen=True)
class Keeping:
    """Where a training is kept every so many seconds, so that one that was cut off goes on; `job` says what it is of,
    and what another job left behind is not gone on with."""

    file: Path
    job: dict
    every_s: float = 120.0

    def read(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, int]:
        """Seconds and steps that were taken before; 0 where nothing is kept."""
        if not self.file.exists():
            return 0.0, 0
        kept = torch.load(self.file, map_location="cpu")
        if kept["job"] != self.job:
            return 0.0, 0
        network.load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["random"])
        if torch.cuda.is_available() and kept["random_card"] is not None:
            torch.cuda.set_rng_state(kept["random_card"])
        return kept["passed"], kept["taken"]

    def write(self, network: nn.Module, optimizer: torch.optim.Optimizer, passed: float, taken: int) -> None:
        """Whole or not at all."""
        kept = {
            "job": self.job,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "passed": passed,
            "taken": taken,
            "random": torch.get_rng_state(),
            "random_card": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }
        unfinished = self.file.with_suffix(".unfinished")
        torch.save(kept, unfinished)
        unfinished.replace(self.file)


def prior(data: torch.Tensor, heads: int, residual: float, shapes: list[torch.Size]) -> list[torch.Tensor | float]:
    """The presegmentation's logits for outputs of several sizes: `residual` times its channels, the last of the
    input."""
    if residual == 0:
        return [0.0 for _ in shapes]
    seen = data[:, -heads:] * residual
    return [seen if seen.shape[2:] == shape[2:] else F.adaptive_avg_pool3d(seen, shape[2:]) for shape in shapes]


def loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """nnU-Net's cross-entropy + soft Dice of every sample's foreground labels."""
    logits = logits.float()
    each = F.cross_entropy(logits, target, reduction="none")
    cross_entropy = each.mean() if weight is None else (each * weight).sum() / weight.sum()
    probability = logits.softmax(1)[:, 1:]
    truth = torch.stack([(target == head) for head in range(1, logits.shape[1])], 1).float()
    both = (probability * truth).sum((2, 3, 4))
    total = probability.sum((2, 3, 4)) + truth.sum((2, 3, 4))
    return cross_entropy - ((2 * both + 1e-5) / (total + 1e-5).clamp_min(1e-8)).mean()


def mixed(device: torch.device) -> torch.autocast | nullcontext:
    """bf16 on the card."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def laid_out(data: torch.Tensor) -> torch.Tensor:
    """In the order that networks compute fastest in, where that is known."""
    return data.contiguous(memory_format=torch.channels_last_3d) if data.device.type == "cpu" else data


def fit(
    network: nn.Module,
    steps: Iterator[Step],
    heads: int,
    schedule: Schedule,
    residual: float = 0.0,
    keeping: Keeping | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Trains by nnU-Net's rule (SGD with momentum 0.99, weight decay 3e-5, a polynomial rate, gradients to norm 12,
    deep supervision), or with Adam in place of SGD, until the time is over; returns the steps taken. Goes on from where
    `keeping` has it."""
    device = next(network.parameters()).device
    optimizer = schedule.optimizer(network)
    outputs = len(network.decoder.seg_layers)
    weights = torch.tensor([1 / 2**level for level in range(outputs)])
    if outputs > 1:
        weights[-1] = 0
    weights = (weights / weights.sum()).tolist()
    before_s, taken = keeping.read(network, optimizer) if keeping else (0.0, 0)
    if device.type == "cpu":
        # A processor computes a step in two thirds of the time where a voxel's channels lie side by side.
        network.to(memory_format=torch.channels_last_3d)
    network.train()
    begun, told, kept = time.monotonic() - before_s, before_s, before_s
    while (passed := time.monotonic() - begun) < schedule.seconds:
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * max(1e-3, 1 - passed / schedule.seconds) ** 0.9
        step = next(steps)
        with mixed(device):
            answers = network(laid_out(step.data))
        priors = prior(step.data, heads, residual, [answer.shape for answer in answers])
        total = torch.zeros((), device=device)
        for answer, before, share in zip(answers, priors, weights, strict=True):
            if share == 0:
                continue
            shape = answer.shape[2:]
            smaller = lambda v: F.interpolate(v[:, None].float(), shape, mode="nearest")[:, 0]  # noqa: B023, E731
            target = step.target if step.target.shape[1:] == shape else smaller(step.target).long()
            weight = step.weight if step.weight is None or step.weight.shape[1:] == shape else smaller(step.weight)
            total = total + share * loss(answer.float() + before, target, weight)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        taken += 1
        if passed - told > 20:
            told = passed
            say(f"{passed:.0f} s, {taken} steps, loss {float(total.detach()):.3f}")
        if keeping and passed - kept > keeping.every_s:
            kept = passed
            keeping.write(network, optimizer, passed, taken)
    network.eval()
    return taken


@dataclass(frozen=True)
class Prediction:
    """How whole cases are predicted: by patches of a size, with the means over these mirrors, and the presegmentation's
    logits as in [`prior`]."""

    heads: int
    patch: tuple[int, ...]
    mirror_axes: tuple[int, ...] = ()
    residual: float = 0.0


# A case this much larger than its patch is predicted in one piece all the same; in more, features are normalised over
# other voxels than in training.
ONE_PIECE = 1.25


@torch.no_grad()
def predict(network: nn.Module, data: torch.Tensor, how: Prediction) -> torch.Tensor:
    """Mean probabilities `[n, heads, …]` of whole cases: in one piece where they are hardly larger than a patch, else
    by patches half a patch apart, weighted as nnU-Net weights them."""
    size = data.shape[2:]
    if all(whole <= ONE_PIECE * part for whole, part in zip(size, how.patch, strict=True)):
        return _over_mirrors(network, data, how)
    patch = [min(whole, part) for whole, part in zip(size, how.patch, strict=True)]
    weight = gaussian(patch, data.device)
    total = torch.zeros(len(data), how.heads, *size, device=data.device)
    weights = torch.zeros(size, device=data.device)
    for z, y, x in product(*(starts(whole, part) for whole, part in zip(size, patch, strict=True))):
        at = (..., slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2]))
        total[at] += weight * _over_mirrors(network, data[at], how)
        weights[at] += weight
    return total / weights


def _over_mirrors(network: nn.Module, data: torch.Tensor, how: Prediction) -> torch.Tensor:
    axes = [axis + 2 for axis in how.mirror_axes]
    flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]
    total = torch.zeros((), device=data.device)
    for flip in flips:
        turned = data.flip(flip) if flip else data
        with mixed(data.device):
            answer = network(laid_out(turned))
        answer = answer[0] if isinstance(answer, (list, tuple)) else answer
        logits = answer.float() + prior(turned, how.heads, how.residual, [answer.shape])[0]
        total = total + (logits.flip(flip) if flip else logits).softmax(1)
    return total / len(flips)


def starts(whole: int, part: int) -> list[int]:
    """Where patches begin along an axis, no more than half a patch apart."""
    count = max(1, math.ceil((whole - part) / (part / 2)) + 1) if whole > part else 1
    return [round(number * (whole - part) / max(1, count - 1)) for number in range(count)]


def gaussian(patch: list[int], device: torch.device) -> torch.Tensor:
    """nnU-Net's weights of a patch's voxels: a Gaussian of an eighth of the patch, nowhere less than a thousandth."""
    at = [torch.exp(-0.5 * ((torch.arange(size, device=device) - (size - 1) / 2) / (size / 8)) ** 2) for size in patch]
    return torch.einsum("i,j,k->ijk", *at).clamp_min(1e-3)
