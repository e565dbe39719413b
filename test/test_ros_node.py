# SPDX-License-Identifier: Apache-2.0
"""The rclpy node: transitions, parameters, services, images good and bad, and its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from domains import new_domain
from ros_helpers import (
    NODE,
    FarEnd,
    PoseArray,
    image,
    node_process,
    nose_x,
    qos,
    send_until,
    stamp_ns,
    wait_for,
    wait_until_heard,
)

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.output.messages import result_of

from alphapose_ros.msg import Skeleton  # isort: skip  (made by the build)
from alphapose_ros.ros.lifecycle import refuse_impossible  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray  # isort: skip
from rcl_interfaces.srv import GetParameters, ListParameters  # isort: skip
from rclpy.parameter import parameter_value_to_python  # isort: skip
from sensor_msgs.msg import CompressedImage  # isort: skip
from std_srvs.srv import SetBool, Trigger  # isort: skip


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


def test_an_image_comes_back_as_people(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", PoseArray)
    skeletons = far.collect("/skeleton", Skeleton, qos(latched=True))
    images = far.publisher("/image")
    with node_process(domain):
        wait_until_heard(images)
        stamp = 5 * 10**9 + 7
        images.publish(image(stamp, 42))
        wait_for(lambda: poses and skeletons, "poses and the skeleton")
    message = poses[0]
    assert stamp_ns(message) == stamp
    assert message.header.frame_id == message.spatial_frame == "optical"
    assert (message.image_width, message.image_height) == (16, 8)
    assert nose_x(message) == 42
    assert len(message.poses[0].keypoints_3d) == 0
    assert np.isnan(message.poses[0].position.x)
    assert np.isnan(message.poses[0].velocity_covariance).all()
    result = result_of(message, {"halpe136": HALPE136})
    assert result.tracks.poses.keypoints.shape == (1, 136, 2)
    assert skeletons[0].keypoint_names == list(HALPE136.keypoint_names)


def test_transitions(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/image")
    with node_process(domain, "-p", "autostart:=false") as node:
        assert far.state() == "unconfigured"
        assert not images.get_subscription_count()
        assert far.transition("configure")
        assert far.state() == "inactive"
        assert not images.get_subscription_count()
        assert far.transition("activate")
        wait_until_heard(images)
        images.publish(image(10**9, 1))
        wait_for(lambda: poses, "poses")
        assert far.transition("deactivate")
        wait_for(lambda: not images.get_subscription_count(), "the end of the subscription")
        assert far.transition("activate")
        wait_until_heard(images)
        images.publish(image(2 * 10**9, 2))
        wait_for(lambda: len(poses) == 2, "poses after the pause")
        assert far.transition("deactivate")
        assert far.transition("cleanup")
        assert far.state() == "unconfigured"
        assert far.transition("configure")
        assert far.transition("cleanup")
        assert far.transition("unconfigured_shutdown")
        assert far.state() == "finalized"
    assert [nose_x(m) for m in poses] == [1, 2]
    assert not [line for line in node.lines if "ERROR" in line]


def test_a_transition_that_the_state_does_not_have_is_refused(domain: int, far: FarEnd) -> None:
    """As nav2's manager asks for, beside autostart."""
    with node_process(domain) as node:
        assert far.state() == "active"
        assert not far.transition("configure")
        assert not far.transition("inactive_shutdown")
        assert far.state() == "active"
        assert far.transition("deactivate")
    for name in ("configure", "inactive_shutdown"):
        assert sum(f"refused the transition {name}: " in line for line in node.lines) == 1
    refuse_impossible(object())  # an rclpy that keeps the service elsewhere


def test_the_period_of_the_diagnostics_may_be_an_integer(domain: int, far: FarEnd) -> None:
    found = far.collect("/diagnostics", DiagnosticArray)
    with node_process(domain, "-p", "diagnostic_updater.period:=2"):
        assert far.state() == "active"
        assert far.parameter("diagnostic_updater.period") == 2.0
        wait_for(lambda: far.status(found, "node"), "diagnostics")


