# SPDX-License-Identifier: Apache-2.0
"""The simulated crowd: the same every time, its truth consistent, its errors as asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import islice

import numpy as np
import pytest

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.records import Frame
from alphapose_ros.base.rows import Rows
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.eval.crowd import CrowdFrame, affine_at_centre, simulate
from alphapose_ros.eval.crowd_camera import HEIGHT_M, Camera, frame_times
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.crowd_crops import cut_crops, mine_people, sheet
from alphapose_ros.eval.crowd_images import (
    GAP_S,
    CropTrack,
    CrowdPainter,
    visits_of,
)
from alphapose_ros.eval.crowd_people import make_people
from alphapose_ros.eval.reentry import Reentries, Sighting, reentries
from alphapose_ros.eval.track_files import make_rows

SHORT = CrowdConfig(duration_s=12, people=8, away_s=(2, 3), stay_s=(1, 3))
PERFECT = CrowdConfig(
    duration_s=8, people=6, fps=8, missed=0, false_positives=0, posts=0, box_noise=0, joint_noise=0
)


@pytest.fixture(scope="module")
def crowd() -> list[CrowdFrame]:
    return list(simulate(SHORT, 3))


def flat(frame: CrowdFrame) -> list[np.ndarray]:
    out: list[np.ndarray] = []
    for item in fields(frame):
        value = getattr(frame, item.name)
        parts = (
            [getattr(value, f.name) for f in fields(value)] if isinstance(value, Rows) else [value]
        )
        out += [np.asarray(part) for part in parts if not isinstance(part, type(COCO17))]
    return out


def test_the_seed_decides_everything(crowd: list[CrowdFrame]) -> None:
    again = list(islice(simulate(SHORT, 3), 60))
    for first, second in zip(crowd, again, strict=False):
        for a, b in zip(flat(first), flat(second), strict=True):
            np.testing.assert_array_equal(a, b)
    assert next(iter(simulate(SHORT, 4))).stamp_ns != crowd[0].stamp_ns


def test_time_goes_on_unevenly(crowd: list[CrowdFrame]) -> None:
    steps = np.diff([f.stamp_ns for f in crowd]) / 1e9
    assert (steps > 0).all()
    assert np.median(steps) == pytest.approx(1 / SHORT.fps, rel=0.1)
    assert steps.max() > 1.7 / SHORT.fps  # a frame was dropped
    assert len(crowd) < SHORT.duration_s * SHORT.fps


def test_the_rows_fit_together(crowd: list[CrowdFrame]) -> None:
    size = np.array(SHORT.image_hw[::-1])
    for frame in crowd:
        assert len(frame.owners) == len(frame.poses) == len(frame.appearance)
        assert len(set(frame.people.names.tolist())) == len(frame.people)
        true = frame.owners[frame.owners > 0]
        assert len(set(true.tolist())) == len(true)
        assert set(true.tolist()) <= set(frame.truth.names.tolist())
        assert (frame.truth.visibility >= SHORT.least_visibility).all()
        np.testing.assert_array_equal(frame.poses.source, np.arange(len(frame.poses)))
        for boxes in (frame.people.boxes, frame.poses.boxes):
            assert (boxes >= 0).all()
            assert (boxes.reshape(-1, 2, 2) <= size).all()
        lengths = np.linalg.norm(frame.appearance.embeddings, axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)
    assert any(len(frame.people) > len(frame.truth) for frame in crowd)  # somebody is covered
    assert any((frame.owners <= 0).any() for frame in crowd)


def test_without_errors_the_detections_are_the_truth() -> None:
    for frame in simulate(PERFECT, 0):
        truth = frame.truth
        assert sorted(frame.owners.tolist()) == sorted(truth.names.tolist())
        for row, owner in enumerate(frame.owners.tolist()):
            true = truth[truth.names == owner]
            assert box_iou(frame.poses.boxes[[row]], true.boxes)[0, 0] == pytest.approx(
                1, abs=1e-4
            )
            np.testing.assert_allclose(frame.poses.keypoints[row], true.keypoints[0], atol=1e-3)


def test_who_is_covered_scores_lower(crowd: list[CrowdFrame]) -> None:
    clear, covered, joints, hidden = [], [], [], []
    for frame in crowd:
        rows = {int(name): k for k, name in enumerate(frame.people.names)}
        for row, owner in enumerate(frame.owners.tolist()):
            if owner in rows:
                k = rows[owner]
                into = clear if frame.people.visibility[k] > 0.8 else covered
                into.append(frame.poses.box_scores[row])
                cover = frame.people.covered[k]
                joints += frame.poses.scores[row][~cover].tolist()
                hidden += frame.poses.scores[row][cover].tolist()
    assert np.mean(clear) > 0.85 > np.mean(covered)
    assert np.max(hidden) < 0.4 < np.median(joints)


@pytest.mark.parametrize("people", [0, 3])
def test_nobody_is_normal(people: int) -> None:
    config = CrowdConfig(
        duration_s=4, people=people, newcomers=1, posts=0, false_positives=0, pillars=0, carts=0
    )
    frames = list(simulate(config, 0))
    assert len(frames) > 10
    assert len(frames[0].people) == len(frames[0].poses) == len(frames[0].things) == 0
    assert frames[0].poses.keypoints.shape == (0, 17, 2)
    assert frames[0].appearance.embeddings.shape == (0, config.embedding)
    if not people:
        assert not any(len(frame.people) for frame in frames)


def test_people_leave_and_return() -> None:
    config = CrowdConfig(duration_s=60, people=10, away_s=(2, 12), stay_s=(1, 3), visits=5)
    people = make_people(config, np.random.default_rng(0))
    assert [person.name for person in people] == list(range(1, 11))
    gaps = [
        later.times[0] - visit.times[-1]
        for person in people
        for visit, later in zip(person.visits, person.visits[1:], strict=False)
    ]
    assert len(gaps) >= 15
    assert 2 <= min(gaps) <= max(gaps) <= 12
    assert all(len(person.visits) <= 5 for person in people)
    assert min(person.visits[0].times[0] for person in people[6:]) >= 15  # newcomers
    limited = make_people(config, np.random.default_rng(0), [1] * 10)
    assert all(len(person.visits) == 1 for person in limited)


def test_walkers_are_slow_and_upright() -> None:
    person = make_people(CrowdConfig(), np.random.default_rng(1))[0]
    visit = person.visits[0]
    times = np.linspace(visit.times[0], visit.times[-1], 400)
    places = np.array([person.place(t) for t in times])
    speeds = np.hypot(*np.diff(places, axis=0).T) / np.diff(times)
    assert speeds.max() <= 1.5 + 1e-6
    for time_s in times[::40]:
        joints, _ = person.body(float(time_s))
        assert joints[COCO17.index("nose"), 1] == pytest.approx(0.93 * person.height_m)
        assert (joints[:, 1] > 0).all()
        assert person.visit_at(float(time_s)) == 0
    assert person.visit_at(visit.times[0] - 1) == -1


def test_projection_by_hand() -> None:
    """A point straight ahead at the camera's height is the middle; 1 m aside at 4 m is f/4."""
    config = CrowdConfig(pan_rad=0, shake_px=0)
    camera = Camera(config, np.zeros(1), np.random.default_rng(0))
    points = np.array([[0, HEIGHT_M, 4.0], [1, HEIGHT_M, 4], [0, HEIGHT_M - 2, 4], [0, 0, -1]])
    pixels, ahead = camera.project(points, 0)
    focal = 0.85 * 1280
    expected = [[640, 360], [640 + focal / 4, 360], [640, 360 + focal / 2]]
    np.testing.assert_allclose(pixels[:3], expected)
    assert ahead.tolist() == [True, True, True, False]


