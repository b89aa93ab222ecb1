"""Writes what the fuzzers begin with into `seeds/TARGET`: small files as real programs write them. Run with the
project's Python environment; `cargo xtask fuzz` does."""

import importlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from safetensors.torch import save as save_safetensors

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SEEDS = HERE / "seeds"
# As in fuzz_targets/scan.rs.
NAMES = ["scan.nii", "scan.nii.gz", "scan.hdr", "scan.nrrd", "scan.nhdr", "scan.mha", "scan.mhd", "scan.seg.nrrd"]


def seed(target: str, name: str, content: bytes, kind: int | None = None):
    """Writes a seed; some targets choose by a first byte."""
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((b"" if kind is None else bytes([kind])) + content)


def imported(name: str):
    """What a plan names."""
    module, _, thing = name.rpartition(".")
    return getattr(importlib.import_module(module), thing)


def network(plans: dict) -> PlainConvUNet:
    """The network of plans, as nnU-Net builds it."""
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    arguments = dict(architecture["arch_kwargs"])
    for name in architecture["_kw_requires_import"]:
        arguments[name] = arguments[name] and imported(arguments[name])
    return PlainConvUNet(1, num_classes=3, deep_supervision=True, **arguments)


def checkpoint(net: torch.nn.Module, plans: dict, dataset: dict) -> dict:
    """What nnUNetTrainer.save_checkpoint writes."""
    optimizer = torch.optim.SGD(net.parameters(), 1e-2, momentum=0.99, nesterov=True)
    net(torch.zeros(1, 1, 8, 8, 8))[0].sum().backward()
    optimizer.step()
    return {
        "network_weights": net.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.25), 0.75]]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 3,
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def saved(content, **options) -> bytes:
    """What torch.save writes."""
    out = io.BytesIO()
    torch.save(content, out, **options)
    return out.getvalue()


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def networks():
    """Checkpoints, safetensors, plans and manifests; and archives of them."""
    texts = {name: (HERE / "network" / f"{name}.json").read_bytes() for name in ("plans", "dataset", "network")}
    plans, dataset = json.loads(texts["plans"]), json.loads(texts["dataset"])
    torch.manual_seed(1)
    net = network(plans)
    whole = checkpoint(net, plans, dataset)
    seed("checkpoint", "whole.pth", saved(whole), 0)
    small = {key: value for key, value in whole.items() if key not in ("optimizer_state", "logging")}
    small["init_args"] = {"configuration": "3d_fullres"}
    small["network_weights"] = {name: value for name, value in net.state_dict().items() if "all_modules" not in name}
    for name, options in {
        "small": {},
        "protocol-4": {"pickle_protocol": 4},
        "old": {"_use_new_zipfile_serialization": False},
    }.items():
        seed("checkpoint", f"{name}.pth", saved(small, **options), 0)
    half = {name: value.half() for name, value in small["network_weights"].items()}
    seed("checkpoint", "half.pth", saved(small | {"network_weights": half}), 0)
    brain = {name: value.bfloat16() for name, value in small["network_weights"].items()}
    seed("checkpoint", "bfloat16.pth", saved(small | {"network_weights": brain}), 0)
    seed("checkpoint", "weights-alone.pth", saved(small["network_weights"]), 0)
    weights = {name: value for name, value in small["network_weights"].items() if not name.startswith("decoder.enc")}
    seed("checkpoint", "weights.safetensors", save_safetensors({k: v.clone() for k, v in weights.items()}), 1)
    seed("checkpoint", "plans.json", texts["plans"], 2)
    for bundle in ("phantom", "hippocampus"):
        for stage in ("presegmentation", "refinement"):
            content = (ROOT / "models" / bundle / stage / "plans.json").read_bytes()
            seed("checkpoint", f"{bundle}-{stage}-plans.json", content, 2)
        seed("checkpoint", f"{bundle}.json", (ROOT / "models" / bundle / "bundle.json").read_bytes(), 3)

    trained = "Dataset042_Sample/nnUNetTrainer__nnUNetPlans__3d_fullres"
    model = {f"{trained}/{name}.json": texts[name] for name in ("plans", "dataset")}
    model[f"{trained}/fold_0/checkpoint_final.pth"] = b"weights"
    seed("archive", "trained.zip", zipped(model))
    seed("archive", "stored.zip", zipped(model, zipfile.ZIP_STORED))
    manifest = (ROOT / "models/phantom/bundle.json").read_bytes()
    seed(
        "archive", "bundle.zip", zipped({"phantom/bundle.json": manifest, "phantom/presegmentation/plans.json": b"{}"})
    )
    seed("archive", "odd-names.zip", zipped({"../escape": b"1", "/absolute": b"2", "a/../../b": b"3", "c\\d": b"4"}))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("folder/", b"")
        archive.comment = b"a comment"
    seed("archive", "link.zip", out.getvalue())


