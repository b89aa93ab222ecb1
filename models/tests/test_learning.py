"""The learning curve, and other scans' tables."""

import pandas as pd
import pytest

from i3deep_models.report import learning, lines, others


def rows(case: str, start: float, reached: list[tuple[float, float]]) -> list[dict[str, object]]:
    return [
        dict.fromkeys(learning.COLUMNS, 0.8)
        | {"case": case, "budget": effort, "effort": effort, "dice_no_plane": start, "dice_refined": dice}
        for effort, dice in reached
    ]


@pytest.mark.parametrize(
    ("start", "reached", "expected"),
    [
        (0.95, [(0.1, 0.96)], 0.0),  # right from the start
        (0.8, [(0.1, 0.85), (0.2, 0.95)], 0.15),  # half way between two budgets
        (0.8, [(0.2, 1.0)], 0.1),  # from the network with no plane on
        (0.8, [(0.1, 0.85), (0.2, 0.89)], None),  # never
    ],
)
def test_effort_is_that_at_which_the_aim_is_first_reached(start, reached, expected):
    found = learning.effort_to(pd.DataFrame(rows("a", start, reached)))["a"]
    assert pd.isna(found) if expected is None else found == pytest.approx(expected)


def test_a_version_is_compared_with_the_first_on_the_same_cases(tmp_path):
    def adopt(learned: int, dice: dict[str, float]) -> None:
        table = [row for case, at in dice.items() for row in rows(case, 0.7, [(0.1, 0.8), (0.2, at)])]
        pd.DataFrame(table).to_csv(tmp_path / "results.csv", index=False)
        learning.adopt(tmp_path, learned, tmp_path / "results.csv")

    assert learning.learning(tmp_path) == ""
    adopt(0, {"a": 0.9, "b": 0.9, "c": 0.85})
    adopt(2, {"c": 0.5})
    # Measured anew: the rows before are gone.
    adopt(2, {"c": 1.0})
    text = learning.learning(tmp_path)
    assert "| 0 | 3 | 0.800 ± 0.000 | 47% | 20.0% | 2 |  |  |" in text
    assert "| 2 | 1 | 0.800 | 15% | 15.0% | 1 | 100% | 1 |" in text


def test_other_scans_have_a_section_each(tmp_path):
    assert others.others(tmp_path) == ""
    table = pd.DataFrame([dict.fromkeys(lines.COLUMNS, 0.5)] * 2)
    table = table.assign(case=["a", "b"], strategy="greedy", budget=0.2, round=1, planes=6, components=[10, 20])
    table = table.assign(missed_presegmentation=[4, 8], missed_corrections_pasted=[3, 6])
    table = table.assign(missed_no_plane=[2, 4], missed_refined=[1, 2])
    table.to_csv(tmp_path / "results.csv", index=False)
    others.adopt(tmp_path, "made-lesions", tmp_path / "results.csv")
    (tmp_path / "others" / "made-lesions.md").write_text("What they are.\n")
    text = others.others(tmp_path)
    assert text.startswith("## Made lesions\n\nWhat they are.\n\n2 cases")
    assert "Label by label" not in text, "one label is told of by the means"
    assert "as much of the contours" not in text, "one strategy is compared with nothing"
    assert "| greedy | 20% | 1 | 15.0 | 40% | 30% | 20% | 10% | 0.5 | 0.5 | 0.5 | 0.5 |" in text


def test_labels_of_other_scans_are_told_apart(tmp_path):
    table = pd.DataFrame([dict.fromkeys(lines.COLUMNS, 0.5)] * 2).assign(case=["a", "b"], strategy="greedy", round=1)
    for label, refined in ((1, 0.9), (2, 0.7)):
        for line in lines.LINES:
            table[f"dice_{line}_{label}"] = refined if line == "refined" else 0.6
        table[f"dice_presegmentation_outside_{label}"] = [0.4, float("nan")]
        table[f"dice_refined_outside_{label}"] = [refined, float("nan")]
    table.to_csv(tmp_path / "results.csv", index=False)
    others.adopt(tmp_path, "organs", tmp_path / "results.csv")
    text = others.others(tmp_path)
    assert "| greedy | 50% | 1 | 1 | 0.600 | 0.600 | 0.600 | 0.900 | 1 | 0.400 | 0.900 | 1 |" in text
    assert "| greedy | 50% | 1 | 2 | 0.600 | 0.600 | 0.600 | 0.700 | 1 | 0.400 | 0.700 | 1 |" in text
