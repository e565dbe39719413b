# SPDX-License-Identifier: Apache-2.0
"""Measures of the feet: by hand, against a slow twin, and on feet that were labelled by eye."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import HALPE136, WHOLEBODY133
from alphapose_ros.data.feet import NOBODY, read_feet, read_set_with_feet
from alphapose_ros.data.people import People
from alphapose_ros.eval.feet import feet_from_legs, lower_legs, measure_feet
from alphapose_ros.eval.pose import Estimates

LABELLED = Path(__file__).parent / "data" / "feet_val.json"
KINDS = {"big_toe": (20, 21), "small_toe": (22, 23), "heel": (24, 25)}


def people_of(images: list[int], rng: np.random.Generator) -> People:
    """One person per entry, in the image of that number; every third foot joint is unknown."""
    n = len(images)
    labels = np.full((n, 136), 2, np.uint8)
    labels[:, 20:26] = rng.choice([0, 2, 2], (n, 6))
    rows = np.array(images, np.int64)
    return People(
        rows, rows, np.tile([0.0, 0, 100, 200], (n, 1)), np.full(n, 10000.0),
        rng.uniform(0, 100, (n, 136, 2)), labels,
        tuple(Path(f"{i}.jpg") for i in range(max(images, default=-1) + 1)), HALPE136,
    )  # fmt: skip


def estimates(people: People, keypoints: NDArray[np.float32]) -> Estimates:
    scores = np.zeros(people.labels.shape, np.float32)
    return Estimates(people, keypoints, scores, np.zeros(len(people), np.float32))


def test_a_known_error(rng: np.random.Generator) -> None:
    people = people_of([0], rng)
    people.labels[0, 20:26] = [2, 0, 1, 0, 2, 2]  # a doubtful label counts in no measure
    people.keypoints[0, HALPE136.index("left_knee")] = [0, 0]
    people.keypoints[0, HALPE136.index("left_ankle")] = [30, 40]
    answer = people.keypoints.copy()
    answer[0, 20] += [3, 4]
    found = measure_feet(estimates(people, answer))
    toe = math.exp(-25 / (2 * 10000 * (2 * 0.068) ** 2))
    assert found["big_toe_oks"] == pytest.approx(toe, abs=1e-5)
    assert found["big_toe_error"] == pytest.approx(0.1)  # 5 px of a leg of 50
    assert found["heel_oks"] == 1
    assert found["heel_error"] == 0
    assert found["feet_oks"] == pytest.approx((toe + 2) / 3, abs=1e-5)
    assert found["foot_oks"] == pytest.approx(((toe + 1) / 2 + 1) / 2, abs=1e-5)
    counts = [found[f"{name}_joints"] for name in KINDS]
    assert (found["feet_people"], found["feet"], counts) == (1, 2, [1, 0, 2])
    assert math.isnan(found["small_toe_oks"])
    assert math.isnan(found["small_toe_error"])


def test_against_a_slow_twin(rng: np.random.Generator) -> None:
    people = people_of([0, 0, 1, 2, 2, 2, 3], rng)
    answer = (people.keypoints + rng.normal(0, 8, people.keypoints.shape)).astype(np.float32)
    found = measure_feet(estimates(people, answer))
    of_people, of_feet = [], []
    of_kinds: dict[str, list[float]] = {name: [] for name in KINDS}
    for row in range(len(people)):
        near = {}
        for name, joints in KINDS.items():
            for joint in joints:
                if people.labels[row, joint] == 2:
                    gap = float(((answer - people.keypoints)[row, joint] ** 2).sum())
                    sigma = float(HALPE136.sigmas[joint])
                    near[joint] = math.exp(-gap / (2 * people.areas[row] * (2 * sigma) ** 2))
                    of_kinds[name].append(near[joint])
        feet = [[v for j, v in near.items() if j % 2 == odd] for odd in (0, 1)]
        of_people += [float(np.mean(list(near.values())))] if near else []
        of_feet += [float(np.mean(values)) for values in feet if values]
    assert found["feet_oks"] == pytest.approx(np.mean(of_people), abs=1e-5)
    assert found["foot_oks"] == pytest.approx(np.mean(of_feet), abs=1e-5)
    assert (found["feet_people"], found["feet"]) == (len(of_people), len(of_feet))
    for name, values in of_kinds.items():
        assert found[f"{name}_oks"] == pytest.approx(np.mean(values), abs=1e-5)
    low, high = found["feet_oks_95"]  # type: ignore[misc]
    assert low < found["feet_oks"] < high


def test_other_skeletons_by_name(rng: np.random.Generator) -> None:
    people = people_of([0, 1], rng)
    answer = people.keypoints + rng.normal(0, 5, people.keypoints.shape).astype(np.float32)
    index = WHOLEBODY133.source_of(HALPE136)
    other = replace(
        people,
        keypoints=people.keypoints[:, index],
        labels=people.labels[:, index],
        skeleton=WHOLEBODY133,
    )
    first, second = (
        measure_feet(estimates(people, answer)),
        measure_feet(estimates(other, answer[:, index])),
    )
    assert first == pytest.approx(second, nan_ok=True)


def test_feet_guessed_from_legs(rng: np.random.Generator) -> None:
    people = people_of([0, 1], rng)
    points = people.keypoints
    guess = feet_from_legs(points, HALPE136)
    for row in range(2):
        for joint in range(136):
            wanted = points[row, joint]
            if 20 <= joint < 26:
                knee, ankle = (13, 15) if joint % 2 == 0 else (14, 16)
                wanted = points[row, ankle] * 1.25 - points[row, knee] * 0.25
            assert guess[row, joint] == pytest.approx(wanted, abs=1e-4)
    found = measure_feet(estimates(people, points))
    of_guess = measure_feet(estimates(people, guess))
    for key in ("feet_oks", "foot_oks", "heel_oks", "feet_oks_95"):
        assert found[f"legs_{key}"] == of_guess[key] == of_guess[f"legs_{key}"]
    assert found["legs_feet_oks"] < found["feet_oks"]


def test_legs_need_both_ends(rng: np.random.Generator) -> None:
    people = people_of([0], rng)
    people.labels[0, HALPE136.index("right_knee")] = 1
    legs = lower_legs(people)
    assert legs[0, 0] > 0
    assert np.isnan(legs[0, 1])


def test_nobody(rng: np.random.Generator) -> None:
    people = people_of([], rng)
    found = measure_feet(estimates(people, people.keypoints))
    assert (found["feet_people"], found["feet"]) == (0, 0)
    assert math.isnan(found["feet_oks"])


def labelled_people(shared: Path) -> People:
    folder = shared / "data" / "coco_person"
    if not folder.is_dir():
        pytest.skip(f"NOT TESTED: no data at {folder}")
    feet = read_feet(LABELLED, "val")
    numbers = {foot.annotation_id for foot in feet}
    return read_set_with_feet(
        folder / "val.json",
        folder / "images",
        feet,
        label=2,
        keep=lambda item: item["id"] in numbers,
    )


def test_two_hundred_feet_are_labelled() -> None:
    feet = read_feet(LABELLED, "val")
    assert len(feet) >= 200
    keys = [(foot.annotation_id, next(iter(foot.points)).split("_")[0]) for foot in feet]
    assert len(set(keys)) == len(feet)


def test_labelled_feet_are_where_feet_are(shared: Path) -> None:
    people = labelled_people(shared)
    assert NOBODY not in people.problems
    measured = measure_feet(estimates(people, people.keypoints))
    assert measured["feet"] == len(read_feet(LABELLED, "val"))
    assert measured["feet_oks"] == 1
    for names, least, most in (("heel", 0.0, 0.8), ("big_toe", 0.1, 1.6)):
        for side in ("left", "right"):
            joint, ankle = HALPE136.index(f"{side}_{names}"), HALPE136.index(f"{side}_ankle")
            rows = people.labels[:, joint] == 2
            gap = np.linalg.norm(people.keypoints[:, joint] - people.keypoints[:, ankle], axis=1)
            share = (gap / lower_legs(people)[:, int(side == "right")])[rows]
            assert least < np.nanmedian(share) < most
            assert np.nanmax(share) < 3  # a leg seen from its end is short
