# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import (
    COCO17,
    HALPE26,
    HALPE68_NOFACE,
    HALPE136,
    HAND21,
    WHOLEBODY133,
)
from alphapose_ros.pose.nms import PoseNms, body_nms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.pose.nms_similarity import body_redundancy, wholebody_similarity

VECTORS = Path(__file__).parents[2] / "shared/alphapose_vectors/pose_nms_body17.json"
SELECT = PoseNmsConfig(merge_radius=0.0)


def make_poses(keypoints, scores, boxes, skeleton=HALPE136, box_scores=None):
    count = len(boxes)
    box_scores = np.ones(count) if box_scores is None else box_scores
    return Poses(keypoints, scores, boxes, box_scores, np.arange(count) + 10, skeleton)


def person(rng, joints, center, height=200.0):
    """A random figure inside its box, which is 0.4 times as wide as high."""
    half = np.array([0.2, 0.5]) * height
    keypoints = center + rng.uniform(-0.9, 0.9, (joints, 2)) * half
    return keypoints, np.concatenate([center - half, center + half])


def crowd(seed, people=4, copies=3, noise=0.01, skeleton=HALPE136):
    """People a box width apart, each seen ``copies`` times, in random order of rows."""
    rng = np.random.default_rng(seed)
    keypoints, boxes, who = [], [], []
    for i in range(people):
        points, box = person(rng, len(skeleton), np.array([200.0 + 110 * i, 300.0]))
        for _ in range(copies):
            keypoints.append(points + rng.normal(0, noise * 200, points.shape))
            boxes.append(box + rng.normal(0, noise * 200, 4))
            who.append(i)
    order = rng.permutation(len(who))
    scores = rng.uniform(0.3, 0.95, (len(who), 1)) * rng.uniform(0.9, 1, (len(who), 136))
    scores = scores[:, : len(skeleton)]
    poses = make_poses(np.array(keypoints), scores, np.array(boxes), skeleton)
    return poses[order], np.array(who)[order]


