# SPDX-License-Identifier: Apache-2.0
"""Any published pose network from its file alone, foreign files refused by name, and back."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from alphapose_reference import (
    KEYS,
    assert_output_is_the_original_one,
    meta_state,
    needs_shared,
    stated_state,
)
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.models.checkpoint import (
    CheckpointInfo,
    load_checkpoint,
    load_light_state,
    save_checkpoint,
)
from alphapose_ros.models.family import Architecture, architecture_of
from alphapose_ros.models.fastpose import fastpose_duc_resnet, fastpose_resnet
from alphapose_ros.models.hrnet import HRNet
from alphapose_ros.models.info import default_info
from alphapose_ros.models.light import LightPose, fold_batch_norm
from alphapose_ros.models.simplepose import SimplePose
from alphapose_ros.models.state import fitted

pytestmark = pytest.mark.usefixtures("one_thread")

BUNDLED = Path(__file__).parents[1] / "alphapose_ros" / "bundled" / "pose_nano.safetensors"

# family, K, skeleton, options, millions of parameters, decode by keys alone
SE50 = {"depth": 50, "se": True}
POSE_LISTS: dict[str, tuple[str, int, str, dict[str, int], int, str]] = {
    "fastpose_res50_coco17": (
        "fastpose", 17, "coco17", {**SE50, "conv_dim": 128, "dcn": False}, 40_577_745, "heatmap",
    ),
    "fastpose_res50_dcn_coco17": (
        "fastpose", 17, "coco17", {**SE50, "conv_dim": 128, "dcn": True}, 41_158_587, "heatmap",
    ),
    "fastpose_duc_res50_unshuffle_coco17": (
        "fastpose_duc", 17, "coco17", {**SE50, "unshuffle": True}, 57_853_777, "heatmap",
    ),
    "fastpose_duc_res152_coco17": (
        "fastpose_duc", 17, "coco17", {"depth": 152, "se": True, "unshuffle": False}, 83_199_825,
        "heatmap",
    ),
    "simplepose_res50_coco17": (
        "simplepose", 17, "coco17", {"depth": 50}, 33_999_697, "heatmap",
    ),
    "hrnet_w32_coco17": ("hrnet", 17, "coco17", {"width": 32}, 28_536_113, "heatmap"),
    "fastpose_res50_halpe26": (
        "fastpose", 26, "halpe26", {**SE50, "conv_dim": 128, "dcn": False}, 40_588_122, "heatmap",
    ),
    **dict.fromkeys(
        ("fastpose_res50_halpe136_heatmap", "fastpose_res50_halpe136_regression"),
        ("fastpose", 136, "halpe136", {**SE50, "conv_dim": 256, "dcn": False}, 42_052_296, ""),
    ),
    **dict.fromkeys(
        ("fastpose_res50_dcn_halpe136", "fastpose_res50_dcn_multidomain136_combined"),
        ("fastpose", 136, "halpe136", {**SE50, "conv_dim": 256, "dcn": True}, 42_633_138, ""),
    ),
    "fastpose_res152_halpe136": (
        "fastpose", 136, "halpe136", {"depth": 152, "se": True, "conv_dim": 256, "dcn": False},
        76_688_072, "",
    ),
    "fastpose_res50_multidomain136_regression": (
        "fastpose", 136, "halpe136", {**SE50, "conv_dim": 128, "dcn": False}, 40_714_952, "sikr",
    ),
    "fastpose_res50_wholebody133_regression": (
        "fastpose", 133, "wholebody133", {**SE50, "conv_dim": 128, "dcn": False}, 40_711_493,
        "sikr",
    ),
    "fastpose_res50_wholebody133_combined": (
        "fastpose", 133, "wholebody133", {**SE50, "conv_dim": 256, "dcn": False}, 42_045_381, "",
    ),
    "fastpose_res50_dcn_wholebody133": (
        "fastpose", 133, "wholebody133", {**SE50, "conv_dim": 256, "dcn": True}, 42_626_223, "",
    ),
    "fastpose_res152_wholebody133": (
        "fastpose", 133, "wholebody133",
        {"depth": 152, "se": True, "conv_dim": 256, "dcn": False}, 76_681_157, "",
    ),
    "fastpose_res50_dcn_halpe68noface": (
        "fastpose", 68, "halpe68_noface", {**SE50, "conv_dim": 256, "dcn": True}, 42_476_398, "",
    ),
    "fastpose_res50_dcn_singlehand21": (
        "fastpose", 21, "hand21", {**SE50, "conv_dim": 256, "dcn": True}, 42_368_063, "sikr",
    ),
}  # fmt: skip
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "hrnet": partial(HRNet, num_joints=5, width=2),
    "light": partial(LightPose, 26),
    "fastpose": partial(fastpose_resnet, num_joints=136, conv_dim=32, dcn=True),
    "fastpose_duc": partial(fastpose_duc_resnet, num_joints=17, unshuffle=True, se=False),
    "simplepose": partial(SimplePose, num_joints=17),
}


@pytest.fixture(scope="module")
def light() -> dict[str, Tensor]:
    """The state dict of a network of few tensors, quick to write and to read."""
    return dict(fold_batch_norm(LightPose(5)).state_dict())


def written(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def trained(network: nn.Module) -> nn.Module:
    """Norms of a network that has seen something; outputs that are not almost nothing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


