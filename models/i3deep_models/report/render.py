"""REPORT.md and its plots, from the tables in `report/` alone: no number in the text comes from anywhere else, no
verdict is written by hand."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from i3deep_models.report import choices, plots
from i3deep_models.report.learning import learning
from i3deep_models.report.lines import behind_at_equal_contour, lines, outside_removed
from i3deep_models.report.measure import OURS, SCORES
from i3deep_models.report.metrics import wilcoxon
from i3deep_models.report.others import others
from i3deep_models.report.unsteady import WORSE, became_worse, unsteady
from i3deep_models.report.words import fill, number, percent, spread
from i3deep_models.workspace import read_json

BEFORE = "presegmentation"
METHODS = (
    BEFORE,
    "pasted",
    "interpolation",
    "watershed",
    "random walker",
    "graph cut",
    "pnet",
    "published",
    "published, pasted",
    OURS,
)
KINDS = {
    "clean": "as it is",
    "rician": "Rician noise, 12 %",
    "bias": "bias field",
    "thick": "4 mm slices",
    "motion": "motion",
    "gamma": "gamma",
    "inverted": "inverted contrast",
}
VARIANTS = {
    BEFORE: "presegmentation",
    "pasted": "presegmentation with the planes pasted in",
    "short": "ours, short schedule",
    "no-annotated": "without the annotated channel",
    "with-presegmentation": "with presegmentation channels",
    "random-planes": "trained with random planes only",
    "no-paste": "without pasting",
    "finer": "on a grid 1.25 times as fine, without pasting",
    "finer, planes as labels": "the same, planes resampled like any labels",
    OURS: "ours, as shipped",
    "no-blending": "the same without blending",
}
# What a variant is compared with, where that is not `short`.
BASES = {"finer, planes as labels": "finer", "no-blending": OURS}
# These are compared with nothing.
UNCOMPARED = (BEFORE, "pasted", "short", "finer", OURS)
# The aims.
EFFORT, REMOVED, REMOVED_OUTSIDE, REMOVED_BY_PLANES, BELOW_ONE_IN, CAME_BACK = 0.20, 0.45, 0.25, 0.25, 30, 0.5


@dataclass(frozen=True)
class Tables:
    """The CSV files as data frames; empty where nothing was measured. Scores of a case are means over its labels unless
    a table says per label."""

    folder: Path
    settings: dict
    methods: pd.DataFrame
    distance: pd.DataFrame
    corruption: pd.DataFrame
    ablation: pd.DataFrame
    listening: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "Tables":
        """Reads what is there."""
        names = ("methods", "distance", "corruption", "ablation", "listening")
        frames = {
            name: pd.read_csv(folder / f"{name}.csv") if (folder / f"{name}.csv").is_file() else pd.DataFrame()
            for name in names
        }
        # Planes belong to a case and a budget, whatever the method.
        planes = folder / "planes.csv"
        if planes.is_file() and not frames["methods"].empty:
            frames["methods"] = frames["methods"].merge(pd.read_csv(planes), on=["case", "budget"])
        if not (folder / "settings.json").is_file():
            raise ValueError(f"there are no tables in {folder}; run `i3deep-models report` without --render-only first")
        return cls(folder, read_json(folder / "settings.json"), **frames)

    @property
    def budget(self) -> float:
        """The budget that the tables are about."""
        return float(self.settings["effort_budget"])

    def older(self, part: str) -> str | None:
        """The version that a part's table was measured with, if it was not measured anew: `older` in the settings."""
        return self.settings.get("older", {}).get(part)

    def dated(self, part: str, section: str) -> str:
        """A section that says below its heading if it is of an older version."""
        version = self.older(part)
        head, _, rest = section.partition("\n\n")
        return (
            section if version is None else f"{head}\n\n**Measured with version {version}, not anew since.**\n\n{rest}"
        )

    def label_name(self, label: int) -> str:
        """As the bundle calls it."""
        return self.settings["labels"][str(label)]


