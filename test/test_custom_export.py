# SPDX-License-Identifier: Apache-2.0
"""Joints of one's own as ONNX: the file alone says what it finds, and finds the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from custom_joints import NAMES, own_network, own_skeleton, skeleton_file
from pose_heads import PEOPLE

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.checkpoint import load_checkpoint, save_checkpoint
from alphapose_ros.models.export import METADATA, with_metadata
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.pose.onnx import load_onnx_pose
from alphapose_ros.registry.bundled import POSE_NANO
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.store import resolve
from alphapose_ros.runtime.config import RuntimeOptions

pytestmark = pytest.mark.usefixtures("one_thread", "onnx")

FIELDS = ("name", "keypoint_names", "edges", "flip_pairs", "parts")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The network of five joints and its graph; nobody changes them."""
    pytest.importorskip("onnxruntime", reason="ONNX NOT CHECKED: onnxruntime is absent")
    folder = tmp_path_factory.mktemp("own")
    weights = own_network(folder / "mine.safetensors")
    return weights, exported(folder, weights)


def exported(folder: Path, weights: Path) -> Path:
    """What ``models export`` makes of a weight file."""
    params = folder / "mine.yaml"
    params.write_text(f"/**:\n  ros__parameters:\n    pose: {{weights: {str(weights)!r}}}\n")
    target = folder / "pose.onnx"
    argv = ["models", "export", "pose", str(target), "--params-file", str(params)]
    assert cli.main(argv) == 0
    return target


def found_by(weights: Path, **options: Any) -> Poses:
    estimator = create_estimator(PoseConfig(weights=str(weights), **options))
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    boxes = Detections(PEOPLE, np.ones(len(PEOPLE), np.float32))
    (poses,) = estimator(ImageBatch.upload([image]), [boxes])
    return poses


def assert_same(found: Skeleton, wanted: Skeleton) -> None:
    for name in FIELDS:
        assert getattr(found, name) == getattr(wanted, name)
    np.testing.assert_array_equal(found.sigmas, wanted.sigmas)
    np.testing.assert_array_equal(found.flip_permutation, wanted.flip_permutation)


