# SPDX-License-Identifier: Apache-2.0
"""The rclpy node in space: depth, transforms, a moving camera, and what others make of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from domains import new_domain
from fake_pipeline import result_for
from ros_helpers import (
    FarEnd,
    Image,
    PoseArray,
    camera_info,
    image,
    node_process,
    set_stamp,
    stamp_ns,
    wait_for,
    wait_until_heard,
)
from test_spatial_scenes import BODY, CAMERA, Scene, camera_at, joint_array, make_person, project

from alphapose_ros.base.errors import MissingDependencyError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.intake import ImageIntake, LiveFrame
from alphapose_ros.spatial.config import SpatialConfig

from alphapose_ros.ros.adapters import Adapters  # isort: skip
from alphapose_ros.ros.camera import RosCamera  # isort: skip
from alphapose_ros.ros.depth import DepthInput  # isort: skip
from alphapose_ros.ros.transforms import Transforms  # isort: skip
from geometry_msgs.msg import PoseStamped, TransformStamped  # isort: skip
from rclpy.clock import ClockType  # isort: skip
from rclpy.time import Time  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray  # isort: skip
from sensor_msgs.msg import CameraInfo  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip
from visualization_msgs.msg import MarkerArray  # isort: skip

HEIGHT, WIDTH = CAMERA.size_hw
STEP_NS = 10**9 // 10


@pytest.fixture
def far() -> Iterator[FarEnd]:
    with FarEnd(new_domain()) as end:
        yield end


class Camera:
    """A camera that sees one person who stands two metres from it at first."""

    def __init__(self, far: FarEnd, tmp_path: Path) -> None:
        self.far, self.file = far, tmp_path / "keypoints.npy"
        self.person = make_person(at=(2.0, 0.0), yaw=np.pi)
        self.images = far.publisher("/image")
        self.infos = far.publisher("/camera_info", CameraInfo)
        self.depths = far.publisher("/depth")  # reliable: large best-effort images lose parts
        self.transforms = far.publisher("/tf", TFMessage)
        self.poses = far.collect("/poses", PoseArray)
        self.place = camera_at((0.0, 0.0, 1.0))
        self.look(self.place)

    @property
    def domain(self) -> int:
        return int(self.far.context.get_domain_id())

    def look(self, place: Any) -> None:
        """The camera stands at ``place``; the pipeline will see the person from there."""
        self.place = place
        partial = self.file.with_suffix(".part.npy")
        np.save(partial, project(joint_array(self.person), place)[None])
        partial.replace(self.file)

    def node(self, *arguments: str) -> Any:
        """The node, whose pipeline reads the keypoints anew for each image."""
        pipeline = f"following_pipelines({str(self.file)!r})"
        return node_process(self.domain, *arguments, pipeline=pipeline)

    def wait(self) -> None:
        for publisher in (self.images, self.infos, self.depths):
            wait_until_heard(publisher)
        self.infos.publish(camera_info(CAMERA.size_hw, CAMERA.fx))
        time.sleep(0.3)

    def send(
        self, stamp: int, *, depth: bool = True, encoding: str = "16UC1", depth_shift: int = 0
    ) -> Any:
        """One image and its depth, depth first; returns the answer."""
        if depth:
            metres = Scene((self.person,), wall=2.6).image(self.place)[0]
            self.depths.publish(depth_message(metres, stamp + depth_shift, encoding))
            time.sleep(0.05)
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8).tobytes()
        before = len(self.poses)
        fields = {"height": HEIGHT, "width": WIDTH, "step": 3 * WIDTH, "data": pixels}
        self.images.publish(image(stamp, **fields))
        wait_for(lambda: len(self.poses) > before, "the answer")
        return self.poses[-1]

    def send_until_deep(self, **options: Any) -> Any:
        """The first answer with depth: the first best-effort images may come before both ends
        know each other.
        """
        for _ in range(30):
            message = self.send(time.time_ns(), **options)
            if len(message.poses[0].keypoints_3d):
                return message
        raise AssertionError("no depth came through")

    def tell(self, stamp: int, child: str = "optical", parent: str = "odom") -> None:
        """Where the camera stands, on /tf."""
        from scipy.spatial.transform import Rotation

        message = TransformStamped()
        message.header.frame_id, message.child_frame_id = parent, child
        set_stamp(message, stamp)
        turn, moved = message.transform.rotation, message.transform.translation
        turn.x, turn.y, turn.z, turn.w = Rotation.from_matrix(self.place.rotation).as_quat()
        moved.x, moved.y, moved.z = map(float, self.place.translation)
        self.transforms.publish(TFMessage(transforms=[message]))


def depth_message(metres: np.ndarray, stamp: int, encoding: str) -> Any:
    height, width = metres.shape
    values = (
        np.nan_to_num(metres * 1000).round().astype("<u2")
        if encoding == "16UC1"
        else metres.astype("<f4")
    )
    message = Image(height=height, width=width, encoding=encoding)
    message.step = width * values.itemsize
    message.data = values.tobytes()
    message.header.frame_id = "optical"
    set_stamp(message, stamp)
    return message


def points_of(message: Any) -> np.ndarray:
    return np.asarray(message.poses[0].keypoints_3d).reshape(-1, 3)


def xyz(point: Any) -> np.ndarray:
    return np.array([point.x, point.y, point.z])


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_puts_joints_in_space(far: FarEnd, tmp_path: Path, encoding: str) -> None:
    camera = Camera(far, tmp_path)
    markers = far.collect("/markers", MarkerArray)
    with camera.node():
        camera.wait()
        message = camera.send_until_deep(encoding=encoding)
        wait_for(lambda: markers, "markers")
        without = camera.send(time.time_ns(), depth=False)
        late = camera.send(time.time_ns(), encoding=encoding, depth_shift=40_000_000)
    points = points_of(message)
    scene = Scene((camera.person,), wall=2.6)
    pixels = project(joint_array(camera.person), camera.place)
    expected, owner = scene.cast(pixels, camera.place)
    known = np.isfinite(points).all(1)
    body = [HALPE136.index(name) for name in BODY]  # not the ears, on the head's very edge
    assert known[body].sum() >= 12
    assert (owner[known] == 1).all()  # nobody stands on the wall or the floor
    surface = np.median(np.abs(points[known, 2] - expected[known]))
    assert surface < 0.005
    assert np.abs(points[body][known[body], 2] - expected[body][known[body]]).max() < 0.01
    position = xyz(message.poses[0].position)
    assert (
        np.abs(position[:2] - camera.place.inverse().points(camera.person.centre)[:2]).max() < 0.1
    )
    assert np.linalg.eigvalsh(message.poses[0].position_covariance.reshape(3, 3)).min() > 0
    assert abs(abs(message.poses[0].heading) - np.pi) < 0.2  # faces the camera
    assert message.spatial_frame == "optical"
    assert {m.header.frame_id for m in markers[0].markers} == {"optical"}
    drawn = [[p.z for m in message.markers for p in m.points] for message in markers]
    depths = next(z for z in drawn if len(set(z)) > 1)  # without depth all lie on one plane
    assert 1.7 < min(depths) < max(depths) < 2.2
    for message in (without, late):  # no depth near enough: 2-D all the same
        assert len(message.poses) == 1
        assert len(message.poses[0].keypoints_3d) == 0
        assert np.isnan(message.poses[0].position.x)


def test_a_moving_camera_reports_a_standing_person(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    frames = ("-p", "target_frame:=odom", "-p", "fixed_frame:=odom")
    with camera.node(*frames):
        wait_until_heard(camera.transforms)
        camera.wait()
        begin = time.time_ns()
        for i in range(18):  # drives past the person at one metre per second
            camera.look(camera_at((0.0, -0.9 + 0.1 * i, 1.0)))
            camera.tell(begin + i * STEP_NS)
            message = camera.send(begin + i * STEP_NS)
    person = message.poses[0]
    assert message.spatial_frame == "odom"
    assert np.linalg.norm(xyz(person.velocity)) < 0.15
    assert np.isfinite(person.velocity_covariance).all()
    assert np.linalg.norm(xyz(person.position)[:2] - camera.person.centre[:2]) < 0.15
    assert abs(abs(person.heading) - np.pi) < 0.2


def test_a_walking_person_before_a_standing_camera(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    with camera.node():
        camera.wait()
        begin = time.time_ns()
        for i in range(16):
            camera.person = make_person(at=(2.0, -0.7 + 0.1 * i), yaw=np.pi)
            camera.look(camera.place)
            message = camera.send(begin + i * STEP_NS)
    velocity = xyz(message.poses[0].velocity)
    # To the camera's left is +y in the world and -x in the optical frame.
    assert np.abs(velocity - [-1.0, 0, 0]).max() < 0.2


def test_a_missing_transform_is_told_and_never_holds_the_pose(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    found = far.collect("/diagnostics", DiagnosticArray)
    with camera.node("-p", "target_frame:=map") as node:
        camera.wait()
        message = camera.send(time.time_ns())
        said = "no transform from optical to map"
        wait_for(lambda: said in getattr(far.status(found), "message", ""), "diagnostics")
    assert len(message.poses) == 1
    assert message.spatial_frame == "map"
    assert np.isnan(message.poses[0].position.x)
    assert sum(said in line for line in node.lines) == 1


def test_each_camera_tells_the_transforms_that_it_misses_itself(far: FarEnd) -> None:
    names = ("front", "rear")
    config = NodeConfig(
        cameras=tuple(CameraTopics(name) for name in names),
        target_frame="map",
        spatial=SpatialConfig(body_height=1.7),
    )
    transforms = Transforms(far.node)
    cameras = {
        topics.name: RosCamera(
            far.node, config, topics, HALPE136, lambda _: None, lambda _: None, transforms
        )
        for topics in config.cameras
    }

    def said(name: str, frame_id: str) -> str:
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        frame = LiveFrame(pixels, 10**9, name, frame_id, intrinsics=CAMERA)
        cameras[name].publish(frame, result_for(frame))
        return cameras[name].judge(None).message

    known = TransformStamped()
    known.header.frame_id, known.child_frame_id = "map", "known"
    known.transform.rotation.w = 1.0
    transforms._buffer.set_transform_static(known, "test")
    missing = "no transform from typo to map"
    assert missing in said("rear", "typo")
    assert said("front", "known") == "running"
    assert missing in cameras["rear"].judge(None).message
    assert said("rear", "known") == "running"  # the frame_id was mended
    for camera in cameras.values():
        camera.close()
    transforms.close()


def test_adapters_that_are_closed_leave_nothing(far: FarEnd) -> None:
    before = len(list(far.node.publishers))
    adapters = Adapters(far.node, NodeConfig(target="nearest", detections=True))
    assert len(list(far.node.publishers)) == before + 3  # the target, its transform, detections
    adapters.close()
    assert len(list(far.node.publishers)) == before


@pytest.mark.parametrize("package", ["hri_msgs", "visualization_msgs"])
def test_what_opens_half_leaves_nothing(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    before = len(list(far.node.publishers))
    monkeypatch.setitem(sys.modules, f"{package}.msg", None)
    config, ignore = NodeConfig(detections=True, humans=True), lambda _: None
    make = {
        "hri_msgs": partial(Adapters, far.node, config),
        "visualization_msgs": partial(
            RosCamera, far.node, config, config.cameras[0], HALPE136, ignore, ignore, None
        ),
    }[package]
    with pytest.raises(MissingDependencyError, match=package):
        make()
    assert len(list(far.node.publishers)) == before


def test_transforms_of_before_a_clock_went_back_are_forgotten(far: FarEnd) -> None:
    clock, transforms = far.node.get_clock(), Transforms(far.node)
    clock._set_ros_time_is_active(True)

    def heard(seconds: int) -> bool:
        """The camera's place comes at that time; whether it is known then."""
        clock.set_ros_time_override(Time(seconds=seconds, clock_type=ClockType.ROS_TIME))
        place = TransformStamped()
        place.header.frame_id, place.child_frame_id = "map", "camera"
        place.transform.rotation.w = 1.0
        set_stamp(place, seconds * 10**9)
        transforms._buffer.set_transform(place, "test")
        return transforms.lookup("map", "camera", seconds * 10**9, 0.0, {}) is not None

    fixed = TransformStamped()
    fixed.header.frame_id, fixed.child_frame_id = "camera", "optical"
    fixed.transform.rotation.w = 1.0
    transforms._buffer.set_transform_static(fixed, "test")
    assert heard(100)
    assert heard(120)
    assert heard(90)  # tf2 refuses what lies more than ten seconds behind the newest
    assert heard(91)
    assert transforms.lookup("map", "camera", 120 * 10**9, 0.0, {}) is None
    assert transforms.lookup("map", "optical", 91 * 10**9, 0.0, {}) is not None  # static ones stay
    transforms.close()


