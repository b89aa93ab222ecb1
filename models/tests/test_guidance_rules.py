"""The rules of `i3deep_models.guidance` in small numbers."""

import numpy as np
import pytest

from i3deep_models.guidance import UNANNOTATED, Encoding, channels, paste, project, source_index, target_planes


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [(4, 4, [0, 1, 2, 3]), (2, 4, [1, 3]), (4, 2, [0, 0, 1, 1]), (3, 5, [0, 2, 4]), (1, 3, [1])],
)
def test_a_target_voxel_takes_the_source_voxel_that_holds_its_centre(target, source, expected):
    assert source_index(target, source).tolist() == expected


@pytest.mark.parametrize(
    ("index", "source", "target", "expected"), [(1, 4, 2, [0]), (0, 4, 2, [0]), (1, 2, 4, [2, 3]), (2, 3, 3, [2])]
)
def test_no_corrected_plane_vanishes(index, source, target, expected):
    assert target_planes(index, source, target).tolist() == expected


def test_on_the_same_grid_planes_keep_their_labels_and_the_rest_is_unannotated():
    labels = np.random.default_rng(1).integers(0, 3, (5, 6, 7))
    projected = project(labels, [(0, 2), (2, 4)], (5, 6, 7))
    assert (projected[2] == labels[2]).all()
    assert (projected[:, :, 4] == labels[:, :, 4]).all()
    said = np.zeros(labels.shape, bool)
    said[2] = said[:, :, 4] = True
    assert (projected[~said] == UNANNOTATED).all()


def test_a_plane_that_is_all_background_is_a_statement():
    projected = project(np.zeros((4, 4, 4), np.int64), [(1, 3)], (8, 8, 8))
    assert (projected[:, 6:8] == 0).all()
    assert (projected[:, :6] == UNANNOTATED).all()


def test_where_planes_of_one_axis_meet_the_nearer_one_wins():
    # Eight planes on two: planes 2 and 3 both fall on target plane 0, whose centre lies at 2.0 in source planes; plane
    # 2 has its own at 2.5.
    labels = np.arange(8).reshape(8, 1, 1) * np.ones((8, 2, 2), np.int64)
    assert (project(labels, [(0, 2), (0, 3)], (2, 2, 2))[0] == 2).all()


def test_channels_come_in_the_order_of_the_bundle_format():
    corrections = np.array([[[UNANNOTATED, 0, 1, 2]]], np.int16)
    presegmentation = np.array([[[2, 2, 1, 0]]])
    every = Encoding(annotated=True, presegmentation="labels")
    stacked = channels(corrections, presegmentation, [1, 2], every)
    assert stacked.dtype == np.float32
    assert stacked[:, 0, 0].tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]]
    assert every.channels(2) == len(stacked)
    without = Encoding(annotated=False, presegmentation="none")
    assert len(channels(corrections, presegmentation, [1, 2], without)) == without.channels(2) == 2


def test_the_experts_word_is_final():
    segmentation = np.array([1, 1, 2, 0])
    assert paste(segmentation, np.array([UNANNOTATED, 0, 1, 2])).tolist() == [1, 0, 1, 2]
