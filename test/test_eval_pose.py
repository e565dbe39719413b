# SPDX-License-Identifier: Apache-2.0
"""Pose measures against pycocotools, slow twins, and predictions that are known to be perfect."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alphapose_ros.base.keypoints import pairwise_oks
from alphapose_ros.base.skeletons import COCO17, FACE68, HALPE136, Skeleton
from alphapose_ros.data.people import People
from alphapose_ros.eval.metrics import (
    THRESHOLDS,
    ImageMatches,
    area_under_roc,
    average_precision,
    bootstrap,
    match_image,
)
from alphapose_ros.eval.pose import Estimates, measure, measure_parts

FloatArray = NDArray[np.float32]


def people_of(counts: list[int], seed: int, unlabelled: float = 0.0) -> People:
    """``counts[i]`` people in image i; some without an annotated joint, some joints unlabelled."""
    rng = np.random.default_rng(seed)
    n = sum(counts)
    corners = rng.uniform(0, 400, (n, 2))
    sizes = rng.uniform(40, 160, (n, 2))
    keypoints = corners[:, None] + rng.uniform(0, 1, (n, 136, 2)) * sizes[:, None]
    labels = np.zeros((n, 136), np.uint8)
    labels[:, :17] = np.where(rng.random((n, 17)) < 0.7, 2, 0)
    labels[:, 0] = 2
    labels[rng.random(n) < unlabelled, :17] = 1  # pseudo labels count in no measure of the body
    rows = np.repeat(np.arange(len(counts)), counts)
    return People(
        rows, rows + 100, np.concatenate([corners, corners + sizes], 1), 0.5 * sizes.prod(1),
        keypoints, labels, tuple(Path(f"{i}.jpg") for i in range(len(counts))), HALPE136,
    )  # fmt: skip


def estimates_of(people: People, noise: float, seed: int, ties: bool = False) -> Estimates:
    rng = np.random.default_rng(seed)
    spread = noise * rng.exponential(1, (len(people), 1, 1))
    keypoints = people.keypoints + rng.normal(0, 1, people.keypoints.shape) * spread
    scores = rng.random(people.labels.shape)
    person_scores = rng.random(len(people))
    if ties:
        person_scores = person_scores.round(1)
    arrays = (keypoints, scores, person_scores)
    return Estimates(people, *(a.astype(np.float32) for a in arrays))


def coco_ap(found: Estimates) -> FloatArray:
    """AP per threshold of pycocotools' own evaluation, all areas."""
    pytest.importorskip("pycocotools", reason="NOT TESTED: pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    people, truths, answers = found.people, [], []
    for row in range(len(people)):
        known = people.labels[row, :17] == 2
        x1, y1, x2, y2 = people.boxes[row].astype(float)
        triples = np.concatenate([people.keypoints[row, :17], 2.0 * known[:, None]], 1)
        shared: dict[str, Any] = {"image_id": int(people.image_rows[row]), "category_id": 1}
        truths.append(shared | {
            "id": row + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(people.areas[row]),
            "keypoints": triples.ravel().tolist(), "num_keypoints": int(known.sum()), "iscrowd": 0,
        })  # fmt: skip
        points = np.concatenate([found.keypoints[row, :17], np.ones((17, 1))], 1)
        answers.append(shared | {
            "keypoints": points.ravel().tolist(), "score": float(found.person_scores[row]),
        })  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "annotations": truths, "categories": [{"id": 1, "name": "person"}],
            "images": [{"id": i} for i in range(len(people.images))],
        }  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(answers), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0].mean(1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("unlabelled", [0.0, 0.3])
def test_ap_is_that_of_pycocotools(seed: int, ties: bool, unlabelled: float) -> None:
    counts = [3, 1, 5, 2, 8, 1, 4]
    people = people_of(counts, seed, unlabelled)
    found = estimates_of(people, noise=6.0, seed=seed + 50, ties=ties)
    wanted, result = coco_ap(found), measure(found)
    assert 0.02 < wanted.mean() < 0.98
    assert result["ap"] == pytest.approx(wanted.mean(), abs=1e-6)
    assert result["ap50"] == pytest.approx(wanted[0], abs=1e-6)
    assert result["ap75"] == pytest.approx(wanted[5], abs=1e-6)


def test_perfect_answers_have_perfect_measures() -> None:
    people = people_of([2, 1, 3], 0)
    found = Estimates(
        people, people.keypoints, np.ones((6, 136), np.float32), np.ones(6, np.float32)
    )
    result = measure(found)
    for name in ("oks", "ap", "ap50", "ap75", "pck"):
        assert result[name] == pytest.approx(1)
        if f"{name}_95" in result:
            assert result[f"{name}_95"] == pytest.approx((1, 1))
    assert (result["people"], result["images"]) == (6, 3)
    assert result["joints"] == (people.labels == 2).sum()
    assert np.isnan(result["auroc"])  # there is no misplaced joint to tell apart


def test_gaussian_answers_lie_within_the_circles_that_their_spread_promises() -> None:
    people = people_of([40, 40, 40], 0)
    rng = np.random.default_rng(0)
    spreads = rng.uniform(1, 20, people.labels.shape).astype(np.float32)
    spreads[::7] = np.nan  # says nothing, and is not counted
    noise = rng.normal(size=people.keypoints.shape) * np.nan_to_num(spreads, nan=1e3)[..., None]
    scores = np.ones(people.labels.shape, np.float32)
    answers = (people.keypoints + noise).astype(np.float32)
    found = Estimates(people, answers, scores, np.ones(120, np.float32), spreads)
    result = measure(found)
    assert result["std68_holds"] == pytest.approx(0.68, abs=0.03)
    assert result["std95_holds"] == pytest.approx(0.95, abs=0.02)
    assert "std68_holds" not in measure(replace(found, keypoint_std=None))
    unknown = replace(found, keypoint_std=np.full_like(spreads, np.nan))
    assert "std68_holds" not in measure(unknown)


def test_answers_far_off_have_none() -> None:
    people = people_of([2, 1, 3], 0)
    far = people.keypoints + 5000
    scores = np.ones((6, 136), np.float32)
    result = measure(Estimates(people, far, scores, np.ones(6, np.float32)))
    assert result["oks"] == result["ap"] == result["pck"] == 0


def test_order_of_rows_and_people_without_annotation_change_nothing() -> None:
    people = people_of([3, 2, 4], 1, unlabelled=0.4)
    found = estimates_of(people, 4.0, 2)
    order = np.random.default_rng(0).permutation(len(people))
    shuffled = Estimates(
        people[order], found.keypoints[order], found.scores[order], found.person_scores[order]
    )
    first, second = measure(found), measure(shuffled)
    for name in ("oks", "ap", "pck", "auroc", "people", "joints"):
        assert first[name] == pytest.approx(second[name])
    counted = (people.labels[:, :17] == 2).any(1)
    assert first["people"] == counted.sum() < len(people)


def test_nobody_at_all_is_no_number() -> None:
    people = people_of([], 0)
    none = np.zeros((0, 136), np.float32)
    result = measure(Estimates(people, people.keypoints, none, np.zeros(0, np.float32)))
    assert (result["people"], result["images"], result["joints"]) == (0, 0, 0)
    assert np.isnan(result["oks"])
    assert np.isnan(result["ap"])
    assert np.isnan(result["ap_95"]).all()


@pytest.mark.parametrize("skeleton", [HALPE136, FACE68], ids=str)
def test_of_faces_alone_nothing_is_said_of_bodies(skeleton: Skeleton) -> None:
    """Errors are in sizes of the face's box, and no row is empty."""
    face = skeleton.parts["face"]
    rng = np.random.default_rng(4)
    keypoints = np.zeros((3, len(skeleton), 2))
    keypoints[:, face] = rng.uniform(0, 1, (3, 68, 2)) * (40, 90)
    keypoints[:, face][:, :2] = [[0, 0], [40, 90]]
    labels = np.zeros((3, len(skeleton)), np.uint8)
    labels[:, face] = 2
    faces = People(
        np.arange(3), np.arange(3), np.tile(np.array([[0, 0, 40, 90]]), (3, 1)),
        np.full(3, 3600.0), keypoints, labels, tuple(Path(f"{i}") for i in range(3)), skeleton,
    )  # fmt: skip
    answers = (keypoints + (3, 4) * (labels[..., None] > 0)).astype(np.float32)
    scores = rng.uniform(0.1, 1, labels.shape).astype(np.float32)
    found = Estimates(faces, answers, scores, np.ones(3, np.float32))
    result = measure(found)
    assert (result["people"], result["images"], result["face_count"]) == (3, 3, 3)
    assert result["face_nme"] == pytest.approx(5 / 60, rel=1e-5)
    assert not {"oks", "ap", "pck", "auroc", "mean_face_in_head_box"} & set(result)
    assert np.isfinite([value for value in result.values() if isinstance(value, float)]).all()
    assert result["mean_face_nme"] == pytest.approx(result["mean_face_in_face_box"] * 90 / 60)
    parts = measure_parts(found, repeats=2)
    assert [key for key in parts if key.startswith("face")][:2] == ["face_people", "face_ap"]


def test_faces_are_measured_where_they_are_complete() -> None:
    people = people_of([2, 2], 3)
    labels = people.labels.copy()
    face = HALPE136.parts["face"]
    labels[:3, face] = 1
    labels[2, 30] = 0
    labelled = People(
        people.image_rows, people.image_ids, people.boxes, people.areas, people.keypoints, labels,
        people.images,
    )  # fmt: skip
    off = people.keypoints.copy()
    off[:, face] += (3, 4)
    scores = np.ones((4, 136), np.float32)
    result = measure(Estimates(labelled, off, scores, np.ones(4, np.float32)))
    sides = (people.boxes[:2, 2:] - people.boxes[:2, :2]).max(1)
    assert result["face_count"] == 2
    assert result["face_error"] == pytest.approx((5 / sides).mean(), rel=1e-4)
    assert "left_hand_error" not in result


def slow_matches(
    similarity: FloatArray, scores: FloatArray, ignore: NDArray[np.bool_], threshold: float
) -> dict[int, int | None]:
    """Detection -> truth, the greedy loop in words."""
    taken: set[int] = set()
    out: dict[int, int | None] = {}
    for d in sorted(range(len(scores)), key=lambda d: -scores[d]):
        able = [g for g in range(len(ignore)) if g not in taken and similarity[d, g] >= threshold]
        wanted = [g for g in able if not ignore[g]] or able
        best = max(wanted, key=lambda g: (similarity[d, g], g), default=None)
        out[d] = best
        taken |= set() if best is None else {best}
    return out


@settings(max_examples=80)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 10**6))
def test_matching_is_the_slow_twins(detections: int, truths: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.random((detections, truths)).round(1)  # ties on purpose
    scores, ignore = rng.random(detections).round(1), rng.random(truths) < 0.3
    found = match_image(similarity, scores, ignore)
    order = sorted(range(detections), key=lambda d: -scores[d])
    np.testing.assert_array_equal(found.scores, scores[order])
    assert found.truths == (~ignore).sum()
    for t, threshold in enumerate(THRESHOLDS):
        wanted = slow_matches(similarity, scores, ignore, threshold)
        hits = [wanted[d] is not None and not ignore[wanted[d]] for d in order]
        left_out = [wanted[d] is not None and bool(ignore[wanted[d]]) for d in order]
        assert found.hits[t].tolist() == hits
        assert found.ignored[t].tolist() == left_out


def test_average_precision_without_truths_or_answers() -> None:
    nothing = match_image(np.zeros((0, 0)), np.zeros(0), np.zeros(0, bool))
    missed = match_image(np.zeros((0, 2)), np.zeros(0), np.zeros(2, bool))
    alarms = match_image(np.zeros((3, 0)), np.ones(3), np.zeros(0, bool))
    assert np.isnan(average_precision([])).all()
    assert np.isnan(average_precision([nothing, alarms])).all()
    assert (average_precision([missed]) == 0).all()
    assert (average_precision([missed, alarms, nothing]) == 0).all()


def test_average_precision_by_hand() -> None:
    hits = np.array([[True, False, True]])
    image = ImageMatches(np.array([0.9, 0.8, 0.7]), hits, np.zeros((1, 3), bool), 2)
    # Precision 1 up to recall 1/2 (51 of 101 places), then 2/3.
    assert average_precision([image])[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    ignored = ImageMatches(image.scores, hits, np.array([[False, True, False]]), 2)
    assert average_precision([ignored])[0] == pytest.approx(1)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30),
)
def test_auroc_is_the_slow_twins(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], float)
    positive = np.array([flag for _, flag in pairs], bool)
    total = count = 0.0
    for a in scores[positive]:
        for b in scores[~positive]:
            total += 1.0 if a > b else 0.5 if a == b else 0.0
            count += 1
    found = area_under_roc(scores, positive)
    if count:
        assert found == pytest.approx(total / count)
    else:
        assert np.isnan(found)


