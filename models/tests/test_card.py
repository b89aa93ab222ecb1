"""What runs on a card for a whole batch computes what the one-case code computes."""

import math
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from i3deep_models import guidance
from i3deep_models.guidance import Encoding
from i3deep_models.training.card import augment, expert, fit
from i3deep_models.training.card.pack import Packing, pack, splits_of
from i3deep_models.training.card.run import canonical, grown, mean, work
from i3deep_models.training.card.unpack import Trained, unpack
from i3deep_models.training.plan import PlanOptions, shrink
from i3deep_models.training.simulation import greedy_planes
from i3deep_models.workspace import Workspace, write_json

SPACING_MM = (3.0, 1.0, 0.7)


def draw(count: list[int]) -> expert.Draw:
    n = len(count)
    return expert.Draw(torch.tensor(count), torch.full((n,), 3.0), torch.ones(n, dtype=torch.bool), torch.ones(n, 3), 0)


def test_planes_are_those_that_one_case_would_get():
    uncertainty = np.random.default_rng(7).random((3, 9, 12, 10)).astype(np.float32) ** 4
    counts = [1, 4, 8]
    chosen = expert.draw_planes(torch.from_numpy(uncertainty), draw(counts), torch.tensor(SPACING_MM))
    for row, count in enumerate(counts):
        expected = sorted(greedy_planes(uncertainty[row], count, SPACING_MM))
        got = sorted((axis, int(index)) for axis in range(3) for index in chosen[axis][row].nonzero().flatten())
        assert got == expected


@pytest.mark.parametrize("presegmentation", ["none", "labels", "doubted"])
@pytest.mark.parametrize("annotated", [True, False])
def test_channels_are_those_that_one_case_would_get(presegmentation: str, annotated: bool):
    rng = np.random.default_rng(8)
    shape = (2, 5, 6, 4)
    labels, before = rng.integers(0, 3, shape), rng.integers(0, 3, shape)
    said = np.where(rng.random(shape) < 0.5, labels, guidance.UNANNOTATED)
    uncertainty = rng.random(shape).astype(np.float32)
    tensors = [torch.from_numpy(v) for v in (labels, before, uncertainty, said)]
    batch = expert.Batch(torch.zeros(2, 1, *shape[1:]), *tensors[:3])
    encoding = Encoding(annotated=annotated, presegmentation=presegmentation)
    got = expert.channels(expert.Met(batch, tensors[3]), 3, encoding).numpy()
    assert got.shape[1] == encoding.channels(2)
    for row in range(2):
        expected = guidance.channels(said[row], before[row], [1, 2], encoding, uncertainty[row])
        np.testing.assert_allclose(got[row], expected, atol=1e-6)


def test_a_steady_expert_says_the_truth_in_whole_planes_and_nothing_elsewhere():
    labels = torch.randint(0, 3, (2, 6, 7, 8), generator=torch.Generator().manual_seed(3))
    planes = [torch.zeros(2, size, dtype=torch.bool) for size in (6, 7, 8)]
    planes[0][0, 2] = planes[2][0, 5] = planes[1][1, 0] = True
    said = expert.corrections(labels, planes, torch.tensor([False, False]))
    seen = torch.zeros(2, 6, 7, 8, dtype=torch.bool)
    seen[0, 2], seen[0, :, :, 5], seen[1, :, 0] = True, True, True
    assert torch.equal(said, torch.where(seen, labels, guidance.UNANNOTATED))
    assert expert.contradicted(expert.drawn(labels, planes, torch.tensor([False, False]))).tolist() == [0, 0]
    # An unsteady hand leaves the same planes alone, and is somewhere wrong.
    wavered = expert.corrections(labels, planes, torch.tensor([True, True]))
    assert torch.equal(wavered < 0, ~seen)
    assert not torch.equal(wavered, said)


def test_a_hand_that_contradicts_itself_draws_planes_too_wide_and_too_tight_by_turns():
    labels = torch.zeros(1, 4, 9, 9, dtype=torch.long)
    labels[0, :, 3:6, 3:6] = 2
    drawn = (expert.by_turns(labels, axis=0) == 2).sum((2, 3))[0].tolist()
    assert drawn == [25, 1, 25, 1]


def test_cases_larger_than_a_patch_are_predicted_by_patches_and_axes_that_allow_it_are_mirrored():
    seen: list[tuple[int, ...]] = []

    class Spy(torch.nn.Module):
        def forward(self, data: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(data.shape[2:]))
            return torch.cat([data, -data], 1)

    def check(size: tuple[int, ...], mirror_axes: tuple[int, ...], patches: int):
        seen.clear()
        data = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(5))
        found = fit.predict(Spy(), data, fit.Prediction(2, (8, 8, 8), mirror_axes))
        # A network that looks at one voxel alone finds the same, however the case is cut and mirrored.
        torch.testing.assert_close(found, torch.cat([data, -data], 1).softmax(1), atol=1e-6, rtol=0)
        assert len(seen) == patches

    check((8, 10, 6), (), patches=1)
    check((8, 10, 6), (0, 2), patches=4)
    check((16, 8, 11), (), patches=3 * 2)
    assert set(seen) == {(8, 8, 8)}


