# SPDX-License-Identifier: Apache-2.0
"""Networks by name, from files of other skeletons, and back into files that know their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_scenes import BOX, coco_file
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, SKELETONS, Skeleton
from alphapose_ros.models.checkpoint import load_checkpoint, save_checkpoint
from alphapose_ros.models.family import architecture_of
from alphapose_ros.models.stored_skeleton import skeleton_from_text, skeleton_text, stored_skeleton
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import decoded_network
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.train.students import architecture_named, make_student, write_student
from alphapose_ros.train.transfer import joint_starts, with_starts
from alphapose_ros.weights import load_tensors, save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def own_skeleton(names: str, flips: tuple[tuple[int, int], ...] = ()) -> Skeleton:
    joints = tuple(names.split())
    sigmas = np.full(len(joints), 0.05, np.float32)
    return Skeleton("own", joints, {"body": slice(0, len(joints))}, (), flips, sigmas)


OWN = own_skeleton("nose LeftHand RightHand tail tail_tip left_fin right_fin", ((1, 2), (5, 6)))


def test_every_joint_starts_where_its_name_says() -> None:
    source = own_skeleton("nose left_wrist right_wrist left_wing right_wing", ((1, 2), (3, 4)))
    starts = joint_starts(OWN, source, 5, {"left_fin": "left_wing"})
    assert [start.sources for start in starts] == [
        (0,), (1,), (2,), (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), (3,), (4,),
    ]  # fmt: skip
    assert [start.why for start in starts] == [
        "equal name", "nearest name: left_wrist", "nearest name: right_wrist",
        "mean of all maps", "mean of all maps", "given: left_wing",
        "mirror of left_fin: right_wing",
    ]  # fmt: skip
    assert {start.why for start in joint_starts(OWN, None, 3)} == {"mean of all maps"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("r_ankle", "right_ankle"), ("RAnkle", "right_ankle"), ("ankle.L", "left_ankle"),
        ("HeadTop", "head_top"), ("Neck", "neck"), ("leftFoot", "left_ankle"),
        ("l_shin", "left_knee"), ("RIGHT-HIP", "right_hip"), ("left_eye_corner", "left_eye"),
    ],
)  # fmt: skip
def test_other_peoples_names_are_understood(name: str, found: str) -> None:
    start = joint_starts(own_skeleton(name), HALPE26, 26)[0]
    assert start.why == f"nearest name: {found}"


def test_a_known_set_keeps_its_maps_in_its_own_order() -> None:
    for start in joint_starts(HALPE26, HALPE136, 136):
        assert start.why == "equal name"
        assert HALPE136.keypoint_names[start.sources[0]] == start.joint


def test_a_start_that_is_not_there_is_refused() -> None:
    for given_start in ({"tail": "wing"}, {"wing": "nose"}):
        with pytest.raises(ConfigError, match="joint_starts"):
            joint_starts(OWN, COCO17, 17, given_start)
    with pytest.raises(WeightsError, match="last convolution"):
        with_starts({"fc.weight": torch.ones(3, 2)}, joint_starts(OWN, COCO17, 17))


def test_rows_are_the_means_of_their_sources() -> None:
    state = {"heatmaps.weight": torch.rand(17, 3, 1, 1), "heatmaps.bias": torch.rand(17), "a": 1}
    out = with_starts(state, joint_starts(OWN, COCO17, 17))
    assert torch.equal(out["heatmaps.weight"][1], state["heatmaps.weight"][9])
    torch.testing.assert_close(out["heatmaps.bias"][3], state["heatmaps.bias"].mean())
    assert out["a"] == 1
    assert len(state["heatmaps.bias"]) == 17  # the argument is not touched


@given(st.permutations(range(7)))
def test_a_skeleton_comes_out_of_its_text_as_it_went_in(order: list[int]) -> None:
    names = " ".join(OWN.keypoint_names[k] for k in order)
    skeleton = own_skeleton(names, ((0, 1), (2, 3)))
    again = skeleton_from_text(skeleton_text(skeleton))
    for name in ("name", "keypoint_names", "parts", "edges", "flip_pairs"):
        assert getattr(again, name) == getattr(skeleton, name)
    assert np.array_equal(again.sigmas, skeleton.sigmas)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"name": 3}', skeleton_text(COCO17)], ids=repr
)
def test_what_is_no_skeleton_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="stored skeleton"):
        skeleton_from_text(text)


@pytest.mark.parametrize(
    "name",
    ["light", "fastpose50", "fastpose101_dcn", "fastpose50_duc", "simplepose50", "hrnet_w32"],
)
def test_networks_are_what_their_names_say(name: str) -> None:
    with torch.device("meta"):
        network = architecture_named(name, 26).build()
    found = architecture_of(network.state_dict())
    assert name.startswith(found.family.removesuffix("_duc"))
    assert found.num_joints == 26
    assert dict(found.options) == dict(architecture_named(name, 26).options)


@pytest.mark.parametrize("name", ["", "vgg", "fastpose18", "hrnet_w64", "light2"])
def test_unknown_networks_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="network"):
        architecture_named(name, 17)


def test_the_bundled_network_starts_another_skeleton_with_its_own_function() -> None:
    finished, info = load_checkpoint(make_bundled())
    student = make_student("pose_nano", OWN)
    assert student.folded
    images = torch.randint(0, 256, (1, 64, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        crops = student.normalised(images, torch.device("cpu"))
        found, wanted = student.network.eval()(crops), finished(crops)
    assert info.num_joints == 136
    torch.testing.assert_close(found[:, 0], wanted[:, 0], rtol=1e-3, atol=1e-3)
    wrist = HALPE136.index("left_wrist")
    torch.testing.assert_close(found[:, 1], wanted[:, wrist], rtol=1e-3, atol=1e-3)
    with pytest.raises(WeightsError, match="expected hrnet_w32, got light"):
        make_student("pose_nano", OWN, "hrnet_w32")


def make_bundled() -> Path:
    from alphapose_ros.registry.store import resolve

    return resolve("pose_nano")


def test_start_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing\.safetensors"):
        make_student("missing.safetensors", HALPE136)
    save_tensors({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        make_student(str(tmp_path / "other.safetensors"), HALPE136)


def test_a_network_of_the_family_passes_its_statistics_on(tmp_path: Path) -> None:
    start = make_student("", COCO17, "simplepose50")
    save_checkpoint(start.network, start.info, tmp_path / "start.safetensors")
    student = make_student(str(tmp_path / "start.safetensors"), OWN)
    assert (student.info.family, student.info.mean) == ("simplepose", start.info.mean)
    path = write_student(student, student.network.state_dict(), tmp_path / "own.safetensors")
    stored = stored_skeleton(path)
    assert stored is not None
    assert stored.keypoint_names == OWN.keypoint_names
    network, info = load_checkpoint(path)
    assert (info.num_joints, info.skeleton, info.decode) == (7, "", "sikr")
    again = make_student(str(path), replace_name(COCO17))
    nose = again.network.state_dict()["final_layer.weight"][0]
    assert torch.equal(nose, network.state_dict()["final_layer.weight"][0])


def replace_name(skeleton: Skeleton) -> Skeleton:
    return replace(skeleton, name="renamed")


def own_set(folder: Path, names: Sequence[str] = OWN.keypoint_names, labelled: int = 7) -> str:
    """A person of whom the first joints are ``labelled``."""
    flat = [v for k in range(len(names)) for v in (30 + 5 * k, 20 + 10 * k, 2 * (k < labelled))]
    path = coco_file(folder, [{"image_id": 7, "bbox": BOX, "keypoints": flat}], "own.json")
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "keypoints": list(names)}]
    path.write_text(json.dumps(content))
    return f"{path}@{folder}"


def one_step(folder: Path, own: str) -> PoseTrainConfig:
    return PoseTrainConfig(
        out=str(folder / "run"), sets=[own], init="pose_nano", input_hw=(64, 32), steps=1,
        batch_size=2, accumulate=2, precision="bfloat16", workers=0, device="cpu", log_every=1,
    )  # fmt: skip


def test_a_training_of_an_own_skeleton_ends_in_a_file_that_knows_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = one_step(tmp_path, own_set(tmp_path))
    path = train_pose(config, OWN)
    stored = stored_skeleton(path)
    assert stored is not None
    assert stored.keypoint_names == OWN.keypoint_names
    _, info = load_checkpoint(path)
    assert (info.num_joints, info.input_hw, info.decode) == (7, (64, 32), "sikr")
    assert load_tensors(path)["heatmaps.weight"].shape[0] == 7
    with pytest.raises(ConfigError, match="faces"):
        train_pose(replace(config, faces=config.sets[0]), OWN)
    assert "nothing teaches" not in caplog.text
    other = (OWN.keypoint_names[1], OWN.keypoint_names[0], *OWN.keypoint_names[2:])
    for names in (other, OWN.keypoint_names[:6]):
        with pytest.raises(WeightsError, match=r"for the joints nose, LeftHand.*another folder"):
            train_pose(config, own_skeleton(" ".join(names)))


def test_joints_that_nobody_labels_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelt name teaches nothing, a mirrored fin its partner; one label is a person."""
    own = own_set(tmp_path, ("left_fin", "tial", "nose"), labelled=1)
    skeleton = own_skeleton("nose tail left_fin right_fin", ((2, 3),))
    path = train_pose(one_step(tmp_path, own), skeleton)
    assert (
        "nobody is annotated with 2 of the joints, nothing teaches them: nose, tail" in caplog.text
    )
    _, info = load_checkpoint(path)
    assert info.untaught == ("tail",)  # the start knows the nose
    decoded, _, _ = decoded_network(path, PoseConfig())
    scores = decoded(torch.full((1, 3, 64, 32), 99.0))[1][0]
    assert (scores > 0).tolist() == [True, False, True, True]


