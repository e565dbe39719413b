# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.transform import RigidTransform

numbers = st.floats(-10, 10)
quaternions = st.tuples(numbers, numbers, numbers, numbers).filter(
    lambda q: np.linalg.norm(q) > 0.01
)
vectors = st.tuples(numbers, numbers, numbers)


@given(quaternions, vectors, vectors)
def test_it_equals_scipys_rotation(xyzw, translation, point) -> None:
    transform = RigidTransform.from_quaternion(xyzw, translation)
    rotation = Rotation.from_quat(xyzw)
    np.testing.assert_allclose(transform.rotation, rotation.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(
        transform.points(point), rotation.apply(point) + translation, atol=1e-8
    )


@given(quaternions, vectors, quaternions, vectors, vectors)
def test_inverse_and_chain(q1, t1, q2, t2, point) -> None:
    first, second = (RigidTransform.from_quaternion(*pair) for pair in ((q1, t1), (q2, t2)))
    np.testing.assert_allclose(first.inverse().points(first.points(point)), point, atol=1e-8)
    np.testing.assert_allclose(
        second.after(first).points(point), second.points(first.points(point)), atol=1e-8
    )


def test_covariances_are_those_of_moved_samples(rng: np.random.Generator) -> None:
    transform = RigidTransform.from_quaternion([0.3, -0.2, 0.5, 0.7], [1, 2, 3])
    samples = rng.normal(size=(500, 3)) * [1.0, 2.0, 0.1]
    expected = np.cov(transform.points(samples).T)
    np.testing.assert_allclose(transform.covariances(np.cov(samples.T)), expected, atol=1e-9)


def test_nobody_and_nan() -> None:
    transform = RigidTransform.from_quaternion([0, 0, 1, 1], [1, 0, 0])
    assert transform.points(np.zeros((0, 5, 3))).shape == (0, 5, 3)
    assert np.isnan(transform.points([[np.nan] * 3])).all()


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1]])
def test_what_is_no_rotation_is_refused(bad) -> None:
    with pytest.raises(InputError, match="unit quaternion"):
        RigidTransform.from_quaternion(bad, [0, 0, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_transform_to_nowhere_is_refused(bad):
    with pytest.raises(InputError, match="finite m"):
        RigidTransform.from_quaternion([0, 0, 0, 1], [0, bad, 0])
