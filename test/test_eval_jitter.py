# SPDX-License-Identifier: Apache-2.0
"""Jitter: nothing for smooth motion, the noise that was put in, and the same number every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alphapose_ros.base.records import Frame, FrameResult, Header, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.eval.jitter import TrackRecord, joint_limits, measure_jitter, record_tracks

HEIGHT = 200.0


def smooth_track(frames: int, noise: float = 0.0, bend: float = 0.0) -> TrackRecord:
    rng = np.random.default_rng(0)
    t = np.arange(frames)[:, None, None]
    start, speed = rng.uniform(0, 300, (2, 136, 2))
    keypoints = start + 0.05 * speed * t + 0.5 * bend * t**2 * np.array([1.0, 0])
    keypoints = keypoints + noise * rng.normal(size=keypoints.shape)
    return TrackRecord(
        np.arange(frames), keypoints, np.ones((frames, 136)), np.full(frames, HEIGHT)
    )


def test_smooth_motion_has_no_jitter() -> None:
    measures = measure_jitter([smooth_track(30)], HALPE136)
    for part in HALPE136.parts:
        assert measures[f"{part}_acceleration_percent"] == pytest.approx(0, abs=1e-9)
        assert measures[f"{part}_noise_percent"] == pytest.approx(0, abs=1e-9)
    assert measures["face_samples"] == 26 * 68
    assert (measures["tracks"], measures["tracked_frames"]) == (1, 30)


def test_even_acceleration_is_real_motion() -> None:
    measures = measure_jitter([smooth_track(20, bend=3.0)], HALPE136)
    assert measures["body_acceleration_percent"] == pytest.approx(100 * 3 / HEIGHT)
    assert measures["body_noise_percent"] == pytest.approx(0, abs=1e-9)


def test_the_noise_that_was_put_in_comes_out() -> None:
    measures = measure_jitter([smooth_track(300, noise=2.0, bend=0.1)], HALPE136)
    for part in HALPE136.parts:
        for name in ("noise", "noise_median"):
            assert measures[f"{part}_{name}_percent"] == pytest.approx(100 * 2 / HEIGHT, rel=0.05)
        # The second difference of noise has 1 + 4 + 1 times its variance.
        mean = np.sqrt(6) * 2 * np.sqrt(np.pi / 2)
        expected = pytest.approx(100 * mean / HEIGHT, rel=0.05)
        assert measures[f"{part}_acceleration_percent"] == expected


def test_single_jumps_move_the_mean_square_and_not_the_median() -> None:
    track = smooth_track(100, noise=1.0)
    keypoints = track.keypoints.copy()
    keypoints[50] += 400
    jumped = TrackRecord(track.frames, keypoints, track.scores, track.heights)
    before, after = measure_jitter([track], HALPE136), measure_jitter([jumped], HALPE136)
    assert after["body_noise_percent"] > 10 * before["body_noise_percent"]
    assert after["body_noise_median_percent"] < 1.2 * before["body_noise_median_percent"]


def test_gaps_and_unseen_joints_are_left_out() -> None:
    track = smooth_track(20)
    keypoints, scores = track.keypoints.copy(), track.scores.copy()
    keypoints[10] += 400  # a jump over a gap is no jitter, and neither is a joint nobody saw
    keypoints[5, 0] += 400
    scores[5, 0] = 0.2
    frames = np.concatenate([np.arange(10), [30], np.arange(50, 59)])
    holed = TrackRecord(frames, keypoints, scores, track.heights)
    measures = measure_jitter([holed], HALPE136)
    assert measures["body_noise_percent"] == pytest.approx(0, abs=1e-9)
    # 6 + 5 windows of 20 joints; the nose is missing in the five around frame 5.
    assert measures["body_samples"] == 11 * 20 - 5
    assert measures["face_samples"] == 11 * 68


def test_no_tracks_or_short_ones_are_no_number() -> None:
    for tracks in ([], [smooth_track(4)], [smooth_track(1)]):
        measures = measure_jitter(tracks, HALPE136)
        assert measures["body_samples"] == 0
        assert np.isnan(measures["body_noise_percent"])
    assert measure_jitter([smooth_track(4)], HALPE136)["tracked_frames"] == 4


def test_face_and_hands_are_seen_at_lower_scores() -> None:
    limits = joint_limits(HALPE136)
    assert set(limits[:26]) == {0.3}
    assert set(limits[26:]) == {0.15}
    assert set(joint_limits(COCO17)) == {0.3}


def pipeline_of(states: list[list[tuple[int, TrackState]]]) -> Callable[[Frame], FrameResult]:
    """A pipeline that answers the given tracks, one list per frame; joints at the stamp."""

    def run(frame: Frame) -> FrameResult:
        rows = states[frame.stamp_ns]
        n = len(rows)
        poses = Poses(
            np.full((n, 17, 2), frame.stamp_ns, np.float32), np.ones((n, 17), np.float32),
            np.tile(np.array([0, 0, 10, 40], np.float32), (n, 1)), np.ones(n, np.float32),
            np.arange(n), COCO17,
        )  # fmt: skip
        numbers = np.array([track for track, _ in rows], np.int64)
        zeros = np.zeros(n, np.float32)
        tracks = Tracks(
            numbers, numbers, poses, np.array([s for _, s in rows], np.uint8),
            np.zeros((n, 2), np.float32), zeros, zeros, zeros,
        )  # fmt: skip
        return FrameResult(Header("camera", "", frame.stamp_ns, (48, 64)), tracks)

    return run


def test_tracks_are_collected_from_the_frames_in_which_they_were_seen() -> None:
    seen, lost = TrackState.TRACKED, TrackState.LOST
    states = [[(2, seen)], [(2, lost), (1, seen)], [], [(1, seen), (2, seen)]]
    image = np.zeros((48, 64, 3), np.uint8)
    tracks, count = record_tracks(pipeline_of(states), (Frame(image, i) for i in range(4)))
    assert count == 4
    assert [track.frames.tolist() for track in tracks] == [[1, 3], [0, 3]]
    assert tracks[1].keypoints[:, 0, 0].tolist() == [0, 3]
    assert tracks[0].heights.tolist() == [40, 40]


def test_a_recording_without_frames() -> None:
    assert record_tracks(pipeline_of([]), []) == ([], 0)


@pytest.mark.usefixtures("one_thread")
def test_a_real_clip_gives_the_same_numbers_every_time(shared: Path, root: Path) -> None:
    clip = shared / "data" / "clips" / "asl" / "walk.mkv"
    if not clip.is_file() or not (root / "alphapose_ros/bundled/pose_nano.safetensors").is_file():
        pytest.skip(f"NO DATA: {clip} or the bundled weights are absent")
    from alphapose_ros.io.sources import open_source
    from alphapose_ros.pipeline import PosePipeline

    with open_source(str(clip)) as source:
        frames = [frame for _, frame in zip(range(13), source, strict=False)]
    results = []
    for _ in range(2):
        pipeline = PosePipeline.from_preset("nano", device="cpu")
        results.append(measure_jitter(record_tracks(pipeline, frames)[0], pipeline.skeleton))
    assert results[0]["body_samples"] > 20
    assert 0 < results[0]["body_noise_median_percent"] < 5
    assert repr(results[0]) == repr(results[1])
