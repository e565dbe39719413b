# SPDX-License-Identifier: Apache-2.0
"""Joints become maps on the feature grid: against a loop over cells, and what is unknown is 0."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, HAND21, Skeleton
from alphapose_ros.models.reid import FEATURE_STRIDE, FIRST_CELL, GUIDANCE
from alphapose_ros.reid.render import OWN, SPREAD, GuidanceRenderer, part_bones, with_others

pytestmark = pytest.mark.usefixtures("one_thread")


def slow_maps(
    points: np.ndarray, scores: np.ndarray, skeleton: Skeleton, input_hw: tuple[int, int]
) -> np.ndarray:
    """Cell by cell and bone by bone, the distance found by walking along the bone."""
    height, width = input_hw[0] // FEATURE_STRIDE, input_hw[1] // FEATURE_STRIDE
    out = np.zeros((len(points), len(OWN), height, width))
    steps = np.linspace(0, 1, 2001)[:, None]
    for n, part in np.ndindex(len(points), len(OWN)):
        for a, b in part_bones(skeleton, OWN[part]):
            walk = points[n, a] + steps * (points[n, b] - points[n, a])
            for y, x in np.ndindex(height, width):
                cell = np.array([x, y]) * FEATURE_STRIDE + FIRST_CELL
                distance = np.hypot(*(walk - cell).T).min()
                value = math.exp(-(distance**2) / (2 * (SPREAD * input_hw[0]) ** 2))
                value *= min(scores[n, a], scores[n, b])
                out[n, part, y, x] = max(out[n, part, y, x], value)
    return out


@pytest.mark.parametrize("skeleton", [COCO17, HALPE26])
def test_maps_are_those_of_the_slow_loop(skeleton: Skeleton, rng: np.random.Generator) -> None:
    input_hw = (32, 16)
    points = rng.uniform(-5, 35, (2, len(skeleton), 2)).astype(np.float32)
    scores = rng.uniform(0, 1, (2, len(skeleton))).astype(np.float32)
    renderer = GuidanceRenderer(skeleton, input_hw)
    found = renderer(torch.from_numpy(points), torch.from_numpy(scores)).numpy()
    np.testing.assert_allclose(found, slow_maps(points, scores, skeleton, input_hw), atol=2e-3)


def test_a_lone_joint_peaks_in_its_cell_with_its_score() -> None:
    points, scores = torch.zeros(1, len(COCO17), 2), torch.zeros(1, len(COCO17))
    points[0, COCO17.index("nose")] = torch.tensor([FIRST_CELL + 3 * 8.0, FIRST_CELL + 5 * 8.0])
    scores[0, COCO17.index("nose")] = 0.7
    maps = GuidanceRenderer(COCO17)(points, scores)
    head = maps[0, OWN.index("head")]
    assert head.argmax() == 5 * head.shape[1] + 3
    assert head.max() == pytest.approx(0.7)
    assert maps[0, OWN.index("head") + 1 :].max() == 0


@pytest.mark.parametrize(
    ("part", "first", "second"),
    [("head", "head_top", "neck"), ("head", "nose", "neck"), ("head", "left_ear", "right_ear"),
     ("head", "right_eye", "right_ear"), ("torso", "neck", "pelvis"),
     ("torso", "left_shoulder", "right_shoulder"), ("torso", "left_shoulder", "right_hip"),
     ("torso", "right_shoulder", "left_hip"), ("torso", "left_hip", "right_hip"),
     ("torso", "right_shoulder", "right_hip"), ("arms", "left_shoulder", "left_elbow"),
     ("arms", "right_elbow", "right_wrist"), ("arms", "left_hand_wrist", "left_hand_middle_4"),
     ("thighs", "right_hip", "right_knee"), ("shins", "left_knee", "left_ankle"),
     ("shins", "right_ankle", "right_big_toe"), ("shins", "left_ankle", "left_heel")],
)  # fmt: skip
def test_the_body_is_drawn_between_two_joints(part: str, first: str, second: str) -> None:
    points, scores = torch.zeros(1, len(HALPE136), 2), torch.zeros(1, len(HALPE136))
    for name, row in ((first, 4), (second, 10)):
        points[0, HALPE136.index(name)] = FIRST_CELL + 8.0 * torch.tensor([3, row])
        scores[0, HALPE136.index(name)] = 1
    middle = GuidanceRenderer(HALPE136)(points, scores)[0, :, 7, 3]
    assert middle[OWN.index(part)] == pytest.approx(1)
    assert middle.sum() < 1.1


def test_scores_above_one_count_as_one() -> None:
    points, scores = torch.full((1, 17, 2), 40.0), torch.full((1, 17), 1.5)
    assert GuidanceRenderer(COCO17)(points, scores).max() <= 1


def test_an_unseen_end_hides_its_bone() -> None:
    points = torch.full((1, len(COCO17), 2), 40.0)
    scores = torch.ones(1, len(COCO17))
    scores[0, [COCO17.index("left_knee"), COCO17.index("right_knee")]] = 0
    maps = GuidanceRenderer(COCO17)(points, scores)[0].amax((1, 2))
    assert maps[OWN.index("thighs")] == 0
    assert maps[OWN.index("shins")] == 0
    assert maps[OWN.index("torso")] > 0.9


def test_every_body_skeleton_has_every_part_and_a_hand_none() -> None:
    for skeleton in (COCO17, HALPE26, HALPE136):
        assert all(part_bones(skeleton, part) for part in OWN)
    assert not any(part_bones(HAND21, part) for part in OWN)
    maps = GuidanceRenderer(HAND21)(torch.ones(2, 21, 2), torch.ones(2, 21))
    assert maps.shape == (2, len(OWN), 16, 8)
    assert maps.abs().max() == 0


def test_nobody() -> None:
    renderer = GuidanceRenderer(HALPE136)
    points, scores = torch.zeros(0, 136, 2), torch.zeros(0, 136)
    assert renderer(points, scores).shape == (0, len(OWN), 16, 8)
    assert renderer.silhouette(points, scores).shape == (0, 16, 8)


def test_the_silhouette_is_the_highest_part_and_others_come_last() -> None:
    points, scores = torch.rand(3, 17, 2) * 60, torch.rand(3, 17)
    renderer = GuidanceRenderer(COCO17)
    own, outline = renderer(points, scores), renderer.silhouette(points, scores)
    torch.testing.assert_close(outline, own.amax(1))
    both = with_others(own, outline)
    assert both.shape[1] == len(GUIDANCE)
    torch.testing.assert_close(both[:, GUIDANCE.index("others")], outline)
