# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train tracklets``: people followed through clips, as data for ``train reid``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.records import Frame, Tracks, TrackState
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.cli.console import say, ticking
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.reid_folder import CropFolder
from alphapose_ros.data.reid_sets import Sighting
from alphapose_ros.io.sources import open_source
from alphapose_ros.pipeline import PosePipeline


@dataclass(frozen=True)
class TrackletConfig:
    """What to mine tracklets from.

    Attributes:
        clips: videos, folders of frames or bags; each becomes a folder of its own in ``out``.
        out: folder for the crops.
        preset: pipeline that finds and follows the people.
        device: auto, cpu or cuda.
        stride: every how many frames one is looked at.
        every_s: time between two crops of a person at least, s.
        min_height: least height of a person, px.
        min_score: least score of a person, the pose's and the box's together.
        max_overlap: people whose box overlaps another's more are left out: there the tracker may
            be wrong.
        min_crops: people with fewer crops than this are left out at the end.
    """

    clips: list[str] = field(default_factory=list)
    out: str = "runs/tracklets"
    preset: str = "nano"
    device: str = "auto"
    stride: int = setting(1, low=1)
    every_s: float = setting(0.3, low=0)
    min_height: float = setting(48.0, low=1)
    min_score: float = setting(0.2, low=0, high=1)
    max_overlap: float = setting(0.25, low=0, high=1)
    min_crops: int = setting(3, low=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.clips:
            raise ConfigError("clips: expected at least one, got none")


def mine_tracklets(config: TrackletConfig) -> Path:
    """Follow the people of all clips and write their crops; returns the folder.

    Raises:
        SourceError: a clip cannot be read.
        WeightsError: the pipeline's weights are missing.
        InputError: two clips of one name, or crops are there already.
    """
    if len({Path(clip).stem for clip in config.clips}) < len(config.clips):
        raise InputError(f"clips: expected different names, got {', '.join(config.clips)}")
    chosen = PipelineConfig.preset_named(config.preset)
    pipeline = PosePipeline(PipelineConfig(
        device=config.device, detector=chosen.detector, pose=chosen.pose
    ))  # fmt: skip
    for clip in config.clips:
        name = Path(clip).stem
        folder = Path(config.out) / name
        crops = _mine(pipeline, clip, CropFolder(folder, pipeline.skeleton), config)
        say(f"{name}: {len(crops)} crops of {crops.people} people in {folder}")
    return Path(config.out)


def _mine(
    pipeline: PosePipeline, clip: str, folder: CropFolder, config: TrackletConfig
) -> CropFolder:
    pipeline.reset()
    last: dict[int, float] = {}
    with ticking(" frames", quiet=False) as tick, open_source(clip) as source:
        for position, frame in enumerate(source):
            tick()
            if position % config.stride:
                continue
            tracks = pipeline(frame).tracks
            for row in np.flatnonzero(_clear(tracks, config)):
                seen = _sighting(tracks, int(row), frame)
                if seen.time_s - last.get(seen.identity, -np.inf) >= config.every_s - 1e-6:
                    last[seen.identity] = seen.time_s
                    folder.add(frame.image, seen)
    folder.close(config.min_crops)
    return folder


def _clear(tracks: Tracks, config: TrackletConfig) -> np.ndarray:
    """Which people are seen well and alone, (N,)."""
    boxes = tracks.poses.boxes
    overlap = box_iou(boxes, boxes)
    np.fill_diagonal(overlap, 0)
    return (
        (tracks.states == TrackState.TRACKED)
        & (tracks.ids > 0)
        & (boxes[:, 3] - boxes[:, 1] >= config.min_height)
        & (tracks.poses.person_scores >= config.min_score)
        & (overlap.max(1, initial=0) <= config.max_overlap)
    )


def _sighting(tracks: Tracks, row: int, frame: Frame) -> Sighting:
    poses = tracks.poses
    joints = np.concatenate([poses.keypoints[row], poses.scores[row][:, None]], 1)
    return Sighting(
        Path(frame.camera),
        tuple(poses.boxes[row].tolist()),
        int(tracks.ids[row]),
        0,
        frame.stamp_ns / 1e9,
        joints,
    )
