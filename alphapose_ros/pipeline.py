# SPDX-License-Identifier: Apache-2.0
"""The story: an image becomes people with whole-body poses and identities."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import (
    Appearance,
    Detections,
    Frame,
    FrameResult,
    Header,
    Poses,
)
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.config import PipelineConfig
from alphapose_ros.detection.config import REPLAY
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.nobody import NoDetector
from alphapose_ros.detection.protocol import Detector
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.reid.factory import create_embedder
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.devices import choose_device
from alphapose_ros.runtime.factory import IN_TORCH, choose_runtime
from alphapose_ros.runtime.threads import share_cores, threads_for
from alphapose_ros.tracking.camera_motion import CameraMotion
from alphapose_ros.tracking.expectation import Expectation
from alphapose_ros.tracking.gallery import Gallery
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

log = logging.getLogger(__name__)


class PosePipeline:
    """``pipeline(frame)`` -> FrameResult. Models load once; each camera has a tracker of its own.

    Args:
        config: everything that can be chosen.

    Raises:
        ConfigError: the device is not there, or parts do not go together.
        WeightsError: a weight file is missing or damaged.
    """

    def __init__(self, config: PipelineConfig) -> None:
        config = config.resolved()
        self.config = config
        self.device = choose_device(config.device)
        runtime = prepared_runtime(config, self.device)
        self.estimator = create_estimator(config.pose, self.device, runtime)
        self.detector = self._make_detector(config, runtime)
        self.nms = PoseNms(config.nms)
        self.embedder = create_embedder(config.reid, self.device, runtime)
        self.begin_again()

    def _make_detector(self, config: PipelineConfig, runtime: RuntimeOptions) -> Detector:
        if not self.estimator.finds_people:
            return create_detector(config.detector, self.device, runtime)
        if config.detector.name == REPLAY:
            raise ConfigError(
                f"detector.name: replay gives boxes to a pose network that takes some, got "
                f"{config.pose.weights!r}, which finds the people itself"
            )
        return NoDetector()

    @classmethod
    def from_config(cls, config: PipelineConfig | Path | str) -> PosePipeline:
        """From a configuration or a parameter file."""
        if isinstance(config, PipelineConfig):
            return cls(config)
        return cls(PipelineConfig.from_file(Path(config)))

    @classmethod
    def from_preset(cls, name: str = "nano", device: str = "auto") -> PosePipeline:
        """A named configuration on a device."""
        return cls(replace(PipelineConfig.preset_named(name), device=device))

    @property
    def skeleton(self) -> Skeleton:
        """Of every pose that comes out."""
        return self.estimator.skeleton

    @property
    def images_at_once(self) -> int | None:
        """How many cameras' images are best processed together; None: as many as there are.

        A CPU gains nothing by a batch, and each camera's answer would wait for all the others'.
        """
        return 1 if self.device.type == "cpu" else None

    def __call__(self, frame: Frame) -> FrameResult:
        """One image: detect, estimate, remove redundant poses, look, track."""
        return self.process([frame])[0]

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Images of several cameras at once; the networks see all their people in one batch."""
        if not frames:
            return []
        watch = _Stopwatch()
        batch = ImageBatch.upload([frame.image for frame in frames], self.device)
        watch.lap("upload")
        expected = [self._expectation(frame) for frame in frames]
        detections = self._detections(batch, frames, expected)
        watch.lap("detect")
        candidates = self.estimator(batch, detections)
        watch.lap("pose")
        poses = [
            self.nms(each.found(found, self.config.tracker) if each is not None else found)
            for found, each in zip(candidates, expected, strict=True)
        ]
        watch.lap("nms")
        looks = self._appearance(batch, frames, poses)
        if self.embedder:
            watch.lap("reid")
        tracks = [
            self._tracker(frame.camera).update(
                each, frame.stamp_ns, look, self._camera_motion(frame, each)
            )
            for frame, each, look in zip(frames, poses, looks, strict=True)
        ]
        watch.lap("track")
        return [
            FrameResult(_header(frame), each, watch.laps_ms)
            for frame, each in zip(frames, tracks, strict=True)
        ]

    def detect_and_estimate(self, batch: ImageBatch) -> list[Poses]:
        """Poses without identities, one record per image: for single images."""
        return [self.nms(poses) for poses in self.estimator(batch, self.detector(batch))]

    def reset(self, camera: str | None = None) -> None:
        """Forget the people of one camera, or of all; their numbers are not given again."""
        for name, tracker in self._trackers.items():
            if camera in (None, name):
                tracker.reset()
                self._detected_ns.pop(name, None)
                self._motions.pop(name, None)

    def begin_again(self, identities: IdentitySource | None = None) -> None:
        """Forget everybody, as a new pipeline does.

        Args:
            identities: where numbers come from; None: they count from 1 again.
        """
        self._identities, self._gallery = identities or IdentitySource(), Gallery()
        self._motions: dict[str, CameraMotion] = {}
        self._trackers: dict[str, Tracker] = {}
        self._detected_ns: dict[str, int] = {}  # stamp of the detector's last look, by camera

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take over thresholds and the tracker's parameters; nobody is forgotten.

        What the networks are made of (device, weights, input sizes) stays as it is: it needs a
        new pipeline.
        """
        config = config.resolved()
        self.config = replace(
            self.config,
            detector=config.detector,
            nms=config.nms,
            reid=config.reid,
            tracker=config.tracker,
        )
        if self.embedder:
            self.embedder.reconfigure(config.reid)
        self.detector.reconfigure(config.detector)
        self.nms = PoseNms(config.nms)
        for tracker in self._trackers.values():
            tracker.reconfigure(config.tracker)

    def warm_up(self, size_hw: tuple[int, int] = (480, 640)) -> None:
        """Run every network once, on a person as large as the image.

        Else the first image, or the first person, would be the slow one. Boxes that are replayed
        are left for the images that they belong to.
        """
        batch = ImageBatch.upload([np.zeros((*size_hw, 3), np.uint8)], self.device)
        if self.config.detector.name != REPLAY:
            self.detector(batch)
        height, width = size_hw
        whole = Detections(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
        poses = self.estimator(batch, [whole])
        if self.embedder:
            self.embedder(batch, poses)

    def _expectation(self, frame: Frame) -> Expectation | None:
        """Where people are expected; None where it is the detector's turn to say."""
        interval_ns = self.config.detector.interval_s * 1e9
        last_ns = self._detected_ns.get(frame.camera)
        if not interval_ns or last_ns is None or self.estimator.finds_people:
            return None
        if not 0 <= frame.stamp_ns - last_ns < interval_ns:
            return None
        return self._tracker(frame.camera).expectation(frame.stamp_ns)

    def _detections(
        self, batch: ImageBatch, frames: Sequence[Frame], expected: Sequence[Expectation | None]
    ) -> list[Detections]:
        """The detector's boxes where it is due, else those expected."""
        asked = [row for row, each in enumerate(expected) if each is None]
        if asked:
            part = batch if len(asked) == len(frames) else batch[asked]
            detected = dict(zip(asked, self.detector(part), strict=True))
            self._detected_ns.update({frames[r].camera: frames[r].stamp_ns for r in asked})
        return [
            each.detections if each is not None else detected[row]
            for row, each in enumerate(expected)
        ]

    def _appearance(
        self, batch: ImageBatch, frames: Sequence[Frame], poses: Sequence[Poses]
    ) -> Sequence[Appearance | None]:
        """What those look like who are worth a look; None where nothing embeds people."""
        if not self.embedder:
            return [None] * len(poses)
        worth = [
            self._tracker(frame.camera).worth_a_look(each, frame.stamp_ns)
            for frame, each in zip(frames, poses, strict=True)
        ]
        return self.embedder(batch, poses, worth)

    def _camera_motion(self, frame: Frame, poses: Poses) -> NDArray[np.float64] | None:
        """How the background moved; None where nobody asks or it stands still."""
        if not self.config.tracker.camera_motion:
            self._motions.clear()  # an image of long ago says nothing
            return None
        if frame.camera not in self._motions:
            self._motions[frame.camera] = CameraMotion()
        return self._motions[frame.camera].estimate(frame.image, poses.boxes)

    def _tracker(self, camera: str) -> Tracker:
        if camera not in self._trackers:
            self._trackers[camera] = Tracker(
                self.config.tracker, self.skeleton, self._identities, self._gallery
            )
        return self._trackers[camera]


def prepared_runtime(config: PipelineConfig, device: torch.device) -> RuntimeOptions:
    """What runs the configuration's networks on ``device``, the cores shared out for it."""
    runtime = replace(config.runtime_on(device), threads=threads_for(config.threads))
    in_torch = config.detector.in_torch or choose_runtime(runtime).name in IN_TORCH
    share_cores(runtime.threads if in_torch else 1)
    return runtime


def _header(frame: Frame) -> Header:
    return Header(frame.camera, frame.frame_id, frame.stamp_ns, frame.size_hw)


class _Stopwatch:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """The time since the last lap belongs to ``name``."""
        now = time.perf_counter()
        self.laps_ms[name], self._last = (now - self._last) * 1e3, now
