"""`i3deep-models report`: the evidence. Runs `i3deep evaluate` where needed, measures every method on the same planes,
and writes REPORT.md.

Tables lie in `report/*.csv` beside it; the text and the plots are made from these alone. Volumes in between go to
`<workspace>/report`.
"""

import hashlib
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from i3deep_models.report import lines, measure, unsteady
from i3deep_models.report.baselines import BASELINES
from i3deep_models.report.corruptions import CORRUPTIONS, corrupt_folder
from i3deep_models.report.measure import OURS, SCORES, Evaluated, Networks, read_results, side_by_side
from i3deep_models.report.table import Table
from i3deep_models.workspace import Workspace, read_json, write_json

PARTS = ("methods", "lines", "unsteady", "corruption", "ablation", "listening", "choice")
# Refinements beside the bundle's: those to compare with, and those with one thing changed.
COMPARED = ("pnet", "published")
ABLATED = ("short", "no-annotated", "with-presegmentation", "random-planes")
LISTENING = ("published",)
STRATEGIES = ("greedy", "published", "component-centre", "equidistant-foreground", "equidistant", "random")
COSTED = ("greedy", "greedy-per-second", "published", "equidistant-foreground", "random-foreground", "class-stratified")
# A budget that buys one plane, as `lines` lets it: an expert may stop after the first of those that are offered.
ONE_PLANE = "0.01"
SMALL_BUDGETS = ("0.1", "0.15", "0.2")
SAMPLES = ("folds+mirrors", "folds", "mirrors", "dropout:8", "folds+dropout:8")
MEASURES = ("entropy", "variance", "mutual-information", "bhattacharyya", "confidence")
# What of `results.csv` of `i3deep evaluate` goes into the tables about the choice of planes.
CHOICE_COLUMNS = (
    *("case", "strategy", "uncertainty", "budget", "planes", "effort", "auroc", "auprc", "ece"),
    *("dice_presegmentation", "dice_refined", "dice_presegmentation_outside", "dice_refined_outside"),
)

_WEIGHTS = "Dataset002_*/*/fold_*/checkpoint_final.pth"


@dataclass(frozen=True)
class ReportOptions:
    """What is measured, and where it is written."""

    workspace: Workspace
    bundle: Path
    images: Path
    labels: Path
    out: Path
    cases: list[str] = field(default_factory=lambda: ["held-out"])
    ablation_cases: list[str] = field(default_factory=lambda: ["validation"])
    budgets: tuple[str, ...] = ("0.05", "0.1", "0.15", "0.2", "0.3", "0.4")
    effort_budget: str = "0.2"
    strategies: tuple[str, ...] = COSTED
    parts: tuple[str, ...] = PARTS
    jobs: int = 2
    seed: int = 2022

    @property
    def tables(self) -> Path:
        """Where the CSV files are."""
        return self.out / "report"

    @property
    def between(self) -> Path:
        """Where volumes go that the report does not need once it is written."""
        return self.workspace.folder / "report"


def report(options: ReportOptions) -> None:
    """Measures what is missing in the tables, then renders."""
    from i3deep_models.report.render import render

    if options.effort_budget not in options.budgets:
        raise ValueError(
            f"the effort budget {options.effort_budget} is not among the budgets {','.join(options.budgets)}"
        )
    options.workspace.activate()
    manifest = read_json(options.bundle / "bundle.json")
    labels = tuple(int(label["value"]) for label in manifest["labels"])
    check_settings(options, manifest)
    parts = {
        "methods": measure_methods,
        "lines": measure_lines,
        "unsteady": measure_unsteady,
        "corruption": measure_corruption,
        "ablation": measure_ablation,
        "listening": measure_listening,
        "choice": measure_choice,
    }
    for name in options.parts:
        begin_anew(options, name)
        parts[name](options, labels)
    render(options.out)


