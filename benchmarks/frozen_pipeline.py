# SPDX-License-Identifier: Apache-2.0
"""A straightforward per-person pose pipeline, frozen: the mark that our speed is measured against.

It does what top-down pose pipelines commonly do: a ``cv2.warpAffine`` crop per person, normalised
on the CPU with NumPy, a forward pass per person (or all crops stacked into one batch), maps that
come back to the CPU and are decoded person by person, joints that go to the image one by one, and
pose NMS as a loop over lists (``frozen_nms.py``). Crops, decoding and NMS follow the formulas of
the package, so that results agree and only the way differs.

FROZEN: it must not be optimised and imports nothing of the code that it is compared with but
records, the skeleton and the parameters. A faster package must show here as a larger ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from frozen_nms import literal_pose_nms
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.nms_config import PoseNmsConfig

FloatArray = NDArray[np.floating]
Row = list[float]

INPUT_HW, PADDING = (256, 192), 1.25


@dataclass(frozen=True)
class Decoding:
    """How a map becomes a joint; see ``alphapose_ros.pose.config.PoseConfig``.

    Attributes:
        kind: heatmap or sikr.
        tail_cut, window: of SIKR; 0 is AlphaPose's own.
        untaught: names of joints whose score is 0.
    """

    kind: str = "sikr"
    tail_cut: float = 0.0
    window: float = 0.0
    untaught: tuple[str, ...] = ()


class FrozenPipeline:
    """``pipeline(image, detections)`` -> poses after pose NMS.

    Args:
        network: normalised crops (N, 3, 256, 192) -> maps (N, K, 64, 48), in PyTorch.
        skeleton: of the K joints.
        decoding: of the maps.
        mean, std: of R, G and B, in 0..1.
        batched: all crops in one forward pass instead of one pass each.
        nms: parameters of pose NMS; the whole-body form is used.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        skeleton: Skeleton,
        decoding: Decoding | None = None,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        batched: bool = False,
        nms: PoseNmsConfig | None = None,
    ) -> None:
        self.network, self.skeleton, self.decoding = network, skeleton, decoding or Decoding()
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)
        self.batched, self.nms = batched, nms or PoseNmsConfig()

    def __call__(self, image: NDArray[np.uint8], detections: Detections) -> Poses:
        """Poses of the people in an RGB image (H, W, 3), best first."""
        return literal_pose_nms(self.candidates(image, detections), self.nms)

    def candidates(self, image: NDArray[np.uint8], detections: Detections) -> Poses:
        """A pose per box, before pose NMS."""
        people = [_crop_box(box) for box in detections.boxes]
        crops = [self._crop(image, center, width) for center, width in people]
        maps = self._maps(crops)
        keypoints, scores = [], []
        for (center, width), person in zip(people, maps, strict=True):
            points, values = self._decoded(person, center, width)
            keypoints.append(points)
            scores.append(values)
        joints = len(self.skeleton)
        return Poses(
            np.array(keypoints, np.float32).reshape(-1, joints, 2),
            np.array(scores, np.float32).reshape(-1, joints),
            detections.boxes,
            detections.scores,
            np.arange(len(detections)),
            self.skeleton,
        )

    def _crop(
        self, image: NDArray[np.uint8], center: tuple[float, float], width: float
    ) -> FloatArray:
        """(3, 256, 192), normalised."""
        height_px, width_px = INPUT_HW
        scale = width_px / width
        matrix = np.array(
            [
                [scale, 0, width_px / 2 - scale * center[0]],
                [0, scale, height_px / 2 - scale * center[1]],
            ]
        )
        crop = cv2.warpAffine(image, matrix, (width_px, height_px), flags=cv2.INTER_LINEAR)
        normalised = (crop.astype(np.float32) / 255 - self.mean) / self.std
        return normalised.transpose(2, 0, 1)

    @torch.no_grad()
    def _maps(self, crops: Sequence[FloatArray]) -> list[FloatArray]:
        """Maps (K, 64, 48) of every crop."""
        if self.batched and crops:
            return list(self.network(torch.from_numpy(np.stack(crops))).cpu().numpy())
        out = []
        for crop in crops:
            single = torch.from_numpy(np.ascontiguousarray(crop))[None]
            out.append(self.network(single)[0].cpu().numpy())
        return out

    def _decoded(
        self, maps: FloatArray, center: tuple[float, float], width: float
    ) -> tuple[list[Row], Row]:
        """A person's joints in image px, and their scores."""
        rows, columns = maps.shape[1:]
        if self.decoding.kind == "heatmap":
            points, scores = heatmap_joints(maps)
        else:
            points, scores = sikr_joints(maps, self.decoding.tail_cut, self.decoding.window)
        step = width / columns
        out, out_scores = [], []
        for name, (x, y), score in zip(self.skeleton.keypoint_names, points, scores, strict=True):
            out.append([(x - columns / 2) * step + center[0], (y - rows / 2) * step + center[1]])
            out_scores.append(0.0 if name in self.decoding.untaught else float(score))
        return out, out_scores


def _crop_box(box: FloatArray) -> tuple[tuple[float, float], float]:
    """Centre and width of the crop around a person's box: brought to 3:4, then enlarged."""
    x1, y1, x2, y2 = (float(v) for v in box)
    width = max(x2 - x1, (y2 - y1) * INPUT_HW[1] / INPUT_HW[0])
    return ((x1 + x2) / 2, (y1 + y2) / 2), width * PADDING


def heatmap_joints(maps: FloatArray) -> tuple[list[Row], Row]:
    """A person's maps (K, h, w): cells of the maxima, a quarter towards the higher neighbours."""
    rows, columns = maps.shape[1:]
    points, scores = [], []
    for single in maps:
        y, x = divmod(int(single.argmax()), columns)
        score = float(single[y, x])
        px, py = (float(x), float(y)) if score > 0 else (0.0, 0.0)
        if score > 0 and 1 < x < columns - 1 and 1 < y < rows - 1:
            px += 0.25 * float(np.sign(single[y, x + 1] - single[y, x - 1]))
            py += 0.25 * float(np.sign(single[y + 1, x] - single[y - 1, x]))
        points.append([px, py])
        scores.append(score)
    return points, scores


def sikr_joints(maps: FloatArray, tail_cut: float, window: float) -> tuple[list[Row], Row]:
    """A person's maps of logits (K, h, w): expectations of the confidences, and their peaks."""
    joints, rows, columns = maps.shape
    confidence = 1 / (1 + np.exp(-maps))
    flat = confidence.reshape(joints, -1)
    peaks, scores = flat.argmax(1), flat.max(1)
    if tail_cut > 0:
        confidence = np.where(confidence >= tail_cut * scores[:, None, None], confidence, 0)
    xs, ys = np.arange(columns), np.arange(rows)
    if window > 0:
        from_x = (xs - (peaks % columns)[:, None]) ** 2
        from_y = (ys - (peaks // columns)[:, None]) ** 2
        squared = from_y[:, :, None] + from_x[:, None, :]
        confidence = confidence * np.exp(-squared / (2 * window**2))
    probability = confidence / confidence.sum((1, 2), keepdims=True)
    points = np.stack([(probability.sum(1) * xs).sum(1), (probability.sum(2) * ys).sum(1)], 1)
    return points.tolist(), scores.tolist()
