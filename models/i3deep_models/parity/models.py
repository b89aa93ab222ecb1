"""Small trained-model folders with random weights, and scans for them: between them every turn that nnU-Net's
prediction can take."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from i3deep_models.workspace import write_json

SPLINE = "resample_data_or_seg_to_shape"
TORCH = "resample_torch_fornnunet"
NOTHING = "no_resampling_hack"


@dataclass(frozen=True)
class Scan:
    """A generated scan: size and spacing as x, y, z."""

    size: tuple[int, ...] = (26, 24, 22)
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    kind: str = "body"


@dataclass(frozen=True)
class Model:
    """A trained-model folder in miniature. What is left alone is a 3D plain U-Net with one z-scored channel, three
    labels and no resampling."""

    name: str
    scans: tuple[Scan, ...] = (Scan(),)
    patch: tuple[int, ...] = (16, 16, 16)
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    labels: dict = field(default_factory=lambda: {"background": 0, "a": 1, "b": 2})
    regions: tuple[int, ...] | None = None
    channels: tuple[tuple[str, bool], ...] = (("ZScoreNormalization", False),)
    forward: tuple[int, int, int] = (0, 1, 2)
    backward: tuple[int, int, int] = (0, 1, 2)
    mirror: tuple[int, ...] | None = (0,)
    folds: int = 1
    features: tuple[int, ...] = (4, 8, 8)
    convolutions: tuple[int, ...] = (1, 2, 1)
    decoder_convolutions: tuple[int, ...] = (1, 1)
    residual: bool = False
    anisotropic: bool = False
    old_plans: bool = False
    inherits: bool = False
    cascade: bool = False
    resampling: str = SPLINE
    separate: bool | None = None
    logits_order: int = 1
    options: tuple[str, ...] = ()

    @property
    def configuration(self) -> str:
        """nnU-Net's name of the configuration that is predicted with."""
        return "child" if self.inherits else ("2d" if len(self.patch) == 2 else "3d_fullres")


def models() -> list[Model]:
    """All configurations, by what each has that others lack."""
    coarse = (Scan((21, 24, 20), (1.25, 0.9, 1.1)),)
    thick = (Scan((28, 26, 9), (0.8, 0.8, 4.0)),)
    regions = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "rim": 3}
    many = {"background": 0} | {f"label_{n}": n for n in range(1, 20)}
    return [
        Model("plain, all mirrors", mirror=(0, 1, 2), scans=(Scan((24, 22, 20)),)),
        Model("two folds", folds=2),
        Model("three folds, CT, upsampled", folds=3, channels=(("CTNormalization", False),), scans=coarse),
        Model("thick slices apart", spacing=(3.0, 1.0, 1.0), scans=thick, patch=(8, 16, 16), anisotropic=True),
        Model("thick slices kept", spacing=(4.0, 1.0, 1.0), scans=thick, patch=(8, 16, 16), anisotropic=True),
        Model("thick slices never apart", spacing=(3.0, 1.0, 1.0), scans=thick, patch=(8, 16, 16), separate=False),
        Model(
            "two channels, masked", channels=(("ZScoreNormalization", True), ("NoNormalization", False)), scans=coarse
        ),
        Model(
            "transposed, thick along x",
            forward=(2, 0, 1),
            backward=(1, 2, 0),
            spacing=(4.0, 1.2, 0.9),
            scans=(Scan((9, 25, 23), (5.0, 0.9, 1.1), "crop"),),
            patch=(8, 16, 16),
            mirror=(0, 1, 2),
        ),
        Model("smaller than the patch", scans=(Scan((11, 9, 14)),)),
        Model("regions", labels=regions, regions=(1, 2, 3), scans=coarse),
        Model("ignore label", labels={"background": 0, "a": 1, "b": 2, "ignore": 3}, scans=coarse),
        Model("rescaled to 0 to 1", channels=(("RescaleTo01Normalization", False),), scans=coarse),
        Model("no normalisation", channels=(("NoNormalization", False),), scans=(Scan(kind="small"),)),
        Model("RGB", channels=(("RGBTo01Normalization", False),) * 3, scans=(Scan(kind="rgb"),)),
        Model("2D", patch=(16, 24), spacing=(1.0, 1.0), mirror=(0, 1), scans=(Scan((29, 27, 5), (0.8, 1.1, 3.0)),)),
        Model(
            "2D residual, one slice",
            patch=(24, 16),
            spacing=(1.0, 1.0),
            residual=True,
            scans=(Scan((30, 20, 1), (1.0, 1.0, 5.0)),),
        ),
        Model("mirrored along two axes", mirror=(0, 1)),
        Model("never mirrored", mirror=None),
        Model("torch resampling", resampling=TORCH, separate=False, scans=coarse),
        Model(
            "torch resampling, thick slices", resampling=TORCH, spacing=(3.0, 1.0, 1.0), scans=thick, patch=(8, 16, 16)
        ),
        Model(
            "torch resampling, large slices",
            resampling=TORCH,
            spacing=(3.0, 1.0, 1.0),
            scans=(Scan((70, 72, 5), (0.9, 0.9, 4.0)),),
            patch=(4, 48, 48),
            mirror=None,
            anisotropic=True,
        ),
        Model("not resampled", resampling=NOTHING, spacing=(2.0, 2.0, 2.0)),
        Model("cascade", cascade=True, scans=coarse),
        Model("cascade, thick slices", cascade=True, spacing=(3.0, 1.0, 1.0), scans=thick, patch=(8, 16, 16)),
        Model("cascade, torch resampling", cascade=True, resampling=TORCH, scans=coarse),
        Model(
            "cascade, regions, masked",
            cascade=True,
            labels=regions,
            regions=(3, 2, 1),
            channels=(("ZScoreNormalization", True),),
        ),
        Model("residual", residual=True, scans=coarse),
        Model(
            "residual, anisotropic kernels",
            residual=True,
            anisotropic=True,
            spacing=(3.0, 1.0, 1.0),
            scans=thick,
            patch=(8, 16, 16),
        ),
        Model("twenty classes", labels=many, scans=coarse),
        Model("plans without architecture", old_plans=True),
        Model("inherited configuration", inherits=True, scans=coarse),
        Model("logits by cubic splines", logits_order=3, scans=coarse),
        Model("empty scan", scans=(Scan(kind="empty"),)),
        Model("constant scan", scans=(Scan(kind="constant"),)),
        Model("step 0.7, no mirroring", options=("-step_size", "0.7", "--disable_tta")),
        Model(
            "2D, files of two dimensions",
            patch=(16, 24),
            spacing=(1.0, 1.0),
            mirror=(0, 1),
            scans=(Scan((29, 27), (0.8, 1.1)), Scan((15, 40), (1.3, 1.0), "crop")),
        ),
        Model(
            "2D, files of two dimensions, two channels, CT",
            patch=(24, 16),
            spacing=(0.9, 1.2),
            folds=2,
            channels=(("CTNormalization", False), ("ZScoreNormalization", True)),
            scans=(Scan((33, 21), (0.7, 0.7)),),
        ),
        Model("three scans", scans=(Scan(), Scan((17, 31, 16)), Scan((40, 16, 18), kind="scaled"))),
    ]


