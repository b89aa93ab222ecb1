"""Refinements to compare with."""

import torch

from i3deep_models.guidance import Encoding
from i3deep_models.training.pnet import PNet
from i3deep_models.training.variants import RECIPES, Recipe


def test_pnet_keeps_the_size_and_its_blocks_in_register():
    torch.manual_seed(1)
    network = PNet(3, 2).eval()
    patch = torch.randn(1, 3, 20, 18, 16)
    with torch.no_grad():
        logits = network(patch)
    assert logits.shape == (1, 2, 20, 18, 16)
    # A voxel's logits depend on what lies around it, the same distance to every side.
    patch.requires_grad_()
    network(patch)[0, 0, 10, 9, 8].backward()
    seen = patch.grad[0].abs().sum(0) > 0
    assert bool(seen[10, 9, 8])
    assert bool(seen[10, 9, 7])
    assert bool(seen[10, 9, 9])


def test_every_variant_but_the_published_ones_changes_one_thing():
    def changes(name: str) -> list[str]:
        ours, other = Recipe(), RECIPES[name]
        return [
            field
            for field in ("encoding", "simulation", "architecture")
            if getattr(ours, field) != getattr(other, field)
        ]

    assert {name: changes(name) for name in RECIPES} == {
        "short": [],
        "no-annotated": ["encoding"],
        "with-presegmentation": ["encoding"],
        "random-planes": ["simulation"],
        "published": ["encoding", "simulation"],
        "pnet": ["encoding", "simulation", "architecture"],
    }
    assert RECIPES["published"].encoding == Encoding(annotated=False, presegmentation="none")