def test_depth_of_another_shape_is_refused_in_one_line(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    with camera.node() as node:
        camera.wait()
        for _ in range(3):
            stamp = time.time_ns()
            camera.depths.publish(depth_message(np.ones((200, 640), np.float32), stamp, "32FC1"))
            time.sleep(0.05)
            message = camera.send(stamp, depth=False)
            assert len(message.poses) == 1
            assert np.isnan(message.poses[0].position.x)
    lines = [line for line in node.lines if "ERROR" in line]
    assert len(lines) == 1
    assert "640x200" in lines[0] or "200x640" in lines[0] or "(200, 640)" in lines[0]


def test_a_body_height_gives_a_place_without_depth(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    with camera.node("-p", "spatial.body_height:=1.7"):
        camera.wait()
        person = camera.send(time.time_ns(), depth=False).poses[0]
    assert len(person.keypoints_3d) == 0
    spread = np.sqrt(person.position_covariance.reshape(3, 3)[2, 2])
    assert abs(person.position.z - 2.0) < 2 * spread
    assert 0.2 < spread < 0.6


def test_the_target_is_a_pose_and_a_frame(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    targets = far.collect("/target", PoseStamped)
    frames = far.collect("/tf", TFMessage)
    with camera.node() as node:
        camera.wait()
        camera.send_until_deep()
        assert far.set_parameter("target", "nearest") == ""
        wait_for(lambda: far.node.get_publishers_info_by_topic("/target"), "the target's topic")
        time.sleep(0.5)
        stamp = time.time_ns()
        camera.send(stamp)
        wait_for(lambda: targets and frames, "the target")
        assert far.set_parameter("target", False) == ""  # YAML's off
        assert far.parameter("target") == "off"
        time.sleep(0.2)
        camera.send(time.time_ns())
        assert node.poll() is None
    assert len(targets) == 1
    assert stamp_ns(targets[0]) == stamp
    assert targets[0].header.frame_id == "optical"
    assert 1.7 < targets[0].pose.position.z < 2.1
    (transform,) = frames[0].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("optical", "person_1")
    assert transform.transform.translation.z == targets[0].pose.position.z


def test_a_camera_without_stamps_has_a_target_all_the_same(far: FarEnd, tmp_path: Path) -> None:
    """Holding a target and its transform need a time: that of receipt."""
    from vision_msgs.msg import Detection2DArray

    camera = Camera(far, tmp_path)
    targets = far.collect("/target", PoseStamped)
    frames = far.collect("/tf", TFMessage)
    detections = far.collect("/detections", Detection2DArray)
    options = ("spatial.body_height:=1.7", "detections:=true", "target:=nearest")
    begin = time.time_ns()
    with camera.node(*(word for option in options for word in ("-p", option))):
        camera.wait()
        for name in ("/target", "/detections"):
            wait_for(lambda name=name: far.node.get_publishers_info_by_topic(name), name)
        time.sleep(0.3)
        for _ in range(2):
            message = camera.send(0, depth=False)
            time.sleep(0.1)
        wait_for(lambda: len(targets) == 2 and len(frames) == 2 and detections, "the target")
    assert stamp_ns(message) == stamp_ns(detections[0]) == 0  # as the image's
    first, second = (stamp_ns(target) for target in targets)
    assert begin < first < second
    moments = [stamp_ns(transform) for frame in frames for transform in frame.transforms]
    assert moments == [first, second]


def test_depth_and_calibration_that_never_come_are_told(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    found = far.collect("/diagnostics", DiagnosticArray)

    def told(*texts: str) -> bool:
        return any(text in getattr(far.status(found), "message", "") for text in texts)

    options = ("silence_warning_s:=1.0", "spatial.body_height:=1.7")
    remap = ("-r", "depth:=/misspelt")
    with camera.node(*(word for option in options for word in ("-p", option)), *remap):
        wait_until_heard(camera.images)
        camera.send(time.time_ns(), depth=False)
        wait_for(lambda: told("body_height is set, but no camera_info on /camera_info"), "why")
        wait_for(lambda: told("no publisher on /misspelt"), "why there is no depth")
        wait_until_heard(camera.infos)
        camera.infos.publish(camera_info((96, 128), CAMERA.fx))
        time.sleep(0.3)
        camera.send(time.time_ns(), depth=False)
        size = f"expected the images' size {WIDTH}x{HEIGHT}, got 128x96"
        wait_for(lambda: told(size), "the size")
        camera.infos.publish(camera_info(CAMERA.size_hw, CAMERA.fx))
        time.sleep(0.3)
        camera.send(time.time_ns(), depth=False)
        wait_for(lambda: not told(size), "the size's end")


def test_a_camera_without_depth_does_not_miss_it(far: FarEnd, tmp_path: Path) -> None:
    camera = Camera(far, tmp_path)
    found = far.collect("/diagnostics", DiagnosticArray)

    def message() -> str:
        return str(getattr(far.status(found), "message", ""))

    with camera.node("-p", "silence_warning_s:=1.0"):
        wait_until_heard(camera.images)
        for _ in range(25):
            camera.send(time.time_ns(), depth=False)
            time.sleep(0.1)
        assert message() == "running"
        camera.depths.publish(depth_message(np.ones((2, 2), np.float32), 10**9, "32FC1"))
        wait_for(lambda: "no depth for" in message(), "depth that came once is missed")


def test_depth_waits_for_slow_networks_and_late_depth_replaces_none(far: FarEnd) -> None:
    intake = ImageIntake("camera", "/image", lambda image: None, lambda name: None)
    depth = DepthInput(far.node, "/depth", "auto", intake)
    metres = np.ones((2, 2), np.float32)

    def hear(*seconds: float) -> None:
        for moment in seconds:
            depth._on_depth(depth_message(metres, round(moment * 1e9), "32FC1"))

    def known(moment: float) -> bool:
        return depth.at(round(moment * 1e9), 0.01) is not None

    rate = [100 + k / 10 for k in range(31)]
    hear(*rate)
    assert known(102.5)
    assert not known(100.0)  # 3 s old where results took none
    hear(*(moment + 3.1 for moment in rate))
    assert known(103.5)  # now it is known that they take 3 s
    hear(99.0)
    assert known(106.0)
    assert depth.missed == 1
    hear(0.0)
    assert not known(0.0)
    hear(*(20 + k / 10 for k in range(12)))  # a clock that was set back
    assert known(21.1)
    assert not known(106.0)


def test_detections(far: FarEnd, tmp_path: Path) -> None:
    from vision_msgs.msg import Detection2DArray

    camera = Camera(far, tmp_path)
    found = far.collect("/detections", Detection2DArray)
    with camera.node("-p", "detections:=true"):
        camera.wait()
        wait_for(lambda: far.node.get_publishers_info_by_topic("/detections"), "the topic")
        time.sleep(0.3)
        message = camera.send(time.time_ns(), depth=False)
        wait_for(lambda: found, "detections")
    (detection,) = found[0].detections
    assert detection.id == "1"
    assert detection.results[0].hypothesis.class_id == "person"
    box = message.poses[0].box
    assert detection.bbox.size_x == pytest.approx(box.width)
    assert detection.bbox.center.position.x == pytest.approx(box.x + box.width / 2)


def test_humans_come_and_go_with_their_topics(far: FarEnd, tmp_path: Path) -> None:
    messages = pytest.importorskip("hri_msgs.msg", reason="HRI_MSGS IS ABSENT")
    camera = Camera(far, tmp_path)
    bodies = far.collect("/humans/bodies/tracked", messages.IdsList)
    persons = far.collect("/humans/persons/tracked", messages.IdsList)
    skeletons = far.collect("/humans/bodies/b11/skeleton2d", messages.Skeleton2D)
    frames = far.collect("/tf", TFMessage)

    def topics() -> set[str]:
        names = [name for name, _ in far.node.get_topic_names_and_types()]
        infos = far.node.get_publishers_info_by_topic
        return {name for name in names if name.startswith("/humans/") and infos(name)}

    with camera.node("-p", "humans:=true"):
        camera.wait()
        wait_for(lambda: "/humans/bodies/tracked" in topics(), "the topics of nobody")
        time.sleep(0.3)
        camera.send_until_deep()
        begin = time.time_ns()
        for i in range(3):
            camera.send(begin + i * STEP_NS)
            time.sleep(0.2)
        wait_for(lambda: skeletons and frames, "a skeleton")
        assert {"/humans/bodies/b11/roi", "/humans/persons/p1/body_id"} <= topics()
        assert bodies[-1].ids == ["b11"]
        assert persons[-1].ids == ["p1"]
        np.save(camera.file, np.zeros((0, len(HALPE136), 2)))
        camera.send(begin + 4 * STEP_NS)
        wait_for(lambda: not any("/b11/" in name for name in topics()), "the end of the body")
        wait_for(lambda: bodies[-1].ids == [], "an empty list")
    assert {t.child_frame_id for m in frames for t in m.transforms} == {"body_b11", "person_p1"}
    assert len(skeletons[0].skeleton) == 18


def test_our_own_bytes_of_markers_are_rclpys() -> None:
    from rclpy.serialization import deserialize_message, serialize_message

    from alphapose_ros.base.records import Frame
    from alphapose_ros.output.markers import MarkerWriter

    frame = Frame(np.zeros((8, 16, 3), np.uint8), 10**9 + 5, frame_id="optical")
    cdr = MarkerWriter().write(result_for(frame), CAMERA)
    message = deserialize_message(cdr, MarkerArray)
    again = serialize_message(message)  # whose padding is not always zero
    assert len(again) == len(cdr)
    assert deserialize_message(again, MarkerArray) == message
    assert sum(len(m.points) for m in message.markers) > 136


def test_our_own_bytes_of_poses_are_rclpys() -> None:
    from rclpy.serialization import deserialize_message, serialize_message

    from alphapose_ros.base.records import Frame
    from alphapose_ros.output.messages import pose_array_cdr

    frame = Frame(np.zeros((8, 16, 3), np.uint8), 10**9 + 5, frame_id="optical")
    cdr = pose_array_cdr(result_for(frame))
    message = deserialize_message(cdr, PoseArray)
    assert len(serialize_message(message)) == len(cdr)
    person, tracks = message.poses[0], result_for(frame).tracks
    assert (person.track_id, person.state) == (11, 2)
    assert np.reshape(person.keypoints, (-1, 3))[:, :2].tolist() == (
        tracks.poses.keypoints[0].tolist()
    )
    assert (message.image_width, message.image_height, person.age) == (16, 8, 3.0)
