"""Well-formed NIfTI files that are odd, and what nibabel reads of them: the backend's reader is compared with it over
these very files (`backend/tests/inputs/nibabel.rs`). Run this file to write them anew."""

import gzip
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

FOLDER = Path(__file__).parent.parent / "fixtures" / "odd_nifti"
DIMS = (4, 3, 2)
SIZES = (2.0, 3.0, 4.0)
SFORM = [[2, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, -30]]
TURNED = [[0, 3, 0, 5], [-2, 0, 0, 6], [0, 0, 4, 7]]
"""Axes in another order."""
MM_PER_UNIT = {1: 1000.0, 3: 1e-3}


def oblique(angle: float) -> np.ndarray:
    """An affine that is turned about x, then about z."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = turn * SIZES
    affine[:3, 3] = (11.5, -7.25, 3)
    return affine


def numbers(dtype="<i2") -> np.ndarray:
    """Voxels that tell their place, in Fortran order."""
    return (np.arange(24) * 5 - 30 if np.dtype(dtype).kind != "u" else np.arange(24) * 5).astype(dtype)


class File:
    """A file by its header's fields; what is not named is as nibabel makes it, with an sform and a qform that agree."""

    def __init__(self, voxels=None, *, second=False, endian="<", **fields):
        kind = nib.Nifti2Header if second else nib.Nifti1Header
        self.voxels = numbers() if voxels is None else voxels
        self.header = header = kind(endianness=endian, check=False)
        header.set_data_dtype(self.voxels.dtype)
        header["dim"] = (3, *DIMS, 1, 1, 1, 1)
        header["pixdim"] = (1, *SIZES, 0, 0, 0, 0)
        header["vox_offset"] = 544 if second else 352
        header["xyzt_units"] = 2
        header["scl_slope"], header["scl_inter"] = 1, 0
        header["sform_code"] = header["qform_code"] = 1
        self.place(SFORM)
        header["qoffset_x"], header["qoffset_y"], header["qoffset_z"] = np.array(SFORM)[:, 3]
        for name, value in fields.items():
            header[name] = value

    def place(self, sform):
        """Sets the sform."""
        for row, name in zip(np.asarray(sform)[:3], ("srow_x", "srow_y", "srow_z"), strict=True):
            self.header[name] = row
        return self

    def turned(self, affine, code=1):
        """Sets the qform, sizes included."""
        self.header.set_qform(affine, code)
        return self

    def bytes(self, extensions=b"\0\0\0\0", behind=b"") -> bytes:
        """One file."""
        return self.header.binaryblock + extensions + self.data() + behind

    def data(self) -> bytes:
        """The voxels in the header's byte order."""
        return self.voxels.astype(self.voxels.dtype.newbyteorder(self.header.endianness)).tobytes()

    def pair(self, name: str, begin=b"") -> dict[str, bytes]:
        """Two files."""
        self.header["magic"] = b"ni2" if isinstance(self.header, nib.Nifti2Header) else b"ni1"
        self.header["vox_offset"] = len(begin)
        return {f"{name}.hdr": self.header.binaryblock, f"{name}.img": begin + self.data()}


def extension(code: int, content: bytes, size: int) -> bytes:
    """An extension of a header, padded."""
    return np.array([size, code], "<i4").tobytes() + content.ljust(size - 8, b"\0")


