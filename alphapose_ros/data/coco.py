# SPDX-License-Identifier: Apache-2.0
"""COCO-format files and images, read the same way for boxes and for poses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import InputError

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_OTHERS = (b"BM", b"RIFF", b"II*\x00", b"MM\x00*", b"GIF8", b"P5", b"P6", b"\x00\x00\x00\x0cjP")
_TAIL = 4096  # cameras append some bytes behind a picture's end


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot read annotations: {error}") from error


def read_coco(path: Path) -> dict[str, Any]:
    """The content of a COCO-format annotation file.

    Raises:
        InputError: missing, not JSON, without the lists ``images`` and ``annotations``, or with
            ``categories`` of another form.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise InputError(f"{path}: expected a COCO file with 'images' and 'annotations'")
    for key in ("images", "annotations"):
        if not isinstance(content[key], list):
            kind = type(content[key]).__name__
            raise InputError(f"{path}: expected a list in {key!r}, got {kind}")
    _check_categories(path, content.get("categories"))
    return content


def _check_categories(path: Path, categories: Any) -> None:
    if categories is None:
        return
    if not isinstance(categories, list) or not all(
        _is_category(entry) for entry in categories if isinstance(entry, dict)
    ):
        raise InputError(
            f"{path}: expected a list of 'categories', each with a number and a list of names"
        )


def _is_category(entry: dict[str, Any]) -> bool:
    names = entry.get("keypoints") or []
    plain = isinstance(entry.get("id"), int | float | str | None)
    return plain and isinstance(names, list) and all(isinstance(name, str) for name in names)


def image_number(value: Any) -> int:
    """The number of an image, which fits into 64 bits.

    Raises:
        InputError, TypeError, ValueError, OverflowError: it is none.
    """
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise InputError("id: expected an image's number of 64 bits")
    return number


def persons_among(categories: Any) -> set[Any] | None:
    """Category ids that are people, None where all are: of one category, or no known name."""
    listed = [c for c in categories or () if isinstance(c, dict)]
    found = {c.get("id") for c in listed if c.get("name") == "person" or c.get("keypoints")}
    return found if found and len(listed) > 1 else None


def image_fault(path: Path) -> str | None:
    """Why an image file cannot be used, or None; seen from its first and last bytes.

    A picture cut off in transfer decodes without a word and is grey below the cut, so the end is
    looked for too, in JPEG and PNG.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            tail = file.read()
            if head.startswith(_JPEG) and _JPEG_END not in tail:
                file.seek(0)
                return None if _jpeg_ends(file.read()) else "unreadable image"
    except FileNotFoundError:
        return "missing image"
    except OSError:
        return "unreadable image"
    if head.startswith(_PNG):
        return None if _PNG_END in tail else "unreadable image"
    return None if head.startswith((_JPEG, *_OTHERS)) else "unreadable image"


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        InputError: missing, broken or cut off.
    """
    fault = image_fault(path)
    # Not cv2.imread, which crashes where a name is no UTF-8.
    data = None if fault else cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if data is None:
        why = fault or "it does not decode"
        raise InputError(f"{path}: expected an image, cannot read one: {why}")
    return red_blue_swapped(data.astype(np.uint8, copy=False))


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end marker follows the pixels; the header's thumbnail has one of its own."""
    at = 2
    while data[at : at + 1] == b"\xff" and len(data) >= at + 4:
        if data[at + 1] == 0xDA:  # the pixels begin; a marker never occurs within them
            return _JPEG_END in data[at:]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
