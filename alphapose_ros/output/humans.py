# SPDX-License-Identifier: Apache-2.0
"""Results -> the ``humans/...`` topics of REP-155 (a draft): bodies, faces, persons, matches.

A body is an unbroken track and a person is an identity. Ids start with a letter, because parts of
ROS 2 topic names must: ``b11`` and its face ``f11`` of track 11, ``p7`` of identity 7. REP-155
names their frames by kind and id: ``body_b11``, ``person_p7``. The ``hri_msgs`` used here are the
same in all its releases for ROS 2, 2.0.0 to 2.3.2.

Not filled, as nobody here knows it: ``cropped`` (the image is elsewhere), ``joint_states``,
``posture``, ``gesture``, ``alias``, ``engagement_status``, pupils, the head's and gaze's frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import FrameResult, Header, Spatial, Tracks, TrackState
from alphapose_ros.output.bodies import (
    body_id,
    body_parts,
    face_id,
    face_parts,
    landmark_points,
    person_id,
)
from alphapose_ros.output.messages import Classes, ros_header
from alphapose_ros.output.target import facing

FloatArray = NDArray[np.float64]
Message = tuple[str, Any]  # relative topic name, message
BodyFrame = tuple[str, list[float], list[float]]  # child frame, x y z (m), x y z w

_PERSON, _FACE, _BODY = 1, 2, 3  # hri_msgs/IdsMatch
_REPEAT_NS = 10**9  # a match is said again so often: its topic is not latched
_LISTS = ("bodies/tracked", "faces/tracked", "persons/tracked", "persons/known")
_MATCHES = "humans/candidate_matches"
_ROI, _STRING = "hri_msgs/msg/NormalizedRegionOfInterest2D", "std_msgs/msg/String"
_OWN = {
    "bodies": {"roi": _ROI, "skeleton2d": "hri_msgs/msg/Skeleton2D"},
    "faces": {"roi": _ROI, "landmarks": "hri_msgs/msg/FacialLandmarks"},
    "persons": {
        "anonymous": "std_msgs/msg/Bool",
        "body_id": _STRING,
        "face_id": _STRING,
        "location_confidence": "std_msgs/msg/Float32",
    },
}
_LATCHED = ("anonymous", "body_id", "face_id")


@dataclass(frozen=True)
class HumansTopic:
    """A topic by its relative name; ``type`` is such as ``hri_msgs/msg/IdsList``."""

    name: str
    type: str
    latched: bool = False


@dataclass(frozen=True)
class HumansFrame:
    """What to do after a frame: make ``appeared``, send ``messages``, remove ``vanished``."""

    appeared: tuple[HumansTopic, ...]
    messages: tuple[Message, ...]
    vanished: tuple[str, ...]


class _Body(NamedTuple):
    identity: int  # 0: no person yet
    confidence: float  # that it is this person
    has_face: bool


class _View(NamedTuple):
    """A camera's bodies by track number, and when they were seen."""

    seen_ns: int
    bodies: dict[int, _Body]


