"""Reads what `i3deep export` has written with other programs, and compares voxel by voxel; writes the same labels with
them. The only argument is the folder of the files."""

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.sr.codedict import codes

VERSIONS = ("pydicom", "highdicom", "SimpleITK", "dcmqi", "dicom3tools")


def main() -> None:
    """Runs every check; the first that fails ends the program."""
    folder = Path(sys.argv[1])
    for package in VERSIONS:
        try:
            print(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            print(package, "is not installed")
    truth = sitk.ReadImage(str(folder / "labels.nii.gz"))
    labels = sitk.GetArrayFromImage(truth)
    source = sorted(
        (pydicom.dcmread(file) for file in (folder / "series").iterdir()), key=lambda image: -image.InstanceNumber
    )
    for name in ("labelmap.dcm", "binary.dcm", "anonymous.dcm"):
        read_by_highdicom(folder / name, labels, source)
        passes_dciodvfy(folder / name)
        read_by_dcmqi(folder / name, truth)
    for name in ("labels.seg.nrrd", "labels.nrrd", "labels.mha"):
        image = sitk.ReadImage(str(folder / name))
        assert np.array_equal(sitk.GetArrayFromImage(image), labels), name
        same_place(image, truth, name)
        print(name, "is read by SimpleITK to the same voxels")
    write(folder, labels, source, truth)


def read_by_highdicom(file: Path, labels: np.ndarray, source: list[pydicom.Dataset]) -> None:
    """The labels, the references and what is said of the patient."""
    seg = highdicom.seg.segread(file)
    volume = seg.get_volume(combine_segments=True, skip_overlap_checks=False)
    normal = np.cross(seg_rows(source[0]), seg_columns(source[0]))
    heights = [float(np.dot(image.ImagePositionPatient, normal)) for image in source]
    # Planes that hold background alone are not in the file.
    got = np.zeros_like(labels)
    for plane in range(volume.array.shape[0]):
        position = volume.map_indices_to_reference(np.array([[plane, 0, 0]]))[0]
        at = int(np.argmin(np.abs(np.array(heights) - np.dot(position, normal))))
        assert np.allclose(position, source[at].ImagePositionPatient, atol=1e-4), file.name
        got[at] = volume.array[plane]
    assert np.array_equal(got, labels), file.name
    for frame in seg.PerFrameFunctionalGroupsSequence:
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        image = next(image for image in source if image.SOPInstanceUID == reference)
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, image.ImagePositionPatient, atol=1e-6)
    assert [segment.SegmentLabel for segment in seg.SegmentSequence if segment.SegmentNumber] == ["organ", "lesion"]
    assert seg.FrameOfReferenceUID == source[0].FrameOfReferenceUID
    assert seg.StudyInstanceUID == source[0].StudyInstanceUID
    said = (seg.PatientName, seg.PatientID, seg.PatientBirthDate, seg.AccessionNumber)
    theirs = (
        source[0].PatientName,
        source[0].PatientID,
        source[0].PatientBirthDate,
        source[0].AccessionNumber,
    )
    expected = ("", "", "", "") if file.name == "anonymous.dcm" else theirs
    assert said == expected, file.name
    print(file.name, "is read by highdicom to the same voxels")


def seg_rows(image: pydicom.Dataset) -> list[float]:
    """Where columns run to."""
    return image.ImageOrientationPatient[:3]


def seg_columns(image: pydicom.Dataset) -> list[float]:
    """Where rows run to."""
    return image.ImageOrientationPatient[3:]


def beside(program: str) -> str | None:
    """A program of this Python's environment, or of the machine."""
    own = Path(sys.executable).with_name(program)
    return str(own) if own.is_file() else shutil.which(program)


def passes_dciodvfy(file: Path) -> None:
    """No error against the standard."""
    program = beside("dciodvfy")
    if program is None:
        print("dciodvfy is not there:", file.name, "was not checked")
        return
    said = subprocess.run([program, str(file)], capture_output=True, text=True, check=False)
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    assert not errors, (file.name, errors)
    print(file.name, "passes dciodvfy without error")


def read_by_dcmqi(file: Path, truth: sitk.Image) -> None:
    """The labels as `segimage2itkimage` writes them: a file, or one a segment."""
    program = beside("segimage2itkimage")
    if program is None:
        print("dcmqi is not there:", file.name, "was not checked")
        return
    with tempfile.TemporaryDirectory() as folder:
        said = subprocess.run(
            [program, "--inputDICOM", str(file), "--outputDirectory", folder, "--outputType", "nifti"],
            capture_output=True,
            text=True,
            check=False,
        )
        files = sorted(Path(folder).glob("*.nii.gz"))
        assert said.returncode == 0 and files, (file.name, said.stdout, said.stderr)
        merged = sitk.Image(truth.GetSize(), sitk.sitkUInt8)
        merged.CopyInformation(truth)
        for number, part in enumerate(files, start=1):
            image = sitk.ReadImage(str(part))
            image = sitk.Resample(image, truth, sitk.Transform(), sitk.sitkNearestNeighbor)
            values = sitk.GetArrayFromImage(image)
            values = np.where(values > 0, number, 0) if len(files) > 1 else values
            array = np.maximum(sitk.GetArrayFromImage(merged), values.astype(np.uint8))
            merged = sitk.GetImageFromArray(array)
            merged.CopyInformation(truth)
        assert np.array_equal(sitk.GetArrayFromImage(merged), sitk.GetArrayFromImage(truth)), file.name
    print(file.name, "is read by dcmqi to the same voxels")


def same_place(image: sitk.Image, truth: sitk.Image, name: str) -> None:
    """Origin, spacing and directions, as far as NIfTI's single precision tells."""
    assert np.allclose(image.GetOrigin(), truth.GetOrigin(), atol=1e-3), name
    assert np.allclose(image.GetSpacing(), truth.GetSpacing(), atol=1e-5), name
    assert np.allclose(image.GetDirection(), truth.GetDirection(), atol=1e-5), name


def write(folder: Path, labels: np.ndarray, source: list[pydicom.Dataset], truth: sitk.Image) -> None:
    """The same labels by highdicom and SimpleITK."""
    maker = highdicom.AlgorithmIdentificationSequence(
        name="peer", version="1", family=codes.cid7162.ArtificialIntelligence
    )
    segments = [
        highdicom.seg.SegmentDescription(
            number,
            name,
            codes.SCT.AnatomicalStructure,
            codes.SCT.Organ,
            highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            maker,
        )
        for number, name in ((1, "organ"), (2, "lesion"))
    ]
    for kind in ("LABELMAP", "BINARY"):
        uids = highdicom.UID(), highdicom.UID()
        seg = highdicom.seg.Segmentation(
            source, labels, kind, segments, uids[0], 1, uids[1], 1, "peer", "peer", "1", "1"
        )
        seg.save_as(folder / f"theirs-{kind.lower()}.dcm")
    sitk.WriteImage(truth, str(folder / "theirs.nrrd"), useCompression=True)
    sitk.WriteImage(truth, str(folder / "theirs.mha"), useCompression=True)
    sitk.WriteImage(truth, str(folder / "theirs.mhd"))
    big = sitk.GetArrayFromImage(truth).astype(">i2").tobytes()
    header = (folder / "theirs.nrrd").read_bytes().split(b"\n\n", 1)[0].decode()
    lines = [line for line in header.splitlines() if not line.startswith(("type", "encoding", "endian"))]
    head = "\n".join([*lines, "type: int16", "endian: big", "encoding: raw"])
    (folder / "theirs-big.nrrd").write_bytes(head.encode() + b"\n\n" + big)


if __name__ == "__main__":
    main()