def scans():
    """Volumes in every format, as other programs write them."""
    for file in (ROOT / "models/fixtures/odd_nifti").iterdir():
        if file.name.endswith(".nii"):
            seed("scan", file.name, file.read_bytes(), 0)
        elif file.name.endswith(".gz"):
            seed("scan", file.name, file.read_bytes(), 1)
        elif file.suffix == ".hdr":
            voxels = file.with_suffix(".img").read_bytes()
            # Header and voxels are the same bytes here.
            seed("scan", file.name, file.read_bytes().ljust(352, b"\0") + voxels, 2)
    voxels = np.random.default_rng(1).integers(0, 5, (3, 4, 5))
    temporary = SEEDS / "temporary"
    temporary.mkdir(parents=True)
    for kind in (np.uint8, np.int16, np.float32):
        image = sitk.GetImageFromArray(voxels.astype(kind))
        image.SetSpacing((1, 1.5, 2))
        image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
        image.SetOrigin((-3, 4, 5.5))
        for packed in (False, True):
            for ending in ("nrrd", "nhdr", "mha", "mhd", "nii", "nii.gz"):
                name = f"{np.dtype(kind).name}-{'packed' if packed else 'plain'}.{ending}"
                sitk.WriteImage(image, str(temporary / f"scan.{ending}"), packed)
                content = (temporary / f"scan.{ending}").read_bytes()
                if ending in ("nhdr", "mhd"):
                    # The voxels are beside it under one name in the target, whatever they are packed with.
                    content = content.replace(b"scan.zraw", b"scan.raw").replace(b"scan.raw.gz", b"scan.raw")
                seed("scan", name, content, NAMES.index(f"scan.{ending}"))
    segmentation = sitk.GetImageFromArray(voxels.astype(np.uint8))
    for number, name in enumerate(("liver", "tumour")):
        segmentation.SetMetaData(f"Segment{number}_Name", name)
        segmentation.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
    sitk.WriteImage(segmentation, str(temporary / "scan.seg.nrrd"))
    seed("scan", "segments.seg.nrrd", (temporary / "scan.seg.nrrd").read_bytes(), 7)
    shutil.rmtree(temporary)


def slices():
    """DICOM slices, plain and packed; and an archive of a series."""
    folder = ROOT / "backend/tests/packed"
    for file in folder.glob("*.dcm"):
        seed("dicom", file.name, file.read_bytes())
    voxels = np.random.default_rng(2).integers(0, 999, (2, 9, 11)).astype(np.int16)
    temporary = SEEDS / "temporary"
    temporary.mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    series = {}
    for number, pixels in enumerate(voxels):
        image = sitk.GetImageFromArray(pixels[None])
        for tag, value in {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"1.2.3.{number}",
            "0020|000d": "1.2.3",
            "0020|000e": "1.2.3.4",
            "0020|0052": "1.2.3.5",
            "0020|0032": f"0\\0\\{2 * number}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|0030": "1\\1",
            "0018|0050": "2",
            "0028|1052": "-1024",
            "0028|1053": "1",
        }.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(temporary / "slice.dcm"))
        writer.Execute(image)
        content = (temporary / "slice.dcm").read_bytes()
        series[f"series/{number}.dcm"] = content
        seed("dicom", f"itk-{number}.dcm", content)
    shutil.rmtree(temporary)
    seed("archive", "series.zip", zipped(series | {"__MACOSX/._0.dcm": b"mac", ".hidden": b""}))


if __name__ == "__main__":
    shutil.rmtree(SEEDS, ignore_errors=True)
    networks()
    scans()
    slices()
    for target in sorted(SEEDS.iterdir()):
        sizes = [file.stat().st_size for file in target.iterdir()]
        print(f"{target.name}: {len(sizes)} seeds, {max(sizes)} bytes at most")
