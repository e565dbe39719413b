# SPDX-License-Identifier: Apache-2.0
"""Kept joints and their scores -> heat maps on the feature grid, by parts of the body.

A part's map is the highest of the Gaussians around its bones, each as high as the lesser score of
its two joints; a joint alone is a bone of length 0. Joints are found by name, so every pose model
serves, and a skeleton without a part leaves its map empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.models.reid import FEATURE_STRIDE, FIRST_CELL, GUIDANCE, REID_HW

SPREAD = 0.055  # standard deviation of the Gaussians, in crop heights: about half of a trunk
_CACHED = 1 << 18  # numbers
OWN = GUIDANCE[:-1]  # the last map shows other people

# Bones of each part; "*" stands for left and for right, two alike names for a joint alone.
_BONES: dict[str, tuple[tuple[str, str], ...]] = {
    "head": (
        ("head_top", "neck"), ("nose", "neck"), ("nose", "nose"), ("left_ear", "right_ear"),
        ("*_eye", "*_ear"),
    ),
    "torso": (
        ("*_shoulder", "*_hip"), ("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"),
        ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("neck", "pelvis"),
    ),
    "arms": (
        ("*_shoulder", "*_elbow"), ("*_elbow", "*_wrist"), ("*_hand_wrist", "*_hand_middle_4")
    ),
    "thighs": (("*_hip", "*_knee"),),
    "shins": (("*_knee", "*_ankle"), ("*_ankle", "*_big_toe"), ("*_ankle", "*_heel")),
}  # fmt: skip


class GuidanceRenderer:
    """``renderer(points, scores)`` -> maps (N, 5, h, w) of the parts :data:`OWN`.

    Args:
        skeleton: of the joints.
        input_hw: of the crops that the points lie in.
    """

    def __init__(self, skeleton: Skeleton, input_hw: tuple[int, int] = REID_HW) -> None:
        self.input_hw = input_hw
        self.map_hw = input_hw[0] // FEATURE_STRIDE, input_hw[1] // FEATURE_STRIDE
        bones = [(part, pair) for part in OWN for pair in part_bones(skeleton, part)]
        self._first = torch.tensor([a for _, (a, _) in bones], dtype=torch.long)
        self._second = torch.tensor([b for _, (_, b) in bones], dtype=torch.long)
        rows = {part: [i for i, (p, _) in enumerate(bones) if p == part] for part in OWN}
        # So many people at a time that what is made of them stays in a processor's cache.
        self._at_once = max(1, _CACHED // max(1, len(bones) * self.map_hw[0] * self.map_hw[1]))
        self._rows = {part: torch.tensor(found, dtype=torch.long) for part, found in rows.items()}

    def __call__(self, points: Tensor, scores: Tensor) -> Tensor:
        """Points (N, K, 2) in crop pixels and scores (N, K) -> (N, 5, h, w) in 0..1."""
        many = len(points) if points.is_cuda else self._at_once
        parts = zip(points.split(many), scores.split(many), strict=True)
        return torch.cat([self._maps(*each) for each in parts])

    def silhouette(self, points: Tensor, scores: Tensor) -> Tensor:
        """The highest of all parts, (N, h, w)."""
        return self(points, scores).amax(1)

    def _maps(self, points: Tensor, scores: Tensor) -> Tensor:
        """(N, 5, h, w); the highest is sought before exp, which is the dearest step."""
        heights = self._log_heights(points, scores)
        nothing = heights.new_full((len(points), *self.map_hw), -torch.inf)
        maps = [
            heights[:, rows.to(heights.device)].amax(1) if len(rows) else nothing
            for rows in self._rows.values()
        ]
        return torch.stack(maps, 1).exp()

    def _log_heights(self, points: Tensor, scores: Tensor) -> Tensor:
        """Logarithms of the bones' Gaussians, (N, bones, h, w)."""
        first, second = self._first.to(points.device), self._second.to(points.device)
        a, b = points[:, first].float(), points[:, second].float()
        height = torch.minimum(scores[:, first], scores[:, second]).float().clamp(0, 1)
        rows, columns = (
            torch.arange(size, device=points.device) * FEATURE_STRIDE + FIRST_CELL
            for size in self.map_hw
        )
        along = b - a
        length2 = along.square().sum(-1).clamp_min(1e-6)[..., None, None]
        dx = columns[None, None, None, :] - a[..., 0, None, None]
        dy = rows[None, None, :, None] - a[..., 1, None, None]
        ax, ay = along[..., 0, None, None], along[..., 1, None, None]
        at = ((dx * ax + dy * ay) / length2).clamp(0, 1)
        distance2 = (dx - at * ax).square() + (dy - at * ay).square()
        spread = SPREAD * self.input_hw[0]
        return height.log()[..., None, None] - distance2 / (2 * spread**2)


def part_bones(skeleton: Skeleton, part: str) -> list[tuple[int, int]]:
    """The bones of a part whose joints the skeleton has, as pairs of joint numbers."""
    names = {name: i for i, name in enumerate(skeleton.keypoint_names)}
    out = []
    for first, second in _BONES[part]:
        for side in ("left", "right") if "*" in first + second else ("",):
            pair = first.replace("*", side), second.replace("*", side)
            if pair[0] in names and pair[1] in names:
                out.append((names[pair[0]], names[pair[1]]))
    return out


def with_others(own: Tensor, others: Tensor) -> Tensor:
    """Maps of the parts (N, 5, h, w) and of everybody else (N, h, w) -> (N, 6, h, w)."""
    return torch.cat([own, others[:, None]], 1)
