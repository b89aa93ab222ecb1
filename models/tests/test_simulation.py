"""The simulated expert of the trainings."""

import numpy as np
import pytest

from i3deep_models.guidance import UNANNOTATED
from i3deep_models.training.simulation import (
    Sample,
    Simulation,
    draw_planes,
    greedy_planes,
    simulate,
    unsteady,
    with_doubtful_component,
)


def sample(seed: int = 5) -> Sample:
    rng = np.random.default_rng(seed)
    labels = np.zeros((16, 14, 12), np.int64)
    labels[3:12, 3:11, 3:9] = 1
    labels[8:12, 3:11, 3:9] = 2
    return Sample(rng.random((1, *labels.shape)), labels, labels, rng.random(labels.shape), (1.0, 1.0, 1.0))


def roomy() -> Sample:
    """A small foreground in a large volume: copies of it find a place."""
    labels = np.zeros((40, 40, 40), np.int64)
    labels[10:18, 10:18, 10:18] = 1
    image = labels[None] * 5.0
    return Sample(image, labels, labels, np.full(labels.shape, 0.1), (1.0, 1.0, 1.0))


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


def test_a_steady_expert_says_only_what_is_to_be_learnt():
    case, rng = sample(), np.random.default_rng(5)
    met = [simulate(case, Simulation(imperfect=0.0), rng) for _ in range(20)]
    assert all(
        (m.corrections[m.corrections != UNANNOTATED] == m.sample.labels[m.corrections != UNANNOTATED]).all()
        for m in met
    )
    assert any((m.corrections != UNANNOTATED).any() for m in met)


def test_a_doubtful_component_looks_like_the_real_thing_and_lies_in_background():
    case = roomy()
    changed, component = with_doubtful_component(case, np.random.default_rng(3))
    assert (component > 0).sum() > 100
    assert not (case.labels[component > 0]).any()
    assert (changed.image[0][component > 0] > 0).all()
    assert (changed.labels == case.labels).all()
    assert (changed.uncertainty[component > 0] > 0.1).all()


def test_what_the_expert_says_of_a_doubtful_component_is_learnt_everywhere_in_it():
    case, rng = roomy(), np.random.default_rng(4)
    true = false = 0
    for _ in range(60):
        met = simulate(case, Simulation(imperfect=0.0, doubtful=1.0), rng)
        component = (met.sample.image[0] > 2.5) & (case.labels == 0)
        said = met.corrections[component & (met.corrections != UNANNOTATED)]
        learnt = met.sample.labels[component]
        if said.size and (said > 0).mean() > 0.5:
            true += (learnt > 0).mean() > 0.5
        elif said.size:
            false += not (learnt > 0).any()
    assert true > 5
    assert false > 5


def test_a_case_without_room_for_a_copy_stays_as_it_is():
    labels = np.ones((6, 6, 6), np.int64)
    case = Sample(np.ones((1, 6, 6, 6)), labels, labels, np.zeros(labels.shape), (1.0, 1.0, 1.0))
    unchanged, component = with_doubtful_component(case, np.random.default_rng(0))
    assert unchanged is case
    assert not component.any()


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
    assert (first.corrections == again.corrections).all()
    assert (first.sample.image == again.sample.image).all()
