# SPDX-License-Identifier: Apache-2.0
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.keypoints import oks
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.tracking.assignment import assign
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.costs import (
    appearance_similarity,
    distance_similarity,
    fuse,
    pose_similarity,
    size_ratios,
)
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.kalman import BoxMotion, KalmanFilter
from alphapose_ros.tracking.smoothing import OneEuroFilter

CONFIG = TrackerConfig()


class TextbookKalman:
    """Eight states and full matrices; the process noise by Van Loan's matrix exponential."""

    def __init__(self, box, config):
        sides = box[2:] - box[:2]
        self.size = np.sqrt(sides.prod())
        self.mean = np.concatenate([(box[:2] + box[2:]) / 2, sides, np.zeros(4)])
        self.noise = np.array([config.position_noise] * 2 + [config.extent_noise] * 2)
        self.spread = np.array([config.speed_std] * 2 + [config.growth_std] * 2)
        self.memory = config.speed_memory_s
        self.covariance = np.diag(np.concatenate([self.noise, self.spread]) * self.size) ** 2

    def predict(self, dt):
        a = np.zeros((8, 8))
        a[:4, 4:] = np.eye(4)
        a[4:, 4:] = -np.eye(4) / self.memory
        power = np.zeros((8, 8))
        power[4:, 4:] = np.diag(2 / self.memory * (self.spread * self.size) ** 2)
        block = expm(np.block([[-a, power], [np.zeros((8, 8)), a.T]]) * dt)
        transition = block[8:, 8:].T
        self.mean = transition @ self.mean
        self.covariance = transition @ self.covariance @ transition.T + transition @ block[:8, 8:]

    def correct(self, box):
        h = np.eye(4, 8)
        r = np.diag(self.noise * self.size) ** 2
        measured = np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])
        gain = self.covariance @ h.T @ np.linalg.inv(h @ self.covariance @ h.T + r)
        self.mean = self.mean + gain @ (measured - h @ self.mean)
        self.covariance = (np.eye(8) - gain @ h) @ self.covariance
        self.size = np.sqrt((box[2:] - box[:2]).prod())


def random_boxes(rng, count):
    corner = rng.uniform(0, 500, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(20, 200, (count, 2))], 1).astype("f4")


@pytest.mark.parametrize("seed", range(5))
def test_kalman_equals_the_textbook(seed):
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, 3)
    kalman = KalmanFilter(CONFIG)
    motion, twins = kalman.begin(boxes), [TextbookKalman(b.astype(float), CONFIG) for b in boxes]
    for _ in range(12):
        dt = rng.uniform(0.01, 1.0)
        boxes = boxes + rng.uniform(-5, 5, boxes.shape).astype("f4")
        motion = kalman.correct(kalman.predict(motion, dt), boxes)
        for i, twin in enumerate(twins):
            twin.predict(dt)
            twin.correct(boxes[i].astype(float))
            np.testing.assert_allclose(motion.position[i], twin.mean[:4], rtol=1e-6)
            np.testing.assert_allclose(motion.velocity[i], twin.mean[4:], rtol=1e-5, atol=1e-5)
            covariance = motion.covariance[i]
            np.testing.assert_allclose(covariance[:, 0], np.diag(twin.covariance)[:4], rtol=1e-5)
            np.testing.assert_allclose(
                covariance[:, 1], np.diag(twin.covariance[:4, 4:]), rtol=1e-5
            )
            np.testing.assert_allclose(covariance[:, 2], np.diag(twin.covariance)[4:], rtol=1e-5)


@given(st.floats(0.001, 3), st.floats(0.001, 3))
def test_predicting_over_a_gap_is_predicting_through_its_parts(first, second):
    kalman = KalmanFilter(CONFIG)
    start = kalman.begin(random_boxes(np.random.default_rng(0), 2))
    start = kalman.correct(kalman.predict(start, 0.2), start.boxes + 7)
    once = kalman.predict(start, first + second)
    twice = kalman.predict(kalman.predict(start, first), second)
    np.testing.assert_allclose(once.position, twice.position, rtol=1e-9)
    np.testing.assert_allclose(once.velocity, twice.velocity, rtol=1e-9)
    np.testing.assert_allclose(once.covariance, twice.covariance, rtol=1e-7, atol=1e-9)


def test_kalman_finds_the_velocity_and_grows_unsure_when_blind():
    kalman = KalmanFilter(CONFIG)
    box = np.array([[100, 100, 150, 250]], np.float32)
    motion = kalman.begin(box)
    for _ in range(60):
        box = box + np.array([3, 0, 3, 0], np.float32)
        motion = kalman.correct(kalman.predict(motion, 1 / 30), box)
    assert motion.velocity[0, 0] == pytest.approx(90, rel=0.1)
    spread = [kalman.predict(motion, dt).covariance[0, 0, 0] for dt in (0, 0.1, 0.5, 1, 3)]
    assert (np.diff(spread) > 0).all()
    box_after = kalman.predict(motion, 30).boxes[0]  # forgets the velocity instead of flying off
    assert box_after[0] - motion.boxes[0, 0] < 1.1 * 90 * CONFIG.speed_memory_s


def test_kalman_of_nobody_and_of_a_box_without_area():
    kalman = KalmanFilter(CONFIG)
    nobody = kalman.predict(kalman.begin(np.zeros((0, 4), np.float32)), 1.0)
    assert kalman.correct(nobody, nobody.boxes).boxes.shape == (0, 4)
    assert kalman.center_distance(BoxMotion.empty(), np.zeros((3, 4), "f4")).shape == (0, 3)
    point = kalman.predict(kalman.begin(np.full((1, 4), 5, np.float32)), 0.5)
    assert np.isfinite(kalman.correct(point, point.boxes).covariance).all()


