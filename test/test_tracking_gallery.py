# SPDX-License-Identifier: Apache-2.0
"""What is remembered of people who left, how much, and for whom it is given out."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_scenes import SECOND, clothes

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.costs import crowding
from alphapose_ros.tracking.gallery import Gallery
from alphapose_ros.tracking.look import EXEMPLARS, Look
from alphapose_ros.tracking.tracklet import Tracklet

FRONT, REAR = object(), object()
CONFIG = TrackerConfig(gallery_s=60.0, max_lost_s=1.0)


def look_of(*vectors):
    look = Look()
    for vector in vectors:
        look.follow(np.asarray(vector, "f4"), 1.0)
        look.add(np.asarray(vector, "f4"), 1.0)
    return look


def turned(vector, other, cosine):
    """A unit vector of this cosine with ``vector``, turned towards ``other``."""
    across = other - (other @ vector) * vector
    across = across / np.linalg.norm(across)
    return cosine * vector + np.sqrt(1 - cosine**2) * across


def lost_people(vectors, config=CONFIG):
    """A gallery of people 1, 2, ... whom FRONT saw at 0 s and sees no more at 2 s."""
    gallery = Gallery()
    people = [(k + 1, look_of(v), 1.0) for k, v in enumerate(vectors)]
    gallery.note(FRONT, people, 0, config)
    gallery.note(FRONT, [], 2 * SECOND, config)
    return gallery


def ask(gallery, *vectors, present=(), time_s=3, owner=FRONT, config=CONFIG):
    looks = [look_of(v) for v in vectors]
    return gallery.ask(owner, looks, present, round(time_s * SECOND), config)


def test_who_looks_like_a_lost_person_is_that_person():
    vectors, other = clothes(3), clothes(4)[3]
    gallery = lost_people(vectors)
    found, stranger = ask(gallery, turned(vectors[1], other, 0.8), other)
    assert (found.identity, stranger.identity) == (2, 0)
    assert found.confidence > 0.9
    assert stranger.confidence > 0.9
    assert not stranger.undecided


@pytest.mark.parametrize("apart_s", [0, 0.5, -3, 40, -1e6, 1e6])
def test_clocks_of_cameras_may_lie_apart(apart_s):
    """REAR sees nobody whom FRONT sees, and knows for ``gallery_s`` who was lost there."""
    (here, gone) = clothes(2)
    gallery = Gallery()
    for image in range(580):
        time_s = image / 10
        gallery.note(FRONT, [(1, look_of(here), 1.0)], round(time_s * SECOND), CONFIG)
        if image == 0:
            gallery.note(FRONT, [(1, look_of(here), 1.0), (2, look_of(gone), 1.0)], 0, CONFIG)
        gallery.note(REAR, [], round((time_s + apart_s) * SECOND), CONFIG)
    (seen_there,) = ask(gallery, here, time_s=58 + apart_s, owner=REAR)
    assert (seen_there.identity, len(gallery)) == (0, 2)
    (found,) = ask(gallery, gone, time_s=58 + apart_s, owner=REAR)
    assert found.identity == 2
    gallery.note(REAR, [], round((60 + apart_s) * SECOND), CONFIG)
    gallery.note(REAR, [], round((125 + apart_s) * SECOND), CONFIG)
    assert len(gallery) == 0


def test_a_clock_that_jumped_is_followed_again():
    gallery, (vector,) = Gallery(), clothes(1)
    gallery.note(FRONT, [], 0, CONFIG)
    gallery.note(REAR, [], 0, CONFIG)
    gallery.note(FRONT, [], 3600 * SECOND, CONFIG)  # an hour ahead, for one image
    gallery.forget(FRONT)
    for image in range(1, 100):
        gallery.note(FRONT, [], image * SECOND // 10, CONFIG)
        gallery.note(REAR, [(1, look_of(vector), 1.0)], image * SECOND // 10, CONFIG)
    (answer,) = ask(gallery, vector, time_s=10, owner=FRONT)
    assert (answer.identity, len(gallery)) == (0, 1)


@pytest.mark.parametrize("late_s", [-20, -4, -0.9, 0.9, 4, 20])
def test_who_is_in_view_of_a_late_camera_is_not_given_away(late_s):
    """The cameras began at one stamp; then one was held up, or its clock was set."""
    gallery, (vector,) = Gallery(), clothes(1)
    for owner in (FRONT, REAR):
        gallery.note(owner, [], 0, CONFIG)
    gallery.note(REAR, [], round((30 + late_s) * SECOND), CONFIG)
    for image in range(60):
        time_s = 30 + image / 10
        gallery.note(FRONT, [(1, look_of(vector), 1.0)], round(time_s * SECOND), CONFIG)
        (answer,) = ask(gallery, vector, time_s=time_s + late_s, owner=REAR)
        assert answer.identity == 0


def test_who_is_found_again_in_the_same_image_is_given_to_nobody():
    vectors = clothes(2)
    (taken,) = ask(lost_people(vectors), vectors[1])
    (refused,) = ask(lost_people(vectors), vectors[1], present={2})
    assert (taken.identity, refused.identity) == (2, 0)


def test_who_is_not_alike_enough_is_somebody_new_with_less_confidence_the_nearer():
    vectors, other = clothes(3), clothes(4)[3]
    confidences = []
    for cosine in (0.3, 0.5, 0.55, 0.59):
        (answer,) = ask(lost_people(vectors), turned(vectors[0], other, cosine))
        assert answer.identity == 0
        assert answer.undecided == (cosine >= 0.55)  # within a margin of being somebody
        confidences.append(answer.confidence)
    assert confidences == sorted(confidences, reverse=True)
    assert 0.4 < confidences[-1] < 0.6


def test_of_two_who_look_alike_nobody_is_taken():
    one = clothes(1)[0]
    twin = turned(one, clothes(2)[1], 0.95)
    gallery = lost_people([one, twin])
    (answer,) = ask(gallery, one)
    assert (answer.identity, answer.undecided) == (0, True)
    assert answer.confidence < 0.1
    (answer,) = ask(gallery, one, config=TrackerConfig(gallery_margin=0.04, gallery_s=60.0))
    assert answer.identity == 1  # within the margin, and nothing else, stood in the way


def test_two_who_ask_at_once_and_look_alike_are_both_refused():
    one = clothes(1)[0]
    twin = turned(one, clothes(2)[1], 0.95)
    assert [a.identity for a in ask(lost_people([one]), one, twin)] == [0, 0]


def test_nobody_in_view_is_given_away():
    vectors = clothes(2)
    gallery = Gallery()
    gallery.note(FRONT, [(1, look_of(vectors[0]), 1.0)], 0, CONFIG)
    (here,) = ask(gallery, vectors[0], time_s=0.2)
    (there,) = ask(gallery, vectors[0], time_s=0.2, owner=REAR)
    assert here.identity == there.identity == 0
    assert not here.undecided  # whom this camera sees is somebody else
    assert there.undecided  # may be the same person
    gallery.note(FRONT, [], round(0.4 * SECOND), CONFIG)
    (there,) = ask(gallery, vectors[0], time_s=0.5, owner=REAR)
    assert there.identity == 1
    assert gallery.gone(FRONT, [1]) == {1}
    assert gallery.gone(REAR, [1]) == set()
    (again,) = ask(gallery, vectors[0], time_s=0.6, owner=FRONT)
    assert again.identity == 0  # in view of REAR from the moment it was found


def test_a_camera_that_fell_silent_sees_nobody():
    vectors = clothes(1)
    gallery = Gallery()
    gallery.note(FRONT, [(1, look_of(vectors[0]), 1.0)], 0, CONFIG)
    assert ask(gallery, vectors[0], time_s=0.9, owner=REAR)[0].identity == 0
    assert ask(gallery, vectors[0], time_s=1.1, owner=REAR)[0].identity == 1


def test_people_are_forgotten_after_their_time_on_the_clock_of_the_images():
    vectors = clothes(1)
    for time_s, identity in ((59.9, 1), (60.1, 0)):
        assert ask(lost_people(vectors), vectors[0], time_s=time_s)[0].identity == identity
    gallery = lost_people(vectors)
    gallery.note(REAR, [], 2 * SECOND, CONFIG)
    gallery.note(REAR, [], 61 * SECOND, CONFIG)
    assert len(gallery) == 0
    off = TrackerConfig(gallery_s=0.0)
    assert ask(lost_people(vectors, off), vectors[0], config=off)[0].identity == 0


def test_the_longest_unseen_leave_a_full_gallery_and_who_was_just_lost_stays():
    vectors, config = clothes(6), TrackerConfig(gallery_size=2, max_lost_s=1.0)
    gallery = Gallery()
    for k, vector in enumerate(vectors):
        gallery.note(FRONT, [(k + 1, look_of(vector), 1.0)], k * SECOND, config)
    assert len(gallery) == 4  # 6 in view, 5 lost a second ago, 4 and 3 kept of the others
    found = [ask(gallery, v, time_s=5.5, config=config)[0].identity for v in vectors]
    assert found == [0, 0, 3, 4, 5, 0]


def test_reset_of_a_camera_forgets_its_own_people_alone():
    vectors = clothes(2)
    gallery = Gallery()
    gallery.note(FRONT, [(1, look_of(vectors[0]), 1.0)], 0, CONFIG)
    gallery.note(REAR, [(2, look_of(vectors[1]), 1.0)], 0, CONFIG)
    gallery.forget(FRONT)
    gallery.note(REAR, [], SECOND, CONFIG)
    assert [ask(gallery, v)[0].identity for v in vectors] == [0, 2]


def test_a_person_is_found_by_one_camera_alone_whatever_the_threads_do():
    vectors, gallery = clothes(40), None
    gallery = lost_people(vectors)
    found, lock = [], threading.Lock()

    def work(owner):
        mine = [ask(gallery, v, owner=owner)[0].identity for v in vectors]
        with lock:
            found.extend(i for i in mine if i)

    threads = [threading.Thread(target=work, args=(object(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 41))


def test_nobody_asks_and_nobody_is_known():
    gallery = Gallery()
    assert gallery.ask(FRONT, [], (), 0, CONFIG) == []
    (answer,) = gallery.ask(FRONT, [Look()], (), 0, CONFIG)
    assert (answer.identity, answer.confidence, answer.undecided) == (0, 1.0, False)
    gallery = lost_people(clothes(1))
    (answer,) = gallery.ask(FRONT, [Look()], (), 3 * SECOND, CONFIG)  # not one embedding yet
    assert (answer.identity, answer.undecided) == (0, True)
    assert gallery.nbytes > 0


@given(st.integers(1, 60), st.integers(0, 10_000))
def test_a_look_has_a_fixed_size_and_unit_vectors(count, seed):
    rng, look = np.random.default_rng(seed), Look()
    for _ in range(count):
        vector = rng.normal(size=8).astype("f4")
        look.follow(vector / np.linalg.norm(vector), rng.uniform(0, 1))
        look.add(vector / np.linalg.norm(vector), rng.uniform(0, 1))
    assert 1 <= len(look.weights) == len(look.exemplars) <= EXEMPLARS
    np.testing.assert_allclose(np.linalg.norm(look.exemplars, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(look.mean), 1, atol=1e-5)


def test_a_look_keeps_the_back_while_the_front_is_seen():
    front, back = clothes(2)
    rng = np.random.default_rng(0)
    look = look_of(back)
    for _ in range(200):
        view = front + rng.normal(0, 0.03, front.shape)
        look.follow(view / np.linalg.norm(view), 1.0)
        look.add(view / np.linalg.norm(view), 1.0)
    assert look.similarity(back.astype("f4")) > 0.99
    assert look.mean @ front > 0.95  # the mean alone has forgotten it
    assert look.mean @ back < 0.3


def test_a_mean_look_begins_as_the_plain_mean_by_quality():
    vectors = clothes(2)
    look = Look()
    look.follow(vectors[0].astype("f4"), 0.0)
    assert look.mean is None
    look.follow(vectors[0].astype("f4"), 0.2)
    look.follow(vectors[1].astype("f4"), 0.8)
    want = 0.2 * vectors[0] + 0.8 * vectors[1]
    np.testing.assert_allclose(look.mean, want / np.linalg.norm(want), atol=1e-6)


def test_opposite_looks_and_faint_ones_do_no_harm():
    vector = np.array([1, 0], "f4")
    look = look_of(vector, -vector)
    assert np.isfinite(look.mean).all()
    before = look.exemplars.copy()
    look.add(np.array([0, 1], "f4"), 0.1)
    np.testing.assert_array_equal(look.exemplars, before)


def test_crowding_is_the_share_that_another_covers():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 40], [90, 90, 99, 99]], "f4")
    np.testing.assert_allclose(crowding(boxes), [1, 0.5, 0.25, 0])
    assert crowding(np.zeros((0, 4), "f4")).shape == (0,)


@pytest.mark.parametrize(
    "change",
    [{"gallery_s": -1.0}, {"gallery_size": -1}, {"gallery_similarity": 1.5},
     {"gallery_margin": -0.1}, {"gallery_wait_s": -0.1}, {"appearance_veto": 2.0}],
)  # fmt: skip
def test_impossible_parameters_are_refused(change):
    with pytest.raises(ConfigError, match=f"tracker.{next(iter(change))}: expected"):
        TrackerConfig(**change)


def test_a_stranger_in_somebodys_place_does_not_teach_the_look():
    mine, theirs = clothes(2).astype("f4")
    config = TrackerConfig()
    person = Tracklet(
        1,
        0,
        0,
        np.zeros(4, "f4"),
        np.zeros((17, 2), "f4"),
        np.ones(17, "f4"),
        identity=1,
        confidence=1.0,
    )
    for k in range(3):
        person.seen_ns = k * 10**9
        person.remember(mine, 1.0, 1.0, config)
    known = person.look.exemplars.copy()
    before = person.confidence
    person.seen_ns = 10 * 10**9
    person.remember(theirs, 1.0, 1.0, config)
    np.testing.assert_array_equal(person.look.exemplars, known)
    assert person.confidence < before
    for k in range(11, 16):
        person.seen_ns = k * 10**9
        person.remember(theirs, 1.0, 1.0, config)
    assert person.confidence < 0.5
    assert person.look.exemplars.shape == known.shape


def test_who_hides_behind_another_teaches_no_look():
    mine, theirs = clothes(2).astype("f4")
    config = TrackerConfig()
    person = Tracklet(1, 0, 0, np.zeros(4, "f4"), np.zeros((17, 2), "f4"), np.ones(17, "f4"))
    person.remember(mine, 1.0, 1.0, config)
    mean, exemplars = person.look.mean.copy(), person.look.exemplars.copy()
    person.seen_ns = 10**9
    person.remember(theirs, 1.0, 0.0, config)  # wholly covered by somebody else
    np.testing.assert_array_equal(person.look.mean, mean)
    person.seen_ns = 2 * 10**9
    person.remember(theirs, 1.0, 0.5, config)  # half covered: 0.25, not clear enough
    np.testing.assert_array_equal(person.look.exemplars, exemplars)