def test_a_failed_configure_says_why_and_can_be_tried_again(
    domain: int, far: FarEnd, tmp_path: Path
) -> None:
    found = far.collect("/diagnostics", DiagnosticArray)
    file = tmp_path / "weights"
    with node_process(domain, "-p", f"detector.weights:={file}") as node:
        assert far.state() == "unconfigured"  # autostart has failed, the node lives
        said = f"cannot configure: {file}: no such file"
        wait_for(lambda: any(said in line for line in node.lines), "the reason in the log")
        wait_for(
            lambda: getattr(far.status(found, "node"), "message", "") == said,
            "the reason in the diagnostics",
        )
        assert far.status(found, "node").level == b"\x02"
        assert not far.transition("configure")
        assert far.state() == "unconfigured"
        file.touch()
        assert far.transition("configure")
        assert far.state() == "inactive"


@pytest.mark.parametrize("offered", ["reliable", "best_effort"])
def test_cameras_of_both_reliabilities_are_heard(domain: int, far: FarEnd, offered: str) -> None:
    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/image", reliability=offered)

    def asked() -> str:
        infos = far.node.get_subscriptions_info_by_topic("/image")
        return infos[0].qos_profile.reliability.name.lower() if infos else ""

    with node_process(domain):
        wait_for(lambda: asked() == offered, f"a subscription that asks for {offered}")
        wait_until_heard(images)
        images.publish(image(10**9, 3))
        wait_for(lambda: poses, "poses")
        if offered == "reliable":  # a second camera, best effort, comes to the same topic
            other = far.publisher("/image", reliability="best_effort")
            wait_for(lambda: asked() == "best_effort", "best effort for both")
            send_until(
                other, lambda i: image((1 + i) * 10**9, 4), lambda: nose_x(poses[-1]) == 4, "it"
            )
            far.node.destroy_publisher(other)
            wait_for(lambda: asked() == "reliable", "reliable again when it has left")


def test_a_forced_reliability_that_hears_nothing_is_explained(domain: int, far: FarEnd) -> None:
    found = far.collect("/diagnostics", DiagnosticArray)
    images = far.publisher("/image", reliability="best_effort")
    arguments = ("-p", "reliability:=reliable", "-p", "silence_warning_s:=0.5")

    def explained() -> bool:
        images.publish(image(time.time_ns()))
        status = far.status(found)
        return status is not None and "incompatible QoS on /image" in status.message

    with node_process(domain, *arguments) as node:
        wait_for(explained, "the reason in the diagnostics")
    assert sum("incompatible QoS on /image" in line for line in node.lines) == 1


def test_compressed_images(domain: int, far: FarEnd) -> None:
    import cv2

    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/cam/image_raw/compressed", CompressedImage)
    message = CompressedImage(format="jpeg")
    message.header.stamp.sec = 3
    pixels = np.full((8, 16, 3), 200, np.uint8)
    message.data = cv2.imencode(".jpg", pixels)[1].tobytes()
    arguments = ("-r", "image:=/cam/image_raw", "-p", "image_transport:=compressed")
    with node_process(domain, *arguments):
        wait_until_heard(images)
        images.publish(message)
        wait_for(lambda: poses, "poses")
    assert abs(nose_x(poses[0]) - 200) <= 2


def test_two_cameras_keep_apart(domain: int, far: FarEnd) -> None:
    found = {name: far.collect(f"/{name}/poses", PoseArray) for name in ("front", "rear")}
    images = {name: far.publisher(f"/{name}_cam/image") for name in found}
    diagnostics = far.collect("/diagnostics", DiagnosticArray)
    arguments = ["-p", "cameras:=[front, rear]"]
    for name in found:
        arguments += ["-p", f"{name}.image_topic:={name}_cam/image"]
    with node_process(domain, *arguments):
        for publisher in images.values():
            wait_until_heard(publisher)
        for i in range(1, 6):
            images["front"].publish(image(i * 10**9, 10))
            images["rear"].publish(image(i * 10**9, 20))
            wait_for(lambda i=i: all(len(m) == i for m in found.values()), "both")
        wait_for(lambda: far.status(diagnostics, "rear"), "diagnostics of both")
    assert [nose_x(m) for m in found["front"]] == [10] * 5
    assert [nose_x(m) for m in found["rear"]] == [20] * 5
    assert far.status(diagnostics, "front")


