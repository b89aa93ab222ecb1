"""Agreement with the truth in small numbers: the rows of `overlap.rs`' own tests, and planes."""

import math

import numpy as np
import pandas as pd
import pytest

from i3deep_models import scans
from i3deep_models.guidance import UNANNOTATED
from i3deep_models.report.metrics import dice, distance_mm, hausdorff95_mm, mean, surface, surface_dice, wilcoxon
from i3deep_models.report.words import spread


def row(labels: str) -> np.ndarray:
    return np.array([int(label) for label in labels]).reshape(1, 1, -1)


@pytest.mark.parametrize(
    ("ours", "truth", "expected"),
    [
        ("0110", "0110", 1.0),
        ("0100", "0010", 0.0),
        ("0000", "0000", math.nan),
        ("0100", "0000", 0.0),
        ("0000", "1001", 0.0),
        ("1100000", "1000001", 0.5),
        ("2222", "2222", math.nan),
    ],
)
def test_dice_of_short_rows(ours, truth, expected):
    assert dice(row(ours), row(truth), 1) == pytest.approx(expected, nan_ok=True)


def test_dice_of_some_voxels():
    assert dice(row("1101"), row("1011"), 1, row("1001") > 0) == 1.0
    assert math.isnan(dice(row("1101"), row("1011"), 1, row("0000") > 0))


@pytest.mark.parametrize(
    ("ours", "truth", "expected"),
    [
        ("0100", "0010", 0.0),
        ("0110", "0110", 1.0),
        ("0110", "0010", 2 / 3),
        ("0000", "0110", 0.0),
        ("0000", "0000", math.nan),
    ],
)
def test_surface_dice_of_rows_of_voxels_2_mm_apart(ours, truth, expected):
    assert surface_dice(row(ours), row(truth), 1, (1.0, 1.0, 2.0)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("ours", "truth", "expected"),
    [
        ("0110", "0110", 0.0),
        ("0100", "0010", 2.0),
        ("1100000", "1000001", 9.5),
        ("1010101", "1000100", 4.0),
        ("0000", "0000", math.nan),
    ],
)
def test_surface_distances_of_rows_of_voxels_2_mm_apart(ours, truth, expected):
    assert hausdorff95_mm(row(ours), row(truth), 1, (1.0, 1.0, 2.0)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("ours", "truth", "spacing_mm"), [(1, 0, (1.0, 1.0, 1.0)), (0, 1, (1.0, 1.0, 1.0)), (1, 2, (3.0, 2.0, 0.5))]
)
def test_a_label_in_one_volume_only_gets_the_worst_value(ours, truth, spacing_mm):
    volumes = np.zeros((2, 2, 3, 4), int)
    volumes[0, 0, 0, 0], volumes[1, 1, 2, 3] = ours, truth
    assert dice(*volumes, 1) == 0.0
    assert surface_dice(*volumes, 1, spacing_mm) == 0.0
    assert hausdorff95_mm(*volumes, 1, spacing_mm) == pytest.approx(
        math.dist((0, 0, 0), np.multiply((2, 3, 4), spacing_mm))
    )


def test_a_mean_over_fewer_cases_says_so():
    assert spread(pd.Series([0.5, 0.7])) == "0.600 ± 0.141"
    assert spread(pd.Series([0.5, 0.7, math.nan])) == "0.600 ± 0.141 (2 of 3)"
    assert spread(pd.Series([0.5, math.nan])) == "0.500 (1 of 2)"
    assert spread(pd.Series([math.nan])) == ""


def test_one_millimetre_is_near_enough():
    assert surface_dice(row("0100"), row("0010"), 1, (1.0, 1.0, 1.0)) == 1.0
    assert surface_dice(row("0100"), row("0010"), 1, (1.0, 1.0, 1.01)) == 0.0


def test_the_surface_of_a_block_is_its_shell():
    shell = surface(np.ones((3, 3, 3), bool))
    assert shell.sum() == 26
    assert not shell[1, 1, 1]


def test_what_is_not_a_number_is_left_out_of_means():
    assert mean([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(mean([]))


def test_distances_are_to_the_nearest_plane():
    distances = distance_mm((3, 1, 4), [(0, 2), (2, 0)], (2.0, 1.0, 1.5))
    assert distances[:, 0].tolist() == [[0, 1.5, 3, 4], [0, 1.5, 2, 2], [0, 0, 0, 0]]
    assert np.isinf(distance_mm((1, 1, 1), [], (1.0, 1.0, 1.0))).all()


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.1, 0.2, -0.05, 0.3, 0.4, 0.15, 0.25, -0.02], 0.042315274905714),
        ([1, 1, 1, -1, 2, 0, 2, 3], 0.05783127734199192),
        ([at / 100 for at in range(1, 31)], 1.825371456361214e-06),
        ([0, 0], 1.0),
        ([], 1.0),
    ],
)
def test_p_values_are_those_of_the_backend(differences, expected):
    assert wilcoxon(differences, np.zeros(len(differences))) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("rows", "axes"),
    [
        ([[1, 0, 0], [0, 2, 0], [0, 0, 3]], {"sagittal": 2, "coronal": 1, "axial": 0}),
        ([[-1, 0, 0], [0, -2, 0], [0, 0, 3]], {"sagittal": 2, "coronal": 1, "axial": 0}),
        ([[0, 0, 3], [1, 0, 0], [0, 2, 0]], {"sagittal": 0, "coronal": 2, "axial": 1}),
    ],
)
def test_planes_are_named_by_the_affine(rows, axes):
    affine = np.eye(4)
    affine[:3, :3] = rows
    volume = scans.Volume(np.zeros((6, 5, 4)), affine)
    assert {name: volume.axis(name) for name in axes} == axes
    assert volume.planes("axial:1 sagittal:3") == [(axes["axial"], 1), (axes["sagittal"], 3)]


def test_a_plane_outside_the_volume_is_refused():
    with pytest.raises(ValueError, match="no plane axial:6"):
        scans.Volume(np.zeros((6, 5, 4)), np.eye(4)).planes("axial:6")


def test_corrections_hold_the_truth_in_their_planes_and_a_file_gives_back_what_it_was_given(tmp_path):
    truth = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    corrections = scans.corrected(truth, [(0, 1), (2, 0)])
    assert (corrections[1] == truth[1]).all()
    assert corrections[0].tolist() == [[0, *[UNANNOTATED] * 3], [4, *[UNANNOTATED] * 3], [8, *[UNANNOTATED] * 3]]
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    scans.write(tmp_path / "volume.nii.gz", scans.Volume(truth, affine))
    back = scans.read_labels(tmp_path / "volume.nii.gz")
    assert (back.voxels == truth).all()
    assert back.spacing_mm == (3.0, 2.0, 1.5)