def dataset_json(model: Model) -> dict:
    """nnU-Net's `dataset.json`."""
    content = {
        "labels": model.labels,
        "channel_names": {str(n): f"channel {n}" for n in range(len(model.channels))},
        "file_ending": ".nii.gz",
        "numTraining": 1,
    }
    return content | ({"regions_class_order": list(model.regions)} if model.regions else {})


def plans_json(model: Model) -> dict:
    """nnU-Net's `plans.json`."""
    configuration = _configuration(model)
    configurations = {"2d" if len(model.patch) == 2 else "3d_fullres": configuration}
    if model.cascade:
        configuration["previous_stage"] = "3d_lowres"
    if model.inherits:
        parent = dict(configuration, patch_size=[8, 8, 8], batch_size=7)
        configurations = {"parent": parent, "child": {"inherits_from": "parent", "patch_size": list(model.patch)}}
    intensities = {
        "mean": 180.0,
        "std": 120.0,
        "percentile_00_5": 5.5,
        "percentile_99_5": 590.25,
        "min": 0.0,
        "max": 900.0,
        "median": 150.0,
    }
    return {
        "dataset_name": "Dataset999_Parity",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [24, 24, 24],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(model.forward),
        "transpose_backward": list(model.backward),
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(n): intensities for n in range(len(model.channels))},
    }


def _configuration(model: Model) -> dict:
    resampling = {}
    for kind, is_seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, model.logits_order)):
        resampling[f"resampling_fn_{kind}"] = model.resampling
        kwargs = {"is_seg": is_seg, "force_separate_z": model.separate}
        if model.resampling == SPLINE:
            kwargs |= {"order": order, "order_z": 0}
        resampling[f"resampling_fn_{kind}_kwargs"] = {} if model.resampling == NOTHING else kwargs
    return {
        "data_identifier": "nnUNetPlans_parity",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(model.patch),
        "median_image_size_in_voxels": list(model.patch),
        "spacing": list(model.spacing),
        "normalization_schemes": [scheme for scheme, _ in model.channels],
        "use_mask_for_norm": [mask for _, mask in model.channels],
        **resampling,
        **(_old_architecture(model) if model.old_plans else {"architecture": _architecture(model)}),
        "batch_dice": False,
    }


def _shape_of_network(model: Model) -> tuple[list, list]:
    """Kernel sizes and strides of the stages."""
    axes = len(model.patch)
    kernels, strides = (
        [[3] * axes for _ in model.features],
        [[min(stage + 1, 2)] * axes for stage in range(len(model.features))],
    )
    if model.anisotropic:
        kernels[0][0], strides[1][0], strides[2][0] = 1, 1, 1
    return kernels, strides