@settings(max_examples=60)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 10_000))
def test_assignment_equals_brute_force(people, rows, seed):
    rng = np.random.default_rng(seed)
    similarity = rng.random((people, rows))
    similarity[rng.random((people, rows)) < 0.3] = -np.inf
    before = similarity.copy()
    least = 0.3
    got = assign(similarity, least)
    np.testing.assert_array_equal(similarity, before)
    assert (similarity[got] >= least).all()
    assert len(set(got[0])) == len(got[0])
    assert len(set(got[1])) == len(got[1])
    best = 0.0
    for size in range(min(people, rows) + 1):
        for chosen in itertools.combinations(range(people), size):
            for columns in itertools.permutations(range(rows), size):
                gains = similarity[list(chosen), list(columns)] - least
                best = max(best, gains.sum() if (gains >= 0).all() else -np.inf)
    assert (similarity[got] - least).sum() == pytest.approx(best)


def test_pose_similarity_ignores_joints_of_score_zero():
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 200, (2, 17, 2)).astype("f4")
    scores = np.full((2, 17), 0.9, "f4")
    scores[0, 3], scores[1, 7] = 0.0, 0.05
    sigmas, areas = COCO17.sigmas, np.array([5000.0, 9000.0])
    want, shared = pose_similarity((keypoints, scores), (keypoints, scores), areas, sigmas, 0.1)
    moved = keypoints.copy()
    moved[0, 3] += 1000
    moved[1, 7] -= 1000
    got, _ = pose_similarity((moved, scores), (keypoints, scores), areas, sigmas, 0.1)
    np.testing.assert_array_equal(got, want)
    assert np.diag(got).tolist() == [1, 1]
    assert shared.all()
    common = np.ones(17, "f4")
    common[[3, 7]] = 0
    slow = oks(keypoints[0], keypoints[1], np.float32(5000), sigmas, common)
    assert got[0, 1] == pytest.approx(slow, abs=1e-6)
    nothing, shared = pose_similarity(
        (keypoints, scores * 0), (keypoints, scores), areas, sigmas, 0.0
    )
    assert not nothing.any()
    assert not shared.any()


def test_cues_are_fused_by_weight():
    box, pose = np.array([[0.8, 0.2]]), np.array([[0.4, 0.9]])
    known = np.array([[True, False]])
    np.testing.assert_allclose(fuse([(box, 1.0), (pose, 3.0 * known)]), [[0.5, 0.2]])
    assert fuse([(box, 0.0)]).tolist() == [[0, 0]]
    assert fuse([(np.zeros((0, 3)), 1.0)]).shape == (0, 3)
    np.testing.assert_allclose(distance_similarity(np.array([0, 2, 4, 9.0]), 4), [1, 0.75, 0, 0])
    unit = np.eye(2, dtype="f4")
    np.testing.assert_allclose(appearance_similarity(unit, -unit), np.zeros((2, 2)))
    boxes = np.array([[0, 0, 10, 10], [0, 0, 20, 20]], "f4")
    np.testing.assert_allclose(size_ratios(boxes, boxes), [[1, 2], [2, 1]])


def test_identities_are_unique_between_threads():
    source, seen = IdentitySource(), []

    def work():
        seen.append([source.new_identity() for _ in range(500)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(i for part in seen for i in part) == list(range(1, 4001))
    assert source.new_track() == 1


@pytest.mark.parametrize("fps", [5, 30, 60])
def test_smoothing_lags_as_documented_at_any_rate(fps):
    smooth = OneEuroFilter(1.5, 2.0)
    points, scores, speed = np.zeros((3, 2), "f4"), np.ones(3, "f4"), 100.0
    for i in range(20 * fps):
        points = np.full((3, 2), [speed * i / fps, 0], "f4")
        out = smooth(points, scores, 100.0, i * 1_000_000_000 // fps)
    lag_s = (points[:, 0] - out[:, 0]) / speed
    np.testing.assert_allclose(lag_s, 1 / (2 * np.pi * (1.5 + 2.0)), rtol=0.02)


def test_smoothing_calms_noise_and_leaves_unknown_joints_alone():
    rng = np.random.default_rng(0)
    smooth, outs = OneEuroFilter(1.5, 2.0), []
    scores = np.array([1, 0], "f4")
    for i in range(200):
        points = np.array([[50, 50], [20, 20]], "f4") + rng.normal(0, 2, (2, 2)).astype("f4")
        before = points.copy()
        outs.append(smooth(points, scores, 200.0, i * 33_000_000))
        np.testing.assert_array_equal(points, before)
        np.testing.assert_array_equal(outs[-1][1], points[1])
    assert np.std(outs[50:], axis=0)[0].max() < 1.2
    back = smooth(np.full((2, 2), 300, "f4"), np.ones(2, "f4"), 200.0, 200 * 33_000_000)
    np.testing.assert_array_equal(back[1], [300, 300])  # a joint that is back starts anew


@pytest.mark.parametrize(
    "change",
    [{"high_score": 1.5}, {"max_lost_s": -1.0}, {"gate": 0.0}, {"confirm_hits": 0},
     {"low_score": 0.9}, {"start_score": 0.2}, {"size_ratio": 1.0},
     {"box_weight": 0.0, "pose_weight": 0.0}],
)  # fmt: skip
def test_impossible_parameters_are_refused(change):
    with pytest.raises(ConfigError, match=f"tracker.{next(iter(change))}: expected"):
        TrackerConfig(**change)
