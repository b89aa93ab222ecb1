"""From corrected planes to network input.

The same rules as `pipeline::guide` in the backend; `tests/test_guidance_fixtures.py` checks the fixtures that both
sides are tested against. Arrays are C-ordered `[z, y, x]`, after nnU-Net's transpose and crop. A correction volume
holds [`UNANNOTATED`] where the expert said nothing.
"""

from dataclasses import dataclass

import numpy as np

UNANNOTATED = -1


@dataclass(frozen=True)
class Encoding:
    """Which channels follow the image channels: one-hot of the corrected foreground always, the rest by choice."""

    annotated: bool = True
    # "none"; "labels": one-hot of its foreground; "doubted": one-hot of all its labels times 1 − uncertainty.
    presegmentation: str = "none"

    def channels(self, foreground_labels: int) -> int:
        """Number of guidance channels for a task with that many foreground labels."""
        seen = {"none": 0, "labels": foreground_labels, "doubted": foreground_labels + 1}[self.presegmentation]
        return foreground_labels + int(self.annotated) + seen

    def as_json(self) -> dict:
        """As recorded in `bundle.json`."""
        return {"annotated": self.annotated, "presegmentation": self.presegmentation}


def source_index(target_size: int, source_size: int) -> np.ndarray:
    """For each target index the source index whose voxel holds its centre."""
    centres = (np.arange(target_size) + 0.5) * source_size / target_size
    return np.minimum(np.floor(centres).astype(np.int64), source_size - 1)


def target_planes(index: int, source_size: int, target_size: int) -> np.ndarray:
    """The target planes that a corrected source plane reaches: those whose centre it holds, else the one that holds its
    own centre."""
    hits = np.flatnonzero(source_index(target_size, source_size) == index)
    if hits.size:
        return hits
    return np.array([min(target_size - 1, int(np.floor((index + 0.5) * target_size / source_size)))])


def project(labels: np.ndarray, planes: list[tuple[int, int]], target_shape: tuple[int, int, int]) -> np.ndarray:
    """Carries corrected planes to another grid so that none vanishes.

    `labels` is a label volume on the source grid that is right in `planes` (axis, index). Returns int16 labels on the
    target grid, UNANNOTATED elsewhere. Where two planes claim a voxel the nearer one wins (distance of plane centres,
    in target voxels), then the lower axis, then the lower index.
    """
    result = np.full(target_shape, UNANNOTATED, np.int16)
    nearest = np.full(target_shape, np.inf)
    maps = [source_index(m, n) for m, n in zip(target_shape, labels.shape, strict=True)]
    for axis, index in sorted(set(planes)):
        n, m = labels.shape[axis], target_shape[axis]
        u, v = (a for a in range(3) if a != axis)
        plane = np.take(labels, index, axis)[np.ix_(maps[u], maps[v])]
        for target in target_planes(index, n, m):
            distance = abs((index + 0.5) * m / n - (target + 0.5))
            at = tuple(target if a == axis else slice(None) for a in range(3))
            closer = distance < nearest[at]
            result[at] = np.where(closer, plane, result[at])
            nearest[at] = np.where(closer, distance, nearest[at])
    return result


def channels(
    corrections: np.ndarray,
    presegmentation: np.ndarray,
    foreground_labels: list[int],
    encoding: Encoding,
    uncertainty: np.ndarray | None = None,
) -> np.ndarray:
    """Guidance channels `[G, z, y, x]` f32 of a correction volume and a presegmentation on the network's grid.

    `uncertainty` is the presegmentation's, 0 to 1; a presegmentation of which none is known is taken at its word.
    """
    parts = [corrections == label for label in foreground_labels]
    if encoding.annotated:
        parts.append(corrections != UNANNOTATED)
    if encoding.presegmentation == "labels":
        parts.extend(presegmentation == label for label in foreground_labels)
    if encoding.presegmentation == "doubted":
        sure = np.float32(1) if uncertainty is None else 1 - uncertainty.astype(np.float32)
        parts.extend((presegmentation == label) * sure for label in (0, *foreground_labels))
    return np.stack(parts).astype(np.float32)


def paste(segmentation: np.ndarray, corrections: np.ndarray) -> np.ndarray:
    """The expert's word is final: corrected voxels replace predicted ones."""
    return np.where(corrections != UNANNOTATED, corrections, segmentation)
