# SPDX-License-Identifier: Apache-2.0
"""Mixtures and atomic poses: found again where they made the samples."""

from __future__ import annotations

import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136, HAND21
from alphapose_ros.data.atomic_poses import (
    JOINTS,
    BodyPoses,
    assign,
    body_poses,
    cluster,
    distances,
)
from alphapose_ros.data.mixtures import Mixture, fit_mixture

TWO = Mixture(
    np.array([0.3, 0.7]),
    np.array([[-1.0, 0.0], [2.0, 1.0]]),
    np.array([[[0.04, 0.01], [0.01, 0.09]], [[0.2, -0.1], [-0.1, 0.1]]]),
)


def test_a_fit_finds_the_mixture_that_made_the_samples(rng: np.random.Generator) -> None:
    fit = fit_mixture(TWO.sample(4000, rng), 3, rng)
    order = np.argsort(fit.weights)
    assert len(fit.weights) == 2  # the third Gaussian does not pay
    np.testing.assert_allclose(fit.weights[order], TWO.weights, atol=0.03)
    np.testing.assert_allclose(fit.means[order], TWO.means, atol=0.05)
    np.testing.assert_allclose(fit.covariances[order], TWO.covariances, atol=0.02)
    np.testing.assert_allclose(fit.mean, TWO.mean, atol=0.06)


def test_densities_are_those_of_the_formula(rng: np.random.Generator) -> None:
    samples = TWO.sample(50, rng)
    slow = np.zeros(50)
    for weight, mean, covariance in zip(TWO.weights, TWO.means, TWO.covariances, strict=True):
        for row, sample in enumerate(samples):
            away = sample - mean
            power = -away @ np.linalg.solve(covariance, away) / 2
            slow[row] += weight * np.exp(power) / (2 * np.pi * np.linalg.det(covariance) ** 0.5)
    np.testing.assert_allclose(TWO.log_density(samples), np.log(slow), rtol=1e-9)
    at = np.linspace(-6, 8, 4001)
    for dimension in range(2):
        curve = TWO.marginal(dimension, at)
        step = at[1] - at[0]
        assert curve.sum() * step == pytest.approx(1, abs=1e-4)
        mean = (curve * at).sum() * step
        assert mean == pytest.approx(TWO.mean[dimension], abs=1e-3)
        spread = np.sqrt((curve * (at - mean) ** 2).sum() * step)
        assert spread == pytest.approx(TWO.deviation[dimension], abs=1e-3)


def test_few_and_equal_samples_still_make_a_mixture(rng: np.random.Generator) -> None:
    fit = fit_mixture(np.ones((100, 4)), 3, rng)
    np.testing.assert_allclose(fit.mean, 1)
    assert len(fit_mixture(rng.normal(size=(30, 4)), 3, rng).weights) == 1
    assert TWO.sample(0, rng).shape == (0, 2)
    for count in (0, 1):
        with pytest.raises(InputError, match=f"expected at least 2 samples, got {count}"):
            fit_mixture(np.zeros((count, 4)), 1, rng)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [1.0]}, "expected weights"),
        ({"weights": [0.5, 0.6]}, "positive weights of sum 1"),
        ({"weights": [1.5, -0.5]}, "positive weights of sum 1"),
        ({"means": [[float("nan"), 0], [0, 0]]}, "finite numbers"),
        ({"covariances": [[[1, 0], [0, 1]]]}, "expected covariances"),
        ({"covariances": [[[1, 2], [2, 1]]] * 2}, "positive definite"),
        ({"means": None}, "expected weights"),
        ({"means": "x"}, "expected weights, means and covariances"),
    ],
)
def test_a_damaged_mixture_is_refused(change: dict, message: str) -> None:
    assert Mixture.from_json(TWO.to_json()).to_json() == TWO.to_json()
    with pytest.raises(InputError, match=message):
        Mixture.from_json(TWO.to_json() | change)