# What a file is


@needs_shared
def test_every_key_list_of_a_pose_network_is_tried() -> None:
    names = {p.stem for p in KEYS.glob("*.tsv")}
    foreign = {name for name in names if name.startswith(("reid_", "hardnet"))}
    assert names - foreign == set(POSE_LISTS)
    assert len(foreign) == 6


@needs_shared
@pytest.mark.parametrize("name", POSE_LISTS)
def test_network_follows_from_keys_and_shapes(name: str) -> None:
    family, num_joints, skeleton, options, parameters, decode = POSE_LISTS[name]
    state = meta_state(name)
    found = architecture_of(state)
    assert found == Architecture(family, num_joints, options)
    info = default_info(found, "network.pth")
    assert (info.skeleton, info.decode, info.details) == (skeleton, decode, options)
    with torch.device("meta"):
        network = found.build()
    own = network.state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in state.items()}
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("depth", [50, 101, 152])
@pytest.mark.parametrize("se", [True, False])
def test_depth_and_gates_are_seen(depth: int, se: bool) -> None:
    with torch.device("meta"):
        state = fastpose_duc_resnet(depth=depth, num_joints=9, se=se).state_dict()
    options = {"depth": depth, "se": se, "unshuffle": False}
    found = architecture_of(state)
    assert found == Architecture("fastpose_duc", 9, options)
    assert default_info(found, "").skeleton == ""


@needs_shared
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hardnet68_coco17", "HarDNet, for which no weights were published"),
        ("hardnet85_coco17", "HarDNet, for which no weights were published"),
        ("reid_osnet_ain_x1_0_nc1", "re-identification"),
        ("reid_osnet_x1_0_nc1", "re-identification"),
        ("reid_resnet50_fc512_nc1", "re-identification"),
        ("reid_pga_ResBnLin_nid1000", "re-identification"),
    ],
)
def test_other_networks_of_alphapose_are_refused(name: str, says: str) -> None:
    with pytest.raises(
        WeightsError, match=f"looks like .*{says}.*; expected AlphaPose's FastPose"
    ):
        architecture_of(meta_state(name))


def torchvision_state(name: str) -> dict[str, Tensor]:
    torchvision = pytest.importorskip("torchvision", reason="NOT CHECKED: no torchvision")
    builders = {**vars(torchvision.models), **vars(torchvision.models.detection)}
    with torch.device("meta"):
        options = {"weights_backbone": None} if name in vars(torchvision.models.detection) else {}
        return builders[name](weights=None, **options).state_dict()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet50", "ResNet classifier"),
        ("mobilenet_v2", "a classifier"),
        ("keypointrcnn_resnet50_fpn", "torchvision detector"),
        ("retinanet_resnet50_fpn", "torchvision detector"),
    ],
)
def test_networks_of_torchvision_are_refused(name: str, says: str) -> None:
    with pytest.raises(WeightsError, match=f"looks like .*{says}"):
        architecture_of(torchvision_state(name))


