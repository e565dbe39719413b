# SPDX-License-Identifier: Apache-2.0
"""What the embedded node subscribes and publishes: names, remaps and how it listens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from alphapose_ros.base.errors import ConfigError

_NAME = re.compile(r"(~|/|~/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TRANSPORTS = ("raw", "compressed")
RELIABILITIES = ("auto", "best_effort", "reliable")


@dataclass(frozen=True)
class CameraTopics:
    """One camera.

    Attributes:
        name: in statistics, and before the outputs' names where there are several cameras.
        image_topic: relative or absolute; the transport's suffix is added after remapping.
        camera_info_topic: empty: the sibling of the resolved image topic.
        depth_topic: for the ros front; this one takes no depth.
    """

    name: str = "camera"
    image_topic: str = "image"
    camera_info_topic: str = ""
    depth_topic: str = ""


@dataclass(frozen=True)
class NodeConfig:
    """The embedded node.

    Attributes:
        cameras: each keeps its own tracker; names are unique.
        node_name, namespace: as ROS 2 lists the node; remaps ``__node`` and ``__ns`` override.
        remaps: ROS remapping rules, ``{"image": "/front/image_raw"}``.
        image_transport: ``raw`` or ``compressed``.
        reliability: of the image subscriptions. ``auto`` begins with best effort, which every
            publisher matches, and turns to reliable once all publishers offer it, because large
            images lose parts on a best-effort road; the others force it.
        image_is_rectified: the images are rectified already: camera_info's P holds, not K.
        marker_depth: m, distance of the plane that markers lie on without depth.
        marker_lifetime_s: markers vanish after it when nothing comes; 0 keeps them.
        silence_warning_s: a camera that is silent for so long is reported.
    """

    cameras: tuple[CameraTopics, ...] = (CameraTopics(),)
    node_name: str = "alphapose_ros"
    namespace: str = "/"
    remaps: Mapping[str, str] = field(default_factory=dict)
    image_transport: str = "raw"
    reliability: str = "auto"
    image_is_rectified: bool = False
    marker_depth: float = 2.0
    marker_lifetime_s: float = 0.5
    silence_warning_s: float = 5.0

    def __post_init__(self) -> None:
        _one_of("image_transport", self.image_transport, TRANSPORTS)
        _one_of("reliability", self.reliability, RELIABILITIES)
        if not _TOKEN.fullmatch(self.name):
            raise ConfigError(f"node name: expected letters, digits and _, got {self.name!r}")
        if not self.cameras:
            raise ConfigError("cameras: expected at least one")
        names = [camera.name for camera in self.cameras]
        for name in names:
            if not _TOKEN.fullmatch(name) or names.count(name) > 1:
                raise ConfigError(
                    f"cameras: expected unique names of letters, digits and _, got {names}"
                )
        if self.marker_depth <= 0:
            raise ConfigError(f"marker_depth: expected metres > 0, got {self.marker_depth}")
        for key in ("marker_lifetime_s", "silence_warning_s"):
            if getattr(self, key) < 0:
                raise ConfigError(f"{key}: expected seconds >= 0, got {getattr(self, key)}")
        self.resolve("image")

    @classmethod
    def from_parameters(
        cls, values: Mapping[str, Any], remaps: Mapping[str, str] | None = None
    ) -> NodeConfig:
        """From nested ROS parameters: ``cameras: [front]``, ``front: {image_topic: ...}``, ...

        Raises:
            ConfigError: an unknown key, a wrong type or value.
        """
        from alphapose_ros.config import build  # with the networks' own configs, torch

        rest = dict(values)
        names = rest.pop("cameras", [])
        if not isinstance(names, list) or any(type(name) is not str for name in names):
            raise ConfigError(f"cameras: expected a list of names, got {names!r}")
        sections = {name: rest.pop(name, {}) for name in names}
        for name, section in sections.items():
            if not isinstance(section, Mapping):
                raise ConfigError(f"{name}: expected a section of parameters, got {section!r}")
        config = build(cls, rest)
        cameras = tuple(
            replace(build(CameraTopics, section, f"{name}."), name=name)
            for name, section in sections.items()
        )
        return replace(config, cameras=cameras or config.cameras, remaps=dict(remaps or {}))

    @property
    def name(self) -> str:
        """The node's name after ``__node``."""
        return self.remaps.get("__node", self.node_name)

    @property
    def full_namespace(self) -> str:
        """The namespace after ``__ns``, with a leading and no trailing slash; ``/`` alone."""
        return "/" + self.remaps.get("__ns", self.namespace).strip("/")

    def resolve(self, name: str) -> str:
        """The absolute topic of ``name``: ``image``, ``~/x`` or ``/a/b``, after all remaps.

        Raises:
            ConfigError: not a ROS name.
        """
        absolute = self._absolute(name)
        for source, target in self.remaps.items():
            if not source.startswith("__") and self._absolute(source) == absolute:
                return self._absolute(target)
        return absolute

    def image_topic(self, camera: CameraTopics) -> str:
        """Where a camera's images come from, with the transport's suffix."""
        suffix = "" if self.image_transport == "raw" else f"/{self.image_transport}"
        return self.resolve(camera.image_topic) + suffix

    def camera_info_topic(self, camera: CameraTopics) -> str:
        """A camera's calibration: as configured or remapped, else beside its images."""
        if camera.camera_info_topic:
            return self.resolve(camera.camera_info_topic)
        remapped = self.resolve("camera_info")
        if len(self.cameras) == 1 and remapped != self._absolute("camera_info"):
            return remapped
        return self.resolve(self.resolve(camera.image_topic).rpartition("/")[0] + "/camera_info")

    def output_topic(self, camera: CameraTopics, name: str) -> str:
        """A result's topic: ``poses``, or ``front/poses`` where there are several cameras."""
        return self.resolve(name if len(self.cameras) == 1 else f"{camera.name}/{name}")

    def _absolute(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"topic: expected a ROS name such as /front/image_raw, got {name!r}")
        if name.startswith("/"):
            return name
        namespace = self.full_namespace.rstrip("/")
        if name.startswith("~"):
            return f"{namespace}/{self.name}/{name[1:].lstrip('/')}"
        return f"{namespace}/{name}"


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key}: expected one of {', '.join(allowed)}, got {value!r}")
