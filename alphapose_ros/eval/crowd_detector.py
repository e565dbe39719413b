# SPDX-License-Identifier: Apache-2.0
"""What detector, pose and re-ID networks would say of a picture of the simulated crowd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import clip_boxes
from alphapose_ros.base.records import Appearance, IntArray, Poses
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.crowd_scene import Scene, SeenPeople

_JOINTS = len(COCO17)
_SEEN, _HIDDEN, _OUTSIDE = (0.7, 0.95), (0.05, 0.35), (0.0, 0.1)  # joint scores, from and to
_HIDDEN_NOISE = 4.0  # times the noise of a joint that is seen
_FALSE_JOINTS = (0.1, 0.5)
_TOP_SCORE, _SCORE_STD = 0.93, 0.05
_POST_SHOWS = 0.3  # of the frames
_CLEAN = 0.8  # visibility from which an embedding is the person's own alone


class SimulatedDetector:
    """Boxes that miss, tremble and invent; joints that are worse where something covers them."""

    def __init__(self, config: CrowdConfig, scene: Scene, rng: np.random.Generator) -> None:
        self._config, self._scene, self._rng = config, scene, rng
        depths = rng.uniform(config.nearest_m, config.farthest_m, config.posts)
        across = rng.uniform(-0.4, 0.4, config.posts) * depths / config.focal
        self._posts = np.stack([across, depths], -1)

    def __call__(self, people: SeenPeople, frame: int) -> tuple[Poses, IntArray]:
        """Poses in no particular order, and whose each is: a name, or -1, -2 ... of a post, 0."""
        true, names = self._found(people)
        false, posts = self._invented(frame)
        poses = Poses.concatenate([true, false])
        order = self._rng.permutation(len(poses))
        shuffled = poses[order]
        numbered = _poses(shuffled.keypoints, shuffled.scores, shuffled.boxes, shuffled.box_scores)
        return numbered, np.concatenate([names, posts])[order]

    def _found(self, people: SeenPeople) -> tuple[Poses, IntArray]:
        config, rng = self._config, self._rng
        fine = np.clip((people.visibility - 0.1) / 0.5, 0, 1) ** 0.7
        scores = _TOP_SCORE * fine + _SCORE_STD * rng.normal(size=len(people))
        lucky = rng.uniform(size=len(people)) >= config.missed
        seen = lucky & (people.visibility >= config.least_visibility)
        people, scores = people[seen], np.clip(scores[seen], 0.05, 0.99)
        count = len(people)
        sides = people.boxes[:, 2:] - people.boxes[:, :2]
        noise = config.box_noise * rng.normal(size=(count, 4)) * np.tile(sides, 2)
        noise *= 2 - people.visibility[:, None]
        boxes = clip_boxes((people.boxes + noise).astype(np.float32), config.image_hw)
        joint_scores = self._joint_scores(people)
        heights = people.whole_boxes[:, 3] - people.whole_boxes[:, 1]
        spread = config.joint_noise * heights[:, None] * np.where(people.covered, _HIDDEN_NOISE, 1)
        keypoints = people.keypoints + spread[..., None] * rng.normal(size=(count, _JOINTS, 2))
        return _poses(keypoints, joint_scores, boxes, scores), people.names

    def _joint_scores(self, people: SeenPeople) -> NDArray[np.float64]:
        height, width = self._config.image_hw
        inside = ((people.keypoints >= 0) & (people.keypoints < [width, height])).all(-1)
        shape = people.covered.shape
        seen, hidden, outside = (
            self._rng.uniform(*limits, size=shape) for limits in (_SEEN, _HIDDEN, _OUTSIDE)
        )
        return np.where(inside, np.where(people.covered, hidden, seen), outside)

    def _invented(self, frame: int) -> tuple[Poses, IntArray]:
        """Boxes around nobody."""
        rng, (height, width) = self._rng, self._config.image_hw
        boxes, owners = [], []
        for k, place in enumerate(self._posts):
            box = self._scene.post(place, frame)
            if rng.uniform() < _POST_SHOWS:
                side = box[2:] - box[:2]
                boxes.append(box + 0.03 * rng.normal(size=4) * np.tile(side, 2))
                owners.append(-1 - k)
        for _ in range(rng.poisson(self._config.false_positives)):
            tall = rng.uniform(0.15, 0.7) * height
            wide = tall * rng.uniform(0.3, 0.6)
            left, top = rng.uniform([0, 0], [width - wide, height - tall])
            boxes.append(np.array([left, top, left + wide, top + tall]))
            owners.append(0)
        clipped = clip_boxes(np.reshape(boxes, (-1, 4)), self._config.image_hw)
        kept = (clipped[:, 2:] - clipped[:, :2] > 1).all(1)
        clipped, count = clipped[kept], int(kept.sum())
        sides = (clipped[:, 2:] - clipped[:, :2])[:, None]
        keypoints = clipped[:, None, :2] + rng.uniform(0.1, 0.9, (count, _JOINTS, 2)) * sides
        scores = rng.uniform(*_FALSE_JOINTS, size=(count, _JOINTS))
        box_scores = rng.uniform(0.15, 0.65, count)
        poses = _poses(keypoints, scores, clipped, box_scores)
        return poses, np.array(owners, np.int64)[kept]


class SimulatedLooks:
    """Embeddings on the unit sphere: people differ, and nobody looks quite the same twice.

    The mean cosines are the config's; half of a person's spread comes and goes slowly, as view and
    light do. Who is covered looks in part like who covers.

    Args:
        names: everybody and everything that is ever detected, but for 0.
    """

    def __init__(
        self, config: CrowdConfig, names: Sequence[int], rng: np.random.Generator
    ) -> None:
        self._config, self._rng = config, rng
        common = _unit(rng.normal(size=config.embedding))
        own = _unit(rng.normal(size=(len(names), config.embedding)))
        share = config.other_cosine
        means = _unit(np.sqrt(share) * common + np.sqrt(1 - share) * own)
        self._means = dict(zip(names, means, strict=True))
        self._slow = {name: self._noise() for name in names}
        self._time_s = 0.0

    def __call__(
        self, poses: Poses, owners: IntArray, people: SeenPeople, time_s: float
    ) -> Appearance:
        """Of the poses; ``people`` says who is covered by whom."""
        keep = np.exp(-(time_s - self._time_s) / self._config.look_memory_s)
        self._time_s = time_s
        fresh = np.sqrt(1 - keep**2)
        self._slow = {k: keep * v + fresh * self._noise() for k, v in self._slow.items()}
        rows = {int(name): k for k, name in enumerate(people.names)}
        out = np.zeros((len(poses), self._config.embedding))
        for row, owner in enumerate(owners.tolist()):
            noise = self._noise()
            if owner == 0:
                out[row] = self._rng.normal(size=self._config.embedding)
                continue
            mean, share = self._means[owner], 1.0
            if owner in rows:
                share = min(float(people.visibility[rows[owner]]) / _CLEAN, 1.0)
                coverer = int(people.coverers[rows[owner]])
                if coverer:
                    mean = share * mean + (1 - share) * self._means[coverer]
            slow = np.sqrt(0.5) * self._slow[owner]
            out[row] = mean + (slow + np.sqrt(0.5) * noise) * np.sqrt(2 - share)
        quality = np.clip(poses.scores.mean(1), 0, 1)
        return Appearance(_unit(out).astype(np.float32), quality)

    def _noise(self) -> NDArray[np.float64]:
        """Of such a length that two embeddings of one person have the wanted cosine."""
        size = self._config.embedding
        variance = 1 / self._config.same_cosine - 1
        return self._rng.normal(size=size) * np.sqrt(variance / size)


def _poses(
    keypoints: NDArray[Any], scores: NDArray[Any], boxes: NDArray[Any], box_scores: NDArray[Any]
) -> Poses:
    return Poses(keypoints, scores, boxes, box_scores, np.arange(len(boxes)), COCO17)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float64)
