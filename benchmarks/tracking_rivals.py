# SPDX-License-Identifier: Apache-2.0
"""Trackers behind one call, ``tracker(frame)`` -> the identity of each detection, 0 for none.

ByteTrack, OC-SORT and BoT-SORT are those of the package ``trackers`` (Roboflow, Apache-2.0), with
its parameters but for the buffer. It wants ``opencv-python``, which must not come over the
headless one: ``pip install --no-deps trackers supervision`` and ``pip install "pydeprecate<0.14"
requests defusedxml av matplotlib``. Its BoT-SORT has no appearance; that part is added here as
published (Aharon et al., 2022): the smaller of IoU distance and half the cosine distance, the
latter only for boxes that overlap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.skeletons import COCO17, Skeleton
from alphapose_ros.eval.crowd import CrowdFrame
from alphapose_ros.tracking.assignment import assign
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

Identities = NDArray[np.int64]
Step = Callable[[CrowdFrame], Identities]
FRAMES_PER_S = 30  # the unit of the package's buffers, whatever the frame rate

PROXIMITY, APPEARANCE, MEMORY = 0.5, 0.25, 0.9  # of BoT-SORT's article


def ours(
    config: TrackerConfig, skeleton: Skeleton = COCO17, *, looks: bool, moving: bool = False
) -> Step:
    """This package's tracker, with embeddings and camera motion or without.

    As in the pipeline, it gets the embeddings of those alone who are worth a look.
    """
    tracker = Tracker(config, skeleton, IdentitySource())

    def step(frame: CrowdFrame) -> Identities:
        appearance = frame.appearance if looks else None
        if appearance is not None:
            worth = tracker.worth_a_look(frame.poses, frame.stamp_ns)
            appearance = dataclasses.replace(appearance, quality=appearance.quality * worth)
        motion = frame.motion if moving else None
        tracks = tracker.update(frame.poses, frame.stamp_ns, appearance, motion)
        out = np.zeros(len(frame.poses), np.int64)
        seen = tracks.poses.source >= 0
        out[tracks.poses.source[seen]] = tracks.ids[seen]
        return out

    return step


def plain_iou(buffer_s: float, least_score: float = 0.5, least_iou: float = 0.3) -> Step:
    """The last box of each person against the new ones, by IoU, and nothing else."""
    boxes: dict[int, NDArray[np.float32]] = {}
    seen_ns: dict[int, int] = {}
    identities = IdentitySource()

    def step(frame: CrowdFrame) -> Identities:
        for gone in [k for k, ns in seen_ns.items() if frame.stamp_ns - ns > buffer_s * 1e9]:
            del boxes[gone], seen_ns[gone]
        rows = np.flatnonzero(frame.poses.box_scores >= least_score)
        known = list(boxes)
        last = np.reshape([boxes[k] for k in known], (-1, 4)).astype(np.float32)
        out = np.zeros(len(frame.poses), np.int64)
        pairs = assign(box_iou(last, frame.poses.boxes[rows]), least_iou)
        for k, row in zip(*pairs, strict=True):
            out[rows[row]] = known[k]
        for row in rows:
            out[row] = out[row] or identities.new_identity()
            boxes[int(out[row])], seen_ns[int(out[row])] = frame.poses.boxes[row], frame.stamp_ns
        return out

    return step


def _package_step(tracker: Any, *, moving: bool = False) -> Step:
    import supervision as sv

    def step(frame: CrowdFrame) -> Identities:
        poses = frame.poses
        found = sv.Detections(
            xyxy=poses.boxes.astype(np.float64).reshape(-1, 4),
            confidence=poses.box_scores.astype(np.float64),
            data={"row": np.arange(len(poses))},
        )
        if moving:  # the tracker takes the same motion of the camera as ours
            tracker.cmc.estimate = lambda *_: frame.motion
        if hasattr(tracker, "take_looks"):
            tracker.take_looks(found.xyxy, found.confidence, frame.appearance.embeddings)
        image = np.zeros((2, 2, 3), np.uint8) if moving else None
        tracked = tracker.update(found, frame=image, timestamp=frame.time_s)
        out = np.zeros(len(poses), np.int64)
        if len(tracked):
            out[tracked.data["row"]] = np.asarray(tracked.tracker_id) + 1
        return out

    return step


def byte_track(buffer_s: float) -> Step:
    """ByteTrack (Zhang et al., 2022) of the package ``trackers``."""
    from trackers import ByteTrackTracker

    return _package_step(ByteTrackTracker(lost_track_buffer=round(buffer_s * FRAMES_PER_S)))


def oc_sort(buffer_s: float) -> Step:
    """OC-SORT (Cao et al., 2023) of the package ``trackers``."""
    from trackers import OCSORTTracker

    return _package_step(OCSORTTracker(lost_track_buffer=round(buffer_s * FRAMES_PER_S)))


def bot_sort(buffer_s: float, *, looks: bool, anywhere: bool = False, scale: float = 1.0) -> Step:
    """BoT-SORT of the package ``trackers`` with the camera's motion, and embeddings or not.

    ``anywhere``: embeddings count also for boxes that do not overlap, which the article forbids
    and without which nobody can be known again elsewhere. ``scale``: of the embeddings' distances.
    """
    from trackers import BoTSORTTracker

    kind = _looking_bot_sort(anywhere, APPEARANCE * scale) if looks else BoTSORTTracker
    return _package_step(kind(lost_track_buffer=round(buffer_s * FRAMES_PER_S)), moving=True)


def _looking_bot_sort(anywhere: bool, most: float) -> Any:
    from trackers import BoTSORTTracker
    from trackers.core.botsort.tracklet import BoTSORTTracklet

    class Looking(BoTSORTTracklet):  # type: ignore[misc]
        def update(self, bbox: Any) -> None:
            super().update(bbox)
            blend = MEMORY * self.look + (1 - MEMORY) * self.of[bbox.tobytes()][1]
            self.look = blend / np.linalg.norm(blend)

    class LookingBoTSORT(BoTSORTTracker):  # type: ignore[misc]
        def take_looks(self, boxes: Any, scores: Any, embeddings: Any) -> None:
            self.of = {
                box.tobytes(): (score, look)
                for box, score, look in zip(boxes, scores, embeddings, strict=True)
            }
            for track in self.tracks:
                track.of = self.of

        def _spawn_new_tracks(self, boxes: Any, *rest: Any, **more: Any) -> None:
            before = len(self.tracks)
            super()._spawn_new_tracks(boxes, *rest, **more)
            for track in self.tracks[before:]:
                gaps = np.abs(boxes - track.get_state_bbox()).sum(1)
                track.__class__, track.of = Looking, self.of
                track.look = self.of[boxes[gaps.argmin()].tobytes()][1]

        def _get_iou_matrix(self, tracks: Any, boxes: Any, predicted: Any) -> Any:
            iou = super()._get_iou_matrix(tracks, boxes, predicted)
            if not len(tracks) or not len(boxes):
                return iou
            scores = np.array([self.of[box.tobytes()][0] for box in boxes])
            if scores.max() < self.high_conf_det_threshold:
                return iou  # the stage of low scores knows no appearance
            looks = np.stack([self.of[box.tobytes()][1] for box in boxes])
            distance = (1 - np.stack([track.look for track in tracks]) @ looks.T) / 2
            allowed = (distance <= most) & (anywhere | (1 - iou <= PROXIMITY))
            # What comes back is multiplied with the score, which appearance is not.
            return np.maximum(iou, np.where(allowed, 1 - distance, 0) / scores)

    return LookingBoTSORT


def all_trackers(buffer_s: float, scale: float = 1.0) -> dict[str, Callable[[], Step]]:
    """Name -> maker of everything that is compared; each has the same buffer.

    ``scale``: of the embeddings' distances, by which everybody's thresholds go.
    """
    config = TrackerConfig(gallery_s=buffer_s).for_distances(scale)
    return {
        "ours": lambda: ours(config, looks=True, moving=True),
        "ours without embeddings": lambda: ours(config, looks=False, moving=True),
        "IoU": lambda: plain_iou(buffer_s),
        "ByteTrack": lambda: byte_track(buffer_s),
        "OC-SORT": lambda: oc_sort(buffer_s),
        "BoT-SORT": lambda: bot_sort(buffer_s, looks=False),
        "BoT-SORT + embeddings": lambda: bot_sort(buffer_s, looks=True, scale=scale),
        "BoT-SORT + embeddings anywhere": lambda: bot_sort(
            buffer_s, looks=True, anywhere=True, scale=scale
        ),
    }
