# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node itself: its cameras, what it listens to and what it says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.output.target import MODES
from alphapose_ros.spatial.config import SpatialConfig

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
        depth_topic: depth aligned with the image; empty: none.
    """

    name: str = "camera"
    image_topic: str = "image"
    camera_info_topic: str = ""
    depth_topic: str = ""


@dataclass(frozen=True)
class NodeConfig:
    """The node; its networks and tracker are configured beside it.

    Attributes:
        cameras: each keeps its own tracker; names are unique.
        autostart: begin to work at once; false under a lifecycle manager.
        bond: keep a bond with a lifecycle manager that wants one.
        image_transport: raw or compressed.
        reliability: of the image subscriptions. auto begins with best effort, which every
            publisher matches, and turns to reliable once all publishers offer it, because large
            images lose parts on a best-effort road; the others force it.
        image_is_rectified: the images are rectified already: camera_info's P holds, not K.
        depth_tolerance_s: a depth image belongs to an image whose stamp is as near as this, s.
        target_frame: TF frame of positions, 3-D joints and markers; empty: the image's own.
        fixed_frame: TF frame that stands on the ground, such as odom, in which velocities are
            measured; empty: the camera is taken to stand still.
        transform_wait_s: longest wait for a transform after the image came, s.
        spatial: see :class:`SpatialConfig`.
        detections: publish vision_msgs/Detection2DArray too.
        humans: publish REP-155's humans/... topics and body frames too.
        target: publish one person as a pose and a TF frame: off, id, nearest (to the camera) or
            raised_hand.
        target_id: identity of that person where target is id.
        target_hold_s: a target out of sight for no longer than this is waited for, s.
        marker_depth: distance of the plane that markers lie on without depth, m.
        marker_lifetime_s: markers vanish after it when nothing comes, s; 0 keeps them.
        silence_warning_s: a camera that is silent for so long is reported, s.
        stale_warning_s: images whose stamps lie this far behind the clock are reported, s; 0: not.
    """

    cameras: tuple[CameraTopics, ...] = (CameraTopics(depth_topic="depth"),)
    autostart: bool = setting(True, live=False)
    bond: bool = setting(False, live=False)
    image_transport: str = setting("raw", choices=TRANSPORTS, live=False)
    reliability: str = setting("auto", choices=RELIABILITIES, live=False)
    image_is_rectified: bool = setting(False, live=False)
    depth_tolerance_s: float = setting(0.02, low=0, high=1)
    target_frame: str = setting("", live=False)
    fixed_frame: str = setting("", live=False)
    transform_wait_s: float = setting(0.05, low=0, high=0.05)
    spatial: SpatialConfig = field(default_factory=SpatialConfig)
    detections: bool = setting(False, live=False)
    humans: bool = setting(False, live=False)
    target: str = setting("off", choices=MODES)
    target_id: int = setting(0, low=0)
    target_hold_s: float = setting(2.0, low=0)
    marker_depth: float = setting(2.0, above=0)
    marker_lifetime_s: float = setting(0.5, low=0)
    silence_warning_s: float = setting(5.0, low=0)
    stale_warning_s: float = setting(1.0, low=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.cameras:
            raise ConfigError("cameras: expected at least one")
        names = [camera.name for camera in self.cameras]
        known = {item.name for item in dataclasses.fields(self)}
        for name in names:
            if not _TOKEN.fullmatch(name) or names.count(name) > 1:
                raise ConfigError(
                    f"cameras: expected unique names of letters, digits and _, got {names}"
                )
            if name in known:
                raise ConfigError(f"cameras: {name} is the name of a parameter already")

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> NodeConfig:
        """From nested ROS parameters: ``cameras: [front]``, ``front: {image_topic: ...}``, ...

        Raises:
            ConfigError: an unknown key, a wrong type or value.
        """
        from alphapose_ros.config import build  # with the networks' own configs

        rest = dict(values)
        names = rest.pop("cameras", [])
        if not isinstance(names, list) or any(type(name) is not str for name in names):
            raise ConfigError(f"cameras: expected a list of names, got {names!r}")
        names = [name for name in names if name]  # ROS 2 writes an empty list as ['']
        if len(set(names)) < len(names):
            raise ConfigError(f"cameras: expected unique names, got {names}")
        sections = {name: rest.pop(name, {}) for name in names}
        for name, section in sections.items():
            if not isinstance(section, Mapping):
                raise ConfigError(f"{name}: expected a section of parameters, got {section!r}")
        config = build(cls, rest)
        cameras = tuple(
            replace(build(CameraTopics, section, f"{name}."), name=name)
            for name, section in sections.items()
        )
        return replace(config, cameras=cameras or config.cameras)
