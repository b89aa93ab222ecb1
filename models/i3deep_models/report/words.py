"""The report's words: templates that are filled in, and numbers in them."""

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined


def spread(values: pd.Series) -> str:
    """Mean ± standard deviation; over how many of the cases, where some have no value."""
    known = values.dropna()
    text = f"{known.mean():.3f} ± {known.std():.3f}" if len(known) > 1 else number(known.mean())
    return text if len(known) in (0, len(values)) else f"{text} ({len(known)} of {len(values)})"


def average(values: pd.Series) -> str:
    """Mean; over how many of the cases, where some have no value."""
    known = values.dropna()
    return (
        number(known.mean())
        if len(known) in (0, len(values))
        else f"{number(known.mean())} ({len(known)} of {len(values)})"
    )


def number(value: float) -> str:
    """Three digits."""
    return "" if pd.isna(value) else f"{value:.3f}"


def percent(share: float) -> str:
    """Whole per cents."""
    return "" if pd.isna(share) else f"{share:.0%}"


def fill(template: str, **values: object) -> str:
    """A section of the report, from `templates/TEMPLATE.md.j2`; a value that the template names and nobody gives is an
    error."""
    return _TEMPLATES.get_template(f"{template}.md.j2").render(values).strip()


def _table(head: list[str], rows: list[list[str]]) -> str:
    return fill("table", head=head, rows=rows)


_TEMPLATES = Environment(
    loader=PackageLoader("i3deep_models.report"), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
)
_TEMPLATES.filters["percent"] = percent
_TEMPLATES.globals["table"] = _table
