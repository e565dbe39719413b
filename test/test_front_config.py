# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node, and the names of its topics."""

from __future__ import annotations

from typing import Any

import pytest

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.topics import (
    camera_info_topic,
    depth_topic,
    depth_wanted,
    image_topic,
    output_name,
)


def test_parameters_of_the_common_file() -> None:
    values = {
        "cameras": ["front"],
        "front": {"image_topic": "/f/image", "camera_info_topic": "/f/info"},
        "marker_depth": 3,
        "image_transport": "compressed",
    }
    config = NodeConfig.from_parameters(values)
    assert config.cameras == (CameraTopics("front", "/f/image", "/f/info"),)
    assert config.marker_depth == 3.0
    assert NodeConfig.from_parameters({}) == NodeConfig()
    assert NodeConfig.from_parameters({"cameras": [""]}) == NodeConfig()
    for bad, says in (
        ({"marker_dept": 1.0}, "unknown parameter marker_dept; did you mean marker_depth"),
        ({"cameras": "front"}, "expected a list of names"),
        ({"cameras": ["front", "front"]}, "expected unique names"),
        ({"cameras": ["front"], "front": 3}, "front: expected a section"),
        ({"cameras": ["front"], "front": {"topic": "/x"}}, "unknown parameter front.topic"),
        ({"cameras": ["spatial"]}, "spatial is the name of a parameter"),
    ):
        with pytest.raises(ConfigError, match=says):
            NodeConfig.from_parameters(bad)


def test_names_resolve_as_in_ros() -> None:
    names = NodeNames(namespace="/robot/", remaps={"image": "cam/image_raw", "/robot/poses": "/p"})
    config = NodeConfig()
    (camera,) = config.cameras
    assert image_topic(config, camera, names) == "/robot/cam/image_raw"
    assert camera_info_topic(config, camera, names) == "/robot/cam/camera_info"
    assert depth_topic(camera, names) == "/robot/depth"
    assert names.resolve(output_name(config, camera, "poses")) == "/p"
    assert names.resolve("~/enable") == "/robot/alphapose_ros/enable"
    assert camera_info_topic(config, camera, NodeNames()) == "/camera_info"
    info = NodeNames(remaps={"camera_info": "/calibration"})
    assert camera_info_topic(config, camera, info) == "/calibration"
    renamed = NodeNames(remaps={"__node": "eyes", "__ns": "/head"})
    assert (renamed.name, renamed.resolve("image")) == ("eyes", "/head/image")


def test_the_transports_suffix_comes_after_the_remap_and_can_be_remapped_itself() -> None:
    config = NodeConfig(image_transport="compressed")
    (camera,) = config.cameras
    names = NodeNames(remaps={"image": "/cam/image_raw"})
    assert image_topic(config, camera, names) == "/cam/image_raw/compressed"
    assert camera_info_topic(config, camera, names) == "/cam/camera_info"
    suffix = NodeNames(remaps={"image/compressed": "/cam/jpeg"})
    assert image_topic(config, camera, suffix) == "/cam/jpeg"


def test_several_cameras_have_topics_of_their_own() -> None:
    config = NodeConfig(
        cameras=(CameraTopics("front", "/f/image"), CameraTopics("rear", "r/image"))
    )
    front, rear = config.cameras
    assert output_name(config, front, "poses") == "front/poses"
    assert output_name(config, rear, "skeleton") == "rear/skeleton"
    assert camera_info_topic(config, rear, NodeNames()) == "/r/camera_info"
    assert depth_topic(front, NodeNames()) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cameras": ()}, "at least one"),
        ({"cameras": (CameraTopics("a"), CameraTopics("a"))}, "unique names"),
        ({"cameras": (CameraTopics("a/b"),)}, "unique names of letters"),
        ({"image_transport": "theora"}, "image_transport: expected one of raw, compressed"),
        ({"reliability": "yes"}, "reliability: expected"),
        ({"marker_depth": 0.0}, "marker_depth: expected a number > 0"),
        ({"silence_warning_s": -1.0}, "silence_warning_s: expected a number >= 0"),
        ({"transform_wait_s": 0.5}, "transform_wait_s: expected a number in"),
    ],
)
def test_bad_parameters_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        NodeConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"node_name": "a b"}, "node name"),
        ({"remaps": {"image": "/a b"}}, "expected a ROS name"),
        (
            {"namespace": "/1x", "remaps": {"image": "/cam"}},
            "namespace: .* such as /robot, got '/1x",
        ),
        (
            {"remaps": {"__ns": "/a b", "image": "/cam"}},
            "namespace: .* such as /robot, got '/a b'",
        ),
        (
            {"remaps": {"__ns": "/a//b", "image": "/cam"}},
            "namespace: .* such as /robot, got '/a//b",
        ),
    ],
)
def test_bad_names_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        NodeNames(**changes)


@pytest.mark.parametrize(
    ("camera", "remaps", "expected"),
    [
        (NodeConfig().cameras[0], {}, False),  # listens unasked: nobody misses it
        (NodeConfig().cameras[0], {"depth": "/camera/depth"}, True),
        (CameraTopics(), {"depth": "/camera/depth"}, False),
        (CameraTopics(depth_topic="/camera/depth"), {}, True),
    ],
)
def test_depth_is_wanted_where_somebody_named_its_topic(
    camera: CameraTopics, remaps: dict[str, str], expected: bool
) -> None:
    names = NodeNames(remaps=remaps)
    assert depth_wanted(camera, names) == expected


def test_the_dds_front_says_that_it_does_not_heed_depth() -> None:
    pytest.importorskip("cyclonedds", reason="NOT CHECKED: cyclonedds is absent")
    from alphapose_ros.dds.pose_node import unheeded

    assert unheeded(NodeConfig(), NodeNames()) == []
    given = NodeConfig(cameras=(CameraTopics(depth_topic="/depth2"),), target="nearest")
    assert unheeded(given, NodeNames()) == ["target", "depth"]
    assert unheeded(NodeConfig(), NodeNames(remaps={"depth": "/camera/depth"})) == ["depth"]
