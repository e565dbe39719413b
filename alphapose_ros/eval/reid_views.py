# SPDX-License-Identifier: Apache-2.0
"""Held-out people in changed boxes: a second person, other pixels behind, a corner hidden.

Each person is a query in every one of these conditions. Of people who were seen once the gallery
has one other view, with another box and other light; where there are identities, it is their other
pictures, unchanged. The changes are made on the same crop, so that what they move in
the embedding is theirs alone. A second person stands behind and hides nothing of the first, or in
front, where the first one's own pixels are missing too. There the background that stays speaks
for an embedding that looks at it; so it is changed as well once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.degrade import body_mask
from alphapose_ros.data.reid_augment import (
    STILL,
    ReidAugment,
    View,
    make_view,
    person_crop,
    still_crop,
)
from alphapose_ros.data.reid_samples import crops_of
from alphapose_ros.data.reid_sets import UNKNOWN, Sightings
from alphapose_ros.models.reid import REID_HW
from alphapose_ros.reid.render import GuidanceRenderer

BASE, GALLERY = "unchanged", "gallery"
SECOND, UNSEEN = "second person", "second person, not found"
IN_FRONT, BACKGROUND, OCCLUDED = "second person in front", "background", "occluded"
ELSEWHERE = "second person in front, background"
CONDITIONS = (BASE, SECOND, UNSEEN, IN_FRONT, ELSEWHERE, BACKGROUND, OCCLUDED)
_BATCH = 64  # crops in the network at a time
# Joints as an annotation has them, and as a network found them.
_GUESSED = ReidAugment(
    crops=STILL,
    front_probability=0,
    other_known_probability=1,
    joint_noise=0,
    joint_loss_probability=0,
    pose_loss_probability=0,
)
_FOUND = replace(_GUESSED, least_sure=1.0)
_LIGHT = replace(STILL, scale=0.15, shift=0.03, colour=0.15)
_HIDDEN = replace(STILL, occlusion_probability=1.0)


@dataclass(frozen=True)
class Who(Rows):
    """Whom crops show, as :class:`~alphapose_ros.data.reid_sets.Sightings` has it."""

    identities: NDArray[np.int64] = array("N", dtype=np.int64)
    cameras: NDArray[np.int64] = array("N", dtype=np.int64)


@dataclass(frozen=True)
class Changed:
    """N queries in each of ``CONDITIONS`` and a ``GALLERY`` of G.

    Attributes:
        views: by condition, and of ``GALLERY``.
        queries, gallery: whom they show.
        itself: (N,) each query's own row of the gallery, which does not count; -1 for none.
        renderer: of the joints.
    """

    views: Mapping[str, Sequence[View]]
    queries: Who
    gallery: Who
    itself: NDArray[np.int64]
    renderer: GuidanceRenderer

    def batches(self, name: str) -> Iterator[Tensor]:
        """Packed crops (n, 4, H, W) of a condition, some at a time, one batch at least."""
        found = self.views[name]
        for start in range(0, max(1, len(found)), _BATCH):
            yield self._packed(found[start : start + _BATCH])

    def crops(self, name: str) -> Tensor:
        """All of them at once."""
        return torch.cat(list(self.batches(name)))

    def _packed(self, views: Sequence[View]) -> Tensor:
        if not views:
            return torch.zeros((0, 4, *self.renderer.input_hw))
        names = ("image", "points", "scores", "other_points", "other_scores")
        stacked = {n: np.stack([getattr(view, n) for view in views]) for n in names}
        return crops_of(
            {n: torch.from_numpy(values) for n, values in stacked.items()}, self.renderer, "cpu"
        )


def changed_views(
    people: Sightings,
    *,
    seed: int = 0,
    most: int = 300,
    read: Callable[[Path], NDArray[np.uint8]] = read_image,
    input_hw: tuple[int, int] = REID_HW,
) -> Changed:
    """Views of up to ``most`` people whose body is known well enough to be cut out.

    Args:
        people: one row for each, unseen in training.
        seed: of who stands beside whom, and of all changes.
        most: people that are taken, evenly spread.
        read: how an image's path becomes its RGB pixels.
        input_hw: of the crops.
    """
    rng = np.random.default_rng(seed)
    crops = _cut_out(people, range(len(people)), read, input_hw)
    chosen = [crops[i] for i in np.linspace(0, len(crops) - 1, min(most, len(crops))).astype(int)]
    views: dict[str, list[View]] = {name: [] for name in (*CONDITIONS, GALLERY)}
    augmented = replace(_GUESSED, crops=_LIGHT)
    for row, conditions in _all_conditions(people, chosen, _GUESSED, rng):
        pixels = read(people.images[int(people.image_rows[row])])
        again = person_crop(pixels, people, row, _LIGHT, rng, input_hw)
        for name, found in conditions.items():
            views[name].append(found)
        views[GALLERY].append(make_view(again, None, None, people.skeleton, augmented, rng))
    nameless = Who(np.arange(len(chosen)), np.full(len(chosen), UNKNOWN))
    renderer = GuidanceRenderer(people.skeleton, input_hw)
    return Changed(views, nameless, nameless, np.full(len(chosen), -1), renderer)


def identity_views(
    queries: Sightings,
    gallery: Sightings,
    *,
    seed: int = 0,
    most: int = 0,
    read: Callable[[Path], NDArray[np.uint8]] = read_image,
    input_hw: tuple[int, int] = REID_HW,
) -> Changed:
    """Queries whose boxes change, and a gallery as it is.

    Where all pictures are by one camera, or nobody knows by which, a query's own picture alone is
    no match; else no picture by its camera is, as on Market-1501.

    Args:
        queries: sightings with identities; whoever's body is not known well enough to be cut out
            is left out.
        gallery: sightings, of which those without an identity do not count. The same record as
            ``queries``: each query has its own picture in it.
        seed: of who stands beside whom, and of all changes.
        most: queries that are taken, by lot; 0 for all.
        read: how an image's path becomes its RGB pixels.
        input_hw: of the crops.
    """
    rng = np.random.default_rng(seed)
    drawn = [int(row) for row in rng.permutation(len(queries)) if queries.identities[row] >= 0]
    chosen = _cut_out(queries, drawn[: most or None], read, input_hw)
    views: dict[str, list[View]] = {name: [] for name in (*CONDITIONS, GALLERY)}
    for _, conditions in _all_conditions(queries, chosen, _FOUND, rng):
        for name, found in conditions.items():
            views[name].append(found)
    named = np.flatnonzero(gallery.identities >= 0)
    for row in named:
        crop = _still(gallery, int(row), read, input_hw)
        views[GALLERY].append(make_view(crop, None, None, gallery.skeleton, _FOUND, rng))
    rows = [row for row, _ in chosen]
    place = np.full(len(gallery), -1)
    place[named] = np.arange(len(named))
    several = len(np.unique(gallery.cameras[named])) > 1
    cameras = queries.cameras[rows] if several else np.full(len(rows), -1)
    return Changed(
        views,
        Who(queries.identities[rows], cameras),
        Who(gallery.identities[named], gallery.cameras[named]),
        place[rows] if gallery is queries else np.full(len(rows), -1),
        GuidanceRenderer(queries.skeleton, input_hw),
    )


def _cut_out(
    people: Sightings,
    rows: Iterable[int],
    read: Callable[[Path], NDArray[np.uint8]],
    input_hw: tuple[int, int],
) -> list[tuple[int, Crop]]:
    """Those of the rows whose body is known well enough, with their crops."""
    crops = ((row, _still(people, row, read, input_hw)) for row in rows)
    return [each for each in crops if body_mask(each[1], people.skeleton) is not None]


def _all_conditions(
    people: Sightings, chosen: list[tuple[int, Crop]], still: ReidAugment, rng: np.random.Generator
) -> Iterator[tuple[int, dict[str, View]]]:
    """Everybody's conditions; the next person stands beside, behind are the next one's pixels."""
    who = [int(people.identities[row]) for row, _ in chosen]
    for place, (row, crop) in enumerate(chosen):
        beside = next_other(who, place, place)
        behind = chosen[next_other(who, place, beside)][1].image[:, ::-1]
        yield row, _conditions(crop, chosen[beside][1], behind, people.skeleton, still, rng)


def next_other(who: list[int], me: int, after: int) -> int:
    """The first place after ``after``, round the end, that shows another person; else the next."""
    count = len(who)
    steps = ((after + step) % count for step in range(1, count + 1))
    return next((place for place in steps if who[place] != who[me]), (after + 1) % count)


def _conditions(
    crop: Crop,
    other: Crop,
    behind: NDArray[np.uint8],
    skeleton: Skeleton,
    still: ReidAugment,
    rng: np.random.Generator,
) -> dict[str, View]:
    state = int(rng.integers(2**31))

    def view(config: ReidAugment, other: Crop | None, behind: Any = None) -> View:
        return make_view(crop, other, behind, skeleton, config, np.random.default_rng(state))

    second, in_front = view(still, other), replace(still, front_probability=1)
    return {
        BASE: view(still, None),
        SECOND: second,
        UNSEEN: replace(second, other_scores=np.zeros_like(second.other_scores)),
        IN_FRONT: view(in_front, other),
        ELSEWHERE: view(in_front, other, behind),
        BACKGROUND: view(still, None, behind),
        OCCLUDED: view(replace(still, crops=_HIDDEN), None),
    }


def _still(
    people: Sightings,
    row: int,
    read: Callable[[Path], NDArray[np.uint8]],
    input_hw: tuple[int, int],
) -> Crop:
    return still_crop(read(people.images[int(people.image_rows[row])]), people, row, input_hw)
