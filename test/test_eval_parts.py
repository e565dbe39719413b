# SPDX-License-Identifier: Apache-2.0
"""AP per part against pycocotools, on random people and on real ones, and by hand."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import (
    COCO17,
    FACE68,
    HALPE26,
    HALPE136,
    HAND21,
    WHOLEBODY133,
)
from alphapose_ros.data.people import read_people
from alphapose_ros.eval.metrics import average_precision, average_recall
from alphapose_ros.eval.parts import (
    MAX_POSES,
    Part,
    PosedImage,
    body_part,
    flat_parts,
    match_part,
    official_parts,
    part_measures,
)

FloatArray = NDArray[np.float64]


def random_image(rng: np.random.Generator, people: int, extra: int = 0) -> PosedImage:
    """People, crowds among them, with unlabelled parts; answers near them, ``extra`` astray."""
    corners = rng.uniform(0, 400, (people, 2))
    sizes = rng.uniform(40, 160, (people, 2))
    keypoints = corners[:, None] + rng.uniform(0, 1, (people, 136, 2)) * sizes[:, None]
    labels = np.where(rng.random((people, 136)) < 0.6, 2, rng.integers(0, 2, (people, 136)))
    for joints in HALPE136.parts.values():
        labels[rng.random(people) < 0.3, joints] = 0
    crowd = rng.random(people) < 0.15
    labels[crowd] = 0
    noise = rng.exponential(2, (people, 1, 1)) * rng.normal(size=keypoints.shape)
    astray = rng.uniform(0, 500, (extra, 1, 2)) + rng.normal(0, 30, (extra, 136, 2))
    answers = np.concatenate([keypoints + noise, keypoints[:1] + 2, astray])
    scores = rng.random(len(answers)).round(1)  # ties on purpose
    boxes = np.concatenate([corners, corners + sizes], 1)
    return PosedImage(keypoints, labels, boxes, 0.5 * sizes.prod(1), crowd, answers, scores)


def coco_numbers(images: Sequence[PosedImage], part: Part, least: int) -> tuple[FloatArray, float]:
    """AP per threshold and AR of pycocotools' own evaluation of a part, all areas."""
    pytest.importorskip("pycocotools", reason="NOT TESTED: pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truths, answers = [], []
    for number, image in enumerate(images):
        shared: dict[str, Any] = {"image_id": number, "category_id": 1}
        for row in range(len(image.boxes)):
            known = image.labels[row, part.joints] >= least
            x1, y1, x2, y2 = image.boxes[row].astype(float)
            triples = np.concatenate([image.keypoints[row, part.joints], 2.0 * known[:, None]], 1)
            truths.append(shared | {
                "id": len(truths) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(image.areas[row]), "keypoints": triples.ravel().tolist(),
                "num_keypoints": int(known.sum()), "iscrowd": int(image.crowd[row]),
            })  # fmt: skip
        for pose, score in zip(image.answers, image.scores, strict=True):
            points = np.concatenate([pose[part.joints], np.ones((len(part.joints), 1))], 1)
            answers.append(shared | {
                "keypoints": points.ravel().tolist(), "score": float(score)
            })  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "annotations": truths, "categories": [{"id": 1, "name": "person"}],
            "images": [{"id": i} for i in range(len(images))],
        }  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(answers), "keypoints")
        evaluation.params.kpt_oks_sigmas = part.sigmas.astype(np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
    return (
        evaluation.eval["precision"][:, :, 0, 0, 0].mean(1),
        evaluation.eval["recall"][:, 0, 0, 0].mean(),
    )


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("scheme", [official_parts, flat_parts])
def test_ap_and_ar_of_every_part_are_those_of_pycocotools(scheme, least: int) -> None:
    rng = np.random.default_rng(least)
    images = [random_image(rng, n) for n in (3, 1, 0, 5, 2, 8)]
    for name, part in scheme(HALPE136).items():
        precision, recall = coco_numbers(images, part, least)
        matches = [match_part(image, part, least) for image in images]
        assert 0 < precision.mean() < 1, name
        np.testing.assert_allclose(average_precision(matches), precision, atol=1e-6)
        assert average_recall(matches).mean() == pytest.approx(recall, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_only_the_best_poses_of_an_image_count_as_in_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng, 14, extra=14) for _ in range(3)]
    part = body_part(HALPE136)
    precision, recall = coco_numbers(images, part, 2)
    matches = [match_part(image, part) for image in images]
    assert all(len(match.scores) == MAX_POSES for match in matches)
    np.testing.assert_allclose(average_precision(matches), precision, atol=1e-6)
    assert average_recall(matches).mean() == pytest.approx(recall, abs=1e-6)


