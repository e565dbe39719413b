# SPDX-License-Identifier: Apache-2.0
"""Recordings for the viewer, read back with its own reader, and the viewer's process."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from custom_joints import NAMES, own_skeleton
from fake_pipeline import make_tracks
from viewer_recordings import read_recording

from alphapose_ros.base.errors import InputError, MissingDependencyError, TransportError
from alphapose_ros.base.records import Frame, FrameResult, Header, Spatial, Tracks
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.io.viewer import ViewerStream
from alphapose_ros.io.viewer_layout import camera_path
from alphapose_ros.io.viewer_process import ViewerOptions, ViewerProcess, has_display
from alphapose_ros.output.shapes import shown_joints

STEP_NS = 100_000_000


def result_of(tracks: Tracks, number: int, camera: str = "front") -> FrameResult:
    header = Header(camera, "front_optical", number * STEP_NS, (48, 64))
    return FrameResult(header, tracks, {"pose": 2.5 + number})


def frame_of(number: int, camera: str = "front") -> Frame:
    image = np.full((48, 64, 3), (200, 10 * number, 30), np.uint8)
    return Frame(image, number * STEP_NS, camera, "front_optical")


def test_a_recording_holds_what_was_seen(tmp_path: Path) -> None:
    people = [make_tracks(count, HALPE136, count) for count in (0, 2, 1, 0)]
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        for number, tracks in enumerate(people):
            stream.write(result_of(tracks, number), frame_of(number))
    read = read_recording(tmp_path / "out.rrd")
    assert [(f, s) for f, s, _ in sorted(read.rows["/front/image"], key=lambda r: r[0])] == [
        (number, number * STEP_NS) for number in range(4)
    ]
    positions = read.values("/front/image/joints", "Points2D:positions")
    joints = read.values("/front/image/joints", "Points2D:keypoint_ids")
    assert len(positions) == 4
    for tracks, found, ids in zip(people, positions, joints, strict=True):
        shown = shown_joints(tracks)
        expected = tracks.poses.keypoints[shown]
        np.testing.assert_array_equal(np.reshape(found, (-1, 2)), expected)
        assert ids == np.nonzero(shown)[1].tolist()
    labels = read.values("/front/image/boxes", "Boxes2D:labels")
    assert labels == [[], ["#1", "#2"], ["#1"], []]
    half_sizes = read.values("/front/image/boxes", "Boxes2D:half_sizes")
    boxes = people[1].poses.boxes
    np.testing.assert_allclose(half_sizes[1], (boxes[:, 2:] - boxes[:, :2]) / 2, rtol=1e-5)
    assert read.values("/front/timings/pose", "Scalars:scalars") == [[2.5], [3.5], [4.5], [5.5]]
    assert read.values("/front/people/tracked", "Scalars:scalars") == [[0.0], [2.0], [1.0], [0.0]]


def test_numbers_of_people_stand_beside_their_boxes(tmp_path: Path) -> None:
    tracks = make_tracks(2, HALPE136)
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        for number, seen in enumerate((tracks[:0], tracks, tracks[:0])):
            stream.write(result_of(seen, number))
    read = read_recording(tmp_path / "out.rrd")
    assert read.values("/front/image/boxes", "id") == [tracks.ids.tolist(), []]
    assert read.values("/front/image/boxes", "state") == [tracks.states.tolist(), []]
    assert "/front/image" not in read.rows  # no image came


def test_the_picture_is_the_image(tmp_path: Path) -> None:
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        stream.write(result_of(make_tracks(0, HALPE136), 0), frame_of(3))
    ((blob,),) = read_recording(tmp_path / "out.rrd").values("/front/image", "EncodedImage:blob")
    image = cv2.imdecode(np.array(blob, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert image.shape == (48, 64, 3)
    np.testing.assert_allclose(image.mean((0, 1)), (200, 30, 30), atol=3)


def test_cameras_have_places_and_frame_numbers_of_their_own(tmp_path: Path) -> None:
    tracks = make_tracks(1, HALPE136)
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        for number in range(3):
            stream.write(result_of(tracks, number, "front"), frame_of(number, "front"))
        stream.write(result_of(tracks, 7, "/robot/rear cam"), frame_of(7, "/robot/rear cam"))
    read = read_recording(tmp_path / "out.rrd")
    assert sorted(f for f, _, _ in read.rows["/front/image"]) == [0, 1, 2]
    assert [(f, s) for f, s, _ in read.rows["/robot/rear_cam/image"]] == [(0, 7 * STEP_NS)]


def test_the_names_are_those_of_the_skeleton_that_is_heard(tmp_path: Path) -> None:
    """A view takes Halpe's until a node says its own, and a node may come back with others."""
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        for number, skeleton in enumerate((HALPE136, HALPE136, own_skeleton())):
            stream.write(result_of(make_tracks(1, skeleton), number))
    read = read_recording(tmp_path / "out.rrd")
    for path in ("/front", "/space"):
        ((described,),) = read.static[path]["AnnotationContext:context"]
        labels = described["class_description"]["keypoint_annotations"]
        assert [label["label"] for label in labels] == NAMES


