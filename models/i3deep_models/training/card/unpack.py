"""What a run on a card brought back → trained folders as nnU-Net writes them, which `i3deep bundle create` reads."""

from dataclasses import dataclass
from pathlib import Path

import torch

from i3deep_models.training.card.pack import CONFIGURATION
from i3deep_models.workspace import read_json, write_json


@dataclass(frozen=True)
class Trained:
    """One network's folds, `fold → file of f16 weights`, and where they go."""

    folds: dict[str, Path]
    folder: Path


def unpack(about: Path, trained: Trained) -> None:
    """Writes `plans.json`, `dataset.json` and `fold_K/checkpoint_final.pth`; `about` is the pack's JSON file."""
    content = read_json(about)
    dataset = content["dataset"]
    write_json(trained.folder / "plans.json", content["plans"])
    write_json(trained.folder / "dataset.json", dataset)
    for fold, file in trained.folds.items():
        weights = {name: value.float() for name, value in torch.load(file, map_location="cpu").items()}
        checkpoint = {
            "network_weights": weights,
            "init_args": {
                "plans": content["plans"],
                "configuration": CONFIGURATION,
                "fold": fold,
                "dataset_json": dataset,
            },
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        (trained.folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, trained.folder / f"fold_{fold}" / "checkpoint_final.pth")