def test_the_motion_of_the_camera_moves_what_stands_still() -> None:
    config = CrowdConfig(pan_rad=0.2, shake_px=4)
    times = np.arange(20) / 15
    camera = Camera(config, times, np.random.default_rng(0))
    points = np.random.default_rng(1).uniform([-1, 0, 3], [1, 2, 9], (50, 3))
    before, after = camera.project(points, 4)[0], camera.project(points, 9)[0]
    assert np.abs(after - before).max() > 10
    homography = camera.motion(4, 9)
    mapped = np.column_stack([before, np.ones(50)]) @ homography.T
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], after, atol=1e-6)
    affine = affine_at_centre(camera.motion(4, 5), config.image_hw)
    near = before @ affine[:, :2].T + affine[:, 2]
    assert np.abs(near - camera.project(points, 5)[0]).max() < 1
    np.testing.assert_allclose(affine_at_centre(np.eye(3), (4, 6)), np.eye(3)[:2], atol=1e-12)


def test_embeddings_have_the_cosines_that_were_asked_for() -> None:
    config = CrowdConfig(
        duration_s=40, people=5, same_cosine=0.7, other_cosine=0.2, newcomers=0, away_s=(2, 3),
        pillars=0, carts=0, fps=6, look_memory_s=1,
    )  # fmt: skip
    seen: dict[int, list[np.ndarray]] = {}
    for frame in simulate(config, 0):
        rows = {int(name): k for k, name in enumerate(frame.people.names)}
        for row, owner in enumerate(frame.owners.tolist()):
            if owner > 0 and frame.people.visibility[rows[owner]] > 0.9:
                seen.setdefault(owner, []).append(frame.appearance.embeddings[row])
    looks = [np.array(each) for each in seen.values()]
    far = [(each[: len(each) // 3] @ each[-(len(each) // 3) :].T).mean() for each in looks]
    assert np.mean(far) == pytest.approx(0.7, abs=0.07)
    between = [(a @ b.T).mean() for i, a in enumerate(looks) for j, b in enumerate(looks) if i < j]
    assert np.mean(between) == pytest.approx(0.2 * 0.7, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"people": -1}, "crowd.people"),
        ({"away_s": (5.0, 2.0)}, "crowd.away_s: expected 0 < low <= high"),
        ({"farthest_m": 2.0}, "crowd.farthest_m: expected more than nearest_m"),
    ],
)
def test_impossible_crowds_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CrowdConfig(**changes)  # type: ignore[arg-type]


