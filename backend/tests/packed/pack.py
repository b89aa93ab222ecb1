"""Packs every DICOM file of a folder anew. Arguments: the folder, and how. Needs what `make.py` needs."""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate

SYNTAXES = {
    "plain": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "big-endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg-extended": "1.2.840.10008.1.2.4.51",
    "jpeg-lossless": "1.2.840.10008.1.2.4.57",
    "jpeg-lossless-1": "1.2.840.10008.1.2.4.70",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "jpegls-near": "1.2.840.10008.1.2.4.81",
    "j2k": "1.2.840.10008.1.2.4.90",
    "j2k-lossy": "1.2.840.10008.1.2.4.91",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "htj2k-rpcl": "1.2.840.10008.1.2.4.202",
    "htj2k-lossy": "1.2.840.10008.1.2.4.203",
}
#: Bits of those that take no more, or no numbers below 0.
FEWER_BITS = {"jpeg": 8, "jpeg-extended": 12, "jpegls-near": 12}
#: What pydicom packs, and how.
BY_PYDICOM = {
    "rle": {},
    "jpegls": {},
    "jpegls-near": {"jls_error": 3},
    "j2k": {},
    "j2k-lossy": {"j2k_psnr": [70]},
}


def main() -> None:
    """One file after the other, in its place."""
    folder, how = Path(sys.argv[1]), sys.argv[2]
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        if how in FEWER_BITS:
            with_bits(image, FEWER_BITS[how])
        if how == "big-endian":
            pixels = image.pixel_array
            image.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
        elif how in BY_PYDICOM:
            syntax, options = SYNTAXES[how], BY_PYDICOM[how]
            image.compress(syntax, generate_instance_uid=False, **options)
        elif how not in ("plain", "implicit", "deflated"):
            image.PixelData = encapsulate([packed(image.pixel_array, how)])
            image["PixelData"].VR = "OB"
        image.file_meta.TransferSyntaxUID = SYNTAXES[how]
        # What was read is written as it was read unless it is looked at.
        list(image.iterall())
        pydicom.dcmwrite(file, image, enforce_file_format=True)


def with_bits(image: pydicom.Dataset, bits: int) -> None:
    """The same picture in numbers of so many bits, from 0."""
    pixels = image.pixel_array.astype(np.float64)
    pixels = (pixels - pixels.min()) / max(1.0, np.ptp(pixels)) * ((1 << bits) - 1)
    dtype = np.uint8 if bits == 8 else np.uint16
    image.BitsAllocated, image.BitsStored, image.HighBit = (
        8 * np.dtype(dtype).itemsize,
        bits,
        bits - 1,
    )
    image.PixelRepresentation = 0
    image.PixelData = np.rint(pixels).astype(dtype).tobytes()


def packed(pixels: np.ndarray, how: str) -> bytes:
    """A codestream of one slice. JPEG knows no sign: its numbers stand for the bits."""
    bits = pixels.view(np.uint16) if pixels.dtype == np.int16 else pixels
    match how:
        case "jpeg":
            return imagecodecs.jpeg8_encode(pixels, level=95)
        case "jpeg-extended":
            return imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=12)
        case "jpeg-lossless":
            return imagecodecs.ljpeg_encode(bits, bitspersample=16)
        case "jpeg-lossless-1":
            return imagecodecs.jpeg8_encode(bits, lossless=True, bitspersample=16)
        case "htj2k-lossy":
            return imagecodecs.htj2k_encode(pixels, level=0.0005, reversible=False)
        case _:
            return imagecodecs.htj2k_encode(pixels, reversible=True)


if __name__ == "__main__":
    main()
