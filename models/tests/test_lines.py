"""What the planes are worth: counted from the better start, compared at equal contour length."""

import numpy as np
import pandas as pd
import pytest

from i3deep_models.report.lines import (
    COLUMNS,
    RIVALS,
    area,
    at_cost,
    behind_at_equal_contour,
    column,
    lines,
    outside_removed,
    removed,
)


def row(case: str, strategy: str, budget: float, contour: float, dice: float, **more: float) -> dict[str, object]:
    values = dict.fromkeys(COLUMNS, 0.5) | {
        "case": case,
        "strategy": strategy,
        "uncertainty": "folds/entropy",
        "budget": budget,
        "round": 1,
    }
    return values | {"contour_share": contour, "effort": budget, "dice_no_plane": 0.8, "dice_refined": dice} | more


def frame() -> pd.DataFrame:
    """Greedy draws twice the contour at a budget; at equal contour length the other one is ahead. Its third case ends
    early."""
    rows = []
    for case in ("a", "b"):
        rows += [
            row(case, "greedy", 0.1, 0.2, 0.9),
            row(case, "random-foreground", 0.1, 0.1, 0.88),
            row(case, "random-foreground", 0.2, 0.2, 0.91),
        ]
    return pd.DataFrame([*rows, row("c", "random-foreground", 0.1, 0.05, 0.85)])


def test_strategies_are_compared_at_the_same_contour_length():
    rows = frame()
    greedy, other = (rows[rows["strategy"] == name] for name in ("greedy", "random-foreground"))
    assert at_cost(greedy, "dice_refined", "contour_share", 0.1).tolist() == pytest.approx([0.85, 0.85])
    assert at_cost(other, "dice_refined", "contour_share", 0.1).tolist() == pytest.approx(
        [0.88, 0.88, np.nan], nan_ok=True
    )
    assert area(greedy, "dice_refined", "contour_share").tolist() == pytest.approx([0.85, 0.85])
    assert area(other, "dice_refined", "contour_share").tolist() == pytest.approx([0.8675, 0.8675, np.nan], nan_ok=True)


def test_a_strategy_that_draws_by_chance_counts_with_the_mean_of_its_draws():
    def check(dice: list[float], contour: list[float], expected: float):
        drawn = zip(dice, contour, strict=True)
        rows = pd.DataFrame(
            [row("a", "class-stratified", 0.1, at, value, seed=s) for s, (value, at) in enumerate(drawn)]
        )
        found = at_cost(rows, "dice_refined", "contour_share", 0.1)
        assert found.index.tolist() == ["a"] and found.tolist() == pytest.approx([expected], nan_ok=True)

    check([0.9, 0.86], [0.1, 0.1], 0.88)
    # A draw that ends before says nothing.
    check([0.9, 0.86], [0.1, 0.05], 0.9)
    check([0.9, 0.86], [0.05, 0.05], np.nan)


@pytest.mark.parametrize(
    ("before", "alone", "after", "expected"), [(0.8, 0.85, 0.925, 0.5), (0.9, 0.8, 0.95, 0.5), (1.0, 0.9, 1.0, np.nan)]
)
def test_the_error_removed_is_that_of_the_better_start(before, alone, after, expected):
    rows = pd.DataFrame([row("a", "greedy", 0.1, 0.1, after, dice_presegmentation=before, dice_no_plane=alone)])
    assert removed(rows, "dice") == pytest.approx(expected, nan_ok=True)


def test_columns_are_those_of_evaluate():
    assert column("dice", "refined") == "dice_refined"
    assert column("dice_outside", "no_plane") == "dice_no_plane_outside"


def test_the_section_says_over_how_many_cases(tmp_path):
    assert "Not measured yet: `i3deep-models report --parts lines`" in lines(tmp_path)
    frame().to_csv(tmp_path / "lines.csv", index=False)
    text = lines(tmp_path)
    assert text.startswith("## What the planes are worth\n\n2 cases")
    assert "| 10% | random-foreground | 0.880 ± 0.000 (2 of 3) | +0.0300 | 2 | " in text
    assert "| 10% | greedy | 0.850 ± 0.000 |  | 2 |  |" in text
    assert "| 10% | 0 | 0 | 0 | 0 | 0.000 |" in text


def test_cases_that_end_below_are_counted(tmp_path):
    rows = [
        row(case, "greedy", 0.1, 0.1, 0.9, dice_presegmentation=before, dice_corrections_pasted=pasted)
        for case, before, pasted in (("a", 0.88, 0.895), ("b", 0.905, 0.908), ("c", 0.93, 0.95))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "lines.csv", index=False)
    assert "| 10% | 2 | 1 | 2 | 1 | 0.050 |" in lines(tmp_path)


def test_greedy_is_ahead_only_where_chance_is_not(tmp_path):
    assert behind_at_equal_contour(tmp_path) is None
    rows = []
    for case in range(8):
        wavering = 0.001 * case
        rows += [row(f"c{case}", "greedy", budget, budget, 0.9 + wavering) for budget in (0.1, 0.2)]
        for rival in RIVALS:
            lower = 0.9 if rival == "published" else 0.88 + wavering
            rows += [row(f"c{case}", rival, budget, budget, lower) for budget in (0.1, 0.2)]
    pd.DataFrame(rows).to_csv(tmp_path / "lines.csv", index=False)
    assert behind_at_equal_contour(tmp_path) == []
    alike = [values | {"dice_refined": 0.9 + (0.01 if i % 2 else -0.01)} for i, values in enumerate(rows)]
    pd.DataFrame(alike).to_csv(tmp_path / "lines.csv", index=False)
    assert len(behind_at_equal_contour(tmp_path)) == 2 * len(RIVALS)
    pd.DataFrame(row for row in rows if row["strategy"] != "published").to_csv(tmp_path / "lines.csv", index=False)
    assert behind_at_equal_contour(tmp_path) is None, "a rival that was not measured is not beaten"


def test_what_the_planes_did_is_that_of_greedy_at_the_largest_budget_within_the_effort(tmp_path):
    assert outside_removed(tmp_path, 0.2) is None
    scores = {"dice_presegmentation_outside": 0.8, "dice_no_plane_outside": 0.7, "dice_refined_outside": 0.85}
    better = scores | {"dice_refined_outside": 0.99}
    rows = [
        row("a", "greedy", 0.1, 0.3, 0.9, **scores | {"dice_refined_outside": 0.81}, effort=0.1),
        row("a", "greedy", 0.22, 0.3, 0.9, **scores, effort=0.19),
        row("a", "greedy", 0.25, 0.3, 0.9, **better, effort=0.21),
        row("a", "random-foreground", 0.22, 0.3, 0.9, **better, effort=0.19),
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "lines.csv", index=False)
    found = outside_removed(tmp_path, 0.2)
    assert (found.share, *found.interval) == pytest.approx((0.25, 0.25, 0.25))
    assert (found.budget, found.effort, found.above, found.cases) == (0.22, 0.19, 0, 1)
    assert outside_removed(tmp_path, 0.05) is None
