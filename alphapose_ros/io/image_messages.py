# SPDX-License-Identifier: Apache-2.0
"""Image and camera messages <-> arrays. Works on any object with the fields of ``sensor_msgs``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.channels import opencv, red_blue_swapped
from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import ImageArray, Intrinsics
from alphapose_ros.io.image_header import check_promise


class _Encoding(NamedTuple):
    """Bytes per pixel, OpenCV's name of the change to RGB, and which bytes are R, G and B."""

    channels: int
    change: str = ""
    order: tuple[int, int, int] | None = None  # None: only OpenCV can tell


_YUY2, _UYVY = (_Encoding(2, f"COLOR_YUV2RGB_{kind}") for kind in ("YUY2", "UYVY"))
_ENCODINGS: Mapping[str, _Encoding] = {
    "rgb8": _Encoding(3, "", (0, 1, 2)),
    "bgr8": _Encoding(3, "COLOR_BGR2RGB", (2, 1, 0)),
    "rgba8": _Encoding(4, "COLOR_RGBA2RGB", (0, 1, 2)),
    "bgra8": _Encoding(4, "COLOR_BGRA2RGB", (2, 1, 0)),
    "mono8": _Encoding(1, "COLOR_GRAY2RGB", (0, 0, 0)),
    "yuv422_yuy2": _YUY2,
    "yuyv": _YUY2,
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    # ROS names the first two rows, OpenCV the second pixels of the second and third.
    "bayer_rggb8": _Encoding(1, "COLOR_BayerBG2RGB"),
    "bayer_bggr8": _Encoding(1, "COLOR_BayerRG2RGB"),
    "bayer_gbrg8": _Encoding(1, "COLOR_BayerGR2RGB"),
    "bayer_grbg8": _Encoding(1, "COLOR_BayerGB2RGB"),
}
ENCODINGS = tuple(_ENCODINGS)
_DEPTHS: Mapping[str, tuple[str, float]] = {
    "16UC1": ("u2", 1e-3),
    "mono16": ("u2", 1e-3),
    "32FC1": ("f4", 1.0),
}
DISTORTION_MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
MAX_SIDE = 16384  # px; no camera has more, and a damaged header asks for gigabytes


Pixels = Callable[[], ImageArray]


def decode_image(message: Any) -> ImageArray:
    """(H, W, 3) uint8 RGB of an ``Image`` or ``CompressedImage`` message.

    Padding at the end of a row (``step``) is left out. RGB is a view of the message's bytes,
    read-only where they are; other encodings are copied once.

    Raises:
        InputError: an unknown encoding, an impossible size, or fewer bytes than the size needs.
    """
    return checked_image(message)()


def checked_image(message: Any) -> Pixels:
    """What :func:`decode_image` does in two steps: what costs nothing now, the rest when called.

    A live camera's image may be replaced before its turn; then only the first step was spent.

    Raises:
        InputError: as :func:`decode_image`; of damaged compressed images only when called.
    """
    if not hasattr(message, "encoding"):
        return lambda: _decode_compressed(message)
    encoding = _encoding(message.encoding)
    channels = encoding.channels
    height, width, step = int(message.height), int(message.width), int(message.step)
    _check_size(height, width)
    row = width * channels
    if step < row:
        raise InputError(
            f"expected a step of at least {row} bytes ({width} px of {message.encoding}), "
            f"got {step}"
        )
    data = _bytes(message.data)
    needed = step * (height - 1) + row
    if data.size < needed:
        raise InputError(
            f"truncated image: expected {needed} bytes ({width}x{height} {message.encoding}, "
            f"step {step}), got {data.size}"
        )
    pixels: ImageArray = np.ndarray(
        (height, width, channels), np.uint8, data, strides=(step, channels, 1)
    )
    if encoding.order is None and (width % 2 or height % 2 or opencv() is None):
        raise InputError(
            f"{message.encoding}: expected an even width and height, and OpenCV to read it, got "
            f"{width}x{height} px and {'OpenCV' if opencv() else 'no OpenCV'}"
        )
    return lambda: _to_rgb(pixels, encoding)


def _to_rgb(pixels: ImageArray, encoding: _Encoding) -> ImageArray:
    """(H, W, C) -> (H, W, 3); the same memory where it is RGB."""
    if not encoding.change:
        return pixels
    cv2 = opencv()
    if cv2 is not None:  # many times as fast
        rgb: ImageArray = cv2.cvtColor(np.ascontiguousarray(pixels), getattr(cv2, encoding.change))
        return rgb
    out, order = np.empty((*pixels.shape[:2], 3), np.uint8), encoding.order or (0, 1, 2)
    for target, source in enumerate(order):
        out[..., target] = pixels[..., source]
    return out


