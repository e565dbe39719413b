# SPDX-License-Identifier: Apache-2.0
"""The size that a compressed image promises, read before anything is decoded.

A PNG of 31 kB can promise 16000 x 16000 pixels, which take 1.5 GB while they are decoded.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError

MAX_PIXELS = 1 << 26  # an 8K image has half of it
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15, ITU-T T.81 table B.1
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # TEM and RST have no length
_END, _SCAN = 0xD9, 0xDA


def check_promise(data: NDArray[np.uint8], kind: str) -> None:
    """Refuse what is no JPEG or PNG, and what would become too large.

    Args:
        data: (bytes,) of the compressed image.
        kind: what the sender calls it, for the message.

    Raises:
        InputError: neither of both, no size in it, more than ``MAX_PIXELS``, or a PNG cut off.
    """
    head = data[:24].tobytes()
    if not head.startswith((_JPEG, _PNG)):
        raise InputError(
            f"expected a JPEG or PNG ({kind!r}), got {data.size} bytes that are neither"
        )
    size_hw = _png_size(head) if head.startswith(_PNG) else _jpeg_size(data.tobytes())
    if size_hw is None:
        raise InputError(f"damaged compressed image ({kind!r}): its header has no size")
    height, width = size_hw
    if height * width > MAX_PIXELS:
        raise InputError(
            f"too large a compressed image ({kind!r}): expected at most {MAX_PIXELS} px, "
            f"its header promises {width}x{height}"
        )
    if head.startswith(_PNG) and not _chunks_fit(data.data):
        raise InputError(f"damaged compressed image ({kind!r}): a PNG of which the end is missing")


def _png_size(head: bytes) -> tuple[int, int] | None:
    """IHDR comes first, always (PNG specification, 5.6)."""
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _chunks_fit(data: memoryview) -> bool:
    """Whether all chunks lie in the file: OpenCV reserves the memory that a length says."""
    at, name = len(_PNG), b""
    while name != b"IEND" and at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        at += 12 + length  # with the checksum behind it
    return name == b"IEND" and at <= len(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Of the first frame header; what stands between two segments is skipped, as decoders do."""
    at, length = 2, len(data)
    while True:
        while at < length and data[at] != 0xFF:
            at += 1
        while at < length and data[at] == 0xFF:
            at += 1
        if at + 3 > length or data[at] in (_END, _SCAN):
            return None
        marker, at = data[at], at + 1
        if marker == 0 or marker in _BARE:
            continue
        if marker in _SIZES:
            size = data[at + 3 : at + 7]
            found = int.from_bytes(size[:2], "big"), int.from_bytes(size[2:], "big")
            return found if len(size) == 4 else None
        at += int.from_bytes(data[at : at + 2], "big")
