# SPDX-License-Identifier: Apache-2.0
"""Faces and hands looked at again: whose crop, what is replaced, and what stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import (
    COCO17,
    FACE68,
    HALPE136,
    HAND21,
    WHOLEBODY133,
    Skeleton,
)
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.checkpoint import save_checkpoint
from alphapose_ros.models.family import LIGHT, Architecture
from alphapose_ros.models.info import default_info
from alphapose_ros.models.light import fold_batch_norm
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.pose.refiner import PartRefiner, RefinedEstimator, whole_of

pytestmark = pytest.mark.usefixtures("one_thread")

FACE, LEFT, RIGHT = (HALPE136.parts[name] for name in ("face", "left_hand", "right_hand"))
SIZE = 64  # of the parts' crops


class Part:
    """Joint k of a part at cell (k / 8, 2) of its crop; as sure as the crop's middle is bright."""

    def __init__(self, joints: int) -> None:
        self.joints, self.crops = joints, [torch.zeros(0, 3, SIZE, SIZE)]

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        self.crops.append(crops)
        x = torch.arange(self.joints) / 8
        points = torch.stack([x, torch.full_like(x, 2)], -1)
        scores = crops[:, :1, SIZE // 2, SIZE // 2] / 255
        count = len(crops)
        return points.expand(count, -1, 2), scores.expand(count, self.joints)


class Whole:
    """Answers the poses that it was given, whatever the image."""

    finds_people = False

    def __init__(self, *poses: Poses) -> None:
        self.poses, self.skeleton = poses, poses[0].skeleton

    def __call__(self, batch: ImageBatch, detections: Sequence[Detections]) -> list[Poses]:
        return list(self.poses)


def people(count: int, skeleton: Skeleton = HALPE136, seed: int = 0, score: float = 0.5) -> Poses:
    """Bodies of 100 x 200 px, 110 px beside each other; faces and hands of 40 x 20 px in them."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, 1, (count, len(skeleton), 2)) * (100, 200)
    places = {"face": (30, 0), "left_hand": (60, 100), "right_hand": (0, 100)}
    for name, corner in places.items():
        joints = skeleton.parts.get(name, slice(0, 0))
        part = rng.uniform(0, 1, (count, joints.stop - joints.start, 2))
        part[:, :2] = [[0, 0], [1, 1]]  # the box is exactly that
        keypoints[:, joints] = part * (40, 20) + corner
    keypoints += 110 * np.arange(count)[:, None, None] * (1, 0)
    boxes = np.concatenate([keypoints.min(1), keypoints.max(1)], 1)
    scores = np.full((count, len(skeleton)), score)
    return Poses(
        keypoints.astype(np.float32), scores.astype(np.float32), boxes.astype(np.float32),
        np.ones(count, np.float32), np.arange(count)[::-1].copy(), skeleton,
    )  # fmt: skip


def refiner(
    kind: str, skeleton: Skeleton = HALPE136, least_px: float = 16.0, max_batch: int = 64
) -> tuple[PartRefiner, Part]:
    own = FACE68 if kind == "face" else HAND21
    network = Part(len(own))
    estimator = PoseEstimator(
        network, own, crop=CropSpec(input_hw=(SIZE, SIZE)), max_batch=max_batch
    )
    return PartRefiner(estimator, kind, skeleton, least_px=least_px), network


def bright(value: int = 204) -> np.ndarray:
    return np.full((260, 700, 3), value, np.uint8)


def expected(box: Sequence[float], joints: int) -> np.ndarray:
    """What :class:`Part` says in the crop of a box, in image px: by hand."""
    x1, y1, x2, y2 = box
    side = 1.25 * max(x2 - x1, y2 - y1)
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    cell = side / (SIZE / 4)
    return np.stack([left + np.arange(joints) / 8 * cell, np.full(joints, top + 2 * cell)], -1)


@pytest.mark.parametrize("skeleton", [HALPE136, WHOLEBODY133], ids=str)
def test_the_face_is_replaced_and_nothing_else(skeleton: Skeleton) -> None:
    poses, face = people(3, skeleton), skeleton.parts["face"]
    refine, network = refiner("face", skeleton)
    (found,) = refine(ImageBatch.upload([bright()]), [poses])
    others = np.delete(np.arange(len(skeleton)), face)
    np.testing.assert_array_equal(found.keypoints[:, others], poses.keypoints[:, others])
    np.testing.assert_array_equal(found.scores[:, others], poses.scores[:, others])
    for name in ("boxes", "box_scores", "source"):
        np.testing.assert_array_equal(getattr(found, name), getattr(poses, name))
    assert found.skeleton is skeleton
    for row in range(3):
        box = (30 + 110 * row, 0, 70 + 110 * row, 20)
        np.testing.assert_allclose(found.keypoints[row, face], expected(box, 68), atol=1e-3)
    np.testing.assert_allclose(found.scores[:, face], 0.8, atol=1e-3)
    np.testing.assert_array_equal(poses.keypoints, people(3, skeleton).keypoints)  # not edited
    assert [len(crops) for crops in network.crops] == [0, 3]


def test_both_hands_come_back_to_their_own_sides() -> None:
    poses = people(2)
    refine, network = refiner("hand")
    (found,) = refine(ImageBatch.upload([bright()]), [poses])
    for row in range(2):
        for part, x in ((LEFT, 60), (RIGHT, 0)):
            box = (x + 110 * row, 100, x + 40 + 110 * row, 120)
            np.testing.assert_allclose(found.keypoints[row, part], expected(box, 21), atol=1e-3)
    others = np.r_[0 : LEFT.start]
    np.testing.assert_array_equal(found.keypoints[:, others], poses.keypoints[:, others])
    assert [len(crops) for crops in network.crops] == [0, 4]


def test_a_hand_is_cut_as_it_is_seen() -> None:
    """A right hand is not mirrored: the crop's left is the image's left."""
    image = bright(0)
    image[:, :20] = 255  # the left half of the right hand's box
    refine, network = refiner("hand")
    refine(ImageBatch.upload([image]), [people(1)])
    right = network.crops[-1][1, 0, SIZE // 2]
    assert right[20] == 255
    assert right[44] == 0


def test_parts_of_several_images_share_a_call_and_find_their_way_back() -> None:
    refine, network = refiner("face", max_batch=4)
    first, none, second = people(1), Poses.empty(HALPE136), people(2, seed=5)
    batch = ImageBatch.upload([bright(102), bright(), bright(255)])
    found = refine(batch, [first, none, second])
    assert [len(poses) for poses in found] == [1, 0, 2]
    assert [len(crops) for crops in network.crops] == [0, 3]
    np.testing.assert_allclose(found[0].scores[:, FACE], 0.4, atol=1e-3)
    np.testing.assert_allclose(found[2].scores[:, FACE], 1, atol=1e-3)
    np.testing.assert_allclose(found[2].keypoints[1, FACE], expected((140, 0, 180, 20), 68),
                               atol=1e-3)  # fmt: skip


@pytest.mark.parametrize("kind", ["face", "hand"])
def test_nobody_never_reaches_the_network(kind: str) -> None:
    refine, network = refiner(kind)
    assert refine(ImageBatch.upload([]), []) == []
    (found,) = refine(ImageBatch.upload([bright()]), [Poses.empty(HALPE136)])
    assert len(found) == 0
    assert len(network.crops) == 1


def test_what_is_small_or_hardly_seen_is_left() -> None:
    poses = people(4)
    scores = poses.scores.copy()
    scores[1, FACE] = 0.19
    keypoints = poses.keypoints.copy()
    middle = keypoints[2, FACE].mean(0)
    keypoints[2, FACE] = middle + (keypoints[2, FACE] - middle) * 0.39  # 15.6 px wide
    given = Poses(keypoints, scores, poses.boxes, poses.box_scores, poses.source, HALPE136)
    refine, network = refiner("face", least_px=16)
    (found,) = refine(ImageBatch.upload([bright()]), [given])
    moved = (found.keypoints != given.keypoints).any((1, 2))
    assert moved.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(found.scores[1:3], given.scores[1:3])
    assert len(network.crops[-1]) == 2
    (every,) = refiner("face", least_px=0)[0](ImageBatch.upload([bright()]), [given])
    assert (every.keypoints != given.keypoints).any((1, 2)).tolist() == [True, False, True, True]


@pytest.mark.parametrize(("brightness", "taken"), [(70, False), (85, True)])
def test_joints_are_replaced_where_the_network_is_sure(brightness: int, taken: bool) -> None:
    poses = people(2, score=0.9)
    refine, _ = refiner("face")
    (found,) = refine(ImageBatch.upload([bright(brightness)]), [poses])
    assert (found.keypoints[:, FACE] != poses.keypoints[:, FACE]).any() == taken
    np.testing.assert_allclose(
        found.scores[:, FACE], brightness / 255 if taken else 0.9, atol=1e-3
    )


def test_an_estimator_with_refiners_is_an_estimator() -> None:
    poses = people(2)
    whole = Whole(poses)
    face, hand = refiner("face")[0], refiner("hand")[0]
    estimator = RefinedEstimator(whole, [face, hand])
    assert estimator.skeleton is HALPE136
    assert not estimator.finds_people
    assert whole_of(estimator) is whole_of(whole) is whole
    batch = ImageBatch.upload([bright()])
    (found,) = estimator(batch, [Detections.empty()])
    body = slice(0, FACE.start)
    np.testing.assert_array_equal(found.keypoints[:, body], poses.keypoints[:, body])
    (alone,) = face(batch, [poses])
    np.testing.assert_array_equal(found.keypoints[:, FACE], alone.keypoints[:, FACE])
    (hands,) = hand(batch, [poses])
    np.testing.assert_array_equal(
        found.keypoints[:, LEFT.start :], hands.keypoints[:, LEFT.start :]
    )


def test_a_part_must_be_there_and_the_network_be_its_own() -> None:
    face = PoseEstimator(Part(68), FACE68)
    with pytest.raises(ConfigError, match="face_weights: expected poses with a face, got coco17"):
        PartRefiner(face, "face", COCO17)
    with pytest.raises(ConfigError, match=r"hand_weights: expected a network of a hand .* face68"):
        PartRefiner(face, "hand", HALPE136)
    with pytest.raises(ConfigError, match=r"expected a network of a face alone, got .* halpe136"):
        PartRefiner(PoseEstimator(Part(136), HALPE136), "face", HALPE136)


def light_file(path: Path, skeleton: Skeleton, input_hw: tuple[int, int]) -> Path:
    """A random light network of a skeleton."""
    torch.manual_seed(0)
    architecture = Architecture(LIGHT, len(skeleton), {"head_channels": 96})
    network = fold_batch_norm(architecture.build().eval())  # type: ignore[arg-type]
    info = replace(
        default_info(architecture, ""), decode="sikr", skeleton=skeleton.name, input_hw=input_hw
    )
    save_checkpoint(network, info, path)
    return path


def test_the_factory_adds_the_networks_that_are_named(tmp_path: Path) -> None:
    face = light_file(tmp_path / "face.safetensors", FACE68, (64, 64))
    hand = light_file(tmp_path / "hand.safetensors", HAND21, (96, 96))
    assert isinstance(create_estimator(PoseConfig()), PoseEstimator)
    config = PoseConfig(face_weights=str(face), hand_weights=str(hand), least_part_px=5)
    estimator = create_estimator(config)
    assert isinstance(estimator, RefinedEstimator)
    assert len(estimator.refiners) == 2
    batch = ImageBatch.upload([np.full((128, 128, 3), 90, np.uint8)])
    one = Detections(np.array([[20, 10, 90, 120]], np.float32), np.ones(1, np.float32))
    (poses,) = estimator(batch, [one])
    assert poses.keypoints.shape == (1, 136, 2)
    np.testing.assert_array_equal(
        poses.keypoints[:, : FACE.start],
        create_estimator(PoseConfig())(batch, [one])[0].keypoints[:, : FACE.start],
    )
    alone = create_estimator(PoseConfig(weights=str(face)))
    assert alone.skeleton is FACE68


def test_the_factory_refuses_what_cannot_be_refined(tmp_path: Path) -> None:
    face = light_file(tmp_path / "face.safetensors", FACE68, (64, 64))
    with pytest.raises(ConfigError, match="hand_weights: expected a network of a hand"):
        create_estimator(PoseConfig(hand_weights=str(face)))
    with pytest.raises(ConfigError, match="expected poses with a face, got coco17"):
        create_estimator(PoseConfig(face_weights=str(face), skeleton="coco17"))
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        create_estimator(PoseConfig(face_weights="none.safetensors"))
    with pytest.raises(ConfigError, match="least_part_px"):
        PoseConfig(least_part_px=-1)
