"""Classical methods on a bright ball in the dark, and on scans where there is nothing to go by."""

import numpy as np
import pytest

from i3deep_models import scans
from i3deep_models.guidance import UNANNOTATED
from i3deep_models.report.baselines import BASELINES, Corrected, GraphCut, RandomWalker, interpolation, watershed
from i3deep_models.report.metrics import dice

CLASSICAL = ("interpolation", "watershed", "random walker", "graph cut")
SHAPE = (17, 19, 21)


def ball(radius_mm: float = 6.0, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Label 1 in the lower half of a ball, 2 in the upper."""
    z, y, x = np.meshgrid(*((np.arange(n) - n // 2) * s for n, s in zip(SHAPE, spacing_mm, strict=True)), indexing="ij")
    return np.where(z**2 + y**2 + x**2 <= radius_mm**2, np.where(z < 0, 1, 2), 0).astype(np.int16)


def case(truth: np.ndarray, planes: list[tuple[int, int]], image: np.ndarray | None = None) -> Corrected:
    noise = np.random.default_rng(3).normal(0, 2, truth.shape)
    seen = np.array([20.0, 60.0, 100.0])[truth] + noise if image is None else image
    wrong = np.roll(truth, 3, axis=2)
    return Corrected(seen.astype(np.float32), wrong, scans.corrected(truth, planes), (1.0, 1.0, 1.0), (1, 2))


@pytest.mark.parametrize("name", CLASSICAL)
def test_six_planes_across_a_ball_give_most_of_it(name):
    truth = ball()
    found = BASELINES[name](case(truth, [(0, 3), (0, 6), (0, 10), (0, 13), (1, 9), (2, 10)]))
    assert found.dtype == np.int16
    assert dice(found, truth, 1) > 0.8
    assert dice(found, truth, 2) > 0.8


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "presegmentation"])
def test_the_experts_planes_stay_as_they_are(name):
    said = case(ball(), [(0, 6), (2, 10)])
    where = said.corrections != UNANNOTATED
    assert (BASELINES[name](said)[where] == said.corrections[where]).all()


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("planes", [[], [(0, 0)], [(0, 0), (1, 0), (2, 20)]])
def test_where_no_foreground_was_drawn_classical_methods_find_none(name, planes):
    said = case(ball(), planes)
    found = BASELINES[name](said)
    expected = {
        "presegmentation": said.presegmentation,
        "pasted": np.where(said.corrections == 0, 0, said.presegmentation),
    }
    assert (found == expected.get(name, np.zeros(SHAPE))).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_flat_image_and_a_plane_that_is_all_foreground_are_no_accident(name):
    truth = np.ones((4, 5, 6), np.int16)
    truth[3] = 0
    flat = np.full(truth.shape, 7.0)
    found = BASELINES[name](case(truth, [(0, 0), (0, 3)], flat))
    assert (found[0] == 1).all()
    assert (found[3] == 0).all()
    whole = BASELINES[name](case(truth, [(0, i) for i in range(4)], flat))
    assert (whole == truth).all()


def test_interpolation_ends_half_way_to_a_plane_without_the_label():
    truth = np.zeros((9, 11, 11), np.int16)
    truth[:, 3:8, 3:8] = 1
    truth[8] = 0
    found = interpolation(case(truth, [(0, 0), (0, 8)]))
    # In the middle of the square: 3 mm deep in plane 0, as much outside in plane 8, weights 1 / distance².
    assert found[:, 5, 5].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_interpolation_beyond_the_last_plane_is_a_cap():
    truth = np.zeros((12, 11, 11), np.int16)
    truth[:, 3:8, 3:8] = 1
    found = interpolation(case(truth, [(0, 2)]))
    assert [int((plane == 1).sum()) for plane in found] == [1, 9, 25, 9, 1, 0, 0, 0, 0, 0, 0, 0]


def test_the_watershed_stops_at_the_edge():
    truth = np.zeros((5, 9, 9), np.int16)
    truth[:, :4] = 1
    image = np.where(truth == 1, 100.0, 0.0)
    assert (watershed(case(truth, [(0, 0)], image)) == truth).all()


def test_a_difference_counts_less_over_a_longer_way_for_the_random_walker():
    # One voxel to decide upon; its neighbour along z is of label 1, that along x is background, and both are as dark.
    image = np.array([[[0.0, 0.0]], [[0.0, 10.0]]], np.float32)
    corrections = np.array([[[UNANNOTATED, 1]], [[0, UNANNOTATED]]], np.int16)
    for spacing_mm, expected in (((3.0, 1.0, 1.0), 1), ((1.0, 1.0, 3.0), 0)):
        assert RandomWalker()(Corrected(image, corrections, corrections, spacing_mm, (1,)))[1, 0, 1] == expected


def test_the_graph_cut_is_the_cheapest_labelling():
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 3, (1, 2, 4)).astype(np.int16)
    truth[0, :, 0], truth[0, :, 3] = (0, 1), (2, 0)
    said = case(truth, [(2, 0), (2, 3)])
    cut = GraphCut(weight=1.0)
    unary, (pairs, weights) = cut._unaries(said, np.array([0, 1, 2])), cut._pairs(said)

    def cost(labels: np.ndarray) -> int:
        return int(unary[labels, np.arange(labels.size)].sum() + weights[labels[pairs[0]] != labels[pairs[1]]].sum())

    every = np.stack(np.meshgrid(*[range(3)] * truth.size, indexing="ij"), -1).reshape(-1, truth.size)
    assert cost(cut(said).ravel()) == min(cost(labels) for labels in every)
