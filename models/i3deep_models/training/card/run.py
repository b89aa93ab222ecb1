"""Trains everything on one machine with a card: `python -m i3deep_models.training.card.run PLAN.json`.

The plan is a list of phases, one after the other; a phase is a list of jobs, each a process of its own, which share the
card. `first.json` and `second.json` are what the bundles were made with. When a plan is run again, its jobs
that are finished in `scratch` are left as they are, and one that was cut off goes on from its last checkpoint.
"""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch.nn import functional as F

from i3deep_models.guidance import UNANNOTATED, Encoding
from i3deep_models.training.card import augment, expert, fit
from i3deep_models.training.card.fit import Cases, Keeping, Learned, Refinement, Schedule
from i3deep_models.training.card.pack import read_pack
from i3deep_models.training.simulation import Simulation

# Presegmentations of a case unless a job says otherwise: one at its best, the others of spoilt scans.
VARIANTS = 4


def device() -> torch.device:
    """The card, or the processor where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def refinement(job: dict) -> Refinement:
    """The refinement that a job asks for."""
    encoding = Encoding(**job.get("encoding", {}))
    simulation = Simulation(**job.get("simulation", {}))
    rest = {key: job[key] for key in ("residual", "wrong_weight", "drop_presegmentation") if key in job}
    return Refinement(encoding, simulation, **rest)


def grown(weights: dict, network: torch.nn.Module) -> dict:
    """Weights of a network with fewer input channels; new channels start at the known ones' magnitude."""
    own = network.state_dict()
    weights = {name: value.float() for name, value in weights.items() if name in own}
    for name, weight in weights.items():
        if own[name].shape != weight.shape:
            own[name] = torch.randn(own[name].shape) * weight.std()
            own[name][:, : weight.shape[1]] = weight
        else:
            own[name] = weight
    # A layer that goes by several names is one, so what was drawn for its first name counts for all.
    return {name: own[canonical(name)] if canonical(name) in weights else own[name] for name in own}


def canonical(name: str) -> str:
    """The first of a layer's names: nnU-Net lists the encoder in the decoder too, and each block's layers twice."""
    name = name.removeprefix("decoder.") if name.startswith("decoder.encoder.") else name
    return (
        name.replace(".all_modules.0.", ".conv.")
        .replace(".all_modules.2.", ".norm.")
        .replace(".all_modules.1.", ".norm.")
    )


def presegmentation(job: dict, cases: Cases, scratch: Path, report: dict) -> torch.nn.Module:
    """Trains one fold, for no time at all if it only presegments; presegments the cases it has not seen."""
    network = fit.build(cases.pack.plans, 1, cases.heads)
    if "start" in job:
        network.load_state_dict(grown(torch.load(job["start"], map_location="cpu"), network))
    network.to(cases.device)
    known = train_cases(job, cases)
    steps = fit.presegmentation_steps(cases, known, job["batch"])
    report["steps"] = fit.fit(network, steps, cases.heads, schedule(job), keeping=keeping(job, scratch))
    if job["fold"] != "all":
        unseen = cases.numbers(cases.pack.splits[job["fold"]]["val"])
        if job.get("whole_cases", True):
            found = out_of_fold(network, cases, unseen, job)
            torch.save({"cases": unseen.cpu(), "probabilities": found}, scratch / f"{job['name']}.oof")
            best = found[:, 0].float().argmax(1).to(cases.device)
            truth = cases.labels[unseen].long()
            report["dice"] = float(
                torch.stack([dice(b, t, cases.heads) for b, t in zip(best, truth, strict=True)]).mean()
            )
    return network


