"""Packs every DICOM file of a folder anew. Arguments: the folder, and how. Needs what `make.py` needs."""

import sys
from pathlib import Path

import imagecodecs
import pydicom
from pydicom.encaps import encapsulate

SYNTAXES = {
    "plain": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "j2k": "1.2.840.10008.1.2.4.90",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "htj2k-rpcl": "1.2.840.10008.1.2.4.202",
}


def main() -> None:
    """One file after the other, in its place."""
    folder, how = Path(sys.argv[1]), sys.argv[2]
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        if how in ("rle", "jpegls", "j2k"):
            image.compress(SYNTAXES[how], generate_instance_uid=False)
        elif how.startswith("htj2k"):
            image.PixelData = encapsulate(
                [imagecodecs.htj2k_encode(image.pixel_array, reversible=True)]
            )
            image["PixelData"].VR = "OB"
        image.file_meta.TransferSyntaxUID = SYNTAXES[how]
        image.save_as(file, enforce_file_format=True)


if __name__ == "__main__":
    main()
