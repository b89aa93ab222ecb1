"""Predictions of `i3deep predict` against nnU-Net's own predictor, voxel by voxel: labels, logits, probabilities."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i3deep_models.parity_models import Model, models, write_model, write_scans
from i3deep_models.workspace import Workspace, read_json

# Both sides compute with as many: torch takes other kernels for one thread than for two. Set to 1 where the processors are busy: threads that wait
# for each other make small networks a hundred times slower.
THREADS = int(os.environ.get("I3DEEP_PARITY_THREADS", min(2, os.cpu_count() or 1)))


@dataclass
class Row:
    """One configuration's comparison."""

    name: str
    voxels: int = 0
    labels: int = 0
    labels_with_probabilities: int = 0
    logit: float = 0.0
    probability: float = 0.0
    fast: int | None = None
    device: int | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Exact mode gives nnU-Net's labels, with and without probabilities."""
        return not self.error and self.labels == 0 and self.labels_with_probabilities == 0


def binary() -> str:
    """The `i3deep` that is compared."""
    path = os.environ.get("I3DEEP_BIN", "i3deep")
    if os.path.sep in path and not Path(path).exists():
        raise OSError(f"there is no {path}; build it with `cargo build --package backend`")
    return path


def run(options: Iterable[object]) -> None:
    """Runs `i3deep predict`; its own words become the error."""
    command = [binary(), "predict", *map(str, options), "-device", "cpu", "--threads", str(THREADS), "--disable_progress_bar"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}")


def compare_models(chosen: list[Model], fast: bool) -> list[Row]:
    """Builds, exports and predicts every model on both sides."""
    rows = []
    for seed, model in enumerate(chosen):
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = compare_model(model, Path(folder), seed, fast)
            except Exception as error:
                row = Row(model.name, error=f"{type(error).__name__}: {error}")
            rows.append(row)
            print_row(row)
    return rows


def compare_model(model: Model, folder: Path, seed: int, fast: bool) -> Row:
    """One configuration."""
    from i3deep_models.export import export

    trained, network, images, previous = (folder / name for name in ("trained", "network", "images", "previous"))
    write_model(model, trained, seed)
    write_scans(model, images, previous, seed)
    with quiet():
        export(trained, network)
        predictor = trained_predictor(trained, model)
    stage = ["-prev_stage_predictions", previous] if model.cascade else []
    return compare(model.name, predictor, network, images, previous if model.cascade else None, [*model.options, *stage], folder, fast)


def compare(name: str, predictor, network: Path, images: Path, previous: Path | None, options: list, folder: Path, fast: bool) -> Row:
    """Predicts a folder of scans on both sides; `options` are nnU-Net's own."""
    common = ["-i", images, "-m", network, *options]
    plain, full, quick, resident = (folder / name for name in ("plain", "full", "quick", "resident"))
    run([*common, "-o", plain])
    run([*common, "-o", full, "--save_probabilities", "--save_logits"])
    if fast:
        run([*common, "-o", quick, "--precision", "fast"])
        # What a CUDA device does, on CPU tensors.
        run([*common, "-o", resident, "--precision", "fast", "--accumulate", "device"])
    row = Row(name, fast=0 if fast else None, device=0 if fast else None)
    for case in cases(images):
        with quiet():
            logits, labels, labels_p, probabilities = reference(predictor, case, previous)
        stem = case[0].name.removesuffix("_0000.nii.gz")
        row.voxels += labels.size
        row.labels += int((read(plain / f"{stem}.nii.gz") != labels).sum())
        row.labels_with_probabilities += int((read(full / f"{stem}.nii.gz") != labels_p).sum())
        row.logit = max(row.logit, difference(np.load(full / f"{stem}.logits.npy"), logits.astype(np.float32)))
        with np.load(full / f"{stem}.npz") as stored:
            row.probability = max(row.probability, difference(stored["probabilities"], probabilities))
        if fast:
            row.fast += int((read(quick / f"{stem}.nii.gz") != labels).sum())
            row.device += int((read(resident / f"{stem}.nii.gz") != labels).sum())
    return row


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest."""
    if got.shape != wanted.shape:
        raise ValueError(f"shape {got.shape}, nnU-Net has {wanted.shape}")
    return float(np.abs(got - wanted).max())


def cases(images: Path) -> list[list[Path]]:
    """Channels by case."""
    stems = sorted({file.name[: -len("_0000.nii.gz")] for file in images.glob("*_0000.nii.gz")})
    return [sorted(images.glob(f"{stem}_[0-9][0-9][0-9][0-9].nii.gz")) for stem in stems]


def read(file: Path) -> np.ndarray:
    """Voxels `[z, y, x]`."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def trained_predictor(trained: Path, model: Model):
    """nnU-Net's predictor of a trained-model folder, with the model's options."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    step = float(model.options[model.options.index("-step_size") + 1]) if "-step_size" in model.options else 0.5
    mirroring = model.mirror is not None and "--disable_tta" not in model.options
    predictor = nnUNetPredictor(step, use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained), tuple(range(model.folds)))
    return predictor


def exported_predictor(network: Path):
    """nnU-Net's predictor around an exported network: its TorchScript in the place of the eager modules."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manifest = read_json(network / "network.json")
    plans = PlansManager(read_json(network / "plans.json"))
    modules = [torch.jit.load(str(network / f"fold_{fold}.pt")).eval() for fold in manifest["folds"]]
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        modules[0],
        plans,
        plans.get_configuration(manifest["configuration"]),
        [module.state_dict() for module in modules],
        read_json(network / "dataset.json"),
        manifest["trainer"],
        tuple(manifest["mirror_axes"]) if manifest["mirror_axes"] else None,
    )
    # The folds share one module, whose weights are overwritten: keep copies.
    predictor.list_of_parameters = [{name: value.clone() for name, value in weights.items()} for weights in predictor.list_of_parameters]
    return predictor


