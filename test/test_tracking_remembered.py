# SPDX-License-Identifier: Apache-2.0
"""Whom several cameras remember when one of them starts, stutters, resets or sees a new side."""

from __future__ import annotations

import numpy as np
import pytest
from test_tracking_gallery import CONFIG, FRONT, REAR, ask, look_of, lost_people, turned
from tracking_scenes import SECOND, clothes

from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.gallery import Gallery
from alphapose_ros.tracking.tracklet import Tracklet


def in_view(vector: np.ndarray, seconds: float = 1.0) -> Gallery:
    """A gallery of person 1, whom FRONT has in view ten times a second from 0 s on."""
    gallery = Gallery()
    for image in range(round(seconds * 10) + 1):
        gallery.note(FRONT, [(1, look_of(vector), 1.0)], image * SECOND // 10, CONFIG)
    return gallery


@pytest.mark.parametrize("ahead_s", [-5, 5])
def test_a_camera_that_starts_with_another_clock_takes_nobody_in_view(ahead_s: int) -> None:
    (vector,) = clothes(1)
    (answer,) = ask(in_view(vector), vector, time_s=1 + ahead_s, owner=REAR)
    assert answer.identity == 0


def test_a_camera_that_catches_up_after_a_late_image_takes_nobody_in_view() -> None:
    (vector,) = clothes(1)
    gallery = in_view(vector)
    gallery.note(REAR, [], SECOND, CONFIG)
    for image in range(11, 201):
        gallery.note(FRONT, [(1, look_of(vector), 1.0)], image * SECOND // 10, CONFIG)
    gallery.note(REAR, [], 15 * SECOND, CONFIG)  # held up for five seconds
    (answer,) = ask(gallery, vector, time_s=20, owner=REAR)
    assert answer.identity == 0


def test_a_camera_that_was_reset_and_has_its_clock_set_takes_nobody_in_view() -> None:
    (vector,) = clothes(1)
    gallery = in_view(vector)
    gallery.note(REAR, [], -20 * SECOND, CONFIG)
    gallery.forget(REAR)
    (answer,) = ask(gallery, vector, time_s=1, owner=REAR)
    assert answer.identity == 0


def test_people_are_forgotten_in_their_time_after_a_clock_was_ahead_for_one_image() -> None:
    gallery, (vector,) = Gallery(), clothes(1)
    for owner in (FRONT, REAR):
        gallery.note(owner, [], 0, CONFIG)
    gallery.note(FRONT, [], 3600 * SECOND, CONFIG)
    for time_s, left in ((1, 1), (60, 1), (62, 0)):
        people = [(1, look_of(vector), 1.0)] if time_s == 1 else []
        gallery.note(REAR, people, time_s * SECOND, CONFIG)
        assert len(gallery) == left


@pytest.mark.parametrize("behind_s", [0, 20, 3600])
def test_a_camera_whose_clock_is_behind_forgets_in_time_when_it_is_the_last(behind_s: int) -> None:
    gallery = in_view(clothes(1)[0])
    gallery.note(REAR, [], (1 - behind_s) * SECOND, CONFIG)
    for later_s, left in ((60, 1), (61, 0)):
        gallery.note(REAR, [], (1 + later_s - behind_s) * SECOND, CONFIG)
        assert len(gallery) == left


def test_a_person_is_remembered_for_exactly_the_time_that_was_asked_for() -> None:
    (vector,) = clothes(1)
    gallery = lost_people([vector])
    gallery.note(FRONT, [], 60 * SECOND, CONFIG)
    assert ask(gallery, vector, time_s=60)[0].identity == 1


def test_whom_one_camera_lost_another_may_find_however_many_empty_images_it_had() -> None:
    (vector,) = clothes(1)
    gallery = in_view(vector)
    gallery.note(FRONT, [], round(1.1 * SECOND), CONFIG)
    gallery.note(REAR, [], round(1.2 * SECOND), CONFIG)
    assert ask(gallery, vector, time_s=1.3, owner=REAR)[0].identity == 1


def test_who_looks_like_somebody_beside_them_is_surely_somebody_else() -> None:
    (vector,) = clothes(1)
    (answer,) = ask(in_view(vector), vector, time_s=1.1)
    assert answer.identity == 0
    assert answer.confidence > 0.99


def test_a_doubtful_number_stays_doubtful_when_its_owner_returns() -> None:
    gallery, (vector,) = Gallery(), clothes(1)
    gallery.note(FRONT, [(1, look_of(vector), 0.3)], 0, CONFIG)
    gallery.note(FRONT, [], 2 * SECOND, CONFIG)
    (answer,) = ask(gallery, vector)
    assert answer.identity == 1
    assert answer.confidence == pytest.approx(0.3, abs=0.01)


def test_who_is_found_again_is_known_from_the_new_side_too() -> None:
    front, side = clothes(2)
    seen_now = turned(front, side, 0.7)
    back = turned(front, side, 0.3)  # unlike the front, like the side that is seen now
    assert back @ front < CONFIG.gallery_similarity < back @ seen_now
    gallery = lost_people([front])
    assert ask(gallery, back)[0].identity == 0
    assert ask(gallery, seen_now)[0].identity == 1
    gallery.note(FRONT, [], 4 * SECOND, CONFIG)
    assert ask(gallery, back, time_s=5)[0].identity == 1


def test_nobody_is_taken_who_looks_like_somebody_in_view_too() -> None:
    one, other = clothes(2)
    gallery = lost_people([one])
    gallery.note(REAR, [(2, look_of(turned(one, other, 0.98)), 1.0)], 3 * SECOND, CONFIG)
    (answer,) = ask(gallery, one)
    assert (answer.identity, answer.undecided) == (0, True)


def test_without_a_margin_who_returns_is_found_with_a_confidence_all_the_same() -> None:
    config = TrackerConfig(gallery_margin=0.0)
    (answer,) = ask(lost_people(clothes(1), config), clothes(1)[0], config=config)
    assert answer.identity == 1
    assert answer.confidence > 0.99


def test_somebody_new_keeps_what_was_learned_before_they_had_a_number() -> None:
    first, other = clothes(2)
    (answer,) = ask(lost_people([first]), other)
    gallery = Gallery()
    gallery.note(FRONT, [(2, answer.look, 1.0)], 0, CONFIG)
    gallery.note(FRONT, [], 2 * SECOND, CONFIG)
    assert ask(gallery, other)[0].identity == 2


def person_who_looks(vector: np.ndarray, confidence: float, identity: int = 1) -> Tracklet:
    """Seen first at 0 s and now at 1 s."""
    nowhere, joints = np.zeros(4, np.float32), np.zeros((17, 2), np.float32)
    person = Tracklet(
        1, 0, 0, nowhere, joints, joints[:, 0], identity=identity, confidence=confidence
    )
    person.remember(np.asarray(vector, np.float32), 1.0, 1.0, CONFIG)
    person.seen_ns = SECOND
    return person


@pytest.mark.parametrize(
    ("confidence", "alone", "least"), [(1.0, 1.0, 0.95), (0.9, 0.3, 0.85), (0.9, 1.0, 0.5)]
)
def test_one_strange_look_is_no_proof_of_a_stranger(
    confidence: float, alone: float, least: float
) -> None:
    """The less so where somebody else covers most of the box."""
    mine, theirs = clothes(2).astype(np.float32)
    person = person_who_looks(mine, confidence)
    person.remember(theirs, 1.0, alone, CONFIG)
    assert least < person.confidence < confidence


def test_a_familiar_look_leaves_a_certain_number_certain() -> None:
    mine = clothes(1)[0].astype(np.float32)
    person = person_who_looks(mine, 1.0)
    person.remember(mine, 1.0, 1.0, CONFIG)
    assert person.confidence == 1.0


@pytest.mark.parametrize(("confidence", "learned"), [(0.2, 1), (0.6, 2)])
def test_a_look_is_learned_only_where_it_is_likely_the_same_person(
    confidence: float, learned: int
) -> None:
    front, other = clothes(2)
    person = person_who_looks(front, confidence)
    person.remember(turned(front, other, 0.6).astype(np.float32), 0.4, 1.0, CONFIG)
    assert len(person.look.exemplars) == learned
    assert person.confidence > confidence


def test_a_newcomer_learns_every_side_before_they_have_a_number() -> None:
    front, back = clothes(2)
    person = person_who_looks(front, 0.0, identity=0)
    person.remember(back.astype(np.float32), 1.0, 1.0, CONFIG)
    assert person.look.similarity(front.astype(np.float32)) > 0.99
    assert person.look.similarity(back.astype(np.float32)) > 0.99
