# SPDX-License-Identifier: Apache-2.0
"""A video's file: by which name OpenCV takes it, and whether it is all there."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")  # Matroska and WebM
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}  # that an MP4 may begin with


@contextmanager
def opencv_name(path: Path) -> Iterator[str]:
    """A name by which OpenCV can open the file, once, while the context lasts.

    It is absolute, because FFmpeg takes what stands before a colon for a protocol. A name that is
    no UTF-8, with which OpenCV crashes, gets a link.
    """
    absolute = path.absolute()
    try:
        name = os.fsencode(absolute).decode()
    except UnicodeDecodeError:
        with TemporaryDirectory() as folder:
            link = Path(folder, f"video{path.suffix if path.suffix.isascii() else ''}")
            link.symlink_to(absolute)
            yield str(link)
    else:
        yield name


def is_incomplete(path: Path) -> bool:
    """Whether its MP4 boxes, its RIFF or its Matroska segment do not fit in the file.

    Its outermost parts say where they end.

    Other formats have no such size, and a Matroska that was written to a pipe has none either:
    they count as complete.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _end(file, size) > size
    except (OSError, struct.error):  # gone, or cut within the head of a part
        return True


def _end(file: IO[bytes], size: int) -> int:
    """The byte that the file should end at, or a later one."""
    head = file.read(8)
    if head[:4] == b"RIFF":
        return _riff_end(file, size)
    if head[:4] == _EBML:
        return _segment_end(file, size)
    if head[4:] in _BOXES:
        return _boxes_end(file, size)
    return size if len(head) == 8 else 8


def _riff_end(file: IO[bytes], size: int) -> int:
    """An AVI of more than 1 GB is several RIFFs in a row."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            break
        if length == 0:  # filled in by the writer's last act
            return size + 1
        end += 8 + length
        end += end % 2 and end < size  # parts begin at even bytes
    return end


def _boxes_end(file: IO[bytes], size: int) -> int:
    end = 0
    while end + 8 <= size:
        file.seek(end)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length < 8 or not kind.isalnum():  # up to the file's end, or no box
            break
        end += length
    return end


def _segment_end(file: IO[bytes], size: int) -> int:
    file.seek(len(_EBML))
    length = _matroska_size(file)
    file.seek(length or 0, 1)
    if file.read(4) != _SEGMENT:
        return size
    length = _matroska_size(file)
    return size if length is None else file.tell() + length


def _matroska_size(file: IO[bytes]) -> int | None:
    """A number whose leading zero bits say how many bytes follow; None: all ones, unknown."""
    (first,) = struct.unpack("B", file.read(1))
    more = 8 - first.bit_length()
    ones = (1 << 7 * (more + 1)) - 1
    value = int.from_bytes(bytes([first]) + file.read(more), "big") & ones
    return None if value == ones else value
