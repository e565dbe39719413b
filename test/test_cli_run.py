# SPDX-License-Identifier: Apache-2.0
"""``run``: files out, complete ones also when it breaks; one clear line for each mistake."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from cli_stand_in import (
    OnePerson,
    fails,
    stand_in_pipeline,
    three_images,
)

import alphapose_ros.cli as cli
from alphapose_ros.base.records import Frame, FrameResult
from alphapose_ros.io.source_base import Source
from alphapose_ros.io.sources import open_source

images = pytest.fixture(three_images)
pipeline = pytest.fixture(stand_in_pipeline)


def test_run_writes_everything_that_was_asked_for(
    pipeline: OnePerson, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, lines, bag = (tmp_path / name for name in ("o.mp4", "o.jsonl", "o.mcap"))
    argv = ["run", str(images), "--video", str(video), "--json", str(lines), "--bag", str(bag)]
    assert cli.main([*argv, "--camera-name", "front"]) == 0
    out = capsys.readouterr().out
    for text in ("frames      3", "identities  1", "p50", "frames/s", str(video), str(bag)):
        assert text in out
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == [0, 1, 2]
    assert {record["camera"] for record in records} == {"front"}
    states = [record["people"][0]["state"] for record in records]
    assert states == ["tentative", "tracked", "tracked"]
    with open_source(str(video)) as source:
        drawn = [frame.image for frame in source]
    assert len(drawn) == 3
    assert np.ptp(drawn[2].astype(int)) > 50  # something was drawn on the grey


def test_the_bag_of_a_run_is_what_a_node_would_publish(
    pipeline: OnePerson, images: Path, tmp_path: Path
) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel")
    bag = tmp_path / "o.mcap"
    assert cli.main(["run", str(images), "--bag", str(bag)]) == 0
    with highlevel.AnyReader([bag]) as reader:
        found = [
            (c.topic, t, reader.deserialize(raw, c.msgtype)) for c, t, raw in reader.messages()
        ]
    topics = [topic for topic, _, _ in found]
    assert topics.count("/skeleton") == 1
    assert topics.count("/poses") == topics.count("/pose_image/compressed") == 3
    people = [message for topic, _, message in found if topic == "/poses"]
    assert people[1].poses[0].id == 1
    assert len(people[1].poses[0].keypoints) == 3 * 136
    with open_source(str(bag)) as source:  # the annotated images are images
        assert [frame.size_hw for frame in source] == [(48, 64)] * 3


@pytest.mark.parametrize("option", ["video", "json", "bag", "rrd"])
def test_an_output_never_takes_the_place_of_the_input(
    option: str,
    pipeline: OnePerson,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(images), "--video", "clip.mp4"]) == 0
    capsys.readouterr()
    before = Path("clip.mp4").read_bytes()
    (tmp_path / "bag").mkdir()
    for name in ("metadata.yaml", "a.mcap"):
        (tmp_path / "bag" / name).write_text("kept")
    Path("link.mp4").symlink_to("clip.mp4")
    for source, target in (
        ("clip.mp4", "./clip.mp4"),
        ("link.mp4", "clip.mp4"),
        ("bag", "bag/a.mcap"),
    ):
        line = fails(capsys, ["run", source, f"--{option}", target])
        assert f"--{option}: expected another file than the input, got {target}" in line
    Path("pose.yaml").write_text("kept")
    line = fails(
        capsys, ["run", "clip.mp4", "--params-file", "pose.yaml", f"--{option}", "pose.yaml"]
    )
    assert f"--{option}: expected another file than the input, got pose.yaml" in line
    line = fails(capsys, ["run", "images", f"--{option}", "images/img_1.png"])
    assert f"--{option}: expected another file than the input, got images/img_1.png" in line
    assert Path("clip.mp4").read_bytes() == before
    assert (tmp_path / "bag" / "a.mcap").read_text() == "kept"
    assert Path("pose.yaml").read_text() == "kept"


def test_a_name_that_is_no_text_is_printed(
    pipeline: OnePerson, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = images.rename(images.parent / os.fsdecode(b"m\xfc"))
    lines, bag = odd / "o.jsonl", odd / "o.mcap"
    assert cli.main(["run", str(odd), "--json", str(lines), "--bag", str(bag)]) == 0
    assert {json.loads(line)["camera"] for line in lines.read_text().splitlines()} == {"m?"}
    assert "/m\\udcfc/o.jsonl" in capsys.readouterr().out


def test_a_video_without_a_codec_never_takes_the_place_of_the_input(
    pipeline: OnePerson, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV writes no WebM; what is written instead has a name of its own."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(images), "--video", "clip.avi"]) == 0
    before = Path("clip.avi").read_bytes()
    assert cli.main(["run", "clip.avi", "--video", "clip.webm"]) == 0
    assert Path("clip.avi").read_bytes() == before
    (written,) = Path().glob("clip.webm*")
    assert written.stat().st_size > 100


def test_run_ends_after_max_frames(pipeline: OnePerson, images: Path) -> None:
    assert cli.main(["run", str(images), "--max-frames", "2"]) == 0
    assert len(pipeline.frames) == 2


def bag_of_two_rates(path: Path) -> Path:
    """2 s of /front at 10 images per second and of /rear at 5."""
    pytest.importorskip("rosbags")
    from recording_scenes import S, raw_image

    from alphapose_ros.io.bag import BagWriter

    with BagWriter(path) as bag:
        for number in range(20):
            stamp_ns = S + number * S // 10
            bag.write_message("/front/image", raw_image(stamp_ns), stamp_ns)
            if number % 2 == 0:
                bag.write_message("/rear/image", raw_image(stamp_ns), stamp_ns)
    return path


def test_each_camera_of_a_bag_gets_a_video_at_its_own_rate(
    pipeline: OnePerson, tmp_path: Path
) -> None:
    bag, video = bag_of_two_rates(tmp_path / "two.mcap"), tmp_path / "o.mp4"
    assert cli.main(["run", str(bag), "--video", str(video)]) == 0
    found = {}
    for path in tmp_path.glob("*.mp4"):
        with open_source(str(path)) as source:
            found[path.name] = source.fps, len(list(source))
    assert found == {"o.mp4": (10, 20), "o_rear_image.mp4": (5, 10)}


def test_cameras_whose_names_make_one_file_name_get_two(
    pipeline: OnePerson, tmp_path: Path
) -> None:
    pytest.importorskip("rosbags")
    from recording_scenes import S, raw_image

    from alphapose_ros.io.bag import BagWriter

    counts = {"/front": 5, "/a/b": 4, "/a_b": 3, "/a_b_2": 2}
    with BagWriter(tmp_path / "o.mcap") as bag:
        for number in range(5):
            for topic, count in counts.items():
                stamp_ns = S + number * S // 10
                if number < count:
                    bag.write_message(topic, raw_image(stamp_ns), stamp_ns)
    assert cli.main(["run", str(tmp_path / "o.mcap"), "--video", str(tmp_path / "o.mp4")]) == 0
    found = {}
    for path in tmp_path.glob("*.mp4"):
        with open_source(str(path)) as source:
            found[path.stem] = len(list(source))
    assert found == {"o": 5, "o_a_b": 4, "o_a_b_2": 3, "o_a_b_2_2": 2}


def test_several_cameras_do_not_get_one_name(
    pipeline: OnePerson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would be tracked as one camera, whose images leap between two places."""
    argv = ["run", str(bag_of_two_rates(tmp_path / "two.mcap")), "--camera-name", "robot"]
    assert cli.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected images of one camera, the recording has /front/image and /rear/image" in line
    assert "--topic" in line
    assert {frame.camera for frame in pipeline.frames} == {"robot"}
    pipeline.frames.clear()
    assert cli.main([*argv, "--topic", "/rear/image"]) == 0
    assert [frame.camera for frame in pipeline.frames] == ["robot"] * 10


