# SPDX-License-Identifier: Apache-2.0
"""How a moving camera shifts the picture: the background's motion between two images.

Corners of the small grey image are followed by Lucas and Kanade's optical flow; a turn, a scale
and a shift that most of them agree on (RANSAC) is the camera's motion. Corners on people are not
used, and people who were not found are outvoted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import require

FloatArray = NDArray[np.floating]
GreyArray = NDArray[np.uint8]

CORNERS = 80
ENOUGH_CORNERS = 0.6  # of those found; while as many are left, none are looked for
CELL_PX = 12  # between corners, px of the small image
WINDOW_PX = 11
LEVELS = 3  # halvings of the pyramid: a shift of a tenth of the picture is still followed
TOLERANCE_PX = 1.0  # of RANSAC
LEAST_INLIERS = 10  # corners that agree; fewer are no background
LEAST_SHARE = 0.4  # of the corners followed
LEAST_SHIFT_PX = 0.1  # a camera that moves the small image less stands still
MOST_SCALE = 1.5  # between two images; more is a wrong guess or a cut
PEOPLE_MARGIN = 0.1  # of the box, added around people on each side


class CameraMotion:
    """``estimate(image, boxes)`` for each image of one camera, in their order.

    Args:
        width: columns of the small image, px.

    Raises:
        MissingDependencyError: OpenCV is not installed.
    """

    def __init__(self, width: int = 320) -> None:
        self.width = width
        self._cv2 = require(
            "cv2",
            needed_for="tracker.camera_motion",
            install="install opencv-python-headless, or turn tracker.camera_motion off",
        )
        self._before: GreyArray | None = None
        self._corners = np.zeros((0, 2), np.float32)
        self._found = 0  # corners when they were last looked for

    def reset(self) -> None:
        """The next image is the first."""
        self._before = None

    def estimate(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> NDArray[np.float64] | None:
        """How the background moved since the image before.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) px xyxy of the people in it.

        Returns:
            (2, 3) turn, scale and shift, px of the image before -> px of this one; None at the
            first image, where the camera stands still, and where no background can be followed.
        """
        grey, to_full = self._shrink(image)
        before, self._before = self._before, grey
        motion = None
        if before is None or before.shape != grey.shape:
            self._corners = self._corners[:0]
        else:
            motion = self._follow(before, grey)
        from_full = np.linalg.inv(to_full)
        people = _enlarged(boxes) * np.tile(np.diag(from_full)[:2], 2) + np.tile(
            from_full[:2, 2], 2
        )
        self._corners = self._corners[~_inside(self._corners, people)]
        if len(self._corners) <= ENOUGH_CORNERS * self._found:
            self._corners = self._find(grey, people)
            self._found = len(self._corners)
        if motion is None or not _is_motion(motion, grey.shape):
            return None
        return (to_full @ np.vstack([motion, [0, 0, 1]]) @ from_full)[:2]

    def _shrink(self, image: NDArray[np.uint8]) -> tuple[GreyArray, FloatArray]:
        """The small grey image, and the map (3, 3) from its px to the image's."""
        height, width = image.shape[:2]
        columns = min(self.width, width)
        rows = max(round(height * columns / width), 1)
        step = max(width // (2 * columns), 1)
        # Green is grey enough for corners, and a third of the work.
        sparse = np.ascontiguousarray(image[::step, ::step, 1])
        grey = self._cv2.resize(sparse, (columns, rows), interpolation=self._cv2.INTER_AREA)
        ratio = np.array([sparse.shape[1] / columns, sparse.shape[0] / rows])
        to_full = np.diag([*(step * ratio), 1.0])
        to_full[:2, 2] = step * (ratio - 1) / 2  # pixel centres are integers in both
        return grey, to_full

    def _find(self, grey: GreyArray, people: FloatArray) -> NDArray[np.float32]:
        """Corners (C, 2) of the background."""
        mask = np.full(grey.shape, 255, np.uint8)
        for x1, y1, x2, y2 in np.rint(people).astype(int):
            mask[max(y1, 0) : max(y2 + 1, 0), max(x1, 0) : max(x2 + 1, 0)] = 0
        corners = self._cv2.goodFeaturesToTrack(grey, CORNERS, 0.01, CELL_PX, mask=mask)
        return np.zeros((0, 2), np.float32) if corners is None else corners[:, 0]

    def _follow(self, before: GreyArray, grey: GreyArray) -> FloatArray | None:
        """The small image's motion; the corners that followed it are those of ``grey`` now."""
        cv2, old = self._cv2, self._corners
        self._corners = old[:0]
        if len(old) < LEAST_INLIERS:
            return None
        new, found, _ = cv2.calcOpticalFlowPyrLK(
            before, grey, old, None, winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS
        )
        good = found[:, 0] == 1
        if good.sum() < LEAST_INLIERS:
            return None
        motion, inliers = cv2.estimateAffinePartial2D(
            old[good], new[good], ransacReprojThreshold=TOLERANCE_PX
        )
        if motion is None or inliers.sum() < max(LEAST_INLIERS, LEAST_SHARE * good.sum()):
            return None
        self._corners = new[good][inliers[:, 0] == 1]
        out: FloatArray = motion
        return out


def _enlarged(boxes: FloatArray) -> FloatArray:
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + PEOPLE_MARGIN * np.concatenate([-sides, sides], 1)


def _inside(points: FloatArray, boxes: FloatArray) -> NDArray[np.bool_]:
    """(C,) whether points (C, 2) lie in any of boxes (N, 4)."""
    low, high = points[:, None] >= boxes[None, :, :2], points[:, None] <= boxes[None, :, 2:]
    return np.asarray((low & high).all(-1).any(-1))


def _is_motion(motion: FloatArray, size_hw: tuple[int, ...]) -> bool:
    """Whether it moves a corner of the small picture, and not absurdly."""
    height, width = size_hw[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
    shift = np.abs(corners @ motion[:, :2].T + motion[:, 2] - corners).max()
    scale = np.sqrt(np.linalg.det(motion[:, :2]))
    return bool(shift >= LEAST_SHIFT_PX and 1 / MOST_SCALE <= scale <= MOST_SCALE)
