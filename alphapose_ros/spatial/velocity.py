# SPDX-License-Identifier: Apache-2.0
"""Velocities of people over ground: one Kalman filter per track, all people at once.

Position and velocity in a frame that is fixed to the ground, with white noise of acceleration
(Bar-Shalom, Li & Kirubarajan 2001, section 6.2.2). The discretisation is exact: predicting over a
gap is the same as predicting through each part of it, so a dropped frame changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.rows import Rows, array
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.torso import Places

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_SECOND_NS = 1e9
_EYE = np.eye(3)


@dataclass(frozen=True)
class Motion(Rows):
    """State of T filters.

    Attributes:
        track_ids: whose.
        state: (T, 6) position m, velocity m/s.
        covariance: (T, 6, 6).
        begun_ns, seen_ns: stamps of the first and the last position.
        evidence: (T,) what the last position was found by.
    """

    track_ids: IntArray = array("N", dtype=np.int64)
    state: FloatArray = array("N", 6, dtype=np.float64)
    covariance: FloatArray = array("N", 6, 6, dtype=np.float64)
    begun_ns: IntArray = array("N", dtype=np.int64)
    seen_ns: IntArray = array("N", dtype=np.int64)
    evidence: IntArray = array("N", dtype=np.int64)


class VelocityFilter:
    """Remembers how people move; the memory is of one camera."""

    def __init__(self, config: SpatialConfig) -> None:
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        none = np.zeros(0, np.int64)
        self._motion = Motion(none, np.zeros((0, 6)), np.zeros((0, 6, 6)), none, none, none)
        self._stamp_ns: int | None = None

    def update(
        self, track_ids: IntArray, stamp_ns: int, places: Places
    ) -> tuple[FloatArray, FloatArray]:
        """Velocities (N, 3) m/s and covariances (N, 3, 3) (m/s)² of the rows; NaN if not known.

        A velocity needs two positions at different times. Stamps that go back are a new clock.

        Args:
            track_ids: (N,) unique.
            stamp_ns: of the image.
            places: (N rows) in the fixed frame.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        self._stamp_ns = stamp_ns
        rows = np.flatnonzero(places.evidence > 0)
        seen, tracks = places[rows], track_ids[rows]
        recent = stamp_ns - self._motion.seen_ns <= self._config.forget_s * _SECOND_NS
        old = self._motion[recent]
        source = _positions(old.track_ids, tracks)
        motion = self._begin(tracks, stamp_ns, seen)
        known = np.flatnonzero(source >= 0)
        corrected = self._correct(self._predict(old[source[known]], stamp_ns), seen[known])
        motion = _replaced(motion, known, corrected)
        absent = _positions(tracks, old.track_ids) < 0
        self._motion = Motion.concatenate([old[absent], motion])

        moving = motion.seen_ns > motion.begun_ns
        velocities = np.full((len(track_ids), 3), np.nan)
        covariances = np.full((len(track_ids), 3, 3), np.nan)
        velocities[rows[moving]] = motion.state[moving, 3:]
        covariances[rows[moving]] = motion.covariance[moving, 3:, 3:]
        return velocities, covariances

    def _begin(self, track_ids: IntArray, stamp_ns: int, places: Places) -> Motion:
        state = np.concatenate([places.points, np.zeros_like(places.points)], 1)
        stamps = np.full(len(track_ids), stamp_ns, np.int64)
        covariance = self._unlinked(places.noise, self._config.speed**2 * _EYE)
        return Motion(track_ids, state, covariance, stamps, stamps, places.evidence)

    def _predict(self, motion: Motion, stamp_ns: int) -> Motion:
        dt = (stamp_ns - motion.seen_ns)[:, None, None] / _SECOND_NS
        step = np.tile(np.eye(6), (len(motion), 1, 1))
        step[:, :3, 3:] = dt * _EYE
        noise = np.zeros_like(step)
        noise[:, :3, :3] = dt**3 / 3 * _EYE
        noise[:, :3, 3:] = noise[:, 3:, :3] = dt**2 / 2 * _EYE
        noise[:, 3:, 3:] = dt * _EYE
        return Motion(
            motion.track_ids,
            (step @ motion.state[..., None])[..., 0],
            step @ motion.covariance @ step.transpose(0, 2, 1)
            + self._config.acceleration**2 * noise,
            motion.begun_ns,
            np.full_like(motion.seen_ns, stamp_ns),
            motion.evidence,
        )

    def _correct(self, motion: Motion, places: Places) -> Motion:
        """After seeing ``places``, one for each filter; Joseph's form keeps covariances positive.

        Where other joints speak than before, the position is set to theirs: the difference is not
        the person's motion. After a jump that no person makes, the velocity is open as well.
        """
        covariance = motion.covariance
        innovation = places.points - motion.state[:, :3]
        spread = covariance[:, :3, :3] + places.noise
        gain = np.linalg.solve(spread, covariance[:, :3]).transpose(0, 2, 1)
        kept = np.tile(np.eye(6), (len(motion), 1, 1))
        kept[:, :, :3] -= gain
        corrected = kept @ covariance @ kept.transpose(0, 2, 1)
        corrected += gain @ places.noise @ gain.transpose(0, 2, 1)
        state = motion.state + (gain @ innovation[..., None])[..., 0]

        distance = np.linalg.solve(spread, innovation[..., None])[..., 0]
        changed = motion.evidence != places.evidence
        jumped = ~changed & ((distance * innovation).sum(1) > self._config.gate**2)
        anew = (changed | jumped)[:, None]
        fixed = np.concatenate([places.points, motion.state[:, 3:]], 1)
        speed = np.where(
            jumped[:, None, None], self._config.speed**2 * _EYE, covariance[:, 3:, 3:]
        )
        return Motion(
            motion.track_ids,
            np.where(anew, fixed, state),
            np.where(anew[..., None], self._unlinked(places.noise, speed), corrected),
            motion.begun_ns,
            motion.seen_ns,
            places.evidence,
        )

    @staticmethod
    def _unlinked(position: FloatArray, velocity: FloatArray) -> FloatArray:
        """(N, 6, 6) of a position and a velocity that tell nothing of each other."""
        covariance = np.zeros((len(position), 6, 6))
        covariance[:, :3, :3], covariance[:, 3:, 3:] = position, velocity
        return covariance


def _positions(known: IntArray, wanted: IntArray) -> NDArray[np.intp]:
    """Index of each of ``wanted`` in ``known``, -1 where it is not there."""
    place = {track: i for i, track in enumerate(known.tolist())}
    return np.array([place.get(track, -1) for track in wanted.tolist()], np.intp)


def _replaced(motion: Motion, rows: NDArray[np.intp], others: Motion) -> Motion:
    """A copy in which ``rows`` are those of ``others``."""
    order = np.arange(len(motion))
    order[rows] = len(motion) + np.arange(len(rows))
    return Motion.concatenate([motion, others])[order]
