"""What an unsteady expert costs, from `unsteady.csv`: rows of `i3deep evaluate --expert`, one expert at a time.

Everybody corrects the planes that the perfect expert corrected, so what differs is the drawing.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from i3deep_models.report.lines import WORSE
from i3deep_models.report.words import average, fill, number, spread

PERFECT = "perfect"
# A wavering hand, small parts that are missed, planes that contradict each other, and all of it.
EXPERTS = (PERFECT, "jitter:1", "overlook:20", "contradict:1", "jitter:1+overlook:20+contradict:1")
LOSSES = ("dice_corrections_pasted", "dice_refined", "dice_refined_outside")
COLUMNS = (
    *("case", "expert", "budget", "planes", "effort"),
    *("dice_presegmentation", "dice_presegmentation_outside"),
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
    return fill(
        "unsteady",
        cases=frame["case"].nunique(),
        budget=frame["budget"].iloc[0],
        before=average(perfect[PRESEGMENTED]),
        before_outside=average(perfect[f"{PRESEGMENTED}_outside"]),
        worse=WORSE,
        rows=rows,
    )


@dataclass(frozen=True)
class Worse:
    """Cases of unsteady experts that end more than WORSE below something."""

    # Below the presegmentation with the planes pasted in, and below the presegmentation as it was.
    pasted: int
    presegmented: int
    cases: int


def became_worse(folder: Path) -> Worse | None:
    """None where nothing was measured."""
    file = folder / "unsteady.csv"
    if not file.is_file():
        return None
    frame = pd.read_csv(file)
    frame = frame[frame["expert"] != PERFECT]
    pasted, presegmented = (int((_fallen(frame, line) > WORSE).sum()) for line in (PASTED, PRESEGMENTED))
    return Worse(pasted, presegmented, len(frame))


PASTED = "dice_corrections_pasted"
PRESEGMENTED = "dice_presegmentation"


def _fallen(frame: pd.DataFrame, line: str) -> pd.Series:
    """How far each case is below a line."""
    return frame[line] - frame["dice_refined"]


def _row(expert: str, own: pd.DataFrame, perfect: pd.DataFrame) -> list[str]:
    loss = perfect[list(LOSSES)] - own[list(LOSSES)]
    fallen, below = _fallen(own, PASTED), _fallen(own, PRESEGMENTED)
    return [
        expert,
        spread(own[PASTED]),
        spread(own["dice_refined"]),
        average(own["dice_refined_outside"]),
        *("" if expert == PERFECT else number(loss[name].mean()) for name in LOSSES),
        str(int((fallen > WORSE).sum())),
        f"{max(float(fallen.max()), 0.0):.3f}",
        f"{int((below > 0).sum())} ({int((below > WORSE).sum())})",
    ]
