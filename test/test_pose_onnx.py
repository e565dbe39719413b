# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs with the heads of others: a bright dot in the image is where the joint comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from custom_joints import skeleton_file
from pose_heads import (
    DOT,
    JOINTS,
    PEOPLE,
    Brightness,
    CornerMaps,
    Logits,
    Rtmo,
    Simcc,
    Swapped,
    dots,
    picture,
    spec,
    written,
)

from alphapose_ros.base import keypoints
from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.people import People, read_people
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.eval.pose import estimate_people
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import GraphNames, onnx_bytes
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.pose.onnx import AS_THEY_ARE, GraphNetwork, Pixels, load_onnx_pose
from alphapose_ros.pose.rtmo import OneStageEstimator
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD
from alphapose_ros.runtime.config import RuntimeOptions

pytestmark = pytest.mark.usefixtures("one_thread")

pytest.importorskip("onnx", reason="ONNX POSES NOT CHECKED: no onnx")
pytest.importorskip("onnxruntime", reason="ONNX POSES NOT CHECKED: no onnxruntime")


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_simcc(tmp_path: Path, batch: int | None) -> None:
    path = written(tmp_path / "rtmpose.onnx", Simcc(), ("simcc_x", "simcc_y"), batch=batch)
    found = dots(path)
    assert found.shape == (2, JOINTS, 2)
    assert np.abs(found - DOT).max() < 0.6


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize(
    ("name", "stride", "limit"),
    [("hrnet.onnx", 4, 1.5), ("hrnet_dark.onnx", 4, 0.15), ("vitpose-b.onnx", 0, 0.15)],
)
def test_heatmaps(tmp_path: Path, name: str, stride: int, limit: float, batch: int | None) -> None:
    """The quarter step leaves up to half a cell; DARK is finer, on classic crops and on UDP's."""
    head = Brightness(stride) if stride else CornerMaps()
    path = written(tmp_path / name, head, ("heatmaps",), batch=batch)
    found = dots(path)
    assert np.abs(found - DOT).max() < limit


def test_names_that_speak_of_other_crops_would_move_the_joints(tmp_path: Path) -> None:
    """The tests above can fail: UDP's maps read as classic ones are off by a part of a cell."""
    path = written(tmp_path / "hrnet_dark.onnx", CornerMaps(), ("heatmaps",))
    assert np.abs(dots(path) - DOT).max() > 0.5


def test_rtmo_finds_people_itself(tmp_path: Path) -> None:
    path = written(
        tmp_path / "rtmo.onnx", Rtmo(), ("dets", "keypoints"), input_hw=(160, 160), batch=1
    )
    estimator = create_estimator(PoseConfig(weights=path, skeleton="halpe136"))
    assert isinstance(estimator, OneStageEstimator)
    assert estimator.finds_people
    replay = DetectorConfig(name="replay", weights="boxes.json")
    config = PipelineConfig(pose=PoseConfig(weights=str(path)), detector=replay)
    with pytest.raises(ConfigError, match="replay gives boxes to a pose network that takes some"):
        PosePipeline(replace(config, device="cpu"))
    small = picture()[:150, :300]
    found = estimator(ImageBatch.upload([picture(), small]), [])
    assert [len(poses) for poses in found] == [1, 1]  # the copy and the improbable are gone
    for poses in found:
        assert poses.skeleton is HALPE136
        np.testing.assert_allclose(poses.keypoints[0, 0], DOT, atol=2)  # the input has half px
        np.testing.assert_allclose(poses.scores[0, :17], 0.7, atol=1e-6)
        assert not poses.scores[0, 20:].any()
        np.testing.assert_allclose(poses.box_scores, [0.9], atol=1e-6)
    assert estimator(ImageBatch.upload([]), []) == []
    none = create_estimator(PoseConfig(weights=path, score_threshold=0.95))
    assert len(none(ImageBatch.upload([picture()]), [])[0]) == 0


def test_joints_are_mapped_by_name_with_neck_and_pelvis_between(tmp_path: Path) -> None:
    path = written(tmp_path / "rtmpose.onnx", Simcc(), ("simcc_x", "simcc_y"))
    found = dots(path, skeleton="halpe136")
    assert found.shape == (2, 136, 2)
    known = [*range(17), 18, 19]
    assert np.abs(found[:, known] - DOT).max() < 0.6
    assert not found[:, 20:].any()


def test_a_yaml_file_says_more_than_the_number_of_joints(tmp_path: Path) -> None:
    """Seventeen joints are COCO's, unless somebody says what they are or the file is known."""
    path = written(tmp_path / "dog.onnx", Simcc(), ("x", "y"))
    names = ["tail", *(f"paw_{k}" for k in range(1, JOINTS))]
    wanted = skeleton_file(
        tmp_path, name="dog", keypoints=names, limbs=[], parts=None, sigmas=None
    )
    config = PoseConfig(skeleton=wanted)
    found = load_onnx_pose(path, RuntimeOptions(), config)
    assert found.skeleton.keypoint_names == tuple(names)
    with pytest.raises(ConfigError, match="shares joints with coco17, got dog"):
        load_onnx_pose(path, RuntimeOptions(), config, spec=spec(skeleton="coco17"))