def _architecture(model: Model) -> dict:
    axes = len(model.patch)
    kernels, strides = _shape_of_network(model)
    network = "ResidualEncoderUNet" if model.residual else "PlainConvUNet"
    blocks = "n_blocks_per_stage" if model.residual else "n_conv_per_stage"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{network}",
        "arch_kwargs": {
            "n_stages": len(model.features),
            "features_per_stage": list(model.features),
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": kernels,
            "strides": strides,
            blocks: list(model.convolutions),
            "n_conv_per_stage_decoder": list(model.decoder_convolutions),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _old_architecture(model: Model) -> dict:
    kernels, strides = _shape_of_network(model)
    return {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": model.features[0],
        "n_conv_per_stage_encoder": list(model.convolutions),
        "n_conv_per_stage_decoder": list(model.decoder_convolutions),
        "num_pool_per_axis": [2] * len(model.patch),
        "pool_op_kernel_sizes": strides,
        "conv_kernel_sizes": kernels,
        "unet_max_num_features": max(model.features),
    }


def write_model(model: Model, folder: Path, seed: int) -> None:
    """Writes a trained-model folder with random weights."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans, dataset = plans_json(model), dataset_json(model)
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    manager = PlansManager(plans)
    configuration = manager.get_configuration(model.configuration)
    for fold in range(model.folds):
        torch.manual_seed(100 * seed + fold)
        network = get_network_from_plans(
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            determine_num_input_channels(manager, configuration, dataset),
            manager.get_label_manager(dataset).num_segmentation_heads,
            deep_supervision=True,
        )
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": model.mirror,
            "init_args": {"plans": plans, "configuration": model.configuration, "fold": fold, "dataset_json": dataset},
        }
        (folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")


def write_scans(model: Model, images: Path, previous: Path, seed: int) -> None:
    """Writes the scans' channels and, for cascades, what a previous stage could have predicted."""
    import SimpleITK as sitk

    rng = np.random.default_rng(seed)
    for folder in (images, previous):
        folder.mkdir(parents=True, exist_ok=True)
    for number, scan in enumerate(model.scans):
        for channel in range(len(model.channels)):
            image = sitk.GetImageFromArray(voxels(scan, rng))
            image.SetSpacing(scan.spacing)
            image.SetOrigin((3.0, -7.5, 11.0)[: len(scan.size)])
            file = images / f"case_{number}_{channel:04}.nii.gz"
            sitk.WriteImage(image, str(file))
            if scan.kind == "scaled":
                _scale(file)
        if model.cascade:
            top = 1 + max(
                value for entry in model.labels.values() for value in (entry if isinstance(entry, list) else [entry])
            )
            blocks = rng.integers(0, top, tuple(n // 3 + 1 for n in scan.size[::-1]))
            labels = np.kron(blocks, np.ones((3, 3, 3)))[: scan.size[2], : scan.size[1], : scan.size[0]].astype(
                np.uint8
            )
            image = sitk.GetImageFromArray(labels)
            image.SetSpacing(scan.spacing)
            image.SetOrigin((3.0, -7.5, 11.0))
            sitk.WriteImage(image, str(previous / f"case_{number}.nii.gz"))


def voxels(scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """A smooth blob with texture and noise, zero around it, with a hole in it; `[z, y, x]`."""
    from scipy.ndimage import gaussian_filter

    shape = scan.size[::-1]
    if scan.kind == "empty":
        return np.zeros(shape, np.int16)
    if scan.kind == "constant":
        return np.full(shape, 37, np.int16)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    radius = np.sqrt(sum((g * 1.02) ** 2 for g in grid))
    texture = gaussian_filter(rng.normal(size=shape), 1.5) * 400 + rng.normal(size=shape) * 20
    image = 220 + texture + 150 * np.cos(5 * radius)
    if scan.kind == "small":
        return (image / 150).astype(np.float32)
    if scan.kind == "rgb":
        return np.clip(image / 3, 0, 255).astype(np.uint8)
    inside = radius < (0.8 if scan.kind == "crop" else 1.1)
    if min(shape) > 6:
        inside &= radius > 0.12
    return np.where(inside, np.round(image), 0).astype(np.int16)


def _scale(file: Path) -> None:
    """Gives a file a slope and an intercept that no f32 holds exactly."""
    import nibabel as nib

    image = nib.load(file)
    raw = np.asarray(image.dataobj)
    header = image.header.copy()
    header.set_slope_inter(0.1, -3.3)
    scaled = nib.Nifti1Image(raw.astype(np.int16), image.affine, header)
    scaled.header.set_slope_inter(0.1, -3.3)
    # nibabel divides by the slope when it writes; the stored numbers are what counts here.
    nib.save(scaled, file)
