# SPDX-License-Identifier: Apache-2.0
"""People with a look leave, hide, cross and return, also before another camera.

The main cases run a second time with the stage switched off that they are about, and fail there.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tracking_gallery import turned
from tracking_scenes import clothes, figure, make_tracker, scene, seen, stamp, stroll

from alphapose_ros.base.records import TrackState
from alphapose_ros.tracking.gallery import Gallery
from alphapose_ros.tracking.identities import IdentitySource

OFF = {"gallery_s": 0.0}


def seconds(begin, end, fps=10):
    return np.arange(round(begin * fps), round(end * fps)) / fps


def standing(k, x, y=300, height=160):
    return (figure(k), x, y, height)


@pytest.mark.parametrize(("off", "number"), [({}, 1), (OFF, 2)])
@pytest.mark.parametrize("fps", [4, 12])
def test_who_returns_after_ten_seconds_elsewhere_keeps_the_number(fps, off, number, rng):
    tracker, looks = make_tracker(**off), clothes(1)

    def place(t):
        return [standing(0, 100) if t < 2 else standing(1, 900) if t >= 12 else None]

    history = stroll(tracker, seconds(0, 14, fps), place, looks, rng)
    assert history[2 * fps - 1][0] == {0: 1}
    ids, tracks = history[-1]
    assert ids == {0: number}
    assert tracks.track_ids[0] > 1  # the same person, another track
    assert tracks.identity_confidence[0] > 0.9


def test_who_is_found_again_is_not_given_to_a_look_alike_who_is_due_in_that_image(rng):
    """The look-alike has been in sight just long enough when the other comes back."""
    tracker, (first, still, other) = make_tracker(), clothes(3)
    twin = turned(first, other, 0.95)

    def place(t):
        hidden = 1.0 <= t < 1.2
        return [
            None if hidden else standing(0, 600),
            standing(1, 100),
            standing(2, 1200) if t >= 1.0 else None,
        ]

    history = stroll(tracker, seconds(0, 2), place, np.stack([first, still, twin]), rng, 0)
    assert history[9][0] == {0: 2, 1: 1}
    assert history[11][0] == {1: 1, 2: 0}
    for ids, tracks in history[12:]:
        assert ids == {0: 2, 1: 1, 2: 3}
        by_number = dict(zip(tracks.ids.tolist(), tracks.poses.boxes[:, 0], strict=True))
        assert sorted(by_number, key=by_number.__getitem__) == [1, 2, 3]


def test_without_looks_nobody_is_found_again_after_ten_seconds(rng):
    def place(t):
        return [standing(0, 100) if t < 2 or t >= 12 else None]

    history = stroll(make_tracker(), seconds(0, 14), place, None, rng)
    assert history[-1][0] == {0: 2}


@pytest.mark.parametrize(("off", "number"), [({}, 2), ({"appearance_similarity": 0.0}, 1)])
def test_a_stranger_where_somebody_was_lost_is_a_new_person(off, number, rng):
    """With ``appearance_similarity`` 0 looks do not hinder the stages of place."""
    off = off and off | {"appearance_veto": 0.0}
    tracker, looks = make_tracker(**off), clothes(2)

    def place(t):
        return [standing(0, 300) if t < 2 else None, standing(0, 310) if t >= 3 else None]

    history = stroll(tracker, seconds(0, 5), place, looks, rng)
    assert history[15][0] == {0: 1}
    assert history[-1][0] == {1: number}


def test_new_people_do_not_take_old_numbers(rng):
    """Thirty people, one after the other, while the gallery remembers all who were there."""
    looks = clothes(30)

    def place(t):
        return [standing(k, 300) if 2 * k <= t < 2 * k + 1 else None for k in range(30)]

    history = stroll(make_tracker(), seconds(0, 60), place, looks, rng)
    given = [history[20 * k + 9][0][k] for k in range(30)]
    assert given == list(range(1, 31))


@pytest.mark.parametrize(("margin", "number"), [(0.1, 3), (0.0, 1)])
def test_one_of_two_lost_people_who_look_alike_gets_a_new_number(margin, number):
    one = clothes(1)[0]
    looks = np.stack([one, turned(one, clothes(2)[1], 0.95)])
    tracker = make_tracker(gallery_margin=margin)

    def place(t):
        first = standing(0, 100) if t < 2 else standing(0, 500) if t >= 10 else None
        return [first, standing(1, 900) if t < 2 else None]

    history = stroll(tracker, seconds(0, 13), place, looks, np.random.default_rng(0), 0.1)
    assert history[15][0] == {0: 1, 1: 2}
    assert history[-1][0] == {0: number}
    if number == 3:
        late = history[102:105]
        assert all(tracks.states[0] == TrackState.TENTATIVE for _, tracks in late)
        confirmed = next(tracks for ids, tracks in history[100:] if ids.get(0))
        assert confirmed.identity_confidence[0] < 0.5  # it may well be an old one


def test_unsure_looks_are_waited_for_and_sure_ones_are_not():
    """The first images of who enters show half a person: their looks are half the door's."""
    looks, door = clothes(2), clothes(3)[2]
    numbers = {}
    for wait in (0.0, 0.5):
        tracker, rng = make_tracker(gallery_wait_s=wait), np.random.default_rng(0)
        for i in range(140):
            t = i / 10
            people = [standing(0, 100)] if t < 2 else [standing(0, 600)] if t >= 12 else []
            half = 12 <= t < 12.3
            look = turned(looks[0], door, 0.55) if half else looks[0]
            poses = scene(people)
            tracks = tracker.update(poses, stamp(t), seen([look] * len(poses), rng, 0.1))
        numbers[wait] = int(tracks.ids[0])
    assert numbers == {0.0: 2, 0.5: 1}


