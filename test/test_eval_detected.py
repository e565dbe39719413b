# SPDX-License-Identifier: Apache-2.0
"""People found by a detector: matched by OKS, regions ignored as in COCO, and compared with AP
in the annotated boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import COCO17, HALPE136, WHOLEBODY133, Skeleton
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.people import read_people
from alphapose_ros.eval.detected import (
    ap_ratio,
    evaluation_limits,
    find_people,
    ignored_regions,
    measure_detected,
)
from alphapose_ros.eval.metrics import ImageMatches
from alphapose_ros.eval.pose import Estimates, estimate_people, people_with_joints

pytestmark = pytest.mark.usefixtures("one_thread")


def annotation(number: int, image: int, **other: Any) -> dict[str, Any]:
    """A person of 17 joints spread over a box of 100 x 200 px."""
    rng = np.random.default_rng(number)
    points = np.array([50, 40]) + rng.uniform(0, 1, (17, 2)) * (100, 200)
    keypoints = np.concatenate([points, np.full((17, 1), 2.0)], 1).ravel().tolist()
    return {
        "id": number, "image_id": image, "category_id": 1, "bbox": [50.0, 40.0, 100.0, 200.0],
        "area": 9000.0, "iscrowd": 0, "keypoints": keypoints,
    } | other  # fmt: skip


NOBODY = [0.0] * 51


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Three images: two people; one beside a crowd and somebody without joints; nobody."""
    far, crowd = [300.0, 40.0, 60.0, 90.0], [200.0, 10.0, 80.0, 80.0]
    annotations = [
        annotation(1, 10),
        annotation(2, 20),
        annotation(3, 20, bbox=far, keypoints=NOBODY, area=0),
        annotation(4, 20, bbox=crowd, keypoints=NOBODY, iscrowd=1),
        annotation(5, 20, suspect=True),
        annotation(6, 20, category_id=2, keypoints=NOBODY),
    ]
    images = [{"id": i, "file_name": f"{i}.png", "height": 300, "width": 400} for i in (10, 20)]
    images.append({"id": 30, "file_name": "30.png", "height": 300, "width": 400})
    for image in images:
        cv2.imwrite(str(tmp_path / image["file_name"]), np.zeros((300, 400, 3), np.uint8))
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path


def keep(item: dict[str, Any]) -> bool:
    return not item.get("suspect")


def pipeline_of(answers: Sequence[Sequence[Any]], skeleton: Skeleton) -> Any:
    """A pipeline that answers the given joints (K, 2), image by image."""
    left = iter(answers)

    def run(batch: object) -> list[Poses]:
        joints = next(left)
        n = len(joints)
        keypoints = np.array(joints, np.float32).reshape(n, len(skeleton), 2)
        return [
            Poses(
                keypoints, np.full((n, len(skeleton)), 0.8, np.float32),
                np.zeros((n, 4), np.float32), np.linspace(1, 0.5, n).astype(np.float32),
                np.arange(n), skeleton,
            )
        ]  # fmt: skip

    return SimpleNamespace(detect_and_estimate=run, device="cpu", skeleton=skeleton)


def joints_of(number: int) -> np.ndarray:
    return np.array(annotation(number, 0)["keypoints"]).reshape(17, 3)[:, :2]


def test_regions_are_those_that_nobody_is_judged_in(scene: Path) -> None:
    people = read_people(scene / "a.json", scene, HALPE136, keep)
    regions = ignored_regions(scene / "a.json", scene, people, keep)
    assert [len(found) for found in regions] == [0, 3, 0]
    unlabelled, crowd, suspect = regions[1]
    assert unlabelled[0].tolist() == [300, 40, 360, 130]
    assert unlabelled[1] == pytest.approx(0.53 * 60 * 90)  # no area annotated
    assert [crowd[2], unlabelled[2], suspect[2]] == [True, False, False]


def test_found_people_are_matched_and_regions_count_neither_way(scene: Path) -> None:
    people = read_people(scene / "a.json", scene, HALPE136, keep)
    regions = ignored_regions(scene / "a.json", scene, people, keep)
    in_crowd = joints_of(1) * 0.2 + (210, 20)
    unlabelled = joints_of(1) * 0.3 + (290, 40)
    answers = [[joints_of(1)], [in_crowd, in_crowd + 3, unlabelled, joints_of(2)], []]
    ticks: list[int] = []
    images = find_people(pipeline_of(answers, COCO17), people, regions, lambda: ticks.append(1))
    assert len(ticks) == len(images) == 3
    measures = measure_detected(images, HALPE136, repeats=5)
    assert (measures["detected_images"], measures["detected_poses"]) == (3, 5)
    assert measures["detected_body_people"] == 2
    assert measures["detected_body_ap"] == measures["detected_body_ar"] == pytest.approx(1)
    assert "detected_body_ap_ratio" not in measures
    # Without the regions three of them are false alarms, with better scores than the person.
    blind = find_people(pipeline_of(answers, COCO17), people, [[], [], []])
    assert measure_detected(blind, HALPE136, repeats=2)["detected_body_ap"] < 0.9
    alarms = [[joints_of(1) + 2000, joints_of(1)], [joints_of(2)], [joints_of(3)]]
    worse = find_people(pipeline_of(alarms, COCO17), people, regions)
    assert measure_detected(worse, HALPE136, repeats=2)["detected_body_ap"] < 0.9


