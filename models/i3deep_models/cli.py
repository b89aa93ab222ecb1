"""`i3deep-models`: plan | train presegmentation | train refinement | pack | unpack | golden | evaluate |
export | bundle | corrupt | report | adopt | parity | bench.

Every step of a training picks up where it stopped.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from i3deep_models.guidance import Encoding
from i3deep_models.training.variants import RECIPES, Recipe
from i3deep_models.workspace import STAGES, Workspace, read_json


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status = options.run(options)
    except (ValueError, OSError, KeyError, _export_error()) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status or 0


def _export_error() -> type[Exception]:
    from i3deep_models.export import ExportError

    return ExportError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="i3deep-models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    plan = commands.add_parser("plan", help="plan and preprocess a raw dataset for both stages")
    _workspace(plan)
    plan.add_argument("--raw", type=Path, required=True, help="nnU-Net raw dataset (imagesTr, labelsTr, dataset.json)")
    plan.add_argument(
        "--split", type=Path, help="JSON with the case lists `presegmentation` and `refinement`; default: halves"
    )
    plan.add_argument("--base-features", type=int, default=16)
    plan.add_argument("--batch-size", type=int, default=4)
    plan.add_argument("--dropout", type=float, default=0.1)
    plan.add_argument(
        "--memory-gb", type=float, help="of the card that the planner has in mind; a smaller one gets a smaller patch"
    )
    plan.add_argument("--max-features", type=int, default=320, help="most features of a stage")
    plan.add_argument(
        "--patch-size",
        type=_sizes,
        metavar="Z,Y,X",
        help="voxels of a patch in place of the planner's, multiples of what the network halves",
    )
    plan.add_argument(
        "--held-out", type=int, default=30, help="refinement cases that nothing may look at before the report"
    )
    plan.add_argument("--seed", type=int, default=2022)
    plan.set_defaults(run=_plan)

    train = commands.add_parser("train", help="train a stage; run again to resume")
    stages = train.add_subparsers(required=True, metavar="STAGE")
    for stage in STAGES:
        command = stages.add_parser(stage)
        _workspace(command)
        command.add_argument("--iterations", type=int, default=1500)
        command.add_argument("--learning-rate", type=float, default=0.01)
        command.add_argument("--fold", type=int, default=0)
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--threads", type=int, default=2)
        command.add_argument(
            "--mirror-axes",
            type=_axes,
            default=(0, 1, 2),
            help="array axes [z,y,x] that scans are mirrored along, by commas, or `none`; default: 0,1,2",
        )
        if stage == "refinement":
            _encoding(command)
            command.add_argument(
                "--variant", choices=sorted(RECIPES), help="train a refinement to compare with, beside the bundle's"
            )
        command.set_defaults(run=_train, stage=stage)

    pack = commands.add_parser("pack", help="planned cases in one file, to train from on a machine with a card")
    _workspace(pack)
    pack.add_argument("-o", "--output", type=Path, required=True, help="FILE.npz and FILE.json are written")
    pack.add_argument("--steps", type=int, default=256, help="of intensity; fewer make a smaller file of noisy scans")
    pack.add_argument("--validation", type=int, default=6, help="cases of the refinement's half to try it on")
    pack.add_argument("--mirror-axes", type=_axes, default=(0, 1, 2), help="as in `train`, after nnU-Net's transpose")
    pack.set_defaults(run=_pack)

    unpack = commands.add_parser("unpack", help="weights from that machine as a folder that nnU-Net trained")
    unpack.add_argument("--pack", type=Path, required=True, help="the FILE that was packed")
    unpack.add_argument("--weights", type=Path, required=True, nargs="+", help="one file for each fold, fold 0 first")
    unpack.add_argument("--fold", help="the name of a single fold, such as `all`; default: 0, 1, 2 and so on")
    unpack.add_argument("--mirror-axes", type=_axes, help="that prediction mirrors along; default: those of training")
    unpack.add_argument("-o", "--output", type=Path, required=True)
    unpack.set_defaults(run=_unpack)

    golden = commands.add_parser("golden", help="logits of a bundle's native networks, for the Rust tests to repeat")
    golden.add_argument("bundle", type=Path)
    golden.set_defaults(run=_golden)

    evaluate = commands.add_parser("evaluate", help="Dice of the refinement's validation cases before and after")
    _workspace(evaluate)
    _encoding(evaluate)
    evaluate.add_argument("--budget", type=float, default=0.2)
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="nnU-Net trained-model folder → network folder")
    export.add_argument("-m", "--model", type=Path, required=True, help="folder <trainer>__<plans>__<configuration>")
    export.add_argument("-o", "--output", type=Path, required=True)
    export.add_argument("-f", "--folds", nargs="+")
    export.add_argument("--checkpoint", default="checkpoint_final.pth")
    export.add_argument(
        "--dropout",
        action="store_true",
        help="refuse networks whose dropout cannot be switched on for Monte-Carlo samples",
    )
    export.set_defaults(run=_export)

    bundle = commands.add_parser("bundle", help="export both stages of a workspace and write a model bundle")
    _workspace(bundle)
    _encoding(bundle)
    bundle.add_argument("-o", "--output", type=Path, required=True)
    bundle.add_argument("--name", required=True)
    bundle.add_argument("--version", default="0.1.0")
    bundle.add_argument("--task", required=True, help="what it segments, in a line")
    bundle.add_argument("--licence", required=True)
    bundle.add_argument("--training-data", required=True)
    bundle.add_argument("--budget", type=float, default=0.2)
    bundle.add_argument(
        "--blend-mm",
        type=float,
        default=0.0,
        help="labels pass over to the correction within this distance of a plane (0: not at all)",
    )
    bundle.add_argument(
        "--codes", type=Path, metavar="FILE", help="labels in coded words, as `i3deep bundle create --codes` takes them"
    )
    # The same weights are not exported to the same bytes twice, and git keeps every version of a file.
    bundle.add_argument(
        "--only", choices=STAGES, help="export this stage; leave the other one as it is in the output folder"
    )
    bundle.set_defaults(run=_bundle)

    corrupt = commands.add_parser(
        "corrupt", help="scans → scans unlike those in training, in OUT/KIND under their own names"
    )
    corrupt.add_argument("--images", type=Path, required=True, help="folder of scans in nnU-Net's naming")
    corrupt.add_argument("--out", type=Path, required=True)
    corrupt.add_argument("--kind", default="all", help="rician, bias, thick, motion, gamma, inverted, or all")
    corrupt.add_argument("--seed", type=int, default=2022)
    corrupt.add_argument("--cases", type=_names, help="only these, by commas")
    corrupt.set_defaults(run=_corrupt)

    report = commands.add_parser(
        "report", help="measure everything, write REPORT.md; run again to resume; I3DEEP_BIN names the binary"
    )
    report.add_argument(
        "-w", "--workspace", type=Path, help="the bundle's workspace, with the variants to compare with"
    )
    report.add_argument("--bundle", type=Path)
    report.add_argument("--images", type=Path, help="scans in nnU-Net's naming")
    report.add_argument("--labels", type=Path, help="their labels")
    report.add_argument("-o", "--out", type=Path, default=Path("."), help="for REPORT.md and report/ (.)")
    report.add_argument(
        "--cases", type=_names, default=["held-out"], help="names by commas; held-out (default), validation"
    )
    report.add_argument(
        "--ablation-cases", type=_names, default=["validation"], help="the same, for the ablation (validation)"
    )
    report.add_argument("--budgets", type=_names, default=["0.05", "0.1", "0.15", "0.2", "0.3", "0.4"])
    report.add_argument(
        "--strategies", type=_names, help="those that `lines` compares at equal contour length, by commas"
    )
    report.add_argument("--effort-budget", default="0.2", help="the budget that tables are about (0.2)")
    report.add_argument("--parts", type=_names, default=None, help="by commas; default: all")
    report.add_argument("--jobs", type=int, default=2, help="cases at once, one core each")
    report.add_argument("--seed", type=int, default=2022, help="of the corruptions")
    report.add_argument("--render-only", action="store_true", help="write text and plots again from the tables")
    report.set_defaults(run=_report)

    adopt = commands.add_parser(
        "adopt", help="a table of `i3deep evaluate` with another bundle into the report's tables"
    )
    adopt.add_argument("results", type=Path, help="its results.csv")
    about = adopt.add_mutually_exclusive_group(required=True)
    about.add_argument("--other", metavar="NAME", help="other scans: a section under this name")
    about.add_argument("--learned", type=int, metavar="N", help="a version that `i3deep learn` made of N cases")
    adopt.add_argument("-o", "--out", type=Path, default=Path("."), help="where REPORT.md and report/ lie (.)")
    adopt.set_defaults(run=_adopt)

    parity = commands.add_parser(
        "parity", help="compare i3deep predict with nnU-Net, voxel by voxel; I3DEEP_BIN names the binary"
    )
    parity.add_argument("only", nargs="*", help="parts of the names of configurations; default: all")
    parity.add_argument(
        "--random-only",
        action="store_true",
        help="leave out the folders that nnU-Net trains on the spot, which take minutes",
    )
    parity.add_argument("--fast", action="store_true", help="compare fast mode too")
    parity.add_argument(
        "--real", type=Path, metavar="NETWORK", help="an exported network or a bundle, instead of small random ones"
    )
    parity.add_argument("--images", type=Path, help="with --real: folder of scans in nnU-Net's naming")
    parity.add_argument("--limit", type=int, help="with --real: no more than so many scans")
    parity.set_defaults(run=_parity)

    bench = commands.add_parser(
        "bench", help="measure whole commands against nnU-Net's; I3DEEP_BIN names the binary, a release build"
    )
    bench.add_argument("cases", nargs="*", choices=("small", "large"), default=("small", "large"))
    bench.add_argument("--rounds", type=int, default=3)
    bench.set_defaults(run=_bench)
    return parser


def _workspace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-w", "--workspace", type=Path, required=True, help="folder for everything a training makes")


def _encoding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-annotated", action="store_true", help="leave out the channel that marks corrected planes")
    parser.add_argument(
        "--presegmentation", choices=("labels", "none"), default="none", help="presegmentation channels (none)"
    )


def _chosen(options: argparse.Namespace) -> Encoding:
    return Encoding(annotated=not options.no_annotated, presegmentation=options.presegmentation)


def _plan(options: argparse.Namespace) -> None:
    from i3deep_models.training.plan import PlanOptions, plan

    split = read_json(options.split) if options.split else None
    chosen = PlanOptions(
        options.base_features,
        options.batch_size,
        options.dropout,
        options.held_out,
        options.seed,
        options.memory_gb,
        options.max_features,
        options.patch_size,
    )
    plan(Workspace(options.workspace.resolve()), options.raw, split, chosen)


def _train(options: argparse.Namespace) -> None:
    from i3deep_models.training.train import TrainOptions, train

    chosen = TrainOptions(
        options.iterations,
        options.learning_rate,
        options.fold,
        options.seed,
        options.threads,
        options.mirror_axes,
    )
    if options.stage == "presegmentation":
        train(Workspace(options.workspace.resolve()), options.stage, chosen)
        return
    recipe = RECIPES[options.variant] if options.variant else Recipe(encoding=_chosen(options))
    train(Workspace(options.workspace.resolve(), options.variant or ""), options.stage, chosen, recipe)


def _pack(options: argparse.Namespace) -> None:
    from i3deep_models.training.card.pack import Packing, pack

    chosen = Packing(options.steps, options.mirror_axes, options.validation)
    pack(Workspace(options.workspace.resolve()), options.output.resolve(), chosen)


def _unpack(options: argparse.Namespace) -> None:
    from i3deep_models.training.card.unpack import Trained, unpack

    folds = [options.fold] if options.fold else [str(number) for number in range(len(options.weights))]
    if len(folds) != len(options.weights):
        raise ValueError(f"--fold names one fold, and there are {len(options.weights)} files of weights")
    weights = dict(zip(folds, options.weights, strict=True))
    unpack(options.pack.with_suffix(".json"), Trained(weights, options.output, options.mirror_axes))


def _golden(options: argparse.Namespace) -> None:
    from i3deep_models.golden import write_golden

    write_golden(options.bundle)


def _evaluate(options: argparse.Namespace) -> None:
    workspace = Workspace(options.workspace.resolve())
    workspace.activate()
    from i3deep_models.training.predict import evaluate

    print(json.dumps(evaluate(workspace, _chosen(options), options.budget)))


def _export(options: argparse.Namespace) -> None:
    Workspace(options.output.resolve() / ".nnunet").activate()
    from i3deep_models.export import export

    try:
        export(options.model, options.output, options.folds, options.checkpoint, demand_dropout=options.dropout)
    finally:
        shutil.rmtree(options.output / ".nnunet", ignore_errors=True)


def _axes(text: str) -> tuple[int, ...]:
    axes = () if text == "none" else tuple(int(axis) for axis in text.split(","))
    if not set(axes) <= {0, 1, 2}:
        raise argparse.ArgumentTypeError(f"axes are 0 (z), 1 (y) and 2 (x), not {text}")
    return axes


def _sizes(text: str) -> tuple[int, int, int]:
    sizes = [int(size) for size in text.split(",")]
    if len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"a patch has three sizes, such as 64,96,96, not {text}")
    return sizes[0], sizes[1], sizes[2]


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _corrupt(options: argparse.Namespace) -> None:
    from i3deep_models.report.corruptions import CORRUPTIONS, corrupt_folder

    kinds = list(CORRUPTIONS) if options.kind == "all" else [options.kind]
    written = corrupt_folder(options.images, options.out, kinds, options.seed, options.cases)
    print(f"{written} scans are in {options.out}")


def _report(options: argparse.Namespace) -> None:
    from i3deep_models.report.render import render
    from i3deep_models.report.run import COSTED, PARTS, ReportOptions, report

    if options.render_only:
        render(options.out)
        return
    for name in ("workspace", "bundle", "images", "labels"):
        if getattr(options, name) is None:
            raise ValueError(f"report needs --{name}, or --render-only to write the text again")
    parts = options.parts or list(PARTS)
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"there is no part '{part}'; the parts are {', '.join(PARTS)}")
    chosen = ReportOptions(
        workspace=Workspace(options.workspace.resolve()),
        bundle=options.bundle.resolve(),
        images=options.images.resolve(),
        labels=options.labels.resolve(),
        out=options.out,
        cases=options.cases,
        ablation_cases=options.ablation_cases,
        budgets=tuple(options.budgets),
        effort_budget=options.effort_budget,
        strategies=tuple(options.strategies) if options.strategies else COSTED,
        parts=tuple(parts),
        jobs=options.jobs,
        seed=options.seed,
    )
    report(chosen)


def _adopt(options: argparse.Namespace) -> None:
    from i3deep_models.report import learning, others
    from i3deep_models.report.render import render

    if options.other:
        others.adopt(options.out / "report", options.other, options.results)
    else:
        learning.adopt(options.out / "report", options.learned, options.results)
    render(options.out)


def _parity(options: argparse.Namespace) -> int:
    from i3deep_models.parity.compare import parity, real

    if not options.real:
        return parity(options.only, options.fast, trained=not options.random_only)
    if not options.images:
        raise ValueError("--real needs --images")
    return real(options.real, options.images, options.limit)


def _bench(options: argparse.Namespace) -> int:
    from i3deep_models.parity.bench import bench

    return bench(options.rounds, list(options.cases))


def _bundle(options: argparse.Namespace) -> None:
    workspace = Workspace(options.workspace.resolve())
    workspace.activate()
    from i3deep_models.bundle import orientations_of, write_bundle
    from i3deep_models.export import export
    from i3deep_models.training.predict import trained_folder

    for stage in [options.only] if options.only else STAGES:
        shutil.rmtree(options.output / stage, ignore_errors=True)
        export(trained_folder(workspace, stage), options.output / stage)
    shutil.copyfile(workspace.folder / "split.json", options.output / "split.json")
    write_bundle(
        options.output,
        options.name,
        options.version,
        options.task,
        options.licence,
        options.training_data,
        _chosen(options),
        options.budget,
        options.blend_mm,
        orientations_of(workspace.raw / workspace.dataset_name("presegmentation") / "imagesTr"),
        read_json(options.codes) if options.codes else None,
    )