@torch.no_grad()
def out_of_fold(network: torch.nn.Module, cases: Cases, numbers: torch.Tensor, job: dict) -> torch.Tensor:
    """`[n, variants, heads, z, y, x]` f16: at its best (all mirrors, if the job mirrors), then of spoilt scans."""
    variants = job.get("variants", VARIANTS)
    found = []
    # Small cases share a pass; large ones would not fit into memory side by side.
    at_once = max(1, min(16, 4_000_000 // math.prod(cases.size)))
    best = at_best(job, cases)
    quick = fit.Prediction(cases.heads, cases.patch)
    for part in numbers.split(at_once):
        image = cases.images[part][:, None].float()
        if at_once == 1:
            # As in use, where a scan ends with its voxels.
            z, y, x = cases.sizes[part[0]].tolist()
            image = image[:, :, :z, :y, :x]
        inside = torch.ones_like(image)
        for row, number in enumerate(part.tolist()):
            z, y, x = cases.sizes[number].tolist()
            inside[row, :, z:], inside[row, :, :, y:], inside[row, :, :, :, x:] = 0, 0, 0
        one = [fit.predict(network, image, best)]
        one += [fit.predict(network, augment.spoilt(image) * inside, quick) for _ in range(variants - 1)]
        stacked = torch.stack(one, 1)
        stacked[:, :, 1:] *= inside[:, :, None]
        beyond = [(0, whole - part) for whole, part in zip(cases.size, image.shape[2:], strict=True)]
        stacked = F.pad(stacked, [pad for pads in beyond[::-1] for pad in pads])
        stacked[:, :, 0] = 1 - stacked[:, :, 1:].sum(2)
        found.append(stacked.half().cpu())
    return torch.cat(found)


def dice(labels: torch.Tensor, truth: torch.Tensor, heads: int, where: torch.Tensor | None = None) -> torch.Tensor:
    """Mean Dice of the foreground labels, within `where`."""
    scores = []
    for head in range(1, heads):
        ours, theirs = labels == head, truth == head
        if where is not None:
            ours, theirs = ours & where, theirs & where
        total = ours.sum() + theirs.sum()
        if total > 0:
            scores.append(2 * (ours & theirs).sum() / total)
    return torch.stack(scores).mean() if scores else torch.ones((), device=labels.device)


def refine(job: dict, cases: Cases, scratch: Path, report: dict) -> torch.nn.Module:
    """Trains one refinement from out-of-fold presegmentations."""
    wanted = refinement(job)
    channels = 1 + wanted.encoding.channels(cases.heads - 1)
    network = fit.build(cases.pack.plans, channels, cases.heads)
    start = torch.load(job["start"], map_location="cpu")
    network.load_state_dict(grown(start, network))
    network.to(cases.device)
    learned = gathered(cases, scratch, job["presegmentations"])
    known = train_cases(job, cases)
    steps = fit.refinement_steps(cases, known, job["batch"], learned, wanted)
    report["steps"] = fit.fit(network, steps, cases.heads, schedule(job), wanted.residual, keeping(job, scratch))
    report["refinement"] = {"encoding": asdict(wanted.encoding), "residual": wanted.residual}
    return network


def gathered(cases: Cases, scratch: Path, names: list[str]) -> Learned:
    """The out-of-fold presegmentations that there are; elsewhere all is background."""
    parts = [torch.load(scratch / f"{name}.oof") for name in names]
    variants = parts[0]["probabilities"].shape[1]
    whole = torch.zeros(len(cases.pack.cases), variants, cases.heads, *cases.size, dtype=torch.float16)
    whole[:, :, 0] = 1
    for part in parts:
        whole[part["cases"]] = part["probabilities"]
    return Learned(whole.to(cases.device))


def at_best(job: dict, cases: Cases) -> fit.Prediction:
    """How a job's networks predict at their best."""
    return fit.Prediction(cases.heads, cases.patch, cases.source.mirror_axes if job.get("mirrored", True) else ())


class Together(torch.nn.Module):
    """Several networks as one, by their mean logits, as the product takes its folds together."""

    def __init__(self, networks: list[torch.nn.Module]):
        """Of networks of one kind."""
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        """Logits `[n, heads, …]`."""
        return torch.stack([network(data)[0].float() for network in self.networks]).mean(0)


def trained(job: dict, cases: Cases, scratch: Path) -> list[torch.nn.Module]:
    """Refinements that were trained before."""
    wanted = refinement(job)
    networks = []
    for name in job["of"]:
        network = fit.build(cases.pack.plans, 1 + wanted.encoding.channels(cases.heads - 1), cases.heads)
        network.load_state_dict(torch.load(scratch / f"{name}.pt"))
        networks.append(network.eval().to(cases.device))
    return networks


def together(job: dict, cases: Cases, scratch: Path, report: dict) -> torch.nn.Module:
    """Refinements that were trained before, as an ensemble."""
    return Together(trained(job, cases, scratch))


def mean(job: dict, cases: Cases, scratch: Path, report: dict) -> torch.nn.Module:
    """One network with the mean weights of refinements that were trained from the same one before (Wortsman et al.,
    Model soups, 2022)."""
    first, *others = trained(job, cases, scratch)
    weights = [network.state_dict() for network in (first, *others)]
    first.load_state_dict({name: torch.stack([each[name] for each in weights]).mean(0) for name in weights[0]})
    return first


# Whose corrections a refinement is tried with.
HANDS = ("steady", "unsteady")


@torch.no_grad()
def tried(network: torch.nn.Module, cases: Cases, job: dict, scratch: Path) -> dict[str, dict[str, float]]:
    """Mean Dice of the fold's validation cases outside the corrected planes, by expert and share of the axial planes
    that are corrected: of the presegmentation, of the network with no plane, and with the planes; and in what share of
    the cases the last is behind the presegmentation by more than 0.01."""
    rows: dict[str, list[list[float]]] = {}
    wanted, learned = refinement(job), gathered(cases, scratch, job["presegmentations"])
    how = replace(at_best(job, cases), residual=wanted.residual)
    numbers = cases.numbers(cases.pack.splits[job["fold"]]["val"])
    for number in numbers.tolist():
        found = learned.probabilities[number, 0][None].float()
        labels = cases.labels[number][None].long()
        batch = expert.Batch(cases.images[number][None, None].float(), labels, found.argmax(1), expert.entropy(found))

        def answer(said: torch.Tensor, batch: expert.Batch = batch) -> torch.Tensor:
            guidance = expert.channels(expert.Met(batch, said), cases.heads, wanted.encoding)
            return fit.predict(network, torch.cat([batch.image, guidance], 1), how).argmax(1)

        alone = answer(torch.full_like(labels, UNANNOTATED))
        for budget in (0.05, 0.1, 0.2, 0.3):
            planes = expert.draw_planes(batch.uncertainty, steady_draw(batch, budget, cases.device), cases.spacing_mm)
            for hand in HANDS:
                said = expert.corrections(labels, planes, torch.tensor([hand == "unsteady"]))
                outside = said < 0
                scores = [
                    float(dice(v, labels, cases.heads, outside)) for v in (batch.presegmentation, alone, answer(said))
                ]
                rows.setdefault(f"{hand} {budget}", []).append([*scores, float(scores[2] < scores[0] - 0.01)])
    names = ("presegmentation", "no_plane", "with_planes", "worse")
    return {key: dict(zip(names, torch.tensor(values).mean(0).tolist(), strict=True)) for key, values in rows.items()}


def steady_draw(batch: expert.Batch, budget: float, device: torch.device) -> expert.Draw:
    """The planes that a share of the axial planes with foreground buys, greedily and without noise."""
    foreground = int((batch.presegmentation > 0).any(3).any(2).sum())
    return expert.Draw(
        torch.tensor([max(3, int(budget * foreground))], device=device),
        torch.tensor([3.0], device=device),
        torch.tensor([True], device=device),
        torch.ones(1, 3, device=device),
        noise=0.0,
    )


def train_cases(job: dict, cases: Cases) -> torch.Tensor:
    """The cases that a job learns from."""
    if job["fold"] == "all":
        return torch.arange(len(cases.pack.cases), device=cases.device)
    return cases.numbers(cases.pack.splits[job["fold"]]["train"])


def schedule(job: dict) -> Schedule:
    """Its time, batch, rate and rule."""
    return Schedule(job["seconds"], job["batch"], job.get("rate", 0.01), job.get("rule", "nnunet"))


def keeping(job: dict, scratch: Path) -> Keeping:
    """Where it is kept while it trains."""
    return Keeping(scratch / f"{job['name']}.state", job)


def work(job: dict, out: Path, scratch: Path) -> None:
    """One job, in its own process: weights to `scratch` (f32) and to `out` (f16), and what is to be said of it, which
    comes last. Nothing where this very job has been finished."""
    told = scratch / f"{job['name']}.json"
    if told.exists() and json.loads(told.read_text())["job"] == job:
        print(f"{job['name']} was finished before", flush=True)
        return
    torch.manual_seed(job.get("seed", 1))
    torch.set_num_threads(job.get("threads", 2))
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    begun = time.monotonic()
    cases = Cases(read_pack(Path(job["pack"])), device(), job.get("around_labels", 1 / 3))
    report = {"job": job, "loaded_s": time.monotonic() - begun}
    does = {"presegmentation": presegmentation, "refinement": refine, "together": together, "mean": mean}[job["does"]]
    network = does(job, cases, scratch, report)
    if job["does"] != "together":
        weights = {name: value.detach().cpu() for name, value in network.state_dict().items()}
        torch.save(weights, scratch / f"{job['name']}.pt")
        once = {name: value.half() for name, value in weights.items() if canonical(name) == name}
        torch.save(once, out / f"{job['name']}.pt")
    # Weights are kept before they are tried: on a processor that takes as long as some trainings.
    if job["does"] != "presegmentation" and job["fold"] != "all":
        report["validation"] = tried(network, cases, job, scratch)
    report["seconds"] = time.monotonic() - begun
    told.write_text(json.dumps(report))
    keeping(job, scratch).file.unlink(missing_ok=True)
    print(json.dumps({k: v for k, v in report.items() if k != "job"}), flush=True)


def run(plan: Path, out: Path, scratch: Path) -> None:
    """All phases; a job that fails does not stop the others of its phase."""
    out.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for number, phase in enumerate(json.loads(plan.read_text())):
        jobs = []
        for job in phase:
            file = scratch / f"{job['name']}.job"
            file.write_text(json.dumps(job))
            command = [
                sys.executable,
                "-m",
                "i3deep_models.training.card.run",
                "--job",
                str(file),
                str(out),
                str(scratch),
            ]
            log = (scratch / f"{job['name']}.log").open("w")
            jobs.append((job, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ)))
        for job, process in jobs:
            process.wait()
            words = (scratch / f"{job['name']}.log").read_text()
            print(f"== {job['name']}: exit {process.returncode}\n{words[-1500:]}", flush=True)
        print(f"=== phase {number} ended at {time.monotonic() - begun:.0f} s", flush=True)
        reports = [json.loads(file.read_text()) for file in sorted(scratch.glob("*.json"))]
        (out / "reports.json").write_text(json.dumps(reports, indent=1))


def main() -> None:
    """`PLAN OUT SCRATCH`, or `--job JOB OUT SCRATCH` for one of its processes."""
    if sys.argv[1] == "--job":
        work(json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
