# SPDX-License-Identifier: Apache-2.0
"""``visualization_msgs/MarkerArray`` as CDR.

The points of ten whole bodies are some 2,700 message objects, whose making and serializing costs
more than the networks; as an array they are copied at once. The definition of Marker has been the
same since Humble.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.output.cdr import CdrWriter

_EMPTY = struct.pack("<I4x", 1)  # a string of length 0 with its zero, padded to four bytes
_MIDDLE = struct.Struct("<7d3d4f2I?")  # from a multiple of eight on it needs no padding
# Behind the points: colors, texture_resource, texture (stamp, frame_id, format, data),
# uv_coordinates, text, mesh_resource, mesh_file (name, data), mesh_use_embedded_materials.
_TAIL = (
    bytes(4) + _EMPTY + bytes(8) + 2 * _EMPTY + bytes(4)
    + bytes(4) + 2 * _EMPTY + _EMPTY + bytes(4) + b"\x00"
)  # fmt: skip


@dataclass(frozen=True)
class MarkerShape:
    """One marker; those without points are farewells or stand for nothing.

    Attributes:
        namespace, number: who it is.
        kind, action: constants of ``visualization_msgs/Marker``.
        size: scale in all directions, m.
        color: red, green, blue, alpha in [0, 1].
        points: (P, 3) m.
    """

    namespace: str
    number: int
    action: int
    kind: int = 0
    size: float = 0.0
    color: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    points: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 3)))


def marker_array_cdr(
    shapes: Sequence[MarkerShape], stamp_ns: int, frame_id: str, lifetime_s: float
) -> bytes:
    """All shapes with one stamp, frame and lifetime; orientation is the frame's own."""
    out = CdrWriter()
    out.pack("I", len(shapes))
    header = CdrWriter()
    header.stamp(stamp_ns)
    header.string(frame_id)
    same = header.getvalue()[4:]  # wherever a multiple of four begins
    lifetime = divmod(round(lifetime_s * 1e9), 10**9)
    for shape in shapes:
        out.align(4)
        out.raw(same)
        out.string(shape.namespace)
        out.pack("3i", shape.number, shape.kind, shape.action)
        out.align(8)
        size = shape.size
        # At the frame's origin, not turned; scale, color, lifetime, not locked to the frame.
        out.raw(_MIDDLE.pack(0, 0, 0, 0, 0, 0, 1, size, size, size, *shape.color, *lifetime, 0))
        out.pack("I", len(shape.points))
        out.array(shape.points, "<f8")
        out.raw(_TAIL)
    return out.getvalue()
