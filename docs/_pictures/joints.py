# SPDX-License-Identifier: Apache-2.0
"""The 136 joints with their numbers, and the names of the body's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from svg import FAINT, Drawing, Point, css

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.output.palette import edge_color, joint_color

_MIDDLE = {"nose": (0, 96), "head_top": (0, 40), "neck": (0, 152), "pelvis": (0, 366)}
_SIDES = {  # of the person's left; the right is its mirror image
    "eye": (15, 82), "ear": (32, 92), "shoulder": (74, 168), "elbow": (104, 264),
    "wrist": (114, 352), "hip": (44, 372), "knee": (48, 492), "ankle": (50, 604),
    "heel": (46, 632), "big_toe": (58, 656), "small_toe": (78, 648),
}  # fmt: skip
_FINGERS = (("thumb", -58, 62), ("index", -22, 96), ("middle", 0, 104), ("ring", 18, 96),
            ("little", 38, 78))  # fmt: skip


def body_places() -> dict[int, Point]:
    """Joint -> where it is drawn, around x = 0. Somebody who looks at us: their left is right."""
    out: dict[int, Point] = {HALPE136.index(name): at for name, at in _MIDDLE.items()}
    for name, (x, y) in _SIDES.items():
        out[HALPE136.index(f"left_{name}")] = x, y
        out[HALPE136.index(f"right_{name}")] = -x, y
    return out


def face_places() -> dict[int, Point]:
    """The 68 points of a face around (0, 0), 2 wide."""
    half = [
        (math.cos(a), 0.25 + 0.95 * math.sin(a)) for a in (k * math.pi / 16 for k in range(17))
    ]
    points = [(-x, y) for x, y in half]  # jaw, from the person's right
    brow = [(-0.82, -0.42), (-0.67, -0.55), (-0.5, -0.58), (-0.34, -0.54), (-0.18, -0.46)]
    points += brow + [(-x, y) for x, y in reversed(brow)]
    points += [(0, -0.28), (0, -0.12), (0, 0.03), (0, 0.18)]
    points += [(-0.2, 0.3), (-0.1, 0.34), (0, 0.36), (0.1, 0.34), (0.2, 0.3)]
    eye = [(-0.18, 0), (-0.07, -0.09), (0.07, -0.09), (0.18, 0), (0.07, 0.08), (-0.07, 0.08)]
    points += [(x - 0.46, y - 0.24) for x, y in eye] + [(x + 0.46, y - 0.24) for x, y in eye]
    outer = [k * math.pi / 6 for k in range(12)]
    points += [(-0.42 * math.cos(a), 0.68 - 0.2 * math.sin(a)) for a in outer]
    inner = [k * math.pi / 4 for k in range(8)]
    points += [(-0.28 * math.cos(a), 0.68 - 0.08 * math.sin(a)) for a in inner]
    start = HALPE136.parts["face"].start
    return {start + k: point for k, point in enumerate(points)}


def hand_places(side: str) -> dict[int, Point]:
    """A hand from its wrist at (0, 0) upwards; the palm looks at us."""
    out: dict[int, Point] = {HALPE136.index(f"{side}_hand_wrist"): (0, 0)}
    mirror = 1 if side == "left" else -1
    for name, degrees, length in _FINGERS:
        across, up = math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))
        for joint in range(1, 5):
            along = length * (1 + 0.42 * (joint - 1))
            out[HALPE136.index(f"{side}_hand_{name}_{joint}")] = (
                mirror * across * along,
                up * along,
            )
    return out


def draw_joints(path: Path) -> None:
    """Body with names, face and hands with numbers."""
    drawing = Drawing(1120, 720)
    body = {joint: (x + 280, y + 30) for joint, (x, y) in body_places().items()}
    _edges(drawing, body, 3)
    _names(drawing, body)
    face = {joint: (x * 195 + 820, y * 175 + 165) for joint, (x, y) in face_places().items()}
    _edges(drawing, face, 1.2)
    _numbers(drawing, face, 10.5)
    drawing.text((820, 24), "face_0 to face_67: 26 to 93", 13, anchor="middle", bold=True)
    for side, x in (("right", 680), ("left", 960)):
        hand = {j: (px * 0.93 + x, py * 0.93 + 670) for j, (px, py) in hand_places(side).items()}
        _edges(drawing, hand, 1.8)
        _numbers(drawing, hand, 11)
        joints = HALPE136.parts[f"{side}_hand"]
        title = f"{side}_hand: {joints.start} to {joints.stop - 1}"
        drawing.text((x, 700), title, 13, anchor="middle", bold=True)
    drawing.write(path)


def _edges(drawing: Drawing, places: Mapping[int, Point], width: float) -> None:
    for edge in HALPE136.edges:
        if edge[0] in places and edge[1] in places:
            color = edge_color(HALPE136, edge)
            pale = css(color) if sum(color) < 600 else FAINT
            drawing.line([places[edge[0]], places[edge[1]]], pale, width)


def _numbers(drawing: Drawing, places: Mapping[int, Point], size: float) -> None:
    for joint, at in places.items():
        drawing.dot(at, 2, css(joint_color(HALPE136, joint)))
        drawing.text((at[0] + 2.5, at[1] - 3), str(joint), size)


def _names(drawing: Drawing, places: Mapping[int, Point]) -> None:
    """In two columns, each joined to its joint by a thin line."""
    for column, anchor, mine in ((140, "end", True), (420, "start", False)):
        chosen = [j for j in places if HALPE136.keypoint_names[j].startswith("right_") == mine]
        chosen.sort(key=lambda j: (places[j][1], places[j][0]))
        for joint, y in zip(chosen, _apart([places[j][1] for j in chosen], 21), strict=True):
            step = -8 if mine else 8
            drawing.line([places[joint], (column - step, y - 4)], FAINT, 0.6)
            words = f"{joint} {HALPE136.keypoint_names[joint]}"
            drawing.text((column, y), words, 13, anchor=anchor)
    for joint, at in places.items():
        drawing.dot(at, 4.5, css(joint_color(HALPE136, joint)))


def _apart(heights: list[float], least: float) -> list[float]:
    """Sorted heights moved until neighbours are ``least`` apart, the last ones upwards."""
    out: list[float] = []
    for height in heights:
        out.append(max(height + 4, out[-1] + least if out else 0))
    limit = 700.0
    for k in range(len(out) - 1, -1, -1):
        out[k] = min(out[k], limit)
        limit = out[k] - least
    return out
