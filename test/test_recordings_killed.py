# SPDX-License-Identifier: Apache-2.0
"""``run`` killed with SIGKILL at random moments: what was written is found, whole and readable."""

from __future__ import annotations

import json
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from dds_helpers import wait_for
from recording_scenes import POSES, S, finish, image_bag, noise_bag, poses, read, start

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.bag_reader import BagReader
from alphapose_ros.io.sources import VideoSource

COUNT = 400


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_bag(tmp_path_factory.mktemp("source") / "long.mcap", COUNT)


def written(path: Path) -> list[dict[str, object]]:
    """The lines of a file, each of which must be complete."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", ["o.mcap", "o.db3", "o"])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_a_random_moment(source: Path, tmp_path: Path, name: str, seed: int) -> None:
    chance = random.Random(seed)
    bag, lines, video = tmp_path / name, tmp_path / "o.jsonl", tmp_path / "o.mp4"
    argv = ["run", source, "--video", video, "--json", lines, "--bag", bag]
    before = [path for path in (bag, lines, video) if path.name != "o"]
    for path in before:
        path.write_text("of before")
    process = start(argv, delay_s=0.02)  # 8 s, for a signal that is late
    part = tmp_path / "o.jsonl.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 0, "the first line")
    time.sleep(chance.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert {path.read_text() for path in before} == {"of before"}

    frames = written(part)
    with BagReader(tmp_path / f"{name}.part") as reader:
        assert reader.cut
        found = [message for message in reader.messages() if message.topic == POSES]
        if found:
            assert reader.deserialize(found[-1]).skeleton == "halpe136"
    count = len(found)
    assert 0 < len(frames) < COUNT
    assert count in (len(frames) - 1, len(frames))  # it is written after the line
    assert [frame["frame"] for frame in frames] == list(range(len(frames)))
    assert [message.stamp_ns for message in found] == [S + k * S // 30 for k in range(count)]

    # The next run neither touches what was left nor takes it for its own.
    left = [message.cdr for message in found]
    if name == "o":
        argv[-1] = bag = tmp_path / "again"
    code, _, err = finish([*argv, "--max-frames", str(count + 1)])
    assert code == 0, err
    assert poses(bag)[:count] == left
    assert len(written(lines)) == count + 1
    assert len(written(part)) == len(frames)
    assert [m.cdr for m in read(tmp_path / f"{name}.part", POSES)] == left


def test_a_format_that_can_be_cut_keeps_its_pictures(tmp_path: Path) -> None:
    """Matroska, unlike MP4, is readable without its end."""
    source = noise_bag(tmp_path / "noise.mcap", 60)
    process = start(["run", source, "--video", tmp_path / "o.mkv"], delay_s=0.3)
    part = tmp_path / ".o.part.mkv"
    wait_for(lambda: part.exists() and part.stat().st_size > 500_000, "some of the video")
    process.kill()
    process.communicate(timeout=30)
    assert not (tmp_path / "o.mkv").exists()
    count = 0
    with suppress(SourceError):  # it does not say how long it should have been
        for _ in VideoSource(part):
            count += 1
    assert 2 < count < 60
