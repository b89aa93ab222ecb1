"""An unsteady expert is compared with the perfect one on the same cases."""

import pandas as pd

from i3deep_models.report.unsteady import COLUMNS, Worse, became_worse, unsteady


def row(case: str, expert: str, pasted: float, refined: float) -> dict[str, object]:
    return dict.fromkeys(COLUMNS, 0.2) | {
        "case": case,
        "expert": expert,
        "dice_presegmentation": 0.89,
        "dice_corrections_pasted": pasted,
        "dice_refined": refined,
        "dice_refined_outside": refined,
    }


def test_losses_and_cases_that_became_worse(tmp_path):
    assert unsteady(tmp_path) == "" and became_worse(tmp_path) is None
    rows = [row("a", "perfect", 0.9, 0.95), row("b", "perfect", 0.9, 0.93)]
    rows += [row("a", "jitter:1", 0.88, 0.85), row("b", "jitter:1", 0.88, 0.874)]
    pd.DataFrame(rows).to_csv(tmp_path / "unsteady.csv", index=False)
    assert became_worse(tmp_path) == Worse(pasted=1, presegmented=2, cases=2)
    text = unsteady(tmp_path)
    assert text.startswith("## An unsteady expert\n\n2 cases, budget 20%")
    assert "| perfect | 0.900 ± 0.000 | 0.940 ± 0.014 | 0.940 |  |  |  | 0 | 0.000 | 0 (0) |" in text
    assert "| jitter:1 | 0.880 ± 0.000 | 0.862 ± 0.017 | 0.862 | 0.020 | 0.078 | 0.078 | 1 | 0.030 | 2 (2) |" in text
