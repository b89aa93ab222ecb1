"""What trainers do otherwise than nnU-Net's."""

from types import SimpleNamespace

import pytest

from i3deep_models.cli import main
from i3deep_models.training.trainers import PresegmentationTrainer


@pytest.mark.parametrize(("asked", "expected"), [("0,1,2", (0, 1, 2)), ("1,2", (1, 2)), ("0", (0,)), ("", ())])
def test_scans_are_mirrored_along_the_axes_that_were_asked_for(monkeypatch, asked, expected):
    monkeypatch.setenv("I3DEEP_MIRROR_AXES", asked)
    trainer = PresegmentationTrainer.__new__(PresegmentationTrainer)
    trainer.configuration_manager = SimpleNamespace(patch_size=[32, 40, 48])
    trainer.print_to_log_file = lambda *_: None
    *_, mirror_axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert mirror_axes == expected
    # What the checkpoint keeps, and prediction mirrors along.
    assert trainer.inference_allowed_mirroring_axes == expected


def test_an_axis_that_no_scan_has_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["train", "presegmentation", "-w", "nowhere", "--mirror-axes", "3"])
    assert "axes are 0 (z), 1 (y) and 2 (x), not 3" in capsys.readouterr().err
