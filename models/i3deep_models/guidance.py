"""From corrected planes to network input.

The same rules as `pipeline::guide` in the backend; `tests/test_guidance.py` writes and checks the fixtures that both sides are tested against.
Arrays are C-ordered `[z, y, x]`, after nnU-Net's transpose and crop. A correction volume holds [`UNANNOTATED`] where the expert said nothing.
"""

from dataclasses import dataclass

import numpy as np

UNANNOTATED = -1


@dataclass(frozen=True)
class Encoding:
    """Which channels follow the image channels: one-hot of the corrected foreground always, the rest by choice."""

    annotated: bool = True
    presegmentation: str = "labels"

    def channels(self, foreground_labels: int) -> int:
        """Number of guidance channels for a task with that many foreground labels."""
        return foreground_labels + int(self.annotated) + (foreground_labels if self.presegmentation == "labels" else 0)

    def as_json(self) -> dict:
        """As recorded in `bundle.json`."""
        return {"annotated": self.annotated, "presegmentation": self.presegmentation}


def source_index(target_size: int, source_size: int) -> np.ndarray:
    """For each target index the source index whose voxel holds its centre."""
    centres = (np.arange(target_size) + 0.5) * source_size / target_size
    return np.minimum(np.floor(centres).astype(np.int64), source_size - 1)


def target_planes(index: int, source_size: int, target_size: int) -> np.ndarray:
    """The target planes that a corrected source plane reaches: those whose centre it holds, else the one that holds its own centre."""
    hits = np.flatnonzero(source_index(target_size, source_size) == index)
    if hits.size:
        return hits
    return np.array([min(target_size - 1, int(np.floor((index + 0.5) * target_size / source_size)))])


def project(labels: np.ndarray, planes: list[tuple[int, int]], target_shape: tuple[int, int, int]) -> np.ndarray:
    """Carries corrected planes to another grid so that none vanishes.

    `labels` is a label volume on the source grid that is right in `planes` (axis, index). Returns int16 labels on the target grid, UNANNOTATED
    elsewhere. Where two planes claim a voxel the nearer one wins (distance of plane centres, in target voxels), then the lower axis, then the
    lower index.
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


def channels(corrections: np.ndarray, presegmentation: np.ndarray, foreground_labels: list[int], encoding: Encoding) -> np.ndarray:
    """Guidance channels `[G, z, y, x]` f32 of a correction volume and a presegmentation on the network's grid."""
    parts = [corrections == label for label in foreground_labels]
    if encoding.annotated:
        parts.append(corrections != UNANNOTATED)
    if encoding.presegmentation == "labels":
        parts.extend(presegmentation == label for label in foreground_labels)
    return np.stack(parts).astype(np.float32)


def greedy_planes(
    uncertainty: np.ndarray,
    count: int,
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator | None = None,
    noise: float = 0.0,
    axes: tuple[int, ...] = (0, 1, 2),
    kernel_mm: float = 3.0,
) -> list[tuple[int, int]]:
    """Planes as acquisition draws them: again and again the plane with the most unsettled uncertainty, which then counts as settled around it.

    `noise` is the standard deviation of a log-normal factor on each plane's sum, so that training sees planes beside the best ones.
    """
    unsettled = uncertainty.astype(np.float64).copy()
    planes: list[tuple[int, int]] = []
    for _ in range(count):
        best: tuple[float, int, int] | None = None
        for axis in axes:
            sums = unsettled.sum(axis=tuple(a for a in range(3) if a != axis))
            if rng is not None and noise > 0:
                sums = sums * np.exp(noise * rng.standard_normal(sums.shape))
            index = int(sums.argmax())
            if best is None or sums[index] > best[0]:
                best = (float(sums[index]), axis, index)
        if best is None or best[0] <= 0:
            break
        _, axis, index = best
        planes.append((axis, index))
        distance_mm = np.abs(np.arange(unsettled.shape[axis]) - index) * spacing_mm[axis]
        remaining = 1 - np.exp(-0.5 * (distance_mm / kernel_mm) ** 2)
        unsettled *= remaining.reshape([-1 if a == axis else 1 for a in range(3)])
    return planes


def simulate(
    labels: np.ndarray,
    presegmentation: np.ndarray,
    uncertainty: np.ndarray,
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
    max_budget: float = 0.4,
) -> np.ndarray:
    """An expert at work, for training: planes over the whole volume with a random budget, then their true labels.

    Budgets run from nothing to `max_budget` of the axial foreground planes. Most draws follow the uncertainty with noise, from crowded to spread out
    (the backend's reach depends on the size of what is segmented), some are uniform, some leave axes out; uniform draws hit planes that are all
    background. Returns int16 labels, UNANNOTATED elsewhere.
    """
    foreground_planes = int((presegmentation > 0).any(axis=(1, 2)).sum())
    count = int(rng.integers(0, max(3, int(max_budget * foreground_planes)) + 1))
    axes = tuple(a for a in range(3) if rng.random() < 0.85) or (0, 1, 2)
    if rng.random() < 0.7:
        planes = greedy_planes(uncertainty, count, spacing_mm, rng, noise=0.4, axes=axes, kernel_mm=float(rng.uniform(0.5, 4.0)))
    else:
        planes = [(axis, int(rng.integers(labels.shape[axis]))) for axis in rng.choice(axes, count).tolist()]
    result = np.full(labels.shape, UNANNOTATED, np.int16)
    for axis, index in planes:
        at = tuple(index if a == axis else slice(None) for a in range(3))
        result[at] = labels[at]
    return result


def paste(segmentation: np.ndarray, corrections: np.ndarray) -> np.ndarray:
    """The expert's word is final: corrected voxels replace predicted ones."""
    return np.where(corrections != UNANNOTATED, corrections, segmentation)
