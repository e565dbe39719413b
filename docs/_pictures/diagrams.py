# SPDX-License-Identifier: Apache-2.0
"""The states of a track, and the frames in which people have a place and a heading."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from svg import FAINT, Drawing, Point

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.heading import headings
from alphapose_ros.tracking.config import TrackerConfig

_RED, _GREEN, _BLUE = "#c0392b", "#2e8b57", "#2c5aa0"
_SHOULDERS_M = 0.2  # from the middle to each side


def draw_states(path: Path) -> None:
    """Boxes and arrows, with the tracker's defaults."""
    config, drawing = TrackerConfig(), Drawing(900, 330)
    boxes = (
        ((30, 60), "TENTATIVE", "id 0", "#fdf2d0"),
        ((360, 60), "TRACKED", "id given, kept", "#d9f0dd"),
        ((690, 60), "LOST", "id kept, box predicted", "#f6dcd8"),
        ((690, 240), "in the gallery", "known by looks alone", "#e8e8ee"),
    )
    for corner, name, note, fill in boxes:
        drawing.box(corner, (180, 64), fill)
        middle = corner[0] + 90
        drawing.text((middle, corner[1] + 28), name, 15, anchor="middle", bold=True)
        drawing.text((middle, corner[1] + 48), note, 12, anchor="middle")
    confirmed = f"{config.confirm_hits} hits in {config.confirm_s:g} s or more"
    _labelled(drawing, (210, 92), (360, 92), confirmed, "confirm_hits, confirm_s")
    _labelled(drawing, (540, 78), (690, 78), "not in this image", "")
    _labelled(drawing, (690, 108), (540, 108), "", "seen again: same id")
    drawing.arrow((780, 124), (780, 240))
    drawing.text((772, 168), f"unseen for {config.max_lost_s:g} s", 12, anchor="end")
    drawing.text((772, 184), "max_lost_s", 11, anchor="end", color=FAINT)
    drawing.arrow((120, 124), (120, 190))
    drawing.text((120, 208), "forgotten", 13, anchor="middle")
    drawing.text((132, 150), f"unseen for {config.tentative_lost_s:g} s", 12)
    drawing.text((132, 166), "tentative_lost_s", 11, color=FAINT)
    drawing.line([(690, 272), (450, 272)])
    drawing.arrow((450, 272), (450, 124))
    drawing.text((462, 262), f"looks alike, within {config.gallery_s:g} s: same id", 12)
    drawing.text((462, 290), "gallery_s, gallery_similarity,", 11, color=FAINT)
    drawing.text((462, 305), "gallery_margin", 11, color=FAINT)
    drawing.arrow((30, 30), (60, 60))
    drawing.text((38, 26), "a new detection", 12)
    later = f"after more than {config.gap_s:g} s (gap_s): new track_id"
    drawing.text((615, 144), later, 11, anchor="middle")
    drawing.write(path)


def _labelled(drawing: Drawing, start: Point, end: Point, above: str, below: str) -> None:
    drawing.arrow(start, end)
    middle, y = (start[0] + end[0]) / 2, start[1]
    drawing.text((middle, y - 8), above, 11.5, anchor="middle")
    drawing.text(
        (middle, y + 18), below, 11, anchor="middle", color=FAINT if "_" in below else "#222222"
    )


def heading_of(facing: float) -> float:
    """What the package says of the shoulders of somebody who faces ``facing``, z up."""
    points = np.full((1, len(HALPE136), 3), np.nan)
    for side, sign in (("left", 1), ("right", -1)):
        across = facing + sign * math.pi / 2
        x, y = _SHOULDERS_M * math.cos(across), _SHOULDERS_M * math.sin(across)
        points[0, HALPE136.index(f"{side}_shoulder")] = x, y, 1.4
    return float(headings(points, Bones(HALPE136), False)[0])


def draw_frames(path: Path) -> None:
    """The optical frame as the camera sees, and a robot with a person from above."""
    drawing = Drawing(900, 400)
    _optical(drawing)
    _from_above(drawing)
    drawing.write(path)


def _optical(drawing: Drawing) -> None:
    drawing.text((200, 28), "optical frame", 15, anchor="middle", bold=True)
    drawing.text((200, 48), "of images, as the camera sees", 12, anchor="middle")
    drawing.box((60, 80), (280, 190), "#f4f6fa", radius=2)
    drawing.dot((200, 175), 11, "white")
    for down in (-1, 1):  # the feathers of an arrow that flies away
        drawing.line([(193, 175 - 7 * down), (207, 175 + 7 * down)], _BLUE, 2)
    drawing.text((190, 160), "z", 14, color=_BLUE, anchor="end", bold=True)
    drawing.text((70, 102), "z points away from us, where the camera looks", 11, color=_BLUE)
    drawing.arrow((211, 175), (310, 175), _RED, 2.5)
    drawing.text((312, 192), "x", 14, color=_RED, anchor="end", bold=True)
    drawing.arrow((200, 186), (200, 255), _GREEN, 2.5)
    drawing.text((210, 254), "y", 14, color=_GREEN, bold=True)
    lines = (
        "heading 0: away from the camera, along z",
        "heading π/2: to the left of the picture",
        "heading π: towards the camera",
    )
    for row, words in enumerate(lines):
        drawing.text((60, 300 + 20 * row), words, 12.5)


def _from_above(drawing: Drawing) -> None:
    drawing.text((650, 28), "base_link, odom, map", 15, anchor="middle", bold=True)
    drawing.text((650, 48), "z up, seen from above", 12, anchor="middle")
    robot, person = (520, 300), (720, 170)
    drawing.box((robot[0] - 30, robot[1] - 24), (60, 48), "#e8e8ee")
    drawing.text((robot[0], robot[1] + 44), "robot", 12, anchor="middle")
    drawing.arrow(robot, (robot[0] + 110, robot[1]), _RED, 2.5)
    drawing.text((robot[0] + 114, robot[1] + 5), "x", 14, color=_RED, bold=True)
    drawing.arrow(robot, (robot[0], robot[1] - 110), _GREEN, 2.5)
    drawing.text((robot[0] - 14, robot[1] - 104), "y", 14, color=_GREEN, bold=True)
    facing = math.radians(60)
    ahead, across = (math.cos(facing), -math.sin(facing)), (math.sin(facing), math.cos(facing))
    left, right = (
        (person[0] - s * 34 * across[0], person[1] - s * 34 * across[1]) for s in (1, -1)
    )
    drawing.line([left, right], "#ff8a30", 9)
    drawing.dot(person, 12, "#ffe9c8")
    drawing.arrow(person, (person[0] + 80 * ahead[0], person[1] + 80 * ahead[1]), "#222222", 2.5)
    drawing.line([person, (person[0] + 80, person[1])], FAINT, 1, "4 3")
    arc = [heading_of(facing) * k / 20 for k in range(21)]
    drawing.line(
        [(person[0] + 48 * math.cos(a), person[1] - 48 * math.sin(a)) for a in arc], _BLUE, 2
    )
    shown = f"heading {math.degrees(heading_of(facing)):.0f}°"
    drawing.text((person[0] + 58, person[1] - 20), shown, 13, color=_BLUE, bold=True)
    drawing.line([robot, person], FAINT, 1, "2 4")
    drawing.text((648, 240), "position", 12.5, color="#555555")
    drawing.text((left[0] - 8, left[1] - 6), "left shoulder", 11, anchor="end")
    drawing.text((500, 385), "heading is counter-clockwise from x, in radians", 12.5)
