"""Reads a DICOM SEG by highdicom and compares it voxel by voxel. Arguments: the SEG, the folder of its series, and the
labels it should hold: one byte a voxel, columns fastest, planes along the normal."""

import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom


def main() -> None:
    """The labels where the series' slices lie; planes that are not in the file are background."""
    seg = highdicom.seg.segread(sys.argv[1])
    images = [
        pydicom.dcmread(file, stop_before_pixels=True)
        for file in Path(sys.argv[2]).iterdir()
    ]
    along = images[0].ImageOrientationPatient
    normal = np.cross(along[:3], along[3:])
    images.sort(key=lambda image: float(np.dot(image.ImagePositionPatient, normal)))
    heights = np.array([np.dot(image.ImagePositionPatient, normal) for image in images])
    expected = np.fromfile(sys.argv[3], np.uint8).reshape(
        len(images), images[0].Rows, images[0].Columns
    )
    volume = seg.get_volume(combine_segments=True, skip_overlap_checks=False)
    got = np.zeros_like(expected)
    for plane in range(volume.array.shape[0]):
        position = volume.map_indices_to_reference(np.array([[plane, 0, 0]]))[0]
        at = int(np.argmin(np.abs(heights - np.dot(position, normal))))
        assert np.allclose(position, images[at].ImagePositionPatient, atol=1e-4)
        got[at] = volume.array[plane]
    assert np.array_equal(got, expected), (
        f"{np.count_nonzero(got != expected)} voxels differ"
    )


if __name__ == "__main__":
    main()
