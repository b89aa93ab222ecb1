"""What the expert's planes are worth, and which strategy's are worth most at equal cost, from `lines.csv`: rows of
`i3deep evaluate`.

Four lines stand beside each other: presegmentation; the same with the corrected planes pasted in; the network with no
plane; the network with the planes. What the planes did lies between the last two.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from i3deep_models.report.metrics import wilcoxon
from i3deep_models.report.words import average, fill, percent, spread

LINES = ("presegmentation", "corrections_pasted", "no_plane", "refined")
MEASURES = ("dice", "dice_outside", "nsd", "hd95_mm", "missed", "invented", "accepted")
COSTS = ("planes", "effort", "contour_mm", "contour_share", "drawn_share", "voxels_changed", "seconds")
DONE = ("gain_per_plane", "harmed_far", "mended_far", "components")
GREEDY = "greedy"
# What greedy is to be ahead of where as much has been drawn.
RIVALS = ("published", "random-foreground", "equidistant-foreground", "class-stratified")
# Strategies that draw by chance are measured this often, each time with another seed; a case counts with its mean.
BY_CHANCE = ("random-foreground", "class-stratified")
DRAWS = 4
# Costs at which strategies are compared, as shares of a complete manual segmentation.
AT = (0.1, 0.2)
BOOTSTRAPS = 2000
# A case has become worse from here on.
WORSE = 0.01


def column(measure: str, line: str) -> str:
    """A measure's column in `results.csv`: `dice_outside` of `refined` is `dice_refined_outside`."""
    return f"{measure.removesuffix('_outside')}_{line}_outside" if measure.endswith("_outside") else f"{measure}_{line}"


COLUMNS = (
    *("case", "strategy", "uncertainty", "budget", "round", *COSTS, *DONE),
    *(column(measure, line) for measure, line in itertools.product(MEASURES, LINES)),
)


@dataclass(frozen=True)
class Removed:
    """What greedy removes outside its planes."""

    # Of the error of the better start, and where 95 % of bootstraps over cases lie.
    share: float
    interval: tuple[float, float]
    budget: float
    # Its mean, and in how many cases it is more than was asked for.
    effort: float
    above: int
    cases: int


def outside_removed(folder: Path, most_effort: float) -> Removed | None:
    """What greedy removes at the largest budget whose mean effort is no more than `most_effort`; None where there is
    none. A budget is a share of the planes that the presegmentation shows, rounded down, so that it buys less than its
    name says."""
    file = folder / "lines.csv"
    if not file.is_file():
        return None
    frame = pd.read_csv(file)
    by_budget = frame[frame["strategy"] == GREEDY].groupby("budget")
    within = [(budget, rows) for budget, rows in by_budget if rows["effort"].mean() <= most_effort]
    if not within:
        return None
    budget, rows = within[-1]
    drawn = np.random.default_rng(0).integers(len(rows), size=(BOOTSTRAPS, len(rows)))
    shares = [removed(rows.iloc[cases], "dice_outside") for cases in drawn]
    low, high = np.nanquantile(shares, [0.025, 0.975])
    return Removed(
        share=removed(rows, "dice_outside"),
        interval=(float(low), float(high)),
        budget=float(budget),
        effort=float(rows["effort"].mean()),
        above=int((rows["effort"] > most_effort).sum()),
        cases=len(rows),
    )


def behind_at_equal_contour(folder: Path) -> list[str] | None:
    """Rivals that greedy is not ahead of where as much contour has been drawn, or not by more than chance (p 0.05), in
    words; None where one was not measured."""
    file = folder / "lines.csv"
    frame = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["strategy"])
    if not {GREEDY, *RIVALS} <= set(frame["strategy"]):
        return None
    found = []
    for share, rival in itertools.product(AT, RIVALS):
        pairs = _pairs_at(frame, rival, share)
        difference, p = float((pairs[1] - pairs[0]).mean()), float("nan") if pairs.empty else wilcoxon(*_columns(pairs))
        if not (difference > 0 and p < 0.05):
            found.append(f"{rival} at {share:.0%} ({difference:+.4f}, p {_p(p)})")
    return found


def _pairs_at(frame: pd.DataFrame, strategy: str, share: float) -> pd.DataFrame:
    """Dice refined at a contour length, of a strategy (0) and of greedy (1), on the cases that both reach."""
    series = [
        at_cost(frame[frame["strategy"] == name], "dice_refined", "contour_share", share) for name in (strategy, GREEDY)
    ]
    return pd.concat(series, axis=1, keys=[0, 1]).dropna()


