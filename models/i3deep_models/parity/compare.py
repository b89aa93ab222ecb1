"""Predictions of `i3deep predict` against nnU-Net's own predictor, voxel by voxel: labels, logits, probabilities."""

import contextlib
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i3deep_models.parity.models import Model, models, write_model, write_scans
from i3deep_models.workspace import Workspace, read_json

# Both sides compute with as many: torch takes other kernels for one thread than for two. Set to 1 where the processors
# are busy: threads that wait for each other make small networks a hundred times slower.
THREADS = int(os.environ.get("I3DEEP_PARITY_THREADS", min(2, os.cpu_count() or 1)))


@dataclass
class Row:
    """One configuration's comparison."""

    name: str
    voxels: int = 0
    labels: int = 0
    labels_with_probabilities: int = 0
    script: int | None = None
    logit: float = 0.0
    probability: float = 0.0
    fast: int | None = None
    device: int | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Exact mode gives nnU-Net's labels, with and without probabilities, whatever the engine."""
        return not self.error and self.labels == 0 and self.labels_with_probabilities == 0 and not self.script


def binary() -> str:
    """The `i3deep` that is compared."""
    path = os.environ.get("I3DEEP_BIN", "i3deep")
    if os.path.sep in path and not Path(path).exists():
        raise OSError(f"there is no {path}; build it with `cargo build --package backend`")
    return path


def run(options: Iterable[object]) -> None:
    """Runs `i3deep predict`; its own words become the error."""
    command = [
        binary(),
        "predict",
        *map(str, options),
        "-device",
        "cpu",
        "--threads",
        str(THREADS),
        "--disable_progress_bar",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
        )


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
    """One configuration: nnU-Net's folder as it lies, and exported as TorchScript."""
    from i3deep_models.export import export

    trained, exported, images, previous = (folder / name for name in ("trained", "exported", "images", "previous"))
    write_model(model, trained, seed)
    write_scans(model, images, previous, seed)
    with quiet():
        export(trained, exported)
        predictor = trained_predictor(trained, model)
    stage = ["-prev_stage_predictions", previous] if model.cascade else []
    scans = Scans(images, previous if model.cascade else None, exported)
    return compare(model.name, predictor, trained, scans, [*model.options, *stage], folder, fast)


def compare_trained(only: list[str], fast: bool) -> list[Row]:
    """Folders that nnU-Net trains here and now, for a few iterations."""
    from i3deep_models.parity.trained import CASES, Trainer, trainings

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(Path(folder))
        for number, training in enumerate(trainings()):
            name = f"trained: {training.name}"
            needed = any(
                later.after == training.name and selected(f"trained: {later.name}", only) for later in trainings()
            )
            if not (selected(name, only) or needed):
                continue
            try:
                with quiet():
                    trained = trainer.train(training)
                    predictor = folder_predictor(trained, training.folds, training.checkpoint)
                images = trainer.workspace.raw / trainer.name(training.dataset) / "imagesTr"
                chosen = Path(folder) / f"images_{number}"
                chosen.mkdir()
                for file in (images / f"case_{case}_0000.nii.gz" for case in range(0, CASES, 3)):
                    (chosen / file.name).symlink_to(file)
                first = trainer.workspace.raw / trainer.name(training.dataset) / "labelsTr"
                options = [
                    "-f",
                    *training.folds,
                    "-chk",
                    training.checkpoint,
                    *(["-prev_stage_predictions", first] if training.after else []),
                ]
                scans = Scans(chosen, first if training.after else None)
                row = compare(name, predictor, trained, scans, options, Path(folder) / f"out_{number}", fast)
            except Exception as error:
                row = Row(name, error=f"{type(error).__name__}: {error}")
            rows.append(row)
            print_row(row)
    return rows


def selected(name: str, only: list[str]) -> bool:
    """Whether a configuration is asked for."""
    return not only or any(part in name for part in only)


@dataclass(frozen=True)
class Scans:
    """What is predicted, the previous stage's segmentations in a cascade, and the network's TorchScript export where
    that is compared too."""

    images: Path
    previous: Path | None = None
    exported: Path | None = None


