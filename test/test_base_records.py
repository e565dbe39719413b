# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from alphapose_ros.base.errors import AlphaPoseError, InputError
from alphapose_ros.base.records import (
    Appearance,
    Detections,
    Frame,
    FrameResult,
    Header,
    Poses,
    Tracks,
    TrackState,
)
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136

IMAGE = np.zeros((48, 64, 3), np.uint8)


def pose(scores: np.ndarray, skeleton=COCO17, box_score: float = 1.0) -> Poses:
    joints = np.zeros((1, len(skeleton), 2))
    return Poses(joints, scores[None], np.zeros((1, 4)), [box_score], [0], skeleton)


def test_a_frame_knows_its_size_as_height_and_width() -> None:
    assert Frame(IMAGE, stamp_ns=0).size_hw == (48, 64)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((48, 64), np.uint8), r"\(H, W, 3\), got uint8 of shape \(48, 64\)"),
        (np.zeros((48, 64, 4), np.uint8), r"\(H, W, 3\), got uint8 of shape \(48, 64, 4\)"),
        (np.zeros((0, 64, 3), np.uint8), r"\(H, W, 3\), got uint8 of shape \(0, 64, 3\)"),
        (np.zeros((48, 64, 3), np.float32), "uint8 RGB, got float32"),
        ([[1]], "uint8 RGB, got list"),
        (None, "uint8 RGB, got NoneType"),
    ],
)
def test_an_image_of_another_kind_is_refused(image, got) -> None:
    with pytest.raises(InputError, match=got):
        Frame(image, stamp_ns=0)


def test_depth_has_the_images_size() -> None:
    with pytest.raises(InputError, match=r"expected the image's \(48, 64\), got \(24, 32\)"):
        Frame(IMAGE, stamp_ns=0, depth=np.zeros((24, 32), np.float32))


def test_detections_need_four_corners() -> None:
    with pytest.raises(InputError, match=r"Detections\.boxes: .*\(N, 4\), got \(2, 5\)"):
        Detections(np.zeros((2, 5)), np.zeros(2))
    with pytest.raises(InputError, match=r"Detections\.scores: expected N = 2 .*, got 3"):
        Detections(np.zeros((2, 4)), np.zeros(3))


def test_poses_have_the_joints_of_their_skeleton() -> None:
    with pytest.raises(InputError, match=r"expected 26 joints of 'halpe26', got 17"):
        Poses(np.zeros((1, 17, 2)), np.zeros((1, 17)), np.zeros((1, 4)), [1], [0], HALPE26)


@pytest.mark.parametrize(
    "nobody", [Detections.empty(), Poses.empty(HALPE136), Tracks.empty(COCO17)]
)
def test_nobody_has_no_rows_and_every_axis(nobody) -> None:
    assert len(nobody) == 0
    assert len(type(nobody).concatenate([nobody, nobody])) == 0
    assert len(nobody[:]) == 0


def test_nobody_has_no_score() -> None:
    assert Poses.empty(COCO17).person_scores.shape == (0,)


def test_a_person_scores_as_the_weighted_mean_of_its_seen_body_joints() -> None:
    scores = np.zeros(136, np.float32)
    scores[:4] = [0.5, 0.7, 0.9, 0.3]
    scores[20:] = 1.0  # feet, face and hands do not count
    expected = 0.5 * (0.25 + 0.49 + 0.81 + 0.09) / 2.4
    assert pose(scores, HALPE136, box_score=0.5).person_scores == pytest.approx([expected])


def test_joints_out_of_the_picture_do_not_lower_a_persons_score() -> None:
    seen = np.full(17, 0.8, np.float32)
    half = seen.copy()
    half[11:] = 0.01  # a person cut off at the hips
    assert pose(half).person_scores == pytest.approx(pose(seen).person_scores, abs=0.01)


def test_a_person_without_any_taught_joint_scores_nothing() -> None:
    assert pose(np.zeros(17)).person_scores.tolist() == [0]


def test_appearance_may_have_any_length() -> None:
    assert len(Appearance(np.zeros((2, 128)), np.ones(2))) == 2


def test_states_are_those_of_the_message() -> None:
    assert [state.name for state in TrackState] == ["UNKNOWN", "TENTATIVE", "TRACKED", "LOST"]
    assert [int(state) for state in TrackState] == [0, 1, 2, 3]


def test_results_share_no_timings() -> None:
    header = Header("front", "optical", 1, (48, 64))
    first, second = (FrameResult(header, Tracks.empty(COCO17)) for _ in range(2))
    assert first.timings_ms is not second.timings_ms


def test_input_errors_are_value_errors_and_the_packages_own() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, AlphaPoseError)
