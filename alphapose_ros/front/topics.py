# SPDX-License-Identifier: Apache-2.0
"""Names of a camera's topics, by whatever resolves and remaps names."""

from __future__ import annotations

from typing import Protocol

from alphapose_ros.front.config import CameraTopics, NodeConfig


class Resolver(Protocol):
    """Relative and private names -> absolute ones."""

    def expand(self, name: str) -> str:
        """The absolute name before remapping."""

    def resolve(self, name: str) -> str:
        """The absolute name after remapping."""


def image_topic(config: NodeConfig, camera: CameraTopics, names: Resolver) -> str:
    """Where a camera's images come from, with the transport's suffix."""
    base = names.resolve(camera.image_topic)
    if config.image_transport == "raw":
        return base
    return names.resolve(f"{base}/{config.image_transport}")


def camera_info_topic(config: NodeConfig, camera: CameraTopics, names: Resolver) -> str:
    """A camera's calibration: as configured or remapped, else beside its images."""
    if camera.camera_info_topic:
        return names.resolve(camera.camera_info_topic)
    remapped = names.resolve("camera_info")
    if len(config.cameras) == 1 and remapped != names.expand("camera_info"):
        return remapped
    folder = names.resolve(camera.image_topic).rpartition("/")[0]
    return names.resolve(f"{folder}/camera_info")


def depth_topic(camera: CameraTopics, names: Resolver) -> str:
    """A camera's depth images; empty where it has none."""
    return names.resolve(camera.depth_topic) if camera.depth_topic else ""


def depth_wanted(camera: CameraTopics, names: Resolver) -> bool:
    """Whether somebody named a depth topic; the only camera listens to ``depth`` unasked."""
    (default,) = NodeConfig().cameras
    topic = depth_topic(camera, names)
    return bool(topic) and topic != names.expand(default.depth_topic)


def output_name(config: NodeConfig, camera: CameraTopics, name: str) -> str:
    """A result's relative name: ``poses``, or ``front/poses`` with several cameras."""
    return name if len(config.cameras) == 1 else f"{camera.name}/{name}"
