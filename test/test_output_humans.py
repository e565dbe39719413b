# SPDX-License-Identifier: Apache-2.0
"""REP-155: topics that come and go with people, and who belongs to whom."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks
from hypothesis import given
from hypothesis import strategies as st
from message_definitions import Definitions

from alphapose_ros.base.records import FrameResult, Header, TrackState
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.output.humans import HumansFrame, HumansWriter

CLASSES = Definitions()
STAMP = 1_700_000_000_000_000_000
MATCHES = "humans/candidate_matches"
PERSON, FACE, BODY = 1, 2, 3


def result(
    at_s: float = 0.0,
    people: dict[int, int] | None = None,
    *,
    camera: str = "front",
    lost: tuple[int, ...] = (),
    face: float = 0.9,
    skeleton: str = "halpe136",
) -> FrameResult:
    """People as track -> identity, 0 while tentative."""
    people = {11: 1, 12: 2} if people is None else people
    tracks = make_tracks(len(people), SKELETONS[skeleton])
    tracks.poses.scores[:, tracks.poses.skeleton.parts.get("face", slice(0, 0))] = face
    ids = np.array(list(people.values()), int)
    states = np.where(ids > 0, TrackState.TRACKED, TrackState.TENTATIVE)
    numbers = np.array(list(people), int)
    states[np.isin(numbers, lost)] = TrackState.LOST
    tracks = replace(tracks, ids=ids, track_ids=numbers, states=states)
    header = Header(camera, f"{camera}_optical", STAMP + round(at_s * 1e9), (480, 640))
    return FrameResult(header, tracks)


class Front:
    """Keeps publishers as a front does and what they sent, latched ones their last."""

    def __init__(self, **options: Any) -> None:
        self.writer = HumansWriter(**options)
        self.publishers = {t.name: t for t in self.writer.topics}
        self.latched: dict[str, Any] = {}
        self.made = Counter(list(self.publishers))

    def write(self, of: FrameResult) -> dict[str, list[Any]]:
        return self.take(self.writer.write(of, CLASSES))

    def take(self, frame: HumansFrame) -> dict[str, list[Any]]:
        sent: dict[str, list[Any]] = {}
        for topic in frame.appeared:
            assert topic.name not in self.publishers
            self.publishers[topic.name] = topic
            self.made[topic.name] += 1
        for name, message in frame.messages:
            assert message.__msgtype__ == self.publishers[name].type
            sent.setdefault(name, []).append(CLASSES.again(message))
            if self.publishers[name].latched:
                self.latched[name] = message.data
        for name in frame.vanished:
            del self.publishers[name]
            self.latched.pop(name, None)
        assert set(self.publishers) == {t.name for t in self.writer.topics}
        return sent

    def of(self, kind: str) -> set[str]:
        """The ids that have topics of their own."""
        return {n.split("/")[2] for n in self.publishers if re.match(f"humans/{kind}/.*/", n)}


def ids(sent: dict[str, list[Any]], name: str) -> list[str]:
    (message,) = sent[f"humans/{name}"]
    return list(message.ids)


def matches(sent: dict[str, list[Any]]) -> dict[tuple[Any, ...], float]:
    said = [((m.id1, m.id1_type, m.id2, m.id2_type), m.confidence) for m in sent.get(MATCHES, [])]
    assert len(dict(said)) == len(said)
    return dict(said)


def test_topics_have_the_standards_names_and_types() -> None:
    front = Front()
    front.write(result(people={11: 7}))
    types = {n: t.type.replace("/msg/", "/") for n, t in front.publishers.items()}
    assert types == {
        "humans/bodies/tracked": "hri_msgs/IdsList",
        "humans/faces/tracked": "hri_msgs/IdsList",
        "humans/persons/tracked": "hri_msgs/IdsList",
        "humans/persons/known": "hri_msgs/IdsList",
        "humans/candidate_matches": "hri_msgs/IdsMatch",
        "humans/bodies/b11/roi": "hri_msgs/NormalizedRegionOfInterest2D",
        "humans/bodies/b11/skeleton2d": "hri_msgs/Skeleton2D",
        "humans/faces/f11/roi": "hri_msgs/NormalizedRegionOfInterest2D",
        "humans/faces/f11/landmarks": "hri_msgs/FacialLandmarks",
        "humans/persons/p7/anonymous": "std_msgs/Bool",
        "humans/persons/p7/body_id": "std_msgs/String",
        "humans/persons/p7/face_id": "std_msgs/String",
        "humans/persons/p7/location_confidence": "std_msgs/Float32",
    }
    latched = {n.rpartition("/")[2] for n, t in front.publishers.items() if t.latched}
    assert latched == {"anonymous", "body_id", "face_id"}
    # https://design.ros2.org/articles/topic_and_service_names.html: no part starts with a digit.
    assert all(re.fullmatch(r"[a-z_]\w*", part) for n in types for part in n.split("/"))


def test_nobody_is_said_and_makes_no_topic() -> None:
    front = Front()
    for at in (0.0, 0.1):
        sent = front.write(result(at, {}))
        assert set(sent) == {f"humans/{k}" for k in (
            "bodies/tracked", "faces/tracked", "persons/tracked", "persons/known"
        )}  # fmt: skip
        assert not any(m.ids for (m,) in sent.values())
    assert len(front.publishers) == 5


def test_headers_are_the_source_images() -> None:
    sent = Front().write(result(1.5))
    with_header = [m for messages in sent.values() for m in messages if hasattr(m, "header")]
    assert len(with_header) == 4 + 2 * 4
    for message in with_header:
        assert message.header.stamp.sec == STAMP // 10**9 + 1
        assert message.header.stamp.nanosec == 500_000_000
        assert message.header.frame_id == "front_optical"


def test_tentative_people_have_a_body_and_no_person_and_lost_people_nothing() -> None:
    front = Front()
    sent = front.write(result(people={11: 1, 12: 0, 13: 3}, lost=(13,)))
    assert ids(sent, "bodies/tracked") == ["b11", "b12"]
    assert ids(sent, "faces/tracked") == ["f11", "f12"]
    assert ids(sent, "persons/tracked") == ids(sent, "persons/known") == ["p1"]
    assert (front.of("bodies"), front.of("persons")) == ({"b11", "b12"}, {"p1"})
    assert matches(sent) == {
        ("b11", BODY, "p1", PERSON): 0.5,
        ("f11", FACE, "b11", BODY): 1.0,
        ("f12", FACE, "b12", BODY): 1.0,
    }


def test_topics_come_and_go_exactly_once() -> None:
    front = Front(linger_s=1.0)
    visits = [{11: 1}, {11: 1}, {11: 1, 12: 2}, {12: 2}, {12: 2}, {}, {}]
    for time, people in enumerate(visits):
        front.write(result(time * 0.5, people))
        assert front.of("bodies") == {f"b{t}" for t in people}
        assert front.of("faces") == {f"f{t}" for t in people}
    assert front.of("persons") == {"p2"}
    front.write(result(4, {}))
    assert len(front.publishers) == 5
    assert set(front.made.values()) == {1}


def test_latched_strings_say_whose_body_it_is_and_that_it_is_gone() -> None:
    front = Front(linger_s=3.0)
    first = front.write(result(0, {11: 1}))
    assert first["humans/persons/p1/body_id"][0].data == "b11"
    assert first["humans/persons/p1/anonymous"][0].data is False
    again = front.write(result(0.1, {11: 1}))
    assert not [n for n in again if n.endswith(("body_id", "face_id", "anonymous"))]
    assert again["humans/persons/p1/location_confidence"][0].data == 1.0
    gone = front.write(result(0.2, {}))
    assert gone["humans/persons/p1/location_confidence"][0].data == 0.0
    assert front.latched == {
        "humans/persons/p1/anonymous": False,
        "humans/persons/p1/body_id": "",
        "humans/persons/p1/face_id": "",
    }
    assert not [n for n in front.write(result(0.3, {})) if "/p1/" in n]
    back = front.write(result(0.4, {15: 1}))
    assert back["humans/persons/p1/body_id"][0].data == "b15"
    assert ids(back, "persons/known") == ["p1"]


def test_matches_begin_are_repeated_each_second_and_end_with_zero() -> None:
    front = Front()
    both = {("b11", BODY, "p1", PERSON): 0.5, ("f11", FACE, "b11", BODY): 1.0}
    assert matches(front.write(result(0, {11: 1}))) == both
    assert matches(front.write(result(0.9, {11: 1}))) == {}
    assert matches(front.write(result(1.0, {11: 1}))) == both
    assert matches(front.write(result(1.1, {}))) == dict.fromkeys(both, 0.0)
    assert matches(front.write(result(9.9, {}))) == {}


def test_a_person_of_no_confidence_is_not_said_to_be_somebody_else() -> None:
    before = result(0, {11: 1})
    tracks = replace(before.tracks, identity_confidence=np.zeros(1))
    sent = Front().write(replace(before, tracks=tracks))
    assert matches(sent) == {("f11", FACE, "b11", BODY): 1.0}


def test_a_face_comes_with_its_score_and_stays_above_half_of_it() -> None:
    front = Front(face_score=0.4)
    for at, score, there in [(0, 0.3, 0), (1, 0.5, 1), (2, 0.3, 1), (3, 0.1, 0), (4, 0.3, 0)]:
        sent = front.write(result(at, {11: 1}, face=score))
        assert ids(sent, "faces/tracked") == ["f11"] * there
        assert front.latched.get("humans/persons/p1/face_id", "") == "f11" * there
        assert front.of("faces") == {"f11"} if there else not front.of("faces")


def test_two_cameras_do_not_take_each_others_people() -> None:
    front = Front()
    front.write(result(0.00, {11: 1}, camera="front"))
    sent = front.write(result(0.01, {12: 2, 13: 0}, camera="rear"))
    assert ids(sent, "bodies/tracked") == ["b11", "b12", "b13"]
    assert ids(sent, "persons/tracked") == ["p1", "p2"]
    assert "humans/bodies/b11/roi" not in sent
    assert sent["humans/bodies/b12/roi"][0].header.frame_id == "rear_optical"
    sent = front.write(result(0.10, {}, camera="rear"))
    assert ids(sent, "bodies/tracked") == ["b11"]
    assert set(front.made.values()) == {1}
    assert front.latched["humans/persons/p1/body_id"] == "b11"
    assert front.latched["humans/persons/p2/body_id"] == ""


@pytest.mark.parametrize("offset", [-1e6, -3.0, 0.0, 3.0, 1e6])
def test_a_silent_camera_shows_nobody_whatever_its_clock_says(offset: float) -> None:
    front = Front(stale_s=2.0)
    for step in range(30):
        sent = front.write(result(step * 0.1, {11: 1}, camera="front"))
        if step < 5:
            sent = front.write(result(step * 0.1 + offset, {12: 2}, camera="rear"))
        there = step * 0.1 - 0.4 <= 2.0 + 1e-6
        assert ids(sent, "bodies/tracked") == (["b11", "b12"] if there else ["b11"])
    assert set(front.made.values()) == {1}


def test_a_clock_that_goes_back_loses_nobody_and_goes_on() -> None:
    front = Front()
    for at, said in [(100.0, 2), (100.1, 0), (3.0, 0), (4.0, 2)]:
        sent = front.write(result(at, {11: 1}))
        assert ids(sent, "bodies/tracked") == ["b11"]
        assert len(matches(sent)) == said
    assert set(front.made.values()) == {1}


def test_a_camera_can_be_forgotten() -> None:
    front = Front()
    front.write(result(0, {11: 1}, camera="front"))
    front.write(result(0, {12: 2}, camera="rear"))
    sent = front.take(front.writer.forget("front", CLASSES))
    assert ids(sent, "bodies/tracked") == ["b12"]
    assert front.of("bodies") == {"b12"}
    assert ids(front.take(HumansWriter().forget("front", CLASSES)), "bodies/tracked") == []


def test_known_persons_are_the_last_seen() -> None:
    front = Front(max_known=2)
    for time, identity in enumerate([5, 6, 5, 7]):
        sent = front.write(result(time * 0.1, {20 + time: identity}))
    assert ids(sent, "persons/known") == ["p5", "p7"]
    assert ids(front.write(result(9, {31: 1, 32: 2, 33: 3})), "persons/known") == [
        "p1",
        "p2",
        "p3",
    ]


@given(st.permutations(range(4)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    straight = result(0, {11: 4, 12: 0, 13: 2, 14: 9}, lost=(14,))
    mixed = replace(straight, tracks=straight.tracks[np.array(order)])
    one, other = (HumansWriter().write(r, CLASSES) for r in (straight, mixed))
    assert one.appeared == other.appeared
    assert [n for n, _ in one.messages] == [n for n, _ in other.messages]
    for (_, a), (_, b) in zip(one.messages, other.messages, strict=True):
        assert CLASSES.serialize(a) == CLASSES.serialize(b)


@given(st.lists(st.dictionaries(st.integers(1, 5), st.booleans(), max_size=4), max_size=10))
def test_lists_topics_and_latched_strings_always_agree(frames: list[dict[int, bool]]) -> None:
    front = Front(linger_s=0.5)
    for time, shown in enumerate(frames):
        camera = ("front", "rear")[time % 2]
        # A camera's tracks and identities are its own: track 10 t + c is identity 100 t + c.
        people = {10 * t + time % 2: (100 * t + time % 2) * known for t, known in shown.items()}
        sent = front.write(result(time * 0.2, people, camera=camera))
        assert front.of("bodies") == set(ids(sent, "bodies/tracked"))
        assert front.of("faces") == set(ids(sent, "faces/tracked"))
        assert front.of("persons") >= set(ids(sent, "persons/tracked"))
        assert set(ids(sent, "persons/known")) >= set(ids(sent, "persons/tracked"))
        for name in front.of("persons"):
            body = front.latched.get(f"humans/persons/{name}/body_id", "")
            assert (body != "") == (name in ids(sent, "persons/tracked"))
            assert not body or int(body[1:]) // 10 * 100 + int(body[1:]) % 10 == int(name[1:])
