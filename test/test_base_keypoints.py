# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import poses, skeletons

from alphapose_ros.base.keypoints import (
    joint_similarity,
    map_keypoints,
    oks,
    pairwise_oks,
)
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, HAND21, WHOLEBODY133, Skeleton


def slow_oks(truth, found, area, sigmas, visible) -> float:
    """COCO's definition, joint by joint."""
    total, count = 0.0, 0
    for (x, y), (u, v), sigma, seen in zip(truth, found, sigmas, visible, strict=True):
        if seen > 0:
            variance = (2 * sigma) ** 2
            total += math.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * area * variance))
            count += 1
    return total / count if count else 0.0


def random_people(rng, n: int, k: int = 17) -> np.ndarray:
    return rng.uniform(0, 200, (n, k, 2)).astype(np.float32)


def test_pairwise_oks_equals_cocos_loop(rng) -> None:
    truth = random_people(rng, 3)
    found = np.concatenate([truth + rng.normal(0, 6, truth.shape), random_people(rng, 2)])
    areas = rng.uniform(2e3, 2e4, 3).astype(np.float32)
    visible = (rng.random((3, 17)) < 0.7).astype(np.float32)
    table = pairwise_oks(truth, found.astype(np.float32), areas, COCO17.sigmas, visible)
    expected = [
        [slow_oks(t, f, a, COCO17.sigmas, v) for f in found]
        for t, a, v in zip(truth, areas, visible, strict=True)
    ]
    np.testing.assert_allclose(table, expected, atol=1e-5)


def test_oks_equals_pycocotools(rng) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    truth = random_people(rng, 2)
    found = truth + rng.normal(0, 5, truth.shape).astype(np.float32)
    seen = np.array([[2] * 17, [0, 1, 2] * 5 + [2, 0]])
    areas = np.array([9000, 4000], np.float32)
    images, category = [{"id": 1}], [{"id": 1, "name": "person"}]

    def annotation(number, keypoints, flags, area) -> dict:
        flat = np.concatenate([keypoints, flags[:, None]], 1).ravel().tolist()
        return {
            "id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": float(area),
            "bbox": [0, 0, 200, 200], "keypoints": flat, "num_keypoints": int((flags > 0).sum()),
            "score": 1 - number / 10,
        }  # fmt: skip

    truth_set, found_set = coco.COCO(), coco.COCO()
    for dataset, people, flags in ((truth_set, truth, seen), (found_set, found, seen * 0 + 1)):
        rows = [
            annotation(i + 1, *row) for i, row in enumerate(zip(people, flags, areas, strict=True))
        ]
        dataset.dataset = {"images": images, "categories": category, "annotations": rows}
        dataset.createIndex()
    judge = evaluation.COCOeval(truth_set, found_set, "keypoints")
    judge.evaluate()
    expected = judge.computeOks(1, 1)  # (found, truth)
    table = pairwise_oks(truth, found, areas, COCO17.sigmas, (seen > 0).astype(np.float32))
    np.testing.assert_allclose(table.T, expected, atol=1e-4)


@given(st.data(), skeletons)
def test_a_person_is_most_like_itself(data: st.DataObject, skeleton: Skeleton) -> None:
    people = data.draw(poses(skeleton, n=2)).keypoints
    areas, valid = np.full(2, 1e4, np.float32), np.ones((2, len(skeleton)), np.float32)
    table = pairwise_oks(people, people, areas, skeleton.sigmas, valid)
    np.testing.assert_allclose(np.diag(table), 1, rtol=1e-5)
    assert np.all((table >= 0) & (table <= 1 + 1e-5))


def test_one_sigma_scale_away_has_the_textbook_similarity() -> None:
    """d = 2 sigma s, s² the area: exp(-1/2)."""
    here = np.zeros((1, 1, 2), np.float32)
    sigma, area = np.array([0.05], np.float32), np.array([400.0], np.float32)
    there = here + np.array([2 * 0.05 * 20, 0], np.float32)
    assert joint_similarity(here, there, area, sigma) == pytest.approx(math.exp(-0.5), rel=1e-5)


def test_no_joint_that_counts_and_no_area_give_numbers() -> None:
    one = np.zeros((1, 17, 2), np.float32)
    nothing = np.zeros((1, 17), np.float32)
    area = np.array([100], np.float32)
    assert oks(one, one, area, COCO17.sigmas, nothing).tolist() == [0]
    assert oks(one, one, area * 0, COCO17.sigmas, nothing + 1).tolist() == [1]
    assert oks(one, one + 1, area * 0, COCO17.sigmas, nothing + 1).tolist() == [0]


def test_nobody_matches_nobody() -> None:
    none, people = np.zeros((0, 17, 2), np.float32), np.zeros((3, 17, 2), np.float32)
    areas, valid = np.zeros(0, np.float32), np.zeros((0, 17), np.float32)
    assert pairwise_oks(none, people, areas, COCO17.sigmas, valid).shape == (0, 3)
    assert pairwise_oks(
        people, none, np.ones(3, np.float32), COCO17.sigmas, np.ones((3, 17), np.float32)
    ).shape == (3, 0)  # fmt: skip


@given(poses(WHOLEBODY133))
def test_joints_keep_their_meaning_in_another_set(people) -> None:
    keypoints, scores = map_keypoints(people.keypoints, people.scores, WHOLEBODY133, HALPE136)
    assert keypoints.shape == (len(people), 136, 2)
    for name in ("nose", "left_small_toe", "right_heel", "face_67", "right_hand_little_4"):
        here, there = HALPE136.index(name), WHOLEBODY133.index(name)
        np.testing.assert_array_equal(keypoints[:, here], people.keypoints[:, there])
        np.testing.assert_array_equal(scores[:, here], people.scores[:, there])
    top = HALPE136.index("head_top")
    assert not keypoints[:, top].any()
    assert not scores[:, top].any()


@given(poses(COCO17))
def test_neck_and_pelvis_are_midpoints_with_the_lower_score(people) -> None:
    keypoints, scores = map_keypoints(people.keypoints, people.scores, COCO17, HALPE26)
    for name, a, b in (("neck", 5, 6), ("pelvis", 11, 12)):
        k = HALPE26.index(name)
        middle = (people.keypoints[:, a] + people.keypoints[:, b]) / 2
        np.testing.assert_allclose(keypoints[:, k], middle, atol=1e-3)
        lower = np.minimum(people.scores[:, a], people.scores[:, b])
        np.testing.assert_array_equal(scores[:, k], lower)


@given(poses(HALPE136))
def test_mapping_down_and_up_keeps_what_both_have(people) -> None:
    down = map_keypoints(people.keypoints, people.scores, HALPE136, HALPE26)
    np.testing.assert_array_equal(down[0], people.keypoints[:, :26])
    up = map_keypoints(*down, HALPE26, HALPE136)
    np.testing.assert_array_equal(up[0][:, :26], people.keypoints[:, :26])
    assert not up[1][:, 26:].any()


def test_a_hand_has_no_neck_to_give() -> None:
    hand = np.ones((1, 21, 2), np.float32)
    points, scores = map_keypoints(hand, hand[..., 0], HAND21, HALPE26)
    assert not points.any()
    assert not scores.any()
