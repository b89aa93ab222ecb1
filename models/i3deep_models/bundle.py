"""Two network folders and what the server must know about them → a model bundle."""

import hashlib
from collections import Counter
from pathlib import Path

import nibabel as nib
import torch

from i3deep_models.guidance import Encoding
from i3deep_models.workspace import STAGES, read_json, write_json

# Okabe & Ito's colours that differ for every kind of colour vision and stand out on grey.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")


def sha256(file: Path) -> str:
    """Digest of a file in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def orientations_of(images: Path) -> list[str]:
    """How the scans of a folder in nnU-Net's raw layout are stored, such as RAS, the most frequent first. Every case is
    counted once, by its first channel."""
    counts = Counter("".join(nib.aff2axcodes(nib.load(file).affine)) for file in sorted(images.glob("*_0000.nii*")))
    return [letters for letters, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]


def write_bundle(
    folder: Path,
    name: str,
    version: str,
    task: str,
    licence: str,
    training_data: str,
    encoding: Encoding,
    budget: float,
    blend_mm: float,
    orientations: list[str],
    codes: dict[str, dict] | None = None,
) -> None:
    """Writes `bundle.json` beside `presegmentation/` and `refinement/`, with the digest of every file;
    `orientations` are those of the training scans ([`orientations_of`]), `codes` what labels are in coded words, by
    their names."""
    dataset = read_json(folder / "presegmentation" / "dataset.json")
    names = {int(value): label for label, value in dataset["labels"].items() if int(value) > 0}
    labels = [
        {"value": value, "name": names[value], "colour": COLOURS[i % len(COLOURS)]}
        for i, value in enumerate(sorted(names))
    ]
    unknown = set(codes or {}) - set(names.values())
    if unknown:
        raise SystemExit(f"no label is called {', '.join(sorted(unknown))}, of which a code is given")
    for label in labels:
        if codes and label["name"] in codes:
            label["code"] = codes[label["name"]]
    files = {
        file.relative_to(folder).as_posix(): sha256(file)
        for stage in STAGES
        for file in sorted((folder / stage).rglob("*"))
        if file.is_file()
    }
    content = {
        "format": 1,
        "name": name,
        "version": version,
        "task": task,
        "labels": labels,
        "channels": [dataset["channel_names"][key] for key in sorted(dataset["channel_names"], key=int)],
        "guidance": encoding.as_json(),
        "orientations": orientations,
        "blend_mm": blend_mm,
        "acquisition": {"strategy": "greedy", "budget": budget},
        "uncertainty": {"samples": ["mirrors", "folds"], "measure": "entropy"},
        "licence": licence,
        "training_data": training_data,
        "torch_version": torch.__version__.split("+")[0],
        "files": files,
    }
    write_json(folder / "bundle.json", content)