def check_settings(options: ReportOptions, manifest: dict) -> None:
    """Writes down what the tables are about; raises ValueError if they are about something else. `older` says by hand
    which parts' tables are of an earlier version; a part that is measured is none of them."""
    settings = {
        "bundle": manifest["name"],
        "version": manifest["version"],
        "labels": {str(label["value"]): label["name"] for label in manifest["labels"]},
        "effort_budget": options.effort_budget,
        "seed": options.seed,
        "blend_mm": manifest.get("blend_mm", 0.0),
        "files": manifest["files"],
    }
    file = options.tables / "settings.json"
    before = read_json(file) if file.is_file() else settings
    known = {"networks": {}} | {name: before.pop(name) for name in ("networks", "older") if name in before}
    if before != settings:
        raise ValueError(
            f"the tables in {options.tables} are about another bundle, seed or effort budget; "
            "remove its CSV files and settings.json"
        )
    write_json(file, settings | known)


def begin_anew(options: ReportOptions, part: str) -> None:
    """Removes a part's table if it is of an older version."""
    file = options.tables / "settings.json"
    settings = read_json(file)
    if settings.get("older", {}).pop(part, None) is not None:
        (options.tables / f"{part}.csv").unlink(missing_ok=True)
        write_json(file, settings)


def check_networks(options: ReportOptions, trained: dict[str, Path]) -> None:
    """Writes down the digests of networks that Python runs; raises ValueError where one was trained anew since its rows
    were written."""
    file = options.tables / "settings.json"
    settings = read_json(file)
    for name, folder in trained.items():
        weights = sorted(folder.glob(_WEIGHTS))
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in weights)).hexdigest()
        if settings["networks"].setdefault(name, digest) != digest:
            raise ValueError(
                f"{name} was trained anew; remove its rows from the CSV files in {options.tables}, "
                "and its line from settings.json"
            )
    write_json(file, settings)


def case_names(options: ReportOptions, chosen: list[str]) -> list[str]:
    """Names as given; `held-out` stands for the bundle's held-out cases, `validation` for the validation cases of the
    refinement's fold 0."""
    names: list[str] = []
    for name in chosen:
        if name == "held-out":
            names += read_json(options.bundle / "split.json")["held_out"]
        elif name == "validation":
            folds = read_json(
                options.workspace.preprocessed / options.workspace.dataset_name("refinement") / "splits_final.json"
            )
            names += folds[0]["val"]
        else:
            names.append(name)
    return sorted(set(names))


def networks(options: ReportOptions, names: tuple[str, ...]) -> Networks:
    """Those of the named refinements that have been trained; `ours` is the workspace's own. Says which are missing."""
    folders = {
        name: options.workspace.results if name == OURS else options.workspace.folder / "variants" / name
        for name in names
    }
    trained = {name: folder for name, folder in folders.items() if any(folder.glob(_WEIGHTS))}
    for name in sorted(set(names) - set(trained)):
        print(f"{name} is not trained yet, so the report goes without: {folders[name]}", flush=True)
    check_networks(options, trained)
    return Networks(tuple(trained.items()))


def evaluate(
    options: ReportOptions, images: Path, out: Path, cases: list[str], budgets: tuple[str, ...], *more: str
) -> list[Evaluated]:
    """Runs `i3deep evaluate` with further arguments, which skips what it has done before; the rows that were asked
    for."""
    run_evaluate(
        options, images, out, cases, ["--strategies", "greedy", "--budgets", ",".join(budgets), "--keep", *more]
    )
    wanted = {float(budget) for budget in budgets}
    rows = [
        row for row in read_results(out, images, options.labels) if row.case in cases and float(row["budget"]) in wanted
    ]
    missing = sorted(set(cases) - {row.case for row in rows})
    if missing:
        raise ValueError(f"{len(missing)} cases have no scan or no labels, the first is {missing[0]}")
    return rows


def run_evaluate(options: ReportOptions, images: Path, out: Path, cases: list[str], settings: list[str]) -> None:
    """Runs `i3deep evaluate` on cases with further arguments; raises ValueError with its words."""
    from i3deep_models.parity.compare import binary

    command: list[object] = [
        binary(),
        "evaluate",
        "--bundle",
        options.bundle,
        "--images",
        images,
        "--labels",
        options.labels,
        "--out",
        out,
    ]
    command += ["--only", ",".join(cases), "--jobs", options.jobs, *settings]
    print(f"evaluating {len(cases)} cases → {out}", flush=True)
    done = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        if "--keep" in done.stderr:
            raise ValueError(
                f"{command[0]} does not know `evaluate --keep`; build it anew with `cargo build --release -p backend`"
            )
        raise ValueError(f"`i3deep evaluate` failed: {done.stderr.strip()[-1000:]}")


