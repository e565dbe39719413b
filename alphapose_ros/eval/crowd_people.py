# SPDX-License-Identifier: Apache-2.0
"""The people of the simulated crowd: when they come, how they walk, where their joints are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.eval.crowd_config import CrowdConfig

FloatArray = NDArray[np.float64]
_OUTSIDE = 1.5  # m beyond the edge of the view where people appear and vanish
_STEP_M = 0.75
_STANDING_STILL = 0.15  # m/s, below which the limbs rest

# Across, up and ahead in body heights, of somebody who stands; left is positive.
_STANDING = {
    "nose": (0, 0.93, 0.07),
    "left_eye": (0.02, 0.945, 0.06),
    "left_ear": (0.045, 0.94, 0),
    "left_shoulder": (0.12, 0.82, 0),
    "left_elbow": (0.15, 0.64, 0),
    "left_wrist": (0.16, 0.48, 0.03),
    "left_hip": (0.07, 0.53, 0),
    "left_knee": (0.07, 0.285, 0),
    "left_ankle": (0.07, 0.045, 0),
}
# How far a joint swings ahead of the body at full stride, in body heights.
_SWING = {"elbow": -0.06, "wrist": -0.14, "knee": 0.11, "ankle": 0.19}
# Head's top and soles, which no joint marks, and the breadth of the flesh around the joints.
_EXTREMES = np.array([[0, 1.0, 0], [0, 0.0, 0.06], [0.17, 0.6, 0], [-0.17, 0.6, 0]])


@dataclass(frozen=True)
class Visit:
    """One stay in the picture: corners of a path, walked straight from one to the next.

    Attributes:
        times: (P,) s, rising. places: (P, 2) m, x and z on the ground.
    """

    times: FloatArray
    places: FloatArray


@dataclass(frozen=True)
class Person:
    """Somebody of the crowd. ``name`` is the true identity, from 1."""

    name: int
    height_m: float
    phase: float
    visits: tuple[Visit, ...]

    def visit_at(self, time_s: float) -> int:
        """Number of the visit that goes on then, -1 if none does."""
        for k, visit in enumerate(self.visits):
            if visit.times[0] <= time_s <= visit.times[-1]:
                return k
        return -1

    def place(self, time_s: float) -> FloatArray:
        """(2,) m, x and z on the ground, during a visit."""
        visit = self.visits[self.visit_at(time_s)]
        return np.array([np.interp(time_s, visit.times, visit.places[:, k]) for k in (0, 1)])

    def body(self, time_s: float) -> tuple[FloatArray, FloatArray]:
        """Joints (17, 3) and outermost points (4, 3) in m, of COCO's skeleton, during a visit."""
        visit = self.visits[self.visit_at(time_s)]
        leg = min(int(np.searchsorted(visit.times, time_s, side="right")), len(visit.times) - 1)
        step = visit.places[leg] - visit.places[leg - 1]
        length, spent = float(np.hypot(*step)), visit.times[leg] - visit.times[leg - 1]
        speed = length / max(float(spent), 1e-6)
        ahead = step / length if length > 1e-6 else np.array([0.0, -1.0])  # towards the camera
        stride = min(speed / 1.2, 1.0) if speed > _STANDING_STILL else 0.0
        swing = stride * np.sin(2 * np.pi * speed / (2 * _STEP_M) * time_s + self.phase)
        return (
            self._placed(_joints(swing), ahead, self.place(time_s)),
            self._placed(_EXTREMES, ahead, self.place(time_s)),
        )

    def _placed(self, body: FloatArray, ahead: FloatArray, place: FloatArray) -> FloatArray:
        across = np.array([-ahead[1], ahead[0]])  # to the left of who looks ahead
        ground = place + self.height_m * (body[:, :1] * across + body[:, 2:] * ahead)
        return np.stack([ground[:, 0], self.height_m * body[:, 1], ground[:, 1]], -1)


def _layout() -> tuple[FloatArray, FloatArray]:
    """(17, 3) of who stands, and (17,) how far each joint comes ahead at full stride."""
    standing, swing = np.zeros((len(COCO17), 3)), np.zeros(len(COCO17))
    for k, name in enumerate(COCO17.keypoint_names):
        side, _, part = name.partition("_")
        mirror = {"left": 1, "right": -1}.get(side, 0)
        standing[k] = _STANDING[f"left_{part}" if mirror else name]
        standing[k, 0] *= mirror
        swing[k] = mirror * _SWING.get(part, 0)
    return standing, swing


_STILL, _STRIDE = _layout()


def _joints(swing: float) -> FloatArray:
    return _STILL + swing * _STRIDE[:, None] * np.array([0, 0, 1.0])


def make_people(
    config: CrowdConfig, rng: np.random.Generator, visits: Sequence[int] | None = None
) -> list[Person]:
    """The crowd with all its visits; ``visits`` limits those of each person further."""
    limits = [config.visits] * config.people if visits is None else visits
    later = [k >= (1 - config.newcomers) * config.people for k in range(config.people)]
    return [
        Person(
            name=k + 1,
            height_m=float(rng.uniform(1.55, 1.95)),
            phase=float(rng.uniform(0, 2 * np.pi)),
            visits=tuple(_visits(config, rng, later=later[k]))[: limits[k]],
        )
        for k in range(config.people)
    ]


def _visits(config: CrowdConfig, rng: np.random.Generator, *, later: bool) -> list[Visit]:
    quarter = config.duration_s / 4
    time_s = rng.uniform(quarter, 3 * quarter) if later else rng.uniform(-4, quarter / 2)
    out: list[Visit] = []
    for _ in range(config.visits):
        visit = _walk(config, rng, float(time_s))
        out.append(visit)
        time_s = visit.times[-1] + rng.uniform(*config.away_s)
        if time_s > config.duration_s:
            break
    return out


def _walk(config: CrowdConfig, rng: np.random.Generator, start_s: float) -> Visit:
    """In at one side, over some waypoints, out at one side."""
    places, times = [_beside(config, rng)], [start_s]
    leave_s = start_s + rng.uniform(*config.stay_s)
    speed = rng.uniform(*config.speed_ms)

    def walk(target: FloatArray) -> None:
        away = float(np.hypot(*(target - places[-1])))
        times.append(times[-1] + max(away / speed, 0.05))
        places.append(target)

    while times[-1] < leave_s:
        depth = rng.uniform(config.nearest_m, config.farthest_m)
        walk(np.array([rng.uniform(-0.8, 0.8) * _half_width(config, depth), depth]))
        if rng.uniform() < config.standing:
            times.append(times[-1] + rng.uniform(0.5, 4))
            places.append(places[-1])
    walk(_beside(config, rng))
    return Visit(np.array(times), np.array(places))


def _half_width(config: CrowdConfig, depth: float) -> float:
    return depth * 0.5 / config.focal


def _beside(config: CrowdConfig, rng: np.random.Generator) -> FloatArray:
    """A place out of the picture, also when the camera has turned towards it."""
    depth = rng.uniform(config.nearest_m, config.farthest_m)
    edge = np.arctan(0.5 / config.focal) + config.pan_rad
    return np.array([rng.choice([-1, 1]) * (np.tan(min(edge, 1.4)) * depth + _OUTSIDE), depth])
