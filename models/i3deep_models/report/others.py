"""What the method is worth on scans of other kinds, from `others/NAME.csv`: rows of `i3deep evaluate` with another
bundle. `others/NAME.md`, written by hand, says what the scans and the networks are.

Components are lesions, or whatever a label has many of: missed where the segmentation does not touch them, invented
where the truth does not.
"""

from pathlib import Path

import pandas as pd

from i3deep_models.report.lines import AT, COLUMNS, LINES, at_equal_contour, column, removed
from i3deep_models.report.words import average, fill, percent, spread


def adopt(folder: Path, name: str, results: Path) -> None:
    """Takes the `results.csv` of `i3deep evaluate` into the tables under a name."""
    rows = pd.read_csv(results)
    (folder / "others").mkdir(parents=True, exist_ok=True)
    rows[list(COLUMNS)].to_csv(folder / "others" / f"{name}.csv", index=False, float_format="%.6g")


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
        str(int((rows["dice_refined"] < rows["dice_corrections_pasted"]).sum())),
    ]


def _found(rows: pd.DataFrame) -> list[str]:
    missed = [rows[column("missed", line)].sum() / rows["components"].sum() for line in LINES]
    invented = [f"{rows[column('invented', line)].mean():.1f}" for line in LINES]
    return [f"{rows['components'].mean():.1f}", *(percent(share) for share in missed), *invented]
