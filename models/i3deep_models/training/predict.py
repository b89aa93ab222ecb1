"""Networks at work on preprocessed cases: enough of a predictor to make the presegmentations that refinement learns
from, and to judge it.

The product predicts in Rust; this exists so that training needs nothing but Python.
"""

from pathlib import Path

import numpy as np
import torch

from i3deep_models import guidance
from i3deep_models.training.pnet import PNet
from i3deep_models.training.simulation import greedy_planes
from i3deep_models.workspace import Workspace, read_json

CONFIGURATION = "3d_fullres"


def trained_folder(workspace: Workspace, stage: str) -> Path:
    """nnU-Net's folder of the trained network of a stage."""
    trainer = {"presegmentation": "PresegmentationTrainer", "refinement": "RefinementTrainer"}[stage]
    return workspace.results / workspace.dataset_name(stage) / f"{trainer}__nnUNetPlans__{CONFIGURATION}"


def load_pnet(checkpoint: Path) -> torch.nn.Module:
    """The P-Net of a checkpoint, in evaluation mode; `mirror_axes` as in [`load_network`]."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=False)
    weights = stored["network_weights"]
    network = PNet(weights["blocks.0.0.0.weight"].shape[1], weights["classify.2.weight"].shape[0])
    network.load_state_dict(weights)
    network.mirror_axes = stored["inference_allowed_mirroring_axes"]
    return network.eval()


def load_network(
    checkpoint: Path, input_channels: int | None = None, deep_supervision: bool = False
) -> torch.nn.Module:
    """Builds the network of a checkpoint from its own plans, in evaluation mode; input channels are read from its first
    weight. `mirror_axes` of it are those that it was trained to be mirrored along."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    stored = torch.load(checkpoint, map_location="cpu", weights_only=False)
    arguments = stored["init_args"]
    plans = PlansManager(arguments["plans"])
    configuration = plans.get_configuration(arguments["configuration"])
    weights = stored["network_weights"]
    heads = plans.get_label_manager(arguments["dataset_json"]).num_segmentation_heads
    channels = input_channels or next(w for w in weights.values() if w.ndim >= 4).shape[1]
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        channels,
        heads,
        allow_init=True,
        deep_supervision=deep_supervision,
    )
    network.load_state_dict(weights)
    network.mirror_axes = stored["inference_allowed_mirroring_axes"]
    return network.eval()


