"""Writes the slices of `packed` anew: one plain slice a kind of pixel, and each of them in every transfer syntax that
needs a decoder of its own. The first argument is the folder that they go to; the second, if there is one, a size
(columns x rows) and the third a seed, where others than the project's own are wanted.

Needs pydicom 3.0.2, pyjpegls 1.5.1, pylibjpeg 2.1.0, pylibjpeg-openjpeg 2.6.0 and imagecodecs 2026.3.6.
"""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS, JPEG_2000 = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K = (
    f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)
)
NEAR = 3


def main() -> None:
    """Every kind of pixel in every syntax."""
    folder = Path(sys.argv[1])
    columns, rows = (
        int(n) for n in (sys.argv[2] if len(sys.argv) > 2 else "40x36").split("x")
    )
    generator = np.random.default_rng(int(sys.argv[3]) if len(sys.argv) > 3 else 7)
    kinds = {
        "u8": (8, 8, False),
        "u12": (16, 12, False),
        "s16": (16, 16, True),
        "s12": (16, 12, True),
    }
    for kind, (allocated, stored, signed) in kinds.items():
        pixels = image(
            generator,
            (rows, columns),
            stored,
            signed,
            np.dtype(f"{'i' if signed else 'u'}{allocated // 8}"),
        )
        plain = slice_of(pixels, stored, signed)
        plain.save_as(folder / f"{kind}-plain.dcm", enforce_file_format=True)
        for name, syntax, options in (
            ("jpegls", JPEG_LS, {}),
            ("jpegls-near", JPEG_LS_NEAR, {"jls_error": NEAR}),
            ("j2k", JPEG_2000_LOSSLESS, {}),
            ("j2k-lossy", JPEG_2000, {"j2k_psnr": [70]}),
        ):
            if name == "jpegls-near" and signed:
                # Values of both signs have no bound: the standard's numbers wrap.
                continue
            packed = slice_of(pixels, stored, signed)
            packed.compress(syntax, generate_instance_uid=False, **options)
            packed.save_as(folder / f"{kind}-{name}.dcm", enforce_file_format=True)
        for name, syntax, reversible in (
            ("htj2k", HTJ2K_LOSSLESS, True),
            ("htj2k-rpcl", HTJ2K_RPCL, True),
            ("htj2k-lossy", HTJ2K, False),
        ):
            stream = imagecodecs.htj2k_encode(
                pixels, reversible=reversible, level=None if reversible else 0.0005
            )
            with_stream(slice_of(pixels, stored, signed), stream, syntax).save_as(
                folder / f"{kind}-{name}.dcm", enforce_file_format=True
            )
        if not signed:
            stream = imagecodecs.jpeg8_encode(pixels, level=98, bitspersample=stored)
            with_stream(slice_of(pixels, stored, signed), stream, JPEG_EXTENDED).save_as(
                folder / f"{kind}-jpeg-extended.dcm", enforce_file_format=True
            )


def with_stream(
    packed: pydicom.Dataset, stream: bytes, syntax: str
) -> pydicom.Dataset:
    """A slice with a codestream for its pixels."""
    packed.PixelData = encapsulate([stream])
    packed["PixelData"].VR = "OB"
    packed.file_meta.TransferSyntaxUID = syntax
    return packed


def image(
    generator: np.random.Generator,
    shape: tuple[int, int],
    stored: int,
    signed: bool,
    dtype: np.dtype,
) -> np.ndarray:
    """Smooth, noisy and flat parts, and both ends of what can be stored."""
    low, high = (
        (-(1 << (stored - 1)), (1 << (stored - 1)) - 1)
        if signed
        else (0, (1 << stored) - 1)
    )
    rows, columns = np.indices(shape)
    smooth = low + (high - low) * (
        0.3 + 0.4 * np.sin(rows / 5.0) * np.cos(columns / 7.0)
    )
    pixels = smooth + generator.normal(0.0, (high - low) / 200.0, shape)
    pixels[: shape[0] // 3, : shape[1] // 3] = low
    pixels = np.clip(np.rint(pixels), low, high)
    pixels[-1, -1], pixels[-1, 0] = high, low
    return pixels.astype(dtype)


def slice_of(pixels: np.ndarray, stored: int, signed: bool) -> pydicom.Dataset:
    """An MR slice, uncompressed."""
    image = pydicom.Dataset()
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = (
        "1.2.826.0.1.7.3",
        "1.2.826.0.1.7.1",
        "1.2.826.0.1.7.2",
    )
    image.Modality, image.PatientName, image.PatientID = "MR", "Nobody", "0"
    image.ImagePositionPatient, image.ImageOrientationPatient = (
        [-5, 6, 7],
        [1, 0, 0, 0, 1, 0],
    )
    image.PixelSpacing, image.SliceThickness = [0.9, 0.7], 2.5
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = (
        8 * pixels.dtype.itemsize,
        stored,
        stored - 1,
    )
    image.PixelRepresentation = int(signed)
    image.PixelData = pixels.tobytes()
    image["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


if __name__ == "__main__":
    main()
