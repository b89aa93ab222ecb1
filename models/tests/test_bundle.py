"""What a bundle says of its training scans."""

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from i3deep_models.bundle import orientations_of


def test_orientations_are_those_of_the_training_scans_the_most_frequent_first(tmp_path):
    for case, letters in enumerate(("LPS", "RAS", "LPS", "PIR", "LPS", "RAS")):
        affine = np.zeros((4, 4))
        affine[3, 3] = 1
        for column, letter in enumerate(letters):
            row, sign = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}[letter]
            affine[row, column] = sign
        for channel in (0, 1):
            nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine), tmp_path / f"c{case}_{channel:04}.nii.gz")
    assert orientations_of(tmp_path) == ["LPS", "RAS", "PIR"]


def test_a_scan_that_simpleitk_writes_is_stored_lps_as_nibabel_reads_it(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((6, 5, 4), np.int16))
    sitk.WriteImage(image, str(tmp_path / "a_0000.nii.gz"))
    assert orientations_of(tmp_path) == ["LPS"]


def test_a_folder_without_scans_says_nothing(tmp_path):
    assert orientations_of(tmp_path) == []
    assert orientations_of(tmp_path / "absent") == []
