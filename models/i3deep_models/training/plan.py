"""From a raw dataset to a plan and preprocessed cases, for each stage; by nnU-Net's fingerprint, planner and
preprocessor."""

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from i3deep_models.workspace import STAGES, Workspace, read_json, write_json


@dataclass(frozen=True)
class PlanOptions:
    """How the planner's network is made small enough for short trainings and small bundles."""

    base_features: int
    batch_size: int
    dropout: float
    held_out: int
    seed: int
    # What the planner may take the card to have, which decides the patch; none: nnU-Net's own 8.
    memory_gb: float | None = None
    # Features of the deepest stages, which hold most of a bundle's bytes.
    max_features: int = 320
    # Voxels `[z, y, x]` after nnU-Net's transpose, in place of the planner's; as many stages stay.
    patch: tuple[int, int, int] | None = None


def split_cases(cases: list[str], split: dict | None, options: PlanOptions) -> dict[str, list[str]]:
    """Which cases train what: `presegmentation`, `refinement`, and `held_out`, which nothing may look at before the
    report.

    A given split is respected; one that names its `held_out` is taken whole. Without a split one half of the cases go
    to each stage. The refinement learns from presegmentations by networks that have not seen the case
    ([`predict.presegment`]), or it would see better ones than any in use; so a case that trains both stages needs the
    presegmentation's five folds.
    """
    import numpy as np

    if split is not None and "held_out" in split:
        if overlap := sorted({*split["presegmentation"], *split["refinement"]} & set(split["held_out"])):
            raise ValueError(f"the split trains on held-out cases: {', '.join(overlap[:5])}")
        return {part: sorted(split[part]) for part in (*STAGES, "held_out")}
    rng = np.random.default_rng(options.seed)
    if split is None:
        order = rng.permutation(sorted(cases)).tolist()
        split = {"presegmentation": order[: len(order) // 2], "refinement": order[len(order) // 2 :]}
    held_out = sorted(
        rng.choice(
            sorted(split["refinement"]), min(options.held_out, len(split["refinement"]) // 2), replace=False
        ).tolist()
    )
    return {
        "presegmentation": sorted(split["presegmentation"]),
        "refinement": sorted(set(split["refinement"]) - set(held_out)),
        "held_out": held_out,
    }


def link_dataset(source: Path, target: Path, cases: list[str]) -> None:
    """A raw dataset that holds only the given cases, by links."""
    dataset = read_json(source / "dataset.json")
    ending = dataset["file_ending"]
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for case in cases:
        files = [
            *sorted((source / "imagesTr").glob(f"{case}_[0-9][0-9][0-9][0-9]{ending}")),
            source / "labelsTr" / f"{case}{ending}",
        ]
        for file in files:
            link = target / file.parent.name / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    write_json(target / "dataset.json", {**dataset, "numTraining": len(cases)})


def plan(workspace: Workspace, raw: Path, split: dict | None, options: PlanOptions) -> None:
    """Plans and preprocesses both stages. The refinement's cases are preprocessed with the presegmentation's plan: one
    grid, one normalisation."""
    workspace.activate()
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    dataset = read_json(raw / "dataset.json")
    cases = [
        file.name.removesuffix(dataset["file_ending"])
        for file in sorted((raw / "labelsTr").glob(f"*{dataset['file_ending']}"))
    ]
    parts = split_cases(cases, split, options)
    write_json(workspace.folder / "split.json", parts)
    for stage in STAGES:
        link_dataset(raw, workspace.raw / workspace.dataset_name(stage), parts[stage])

    extract_fingerprints([1], num_processes=2, check_dataset_integrity=True)
    plan_experiments([1], gpu_memory_target_in_gb=options.memory_gb)
    plans_file = workspace.preprocessed / workspace.dataset_name("presegmentation") / "nnUNetPlans.json"
    plans = read_json(plans_file)
    shrink(plans["configurations"]["3d_fullres"], options)
    # 2D plans would be written into every bundle without ever being used.
    plans["configurations"] = {"3d_fullres": plans["configurations"]["3d_fullres"]}
    write_json(plans_file, plans)
    processes = min(4, os.cpu_count() or 1)
    preprocess([1], configurations=["3d_fullres"], num_processes=[processes])

    refinement = workspace.preprocessed / workspace.dataset_name("refinement")
    refinement.mkdir(parents=True, exist_ok=True)
    write_json(refinement / "nnUNetPlans.json", {**plans, "dataset_name": workspace.dataset_name("refinement")})
    shutil.copy(workspace.raw / workspace.dataset_name("refinement") / "dataset.json", refinement / "dataset.json")
    # The trainer copies the fingerprint beside its weights; the plan was made from this one.
    shutil.copy(plans_file.parent / "dataset_fingerprint.json", refinement / "dataset_fingerprint.json")
    preprocess([2], configurations=["3d_fullres"], num_processes=[processes])


def shrink(configuration: dict, options: PlanOptions) -> None:
    """Fewer features, a small batch, another patch if one is asked for, and dropout, which Monte-Carlo dropout needs at
    prediction. Raises ValueError where the patch cannot be halved as often as the planner's."""
    configuration["batch_size"] = options.batch_size
    arguments = configuration["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [
        min(options.base_features * 2**stage, options.max_features) for stage in range(arguments["n_stages"])
    ]
    if options.patch:
        whole = [math.prod(strides) for strides in zip(*arguments["strides"], strict=True)]
        if any(size % by for size, by in zip(options.patch, whole, strict=True)):
            raise ValueError(
                f"the network halves a patch, so its sizes must be multiples of {whole}, not {options.patch}"
            )
        configuration["patch_size"] = list(options.patch)
    if options.dropout > 0:
        arguments["dropout_op"] = arguments["conv_op"].replace("conv.Conv", "dropout.Dropout")
        arguments["dropout_op_kwargs"] = {"p": options.dropout}
