# SPDX-License-Identifier: Apache-2.0
"""File names out of annotation files, which strangers write."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from alphapose_ros.base.errors import InputError


def image_path(folder: Path, name: Any) -> Path:
    """The image that an annotation names, in ``folder`` or below it.

    Links inside the folder are its owner's and followed.

    Raises:
        InputError: no relative name, or one that climbs out of the folder.
    """
    if not isinstance(name, str) or not name or "\0" in name or not _can_be_written(name):
        raise InputError(f"file_name: expected the name of an image, got {name!r}")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"file_name: expected a name within the folder of images, got {name!r}")
    return folder / path


def _can_be_written(name: str) -> bool:
    """Whether a file can be named so; half a surrogate pair out of JSON is no character."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True