def compare(name: str, predictor, network: Path, scans: Scans, options: list, folder: Path, fast: bool) -> Row:
    """Predicts a folder of scans on both sides; `options` are nnU-Net's own."""
    images, previous = scans.images, scans.previous
    common = ["-i", images, "-m", network, *options]
    plain, full, quick, resident, script = (folder / name for name in ("plain", "full", "quick", "resident", "script"))
    run([*common, "-o", plain])
    if scans.exported:
        run(["-i", images, "-m", scans.exported, *options, "-o", script])
    run([*common, "-o", full, "--save_probabilities", "--save_logits"])
    if fast:
        run([*common, "-o", quick, "--precision", "fast"])
        # What a CUDA device does, on CPU tensors.
        run([*common, "-o", resident, "--precision", "fast", "--accumulate", "device"])
    row = Row(name, script=0 if scans.exported else None, fast=0 if fast else None, device=0 if fast else None)
    for case in cases(images):
        with quiet():
            logits, labels, labels_p, probabilities = reference(predictor, case, previous)
        stem = case[0].name.removesuffix("_0000.nii.gz")
        row.voxels += labels.size
        row.labels += differing(plain / f"{stem}.nii.gz", labels, case[0])
        if scans.exported:
            row.script += differing(script / f"{stem}.nii.gz", labels, case[0])
        row.labels_with_probabilities += differing(full / f"{stem}.nii.gz", labels_p, case[0])
        row.logit = max(row.logit, difference(np.load(full / f"{stem}.logits.npy"), logits.astype(np.float32)))
        with np.load(full / f"{stem}.npz") as stored:
            row.probability = max(row.probability, difference(stored["probabilities"], probabilities))
        if fast:
            row.fast += differing(quick / f"{stem}.nii.gz", labels, case[0])
            row.device += differing(resident / f"{stem}.nii.gz", labels, case[0])
    return row


def differing(file: Path, labels: np.ndarray, image: Path) -> int:
    """Voxels of a segmentation that differ from nnU-Net's. A file has as many dimensions as the image, as nnU-Net
    writes it; in memory nnU-Net has three always."""
    got = read(file)
    if got.shape != read(image).shape:
        raise ValueError(f"shape {got.shape}, the image has {read(image).shape}")
    return int((got.reshape(labels.shape) != labels).sum())


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


def folder_predictor(trained: Path, folds: tuple, checkpoint: str):
    """nnU-Net's predictor of some folds and a checkpoint of a trained-model folder."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained), folds, checkpoint)
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
    predictor.list_of_parameters = [
        {name: value.clone() for name, value in weights.items()} for weights in predictor.list_of_parameters
    ]
    return predictor


def reference(
    predictor, images: list[Path], previous: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """nnU-Net's logits on the network's grid, its labels without and with probabilities, and the probabilities."""
    import torch
    from nnunetv2.inference.export_prediction import (
        convert_predicted_logits_to_segmentation_with_correct_shape as convert,
    )
    from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

    torch.set_num_threads(THREADS)
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    segmentation = str(previous / images[0].name.replace("_0000.nii.gz", ".nii.gz")) if previous else None
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, seg, properties = preprocessor.run_case(
        [str(file) for file in images], segmentation, plans, configuration, predictor.dataset_json
    )
    if previous:
        data = np.vstack(
            (data, convert_labelmap_to_one_hot(seg[0], predictor.label_manager.foreground_labels, data.dtype))
        )
    logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
    arguments = (plans, configuration, predictor.label_manager, properties)
    labels = convert(logits.clone(), *arguments)
    labels_p, probabilities = convert(logits.clone(), *arguments, return_probabilities=True)
    return logits.numpy(), labels, labels_p, probabilities


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences nnU-Net's prints and warnings."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def print_head() -> None:
    """The table's head."""
    columns = (
        ("voxels", 10),
        ("labels", 8),
        ("with p.", 8),
        ("script", 8),
        ("max |d logit|", 15),
        ("max |d prob.|", 15),
        ("fast", 8),
        ("device", 8),
    )
    print(f"{'configuration':<44}" + "".join(f"{name:>{width}}" for name, width in columns))


def print_row(row: Row) -> None:
    """A line of the table, as soon as it is known."""
    script, fast, device = ("" if count is None else str(count) for count in (row.script, row.fast, row.device))
    differences = f"{row.labels:>8}{row.labels_with_probabilities:>8}{script:>8}"
    numbers = f"{row.voxels:>10}{differences}{row.logit:>15.2e}{row.probability:>15.2e}{fast:>8}{device:>8}"
    print(f"{row.name:<44}{row.error or numbers}", flush=True)


def parity(only: list[str], fast: bool, trained: bool = True) -> int:
    """All small models and, if wanted, trained folders, or those whose names hold one of `only`; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        Workspace(Path(folder)).activate()
        chosen = [model for model in models() if selected(model.name, only)]
        print(
            "labels that differ from nnU-Net's in exact mode: native without and with --save_probabilities, "
            "TorchScript; in fast mode if asked for"
        )
        print_head()
        started = time.monotonic()
        rows = compare_models(chosen, fast) + (compare_trained(only, fast) if trained else [])
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
        row = compare(f"{len(cases(chosen))} scans", predictor, network, Scans(chosen), [], Path(folder), fast=True)
        print_row(row)
        per = 1e5 * row.fast / row.voxels
        print(
            f"fast mode: {row.fast} of {row.voxels} voxels differ, {per:.2f} per 100,000; "
            f"with everything on the device {row.device}"
        )
    return verdict([row])


def verdict(rows: list[Row]) -> int:
    """Prints how many passed; 1 if some did not."""
    failed = sum(not row.passed for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return int(failed > 0 or not rows)