@dataclass(frozen=True)
class Aim:
    """Something wanted, and what was measured; `met` is None where nothing was."""

    wanted: str
    measured: str
    met: bool | None

    def of(self, version: str | None) -> "Aim":
        """The same, with the version that it was measured with if that is an older one."""
        return self if version is None or self.met is None else replace(self, measured=f"{self.measured} ({version})")


def render(out: Path) -> None:
    """Writes OUT/REPORT.md and OUT/report/*.svg."""
    tables = Tables.read(out / "report")
    by_part = {
        "methods": comparison_aims(tables),
        "lines": plane_aims(tables),
        "unsteady": [hand_aim(tables)],
        "corruption": [corruption_aim(tables)],
    }
    aims = [aim.of(tables.older(part)) for part, aims in by_part.items() for aim in aims]
    planes = "\n\n".join(
        [tables.dated("lines", lines(tables.folder)), tables.dated("unsteady", unsteady(tables.folder))]
    )
    measured = [
        tables.dated("methods", comparison(tables)),
        tables.dated("methods", curves(tables)),
        tables.dated("corruption", corruptions(tables)),
        ablations(tables),
        tables.dated("methods", distances(tables)),
        listening(tables),
    ]
    written = [fragment(tables, "tried.md", "What was tried"), fragment(tables, "training.md", "Training")]
    chosen = [choices.strategies(tables.folder), choices.uncertainties(tables.folder)]
    elsewhere = [others(tables.folder), learning(tables.folder)]
    sections = [introduction(tables), verdicts(aims), planes, *measured, *chosen, *elsewhere, *written]
    (out / "REPORT.md").write_text("\n\n".join(section.strip() for section in sections if section) + "\n")
    print(f"{out / 'REPORT.md'} is written", flush=True)


