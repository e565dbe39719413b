# SPDX-License-Identifier: Apache-2.0
"""What the tracker costs beside the pose network, and whether the gallery's memory stays flat.

    python benchmarks/tracker_cost.py [--people 50] [--rounds 60] [--json out.json]

Fifty people of 136 joints walk about; the tracker, with and without embeddings, takes turns with
one bare forward pass of the bundled ``nano`` pose network on one crop, on one thread, so that a
busy machine slows all of them; medians are compared. Camera motion is measured on a picture of
720 x 1280. Then an hour of passers-by is simulated at four images a second of image time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from alphapose_ros.base.records import Appearance, Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.tracking.camera_motion import CameraMotion
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

SECOND = 1_000_000_000
WIDTH = 128  # of an embedding


class Crowd:
    """People who walk straight on, seen with noise."""

    def __init__(self, people: int, seed: int = 0) -> None:
        self._rng = rng = np.random.default_rng(seed)
        self._places = rng.uniform([60, 100], [1860, 980], (people, 2))
        self._velocities = rng.normal(0, 60, (people, 2))
        self._heights = rng.uniform(100, 300, people)
        self._figures = rng.uniform(0.05, 0.95, (people, len(HALPE136), 2))
        self._looks = _unit(rng.normal(size=(people, WIDTH)))

    def at(self, time_s: float) -> tuple[Poses, Appearance]:
        """What is found of them."""
        rng, count = self._rng, len(self._places)
        centers = self._places + self._velocities * time_s + rng.normal(0, 2, (count, 2))
        sides = self._heights[:, None] * np.array([0.4, 1.0])
        low = centers - sides / 2
        poses = Poses(
            low[:, None] + self._figures * sides[:, None],
            rng.uniform(0.5, 0.95, (count, len(HALPE136))),
            np.concatenate([low, low + sides], 1),
            rng.uniform(0.6, 0.95, count),
            np.arange(count),
            HALPE136,
        )
        noise = rng.normal(0, 0.5 / np.sqrt(WIDTH), (count, WIDTH))
        kept = np.flatnonzero(rng.random(count) > 0.05)
        return poses[kept], Appearance(_unit(self._looks + noise), np.ones(count))[kept]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pose_forward() -> Callable[[], object]:
    """One bare pass of the bundled pose network, on the runtime that a CPU chooses."""
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.imaging import ImageBatch
    from alphapose_ros.pose.factory import create_estimator
    from alphapose_ros.runtime.devices import choose_device

    device = choose_device("cpu")
    config = PipelineConfig.preset_named("nano").resolved()
    estimator = create_estimator(config.pose, device, config.runtime_on(device))
    image = np.random.default_rng(0).integers(0, 255, (256, 192, 3), dtype=np.uint8)
    batch = ImageBatch.upload([image], device)
    crops = batch.crops(np.array([[0, 0, 192, 256]], np.float32), np.zeros(1, np.intp), (256, 192))
    network = estimator.network
    return lambda: network(crops)


def measure(people: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turns."""
    torch.set_num_threads(1)
    forward, crowd = pose_forward(), Crowd(people)
    trackers = [Tracker(TrackerConfig(), HALPE136, IdentitySource()) for _ in range(2)]
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 255, (180, 340), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    motion, spent = CameraMotion(), np.zeros((rounds, 4))
    for i in range(rounds):
        poses, looks = crowd.at(i / 15)
        stamp, shift = SECOND + i * SECOND // 15, 5 * (i % 16)
        image = np.repeat(wall[:, shift : shift + 1280, None], 3, 2)
        few = poses.boxes[:5]
        calls = (
            forward,
            lambda p=poses, s=stamp: trackers[0].update(p, s),
            lambda p=poses, s=stamp, a=looks: trackers[1].update(p, s, a),
            lambda m=image, b=few: motion.estimate(m, b),
        )
        for k, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            spent[i, k] = time.perf_counter() - begin
    names = ("pose_forward", "tracker", "tracker_with_embeddings", "camera_motion")
    middle = 1e3 * np.median(spent[rounds // 4 :], axis=0)
    return {f"{name}_ms": float(value) for name, value in zip(names, middle, strict=True)}


def hour(seconds: int = 3600) -> dict[str, float]:
    """The gallery's bytes in the course of an hour; three people are always in view."""
    tracker = Tracker(TrackerConfig(), HALPE136, IdentitySource())
    sizes: list[int] = []
    people: dict[int, Crowd] = {}
    for i in range(4 * seconds):
        t = i / 4
        visible = [int(t // 4) * 3 + k for k in range(3)]  # new people every four seconds
        people = {k: people.get(k) or Crowd(1, k) for k in visible}
        found = [people[k].at(t % 4) for k in visible]
        poses = Poses.concatenate([each[0] for each in found])
        looks = Appearance.concatenate([each[1] for each in found])
        tracker.update(poses, SECOND + round(t * SECOND), looks)
        sizes.append(tracker.gallery.nbytes)
    quarter = len(sizes) // 4
    return {
        "identities": float(tracker.identities.new_identity() - 1),
        "gallery_people": float(len(tracker.gallery)),
        "gallery_kib_second_quarter": max(sizes[quarter : 2 * quarter]) / 1024,
        "gallery_kib_last_quarter": max(sizes[-quarter:]) / 1024,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=3600, help="of simulated traffic")
    parser.add_argument("--json")
    args = parser.parse_args()
    numbers = measure(args.people, args.rounds)
    forward = numbers["pose_forward_ms"]
    numbers["ratio"] = numbers["tracker_with_embeddings_ms"] / forward
    numbers |= hour(args.seconds)
    for name, value in numbers.items():
        print(f"{name:32}{value:10.2f}")
    if args.json:
        Path(args.json).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
