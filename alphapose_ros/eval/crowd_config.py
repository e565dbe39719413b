# SPDX-License-Identifier: Apache-2.0
"""What a simulated crowd is like. Times are s, lengths m, angles rad, sizes in the image px."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting


@dataclass(frozen=True)
class CrowdConfig:
    """People who walk about in front of a camera that pans, and a detector that errs.

    Attributes:
        duration_s: length of the sequence.
        people: identities that ever come.
        newcomers: share of them whose first visit begins later than the first quarter.
        stay_s: shortest and longest visit, about; a person walks or stands meanwhile.
        away_s: shortest and longest time out of the picture between two visits.
        visits: at most so many visits of a person.
        nearest_m, farthest_m: depths between which people walk.
        speed_ms: slowest and fastest walk.
        standing: chance to stop for a while at a waypoint.
        pillars: static occluders.
        carts: occluders that cross the scene now and then.
        image_hw: height and width of the image.
        focal: focal length in image widths.
        pan_rad, pan_period_s: the camera turns as a sine of this amplitude and period.
        shake_px: spread of the trembling of the view, on top.
        fps: mean frame rate.
        rate_spread: spread of the time between two frames, as a share of it.
        dropped: share of single frames that never arrive.
        bursts_per_minute: gaps of up to ``burst_s`` in the stream of frames.
        burst_s: longest of them.
        missed: share of well seen people that the detector misses.
        least_visibility: less of a person is not detected, nor counted as truth.
        false_positives: per frame, anywhere.
        posts: things in the scene that are taken for people again and again.
        box_noise: spread of a box's edges, in box sides.
        joint_noise: spread of a joint, in box heights.
        embedding: dimensions.
        same_cosine: mean cosine of two embeddings of one person who is well seen.
        other_cosine: mean cosine of two people.
        look_memory_s: the part of an embedding that view and light change forgets itself in so
            long; half of the spread is that part, the other half is new in every frame.
    """

    duration_s: float = setting(60.0, above=0)
    people: int = setting(12, low=0)
    newcomers: float = setting(0.4, low=0, high=1)
    stay_s: tuple[float, float] = (4.0, 12.0)
    away_s: tuple[float, float] = (2.0, 30.0)
    visits: int = setting(4, low=1)
    nearest_m: float = setting(2.5, above=0.5)
    farthest_m: float = setting(9.0, above=1)
    speed_ms: tuple[float, float] = (0.6, 1.5)
    standing: float = setting(0.3, low=0, high=1)
    pillars: int = setting(2, low=0)
    carts: int = setting(1, low=0)
    image_hw: tuple[int, int] = (720, 1280)
    focal: float = setting(0.85, above=0)
    pan_rad: float = setting(0.12, low=0)
    pan_period_s: float = setting(9.0, above=0)
    shake_px: float = setting(2.0, low=0)
    fps: float = setting(15.0, above=0)
    rate_spread: float = setting(0.15, low=0, high=0.5)
    dropped: float = setting(0.05, low=0, high=0.9)
    bursts_per_minute: float = setting(2.0, low=0)
    burst_s: float = setting(1.0, low=0)
    missed: float = setting(0.03, low=0, high=1)
    least_visibility: float = setting(0.2, low=0, high=1)
    false_positives: float = setting(0.1, low=0)
    posts: int = setting(1, low=0)
    box_noise: float = setting(0.02, low=0)
    joint_noise: float = setting(0.008, low=0)
    embedding: int = setting(128, low=2)
    same_cosine: float = setting(0.75, above=0, high=1)
    other_cosine: float = setting(0.3, low=0, high=0.99)
    look_memory_s: float = setting(3.0, above=0)

    def __post_init__(self) -> None:
        check_settings(self, "crowd")
        for name in ("stay_s", "away_s", "speed_ms"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"crowd.{name}: expected 0 < low <= high, got {(low, high)}")
        if self.farthest_m <= self.nearest_m:
            raise ConfigError(
                f"crowd.farthest_m: expected more than nearest_m = {self.nearest_m}, "
                f"got {self.farthest_m}"
            )
