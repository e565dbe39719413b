# SPDX-License-Identifier: Apache-2.0
"""Distances in lengths of head, face, hand and person; scores as probabilities; intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.people import People
from alphapose_ros.eval.metrics import (
    ImageMatches,
    average_recall,
    calibration_error,
    clustered_mean,
)
from alphapose_ros.eval.placement import fine_errors, longer_sides, pckh
from alphapose_ros.eval.pose import Estimates, measure_parts, score_quality

TOP, NECK = HALPE136.index("head_top"), HALPE136.index("neck")
FACE, LEFT = HALPE136.parts["face"], HALPE136.parts["left_hand"]


def people_of(count: int, labels: np.ndarray | None = None) -> People:
    """People in boxes of 100 x 200 px, one per image, their joints anywhere in them."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 1, (count, 136, 2)) * (100, 200)
    keypoints[:, TOP], keypoints[:, NECK] = (50, 0), (50, 40)
    known = np.full((count, 136), 2, np.uint8) if labels is None else labels
    return People(
        np.arange(count), np.arange(count), np.tile(np.array([[0, 0, 100, 200]]), (count, 1)),
        np.full(count, 1e4), keypoints, known, tuple(Path(f"{i}") for i in range(count)), HALPE136,
    )  # fmt: skip


def test_half_a_head_is_near() -> None:
    people = people_of(2)
    moved = people.keypoints.copy()
    moved[0, :10] += (19.9, 0)  # the head is 40 px long
    moved[0, 10:20] += (20.1, 0)
    measures = pckh(people, moved)
    assert measures["pckh"] == pytest.approx(30 / 40)
    assert measures["pckh_people"] == 2
    low, high = measures["pckh_95"]
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(1)


def test_heads_that_nobody_annotated_are_no_measure() -> None:
    labels = np.full((3, 136), 2, np.uint8)
    labels[0, TOP], labels[1, NECK] = 0, 1  # a neck between the shoulders is no annotated one
    labels[2, :5] = 0
    people = people_of(3, labels)
    measures = pckh(people, people.keypoints)
    assert (measures["pckh"], measures["pckh_people"]) == (1, 1)
    assert pckh(people[:2], people.keypoints[:2]) == {}
    assert pckh(people_of(0), np.zeros((0, 136, 2), np.float32)) == {}


def test_errors_of_faces_and_hands_by_hand() -> None:
    labels = np.full((3, 136), 2, np.uint8)
    labels[1, FACE.start] = 1
    labels[2, FACE.start] = 0  # an incomplete face counts nowhere
    labels[1:, LEFT] = 0
    people = people_of(3, labels)
    moved = people.keypoints.copy()
    moved[:, FACE] += (3, 4)
    moved[0, LEFT] += (0, 2)
    measures = fine_errors(people, moved)
    assert measures["face_error"] == pytest.approx(5 / 200, rel=1e-5)
    assert measures["face_error_median"] == pytest.approx(measures["face_error"])
    assert (measures["face_count"], measures["face_pseudo_count"]) == (2, 1)
    face = people.keypoints[:2, FACE]
    sides = face.max(1) - face.min(1)
    assert measures["face_nme"] == pytest.approx((5 / np.sqrt(sides.prod(1))).mean(), rel=1e-5)
    hand = people.keypoints[0, LEFT]
    side = np.sqrt((hand.max(0) - hand.min(0)).prod())
    assert measures["left_hand_nme"] == pytest.approx(2 / side, rel=1e-5)
    assert measures["left_hand_error_95"] == pytest.approx((0.01, 0.01), rel=1e-5)
    ratio = measures["face_error"] / measures["mean_face_in_face_box"]
    assert measures["mean_face_in_face_box_ratio"] == pytest.approx(ratio)
    assert measures["right_hand_count"] == 3


def test_nobody_has_no_errors_and_no_quality() -> None:
    nobody = people_of(0)
    none = np.zeros((0, 136), np.float32)
    assert fine_errors(nobody, nobody.keypoints) == {}
    assert longer_sides(nobody).shape == (0,)
    found = Estimates(nobody, nobody.keypoints, none, np.zeros(0, np.float32))
    assert measure_parts(found) == {}
    quality = score_quality(found)
    assert list(quality) == ["auroc", "ece"]
    assert np.isnan(list(quality.values())).all()


def test_scores_that_know_better_than_chance() -> None:
    people = people_of(6)
    moved = people.keypoints.copy()
    moved[:3] += 60
    scores = np.full((6, 136), 0.0, np.float32)
    scores[3:] = 1
    found = Estimates(people, moved, scores, np.ones(6, np.float32))
    quality = score_quality(found)
    assert (quality["auroc"], quality["ece"]) == (1, 0)
    assert (quality["face_auroc"], quality["left_hand_ece"]) == (1, 0)
    turned = score_quality(Estimates(people, moved, 1 - scores, np.ones(6, np.float32)))
    assert (turned["auroc"], turned["ece"]) == (0, 1)
    parts = measure_parts(found, repeats=2)
    assert parts["face_ar"] == pytest.approx(0.5)
    # The persons' scores are equal and the misplaced come first: precision 1/2 up to recall 1/2.
    assert parts["face_ap"] == pytest.approx(0.5 * 51 / 101)


def slow_calibration_error(scores: list[float], positive: list[bool], bins: int) -> float:
    total = 0.0
    for k in range(bins):
        inside = [
            (s, p)
            for s, p in zip(scores, positive, strict=True)
            if k / bins <= s < (k + 1) / bins or (k == bins - 1 and s == 1)
        ]
        if inside:
            mean = sum(s for s, _ in inside) / len(inside)
            share = sum(p for _, p in inside) / len(inside)
            total += len(inside) / len(scores) * abs(mean - share)
    return total


@given(st.lists(st.tuples(st.integers(0, 64), st.booleans()), min_size=1, max_size=40))
def test_calibration_error_is_the_slow_twins(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = [s / 64 for s, _ in pairs], [p for _, p in pairs]
    found = calibration_error(np.array(scores), np.array(positive), bins=8)
    assert found == pytest.approx(slow_calibration_error(scores, positive, 8), abs=1e-9)


def test_calibration_error_of_nothing_is_no_number() -> None:
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_people_of_an_image_are_drawn_together() -> None:
    values = np.array([0.0, 0, 0, 0, 1])
    mean, (low, high) = clustered_mean(values, np.array([5, 5, 5, 5, 9]))
    assert mean == pytest.approx(0.2)
    assert (low, high) == (0, 1)  # two images: both draws of one of them are frequent
    alone = clustered_mean(values, np.arange(5))[1]
    assert alone[1] < 1
    assert clustered_mean(values, np.arange(5)) == clustered_mean(values, np.arange(5) + 40)


def test_the_mean_of_nothing_is_no_number() -> None:
    mean, interval = clustered_mean(np.zeros(0), np.zeros(0, np.int64))
    assert np.isnan([mean, *interval]).all()


def test_recall_counts_every_hit() -> None:
    hits = np.array([[True, False, True], [False, False, True]])
    image = ImageMatches(np.ones(3), hits, np.zeros((2, 3), bool), 4)
    missed = ImageMatches(np.zeros(0), np.zeros((2, 0), bool), np.zeros((2, 0), bool), 4)
    np.testing.assert_allclose(average_recall([image, missed]), [2 / 8, 1 / 8])
    assert np.isnan(average_recall([])).all()