def test_real_whole_bodies_are_judged_as_by_pycocotools(shared: Path) -> None:
    folder = shared / "data" / "samples_wholebody" / "coco"
    if not folder.is_dir():
        pytest.skip(f"NO DATA: {folder} is absent")
    people = read_people(folder / "test_coco_wholebody.json", folder, HALPE136)
    rng = np.random.default_rng(0)
    spread = rng.exponential(0.02, (len(people), 1, 1)) * np.sqrt(people.areas)[:, None, None]
    answers = people.keypoints + spread * rng.normal(size=people.keypoints.shape)
    scores = rng.random(len(people))
    images = []
    for row in range(len(people.images)):
        chosen = people.image_rows == row
        some = people[chosen]
        images.append(
            PosedImage(
                some.keypoints, some.labels, some.boxes, some.areas, np.zeros(len(some), bool),
                answers[chosen], scores[chosen],
            )
        )  # fmt: skip
    for name, part in official_parts(HALPE136).items():
        if not (people.labels[:, part.joints] == 2).any():
            continue
        precision, recall = coco_numbers(images, part, 2)
        matches = [match_part(image, part) for image in images]
        np.testing.assert_allclose(average_precision(matches), precision, atol=1e-6, err_msg=name)
        assert average_recall(matches).mean() == pytest.approx(recall, abs=1e-6)


def test_official_parts_are_those_of_coco_wholebody() -> None:
    parts = official_parts(WHOLEBODY133)
    assert {name: len(part.joints) for name, part in parts.items()} == {
        "body": 17, "feet": 6, "face": 68, "left_hand": 21, "right_hand": 21, "whole": 133,
    }  # fmt: skip
    np.testing.assert_array_equal(parts["whole"].sigmas, WHOLEBODY133.sigmas)
    for name, part in official_parts(HALPE136).items():
        names = {HALPE136.keypoint_names[k] for k in part.joints}
        same = {WHOLEBODY133.keypoint_names[k] for k in parts[name].joints}
        assert names == same
        by_name = dict(zip(WHOLEBODY133.keypoint_names, WHOLEBODY133.sigmas, strict=True))
        wanted = [by_name[HALPE136.keypoint_names[k]] for k in part.joints]
        np.testing.assert_array_equal(part.sigmas, wanted)
    assert list(official_parts(COCO17)) == ["body"]
    assert list(official_parts(HALPE26)) == ["body", "feet", "whole"]
    assert list(official_parts(FACE68)) == ["face"]
    (hand,) = official_parts(HAND21).items()
    assert hand[0] == "hand"
    np.testing.assert_array_equal(hand[1].sigmas, parts["left_hand"].sigmas)


def test_flat_constants_are_those_of_the_halpe_tool() -> None:
    parts = flat_parts(HALPE136)
    assert {name: len(part.joints) for name, part in parts.items()} == {
        "body": 20, "feet": 6, "face": 68, "hands": 42, "whole": 136,
    }  # fmt: skip
    expected = [*COCO17.sigmas, *[0.08] * 3, *[0.089] * 6, *[0.015] * 110]
    np.testing.assert_allclose(parts["whole"].sigmas, expected, rtol=1e-6)
    assert HALPE136.sigmas[26] == pytest.approx(0.042)  # the shared record is left as it was


