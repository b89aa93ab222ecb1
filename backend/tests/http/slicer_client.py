"""Speaks to a server with the client library of MONAI Label, which 3D Slicer's module uses. Arguments: the server's
address, a case, a folder to work in."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from monailabel.client import MONAILabelClient


def main() -> None:
    """Every call that the module makes, once."""
    address, case, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    print("monailabel", importlib.metadata.version("monailabel"))

    def client() -> MONAILabelClient:
        """The module makes one for each call; one that is used twice repeats the headers of its last request."""
        return MONAILabelClient(address, tmpdir=str(folder))

    assert client().auth_enabled() is False
    info = client().info()
    assert info["labels"] == ["organ", "lesion"]
    assert client().train_status(check_if_running=True) is False
    chosen = client().next_sample("first", {})
    assert chosen["id"] == case and not Path(chosen["path"]).exists()
    listed = client().datastore()
    assert case in listed["objects"]

    original = sitk.ReadImage(client().download_label(case, "original"))
    file, params = client().infer("segmentation", case, {"result_extension": ".nrrd", "result_dtype": "uint8"})
    assert params["label_names"] == {"organ": 1, "lesion": 2}
    assert same(sitk.ReadImage(file), original)

    array = sitk.GetArrayFromImage(original)
    array[9] = np.where(array[9] == 1, 0, 1)
    edited = sitk.GetImageFromArray(array)
    edited.CopyInformation(original)
    sitk.WriteImage(edited, str(folder / "edited.nrrd"), useCompression=True)
    names = [{"name": "organ", "idx": 1}, {"name": "lesion", "idx": 2}]
    saved = client().save_label(case, str(folder / "edited.nrrd"), "final", {"label_info": names})
    assert saved["i3deep"]["edited"] == ["axial 9"], saved
    assert same(sitk.ReadImage(client().download_label(case, "final")), edited)

    file, params = client().infer("refinement", case, {}, label_in=str(folder / "edited.nrrd"))
    refined = sitk.GetArrayFromImage(sitk.ReadImage(file))
    assert params["i3deep"]["version"] == "refinement-1"
    assert np.array_equal(refined[9], array[9])

    session = client().create_session(str(folder / "scan.nii.gz"))
    assert client().get_session(session["session_id"])["name"] == session["session_id"]
    file, _ = client().infer("segmentation", "", {}, session_id=session["session_id"])
    assert sitk.ReadImage(file).GetSize() == original.GetSize()
    client().remove_session(session["session_id"])
    uploaded = client().upload_image(str(folder / "scan.nii.gz"), "DOE^JANE")
    assert uploaded["image"] != "DOE^JANE"
    print("auth, info, next sample, datastore, labels, infer, refine, session, upload: as its own server")


def same(one: sitk.Image, other: sitk.Image) -> bool:
    """Voxels and place."""
    return bool(
        np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))
        and np.allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-3)
        and np.allclose(one.GetDirection(), other.GetDirection(), atol=1e-5)
    )


if __name__ == "__main__":
    main()