def test_people_in_space_are_shown_in_their_frame(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    tracks = make_tracks(3, HALPE136)
    points = rng.normal(size=(3, 136, 3)).astype(np.float32)
    points[1] = np.nan
    positions = np.float32([[1, 2, 3], [np.nan] * 3, [4, 5, 6]])
    velocities = np.float32([[1, 0, 0], [np.nan] * 3, [np.nan] * 3])
    spatial = replace(
        Spatial.unknown(3, 136, "map"),
        keypoints=points,
        positions=positions,
        velocities=velocities,
        has_depth=True,
    )
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        stream.write(result_of(tracks, 0))
        stream.write(result_of(tracks, 1), spatial=spatial)
        stream.write(result_of(tracks[:0], 2), spatial=spatial[:0])
    read = read_recording(tmp_path / "out.rrd")
    found = read.values("/space/map/front/joints", "Points3D:positions")
    shown = shown_joints(tracks)
    shown[1] = False
    np.testing.assert_array_equal(found[0], points[shown])
    assert found[1] == []
    (first, last) = read.values("/space/map/front/positions", "Points3D:positions")
    np.testing.assert_array_equal(first, positions[[0, 2]])
    assert last == []
    assert read.values("/space/map/front/velocities", "Arrows3D:vectors") == [[[1, 0, 0]], []]


def test_without_space_nothing_is_said_of_it(tmp_path: Path) -> None:
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        stream.write(result_of(make_tracks(1, HALPE136), 0))
    assert not [path for path in read_recording(tmp_path / "out.rrd").rows if "space" in path]


def test_a_clock_is_a_clock(tmp_path: Path) -> None:
    stamp = 1_700_000_000_123_456_789
    tracks = make_tracks(1, HALPE136)
    result = FrameResult(Header("front", "", stamp, (48, 64)), tracks)
    with ViewerStream(path=tmp_path / "out.rrd") as stream:
        stream.write(result)
    ((_, found, _), *_) = read_recording(tmp_path / "out.rrd").rows["/front/image/boxes"]
    assert found == stamp


@pytest.mark.filterwarnings("ignore:RRD file has no footer")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_recording_that_was_cut_off_is_readable(
    tmp_path: Path, root: Path, how: signal.Signals
) -> None:
    code = (
        "import sys, time\n"
        f"sys.path[:0] = [{str(root)!r}, {str(root / 'test')!r}]\n"
        "from pathlib import Path\n"
        "from test_io_viewer import *\n"
        f"with ViewerStream(path=Path({str(tmp_path / 'out.rrd')!r})) as stream:\n"
        "    for number in range(10**6):\n"
        "        stream.write(result_of(make_tracks(1, HALPE136), number), frame_of(0))\n"
        "        if number == 40: time.sleep(5); print('written', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
            process.send_signal(how)
            process.wait(20)
        finally:
            process.kill()
    name = "out.rrd.part" if how == signal.SIGKILL else "out.rrd"
    frames = [f for f, _, _ in read_recording(tmp_path / name).rows["/front/image"]]
    assert sorted(frames) == list(range(41))


def test_a_recording_of_before_is_replaced_by_a_complete_one_only(tmp_path: Path) -> None:
    path = tmp_path / "out.rrd"
    path.write_text("of before")
    with ViewerStream(path=path) as stream:
        assert stream.path == path
    assert path.read_text() == "of before"  # nobody has seen anything
    with ViewerStream(path=path) as stream:
        stream.write(result_of(make_tracks(1, HALPE136), 0), frame_of(0))
        assert path.read_text() == "of before"
    assert len(read_recording(path).rows["/front/image"]) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_needs_one_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a path or a viewer's address"):
        ViewerStream()
    with pytest.raises(InputError, match="does not exist"):
        ViewerStream(path=tmp_path / "nowhere" / "out.rrd")


def test_a_closed_stream_takes_nothing(tmp_path: Path) -> None:
    stream = ViewerStream(path=tmp_path / "out.rrd")
    stream.close()
    stream.close()
    with pytest.raises(InputError, match="already closed"):
        stream.write(result_of(make_tracks(0, HALPE136), 0))


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'rerun-sdk"):
        ViewerStream(url="rerun+http://127.0.0.1:1/proxy")


@pytest.mark.parametrize(
    ("name", "path"), [("front", "front"), ("/a/b c/", "a/b_c"), ("", "camera"), ("/", "camera")]
)
def test_names_of_cameras_become_paths(name: str, path: str) -> None:
    assert camera_path(name) == path


def test_a_page_serves_the_viewer_on_loopback_and_asks_nobody_else() -> None:
    with ViewerProcess(ViewerOptions(web=True, port=0)) as viewer:
        assert viewer.page.startswith("http://127.0.0.1:")
        assert viewer.running
        with urllib.request.urlopen(viewer.page, timeout=20) as answer:
            text, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
            assert "url=rerun" in answer.url
        assert "re_viewer" in text
        data_port = int(viewer.url.rpartition(":")[2].partition("/")[0])
        assert f"connect-src 'self' data: blob: http://127.0.0.1:{data_port}" in policy
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{viewer.page}/nothing", timeout=20)
        with ViewerStream(url=viewer.url) as stream:
            stream.write(result_of(make_tracks(1, HALPE136), 0), frame_of(0))
        others = socket.gethostbyname(socket.gethostname())
        if not others.startswith("127."):
            with pytest.raises(OSError):  # noqa: PT011 - refused, in the system's words
                socket.create_connection((others, data_port), timeout=2)
    assert not viewer.running


def test_a_viewer_that_leaves_costs_nothing() -> None:
    with ViewerProcess(ViewerOptions(web=True, port=0)) as viewer:
        stream = ViewerStream(url=viewer.url)
        stream.write(result_of(make_tracks(1, HALPE136), 0), frame_of(0))
    for number in range(1, 20):
        stream.write(result_of(make_tracks(1, HALPE136), number), frame_of(number))
    stream.close()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="A DEATH IS NOT CHECKED: no setpriv")
def test_a_page_ends_with_a_process_that_was_killed(root: Path) -> None:
    code = (
        f"import sys, time\nsys.path.insert(0, {str(root)!r})\n"
        "from alphapose_ros.io.viewer_process import *\n"
        "viewer = ViewerProcess(ViewerOptions(web=True, port=0))\n"
        "print(viewer.url.split(':')[2].split('/')[0], flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert answers(port)
        process.kill()
    end = time.monotonic() + 10
    while answers(port):
        assert time.monotonic() < end, "the viewer outlived its process"
        time.sleep(0.05)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TransportError, match=f"127.0.0.1:{port}: .*cannot"):
            ViewerProcess(ViewerOptions(web=True, port=port - 1))


def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="expected 0 to 65534, got 70000"):
        ViewerOptions(port=70000)


def test_a_window_needs_a_display() -> None:
    assert has_display({"DISPLAY": ":0"})
    assert has_display({"WAYLAND_DISPLAY": "wayland-0"})
    assert not has_display({"DISPLAY": ""})
