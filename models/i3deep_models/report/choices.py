"""The report's words about the choice of planes, from `strategies.csv` and `uncertainty.csv`: rows of `i3deep
evaluate`."""

from pathlib import Path

import pandas as pd

from i3deep_models.report.metrics import wilcoxon
from i3deep_models.report.words import fill, number, spread

GREEDY = "greedy"


def strategies(folder: Path) -> str:
    """Strategies at small budgets, each against greedy on the same cases."""
    file = folder / "strategies.csv"
    if not file.is_file():
        return ""
    frame = pd.read_csv(file)
    lines = []
    for budget, rows in frame.groupby("budget"):
        means = rows.groupby("strategy")["dice_refined"].mean().sort_values(ascending=False)
        for strategy in means.index:
            own = rows[rows["strategy"] == strategy]
            line = [f"{budget:.0%}", strategy, number(own["planes"].mean()), number(own["effort"].mean())]
            for column in ("dice_refined", "dice_refined_outside"):
                line += [spread(own[column]), against(rows, "strategy", strategy, GREEDY, column)]
            lines.append(line)
    head = ["budget", "strategy", "planes", "effort", "Dice refined", "p", "outside", "p"]
    return fill("strategies", cases=frame["case"].nunique(), head=head, rows=lines)


def uncertainties(folder: Path) -> str:
    """How well every uncertainty finds the presegmentation's errors, and what its planes are worth."""
    file = folder / "uncertainty.csv"
    if not file.is_file():
        return ""
    frame = pd.read_csv(file)
    found, refined = frame[frame["strategy"] == "none"], frame[frame["strategy"] == GREEDY]
    default = "folds+mirrors/entropy"
    lines = []
    for name in found.groupby("uncertainty")["auroc"].mean().sort_values(ascending=False).index:
        own, after = found[found["uncertainty"] == name], refined[refined["uncertainty"] == name]
        line = [f"`{name}`", *(f"{own[column].mean():.4f}" for column in ("auroc", "auprc", "ece"))]
        line.append(against(found, "uncertainty", name, default, "auroc"))
        line += (
            [spread(after["dice_refined"]), against(refined, "uncertainty", name, default, "dice_refined")]
            if len(after)
            else ["", ""]
        )
        lines.append(line)
    head = ["samples/measure", "AUROC of error", "AUPRC", "ECE", "p of AUROC", "Dice refined", "p"]
    budget = refined["budget"].iloc[0] if len(refined) else None
    return fill("uncertainties", cases=found["case"].nunique(), default=default, budget=budget, head=head, rows=lines)


def against(frame: pd.DataFrame, column: str, one: str, other: str, score: str) -> str:
    """Wilcoxon's p of two settings over the cases that both have; nothing for a setting against itself."""
    if one == other:
        return ""
    wide = frame[frame[column].isin([one, other])].pivot(index="case", columns=column, values=score).dropna()
    if not {one, other} <= set(wide.columns) or wide.empty:
        return ""
    p = wilcoxon(wide[one].to_numpy(), wide[other].to_numpy())
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"
