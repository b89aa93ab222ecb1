"""What an unsteady expert costs, from `unsteady.csv`: rows of `i3deep evaluate --expert`, one expert at a time.

Everybody corrects the planes that the perfect expert corrected, so what differs is the drawing.
"""

from pathlib import Path

import pandas as pd

from i3deep_models.report.words import average, fill, number, spread

PERFECT = "perfect"
# A wavering hand, small parts that are missed, planes that contradict each other, and all of it.
EXPERTS = (PERFECT, "jitter:1", "overlook:20", "contradict:1", "jitter:1+overlook:20+contradict:1")
# A case has become worse from here on.
WORSE = 0.01
LOSSES = ("dice_corrections_pasted", "dice_refined", "dice_refined_outside")
COLUMNS = (
    *("case", "expert", "budget", "planes", "effort"),
    *LOSSES,
)


def unsteady(folder: Path) -> str:
    """The section; nothing where nothing was measured."""
    file = folder / "unsteady.csv"
    if not file.is_file():
        return ""
    frame = pd.read_csv(file)
    perfect = frame[frame["expert"] == PERFECT].set_index("case")
    rows = [
        _row(expert, frame[frame["expert"] == expert].set_index("case"), perfect)
        for expert in EXPERTS
        if expert in set(frame["expert"])
    ]
    return fill("unsteady", cases=frame["case"].nunique(), budget=frame["budget"].iloc[0], worse=WORSE, rows=rows)


def became_worse(folder: Path) -> tuple[int, int] | None:
    """How many cases of unsteady experts end more than WORSE below presegmentation and pasting, and of how many; None
    where nothing was measured."""
    file = folder / "unsteady.csv"
    if not file.is_file():
        return None
    frame = pd.read_csv(file)
    frame = frame[frame["expert"] != PERFECT]
    return int((_fallen(frame) > WORSE).sum()), len(frame)


def _fallen(frame: pd.DataFrame) -> pd.Series:
    """How far each case is below presegmentation and pasting."""
    return frame["dice_corrections_pasted"] - frame["dice_refined"]


def _row(expert: str, own: pd.DataFrame, perfect: pd.DataFrame) -> list[str]:
    loss = perfect[list(LOSSES)] - own[list(LOSSES)]
    fallen = _fallen(own)
    return [
        expert,
        spread(own["dice_corrections_pasted"]),
        spread(own["dice_refined"]),
        average(own["dice_refined_outside"]),
        *("" if expert == PERFECT else number(loss[name].mean()) for name in LOSSES),
        str(int((fallen > WORSE).sum())),
        f"{max(float(fallen.max()), 0.0):.3f}",
    ]
