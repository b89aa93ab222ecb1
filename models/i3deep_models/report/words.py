"""Numbers and tables in Markdown."""

from collections.abc import Callable

import pandas as pd


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    line: Callable[[list[str]], str] = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def spread(values: pd.Series) -> str:
    """Mean ± standard deviation."""
    return f"{values.mean():.3f} ± {values.std():.3f}" if len(values.dropna()) > 1 else number(values.mean())


def number(value: float) -> str:
    """Three digits."""
    return "" if pd.isna(value) else f"{value:.3f}"


def percent(share: float) -> str:
    """Whole per cents."""
    return "" if pd.isna(share) else f"{share:.0%}"
