# SPDX-License-Identifier: Apache-2.0
"""Markers: where they lie, whose they are, and that they go when a person goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks

from alphapose_ros.base.records import FrameResult, Header, Intrinsics, TrackState
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.dds.types import WireTypes
from alphapose_ros.output.markers import ID_STRIDE, MarkerWriter

TYPES = WireTypes()
CAMERA = Intrinsics(500.0, 400.0, 320.0, 240.0, (480, 640))
SPHERES, LINES, DELETE = 7, 5, 2


def result(count: int) -> FrameResult:
    header = Header("camera", "optical", 10**9, (480, 640))
    return FrameResult(header, make_tracks(count, HALPE136))


def write(writer: MarkerWriter, of: FrameResult, camera: Intrinsics | None = CAMERA) -> list[Any]:
    cdr = writer.write(of, camera)
    message = TYPES.deserialize(cdr, "visualization_msgs/msg/MarkerArray")
    assert TYPES.serialize(message) == cdr  # byte for byte what another writer makes of it
    return list(message.markers)


def test_one_sphere_list_and_one_line_list_per_person_and_part() -> None:
    markers = write(MarkerWriter(), result(2))
    kinds = sorted((m.ns, m.type) for m in markers)
    assert kinds == sorted(
        (part, kind) for part in HALPE136.parts for kind in (LINES, SPHERES) for _ in range(2)
    )
    assert len({(m.ns, m.id) for m in markers}) == len(markers)
    assert sum(len(m.points) for m in markers if m.type == SPHERES) == 2 * 136
    assert sum(len(m.points) for m in markers if m.type == LINES) == 2 * 2 * len(HALPE136.edges)


def test_points_lie_where_the_pixel_is_on_the_plane() -> None:
    before = result(1)
    markers = write(MarkerWriter(depth_m=3.0), before)
    body = next(m for m in markers if m.type == SPHERES and m.ns == "body")
    x, y = before.tracks.poses.keypoints[0, 0]
    point = body.points[0]
    assert (point.x, point.y) == pytest.approx(((x - 320) / 500 * 3, (y - 240) / 400 * 3))
    assert {p.z for m in markers for p in m.points} == {3.0}


def test_ids_of_two_people_never_meet() -> None:
    markers = write(MarkerWriter(), result(5))
    people = {m.id // ID_STRIDE for m in markers}
    assert people == {11, 12, 13, 14, 15}
    assert ID_STRIDE >= 200


def test_color_is_the_identity_not_the_track() -> None:
    before = result(3)
    tracks = replace(before.tracks, ids=np.array([7, 7, 8]))
    markers = write(MarkerWriter(), replace(before, tracks=tracks))
    color = {m.id // ID_STRIDE: (m.color.r, m.color.g, m.color.b, m.color.a) for m in markers}
    assert color[11] == color[12] != color[13]
    assert all(0 <= c <= 1 for values in color.values() for c in values)


def test_who_left_is_deleted_once() -> None:
    writer, both = MarkerWriter(), result(2)
    first = write(writer, both)
    one = replace(both, tracks=both.tracks[:1])
    second = write(writer, one)
    gone = {(m.ns, m.id) for m in second if m.action == DELETE}
    assert gone == {(m.ns, m.id) for m in first if m.id // ID_STRIDE == 12}
    assert not [m for m in write(writer, one) if m.action == DELETE]
    nobody = write(writer, result(0))
    assert {m.action for m in nobody} == {DELETE}
    assert not write(writer, result(0))


def test_joints_never_taught_and_lost_people_are_not_drawn() -> None:
    before = result(2)
    before.tracks.poses.scores[0, 20:26] = 0
    states = np.array([TrackState.TRACKED, TrackState.LOST])
    markers = write(MarkerWriter(), replace(before, tracks=replace(before.tracks, states=states)))
    assert {m.id // ID_STRIDE for m in markers} == {11}
    assert "feet" not in {m.ns for m in markers}
    assert all(len(m.points) for m in markers)


def test_without_intrinsics_there_is_nothing_but_farewells() -> None:
    writer = MarkerWriter()
    assert not write(writer, result(2), None)
    write(writer, result(1))
    assert {m.action for m in write(writer, result(1), None)} == {DELETE}


def test_lifetime_is_a_parameter() -> None:
    markers = write(MarkerWriter(lifetime_s=1.25), result(1))
    assert {(m.lifetime.sec, m.lifetime.nanosec) for m in markers} == {(1, 250_000_000)}