def test_patches_are_mirrored_along_the_axes_that_allow_it():
    ramp = torch.arange(12.0).reshape(1, 1, 1, 1, 12).expand(64, 1, 12, 12, 12)
    for axes, turned in (((0, 1), False), ((2,), True)):
        torch.manual_seed(3)
        source = augment.Source((12, 12, 12), torch.ones(3), axes)
        at = augment.placing(torch.full((64, 3), 6.0), source, (6, 6, 6))
        placed = augment.placed(ramp, at)
        assert bool((placed[..., 4] < placed[..., 1]).any()) == turned


def test_a_patch_of_a_large_case_is_cut_from_the_part_it_touches(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(4)
    size, patch = (40, 30, 36), (8, 10, 6)
    volumes = torch.rand(32, 2, *size)
    labels = torch.randint(0, 3, (32, *size))
    # In the middle, across a border, and where a corner of the case is all there is.
    centres = (torch.rand(32, 3) * 1.2 - 0.1) * torch.tensor(size)
    at = augment.placing(centres.clamp_min(0).floor(), augment.Source(size, torch.tensor(SPACING_MM)), patch)
    in_parts = augment.placed(volumes, at), augment.placed_labels(labels, 3, at)
    assert all(part.numel() < math.prod(size) for part, _ in augment.touched(labels, at))
    monkeypatch.setattr(augment, "MUCH_LARGER", math.inf)
    whole = augment.placed(volumes, at), augment.placed_labels(labels, 3, at)
    torch.testing.assert_close(in_parts[0], whole[0], atol=1e-5, rtol=0)
    # A tie between two labels may fall either way.
    assert float((in_parts[1] != whole[1]).float().mean()) < 1e-3


def test_cases_are_split_by_fivefold_validation_or_in_halves():
    cases = [f"c{number:02}" for number in range(20)]
    folds = splits_of(cases, cases, 6)
    assert len(folds) == 5
    assert sorted(case for fold in folds for case in fold["val"]) == cases
    first, second = splits_of(cases[:8], cases[8:], 6)
    assert (first["train"], first["val"]) == (cases[:8], cases[8:])
    assert len(second["val"]) == 6 and sorted(second["train"] + second["val"]) == cases[8:]
    with pytest.raises(ValueError, match="share some cases only"):
        splits_of(cases[:12], cases[8:], 6)


@pytest.mark.parametrize(("packing", "says"), [(Packing(steps=300), "2 to 256"), (Packing(validation=0), "one case")])
def test_what_cannot_be_packed_is_said_before_anything_is_read(packing: Packing, says: str, tmp_path):
    with pytest.raises(ValueError, match=says):
        pack(Workspace(tmp_path), tmp_path / "pack", packing)


def test_a_patch_is_a_multiple_of_what_the_network_halves():
    def shrunk(patch: tuple[int, int, int]) -> dict:
        strides = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
        configuration = {"patch_size": [8, 8, 8], "architecture": {"arch_kwargs": {"n_stages": 3, "strides": strides}}}
        options = PlanOptions(
            base_features=8, batch_size=2, dropout=0, held_out=0, seed=1, max_features=16, patch=patch
        )
        shrink(configuration, options)
        return configuration

    assert shrunk((6, 4, 8))["patch_size"] == [6, 4, 8]
    assert shrunk((6, 4, 8))["architecture"]["arch_kwargs"]["features_per_stage"] == [8, 16, 16]
    with pytest.raises(ValueError, match=r"multiples of \[2, 4, 4\]"):
        shrunk((6, 6, 8))


def test_the_loss_is_nnunets():
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 6, 5, 4, generator=generator)
    target = torch.randint(0, 3, (2, 6, 5, 4), generator=generator)
    theirs = DC_and_CE_loss(
        {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    expected = float(theirs(logits, target[:, None]))
    assert float(fit.loss(logits, target, None)) == pytest.approx(expected, abs=1e-5)


ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [2, 4],
        "conv_op": "torch.nn.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 2,
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": "torch.nn.InstanceNorm3d",
        "norm_op_kwargs": {"affine": True},
        "dropout_op": "torch.nn.Dropout3d",
        "dropout_op_kwargs": {"p": 0.1},
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def test_a_network_grows_by_channels_under_all_of_its_names():
    plans = {"configurations": {"3d_fullres": {"architecture": ARCHITECTURE}}}
    small, large = fit.build(plans, 1, 3), fit.build(plans, 4, 3)
    once = {name: value.half() for name, value in small.state_dict().items() if canonical(name) == name}
    assert len(once) < len(small.state_dict())
    large.load_state_dict(grown(once, large))
    own = large.state_dict()
    first = "encoder.stages.0.0.convs.0.conv.weight"
    assert torch.equal(own[first][:, :1], once[first].float())
    assert all(torch.equal(own[name], own[canonical(name)]) for name in own)


def test_a_training_that_was_cut_off_goes_on_from_its_checkpoint(tmp_path):
    plans = {"configurations": {"3d_fullres": {"architecture": ARCHITECTURE}}}

    def steps(count: int) -> Iterator[fit.Step]:
        for _ in range(count):
            yield fit.Step(torch.randn(2, 1, 8, 8, 8), torch.randint(0, 3, (2, 8, 8, 8)))
        raise InterruptedError

    keeping = fit.Keeping(tmp_path / "a.state", {"name": "a", "seed": 1}, every_s=0)
    network = fit.build(plans, 1, 3)
    with pytest.raises(InterruptedError):
        fit.fit(network, steps(3), 3, fit.Schedule(seconds=1000, batch=2), keeping=keeping)

    def check(job: dict, taken: int, same: bool):
        again = fit.build(plans, 1, 3)
        kept = fit.Keeping(keeping.file, job)
        # Its time is over as soon as it goes on.
        assert fit.fit(again, steps(0), 3, fit.Schedule(seconds=0, batch=2), keeping=kept) == taken
        pairs = zip(again.state_dict().values(), network.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == same

    check(keeping.job, taken=3, same=True)
    check({"name": "a", "seed": 2}, taken=0, same=False)
    assert [file.name for file in tmp_path.iterdir()] == ["a.state"]


def test_a_job_that_is_finished_is_left_as_it_is(tmp_path, capsys):
    job = {"name": "a", "does": "refinement", "pack": str(tmp_path / "none")}
    write_json(tmp_path / "a.json", {"job": job})
    work(job, tmp_path, tmp_path)
    assert "a was finished before" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError):
        work(job | {"seed": 2}, tmp_path, tmp_path)


def test_what_is_unpacked_lists_layers_under_all_of_their_names(tmp_path):
    plans = {"configurations": {"3d_fullres": {"architecture": ARCHITECTURE}}}
    network = fit.build(plans, 2, 3)
    once = {name: value for name, value in network.state_dict().items() if canonical(name) == name}
    about = tmp_path / "pack.json"
    dataset = {"labels": {"background": 0, "a": 1, "b": 2}}
    write_json(about, {"plans": plans, "dataset": dataset, "mirror_axes": [0, 1]})
    torch.save(once, tmp_path / "weights.pt")
    unpack(about, Trained({"0": tmp_path / "weights.pt"}, tmp_path / "trained"))
    checkpoint = torch.load(tmp_path / "trained/fold_0/checkpoint_final.pth", weights_only=False)
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1)
    stored = checkpoint["network_weights"]
    assert stored.keys() == network.state_dict().keys()
    assert all(torch.equal(stored[name], own) for name, own in network.state_dict().items())
    torch.save({name: value for name, value in once.items() if "seg_layers" not in name}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"different networks: decoder\.seg_layers"):
        unpack(about, Trained({"0": tmp_path / "weights.pt"}, tmp_path / "trained"))


def test_a_mean_of_networks_has_the_mean_of_their_weights(tmp_path):
    pack = SimpleNamespace(plans={"configurations": {"3d_fullres": {"architecture": ARCHITECTURE}}})
    cases = SimpleNamespace(pack=pack, heads=3, device=torch.device("cpu"))
    networks = {name: fit.build(pack.plans, 4, 3) for name in ("a", "b")}
    for name, network in networks.items():
        torch.save(network.state_dict(), tmp_path / f"{name}.pt")
    job = {"of": ["a", "b"], "encoding": {"annotated": True}}
    found = mean(job, cases, tmp_path, {}).state_dict()
    for name, a in networks["a"].state_dict().items():
        b = networks["b"].state_dict()[name]
        torch.testing.assert_close(found[name], (a + b) / 2)


def test_planes_contradict_each_other_where_they_cross_and_one_sees_something():
    nothing = torch.full((2, 3, 4, 5), guidance.UNANNOTATED)
    axial, coronal, sagittal = nothing.clone(), nothing.clone(), nothing.clone()
    axial[:, 1], coronal[:, :, 2] = 0, 0
    assert expert.contradicted([axial, coronal, sagittal]).tolist() == [0, 0]
    # Both see a voxel, one of them another; a third voxel lies in one plane alone.
    axial[0, 1, 2, 1], coronal[0, 1, 2, 1] = 1, 1
    axial[0, 1, 2, 3] = 2
    axial[0, 1, 0, 0] = 1
    said = expert.contradicted([axial, coronal, sagittal])
    assert said.tolist() == pytest.approx([1 / 2 * 2**2 / (2**2 + expert.FEW**2), 0])
