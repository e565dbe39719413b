# SPDX-License-Identifier: Apache-2.0
"""The overlay: skeletons, identities and boxes on a copy of the image.

Line widths follow each person's size and the image's, so that it reads on 320 px and on 4K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import require
from alphapose_ros.base.records import FloatArray, FrameResult, ImageArray, Poses, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.output.palette import Color, edge_color, identity_color, joint_color

Place = tuple[int, int]  # in sixteenths of a pixel

_SUBPIXEL_BITS = 4  # OpenCV draws at 1/16 px
_FINE_PARTS = ("face", "left_hand", "right_hand", "hand")
_HEAD = ("nose", "_eye", "_ear", "head_top")
_OUTLINE: Color = (16, 16, 16)
_TENTATIVE_OPACITY = 0.45
_LIMIT = 1 << 20  # px; beyond it OpenCV's fixed-point coordinates would overflow


@dataclass(frozen=True)
class DrawStyle:
    """What is drawn.

    Attributes:
        min_score: body and feet joints below it are not drawn, [0, 1].
        min_fine_score: the same for face and hands, whose scores are lower by nature, [0, 1].
        min_part_px: a face or hand smaller than this, longer side in px, is left out: its lines
            would only cover it.
        boxes: draw the corners of each person's box.
        labels: write ``#id`` at each person's box.
    """

    min_score: float = 0.3
    min_fine_score: float = 0.15
    min_part_px: float = 12.0
    boxes: bool = True
    labels: bool = True


def draw_result(
    image: ImageArray, result: FrameResult, style: DrawStyle | None = None
) -> ImageArray:
    """Everybody who is seen, on a copy of ``image`` (H, W, 3) RGB uint8; lost people are left out.

    People without an identity yet are dimmer and lie under the others.
    """
    tracks = result.tracks[result.tracks.states != TrackState.LOST]
    certain = tracks.ids > 0
    canvas = np.ascontiguousarray(image).copy()
    if not certain.all():
        layer = _Painter(canvas.copy(), style)
        layer.people(tracks.poses[~certain], [0] * int((~certain).sum()))
        canvas = _blend(layer.canvas, canvas, _TENTATIVE_OPACITY)
    painter = _Painter(canvas, style)
    painter.people(tracks.poses[certain], [int(i) for i in tracks.ids[certain]])
    return painter.canvas


def draw_poses(image: ImageArray, poses: Poses, style: DrawStyle | None = None) -> ImageArray:
    """Poses without identities, at full strength, on a copy of ``image``."""
    painter = _Painter(np.ascontiguousarray(image).copy(), style)
    painter.people(poses, [0] * len(poses))
    return painter.canvas


def _blend(over: ImageArray, under: ImageArray, opacity: float) -> ImageArray:
    blended: ImageArray = _opencv().addWeighted(over, opacity, under, 1 - opacity, 0)
    return blended


def _opencv() -> Any:
    return require(
        "cv2", needed_for="drawing", install="install it with: pip install opencv-python-headless"
    )


class _Painter:
    """One canvas, drawn in place; people with the largest box first, so that nobody is buried."""

    def __init__(self, canvas: ImageArray, style: DrawStyle | None) -> None:
        self.canvas = canvas
        self._style = style if style is not None else DrawStyle()
        self._cv2 = _opencv()
        # The finest line that can be seen when the whole image fills a screen.
        self._unit = max(min(canvas.shape[:2]) / 720, 0.5)

    def people(self, poses: Poses, ids: list[int]) -> None:
        heights = poses.boxes[:, 3] - poses.boxes[:, 1]
        order = np.argsort(-heights, kind="stable")
        for row in order:
            self._skeleton(poses.keypoints[row], poses.scores[row], poses.boxes[row], poses)
        for row in order:
            color = identity_color(ids[row])
            if self._style.boxes:
                self._corners(poses.boxes[row], color)
            if self._style.labels and ids[row] > 0:
                self._label(f"#{ids[row]}", poses.boxes[row], color)

    def _skeleton(
        self, keypoints: FloatArray, scores: FloatArray, box: FloatArray, poses: Poses
    ) -> None:
        skeleton = poses.skeleton
        fine = _fine_joints(skeleton)
        shown = visible_joints(keypoints, scores, skeleton, self._style)
        places = _fixed(np.where(shown[:, None], keypoints, 0))

        def ends(edge: tuple[int, int]) -> list[Place]:
            return [places[edge[0]], places[edge[1]]]

        wide = self._width(box)
        thin = max(round(wide / 3), 1)
        edges = [edge for edge in skeleton.edges if shown[edge[0]] and shown[edge[1]]]
        bold = [edge for edge in edges if not fine[edge[0]]]
        head = _head_joints(skeleton)
        widths = [max(round(wide / 2), 1) if head[list(edge)].any() else wide for edge in bold]
        for edge, width in zip(bold, widths, strict=True):
            self._line(ends(edge), _OUTLINE, width + max(round(width / 2), 1))
        for edge, width in zip(bold, widths, strict=True):
            self._line(ends(edge), edge_color(skeleton, edge), width)
        for edge in edges:
            if fine[edge[0]]:
                self._line(ends(edge), edge_color(skeleton, edge), thin)
        for joint in np.flatnonzero(shown & ~fine):
            color = joint_color(skeleton, int(joint))
            radius = wide * (0.6 if head[joint] else 0.95)
            self._dot(places[joint], _OUTLINE, radius + 0.75)
            self._dot(places[joint], color, radius)

    def _width(self, box: FloatArray) -> int:
        size = float(max(box[2] - box[0], box[3] - box[1]))
        return max(round(min(size / 85, 6 * self._unit)), 1)

    def _line(self, ends: list[Place], color: Color, width: int) -> None:
        first, second = ends
        self._cv2.line(self.canvas, first, second, color, width, self._cv2.LINE_AA, _SUBPIXEL_BITS)

    def _dot(self, center: Place, color: Color, radius: float) -> None:
        size = round(radius * (1 << _SUBPIXEL_BITS))
        self._cv2.circle(self.canvas, center, size, color, -1, self._cv2.LINE_AA, _SUBPIXEL_BITS)

    def _corners(self, box: FloatArray, color: Color) -> None:
        x1, y1, x2, y2 = (float(value) for value in box)
        arm = 0.22 * min(x2 - x1, y2 - y1)
        width = max(round(2 * self._unit), 1)
        for x, y, dx, dy in ((x1, y1, 1, 1), (x2, y1, -1, 1), (x1, y2, 1, -1), (x2, y2, -1, -1)):
            for end in ((x + dx * arm, y), (x, y + dy * arm)):
                ends = _fixed(np.array([(x, y), end], np.float32))
                self._line(ends, _OUTLINE, width + 1)
                self._line(ends, color, width)

    def _label(self, text: str, box: FloatArray, color: Color) -> None:
        cv2, font = self._cv2, self._cv2.FONT_HERSHEY_SIMPLEX
        scale = max(0.62 * self._unit, 0.42)
        stroke = max(round(1.5 * scale), 1)
        (width, height), base = cv2.getTextSize(text, font, scale, stroke)
        pad = max(round(0.3 * height), 2)
        image_height, image_width = self.canvas.shape[:2]
        left = int(np.clip(box[0], 0, max(image_width - width - 2 * pad, 0)))
        low = float(box[1]) - 2 * self._unit  # the chip stands on the box, or hangs inside it
        bottom = int(np.clip(low, height + 2 * pad, image_height - 1))
        chip = (left, bottom - height - 2 * pad), (left + width + 2 * pad, bottom)
        cv2.rectangle(self.canvas, *chip, color, -1, cv2.LINE_AA)
        bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
        ink = _OUTLINE if bright else (255, 255, 255)
        origin = (left + pad, bottom - pad - max(base // 6, 0))
        cv2.putText(self.canvas, text, origin, font, scale, ink, stroke, cv2.LINE_AA)


def visible_joints(
    keypoints: FloatArray, scores: FloatArray, skeleton: Skeleton, style: DrawStyle
) -> NDArray[np.bool_]:
    """(K, 2) px and (K,) -> (K,) which joints are drawn."""
    fine = _fine_joints(skeleton)
    threshold = np.where(fine, style.min_fine_score, style.min_score)
    shown = (scores >= threshold) & (scores > 0) & np.isfinite(keypoints).all(-1)
    for name in _FINE_PARTS:
        part = skeleton.parts.get(name)
        if part is not None and shown[part].any():
            points = keypoints[part][shown[part]]
            if np.ptp(points, axis=0).max() < style.min_part_px:
                shown[part] = False
    return shown


def _fine_joints(skeleton: Skeleton) -> NDArray[np.bool_]:
    out = np.zeros(len(skeleton), bool)
    for name in _FINE_PARTS:
        out[skeleton.parts.get(name, slice(0, 0))] = True
    return out


def _head_joints(skeleton: Skeleton) -> NDArray[np.bool_]:
    """Joints on the face are drawn finer: a limb's width would hide it."""
    return np.array([name.endswith(_HEAD) for name in skeleton.keypoint_names], bool)


def _fixed(points: FloatArray) -> list[Place]:
    """Points (N, 2) px -> as OpenCV takes fractions of them."""
    scaled = np.round(np.clip(points, -_LIMIT, _LIMIT) * (1 << _SUBPIXEL_BITS)).astype(int)
    return [(x, y) for x, y in scaled.tolist()]