def test_the_other_network_of_the_package_is_refused(tmp_path: Path) -> None:
    from alphapose_ros.models.yolox import YOLOX

    path = written(YOLOX("nano").state_dict(), tmp_path / "yolox.pth")
    with pytest.raises(WeightsError, match=r"yolox\.pth: looks like a YOLOX detector; expected"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({}, "has no tensors"),
        ({"a.b": torch.zeros(1), "c": torch.zeros(2)}, "2 tensors of no known network.*'a.b'"),
        ({3: torch.zeros(1)}, "expected names of tensors, got the key 3"),
        ([torch.zeros(1)], "expected a table of tensors"),
    ],
)
def test_what_is_no_network_is_refused(state: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"x\.pth: .*{says}"):
        load_checkpoint(written(state, tmp_path / "x.pth"))


# From the file to the network


@needs_shared
def test_a_checkpoint_file_gives_the_original_output(tmp_path: Path) -> None:
    name = "fastpose_res50_coco17"
    path = written(stated_state(name), tmp_path / "fast_res50_256x192.pth")
    network, info = load_checkpoint(path)
    assert not network.training
    assert all(p.requires_grad for p in network.parameters())
    assert_output_is_the_original_one(network, name)
    assert info == CheckpointInfo(
        family="fastpose",
        num_joints=17,
        skeleton="coco17",
        decode="heatmap",
        mean=(0.406, 0.457, 0.480),
        std=(1.0, 1.0, 1.0),
        input_hw=(256, 192),
        details={"depth": 50, "conv_dim": 128, "se": True, "dcn": False},
        parameters=40_577_745,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded_it_says_the_same(family: str, tmp_path: Path) -> None:
    network = trained(FAMILIES[family]())
    path = tmp_path / "new" / "network.safetensors"
    info = default_info(architecture_of(network.state_dict()), path.name)
    save_checkpoint(network, info, path)
    loaded, again = load_checkpoint(path)
    assert again == dataclasses.replace(info, parameters=again.parameters)
    assert again.family == family
    crops = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        expected, out = network(crops), loaded(crops)
    exact = family != "light"  # whose norms are folded
    torch.testing.assert_close(out, expected, **({"atol": 0, "rtol": 0} if exact else {}))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o044 == 0o044


@pytest.mark.parametrize("wrapper", ["module", "both"])
def test_wrapped_and_prefixed_files(
    wrapper: str, light: dict[str, Tensor], tmp_path: Path
) -> None:
    state: dict[str, object] = dict(light)
    state = {f"module.{key}": value for key, value in state.items()}
    if wrapper == "both":
        state = {"state_dict": state, "epoch": 7}
    network, _ = load_checkpoint(written(state, tmp_path / "x.pth"))
    for key, value in network.state_dict().items():
        assert torch.equal(value, light[key]), key


def tiny() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2))


def test_half_precision_becomes_single() -> None:
    halves = {key: value.half() for key, value in tiny().state_dict().items()}
    network = fitted(tiny, halves)
    assert not network.training
    state = network.state_dict()
    assert {v.dtype for v in state.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(value, halves[key].to(value.dtype)) for key, value in state.items())