def places() -> dict[str, bytes]:
    """Forms, codes, sizes and units."""
    none = {"sform_code": 0, "qform_code": 0}
    half = {"sform_code": 0, "quatern_b": 0, "quatern_c": 0}
    sheared = [[2, 0.6, 0, -10], [0, 3, 0, -20], [0, 0, 4, -30]]
    tiny = File(xyzt_units=3, pixdim=(1, 2000, 3000, 4000, 0, 0, 0, 0)).place(np.array(SFORM) * 1000.0)
    large = File(xyzt_units=1 | 8, pixdim=(1, 2e-3, 3e-3, 4e-3, 1, 0, 0, 0)).place(np.array(SFORM) / 1000.0)
    files = {
        "plain": File(),
        "sform-alone": File(qform_code=0),
        "sform-code-4": File(sform_code=4, qform_code=0),
        "qform-alone": File(sform_code=0),
        "qform-oblique": File(sform_code=0).turned(oblique(0.4)),
        "qform-oblique-left-handed": File(sform_code=0).turned(oblique(1.1) @ np.diag([1, 1, -1, 1])),
        "both-differ": File(sform_code=2).turned(oblique(0.3)),
        "both-differ-other-codes": File(sform_code=1).turned(oblique(-0.3), 2),
        "sform-oblique": File(qform_code=0).place(oblique(0.7)),
        "sform-sheared": File(qform_code=0).place(sheared),
        "sform-axes-turned": File(qform_code=0, pixdim=(1, 2, 3, 4, 0, 0, 0, 0)).place(TURNED),
        "sform-mirrored": File(qform_code=0).place([[-2, 0, 0, 10], [0, 3, 0, -20], [0, 0, 4, -30]]),
        "sform-thick": File(qform_code=0, pixdim=(1, 0.25, 0.25, 9, 0, 0, 0, 0)).place(np.diag([0.25, 0.25, 9, 1])),
        "codes-below-zero": File(sform_code=-1, qform_code=1),
        "no-place": File(**none),
        "no-place-flat": File(**none, dim=(3, 4, 6, 1, 1, 1, 1, 1)),
        "no-place-sizes-negative": File(**none, pixdim=(1, -2, 3, 4, 0, 0, 0, 0)),
        "sizes-negative-sform": File(qform_code=0, pixdim=(1, -2, -3, 4, 0, 0, 0, 0)),
        "sizes-negative-qform": File(sform_code=0, pixdim=(1, 2, -3, 4, 0, 0, 0, 0)),
        "sizes-zero-sform": File(qform_code=0, pixdim=(1, 0, 3, 4, 0, 0, 0, 0)),
        "sizes-unlike-sform": File(qform_code=0, pixdim=(1, 2.5, 3, 4, 0, 0, 0, 0)),
        "qfac-minus-one": File(sform_code=0, pixdim=(-1, *SIZES, 0, 0, 0, 0)),
        "qfac-zero": File(sform_code=0, pixdim=(0, *SIZES, 0, 0, 0, 0)),
        "half-turn": File(**half, quatern_d=1),
        "half-turn-by-a-hair": File(**half, quatern_d=np.float32(1.0000001)),
        "micrometres": tiny,
        "metres-and-milliseconds": large,
        "unknown-unit": File(xyzt_units=0),
        "seconds-too": File(xyzt_units=2 | 8, pixdim=(1, *SIZES, 2.5, 0, 0, 0)),
    }
    return {f"{name}.nii": file.bytes() for name, file in files.items()}


