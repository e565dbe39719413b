# SPDX-License-Identifier: Apache-2.0
"""Joints for pictures of people that came without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.reid_sets import Sightings
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import Estimator


def posed(
    people: Sightings,
    estimator: Estimator,
    on_picture: Callable[[], object] = lambda: None,
    device: torch.device | str = "cpu",
) -> Sightings:
    """The same sightings; whoever had no joint has those that the pose network finds in his box.

    Raises:
        InputError: the estimator finds the people itself and would not answer boxes, or a picture
            cannot be read.
    """
    if estimator.finds_people:
        raise InputError("expected a pose network that answers given boxes, got a one-stage one")
    keypoints, scores = people.keypoints.copy(), people.scores.copy()
    for row in np.flatnonzero(~(scores > 0).any(1)):
        image = read_image(people.images[int(people.image_rows[row])])
        box = people.boxes[row]
        if not box.any():
            box = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
        alone = Detections(box[None], np.ones(1, np.float32))
        found = estimator(ImageBatch.upload([image], device), [alone])[0].mapped(people.skeleton)
        keypoints[row], scores[row] = found.keypoints[0], found.scores[0]
        on_picture()
    return replace(people, keypoints=keypoints, scores=scores)
