"""What Rust's `pipeline::guide` is tested against. Run this file to write the fixtures anew after a change of the rules
on both sides."""

import json
from pathlib import Path

import numpy as np

from i3deep_models.guidance import Encoding, channels, project

FOLDER = Path(__file__).parent.parent / "fixtures" / "guidance"

# name, source shape, target shape, corrected planes (axis, index), encoding
CASES = [
    ("same grid, one plane", (4, 5, 6), (4, 5, 6), [(0, 2)], Encoding(True, "labels")),
    ("crossing planes", (4, 5, 6), (4, 5, 6), [(0, 1), (1, 3), (2, 0)], Encoding(True, "none")),
    ("down-sampled 1.25", (10, 10, 5), (8, 8, 5), [(0, 1), (0, 4), (1, 9)], Encoding(True, "labels")),
    ("thick slices made thin", (3, 8, 8), (9, 6, 6), [(0, 1), (2, 5)], Encoding(False, "labels")),
    ("thin slices made thick", (12, 6, 6), (4, 6, 6), [(0, 3), (0, 4), (1, 2)], Encoding(True, "labels")),
    ("one voxel", (1, 1, 1), (1, 1, 1), [(2, 0)], Encoding(False, "none")),
    ("nothing corrected", (3, 3, 3), (3, 3, 3), [], Encoding(True, "labels")),
    ("neighbours in one target plane", (9, 4, 4), (4, 4, 4), [(0, 3), (0, 4), (0, 5)], Encoding(True, "none")),
]


def describe(name, source, target, planes, encoding) -> dict:
    """A case with everything that Rust needs to repeat it."""
    labels = np.random.default_rng(len(name)).integers(0, 3, source)
    projected = project(labels, planes, target)
    guidance = channels(projected, np.mod(projected, 2), [1, 2], encoding)
    return {
        "name": name,
        "source_shape": list(source),
        "target_shape": list(target),
        "labels": labels.ravel().tolist(),
        "planes": [list(plane) for plane in planes],
        "encoding": encoding.as_json(),
        "projected": projected.ravel().tolist(),
        "channel_sums": guidance.sum(axis=(1, 2, 3)).astype(int).tolist(),
    }


def test_the_fixtures_are_what_this_code_computes():
    stored = json.loads((FOLDER / "index.json").read_text())
    assert stored == [describe(*case) for case in CASES]


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "index.json").write_text(json.dumps([describe(*case) for case in CASES]) + "\n")
