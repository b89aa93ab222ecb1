"""What methods make of the same corrected planes, measured: rows of the report's tables.

Planes, presegmentations and our refinements come from `i3deep evaluate --keep`; everything else is computed here. One
case and one choice of planes is a task; tasks run side by side in processes with one thread each.
"""

import csv
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import ndimage

from i3deep_models import scans
from i3deep_models.guidance import UNANNOTATED, paste, source_index
from i3deep_models.report import metrics
from i3deep_models.report.baselines import BASELINES, Corrected
from i3deep_models.scans import Plane
from i3deep_models.training.variants import Guided, Projection

OURS = "ours"
# Our Dice and that of `i3deep evaluate` are the same sums of voxels.
TOLERANCE = 1e-9
# Upper ends of the shells around the corrected planes; the last one is open.
SHELLS_MM = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, np.inf)

SCORES = ("dice", "dice_outside", "nsd")


@dataclass(frozen=True)
class Networks:
    """Refinements that Python runs: a folder each, by name of the method."""

    folders: tuple[tuple[str, Path], ...] = ()

    def names(self) -> list[str]:
        """In order."""
        return [name for name, _ in self.folders]


@dataclass(frozen=True)
class Evaluated:
    """A row of `results.csv` of `i3deep evaluate`, and where its volumes are."""

    out: Path
    images: Path
    labels: Path
    values: tuple[tuple[str, str], ...]

    def __getitem__(self, column: str) -> str:
        """A field, as text."""
        return dict(self.values)[column]

    @property
    def case(self) -> str:
        """Name of the case."""
        return self["case"]

    @property
    def refined(self) -> Path:
        """What `--keep` left of this row."""
        uncertainty = self["uncertainty"].replace("/", "_")
        return (
            self.out
            / "cases"
            / self.case
            / f"refined_{self['strategy']}_{uncertainty}_{self['budget']}_r{self['round']}.nii.gz"
        )

    @property
    def presegmentation(self) -> Path:
        """What the case looks like before anyone corrects."""
        return self.out / "cases" / self.case / "presegmentation.nii.gz"

    @property
    def channels(self) -> list[Path]:
        """The scan."""
        return sorted(self.images.glob(f"{self.case}_[0-9][0-9][0-9][0-9].nii.gz"))


def read_results(out: Path, images: Path, labels: Path) -> list[Evaluated]:
    """The rows of an evaluation. Raises ValueError where refinements were not kept."""
    file = out / "results.csv"
    if not file.is_file():
        raise ValueError(f"no evaluation in {out}; `i3deep evaluate --out {out}` writes results.csv there")
    with file.open(newline="") as lines:
        rows = [Evaluated(out, images, labels, tuple(row.items())) for row in csv.DictReader(lines)]
    missing = [row.refined for row in rows if not row.refined.is_file()]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(rows)} refinements were not kept, the first is {missing[0]}; "
            "repeat `i3deep evaluate` with --keep"
        )
    return rows


@dataclass(frozen=True)
class Case:
    """Everything in memory that methods are judged by."""

    row: Evaluated
    scan: Corrected
    truth: np.ndarray
    planes: list[Plane]

    @classmethod
    def read(cls, row: Evaluated, labels: tuple[int, ...]) -> "Case":
        """Reads scan, truth and presegmentation; a perfect expert corrects the row's planes."""
        channels = row.channels
        if not channels:
            raise ValueError(f"no scan of {row.case} in {row.images}")
        image = scans.read(channels[0])
        truth = scans.read_labels(row.labels / f"{row.case}.nii.gz").voxels
        planes = image.planes(row["slices"])
        presegmentation = scans.read_labels(row.presegmentation).voxels
        corrections = scans.corrected(truth, planes)
        scan = Corrected(image.voxels.astype(np.float32), presegmentation, corrections, image.spacing_mm, labels)
        return cls(row, scan, truth, planes)

    @functools.cached_property
    def outside(self) -> np.ndarray:
        """Voxels that nobody corrected."""
        return self.scan.corrections == UNANNOTATED

    def scores(self, segmentation: np.ndarray, outside: np.ndarray | None = None) -> list[dict[str, object]]:
        """Dice, Dice outside the corrected planes (or other voxels) and surface Dice, a row a label."""
        where = self.outside if outside is None else outside
        return [
            {
                "label": label,
                "dice": metrics.dice(segmentation, self.truth, label),
                "dice_outside": metrics.dice(segmentation, self.truth, label, where),
                "nsd": metrics.surface_dice(segmentation, self.truth, label, self.scan.spacing_mm),
            }
            for label in self.scan.labels
        ]

    def mean(self, segmentation: np.ndarray, score: str) -> float:
        """Mean of a score over labels."""
        return metrics.mean(row[score] for row in self.scores(segmentation))

    def hausdorff95_mm(self, segmentation: np.ndarray) -> float:
        """Mean over labels of the 95th percentile of surface distances."""
        return metrics.mean(
            metrics.hausdorff95_mm(segmentation, self.truth, label, self.scan.spacing_mm) for label in self.scan.labels
        )

    def refine(self, folder: Path, planes: list[Plane] | None = None, projection: str = "planes") -> np.ndarray:
        """What a network in Python makes of the corrections in all or some of the planes; nothing is pasted in."""
        chosen = self.planes if planes is None else planes
        corrections = scans.corrected(self.truth, chosen)
        guided = Guided(self.row.channels, self.scan.presegmentation, corrections, chosen)
        return network(folder).predict(guided, projection).astype(np.int16)


