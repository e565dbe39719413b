# SPDX-License-Identifier: Apache-2.0
"""Pose NMS of whole bodies against its formula in literal loops, and what both forms leave out."""

from __future__ import annotations

import numpy as np
import pytest
from test_pose_nms import make_poses

from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.pose.nms_similarity import wholebody_redundancy, wholebody_similarity


def literal_similarity(poses, config):
    """What ``wholebody_similarity`` promises, a joint at a time."""
    share = {"body": 1.0, "feet": config.feet_weight, "face": config.face_weight}
    looser = {"face": config.face_tolerance}
    weight, tolerance = np.zeros(len(poses.skeleton)), np.ones(len(poses.skeleton))
    for part, joints in poses.skeleton.parts.items():
        hand = part.endswith("hand")
        count = joints.stop - joints.start
        weight[joints] = (config.hand_weight if hand else share[part]) / count
        tolerance[joints] = config.hand_tolerance if hand else looser.get(part, 1.0)
    size = np.sqrt(np.prod(poses.boxes[:, 2:] - poses.boxes[:, :2], axis=1))
    valid = (poses.scores > 0) & (poses.scores >= config.min_joint_score)
    out = np.zeros((len(poses), len(poses)))
    for p in range(len(poses)):
        for q in range(len(poses)):
            total = 0.0
            for k in np.flatnonzero(valid[p] & valid[q]):
                gap = np.linalg.norm(poses.keypoints[p, k] - poses.keypoints[q, k])
                gap /= np.sqrt(size[p] * size[q]) * tolerance[k]
                soft = np.prod(np.tanh(poses.scores[[p, q], k] / config.confidence_scale))
                soft *= gap <= config.match_radius
                spatial = config.spatial_weight * np.exp(-gap / config.spatial_scale)
                total += weight[k] * (soft + spatial)
            least = min(weight[valid[p]].sum(), weight[valid[q]].sum())
            out[p, q] = total / (least * (1 + config.spatial_weight)) if least else 0
    return out


@pytest.mark.parametrize("least_score", [0.06, 0.0])
def test_wholebody_form_equals_the_literal_loop_and_its_bounds_lose_no_pair(least_score):
    rng = np.random.default_rng(3)
    count, joints = 24, len(HALPE136)  # 276 pairs: more than are looked at whole
    noise = rng.choice([1.0, 6.0, 15.0, 40.0], (count, 1, 1))
    keypoints = rng.uniform(0, 200, (1, joints, 2)) + rng.normal(0, 1, (count, joints, 2)) * noise
    keypoints += rng.choice([0.0, 30.0, 400.0], (count, 1, 1))
    boxes = np.array([0, 0, 200, 200]) + rng.uniform(-40, 40, (count, 4))
    scores = rng.uniform(0.07, 0.9, (count, joints))
    scores[rng.random((count, joints)) < 0.2] = 0.03
    scores[rng.random((count, joints)) < 0.2] = 0
    scores[::3, :26] = 0  # only a face and hands
    poses = make_poses(keypoints, scores, boxes)
    config = PoseNmsConfig(min_joint_score=least_score)
    given = poses.keypoints, poses.scores, poses.boxes, HALPE136
    expected = literal_similarity(poses, config)
    np.testing.assert_allclose(wholebody_similarity(*given, config), expected, atol=1e-4)
    apart = ~np.eye(count, dtype=bool)
    for threshold in np.linspace(0.02, 0.98, 49):
        config = PoseNmsConfig(min_joint_score=least_score, threshold=float(threshold))
        sure = apart & (np.abs(expected - threshold) > 1e-3)
        found = wholebody_redundancy(*given, config)
        np.testing.assert_array_equal(found[sure], (expected > threshold)[sure])


def test_body_form_leaves_out_the_faint_and_the_tiny_and_invents_no_joint():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (3, 17, 2)) + np.arange(3)[:, None, None] * 300
    points[2] = 600 + rng.uniform(0, 4, (17, 2))
    scores = np.full((3, 17), 0.8)
    scores[1] = 0.2  # nobody
    scores[:, 5] = 0  # seen of nobody here
    scores[0, 6] = 0
    boxes = np.array([[0, 0, 100, 100], [300, 300, 400, 400], [600, 600, 610, 610]], float)
    poses = make_poses(points, scores, boxes, COCO17)
    out = PoseNms()(poses)
    assert sorted(out.source.tolist()) == [10, 12]
    np.testing.assert_array_equal(out.scores[out.source == 10], poses.scores[:1])
    np.testing.assert_allclose(out.keypoints[out.source == 10], poses.keypoints[:1], atol=1e-3)
    large = PoseNms(PoseNmsConfig(body_min_area=100.0))(poses)
    assert large.source.tolist() == [10]


def test_whole_bodies_are_merged_from_valid_joints_alone():
    rng = np.random.default_rng(0)
    points = np.repeat(rng.uniform(0, 200, (1, 136, 2)), 2, 0)
    points[1, :, 0] += 2
    scores = np.full((2, 136), 0.8)
    scores[1] = 0.7
    scores[1, 0] = 0.03  # not valid in the copy: the pick's own stays
    scores[0, 1] = 0.03  # not valid in the pick: it stays what it was
    scores[0, 2] = 0
    poses = make_poses(points, scores, np.array([[0, 0, 200, 200]] * 2, float))
    out = PoseNms()(poses)
    assert len(out) == 1
    np.testing.assert_allclose(out.keypoints[0, :3], poses.keypoints[0, :3], atol=1e-3)
    np.testing.assert_allclose(out.scores[0, :3], [0.8, 0.03, 0])
    moved = points[0, 3:] + [2 * 0.7 / 1.5, 0]
    np.testing.assert_allclose(out.keypoints[0, 3:], moved, atol=1e-3)


def test_joints_never_taught_make_nobody_redundant_in_the_body_form():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (2, 26, 2)) + np.array([0, 300])[:, None, None]
    scores = np.full((2, 26), 0.8)
    points[:, 17:], scores[:, 17:] = 7.0, 0  # what a network says of joints it was never taught
    poses = make_poses(points, scores, np.array([[0, 0, 100, 100], [300, 300, 400, 400]]), HALPE26)
    out = PoseNms()(poses)
    assert len(out) == 2
    np.testing.assert_array_equal(out.scores, poses.scores[out.source - 10])