def test_the_network_is_no_window_on_the_file(light: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(light, path)
    network, _ = load_checkpoint(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
    assert torch.equal(network.state_dict()["heatmaps.weight"], light["heatmaps.weight"])


def test_counters_of_training_may_be_missing() -> None:
    state = {k: v + 1 for k, v in tiny().state_dict().items() if "num_batches" not in k}
    own = fitted(tiny, state).state_dict()
    assert own.pop("1.num_batches_tracked") == 0
    assert own.keys() == state.keys()
    assert all(torch.equal(own[key], state[key]) for key in own)


def test_all_that_does_not_fit_is_named() -> None:
    state = dict(tiny().state_dict())
    del state["1.running_var"]
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    state["2.weight"] = torch.zeros(2, 2, dtype=torch.int8)
    state |= {f"extra.{i}": torch.zeros(1) for i in range(7)}
    with pytest.raises(WeightsError) as caught:
        fitted(tiny, state)
    assert str(caught.value) == (
        "does not fit its network: missing: '1.running_var'; unexpected: 'extra.0', 'extra.1', "
        "'extra.2' and 4 more; not as expected: '0.weight' is (4, 3, 5, 5) "
        "in place of (4, 3, 3, 3), '2.weight' is torch.int8 in place of floating point"
    )


def test_a_lost_part_is_counted(tmp_path: Path) -> None:
    whole = HRNet(num_joints=5, width=1).state_dict()
    state = {k: v for k, v in whole.items() if not k.startswith("stage4.2.")}
    lost = [k for k in whole if k not in state and not k.endswith("num_batches_tracked")]
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(written(state, tmp_path / "x.pth"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'x.pth'}: does not fit its network: missing: ")
    assert ", ".join(map(repr, lost[:3])) in message
    assert message.endswith(f" and {len(lost) - 3} more")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"conv_out.weight": None}, "missing 'conv_out.weight', which tells the number of joints"),
        ({"conv_out.weight": (17, 128)}, r"expected the shape .*, got \(17, 128\)"),
        ({"conv_out.weight": (0, 128, 3, 3)}, r"got \(0, 128, 3, 3\)"),
        (
            {"preact.layer3.6.bn1.weight": (256,)},
            r"expected a ResNet with blocks .*\(3, 4, 7, 3\)",
        ),
    ],
)
def test_an_odd_head_or_trunk(change: dict[str, tuple[int, ...] | None], says: str) -> None:
    with torch.device("meta"):
        state = dict(fastpose_resnet(num_joints=17).state_dict())
        state |= {key: torch.empty(shape) for key, shape in change.items() if shape is not None}
    state = {key: value for key, value in state.items() if change.get(key, ()) is not None}
    with pytest.raises(WeightsError, match=says):
        architecture_of(state)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is none"):
        load_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_truncated_file(suffix: str, light: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    if suffix == "pth":
        written(light, path)
    else:
        save_file(light, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=r"x\..*: not a usable"):
        load_checkpoint(path)


class CreatesFile:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_code_is_refused_unrun(
    light: dict[str, Tensor], tmp_path: Path
) -> None:
    victim = tmp_path / "created"
    path = tmp_path / "fast_res50_256x192.pth"
    torch.save({**light, "note": CreatesFile(victim)}, path)
    with pytest.raises(WeightsError, match="refused"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(CreatesFile(victim)))
    with pytest.raises(WeightsError, match="refused"):
        load_checkpoint(path)
    assert not victim.exists()


# How its maps are decoded


@pytest.mark.parametrize(
    ("num_joints", "conv_dim", "file", "decode"),
    [
        (17, 128, "fast_res50_256x192.pth", "heatmap"),
        (17, 128, "mine_regression.pth", "sikr"),
        (26, 128, "halpe26_fast_res50_256x192.pth", "heatmap"),
        (136, 256, "halpe136_fast50_regression_256x192.pth", "sikr"),
        (136, 256, "Halpe136_Heatmap.pth", "heatmap"),
        (136, 128, "multi_domain_fast50_regression_256x192.pth", "sikr"),
        (136, 256, "multi_domain_fast50_dcn_combined_256x192.pth", "combined"),
        (133, 128, "x.pth", "sikr"),
        (133, 256, "x.pth", ""),
        (136, 256, "x.pth", ""),
        (68, 256, "noface_combined.pth", "combined"),
        (68, 256, "x.pth", ""),
        (21, 256, "x.pth", "sikr"),
        (26, 128, "combined.pth", "heatmap"),  # 26 joints have no split
        (9, 128, "x.pth", ""),
    ],
)
def test_decode_by_name_and_by_what_is_known(
    num_joints: int, conv_dim: int, file: str, decode: str
) -> None:
    options = {"depth": 50, "conv_dim": conv_dim, "se": True, "dcn": False}
    assert default_info(Architecture("fastpose", num_joints, options), file).decode == decode


def test_an_explicit_decode_wins_over_the_file_and_the_file_over_its_name(
    light: dict[str, Tensor], tmp_path: Path
) -> None:
    source = written(light, tmp_path / "heatmap.pth")
    target = tmp_path / "heatmap.safetensors"
    save_checkpoint(*load_checkpoint(source, decode="sikr"), target)
    assert load_checkpoint(target)[1].decode == "sikr"
    assert load_checkpoint(target, decode="heatmap")[1].decode == "heatmap"


def test_decodes_are_checked(light: dict[str, Tensor], tmp_path: Path) -> None:
    path = written(light, tmp_path / "x.pth")
    with pytest.raises(
        ConfigError, match="expected one of auto, heatmap, sikr, combined, got 'x'"
    ):
        load_checkpoint(path, decode="x")
    with pytest.raises(ConfigError, match=r"combined is for 68, 133, 136 joints, .* has 5"):
        load_checkpoint(path, decode="combined")


def test_combined_where_there_is_a_split(tmp_path: Path) -> None:
    state = fold_batch_norm(LightPose(68)).state_dict()
    _, info = load_checkpoint(written(state, tmp_path / "x.pth"), decode="combined")
    assert info.decode == "combined"


@pytest.mark.parametrize(("num_joints", "tail"), [(68, 42), (133, 110), (136, 110)])
def test_words_of_the_split(num_joints: int, tail: int) -> None:
    info = default_info(Architecture("light", num_joints, {}), "combined")
    assert (
        info.text()
        .splitlines()[0]
        .endswith(f"decoded by heatmap maxima, the last {tail} joints by SIKR")
    )


# Conversion


def test_conversion_keeps_network_and_information(
    light: dict[str, Tensor], tmp_path: Path
) -> None:
    source = written({"state_dict": light}, tmp_path / "x_regression.pth")
    target = tmp_path / "y.safetensors"
    before, info = load_checkpoint(source)
    save_checkpoint(before, info, target)
    network, again = load_checkpoint(target)
    assert again == info
    assert all(torch.equal(v, light[k]) for k, v in network.state_dict().items())
    with safe_open(target, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["alphapose_ros"])["decode"] == "sikr"


def test_information_of_ones_own_training_survives(tmp_path: Path) -> None:
    network = HRNet(num_joints=17, width=1)
    info = CheckpointInfo(
        "hrnet", 17, "", "sikr", (0.1, 0.2, 0.3), (1.5, 0.25, 1.0), (384, 288), {"width": 1},
        untaught=("nose",), tail_cut=0.3, norm="softmax",
    )  # fmt: skip
    save_checkpoint(network, info, tmp_path / "x.safetensors")
    count = sum(p.numel() for p in network.parameters())
    assert load_checkpoint(tmp_path / "x.safetensors")[1] == dataclasses.replace(
        info, parameters=count
    )


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ("{", "expected JSON"),
        ("[1]", "expected a JSON object"),
        ('{"decode": "argmax"}', "decode is 'argmax'"),
        ('{"decode": ["sikr"]}', "decode is"),
        ('{"decode": "combined"}', "combined is for 68, 133, 136 joints"),
        ('{"skeleton": "halpe136"}', "skeleton is 'halpe136', expected one of 5 joints"),
        ('{"family": "fastpose"}', "family is 'fastpose', its tensors are of 'light'"),
        ('{"num_joints": 6}', "num_joints is 6"),
        ('{"mean": [1, 2]}', "mean is .*, expected 3 numbers"),
        ('{"mean": [1, 2, NaN]}', "mean is"),
        ('{"std": [1, 1, 0]}', "std is"),
        ('{"input_hw": [256.5, 192]}', "input_hw is .*, expected 2 numbers"),
        ('{"input_hw": "ab"}', "input_hw is"),
        ('{"untaught": [3]}', r"untaught is \[3\], expected names of joints"),
        ('{"tail_cut": NaN}', "tail_cut is nan, expected a number from 0 to 1"),
        ('{"tail_cut": true}', "tail_cut is True"),
        ('{"norm": ["sigmoid"]}', r"norm is \['sigmoid'\], expected one of"),
        ('{"input_hw": [192, 144]}', r"input_hw is \[192, 144\], expected multiples of 32"),
    ],
)
def test_wrong_metadata_is_refused(
    metadata: str, says: str, light: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file(light, tmp_path / "x.safetensors", metadata={"alphapose_ros": metadata})
    with pytest.raises(WeightsError, match=rf"x\.safetensors: metadata: .*{says}"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_metadata_of_others_means_nothing_here(light: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(light, tmp_path / "x.safetensors", metadata={"decode": "argmax", "mean": "0"})
    assert load_checkpoint(tmp_path / "x.safetensors")[1].decode == "sikr"


def test_saving_needs_the_right_suffix_and_information(tmp_path: Path) -> None:
    network = HRNet(num_joints=17, width=1)
    info = default_info(architecture_of(network.state_dict()), "")
    wrong = dataclasses.replace(info, num_joints=26)
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        save_checkpoint(network, info, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"num_joints 26.*got 17"):
        save_checkpoint(network, wrong, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="of no known network"):
        save_checkpoint(nn.Linear(1, 1), info, tmp_path / "x.safetensors")
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be written"):
        save_checkpoint(network, info, tmp_path / "file" / "x.safetensors")
    (tmp_path / "x.safetensors").mkdir()
    with pytest.raises(WeightsError, match="cannot be written"):
        save_checkpoint(network, info, tmp_path / "x.safetensors")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "x.safetensors"}


# The light network


def test_the_bundled_network() -> None:
    network, info = load_checkpoint(BUNDLED)
    assert isinstance(network, LightPose)
    assert dataclasses.replace(info, parameters=0) == CheckpointInfo(
        "light", 136, "halpe136", "sikr", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5),
        details={"head_channels": 96},
    )  # fmt: skip
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    with torch.inference_mode():
        assert network(torch.zeros(0, 3, 256, 192)).shape == (0, 136, 64, 48)


def test_norms_folded_or_not() -> None:
    network = trained(LightPose(4, head_channels=8))
    assert isinstance(network, LightPose)
    folded = fold_batch_norm(network)
    crops = torch.randn(1, 3, 64, 32)
    for state in (network.state_dict(), folded.state_dict()):
        loaded = load_light_state(state)
        assert not loaded.training
        assert not any("running_mean" in key for key in loaded.state_dict())
        with torch.inference_mode():
            torch.testing.assert_close(loaded(crops), network(crops), atol=1e-4, rtol=1e-3)


def test_light_state_of_another_network() -> None:
    with pytest.raises(WeightsError, match="expected the light network, got one of hrnet"):
        load_light_state(HRNet(num_joints=5, width=1).state_dict())
    state = fold_batch_norm(LightPose(4)).state_dict()
    del state["top.conv.bias"]
    with pytest.raises(WeightsError, match=r"missing: 'top\.conv\.bias'"):
        load_light_state(state)


# Words


@pytest.mark.parametrize(
    ("info", "line"),
    [
        (
            CheckpointInfo(
                "fastpose", 136, "halpe136", "sikr", (0.406, 0.457, 0.480), (1.0, 1.0, 1.0),
                details={"depth": 50, "conv_dim": 256, "se": True, "dcn": True},
                parameters=42_633_138,
            ),
            "FastPose, ResNet-50 with deformable convolutions, 136 joints (halpe136), CONV_DIM "
            "256, 42.6 M parameters, decoded by SIKR",
        ),
        (
            CheckpointInfo(
                "fastpose_duc", 17, "coco17", "heatmap", (0.406, 0.457, 0.480), (1.0, 1.0, 1.0),
                details={"depth": 152, "se": False, "unshuffle": True}, parameters=57_000_000,
            ),
            "FastPose-DUC, ResNet-152 with pixel unshuffle without squeeze and excitation, 17 "
            "joints (coco17), 57.0 M parameters, decoded by heatmap maxima",
        ),
        (
            CheckpointInfo(
                "hrnet", 9, "", "", (0.406, 0.457, 0.480), (1.0, 1.0, 1.0), details={"width": 32}
            ),
            "HRNet-W32, 9 joints (no known skeleton), 0.0 M parameters, decoding unknown (one of "
            "heatmap, sikr, combined)",
        ),
    ],
)  # fmt: skip
def test_text(info: CheckpointInfo, line: str) -> None:
    first, second = info.text().splitlines()
    assert first == line
    assert second == "input 256x192 (h x w) RGB, mean 0.406 0.457 0.48, std 1 1 1"