class HumansWriter:
    """The ``humans`` topics of all cameras of a process; remembers who is announced.

    A frame replaces what its own camera showed before and leaves the other cameras' people alone.
    Times are those of the images.

    Args:
        face_score: mean score of landmarks from which a face is there; it goes below half of it.
        stale_s: a camera that is silent for longer, while others go on, shows nobody.
        linger_s: a person's topics outlive the last sight by this, to say that body and place are
            gone; a body's and a face's go at once.
        max_known: so many persons, the last seen, are in ``humans/persons/known``.
    """

    def __init__(
        self,
        *,
        face_score: float = 0.3,
        stale_s: float = 2.0,
        linger_s: float = 5.0,
        max_known: int = 100,
    ) -> None:
        self._face_score = face_score
        self._stale_ns, self._linger_ns = round(stale_s * 1e9), round(linger_s * 1e9)
        self._max_known = max_known
        self._clock = _Clock()
        self._header = Header("", "", 0, (1, 1))
        self._views: dict[str, _View] = {}
        self._known: dict[int, int] = {}  # identity -> last seen, the latest at the end
        self._said: dict[str, Any] = {}  # what the persons' topics said last
        self._matched: dict[tuple[str, int, str, int], int] = {}  # -> when said
        self._topics = _topics({})

    @property
    def topics(self) -> tuple[HumansTopic, ...]:
        """All that exist now; those of nobody in particular are there from the beginning."""
        return tuple(self._topics.values())

    def write(
        self,
        result: FrameResult,
        classes: Classes,
        wanted: Callable[[str], bool] = lambda name: True,
    ) -> HumansFrame:
        """Messages of one camera's frame and the topics that come and go with it.

        Args:
            result: what the pipeline says; lost people have no body.
            classes: message constructors.
            wanted: whether anybody listens to a body's or face's topic: 18 and 70 points are not
                made for nobody. It is asked about topics that have just appeared, too.
        """
        self._header = header = result.header
        now = self._clock.at(header.camera, header.stamp_ns)
        tracks = result.tracks[_embodied(result.tracks)]
        tracks = tracks[np.argsort(tracks.track_ids)]
        landmarks = landmark_points(tracks.poses, header.size_hw)
        last = self._views[header.camera].bodies if header.camera in self._views else {}
        scores = landmarks[:, :68, 2].mean(1)  # without the pupils
        faces = self._faces(tracks, scores, last)
        columns = (tracks.track_ids, tracks.ids, tracks.identity_confidence, faces)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        self._views[header.camera] = _View(now, {row[0]: _Body(*row[1:]) for row in rows})
        views = self._views.items()
        self._views = {c: view for c, view in views if now - view.seen_ns <= self._stale_ns}
        chosen = [
            *body_parts(header, tracks, classes),
            *face_parts(header, tracks[faces], landmarks[faces], scores[faces], classes),
        ]
        return self._frame(classes, [(name, make()) for name, make in chosen if wanted(name)])

    def forget(self, camera: str, classes: Classes) -> HumansFrame:
        """Let the people of a camera go that will send no more frames."""
        self._views.pop(camera, None)
        return self._frame(classes, [])

    def _faces(
        self, tracks: Tracks, scores: FloatArray, last: dict[int, _Body]
    ) -> NDArray[np.bool_]:
        """(N,) who shows a face; one that was there before needs half the score."""
        had = np.array([t in last and last[t].has_face for t in tracks.track_ids.tolist()], bool)
        shown: NDArray[np.bool_] = scores >= np.where(had, 0.5, 1.0) * self._face_score
        return shown & (scores > 0)

    def _frame(self, classes: Classes, parts: list[Message]) -> HumansFrame:
        now = self._clock.now_ns
        bodies = dict(sorted(i for view in self._views.values() for i in view.bodies.items()))
        persons = {body.identity: track for track, body in bodies.items() if body.identity > 0}
        persons = dict(sorted(persons.items()))
        self._remember(persons)
        recent = sorted(i for i, seen in self._known.items() if now - seen <= self._linger_ns)
        names = {
            "bodies": [body_id(track) for track in bodies],
            "faces": [face_id(track) for track, body in bodies.items() if body.has_face],
            "persons": [person_id(identity) for identity in recent],
        }
        before, self._topics = self._topics, _topics(names)
        seen, known = ([person_id(i) for i in ids] for ids in (persons, sorted(self._known)))
        lists = zip(_LISTS, (names["bodies"], names["faces"], seen, known), strict=True)
        stamp = ros_header(self._header, classes)
        tracked = [(f"humans/{k}", classes.IdsList(header=stamp, ids=ids)) for k, ids in lists]
        states = self._states({i: persons.get(i, 0) for i in recent}, bodies, classes)
        return HumansFrame(
            tuple(topic for name, topic in self._topics.items() if name not in before),
            (*tracked, *parts, *self._matches(bodies, classes), *states),
            tuple(name for name in before if name not in self._topics),
        )

    def _remember(self, persons: dict[int, int]) -> None:
        others = {i: seen for i, seen in self._known.items() if i not in persons}
        room = max(self._max_known - len(persons), 0)
        kept = list(others.items())[len(others) - min(room, len(others)) :]
        self._known = {**dict(kept), **dict.fromkeys(persons, self._clock.now_ns)}

    def _states(
        self, tracks: dict[int, int], bodies: dict[int, _Body], classes: Classes
    ) -> list[Message]:
        """What changed in the topics of persons, given as identity -> track, 0 for none."""
        says: dict[str, Any] = {}
        for identity, track in tracks.items():
            face = track in bodies and bodies[track].has_face
            values = False, body_id(track) if track else "", face_id(track) if face else ""
            for key, value in zip(_OWN["persons"], (*values, float(track > 0)), strict=True):
                says[f"humans/persons/{person_id(identity)}/{key}"] = value
        said, self._said = self._said, says
        due = {
            name: value
            for name, value in says.items()
            if value != said.get(name, "") or (value and not self._topics[name].latched)
        }
        return [
            (name, getattr(classes, self._topics[name].type.rpartition("/")[2])(data=value))
            for name, value in due.items()
        ]

    def _matches(self, bodies: dict[int, _Body], classes: Classes) -> list[Message]:
        """Who belongs together, said when it begins and each second; 0 says that it ended."""
        now, pairs = self._clock.now_ns, {}
        for track, (identity, confidence, has_face) in bodies.items():
            if has_face:
                pairs[face_id(track), _FACE, body_id(track), _BODY] = 1.0
            if identity > 0 and confidence > 0:
                pairs[body_id(track), _BODY, person_id(identity), _PERSON] = confidence
        ended = [pair for pair in self._matched if pair not in pairs]
        due = [p for p in pairs if now - self._matched.get(p, now - _REPEAT_NS) >= _REPEAT_NS]
        self._matched = {p: now if p in due else self._matched[p] for p in pairs}
        said = [(*pair, 0.0) for pair in ended] + [(*pair, pairs[pair]) for pair in due]
        fields = ("id1", "id1_type", "id2", "id2_type", "confidence")
        return [(_MATCHES, classes.IdsMatch(**dict(zip(fields, s, strict=True)))) for s in said]


