"""What the method is worth on scans of other kinds, from `others/NAME.csv`: rows of `i3deep evaluate` with another
bundle. `others/NAME.md`, written by hand, says what the scans and the networks are.

Components are lesions, or whatever a label has many of: missed where the segmentation does not touch them, invented
where the truth does not.
"""

from pathlib import Path

import pandas as pd

from i3deep_models.report.lines import AT, COLUMNS, LINES, at_equal_contour, column, removed
from i3deep_models.report.metrics import wilcoxon
from i3deep_models.report.words import average, fill, percent, spread

# Where a case begins and ends.
ENDS = ("presegmentation", "refined")
PREFIX = "dice_refined_"


def adopt(folder: Path, name: str, results: Path) -> None:
    """Takes the `results.csv` of `i3deep evaluate` into the tables under a name."""
    rows = pd.read_csv(results)
    (folder / "others").mkdir(parents=True, exist_ok=True)
    rows[[*COLUMNS, *(name for label in _labels(rows) for name in _of_label(label))]].to_csv(
        folder / "others" / f"{name}.csv", index=False, float_format="%.6g"
    )


def _of_label(label: int) -> list[str]:
    """Columns of `results.csv` about one label alone."""
    measured = [*(("dice", line) for line in LINES), *(("dice_outside", line) for line in ENDS)]
    return [f"{column(*pair)}_{label}" for pair in measured]


def _labels(rows: pd.DataFrame) -> list[int]:
    """The labels that have columns of their own; none where there is one alone, of which the means tell."""
    found = sorted(
        int(name[len(PREFIX) :]) for name in rows if name.startswith(PREFIX) and name[len(PREFIX) :].isdigit()
    )
    return found if len(found) > 1 else []


def others(folder: Path) -> str:
    """The sections; nothing where nothing was measured."""
    return "\n\n".join(_section(file) for file in sorted((folder / "others").glob("*.csv")))


def _section(file: Path) -> str:
    frame = pd.read_csv(file)
    words = file.with_suffix(".md")
    groups = frame.groupby(["strategy", "budget", "round"])
    return fill(
        "others",
        heading=file.stem.replace("-", " ").capitalize(),
        text=words.read_text().strip() if words.is_file() else "",
        cases=frame["case"].nunique(),
        worth=[[*_key(key), *_worth(rows)] for key, rows in groups],
        found=[[*_key(key), *_found(rows)] for key, rows in groups],
        by_label=[[*_key(key), *_label(rows, label)] for key, rows in groups for label in _labels(rows)],
        at=" and ".join(percent(share) for share in AT),
        strategies=at_equal_contour(frame),
    )


def _key(key: tuple[str, float, int]) -> list[str]:
    strategy, budget, turn = key
    return [strategy, f"{budget:.0%}", f"{turn:.0f}"]


def _worth(rows: pd.DataFrame) -> list[str]:
    outside = [average(rows[column("dice_outside", line)]) for line in ("presegmentation", "no_plane", "refined")]
    return [
        f"{rows['planes'].mean():.1f}",
        percent(rows["effort"].mean()),
        *(spread(rows[column("dice", line)]) for line in LINES),
        *outside,
        percent(removed(rows, "dice_outside")),
        *(f"{rows[name].mean():.0f}" for name in ("harmed_far", "mended_far")),
        str(int((rows["dice_refined"] < rows["dice_corrections_pasted"]).sum())),
    ]


def _found(rows: pd.DataFrame) -> list[str]:
    missed = [rows[column("missed", line)].sum() / rows["components"].sum() for line in LINES]
    invented = [f"{rows[column('invented', line)].mean():.1f}" for line in LINES]
    return [f"{rows['components'].mean():.1f}", *(percent(share) for share in missed), *invented]


def _label(rows: pd.DataFrame, label: int) -> list[str]:
    """A label's Dice, and outside the planes over the cases that have any of it there."""
    everywhere = [average(rows[f"{column('dice', line)}_{label}"]) for line in LINES]
    outside = rows[[f"{column('dice_outside', line)}_{label}" for line in ENDS]].dropna()
    before, after = (outside[name].to_numpy() for name in outside)
    p = "" if outside.empty else f"{wilcoxon(after, before):.2g}"
    return [str(label), *everywhere, str(len(outside)), average(outside.iloc[:, 0]), average(outside.iloc[:, 1]), p]
