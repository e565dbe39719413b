# SPDX-License-Identifier: Apache-2.0
"""Strict reading of configurations: every mistake is one clear ConfigError."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.config import PipelineConfig, build, read_parameters, split_parameters
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.front.config import NodeConfig
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.registry.bundled import POSE_NANO
from alphapose_ros.registry.catalogue import MODELS, PRESETS
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.tracking.config import TrackerConfig


@dataclass(frozen=True)
class Room:
    level: float = 0.5
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class House:
    count: int = 1
    on: bool = False
    name: str = ""
    room: Room = field(default_factory=Room)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "parameters.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_default() -> None:
    assert build(House, {}) == House()
    assert build(PipelineConfig, {}) == PipelineConfig()


def test_nested_values_arrive() -> None:
    values = {"count": 3, "on": True, "name": "a", "room": {"level": 0.1, "names": ["x", "y"]}}
    assert build(House, values) == House(3, True, "a", Room(0.1, ["x", "y"]))


def test_an_integer_is_taken_where_a_float_is_meant() -> None:
    level = build(House, {"room": {"level": 1}}).room.level
    assert level == 1.0
    assert type(level) is float


@pytest.mark.parametrize(
    ("weights", "given", "scale"),
    [
        ("", 0, 0.8),  # reid_nano
        ("person_reidentification_retail_0287", 0, 1.35),
        ("/somewhere/person-reidentification-retail-0287.xml", 0, 1.35),
        ("mine.safetensors", 0, 1),
        ("mine.safetensors", 1.6, 1.6),
        ("person_reidentification_retail_0287", 1, 1),
    ],
)
def test_thresholds_of_looks_go_with_the_network(weights: str, given: float, scale: float) -> None:
    own = TrackerConfig(appearance_veto=0.35, gallery_wait_s=0.2)
    reid = ReidConfig(weights=weights, distance_scale=given)
    found = PipelineConfig(reid=reid, tracker=own).resolved()
    assert found.tracker.appearance_similarity == pytest.approx(1 - 0.5 * scale)
    assert found.tracker.appearance_veto == pytest.approx(max(0, 1 - 0.65 * scale))
    assert found.tracker.gallery_similarity == pytest.approx(1 - 0.4 * scale)
    assert found.tracker.gallery_margin == pytest.approx(0.05 * scale)
    assert found.tracker.gallery_wait_s == 0.2
    assert found.resolved() == found  # once, not every time
    assert found.reid.weights == weights


def test_no_scale_makes_a_threshold_that_is_none() -> None:
    far = PipelineConfig(reid=ReidConfig(distance_scale=100)).resolved().tracker
    assert far.appearance_similarity == far.appearance_veto == far.gallery_similarity == 0
    assert far.gallery_margin == 1
    with pytest.raises(ConfigError, match=r"reid\.distance_scale: expected"):
        ReidConfig(distance_scale=-1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"counts": 1}, ["unknown parameter counts", "did you mean count?"]),
        ({"room": {"lvel": 1.0}}, ["unknown parameter room.lvel", "did you mean room.level?"]),
        ({"zzz": 1}, ["unknown parameter zzz"]),
        ({7: 1}, ["unknown parameter 7"]),
        ({"count": True}, ["count", "expected int", "True"]),
        ({"count": 1.0}, ["count", "expected int", "1.0"]),
        ({"on": 1}, ["on", "expected bool", "1"]),
        ({"name": None}, ["name", "expected str", "None"]),
        ({"room": 3}, ["room", "expected a section of parameters", "3"]),
        ({"room": 3}, ["room", "expected a section of parameters"]),
        ({"room": {"level": True}}, ["room.level", "expected float", "True"]),
        ({"room": {"level": "1"}}, ["room.level", "expected float", "'1'"]),
        ({"room": {"names": "x"}}, ["room.names", "expected a list of str", "'x'"]),
        ({"room": {"names": ["x", 1]}}, ["room.names", "expected a list of str"]),
    ],
)
def test_mistakes_are_named(values: dict[Any, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(House, values)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_key_far_from_all_has_no_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        build(House, {"zzz": 1})
    assert "did you mean" not in str(caught.value)


def test_a_section_with_every_line_commented_out_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("/**:\n  ros__parameters:\n    pose:\n      # tail_cut: 0.1\n")
    assert PipelineConfig.from_file(path) == PipelineConfig()


def test_off_without_quotes_is_the_word_where_there_is_one() -> None:
    """YAML takes it for false."""
    assert build(NodeConfig, {"target": False}).target == "off"
    for value in (True, 0):
        with pytest.raises(ConfigError, match="target: expected str"):
            build(NodeConfig, {"target": value})
    with pytest.raises(ConfigError, match="runtime: expected str, got False"):
        build(PipelineConfig, {"runtime": False})


def test_lists_are_copied() -> None:
    names = ["x"]
    assert build(Room, {"names": names}).names is not names


def test_dotted_keys_equal_nested_ones(tmp_path: Path) -> None:
    head = "/**:\n  ros__parameters:\n"
    nested = head + "    tracker:\n      max_lost_s: 2.5\n    pose:\n      tail_cut: 0.1\n"
    dotted = head + "    tracker.max_lost_s: 2.5\n    pose.tail_cut: 0.1\n"
    first = PipelineConfig.from_file(written(tmp_path, nested))
    second = PipelineConfig.from_file(written(tmp_path, dotted))
    assert first == second
    assert (first.tracker.max_lost_s, first.pose.tail_cut) == (2.5, 0.1)


def test_sections_of_several_nodes_merge_in_order(tmp_path: Path) -> None:
    text = (
        "/**:\n  ros__parameters:\n    device: cpu\n    pose: {tail_cut: 0.1, max_batch: 8}\n"
        "alphapose_ros:\n  ros__parameters:\n    pose.tail_cut: 0.2\n"
        "other:\n  something: else\n"
        "empty:\n  ros__parameters:\n"
    )
    found = read_parameters(written(tmp_path, text))
    assert found == {"device": "cpu", "pose": {"tail_cut": 0.2, "max_batch": 8}}


ROBOT = """
/camera_driver:
  ros__parameters: {frame_rate: 30}
