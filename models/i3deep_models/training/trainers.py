"""nnU-Net trainers with short schedules: plain presegmentation, and refinement with guidance channels."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTansform
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from i3deep_models import guidance
from i3deep_models.training.pnet import PNet
from i3deep_models.training.simulation import Sample, Simulation, simulate

CPU = torch.device("cpu")
ITERATIONS_PER_EPOCH = 100


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bf16 where the CPU computes in it, f16 on CUDA, else nothing."""
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


class I3DeepTrainer(nnUNetTrainer):
    """nnU-Net's trainer with a schedule in iterations, and bf16 on CPUs that have it.

    The schedule comes from the environment (`I3DEEP_ITERATIONS`, `I3DEEP_LEARNING_RATE`), and so do the axes of
    mirroring (`I3DEEP_MIRROR_AXES`), because nnU-Net builds trainers itself.
    """

    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device = CPU):
        """Takes what nnU-Net gives its trainers."""
        plans.setdefault("continue_training", False)
        super().__init__(plans, configuration, fold, dataset_json, device)
        iterations = int(os.environ.get("I3DEEP_ITERATIONS", "1500"))
        self.num_iterations_per_epoch = min(ITERATIONS_PER_EPOCH, iterations)
        self.num_val_iterations_per_epoch = 4
        self.num_epochs = max(1, iterations // self.num_iterations_per_epoch)
        self.save_every = 1
        self.initial_lr = float(os.environ.get("I3DEEP_LEARNING_RATE", "0.01"))

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """nnU-Net's, with the axes that were asked for. The checkpoint keeps them for prediction."""
        *rest, mirror_axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        asked = os.environ.get("I3DEEP_MIRROR_AXES", "0,1,2").split(",")
        mirror_axes = tuple(axis for axis in mirror_axes if str(axis) in asked)
        self.inference_allowed_mirroring_axes = mirror_axes
        return *rest, mirror_axes

    def _forward_loss(self, batch: dict):
        data = batch["data"].to(self.device)
        target = [level.to(self.device) for level in batch["target"]]
        dtype = autocast_dtype(self.device)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            output = self.network(data)
        # The loss in f32: Dice sums over a patch lose digits in bf16.
        return self.loss([level.float() for level in output], target)

    def train_step(self, batch: dict) -> dict:
        """One step; on CUDA nnU-Net's own, with its gradient scaler."""
        if self.device.type == "cuda":
            return super().train_step(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._forward_loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        self.optimizer.step()
        return {"loss": loss.detach().cpu().numpy()}


class PresegmentationTrainer(I3DeepTrainer):
    """Trains the network that segments without help."""


class GuidedDataset(nnUNetDatasetBlosc2):
    """Preprocessed cases, each with a presegmentation and a freshly simulated expert.

    nnU-Net's loader carries one volume beside the labels (its cascade's previous stage), so both travel in one: `code =
    presegmentation + labels * (correction + 1)`, taken apart again by [`GuidanceChannels`] after the spatial
    augmentations.
    """

    label_count = 0
    rng = np.random.default_rng(0)
    presegmentations: Path | None = None
    simulation = Simulation()

    def load_case(self, identifier):
        """Data, labels, code volume and properties."""
        data, seg, _, properties = super().load_case(identifier)
        labels = np.asarray(seg[0]).clip(0)
        with np.load(self.presegmentations / f"{identifier}.npz") as stored:
            presegmentation, uncertainty = stored["labels"].astype(np.int16), stored["uncertainty"]
        spacing_mm = tuple(float(s) for s in properties["spacing"])
        case = Sample(np.asarray(data).astype(np.float32), labels, presegmentation, uncertainty, spacing_mm)
        met = simulate(case, self.simulation, self.rng)
        # Outside the crop's nonzero mask nnU-Net's labels are −1; its augmentations want them so.
        seg = np.where(np.asarray(seg) < 0, seg, met.sample.labels[None]).astype(np.int16)
        return met.sample.image, seg, met.sample.presegmentation + self.label_count * (met.corrections + 1), properties


class GuidanceChannels(BasicTransform):
    """Turns the code volume (segmentation channel 1) into guidance channels behind the image channels."""

    def __init__(self, foreground_labels: list[int], encoding: guidance.Encoding, drop_presegmentation: float):
        """`drop_presegmentation`: share of samples whose presegmentation channels are emptied, so that the network does
        not lean on them."""
        super().__init__()
        self.foreground_labels = foreground_labels
        self.encoding = encoding
        self.drop_presegmentation = drop_presegmentation

    def apply(self, data_dict: dict, **params) -> dict:
        """Adds channels to `image`, removes the code from `segmentation`."""
        code = data_dict["segmentation"][1].numpy().astype(np.int16)
        label_count = len(self.foreground_labels) + 1
        corrections = code // label_count - 1
        presegmentation = code % label_count
        if np.random.random() < self.drop_presegmentation:
            presegmentation = np.zeros_like(presegmentation)
        extra = guidance.channels(corrections, presegmentation, self.foreground_labels, self.encoding)
        data_dict["image"] = torch.cat([data_dict["image"], torch.from_numpy(extra)])
        data_dict["segmentation"] = data_dict["segmentation"][:1]
        return data_dict


class RefinementTrainer(I3DeepTrainer):
    """Trains image + guidance → labels, starting from the presegmentation's weights.

    `I3DEEP_REFINEMENT` names a JSON file with `presegmentations` (folder), `start` (checkpoint), `encoding`,
    `simulation`, `seed`.
    """

    settings: dict

    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device = CPU):
        """Takes what nnU-Net gives its trainers."""
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.settings = json.loads(Path(os.environ["I3DEEP_REFINEMENT"]).read_text())
        # On the class, because nnU-Net builds networks by a static method.
        RefinementTrainer.encoding = guidance.Encoding(**self.settings["encoding"])

    encoding = guidance.Encoding()

    @staticmethod
    def build_network_architecture(
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        """nnU-Net's network with room for the guidance channels."""
        extra = RefinementTrainer.encoding.channels(num_output_channels - 1)
        return nnUNetTrainer.build_network_architecture(
            plans_manager,
            configuration_manager,
            num_input_channels + extra,
            num_output_channels,
            enable_deep_supervision,
        )

    def initialize(self):
        """Builds the network and gives it the presegmentation's weights."""
        super().initialize()
        self.dataset_class = GuidedDataset
        GuidedDataset.label_count = len(self.label_manager.foreground_labels) + 1
        GuidedDataset.presegmentations = Path(self.settings["presegmentations"])
        GuidedDataset.rng = np.random.default_rng(self.settings["seed"] + 1)
        GuidedDataset.simulation = Simulation(**self.settings["simulation"])
        self._start()

    def _start(self):
        start_from_presegmentation(self.network, Path(self.settings["start"]), self.settings["seed"])

    def get_training_transforms(self, *args, **kwargs):
        """nnU-Net's augmentations, then guidance channels."""
        return self._with_guidance(nnUNetTrainer.get_training_transforms(*args, **kwargs), drop_presegmentation=0.15)

    def get_validation_transforms(self, *args, **kwargs):
        """nnU-Net's validation pipeline, then guidance channels."""
        return self._with_guidance(nnUNetTrainer.get_validation_transforms(*args, **kwargs), drop_presegmentation=0.0)

    def _with_guidance(self, composed, drop_presegmentation: float):
        after = next(i for i, t in enumerate(composed.transforms) if isinstance(t, RemoveLabelTansform)) + 1
        foreground = [int(label) for label in self.label_manager.foreground_labels]
        composed.transforms.insert(after, GuidanceChannels(foreground, self.encoding, drop_presegmentation))
        return composed


class PNetTrainer(RefinementTrainer):
    """Trains the P-Net baseline on the same cases; it has no presegmentation network to start from, and no deep
    supervision."""

    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device = CPU):
        """Takes what nnU-Net gives its trainers."""
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.enable_deep_supervision = False

    @staticmethod
    def build_network_architecture(
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        """P-Net with room for the guidance channels."""
        return PNet(num_input_channels + PNetTrainer.encoding.channels(num_output_channels - 1), num_output_channels)

    def set_deep_supervision_enabled(self, enabled: bool):
        """P-Net has one output."""

    def _start(self):
        pass

    def _forward_loss(self, batch: dict):
        return self.loss(self.network(batch["data"].to(self.device)).float(), batch["target"].to(self.device))


def start_from_presegmentation(network: torch.nn.Module, checkpoint: Path, seed: int) -> None:
    """Copies every weight of the presegmentation network; guidance channels of the first convolution start at the image
    channels' magnitude.

    Started at zero they were still ignored after hundreds of iterations: their gradient is proportional to how rarely
    planes occur in a patch.
    """
    source = torch.load(checkpoint, map_location="cpu", weights_only=False)["network_weights"]
    own = network.state_dict()
    generator = torch.Generator().manual_seed(seed)
    for name, weight in source.items():
        if name not in own:
            continue
        if own[name].shape == weight.shape:
            own[name] = weight
        elif own[name].ndim == weight.ndim and own[name].shape[0] == weight.shape[0]:
            grown = torch.randn(own[name].shape, generator=generator) * weight.std()
            grown[:, : weight.shape[1]] = weight
            own[name] = grown
    # The first convolution appears under several names in nnU-Net's state dict; tie them to one draw.
    first = next(name for name, w in own.items() if name in source and w.shape != source[name].shape)
    for name in own:
        if name in source and own[name].shape != source[name].shape:
            own[name] = own[first].clone()
    network.load_state_dict(own)
