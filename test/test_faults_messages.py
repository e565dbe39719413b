# SPDX-License-Identifier: Apache-2.0
"""Damaged messages: each gives one frame or one refusal, and never anything else."""

from __future__ import annotations

import logging
import random
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.front.intake import ImageIntake, LiveImage
from alphapose_ros.io.image_messages import ENCODINGS, decode_depth, decode_image

CLASSES = MessageClasses(WireTypes())
EXAMPLES = 300

sizes = st.one_of(st.integers(0, 9), st.sampled_from([16384, 16385, 2**31, 2**32 - 1]))
names = st.one_of(st.sampled_from([*ENCODINGS, "16UC1", "32FC1", "yuv422"]), st.text(max_size=8))
contents = st.binary(max_size=600).map(lambda data: np.frombuffer(data, np.uint8))
stamps = st.builds(
    lambda sec, nanosec: CLASSES.Time(sec=sec, nanosec=nanosec),
    st.one_of(st.integers(0, 9), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1)),
)
headers = st.builds(
    lambda stamp, frame: CLASSES.Header(stamp=stamp, frame_id=frame), stamps, st.text(max_size=8)
)


def outcome(message: Any) -> tuple[list[Frame], ImageIntake]:
    """What the session would get of it."""
    frames: list[Frame] = []

    def submit(image: LiveImage) -> None:
        frame = image.open()
        if frame is not None:
            frames.append(frame)

    intake = ImageIntake("camera", "/image", submit, lambda camera: None)
    intake.image(message)
    return frames, intake


@settings(max_examples=EXAMPLES)
@given(headers, sizes, sizes, names, sizes, contents)
def test_any_image_is_a_frame_or_one_refusal(
    header: Any, height: int, width: int, encoding: str, step: int, data: np.ndarray
) -> None:
    fields = {"height": height, "width": width, "encoding": encoding, "step": step}
    message = CLASSES.Image(header=header, data=data, **fields)
    frames, intake = outcome(message)
    assert len(frames) + intake.counts.refused == 1
    for frame in frames:
        assert frame.image.shape == (height, width, 3)
        assert int(frame.image.sum()) >= 0  # every byte is there to be read
    try:
        depth = decode_depth(message)
    except InputError:
        return
    assert depth.shape == (height, width)


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["jpeg", "png", "", "🙂"]))
def test_any_compressed_image_is_a_frame_or_one_refusal(seed: int, kind: str) -> None:
    chance = random.Random(seed)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    data = bytearray(cv2.imencode(chance.choice([".jpg", ".png"]), pixels)[1].tobytes())
    for _ in range(chance.randrange(6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    data = data[: chance.choice([len(data), chance.randrange(len(data))])]
    message = CLASSES.CompressedImage(format=kind, data=np.frombuffer(bytes(data), np.uint8))
    frames, intake = outcome(message)
    assert len(frames) + intake.counts.refused == 1


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=EXAMPLES)
@given(
    sizes,
    st.lists(numbers, max_size=14),
    st.lists(numbers, min_size=9, max_size=9),
    st.lists(numbers, min_size=12, max_size=12),
    st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "mirror"]),
    st.booleans(),
)
def test_any_calibration_is_usable_or_none(
    size: int, d: list[float], k: list[float], p: list[float], model: str, rectified: bool
) -> None:
    intake = ImageIntake(
        "camera", "/image", lambda image: None, lambda camera: None, rectified=rectified
    )
    arrays = {name: np.array(values) for name, values in (("d", d), ("k", k), ("p", p))}
    message = CLASSES.CameraInfo(height=size, width=size, distortion_model=model, **arrays)
    intake.camera_info(message, "/camera_info")
    found = intake.intrinsics
    if found is not None:
        assert np.isfinite([found.fx, found.fy, found.cx, found.cy, *found.distortion]).all()
        assert found.fx > 0
        assert found.fy > 0


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize("name", ["image", "compressed", "depth", "camera_info", "poses"])
def test_bytes_changed_on_the_wire(name: str) -> None:
    """A short run of ``make fuzz``: 2,000 mutations of each kind."""
    pytest.importorskip("yaml")
    from fuzz_decoders import at_random_times

    found = at_random_times(name, executions=2000, seed=1)
    assert not found.failures
    assert found.executions == 2000
    assert 0 < found.taken < 2000


def png(length: int | None = None) -> np.ndarray:
    """4 x 4 px, whose pixels are said to be so many bytes (None: as many as there are)."""

    def chunk(name: bytes, data: bytes, stated: int | None = None) -> bytes:
        size = len(data) if stated is None else stated
        return struct.pack(">I", size) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(4 * 13)), length)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")
    return np.frombuffer(data, np.uint8)


@pytest.mark.parametrize("data", [png(length=2**32 - 100), png(length=2**31), png()[:-20]])
def test_a_chunk_that_promises_gigabytes_is_not_opened(
    data: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(InputError, match="a PNG of which the end is missing"):
        decode_image(CLASSES.CompressedImage(format="png", data=data))


def test_sound_files_with_bytes_behind_them_are_read() -> None:
    image = np.full((9, 12, 3), 60, np.uint8)
    for suffix in (".png", ".jpg"):
        data = np.append(cv2.imencode(suffix, image)[1], np.zeros(7, np.uint8))
        found = decode_image(CLASSES.CompressedImage(format="any", data=data))
        assert found.shape == image.shape
    assert decode_image(CLASSES.CompressedImage(format="png", data=png())).shape == (4, 4, 3)


@pytest.mark.parametrize(("sec", "nanosec"), [(-1, 0), (5, 10**9), (2**31 - 1, 2**32 - 1)])
def test_a_stamp_that_no_answer_could_carry_is_refused(sec: int, nanosec: int) -> None:
    stamp = CLASSES.Time(sec=sec, nanosec=nanosec)
    message = CLASSES.Image(
        header=CLASSES.Header(stamp=stamp),
        height=1,
        width=1,
        step=3,
        encoding="rgb8",
        data=np.zeros(3, np.uint8),
    )
    frames, intake = outcome(message)
    assert not frames
    assert f"got {sec} and {nanosec}" in intake.refusal


def test_a_thousand_different_damages_are_a_few_lines_of_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    intake = ImageIntake("camera", "/image", lambda image: image.open(), lambda camera: None)
    with caplog.at_level(logging.ERROR):
        for number in range(250):
            name = "x" * 100_000 + str(number)
            fields = {"height": 1, "width": 3, "step": 9, "data": np.zeros(9, np.uint8)}
            intake.image(CLASSES.Image(**{**fields, "encoding": name}))
            intake.image(CLASSES.Image(**{**fields, "encoding": "rgb8", "step": number % 9}))
            intake.image(CLASSES.Image(**{**fields, "encoding": "rgb8", "height": number * 10**6}))
            rest = np.zeros(number + 1, np.uint8)
            intake.image(CLASSES.CompressedImage(format=name, data=rest))
    assert intake.counts.refused == 1000
    assert len(caplog.records) < 12
    assert max(len(record.getMessage()) for record in caplog.records) < 400
    assert len(intake.refusal) < 400
    assert len(intake._throttle._last) < 12  # what is remembered does not grow
