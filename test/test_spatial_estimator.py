# SPDX-License-Identifier: Apache-2.0
"""The whole: what is known of nothing, of nobody, and in other frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import poses, skeletons
from test_spatial_scenes import CAMERA, SECOND, Scene, camera_at, make_person, make_tracks, see

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Tracks, TrackState
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator

OWN = RigidTransform()
PEOPLE = (make_person((2.0, 0.4), np.pi), make_person((2.6, -0.5), 2.6, left="side"))
VIEW = camera_at()


@pytest.fixture(scope="module")
def depth():
    return Scene(PEOPLE, 3.5).image(VIEW, rng=np.random.default_rng(0))[0]


def update(tracks, depth, estimator=None, stamp=0, intrinsics=CAMERA, **options):
    options = {"frame": "camera", "to_frame": OWN, "to_fixed": OWN, **options}
    estimator = estimator or SpatialEstimator(SpatialConfig())
    return estimator.update(tracks, stamp, intrinsics, depth, **options)


def all_unknown(spatial):
    values = (spatial.keypoints, spatial.positions, spatial.position_covariances,
              spatial.velocities, spatial.velocity_covariances, spatial.headings)  # fmt: skip
    return all(np.isnan(value).all() for value in values)


def test_everything_is_known_of_people_in_sight(depth) -> None:
    estimator, tracks = SpatialEstimator(SpatialConfig()), see(PEOPLE, VIEW)
    update(tracks, depth, estimator)
    spatial = update(tracks, depth, estimator, SECOND // 10)
    assert spatial.has_depth
    assert spatial.frame == "camera"
    assert spatial.keypoints.shape == (2, 136, 3)
    for person, position in zip(PEOPLE, spatial.positions, strict=True):
        centre = VIEW.inverse().points(person.centre)
        np.testing.assert_allclose(position, centre, atol=0.15)
        assert position[2] < centre[2]  # on the surface
    np.testing.assert_allclose(spatial.velocities, 0, atol=0.1)
    assert (np.linalg.eigvalsh(spatial.position_covariances) > 0).all()
    assert (np.linalg.eigvalsh(spatial.velocity_covariances) > 0).all()
    assert np.isfinite(spatial.headings).all()


def test_a_result_in_another_frame_is_the_result_moved(depth) -> None:
    """Also the covariances and velocities, and wherever the fixed frame lies."""
    there = RigidTransform.from_quaternion([0.3, -0.5, 0.2, 0.6], [1, -2, 3])
    fixed = RigidTransform.from_quaternion([0.1, 0.2, 0.3, 0.9], [5, 6, 7])
    results = []
    for to_frame, to_fixed in ((OWN, OWN), (there, OWN), (there, fixed)):
        estimator = SpatialEstimator(SpatialConfig())
        for i in range(4):
            people = [p.moved((0, 0.03 * i, 0)) for p in PEOPLE]
            spatial = update(see(people, VIEW), depth, estimator, i * SECOND // 10,
                             to_frame=to_frame, to_fixed=to_fixed)  # fmt: skip
        results.append(spatial)
    own, *others = results
    np.testing.assert_array_equal(own.viewpoint, 0)
    for moved in others:
        np.testing.assert_array_equal(moved.viewpoint, there.translation)
        np.testing.assert_allclose(moved.keypoints, there.points(own.keypoints), atol=1e-5)
        np.testing.assert_allclose(moved.positions, there.points(own.positions), atol=1e-5)
        np.testing.assert_allclose(
            moved.position_covariances, there.covariances(own.position_covariances), atol=1e-7
        )
        np.testing.assert_allclose(moved.velocities, there.vectors(own.velocities), atol=1e-4)
        np.testing.assert_allclose(
            moved.velocity_covariances, there.covariances(own.velocity_covariances), atol=1e-4
        )


@pytest.mark.parametrize("skeleton", [COCO17, HALPE136], ids=lambda s: s.name)
@pytest.mark.parametrize("height", [0.0, 1.7])
def test_nobody(skeleton, height, depth) -> None:
    estimator = SpatialEstimator(SpatialConfig(body_height=height))
    for image in (depth, None):
        spatial = update(Tracks.empty(skeleton), image, estimator)
        assert spatial.keypoints.shape == (0, len(skeleton), 3)
        assert len(spatial) == 0
        assert spatial.has_depth == (image is not None)


def test_lost_people_are_nowhere(depth) -> None:
    tracks = see(PEOPLE, VIEW)
    states = np.array([TrackState.LOST, TrackState.TENTATIVE], np.uint8)
    lost = make_tracks(tracks.poses.keypoints, states=states)
    estimator = SpatialEstimator(SpatialConfig())
    update(tracks, depth, estimator)
    spatial = update(lost, depth, estimator, SECOND // 10)
    assert all_unknown(spatial[[0]])
    assert np.isfinite(spatial.positions[1]).all()
    assert np.isfinite(spatial.velocities[1]).all()


def test_without_any_depth_in_the_image_there_is_no_place() -> None:
    for value in (np.nan, 0.0):
        spatial = update(see(PEOPLE, VIEW), np.full((480, 640), value, np.float32))
        assert all_unknown(spatial)
        assert spatial.has_depth


def test_without_intrinsics_transform_or_depth_nothing_is_known(depth) -> None:
    tracks = see(PEOPLE, VIEW)
    for spatial in (
        update(tracks, depth, intrinsics=None),
        update(tracks, depth, to_frame=None, frame="map"),
        update(tracks, None),
    ):
        assert all_unknown(spatial)
        assert len(spatial) == 2
        assert not spatial.has_depth
    assert update(tracks, depth, to_frame=None, frame="map").frame == "map"


def test_without_a_fixed_frame_there_are_places_but_no_velocities(depth) -> None:
    estimator = SpatialEstimator(SpatialConfig())
    for i in range(3):
        spatial = update(see(PEOPLE, VIEW), depth, estimator, i * SECOND // 10, to_fixed=None)
    assert np.isfinite(spatial.positions).all()
    assert np.isnan(spatial.velocities).all()
    assert np.isnan(spatial.velocity_covariances).all()


def test_a_reset_forgets_velocities(depth) -> None:
    estimator, tracks = SpatialEstimator(SpatialConfig()), see(PEOPLE, VIEW)
    update(tracks, depth, estimator)
    assert np.isfinite(update(tracks, depth, estimator, SECOND // 10).velocities).all()
    estimator.reset()
    assert np.isnan(update(tracks, depth, estimator, SECOND // 5).velocities).all()


def test_a_skeleton_may_change_on_the_way(depth) -> None:
    estimator = SpatialEstimator(SpatialConfig())
    a = update(see(PEOPLE, VIEW, COCO17), depth, estimator).positions
    b = update(see(PEOPLE, VIEW, HALPE136), depth, estimator, SECOND // 10).positions
    np.testing.assert_allclose(a, b, atol=0.01)


def test_a_depth_image_of_another_shape_is_refused(depth) -> None:
    with pytest.raises(InputError, match=r"depth: expected the aspect ratio.*got \(480, 480\)"):
        update(see(PEOPLE, VIEW), depth[:, :480])


def test_a_smaller_depth_image_gives_the_same_places(depth) -> None:
    tracks = see(PEOPLE, VIEW)
    small = update(tracks, np.ascontiguousarray(depth[1::2, 1::2]))
    full = update(tracks, depth)
    np.testing.assert_allclose(small.positions, full.positions, atol=0.02)
    flipped = update(tracks, np.asfortranarray(depth))
    np.testing.assert_array_equal(flipped.keypoints, full.keypoints)


def test_arguments_are_not_changed(depth) -> None:
    tracks, image = see(PEOPLE, VIEW), depth.copy()
    arrays = (image, tracks.poses.keypoints, tracks.poses.scores, tracks.states, tracks.track_ids)
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    update(tracks, image)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@given(data=st.data(), skeleton=skeletons, height=st.sampled_from([0.0, 1.7]))
def test_whatever_comes_the_answer_is_sound(data, skeleton, height) -> None:
    """Random joints on random depth: NaN, or finite with positive covariances."""
    found = data.draw(poses(skeleton))
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    image = rng.choice([np.nan, 0, 1.0, 1.1, 1.4, 2.0, 50.0], (48, 64)).astype(np.float32)
    tracks = make_tracks(found.keypoints, skeleton, found.scores)
    estimator = SpatialEstimator(SpatialConfig(body_height=height))
    for i in range(2):
        spatial = update(tracks, image if seed % 2 else None, estimator, i * SECOND // 15)
        known = np.isfinite(spatial.positions).all(1)
        assert not np.isinf(spatial.keypoints).any()
        assert (np.isnan(spatial.keypoints).any(-1) == np.isnan(spatial.keypoints).all(-1)).all()
        for value in (
            spatial.position_covariances,
            spatial.velocity_covariances[:] if i else None,
        ):
            if value is not None:
                assert (np.linalg.eigvalsh(value[known]) > 0).all()
                assert np.isnan(value[~known]).all()