def logits(networks: list[torch.nn.Module], data: np.ndarray, patch_size: list[int]) -> torch.Tensor:
    """Mean logits over folds and their mirrors, `[heads, z, y, x]`, by nnU-Net's own sliding window."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=True, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    total: torch.Tensor | None = None
    for network in networks:
        predictor.network = network
        # nnU-Net takes None, not an empty tuple, for none.
        predictor.allowed_mirroring_axes = network.mirror_axes or None
        predictor.configuration_manager = _Patch(patch_size)
        predictor.label_manager = _Heads(_head_count(network))
        one = predictor.predict_sliding_window_return_logits(torch.from_numpy(data)).float()
        total = one if total is None else total + one
    return total / len(networks)


def probabilities(networks: list[torch.nn.Module], data: np.ndarray, patch_size: list[int]) -> np.ndarray:
    """Softmax of the mean [`logits`]."""
    return torch.softmax(logits(networks, data, patch_size), 0).numpy()


class _Patch:
    def __init__(self, patch_size: list[int]):
        self.patch_size = patch_size


class _Heads:
    def __init__(self, heads: int):
        self.num_segmentation_heads = heads


def _head_count(network: torch.nn.Module) -> int:
    last = network.classify[-1] if isinstance(network, PNet) else network.decoder.seg_layers[-1]
    return last.out_channels


def entropy(probability: np.ndarray) -> np.ndarray:
    """Predictive entropy over all classes, 0 to 1."""
    return (-(probability * np.log(np.clip(probability, 1e-12, None))).sum(0) / np.log(len(probability))).astype(
        np.float32
    )


def out_of_fold(case: str, splits: list[dict], folds: list[int]) -> list[int]:
    """The trained folds that have not seen a case: the one that validates on it, or all if the case trains no
    presegmentation.

    Raises ValueError where every fold that is trained has learned the case.
    """
    if not any(case in split["train"] or case in split["val"] for split in splits):
        return folds
    unseen = [fold for fold in folds if case not in splits[fold]["train"]]
    if not unseen:
        raise ValueError(
            f"{case} has trained every presegmentation fold that is there ({folds}); "
            "train the fold that validates on it"
        )
    return unseen


def presegment(workspace: Workspace) -> None:
    """Presegments the refinement's cases by networks that have not seen them ([`out_of_fold`]); skips those that are
    there."""
    workspace.activate()
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    plans = read_json(workspace.preprocessed / workspace.dataset_name("presegmentation") / "nnUNetPlans.json")
    patch_size = plans["configurations"][CONFIGURATION]["patch_size"]
    folder = workspace.preprocessed / workspace.dataset_name("refinement") / f"nnUNetPlans_{CONFIGURATION}"
    dataset = nnUNetDatasetBlosc2(str(folder))
    workspace.presegmentations.mkdir(parents=True, exist_ok=True)
    todo = [case for case in dataset.identifiers if not (workspace.presegmentations / f"{case}.npz").exists()]
    if not todo:
        return
    files = sorted(trained_folder(workspace, "presegmentation").glob("fold_*/checkpoint_final.pth"))
    networks = {int(file.parent.name.removeprefix("fold_")): load_network(file) for file in files}
    splits = read_json(workspace.preprocessed / workspace.dataset_name("presegmentation") / "splits_final.json")
    for number, case in enumerate(todo, 1):
        data, _, _, _ = dataset.load_case(case)
        unseen = [networks[fold] for fold in out_of_fold(case, splits, list(networks))]
        probability = probabilities(unseen, np.asarray(data).astype(np.float32), patch_size)
        np.savez_compressed(
            workspace.presegmentations / f"{case}.npz",
            labels=probability.argmax(0).astype(np.uint8),
            uncertainty=entropy(probability),
        )
        print(f"presegmented {number} of {len(todo)}", flush=True)


def dice(prediction: np.ndarray, truth: np.ndarray, labels: list[int]) -> float:
    """Mean Dice over labels that occur in either; nnU-Net leaves out labels that neither holds."""
    scores = []
    for label in labels:
        p, t = prediction == label, truth == label
        if p.any() or t.any():
            scores.append(2 * float((p & t).sum()) / float(p.sum() + t.sum()))
    return float(np.mean(scores)) if scores else float("nan")


def evaluate(workspace: Workspace, encoding: guidance.Encoding, budget: float, fold: int = 0) -> dict[str, float]:
    """Mean Dice over the refinement's validation cases before and after, with perfect corrections of greedily chosen
    planes."""
    workspace.activate()
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    base = workspace.preprocessed / workspace.dataset_name("refinement")
    plans, dataset_json = read_json(base / "nnUNetPlans.json"), read_json(base / "dataset.json")
    labels = sorted(int(v) for v in dataset_json["labels"].values() if int(v) > 0)
    cases = read_json(base / "splits_final.json")[fold]["val"]
    dataset = nnUNetDatasetBlosc2(str(base / f"nnUNetPlans_{CONFIGURATION}"))
    network = load_network(trained_folder(workspace, "refinement") / f"fold_{fold}" / "checkpoint_final.pth")
    rows = []
    for case in cases:
        data, seg, _, properties = dataset.load_case(case)
        truth = np.asarray(seg[0]).clip(0)
        with np.load(workspace.presegmentations / f"{case}.npz") as stored:
            presegmentation, uncertainty = stored["labels"].astype(np.int16), stored["uncertainty"]
        count = max(3, int(budget * int((presegmentation > 0).any(axis=(1, 2)).sum()) + 1e-9))
        planes = greedy_planes(uncertainty, count, tuple(properties["spacing"]))
        corrections = guidance.project(truth, planes, truth.shape)
        extra = guidance.channels(corrections, presegmentation, labels, encoding)
        data = np.concatenate([np.asarray(data).astype(np.float32), extra])
        refined = probabilities([network], data, plans["configurations"][CONFIGURATION]["patch_size"]).argmax(0)
        outside = corrections == guidance.UNANNOTATED
        rows.append(
            (
                dice(presegmentation, truth, labels),
                dice(guidance.paste(presegmentation, corrections), truth, labels),
                dice(guidance.paste(refined, corrections), truth, labels),
                dice(presegmentation * outside, truth * outside, labels),
                dice(refined * outside, truth * outside, labels),
            )
        )
    names = ("presegmentation", "presegmentation_pasted", "refined", "presegmentation_outside", "refined_outside")
    return dict(zip(names, np.mean(rows, 0).round(4).tolist(), strict=True)) | {"cases": len(rows)}