def poses_of(points: np.ndarray, known: np.ndarray | None = None) -> BodyPoses:
    everything = np.ones(points.shape[:2], bool) if known is None else known
    return BodyPoses(np.where(everything[..., None], points, 0), everything)


def test_atomic_poses_are_found_whichever_side_people_face(rng: np.random.Generator) -> None:
    types = rng.uniform(-0.5, 0.5, (3, len(JOINTS), 2))
    kind = rng.permutation(np.repeat([0, 1, 2], [150, 100, 50]))
    poses = poses_of(types[kind] + rng.normal(0, 0.02, (300, len(JOINTS), 2)))
    mirror = poses.mirrored()
    turned = rng.random(300) < 0.5
    known = rng.random((300, len(JOINTS))) < 0.7
    mixed = poses_of(np.where(turned[:, None, None], mirror.points, poses.points), known)
    mixed = BodyPoses(mixed.points, known)
    centers = cluster(mixed, 3, rng)
    nearest, flipped = assign(mixed, centers)
    sure = mixed.usable
    assert sure.sum() > 250
    assert (nearest == kind)[sure].mean() > 0.98  # the most frequent come first, in this order
    for row in range(3):
        mine = sure & (nearest == row)
        # A type is found as it is or mirrored, and then all of its members are turned to it.
        assert (flipped == turned)[mine].mean() > 0.98 or (flipped != turned)[mine].mean() > 0.98
        either = min(
            np.abs(centers[row] - types[row]).max(),
            np.abs(poses_of(centers[row][None]).mirrored().points[0] - types[row]).max(),
        )
        assert either < 0.03


def test_distances_are_means_over_known_joints(rng: np.random.Generator) -> None:
    poses = poses_of(rng.normal(size=(5, 13, 2)), rng.random((5, 13)) < 0.5)
    centers = rng.normal(size=(2, 13, 2))
    found = distances(poses, centers)
    for row in range(5):
        for column in range(2):
            terms = [
                ((poses.points[row, j] - centers[column, j]) ** 2).sum()
                for j in range(13)
                if poses.known[row, j]
            ]
            assert found[row, column] == pytest.approx(np.mean(terms))
    nobody = poses_of(np.zeros((0, 13, 2)))
    assert distances(nobody, centers).shape == (0, 2)
    assert assign(nobody, centers)[0].shape == (0,)
    with pytest.raises(InputError, match="expected at least 1 poses, got 0"):
        cluster(nobody, 1, rng)


def test_the_mirror_of_a_mirror_is_the_person(rng: np.random.Generator) -> None:
    poses = poses_of(rng.normal(size=(4, 13, 2)), rng.random((4, 13)) < 0.6)
    twice = poses.mirrored().mirrored()
    np.testing.assert_array_equal(twice.points, poses.points)
    np.testing.assert_array_equal(twice.known, poses.known)
    once, left = poses.mirrored(), JOINTS.index("left_knee")
    np.testing.assert_allclose(once.points[:, left + 1], poses.points[:, left] * (-1, 1))
    assert JOINTS[left + 1] == "right_knee"
    assert set(JOINTS) <= set(COCO17.keypoint_names)


def test_poses_are_relative_to_the_box_and_keep_their_shape() -> None:
    points, labels = np.zeros((1, 136, 2)), np.zeros((1, 136), np.uint8)
    points[0, HALPE136.index("left_wrist")] = 30, 90
    labels[0, HALPE136.index("left_wrist")] = 1
    pose = body_poses(np.array([[10, 20, 50, 100]]), points, labels, HALPE136)
    row = JOINTS.index("left_wrist")
    np.testing.assert_allclose(pose.points[0, row], [0, 30 / 80])
    assert pose.known.sum() == 1
    assert not pose.usable[0]
    hand = body_poses(np.zeros((1, 4)), np.zeros((1, 21, 2)), np.ones((1, 21), np.uint8), HAND21)
    assert not hand.known.any()
