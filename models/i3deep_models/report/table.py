"""A CSV file that grows while something is measured, so that a run that was stopped goes on where it was."""

import csv
from pathlib import Path


class Table:
    """Rows of text by column, in whole groups: the rows of a group share the values of the `key` columns and are
    written together."""

    def __init__(self, file: Path, key: tuple[str, ...], columns: tuple[str, ...]):
        """Reads the rows that are there. Raises ValueError if the file has other columns."""
        self.file = file
        self.key = key
        self.columns = (*key, *columns)
        self.rows: list[dict[str, str]] = []
        if file.is_file():
            with file.open(newline="") as lines:
                reader = csv.DictReader(lines)
                if tuple(reader.fieldnames or ()) != self.columns:
                    raise ValueError(f"{file} has other columns than this version writes; move it away")
                self.rows = list(reader)
        self.groups = {self._group(row) for row in self.rows}

    def __contains__(self, group: tuple[str, ...]) -> bool:
        """Whether a group's rows are there."""
        return group in self.groups

    def add(self, rows: list[dict[str, object]]) -> None:
        """Adds whole groups, at once on disk; the file is sorted by key, so that it does not depend on what was
        finished first."""
        written = [{column: _text(row[column]) for column in self.columns} for row in rows]
        self.rows = sorted(self.rows + written, key=self._group)
        self.groups.update(self._group(row) for row in written)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        with partial.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.file)

    def _group(self, row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[column] for column in self.key)


def _text(value: object) -> str:
    """Six digits are more than any measurement here has; what is not a number is an empty field."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return str(value)
