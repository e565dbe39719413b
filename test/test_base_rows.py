# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import poses

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Poses, Tracks
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.skeletons import COCO17, HALPE26


@dataclass(frozen=True)
class Pair(Rows):
    points: NDArray[np.float32] = array("N", "K", 2, dtype=np.float32)
    scores: NDArray[np.float32] = array("N", "K", dtype=np.float32)
    sigmas: NDArray[np.float32] = array("K", dtype=np.float32)
    name: str = "pair"


def make(n: int, k: int = 3) -> Pair:
    points = np.arange(n * k * 2).reshape(n, k, 2)
    return Pair(points, points[..., 0], np.ones(k))


def tracks(n: int) -> Tracks:
    rows = np.arange(n)
    boxes, joints = np.zeros((n, 4)), np.zeros((n, 17, 2))
    people = Poses(joints, joints[..., 0], boxes, rows, rows, COCO17)
    return Tracks(rows, rows, people, rows, joints[:, 0], rows, rows, rows)


def test_fields_are_cast_to_their_type() -> None:
    assert make(2).points.dtype == np.float32
    assert make(2).scores.dtype == np.float32


@pytest.mark.parametrize(
    ("points", "scores", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3)), r"Pair\.points: .* \(N, K, 2\), got \(2, 3\)"),
        (np.zeros((2, 3, 3)), np.zeros((2, 3)), r"expected shape \(N, K, 2\), got \(2, 3, 3\)"),
        (np.zeros((2, 3, 2)), np.zeros((1, 3)), r"Pair\.scores: expected N = 2 .*, got 1"),
        (np.zeros((2, 3, 2)), np.zeros((2, 4)), r"Pair\.scores: expected K = 3 .*, got 4"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_named_with_the_expected_one(points, scores, message) -> None:
    with pytest.raises(InputError, match=message):
        Pair(points, scores, np.ones(3))


def test_an_axis_without_rows_is_checked_too() -> None:
    with pytest.raises(InputError, match=r"Pair\.sigmas: expected K = 3 .*, got 5"):
        Pair(np.zeros((2, 3, 2)), np.zeros((2, 3)), np.ones(5))


def test_rows_inside_rows_have_as_many() -> None:
    whole = tracks(3)
    with pytest.raises(InputError, match=r"Tracks\.poses: expected N = 3 .*, got 2"):
        Tracks(
            whole.ids, whole.track_ids, whole.poses[:2], whole.states, whole.velocities,
            whole.ages_s, whole.since_seen_s, whole.identity_confidence,
        )  # fmt: skip


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        make(1).name = "other"


@given(poses(COCO17), st.data())
def test_rows_are_sliced_together(people: Poses, data: st.DataObject) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(people), max_size=len(people))))
    chosen = people[mask.astype(bool)]
    rows = np.flatnonzero(mask)
    assert len(chosen) == len(rows)
    assert chosen.skeleton is COCO17
    np.testing.assert_array_equal(chosen.source, rows)
    for name in ("keypoints", "scores", "boxes", "box_scores"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(people, name)[rows])
        np.testing.assert_array_equal(getattr(people[rows], name), getattr(chosen, name))


def test_one_row_is_a_record_again() -> None:
    assert make(3)[1].points.shape == (1, 3, 2)
    assert make(3)[-1].points[0, 0, 0] == 12
    assert make(3)[[2, 0]].points[:, 0, 0].tolist() == [12, 0]
    assert len(make(3)[1:]) == 2


def test_what_has_no_rows_stays_whole() -> None:
    assert make(3)[:1].sigmas.tolist() == [1, 1, 1]
    assert make(3)[:1].name == "pair"


def test_slicing_reaches_the_records_inside() -> None:
    chosen = tracks(4)[[3, 1]]
    assert chosen.ids.tolist() == [3, 1]
    assert chosen.poses.source.tolist() == [3, 1]


@given(poses(HALPE26), st.integers(0, 8))
def test_concatenation_undoes_a_cut(people: Poses, cut: int) -> None:
    whole = Poses.concatenate([people[:cut], people[cut:]])
    np.testing.assert_array_equal(whole.keypoints, people.keypoints)
    np.testing.assert_array_equal(whole.source, people.source)


def test_concatenation_reaches_the_records_inside() -> None:
    both = Tracks.concatenate([tracks(2), Tracks.empty(COCO17), tracks(1)])
    assert both.poses.source.tolist() == [0, 1, 0]


def test_nothing_cannot_be_concatenated() -> None:
    with pytest.raises(InputError, match=r"Poses\.concatenate: expected at least one part"):
        Poses.concatenate([])


@pytest.mark.parametrize("index", [[], slice(0, 0), np.zeros(3, bool), np.zeros(0, int)])
def test_choosing_nobody_leaves_an_empty_record(index) -> None:
    none = make(3)[index]
    assert len(none) == 0
    assert none.points.shape == (0, 3, 2)


def test_empty_lists_stand_for_nobody() -> None:
    none = Pair([], [], [])
    assert none.points.shape == (0, 0, 2)
    assert none.scores.shape == (0, 0)
