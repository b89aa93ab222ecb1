"""Whether a case needs less of the expert once the bundle has learned from those before it, from `learning.csv`: rows
of `i3deep evaluate` with versions of a bundle that `i3deep learn` made, each on cases that it has not learned from.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from i3deep_models.report.lines import by_case
from i3deep_models.report.metrics import wilcoxon
from i3deep_models.report.words import fill, percent, spread

# What a case is to reach.
AIM = 0.9
COLUMNS = ("case", "budget", "planes", "effort", "dice_presegmentation", "dice_no_plane", "dice_refined")


def adopt(folder: Path, learned: int, results: Path) -> None:
    """Takes the `results.csv` of a version that has learned from so many cases into the table."""
    file = folder / "learning.csv"
    rows = pd.read_csv(results)[list(COLUMNS)].assign(learned=learned)
    before = pd.read_csv(file) if file.is_file() else rows.iloc[:0]
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat([before[before["learned"] != learned], rows]).to_csv(file, index=False, float_format="%.6g")


def learning(folder: Path) -> str:
    """The section; nothing where nothing was measured."""
    file = folder / "learning.csv"
    if not file.is_file():
        return ""
    frame = pd.read_csv(file)
    words = folder / "learning.md"
    first = frame[frame["learned"] == frame["learned"].min()]
    return fill(
        "learning",
        text=words.read_text().strip() if words.is_file() else "",
        aim=AIM,
        rows=[_row(int(learned), rows, first) for learned, rows in frame.groupby("learned")],
    )


def effort_to(rows: pd.DataFrame, aim: float = AIM) -> pd.Series:
    """By case, the effort at which the refined Dice first reaches the aim, in a straight line between budgets and from
    the network with no plane on; NaN where the largest budget does not."""
    return by_case(rows, "dice_refined", "effort", lambda effort, dice: _crossing(effort, dice, aim))


def _crossing(effort: np.ndarray, dice: np.ndarray, aim: float) -> float:
    reached = np.flatnonzero(dice >= aim)
    if not reached.size:
        return float("nan")
    at = reached[0]
    return float(np.interp(aim, dice[at - 1 : at + 1], effort[at - 1 : at + 1])) if at else 0.0


def _row(learned: int, rows: pd.DataFrame, first: pd.DataFrame) -> list[str]:
    same = first[first["case"].isin(rows["case"])]
    # Who does not get there needs the whole scan drawn.
    now, before = (effort_to(own).fillna(1.0).sort_index() for own in (rows, same))
    is_first = rows["learned"].iloc[0] == first["learned"].iloc[0]
    return [
        str(learned),
        str(rows["case"].nunique()),
        spread(rows.drop_duplicates("case")["dice_presegmentation"]),
        percent(now.mean()),
        f"{now.median():.1%}",
        str(int((now < 1.0).sum())),
        *(["", ""] if is_first else [percent(before.mean()), f"{wilcoxon(now.to_numpy(), before.to_numpy()):.2g}"]),
    ]