def test_times_keep_bursts_out() -> None:
    config = CrowdConfig(bursts_per_minute=30, burst_s=2.0, dropped=0, rate_spread=0)
    steps = np.diff(frame_times(config, np.random.default_rng(0)))
    assert steps.max() > 0.8
    assert steps.min() == pytest.approx(1 / 15)


def sightings(given: dict[int, Sequence[tuple[float, float, int]]]) -> list[Sighting]:
    """Name -> (from, to, identity) every 0.1 s."""
    out = []
    for time_s in np.arange(0, 60, 0.1):
        now = {
            name: identity
            for name, stays in given.items()
            for begin, end, identity in stays
            if begin <= time_s < end
        }
        out.append(Sighting(float(time_s), now))
    return out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Reentries()),
        ({1: [(0, 5, 4), (20, 25, 4)]}, Reentries(kept=1)),
        ({1: [(0, 5, 4), (20, 25, 6)]}, Reentries(renewed=1)),
        ({1: [(0, 5, 4), (20, 25, 0)]}, Reentries(unnamed=1)),
        ({1: [(0, 5, 4), (20, 25, 5)], 2: [(0, 9, 5)]}, Reentries(mistaken=1)),
        ({1: [(0, 5, 4), (9, 14, 4)]}, Reentries()),  # too short an absence
        ({1: [(0, 5, 0), (20, 25, 4)]}, Reentries()),  # never had an identity
        ({1: [(0, 5, 4), (20, 21, 9)]}, Reentries()),  # too short a visit
        ({1: [(0, 5, 4), (20, 20.6, 0), (20.6, 26, 4)]}, Reentries(kept=1)),  # takes its time
        ({1: [(0, 5, 4)], 2: [(10, 15, 7)]}, Reentries(newcomers=1)),
        ({1: [(0, 5, 4)], 2: [(10, 15, 4)]}, Reentries(newcomers=1, thefts=1)),
        ({1: [(0, 5, 4)], 2: [(10, 15, 0)]}, Reentries(newcomers=1)),
    ],
)  # fmt: skip
def test_returns_are_judged(given: dict, expected: Reentries) -> None:
    got = reentries(sightings(given)) if given else reentries([])
    assert got == expected


def test_returns_add() -> None:
    total = Reentries(1, 2, 3, 4, 5, 6) + Reentries(kept=1)
    assert (total.kept, total.returns, total.thefts) == (2, 11, 6)


def crop_track(name: str, seconds: float, shade: int) -> CropTrack:
    """Ten crops a second; the green of each tells its time."""
    times = np.arange(round(seconds * 10) + 1) / 10
    images = []
    for k in range(len(times)):
        image = np.full((60, 30, 3), shade, np.uint8)
        image[..., 1] = k
        images.append(image)
    return CropTrack(name, times, tuple(images))


