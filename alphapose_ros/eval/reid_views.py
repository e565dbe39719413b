# SPDX-License-Identifier: Apache-2.0
"""Held-out people in changed boxes: a second person, other pixels behind, a corner hidden.

Each person is a query in every one of these conditions and has one other view, with another box
and other light, in the gallery. The changes are made on the same crop, so that what they move in
the embedding is theirs alone. A second person stands behind and hides nothing of the first, or in
front, where the first one's own pixels are missing too. There the background that stays speaks
for an embedding that looks at it; so it is changed as well once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.data.augment import AugmentConfig, Crop
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.degrade import body_mask
from alphapose_ros.data.reid_augment import ReidAugment, View, make_view, person_crop
from alphapose_ros.data.reid_samples import crops_of
from alphapose_ros.data.reid_sets import Sightings
from alphapose_ros.eval.reid import (
    attention_report,
    embed_both,
    instance_ranking,
    movement_report,
)
from alphapose_ros.models.reid import REID_HW, ReidNet
from alphapose_ros.reid.render import GuidanceRenderer

BASE, GALLERY = "unchanged", "gallery"
SECOND, UNSEEN = "second person", "second person, not found"
IN_FRONT, BACKGROUND, OCCLUDED = "second person in front", "background", "occluded"
ELSEWHERE = "second person in front, background"
CONDITIONS = (BASE, SECOND, UNSEEN, IN_FRONT, ELSEWHERE, BACKGROUND, OCCLUDED)
_OFF = dict.fromkeys(
    (
        "flip_probability", "rotation_probability", "scale", "shift", "half_body_probability",
        "colour", "low_resolution_probability", "occlusion_probability", "blur_probability",
        "jpeg_probability",
    ),
    0.0,
)  # fmt: skip
_STILL = AugmentConfig(**_OFF)  # type: ignore[arg-type]
_LIGHT = replace(_STILL, scale=0.15, shift=0.03, colour=0.15)
_HIDDEN = replace(_STILL, occlusion_probability=1.0)


@dataclass(frozen=True)
class Changed:
    """Packed crops (N, 4, H, W) of the same N people in each of ``CONDITIONS`` and ``GALLERY``."""

    crops: Mapping[str, Tensor]


def changed_views(
    people: Sightings,
    *,
    seed: int = 0,
    most: int = 300,
    read: Callable[[Path], NDArray[np.uint8]] = read_image,
) -> Changed:
    """Views of up to ``most`` people whose body is known well enough to be cut out.

    Args:
        people: one row for each, unseen in training.
        seed: of who stands beside whom, and of all changes.
        most: people that are taken, evenly spread.
        read: how an image's path becomes its RGB pixels.
    """
    rng = np.random.default_rng(seed)
    crops = [
        (row, crop)
        for row in range(len(people))
        if body_mask(crop := _crop(people, row, _STILL, rng, read), people.skeleton) is not None
    ]
    chosen = [crops[i] for i in np.linspace(0, len(crops) - 1, min(most, len(crops))).astype(int)]
    views: dict[str, list[View]] = {name: [] for name in (*CONDITIONS, GALLERY)}
    for place, (row, crop) in enumerate(chosen):
        other = chosen[(place + 1) % len(chosen)][1]
        behind = chosen[(place + 2) % len(chosen)][1].image[:, ::-1]
        again = _crop(people, row, _LIGHT, rng, read)
        for name, found in _conditions(crop, other, behind, again, people, rng).items():
            views[name].append(found)
    renderer = GuidanceRenderer(people.skeleton, REID_HW)
    return Changed({name: _packed(found, renderer) for name, found in views.items()})


def evaluate_views(network: ReidNet, changed: Changed) -> dict[str, Any]:
    """Rank-1 and mAP with intervals, movements and attention, with and without attention."""
    network.eval()
    found = {name: embed_both(network, crops) for name, crops in changed.crops.items()}
    ranks: dict[str, Any] = {}
    for name in CONDITIONS:
        for attended in (True, False):
            ranking = instance_ranking(found[name][attended], found[GALLERY][attended])
            ranks[f"{name}, {'attention' if attended else 'none'}"] = {
                "rank1": ranking.rank1,
                "mean_ap": ranking.mean_ap,
                **_intervals(ranking.interval()),
            }
    moved = {
        name: vars(movement_report(found[BASE], found[name]))
        for name in CONDITIONS
        if name != BASE
    }
    attention = {name: vars(attention_report(network, changed.crops[name])) for name in CONDITIONS}
    return {
        "people": len(changed.crops[BASE]),
        "ranking": ranks,
        "movement": moved,
        "attention": attention,
    }


def _conditions(
    crop: Crop,
    other: Crop,
    behind: NDArray[np.uint8],
    again: Crop,
    people: Sightings,
    rng: np.random.Generator,
) -> dict[str, View]:
    still = ReidAugment(
        crops=_STILL,
        front_probability=0,
        other_known_probability=1,
        joint_noise=0,
        joint_loss_probability=0,
        pose_loss_probability=0,
    )
    state = int(rng.integers(2**31))

    def view(config: ReidAugment, other: Crop | None, behind: Any = None) -> View:
        return make_view(
            crop, other, behind, people.skeleton, config, np.random.default_rng(state)
        )

    second = view(still, other)
    return {
        BASE: view(still, None),
        SECOND: second,
        UNSEEN: replace(second, other_scores=np.zeros_like(second.other_scores)),
        IN_FRONT: view(replace(still, front_probability=1), other),
        ELSEWHERE: view(replace(still, front_probability=1), other, behind),
        BACKGROUND: view(still, None, behind),
        OCCLUDED: view(replace(still, crops=_HIDDEN), None),
        GALLERY: make_view(again, None, None, people.skeleton, replace(still, crops=_LIGHT), rng),
    }


def _crop(
    people: Sightings,
    row: int,
    config: AugmentConfig,
    rng: np.random.Generator,
    read: Callable[[Path], NDArray[np.uint8]],
) -> Crop:
    pixels = read(people.images[int(people.image_rows[row])])
    return person_crop(pixels, people, row, config, rng, REID_HW)


def _packed(views: list[View], renderer: GuidanceRenderer) -> Tensor:
    if not views:
        return torch.zeros((0, 4, *REID_HW))
    names = ("image", "points", "scores", "other_points", "other_scores")
    batch = {n: torch.from_numpy(np.stack([getattr(v, n) for v in views])) for n in names}
    return crops_of(batch, renderer, "cpu")


def _intervals(found: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {f"{name}_95": interval for name, interval in found.items()}