def test_an_exported_network_brings_its_own_skeleton(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    by_torch = found_by(own[0])
    poses = found_by(shutil.copy(own[1], tmp_path / "alone.onnx"))  # as on the robot
    assert_same(poses.skeleton, own_skeleton())
    np.testing.assert_allclose(poses.keypoints, by_torch.keypoints, atol=0.05)
    np.testing.assert_allclose(poses.scores, by_torch.scores, atol=2e-3)
    assert poses.scores.max() > 0


def test_a_graph_sums_its_maps_as_the_training_of_its_network_did(tmp_path: Path) -> None:
    network, info = load_checkpoint(resolve(POSE_NANO))
    found = []
    for name, tail_cut in (("silent", None), ("whole", 0.0)):
        folder = tmp_path / name
        weights = folder / "student.safetensors"
        save_checkpoint(network, replace(info, tail_cut=tail_cut), weights)
        by_torch, by_graph = found_by(weights), found_by(exported(folder, weights))
        np.testing.assert_allclose(by_graph.keypoints, by_torch.keypoints, atol=0.5)
        found.append(by_graph.keypoints)
    assert np.abs(found[0] - found[1]).max() > 1


def test_a_joint_of_ones_own_is_taught_though_the_bundled_network_was_not(tmp_path: Path) -> None:
    """Small toes have no score in the bundled network; whoever labels them trains them."""
    (toe, *_) = MODELS["pose_nano"].untaught
    skeleton = own_skeleton(
        keypoints=[toe, "helmet", "left_glove"], limbs=[], parts=None, sigmas=None
    )
    weights = own_network(tmp_path / "toe.safetensors", skeleton)
    poses, by_torch = found_by(exported(tmp_path, weights)), found_by(weights)
    np.testing.assert_allclose(poses.scores, by_torch.scores, atol=2e-3)
    assert (by_torch.scores[:, 0] > 0).any()


def test_the_configuration_may_name_the_skeleton_that_the_file_has(own: tuple[Path, Path]) -> None:
    for file in own:
        assert_same(found_by(file, skeleton="operator").skeleton, own_skeleton())
        expected = r"expected 'operator', which the network has, one of coco17.*got 'welder'"
        with pytest.raises(ConfigError, match=expected) as caught:
            found_by(file, skeleton="welder")
        assert "\n" not in str(caught.value)
        with pytest.raises(ConfigError, match="shares joints with operator, got halpe136"):
            found_by(file, skeleton="halpe136")


SWAPPED = [NAMES[1], NAMES[0], *NAMES[2:]]


def test_a_yaml_file_of_the_same_name_replaces_what_is_drawn_and_measured(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"limbs": [["helmet", "tool"]], "sigmas": 0.09}
    wanted = skeleton_file(tmp_path, **changes)
    for file in own:
        assert_same(found_by(file, skeleton=wanted).skeleton, own_skeleton(**changes))
    wanted = skeleton_file(tmp_path, keypoints=SWAPPED, parts=None)
    for file in own:
        with pytest.raises(ConfigError, match=r"knows as operator, left.*; got right.* order"):
            found_by(file, skeleton=wanted)


def test_a_yaml_file_of_another_name_is_mapped_onto(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    names = ["lamp", *SWAPPED]
    wanted = skeleton_file(tmp_path, name="welder", keypoints=names, parts=None)
    for file in own:
        poses, plain = found_by(file, skeleton=wanted), found_by(file)
        assert poses.skeleton.keypoint_names == tuple(names)
        np.testing.assert_array_equal(poses.keypoints[:, 1:], plain.keypoints[:, [1, 0, 2, 3, 4]])
        assert not poses.scores[:, 0].any()
    strange = skeleton_file(
        tmp_path, name="other", keypoints=["lamp"], limbs=[], parts=None, sigmas=None
    )
    with pytest.raises(ConfigError, match="shares joints with operator, got other"):
        found_by(own[1], skeleton=strange)


def test_a_yaml_file_names_the_joints_of_a_network_that_does_not(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    """Files of others: a graph without a word about joints, a checkpoint of five maps."""
    about = described(own[1])
    graph, weights = tmp_path / "foreign.onnx", tmp_path / "foreign.safetensors"
    del about["skeleton"], about["own_skeleton"]
    graph.write_bytes(with_metadata(own[1].read_bytes(), about))
    save_checkpoint(*load_checkpoint(own[0]), weights)
    wanted = skeleton_file(tmp_path)
    for file, plain in ((graph, own[1]), (weights, own[0])):
        with pytest.raises((WeightsError, ConfigError), match=r"pose\.skeleton"):
            found_by(file)
        poses = found_by(file, skeleton=wanted)
        assert_same(poses.skeleton, own_skeleton())
        np.testing.assert_array_equal(poses.keypoints, found_by(plain).keypoints)
    short = skeleton_file(tmp_path, keypoints=NAMES[:4], limbs=[], parts=None, sigmas=None)
    with pytest.raises(WeightsError, match=r"or of a YAML file as pose\.skeleton; got 5"):
        found_by(graph, skeleton=short)


def described(path: Path) -> dict[str, Any]:
    import onnx

    (entry,) = (e for e in onnx.load(path).metadata_props if e.key == METADATA)
    about: dict[str, Any] = json.loads(entry.value)
    return about


def test_a_known_set_is_named_and_no_more(tmp_path: Path) -> None:
    about = described(exported(tmp_path, Path("pose_nano")))
    assert about["skeleton"] == HALPE136.name
    assert "own_skeleton" not in about


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skeleton": "welder"}, "expected 'welder', got 'operator'"),
        ({"skeleton": "coco17"}, "expected 'coco17', got 'operator'"),
        ({"own_skeleton": 3}, "stored skeleton: expected one as JSON"),
        ({"own_skeleton": None}, "stored skeleton: expected one as JSON"),
    ],
)
def test_a_damaged_description_is_one_line(
    own: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "pose.onnx"
    path.write_bytes(with_metadata(own[1].read_bytes(), described(own[1]) | change))
    with pytest.raises(WeightsError, match=rf"pose\.onnx: .*{message}") as caught:
        load_onnx_pose(path, RuntimeOptions())
    assert "\n" not in str(caught.value)


def test_joints_of_another_number_or_another_entry_are_refused(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"expected joints of halpe136, got .* 'operator'"):
        load_onnx_pose(own[1], RuntimeOptions(), spec=MODELS["pose_nano"])
    about, path = described(own[1]), tmp_path / "pose.onnx"
    about["own_skeleton"] |= {
        "keypoint_names": ["a"], "edges": [], "flip_pairs": [], "sigmas": [0.1],
        "parts": {"body": [0, 1]},
    }  # fmt: skip
    path.write_bytes(with_metadata(own[1].read_bytes(), about))
    with pytest.raises(WeightsError, match="expected 1 joints of operator, got 5"):
        load_onnx_pose(path, RuntimeOptions())