def _columns(pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return pairs[0].to_numpy(), pairs[1].to_numpy()


def lines(folder: Path) -> str:
    """The section."""
    file = folder / "lines.csv"
    if not file.is_file():
        return fill("missing", heading="What the planes are worth", part="lines")
    frame = pd.read_csv(file)
    own = frame[frame["strategy"] == GREEDY]
    budgets = [(budget, rows) for budget, rows in own.groupby("budget")]
    return fill(
        "lines",
        cases=own["case"].nunique(),
        draws=frame["seed"].nunique() if "seed" in frame else 1,
        worth=[[f"{budget:.0%}", *_worth(rows)] for budget, rows in budgets],
        costs=[[f"{budget:.0%}", *_costs(rows)] for budget, rows in budgets],
        slices=[
            [f"{budget:.0%}", *(percent(rows[column("accepted", line)].mean()) for line in LINES)]
            for budget, rows in budgets
        ],
        below=[[f"{budget:.0%}", *_below(rows)] for budget, rows in budgets],
        worse=WORSE,
        strategies=at_equal_contour(frame),
        areas=_areas(frame),
    )


def _worth(rows: pd.DataFrame) -> list[str]:
    cells = [spread(rows[column("dice", line)]) for line in LINES]
    cells += [average(rows[column("dice_outside", line)]) for line in LINES if line != "corrections_pasted"]
    return [
        *cells,
        percent(removed(rows, "dice")),
        percent(removed(rows, "dice_outside")),
        f"{rows['gain_per_plane'].mean():.4f}",
    ]


def _below(rows: pd.DataFrame) -> list[str]:
    before, pasted = (rows[column("dice", line)] - rows["dice_refined"] for line in LINES[:2])
    counts = [before > 0, before > WORSE, pasted > 0, pasted > WORSE]
    return [*(str(int(count.sum())) for count in counts), f"{max(float(pasted.max()), 0.0):.3f}"]


def _costs(rows: pd.DataFrame) -> list[str]:
    shares = [percent(rows[cost].mean()) for cost in ("effort", "contour_share", "drawn_share")]
    counts = [f"{rows[name].mean():.0f}" for name in ("voxels_changed", "seconds", "harmed_far", "mended_far")]
    return [f"{rows['planes'].mean():.1f}", shares[0], f"{rows['contour_mm'].mean():.0f}", *shares[1:], *counts]


def removed(rows: pd.DataFrame, measure: str) -> float:
    """Share of the mean error that is gone, of the better of presegmentation and network with no plane; NaN without
    cases."""
    means = rows[[column(measure, line) for line in ("presegmentation", "no_plane", "refined")]].dropna().mean()
    before, after = means.iloc[:2].max(), means.iloc[2]
    return float(1 - (1 - after) / (1 - before)) if before < 1 else float("nan")


def at_cost(rows: pd.DataFrame, score: str, cost: str, share: float) -> pd.Series:
    """A score by case at a cost, in a straight line between budgets and from the network with no plane on; none where a
    case's budgets end before."""
    return by_case(rows, score, cost, lambda costs, scores: np.interp(share, costs, scores, right=np.nan))


def area(rows: pd.DataFrame, score: str, cost: str, until: float = AT[-1]) -> pd.Series:
    """Mean score by case from no cost to `until`: the area below the curve by its width."""

    def of(costs: np.ndarray, scores: np.ndarray) -> float:
        if costs[-1] < until:
            return float("nan")
        inside = costs < until
        x = np.append(costs[inside], until)
        return float(np.trapezoid(np.append(scores[inside], np.interp(until, costs, scores)), x) / until)

    return by_case(rows, score, cost, of)


def by_case(rows: pd.DataFrame, score: str, cost: str, value) -> pd.Series:
    """What `value` makes of each case's costs and scores, by ascending cost, from the network with no plane on; the
    mean over the seeds that reach a value."""
    start = "nsd_no_plane" if score.startswith("nsd") else "dice_no_plane"
    values = {}
    keys = [key for key in ("case", "seed") if key in rows]
    for drawn, own in rows.groupby(keys):
        # Of budgets that cost the same the largest counts.
        points = own.sort_values("budget").drop_duplicates(cost, keep="last").sort_values(cost)
        costs = np.concatenate([[0.0], points[cost].to_numpy()])
        values[drawn] = value(costs, np.concatenate([[own[start].iloc[0]], points[score].to_numpy()]))
    index = pd.MultiIndex.from_tuples(list(values), names=keys)
    return pd.Series(list(values.values()), index, dtype=float).groupby("case").mean()


def at_equal_contour(frame: pd.DataFrame) -> list[list[str]]:
    """Rows of every strategy at the contour lengths `AT`, the best first, against greedy; none where there is nothing
    to compare."""
    if frame["strategy"].nunique() < 2:
        return []
    table = []
    for share in AT:
        by_strategy = {
            name: at_cost(rows, "dice_refined", "contour_share", share) for name, rows in frame.groupby("strategy")
        }
        for name, scores in sorted(by_strategy.items(), key=lambda item: -item[1].mean()):
            pairs = _pairs_at(frame, name, share)
            own = name == GREEDY
            p = "" if own or pairs.empty else _p(wilcoxon(*_columns(pairs)))
            difference = "" if own else f"{(pairs[0] - pairs[1]).mean():+.4f}"
            table.append([f"{share:.0%}", name, spread(scores), difference, str(len(pairs)), p])
    return table


def _areas(frame: pd.DataFrame) -> list[list[str]]:
    scores = ("dice_refined", "dice_refined_outside", "nsd_refined")
    return [
        [name, *(spread(area(rows, score, cost)) for cost in ("effort", "contour_share") for score in scores)]
        for name, rows in frame.groupby("strategy")
    ]


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"
