# SPDX-License-Identifier: Apache-2.0
"""A pipeline without networks: the fronts are tested with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.records import Frame, FrameResult, Header, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import HALPE136, Skeleton


class FakePipeline:
    """One person whose nose is as far right as the first pixel is red; ``delay_s`` a frame.

    With ``keypoints`` (N, 136, 2) px there are N people at these places instead.
    """

    skeleton = HALPE136
    device = "cpu"
    images_at_once: int | None = None

    def __init__(self, delay_s: float = 0.0, keypoints: NDArray[Any] | None = None) -> None:
        self.delay_s, self.keypoints = delay_s, keypoints
        self.config: Any = None
        self.resets: list[str | None] = []

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        time.sleep(self.delay_s)
        return [result_for(frame, self.keypoints) for frame in frames]

    def __call__(self, frame: Frame) -> FrameResult:
        return self.process([frame])[0]

    def reset(self, camera: str | None = None) -> None:
        self.resets.append(camera)

    def reconfigure(self, config: Any) -> None:
        self.config = config


def fake_pipelines(delay_s: float = 0.0, keypoints: str = "") -> Callable[[Any], FakePipeline]:
    """What a front calls to load models: ``keypoints`` is a file, weights can be missing."""

    def make(config: Any) -> FakePipeline:
        if config.detector.weights and not Path(config.detector.weights).exists():
            raise WeightsError(f"{config.detector.weights}: no such file")
        return FakePipeline(delay_s, np.load(keypoints) if keypoints else None)

    return make


class FollowingPipeline(FakePipeline):
    """People where the file says at the moment of each image."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        self.keypoints = np.load(self.file)
        return super().process(frames)


def following_pipelines(file: str) -> Callable[[Any], FakePipeline]:
    """What a front calls to load models."""
    return lambda config: FollowingPipeline(file)


def result_for(frame: Frame, keypoints: NDArray[Any] | None = None) -> FrameResult:
    header = Header(frame.camera, frame.frame_id, frame.stamp_ns, frame.size_hw)
    if keypoints is not None:
        return FrameResult(header, tracks_at(keypoints), {"pose": 1.0})
    tracks = make_tracks(1, HALPE136)
    tracks.poses.keypoints[0, 0, 0] = frame.image[0, 0, 0]
    return FrameResult(header, tracks, {"pose": 1.0})


def make_tracks(count: int, skeleton: Skeleton, seed: int = 0) -> Tracks:
    rng = np.random.default_rng(seed)
    joints = len(skeleton)
    corner = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 200, (count, 2))], 1)
    poses = Poses(
        rng.uniform(0, 400, (count, joints, 2)).astype(np.float32),
        rng.uniform(0.3, 1, (count, joints)).astype(np.float32),
        boxes.astype(np.float32),
        rng.uniform(0.5, 1, count).astype(np.float32),
        np.arange(count),
        skeleton,
    )
    return _tracked(poses)


def tracks_at(keypoints: NDArray[Any]) -> Tracks:
    """People whose joints are there; a joint at NaN has score 0."""
    seen = np.isfinite(keypoints).all(-1)
    points = np.where(seen[..., None], keypoints, 0).astype(np.float32)
    low = np.where(seen[..., None], keypoints, np.inf).min(1)
    high = np.where(seen[..., None], keypoints, -np.inf).max(1)
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    scores, count = seen.astype(np.float32) * 0.9, len(keypoints)
    ones = np.full(count, 0.9, np.float32)
    return _tracked(Poses(points, scores, boxes, ones, np.arange(count), HALPE136))


def _tracked(poses: Poses) -> Tracks:
    count = len(poses)
    numbers = np.arange(1, count + 1)
    states = np.full(count, TrackState.TRACKED, np.uint8)
    zeros = np.zeros(count, np.float32)
    velocities = np.zeros((count, 2), np.float32)
    return Tracks(numbers, numbers + 10, poses, states, velocities, zeros + 3, zeros, zeros + 0.5)
