# SPDX-License-Identifier: Apache-2.0
"""People with identities from poses and the images' own clock, one tracker for each camera.

Every image is matched in stages, the surest first: looks where the motion allows them, poses and
boxes of people just seen, the same more loosely for leftovers and lost people, faint detections
that keep someone alive, tentative tracks. What is left begins a tentative track, and that gets its
identity when the gallery was asked whether a lost person is back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Appearance, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.tracking.association import Cues, Match, Stage, cascade
from alphapose_ros.tracking.births import births, canonical, credible
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.costs import crowding
from alphapose_ros.tracking.due import due
from alphapose_ros.tracking.expectation import Expectation, expectation
from alphapose_ros.tracking.gallery import Answer, Gallery
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.kalman import BoxMotion, KalmanFilter
from alphapose_ros.tracking.report import report
from alphapose_ros.tracking.smoothing import OneEuroFilter
from alphapose_ros.tracking.tracklet import Tracklet
from alphapose_ros.tracking.warp import checked


class Tracker:
    """``tracker.update(poses, stamp_ns)`` -> Tracks; call it for images with nobody in them too.

    Args:
        config: see :class:`TrackerConfig`.
        skeleton: of the poses.
        identities: share one among all trackers whose numbers must not collide.
        gallery: share one among all trackers whose people may meet; None: one of its own.
    """

    def __init__(
        self,
        config: TrackerConfig,
        skeleton: Skeleton,
        identities: IdentitySource,
        gallery: Gallery | None = None,
    ) -> None:
        self.config = config
        self.skeleton = skeleton
        self.identities = identities
        self.gallery = Gallery() if gallery is None else gallery
        self._key = object()  # this tracker's in the gallery
        self._filter = KalmanFilter(config)
        self._people: list[Tracklet] = []
        self._motion = BoxMotion.empty()  # of the same rows
        self._stamp_ns: int | None = None

    def reset(self) -> None:
        """Forget everybody and the clock. Numbers given out are not given again."""
        self._people, self._motion = [], BoxMotion.empty()
        self._stamp_ns = None
        self.gallery.forget(self._key)

    def reconfigure(self, config: TrackerConfig) -> None:
        """Other parameters from the next image on; nobody is forgotten."""
        before, self.config, self._filter = self.config, config, KalmanFilter(config)
        if _smoothing(before) != _smoothing(config):
            for person in self._people:
                person.smoother = self._smoother()

    def worth_a_look(self, poses: Poses, stamp_ns: int) -> NDArray[np.bool_]:
        """(N,) which of an image's poses to embed before :meth:`update`; changes nothing."""
        predicted = self._predicted(stamp_ns).boxes
        return due(self._people, predicted, poses, stamp_ns, self.config.look_interval_s)

    def expectation(self, stamp_ns: int) -> Expectation | None:
        """Where everybody should be, if that can stand in for a detector; changes nothing."""
        predicted = self._predicted(stamp_ns).boxes
        return expectation(self._people, predicted, stamp_ns, self.config)

    def _predicted(self, stamp_ns: int) -> BoxMotion:
        dt = 0.0 if self._stamp_ns is None else max(stamp_ns - self._stamp_ns, 0) / 1e9
        return self._filter.predict(self._motion, dt)

    def update(
        self,
        poses: Poses,
        stamp_ns: int,
        appearance: Appearance | None = None,
        motion: NDArray[np.floating] | None = None,
    ) -> Tracks:
        """Take one image's poses in and say who is who.

        Args:
            poses: of the image, possibly none. Their order has no influence.
            stamp_ns: time of the image, later than the one before.
            appearance: of the same rows as ``poses``; quality 0 where nobody looked.
            motion: (2, 3) how the background moved since the image before, px there -> px here.

        Returns:
            A row for each person seen in this image, in the order in which their tracks began, and
            for those lost not longer than ``publish_lost_s``; their ``poses.source`` is -1.
            Velocities are the image's, or the background's where ``motion`` is given.

        Raises:
            InputError: the stamp does not advance, or the records do not fit together.
        """
        self._check(poses, stamp_ns, appearance)
        camera = None if motion is None else checked(motion)
        with self.gallery.lock:  # what is concluded here, no other camera changes meanwhile
            self._predict(stamp_ns, camera)
            matches = self._associate(poses, stamp_ns, appearance)
            self._correct(matches, poses, stamp_ns)
            rows = {m.person: m.row for m in matches}
            born = births(rows.values(), poses, self.config)
            rows.update(self._begin(born, poses, stamp_ns))
            self._remember(rows, poses, appearance)
            rows = self._name(rows, stamp_ns)
            self._note(rows, stamp_ns)
        tracks = report(
            self._people, self._motion, rows, poses, stamp_ns, self.config.publish_lost_s
        )
        self._keep([i in rows or self._alive(p) for i, p in enumerate(self._people)])
        return tracks

    def _check(self, poses: Poses, stamp_ns: int, appearance: Appearance | None) -> None:
        if self._stamp_ns is not None and stamp_ns <= self._stamp_ns:
            raise InputError(
                f"Tracker.update: expected a stamp after {self._stamp_ns} ns, got {stamp_ns} ns; "
                "reset() begins a new clock"
            )
        if poses.skeleton.name != self.skeleton.name:
            raise InputError(
                f"Tracker.update: expected poses of skeleton {self.skeleton.name!r}, "
                f"got {poses.skeleton.name!r}"
            )
        if appearance is not None and len(appearance) != len(poses):
            raise InputError(
                f"Tracker.update: expected {len(poses)} rows of appearance, got {len(appearance)}"
            )

    def _predict(self, stamp_ns: int, camera: NDArray[np.float64] | None) -> None:
        """Everybody where this image should show them; the overdue are forgotten."""
        self._motion = self._predicted(stamp_ns)
        self._stamp_ns = stamp_ns
        overdue_s = self.config.max_lost_s
        known = [p.identity for p in self._people if p.identity and len(p.look.weights)]
        gone = self.gallery.gone(self._key, known)
        self._keep(
            [
                p.since_seen_s(stamp_ns) <= overdue_s and p.identity not in gone
                for p in self._people
            ]
        )
        if camera is not None:
            self._motion = self._motion.warped(camera)
            for person in self._people:
                person.move_camera(camera)

    def _keep(self, who: Sequence[bool]) -> None:
        if all(who):
            return
        self._people = [person for person, keep in zip(self._people, who, strict=True) if keep]
        self._motion = self._motion[np.array(who, bool)]

    def _associate(
        self, poses: Poses, stamp_ns: int, appearance: Appearance | None
    ) -> list[Match]:
        config, people = self.config, self._people
        cues = Cues(people, self._motion, poses, appearance, stamp_ns, config)
        score, order = poses.box_scores, canonical(poses)
        clear = [r for r in order if score[r] >= config.high_score]
        faint = [r for r in order if config.low_score <= score[r] < config.high_score]
        by_state = {
            state: [i for i, p in enumerate(people) if p.state == state] for state in TrackState
        }
        tracked, tentative = by_state[TrackState.TRACKED], by_state[TrackState.TENTATIVE]
        known = tracked + by_state[TrackState.LOST]
        # A post where someone was lost is nobody's return, nor does it confirm anyone.
        seen = np.array([p.state == TrackState.TRACKED for p in people], bool)
        allowed = seen[:, None] | credible(poses, config)
        look, loose = (np.where(allowed, cue, -np.inf) for cue in (cues.look, cues.loose))
        return cascade(
            [
                Stage(look, known, clear, config.match_similarity),
                Stage(cues.near, tracked, clear, config.match_similarity),
                Stage(loose, known, clear, config.rematch_similarity),
                Stage(cues.overlap, tracked, faint, config.low_similarity),
                Stage(loose, tentative, clear, config.tentative_similarity),
            ]
        )

    def _correct(self, matches: Sequence[Match], poses: Poses, stamp_ns: int) -> None:
        seen = [m.person for m in matches]
        rows = np.array([m.row for m in matches], np.intp)
        corrected = self._filter.correct(self._motion[seen], poses.boxes[rows])
        self._motion = self._motion.with_rows(seen, corrected)
        for m, box in zip(matches, corrected.boxes, strict=True):
            person = self._people[m.person]
            person.box = box
            person.keypoints, person.scores = poses.keypoints[m.row], poses.scores[m.row]
            person.box_score = float(poses.box_scores[m.row])
            self._see(person, m, stamp_ns)
        present = set(seen)
        for person in (p for i, p in enumerate(self._people) if i not in present):
            if person.state == TrackState.TRACKED:
                person.state = TrackState.LOST

    def _see(self, person: Tracklet, seen: Match, stamp_ns: int) -> None:
        """The life cycle of a person who is in the picture."""
        config, gap_s = self.config, person.since_seen_s(stamp_ns)
        person.hits += 1
        person.seen_ns = stamp_ns
        if person.state == TrackState.TENTATIVE:
            return
        person.confidence = min(person.confidence, seen.share)
        if person.state == TrackState.LOST and gap_s > config.gap_s:
            person.track_id = self.identities.new_track()
            person.began_ns = stamp_ns
            if person.look.mean is None:  # else looks will tell
                person.confidence *= seen.similarity
            person.smoother = self._smoother()
        person.state = TrackState.TRACKED

    def _begin(self, born: Sequence[int], poses: Poses, stamp_ns: int) -> dict[int, int]:
        """A tentative person for each row; returns person -> row."""
        motion = self._filter.begin(poses.boxes[np.array(born, np.intp)])
        first = len(self._people)
        self._motion = BoxMotion.concatenate([self._motion, motion])
        for row, box in zip(born, motion.boxes, strict=True):
            person = Tracklet(
                track_id=self.identities.new_track(),
                began_ns=stamp_ns,
                seen_ns=stamp_ns,
                box=box,
                keypoints=poses.keypoints[row],
                scores=poses.scores[row],
                box_score=float(poses.box_scores[row]),
                smoother=self._smoother(),
            )
            self._people.append(person)
        return {first + i: row for i, row in enumerate(born)}

    def _smoother(self) -> OneEuroFilter | None:
        config = self.config
        if not config.smoothing:
            return None
        return OneEuroFilter(config.smoothing_min_cutoff_hz, config.smoothing_speed_coefficient)

    def _remember(
        self, rows: Mapping[int, int], poses: Poses, appearance: Appearance | None
    ) -> None:
        """Learn the looks of this image, and from them whether identities are still right."""
        if appearance is None:
            return
        alone = 1 - np.minimum(crowding(poses.boxes), 1)
        for i, row in rows.items():
            self._people[i].remember(
                appearance.embeddings[row],
                float(appearance.quality[row]),
                float(alone[row]),
                self.config,
            )

    def _name(self, rows: dict[int, int], stamp_ns: int) -> dict[int, int]:
        """Identities for the tentative who have earned one; returns ``rows``, renumbered."""
        ready = [i for i in sorted(rows) if self._is_due(self._people[i], stamp_ns)]
        looks = [self._people[i].look for i in ready]
        present = {identity for i in rows if (identity := self._people[i].identity)}
        answers = self.gallery.ask(self._key, looks, present, stamp_ns, self.config)
        for i, answer in zip(ready, answers, strict=True):
            self._confirm(self._people[i], answer, stamp_ns)
        named = {self._people[i].identity: i for i in ready if self._people[i].identity}
        # Who came back elsewhere in the picture is no longer waited for where they were lost.
        keep = [named.get(p.identity, i) == i for i, p in enumerate(self._people)]
        self._keep(keep)
        new = np.cumsum(keep) - 1
        return {int(new[i]): row for i, row in rows.items()}

    def _is_due(self, person: Tracklet, stamp_ns: int) -> bool:
        enough = person.hits >= self.config.confirm_hits
        old = person.age_s(stamp_ns) >= self.config.confirm_s
        return person.state == TrackState.TENTATIVE and enough and old

    def _confirm(self, person: Tracklet, answer: Answer, stamp_ns: int) -> None:
        """The identity, once and for all; who looks like somebody known is looked at longer."""
        person.due_ns = stamp_ns if person.due_ns is None else person.due_ns
        if answer.undecided and (stamp_ns - person.due_ns) / 1e9 < self.config.gallery_wait_s:
            return
        person.state = TrackState.TRACKED
        person.identity = answer.identity or self.identities.new_identity()
        person.confidence, person.look = answer.confidence, answer.look

    def _note(self, rows: Mapping[int, int], stamp_ns: int) -> None:
        """Tell the gallery who is in view; people without a look are none of its business."""
        seen = [
            (person.identity, person.look, person.confidence)
            for person in (self._people[i] for i in sorted(rows))
            if person.identity and len(person.look.weights)
        ]
        self.gallery.note(self._key, seen, stamp_ns, self.config)

    def _alive(self, person: Tracklet) -> bool:
        """Whether a person who is not in the picture is waited for."""
        assert self._stamp_ns is not None
        since_s = person.since_seen_s(self._stamp_ns)
        if person.state == TrackState.TENTATIVE:
            return since_s <= self.config.tentative_lost_s
        return since_s <= self.config.max_lost_s


def _smoothing(config: TrackerConfig) -> tuple[bool, float, float]:
    return (
        config.smoothing,
        config.smoothing_min_cutoff_hz,
        config.smoothing_speed_coefficient,
    )