@pytest.mark.parametrize(("off", "kept"), [(False, True), (True, False)])
def test_people_who_change_places_out_of_sight_keep_their_numbers(off, kept, rng):
    """Both are hidden for half a second; off: their looks are not used."""
    looks = None if off else clothes(2)

    def place(t):
        if 2 <= t < 2.5:
            return [None, None]
        return [standing(0, 300), standing(0, 360)][:: 1 if t < 2 else -1]

    history = stroll(make_tracker(), seconds(0, 4), place, looks, rng)
    assert (history[15][0] == history[-1][0]) == kept


@pytest.mark.parametrize("fps", [5, 15])
def test_three_people_who_cross_and_cover_each_other_keep_their_numbers(fps, rng):
    """In front of each other only the nearest is found, and looks mix while they overlap."""
    looks = clothes(3)

    def place(t):
        x = [100 + 80 * t, 580 - 80 * t, 340]
        hidden = [t > 2.4 and t < 3.6 and k > 0 for k in range(3)]
        return [None if hidden[k] else standing(0, x[k], 300 + 3 * k) for k in range(3)]

    history = stroll(make_tracker(), seconds(0, 6, fps), place, looks, rng)
    assert history[2 * fps][0] == history[-1][0] == {0: 1, 1: 2, 2: 3}


def test_irregular_and_dropped_frames_change_nothing(rng):
    looks, times, t = clothes(2), [], 0.0
    while t < 30:
        t += rng.choice([1 / 30, 1 / 10, 0.3, 0.9])
        times.append(t)

    def place(t):
        there = t < 9 or t >= 20
        return [standing(0, 100 + 20 * t), standing(1, 900 - 20 * t) if there else None]

    history = stroll(make_tracker(), times, place, looks, rng)
    assert history[-1][0] == {0: 1, 1: 2}


@pytest.mark.parametrize(("shared", "number"), [(True, 1), (False, 2)])
@pytest.mark.parametrize("overlap_s", [-4.0, -0.5, 0.3])
def test_one_camera_hands_a_person_over_to_another(overlap_s, shared, number, rng):
    """The other camera sees the person after a while, at once, or before the first does not."""
    identities, gallery = IdentitySource(), Gallery()
    front = make_tracker(identities, gallery=gallery)
    rear = make_tracker(identities, gallery=gallery if shared else Gallery())
    looks, enters = clothes(1), 3 - overlap_s
    for t in seconds(0, 10, 15):
        before = [standing(0, 100 + 60 * t)] if t < 3 else []
        after = [standing(2, 900 - 20 * t, 350, 240)] if t >= enters else []
        a = front.update(scene(before), stamp(t), seen([looks[0]] * len(before), rng))
        b = rear.update(scene(after), stamp(t + 0.01), seen([looks[0]] * len(after), rng))
        assert not set(a.ids[a.ids > 0]) & set(b.ids[b.ids > 0])  # never in two cameras at once
    assert b.ids.tolist() == [number]


def test_whom_another_camera_has_found_is_not_waited_for(rng):
    """A man in the same clothes stands where the first was lost, while the other is in view."""
    identities, gallery = IdentitySource(), Gallery()
    front, rear = (make_tracker(identities, gallery=gallery) for _ in range(2))
    look = clothes(1)[0]
    for t in seconds(0, 5):
        before = [standing(0, 300)] if t < 1 or t >= 2 else []
        after = [standing(2, 500)] if t >= 1.2 else []
        a = front.update(scene(before), stamp(t), seen([look] * len(before), rng, 0.2))
        b = rear.update(scene(after), stamp(t), seen([look] * len(after), rng, 0.2))
    assert b.ids.tolist() == [1]
    assert a.ids.tolist() == [2]


def test_one_image_that_comes_late_makes_no_second_person_of_one(rng):
    """The front camera is silent for longer than people are waited for; the rear one finds him."""
    identities, gallery = IdentitySource(), Gallery()
    limits = {"max_lost_s": 1.0, "confirm_s": 0.0, "confirm_hits": 1}
    front, rear = (make_tracker(identities, gallery=gallery, **limits) for _ in range(2))
    look = clothes(1)[0]
    for t in seconds(0, 3):
        front.update(scene([standing(0, 300)]), stamp(t), seen([look], rng, 0.2))
        rear.update(scene([]), stamp(t))
    for t in (3.9, 4.0, 4.1):
        b = rear.update(scene([standing(2, 500)]), stamp(t), seen([look], rng, 0.2))
    a = front.update(scene([standing(0, 300)]), stamp(3.7), seen([look], rng, 0.2))
    assert b.ids.tolist() == [1]
    assert 1 not in a.ids


