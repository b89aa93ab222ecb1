"""Six ways in which a scan can be unlike those that trained a network: `i3deep-models corrupt`.

Each takes an image f32 `[z, y, x]`, its spacing in mm and a random generator, and returns an image f32 on the same
grid, so that labels stay right. The generator is seeded by the file's name and the kind: a scan is corrupted alike
whatever else is.
"""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from i3deep_models.scans import Volume, read, write

Spacing = tuple[float, float, float]


def rician(image: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator) -> np.ndarray:
    """Noise of magnitude images: Gaussian in both parts of the signal, with 12 % of the 99th percentile as its standard
    deviation."""
    sigma = 0.12 * float(np.percentile(image, 99))
    real, imaginary = (sigma * rng.standard_normal(image.shape) for _ in range(2))
    return np.hypot(image + real, imaginary).astype(np.float32)


def bias(image: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator, strength: float = 0.5) -> np.ndarray:
    """A smooth field of gain: exp of a random cubic polynomial over the volume with mean 0 and a largest value of 0.5,
    so gains of 0.61 to 1.65."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    powers = [(i, j, k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    field = np.sum([rng.uniform(-1, 1) * z**i * y**j * x**k for i, j, k in powers], axis=0)
    field -= field.mean()
    return (image * np.exp(field * strength / max(np.abs(field).max(), 1e-12))).astype(np.float32)


def thick_slices(
    image: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator, thickness_mm: float = 4.0
) -> np.ndarray:
    """Slices of 4 mm along z: means over neighbouring slices, then linear interpolation back to the grid; the last
    slice may be thinner."""
    count = max(1, round(thickness_mm / spacing_mm[0]))
    starts = range(0, image.shape[0], count)
    slices = np.stack([image[start : start + count].mean(0) for start in starts])
    centres = np.array([(start + min(start + count, image.shape[0]) - 1) / 2 for start in starts])
    at = np.interp(np.arange(image.shape[0]), centres, np.arange(len(centres)))
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(slices) - 1)
    share = (at - low).reshape(-1, 1, 1)
    return (slices[low] * (1 - share) + slices[high] * share).astype(np.float32)


def motion(image: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator, moves: int = 3) -> np.ndarray:
    """The head moves while k-space is filled: lines along y come from copies that are shifted (up to 3 mm an axis) and
    turned (up to 4°) about x.

    The middle of k-space, which holds most of the contrast, comes from the head at rest, so that labels stay right.
    """
    spectrum = np.fft.fftn(image)
    lines = np.fft.fftfreq(image.shape[1])
    outer = np.argsort(lines)[np.abs(np.sort(lines)) > 0.08]
    for part in np.array_split(outer, moves):
        moved = _moved(image, spacing_mm, rng.uniform(-3, 3, 3), np.radians(rng.uniform(-4, 4)))
        spectrum[:, part] = np.fft.fftn(moved)[:, part]
    return np.abs(np.fft.ifftn(spectrum)).astype(np.float32)


def _moved(image: np.ndarray, spacing_mm: Spacing, shift_mm: np.ndarray, angle: float) -> np.ndarray:
    turn_mm = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turn = turn_mm * np.array(spacing_mm) / np.array(spacing_mm)[:, None]
    centre = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(
        image, turn, centre - turn @ centre + shift_mm / spacing_mm, order=1, mode="nearest"
    )


def gamma(image: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator) -> np.ndarray:
    """Another contrast curve: the range to the power of γ, which is between 1.5 and 2.2, or one over that."""
    power = float(np.exp(rng.choice((-1, 1)) * rng.uniform(np.log(1.5), np.log(2.2))))
    low, high = float(image.min()), float(image.max())
    if high == low:
        return image.astype(np.float32)
    return (low + (high - low) * ((image - low) / (high - low)) ** power).astype(np.float32)


def inverted(image: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator) -> np.ndarray:
    """Bright is dark: the range turned over."""
    return (float(image.max()) + float(image.min()) - image).astype(np.float32)


CORRUPTIONS: dict[str, Callable[[np.ndarray, Spacing, np.random.Generator], np.ndarray]] = {
    "rician": rician,
    "bias": bias,
    "thick": thick_slices,
    "motion": motion,
    "gamma": gamma,
    "inverted": inverted,
}


def corrupt(image: np.ndarray, spacing_mm: Spacing, kind: str, name: str, seed: int) -> np.ndarray:
    """One image by one kind of corruption; the same seed and name give the same image."""
    if kind not in CORRUPTIONS:
        raise ValueError(f"there is no corruption '{kind}'; use all or one of {', '.join(CORRUPTIONS)}")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(kind.encode())])
    return CORRUPTIONS[kind](image.astype(np.float32), spacing_mm, rng)


def corrupt_folder(images: Path, out: Path, kinds: list[str], seed: int, cases: list[str] | None = None) -> int:
    """Writes a folder's scans (CASE_0000.nii.gz, one file a channel), or some cases, to OUT/KIND under their own names;
    returns how many files."""
    files = [
        file
        for file in sorted(images.glob("*_[0-9][0-9][0-9][0-9].nii.gz"))
        if cases is None or file.name[: -len("_0000.nii.gz")] in cases
    ]
    if not files:
        raise ValueError(f"no scans named CASE_0000.nii.gz in {images}")
    for kind in kinds:
        for file in files:
            volume = read(file)
            voxels = corrupt(volume.voxels, volume.spacing_mm, kind, file.name.removesuffix(".nii.gz"), seed)
            write(out / kind / file.name, Volume(voxels, volume.affine))
    return len(files) * len(kinds)