def test_the_bootstrap_is_seeded_and_brackets_the_statistic(rng: np.random.Generator) -> None:
    values = rng.normal(3, 1, 400)

    def mean(chosen: NDArray[np.intp]) -> float:
        return float(values[chosen].mean())

    low, high = bootstrap(mean, 400)
    assert low < values.mean() < high
    assert (low, high) == bootstrap(mean, 400)
    assert (low, high) != bootstrap(mean, 400, seed=1)
    # The interval of a mean is 2 * 1.96 standard errors wide.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.25)


def test_the_bootstrap_of_nothing_is_no_number(recwarn) -> None:
    assert np.isnan(bootstrap(lambda chosen: 1.0, 0)).all()
    assert np.isnan(bootstrap(lambda chosen: float("nan"), 5)).all()
    assert bootstrap(lambda chosen: 2.0 if chosen[0] else float("nan"), 5) == (2.0, 2.0)
    assert not list(recwarn)


def test_oks_is_that_of_the_formula() -> None:
    people = people_of([4], 5)
    found = estimates_of(people, 3.0, 6)
    valid = people.labels[:, :17] == 2
    pairs = pairwise_oks(
        people.keypoints[:, :17], found.keypoints[:, :17], people.areas, COCO17.sigmas,
        valid.astype(np.float32),
    )  # fmt: skip
    mean = np.mean(np.diag(pairs))
    assert measure(found)["oks"] == pytest.approx(mean, abs=1e-5)


def test_an_interval_is_of_95_percent():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(lambda rows: float(values[rows].mean()), 400, repeats=4000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