def test_the_ratio_compares_the_same_people(scene: Path) -> None:
    people = read_people(scene / "a.json", scene, HALPE136, keep)
    regions = ignored_regions(scene / "a.json", scene, people, keep)
    given = Estimates(
        people, people.keypoints, np.ones((2, 136), np.float32), np.ones(2, np.float32)
    )
    images = find_people(pipeline_of([[joints_of(1)], [], []], COCO17), people, regions)
    measures = measure_detected(images, HALPE136, given, repeats=20)
    # One of two people found: precision 1 up to recall 1/2, 51 of 101 places.
    assert measures["detected_body_ap"] == pytest.approx(51 / 101)
    assert measures["detected_body_ap_ratio"] == pytest.approx(51 / 101)
    low, high = measures["detected_body_ap_ratio_95"]
    assert 0 <= low <= 51 / 101 <= high <= 1


def test_joints_are_matched_by_name_whatever_the_networks_skeleton(scene: Path) -> None:
    people = read_people(scene / "a.json", scene, HALPE136, keep)
    pose = np.zeros((133, 2))
    pose[:17] = joints_of(1)
    pose[17:23] = np.arange(12).reshape(6, 2)
    images = find_people(pipeline_of([[pose], [], []], WHOLEBODY133), people, [[], [], []])
    answer = images[0].answers[0]
    for name in ("left_ankle", "right_big_toe", "left_heel"):
        np.testing.assert_allclose(
            answer[HALPE136.index(name)], pose[WHOLEBODY133.index(name)], rtol=1e-6
        )
    assert (answer[HALPE136.index("head_top")] == 0).all()


def test_given_and_detected_boxes_answer_the_same_joints(scene: Path) -> None:
    """A joint that the network lacks is nowhere; a neck is where the product puts it."""
    people = read_people(scene / "a.json", scene, HALPE136, keep)[:1]
    pipeline = pipeline_of([[joints_of(1)]] * 2, COCO17)

    def estimator(batch: object, boxes: object) -> list[Poses]:
        return pipeline.detect_and_estimate(batch)

    estimator.finds_people, estimator.skeleton = False, COCO17  # type: ignore[attr-defined]
    given = estimate_people(estimator, people)  # type: ignore[arg-type]
    (found,) = find_people(pipeline, replace(people, images=people.images[:1]), [[]])
    np.testing.assert_array_equal(given.keypoints, found.answers)
    for name in ("head_top", "left_heel", "right_hand_ring_4"):
        assert not given.keypoints[0, HALPE136.index(name)].any()
        assert given.scores[0, HALPE136.index(name)] == 0
    neck = given.keypoints[0, HALPE136.index("neck")]
    np.testing.assert_allclose(neck, joints_of(1)[5:7].mean(0), rtol=1e-6)


def test_nobody_is_found_and_nobody_is_there(scene: Path) -> None:
    people = read_people(scene / "a.json", scene, HALPE136, keep)
    images = find_people(pipeline_of([[], [], []], COCO17), people, [[], [], []])
    assert measure_detected(images, HALPE136, repeats=3)["detected_body_ap"] == 0
    empty = measure_detected([], HALPE136)
    assert empty == {"detected_images": 0, "detected_poses": 0}


def matches(hits: list[bool], truths: int) -> ImageMatches:
    row = np.array([hits])
    return ImageMatches(np.ones(len(hits)), row, np.zeros_like(row), truths)


def test_a_ratio_over_nothing_is_no_number() -> None:
    found, missed = [matches([True], 1)], [matches([False], 1)]
    everything = np.arange(1)
    assert ap_ratio(found, found)(everything) == 1
    assert ap_ratio(missed, found)(everything) == 0
    assert np.isnan(ap_ratio(found, missed)(everything))
    assert np.isnan(ap_ratio([matches([], 0)], [matches([], 0)])(everything))


def test_the_detector_is_asked_for_more_than_in_daily_use() -> None:
    config = PipelineConfig()
    limits = evaluation_limits(config).detector
    assert limits.score_threshold < config.detector.score_threshold
    assert limits.min_box_px == 0
    assert replace(evaluation_limits(config), detector=config.detector) == config


def test_a_file_without_people_is_an_error(scene: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        people_with_joints(scene / "a.json", scene, lambda _: False)
