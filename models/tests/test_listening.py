"""What Rust's `pipeline::blend` is tested against, and what fits its constants. Run this file to write the fixture anew
after a change of the rules on both sides."""

import json
from dataclasses import asdict, astuple, replace
from pathlib import Path

import pytest
import torch

from i3deep_models.guidance import UNANNOTATED
from i3deep_models.training.card.listening import (
    CONTRADICTED,
    PRODUCT,
    TOLERATED,
    Belief,
    Sample,
    blended,
    fitted,
    log_surprise,
    margin,
    passed_on,
    scores,
)

FILE = Path(__file__).parent.parent / "fixtures" / "blending.json"
SIZE, HEADS, REACH_MM = (5, 6, 7), 3, 3.5
SPACING_MM = [1.5, 1.0, 0.8]
# Corrected planes (axis, index), how many nats the network is off on average, and the share of what planes contradict.
CASES = [
    ([(0, 1)], 1.0, 0.0),
    ([(0, 1), (0, 3)], 1.0, 0.0),
    ([(0, 2), (2, 5)], 1.0, 0.8),
    ([(0, 2), (2, 5)], 2.7, 0.0),
    ([(1, 0), (1, 4), (2, 3)], 6.0, 0.2),
]


def sample(planes: list[tuple[int, int]], nats: float, contradicted: float) -> tuple[Sample, torch.Tensor]:
    """A case of random labels, and a network that is often wrong, the more so, the more nats it is ahead by; and the
    entropy of its presegmentation."""
    generator = torch.Generator().manual_seed(len(planes))
    truth, before, guess = (torch.randint(HEADS, SIZE, generator=generator) for _ in range(3))
    logits = torch.randn(HEADS, *SIZE, generator=generator)
    logits = (logits + nats * torch.nn.functional.one_hot(guess, HEADS).permute(3, 0, 1, 2)).half().float()
    said = torch.full(SIZE, UNANNOTATED)
    chosen = [torch.zeros(size, dtype=torch.bool) for size in SIZE]
    for axis, index in planes:
        said.select(axis, index).copy_(truth.select(axis, index))
        chosen[axis][index] = True
    passed = passed_on(logits.softmax(0), said, chosen, SPACING_MM, REACH_MM)
    doubt = torch.rand(SIZE, generator=generator) ** 4
    surprise = log_surprise(logits, said, chosen)
    return Sample(logits, said, before, margin(doubt, HEADS), truth, passed, surprise, contradicted), doubt


def described(planes: list[tuple[int, int]], nats: float, contradicted: float) -> dict:
    """A case with everything that Rust needs to repeat it."""
    case, doubt = sample(planes, nats, contradicted)
    everywhere = torch.ones(SIZE, dtype=torch.bool)
    moved = blended(case, [torch.tensor(value) for value in astuple(PRODUCT)], everywhere)
    rounded = lambda values: [round(float(value), 4) for value in values.flatten()]  # noqa: E731
    return {
        "planes": [list(plane) for plane in planes],
        "logits": rounded(case.logits),
        "corrections": case.truth.flatten().tolist(),
        "presegmentation": case.presegmentation.flatten().tolist(),
        "uncertainty": [round(float(value), 6) for value in doubt.flatten()],
        "contradicted": contradicted,
        "log_surprise": round(case.surprise, 4),
        "blended": rounded(moved),
    }


def content() -> dict:
    """The whole fixture."""
    about = {"size": list(SIZE), "heads": HEADS, "spacing_mm": SPACING_MM, "reach_mm": REACH_MM}
    return {
        **about,
        "belief": {**asdict(PRODUCT), "contradicted": CONTRADICTED, "tolerated": TOLERATED},
        "cases": [described(*case) for case in CASES],
    }


def test_the_fixture_is_what_this_code_computes():
    stored, made = json.loads(FILE.read_text()), content()
    for ours, theirs in zip(made.pop("cases"), stored.pop("cases"), strict=True):
        for name, values in ours.items():
            assert values == pytest.approx(theirs[name], abs=1e-3) if name != "planes" else values == theirs[name]
    assert made == stored


def test_a_margin_is_that_of_two_labels_with_this_entropy():
    p = torch.tensor([0.5, 0.6, 0.9, 0.999, 1 - 1e-5, 1 - 1e-7])
    nats = -(p * p.log() + (1 - p) * (1 - p).log())
    for heads in (2, 3, 7):
        found = margin(nats / torch.tensor(float(heads)).log(), heads)
        torch.testing.assert_close(found, (p / (1 - p)).log().clamp_max(9), atol=2e-3, rtol=0)
    # Three labels can be in more doubt than two.
    assert margin(torch.ones(1), 3).item() == 0


def test_what_is_wrong_in_a_plane_fades_beside_it():
    probability = torch.zeros(2, 6, 3, 3)
    probability[0] = 1
    said = torch.full((6, 3, 3), UNANNOTATED)
    said[2] = 0
    said[2, 1, 1] = 1
    chosen = [torch.arange(6) == 2, torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)]
    passed = passed_on(probability, said, chosen, [1.0, 1.0, 1.0], 2.0)
    assert passed[1, :, 1, 1].tolist() == [0, 0.5, 1, 0.5, 0, 0]
    assert passed[0, :, 1, 1].tolist() == [0, -0.5, -1, -0.5, 0, 0]
    assert passed[:, :, 0].abs().sum() == 0


def test_a_steady_hand_is_believed_and_one_that_says_anything_is_not():
    steady, wild = [], []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        truth = (torch.rand(1, 8, 8, generator=generator) < 0.5).long().repeat(9, 1, 1)
        logits = torch.randn(2, 9, 8, 8, generator=generator) * 0.3
        for cases, drawn in ((steady, truth[4]), (wild, torch.randint(2, (8, 8), generator=generator))):
            said = torch.full(truth.shape, UNANNOTATED)
            said[4] = drawn
            chosen = [torch.arange(9) == 4, torch.zeros(8, dtype=torch.bool), torch.zeros(8, dtype=torch.bool)]
            passed = passed_on(logits.softmax(0), said, chosen, [1.0] * 3, 7.0)
            sure = torch.ones(truth.shape)
            cases.append(Sample(logits, said, truth, sure, truth, passed, log_surprise(logits, said, chosen)))
    first = Belief(heard=0.0)
    # The network knows nothing, so that its own scale is left to chance.
    believed, ignored = fitted(steady, first), fitted(wild, replace(first, steady=3.0))
    assert believed.scale * believed.pull > 2
    assert abs(ignored.scale * ignored.pull) < 0.3
    assert scores(steady[0], PRODUCT)[0] > scores(steady[0], None)[0] + 0.2


if __name__ == "__main__":
    FILE.write_text(json.dumps(content()) + "\n")
