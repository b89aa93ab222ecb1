"""Golden logits for a bundle of native networks: what the networks compute in Python, for a test in Rust to repeat."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from i3deep_models.bundle import sha256
from i3deep_models.export import golden_size
from i3deep_models.training.card.fit import build
from i3deep_models.training.card.pack import CONFIGURATION
from i3deep_models.training.card.run import grown
from i3deep_models.workspace import STAGES, read_json, write_json


def write_golden(bundle: Path, seed: int = 0) -> None:
    """Writes `golden/input.npy` and `golden/fold_K.npy` of both networks, and their digests into `bundle.json`."""
    content = read_json(bundle / "bundle.json")
    for stage in (stage for stage in STAGES if (bundle / stage).is_dir()):
        for file in _write_stage(bundle / stage, seed):
            name = file.relative_to(bundle).as_posix()
            content["files"][name] = sha256(file)
    content["files"] = dict(sorted(content["files"].items()))
    write_json(bundle / "bundle.json", content)


def _write_stage(folder: Path, seed: int) -> list[Path]:
    manifest, plans = read_json(folder / "network.json"), read_json(folder / "plans.json")
    configuration = plans["configurations"][CONFIGURATION]
    generator = torch.Generator().manual_seed(seed)
    patch = torch.randn((1, manifest["input_channels"], *golden_size(configuration)), generator=generator)
    (folder / "golden").mkdir(exist_ok=True)
    files = [folder / "golden" / "input.npy"]
    np.save(files[0], patch.numpy())
    for fold in manifest["folds"]:
        network = build(plans, manifest["input_channels"], manifest["heads"]).eval()
        network.load_state_dict(grown(load_file(folder / f"fold_{fold}.safetensors"), network))
        with torch.no_grad():
            logits = network(patch)[0]
        files.append(folder / "golden" / f"fold_{fold}.npy")
        np.save(files[-1], logits.numpy().astype(np.float32))
    return files
