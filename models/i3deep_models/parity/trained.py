"""Folders that nnU-Net itself plans, preprocesses and trains for a few iterations: what a user brings, with all that
lies in a real checkpoint."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i3deep_models.parity.models import Scan, voxels
from i3deep_models.workspace import Workspace, read_json, write_json

CASES = 5
LABELS = {"background": 0, "a": 1, "b": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": 2}
SCANS = tuple(Scan((24 + n, 26 - n, 22 + n % 3), (1.0, 1.0, 1.2)) for n in range(CASES))


@dataclass(frozen=True)
class Training:
    """A folder to be trained, and how it is predicted with."""

    name: str
    dataset: int = 1
    planner: str = "ExperimentPlanner"
    plans: str = "nnUNetPlans"
    configuration: str = "3d_fullres"
    trainer: str = "nnUNetTrainer"
    folds: tuple[int | str, ...] = (0,)
    checkpoint: str = "checkpoint_final.pth"
    after: str = ""


def trainings() -> list[Training]:
    """Planners, configurations, trainers, folds and checkpoints, each at least once. A cascade comes after its first
    stage."""
    return [
        Training("default planner, two folds", folds=(0, 1)),
        Training("default planner, best checkpoint", checkpoint="checkpoint_best.pth", trainer="nnUNetTrainer_5epochs"),
        Training(
            "ResEncM, DA5, fold all",
            1,
            "nnUNetPlannerResEncM",
            "nnUNetResEncUNetMPlans",
            trainer="nnUNetTrainerDA5",
            folds=("all",),
        ),
        Training("2d, trainer without mirroring", configuration="2d", trainer="nnUNetTrainerNoMirroring"),
        Training("3d_lowres, fold all", configuration="3d_lowres", folds=("all",)),
        Training("3d_cascade_fullres", configuration="3d_cascade_fullres", after="3d_lowres, fold all"),
        Training("regions", dataset=2),
        Training("ignore label, no deep supervision", dataset=3, trainer="nnUNetTrainerNoDeepSupervision"),
    ]


def datasets() -> dict[int, dict]:
    """Labels of the datasets by number."""
    return {
        1: {"labels": LABELS},
        2: {"labels": REGIONS, "regions_class_order": [1, 2]},
        3: {"labels": LABELS | {"ignore": 3}},
    }


class Trainer:
    """Plans each dataset once and trains what is asked for."""

    def __init__(self, folder: Path):
        """`folder` holds raw scans, preprocessed ones and results."""
        self.workspace = Workspace(folder)
        self.workspace.activate()
        self.fingerprint: dict | None = None

    def name(self, dataset: int) -> str:
        """nnU-Net's name of a dataset."""
        return f"Dataset{dataset:03}_Parity"

    def train(self, training: Training) -> Path:
        """Plans, preprocesses and trains; the trained folder."""
        plans = self.planned(training)
        self.preprocess(training.dataset, plans, training.configuration)
        for fold in training.folds:
            self.train_fold(training, plans, fold)
        return (
            self.workspace.results
            / self.name(training.dataset)
            / f"{training.trainer}__{training.plans}__{training.configuration}"
        )

    def planned(self, training: Training) -> dict:
        """The plans of a planner; with a low resolution and its cascade, which nnU-Net plans for large scans only."""
        from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments

        raw, preprocessed = (
            root / self.name(training.dataset) for root in (self.workspace.raw, self.workspace.preprocessed)
        )
        file = preprocessed / f"{training.plans}.json"
        if file.exists():
            return read_json(file)
        if not raw.exists():
            write_dataset(raw, datasets()[training.dataset])
        preprocessed.mkdir(parents=True, exist_ok=True)
        self.fingerprinted(training.dataset, preprocessed)
        shutil.copy(raw / "dataset.json", preprocessed / "dataset.json")
        # The planner computes with as many threads as there are workers of augmentation, and wants one at least.
        os.environ["nnUNet_n_proc_DA"] = "1"
        plan_experiments(
            [training.dataset], experiment_planner_class_name=training.planner, overwrite_plans_name=training.plans
        )
        plans = read_json(file)
        full = plans["configurations"]["3d_fullres"]
        full["batch_size"] = plans["configurations"]["2d"]["batch_size"] = 2
        low = dict(
            full,
            spacing=[2 * mm for mm in full["spacing"]],
            data_identifier=f"{training.plans}_3d_lowres",
            next_stage="3d_cascade_fullres",
        )
        cascade = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
        plans["configurations"] |= {"3d_lowres": low, "3d_cascade_fullres": cascade}
        write_json(file, plans)
        return plans

    def fingerprinted(self, dataset: int, preprocessed: Path) -> None:
        """nnU-Net's fingerprint; all datasets have the same scans."""
        from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints

        if self.fingerprint is None:
            extract_fingerprints([dataset], num_processes=1, check_dataset_integrity=False)
            self.fingerprint = read_json(preprocessed / "dataset_fingerprint.json")
        write_json(preprocessed / "dataset_fingerprint.json", self.fingerprint)

    def preprocess(self, dataset: int, plans: dict, configuration: str) -> None:
        """nnU-Net's preprocessing, case by case in this process."""
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        raw, preprocessed = (root / self.name(dataset) for root in (self.workspace.raw, self.workspace.preprocessed))
        manager = PlansManager(plans)
        wanted = manager.get_configuration(configuration)
        folder = preprocessed / wanted.data_identifier
        folder.mkdir(exist_ok=True)
        truth = preprocessed / "gt_segmentations"
        truth.mkdir(exist_ok=True)
        for number in range(CASES):
            label = raw / "labelsTr" / f"case_{number}.nii.gz"
            shutil.copy(label, truth)
            if not list(folder.glob(f"case_{number}.*")):
                image = raw / "imagesTr" / f"case_{number}_0000.nii.gz"
                preprocessor = wanted.preprocessor_class(verbose=False)
                preprocessor.run_case_save(
                    str(folder / f"case_{number}"),
                    [str(image)],
                    str(label),
                    manager,
                    wanted,
                    read_json(raw / "dataset.json"),
                )

    def train_fold(self, training: Training, plans: dict, fold: int | str) -> None:
        """nnU-Net's own trainer for two iterations and its own checkpoints; a first stage also predicts what its
        cascade learns from."""
        import torch
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

        # No workers: augmentation in this process.
        os.environ["nnUNet_n_proc_DA"] = "0"
        trainer_class = recursive_find_trainer_class_by_name(training.trainer)
        dataset = read_json(self.workspace.raw / self.name(training.dataset) / "dataset.json")
        plans = dict(plans, continue_training=False)
        torch.manual_seed(len(training.name) + (7 if fold == "all" else int(fold)))
        trainer = trainer_class(plans, training.configuration, fold, dataset, torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 2, 1
        trainer.run_training()
        if training.configuration == "3d_lowres":
            trainer.perform_actual_validation(False)


def write_dataset(raw: Path, labels: dict) -> None:
    """A raw dataset of blobs, whose labels follow from intensities."""
    import SimpleITK as sitk

    rng = np.random.default_rng(5)
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    ignored = labels["labels"].get("ignore")
    for number, scan in enumerate(SCANS):
        image = voxels(scan, rng)
        truth = np.digitize(image, [150, 350]).astype(np.uint8)
        if ignored:
            truth[: len(truth) // 4] = ignored
        for array, file in (
            (image, raw / "imagesTr" / f"case_{number}_0000.nii.gz"),
            (truth, raw / "labelsTr" / f"case_{number}.nii.gz"),
        ):
            volume = sitk.GetImageFromArray(array)
            volume.SetSpacing(scan.spacing)
            sitk.WriteImage(volume, str(file))
    content = {"channel_names": {"0": "MRI"}, "file_ending": ".nii.gz", "numTraining": CASES, "name": raw.name}
    write_json(raw / "dataset.json", content | labels)