def test_parameters_are_described_checked_and_applied(domain: int, far: FarEnd) -> None:
    with node_process(domain, "-p", "tracker.max_lost_s:=4", "-p", "marker_depth:=1.5"):
        assert far.state() == "active"
        assert far.parameter("tracker.max_lost_s") == 4.0  # an integer is taken
        gate = far.describe("tracker.gate")
        assert "standard deviations" in gate.description
        assert gate.floating_point_range[0].from_value == pytest.approx(0)
        assert far.describe("autostart").read_only
        assert "one of auto, best_effort, reliable" in (
            far.describe("reliability").additional_constraints
        )
        for name, value, says in (
            ("tracker.max_lost_s", -1.0, "out of range"),
            ("tracker.max_lost_s", float("nan"), "out of range"),
            ("tracker.low_score", 0.9, "tracker.low_score: expected at most high_score, got 0.9"),
            ("tracker.max_lost_s", "3", "DOUBLE"),
            ("nms.form", "boxes", "nms.form: expected one of auto, body, wholebody"),
            ("detector.max_people", 0, "out of range"),
            ("device", "cuda", "device: cannot change while the models are loaded"),
            ("autostart", False, "read-only"),
            ("no.such.parameter", 1, "undeclared"),
        ):
            assert says.lower() in far.set_parameter(name, value).lower(), name
        assert far.parameter("tracker.max_lost_s") == 4.0
        assert far.set_parameter("tracker.max_lost_s", 2) == ""
        assert far.parameter("tracker.max_lost_s") == 2.0
        assert far.set_parameter("marker_depth", 3.0) == ""
        assert far.transition("deactivate")
        assert far.transition("cleanup")
        assert far.set_parameter("reliability", "reliable") == ""


def test_all_parameters_can_be_dumped_and_read_again(
    domain: int, far: FarEnd, tmp_path: Path
) -> None:
    """As `ros2 param dump` does, to which one parameter without a value hides all the others."""
    with node_process(domain, "-p", "target_id:=5"):
        names = far.call(f"{NODE}/list_parameters", ListParameters).result.names
        values = far.call(f"{NODE}/get_parameters", GetParameters, names=names).values
    assert len(values) == len(names) > 50
    content = dict(zip(names, map(parameter_value_to_python, values), strict=True))
    assert (content["target_id"], content["cameras"]) == (5, [""])
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.safe_dump({NODE: {"ros__parameters": content}}))
    with node_process(domain, "--params-file", str(path)):
        assert far.parameter("target_id") == 5


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("tracker.max_lost:=3.0", "unknown parameter tracker.max_lost; did you mean tracker.max_"),
        ("tracker.max_lost_s:=soon", "tracker.max_lost_s: expected float, got 'soon'"),
        ("marker_depth:=-1.0", "marker_depth: expected a number > 0, got -1.0"),
        ("cameras:=[a, a]", "unique names"),
        ("device:=gpu", "device: expected"),
        ("diagnostic_updater.period:=soon", "period: expected seconds from 0.001 to 86400, got"),
        ("diagnostic_updater.period:=0", "period: expected seconds from 0.001 to 86400, got 0"),
        ("diagnostic_updater.use_fqn:=1", "use_fqn: expected true or false, got 1"),
    ],
)
def test_bad_parameters_at_the_start_are_one_line(domain: int, argument: str, says: str) -> None:
    with node_process(domain, "-p", argument, ends=False) as node:
        assert node.wait(20) == 2
    (line,) = [line for line in node.lines if line.startswith("pose_node: ")]
    assert says in line
    assert "Traceback" not in "".join(node.lines)


