"""Runs nnU-Net's training loop on a planned stage; resumes where an interrupted run left its last checkpoint."""

import os
import random
from dataclasses import asdict, dataclass
from pathlib import Path

from i3deep_models.training.variants import Recipe
from i3deep_models.workspace import Workspace, read_json, write_json


@dataclass(frozen=True)
class TrainOptions:
    """A short schedule."""

    iterations: int
    learning_rate: float
    fold: int
    seed: int
    threads: int
    # Array axes `[z, y, x]` along which scans may be mirrored. Not the one from left to right, where labels tell sides.
    mirror_axes: tuple[int, ...] = (0, 1, 2)


def train(workspace: Workspace, stage: str, options: TrainOptions, recipe: Recipe | None = None) -> None:
    """Trains one fold of a stage. `recipe` says what is special about the refinement stage."""
    workspace.activate()
    # Augmentation in the training process: with few cores, worker processes cost more than they bring, and seeds hold.
    os.environ.setdefault("nnUNet_n_proc_DA", "0")
    os.environ["I3DEEP_ITERATIONS"] = str(options.iterations)
    os.environ["I3DEEP_LEARNING_RATE"] = str(options.learning_rate)
    os.environ["I3DEEP_MIRROR_AXES"] = ",".join(str(axis) for axis in options.mirror_axes)
    import numpy as np
    import torch

    from i3deep_models.training import predict

    torch.set_num_threads(options.threads)
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    if stage == "refinement":
        if recipe is None:
            raise ValueError("the refinement stage needs a recipe")
        predict.presegment(workspace)
        os.environ["I3DEEP_REFINEMENT"] = str(write_settings(workspace, recipe, options.seed))
    from i3deep_models.training import trainers

    base = workspace.preprocessed / workspace.dataset_name(stage)
    plans, dataset = read_json(base / "nnUNetPlans.json"), read_json(base / "dataset.json")
    refiner = trainers.PNetTrainer if recipe and recipe.architecture == "pnet" else trainers.RefinementTrainer
    trainer_class = trainers.PresegmentationTrainer if stage == "presegmentation" else refiner
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plans["continue_training"] = False
    trainer = trainer_class(plans, predict.CONFIGURATION, options.fold, dataset, device)
    output = Path(trainer.output_folder)
    if (output / "checkpoint_final.pth").exists():
        print(f"{stage} fold {options.fold} is trained already", flush=True)
        return
    trainer.initialize()
    if (output / "checkpoint_latest.pth").exists():
        print("resuming", flush=True)
        trainer.load_checkpoint(str(output / "checkpoint_latest.pth"))
    trainer.run_training()


def write_settings(workspace: Workspace, recipe: Recipe, seed: int) -> Path:
    """What the refinement's trainer needs to know beside the plan, as a file beside its results."""
    from i3deep_models.training import predict

    start = sorted(
        predict.trained_folder(Workspace(workspace.folder), "presegmentation").glob("fold_*/checkpoint_final.pth")
    )[0]
    settings = workspace.results / "refinement.json"
    write_json(
        settings,
        {"presegmentations": str(workspace.presegmentations), "start": str(start), "seed": seed, **asdict(recipe)},
    )
    return settings
