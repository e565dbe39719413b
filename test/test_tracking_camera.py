# SPDX-License-Identifier: Apache-2.0
"""A camera that moves: its motion is found in the picture, and people are followed through it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_scenes import figure, make_tracker, scene, stamp

from alphapose_ros.base.errors import ConfigError, InputError, MissingDependencyError
from alphapose_ros.tracking import camera_motion
from alphapose_ros.tracking.camera_motion import CameraMotion
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.kalman import KalmanFilter
from alphapose_ros.tracking.smoothing import OneEuroFilter
from alphapose_ros.tracking.warp import checked, warp_boxes, warp_points

cv2 = pytest.importorskip("cv2", reason="CAMERA MOTION NOT CHECKED: OpenCV is absent")

HEIGHT, WIDTH = 240, 400
NOBODY = np.zeros((0, 4), "f4")


def texture(seed=0):
    """A wall twice as large as the picture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (2 * HEIGHT // 8, 2 * WIDTH // 8), dtype=np.uint8)
    return cv2.resize(coarse, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)


WALL = texture()
TO_WALL = np.array([[1, 0, WIDTH / 2], [0, 1, HEIGHT / 2], [0, 0, 1]])


def view(angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    """(3, 3) picture -> wall of a camera that is turned about the middle, zoomed and shifted."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    middle = np.array([WIDTH, HEIGHT]) / 2
    out = np.eye(3)
    out[:2, :2], out[:2, 2] = turn, middle - turn @ middle + np.array(shift)
    return TO_WALL @ out


def picture(to_wall, people=()):
    """(H, W, 3) RGB of the wall with textured people in boxes (x, y, w, h)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grey = cv2.warpAffine(WALL, to_wall[:2], (WIDTH, HEIGHT), flags=flags)
    for x, y, w, h in people:
        grey[y : y + h, x : x + w] = WALL[300 : 300 + h, 500 : 500 + w]
    return np.repeat(grey[..., None], 3, 2)


def error_px(motion, before, after):
    """Largest error of a motion at the picture's corners."""
    truth = (np.linalg.inv(after) @ before)[:2]
    corners = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]], float)
    return np.abs(warp_points(corners, motion) - warp_points(corners, truth)).max()


views = st.builds(
    view,
    st.floats(-0.06, 0.06),
    st.floats(0.95, 1.05),
    st.tuples(st.floats(-20, 20), st.floats(-12, 12)),
)


@settings(max_examples=25)
@given(views, st.sampled_from([400, 320, 200]))
def test_a_known_motion_is_recovered_at_any_width_of_the_small_image(after, width):
    estimator = CameraMotion(width)
    assert estimator.estimate(picture(view()), NOBODY) is None  # nothing before it
    motion = estimator.estimate(picture(after), NOBODY)
    if motion is None:
        motion = np.eye(3)[:2]  # it stands still
    assert error_px(motion, view(), after) < 0.6


def test_people_who_walk_the_other_way_do_not_disturb_it():
    """Two large people; the second time their boxes are not known, and they are outvoted."""
    for known in (True, False):
        estimator, errors = CameraMotion(), []
        for i in range(8):
            people = [(40 + 12 * i, 60, 70, 150), (280 - 10 * i, 80, 60, 130)]
            boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in people], "f4")
            now = view(shift=(6.0 * i, 0))
            motion = estimator.estimate(picture(now, people), boxes if known else NOBODY)
            if i:
                errors.append(error_px(motion, view(shift=(6.0 * (i - 1), 0)), now))
        assert max(errors) < 0.5


def test_a_person_who_fills_the_picture_is_no_camera_motion():
    estimator, motions = CameraMotion(), []
    for i in range(4):
        image = picture(view(shift=(8.0 * i, 0)))  # a coat in front of the lens
        motions.append(estimator.estimate(image, np.array([[5, 5, 395, 235]], "f4")))
    assert motions == [None] * 4


def test_where_nothing_can_be_followed_the_camera_stands_still():
    rng, estimator = np.random.default_rng(0), CameraMotion()
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert estimator.estimate(flat, NOBODY) is None
    assert estimator.estimate(flat, NOBODY) is None
    still = picture(view())
    noisy = np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8)
    estimator.estimate(still, NOBODY)
    motion = estimator.estimate(noisy, NOBODY)
    assert motion is None or error_px(motion, view(), view()) < 0.5
    estimator.estimate(still[:120], NOBODY)  # another size: nothing is compared
    assert estimator.estimate(picture(view(shift=(9, 0))), NOBODY) is None
    assert estimator.estimate(picture(view(shift=(18, 0))), NOBODY) is not None
    estimator.reset()
    assert estimator.estimate(picture(view()), NOBODY) is None


def test_the_same_pictures_give_the_same_motion():
    results = []
    for _ in range(2):
        estimator = CameraMotion()
        shifts = [picture(view(angle=0.01 * i, shift=(5.0 * i, 0))) for i in range(5)]
        results.append([estimator.estimate(image, NOBODY) for image in shifts][1:])
    np.testing.assert_array_equal(results[0], results[1])


def test_without_opencv_the_error_says_what_to_do(monkeypatch):
    def absent(module, **kwargs):
        raise MissingDependencyError(f"{kwargs['needed_for']} needs {module}; {kwargs['install']}")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"camera_motion: expected false while OpenCV"):
        TrackerConfig(camera_motion=True)
    monkeypatch.setattr(camera_motion, "require", absent)
    with pytest.raises(MissingDependencyError, match=r"camera_motion needs cv2; .*headless"):
        CameraMotion()