/front:
  pose_front: {ros__parameters: {device: cpu}}
/rear/pose_rear:
  ros__parameters: {device: cuda}
"""


@pytest.mark.parametrize(("node", "device"), [("pose_front", "cpu"), ("pose_rear", "cuda")])
def test_sections_of_other_nodes_are_theirs(tmp_path: Path, node: str, device: str) -> None:
    path = written(tmp_path, ROBOT)
    assert read_parameters(path, node) == {"device": device}
    with pytest.raises(
        ConfigError, match=r"for alphapose_ros, got those of camera_driver, front/"
    ):
        read_parameters(path)
    shared = written(tmp_path, ROBOT + "/**:\n  ros__parameters: {threads: 1}\n")
    assert read_parameters(shared, node) == {"device": device, "threads": 1}
    assert read_parameters(shared) == {"threads": 1}


TWINS = """
/front/alphapose_ros: {ros__parameters: {device: cpu}}
/rear: {alphapose_ros: {ros__parameters: {device: cuda}}}
/*/alphapose_ros: {ros__parameters: {threads: 1}}
/rear/**: {ros__parameters: {runtime: torch}}
/**: {ros__parameters: {precision: float16}}
"""


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        ("/front", {"device": "cpu", "threads": 1}),
        ("rear/", {"device": "cuda", "threads": 1, "runtime": "torch"}),
        ("/rear/low", {"runtime": "torch"}),
        ("/", {}),
    ],
)
def test_sections_of_other_namespaces_are_theirs(
    tmp_path: Path, namespace: str, expected: dict[str, Any]
) -> None:
    path = written(tmp_path, TWINS)
    found = read_parameters(path, namespace=namespace)
    assert found == {**expected, "precision": "float16"}


def test_twins_that_differ_are_not_mixed(tmp_path: Path) -> None:
    path = written(tmp_path, TWINS)
    with pytest.raises(ConfigError, match="got front/alphapose_ros and rear/alphapose_ros, which"):
        read_parameters(path)
    same = written(tmp_path, TWINS.replace("cuda", "cpu"))
    assert read_parameters(same)["device"] == "cpu"


def test_a_known_namespace_takes_no_section_of_another(tmp_path: Path) -> None:
    path = written(tmp_path, "/front/alphapose_ros:\n  ros__parameters: {device: cpu}\n")
    assert read_parameters(path) == {"device": "cpu"}
    assert read_parameters(path, namespace="/front") == {"device": "cpu"}
    with pytest.raises(ConfigError, match="for rear/alphapose_ros, got those of front/alphapose_"):
        read_parameters(path, namespace="/rear")


@pytest.mark.parametrize("name", ["/front(", "/a+b", "/[", "/**x"])
def test_odd_names_of_sections_fit_nobody(tmp_path: Path, name: str) -> None:
    text = f"{name!r}: {{ros__parameters: {{device: cuda}}}}\n/**: {{ros__parameters: {{}}}}\n"
    assert read_parameters(written(tmp_path, text), namespace="/") == {}


def test_a_single_section_counts_whatever_its_name_is(tmp_path: Path) -> None:
    path = written(tmp_path, "/front_pose:\n  ros__parameters: {device: cpu}\n")
    assert read_parameters(path) == {"device": "cpu"}


def test_what_belongs_to_the_node_or_to_ros_is_kept_apart() -> None:
    mine, other = split_parameters(
        {
            "device": "cpu", "image_transport": "raw", "pose": {}, "use_sim_time": True,
            "diagnostic_updater": {"period": 2.0},
        }
    )  # fmt: skip
    assert mine == {"device": "cpu", "pose": {}}
    assert other == {"image_transport": "raw"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: [1", "not a YAML file"),
        ("", "ros__parameters"),
        ("- 1\n- 2\n", "ros__parameters"),
        ("device: cpu\n", "ros__parameters"),
        ("/**:\n  ros__parameters: [1, 2]\n", "expected a mapping"),
        ("/**:\n  ros__parameters: text\n", "expected a mapping"),
        ("/**:\n  ros__parameters:\n    pose: 1\n    pose.tail_cut: 0.1\n", "pose"),
        ("/**:\n  ros__parameters:\n    pose: {tailcut: 0.1}\n", "did you mean pose.tail_cut?"),
        ("/**:\n  ros__parameters:\n    pose: {tail_cut: .nan}\n", "pose.tail_cut"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PipelineConfig.from_file(written(tmp_path, text))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "missing.yaml", tmp_path, binary):
        with pytest.raises(ConfigError) as caught:
            read_parameters(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_known_devices(name: str) -> None:
    assert PipelineConfig(device=name).device == name


@pytest.mark.parametrize("name", ["", "gpu", "cpu:1", "cuda:", "cuda:x", "auto:0", "CUDA"])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="device: expected"):
        PipelineConfig(device=name)


def test_threads_and_presets() -> None:
    with pytest.raises(ConfigError, match="threads"):
        PipelineConfig(threads=-1)
    with pytest.raises(ConfigError, match="preset: expected one of nano"):
        PipelineConfig.preset_named("huge")
    assert PipelineConfig.preset_named("nano") == PipelineConfig()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_one_line_that_names_known_models(name: str) -> None:
    chosen = PipelineConfig(preset=name).resolved()
    detector, pose = PRESETS[name]
    assert chosen.detector.name == MODELS[detector].detector_name
    size_hw = (320, 320) if name == "fast" else MODELS[detector].input_hw
    assert (chosen.detector.input_height, chosen.detector.input_width) == size_hw
    assert chosen.detector.weights == ("" if MODELS[detector].bundled else detector)
    assert chosen.pose.weights == ("" if pose == POSE_NANO else pose)
    own = PipelineConfig(preset=name, pose=PoseConfig(input_size="224x160")).resolved()
    assert own.pose.input_size == "224x160"


def test_people_are_not_expected_where_the_camera_turns_meanwhile() -> None:
    with pytest.raises(ConfigError, match=r"detector\.interval_s: expected 0 with tracker"):
        PipelineConfig(
            detector=DetectorConfig(interval_s=0.5), tracker=TrackerConfig(camera_motion=True)
        )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_all_but_the_models_as_it_was(name: str) -> None:
    detector = DetectorConfig(weights="mine", score_threshold=0.9, interval_s=0.5, max_people=3)
    pose = PoseConfig(weights="mine", decode="heatmap", skeleton="coco17", max_batch=2)
    found = PipelineConfig(preset=name, detector=detector, pose=pose).resolved()
    fresh = PipelineConfig.preset_named(name)
    assert found.detector == replace(
        fresh.detector, score_threshold=0.9, interval_s=0.5, max_people=3
    )
    assert found.pose == replace(fresh.pose, skeleton="coco17", max_batch=2)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"runtime": "tflite"}, "runtime: expected one of auto, torch, compile, onnxruntime"),
        ({"precision": "int4"}, "precision: expected one of float32"),
    ],
)
def test_unknown_runtimes_are_refused(values: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(PipelineConfig, values)