def test_confidence_falls_when_another_wears_the_number_and_recovers_with_its_owner():
    looks = clothes(2)
    tracker = make_tracker(appearance_veto=0.0, appearance_similarity=0.5)
    confidence = []
    for i in range(90):
        t = i / 10
        rng = np.random.default_rng(i)
        look = looks[1] if 3 <= t < 4.5 else looks[0]  # at the same place, from image to image
        tracks = tracker.update(scene([standing(0, 300)]), stamp(t), seen([look], rng, 0.2))
        assert t < 0.3 or tracks.ids.tolist() == [1]
        confidence.append(float(tracks.identity_confidence[0]))
    assert confidence[29] > 0.99
    assert confidence[44] < 0.05
    assert confidence[-1] > 0.9


def test_reset_forgets_looks_and_gives_new_numbers(rng):
    tracker, looks = make_tracker(), clothes(1)

    def place(_):
        return [standing(0, 300)]

    assert stroll(tracker, seconds(0, 2), place, looks, rng)[-1][0] == {0: 1}
    tracker.reset()
    assert stroll(tracker, seconds(0, 2), place, looks, rng)[-1][0] == {0: 2}


def random_walks(rng, people, frames):
    """Rows (person, x, y, score) of each frame: walks with drop-outs."""
    places, present = rng.uniform(100, 900, (people, 2)), np.ones(people, bool)
    for _ in range(frames):
        places += rng.normal(0, 12, places.shape)
        present ^= rng.random(people) < 0.08
        yield [
            (figure(k), *places[k], 120, rng.uniform(0.3, 1)) if present[k] else None
            for k in range(people)
        ]


@settings(max_examples=8)
@given(st.integers(0, 100_000))
def test_order_of_detections_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    first, second = (make_tracker(max_lost_s=0.5) for _ in range(2))
    looks = clothes(5, seed)
    for i, people in enumerate(random_walks(rng, 5, 25)):
        there = [k for k in range(5) if people[k] is not None]
        poses, appearance = scene([people[k] for k in there]), seen(looks[there], rng)
        order = rng.permutation(len(poses))
        a = first.update(poses, stamp(i / 5), appearance)
        b = second.update(poses[order], stamp(i / 5), appearance[order])
        for name in ("ids", "track_ids", "states"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_allclose(a.identity_confidence, b.identity_confidence, atol=1e-5)
        np.testing.assert_array_equal(a.poses.source, b.poses.source)


@settings(max_examples=8)
@given(st.integers(0, 100_000), st.sampled_from([5.0, 30.0]), st.sampled_from([0.0, 2.0, 300.0]))
def test_no_number_is_ever_seen_twice_at_once_and_none_changes(seed, fps, gallery_s):
    """Two cameras, people who look more or less alike, a small gallery."""
    rng = np.random.default_rng(seed)
    identities, gallery, people = IdentitySource(), Gallery(), 4
    limits = {"gallery_s": gallery_s, "gallery_size": 2, "max_lost_s": 0.6}
    cameras = [make_tracker(identities, gallery=gallery, **limits) for _ in range(2)]
    looks = [clothes(people, seed), clothes(people, seed)]
    walks = [random_walks(rng, people, 30) for _ in cameras]
    of_track: dict[int, int] = {}
    for i in range(30):
        shown: list[int] = []
        for camera, walk, look in zip(cameras, walks, looks, strict=True):
            rows = next(walk)
            there = [k for k in range(people) if rows[k] is not None]
            appearance = seen(look[there], rng, 0.9)
            tracks = camera.update(scene([rows[k] for k in there]), stamp(i / fps), appearance)
            shown += tracks.ids[tracks.ids > 0].tolist()
            for track, number in zip(tracks.track_ids, tracks.ids, strict=True):
                if of_track.get(int(track)):
                    assert of_track[int(track)] == number  # given once
                of_track[int(track)] = int(number)
            assert ((tracks.identity_confidence >= 0) & (tracks.identity_confidence <= 1)).all()
        assert len(set(shown)) == len(shown)
        assert len(gallery) <= 2 + 2 * people * 4


def test_the_gallery_stays_flat_over_an_hour_of_passers_by(rng):
    """Another person every four seconds of image time."""
    tracker, sizes = make_tracker(confirm_hits=1, confirm_s=0.0, gallery_size=20), []
    looks = clothes(900)
    for i in range(900):
        tracker.update(scene([standing(0, 300)]), stamp(4 * i), seen(looks[[i]], rng, 0.2))
        sizes.append(tracker.gallery.nbytes)
    assert len(tracker.gallery) <= 20 + 3
    assert max(sizes[200:400]) == max(sizes[-200:])
    assert tracker.identities.new_identity() > 890
