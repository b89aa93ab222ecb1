"""What a card changes, in one call of a few minutes: `python -m i3deep_models.parity.card --device cuda:0`.

It needs torch, numpy and dynamic-network-architectures, and `i3deep` in I3DEEP_BIN; where nnU-Net is installed its own
predictor is timed, else the same tiles and mirrors in PyTorch. With `--device cpu --small` all of it runs on a
processor within half a minute, as the tests do; of a processor the figures say nothing.
"""

import argparse
import csv
import gzip
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from i3deep_models.parity.compare import binary
from i3deep_models.parity.models import Model, dataset_json, plans_json
from i3deep_models.training.card.fit import build
from i3deep_models.workspace import write_json

NNUNET = (32, 64, 128, 256, 320, 320)
TOO_LITTLE_MIB = (6000, 1500, 600)


@dataclass(frozen=True)
class Sizes:
    """How large the scans and networks are; voxels as z, y, x."""

    labels: tuple[int, int, int] = (64, 80, 64)
    tile: int = 128
    features: tuple[int, ...] = NNUNET
    adapt_s: int = 30

    @property
    def whole(self) -> tuple[int, int, int]:
        """A scan of 27 tiles, each half over the next."""
        return (2 * self.tile,) * 3


SMALL = Sizes((24, 28, 24), 16, (4, 8, 8), 3)


def random_model(name: str, sizes: Sizes, patch: tuple[int, ...], **changes: object) -> Model:
    """A plain U-Net with random weights and nnU-Net's widths, every axis mirrored."""
    stages = len(sizes.features)
    model = Model(
        name,
        patch=patch,
        mirror=(0, 1, 2),
        features=sizes.features,
        convolutions=(2,) * stages,
        decoder_convolutions=(2,) * (stages - 1),
    )
    return replace(model, **changes)


def write_trained(model: Model, folder: Path) -> torch.nn.Module:
    """The folder that nnU-Net would have trained; its network."""
    plans, dataset = plans_json(model), dataset_json(model)
    plans["configurations"] = {"3d_fullres": plans["configurations"][model.configuration]}
    torch.manual_seed(11)
    network = build(plans, len(model.channels), len(model.labels))
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    arguments = {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset}
    (folder / "fold_0").mkdir(parents=True)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": model.mirror,
        "init_args": arguments,
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return network


def write_scan(voxels: np.ndarray, spacing_mm: tuple[float, float, float], file: Path) -> None:
    """A NIfTI file of `[z, y, x]` i16; nibabel may not be where this runs."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *voxels.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1.0, *spacing_mm[::-1], 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    struct.pack_into("<b", header, 123, 2)
    struct.pack_into("<2h", header, 252, 0, 1)
    for row, axis in enumerate((2, 1, 0)):
        struct.pack_into("<f", header, 280 + 16 * row + 4 * row, spacing_mm[axis])
    header[344:348] = b"n+1\0"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(bytes(header) + voxels.astype("<i2").tobytes(), 1))


def read_labels(file: Path) -> np.ndarray:
    """Voxels of a label map that `i3deep` wrote, flat."""
    content = gzip.decompress(file.read_bytes())
    code = struct.unpack_from("<h", content, 70)[0]
    offset = int(struct.unpack_from("<f", content, 108)[0])
    return np.frombuffer(content, {2: "u1", 4: "<i2", 512: "<u2"}[code], offset=offset)


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    """A scan of noise, whose labels hang on the last bits more than those of any trained network."""
    return np.random.default_rng(5).integers(-300, 300, shape).astype(np.int16)


def predict(folder: Path, out: str, device: str, *options: str) -> tuple[np.ndarray, float]:
    """Labels, and the whole command's seconds."""
    command = [binary(), "predict", "-i", folder / "images", "-o", folder / out, "-m", folder / "trained"]
    command += ["-device", *device_options(device), *options]
    begun = time.monotonic()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    elapsed = time.monotonic() - begun
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-500:])
    return read_labels(folder / out / "case_0.nii.gz"), elapsed


def device_options(device: str) -> list[str]:
    """As nnUNetv2_predict takes a device: its kind alone."""
    return [device.split(":")[0]]


def compare(folder: Path, device: str, sizes: Sizes) -> Iterator[dict]:
    """Labels that differ from the processor's in exact mode."""
    model = random_model("labels", sizes, tuple(n - n % 32 or 16 for n in sizes.labels))
    write_trained(model, folder / "trained")
    write_scan(noise(sizes.labels), (1.0, 1.0, 1.0), folder / "images" / "case_0_0000.nii.gz")
    expected, seconds = predict(folder, "expected", "cpu")
    yield {"what": "processor, exact", "seconds": seconds, "voxels": expected.size}
    for precision in ("exact", "fast"):
        labels, seconds = predict(folder, precision, device, "--precision", precision)
        yield {"what": f"{device}, {precision}", "seconds": seconds, "differ": int((labels != expected).sum())}


def whole(folder: Path, device: str, sizes: Sizes) -> Iterator[dict]:
    """27 tiles, 8 mirrors: whole commands, and the network alone in Python in the same call."""
    model = random_model("whole", sizes, (sizes.tile,) * 3)
    network = write_trained(model, folder / "trained")
    scan = noise(sizes.whole)
    write_scan(scan, (1.0, 1.0, 1.0), folder / "images" / "case_0_0000.nii.gz")
    for precision in ("fast", "exact"):
        _, seconds = predict(folder, precision, device, "--precision", precision)
        yield {"what": f"27 tiles, 8 mirrors, whole command, {precision}", "seconds": seconds}
    data = torch.from_numpy((scan - scan.mean()) / scan.std()).float()[None]
    name, seconds = theirs(folder / "trained", network, data, torch.device(device), sizes.tile)
    yield {"what": f"the same, {name}, network alone", "seconds": seconds}