def values() -> dict[str, bytes]:
    """Types of voxels, and how they are scaled."""
    kinds = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
    ends = {kind: np.iinfo(kind) for kind in kinds if kind[0] != "f"}
    files = {f"type-{kind}": File(numbers(f"<{kind}")) for kind in kinds}
    for kind, info in ends.items():
        voxels = numbers(f"<{kind}")
        voxels[:2] = info.min, info.max
        files[f"ends-of-{kind}"] = File(voxels)
    fractions = (np.arange(24) / 7 - 1.3).astype("<f4")
    files |= {
        "fractions": File(fractions),
        "doubles": File(fractions.astype("<f8") * 1e30),
        "slope": File(scl_slope=0.1, scl_inter=-3),
        "slope-negative": File(scl_slope=-2.5, scl_inter=100),
        "slope-tiny": File(scl_slope=1e-20, scl_inter=1e-15),
        "slope-of-floats": File(fractions, scl_slope=3.3, scl_inter=0.7),
        "slope-of-bytes": File(numbers("<u1"), scl_slope=0.004),
        "slope-one-and-intercept": File(scl_slope=1, scl_inter=5),
        "slope-zero": File(scl_slope=0, scl_inter=5),
        "slope-nan": File(scl_slope=np.nan, scl_inter=np.nan),
        "slope-infinite": File(scl_slope=np.inf, scl_inter=1),
        "complex": File(np.ones(24, "<c8")),
        "complex-doubles": File(np.ones(24, "<c16")),
        "colours": File(np.zeros(24, [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        "colours-and-alpha": File(np.zeros(24, [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])),
    }
    return {f"{name}.nii": file.bytes() for name, file in files.items()}


def shapes() -> dict[str, bytes]:
    """Dimensions, and what is said of them."""
    files = {
        "one-volume-in-time": File(dim=(4, *DIMS, 1, 1, 1, 1)),
        "seven-dimensions": File(dim=(7, *DIMS, 1, 1, 1, 1)),
        "rest-of-dim-zero": File(dim=(3, *DIMS, 0, 0, 0, 0)),
        "rest-of-dim-noise": File(dim=(3, *DIMS, 9, 9, 9, 9)),
        "one-row": File(dim=(3, 1, 12, 2, 1, 1, 1, 1)),
        "one-column": File(dim=(3, 12, 1, 2, 1, 1, 1, 1)),
        "one-plane": File(dim=(3, 4, 6, 1, 1, 1, 1, 1)),
        "one-voxel": File(numbers()[:1], dim=(3, 1, 1, 1, 1, 1, 1, 1)),
        "picture": File(dim=(2, 4, 6, 1, 1, 1, 1, 1)),
        "two-volumes-in-time": File(dim=(4, 4, 3, 1, 2, 1, 1, 1)),
        "vectors": File(dim=(5, 4, 2, 1, 1, 3, 1, 1), intent_code=1007),
    }
    return {f"{name}.nii": file.bytes() for name, file in files.items()}


def containers() -> dict[str, bytes]:
    """Versions, byte orders, extensions, files in two parts, packing."""
    comment = extension(6, b"patient: none", 32)
    several = comment + extension(4, b"<caret/>", 16) + extension(44, b"\1\2\3", 48)
    texts = {"descrip": b"scanner", "aux_file": b"other.nii", "intent_name": b"labels", "cal_max": 7, "cal_min": -7}
    whole = File().bytes()
    named = gzip.compress(whole, 0, mtime=0)
    # Flags (RFC 1952): a name and a comment follow the ten bytes of the header.
    named = named[:3] + b"\x18" + named[4:10] + b"scan.nii\0a comment\0" + named[10:]
    return {
        "big-endian.nii": File(endian=">").bytes(),
        "big-endian-floats.nii": File(numbers("<f8"), endian=">", scl_slope=2).bytes(),
        "second.nii": File(second=True).bytes(),
        "second-big-endian.nii": File(second=True, endian=">").turned(oblique(0.2)).bytes(),
        "second-qform.nii": File(second=True, sform_code=0).turned(oblique(0.5)).bytes(),
        "second-unsigned.nii": File(numbers("<u4"), second=True, scl_slope=0.5).bytes(),
        "second-extension.nii": File(second=True, vox_offset=576).bytes(b"\1\0\0\0" + comment),
        "extension.nii": File(vox_offset=384).bytes(b"\1\0\0\0" + comment),
        "extensions.nii": File(vox_offset=448).bytes(b"\1\0\0\0" + several),
        "extension-announced-and-absent.nii": File().bytes(b"\1\0\0\0"),
        "voxels-later.nii": File(vox_offset=400).bytes(bytes(4 + 48)),
        "bytes-behind.nii": File().bytes(behind=b"something else"),
        "texts.nii": File(**texts).bytes(),
        **File().pair("pair"),
        **File(endian=">").pair("pair-big-endian"),
        **File().pair("pair-later", bytes(16)),
        **File(second=True).pair("pair-second"),
        "packed.nii.gz": gzip.compress(whole, 0, mtime=0),
        "packed-members.nii.gz": b"".join(
            gzip.compress(part, 0, mtime=0) for part in (whole[:100], whole[100:360], b"", whole[360:])
        ),
        "packed-named.nii.gz": named,
        "packed-second.nii.gz": gzip.compress(File(second=True).bytes(), 0, mtime=0),
    }


def all_files() -> dict[str, bytes]:
    """Every file by its name."""
    return places() | values() | shapes() | containers()


REFUSED = {
    "complex.nii": "complex numbers",
    "complex-doubles.nii": "complex numbers",
    "colours.nii": "RGB colours",
    "colours-and-alpha.nii": "RGBA colours",
    "two-volumes-in-time.nii": "4 ([4, 3, 1, 2]) dimensions, a scan has 3",
    "vectors.nii": "5 ([4, 2, 1, 1, 3]) dimensions, a scan has 3",
}
"""What nibabel reads and is no scan, with what is to be said."""


def read(file: Path) -> dict:
    """What nibabel reads: in mm, as the header's unit says, which nibabel leaves to its caller."""
    image = nib.load(file)
    mm = MM_PER_UNIT.get(int(image.header["xyzt_units"]) & 7, 1.0)
    shape = image.shape + (1,) * (3 - len(image.shape))
    sizes = tuple(float(size) for size in image.header.get_zooms()) + (0.0,) * (3 - len(image.shape))
    with np.errstate(over="ignore"):
        voxels = np.asanyarray(image.dataobj).astype(np.float64).astype(np.float32)
    return {
        "shape": list(shape[:3]),
        "axes": len(image.shape[:3]),
        "affine": (image.affine[:3] * mm).tolist(),
        "spacing_mm": [abs(size) * mm for size in sizes[:3]],
        "voxels": voxels.ravel(order="F").tolist(),
    }


def expected(folder: Path) -> dict[str, dict]:
    """What is to be read of every file, or said."""
    names = [name for name in all_files() if not name.endswith(".img")]
    return {name: {"refused": REFUSED[name]} if name in REFUSED else read(folder / name) for name in sorted(names)}


def test_the_files_are_what_this_code_writes():
    files = all_files()
    stored = {path.name for path in FOLDER.iterdir()} - {"expected.json"}
    assert stored == set(files)
    for name, content in files.items():
        found = (FOLDER / name).read_bytes()
        if name.endswith(".gz"):
            found, content = gzip.decompress(found), gzip.decompress(content)
        assert found == content, name


def test_nibabel_reads_what_is_expected():
    stored = json.loads((FOLDER / "expected.json").read_text())
    assert len(stored) > 80
    assert stored == expected(FOLDER)
    # Refused is only what nibabel does read: damage is another matter.
    assert all(nib.load(FOLDER / name).shape for name in REFUSED)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in all_files().items():
        (FOLDER / name).write_bytes(content)
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in expected(FOLDER).items()]
    (FOLDER / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} scans in {FOLDER}", file=sys.stderr)
