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
from alphapose_ros.data.reid_augment import box_or_whole
from alphapose_ros.data.reid_sets import Sightings
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import Estimator


def posed(
    people: Sightings,
    estimator: Estimator,
    on_picture: Callable[[], object] = lambda: None,
    device: torch.device | str = "cpu",
    least_score: float = 0.2,
) -> Sightings:
    """The same sightings; whoever had no joint has those that the pose network finds in his box.

    Args:
        people: some may have joints.
        estimator: the pose network.
        on_picture: called after each that was looked at.
        device: of the network.
        least_score: joints below it are not known: on a picture of nobody a network finds some
            everywhere.

    Raises:
        InputError: the estimator finds the people itself and would not answer boxes, or a picture
            cannot be read.
    """
    if estimator.finds_people:
        raise InputError("expected a pose network that answers given boxes, got a one-stage one")
    keypoints, scores = people.keypoints.copy(), people.scores.copy()
    unknown = np.flatnonzero(~(scores > 0).any(1))
    for picture in np.unique(people.image_rows[unknown]):
        image = read_image(people.images[picture])
        batch = ImageBatch.upload([image], device)
        for row in unknown[people.image_rows[unknown] == picture]:
            box = box_or_whole(people.boxes[row], image)
            alone = Detections(box[None], np.ones(1, np.float32))
            found = estimator(batch, [alone])[0].mapped(people.skeleton)
            keypoints[row] = found.keypoints[0]
            scores[row] = np.where(found.scores[0] >= least_score, found.scores[0], 0)
            on_picture()
    return replace(people, keypoints=keypoints, scores=scores)
