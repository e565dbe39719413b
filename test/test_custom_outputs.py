# SPDX-License-Identifier: Apache-2.0
"""A network of joints of one's own through the whole pipeline and into everything that is written.

The network is made: it finds the same joints in every crop. All else is the product.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from custom_joints import NAMES, own_network, own_skeleton, skeleton_file
from message_definitions import Definitions
from torch import Tensor, nn

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.keypoints import map_keypoints
from alphapose_ros.base.records import Detections, Frame, FrameResult, Intrinsics
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, Skeleton
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.config import PipelineConfig
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.io.formats import (
    alphapose_rows,
    check_openpose,
    coco_rows,
    openpose_document,
    to_skeleton,
)
from alphapose_ros.io.sinks import people_rows
from alphapose_ros.output.detections import detection_array
from alphapose_ros.output.draw import draw_result
from alphapose_ros.output.humans import HumansWriter
from alphapose_ros.output.markers import MarkerWriter
from alphapose_ros.output.messages import pose_array_cdr, result_of, skeleton_message
from alphapose_ros.output.reading import skeleton_of
from alphapose_ros.output.target import TargetSelector
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator

pytestmark = pytest.mark.usefixtures("one_thread")

BARE: dict[str, Any] = {"limbs": [], "sigmas": None, "parts": None}
SKELETONS = {
    "two parts, no body": own_skeleton(),
    "all are the body": own_skeleton(parts=None),
    "no limbs, one sigma": own_skeleton(**{**BARE, "sigmas": 0.1}),
    "parts named as known ones": own_skeleton(
        parts={"face": NAMES[:2], "left_hand": NAMES[2:3], "hand": NAMES[3:]}
    ),
    "four joints": own_skeleton(**{**BARE, "keypoints": NAMES[:4]}),
    "one joint": own_skeleton(**{**BARE, "keypoints": ["lamp"]}),
    "more joints than a finger has": own_skeleton(
        **{**BARE, "keypoints": [f"index_{k}" for k in range(1, 8)]}
    ),
    "some known joints": own_skeleton(
        **{**BARE, "keypoints": ["nose", "left_wrist", "right_wrist", "neck", "tool"]}
    ),
}
CAMERA = Intrinsics(300.0, 300.0, 160.0, 120.0, (240, 320))
BOXES = np.array([[20, 20, 120, 220], [24, 22, 124, 224], [180, 20, 290, 220]], np.float32)


class Made(nn.Module):
    """The same joints in every crop, on a circle about its middle (map units), all seen."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        turn = torch.arange(joints) * 2.4
        self.points = torch.stack([24 + 12 * turn.cos(), 32 + 20 * turn.sin()], 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        points = self.points.expand(len(crops), -1, -1)
        return points, torch.full(points.shape[:2], 0.8)


class Given:
    """The same boxes in every image: two of one person, one of another."""

    def __call__(self, batch: ImageBatch) -> list[Detections]:
        scores = np.array([0.9, 0.8, 0.9], np.float32)
        return [Detections(BOXES, scores) for _ in batch.sizes_hw]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> PosePipeline:
    """Loaded once with a weight file of one's own; re-identification is the bundled one's."""
    weights = own_network(tmp_path_factory.mktemp("own") / "mine.safetensors")
    return PosePipeline(PipelineConfig(device="cpu", pose=PoseConfig(weights=str(weights))))


@pytest.fixture(params=SKELETONS.values(), ids=list(SKELETONS))
def skeleton(request: pytest.FixtureRequest) -> Skeleton:
    return request.param


@pytest.fixture
def seen(networks: PosePipeline, skeleton: Skeleton) -> list[FrameResult]:
    """Eight images of two people."""
    networks.estimator = PoseEstimator(Made(len(skeleton)), skeleton)
    networks.detector = Given()  # type: ignore[assignment]
    networks.begin_again()
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    return [networks(Frame(image, (n + 1) * 10**8, "front")) for n in range(8)]


def test_two_people_keep_their_identities(seen: Sequence[FrameResult], skeleton: Skeleton) -> None:
    """Pose NMS takes one of the two boxes; tracker and re-identification do without a body."""
    assert [len(result.tracks) for result in seen] == [2] * len(seen)
    assert sorted(seen[-1].tracks.ids.tolist()) == [1, 2]
    assert all(
        np.array_equal(result.tracks.track_ids, seen[0].tracks.track_ids) for result in seen
    )
    poses = seen[-1].tracks.poses
    assert poses.skeleton is skeleton
    np.testing.assert_allclose(poses.person_scores, 0.8 * poses.box_scores, rtol=1e-5)


def test_everything_that_is_written(
    seen: Sequence[FrameResult], skeleton: Skeleton, networks: PosePipeline
) -> None:
    result, wires, classes = seen[-1], WireTypes(), Definitions()
    poses, joints = result.tracks.poses, len(skeleton)
    spatial = SpatialEstimator(SpatialConfig()).update(
        result.tracks, result.header.stamp_ns, CAMERA, np.full((240, 320), 2.0, np.float32),
        frame="", to_frame=RigidTransform(np.eye(3), np.zeros(3)), to_fixed=None,
    )  # fmt: skip
    assert spatial.keypoints.shape == (2, joints, 3)
    np.testing.assert_allclose(spatial.positions[:, 2], 2, atol=1e-3)
    message = wires.deserialize(pose_array_cdr(result, spatial), "alphapose_ros/msg/PoseArray")
    again = result_of(message, {skeleton.name: skeleton}).tracks.poses
    np.testing.assert_allclose(again.keypoints, poses.keypoints)
    latched = skeleton_of(skeleton_message(skeleton, MessageClasses(wires)))
    for name in ("name", "keypoint_names", "edges", "parts"):
        assert getattr(latched, name) == getattr(skeleton, name)
    markers = wires.deserialize(
        MarkerWriter().write(result, CAMERA), "visualization_msgs/msg/MarkerArray"
    ).markers
    assert sum(len(m.points) for m in markers if m.type == 7) == 2 * joints
    image = np.zeros((240, 320, 3), np.uint8)
    assert draw_result(image, result).any()
    assert [len(row["keypoints"]) for row in people_rows(result)] == [3 * joints] * 2
    assert [len(row["keypoints"]) for row in coco_rows(1, poses)] == [3 * joints] * 2
    assert [len(row["keypoints"]) for row in alphapose_rows("a.jpg", poses)] == [3 * joints] * 2
    assert len(detection_array(result, classes).detections) == 2
    topics = dict(HumansWriter().write(result, classes).messages)
    confidences = [p.c for p in topics["humans/bodies/b1/skeleton2d"].skeleton]
    known = {"nose", "left_wrist", "right_wrist", "neck"} & set(skeleton.keypoint_names)
    assert np.count_nonzero(confidences) == len(known)


def test_nobody_raises_a_hand_without_hands_and_one_line_says_so(
    seen: Sequence[FrameResult], skeleton: Skeleton, caplog: pytest.LogCaptureFixture
) -> None:
    selector = TargetSelector("raised_hand")
    with caplog.at_level(logging.WARNING):
        rows = [selector.select(result) for result in seen]
    lacks = "nose" not in skeleton.keypoint_names
    told = [r.getMessage() for r in caplog.records if "raised_hand" in r.getMessage()]
    assert len(told) == int(lacks)
    if lacks:
        assert set(rows) == {None}
        assert "expected a skeleton with a wrist and a nose or an eye, got operator" in told[0]


def test_formats_that_cannot_carry_the_joints_say_so(
    seen: Sequence[FrameResult], skeleton: Skeleton
) -> None:
    poses = seen[-1].tracks.poses
    if "nose" in skeleton.keypoint_names:
        (first, _) = openpose_document(poses)["people"]
        assert sum(score > 0 for score in first["pose_keypoints_2d"][2::3]) == 4
        assert to_skeleton(poses, COCO17).scores.astype(bool).sum() == 2 * 3
        return
    with pytest.raises(
        InputError, match=r"expected joints of BODY_25.*none of them in 'operator'"
    ):
        check_openpose(skeleton)
    with pytest.raises(ConfigError, match="shares joints with operator, got coco17"):
        to_skeleton(poses, COCO17)


def test_known_skeletons_go_into_openpose() -> None:
    for skeleton in (COCO17, HALPE26, HALPE136):
        check_openpose(skeleton)


def test_a_neck_is_not_made_of_shoulders_that_are_not_there() -> None:
    one = SKELETONS["some known joints"]
    points, scores = np.ones((1, 5, 2), np.float32), np.ones((1, 5), np.float32)
    _, found = map_keypoints(points, scores, one, HALPE26)
    names = {HALPE26.keypoint_names[k] for k in np.flatnonzero(found[0])}
    assert names == {"nose", "left_wrist", "right_wrist", "neck"}
    bare = replace(one, keypoint_names=("nose", "left_wrist", "right_wrist", "left_hip", "tool"))
    _, found = map_keypoints(points, scores, bare, HALPE26)
    assert {HALPE26.keypoint_names[k] for k in np.flatnonzero(found[0])} == {
        "nose", "left_wrist", "right_wrist", "left_hip",
    }  # fmt: skip


def test_nms_of_few_joints_is_relative() -> None:
    """Its body form asks for five joints that coincide, or similarities beyond four joints."""
    assert PoseNms().form(SKELETONS["four joints"]) == "wholebody"
    assert PoseNms().form(COCO17) == PoseNms().form(HALPE26) == "body"


def prepare_predict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, networks: PosePipeline
) -> tuple[list[str], Path]:
    """A command that looks at one image with joints of one's own, and the file it writes."""
    import cv2

    networks.estimator = PoseEstimator(Made(5), SKELETONS["two parts, no body"])
    networks.detector = Given()  # type: ignore[assignment]
    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", lambda args: networks)
    image, out = folder / "1.png", folder / "out.json"
    cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
    return ["predict", str(image), "--output", str(out), "--quiet"], out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "openpose"), "--format openpose: expected joints of BODY_25"),
        (("--format", "coco", "--skeleton", "coco17"), "shares joints with operator, got coco17"),
        (("--format", "coco", "--skeleton", "welder"), "unknown skeleton 'welder'"),
        (("--format", "coco", "--skeleton", "operator"), ""),
    ],
)
def test_predict(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    networks: PosePipeline,
    options: tuple[str, ...],
    message: str,
) -> None:
    argv, out = prepare_predict(tmp_path, monkeypatch, networks)
    assert cli.main([*argv, *options]) == (2 if message else 0)
    assert message in capsys.readouterr().err
    if not message:
        assert [len(row["keypoints"]) for row in json.loads(out.read_text())] == [15, 15]


def test_predict_maps_onto_a_yaml_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    networks: PosePipeline,
) -> None:
    argv, out = prepare_predict(tmp_path, monkeypatch, networks)
    bare: dict[str, Any] = {**BARE, "keypoints": ["lamp", "tool"]}
    assert cli.main([*argv, "--skeleton", skeleton_file(tmp_path, name="lit", **bare)]) == 0
    for row in json.loads(out.read_text()):
        assert [score > 0 for score in row["keypoints"][2::3]] == [False, True]
    capsys.readouterr()
    assert cli.main([*argv, "--skeleton", skeleton_file(tmp_path, **bare)]) == 2
    assert "knows as operator, left_glove" in capsys.readouterr().err