def test_visits_use_pixels_two_seconds_apart() -> None:
    track = crop_track("a", 8, 200)
    assert len(track.parts) == 4  # 4 x 0.5 s and 3 gaps of 2 s fill it
    for before, after in zip(track.parts, track.parts[1:], strict=False):
        assert track.times[after[0]] - track.times[before[-1]] >= GAP_S - 1e-6
    shown = [{int(track.at(v, t)[0, 0, 1]) for t in np.arange(0, 9, 0.07)} for v in range(4)]
    assert [min(s) for s in shown] == [int(part[0]) for part in track.parts]
    assert not set.intersection(shown[0], shown[1])
    assert len(crop_track("b", 1, 0).parts) == 1
    assert visits_of([track, crop_track("b", 1, 0)]) == [4, 1]


def test_pictures_show_the_people_where_the_truth_says() -> None:
    pytest.importorskip("cv2")
    config = CrowdConfig(
        duration_s=4, people=2, newcomers=0, image_hw=(180, 320), pillars=0, carts=0, fps=5
    )
    tracks = [crop_track("a", 5, 255), crop_track("b", 5, 255)]
    painter, again = CrowdPainter(config, tracks), CrowdPainter(config, tracks)
    checked = 0
    for frame in simulate(config, 1, visits_of(tracks)):
        image, people = painter(frame)
        np.testing.assert_array_equal(image, again(frame)[0])
        assert image.shape == (180, 320, 3)
        sides = people.whole_boxes[:, 2:] - people.whole_boxes[:, :2]
        np.testing.assert_allclose(sides[:, 0] / sides[:, 1], 0.5, rtol=1e-3)
        for box in people.boxes[people.visibility > 0.9]:
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            assert image[y, x, 0] > 250
            checked += 1
    assert checked > 3
    with pytest.raises(InputError, match="expected crops of 2 people"):
        CrowdPainter(config, tracks[:1])


def test_a_picture_of_nobody_is_a_picture() -> None:
    pytest.importorskip("cv2")
    config = CrowdConfig(duration_s=2, people=0, image_hw=(180, 320), posts=0)
    for frame in simulate(config, 1):
        image, people = CrowdPainter(config, [])(frame)
        assert image.shape == (180, 320, 3)
        assert len(people) == 0


def test_people_are_cut_out_of_a_recording() -> None:
    def frames(count: int):
        for k in range(count):
            image = np.full((60, 80, 3), k, np.uint8)
            image[10:30, 5:15] = 200 + k
            yield Frame(image, 5 * 10**9 + k * 10**8)

    boxes = [[5, 10, 15, 30], [40, 0, 80, 60], [5, 10, 15, 30], [-9, 10, 15, 30]]
    people = make_rows([0, 1, 3, 4], [7, 2, 7, 7], boxes)
    got = cut_crops(frames(6), people, "clip")
    assert [track.name for track in got] == ["clip-002", "clip-007"]
    np.testing.assert_allclose(got[1].times, [0, 0.3, 0.4])
    assert [image.shape for image in got[1].images] == [(20, 10, 3), (20, 10, 3), (20, 15, 3)]
    assert [int(image[0, -1, 0]) for image in got[1].images] == [200, 203, 204]
    assert cut_crops(frames(2), make_rows([], [], []), "clip") == []
    with pytest.raises(InputError, match="clip: expected a recording of 5 frames, got 4"):
        cut_crops(frames(4), people, "clip")


def test_a_sheet_has_a_row_for_each_person() -> None:
    pytest.importorskip("cv2")
    tracks = [crop_track("x-001", 1, 10), crop_track("x-002", 2, 20), crop_track("x-003", 1, 30)]
    assert sheet(tracks, columns=4, height=64).shape == (3 * 64, 6 * 32, 3)
    assert sheet([]).shape[0] > 0


def test_long_tracks_are_mined() -> None:
    from fake_pipeline import result_for

    def pipeline(frame: Frame):
        steps = frame.stamp_ns / 1e9
        tall = np.linspace([100, 50], [160, 250], 136)[None]
        here = [tall + np.array([steps, 0])]
        if steps <= 2:
            here.append(tall + np.array([400, 0]))
        return result_for(frame, np.concatenate(here))

    image = np.zeros((300, 640, 3), np.uint8)
    frames = [Frame(image, round(k * 1e9 / 20)) for k in range(1, 101)]
    got = mine_people(pipeline, frames, least_s=3)
    assert set(got.ids.tolist()) == {11}
    assert np.diff(got.frames).min() >= 4  # a fifth of a second
    assert (got.frames[0], got.frames[-1]) == (0, 96)
    assert len(mine_people(pipeline, [])) == 0
