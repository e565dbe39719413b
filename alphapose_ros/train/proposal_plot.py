# SPDX-License-Identifier: Apache-2.0
"""A picture of fitted proposals: atomic poses with detected boxes, and each side's offsets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.data import atomic_poses
from alphapose_ros.data.atomic_poses import JOINTS
from alphapose_ros.data.mixtures import Mixture
from alphapose_ros.data.people import People
from alphapose_ros.data.proposals import (
    PARTS,
    ProposalModel,
    mirror_offsets,
    person_of,
    side_offsets,
)

Image = NDArray[np.uint8]

TILE = 240
_RANGE = 0.4  # of offsets shown
_BINS = 41
_BLUE, _RED, _GREEN, _GREY = (200, 90, 30), (40, 40, 200), (60, 150, 60), (150, 150, 150)  # BGR
_BONES = (
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("nose", "left_shoulder"),
    ("nose", "right_shoulder"),
    *((f"{s}_{a}", f"{s}_{b}") for s in ("left", "right")
      for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"),
                   ("hip", "knee"), ("knee", "ankle"))),
)  # fmt: skip


def draw_proposals(
    model: ProposalModel, people: People, boxes: NDArray[np.float32], path: Path
) -> None:
    """Write the picture of a model fitted on ``people`` (N) and their detected ``boxes`` (N, 4).

    A row for each atomic pose: its mean pose in the annotated box (green) under detected boxes
    (blue, people's) and drawn ones (red), then a histogram for each side, with the mixture's
    curve. The last row has parts' boxes drawn in a person box.
    """
    whole = atomic_poses.body_poses(people.boxes, people.keypoints, people.labels, people.skeleton)
    nearest, flipped = atomic_poses.assign(whole, model.poses)
    offsets = side_offsets(boxes, people.boxes)
    offsets = np.where(flipped[:, None], mirror_offsets(offsets), offsets)
    sides = (people.boxes[:, 2:] - people.boxes[:, :2]).astype(float)
    rows = []
    for number, (pose, mixture) in enumerate(zip(model.poses, model.offsets, strict=True)):
        mine = (nearest == number) & whole.usable
        ratio = sides[mine] / sides[mine].max(1, initial=1e-6, keepdims=True)
        rows.append(_pose_row(number, pose, mixture, offsets[mine], ratio))
    picture = np.concatenate([*rows, _parts_row(model)])
    _, data = cv2.imencode(".png", picture)
    path.write_bytes(data.tobytes())  # cv2.imwrite crashes where a name is no text


def _pose_row(
    number: int,
    pose: NDArray[np.float64],
    mixture: Mixture,
    offsets: NDArray[np.float64],
    ratio: NDArray[np.float64],
) -> Image:
    mean_ratio = ratio.mean(0) if len(ratio) else np.ones(2)
    tiles = []
    drawn = mixture.sample(len(offsets[:40]), np.random.default_rng(0))
    for shown, colour, name in ((offsets[:40], _BLUE, "detected"), (drawn, _RED, "drawn")):
        tile = _blank(f"pose {number}: {len(offsets)}, {name}")
        for offset in shown:
            _box(tile, (np.array([0, 0, 1, 1]) + offset - 0.5) * np.tile(mean_ratio, 2), colour)
        _box(tile, np.array([-0.5, -0.5, 0.5, 0.5]) * np.tile(mean_ratio, 2), _GREEN, 2)
        for first, second in _BONES:
            ends = _pixel(pose[JOINTS.index(first)]), _pixel(pose[JOINTS.index(second)])
            colour = _GREY if second.startswith("right") else (0, 0, 0)
            cv2.line(tile, *ends, colour, 2, cv2.LINE_AA)
        tiles.append(tile)
    for side, name in enumerate(("left", "top", "right", "bottom")):
        tiles.append(_histogram(name, offsets[:, side], mixture, side))
    return np.concatenate(tiles, 1)


def _histogram(name: str, values: NDArray[np.float64], mixture: Mixture, side: int) -> Image:
    """Bars of the values' density, the mixture's curve, and mean and deviation of both."""
    tile = _blank(f"{name}  {values.mean():+.3f} {values.std():.3f}" if len(values) else name)
    low, high = 40, TILE - 24
    edges = np.linspace(-_RANGE, _RANGE, _BINS + 1)
    bars = np.histogram(values, edges)[0] / max(len(values), 1) / (edges[1] - edges[0])
    at = np.linspace(-_RANGE, _RANGE, TILE)
    curve = mixture.marginal(side, at)
    scale = (high - low) / max(bars.max(), curve.max())
    xs = np.linspace(0, TILE - 1, _BINS + 1).astype(int)
    for left, right, bar in zip(xs[:-1], xs[1:], bars, strict=True):
        cv2.rectangle(tile, (left, high), (right - 1, int(high - bar * scale)), _BLUE, -1)
    line = np.stack([np.arange(TILE), high - curve * scale], 1).astype(np.int32)
    cv2.polylines(tile, [line[:, None]], False, _RED, 2, cv2.LINE_AA)
    cv2.line(tile, (TILE // 2, low), (TILE // 2, high), _GREEN, 1)
    _text(tile, f"fit {mixture.mean[side]:+.3f} {mixture.deviation[side]:.3f}", TILE - 8)
    return tile


def _parts_row(model: ProposalModel) -> Image:
    """Per part: boxes that a fixed person box would have, drawn from the fitted features."""
    tiles = []
    for name in PARTS:
        tile = _blank(f"{name}: {model.counts.get(name, 0)}")
        person = np.array([-0.2, -0.45, 0.2, 0.45])
        _box(tile, person, _GREEN, 2)
        features = model.parts[name].sample(40, np.random.default_rng(0))
        # The part of unit size and its person, moved and scaled onto the fixed person box.
        unit = np.tile(np.array([[0, 0, 1, 1]], np.float32), (len(features), 1))
        around = person_of(unit, features)
        sides = np.tile(around[:, 2:] - around[:, :2], (1, 2))
        inside = (unit - np.tile(around[:, :2], (1, 2))) / sides
        for box in inside:
            _box(tile, person[[0, 1, 0, 1]] + box * np.tile(person[2:] - person[:2], 2), _RED)
        tiles.append(tile)
    blank = [_blank("") for _ in range(6 - len(tiles))]
    return np.concatenate([*tiles, *blank], 1)


def _blank(title: str) -> Image:
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    cv2.rectangle(tile, (0, 0), (TILE - 1, TILE - 1), _GREY, 1)
    _text(tile, title, 16)
    return tile


def _text(tile: Image, text: str, y: int) -> None:
    cv2.putText(tile, text, (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def _pixel(point: NDArray[np.floating]) -> tuple[int, int]:
    """A point around 0, in units of the longer side, on a tile."""
    x, y = np.clip(point, -5, 5) * 0.7 * TILE + TILE / 2
    return int(x), int(y) + 8


def _box(tile: Image, box: NDArray[np.floating], colour: tuple[int, ...], thick: int = 1) -> None:
    cv2.rectangle(tile, _pixel(box[:2]), _pixel(box[2:]), colour, thick, cv2.LINE_AA)
