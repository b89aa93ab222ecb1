"""The simulated expert of the trainings."""

import numpy as np
import pytest

from i3deep_models.guidance import UNANNOTATED
from i3deep_models.simulation import Sample, Simulation, draw_planes, greedy_planes, simulate, unsteady


def sample(seed: int = 5) -> Sample:
    rng = np.random.default_rng(seed)
    labels = np.zeros((16, 14, 12), np.int64)
    labels[3:12, 3:11, 3:9] = 1
    labels[8:12, 3:11, 3:9] = 2
    return Sample(labels, labels, rng.random(labels.shape), (1.0, 1.0, 1.0))


def test_planes_follow_the_uncertainty_and_never_repeat():
    uncertainty = np.zeros((10, 10, 10))
    uncertainty[2] = 1
    uncertainty[7] = 0.9
    assert greedy_planes(uncertainty, 2, (1, 1, 1), axes=(0,), kernel_mm=1.0) == [(0, 2), (0, 7)]
    assert greedy_planes(np.zeros((3, 3, 3)), 2, (1, 1, 1)) == []


@pytest.mark.parametrize(("planes", "most"), [("acquisition", 3), ("random", 3), ("published", 4)])
def test_budgets_run_from_nothing_to_the_largest(planes, most):
    # Nine axial planes with foreground: 40 % are three. Twelve voxels along the last axis: a third are four.
    rng = np.random.default_rng(1)
    counts = {len(draw_planes(sample(), planes, rng)) for _ in range(200)}
    assert counts == set(range(most + 1))


def test_a_steady_expert_says_only_what_is_true():
    case, rng = sample(), np.random.default_rng(5)
    said = [simulate(case, Simulation(imperfect=0.0), rng) for _ in range(20)]
    assert all((corrections[corrections != UNANNOTATED] == case.labels[corrections != UNANNOTATED]).all() for corrections in said)
    assert any((corrections != UNANNOTATED).any() for corrections in said)


def test_an_unsteady_hand_stays_near_the_contour():
    plane = np.zeros((40, 40), np.int64)
    plane[10:30, 10:30] = 1
    drawn = unsteady(plane, np.random.default_rng(2))
    inner, outer = np.zeros_like(plane), np.zeros_like(plane)
    inner[15:25, 15:25] = outer[5:35, 5:35] = 1
    assert (drawn != plane).any()
    assert (drawn >= inner).all()
    assert (drawn <= outer).all()


def test_the_same_seed_gives_the_same_expert():
    first, again = (simulate(sample(), Simulation(), np.random.default_rng(7)) for _ in range(2))
    assert (first == again).all()
