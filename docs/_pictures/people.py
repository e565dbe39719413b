# SPDX-License-Identifier: Apache-2.0
"""Pictures of a person, by the bundled networks.

The photograph is NASA's portrait of Eileen Collins, in the public domain, from scikit-image.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

from alphapose_ros.base import affine
from alphapose_ros.base.records import Detections, Frame, Poses
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.output.draw import DrawStyle, draw_poses, draw_result
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import decoded_network
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.sikr import integral, normalise
from alphapose_ros.registry.bundled import POSE_NANO
from alphapose_ros.registry.store import resolve

Image = NDArray[np.uint8]
JOINT = "right_shoulder"
_ZOOM, _CELL = 14, 32  # cells of the enlarged part, px of each
_JITTER = ((0, 0, 0, 0), (-22, -14, 18, 26), (20, 12, -14, -22), (-10, 20, 26, -6))
_GREEN, _RED, _WHITE, _INK = (80, 230, 80), (255, 70, 60), (255, 255, 255), (20, 20, 20)


@cache
def pipeline() -> PosePipeline:
    """The bundled networks on the CPU."""
    return PosePipeline.from_preset("nano", device="cpu")


def draw_portrait(path: Path) -> None:
    """Half a second of the portrait, so that she has an identity."""
    image, made = astronaut(), pipeline()
    made.reset()
    for number in range(5):
        result = made(Frame(image, stamp_ns=number * 100_000_000))
    _save(path, draw_result(image, result))


def draw_suppression(path: Path) -> None:
    """Poses of four boxes that overlap, before pose NMS and after."""
    image, made = astronaut(), pipeline()
    box = person_box(image)
    boxes = np.clip(box + np.array(_JITTER, np.float32), 0, 511)
    scores = np.array([0.9, 0.8, 0.75, 0.7], np.float32)
    (poses,) = made.estimator(_batch(image), [Detections(boxes, scores)])
    kept = PoseNms()(poses)
    panels = []
    for shown, title in (
        (poses, f"{len(poses)} boxes, {len(poses)} poses"),
        (kept, "after pose NMS"),
    ):
        panels.append(_titled(_with_boxes(image, shown), title))
    _save(path, np.concatenate([panels[0], _gap(panels[0]), panels[1]], 1))


def person_box(image: Image) -> NDArray[np.float32]:
    """(4,) of the one person whom the detector finds."""
    found = pipeline().detect_and_estimate(_batch(image))[0]
    best: NDArray[np.float32] = found.boxes[np.argmax(found.box_scores)]
    return best


def draw_sikr(path: Path) -> None:
    """A crop, the map of one joint over it, and where three ways of reading put the joint."""
    network, info, skeleton = decoded_network(resolve(POSE_NANO), PoseConfig())
    box = person_box(astronaut())
    crop_box = affine.crop_boxes(box[None], info.input_hw)
    images = _batch(astronaut()).crops(crop_box, np.zeros(1, np.intp), info.input_hw)
    joint = skeleton.index(JOINT)
    with torch.inference_mode():
        logits: Any = network.maps(images)[:, joint]  # type: ignore[operator]
    crop = np.ascontiguousarray(images[0].permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8))
    confidence = logits.sigmoid()[0].numpy()
    row, column = np.unravel_index(confidence.argmax(), confidence.shape)
    plain = integral(normalise(logits, "sigmoid")[0])[0].numpy()
    decoder: Any = network.decode
    cut = normalise(logits, "sigmoid", tail_cut=decoder.tail_cut, window=decoder.window)[0]
    marks = {
        "highest cell": (np.array([column, row], np.float32), _WHITE, "cell"),
        "plain sum": (plain, _RED, "cross"),
        "expectation": (integral(cut)[0].numpy(), _GREEN, "dot"),
    }
    whole = _large(crop, 448)
    heat = cv2.applyColorMap(
        (255 * confidence / confidence.max()).astype(np.uint8), cv2.COLORMAP_INFERNO
    )
    over = cv2.addWeighted(_large(heat[..., ::-1], 448), 0.62, whole, 0.38, 0)
    panels = [
        _titled(whole, "crop, 192 x 256 px"),
        _titled(over, f"map of {JOINT}, 48 x 64"),
        _titled(_zoomed(confidence, marks), f"its cells, score {confidence.max():.2f}"),
    ]
    gap = _gap(panels[0])
    _save(path, np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1))


def _zoomed(confidence: NDArray[np.float32], marks: dict[str, Any]) -> Image:
    """The cells around the joint, with the marks; 448 px high."""
    row, column = np.unravel_index(confidence.argmax(), confidence.shape)
    corner = np.array(
        [
            np.clip(column - _ZOOM // 2, 0, confidence.shape[1] - _ZOOM),
            np.clip(row - _ZOOM // 2, 0, confidence.shape[0] - _ZOOM),
        ]
    )
    part = confidence[corner[1] : corner[1] + _ZOOM, corner[0] : corner[0] + _ZOOM]
    cells = cv2.applyColorMap(
        (255 * part / confidence.max()).astype(np.uint8), cv2.COLORMAP_INFERNO
    )
    out = np.ascontiguousarray(np.kron(cells[..., ::-1], np.ones((_CELL, _CELL, 1), np.uint8)))
    for number, (name, (point, color, kind)) in enumerate(marks.items()):
        _mark(out, (point - corner + 0.5) * _CELL, color, kind)
        at = np.array([20, _ZOOM * _CELL - 66 + 24 * number], np.float32)
        _mark(out, at, color, kind, small=True)
        _words(out, name, (36, int(at[1]) + 6), _WHITE)
    return out


def _mark(
    image: Image, at: NDArray[np.floating], color: Any, kind: str, *, small: bool = False
) -> None:
    x, y = (int(v) for v in np.clip(np.round(at), 4, image.shape[0] - 5))
    if kind == "cell":
        half = 8 if small else _CELL // 2
        cv2.rectangle(image, (x - half, y - half), (x + half, y + half), color, 2)
    elif kind == "cross":
        cv2.drawMarker(image, (x, y), color, cv2.MARKER_TILTED_CROSS, 16, 3)
    else:
        cv2.circle(image, (x, y), 8, _INK, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), 6, color, -1, cv2.LINE_AA)


def _batch(image: Image) -> ImageBatch:
    return ImageBatch.upload([image], "cpu")


def _with_boxes(image: Image, poses: Poses) -> Image:
    out = draw_poses(image, poses, DrawStyle(boxes=False, labels=False))
    for x1, y1, x2, y2 in poses.boxes.round().astype(int).tolist():
        cv2.rectangle(out, (x1, y1), (x2, y2), _GREEN, 2)
    return cv2.resize(out, (420, 420), interpolation=cv2.INTER_AREA)


def _large(image: Image, height: int) -> Image:
    width = round(image.shape[1] * height / image.shape[0])
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)


def _titled(image: Image, words: str) -> Image:
    head = np.full((34, image.shape[1], 3), 255, np.uint8)
    _words(head, words, (4, 23), _INK)
    return np.concatenate([head, image])


def _words(image: Image, words: str, at: tuple[int, int], color: Any) -> None:
    cv2.putText(image, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.58, color, 1, cv2.LINE_AA)


def _gap(panel: Image) -> Image:
    return np.full((panel.shape[0], 12, 3), 255, np.uint8)


def _save(path: Path, image: Image) -> None:
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
