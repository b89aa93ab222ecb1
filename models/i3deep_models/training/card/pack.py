"""Preprocessed cases → one compressed file that a machine without nnU-Net can train from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i3deep_models.workspace import STAGES, Workspace, read_json, write_json

CONFIGURATION = "3d_fullres"


@dataclass(frozen=True)
class Pack:
    """A task's training cases. Images are `[z, y, x]` of one channel, normalised as nnU-Net does, in steps."""

    cases: list[str]
    images: list[np.ndarray]
    labels: list[np.ndarray]
    low: float
    step: float
    plans: dict
    dataset: dict
    splits: list[dict]
    mirror_axes: list[int]


@dataclass(frozen=True)
class Packing:
    """In how many steps intensities are kept, which axes, after nnU-Net's transpose, training may mirror along, and how
    many cases of the refinement's half its training does not learn from."""

    steps: int = 256
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    validation: int = 6


def pack(workspace: Workspace, file: Path, packing: Packing) -> None:
    """Packs both stages' preprocessed cases with their plan. Where both learn from the same cases, with nnU-Net's five
    folds; where each has a half, fold 0 learns from the presegmentation's and fold 1 from the refinement's.

    Raises ValueError for more steps than a byte holds, no validation case, and stages that share some cases only.
    """
    if not 2 <= packing.steps <= 256:
        raise ValueError(f"intensities are kept in 2 to 256 steps, not {packing.steps}")
    if packing.validation < 1:
        raise ValueError("a refinement is tried on one case at least")
    workspace.activate()
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    bases = [workspace.preprocessed / workspace.dataset_name(stage) for stage in STAGES]
    datasets = [nnUNetDatasetBlosc2(str(base / f"nnUNetPlans_{CONFIGURATION}")) for base in bases]
    halves = [sorted(str(case) for case in dataset.identifiers) for dataset in datasets]
    splits = splits_of(*halves, packing.validation)
    holds = {case: dataset for dataset, half in zip(datasets, halves, strict=True) for case in half}
    cases = sorted(holds)
    for base in bases:
        write_json(base / "splits_final.json", splits)
    images, labels = [], []
    for case in cases:
        data, seg, _, _ = holds[case].load_case(case)
        images.append(np.asarray(data[0], np.float32))
        labels.append(np.asarray(seg[0]).clip(0).astype(np.uint8))
    low, high = min(float(i.min()) for i in images), max(float(i.max()) for i in images)
    # One odd voxel must not coarsen the steps of all others.
    low, high = max(low, -8.0), min(high, 24.0)
    last = packing.steps - 1
    step = (high - low) / last
    arrays = {}
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        arrays[f"i{number}"] = np.round((image - low) / step).clip(0, last).astype(np.uint8)
        arrays[f"l{number}"] = label
    np.savez_compressed(file.with_suffix(".npz"), **arrays)
    about = {
        "cases": cases,
        "low": low,
        "step": step,
        "plans": read_json(bases[0] / "nnUNetPlans.json"),
        "dataset": read_json(bases[0] / "dataset.json"),
        "splits": splits,
        "mirror_axes": list(packing.mirror_axes),
    }
    write_json(file.with_suffix(".json"), about)


def splits_of(presegmentation: list[str], refinement: list[str], validation: int) -> list[dict[str, list[str]]]:
    """`{"train": cases, "val": cases}` for each fold. Raises ValueError where the stages share some cases only."""
    if presegmentation == refinement:
        from nnunetv2.utilities.crossval_split import generate_crossval_split

        folds = generate_crossval_split(presegmentation, seed=12345, n_splits=5)
        return [{part: [str(case) for case in fold[part]] for part in ("train", "val")} for fold in folds]
    if {*presegmentation} & {*refinement}:
        raise ValueError("the stages share some cases only: a split for a card has the same for both, or halves")
    unseen = refinement[:: max(1, len(refinement) // validation)][:validation]
    return [
        {"train": presegmentation, "val": refinement},
        {"train": [case for case in refinement if case not in unseen], "val": unseen},
    ]


def read_pack(file: Path) -> Pack:
    """Reads what [`pack`] wrote."""
    about = read_json(file.with_suffix(".json"))
    with np.load(file.with_suffix(".npz")) as stored:
        numbers = range(len(about["cases"]))
        return Pack(images=[stored[f"i{n}"] for n in numbers], labels=[stored[f"l{n}"] for n in numbers], **about)