@functools.lru_cache(maxsize=8)
def network(folder: Path):
    """A trained refinement, loaded once a process."""
    import torch

    from i3deep_models.training.variants import load

    torch.set_num_threads(1)
    return load(folder)


def check(case: Case, row: Evaluated, ours: np.ndarray) -> None:
    """Raises ValueError if what is measured here is not what `i3deep evaluate` measured."""
    pasted = paste(case.scan.presegmentation, case.scan.corrections)
    pairs = {
        "dice_refined": (ours, "dice"),
        "dice_refined_outside": (ours, "dice_outside"),
        "nsd_refined": (ours, "nsd"),
        "hd95_mm_refined": (ours, "hd95_mm"),
        "dice_presegmentation": (case.scan.presegmentation, "dice"),
        "dice_presegmentation_outside": (case.scan.presegmentation, "dice_outside"),
        "dice_corrections_pasted": (pasted, "dice"),
    }
    for column, (segmentation, score) in pairs.items():
        theirs = float(row[column] or "nan")
        here = case.mean(segmentation, score) if score in SCORES else case.hausdorff95_mm(segmentation)
        if not (abs(here - theirs) <= TOLERANCE or (np.isnan(here) and np.isnan(theirs))):
            raise ValueError(f"{column} of {row.case} at {row['budget']} is {theirs} in results.csv and {here} here")


def methods(case: Case, names: Iterable[str], networks: Networks) -> Iterator[tuple[str, np.ndarray, float]]:
    """Segmentations by name of the method, with seconds; networks' results with the corrections pasted in, but as they
    are for `published`."""
    folders = dict(networks.folders)
    for name in names:
        started = time.monotonic()
        if name == OURS:
            result = scans.read_labels(case.row.refined).voxels
            check(case, case.row, result)
        elif name in BASELINES:
            result = BASELINES[name](case.scan)
        elif name == "published":
            result = case.refine(folders[name], projection="labels")
        elif name == "published, pasted":
            result = paste(case.refine(folders["published"], projection="labels"), case.scan.corrections)
        else:
            result = paste(case.refine(folders[name]), case.scan.corrections)
        yield name, result, time.monotonic() - started


def compare(
    rows: list[Evaluated], names: list[str], labels: tuple[int, ...], networks: Networks, shells: bool
) -> dict[str, list[dict]]:
    """Rows of the tables `planes`, `methods` and, if asked for, `distance`. `rows` are one case's budgets that bought
    the same planes."""
    case = Case.read(rows[0], labels)
    compared, distances = [], []
    for name, segmentation, seconds in methods(case, names, networks):
        scores, by_shell = case.scores(segmentation), by_distance(case, segmentation) if shells else []
        for row in rows:
            key = {"case": row.case, "budget": row["budget"], "method": name}
            compared += [key | score | {"seconds": round(seconds, 2)} for score in scores]
            distances += [key | shell for shell in by_shell]
    spent = {"planes": len(case.planes), "slices": rows[0]["slices"], "effort": float(rows[0]["effort"] or "nan")}
    planes = [{"case": row.case, "budget": row["budget"]} | spent for row in rows]
    return {"planes": planes, "distance": distances, "methods": compared}


def by_distance(case: Case, segmentation: np.ndarray) -> list[dict[str, object]]:
    """Wrong voxels by distance from the nearest corrected plane; `voxels` are those with foreground in truth or
    presegmentation."""
    distance = metrics.distance_mm(case.truth.shape, case.planes, case.scan.spacing_mm)
    wrong = segmentation != case.truth
    foreground = (case.truth > 0) | (case.scan.presegmentation > 0)
    rows, low = [], -np.inf
    for high in SHELLS_MM:
        shell = (distance > low) & (distance <= high + 1e-9)
        rows.append(
            {"up_to_mm": float(high), "voxels": int((shell & foreground).sum()), "wrong": int((shell & wrong).sum())}
        )
        low = high + 1e-9
    return rows


