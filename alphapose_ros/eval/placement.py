# SPDX-License-Identifier: Apache-2.0
"""How far joints lie from where they are, in lengths of the person, the head, the face, the hand.

Every function takes people with the joints (N, K, 2) that were answered for each of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area
from alphapose_ros.base.skeletons import COCO17, Skeleton
from alphapose_ros.data.people import People
from alphapose_ros.eval.metrics import clustered_mean

FloatArray = NDArray[np.float32]
Interval = tuple[float, float]
Measures = dict[str, float | int | Interval]

FINE_PARTS = ("face", "left_hand", "right_hand", "hand")
_HEAD = slice(0, 5)  # nose, eyes, ears of the sets that have a body
HEAD_SHARE = 0.5  # of the head's length: PCKh@0.5 (Andriluka et al., CVPR 2014)


def body_joints(skeleton: Skeleton) -> slice:
    """The body's joints, with neck and pelvis; all of a skeleton of one's own."""
    everything = slice(0, len(skeleton))
    return everything if skeleton.is_own else skeleton.parts.get("body", slice(0, 0))


def longer_sides(people: People) -> FloatArray:
    """(N,) px of the people's boxes."""
    return (people.boxes[:, 2:] - people.boxes[:, :2]).max(1)


def pckh(people: People, keypoints: FloatArray) -> Measures:
    """Share of annotated body joints within half a head of the truth, where a head is annotated.

    The head's length is that from its top to the neck, both annotated (label 2), as in LSP;
    MPII's is .6 of the diagonal of a box that no data here have. Empty without such people.
    """
    skeleton = people.skeleton
    if not {"head_top", "neck"} <= set(skeleton.keypoint_names):
        return {}
    ends = [skeleton.index("head_top"), skeleton.index("neck")]
    head = np.linalg.norm(people.keypoints[:, ends[0]] - people.keypoints[:, ends[1]], axis=-1)
    rows = np.flatnonzero((people.labels[:, ends] == 2).all(1) & (head > 0))
    if len(rows) == 0:
        return {}
    body = body_joints(skeleton)
    distance = np.linalg.norm(keypoints[rows, body] - people.keypoints[rows, body], axis=-1)
    near = distance <= HEAD_SHARE * head[rows, None]
    row, joint = np.nonzero(people.labels[rows, body] == 2)
    value, interval = clustered_mean(
        near[row, joint].astype(np.float64), people.image_rows[rows[row]]
    )
    return {"pckh": value, "pckh_95": interval, "pckh_people": len(rows)}


def fine_errors(people: People, keypoints: FloatArray) -> Measures:
    """Mean error of each completely labelled face and hand, pseudo labels (label 1) too.

    ``face_error`` is relative to the longer side of the person's box, ``face_nme`` to the square
    root of the area of the true face's own box; the medians do not feel a face on somebody else.
    ``face_count`` is the number of faces, ``face_pseudo_count`` how many of them have a joint
    that nobody annotated. Of faces or hands alone the person's box is the part's own.
    """
    out: Measures = {}
    distance = np.linalg.norm(keypoints - people.keypoints, axis=-1)
    relative = distance / longer_sides(people)[:, None]
    for name in FINE_PARTS:
        joints = people.skeleton.parts.get(name, slice(0, 0))
        labels = people.labels[:, joints]
        rows = np.flatnonzero((labels > 0).all(1) & (labels > 0).any(1))
        if len(rows) == 0:
            continue
        points = people.keypoints[rows, joints]
        area = box_area(np.concatenate([points.min(1), points.max(1)], 1))
        images = people.image_rows[rows]
        for key, values in (
            ("error", relative[rows, joints].mean(1)),
            ("nme", distance[rows, joints].mean(1) / np.sqrt(np.maximum(area, 1))),
        ):
            out[f"{name}_{key}"], out[f"{name}_{key}_95"] = clustered_mean(values, images)
            out[f"{name}_{key}_median"] = float(np.median(values))
        out[f"{name}_count"] = len(rows)
        out[f"{name}_pseudo_count"] = int((labels[rows] < 2).any(1).sum())
    return out | _mean_faces(people, out)


def _mean_faces(people: People, errors: Measures) -> Measures:
    """Baselines for ``face_error``; all know more than the network does.

    The mean shape of these same faces, placed in the square around the annotated nose, eyes and
    ears (``mean_face_in_head_box``, where somebody has such), and stretched over the true face's
    own bounding box (``mean_face_in_face_box``); ``_ratio`` is the network's error over it.
    ``mean_face_nme`` is the latter's error relative to that box, as ``face_nme`` is.
    """
    if "face_error" not in errors:
        return {}
    joints = people.skeleton.parts["face"]
    people = people[(people.labels[:, joints] > 0).all(1)]
    face = people.keypoints[:, joints]
    own = face.min(1), face.max(1)
    corners = {"mean_face_in_face_box": own}
    has_head = people.skeleton.keypoint_names[_HEAD] == COCO17.keypoint_names[_HEAD]
    if has_head and (people.labels[:, _HEAD] == 2).any():
        corners = {"mean_face_in_head_box": _head_boxes(people), **corners}
    out: Measures = {}
    for name, (low, high) in corners.items():
        error = float((_mean_face_distances(people, low, high) / longer_sides(people)).mean())
        out[name] = error
        network = errors["face_error"]
        assert isinstance(network, float)
        out[f"{name}_ratio"] = network / error if error > 0 else float("nan")
    sides = np.sqrt(np.maximum(box_area(np.concatenate(own, 1)), 1))
    return out | {"mean_face_nme": float((_mean_face_distances(people, *own) / sides).mean())}


def _head_boxes(people: People) -> tuple[FloatArray, FloatArray]:
    """Corners (N, 2) each of the square around the annotated nose, eyes and ears."""
    points, known = people.keypoints[:, _HEAD], people.labels[:, _HEAD, None] == 2
    low = np.where(known, points, np.inf).min(1)
    high = np.where(known, points, -np.inf).max(1)
    none = ~known.any((1, 2))
    low[none], high[none] = people.boxes[none, :2], people.boxes[none, 2:]
    half = np.maximum((high - low).max(1, keepdims=True), 1) / 2
    return (low + high) / 2 - half, (low + high) / 2 + half


def _mean_face_distances(people: People, low: FloatArray, high: FloatArray) -> FloatArray:
    """(N,) px, mean distance of the joints of the mean shape in boxes of corners (N, 2)."""
    truth = people.keypoints[:, people.skeleton.parts["face"]]
    low, extent = low[:, None], np.maximum(high - low, 1e-6)[:, None]
    mean = ((truth - low) / extent).mean(0)
    return np.linalg.norm(low + mean * extent - truth, axis=-1).mean(1)
