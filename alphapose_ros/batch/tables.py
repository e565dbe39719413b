# SPDX-License-Identifier: Apache-2.0
"""Results as two Parquet tables: one row per person and frame, and one row per frame.

The second tells a frame in which nobody was seen from one that was never looked at. Both are
written a row group at a time, so that a recording of any length takes the same memory.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros import __version__
from alphapose_ros.base.boxes import xyxy_to_xywh
from alphapose_ros.base.errors import require
from alphapose_ros.base.records import FrameResult, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.io.closing import Closing

PEOPLE, FRAMES = "people.parquet", "frames.parquet"
_PEOPLE_GROUP, _FRAMES_GROUP = 4096, 65536  # rows; 7 MB of whole-body poses, 2 MB of frames
_INSTALL = "install it with: pip install pyarrow"


class TablesWriter(Closing):
    """``people.parquet`` and ``frames.parquet`` of one recording in ``folder``.

    The people are those of the JSON lines of ``run``, unrounded: whoever is lost has no row.
    """

    def __init__(self, folder: Path, recording: str, skeleton: Skeleton, config: str) -> None:
        self._arrow: Any = require("pyarrow", needed_for="Parquet tables", install=_INSTALL)
        self._parquet: Any = require(
            "pyarrow.parquet", needed_for="Parquet tables", install=_INSTALL
        )
        self._recording, self._numbers = recording, dict[str, int]()
        metadata = _metadata(skeleton, config)
        people = _people_schema(self._arrow, len(skeleton)).with_metadata(metadata)
        frames = _frames_schema(self._arrow).with_metadata(metadata)
        self._people = _Groups(self._arrow, self._parquet, folder / PEOPLE, people, _PEOPLE_GROUP)
        self._frames = _Groups(self._arrow, self._parquet, folder / FRAMES, frames, _FRAMES_GROUP)

    def write(self, result: FrameResult) -> None:
        """Append one frame and those who are seen in it."""
        header = result.header
        number = self._numbers.get(header.camera, -1) + 1
        self._numbers[header.camera] = number
        tracks = result.tracks[result.tracks.states != TrackState.LOST]
        place = {
            "recording": self._recording,
            "camera": header.camera,
            "frame": number,
            "stamp_ns": header.stamp_ns,
        }
        height, width = header.size_hw
        frame = {"frame_id": header.frame_id, "height": height, "width": width}
        self._frames.add(place, {**frame, "people": len(tracks)}, 1)
        poses = tracks.poses
        joints = np.concatenate([poses.keypoints, poses.scores[..., None]], -1)
        columns = {
            "id": tracks.ids,
            "track_id": tracks.track_ids,
            "state": [TrackState(int(state)).name.lower() for state in tracks.states],
            "score": poses.person_scores,
            "identity_confidence": tracks.identity_confidence,
            "box": xyxy_to_xywh(poses.boxes),
            "keypoints": joints.reshape(len(tracks), 3 * joints.shape[1]),
        }
        self._people.add(place, columns, len(tracks))

    @property
    def people(self) -> int:
        """Rows of people so far."""
        return self._people.rows

    def close(self) -> None:
        """Write what waits and the files' ends, of both also when one fails."""
        with ExitStack() as stack:
            stack.callback(self._people.close)
            stack.callback(self._frames.close)


def _people_schema(arrow: Any, joints: int) -> Any:
    number = arrow.float32()
    return arrow.schema(
        [
            *_place(arrow),
            ("id", arrow.uint32()),
            ("track_id", arrow.uint32()),
            ("state", arrow.string()),
            ("score", number),
            ("identity_confidence", number),
            ("box", arrow.list_(arrow.field("element", number, nullable=False), 4)),
            ("keypoints", arrow.list_(arrow.field("element", number, nullable=False), 3 * joints)),
        ]
    )


def _frames_schema(arrow: Any) -> Any:
    sizes = [(name, arrow.uint32()) for name in ("height", "width", "people")]
    return arrow.schema([*_place(arrow), ("frame_id", arrow.string()), *sizes])


def _place(arrow: Any) -> list[tuple[str, Any]]:
    """Columns that both tables begin with, by which they are joined."""
    text, number = arrow.string(), arrow.int64()
    return [("recording", text), ("camera", text), ("frame", number), ("stamp_ns", number)]


def _metadata(skeleton: Skeleton, config: str) -> dict[str, str]:
    return {
        "alphapose_ros.version": __version__,
        "alphapose_ros.config": config,
        "alphapose_ros.skeleton": skeleton.name,
        "alphapose_ros.keypoint_names": json.dumps(list(skeleton.keypoint_names)),
        "alphapose_ros.edges": json.dumps([list(map(int, edge)) for edge in skeleton.edges]),
        "alphapose_ros.box": "x, y, width, height; px, top left corner",
        "alphapose_ros.keypoints": "x px, y px, score in [0, 1] of each joint",
    }


class _Groups:
    """One Parquet file; rows wait until there are enough for a group."""

    def __init__(self, arrow: Any, parquet: Any, path: Path, schema: Any, size: int) -> None:
        self._arrow, self._schema, self._size = arrow, schema, size
        self._waiting: dict[str, list[Any]] = {name: [] for name in schema.names}
        self._count = self.rows = 0
        self._writer = parquet.ParquetWriter(path, schema, compression="zstd")

    def add(self, shared: dict[str, Any], columns: dict[str, Any], count: int) -> None:
        """Append ``count`` rows; ``shared`` values are those of each."""
        if not count:
            return
        for name, value in shared.items():
            self._waiting[name].extend([value] * count)
        for name, values in columns.items():
            if isinstance(values, np.ndarray):
                self._waiting[name].append(values)
            else:
                self._waiting[name].extend(values if isinstance(values, list) else [values])
        self._count += count
        self.rows += count
        if self._count >= self._size:
            self._flush()

    def _flush(self) -> None:
        columns = [self._column(field) for field in self._schema]
        table = self._arrow.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=self._count)
        self._waiting = {name: [] for name in self._waiting}
        self._count = 0

    def _column(self, field: Any) -> Any:
        values = self._waiting[field.name]
        if not isinstance(values[0], np.ndarray):
            return self._arrow.array(values, field.type)
        whole = np.concatenate(values)
        if whole.ndim == 1:
            return self._arrow.array(whole.astype(field.type.to_pandas_dtype()), field.type)
        flat = self._arrow.array(np.ascontiguousarray(whole, np.float32).reshape(-1))
        return self._arrow.FixedSizeListArray.from_arrays(flat, type=field.type)

    def close(self) -> None:
        """Write the rest and the end of the file."""
        try:
            if self._count:
                self._flush()
        finally:
            self._writer.close()