def one_person(offset: float, labels: NDArray[np.integer]) -> PosedImage:
    keypoints = np.random.default_rng(0).uniform(0, 100, (1, 136, 2))
    return PosedImage(
        keypoints, labels[None], np.array([[0, 0, 100, 100.0]]), np.array([5000.0]),
        np.zeros(1, bool), keypoints + np.array([offset, 0]), np.ones(1),
    )  # fmt: skip


def test_a_part_by_hand() -> None:
    labels = np.zeros(136, int)
    labels[0] = 2
    # exp(-d² / (2 area (2 sigma)²)) = .72 for the nose: right up to threshold .70, 5 of 10.
    offset = np.sqrt(-np.log(0.72) * 2 * 5000 * (2 * 0.026) ** 2)
    measures = part_measures([one_person(offset, labels)], HALPE136, repeats=3)
    for name in ("body", "flat_body"):
        assert measures[f"{name}_ap"] == measures[f"{name}_ar"] == pytest.approx(0.5)
        assert measures[f"{name}_people"] == 1
        assert measures[f"{name}_ap_95"] == pytest.approx((0.5, 0.5))
    assert not [key for key in measures if "face" in key or "pseudo" in key or "whole" in key]


def test_pseudo_labels_count_only_where_they_are_named() -> None:
    labels = np.zeros(136, int)
    labels[:17], labels[26:94] = 2, 1
    measures = part_measures([one_person(0, labels)], HALPE136, repeats=3)
    assert "face_ap" not in measures
    assert measures["pseudo_face_ap"] == measures["pseudo_flat_face_ap"] == pytest.approx(1)
    assert measures["body_ap"] == measures["pseudo_whole_ap"] == pytest.approx(1)
    assert "whole_ap" not in measures  # it is the body
    far = part_measures([one_person(300, labels)], HALPE136, repeats=3)
    assert far["pseudo_face_ap"] == far["body_ap"] == 0


def test_the_flat_constant_is_stricter_on_the_jaw_and_laxer_on_the_eyes() -> None:
    jaw, eyes = np.zeros(136, int), np.zeros(136, int)
    jaw[26:43], eyes[62:74] = 2, 2
    for labels, stricter in ((jaw, "flat_face_ap"), (eyes, "face_ap")):
        measures = part_measures([one_person(1.5, labels)], HALPE136, repeats=3)
        laxer = {"flat_face_ap": "face_ap", "face_ap": "flat_face_ap"}[stricter]
        assert measures[stricter] < measures[laxer]


def test_crowds_and_people_without_joints_count_neither_way() -> None:
    labels = np.zeros((3, 136), int)
    labels[0, :17] = 2
    keypoints = np.random.default_rng(0).uniform(0, 50, (3, 136, 2))
    boxes = np.array([[0, 0, 50, 50], [500, 0, 560, 60], [800, 0, 900, 90.0]])
    # The second answer lies on the person without joints, two in the crowd, the last nowhere.
    inside = np.array([[0, 0], [510, 10], [820, 20], [840, 30], [3000, 3000.0]])
    answers = keypoints[:1] + inside[:, None]
    crowd = np.array([False, False, True])
    image = PosedImage(
        keypoints, labels, boxes, np.full(3, 2500.0), crowd, answers, np.ones(5)
    )  # fmt: skip
    match = match_part(image, body_part(HALPE136))
    assert match.truths == 1
    assert match.hits[0].tolist() == [True, False, False, False, False]
    assert match.ignored[0].tolist() == [False, True, True, True, False]


def test_nobody_at_all() -> None:
    rng = np.random.default_rng(0)
    nobody = random_image(rng, 0)
    assert part_measures([], HALPE136) == part_measures([nobody], HALPE136) == {}
    unanswered = one_person(0, np.full(136, 2))
    silent = PosedImage(
        unanswered.keypoints, unanswered.labels, unanswered.boxes, unanswered.areas,
        unanswered.crowd, np.zeros((0, 136, 2)), np.zeros(0),
    )  # fmt: skip
    measures = part_measures([silent, nobody], HALPE136, repeats=3)
    assert measures["whole_ap"] == measures["whole_ar"] == 0
