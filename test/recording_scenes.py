# SPDX-License-Identifier: Apache-2.0
"""What the tests of recordings share: bags of small images, and commands without networks.

As a program: ``alphapose-ros`` whose pipeline sees one person in every image.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from alphapose_ros.io.bag import BagWriter
from alphapose_ros.io.bag_reader import BagMessage, BagReader
from alphapose_ros.io.typestore import message_typestore

HERE = Path(__file__).parent
STORE = message_typestore()
S = 10**9
POSES = "/poses"
HEADER_TYPE = "std_msgs/msg/Header"
_LIMIT, _DELAY = "TEST_FILE_BYTES", "TEST_DELAY_S"


def message(name: str, **fields: Any) -> Any:
    return STORE.types[name](**fields)


def header(stamp_ns: int, frame_id: str = "optical") -> Any:
    time_ = message("builtin_interfaces/msg/Time", sec=stamp_ns // S, nanosec=stamp_ns % S)
    return message("std_msgs/msg/Header", stamp=time_, frame_id=frame_id)


def raw_image(stamp_ns: int, value: int = 7, **changes: Any) -> Any:
    fields = {
        "header": header(stamp_ns), "height": 24, "width": 32, "encoding": "rgb8",
        "is_bigendian": 0, "step": 96, "data": np.full(24 * 96, value, np.uint8),
    }  # fmt: skip
    return message("sensor_msgs/msg/Image", **{**fields, **changes})


def cdr_of(item: Any) -> bytes:
    return bytes(STORE.serialize_cdr(item, item.__msgtype__))


def image_bag(path: Path, count: int, *, storage: str = "mcap") -> Path:
    """A bag of one camera, 30 images per second."""
    with BagWriter(path, storage=storage) as bag:
        for number in range(count):
            stamp_ns = S + number * S // 30
            bag.write_message("/cam/image", raw_image(stamp_ns, number % 250), stamp_ns)
    return path


def two_camera_bag(path: Path, count: int) -> Path:
    """A bag with ``count`` images of each camera, 20 per second; those of /rear are wider."""
    with BagWriter(path) as bag:
        for number in range(count):
            stamp_ns = S + number * S // 20
            for camera, width in (("front", 32), ("rear", 64)):
                data = np.zeros(24 * 3 * width, np.uint8)
                image = raw_image(stamp_ns, width=width, step=3 * width, data=data)
                bag.write_message(f"/{camera}/image_raw", image, stamp_ns)
    return path


def noise_bag(path: Path, count: int) -> Path:
    """A bag of images that no codec makes small."""
    chance = np.random.default_rng(0)
    with BagWriter(path) as bag:
        for number in range(count):
            data = chance.integers(0, 256, 240 * 960, np.uint8)
            image = raw_image(S + number * S // 30, height=240, width=320, step=960, data=data)
            bag.write_message("/cam/image", image, S + number * S // 30)
    return path


def read(path: Path, *topics: str) -> list[BagMessage]:
    with BagReader(path) as bag:
        return list(bag.messages(topics))


def poses(path: Path) -> list[bytes]:
    return [found.cdr for found in read(path, POSES)]


def headers(count: int) -> list[BagMessage]:
    return [
        BagMessage("/front" if k % 3 else "/rear", HEADER_TYPE, S + k, cdr_of(header(k)))
        for k in range(count)
    ]


def write_all(bag: BagWriter, messages: list[BagMessage]) -> None:
    for each in messages:
        bag.write(each.topic, each.msgtype, each.cdr, each.stamp_ns)


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def command(*argv: str | Path) -> list[str]:
    """``alphapose-ros`` without networks."""
    return [sys.executable, str(HERE / "recording_scenes.py"), *map(str, argv)]


def variables(*, file_bytes: int = 0, delay_s: float = 0.0, **more: str) -> dict[str, str]:
    """Of the command's process: how large a file may become, how long the pipeline takes."""
    place = os.pathsep.join([str(HERE.parent), str(HERE)])
    return {
        **os.environ,
        "OPENCV_LOG_LEVEL": "SILENT",
        "OPENCV_FFMPEG_LOGLEVEL": "-8",
        "PYTHONPATH": place,
        _LIMIT: str(file_bytes),
        _DELAY: str(delay_s),
        **more,
    }


def start(argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*argv), env=variables(**options), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(argv: Sequence[str | Path], **options: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = start(argv, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def main() -> None:
    import resource

    from cli_stand_in import OnePerson

    import alphapose_ros.cli as cli
    from alphapose_ros.base.records import Frame, FrameResult
    from alphapose_ros.cli import pipelines

    class Slow(OnePerson):
        def __call__(self, frame: Frame) -> FrameResult:
            time.sleep(float(os.environ[_DELAY]))
            return super().__call__(frame)

    limit = int(os.environ[_LIMIT])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    pipelines.make_pipeline = lambda args: Slow()  # type: ignore[assignment, return-value]
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
