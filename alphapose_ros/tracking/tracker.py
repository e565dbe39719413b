# SPDX-License-Identifier: Apache-2.0
"""People with identities from poses and the images' own clock, one tracker for each camera.

Every image is matched in stages, the surest first: people just seen with clear detections, then
leftovers and lost people by pose and distance, then faint detections that keep someone alive,
last the tentative. What is left begins a tentative track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Appearance, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.tracking.association import Cues, Match, compared_joints, match
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.kalman import BoxMotion, KalmanFilter
from alphapose_ros.tracking.report import report
from alphapose_ros.tracking.smoothing import OneEuroFilter
from alphapose_ros.tracking.tracklet import Tracklet


class Tracker:
    """``tracker.update(poses, stamp_ns)`` -> Tracks; call it for images with nobody in them too.

    Args:
        config: see :class:`TrackerConfig`.
        skeleton: of the poses.
        identities: share one among all trackers whose numbers must not collide.
    """

    def __init__(
        self, config: TrackerConfig, skeleton: Skeleton, identities: IdentitySource
    ) -> None:
        self.config = config
        self.skeleton = skeleton
        self.identities = identities
        self._filter = KalmanFilter(config)
        self._people: list[Tracklet] = []
        self._motion = BoxMotion.empty()  # of the same rows
        self._stamp_ns: int | None = None

    def reset(self) -> None:
        """Forget everybody and the clock. Numbers given out are not given again."""
        self._people, self._motion = [], BoxMotion.empty()
        self._stamp_ns = None

    def reconfigure(self, config: TrackerConfig) -> None:
        """Other parameters from the next image on; nobody is forgotten."""
        self.config, self._filter = config, KalmanFilter(config)

    def update(self, poses: Poses, stamp_ns: int, appearance: Appearance | None = None) -> Tracks:
        """Take one image's poses in and say who is who.

        Args:
            poses: of the image, possibly none. Their order has no influence.
            stamp_ns: time of the image, later than the one before.
            appearance: of the same rows as ``poses``.

        Returns:
            A row for each person seen in this image, in the order in which their tracks began, and
            for those lost not longer than ``publish_lost_s``; their ``poses.source`` is -1.

        Raises:
            InputError: the stamp does not advance, or the records do not fit together.
        """
        self._check(poses, stamp_ns, appearance)
        self._predict(stamp_ns)
        matches = self._associate(poses, stamp_ns, appearance)
        self._correct(matches, poses, stamp_ns)
        rows = {m.person: m.row for m in matches}
        rows.update(self._begin(self._births(set(rows.values()), poses), poses, stamp_ns))
        if appearance is not None:
            for person, row in rows.items():
                self._people[person].remember(
                    appearance.embeddings[row], float(appearance.quality[row])
                )
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

    def _predict(self, stamp_ns: int) -> None:
        """Move everybody to this image's time; whoever is overdue is forgotten first."""
        dt = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        self._stamp_ns = stamp_ns
        overdue_s = self.config.max_lost_s
        self._keep([p.since_seen_s(stamp_ns) <= overdue_s for p in self._people])
        self._motion = self._filter.predict(self._motion, dt)

    def _keep(self, who: Sequence[bool]) -> None:
        self._people = [person for person, keep in zip(self._people, who, strict=True) if keep]
        self._motion = self._motion[np.array(who, bool)]

    def _associate(
        self, poses: Poses, stamp_ns: int, appearance: Appearance | None
    ) -> list[Match]:
        config, people = self.config, self._people
        cues = Cues(people, self._motion, poses, appearance, stamp_ns, config)
        score, order = poses.box_scores, _canonical(poses)
        clear = [r for r in order if score[r] >= config.high_score]
        faint = [r for r in order if config.low_score <= score[r] < config.high_score]
        by_state = {
            state: [i for i, p in enumerate(people) if p.state == state] for state in TrackState
        }
        tracked, lost = by_state[TrackState.TRACKED], by_state[TrackState.LOST]
        tentative = by_state[TrackState.TENTATIVE]
        # A post where someone was lost is nobody's return, nor does it confirm anyone.
        seen = np.array([p.state == TrackState.TRACKED for p in people], bool)
        allowed = seen[:, None] | self._credible(poses)
        loose = np.where(allowed, cues.loose, -np.inf)
        matches = match(cues.near, tracked, clear, config.match_similarity)
        tracked, clear = _left(tracked, clear, matches)
        second = match(loose, tracked + lost, clear, config.rematch_similarity)
        tracked, clear = _left(tracked, clear, second)
        third = match(cues.overlap, tracked, faint, config.low_similarity)
        fourth = match(loose, tentative, clear, config.tentative_similarity)
        return matches + second + third + fourth

    def _correct(self, matches: Sequence[Match], poses: Poses, stamp_ns: int) -> None:
        seen = [m.person for m in matches]
        rows = np.array([m.row for m in matches], np.intp)
        corrected = self._filter.correct(self._motion[seen], poses.boxes[rows])
        self._motion = self._motion.with_rows(seen, corrected)
        for m, box in zip(matches, corrected.boxes, strict=True):
            person = self._people[m.person]
            person.box = box
            person.keypoints, person.scores = poses.keypoints[m.row], poses.scores[m.row]
            self._see(person, m, stamp_ns)
        for person in (p for i, p in enumerate(self._people) if i not in set(seen)):
            if person.state == TrackState.TRACKED:
                person.state = TrackState.LOST

    def _see(self, person: Tracklet, seen: Match, stamp_ns: int) -> None:
        """The life cycle of a person who is in the picture."""
        config, gap_s = self.config, person.since_seen_s(stamp_ns)
        person.hits += 1
        person.seen_ns = stamp_ns
        if person.state == TrackState.TENTATIVE:
            self._confirm(person, stamp_ns)
            return
        person.confidence = min(person.confidence, seen.share)
        if person.state == TrackState.LOST and gap_s > config.gap_s:
            person.track_id = self.identities.new_track()
            person.began_ns = stamp_ns
            person.confidence *= seen.similarity
            person.smoother = self._smoother()
        person.state = TrackState.TRACKED

    def _confirm(self, person: Tracklet, stamp_ns: int) -> None:
        enough = person.hits >= self.config.confirm_hits
        if enough and person.age_s(stamp_ns) >= self.config.confirm_s:
            person.state = TrackState.TRACKED
            person.identity = self.identities.new_identity()
            person.confidence = 1.0

    def _births(self, taken: set[int], poses: Poses) -> list[int]:
        """Rows of poses that begin a track: sure ones that double nobody."""
        sure = self._credible(poses)
        present, born = sorted(taken), []
        for row in (r for r in _canonical(poses) if sure[r] and r not in taken):
            overlap = box_iou(poses.boxes[[row]], poses.boxes[np.array(present, np.intp)])
            if (overlap < self.config.duplicate_iou).all():
                present.append(row)
                born.append(row)
        return born

    def _credible(self, poses: Poses) -> NDArray[np.bool_]:
        """(N,) detections that may begin a track or confirm one: sure boxes around sure joints."""
        body = np.sort(poses.scores[:, compared_joints(self.skeleton)], axis=1)[:, ::-1]
        known = (body > 0).sum(1, keepdims=True)
        better_half = np.arange(body.shape[1]) < (known + 1) // 2
        mean = (body * better_half).sum(1) / np.maximum(better_half.sum(1), 1)
        sure: NDArray[np.bool_] = poses.box_scores >= self.config.start_score
        return sure & (mean >= self.config.start_pose_score)

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
                smoother=self._smoother(),
            )
            self._confirm(person, stamp_ns)
            self._people.append(person)
        return {first + i: row for i, row in enumerate(born)}

    def _smoother(self) -> OneEuroFilter | None:
        config = self.config
        if not config.smoothing:
            return None
        return OneEuroFilter(config.smoothing_min_cutoff_hz, config.smoothing_speed_coefficient)

    def _alive(self, person: Tracklet) -> bool:
        """Whether a person who is not in the picture is waited for."""
        assert self._stamp_ns is not None
        since_s = person.since_seen_s(self._stamp_ns)
        if person.state == TrackState.TENTATIVE:
            return since_s <= self.config.tentative_lost_s
        return since_s <= self.config.max_lost_s


def _canonical(poses: Poses) -> list[int]:
    """Rows by score, then by place: an order that does not depend on the order of the rows."""
    return np.lexsort((*poses.boxes.T, -poses.box_scores)).tolist()


def _left(
    people: Sequence[int], rows: Sequence[int], matches: Sequence[Match]
) -> tuple[list[int], list[int]]:
    """What a stage has left unmatched."""
    done, used = {m.person for m in matches}, {m.row for m in matches}
    return [p for p in people if p not in done], [r for r in rows if r not in used]
