# SPDX-License-Identifier: Apache-2.0
"""What is known of a model file: origin, preprocessing, licence, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import urlsplit

TASKS = ("pose", "detection", "reid")
FORMATS = (
    "light", "yolox", "alphapose", "simcc", "rtmo", "heatmap", "torchvision", "darknet",
    "efficientdet", "reid", "onnx", "openvino",
)  # fmt: skip

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RAW_STD = (1 / 255, 1 / 255, 1 / 255)  # with a mean of 0: the network takes 0..255
PUBLISHED = "as published by its authors"

_DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"
_DRIVE_PAGE = "https://drive.google.com/file/d/{}/view"


class Beside(NamedTuple):
    """A second file without which the first is nothing; named alike, but for the suffix."""

    url: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model file: what it is, where it comes from, what was measured.

    Attributes:
        name: as users write it. task: one of ``TASKS``. format: its reader, one of ``FORMATS``.
        file: name in the package or in the cache.
        sha256: of that file; empty where nobody has seen it.
        sha256_prefix: first digits of it, where a publisher puts them into the name.
        size_bytes: of that file; 0 where unknown.
        url, drive_id: where it is fetched: an address, or a file of Google Drive; both empty for
            what comes with the package.
        member: path or name of the file inside a zip archive, where the address is one.
        beside: the second file of a model that has two.
        skeleton: keypoint set of a pose network, else empty.
        input_hw: of the network. channels: their order at its input.
        mean, std: a pixel p of 0..255 enters as (p / 255 - mean) / std.
        untaught: joints that training never supervised; their score is always 0.
        decode: how a pose network's output becomes joints: sikr, heatmap, combined, simcc, rtmo;
            of an ONNX detector: its ``detector.format``.
        distance_scale: of a re-identification network, see ``reid.distance_scale``; 0 for 1.
        detector_name: value of ``detector.name`` that reads it; empty for other tasks.
        licence: of the file, with the notices of what it grew from.
        non_commercial: its licence forbids commercial use.
        origin: the weights that training started from, or who published the file.
        data: what it was trained on.
        recipe: how.
        metrics: numbers, the main one first. measured_on: data and command that gave them.
    """

    name: str
    task: str
    format: str
    file: str
    input_hw: tuple[int, int]
    licence: str
    sha256: str = ""
    sha256_prefix: str = ""
    size_bytes: int = 0
    url: str = ""
    drive_id: str = ""
    member: str = ""
    beside: Beside | None = None
    skeleton: str = ""
    channels: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    untaught: tuple[str, ...] = ()
    decode: str = ""
    distance_scale: float = 0.0
    detector_name: str = ""
    non_commercial: bool = False
    origin: str = ""
    data: str = ""
    recipe: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured_on: str = ""

    @property
    def bundled(self) -> bool:
        """Whether the file comes with the package."""
        return not (self.url or self.drive_id)

    @property
    def address(self) -> str:
        """Where the file, or the archive around it, is fetched; empty for a bundled one."""
        return _DRIVE.format(self.drive_id) if self.drive_id else self.url

    @property
    def files(self) -> tuple[ModelSpec, ...]:
        """An entry for each file, this one last, so that where it is the other is, too."""
        if self.beside is None:
            return (self,)
        name = urlsplit(self.beside.url).path.rpartition("/")[2]
        return replace(self, **self.beside._asdict(), file=name, beside=None), self

    @property
    def web_page(self) -> str:
        """What a person opens in a browser where a program is refused; often empty."""
        return _DRIVE_PAGE.format(self.drive_id) if self.drive_id else ""

    @property
    def source_file(self) -> str:
        """Name of what is fetched: the archive's where there is one, else the file's own."""
        return urlsplit(self.url).path.rpartition("/")[2] if self.member else self.file
