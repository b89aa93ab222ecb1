"""The report's words about the choice of planes."""

import pandas as pd

from i3deep_models.report.choices import strategies, uncertainties

NUMBERS = {
    "planes": 4,
    "effort": 0.17,
    "auroc": 0.9,
    "auprc": 0.4,
    "ece": 0.01,
    "dice_presegmentation": 0.8,
    "dice_presegmentation_outside": 0.8,
}


def row(case: int, strategy: str, uncertainty: str, refined: float | None, **more: float) -> dict:
    key = {"case": f"case_{case}", "strategy": strategy, "uncertainty": uncertainty, "budget": 0.2}
    return key | NUMBERS | {"dice_refined": refined, "dice_refined_outside": refined} | more


def test_strategies_stand_by_their_dice_with_a_test_against_greedy(tmp_path):
    rows = [
        row(case, name, "e", dice - case / 1000)
        for case in range(8)
        for name, dice in (("random", 0.85), ("greedy", 0.9))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "strategies.csv")
    lines = strategies(tmp_path).splitlines()
    assert "8 cases" in lines[2]
    assert lines[-2].startswith("| 20% | greedy | 4.000 | 0.170 | 0.896 ± 0.002 |  |")
    cells = [cell.strip() for cell in lines[-1].split("|")]
    assert cells[1:6] == ["20%", "random", "4.000", "0.170", "0.846 ± 0.002"]
    assert float(cells[6]) < 0.01


def test_uncertainties_stand_by_their_auroc(tmp_path):
    rows = [
        row(case, "none", name, None, auroc=auroc)
        for case in range(3)
        for name, auroc in (("folds+mirrors/entropy", 0.95), ("folds/entropy", 0.97))
    ]
    rows += [row(case, "greedy", "folds/entropy", 0.9) for case in range(3)]
    pd.DataFrame(rows).to_csv(tmp_path / "uncertainty.csv")
    lines = uncertainties(tmp_path).splitlines()
    assert lines[-2].startswith("| `folds/entropy` | 0.9700 | 0.4000 | 0.0100 |")
    assert lines[-2].endswith("| 0.900 ± 0.000 |  |")
    assert lines[-1] == "| `folds+mirrors/entropy` | 0.9500 | 0.4000 | 0.0100 |  |  |  |"


def test_nothing_measured_nothing_said(tmp_path):
    assert strategies(tmp_path) == uncertainties(tmp_path) == ""