def test_enable_and_reset(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/image")
    with node_process(domain):
        wait_until_heard(images)
        answer = far.call(f"{NODE}/enable", SetBool, data=False)
        assert (answer.success, answer.message) == (True, "disabled, not listening")
        wait_for(lambda: not images.get_subscription_count(), "the end of the subscription")
        answer = far.call(f"{NODE}/enable", SetBool, data=True)
        assert answer.message == "enabled, listening"
        wait_until_heard(images)
        assert far.call(f"{NODE}/reset_identities", Trigger).success
        images.publish(image(10**9, 5))
        wait_for(lambda: poses, "poses")


def test_bad_images_give_one_line_each_and_the_node_goes_on(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", PoseArray)
    found = far.collect("/diagnostics", DiagnosticArray)
    images = far.publisher("/image")
    bad = {
        "unknown encoding": image(1, encoding="yuv9"),
        "truncated image": image(1, data=b"12345"),
        "got 0x0": image(1, height=0, width=0),
        "expected a step of": image(1, step=3),
    }
    with node_process(domain) as node:
        wait_until_heard(images)
        for text, message in bad.items():  # until it is told: a busy node skips to the newest

            def told(text: str = text, message: Any = message) -> bool:
                images.publish(message)
                return any(text in line for line in list(node.lines))

            wait_for(told, text)
        for message in list(bad.values()) * 3:
            images.publish(message)
            time.sleep(0.03)
        wait_for(
            lambda: "images are refused: " in getattr(far.status(found), "message", ""),
            "the reason in the diagnostics",
        )
        images.publish(image(10**9, 7))
        wait_for(lambda: poses, "poses after bad images")
    errors = [line for line in node.lines if "ERROR" in line]
    for text in bad:
        assert sum(text in line for line in errors) == 1, (text, node.lines)
    assert len(errors) == len(bad)
    assert nose_x(poses[0]) == 7


def test_other_encodings_go_through_cv_bridge(domain: int, far: FarEnd) -> None:
    pytest.importorskip("cv_bridge", reason="CV_BRIDGE IS ABSENT")
    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/image")
    with node_process(domain):
        wait_until_heard(images)
        message = image(10**9, encoding="mono16", step=32)
        message.data = np.full(8 * 16, 90 * 256, "<u2").tobytes()
        images.publish(message)
        wait_for(lambda: poses, "poses")
    assert abs(nose_x(poses[0]) - 90) <= 1


def test_a_clock_that_starts_over(domain: int, far: FarEnd) -> None:
    """A bag that is played in a loop."""
    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/image")
    with node_process(domain) as node:
        wait_until_heard(images)
        expected = []
        for turn in range(2):
            for i in range(1, 5):
                images.publish(image(i * 10**9, 10 * turn + i))
                expected.append(10 * turn + i)
                wait_for(lambda: len(poses) == len(expected), "every image of the loop")
        images.publish(image(4 * 10**9 - 1000, 99))  # late
        images.publish(image(0, 50))  # without a stamp
        wait_for(lambda: len(poses) == len(expected) + 1, "the image without a stamp")
    assert [nose_x(m) for m in poses] == [*expected, 50]
    assert stamp_ns(poses[-1]) == 0
    assert sum("clock was set back" in line for line in node.lines) == 1


def test_simulated_time_without_a_clock_is_told(domain: int, far: FarEnd) -> None:
    found = far.collect("/diagnostics", DiagnosticArray)
    poses = far.collect("/poses", PoseArray)
    images = far.publisher("/image")
    with node_process(domain, "-p", "use_sim_time:=true"):
        wait_until_heard(images)
        images.publish(image(10**9, 5))
        wait_for(lambda: poses, "poses all the same")
        wait_for(
            lambda: (
                "nothing publishes /clock" in getattr(far.status(found, "node"), "message", "")
            ),
            "the reason in the diagnostics",
        )


def test_silence_is_explained_and_ends(domain: int, far: FarEnd) -> None:
    found = far.collect("/diagnostics", DiagnosticArray)

    def message(name: str = "camera") -> str:
        return str(getattr(far.status(found, name), "message", ""))

    with node_process(domain, "-p", "silence_warning_s:=0.5", "-p", "device:=cpu") as node:
        wait_for(lambda: "no publisher on /image" in message(), "no publisher")
        images = far.publisher("/image")
        wait_for(lambda: "none sends" in message(), "a publisher that does not send")
        send_until(images, lambda _: image(time.time_ns()), lambda: message() == "running", "it")
        send_until(
            images,
            lambda _: image(time.time_ns() - 30 * 10**9),
            lambda: "old when they come" in message(),
            "old images",
        )
        assert message("node") == "running"
    values = {v.key: v.value for v in far.status(found).values}
    assert int(values["processed"]) > 0
    assert "input_age_ms" in values
    assert sum("no publisher on /image" in line for line in node.lines) == 1


def test_a_slow_frame_delays_no_service(domain: int, far: FarEnd) -> None:
    images = far.publisher("/image")
    poses = far.collect("/poses", PoseArray)
    with node_process(domain, pipeline="fake_pipelines(delay_s=8.0)"):
        wait_until_heard(images)
        images.publish(image(10**9))
        time.sleep(0.5)  # the frame is in work
        assert far.set_parameter("tracker.max_lost_s", 1.0) == ""
        assert far.state() == "active"
        assert far.call(f"{NODE}/enable", SetBool, data=True).success
        assert not poses  # all that happened before the frame was done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_end_it_cleanly(domain: int, far: FarEnd, number: signal.Signals) -> None:
    images = far.publisher("/image")
    with node_process(domain, pipeline="fake_pipelines(delay_s=0.3)") as node:
        wait_until_heard(images)
        images.publish(image(10**9))
        time.sleep(0.1)  # a frame is in work
        node.send_signal(number)
        time.sleep(0.05)
        if node.poll() is None:
            node.send_signal(number)
        assert node.wait(20) == 0
    wait_for(lambda: not images.get_subscription_count(), "the node's farewell")


def test_markers_and_the_annotated_image_for_those_who_listen(domain: int, far: FarEnd) -> None:
    from ros_helpers import Image, camera_info
    from sensor_msgs.msg import CameraInfo
    from visualization_msgs.msg import MarkerArray

    images, infos = far.publisher("/image"), far.publisher("/camera_info", CameraInfo)
    markers: list[Any] = far.collect("/markers", MarkerArray)
    drawn = far.collect("/pose_image", Image)
    with node_process(domain, "-p", "marker_depth:=2.0"):
        wait_until_heard(images)
        wait_until_heard(infos)

        def both(i: int) -> Any:
            infos.publish(camera_info((8, 16), 20.0))
            return image(i * 10**9)

        send_until(images, both, lambda: drawn and markers and markers[-1].markers, "markers")
    assert {p.z for m in markers[-1].markers for p in m.points} == {2.0}
    assert {m.header.frame_id for m in markers[-1].markers} == {"optical"}
    assert (drawn[0].width, drawn[0].height, drawn[0].encoding) == (16, 8, "rgb8")


def test_a_bag_in_a_loop_with_its_clock(domain: int, far: FarEnd) -> None:
    from rosgraph_msgs.msg import Clock

    poses = far.collect("/poses", PoseArray)
    found = far.collect("/diagnostics", DiagnosticArray)
    images, clock = far.publisher("/image"), far.publisher("/clock", Clock, "best_effort")

    def tick(stamp: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(stamp, 10**9)
        clock.publish(message)
        time.sleep(0.05)  # the bag's clock is ahead of its images

    def said() -> str:
        node, camera = far.status(found, "node"), far.status(found)
        return f"{node.message} {camera.message}" if node and camera else ""

    arguments = ("-p", "use_sim_time:=true", "-p", "device:=cpu")
    with node_process(domain, *arguments) as node:
        wait_until_heard(images)
        wait_for(clock.get_subscription_count, "the node's clock")
        for turn in range(2):
            for i in range(1, 6):
                tick(i * 10**9)
                images.publish(image(i * 10**9, 10 * turn + i))
                wait_for(lambda n=5 * turn + i: len(poses) == n, "every image of the loop")
            wait_for(lambda t=turn: ("set back" in said()) if t else said(), "diagnostics")

        def steady() -> bool:
            steady.now += 10**8  # type: ignore[attr-defined]
            tick(steady.now)  # type: ignore[attr-defined]
            images.publish(image(steady.now, 1))  # type: ignore[attr-defined]
            return said() == "running running"

        steady.now = 6 * 10**9  # type: ignore[attr-defined]
        wait_for(steady, "a healthy node on simulated time")
    assert [nose_x(m) for m in poses][:10] == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]
    assert sum("clock was set back" in line for line in node.lines) == 1


def test_a_manager_keeps_its_bond_from_activate_to_deactivate(domain: int, far: FarEnd) -> None:
    bondpy = pytest.importorskip("bondpy.bondpy", reason="BONDPY IS ABSENT")
    ends: list[str] = []
    with node_process(domain, "-p", "autostart:=false", "-p", "bond:=true"):
        assert far.transition("configure")
        bond = bondpy.Bond(
            far.node,
            "bond",
            "alphapose_ros",
            on_broken=lambda: ends.append("broken"),
            on_formed=lambda: ends.append("formed"),
        )
        bond.start()
        assert far.transition("activate")
        wait_for(lambda: ends == ["formed"], "the bond")
        time.sleep(1)
        assert ends == ["formed"]
        assert far.transition("deactivate")
        wait_for(lambda: ends == ["formed", "broken"], "the end of the bond")
        assert far.transition("activate")
        assert far.transition("deactivate")
        assert far.transition("cleanup")
