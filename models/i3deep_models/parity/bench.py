"""Whole processes against nnU-Net's own: seconds, processor seconds and peak memory, medians of alternating runs, the
network's share apart."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from i3deep_models.parity.compare import binary, quiet
from i3deep_models.parity.models import Model, Scan, plans_json, write_model, write_scans
from i3deep_models.workspace import Workspace, write_json

# nnU-Net's plan for the hippocampus with half of its features; five folds, eight mirrors.
SMALL = Model(
    "small",
    scans=(Scan((36, 50, 35)),),
    patch=(40, 56, 40),
    mirror=(0, 1, 2),
    folds=5,
    features=(16, 32, 64, 128),
    convolutions=(2, 2, 2, 2),
    decoder_convolutions=(2, 2, 2),
)
LARGE = Model(
    "large",
    scans=(Scan((256, 256, 256), (0.75, 0.75, 0.75)),),
    labels={"background": 0} | {f"label_{n}": n for n in range(1, 20)},
    channels=(("CTNormalization", False),),
)


@dataclass
class Runs:
    """Measurements of one contender."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)
    stages: list[dict] = field(default_factory=list)

    def stage(self, name: str) -> float:
        """Median seconds of a stage."""
        return statistics.median(stages[name] for stages in self.stages)


def measure(command: list) -> tuple[float, float, float, str]:
    """Seconds, processor seconds of it and its children, MiB of the largest process, and what was printed."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        peaks: dict[int, float] = {}
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            watch(process.pid, peaks)
            time.sleep(0.05)
        elapsed = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {text[-500:]}")
    return elapsed, usage.ru_utime + usage.ru_stime, max(peaks.values(), default=float("nan")), text


def watch(pid: int, peaks: dict[int, float]) -> None:
    """Notes the largest resident size so far of a process and its descendants.

    What wait4 says of that counts the memory of the process that forked it.
    """
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        parents[int(fields["Pid"])] = int(fields["PPid"]), int(fields.get("VmHWM", "0").split()[0]) / 1024
    family = {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in family} - family:
        family |= more
    for member in family & parents.keys():
        # A process that has ended holds nothing any more.
        peaks[member] = max(peaks.get(member, 0.0), parents[member][1])


def small(folder: Path, rounds: int) -> list[Runs]:
    """One small scan, eight mirrors, five folds: whole commands, and the network's part inside."""
    from i3deep_models.export import export

    trained, network, images = folder / "trained", folder / "network", folder / "images"
    with quiet():
        write_model(SMALL, trained, 7)
        write_scans(SMALL, images, folder / "none", 7)
        export(trained, network)
    theirs = Path(sys.executable).with_name("nnUNetv2_predict_from_modelfolder")
    threads = os.cpu_count() or 1
    ours = [binary(), "predict", "-i", images, "-device", "cpu", "--threads", threads, "--verbose", "-m"]
    names = [
        "nnU-Net",
        "nnU-Net, one process",
        "native, exact",
        "native, fast",
        "TorchScript, exact",
        "TorchScript, fast",
    ]
    all_runs = [Runs(name) for name in names]
    commands = [
        [theirs, "-i", images, "-o", folder / "theirs", "-m", trained, "-device", "cpu", "--disable_progress_bar"],
        [sys.executable, "-W", "ignore", "-m", "i3deep_models.parity.bench", "small", trained, images],
        [*ours, trained, "-o", folder / "exact"],
        [*ours, trained, "-o", folder / "fast", "--precision", "fast"],
        [*ours, network, "-o", folder / "script_exact"],
        [*ours, network, "-o", folder / "script_fast", "--precision", "fast"],
    ]
    for _ in range(rounds):
        for runs, command in zip(all_runs, commands, strict=True):
            record(runs, command)
    return all_runs