class SlowlyTaken(Source):
    """A live camera of 30 images per second, of which a slow pipeline takes three."""

    def __init__(self) -> None:
        super().__init__("camera0", fps=30.0, live=True)

    def __iter__(self) -> Iterator[Frame]:
        for number in range(11):
            yield Frame(np.zeros((48, 64, 3), np.uint8), 10**18 + number * 3 * 10**8, "a", "a")

    def close(self) -> None:
        pass


def test_a_live_video_lasts_as_long_as_the_recording(
    pipeline: OnePerson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alphapose_ros.io.sources.open_source", lambda *a, **k: SlowlyTaken())
    video = tmp_path / "o.mp4"
    assert cli.main(["run", "0", "--video", str(video)]) == 0
    with open_source(str(video)) as source:
        assert len(list(source)) / source.fps == pytest.approx(3, abs=0.1)


def test_run_twice_gives_the_same(pipeline: OnePerson, images: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("a.jsonl", "b.jsonl"):
        pipeline.frames.clear()
        assert cli.main(["run", str(images), "--json", str(tmp_path / name)]) == 0
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]


def test_a_broken_recording_leaves_complete_outputs_and_2(
    pipeline: OnePerson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, video, lines = (tmp_path / name for name in ("cut.avi", "o.mp4", "o.jsonl"))
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(60):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert cli.main(["run", str(clip), "--video", str(video), "--json", str(lines)]) == 2
    captured = capsys.readouterr()
    assert "of 60 frames, the video is truncated" in captured.err
    count = len(lines.read_text().splitlines())
    assert 20 < count < 40
    assert f"frames      {count}" in captured.out
    with open_source(str(video)) as source:
        assert len(list(source)) == count


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_outputs(
    number: int, code: int, pipeline: OnePerson, images: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupted(self: OnePerson, frame: Frame) -> FrameResult:
        if self.frames:
            signal.raise_signal(number)
        return real(self, frame)

    real = OnePerson.__call__
    # A process that a shell started in the background ignores SIGINT from its birth.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(OnePerson, "__call__", interrupted)
    video = tmp_path / "o.mp4"
    try:
        ended = cli.main(["run", str(images), "--video", str(video)])
    except SystemExit as end:
        ended = end.code
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert ended == code
    with open_source(str(video)) as source:
        assert len(list(source)) == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_skipped_images_are_reported(
    pipeline: OnePerson, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "img_3.png").write_bytes(b"broken")
    assert cli.main(["run", str(images)]) == 0
    assert "1 of 4 images skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--max-frames", "0"], "--max-frames: expected at least 1"),
        (["--video", "nowhere/o.mp4"], "the folder nowhere does not exist"),
        (["--json", "nowhere/o.jsonl"], "the folder nowhere does not exist"),
        (["--bag", "nowhere/o.mcap"], "the folder nowhere does not exist"),
    ],
)
def test_bad_options_of_run_are_one_line(
    argv: list[str], says: str, pipeline: OnePerson, images: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert says in fails(capsys, ["run", str(images), *argv])


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_a_broken_video_is_one_line(
    content: bytes, pipeline: OnePerson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "bad.mp4"
    clip.write_bytes(content)
    line = fails(capsys, ["run", str(clip)])
    assert "bad.mp4: not a readable video" in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read parameters"),
        ("detectr: {name: yolox}", "unknown parameter detectr"),
        ("detector: {nam: yolox}", "unknown parameter detector.nam; did you mean detector.name?"),
        ("tracker.max_lost_s: soon", "tracker.max_lost_s: expected float, got 'soon'"),
        ("image_transport: telepathy", "image_transport: expected one of raw, compressed"),
        ("device: abacus", "device: expected auto, cpu, cuda"),
    ],
)
def test_a_bad_parameter_file_is_one_line(
    content: str | None, says: str, images: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    params = tmp_path / "pose.yaml"
    if content is not None:
        params.write_text("/**:\n  ros__parameters:\n    " + content + "\n")
    for argv in (["run", str(images)], ["node", "--front", "dds"]):
        assert says in fails(capsys, [*argv, "--params-file", str(params)])
