# SPDX-License-Identifier: Apache-2.0
"""What the camera of the simulated crowd sees: people, occluders, and who covers whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import clip_boxes
from alphapose_ros.base.records import FloatArray, IntArray
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.eval.crowd_camera import Camera
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.crowd_people import Person

_MARGIN = 0.02  # of the height, around the outermost points: clothes and hair
_OPAQUE = 0.7  # share of a person's box, across, that nothing is seen through
_GRID = np.stack(np.meshgrid(np.linspace(0.14, 0.86, 5), np.linspace(0.04, 0.96, 9)), -1)
_SMALLEST_PX = 8.0
_CART_M, _CART_SPEED_MS = (1.6, 1.3), 1.2  # width and height; speed


@dataclass(frozen=True)
class SeenPeople(Rows):
    """People in one picture.

    Attributes:
        names: true identities, from 1. visits: number of the stay, from 0.
        keypoints: (N, 17, 2) px. covered: (N, 17), whether something is in front.
        boxes: (N, 4) px, inside the picture. whole_boxes: (N, 4) px, also outside it.
        visibility: (N,) share of the person that is in the picture and not covered.
        coverers: name of the person who covers most of it, 0 if nobody does.
        depths: (N,) m.
    """

    names: IntArray = array("N", dtype=np.int64)
    visits: IntArray = array("N", dtype=np.int64)
    keypoints: FloatArray = array("N", 17, 2, dtype=np.float32)
    covered: NDArray[np.bool_] = array("N", 17, dtype=np.bool_)
    boxes: FloatArray = array("N", 4, dtype=np.float32)
    whole_boxes: FloatArray = array("N", 4, dtype=np.float32)
    visibility: FloatArray = array("N", dtype=np.float32)
    coverers: IntArray = array("N", dtype=np.int64)
    depths: FloatArray = array("N", dtype=np.float32)


@dataclass(frozen=True)
class Things(Rows):
    """Occluders in one picture: opaque boxes at a depth."""

    boxes: FloatArray = array("N", 4, dtype=np.float32)
    depths: FloatArray = array("N", dtype=np.float32)


class Scene:
    """People and occluders in front of a camera; ``see(frame)`` is one picture of them.

    Args:
        people: everybody who ever comes.
        camera: of the sequence, with as many frames as ``times``.
        times: (F,) s.
    """

    def __init__(
        self,
        config: CrowdConfig,
        people: Sequence[Person],
        camera: Camera,
        times: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        self._config, self._people, self._camera, self._times = config, people, camera, times
        near, far = config.nearest_m, config.farthest_m
        depths = rng.uniform(near, 0.6 * far + 0.4 * near, config.pillars)
        across = rng.uniform(-0.35, 0.35, config.pillars) * depths / config.focal
        self._pillars = np.stack([across, depths, rng.uniform(0.3, 0.6, config.pillars)], -1)
        self._carts = rng.uniform([near, 8, 0], [0.5 * (near + far), 20, 1], (config.carts, 3))

    def see(self, frame: int) -> tuple[SeenPeople, Things]:
        """Who is in the picture, by name, and the occluders."""
        time_s = float(self._times[frame])
        things = self._things(frame)
        bodies = [
            (person, person.visit_at(time_s), *person.body(time_s))
            for person in self._people
            if person.visit_at(time_s) >= 0
        ]
        if not bodies:
            return _nobody(), things
        joints = np.stack([joint for _, _, joint, _ in bodies])
        points = np.concatenate([joints, np.stack([outer for *_, outer in bodies])], 1)
        pixels, ahead = self._camera.project(points, frame)
        whole = _boxes_around(pixels)
        boxes = clip_boxes(whole, self._config.image_hw)
        sides = boxes[:, 2:] - boxes[:, :2]
        inside = np.asarray(ahead.all(1) & (sides > _SMALLEST_PX).all(1))
        depths = points[..., 2].mean(1).astype(np.float32)
        size_hw = self._config.image_hw
        visibility, coverers = visibility_of(whole, depths, inside, things, size_hw)
        names = np.array([person.name for person, *_ in bodies])
        visibility = np.where(inside, visibility, 0).astype(np.float32)
        people = SeenPeople(
            names,
            np.array([visit for _, visit, *_ in bodies]),
            pixels[:, : joints.shape[1]].astype(np.float32),
            _covered(pixels[:, : joints.shape[1]], whole, depths, things),
            boxes,
            whole,
            visibility,
            np.where(coverers >= 0, names[coverers], 0),
            depths,
        )
        return people[inside], things

    def post(self, place: NDArray[np.float64], frame: int) -> NDArray[np.float32]:
        """(4,) px box of something as large as a person at ``place``, x and z in m."""
        corners = np.array(
            [[place[0] + dx, y, place[1]] for dx in (-0.25, 0.25) for y in (0.0, 1.7)]
        )
        return _boxes_around(self._camera.project(corners, frame)[0][None])[0]

    def _things(self, frame: int) -> Things:
        boxes, depths = [], []
        for across, depth, width in self._pillars:
            boxes.append((across - width / 2, across + width / 2, 2.6))
            depths.append(depth)
        for depth, period_s, phase in self._carts:
            reach = depth * 0.6 / self._config.focal + _CART_M[0]
            way = 2 * reach + period_s * _CART_SPEED_MS  # out of sight for about period_s
            at = (self._times[frame] * _CART_SPEED_MS + phase * way) % way - reach
            boxes.append((at - _CART_M[0] / 2, at + _CART_M[0] / 2, _CART_M[1]))
            depths.append(depth)
        if not boxes:
            return Things(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        corners = np.array(
            [
                [(x, y, z) for x in (left, right) for y in (0.0, top)]
                for (left, right, top), z in zip(boxes, depths, strict=True)
            ]
        )
        return Things(
            _boxes_around(self._camera.project(corners, frame)[0], 0), np.array(depths, np.float32)
        )


def _nobody() -> SeenPeople:
    numbers, shares = np.zeros(0, np.int64), np.zeros(0, np.float32)
    joints, boxes = np.zeros((0, 17, 2), np.float32), np.zeros((0, 4), np.float32)
    covered = np.zeros((0, 17), bool)
    return SeenPeople(numbers, numbers, joints, covered, boxes, boxes, shares, numbers, shares)


def _boxes_around(pixels: NDArray[np.float64], margin: float = _MARGIN) -> FloatArray:
    """(N, P, 2) px -> (N, 4) px."""
    low, high = pixels.min(1), pixels.max(1)
    room = margin * (high - low)[:, 1:]
    return np.concatenate([low - room, high + room], 1).astype(np.float32)


def _opaque(whole: FloatArray) -> FloatArray:
    shrink = (1 - _OPAQUE) / 2 * (whole[:, 2] - whole[:, 0])
    out = whole.copy()
    out[:, 0] += shrink
    out[:, 2] -= shrink
    return out


def _hidden(
    points: NDArray[Any], depths: FloatArray, boxes: FloatArray, box_depths: FloatArray
) -> NDArray[np.bool_]:
    """(N, P, 2) px points at depths (N,) behind M boxes -> (N, P, M)."""
    place = points[:, :, None]
    within = ((place >= boxes[:, :2]) & (place <= boxes[:, 2:])).all(-1)
    nearer = box_depths[None] < depths[:, None] - 1e-6
    return np.asarray(within & nearer[:, None])


def _covered(
    joints: NDArray[np.float64], whole: FloatArray, depths: FloatArray, things: Things
) -> NDArray[np.bool_]:
    by_people = _hidden(joints, depths, _opaque(whole), depths)
    by_things = _hidden(joints, depths, things.boxes, things.depths)
    return np.asarray(by_people.any(-1) | by_things.any(-1))


def visibility_of(
    whole: FloatArray,
    depths: FloatArray,
    inside: NDArray[np.bool_],
    things: Things,
    size_hw: tuple[int, int],
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Share of each person that is seen (N,), and the row of who covers most of it, or -1.

    Args:
        whole: (N, 4) px boxes, also outside the picture. depths: (N,) m.
        inside: (N,) who is in the picture at all.
        things: occluders.
        size_hw: of the picture.
    """
    sides = whole[:, 2:] - whole[:, :2]
    grid = whole[:, None, :2] + _GRID.reshape(1, -1, 2) * sides[:, None]
    height, width = size_hw
    shown: NDArray[np.bool_] = np.asarray(((grid >= 0) & (grid < [width, height])).all(-1))
    people = np.where(inside[:, None], _opaque(whole), -1e9)  # who is not shown covers nobody
    by_people = _hidden(grid, depths, people, depths)
    by_things = _hidden(grid, depths, things.boxes, things.depths)
    seen = np.asarray(shown & ~by_people.any(-1) & ~by_things.any(-1))
    share = seen.mean(1)
    cover = (by_people & shown[..., None]).sum(1)
    nobody = np.full((len(whole), 1), 0)  # in front, so that there is a best one among no people
    most = np.concatenate([nobody, cover], 1).argmax(1) - 1
    return np.asarray(share, np.float32), most
