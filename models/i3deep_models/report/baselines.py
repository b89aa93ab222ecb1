"""What else can be made of the same corrected planes: classical methods, by scikit-image and scipy.

Every method is a function of [`Corrected`] and returns int16 labels `[z, y, x]`. All of them leave the expert's planes
as they are: watershed, random walker and graph cut keep their seeds, the others have the planes pasted in. None of the
classical methods looks at the presegmentation, and where no plane was corrected they know nothing: all background.

The numbers in this file were chosen on the 14 validation cases of the hippocampus refinement, none of them held out, at
a budget of 20 %: beta among 10, 40, 130, 400, 1000 (mean Dice 0.810, 0.838, 0.843, 0.833, 0.836), the graph cut's
weight among 2, 5, 7, 10, 14, 30, 100 (0.386, 0.770, 0.815, 0.778, 0.765, 0.751, 0.748).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from i3deep_models.guidance import UNANNOTATED, paste

BACKGROUND = 0


@dataclass(frozen=True)
class Corrected:
    """A scan, what the network made of it, and what the expert said.

    `image` f32 `[z, y, x]`, the first channel; `presegmentation` labels; `corrections` int16, UNANNOTATED outside the
    corrected planes; `spacing_mm` along z, y, x; `labels` of the foreground.
    """

    image: np.ndarray
    presegmentation: np.ndarray
    corrections: np.ndarray
    spacing_mm: tuple[float, float, float]
    labels: tuple[int, ...]

    @property
    def planes(self) -> list[tuple[int, int]]:
        """Every plane (axis, index) of which each voxel is corrected."""
        said = self.corrections != UNANNOTATED
        across = [tuple(a for a in range(3) if a != axis) for axis in range(3)]
        return [(axis, int(index)) for axis in range(3) for index in np.flatnonzero(said.all(axis=across[axis]))]

    def undecided(self) -> np.ndarray | None:
        """The whole answer where seeds leave no choice: nothing or everything corrected, or one label only; else
        None."""
        seen = np.unique(self.corrections[self.corrections != UNANNOTATED])
        if seen.size == 0:
            return np.full(self.corrections.shape, BACKGROUND, np.int16)
        if seen.size == 1:
            return np.full(self.corrections.shape, seen[0], np.int16)
        return self.corrections.copy() if (self.corrections != UNANNOTATED).all() else None


def presegmentation(case: Corrected) -> np.ndarray:
    """What the network made of the scan."""
    return case.presegmentation.astype(np.int16)


def pasted(case: Corrected) -> np.ndarray:
    """The presegmentation with the corrected planes in it."""
    return paste(case.presegmentation, case.corrections).astype(np.int16)


def interpolation(case: Corrected) -> np.ndarray:
    """Shape-based interpolation between corrected planes (Raya and Udupa, 1990; signed distances as in Herman et al.,
    1992).

    Per label, a voxel's signed distance is the mean of those at its feet in the next planes below and above on every
    axis, weighted by 1 / distance² (Shepard, 1968). Beyond the outermost plane of an axis the signed distance falls by
    1 mm a mm, so that shapes end in caps. A plane without the label counts as as far outside as the label is deep on
    that axis, so that shapes end half way. The label with the largest positive value wins; elsewhere is background. On
    validation cases the square did better than the plain distance, and this fall better than none, 0.5 or 1.5 mm a mm.
    """
    values = [_interpolated(case, label) for label in case.labels]
    best = np.argmax(values, axis=0)
    labels = np.where(np.max(values, axis=0) > 0, np.asarray(case.labels)[best], BACKGROUND)
    return paste(labels, case.corrections).astype(np.int16)


def _interpolated(case: Corrected, label: int) -> np.ndarray:
    """Signed distance (mm, positive inside) of a label; negative everywhere without planes."""
    total, weights = np.zeros(case.corrections.shape), np.zeros(case.corrections.shape)
    for axis in range(3):
        indices = [index for a, index in case.planes if a == axis]
        if not indices:
            continue
        sheets = _signed_distances(case, axis, indices, label)
        along = np.moveaxis(total, axis, 0), np.moveaxis(weights, axis, 0)
        for at in range(case.corrections.shape[axis]):
            below = [i for i, index in enumerate(indices) if index <= at][-1:]
            above = [i for i, index in enumerate(indices) if index > at][:1]
            beyond = not (below and above)
            for i in below + above:
                distance = abs(indices[i] - at) * case.spacing_mm[axis]
                weight = 1 / max(distance, 1e-6) ** 2
                along[0][at] += weight * (sheets[i] - (distance if beyond else 0))
                along[1][at] += weight
    return np.where(weights > 0, total / np.maximum(weights, 1e-12), -1)


def _signed_distances(case: Corrected, axis: int, indices: list[int], label: int) -> list[np.ndarray]:
    spacing = [case.spacing_mm[a] for a in range(3) if a != axis]
    masks = [np.take(case.corrections, index, axis) == label for index in indices]
    # Nothing in a plane is further away than its diagonal.
    diagonal = float(np.linalg.norm(np.multiply(masks[0].shape, spacing)))
    depth = max(
        (float(ndimage.distance_transform_edt(mask, spacing).max()) for mask in masks if not mask.all()),
        default=diagonal,
    )
    return [_signed_distance(mask, spacing, depth or diagonal, diagonal) for mask in masks]


def _signed_distance(mask: np.ndarray, spacing: list[float], depth: float, diagonal: float) -> np.ndarray:
    if not mask.any():
        return np.full(mask.shape, -depth)
    if mask.all():
        return np.full(mask.shape, diagonal)
    # Of centres from centres; with the contour half a voxel nearer, validation cases were 0.005 Dice worse.
    return ndimage.distance_transform_edt(mask, spacing) - ndimage.distance_transform_edt(~mask, spacing)


def watershed(case: Corrected) -> np.ndarray:
    """Watershed (scikit-image) on the gradient magnitude of the slightly smoothed image, flooded from the corrected
    planes."""
    from skimage.segmentation import watershed as flood

    if (answer := case.undecided()) is not None:
        return answer
    smooth = ndimage.gaussian_filter(case.image.astype(np.float64), [0.5 / s for s in case.spacing_mm])
    axes = tuple(axis for axis, size in enumerate(smooth.shape) if size > 1)
    slopes = [np.gradient(smooth, case.spacing_mm[axis], axis=axis) for axis in axes]
    return (flood(np.sqrt(np.square(slopes).sum(0)), case.corrections.astype(np.int32) + 1) - 1).astype(np.int16)


@dataclass(frozen=True)
class RandomWalker:
    """Random walker (Grady, 2006; scikit-image) from the corrected planes, aware of spacing, on the image with unit
    standard deviation.

    `beta` is scikit-image's, and its default: how hard it is to walk across a difference in intensity.
    """

    beta: float = 130.0

    def __call__(self, case: Corrected) -> np.ndarray:
        """Labels of the likeliest seeds."""
        from skimage.segmentation import random_walker

        if (answer := case.undecided()) is not None:
            return answer
        image, beta = _standardised(case.image), self.beta
        if not image.any():
            # In a flat image every step is as easy; scikit-image divides by the spread.
            image, beta = np.arange(image.size, dtype=np.float64).reshape(image.shape), 0.0
        spacing = np.divide(case.spacing_mm, min(case.spacing_mm))
        markers = case.corrections.astype(np.int32) + 1
        # The likeliest label is sure long before every probability lies between 0 and 1 to three digits, which
        # scikit-image would warn of.
        found = random_walker(image, markers, beta, mode="cg_j", tol=1e-3, prob_tol=0.1, spacing=spacing)
        return paste(np.maximum(found - 1, BACKGROUND), case.corrections).astype(np.int16)


@dataclass(frozen=True)
class GraphCut:
    """Graph cut (Boykov and Jolly, 2001) with several labels by alpha-expansion (Boykov, Veksler and Zabih, 2001), on
    scipy's maximum flow.

    Unaries: −log of each label's smoothed histogram over the corrected planes, all labels alike likely beforehand.
    Pairs of face neighbours with different labels cost `weight` · exp(−Δ² / 2σ²) · mean spacing / distance, σ² the mean
    squared difference of neighbours. Costs are rounded to 1/100. Corrected voxels keep their labels.
    """

    weight: float = 7.0
    bins: int = 32
    rounds: int = 2

    def __call__(self, case: Corrected) -> np.ndarray:
        """Labels of (nearly) least cost."""
        if (answer := case.undecided()) is not None:
            return answer
        seen = np.unique(case.corrections[case.corrections != UNANNOTATED])
        unary = self._unaries(case, seen)
        pairs, weights = self._pairs(case)
        seeds = np.searchsorted(seen, case.corrections.ravel())
        labelling = np.where(case.corrections.ravel() != UNANNOTATED, seeds, unary.argmin(0))
        for _ in range(self.rounds):
            before = labelling
            for label in range(len(seen)):
                labelling = _expand(labelling, label, unary, pairs, weights)
            if (labelling == before).all():
                break
        return paste(seen[labelling].reshape(case.corrections.shape), case.corrections).astype(np.int16)

    def _unaries(self, case: Corrected, seen: np.ndarray) -> np.ndarray:
        """Costs `[label, voxel]` in hundredths."""
        edges = np.linspace(*np.percentile(case.image, (0.5, 99.5)), self.bins + 1)
        where = np.clip(np.searchsorted(edges, case.image.ravel()) - 1, 0, self.bins - 1)
        corrections = case.corrections.ravel()
        costs = np.empty((len(seen), where.size), np.int64)
        for row, label in enumerate(seen):
            counts = np.bincount(where[corrections == label], minlength=self.bins)
            smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 1.0) + 0.1
            costs[row] = np.round(-100 * np.log(smooth / smooth.sum()))[where]
        said = corrections != UNANNOTATED
        costs[:, said] = np.where(seen[:, None] == corrections[said], 0, _NEVER)
        return costs

    def _pairs(self, case: Corrected) -> tuple[np.ndarray, np.ndarray]:
        """Face neighbours `[2, n]` as offsets, and what a border between them costs, in hundredths."""
        image = _standardised(case.image)
        offsets = np.arange(image.size, dtype=np.int64).reshape(image.shape)
        unit = float(np.mean(case.spacing_mm))
        ends, squares, shares = [], [], []
        for axis in range(3):
            low, high = (
                tuple(part if a == axis else slice(None) for a in range(3))
                for part in (slice(None, -1), slice(1, None))
            )
            ends.append(np.stack([offsets[low].ravel(), offsets[high].ravel()]))
            squares.append(np.square(image[high] - image[low]).ravel())
            shares.append(np.full(ends[-1].shape[1], unit / case.spacing_mm[axis]))
        squared = np.concatenate(squares)
        contrast = np.exp(-squared / max(2 * float(squared.mean()), 1e-12))
        return np.concatenate(ends, 1), np.round(100 * self.weight * contrast * np.concatenate(shares)).astype(np.int64)


_NEVER = 1_000_000


def _expand(labelling: np.ndarray, label: int, unary: np.ndarray, pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The best labelling in which every voxel keeps its label or takes this one: a minimum cut (Kolmogorov and Zabih,
    2004).

    Voxels from which the sink can still be reached take the label; those that are as well off either way keep theirs.
    """
    count = labelling.size
    first, second = pairs
    keep_both = weights * (labelling[first] != labelling[second])
    keep_first = weights * (labelling[first] != label)
    keep_second = weights * (labelling[second] != label)
    # E(keep, keep) = a, E(keep, take) = b, E(take, keep) = c, E(take, take) = 0 → linear terms and one edge of capacity
    # b + c − a.
    take = unary[label].copy() - unary[labelling, np.arange(count)]
    take += np.bincount(first, keep_second - keep_both, count).astype(np.int64)
    take -= np.bincount(second, keep_second, count).astype(np.int64)
    between = keep_first + keep_second - keep_both
    source, sink = count, count + 1
    voxels = np.arange(count)
    costly, cheap = take > 0, take < 0
    rows = np.concatenate([first, np.full(costly.sum(), source), voxels[cheap]])
    columns = np.concatenate([second, voxels[costly], np.full(cheap.sum(), sink)])
    capacities = np.concatenate([between, np.minimum(take[costly], _NEVER), np.minimum(-take[cheap], _NEVER)]).astype(
        np.int32
    )
    graph = sparse.csr_array((capacities, (rows, columns)), shape=(count + 2, count + 2))
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    taken = breadth_first_order(residual.T.tocsr(), sink, return_predecessors=False)
    result = labelling.copy()
    result[taken[taken < count]] = label
    return result


def _standardised(image: np.ndarray) -> np.ndarray:
    spread = float(image.std())
    return (image.astype(np.float64) - float(image.mean())) / (spread if spread > 0 else 1.0)


BASELINES: dict[str, Callable[[Corrected], np.ndarray]] = {
    "presegmentation": presegmentation,
    "pasted": pasted,
    "interpolation": interpolation,
    "watershed": watershed,
    "random walker": RandomWalker(),
    "graph cut": GraphCut(),
}