def test_pixels_reach_the_graph_as_they_should() -> None:
    crops = torch.tensor([0.0, 51.0, 255.0]).view(1, 3, 1, 1)
    rgb = Pixels((0.5, 0.2, 0.0), (0.5, 1.0, 2.0))(crops).flatten()
    np.testing.assert_allclose(rgb, [-1.0, 0.0, 0.5], atol=1e-6)
    bgr = Pixels((0.0, 0.2, 0.5), (2.0, 1.0, 0.5), "BGR")(crops).flatten()
    np.testing.assert_allclose(
        bgr, rgb.flip(0), atol=1e-6
    )  # its constants are those of B, G and R
    np.testing.assert_allclose(AS_THEY_ARE(crops), crops)


def test_rows_before_columns_are_seen_by_their_length(tmp_path: Path) -> None:
    path = written(tmp_path / "swapped.onnx", Swapped(), ("a", "b"))
    assert np.abs(dots(path) - DOT).max() < 0.6


def test_a_square_network_has_columns_first(tmp_path: Path) -> None:
    path = written(tmp_path / "hand.onnx", Simcc(), ("x", "y"), input_hw=(192, 192))
    assert np.abs(dots(path) - DOT).max() < 0.8


def test_what_is_known_of_the_file_goes_first(tmp_path: Path) -> None:
    names = GraphNames(("x",), ("maps",), {"x": {0: "N", 2: "H", 3: "W"}, "maps": {0: "N"}})
    path = tmp_path / "maps.onnx"
    path.write_bytes(onnx_bytes(Brightness(4), torch.rand(1, 3, 128, 96), names))
    known = spec(channels="BGR", mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0), input_hw=(128, 96))
    found = load_onnx_pose(path, RuntimeOptions(), spec=known)
    assert isinstance(found, PoseEstimator)
    assert isinstance(found.network, GraphNetwork)
    assert found.network.pixels == Pixels(known.mean, known.std, "BGR")
    assert found.crop.input_hw == (128, 96)
    usual = load_onnx_pose(
        Path(written(tmp_path / "r.onnx", Simcc(), ("x", "y"))), RuntimeOptions()
    )
    assert isinstance(usual.network, GraphNetwork)
    assert usual.network.pixels == Pixels(IMAGENET_MEAN, IMAGENET_STD, "RGB")
    for wrong, message in (("hand21", "expected 21 joints of hand21, got 17"), ("x", "unknown")):
        with pytest.raises(WeightsError, match=message):
            load_onnx_pose(path, RuntimeOptions(), spec=spec(skeleton=wrong, input_hw=(128, 96)))


def test_raw_maps_are_decoded_as_asked(tmp_path: Path) -> None:
    path = written(tmp_path / "alphapose.onnx", Logits(), ("maps",))
    found = dots(path, decode="sikr", tail_cut=0.3)
    assert np.abs(found - DOT).max() < 0.6
    estimator = load_onnx_pose(Path(path), RuntimeOptions(), PoseConfig(decode="sikr", window=3.0))
    crops = ImageBatch.upload([picture()]).crops(np.array([[50, 0, 230, 240]], np.float32), [0])
    points, _ = SikrDecoder(window=3.0)(Logits()(Pixels()(crops)))
    np.testing.assert_allclose(estimator.network(crops)[0], points, atol=1e-3)
    with pytest.raises(ConfigError, match="got 17"):
        load_onnx_pose(Path(path), RuntimeOptions(), PoseConfig(decode="combined"))


def test_openvino_gives_the_same(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OPENVINO NOT CHECKED: no openvino")
    path = written(tmp_path / "rtmpose.onnx", Simcc(), ("x", "y"), batch=1)
    estimator = load_onnx_pose(Path(path), RuntimeOptions("openvino", threads=1))
    batch = ImageBatch.upload([picture()])
    (found,) = estimator(batch, [Detections(PEOPLE, np.ones(2, np.float32))])
    assert np.abs(found.keypoints - DOT).max() < 0.6


WIDE = "pose136_mbv2_wide_384x288.onnx"


@pytest.mark.parametrize(("decode", "least"), [("heatmap", 0.45), ("sikr", 0.65)])
def test_a_real_network_of_136_maps(shared: Path, decode: str, least: float) -> None:
    """Over all of val its windowed expectation has a mean OKS of .653; these people are easier.

    The maps are logits: read as heatmaps, what is less likely than one half is lost.
    """
    path, coco = shared / "data" / "teachers" / WIDE, shared / "data" / "coco_person"
    if not path.is_file() or not coco.is_dir():
        pytest.skip(f"REAL ONNX NETWORK NOT CHECKED: {path} or {coco} is absent")
    people = read_people(coco / "val.json", coco / "images")
    some = people[people.image_rows < 12]
    assert len(some) > 15
    known = spec(input_hw=(384, 288), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    config = PoseConfig(format="heatmap", decode=decode, tail_cut=0.3, window=2.5)
    estimator = load_onnx_pose(path, RuntimeOptions(threads=1), config, max_batch=8, spec=known)
    assert estimator.skeleton is HALPE136
    assert mean_oks(estimator, some) > least


def mean_oks(estimator: PoseEstimator, people: People) -> float:
    """Over people with annotated body joints, those alone."""
    found = estimate_people(estimator, people)
    valid = (people.labels[:, :17] == 2).astype(np.float32)
    oks = keypoints.oks(
        found.keypoints[:, :17], people.keypoints[:, :17], people.areas, COCO17.sigmas, valid
    )
    return float(oks[valid.any(1)].mean())