def test_boxes_and_points_follow_the_picture():
    motion = np.array([[0, -2, 10], [2, 0, 20]], float)  # a quarter turn, twice as large
    np.testing.assert_allclose(warp_points(np.array([[1.0, 2.0]]), motion), [[6, 22]])
    np.testing.assert_allclose(
        warp_boxes(np.array([[0, 0, 2, 4]], "f4"), motion), [[4, 18, 8, 26]]
    )
    assert warp_boxes(NOBODY, motion).shape == (0, 4)


def test_the_filter_moves_with_the_picture():
    """Predicting and then moving the camera is moving it and then predicting."""
    kalman = KalmanFilter(TrackerConfig())
    start = kalman.begin(np.array([[10, 20, 60, 150], [200, 30, 280, 230]], "f4"))
    start = kalman.correct(kalman.predict(start, 0.1), start.boxes + 3)
    motion = np.array([[0, -1.5, 10], [1.5, 0, 20]])
    first = kalman.predict(start.warped(motion), 0.4)
    second = kalman.predict(start, 0.4).warped(motion)
    for name in ("position", "velocity", "covariance", "size"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-9)
    boxes = warp_boxes(kalman.predict(start, 0.4).boxes, motion)
    np.testing.assert_allclose(second.boxes, boxes, atol=1e-3)


@pytest.mark.parametrize(("known", "kept"), [(True, True), (False, False)])
def test_people_are_followed_while_the_camera_swings(known, kept):
    """Four of the same shape stand 80 px apart; the view jumps by 70 px with every image."""
    tracker, shape, seen = make_tracker(), figure(0), []
    for i in range(40):
        offset = 70 * (i % 2) if i > 10 else 0
        before = 70 * ((i - 1) % 2) if i - 1 > 10 else 0
        motion = np.array([[1, 0, offset - before], [0, 1, 0]], float) if known else None
        poses = scene([(shape, 150 + 80 * k + offset, 300, 160) for k in range(4)])
        tracks = tracker.update(poses, stamp(i / 5), motion=motion)
        seen.append(dict(zip(tracks.poses.source.tolist(), tracks.ids.tolist(), strict=True)))
    assert all(ids == seen[9] for ids in seen[10:]) == kept
    assert sorted(seen[9].values()) == [1, 2, 3, 4]
    if known:
        np.testing.assert_allclose(tracks.velocities, 0, atol=1)  # over the ground


def test_a_person_who_is_hidden_while_the_camera_turns_is_expected_at_the_right_place():
    numbers = {}
    for known in (True, False):
        tracker = make_tracker(publish_lost_s=3.0)
        for i in range(40):
            x = 200 + 25 * max(i - 10, 0)
            motion = np.array([[1, 0, 25 if i > 10 else 0], [0, 1, 0]], float) if known else None
            hidden = 12 <= i < 30
            poses = scene([] if hidden else [(figure(0), x, 300, 160)])
            tracks = tracker.update(poses, stamp(i / 10), motion=motion)
            if known and hidden:
                box = tracks.poses.boxes[0]
                assert (box[0] + box[2]) / 2 == pytest.approx(x, abs=5)
        numbers[known] = tracks.ids[tracks.poses.source >= 0].tolist()
    assert numbers == {True: [1], False: [2]}


def test_smoothed_joints_do_not_lag_behind_the_camera():
    points, scores = np.full((3, 2), 50, "f4"), np.ones(3, "f4")
    smooth, lagging = (OneEuroFilter(1.5, 2.0) for _ in range(2))
    motion = np.array([[1, 0, 20], [0, 1, 0]], float)
    for i in range(10):
        shown = points + np.array([20 * i, 0], "f4")
        if i:
            smooth.move_camera(motion)
        out, late = (each(shown, scores, 100.0, i * 10**8) for each in (smooth, lagging))
    np.testing.assert_allclose(out, shown, atol=1e-3)
    assert (late[:, 0] < shown[:, 0] - 2).all()


@pytest.mark.parametrize(
    ("motion", "message"),
    [(np.eye(3), r"shape \(2, 3\)"), (np.full((2, 3), np.nan), "finite"),
     (np.array([[-1, 0, 0], [0, 1, 0.0]]), "mirror"), (np.zeros((2, 3)), "mirror")],
)  # fmt: skip
def test_motions_that_no_camera_makes_are_refused(motion, message):
    with pytest.raises(InputError, match=message):
        checked(motion)
    with pytest.raises(InputError, match=message):
        make_tracker().update(scene([]), 1, motion=motion)


def test_smoothed_joints_of_a_standing_person_follow_the_camera():
    plain, smooth = make_tracker(), make_tracker(smoothing=True)
    shape, motion = figure(1), np.array([[1, 0, 12], [0, 1, 0]], float)
    for i in range(12):
        poses = scene([(shape, 100 + 12 * i, 240, 200)])
        camera = motion if i else None
        a, b = (t.update(poses, stamp(i / 10), None, camera) for t in (plain, smooth))
    np.testing.assert_allclose(b.poses.keypoints, a.poses.keypoints, atol=0.5)


def test_a_lost_persons_pose_is_expected_where_the_camera_now_sees_it():
    tracker = make_tracker(publish_lost_s=1.0)
    shape, motion = figure(1), np.array([[1, 0, 60], [0, 1, 0]], float)
    for i in range(10):
        tracker.update(scene([(shape, 200, 240, 200)]), stamp(i / 10))
    before = scene([(shape, 260, 240, 200)])
    tracks = tracker.update(scene([]), stamp(1.0), None, motion)
    np.testing.assert_allclose(tracks.poses.keypoints, before.keypoints, atol=3)
