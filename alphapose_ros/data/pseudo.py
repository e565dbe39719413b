# SPDX-License-Identifier: Apache-2.0
"""Pseudo labels: poses of people whom a data set marks with a box only, told by a teacher.

A teacher larger than the student sees each box in finer resolution. A joint is accepted where
the teacher is sure of it, a person where enough of the body is accepted; everything accepted has
label 1, so that no metric ever takes it for an annotation.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.boxes import xywh_to_xyxy
from alphapose_ros.base.errors import require
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.coco import persons_among, read_coco, read_image
from alphapose_ros.data.file_names import image_path
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.sikr import SikrDecoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AcceptanceRules:
    """When a teacher's answer becomes a label.

    Attributes:
        min_height: of the box, px.
        joint_score, fine_score: least confidence of a body joint, of a face or hand joint.
        min_joints: least number of accepted body joints.
    """

    min_height: float = 40.0
    joint_score: float = 0.5
    fine_score: float = 0.7
    min_joints: int = 6


def pseudo_label(
    teacher: Path,
    annotations: Path,
    images: Path,
    output: Path,
    rules: AcceptanceRules | None = None,
    on_image: Callable[[], object] = lambda: None,
) -> int:
    """Write a COCO-format file with the accepted people of ``annotations`` that have no pose.

    Args:
        teacher: ONNX network, RGB crops (N, 3, h, w) in [-1, 1] -> Halpe-136 logits at stride 4.
        annotations: COCO-format file. images: its images.
        output: the file to write.
        rules: of acceptance.
        on_image: called after each image.

    Returns:
        How many people were accepted.
    """
    runtime = require("onnxruntime", needed_for="a teacher", install="pip install onnxruntime")
    session = runtime.InferenceSession(str(teacher), providers=["CPUExecutionProvider"])
    rules = rules or AcceptanceRules()
    content = read_coco(annotations)
    persons = persons_among(content.get("categories"))
    waiting: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in content["annotations"]:
        if persons is not None and item.get("category_id", 1) not in persons:
            continue
        posed = any(item.get("keypoints", ())[2::3])
        if not posed and not item.get("iscrowd") and item["bbox"][3] >= rules.min_height:
            waiting[item["image_id"]].append(item)
    names = {entry["id"]: entry["file_name"] for entry in content["images"]}
    accepted: list[dict[str, Any]] = []
    for image_id, items in waiting.items():
        boxes = xywh_to_xyxy([item["bbox"] for item in items])
        joints = _teach(session, read_image(image_path(images, names[image_id])), boxes)
        for item, keypoints in zip(items, _labelled(joints, rules), strict=True):
            if (keypoints[HALPE136.parts["body"], 2] > 0).sum() >= rules.min_joints:
                accepted.append(item | {"keypoints": keypoints.reshape(-1).round(2).tolist()})
        on_image()
    kept = {item["image_id"] for item in accepted}
    entries = [entry for entry in content["images"] if entry["id"] in kept]
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    partial.write_text(json.dumps({"images": entries, "annotations": accepted}))
    partial.replace(output)
    log.info(
        "%s: %d of %d people accepted", output, len(accepted), sum(map(len, waiting.values()))
    )
    return len(accepted)


def _teach(
    session: Any, image: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, 136, 3): x, y in image pixels and confidence."""
    source = session.get_inputs()[0]
    input_hw = int(source.shape[2]), int(source.shape[3])
    crops = affine.crop_boxes(boxes, input_hw)
    pixels = ImageBatch.upload([image]).crops(crops, np.zeros(len(crops), np.int64), input_hw)
    decode = SikrDecoder(tail_cut=0.5)
    answers = []
    for row in range(0, len(crops), 8):
        logits = session.run(None, {source.name: (pixels[row : row + 8] / 127.5 - 1).numpy()})[0]
        points, scores = decode(torch.from_numpy(logits))
        answers.append(torch.cat([points, scores[..., None]], -1).numpy())
    joined = np.concatenate(answers)
    map_hw = input_hw[0] // affine.STRIDE, input_hw[1] // affine.STRIDE
    joined[..., :2] = affine.map_to_image(joined[..., :2], crops, map_hw)
    return joined


def _labelled(joints: NDArray[np.float32], rules: AcceptanceRules) -> NDArray[np.float32]:
    """Confidence becomes label 1 or 0; feet, whose teacher was not taught, are always 0."""
    least = np.full(len(HALPE136), rules.fine_score, np.float32)
    least[HALPE136.parts["body"]] = rules.joint_score
    least[HALPE136.parts["feet"]] = np.inf
    known = joints[..., 2] >= least
    out = joints * known[..., None]
    out[..., 2] = known
    return out.astype(np.float32)