def case_means(frame: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Scores by case and keys, means over the labels that can be scored."""
    return frame.groupby(["case", *keys], as_index=False)[list(SCORES)].mean()


def paired(frame: pd.DataFrame, column: str, first: str, second: str, score: str) -> tuple[np.ndarray, np.ndarray]:
    """A score of two methods (values of a column), on the cases that have both."""
    wide = frame[frame[column].isin([first, second])].pivot(index="case", columns=column, values=score)
    if not {first, second} <= set(wide.columns):
        return np.array([]), np.array([])
    wide = wide.dropna()
    return wide[first].to_numpy(), wide[second].to_numpy()


def removed(frame: pd.DataFrame, method: str, score: str) -> float:
    """Share of the presegmentation's mean error (1 − score) that a method removes; NaN without cases."""
    before, after = paired(frame, "method", BEFORE, method, score) if method != BEFORE else (np.array([]), np.array([]))
    return float(1 - (1 - after).mean() / (1 - before).mean()) if before.size and before.mean() < 1 else float("nan")


def at_effort(tables: Tables) -> pd.DataFrame:
    """The rows of `methods` at the effort budget."""
    return tables.methods[np.isclose(tables.methods["budget"], tables.budget)]


def effort(frame: pd.DataFrame) -> pd.Series:
    """Effort by case."""
    return frame.groupby("case")["effort"].first()


def introduction(tables: Tables) -> str:
    """What this is about."""
    return fill("introduction", bundle=tables.settings["bundle"], version=tables.settings["version"])


def verdicts(aims: list[Aim]) -> str:
    """Aims met and missed."""
    words = {True: "**met**", False: "**missed**", None: "not measured"}
    rows = [[aim.wanted, aim.measured, words[aim.met]] for aim in aims]
    met, missed, unmeasured = (sum(aim.met is value for aim in aims) for value in (True, False, None))
    return fill("aims", rows=rows, met=met, missed=missed, unmeasured=unmeasured)


def comparison_aims(tables: Tables) -> list[Aim]:
    """The aims about the report's own cases."""
    wanted = [
        f"At an effort of at most {EFFORT:.0%}, at least {REMOVED:.0%} of the presegmentation's Dice error removed",
        f"and at least {REMOVED_OUTSIDE:.0%} of it outside the corrected planes",
        "Ahead of every other method (mean Dice) at every budget",
        f"At that budget below the presegmentation on no more than 1 case in {BELOW_ONE_IN}",
    ]
    if tables.methods.empty or OURS not in set(at_effort(tables)["method"]):
        return [Aim(text, "", None) for text in wanted]
    rows = at_effort(tables)
    frame = case_means(rows, "method")
    spent = float(effort(rows).mean())
    whole, outside = removed(frame, OURS, "dice"), removed(frame, OURS, "dice_outside")
    before, after = paired(frame, "method", BEFORE, OURS, "dice")
    below = int((after < before).sum())
    ahead = _ahead(tables)
    return [
        Aim(wanted[0], f"{whole:.1%} at an effort of {spent:.1%}", whole >= REMOVED and spent <= EFFORT),
        Aim(wanted[1], f"{outside:.1%}", outside >= REMOVED_OUTSIDE and spent <= EFFORT),
        Aim(wanted[2], *ahead),
        Aim(wanted[3], f"{below} of {len(before)}", below <= len(before) / BELOW_ONE_IN),
    ]


def _ahead(tables: Tables) -> tuple[str, bool | None]:
    """Where ours is not ahead, in words; with methods that were not measured it cannot be ahead of all."""
    behind = []
    for budget, rows in tables.methods.groupby("budget"):
        frame = case_means(rows, "method")
        for method in [m for m in METHODS if m in set(frame["method"]) and m != OURS]:
            theirs, ours = paired(frame, "method", method, OURS, "dice")
            if theirs.size and theirs.mean() >= ours.mean():
                behind.append(f"{title(method)} at {budget:.0%} ({theirs.mean():.3f} against {ours.mean():.3f})")
    missing = [title(method) for method in METHODS if method not in set(tables.methods["method"])]
    without = f"; not measured: {', '.join(missing)}" if missing else ""
    met = False if behind else None if missing else True
    budgets = ", ".join(f"{budget:.0%}" for budget in sorted(tables.methods["budget"].unique()))
    words = "behind " + "; ".join(behind) if behind else f"ahead of all that were measured, at {budgets}"
    return words + _uncorrected(tables) + without, met


def _uncorrected(tables: Tables) -> str:
    """Who is ahead of ours before anyone corrects; that is no budget, but belongs beside them."""
    means = without_planes(tables).groupby("method")["dice"].mean()
    # Without a plane there is nothing to paste.
    names = [m for m in METHODS if m in means.index and "pasted" not in m] if OURS in means.index else []
    ahead = [f"{title(m)} ({means[m]:.3f} against {means[OURS]:.3f})" for m in names if means[m] > means[OURS]]
    words = f"; with no plane at all behind {', '.join(ahead)}" if ahead else ""
    return words + ("; published i3Deep with no plane: not measured" if "published" not in means.index else "")


def plane_aims(tables: Tables) -> list[Aim]:
    """The aims about what the planes themselves add, and what they cost."""
    worth = Aim(
        f"At an effort of at most {EFFORT:.0%}, at least {REMOVED_BY_PLANES:.0%} of the error outside the planes gone, "
        "of the better of presegmentation and network with no plane",
        "",
        None,
    )
    if found := outside_removed(tables.folder, EFFORT):
        low, high = found.interval
        words = (
            f"{found.share:.1%} (95 % of bootstraps: {low:.0%} to {high:.0%}) at a budget of {found.budget:.0%}, an "
        )
        words += f"effort of {found.effort:.1%}; above {EFFORT:.0%} in {found.above} of {found.cases} cases"
        worth = Aim(worth.wanted, words, found.share >= REMOVED_BY_PLANES and found.effort <= EFFORT)
    cost = Aim("At equal contour length greedy ahead of every other strategy, at 10 % and 20 %", "", None)
    behind = behind_at_equal_contour(tables.folder)
    if behind is not None:
        words = f"not clearly ahead of {'; '.join(behind)}" if behind else "ahead of all, p < 0.05 each"
        cost = Aim(cost.wanted, words, not behind)
    return [worth, cost]


def hand_aim(tables: Tables) -> Aim:
    """The aim about experts whose hand is unsteady."""
    wanted = f"With an unsteady hand no case more than {WORSE} below the presegmentation with the planes pasted in"
    worse = became_worse(tables.folder)
    if worse is None:
        return Aim(wanted, "", None)
    words = (
        f"{worse.pasted} of {worse.cases}; below the presegmentation as it was {worse.presegmented}, as planes stay "
    )
    return Aim(wanted, words + "as they are drawn", worse.pasted == 0)


def corruption_aim(tables: Tables) -> Aim:
    """The aim about scans unlike those in training."""
    wanted = f"Under each corruption, {CAME_BACK:.0%} of the lost Dice comes back"
    if tables.corruption.empty:
        return Aim(wanted, "", None)
    lost = lost_and_found(tables)
    counted = lost[lost["lost"] > 0]
    if counted.empty:
        return Aim(wanted, "no corruption lost any Dice", None)
    pooled = float(counted["back"].sum() / counted["lost"].sum())
    half = int((counted["back"] >= CAME_BACK * counted["lost"]).sum())
    absent = [name for kind, name in KINDS.items() if kind != "clean" and kind not in lost.index]
    measured = f"{pooled:.0%} of all that was lost; at least {CAME_BACK:.0%} under {half} of the {len(counted)} "
    measured += "corruptions that cost any"
    measured += f"; not measured: {', '.join(absent)}" if absent else ""
    met = half == len(counted)
    return Aim(wanted, measured, None if met and absent else met)


def comparison(tables: Tables) -> str:
    """Every method at the effort budget: means over labels, then each label."""
    if tables.methods.empty:
        return missing("Every method on the same planes", "methods")
    rows = at_effort(tables)
    plots.boxes(
        tables.folder / "cases.svg", case_means(rows, "method"), [m for m in METHODS if m in set(rows["method"])], title
    )
    spent = effort(rows)
    return fill(
        "comparison",
        cases=spent.size,
        budget=tables.budget,
        planes=rows.groupby("case")["planes"].first().mean(),
        effort=spent,
        most=EFFORT,
        above=int((spent > EFFORT).sum()),
        together=comparison_table(rows, with_errors=True),
        alone=alone_rows(tables),
        by_label=[
            (tables.label_name(int(label)), comparison_table(own, with_errors=False))
            for label, own in rows.groupby("label")
        ],
    )


def alone_rows(tables: Tables) -> list[list[str]]:
    """What is left for the planes to do: networks with no plane beside the same with planes, on the same cases; Dice
    everywhere."""
    with_planes = case_means(at_effort(tables), "method")
    before = without_planes(tables)
    rows = []
    for method in (OURS, "published, pasted"):
        alone = before[before["method"] == method]
        pasted, after = (with_planes[with_planes["method"] == name]["dice"] for name in ("pasted", method))
        if alone.empty or after.empty:
            continue
        start = before[before["method"] == BEFORE]["dice"]
        left = 1 - max(start.mean(), alone["dice"].mean())
        share = percent(1 - (1 - after.mean()) / left) if left > 0 else ""
        rows.append([title(method), str(len(after)), *map(spread, (start, pasted, alone["dice"], after)), share])
    return rows


def comparison_table(rows: pd.DataFrame, with_errors: bool) -> tuple[list[str], list[list[str]]]:
    """Head and rows, one a method."""
    frame = case_means(rows, "method")
    head = ["method", "cases", "Dice", "median", "p", "NSD", "median", "p", "outside"]
    head += ["error removed", "removed outside", "cases below presegmentation"] if with_errors else []
    lines = []
    for method in [m for m in METHODS if m in set(frame["method"])]:
        own = frame[frame["method"] == method]
        line = [title(method), str(len(own))]
        for score in ("dice", "nsd"):
            line += [
                spread(own[score]),
                f"{own[score].median():.3f}",
                probability(frame, "method", method, OURS, score),
            ]
        line.append(spread(own["dice_outside"]))
        if with_errors:
            before, after = (
                paired(frame, "method", BEFORE, method, "dice") if method != BEFORE else (np.array([]), np.array([]))
            )
            shares = [removed(frame, method, score) for score in ("dice", "dice_outside")]
            line += [percent(share) for share in shares] + [str(int((after < before).sum())) if before.size else ""]
        lines.append([f"**{cell}**" if method == OURS and cell else cell for cell in line])
    return head, lines


def curves(tables: Tables) -> str:
    """Every method over budgets."""
    if tables.methods.empty:
        return ""
    frame = pd.concat([without_planes(tables), case_means(tables.methods, "budget", "method")])
    spent = tables.methods.groupby(["budget", "case"])["effort"].first().groupby("budget").mean()
    spent.loc[0.0] = 0.0
    present = [m for m in METHODS if m in set(frame["method"])]
    over_budgets = []
    for score, name in (("dice", "Dice"), ("dice_outside", "Dice outside the planes"), ("nsd", "NSD")):
        wide = frame.pivot_table(index="method", columns="budget", values=score)
        lines = [[title(m), *(number(wide.loc[m, budget]) for budget in wide.columns)] for m in present]
        over_budgets.append(([name, *(f"{b:.0%} (effort {spent[b]:.1%})" for b in wide.columns)], lines))
    plots.curves(tables.folder / "budgets.svg", frame, spent, present, title)
    begins = set(frame.loc[frame["budget"] == 0.0, "method"])
    return fill("curves", tables=over_budgets, alone=[title(m) for m in (OURS, "published") if m in begins])


def without_planes(tables: Tables) -> pd.DataFrame:
    """The rows of a budget of nothing: the presegmentation, and networks without a plane where they were measured on
    the same cases."""
    before = case_means(at_effort(tables), "method")
    before = before[before["method"] == BEFORE]
    start = [before.assign(method=method) for method in (BEFORE, "pasted")]
    if not tables.listening.empty:
        alone = case_means(tables.listening[tables.listening["planes"] == 0], "network").rename(
            columns={"network": "method"}
        )
        for method, network in ((OURS, OURS), ("published", "published"), ("published, pasted", "published")):
            own = alone[alone["method"] == network]
            if set(own["case"]) == set(before["case"]):
                start.append(own.assign(method=method))
    elif (file := tables.folder / "lines.csv").is_file():
        alone = pd.read_csv(file).drop_duplicates("case")[["case", "dice_no_plane", "nsd_no_plane"]]
        if set(alone["case"]) == set(before["case"]):
            names = {"dice_no_plane": "dice", "nsd_no_plane": "nsd"}
            start.append(alone.rename(columns=names).assign(method=OURS))
    # Without planes everything is outside them.
    return pd.concat(start).assign(budget=0.0, dice_outside=lambda rows: rows["dice"])


def lost_and_found(tables: Tables) -> pd.DataFrame:
    """By kind of corruption: Dice clean, before, pasted, ours, ours on clean scans; what was lost and what came back.
    Means over the same cases."""
    frame = case_means(tables.corruption, "kind", "method")
    wide = frame.pivot(index="case", columns=["kind", "method"], values="dice")
    lines = {}
    for kind in [k for k in KINDS if k != "clean" and (k, OURS) in wide.columns and ("clean", OURS) in wide.columns]:
        chosen = wide[[("clean", BEFORE), ("clean", OURS), (kind, BEFORE), (kind, "pasted"), (kind, OURS)]].dropna()
        clean, clean_ours, before, pasted, after = chosen.mean()
        lines[kind] = {
            "cases": len(chosen),
            "clean": clean,
            "clean_ours": clean_ours,
            "before": before,
            "pasted": pasted,
            "after": after,
        }
        lines[kind] |= {"lost": clean - before, "back": after - before}
    return pd.DataFrame.from_dict(lines, orient="index")


def corruptions(tables: Tables) -> str:
    """Scans unlike those in training."""
    if tables.corruption.empty:
        return missing("Scans unlike those in training", "corruption")
    lost = lost_and_found(tables)
    head = [
        "corruption",
        "cases",
        "clean presegmentation",
        "corrupted presegmentation",
        "planes pasted",
        "corrupted, ours",
        "clean, ours",
    ]
    head += ["Dice lost", "came back", "share"]
    lines = []
    for kind, row in lost.iterrows():
        dice = [number(row[name]) for name in ("clean", "before", "pasted", "after", "clean_ours", "lost", "back")]
        lines.append(
            [KINDS[kind], str(int(row["cases"])), *dice, percent(row["back"] / row["lost"]) if row["lost"] > 0 else ""]
        )
    spent = tables.corruption.groupby(["kind", "case"])["effort"].first().groupby("kind").mean()
    efforts = ", ".join(f"{KINDS[kind]} {spent[kind]:.1%}" for kind in KINDS if kind in spent.index)
    plots.corruptions(tables.folder / "corruptions.svg", lost, KINDS)
    return fill("corruptions", seed=tables.settings["seed"], efforts=efforts, head=head, rows=lines)


def ablations(tables: Tables) -> str:
    """One change at a time."""
    if tables.ablation.empty:
        return missing("One change at a time", "ablation")
    frame = case_means(tables.ablation, "variant")
    present = [v for v in VARIANTS if v in set(frame["variant"])]
    head = ["variant", "cases", "Dice", "change", "p", "outside", "change", "p", "NSD"]
    lines = []
    for variant in present:
        own = frame[frame["variant"] == variant]
        line = [VARIANTS[variant], str(len(own))]
        for score in ("dice", "dice_outside"):
            compared = variant not in ("short", "finer")
            against = BASES.get(variant, "short")
            base, changed = (
                paired(frame, "variant", against, variant, score) if compared else (np.array([]), np.array([]))
            )
            difference = f"{changed.mean() - base.mean():+.4f}" if base.size else ""
            line += [
                spread(own[score]),
                difference,
                probability(frame, "variant", variant, against, score) if compared else "",
            ]
        lines.append([*line, spread(own["nsd"])])
    if plotted := "short" in present:
        plots.ablations(
            tables.folder / "ablation.svg",
            frame,
            [v for v in present if v not in UNCOMPARED and v not in BASES],
            VARIANTS,
        )
    cases = frame["case"].nunique()
    return fill(
        "ablations",
        cases=cases,
        budget=tables.budget,
        head=head,
        rows=lines,
        verdicts=_ablation_words(frame),
        plotted=plotted,
    )


def _ablation_words(frame: pd.DataFrame) -> list[str]:
    """Per part, whether it helps: p below 0.05, outside the planes; for pasting, everywhere. A variant is without the
    part, or with one more."""
    words = []
    for variant, part in {
        "no-annotated": "The annotated channel",
        "with-presegmentation": "Presegmentation channels",
        "random-planes": "Simulation as in use",
        "finer, planes as labels": "Plane-preserving projection",
        "no-paste": "Pasting",
        "no-blending": "Blending",
    }.items():
        score, where = (
            ("dice", "over the whole volume") if variant == "no-paste" else ("dice_outside", "outside the planes")
        )
        changed, base = paired(frame, "variant", variant, BASES.get(variant, "short"), score)
        if not base.size:
            continue
        without, full = (base, changed) if variant == "with-presegmentation" else (changed, base)
        gain, p = float((full - without).mean()), wilcoxon(full, without)
        verbs = ("change nothing", "make no clear difference", "help", "harm") if part.endswith("s") else ()
        verbs = verbs or ("changes nothing", "makes no clear difference", "helps", "harms")
        verdict = verbs[0] if (full == without).all() else verbs[1] if p >= 0.05 else verbs[2] if gain > 0 else verbs[3]
        better = int((full > without).sum())
        words.append(
            f"- {part} {verdict}: {gain:+.4f} Dice {where} (p {p:.2g}, better in {better} of {len(full)} cases)."
        )
    return words


def distances(tables: Tables) -> str:
    """What is gained how far from a plane."""
    if tables.distance.empty:
        return missing("How far a plane reaches", "methods")
    # Budgets that bought the same planes have rows of their own: a case counts once, with those of the effort budget.
    chosen = tables.distance[np.isclose(tables.distance["budget"], tables.budget)]
    shells = chosen.groupby(["method", "up_to_mm"], as_index=False)[["voxels", "wrong"]].sum()
    wrong = shells.pivot(index="up_to_mm", columns="method", values="wrong")
    voxels = shells.pivot(index="up_to_mm", columns="method", values="voxels")
    present = [m for m in METHODS if m in wrong.columns and m != BEFORE]
    bounds = list(wrong.index)
    names = ["in the planes"]
    names += [
        f"{low:g} to {high:g} mm" if np.isfinite(high) else f"beyond {low:g} mm"
        for low, high in itertools.pairwise(bounds)
    ]
    gains = pd.DataFrame({m: 1 - wrong[m] / wrong[BEFORE].where(wrong[BEFORE] > 0) for m in present})
    lines = [
        [
            name,
            str(int(voxels.loc[at, BEFORE])),
            str(int(wrong.loc[at, BEFORE])),
            *(percent(gains.loc[at, m]) for m in present),
        ]
        for name, at in zip(names, bounds, strict=True)
    ]
    plots.distances(tables.folder / "distance.svg", gains, names, title)
    head = ["distance", "foreground", "wrong before", *map(title, present)]
    return fill("distances", budget=tables.budget, head=head, rows=lines)


def listening(tables: Tables) -> str:
    """Whether the network listens: its output as planes are added one by one."""
    if tables.listening.empty:
        return missing("As planes are added one by one", "listening")
    frame = case_means(tables.listening, "network", "planes")
    last = frame.groupby(["case"])["planes"].max()
    # As far as four in five cases go, and these cases alone, so that every point is about the same cases.
    steps = int(last.quantile(0.2, interpolation="lower"))
    kept = frame[frame["case"].isin(last[last >= steps].index) & (frame["planes"] <= steps)]
    networks = [n for n in ("pasted", "published", OURS) if n in set(kept["network"])]
    one_by_one = []
    for score, name in (("dice", "Dice"), ("dice_outside", "Dice outside all planes")):
        wide = kept.pivot_table(index="network", columns="planes", values=score)
        one_by_one.append(
            ([name, *map(str, wide.columns)], [[title(n), *(number(v) for v in wide.loc[n])] for n in networks])
        )
    plots.listening(tables.folder / "listening.svg", kept, networks, title)
    return fill(
        "listening", cases=kept["case"].nunique(), steps=steps, tables=one_by_one, apart=_apart(tables, frame, last)
    )


def _apart(tables: Tables, frame: pd.DataFrame, last: pd.Series) -> float | None:
    """How much Dice the bundle's refinement differs from the workspace's at most, where both had all planes."""
    if tables.methods.empty:
        return None
    here = frame[(frame["network"] == OURS) & (frame["planes"] == frame["case"].map(last))].set_index("case")["dice"]
    largest = tables.methods[tables.methods["budget"] == tables.methods["budget"].max()]
    there = case_means(largest[largest["method"] == OURS], "method").set_index("case")["dice"]
    both = pd.concat([here, there], axis=1, keys=["here", "there"]).dropna()
    return None if both.empty else float((both["here"] - both["there"]).abs().max())


def fragment(tables: Tables, name: str, heading: str) -> str:
    """A text that was written by hand, as it is."""
    file = tables.folder / name
    return fill("fragment", heading=heading, text=file.read_text().strip()) if file.is_file() else ""


def missing(heading: str, part: str) -> str:
    """A section without data."""
    return fill("missing", heading=heading, part=part)


def title(name: str) -> str:
    """A method's name in the text."""
    names = {"pasted": "presegmentation, planes pasted", "pnet": "P-Net", "published": "published i3Deep", OURS: "ours"}
    names |= {"published, pasted": "published i3Deep, planes pasted"}
    return names.get(name, name)


def probability(frame: pd.DataFrame, column: str, one: str, other: str, score: str) -> str:
    """Wilcoxon's p of two methods; nothing for a method against itself."""
    if one == other:
        return ""
    first, second = paired(frame, column, one, other, score)
    if not first.size:
        return ""
    p = wilcoxon(first, second)
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"
