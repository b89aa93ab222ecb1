"""Corrupted scans: on the same grid, the same for the same seed, and wrong in the way that their name says."""

import numpy as np
import pytest

from i3deep_models import scans
from i3deep_models.cli import main
from i3deep_models.report.corruptions import CORRUPTIONS, corrupt, thick_slices

ISOTROPIC = (1.0, 1.0, 1.0)


def head() -> np.ndarray:
    """A bright ball with a brighter one in it, on dark."""
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in (24, 30, 28)), indexing="ij")
    far = np.sqrt(z**2 + y**2 + x**2)
    return (10 + 90 * (far < 10) + 60 * (far < 5)).astype(np.float32)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_seed_and_the_name_decide(kind):
    image = head()
    first, again, other = (
        corrupt(image, ISOTROPIC, kind, name, seed) for name, seed in (("a_0000", 1), ("a_0000", 1), ("a_0000", 2))
    )
    assert first.shape == image.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert (first == again).all()
    assert not np.allclose(first, image)
    assert np.allclose(first, other) == (kind in ("thick", "inverted"))


def test_noise_is_twelve_per_cent_of_what_is_bright():
    flat = np.full((40, 40, 40), 200.0, np.float32)
    noisy = corrupt(flat, ISOTROPIC, "rician", "a", 1)
    assert noisy.std() == pytest.approx(0.12 * 200, rel=0.02)
    # The mean of Rician noise lies above the signal by about sigma² / (2 signal).
    assert noisy.mean() == pytest.approx(200 + 24**2 / 400, rel=0.005)
    assert noisy.min() >= 0


def test_a_bias_field_is_smooth_and_neither_brightens_nor_darkens_as_a_whole():
    field = np.log(corrupt(np.ones((20, 24, 22), np.float32), ISOTROPIC, "bias", "a", 1))
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert np.abs(field).max() == pytest.approx(0.5, abs=1e-5)
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.3


@pytest.mark.parametrize(
    ("column", "spacing_z", "expected"),
    [
        ([0, 0, 4, 4, 8, 8, 8, 8], 1.0, [2, 2, 2.75, 4.25, 5.75, 7.25, 8, 8]),
        ([1, 3, 5, 7, 9], 2.0, [2, 3, 5, 7, 9]),
        ([1, 2, 3], 5.0, [1, 2, 3]),
    ],
)
def test_thick_slices_are_means_and_straight_lines_between_them(column, spacing_z, expected):
    image = np.array(column, np.float32).reshape(-1, 1, 1) * np.ones((1, 2, 2), np.float32)
    thick = thick_slices(image, (spacing_z, 1.0, 1.0), np.random.default_rng(0))
    assert thick[:, 1, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_motion_blurs_and_echoes_but_leaves_the_head_in_its_place():
    image = head()
    moved = corrupt(image, ISOTROPIC, "motion", "a", 1)
    assert 0.02 < np.abs(moved - image).mean() / image.std() < 0.5
    correlation = np.fft.ifftn(np.fft.fftn(moved) * np.conj(np.fft.fftn(image))).real
    assert np.unravel_index(correlation.argmax(), correlation.shape) == (0, 0, 0)


def test_gamma_keeps_range_and_order():
    image = head()
    curved = corrupt(image, ISOTROPIC, "gamma", "a", 1)
    assert (curved.min(), curved.max()) == pytest.approx((10, 160))
    assert abs(np.median(curved[image == 100]) - 100) > 10
    assert (corrupt(np.full((2, 2, 2), 5.0), ISOTROPIC, "gamma", "a", 1) == 5).all()


def test_inversion_turns_the_range_over():
    assert corrupt(np.array([[[1.0, 2.0, 5.0]]]), ISOTROPIC, "inverted", "a", 1).tolist() == [[[5.0, 4.0, 1.0]]]


def test_the_command_writes_scans_under_their_own_names(tmp_path):
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    for name in ("a_0000", "a_0001", "b_0000"):
        scans.write(tmp_path / "in" / f"{name}.nii.gz", scans.Volume(head(), affine))
    assert main(["corrupt", "--images", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--cases", "a"]) == 0
    written = sorted(file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.nii.gz"))
    assert written == sorted(f"{kind}/a_000{channel}.nii.gz" for kind in CORRUPTIONS for channel in (0, 1))
    back = scans.read(tmp_path / "out" / "inverted" / "a_0000.nii.gz")
    assert (back.affine == affine).all()
    assert np.allclose(back.voxels, 170 - head())


def test_an_unknown_kind_or_an_empty_folder_is_refused(tmp_path, capsys):
    assert main(["corrupt", "--images", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "no scans named" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no corruption 'snow'"):
        corrupt(head(), ISOTROPIC, "snow", "a", 1)