class _Clock:
    """One time for cameras whose clocks may differ; it never goes back."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._cameras: dict[str, tuple[int, int]] = {}  # last stamp, what makes it this clock's

    def at(self, camera: str, stamp_ns: int) -> int:
        last, offset = self._cameras.get(camera, (stamp_ns, self.now_ns - stamp_ns))
        if stamp_ns < last:  # a new clock
            offset = self.now_ns - stamp_ns
        self._cameras[camera] = stamp_ns, offset
        self.now_ns = max(self.now_ns, stamp_ns + offset)
        return self.now_ns


def body_frames(result: FrameResult, spatial: Spatial | None) -> list[BodyFrame]:
    """TF frames of a frame's bodies, and of their persons, as far as ``spatial`` knows the place.

    Each row is the child frame, ``body_b11`` or ``person_p7``, with position and quaternion in
    ``spatial.frame``: x where the person faces, z up. Where the heading is not known it is 0: up
    is right, the direction says nothing. The origin is the torso's centre, which keeps its place
    though joints come and go; REP-155's is between the hips, a good hand's breadth or two below.
    """
    tracks = result.tracks
    if spatial is None:
        return []
    rows = np.flatnonzero(_embodied(tracks) & np.isfinite(spatial.positions).all(1))
    headings = np.nan_to_num(spatial.headings[rows])
    places = zip(
        tracks.track_ids[rows].tolist(),
        tracks.ids[rows].tolist(),
        spatial.positions[rows].tolist(),
        facing(headings, spatial.frame, result.header.frame_id).tolist(),
        strict=True,
    )
    frames: list[BodyFrame] = []
    for track, identity, position, quaternion in places:
        frames.append((f"body_{body_id(track)}", position, quaternion))
        if identity > 0:
            frames.append((f"person_{person_id(identity)}", position, quaternion))
    return frames


def _embodied(tracks: Tracks) -> NDArray[np.bool_]:
    return np.isin(tracks.states, (TrackState.TENTATIVE, TrackState.TRACKED))


def _topics(names: Mapping[str, Iterable[str]]) -> dict[str, HumansTopic]:
    """All topics while there are these bodies, faces and persons."""
    own = [
        HumansTopic(f"humans/{kind}/{name}/{key}", type_name, key in _LATCHED)
        for kind, types in _OWN.items()
        for name in names.get(kind, ())
        for key, type_name in types.items()
    ]
    lists = [HumansTopic(f"humans/{key}", "hri_msgs/msg/IdsList") for key in _LISTS]
    matches = HumansTopic(_MATCHES, "hri_msgs/msg/IdsMatch")
    return {topic.name: topic for topic in (*lists, matches, *own)}
