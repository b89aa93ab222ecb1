"""Preprocessed cases → one compressed file that a machine without nnU-Net can train from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i3deep_models.workspace import Workspace, read_json, write_json

CONFIGURATION = "3d_fullres"


@dataclass(frozen=True)
class Pack:
    """A task's training cases. Images are `[z, y, x]` of one channel, normalised as nnU-Net does, in 256 steps."""

    cases: list[str]
    images: list[np.ndarray]
    labels: list[np.ndarray]
    low: float
    step: float
    plans: dict
    dataset: dict
    splits: list[dict]


def pack(workspace: Workspace, file: Path) -> None:
    """Packs the presegmentation's preprocessed cases with their plan and nnU-Net's five folds."""
    workspace.activate()
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    base = workspace.preprocessed / workspace.dataset_name("presegmentation")
    dataset = nnUNetDatasetBlosc2(str(base / f"nnUNetPlans_{CONFIGURATION}"))
    cases = sorted(dataset.identifiers)
    splits = generate_crossval_split(cases, seed=12345, n_splits=5)
    splits = [{part: [str(case) for case in split[part]] for part in ("train", "val")} for split in splits]
    for stage in ("presegmentation", "refinement"):
        write_json(workspace.preprocessed / workspace.dataset_name(stage) / "splits_final.json", splits)
    images, labels = [], []
    for case in cases:
        data, seg, _, _ = dataset.load_case(case)
        images.append(np.asarray(data[0], np.float32))
        labels.append(np.asarray(seg[0]).clip(0).astype(np.uint8))
    low, high = min(float(i.min()) for i in images), max(float(i.max()) for i in images)
    # One odd voxel must not coarsen the steps of all others.
    low, high = max(low, -8.0), min(high, 24.0)
    step = (high - low) / 255
    arrays = {}
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        arrays[f"i{number}"] = np.round((image - low) / step).clip(0, 255).astype(np.uint8)
        arrays[f"l{number}"] = label
    np.savez_compressed(file.with_suffix(".npz"), **arrays)
    about = {
        "cases": cases,
        "low": low,
        "step": step,
        "plans": read_json(base / "nnUNetPlans.json"),
        "dataset": read_json(base / "dataset.json"),
        "splits": splits,
    }
    write_json(file.with_suffix(".json"), about)


def read_pack(file: Path) -> Pack:
    """Reads what [`pack`] wrote."""
    about = read_json(file.with_suffix(".json"))
    with np.load(file.with_suffix(".npz")) as stored:
        numbers = range(len(about["cases"]))
        return Pack(images=[stored[f"i{n}"] for n in numbers], labels=[stored[f"l{n}"] for n in numbers], **about)
