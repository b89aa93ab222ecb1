"""Where a training keeps its files, and the environment that nnU-Net wants to find set before it is imported."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

# The two networks of a bundle, in the order in which they are trained; also the names of their folders.
STAGES = ("presegmentation", "refinement")


@dataclass(frozen=True)
class Workspace:
    """A folder that holds everything a training makes; safe to delete once the bundle is written."""

    folder: Path
    # A refinement that is trained otherwise than the bundle's, to compare with, keeps its results apart.
    variant: str = ""

    @property
    def raw(self) -> Path:
        """Folder of nnU-Net raw datasets."""
        return self.folder / "raw"

    @property
    def preprocessed(self) -> Path:
        """Folder of nnU-Net preprocessed datasets."""
        return self.folder / "preprocessed"

    @property
    def results(self) -> Path:
        """Folder of trained networks."""
        return self.folder / "variants" / self.variant if self.variant else self.folder / "results"

    @property
    def presegmentations(self) -> Path:
        """Out-of-sample presegmentations and uncertainties of the cases that refinement learns from."""
        return self.folder / "presegmentations"

    def dataset_name(self, stage: str) -> str:
        """nnU-Net's name of the dataset that a stage (`presegmentation` or `refinement`) trains on."""
        return {"presegmentation": "Dataset001_Presegmentation", "refinement": "Dataset002_Refinement"}[stage]

    def activate(self) -> None:
        """Points nnU-Net at this folder. Must run before anything of nnunetv2 is imported."""
        for name, path in (
            ("nnUNet_raw", self.raw),
            ("nnUNet_preprocessed", self.preprocessed),
            ("nnUNet_results", self.results),
        ):
            path.mkdir(parents=True, exist_ok=True)
            os.environ[name] = str(path)
        os.environ.setdefault("nnUNet_def_n_proc", str(min(8, os.cpu_count() or 1)))


def read_json(path: Path) -> dict:
    """Reads a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file whose bytes depend on the content alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