def grid_poses(joints):
    """The three poses of the published parity table."""
    i = np.arange(joints)
    base = np.stack([10.0 * (i % 9), 12.0 * (i // 9)], 1)
    keypoints = np.stack([base + np.array(at) for at in ((100, 100), (101.5, 100.5), (300, 120))])
    scores = np.repeat([[0.8], [0.6], [0.7]], joints, 1)
    boxes = np.array([[90, 90, 200, 290], [92, 90, 201, 292], [290, 100, 400, 320]], float)
    return keypoints, scores, boxes


@pytest.mark.skipif(not VECTORS.exists(), reason=f"NMS PARITY NOT CHECKED: {VECTORS} is absent")
def test_body_form_equals_the_original_and_the_literal_loop():
    for scene in json.loads(VECTORS.read_text()):
        arrays = [np.array(scene[k], np.float32) for k in ("keypoints", "scores", "boxes")]
        for keypoints, scores, picks in (
            body_nms(*arrays, PoseNmsConfig()),
            reference.pose_nms(*(scene[k] for k in ("keypoints", "scores", "boxes"))),
        ):
            assert list(picks) == scene["pick"]
            np.testing.assert_allclose(keypoints, scene["out_keypoints"], atol=2e-3)
            np.testing.assert_allclose(scores, scene["out_scores"], atol=1e-5)


@pytest.mark.parametrize("joints", [17, 21, 26, 68])
@pytest.mark.parametrize("seed", range(4))
def test_body_form_equals_the_literal_loop_for_other_joint_counts(joints, seed):
    rng = np.random.default_rng(seed)
    base = rng.uniform(50, 400, (3, joints, 2))
    keypoints = base[rng.integers(0, 3, 9)] + rng.normal(0, rng.uniform(0.2, 9), (9, joints, 2))
    scores = rng.uniform(0, 1, (9, joints)) ** rng.uniform(0.3, 6)
    boxes = np.concatenate([keypoints.min(1) - 5, keypoints.max(1) + 5], 1)
    config = PoseNmsConfig()
    keypoints_out, scores_out, picks = body_nms(keypoints, scores, boxes, config)
    want = reference.pose_nms(keypoints.tolist(), scores.tolist(), boxes.tolist())
    assert picks.tolist() == want[2]
    np.testing.assert_allclose(keypoints_out, np.array(want[0]).reshape(-1, joints, 2), atol=1e-3)
    np.testing.assert_allclose(scores_out, np.array(want[1]).reshape(-1, joints), atol=1e-5)


@pytest.mark.parametrize(
    ("joints", "similarity", "constants", "sims", "pcks"),
    [
        (17, reference.body_similarity, reference.BODY, (36.39606, 15.91378), (17, 17)),
        (26, reference.body_similarity, reference.BODY, (55.66456, 24.33873), (26, 26)),
        (68, reference.body_similarity, reference.BODY, (145.58426, 63.65512), (68, 68)),
        (136, reference.wholebody_similarity, reference.BODY, (5.95, 3.039747), (11.3333,) * 2),
        (136, reference.wholebody_similarity, reference.REGRESSION, (5.775, 4.568954),
         (11.3333,) * 2),
        (133, reference.wholebody_similarity, reference.REGRESSION, (5.775, 4.568954),
         (11.0833,) * 2),
    ],
)  # fmt: skip
def test_literal_loops_have_the_published_values(joints, similarity, constants, sims, pcks):
    arrays = [a.tolist() for a in grid_poses(joints)]
    got_sims, got_pcks = similarity(*arrays, 0, range(3), constants)
    np.testing.assert_allclose(got_sims, [*sims, 0], atol=5e-6, rtol=2e-6)
    np.testing.assert_allclose(got_pcks, [*pcks, 0], atol=1e-4)
    keypoints, scores, picks = reference.pose_nms(*arrays, similarity, constants)
    assert picks == [0, 2]
    np.testing.assert_allclose(keypoints[0][0], (100.642853, 100.214279), atol=2e-6)
    assert scores[0][0] == pytest.approx(0.714286, abs=1e-6)


def test_the_original_wholebody_form_keeps_exact_duplicates_in_a_crowd_and_ours_does_not():
    keypoints, scores, boxes = grid_poses(136)
    for count in range(2, 31):
        copies = [np.repeat(a[:1], count, 0) for a in (keypoints, scores, boxes)]
        assert len(PoseNms()(make_poses(*copies))) == 1
    for count, survivors in ((2, 1), (6, 1), (7, 2), (12, 7)):
        copies = [np.repeat(a[:1], count, 0).tolist() for a in (keypoints, scores, boxes)]
        _, _, picks = reference.pose_nms(*copies, reference.wholebody_similarity, reference.BODY)
        assert len(picks) == survivors


@pytest.mark.parametrize("skeleton", [HALPE136, WHOLEBODY133, HALPE68_NOFACE])
def test_one_pose_per_person_remains(skeleton):
    for seed in range(8):
        poses, who = crowd(seed, people=5, copies=4, noise=0.015, skeleton=skeleton)
        out = PoseNms()(poses)
        rows = [np.flatnonzero(poses.source == s)[0] for s in out.source]
        assert sorted(who[rows]) == [0, 1, 2, 3, 4]


def test_wholebody_outcome_does_not_depend_on_who_else_is_there():
    poses, who = crowd(3, people=6, copies=3)
    alone = [set(PoseNms(SELECT)(poses[who == i]).source) for i in range(6)]
    assert set(PoseNms(SELECT)(poses).source) == set().union(*alone)


@pytest.mark.parametrize("offset", [(0.2, 0.0), (0.0, 0.25), (0.14, 0.1)])
def test_two_people_half_a_body_apart_both_stay(offset):
    """The same figure twice, moved by half its width or a quarter of its height."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points, box = person(rng, 136, np.array([300.0, 300.0]))
        shift = np.array(offset) * 200
        poses = make_poses(
            np.stack([points, points + shift]),
            rng.uniform(0.5, 1, (2, 136)),
            np.stack([box, box + np.tile(shift, 2)]),
        )
        assert len(PoseNms()(poses)) == 2


def test_a_half_seen_duplicate_goes():
    rng = np.random.default_rng(0)
    points, box = person(rng, 136, np.array([300.0, 300.0]))
    scores = np.full((2, 136), 0.8)
    scores[1, 11:26] = 0.02  # its box ends at the waist: legs and feet are not in the crop
    points = np.stack([points, points + rng.normal(0, 1.5, points.shape)])
    points[1, 11:26] = 0
    boxes = np.stack([box, [*box[:3], 300.0]])
    out = PoseNms()(make_poses(points, scores, boxes))
    assert out.source.tolist() == [10]


def test_joints_never_taught_neither_join_nor_part_people():
    poses, who = crowd(1, people=3, copies=2)
    scores = poses.scores.copy()
    scores[:, 20:26] = 0
    scores[:, 26:94] = 0
    for garbage in (0.0, 5000.0):
        keypoints = poses.keypoints.copy()
        keypoints[:, 20:94] = garbage * np.random.default_rng(0).random((len(poses), 74, 2))
        out = PoseNms()(make_poses(keypoints, scores, poses.boxes))
        assert len(out) == 3
        assert (out.scores[:, 20:94] == 0).all()
    assert len(set(who)) == 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 20), st.floats(-500, 500))
def test_wholebody_form_is_scale_and_shift_equivariant(seed, scale, shift):
    poses, _ = crowd(seed, noise=0.03)
    moved = make_poses(poses.keypoints * scale + shift, poses.scores, poses.boxes * scale + shift)
    first, second = PoseNms()(poses), PoseNms()(moved)
    original = poses.source[second.source - 10]
    assert first.source.tolist() == original.tolist()
    # A joint at the very edge of the merge radius may fall on either side after rounding.
    off = np.abs(second.keypoints - (first.keypoints * scale + shift)) > 0.5 * scale + 0.6
    assert off.mean() < 0.01


@pytest.mark.parametrize("skeleton", [HALPE136, COCO17])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_candidates_does_not_matter(skeleton, seed):
    poses, _ = crowd(seed, skeleton=skeleton)
    order = np.random.default_rng(seed).permutation(len(poses))
    first, second = PoseNms()(poses), PoseNms()(poses[order])
    assert first.source.tolist() == second.source.tolist()
    np.testing.assert_allclose(first.keypoints, second.keypoints, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.2))
def test_selection_is_idempotent_and_keeps_its_rows(seed, noise):
    poses, _ = crowd(seed, noise=noise)
    once = PoseNms(SELECT)(poses)
    twice = PoseNms(SELECT)(once)
    assert once.source.tolist() == twice.source.tolist()
    rows = [np.flatnonzero(poses.source == s)[0] for s in once.source]
    for item in fields(Poses)[:-1]:
        np.testing.assert_array_equal(getattr(once, item.name), getattr(poses[rows], item.name))


@pytest.mark.parametrize("config", [PoseNmsConfig(), SELECT, PoseNmsConfig(form="body")])
def test_output_is_best_first_and_carries_box_and_source_of_the_pick(config):
    poses, _ = crowd(5)
    box_scores = np.random.default_rng(0).uniform(0.4, 1, len(poses))
    poses = make_poses(poses.keypoints, poses.scores, poses.boxes, box_scores=box_scores)
    out = PoseNms(config)(poses)
    rows = out.source - 10
    assert len(set(rows)) == len(out) > 0
    np.testing.assert_array_equal(out.boxes, poses.boxes[rows])
    np.testing.assert_array_equal(out.box_scores, poses.box_scores[rows])
    order = poses.scores.mean(1) if config.form == "body" else poses.person_scores
    assert (np.diff(order[rows]) <= 0).all()


@pytest.mark.parametrize("skeleton", [COCO17, HALPE26, HAND21, HALPE68_NOFACE, HALPE136])
def test_nobody_one_person_and_ties(skeleton):
    nms = PoseNms()
    assert len(nms(Poses.empty(skeleton))) == 0
    one, _ = crowd(0, people=1, copies=1, skeleton=skeleton)
    np.testing.assert_allclose(nms(one).keypoints, one.keypoints, atol=1e-4)
    twins = make_poses(*(np.repeat(a, 2, 0) for a in (one.keypoints, one.scores, one.boxes)),
                       skeleton=skeleton)  # fmt: skip
    assert nms(twins).source.tolist() == [10]


def test_a_pose_without_any_valid_joint_is_dropped():
    poses, _ = crowd(0, people=1, copies=1)
    for score in (0.0, 0.05):
        faint = make_poses(poses.keypoints, np.full_like(poses.scores, score), poses.boxes)
        assert len(PoseNms()(faint)) == 0


def test_boxes_without_area_do_no_harm():
    poses, _ = crowd(2)
    flat = make_poses(poses.keypoints, poses.scores, np.zeros_like(poses.boxes))
    for config in (PoseNmsConfig(), PoseNmsConfig(form="body")):
        assert np.isfinite(PoseNms(config)(flat).keypoints).all()


def test_disabled_passes_through_and_arguments_stay():
    poses, _ = crowd(0)
    assert PoseNms(PoseNmsConfig(enabled=False))(poses) is poses
    before = poses.keypoints.copy(), poses.scores.copy()
    for form in ("body", "wholebody"):
        PoseNms(PoseNmsConfig(form=form))(poses)
    np.testing.assert_array_equal(poses.keypoints, before[0])
    np.testing.assert_array_equal(poses.scores, before[1])


def test_a_crowd_in_chunks_equals_pair_by_pair():
    poses, _ = crowd(4, people=40, copies=3)  # 120 x 120 x 136 values do not fit one chunk
    config = PoseNmsConfig()
    similarity = wholebody_similarity(poses.keypoints, poses.scores, poses.boxes, HALPE136, config)
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-5)
    assert similarity.min() >= 0
    assert similarity.max() <= 1 + 1e-5
    reach = np.full(len(poses), 20.0)
    redundant = body_redundancy(poses.keypoints, poses.scores, reach, config)
    for p, q in np.random.default_rng(0).integers(0, len(poses), (30, 2)):
        pair = poses[[p, q]]
        alone = wholebody_similarity(pair.keypoints, pair.scores, pair.boxes, HALPE136, config)
        assert alone[0, 1] == pytest.approx(similarity[p, q], abs=1e-5)
        alone = body_redundancy(pair.keypoints, pair.scores, reach[:2], config)
        assert alone[0, 1] == redundant[p, q]


@pytest.mark.parametrize(
    "change", [{"form": "whole"}, {"threshold": 1.5}, {"spatial_scale": 0.0}, {"body_mu": -1.0}]
)
def test_impossible_parameters_are_refused(change):
    with pytest.raises(ConfigError, match=f"nms.{next(iter(change))}: expected"):
        PoseNmsConfig(**change)