def clean(options: ReportOptions) -> list[Evaluated]:
    """The report's cases as they are, at every budget."""
    return evaluate(
        options, options.images, options.between / "clean", case_names(options, options.cases), options.budgets
    )


def at_effort(options: ReportOptions, rows: list[Evaluated]) -> list[Evaluated]:
    """The rows at the budget that the tables are about."""
    return [row for row in rows if float(row["budget"]) == float(options.effort_budget)]


def measure_methods(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """Every method at every budget, and their errors by distance from the planes at the effort budget."""
    found = networks(options, COMPARED)
    names = [*BASELINES, *(name for name in COMPARED if name in found.names()), OURS]
    if "published" in names:
        names.insert(names.index("published") + 1, "published, pasted")
    key = ("case", "budget", "method")
    tables = {
        "planes": Table(options.tables / "planes.csv", ("case", "budget"), ("planes", "effort", "slices")),
        "distance": Table(options.tables / "distance.csv", key, ("up_to_mm", "voxels", "wrong")),
        "methods": Table(options.tables / "methods.csv", key, ("label", *SCORES, "seconds")),
    }
    rows = clean(options)
    effort = {(row.case, row["slices"]) for row in at_effort(options, rows)}
    alike: dict[tuple[str, str], list[Evaluated]] = {}
    for row in rows:
        alike.setdefault((row.case, row["slices"]), []).append(row)
    tasks = []
    for planes, same in alike.items():
        missing = [
            name for name in names if any((row.case, row["budget"], name) not in tables["methods"] for row in same)
        ]
        if missing:
            tasks.append((measure.compare, (same, missing, labels, found, planes in effort)))
    collect(options, tables, tasks, "methods")


def measure_corruption(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """Presegmentation and ours on corrupted scans, at the effort budget."""
    table = Table(options.tables / "corruption.csv", ("case", "kind", "method"), ("label", *SCORES, "planes", "effort"))
    cases = case_names(options, options.cases)
    sets = {"clean": at_effort(options, clean(options))}
    for kind in CORRUPTIONS:
        images = options.between / "corrupted"
        if any(not any((images / kind).glob(f"{case}_[0-9]*.nii.gz")) for case in cases):
            corrupt_folder(options.images, images, [kind], options.seed, cases)
        sets[kind] = evaluate(
            options, images / kind, options.between / f"evaluated-{kind}", cases, (options.effort_budget,)
        )
    tasks = [
        (measure.withstand, (row, kind, labels))
        for kind, rows in sets.items()
        for row in rows
        if (row.case, kind, OURS) not in table
    ]
    collect(options, {"corruption": table}, tasks, "corruption")


def measure_ablation(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """Variants on cases that no shipped number is made of, at the effort budget."""
    found = networks(options, ABLATED)
    names = ["presegmentation", "pasted", *found.names(), OURS, "no-blending"]
    if "short" in names:
        names.append("no-paste")
    table = Table(options.tables / "ablation.csv", ("case", "variant"), ("label", *SCORES))
    cases = case_names(options, options.ablation_cases)
    rows = evaluate(options, options.images, options.between / "ablation", cases, (options.effort_budget,))
    plain = evaluate(
        options, options.images, options.between / "unblended", cases, (options.effort_budget,), "--blend-mm", "0"
    )
    unblended = {row.case: row for row in plain}
    tasks = []
    for row in rows:
        missing = [name for name in names if (row.case, name) not in table]
        if missing:
            tasks.append((measure.ablate, (row, unblended[row.case], missing, labels, found)))
        if "short" in names and any((row.case, name) not in table for name in measure.PROJECTIONS):
            tasks.append((measure.project, (row, labels, dict(found.folders)["short"], options.between / "finer")))
    collect(options, {"ablation": table}, tasks, "ablation")


def measure_listening(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """Networks' output as the planes of the largest budget are added one by one."""
    found = networks(options, (OURS, *LISTENING))
    table = Table(options.tables / "listening.csv", ("case", "network"), ("planes", "label", *SCORES))
    largest = max(options.budgets, key=float)
    tasks = []
    for row in clean(options):
        missing = [name for name in ("pasted", *found.names()) if (row.case, name) not in table]
        if float(row["budget"]) == float(largest) and missing:
            tasks.append((measure.listen, (row, missing, labels, found)))
    collect(options, {"listening": table}, tasks, "listening")


def measure_lines(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """The four lines with one plane and at every budget, with what they cost, for strategies that are compared at equal
    contour length; those that draw by chance draw several times. Rows of `i3deep evaluate`."""
    cases = case_names(options, options.cases)
    tables = []
    for seed in range(lines.DRAWS):
        # An evaluation is about one seed.
        out = options.between / ("lines" if seed == 0 else f"lines-{seed}")
        strategies = [name for name in options.strategies if seed == 0 or name in lines.BY_CHANCE]
        if not strategies:
            continue
        settings = ["--fewest-planes", "1", "--strategies", ",".join(strategies), "--seed", str(seed)]
        settings += ["--budgets", ",".join((ONE_PLANE, *options.budgets))]
        run_evaluate(options, options.images, out, cases, settings)
        rows = pd.read_csv(out / "results.csv").assign(seed=seed)
        tables.append(rows[rows["case"].isin(cases)][["seed", *lines.COLUMNS]])
    pd.concat(tables).to_csv(options.tables / "lines.csv", index=False, float_format="%.6g")


def measure_unsteady(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """Experts that draw wrongly, at the effort budget; rows of `i3deep evaluate`."""
    cases = case_names(options, options.cases)
    tables = []
    for expert in unsteady.EXPERTS:
        # An evaluation is about one expert.
        out = options.between / "unsteady" / expert.replace(":", "-").replace("+", "_")
        settings = ["--strategies", "greedy", "--budgets", options.effort_budget, "--expert", expert]
        run_evaluate(options, options.images, out, cases, settings)
        rows = pd.read_csv(out / "results.csv").assign(expert=expert)
        tables.append(rows[rows["case"].isin(cases)][list(unsteady.COLUMNS)])
    pd.concat(tables).to_csv(options.tables / "unsteady.csv", index=False, float_format="%.6g")


def measure_choice(options: ReportOptions, labels: tuple[int, ...]) -> None:
    """What the choice of planes is worth: strategies at small budgets, and uncertainties; rows of `i3deep evaluate`, as
    they are."""
    cases = case_names(options, options.cases)
    strategies, uncertainty = options.between / "strategies", options.between / "uncertainty"
    run_evaluate(
        options,
        options.images,
        strategies,
        cases,
        ["--strategies", ",".join(STRATEGIES), "--budgets", ",".join(SMALL_BUDGETS)],
    )
    every = ",".join(f"{samples}/{measure}" for samples in SAMPLES for measure in MEASURES)
    run_evaluate(options, options.images, uncertainty, cases, ["--no-refine", "--uncertainty", every])
    some = ",".join(
        [*(f"{SAMPLES[0]}/{measure}" for measure in MEASURES), *(f"{samples}/{MEASURES[0]}" for samples in SAMPLES[1:])]
    )
    greedy = ["--strategies", "greedy", "--budgets", options.effort_budget, "--uncertainty", some]
    run_evaluate(options, options.images, uncertainty, cases, greedy)
    for name, out in (("strategies", strategies), ("uncertainty", uncertainty)):
        rows = pd.read_csv(out / "results.csv")
        rows[rows["case"].isin(cases)][list(CHOICE_COLUMNS)].to_csv(options.tables / f"{name}.csv", index=False)


def collect(options: ReportOptions, tables: dict[str, Table], tasks: list, what: str) -> None:
    """Runs tasks and keeps their rows as they come. A table that comes first is written first: the last one says what
    is done."""
    for rows in side_by_side(tasks, options.jobs, what):
        for name, table in tables.items():
            if rows.get(name):
                table.add([row for row in rows[name] if tuple(str(row[column]) for column in table.key) not in table])
