# SPDX-License-Identifier: Apache-2.0
"""Where the demo's people come from: a clip of Debian's and Ubuntu's package ``opencv-doc``."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np

from alphapose_ros.base.errors import SourceError, require
from alphapose_ros.base.records import Frame, ImageArray
from alphapose_ros.io.source_base import INSTALL_OPENCV, Source
from alphapose_ros.io.sources import open_source

PACKAGE = "opencv-doc"
_INSTALLED = Path("/usr/share/doc/opencv-doc")
_NAMES = ("vtest.avi", "vtest.avi.gz")
_TIMEOUT_S = 300


def open_clip(uri: str | None) -> tuple[Source, str]:
    """The source to play, and a line that says what it is.

    Args:
        uri: the user's own; None: pedestrians of ``opencv-doc``, installed, cached or downloaded
            (no root needed), or else a camera flight over one photograph.
    """
    if uri is not None:
        return open_source(uri), uri
    cached = _cache() / "vtest.avi"
    if not cached.is_file():
        try:
            _fetch(cached)
        except SourceError as error:
            return AstronautSource(), (
                f"a flight over scikit-image's astronaut ({error}; "
                "your own clip: make run SOURCE=clip.mp4)"
            )
    return open_source(str(cached)), f"{cached} (pedestrians, from the package {PACKAGE})"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "alphapose_ros"


def _fetch(target: Path) -> None:
    """Put the clip to ``target``.

    Raises:
        SourceError: it is not installed and cannot be downloaded.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for name in _NAMES:
        for found in _INSTALLED.rglob(name):
            _store(found.read_bytes(), found.name, target)
            return
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = _download(Path(folder))
        _store(*_extract(archive), target)


def _store(data: bytes, name: str, target: Path) -> None:
    partial = target.with_suffix(".partial")
    partial.write_bytes(gzip.decompress(data) if name.endswith(".gz") else data)
    partial.replace(target)


def _download(folder: Path) -> Path:
    """The package's file, by the machine's package lists or, where it has none, by new ones."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise SourceError(f"no {PACKAGE} here and no apt-get to get it with")
    (folder / "lists" / "partial").mkdir(parents=True)
    own = ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder}"]
    attempts = (
        [[apt, "-q", "download", PACKAGE]],
        [[apt, "-q", *own, "update"], [apt, "-q", *own, "download", PACKAGE]],
    )
    for commands in attempts:
        if all(_run(command, folder) for command in commands):
            for found in folder.glob(f"{PACKAGE}_*.deb"):
                return found
    raise SourceError(f"{PACKAGE} could not be downloaded")


def _run(command: list[str], folder: Path) -> bool:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _extract(archive: Path) -> tuple[bytes, str]:
    """(content, name) of the clip in a .deb, without unpacking the other 300 MB."""
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise SourceError("no dpkg-deb to unpack it with")
    with subprocess.Popen([tool, "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as dpkg:
        try:
            with tarfile.open(fileobj=dpkg.stdout, mode="r|") as files:
                for member in files:
                    if Path(member.name).name in _NAMES and member.isfile():
                        content = files.extractfile(member)
                        assert content is not None
                        return content.read(), Path(member.name).name
        except tarfile.TarError as error:
            raise SourceError(f"{archive.name} is damaged: {error}") from error
        finally:
            dpkg.kill()
    raise SourceError(f"{archive.name} has no {_NAMES[0]}")


class AstronautSource(Source):
    """Ten seconds over one photograph of a person (public domain), nearer and farther."""

    def __init__(self) -> None:
        data = require(
            "skimage.data",
            needed_for="the demo without a clip",
            install="pip install scikit-image",
        )
        self._cv2 = require("cv2", needed_for="the demo", install=INSTALL_OPENCV)
        self._photo = cast(ImageArray, np.ascontiguousarray(data.astronaut()))
        super().__init__("astronaut", fps=15.0, frame_count=150)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(150):
            phase = 2 * np.pi * index / 150
            scale = 1.55 + 0.25 * np.sin(phase)
            room = 256 * scale - np.array([320, 240])  # the photograph always fills the image
            shift = -room * [1 + 0.9 * np.sin(2 * phase), 0.4]
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
            image = self._cv2.warpAffine(self._photo, matrix, (640, 480))
            yield Frame(image, round(index * 1e9 / 15), self.name)
