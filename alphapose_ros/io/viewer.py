# SPDX-License-Identifier: Apache-2.0
"""Results for the Rerun viewer: into a recording (``.rrd``) or into a viewer that is open.

Per camera there are ``CAMERA/image`` (JPEG) with ``boxes``, ``skeletons`` and ``joints`` under it,
``CAMERA/people`` and ``CAMERA/timings`` as curves, and ``space/FRAME/CAMERA`` with the same people
in space, where that is known. Time is the image's own: ``stamp``, and ``frame`` counts the
camera's frames from 0.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import Frame, FrameResult, Spatial, Tracks, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.io.closing import Closing
from alphapose_ros.io.source_base import INSTALL_OPENCV
from alphapose_ros.io.viewer_file import RecordingFile
from alphapose_ros.io.viewer_layout import INSTALL_VIEWER, camera_path, entity, lay_out
from alphapose_ros.output import palette, shapes

APPLICATION = "alphapose_ros"
_JPEG_QUALITY = 80
_CLOCK_NS = 10**17  # three years: a smaller stamp counts from a recording's or simulation's start
_FLUSH_S = 5.0
_FILE_TICK_S, _FILE_BATCH = 1.0, 8_000_000  # a killed process loses its last seconds
_FINE = 1 / 3  # width of a face's or hand's line, of the body's
_LIMB_M, _JOINT_M = 0.012, 0.02  # radii in space
_PERSON_M = 0.05
_STATES = {
    TrackState.TRACKED: palette.MIDDLE,
    TrackState.TENTATIVE: palette.LEFT,
    TrackState.LOST: palette.NOBODY,
}
_OPTICAL = ("_optical_frame", "_optical")


def rerun(needed_for: str = "the viewer") -> Any:
    """The Rerun SDK.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return require("rerun", needed_for=needed_for, install=INSTALL_VIEWER)


