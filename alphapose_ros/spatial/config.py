# SPDX-License-Identifier: Apache-2.0
"""Parameters of the 3-D side. Lengths are metres on the body, times seconds of image stamps."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting


@dataclass(frozen=True)
class SpatialConfig:
    """How tracks and depth become positions in space.

    Attributes:
        joint_score: joints below it get no 3-D point.
        min_depth: nearest depth that the camera can measure, m.
        max_depth: farthest depth that counts, m.
        reach: a joint's depth differs from the torso's by no more, m.
        window: radius of the neighbourhood that gives a joint's depth, m on the body.
        jump: depth grows by no more from point to point along a bone, m; else the background
            is seen there. Sensor noise is added.
        occlusion: what is nearer than the body by more, and not joined to it, hides it, m.
        face_reach: a point of the face is nearer than the head by no more, m.
        hand_reach: a point of a hand differs from the wrist by no more, m.
        depth_noise: standard deviation of depth at 0.4 m, m.
        depth_noise_growth: its growth with the square of the distance beyond 0.4 m, 1/m.
        joint_noise: jitter of a joint on the body, m.
        pixel_noise: jitter of a joint in the image on top of that, px.
        acceleration: spread of the change of a person's velocity within one second, m/s.
        speed: spread of the velocity of a person who was just found, m/s.
        gate: a person who is farther from the expected place, in standard deviations, is set
            there anew: that was a jump of the measurement.
        forget_s: the velocity of a person without a position for longer is forgotten, s.
        body_height: without depth, positions are estimated for people this tall, m; 0: not.
        body_height_error: spread of that estimate along the ray, as a fraction of the distance.
    """

    joint_score: float = setting(0.3, low=0, high=1)
    min_depth: float = setting(0.2, low=0)
    max_depth: float = setting(10.0, above=0)
    reach: float = setting(1.2, above=0)
    window: float = setting(0.02, above=0)
    jump: float = setting(0.12, above=0)
    occlusion: float = setting(0.25, above=0)
    face_reach: float = setting(0.2, above=0)
    hand_reach: float = setting(0.25, above=0)
    depth_noise: float = setting(0.0012, above=0)
    depth_noise_growth: float = setting(0.0019, low=0)
    joint_noise: float = setting(0.015, above=0)
    pixel_noise: float = setting(1.0, low=0)
    acceleration: float = setting(0.3, above=0)
    speed: float = setting(1.5, above=0)
    gate: float = setting(5.0, above=0)
    forget_s: float = setting(1.0, above=0)
    body_height: float = setting(0.0, low=0, high=3)
    body_height_error: float = setting(0.17, above=0, high=1)

    def __post_init__(self) -> None:
        check_settings(self, "spatial")
        if self.max_depth <= self.min_depth:
            raise ConfigError(
                f"spatial.max_depth: expected more than min_depth, got {self.max_depth!r}"
            )
