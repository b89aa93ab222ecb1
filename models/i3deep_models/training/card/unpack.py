"""What a run on a card brought back → trained folders as nnU-Net writes them, which `i3deep bundle create` reads."""

from dataclasses import dataclass
from pathlib import Path

import torch

from i3deep_models.training.card import fit
from i3deep_models.training.card.pack import CONFIGURATION
from i3deep_models.workspace import read_json, write_json


@dataclass(frozen=True)
class Trained:
    """One network's folds, `fold → file of f16 weights`, where they go, and the axes that prediction mirrors along:
    those of training unless given."""

    folds: dict[str, Path]
    folder: Path
    mirror_axes: tuple[int, ...] | None = None


def unpack(about: Path, trained: Trained) -> None:
    """Writes `plans.json`, `dataset.json` and `fold_K/checkpoint_final.pth`; `about` is the pack's JSON file."""
    content = read_json(about)
    dataset = content["dataset"]
    mirror_axes = content["mirror_axes"] if trained.mirror_axes is None else trained.mirror_axes
    write_json(trained.folder / "plans.json", content["plans"])
    write_json(trained.folder / "dataset.json", dataset)
    for fold, file in trained.folds.items():
        weights = {name: value.float() for name, value in torch.load(file, map_location="cpu").items()}
        checkpoint = {
            "network_weights": under_all_names(weights, content["plans"], dataset),
            "init_args": {
                "plans": content["plans"],
                "configuration": CONFIGURATION,
                "fold": fold,
                "dataset_json": dataset,
            },
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(mirror_axes),
        }
        (trained.folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, trained.folder / f"fold_{fold}" / "checkpoint_final.pth")


def under_all_names(weights: dict[str, torch.Tensor], plans: dict, dataset: dict) -> dict[str, torch.Tensor]:
    """A network's weights as its `state_dict` lists them, which nnU-Net loads: many layers are reached by two or three
    names. Raises ValueError where a layer has no weights by any name, or weights have no layer."""
    channels = next(weight for weight in weights.values() if weight.ndim >= 4).shape[1]
    network = fit.build(plans, channels, len(dataset["labels"]))
    missing, unknown = network.load_state_dict(weights, strict=False)
    named = network.state_dict(keep_vars=True)
    known = {named[name].data_ptr() for name in weights.keys() - set(unknown)}
    without = [name for name in missing if named[name].data_ptr() not in known]
    if without or unknown:
        raise ValueError(f"weights and plans are of different networks: {(without + list(unknown))[0]}")
    return network.state_dict()