class ViewerStream(Closing):
    """Takes frames with their results, one camera or many, and sends them on.

    Args:
        path: a recording to write, replaced when complete; until then it grows as
            ``out.rrd.part``, of which what has been written so far is readable at every moment.
        url: of a viewer to send to, see :mod:`alphapose_ros.io.viewer_process`.

    Raises:
        InputError: not one of both, or no such folder.
        MissingDependencyError: the Rerun SDK is not installed.
    """

    def __init__(self, *, path: Path | None = None, url: str = "") -> None:
        if (path is None) == (not url):
            raise InputError("ViewerStream: expected a path or a viewer's address, one of both")
        self._rr = rerun()
        self._file: RecordingFile | None = None
        self._recording: Any = self._open(path, url)
        self._frames: dict[str, int] = {}
        self._described: dict[str, Skeleton] = {}
        self._spaces: dict[str, bool] = {}
        self._with_values: set[str] = set()
        self._counts_from_zero: bool | None = None

    def write(
        self, result: FrameResult, frame: Frame | None = None, spatial: Spatial | None = None
    ) -> None:
        """Send one frame's people, with the image and the places in space where they are known.

        Raises:
            InputError: the stream was closed.
            OSError: the disk is full; what was written before is in the recording's part.
        """
        if self._recording is None:
            raise InputError(f"{self.path or 'the viewer'}: already closed")
        if self._file is not None:
            self._file.check()
        header = result.header
        camera = camera_path(header.camera)
        number = self._frames.get(camera, -1) + 1
        new_space = spatial is not None and spatial.frame not in self._spaces
        skeleton = result.tracks.poses.skeleton
        if self._described.get(camera) is not skeleton:  # a node came back with another network
            self._describe(camera, skeleton)
        if spatial is not None and new_space:
            self._open_space(spatial.frame, header.frame_id)
        self._frames[camera] = number
        if number == 0 or new_space:
            layout = lay_out(list(self._frames), list(self._spaces))
            self._rr.send_blueprint(layout, recording=self._recording)
        self._set_time(header.stamp_ns, number)
        if frame is not None:
            self._log(f"{camera}/image", self._jpeg(frame))
        self._people(f"{camera}/image", result.tracks)
        self._curves(camera, result)
        if spatial is not None:
            self._space(f"space/{entity(spatial.frame)}/{camera}", result.tracks, spatial)

    def _open(self, path: Path | None, url: str) -> Any:
        if path is None:
            recording = self._rr.RecordingStream(APPLICATION)
            recording.connect_grpc(url)
            return recording
        # A file's table of contents stays in memory until its end: few chunks keep it short.
        batches = self._rr.ChunkBatcherConfig(
            flush_tick=timedelta(seconds=_FILE_TICK_S), flush_num_bytes=_FILE_BATCH
        )
        recording = self._rr.RecordingStream(APPLICATION, batcher_config=batches)
        self._file = RecordingFile(path)
        try:
            recording.save(self._file.inlet)
        finally:
            self._file.opened()
        return recording

    @property
    def path(self) -> Path | None:
        """Where a recording lies after closing; its part where the disk was full."""
        return self._file.path if self._file is not None else None

    @property
    def empty(self) -> bool:
        """Whether there was no frame yet."""
        return not self._frames

    def close(self) -> None:
        """Send what is left; a recording is complete then. A viewer that has left misses it.

        Without any frame there is no recording.

        Raises:
            OSError: the disk is full; see :meth:`write`.
        """
        if self._recording is None:
            return
        recording, self._recording = self._recording, None
        with suppress(RuntimeError, ValueError):  # late, or nobody is there any more
            recording.flush(timeout_sec=_FLUSH_S)
        recording.disconnect()
        if self._file is not None:
            self._file.close(keep=not self.empty)

    def _log(self, path: str, *what: Any, static: bool = False) -> None:
        self._recording.log(path, *what, static=static)

    def _set_time(self, stamp_ns: int, number: int) -> None:
        if self._counts_from_zero is None:
            self._counts_from_zero = stamp_ns < _CLOCK_NS
        self._recording.set_time("frame", sequence=number)
        if self._counts_from_zero:
            self._recording.set_time("stamp", duration=np.timedelta64(stamp_ns, "ns"))
        else:
            self._recording.set_time("stamp", timestamp=np.datetime64(stamp_ns, "ns"))

    def _jpeg(self, frame: Frame) -> Any:
        if find_spec("cv2") is None:
            return self._rr.Image(frame.image).compress(jpeg_quality=_JPEG_QUALITY)
        cv2 = require("cv2", needed_for="images", install=INSTALL_OPENCV)  # twice as fast
        bgr = red_blue_swapped(frame.image)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return self._rr.EncodedImage(contents=data.tobytes(), media_type="image/jpeg")

    def _people(self, path: str, tracks: Tracks) -> None:
        rr, poses = self._rr, tracks.poses
        shown, widths = shapes.shown_joints(tracks), shapes.line_widths(tracks)
        boxes = rr.Boxes2D(
            array=poses.boxes,
            array_format=rr.Box2DFormat.XYXY,
            colors=shapes.person_colors(tracks),
            labels=shapes.person_labels(tracks),
            show_labels=True,
            radii=widths / 4,
        )
        self._log(f"{path}/boxes", boxes)
        self._facts(f"{path}/boxes", tracks)
        limbs = shapes.limbs_of(tracks, poses.keypoints, shown)
        radii = widths[limbs.rows] * np.where(limbs.fine, _FINE / 2, 0.5)
        lines = rr.LineStrips2D(limbs.ends, colors=limbs.colors, radii=radii)
        self._log(f"{path}/skeletons", lines)
        joints = shapes.joints_of(tracks, poses.keypoints, shown)
        sizes = widths[joints.rows] * np.where(joints.fine, _FINE, 0.7)
        points = rr.Points2D(
            joints.points,
            colors=joints.colors,
            radii=sizes,
            class_ids=np.zeros(len(joints.rows), np.uint16),
            keypoint_ids=joints.joints.astype(np.uint16),
        )
        self._log(f"{path}/joints", points)
        self._owners(f"{path}/joints", tracks, joints)

    def _facts(self, path: str, tracks: Tracks) -> None:
        """The rows' numbers, for whoever clicks on a person or reads the recording."""
        score = tracks.poses.person_scores
        ids, track_ids, states = tracks.ids, tracks.track_ids, tracks.states
        self._values(path, id=ids, track_id=track_ids, state=states, score=score)

    def _owners(self, path: str, tracks: Tracks, joints: shapes.Joints) -> None:
        self._values(path, track_id=tracks.track_ids[joints.rows], score=joints.scores)

    def _values(self, path: str, **values: np.ndarray[Any, Any]) -> None:
        """Numbers beside the shapes of ``path``; empty ones only where some stood before."""
        if any(map(len, values.values())):
            self._with_values.add(path)
        if path in self._with_values:
            self._log(path, self._rr.AnyValues(**values))

    def _curves(self, camera: str, result: FrameResult) -> None:
        states = result.tracks.states
        for state in _STATES:
            count = float((states == state).sum())
            self._log(f"{camera}/people/{state.name.lower()}", self._rr.Scalars(count))
        for name, value in result.timings_ms.items():
            self._log(f"{camera}/timings/{entity(name)}", self._rr.Scalars(float(value)))

    def _space(self, path: str, tracks: Tracks, spatial: Spatial) -> None:
        rr, shown = self._rr, shapes.shown_in_space(tracks, spatial)
        limbs = shapes.limbs_of(tracks, spatial.keypoints, shown)
        radii = np.where(limbs.fine, _LIMB_M * _FINE, _LIMB_M)
        self._log(
            f"{path}/skeletons", rr.LineStrips3D(limbs.ends, colors=limbs.colors, radii=radii)
        )
        joints = shapes.joints_of(tracks, spatial.keypoints, shown)
        radii = np.where(joints.fine, _JOINT_M * _FINE, _JOINT_M)
        points = rr.Points3D(
            joints.points,
            colors=joints.colors,
            radii=radii,
            class_ids=np.zeros(len(joints.rows), np.uint16),
            keypoint_ids=joints.joints.astype(np.uint16),
        )
        self._log(f"{path}/joints", points)
        self._owners(f"{path}/joints", tracks, joints)
        known = np.isfinite(spatial.positions).all(-1)
        people, colors = tracks[known], shapes.person_colors(tracks[known])
        centres = rr.Points3D(
            spatial.positions[known],
            colors=colors,
            radii=_PERSON_M,
            labels=shapes.person_labels(people),
            show_labels=True,
        )
        self._log(f"{path}/positions", centres)
        self._facts(f"{path}/positions", people)
        moving = known & np.isfinite(spatial.velocities).all(-1)
        arrows = rr.Arrows3D(
            vectors=spatial.velocities[moving],
            origins=spatial.positions[moving],
            colors=shapes.person_colors(tracks[moving]),
        )
        self._log(f"{path}/velocities", arrows)

    def _describe(self, camera: str, skeleton: Skeleton) -> None:
        """The joints' names, shown under the mouse."""
        rr = self._rr
        names = [
            rr.AnnotationInfo(id=k, label=name) for k, name in enumerate(skeleton.keypoint_names)
        ]
        info = rr.AnnotationInfo(id=0, label=skeleton.name)
        context = rr.AnnotationContext(rr.ClassDescription(info=info, keypoint_annotations=names))
        self._log(camera, context, static=True)
        for state, color in _STATES.items():
            name = state.name.lower()
            style = rr.SeriesLines(colors=color, names=name, widths=2)
            self._log(f"{camera}/people/{name}", style, static=True)
        self._log("space", context, static=True)
        self._described[camera] = skeleton

    def _open_space(self, frame: str, image_frame: str) -> None:
        """Say which way is up: -y in a camera's own frame, z in others (REP-103)."""
        optical = frame == image_frame or frame.endswith(_OPTICAL)
        self._spaces[frame] = optical
        axes = self._rr.ViewCoordinates.RDF if optical else self._rr.ViewCoordinates.FLU
        self._log(f"space/{entity(frame)}", axes, static=True)
