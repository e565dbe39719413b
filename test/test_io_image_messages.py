# SPDX-License-Identifier: Apache-2.0
"""Image messages -> RGB: every encoding, padded rows, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import InputError
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.io import image_messages
from alphapose_ros.io.image_messages import (
    compressed_message,
    decode_depth,
    decode_image,
    image_message,
    intrinsics_of,
)
from alphapose_ros.io.stamps import StampGuard

CLASSES = MessageClasses(WireTypes())
ORDER = {"rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgba", "bgra8": "bgra", "mono8": "m"}


def message(encoding: str, pixels: np.ndarray, padding: int = 0) -> SimpleNamespace:
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=rows.shape[1],
        data=rows.tobytes(),
        header=CLASSES.Header(),
    )


@pytest.mark.parametrize("library", ["opencv", "numpy"])
@given(st.sampled_from(sorted(ORDER)), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_every_encoding_and_padding(
    library: str, encoding: str, height: int, width: int, padding: int
) -> None:
    order = ORDER[encoding]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (height, width, len(order)), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        if library == "numpy":
            patch.setattr(image_messages, "opencv", lambda: None)
        image = decode_image(message(encoding, pixels, padding))
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    for channel, name in enumerate("rgb"):  # the slow obvious twin
        source = 0 if order == "m" else order.index(name)
        assert image[..., channel].tolist() == pixels[..., source].tolist()


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ["yuyv", "yuv422_yuy2", "uyvy", "yuv422"])
def test_luminance_and_colour_by_turns(encoding: str, padding: int) -> None:
    """Two pixels share their colour, as BT.601 of studio range mixes it."""
    y, u, v = 81, 90, 240  # red
    pair = [y, u, y, v] if encoding in ("yuyv", "yuv422_yuy2") else [u, y, v, y]
    pixels = np.tile(np.array(pair, np.uint8), (4, 3)).reshape(4, 6, 2)
    image = decode_image(message(encoding, pixels, padding))
    assert image.shape == (4, 6, 3)
    assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("name", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_name_their_first_two_rows(name: str) -> None:
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colour[letter] for letter in name], np.uint8).reshape(2, 2)
    pixels = np.tile(tile, (4, 5))[..., None]
    image = decode_image(message(f"bayer_{name}8", pixels, 3))
    assert image.shape == (8, 10, 3)
    assert np.abs(image[2:-2, 2:-2].astype(int) - [200, 120, 40]).max() <= 1


def test_what_only_opencv_reads_says_so_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_messages, "opencv", lambda: None)
    with pytest.raises(InputError, match=r"yuyv: expected .* got 6x4 px and no OpenCV"):
        decode_image(message("yuyv", np.zeros((4, 6, 2), np.uint8)))


def test_rgb_is_not_copied() -> None:
    source = message("rgb8", np.zeros((4, 5, 3), np.uint8), padding=2)
    source.data = np.frombuffer(source.data, np.uint8).copy()
    assert np.shares_memory(decode_image(source), source.data)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_there_and_back(encoding: str, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (6, 7, 3), np.uint8)
    made = image_message(image, CLASSES, CLASSES.Header(), encoding)
    np.testing.assert_array_equal(decode_image(made), image)


def test_compressed_is_rgb_too() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[..., 0] = 200  # red
    back = decode_image(compressed_message(image, CLASSES, CLASSES.Header()))
    assert np.abs(back.astype(int) - image).max() < 12


def test_compressed_grey_has_three_channels() -> None:
    _, data = cv2.imencode(".png", np.full((3, 4), 9, np.uint8))
    back = decode_image(CLASSES.CompressedImage(format="png", data=data.reshape(-1)))
    assert back.shape == (3, 4, 3)


GOOD = {"encoding": "bgr8", "height": 4, "width": 6, "step": 18}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"encoding": "bayer_rggb16"},
            "unknown encoding: expected one of rgb8, .* 'bayer_rggb16'",
        ),
        ({"encoding": "uyvy", "width": 5}, "uyvy: expected an even width and height.* got 5x4 px"),
        ({"encoding": "bayer_bggr8", "height": 3}, "expected an even width and height"),
        ({"encoding": ""}, "unknown encoding"),
        ({"height": 0}, "got 6x0"),
        ({"width": 0}, "got 0x4"),
        ({"height": 2**32 - 1}, "got 6x4294967295"),
        ({"step": 17}, "at least 18 bytes .* got 17"),
        ({"step": 0}, "at least 18"),
        ({"data": b""}, "expected 72 bytes .* got 0"),
        ({"data": bytes(71)}, "truncated image: expected 72 bytes .* got 71"),
    ],
)
def test_bad_images_say_expected_and_got(changes: dict[str, Any], says: str) -> None:
    fields = {**GOOD, "data": bytes(72), **changes}
    with pytest.raises(InputError, match=says):
        decode_image(SimpleNamespace(**fields))


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0" + bytes(20)])
def test_bad_compressed_images(data: bytes) -> None:
    broken = SimpleNamespace(format="jpeg", data=np.frombuffer(data, np.uint8))
    with pytest.raises(InputError, match="jpeg"):
        decode_image(broken)


def camera_info(**changes: Any) -> Any:
    k = np.array([500.0, 0, 320, 0, 510, 240, 0, 0, 1])
    p = np.array([400.0, 0, 300, 0, 0, 410, 200, 0, 0, 0, 1, 0])
    fields = {"height": 480, "width": 640, "k": k, "p": p, "d": np.array([0.1, 0.2])}
    return SimpleNamespace(**{**fields, "distortion_model": "plumb_bob", **changes})


def test_rectified_images_use_p_and_have_no_distortion() -> None:
    raw, rectified = (intrinsics_of(camera_info(), rectified=r) for r in (False, True))
    assert (raw.fx, raw.cy, raw.distortion) == (500, 240, (0.1, 0.2))
    assert (rectified.fx, rectified.cy, rectified.distortion) == (400, 200, ())
    only_k = intrinsics_of(camera_info(p=np.zeros(12)), rectified=True)
    assert only_k.fx == 500


def test_the_distortion_model_is_kept_and_an_unknown_one_refused() -> None:
    fisheye = intrinsics_of(camera_info(distortion_model="equidistant"), rectified=False)
    assert fisheye.distortion_model == "equidistant"
    with pytest.raises(InputError, match="got 'mirror'"):
        intrinsics_of(camera_info(distortion_model="mirror"), rectified=False)
    without = camera_info(distortion_model="", d=np.zeros(5))
    assert intrinsics_of(without, rectified=False).distortion_model == "plumb_bob"


def test_an_uncalibrated_camera_has_no_intrinsics_and_a_broken_one_is_refused() -> None:
    assert intrinsics_of(camera_info(k=np.zeros(9)), rectified=False) is None
    with pytest.raises(InputError, match="focal lengths > 0"):
        intrinsics_of(camera_info(k=np.full(9, np.nan)), rectified=False)


S = 10**9


def verdicts(stamps: list[int]) -> str:
    guard, out = StampGuard(), ""
    for i, stamp in enumerate(stamps):
        verdict = guard.judge(stamp, 10**6 * S + i)
        out += "n" if verdict.new_clock else "a" if verdict.accepted else "-"
    return out


def test_late_and_repeated_stamps_are_refused() -> None:
    assert verdicts([5 * S, 6 * S, 6 * S, 6 * S - 1, 7 * S]) == "aa--a"


def test_a_jump_back_by_more_than_a_second_is_a_new_clock() -> None:
    assert verdicts([5 * S, 4 * S, 4 * S - 1, 4 * S]) == "a-na"


def test_ten_refusals_in_a_row_are_a_new_clock() -> None:
    assert verdicts([5 * S] + [5 * S - 1] * 11) == "a" + "-" * 9 + "n" + "-"
    assert verdicts([5 * S] + [5 * S] * 9 + [6 * S] + [6 * S] * 9) == "a" + "-" * 9 + "a" + "-" * 9


def test_without_stamps_the_time_of_receipt_counts() -> None:
    guard = StampGuard()
    first, second = guard.judge(0, 3 * S), guard.judge(0, 3 * S + 5)
    assert first.missing
    assert second.accepted
    assert (first.stamp_ns, second.stamp_ns) == (3 * S, 3 * S + 5)


def depth_image(values: np.ndarray, encoding: str, **changes: Any) -> SimpleNamespace:
    height, width = values.shape
    fields = {
        "encoding": encoding,
        "is_bigendian": 0,
        "height": height,
        "width": width,
        "step": width * values.itemsize,
        "data": np.frombuffer(values.tobytes(), np.uint8),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_depth_in_millimetres_and_in_metres() -> None:
    expected = np.array([[0.0, 1.5, 4.0], [0.001, 65.535, 2.0]], np.float32)
    millimetres = np.rint(expected * 1000)
    for kind, big in (("<u2", 0), (">u2", 1)):
        message = depth_image(millimetres.astype(kind), "16UC1", is_bigendian=big)
        np.testing.assert_allclose(decode_depth(message), expected, rtol=1e-6)
    metres = expected.copy()
    metres[0, 0] = np.nan
    found = decode_depth(depth_image(metres, "32FC1"))
    np.testing.assert_array_equal(found, metres)
    assert found.dtype == np.float32


def test_padded_rows_of_depth_are_left_out() -> None:
    padded = np.arange(12, dtype="<u2").reshape(2, 6)
    message = depth_image(padded, "16UC1", width=4)
    np.testing.assert_allclose(decode_depth(message), padded[:, :4] / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoding": "rgb8"}, "got 'rgb8'"),
        ({"data": np.zeros(5, np.uint8)}, "truncated depth image: expected 12 bytes"),
        ({"step": 2}, "truncated depth image"),
        ({"height": 0}, "1x1 to"),
    ],
)
def test_bad_depth_is_refused(changes: dict[str, Any], says: str) -> None:
    message = depth_image(np.zeros((2, 3), "<u2"), "16UC1")
    vars(message).update(changes)
    with pytest.raises(InputError, match=says):
        decode_depth(message)
