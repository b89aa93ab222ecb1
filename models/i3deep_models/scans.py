"""Scans, label volumes and corrected planes as files hold them.

Volumes are C-ordered `[z, y, x]`, the file's axes backwards, as nnU-Net's readers give them. A plane is (axis, index)
in that order.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i3deep_models.guidance import UNANNOTATED

# Letters of nibabel's axis codes by the planes perpendicular to that axis.
_LETTERS = {"sagittal": "RL", "coronal": "AP", "axial": "SI"}

Plane = tuple[int, int]


@dataclass(frozen=True)
class Volume:
    """Voxels `[z, y, x]` and where they lie."""

    voxels: np.ndarray
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances of voxel centres along z, y, x."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)[::-1]
        return float(z), float(y), float(x)

    def axis(self, name: str) -> int:
        """The axis of `voxels` that planes of this anatomical name (sagittal, coronal, axial) are perpendicular to."""
        import nibabel

        if name not in _LETTERS:
            raise ValueError(f"'{name}' is not an axis; it is one of {', '.join(_LETTERS)}")
        codes = nibabel.aff2axcodes(self.affine)
        return 2 - next(stored for stored, code in enumerate(codes) if code in _LETTERS[name])

    def planes(self, names: str) -> list[Plane]:
        """Planes from names such as `axial:12 sagittal:3`, in that order."""
        planes = []
        for name in names.split():
            axis, index = name.split(":")
            plane = self.axis(axis), int(index)
            if not 0 <= plane[1] < self.voxels.shape[plane[0]]:
                raise ValueError(f"there is no plane {name} in a volume of {self.voxels.shape} voxels [z, y, x]")
            planes.append(plane)
        return planes


def read(file: Path) -> Volume:
    """Reads a NIfTI file."""
    import nibabel

    image = nibabel.load(file)
    voxels = np.asarray(image.dataobj)
    if voxels.ndim != 3:
        raise ValueError(f"a volume with {voxels.ndim} dimensions, three are needed: {file}")
    return Volume(np.ascontiguousarray(voxels.T), image.affine)


def read_labels(file: Path) -> Volume:
    """Reads a NIfTI file of labels as int16."""
    volume = read(file)
    return Volume(volume.voxels.astype(np.int16), volume.affine)


def write(file: Path, volume: Volume) -> None:
    """Writes a NIfTI file; it appears whole or not at all."""
    import nibabel

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".partial_{file.name}")
    nibabel.save(nibabel.Nifti1Image(volume.voxels.T, volume.affine), partial)
    partial.replace(file)


def within(shape: tuple[int, ...], planes: list[Plane]) -> np.ndarray:
    """Which voxels lie in any of the planes."""
    inside = np.zeros(shape, bool)
    for axis, index in planes:
        inside[tuple(index if a == axis else slice(None) for a in range(3))] = True
    return inside


def corrected(truth: np.ndarray, planes: list[Plane]) -> np.ndarray:
    """A perfect expert's corrections: int16 labels in the planes, UNANNOTATED elsewhere."""
    return np.where(within(truth.shape, planes), truth, UNANNOTATED).astype(np.int16)