def reference(predictor, images: list[Path], previous: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """nnU-Net's logits on the network's grid, its labels without and with probabilities, and the probabilities."""
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape as convert
    from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

    torch.set_num_threads(THREADS)
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    segmentation = str(previous / images[0].name.replace("_0000.nii.gz", ".nii.gz")) if previous else None
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, seg, properties = preprocessor.run_case([str(file) for file in images], segmentation, plans, configuration, predictor.dataset_json)
    if previous:
        data = np.vstack((data, convert_labelmap_to_one_hot(seg[0], predictor.label_manager.foreground_labels, data.dtype)))
    logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
    arguments = (plans, configuration, predictor.label_manager, properties)
    labels = convert(logits.clone(), *arguments)
    labels_p, probabilities = convert(logits.clone(), *arguments, return_probabilities=True)
    return logits.numpy(), labels, labels_p, probabilities


class quiet:
    """Silences nnU-Net's prints and warnings."""

    def __enter__(self) -> None:
        """Redirects."""
        import warnings

        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("ignore")
        self.stdout, sys.stdout = sys.stdout, open(os.devnull, "w")

    def __exit__(self, *rest: object) -> None:
        """Restores."""
        sys.stdout.close()
        sys.stdout = self.stdout
        self.caught.__exit__(*rest)


def print_head() -> None:
    """The table's head."""
    print(f"{'configuration':<34}{'voxels':>10}{'labels':>8}{'with p.':>8}{'max |d logit|':>15}{'max |d prob.|':>15}{'fast':>8}{'device':>8}")


def print_row(row: Row) -> None:
    """A line of the table, as soon as it is known."""
    fast, device = ("" if count is None else str(count) for count in (row.fast, row.device))
    numbers = f"{row.voxels:>10}{row.labels:>8}{row.labels_with_probabilities:>8}{row.logit:>15.2e}{row.probability:>15.2e}{fast:>8}{device:>8}"
    print(f"{row.name:<34}{row.error or numbers}", flush=True)


def parity(only: list[str], fast: bool) -> int:
    """All small models, or those whose names hold one of `only`; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        Workspace(Path(folder)).activate()
        chosen = [model for model in models() if not only or any(part in model.name for part in only)]
        print("labels that differ from nnU-Net's in exact mode, without and with --save_probabilities; in fast mode where that is asked for")
        print_head()
        started = time.monotonic()
        rows = compare_models(chosen, fast)
        print(f"compared in {time.monotonic() - started:.0f} s, {THREADS} threads")
    return verdict(rows)


def real(network: Path, images: Path, limit: int | None) -> int:
    """An exported network, or a bundle's first network, on real scans; the exit status."""
    network = network / "presegmentation" if (network / "bundle.json").exists() else network
    with tempfile.TemporaryDirectory() as folder:
        Workspace(Path(folder) / "nnunet").activate()
        chosen = Path(folder) / "images"
        chosen.mkdir()
        for channels in cases(images)[:limit]:
            for file in channels:
                (chosen / file.name).symlink_to(file.resolve())
        with quiet():
            predictor = exported_predictor(network)
        print_head()
        row = compare(f"{len(cases(chosen))} scans", predictor, network, chosen, None, [], Path(folder), fast=True)
        print_row(row)
        per = 1e5 * row.fast / row.voxels
        print(f"fast mode: {row.fast} of {row.voxels} voxels differ, {per:.2f} per 100,000; with everything on the device {row.device}")
    return verdict([row])


def verdict(rows: list[Row]) -> int:
    """Prints how many passed; 1 if some did not."""
    failed = sum(not row.passed for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return int(failed > 0 or not rows)