def test_what_was_never_taught_is_so_until_somebody_labels_it(tmp_path: Path) -> None:
    """The bundled network knows no small toes; a training that shows them teaches them."""
    toes = ("left_small_toe", "right_small_toe")
    skeleton = SKELETONS["halpe26"]
    for name in ("without", "labelled"):
        (tmp_path / name).mkdir()
    without = own_set(tmp_path / "without", ("nose", "left_ankle"))
    _, info = load_checkpoint(train_pose(one_step(tmp_path, without), skeleton))
    assert info.untaught == toes
    labelled = own_set(tmp_path / "labelled", ("nose", "left_small_toe"))
    config = replace(one_step(tmp_path, labelled), out=str(tmp_path / "more"))
    path = train_pose(config, skeleton)
    _, info = load_checkpoint(path)
    assert info.untaught == ()
    scores = decoded_network(path, PoseConfig())[0](torch.full((1, 3, 64, 32), 99.0))[1]
    assert (scores > 0).all()
    random = replace(config, init="", out=str(tmp_path / "random"))
    _, info = load_checkpoint(train_pose(random, skeleton))
    taught = {"nose", "left_small_toe", "right_small_toe"}
    assert set(skeleton.keypoint_names) - set(info.untaught or ()) == taught
    again = replace(config, init=str(path), sets=[without], out=str(tmp_path / "again"))
    assert load_checkpoint(train_pose(again, skeleton))[1].untaught == ()