def decode_depth(message: Any) -> NDArray[np.float32]:
    """(H, W) float32 metres of a depth ``Image``: 16UC1 holds millimetres, 32FC1 metres.

    What the camera did not measure stays as it says so: 0, NaN or infinity.

    Raises:
        InputError: another encoding, an impossible size, or fewer bytes than the size needs.
    """
    if message.encoding not in _DEPTHS:
        raise InputError(
            f"unknown encoding: expected one of {', '.join(_DEPTHS)}, got {message.encoding!r}"
        )
    kind, scale = _DEPTHS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    height, width, step = int(message.height), int(message.width), int(message.step)
    _check_size(height, width)
    row = width * dtype.itemsize
    data = _bytes(message.data)
    needed = step * (height - 1) + row
    if step < row or data.size < needed:
        raise InputError(
            f"truncated depth image: expected {needed} bytes and a step of at least {row} "
            f"({width}x{height} {message.encoding}), got {data.size} and {step}"
        )
    raw: NDArray[Any] = np.ndarray((height, width), dtype, data, strides=(step, dtype.itemsize))
    return raw.astype(np.float32) * np.float32(scale) if scale != 1 else raw.astype(np.float32)


def _encoding(encoding: str) -> _Encoding:
    if encoding not in _ENCODINGS:
        raise InputError(
            f"unknown encoding: expected one of {', '.join(ENCODINGS)}, got {encoding!r}"
        )
    return _ENCODINGS[encoding]


def _decode_compressed(message: Any) -> ImageArray:
    data = _bytes(message.data)
    if data.size == 0:
        raise InputError(f"expected a compressed image ({message.format!r}), got no bytes")
    check_promise(data, message.format)
    cv2 = require(
        "cv2",
        needed_for="decoding compressed images",
        install="install it with: pip install opencv-python-headless",
    )
    try:
        # The orientation in EXIF is a photographer's; a camera's intrinsics belong to its pixels.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise InputError(f"damaged compressed image ({message.format!r}): {error}") from error
    if image is None:
        raise InputError(
            f"damaged compressed image ({message.format!r}): none can be read in {data.size} bytes"
        )
    _check_size(*image.shape[:2])
    return red_blue_swapped(image)


def _bytes(data: Any) -> NDArray[np.uint8]:
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    return np.frombuffer(data, np.uint8)


def _check_size(height: int, width: int) -> None:
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise InputError(
            f"expected an image of 1x1 to {MAX_SIDE}x{MAX_SIDE} px, got {width}x{height}"
        )


def image_message(image: ImageArray, classes: Any, header: Any, encoding: str = "rgb8") -> Any:
    """An ``Image`` of (H, W, 3) uint8 RGB, as ``rgb8`` or ``bgr8``.

    Args:
        image: RGB.
        classes: message constructors, see :mod:`alphapose_ros.output.messages`.
        header: of the source image.
        encoding: order of the bytes in the message.
    """
    if encoding not in ("rgb8", "bgr8"):
        raise InputError(f"expected encoding rgb8 or bgr8, got {encoding!r}")
    pixels = image if encoding == "rgb8" else red_blue_swapped(image)
    height, width = image.shape[:2]
    return classes.Image(
        header=header,
        height=int(height),
        width=int(width),
        encoding=encoding,
        step=int(3 * width),
        data=classes.sequence(pixels),
    )


def compressed_message(image: ImageArray, classes: Any, header: Any, quality: int = 90) -> Any:
    """A ``CompressedImage`` in JPEG of (H, W, 3) uint8 RGB."""
    cv2 = require("cv2", needed_for="compressing images", install="pip install opencv-python")
    bgr = red_blue_swapped(image)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return classes.CompressedImage(
        header=header, format="rgb8; jpeg compressed bgr8", data=classes.sequence(data)
    )


def intrinsics_of(message: Any, *, rectified: bool = True) -> Intrinsics | None:
    """The pinhole camera of a ``CameraInfo``, or None where it says that it is not calibrated.

    Args:
        message: ``sensor_msgs/CameraInfo``; upper- or lower-case K, D and P.
        rectified: the images are rectified: P holds for them, and no distortion is left.

    Raises:
        InputError: sizes or numbers that no camera has.
    """
    name = "p" if rectified else "k"
    matrix = np.asarray(_either(message, name), np.float64).reshape(3, -1)
    if not matrix[0, 0] and rectified:  # a driver that fills only K
        matrix = np.asarray(_either(message, "k"), np.float64).reshape(3, -1)
    fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if fx == 0:
        return None
    if not np.isfinite([fx, fy, cx, cy]).all() or fx < 0 or fy <= 0:
        raise InputError(f"camera_info: expected focal lengths > 0, got fx {fx}, fy {fy}")
    distortion = () if rectified else tuple(float(d) for d in _either(message, "d"))
    if not np.isfinite(distortion).all():
        raise InputError(f"camera_info: expected finite distortion, got {distortion}")
    size_hw = int(message.height), int(message.width)
    model = (str(message.distortion_model) or "plumb_bob") if any(distortion) else "plumb_bob"
    if model not in DISTORTION_MODELS:
        raise InputError(
            f"camera_info: expected one of the distortion models {', '.join(DISTORTION_MODELS)}, "
            f"got {model!r}"
        )
    return Intrinsics(fx, fy, cx, cy, size_hw, distortion, model)


def _either(message: Any, name: str) -> Any:
    return getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
