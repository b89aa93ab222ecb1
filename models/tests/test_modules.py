"""Modules that are imported only when needed, or started as programs by name, are there."""

import importlib.util
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "i3deep_models"
# As `from i3deep_models.a.b import`, `import i3deep_models.a` and `-m i3deep_models.a` name them, and
# `from i3deep_models import a`.
NAMED = re.compile(r"i3deep_models(?:\.[a-z_]+)+|(?<=from i3deep_models import )[a-z_]+(?:, [a-z_]+)*")


def named(text: str) -> set[str]:
    """Full names of the modules that a text names."""
    found = set()
    for name in NAMED.findall(text):
        parts = [name] if name.startswith("i3deep_models") else [f"i3deep_models.{part}" for part in name.split(", ")]
        found.update(parts)
    return found


def test_what_names_a_module_is_found():
    assert named("from i3deep_models import scans, words\n-m i3deep_models.parity.card now") == {
        "i3deep_models.scans",
        "i3deep_models.words",
        "i3deep_models.parity.card",
    }


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_named_modules_exist(file):
    missing = {name for name in named(file.read_text()) if importlib.util.find_spec(name) is None}
    assert not missing