def large(folder: Path, rounds: int) -> list[Runs]:
    """A scan of 256³ brought to 192³, 20 classes brought back: without a network in between."""
    trained, images = folder / "trained", folder / "images"
    write_scans(LARGE, images, folder / "none", 8)
    write_json(trained / "plans.json", plans_json(LARGE))
    write_json(
        trained / "dataset.json", {"labels": LARGE.labels, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    )
    manifest = {"format": 1, "torch_version": "2.11.0", "configuration": "3d_fullres", "folds": [], "mirror_axes": None}
    write_json(trained / "network.json", {**manifest, "input_channels": 1, "heads": 20, "golden_tolerance": 0.0})
    scan = images / "case_0_0000.nii.gz"
    all_runs = [Runs("nnU-Net"), Runs("i3deep")]
    commands = [
        [sys.executable, "-W", "ignore", "-m", "i3deep_models.parity.bench", "large", trained, scan],
        [Path(binary()).with_name("examples") / "stages", trained, scan],
    ]
    for _ in range(rounds):
        for runs, command in zip(all_runs, commands, strict=True):
            record(runs, command)
    return all_runs


def record(runs: Runs, command: list) -> None:
    """One run more; the last line that is JSON holds its stages."""
    seconds, processor_seconds, mebibytes, text = measure(command)
    runs.seconds.append(seconds)
    runs.processor_seconds.append(processor_seconds)
    runs.mebibytes.append(mebibytes)
    lines = [line for line in text.splitlines() if line.startswith("{")]
    runs.stages.append(json.loads(lines[-1]) if lines else {})
    print(
        f"  {runs.name}: {seconds:.1f} s, {processor_seconds:.1f} processor s, {mebibytes:.0f} MiB",
        lines[-1] if lines else "",
        file=sys.stderr,
        flush=True,
    )


def their_small(trained: Path, images: Path) -> dict:
    """Seconds that nnU-Net's network part takes within a process, after everything is loaded."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(os.cpu_count() or 1)
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained), (0, 1, 2, 3, 4))
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    files = sorted(str(file) for file in images.glob("*.nii.gz"))
    data, _, _ = preprocessor.run_case(
        files, None, predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
    )
    started = time.monotonic()
    predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data))
    return {"network_s": round(time.monotonic() - started, 3)}


def their_large(trained: Path, scan: Path) -> dict:
    """Seconds of nnU-Net's preprocessing and export of one scan, with logits from nowhere."""
    from nnunetv2.inference.export_prediction import (
        convert_predicted_logits_to_segmentation_with_correct_shape as convert,
    )
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(str(trained / "plans.json"))
    dataset = json.loads((trained / "dataset.json").read_text())
    configuration, labels = plans.get_configuration("3d_fullres"), plans.get_label_manager(dataset)
    image, properties = plans.image_reader_writer_class().read_images([str(scan)])
    started = time.monotonic()
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case_npy(image, None, properties, plans, configuration, dataset)
    preprocessing = time.monotonic() - started
    shape = data.shape[1:]
    del data, image
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    logits = np.empty((len(labels.all_labels), *shape), np.float16)
    for head in range(len(logits)):
        # As the example `stages` has them.
        ahead = (z // 24 + y // 24 * 3 + x // 24 * 7) % 20 == head
        mixed = (head * 73 + z * 19 + y * 83 + x * 29).astype(np.uint32) * np.uint32(2654435761)
        logits[head] = (mixed >> np.uint32(20)).astype(np.float32) / 1024 + np.where(
            ahead, np.float32(3), np.float32(-2)
        )
    started = time.monotonic()
    result = convert(logits, plans, configuration, labels, properties)
    export = time.monotonic() - started
    return {
        "preprocessing_s": round(preprocessing, 3),
        "export_s": round(export, 3),
        "foreground": int((result > 0).sum()),
    }


def print_small(rows: list[Runs]) -> None:
    """Whole commands and the network's share, as ratios to nnU-Net's."""
    print(
        "| small scan, 8 mirrors, 5 folds | whole command, s | ratio | processor s | ratio | network, s | ratio "
        "| peak MiB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    whole, processor = (statistics.median(values) for values in (rows[0].seconds, rows[0].processor_seconds))
    network = rows[1].stage("network_s")
    for runs in rows:
        own = runs.stage("network_s") if all(runs.stages) else None
        share = f"{own:.2f} | {network / own:.2f} x" if own else " | "
        seconds, busy, peak = (
            statistics.median(values) for values in (runs.seconds, runs.processor_seconds, runs.mebibytes)
        )
        print(
            f"| {runs.name} | {seconds:.2f} | {whole / seconds:.2f} x | {busy:.2f} | {processor / busy:.2f} x "
            f"| {share} | {peak:.0f} |"
        )


def print_large(rows: list[Runs]) -> None:
    """Preprocessing and export, as ratios to nnU-Net's."""
    print(
        "\n| 256³ → 192³, 20 classes | preprocessing, s | export, s | together, ratio | processor s, whole process "
        "| peak MiB | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    theirs = rows[0].stage("preprocessing_s") + rows[0].stage("export_s"), statistics.median(rows[0].mebibytes)
    for runs in rows:
        before, after = runs.stage("preprocessing_s"), runs.stage("export_s")
        busy, peak = statistics.median(runs.processor_seconds), statistics.median(runs.mebibytes)
        ratio = f"{theirs[0] / (before + after):.1f} x | {busy:.1f} | {peak:.0f} | 1/{theirs[1] / peak:.1f}"
        print(f"| {runs.name} | {before:.2f} | {after:.2f} | {ratio} |", flush=True)


def bench(rounds: int, cases: list[str]) -> int:
    """Measures the cases (`small`, `large`) and prints tables for BENCHMARKS.md."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Workspace(folder / "nnunet").activate()
        print(
            f"{platform.platform()}, {cpu()}, {os.cpu_count()} processors, {rounds} alternating runs, medians\n",
            flush=True,
        )
        if "small" in cases:
            print_small(small(folder / "small", rounds))
        if "large" not in cases:
            return 0
        rows = large(folder / "large", rounds)
        print_large(rows)
        same = {stages["foreground"] for runs in rows for stages in runs.stages}
        print(f"\nforeground voxels of the large case: {', '.join(map(str, sorted(same)))}")
    return int(len(same) != 1)


def cpu() -> str:
    """The processor's name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as workspace:
        Workspace(Path(workspace)).activate()
        with quiet():
            measured = {"small": their_small, "large": their_large}[sys.argv[1]](*map(Path, sys.argv[2:]))
    print(json.dumps(measured))