def listen(row: Evaluated, names: list[str], labels: tuple[int, ...], networks: Networks) -> dict[str, list[dict]]:
    """What networks make of the first 0, 1, 2 … planes, judged outside of all of them; `pasted` is the presegmentation
    with the planes in it."""
    case = Case.read(row, labels)
    folders = dict(networks.folders)
    rows = []
    for name in names:
        for count in range(len(case.planes) + 1):
            corrections = scans.corrected(case.truth, case.planes[:count])
            raw = case.scan.presegmentation if name == "pasted" else case.refine(folders[name], case.planes[:count])
            key = {"case": row.case, "network": name, "planes": count}
            rows += [key | scores for scores in case.scores(paste(raw, corrections))]
    return {"listening": rows}


def ablate(
    row: Evaluated, unblended: Evaluated, names: list[str], labels: tuple[int, ...], networks: Networks
) -> dict[str, list[dict]]:
    """The rows of variants; `no-paste` is the variant `short` without that. `unblended` is the same setting without
    blending, by the product too."""
    case = Case.read(row, labels)
    folders = dict(networks.folders)
    rows = []
    for name in names:
        if name in ("presegmentation", "pasted"):
            result = BASELINES[name](case.scan)
        elif name == "no-paste":
            result = case.refine(folders["short"])
        elif name in (OURS, "no-blending"):
            result = scans.read_labels((row if name == OURS else unblended).refined).voxels
        else:
            result = paste(case.refine(folders[name]), case.scan.corrections)
        rows += [{"case": row.case, "variant": name} | scores for scores in case.scores(result)]
    return {"ablation": rows}


# Finer scans than the network's grid, where resampling as labels loses planes: each axis has that many times the
# voxels.
FINER = 1.25
PROJECTIONS: dict[str, Projection] = {"finer": "planes", "finer, planes as labels": "labels"}


def finer(case: Case, folder: Path) -> tuple[Guided, np.ndarray]:
    """The case on a grid FINER times as fine, with the planes that lie where its planes lie, and its truth there. Scans
    are written to `folder`."""
    shape = tuple(round(n * FINER) for n in case.truth.shape)
    ratios = [m / n for m, n in zip(shape, case.truth.shape, strict=True)]
    nearest = np.ix_(*(source_index(m, n) for m, n in zip(shape, case.truth.shape, strict=True)))
    truth, presegmentation = case.truth[nearest], case.scan.presegmentation[nearest]
    files = []
    for channel in case.row.channels:
        volume = scans.read(channel)
        affine = volume.affine.copy()
        affine[:3, :3] /= ratios[::-1]
        file = folder / channel.name
        scans.write(
            file,
            scans.Volume(
                ndimage.zoom(volume.voxels.astype(np.float32), ratios, order=1, grid_mode=True, mode="nearest"), affine
            ),
        )
        files.append(file)
    planes = [(axis, int((index + 0.5) * ratios[axis])) for axis, index in case.planes]
    return Guided(files, presegmentation, scans.corrected(truth, planes), planes), truth


def project(row: Evaluated, labels: tuple[int, ...], folder: Path, between: Path) -> dict[str, list[dict]]:
    """A case on a finer grid, refined with either projection of its planes; nothing is pasted in, or it would hide what
    was lost."""
    guided, truth = finer(Case.read(row, labels), between)
    rows = []
    for name, projection in PROJECTIONS.items():
        result = network(folder).predict(guided, projection)
        outside = guided.corrections == UNANNOTATED
        for label in labels:
            scores = {
                "dice": metrics.dice(result, truth, label),
                "dice_outside": metrics.dice(result, truth, label, outside),
            }
            rows.append({"case": row.case, "variant": name, "label": label, **scores, "nsd": float("nan")})
    return {"ablation": rows}


def withstand(row: Evaluated, kind: str, labels: tuple[int, ...]) -> dict[str, list[dict]]:
    """The rows of a corrupted (or `clean`) case: before, with the planes pasted in, after."""
    case = Case.read(row, labels)
    ours = scans.read_labels(row.refined).voxels
    check(case, row, ours)
    made = {
        "presegmentation": BASELINES["presegmentation"](case.scan),
        "pasted": BASELINES["pasted"](case.scan),
        OURS: ours,
    }
    effort = {"planes": len(case.planes), "effort": float(row["effort"] or "nan")}
    rows = [
        {"case": row.case, "kind": kind, "method": name} | scores | effort
        for name, result in made.items()
        for scores in case.scores(result)
    ]
    return {"corruption": rows}


def side_by_side(
    tasks: list[tuple[Callable[..., dict], tuple]], jobs: int, what: str
) -> Iterator[dict[str, list[dict]]]:
    """Runs tasks in processes with one thread each, and yields what they return as they finish."""
    if not tasks:
        return
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    started = time.monotonic()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(function, *arguments) for function, arguments in tasks]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                yield future.result()
                left = (time.monotonic() - started) / number * (len(futures) - number)
                print(f"{what}: {number} of {len(futures)}, about {left / 60:.0f} min left", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
