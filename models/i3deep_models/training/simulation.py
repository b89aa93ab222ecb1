"""The expert whom the refinement network meets in training: which planes are corrected, and how well."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from i3deep_models.guidance import UNANNOTATED

Planes = Literal["acquisition", "random", "published"]


@dataclass(frozen=True)
class Simulation:
    """How planes are drawn and corrected.

    `planes`: `acquisition` draws as the product does, with noise; `random` draws as many, anywhere; `published` is the
    method's own simulation, dense and anywhere. `imperfect`: share of cases whose expert has an unsteady hand.
    `doubtful`: share of cases with a component that only the expert can judge.
    """

    planes: Planes = "acquisition"
    imperfect: float = 0.25
    doubtful: float = 0.2


@dataclass(frozen=True)
class Sample:
    """A training case on the network's grid; volumes `[z, y, x]`, the image `[channels, z, y, x]`."""

    image: np.ndarray
    labels: np.ndarray
    presegmentation: np.ndarray
    uncertainty: np.ndarray
    spacing_mm: tuple[float, float, float]


def greedy_planes(
    uncertainty: np.ndarray,
    count: int,
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator | None = None,
    noise: float = 0.0,
    axes: tuple[int, ...] = (0, 1, 2),
    kernel_mm: float = 3.0,
) -> list[tuple[int, int]]:
    """Planes as acquisition draws them: again and again the plane with the most unsettled uncertainty, which then
    counts as settled around it.

    `noise` is the standard deviation of a log-normal factor on each plane's sum, so that training sees planes beside
    the best ones.
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


def draw_planes(
    sample: Sample, planes: Planes, rng: np.random.Generator, max_budget: float = 0.4
) -> list[tuple[int, int]]:
    """Planes (axis, index) over the whole volume.

    Budgets run from nothing to `max_budget` of the axial foreground planes. As in use, most draws follow the
    uncertainty with noise, from crowded to spread out (the backend's reach depends on the size of what is segmented),
    some are uniform, some leave axes out; uniform draws hit planes that are all background.
    """
    shape = sample.labels.shape
    if planes == "published":
        # `comp_slices_mask_training` with its δ of 1/3, on the volume instead of the enlarged patch: hippocampi are no
        # larger than their patch.
        count = int(rng.integers(0, max(1, shape[2] // 3) + 1))
        return [(axis, int(rng.integers(shape[axis]))) for axis in rng.integers(0, 3, count).tolist()]
    foreground_planes = int((sample.presegmentation > 0).any(axis=(1, 2)).sum())
    count = int(rng.integers(0, max(3, int(max_budget * foreground_planes)) + 1))
    if planes == "random":
        return [(axis, int(rng.integers(shape[axis]))) for axis in rng.integers(0, 3, count).tolist()]
    axes = tuple(a for a in range(3) if rng.random() < 0.85) or (0, 1, 2)
    if rng.random() < 0.7:
        return greedy_planes(
            sample.uncertainty,
            count,
            sample.spacing_mm,
            rng,
            noise=0.4,
            axes=axes,
            kernel_mm=float(rng.uniform(0.5, 4.0)),
        )
    return [(axis, int(rng.integers(shape[axis]))) for axis in rng.choice(axes, count).tolist()]


def unsteady(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A plane of labels as an unsteady hand draws it: contours that waver by 0.3 to 1 pixel, small islands forgotten
    now and then."""
    sigma = float(rng.uniform(0.3, 1.0))
    shifts = [ndimage.gaussian_filter(rng.standard_normal(plane.shape), 3.0, mode="nearest") for _ in range(2)]
    # The filter shrinks white noise; what counts is the displacement's own standard deviation.
    shifts = [shift * sigma / max(float(shift.std()), 1e-6) for shift in shifts]
    grid = np.meshgrid(*(np.arange(n, dtype=float) for n in plane.shape), indexing="ij")
    wavering = ndimage.map_coordinates(
        plane, [g + s for g, s in zip(grid, shifts, strict=True)], order=0, mode="nearest"
    )
    if rng.random() < 0.3:
        islands, count = ndimage.label(wavering > 0)
        sizes = ndimage.sum_labels(wavering > 0, islands, np.arange(count + 1))
        wavering[(sizes < 12)[islands]] = 0
    return wavering


def with_doubtful_component(sample: Sample, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
    """A case with a copy of a ball of its foreground put where background is, and the copy's labels (0 elsewhere), to
    be true or not.

    The image alone cannot tell such a copy from the real thing, so a network that sees it has to listen to the expert.
    Mostly the presegmentation shows the copy (a false positive, if the expert says so), sometimes not (a missed
    component). Where nothing fits the case comes back as it is.
    """
    radius = int(rng.integers(3, 7))
    box = np.indices((2 * radius + 1,) * 3) - radius
    ball = (box**2).sum(0) <= radius**2
    inside = [(radius, n - radius - 1) for n in sample.labels.shape]
    nothing = np.zeros_like(sample.labels)
    centres = np.argwhere(sample.labels > 0)
    centres = (
        centres[[all(low <= c <= high for c, (low, high) in zip(at, inside, strict=True)) for at in centres]]
        if len(centres)
        else centres
    )
    if not len(centres) or any(high < low for low, high in inside):
        return sample, nothing
    around = lambda at: tuple(slice(int(c) - radius, int(c) + radius + 1) for c in at)  # noqa: E731
    source = around(centres[rng.integers(len(centres))])
    for _ in range(20):
        target = around([rng.integers(low, high + 1) for low, high in inside])
        if not (sample.labels[target][ball].any() or sample.presegmentation[target][ball].any()):
            break
    else:
        return sample, nothing
    image, presegmentation, uncertainty = sample.image.copy(), sample.presegmentation.copy(), sample.uncertainty.copy()
    # A soft rim, or the ball's edge would give the copy away.
    weight = np.clip(radius + 0.5 - np.sqrt((box**2).sum(0)), 0, 1)
    image[(slice(None), *target)] += weight * (image[(slice(None), *source)] - image[(slice(None), *target)])
    component = nothing
    component[target] = np.where(ball, sample.labels[source], 0)
    if rng.random() < 0.7:
        presegmentation[target] = np.where(ball, sample.labels[source], presegmentation[target])
    uncertainty[component > 0] = np.maximum(uncertainty[component > 0], float(rng.uniform(0.2, 0.9)))
    return Sample(image, sample.labels, presegmentation, uncertainty, sample.spacing_mm), component


@dataclass(frozen=True)
class Corrected:
    """A sample as the network meets it: labels to learn, corrections to learn them with (UNANNOTATED outside the
    planes)."""

    sample: Sample
    corrections: np.ndarray


def simulate(sample: Sample, simulation: Simulation, rng: np.random.Generator) -> Corrected:
    """An expert at work. Where planes cross, the later one wins.

    A doubtful component is what the expert says it is, true or false by a coin; where no plane meets it, it is what the
    presegmentation says.
    """
    component = np.zeros_like(sample.labels)
    if rng.random() < simulation.doubtful:
        sample, component = with_doubtful_component(sample, rng)
    planes = draw_planes(sample, simulation.planes, rng)
    slices = [tuple(index if a == axis else slice(None) for a in range(3)) for axis, index in planes]
    met = any((component[at] > 0).any() for at in slices)
    shown = bool((sample.presegmentation[component > 0] > 0).any())
    true = rng.random() < 0.5 if met else shown
    labels = np.where(component > 0, component, sample.labels) if true else sample.labels
    corrections = np.full(labels.shape, UNANNOTATED, np.int16)
    steady = rng.random() >= simulation.imperfect
    for at in slices:
        corrections[at] = labels[at] if steady else unsteady(labels[at], rng)
    return Corrected(
        Sample(sample.image, labels, sample.presegmentation, sample.uncertainty, sample.spacing_mm), corrections
    )
