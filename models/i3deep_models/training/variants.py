"""Refinements to compare with: the method as published, P-Net, and ours with one thing changed. They are trained and
judged in Python only.

A variant's folder is `<workspace>/variants/<name>`; the bundle's own refinement in `<workspace>/results` reads the same
way.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from i3deep_models import guidance
from i3deep_models.guidance import Encoding
from i3deep_models.training.simulation import Simulation
from i3deep_models.workspace import read_json

Projection = Literal["planes", "labels"]


@dataclass(frozen=True)
class Recipe:
    """What makes a refinement network: its guidance, its training's expert, its architecture."""

    encoding: Encoding = field(default_factory=Encoding)
    simulation: Simulation = field(default_factory=Simulation)
    architecture: Literal["unet", "pnet"] = "unet"


_PUBLISHED = Recipe(
    Encoding(annotated=False, presegmentation="none"), Simulation("published", imperfect=0.0, doubtful=0.0)
)

RECIPES = {
    "short": Recipe(),
    "no-annotated": Recipe(encoding=Encoding(annotated=False)),
    "with-presegmentation": Recipe(encoding=Encoding(presegmentation="labels")),
    "random-planes": Recipe(simulation=Simulation("random", imperfect=0.0, doubtful=0.0)),
    "published": _PUBLISHED,
    "pnet": Recipe(_PUBLISHED.encoding, _PUBLISHED.simulation, "pnet"),
}


@dataclass(frozen=True)
class Guided:
    """A scan and what is known of it, on the scan's own grid as nnU-Net's reader gives it.

    Volumes are `[z, y, x]`, planes (axis, index) in that order. `corrections` holds labels in `planes` and UNANNOTATED
    elsewhere.
    """

    images: list[Path]
    presegmentation: np.ndarray
    corrections: np.ndarray
    planes: list[tuple[int, int]]


class Variant:
    """A trained refinement network at work."""

    def __init__(self, folder: Path):
        """Reads `<workspace>/variants/<name>` or `<workspace>/results`."""
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        from i3deep_models.training import predict

        settings = read_json(folder / "refinement.json")
        trained = sorted(folder.glob("Dataset002_*/*/fold_*/checkpoint_final.pth"))
        if not trained:
            raise ValueError(
                f"{folder} holds no finished training; run `i3deep-models train refinement --variant {folder.name}`"
            )
        model = trained[0].parent.parent
        load = predict.load_pnet if settings["architecture"] == "pnet" else predict.load_network
        self.networks = [load(file) for file in trained]
        self.encoding = Encoding(**settings["encoding"])
        self.dataset = read_json(model / "dataset.json")
        self.plans = PlansManager(read_json(model / "plans.json"))
        self.configuration = self.plans.get_configuration(predict.CONFIGURATION)
        self.labels = self.plans.get_label_manager(self.dataset)

    def predict(self, guided: Guided, projection: Projection = "planes") -> np.ndarray:
        """Labels `[z, y, x]` on the scan's grid; corrections are not pasted in.

        The projection `labels` is the published one: corrections are resampled like any label volume.
        """
        from nnunetv2.inference.export_prediction import (
            convert_predicted_logits_to_segmentation_with_correct_shape as export,
        )

        from i3deep_models.training import predict

        preprocessor = self.configuration.preprocessor_class(verbose=False)
        files = [str(file) for file in guided.images]
        data, _, properties = preprocessor.run_case(files, None, self.plans, self.configuration, self.dataset)
        extra = self._guidance(guided, properties, data.shape[1:], projection)
        data = np.concatenate([data, extra]).astype(np.float32)
        logits = predict.logits(self.networks, data, list(self.configuration.patch_size))
        return export(logits, self.plans, self.configuration, self.labels, properties, num_threads_torch=1)

    def _guidance(self, guided: Guided, properties: dict, shape: tuple[int, ...], projection: Projection) -> np.ndarray:
        forward = list(self.plans.transpose_forward)
        box = tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])
        corrections, presegmentation = (
            volume.transpose(forward)[box] for volume in (guided.corrections, guided.presegmentation)
        )
        planes = [(forward.index(axis), index) for axis, index in guided.planes]
        inside = [
            (axis, index - box[axis].start) for axis, index in planes if box[axis].start <= index < box[axis].stop
        ]
        if projection == "planes":
            projected = guidance.project(corrections, inside, shape)
        else:
            projected = self._as_labels(corrections, properties, shape)
        nearest = presegmentation[
            np.ix_(*(guidance.source_index(m, n) for m, n in zip(shape, presegmentation.shape, strict=True)))
        ]
        return guidance.channels(projected, nearest, list(self.labels.foreground_labels), self.encoding)

    def _as_labels(self, corrections: np.ndarray, properties: dict, shape: tuple[int, ...]) -> np.ndarray:
        """By nnU-Net's resampling of labels, annotated or not as one more label; sheets get lost in it."""
        shifted = (corrections + 1).astype(np.int16)[None]
        spacing = [properties["spacing"][axis] for axis in self.plans.transpose_forward]
        resampled = self.configuration.resampling_fn_seg(
            shifted, list(shape), spacing, list(self.configuration.spacing)
        )
        return np.asarray(resampled)[0].astype(np.int16) - 1


def load(folder: Path) -> Variant:
    """A trained variant; raises ValueError where there is none."""
    return Variant(folder)
