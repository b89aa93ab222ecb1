"""How far an expert's planes are to be believed: fits what `backend/src/pipeline/blend.rs` blends by.

`python -m i3deep_models.training.card.listening PACK PRESEGMENTATION.pt REFINEMENT.pt [REFINEMENT.pt …]`, with weights
in f32 of fold 0. On its validation cases, with logits as the product has them (means over mirrors, patches and
networks) and steady and wavering experts. The presegmentation's margins are of the entropy of these logits' softmax;
the product has that of the mean of the samples' probabilities, over all folds, which is a little less sure, so that
it hears the presegmentation a little less than what is tried here. Each half of the cases is judged by what was
fitted to the other; what is printed last was fitted to all.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from itertools import combinations, product
from pathlib import Path

import torch
from torch.nn import functional as F

from i3deep_models.guidance import Encoding
from i3deep_models.training.card import expert, fit
from i3deep_models.training.card.pack import read_pack
from i3deep_models.training.card.run import HANDS, dice, grown, steady_draw

REACH_MM = 7.0
BUDGETS = (0.1, 0.2)
# How sharply a hand ceases to be taken for steady.
SHARPNESS = 7.0
LEAST_PROBABILITY = 1e-4
# Voxels that nothing can turn are left out of the fit.
MOVED, SETTLED = 0.02, 0.98


@dataclass(frozen=True)
class Sample:
    """A case and an expert: logits `[heads, z, y, x]`, corrections (UNANNOTATED elsewhere), presegmentation, how sure
    that is (see [`margin`]) and truth `[z, y, x]`, what the planes pass on (see [`passed_on`]), and the logarithm of
    the surprise; and `contradicted`, see [`expert.contradicted`]."""

    logits: torch.Tensor
    said: torch.Tensor
    presegmentation: torch.Tensor
    margin: torch.Tensor
    truth: torch.Tensor
    passed: torch.Tensor
    surprise: float
    contradicted: float = 0.0

    def doubt(self) -> float:
        """The logarithm of the surprise, and what the hand contradicts beyond what any hand does."""
        return self.surprise + CONTRADICTED * max(0.0, self.contradicted - TOLERATED)

    def voxels(self) -> torch.Tensor:
        """Outside the planes, and such that blending may turn them."""
        turned = self.presegmentation != self.logits.argmax(0)
        unsure = self.logits.softmax(0).amax(0) < SETTLED
        return (self.said < 0) & (turned | unsure | (self.passed.abs().amax(0) > MOVED))


@dataclass(frozen=True)
class Belief:
    """`scale` of the network's logits; in units of these: logits of an error of 1 in its plane, of the presegmentation
    for each nat of its margin and unit of surprise beyond `heard_from`; and the surprise up to which a hand is taken
    for steady."""

    scale: float = 1.0
    pull: float = 2.0
    steady: float = 1.5
    heard: float = 1.0
    heard_from: float = 1.5


# How much a share of contradictions beyond that of any hand adds to the logarithm of the surprise; chosen as what is
# heard, see [`PRODUCT`].
CONTRADICTED, TOLERATED = 2.0, 0.1
# What the product believes; from when on the presegmentation is heard, and how much, is not fitted by cross-entropy but
# chosen by the cases that end below pasting.
PRODUCT = Belief(pull=2.8, steady=1.6, heard=2.5, heard_from=1.7)


# Nobody is surer than this, in nats.
SUREST = 9.0


def margin(entropy: torch.Tensor, heads: int) -> torch.Tensor:
    """Nats by which a label is ahead of all others together, by the entropy of its voxel (1 is the most that so many
    heads can have), as if there were one other: all that is kept of a presegmentation are labels and entropy."""
    margins = torch.linspace(SUREST, 0, 1025)
    p = margins.sigmoid()
    nats = -(p * p.log() + (1 - p) * (1 - p).log())
    wanted = (entropy * math.log(heads)).clamp(float(nats[0]), float(nats[-1]))
    after = torch.searchsorted(nats, wanted.contiguous()).clamp(1, len(nats) - 1)
    share = (wanted - nats[after - 1]) / (nats[after] - nats[after - 1])
    return margins[after - 1] + share * (margins[after] - margins[after - 1])


def passed_on(
    probability: torch.Tensor, said: torch.Tensor, planes: list[torch.Tensor], spacing_mm: list[float], reach_mm: float
) -> torch.Tensor:
    """What is wrong in corrected planes (`[size]` booleans an axis), `[heads, z, y, x]`: the corrected label less the
    network's probability, fading to nothing at `reach_mm` along the plane's axis; of the next planes on both sides."""
    total = torch.zeros_like(probability)
    for axis, chosen in enumerate(planes):
        indices = chosen.nonzero().flatten().tolist()
        for number, index in enumerate(indices):
            right = F.one_hot(said.select(axis, index), len(probability)).permute(2, 0, 1)
            error = right - probability.select(axis + 1, index)
            first = indices[number - 1] + 1 if number else 0
            last = indices[number + 1] if number + 1 < len(indices) else said.shape[axis]
            for at in range(first, last):
                nearness = 1 - abs(at - index) * spacing_mm[axis] / reach_mm
                if nearness > 0:
                    total.select(axis + 1, at).add_(nearness * error)
    return total


def log_surprise(logits: torch.Tensor, said: torch.Tensor, planes: list[torch.Tensor]) -> float:
    """Of the corrected planes, one by one: cross-entropy by entropy, its logarithm."""
    log = logits.log_softmax(0)
    got = -log.clamp_min(math.log(LEAST_PROBABILITY)).gather(0, said.clamp_min(0)[None])[0]
    expected = -(log.exp() * log).sum(0)
    sums = [
        torch.stack([v.transpose(0, axis)[chosen].sum() for v in (got, expected)]) for axis, chosen in enumerate(planes)
    ]
    total = torch.stack(sums).sum(0)
    return float((total[0] / total[1]).log())


def blended(sample: Sample, belief: list[torch.Tensor], voxels: torch.Tensor) -> torch.Tensor:
    """Logits `[heads, n]` of some voxels."""
    scale, pull, steady, heard, heard_from = belief
    steadiness = torch.sigmoid(SHARPNESS * (steady - sample.surprise))
    before = F.one_hot(sample.presegmentation[voxels], len(sample.logits)).T * sample.margin[voxels]
    ahead = heard * (sample.doubt() - heard_from).clamp_min(0)
    return scale * (sample.logits[:, voxels] + steadiness * pull * sample.passed[:, voxels] + ahead * before)


def fitted(samples: list[Sample], first: Belief) -> Belief:
    """The belief of the least cross-entropy outside the planes."""
    belief = [torch.tensor(value, requires_grad=True) for value in astuple(first)]
    optimizer = torch.optim.LBFGS(belief, max_iter=60, line_search_fn="strong_wolfe")
    parts = [(sample, at, sample.truth[at]) for sample in samples for at in [sample.voxels()]]
    count = sum(len(truth) for _, _, truth in parts)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        losses = [F.cross_entropy(blended(s, belief, at).T, truth, reduction="sum") for s, at, truth in parts]
        loss = torch.stack(losses).sum() / count
        loss.backward()
        return loss

    optimizer.step(step)
    return Belief(*(float(value.detach()) for value in belief))


def scores(sample: Sample, belief: Belief | None) -> tuple[float, float, float]:
    """Dice outside the planes, Dice everywhere, and how far the latter is above the presegmentation with the planes
    pasted in; as the network has it where nothing is believed."""
    heads, outside = len(sample.logits), sample.said < 0
    labels = sample.logits.argmax(0)
    if belief is not None:
        voxels = sample.voxels()
        labels[voxels] = blended(sample, [torch.tensor(v) for v in astuple(belief)], voxels).argmax(0)
    whole, pasted = (torch.where(outside, v, sample.said) for v in (labels, sample.presegmentation))
    everywhere, before = (float(dice(v, sample.truth, heads)) for v in (whole, pasted))
    return float(dice(labels, sample.truth, heads, outside)), everywhere, everywhere - before


@torch.no_grad()
def mean_logits(networks: list[torch.nn.Module], data: torch.Tensor, cases: fit.Cases) -> torch.Tensor:
    """Means over mirrors, networks and patches (half a patch apart, weighted as nnU-Net weights them) of a case
    `[1, channels, z, y, x]`; one that is smaller than a patch lies in its middle."""
    size, patch = data.shape[2:], cases.patch
    full = [max(pair) for pair in zip(size, patch, strict=True)]
    middle = (..., *(slice((f - s) // 2, (f - s) // 2 + s) for f, s in zip(full, size, strict=True)))
    padded = torch.zeros(*data.shape[:2], *full)
    padded[middle] = data
    weight = fit.gaussian(list(patch), torch.device("cpu"))
    total, weights = torch.zeros(1, cases.heads, *full), torch.zeros(full)
    axes = [axis + 2 for axis in cases.source.mirror_axes]
    flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]
    for corner in product(*(fit.starts(f, p) for f, p in zip(full, patch, strict=True))):
        at = (..., *(slice(c, c + p) for c, p in zip(corner, patch, strict=True)))
        each = [network(padded[at].flip(flip))[0].float().flip(flip) for network in networks for flip in flips]
        total[at] += weight * torch.stack(each).mean(0)
        weights[at] += weight
    return (total / weights)[middle]


def samples_of(number: int, networks: list[list[torch.nn.Module]], cases: fit.Cases) -> dict[str, Sample]:
    """A case met by every hand at every budget. `networks`: presegmentation, refinements."""
    z, y, x = cases.sizes[number].tolist()
    image, truth = (v[number, :z, :y, :x][None] for v in (cases.images, cases.labels.long()))
    image = image[None].float()
    before = mean_logits(networks[0], image, cases).softmax(1)
    batch = expert.Batch(image, truth, before.argmax(1), expert.entropy(before))
    found = {}
    for budget in BUDGETS:
        planes = expert.draw_planes(batch.uncertainty, steady_draw(batch, budget, cases.device), cases.spacing_mm)
        for hand in HANDS:
            torch.manual_seed(number)
            drawn = expert.drawn(truth, planes, torch.tensor([hand == "unsteady"]))
            said = expert.merged(drawn)
            guidance = expert.channels(expert.Met(batch, said), cases.heads, Encoding(annotated=True))
            logits = mean_logits(networks[1], torch.cat([image, guidance], 1), cases)[0]
            chosen = [axis[0] for axis in planes]
            sample = Sample(
                logits=logits,
                said=said[0],
                presegmentation=batch.presegmentation[0],
                margin=margin(batch.uncertainty[0], cases.heads),
                truth=truth[0],
                passed=passed_on(logits.softmax(0), said[0], chosen, cases.spacing_mm.tolist(), REACH_MM),
                surprise=log_surprise(logits, said[0], chosen),
                contradicted=float(expert.contradicted(drawn)),
            )
            found[f"{hand} {budget}"] = sample
    return found


def loaded(file: str, cases: fit.Cases) -> torch.nn.Module:
    """A network by its weights; how many channels it sees they say."""
    weights = torch.load(file, map_location="cpu")
    stem = min(name for name, weight in weights.items() if name.startswith("encoder.stages.0.") and weight.ndim == 5)
    channels = weights[stem].shape[1]
    network = fit.build(cases.pack.plans, channels, cases.heads)
    network.load_state_dict(grown(weights, network))
    return network.eval()


def table(halves: list[list[dict[str, Sample]]], belief: Callable[[int], Belief | None]) -> list[str]:
    """A line for each hand and budget: means, cases more than 0.01 below pasting, the worst of them."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for half, cases in enumerate(halves):
        for case in cases:
            for key, sample in case.items():
                rows.setdefault(key, []).append(scores(sample, belief(half)))
    lines = []
    for key, values in rows.items():
        outside, everywhere, ahead = torch.tensor(values).T
        below = f"{int((ahead < -0.01).sum())} below pasting, worst {float(ahead.min()):.3f}"
        lines.append(f"{key}: outside {float(outside.mean()):.4f}, everywhere {float(everywhere.mean()):.4f}, {below}")
    return lines


def main() -> None:
    """`PACK PRESEGMENTATION.pt REFINEMENT.pt …`."""
    pack, first, *others = sys.argv[1:]
    cases = fit.Cases(read_pack(Path(pack)), torch.device("cpu"))
    networks = [[loaded(first, cases)], [loaded(file, cases) for file in others]]
    numbers = cases.numbers(cases.pack.splits[0]["val"]).tolist()
    met = [samples_of(number, networks, cases) for number in numbers]
    for hand in HANDS:
        surprises = torch.tensor([s.surprise for case in met for key, s in case.items() if key.startswith(hand)])
        print(f"surprise of {hand} hands: {[round(float(q), 2) for q in surprises.quantile(torch.linspace(0, 1, 5))]}")
    halves = [met[0::2], met[1::2]]
    beliefs = [fitted([s for case in half for s in case.values()], Belief()) for half in halves]
    print("nothing believed", *table(halves, lambda _: None), sep="\n  ")
    print("believed", *table(halves, lambda half: beliefs[1 - half]), sep="\n  ")
    for belief in (*beliefs, fitted([s for case in met for s in case.values()], Belief())):
        print(belief)


if __name__ == "__main__":
    main()