def theirs(
    trained: Path, network: torch.nn.Module, data: torch.Tensor, device: torch.device, tile: int
) -> tuple[str, float]:
    """nnU-Net's predictor where there is one, else what it computes; the second of two runs."""
    try:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    except ImportError:
        run, name = lambda: tiles(network.to(device).eval(), data, device, tile), "PyTorch as nnU-Net computes it"
    else:
        predictor = nnUNetPredictor(device=device, allow_tqdm=False, perform_everything_on_device=device.type == "cuda")
        predictor.initialize_from_trained_model_folder(str(trained), (0,))
        run, name = lambda: predictor.predict_logits_from_preprocessed_data(data), "nnU-Net"
    for _ in range(2):
        begun = time.monotonic()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        elapsed = time.monotonic() - begun
    return name, elapsed


@torch.no_grad()
def tiles(network: torch.nn.Module, data: torch.Tensor, device: torch.device, tile: int) -> torch.Tensor:
    """Sums of all tiles' logits, each the mean of eight mirrors, in half precision."""
    data = data.to(device)
    network.decoder.deep_supervision = False
    starts = [range(0, size - tile + 1, tile // 2) for size in data.shape[1:]]
    mirrors = [[axis + 2 for axis in range(3) if bits >> axis & 1] for bits in range(8)]
    total = None
    for start in product(*starts):
        patch = data[(slice(None), *(slice(first, first + tile) for first in start))][None]
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            logits = sum(network(patch.flip(axes)).flip(axes) for axes in mirrors) / 8
        if total is None:
            total = torch.zeros(logits.shape[1], *data.shape[1:], dtype=torch.float16, device=device)
        total[(slice(None), *(slice(first, first + tile) for first in start))] += logits[0].half()
    return total


def resampling(folder: Path, device: str, sizes: Sizes) -> Iterator[dict]:
    """Voxels of another size than the network's: resampled by the host, and where the network runs."""
    model = random_model("resampling", sizes, tuple(n - n % 32 or 16 for n in sizes.labels), spacing=(1.3, 1.1, 0.9))
    write_trained(model, folder / "trained")
    write_scan(noise(sizes.labels), (1.0, 1.0, 1.0), folder / "images" / "case_0_0000.nii.gz")
    host, seconds = predict(folder, "host", device, "--precision", "fast", "--accumulate", "host")
    yield {"what": "resampled by the host", "seconds": seconds}
    there, seconds = predict(folder, "there", device, "--precision", "fast", "--accumulate", "device")
    yield {"what": f"resampled on {device}", "seconds": seconds, "differ": int((there != host).sum())}


def memory(folder: Path, device: str, sizes: Sizes) -> Iterator[dict]:
    """The whole case where hardly any memory is left: smaller batches, then logits on the host, then words."""
    if not device.startswith("cuda"):
        yield {"what": "memory runs out", "left_out": "needs a card"}
        return
    model = random_model("memory", sizes, (sizes.tile,) * 3)
    write_trained(model, folder / "trained")
    write_scan(noise(sizes.whole), (1.0, 1.0, 1.0), folder / "images" / "case_0_0000.nii.gz")
    expected, _ = predict(folder, "expected", device, "--precision", "fast")
    for left_mib in TOO_LITTLE_MIB:
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        held = torch.empty(max(0, free - (left_mib << 20)), dtype=torch.uint8, device=device)
        row = {"what": f"{left_mib} MiB left"}
        try:
            labels, row["seconds"] = predict(folder, f"left_{left_mib}", device, "--precision", "fast")
            row["differ"] = int((labels != expected).sum())
        except RuntimeError as error:
            row["words"] = str(error)
        del held
        yield row


def adaptation(folder: Path, device: str, sizes: Sizes) -> Iterator[dict]:
    """The phantom bundle's network learns from a case's corrected slices."""
    bundle = Path(__file__).parents[2] / "phantom"
    subprocess.run(
        [binary(), "phantom", "--out", folder / "made", "--cases", "1", "--seed", "3"], check=True, capture_output=True
    )
    for name in dict.fromkeys(("cpu", device)):
        out = folder / name.replace(":", "_")
        command = [binary(), "evaluate", "--bundle", bundle, "--out", out, "--device", name]
        command += ["--images", folder / "made" / "imagesTr", "--labels", folder / "made" / "labelsTr"]
        command += ["--strategies", "greedy", "--adapt", sizes.adapt_s]
        begun = time.monotonic()
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        elapsed = time.monotonic() - begun
        with (out / "results.csv").open() as file:
            row = next(csv.DictReader(file))
        yield {"what": f"adaptation, {name}", "seconds": elapsed, **{k: v for k, v in row.items() if "adapt" in k}}


PARTS = {part.__name__: part for part in (compare, whole, resampling, memory, adaptation)}


def main(arguments: list[str] | None = None) -> int:
    """Runs the parts; prints a line of JSON for each figure, then how many parts failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--small", action="store_true", help="sizes for a processor")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda"):
        print(json.dumps({"card": torch.cuda.get_device_name(options.device), "torch": torch.__version__}), flush=True)
    failed = 0
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                for row in PARTS[name](Path(folder), options.device, SMALL if options.small else Sizes()):
                    print(json.dumps({"part": name, **row}), flush=True)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                failed += 1
                words = getattr(error, "stderr", None) or error
                print(json.dumps({"part": name, "failed": str(words)[-800:]}), flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
