"""How well a segmentation agrees with the truth, by the definitions of `backend/src/evaluate/overlap.rs` and
`distance.rs`, and paired tests.

Arrays are `[z, y, x]`. A label that is in one of the two volumes only gets the worst value there is, so that no mean
gets better by leaving it out. What is in neither is NaN; a mean over what is left says over how many cases
(`words.spread`).
"""

from collections.abc import Iterable

import numpy as np

from i3deep_models.scans import Plane

TOLERANCE_MM = 1.0


def dice(segmentation: np.ndarray, truth: np.ndarray, label: int, where: np.ndarray | None = None) -> float:
    """2 TP / (2 TP + FP + FN) over the voxels of `where`; NaN where the label is in neither, as in nnU-Net."""
    ours, theirs = segmentation == label, truth == label
    if where is not None:
        ours, theirs = ours & where, theirs & where
    total = int(ours.sum()) + int(theirs.sum())
    return 2.0 * int((ours & theirs).sum()) / total if total else float("nan")


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask that touch, by a face, something outside it or the volume's border; axes of one voxel have no
    faces."""
    inside = mask.copy()
    for axis, size in enumerate(mask.shape):
        if size == 1:
            continue
        before, after = np.zeros_like(mask), np.zeros_like(mask)
        at = [slice(None)] * mask.ndim
        low, high = at.copy(), at.copy()
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        before[tuple(high)] = mask[tuple(low)]
        after[tuple(low)] = mask[tuple(high)]
        inside &= before & after
    return mask & ~inside


def surface_dice(
    segmentation: np.ndarray, truth: np.ndarray, label: int, spacing_mm: tuple[float, float, float]
) -> float:
    """Share of both surfaces' voxels within TOLERANCE_MM of the other; NaN where the label is in neither, 0 where it is
    in one only."""
    from scipy.ndimage import distance_transform_edt

    ours, theirs = segmentation == label, truth == label
    if not ours.any() or not theirs.any():
        return 0.0 if ours.any() or theirs.any() else float("nan")
    ours, theirs = surface(ours), surface(theirs)
    there = distance_transform_edt(~theirs, sampling=spacing_mm)[ours]
    back = distance_transform_edt(~ours, sampling=spacing_mm)[theirs]
    near = [(distances <= TOLERANCE_MM + 1e-9).sum() for distances in (there, back)]
    return float(sum(near) / (len(there) + len(back)))


def hausdorff95_mm(
    segmentation: np.ndarray, truth: np.ndarray, label: int, spacing_mm: tuple[float, float, float]
) -> float:
    """95th percentile of the distances between the surfaces; NaN where the label is in neither, the volume's diagonal
    where it is in one only."""
    from scipy.ndimage import distance_transform_edt

    ours, theirs = segmentation == label, truth == label
    if not ours.any() or not theirs.any():
        diagonal_mm = float(np.linalg.norm(np.multiply(truth.shape, spacing_mm)))
        return diagonal_mm if ours.any() or theirs.any() else float("nan")
    ours, theirs = surface(ours), surface(theirs)
    there = distance_transform_edt(~theirs, sampling=spacing_mm)[ours]
    back = distance_transform_edt(~ours, sampling=spacing_mm)[theirs]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def mean(values: Iterable[float]) -> float:
    """Mean of the finite values; NaN of none."""
    kept = [value for value in values if np.isfinite(value)]
    return float(np.mean(kept)) if kept else float("nan")


def distance_mm(shape: tuple[int, ...], planes: list[Plane], spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Distance of every voxel's centre from the nearest plane; infinite without planes."""
    nearest = np.full(shape, np.inf)
    for axis, index in planes:
        away = np.abs(np.arange(shape[axis]) - index) * spacing_mm[axis]
        nearest = np.minimum(nearest, away.reshape([-1 if a == axis else 1 for a in range(3)]))
    return nearest


def wilcoxon(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, by the normal approximation as in `statistics.rs`; 1 where
    nothing differs."""
    from scipy.stats import wilcoxon

    differences = np.asarray(list(ours), float) - np.asarray(list(theirs), float)
    differences = differences[np.isfinite(differences) & (differences != 0)]
    if differences.size == 0:
        return 1.0
    return float(wilcoxon(differences, correction=True, method="asymptotic").pvalue)
