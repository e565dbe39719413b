# SPDX-License-Identifier: Apache-2.0
"""The stream of re-identification samples: batches of P people with K views each.

Sample p is a function of (seed, p). A person seen once has K augmented views of the one sighting
(instance discrimination), a person seen often K different sightings. The second person pasted
into a view is the next one of the same batch, so that the batch holds the same pixels under two
names, and only the pose tells which is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from alphapose_ros.base.errors import InputError
from alphapose_ros.data.augment import AugmentConfig, Crop
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.recolour import person_colours, recoloured
from alphapose_ros.data.reid_augment import ReidAugment, View, make_view, person_crop, still_crop
from alphapose_ros.data.reid_sets import Sightings
from alphapose_ros.models.reid import packed
from alphapose_ros.reid.render import GuidanceRenderer, with_others

Place = tuple[int, int, int]  # set, person, colouring
_PLAN, _VIEW = 0, 1  # which stream of random numbers
_STILL = AugmentConfig(
    rotation_probability=0, scale=0.1, shift=0.02, half_body_probability=0, colour=0
)


class ReidSamples(Dataset[dict[str, Tensor]]):
    """Endless augmented crops, ``views`` in a row of the same person.

    Args:
        sets: sightings with their share of a batch; rows of identity -1 serve as background.
        people: P, different people in a batch.
        views: K, of each.
        augment: strength.
        seed: another seed, another stream.
        input_hw: of the crops.
        read: how an image's path becomes its RGB pixels, which are never written into.
        taught: for each set what a teacher says of its sightings (N, C, D) in C colourings, of
            which each person of a batch gets one; empty: their own colours alone.
        colour_seed: of the colourings.

    Item p is a dict: ``image`` (h, w, 3) uint8 RGB, ``points`` (J, 2), ``scores`` (J,),
    ``other_points``, ``other_scores`` in crop pixels, ``identity``, the number of the person over
    all sets, and ``label``, the number among the people who were seen more than once, else -1, as
    in every colouring but the first. With a teacher also ``taught`` (D,).

    Raises:
        InputError: nobody to learn from, or sets of different skeletons.
    """

    def __init__(
        self,
        sets: Sequence[tuple[Sightings, float]],
        *,
        people: int,
        views: int,
        augment: ReidAugment,
        seed: int,
        input_hw: tuple[int, int],
        read: Callable[[Path], NDArray[np.uint8]] = read_image,
        taught: Sequence[NDArray[np.float32]] = (),
        colour_seed: int = 0,
    ) -> None:
        self._sets = [each for each, _ in sets]
        self._members = [_members(each) for each in self._sets]
        counts = [len(found) for found in self._members]
        if not sets or 0 in counts:
            raise InputError(f"re-identification sets: expected people in each, got {counts}")
        if len({each.skeleton.name for each in self._sets}) > 1:
            raise InputError("re-identification sets: expected one skeleton for all")
        if sum(counts) < people:
            raise InputError(
                f"re-identification sets: expected {people} people for a batch, got {sum(counts)}"
            )
        self.people, self.views = people, views
        self._shares = np.array([share for _, share in sets]) / sum(share for _, share in sets)
        self._augment, self._seed, self._input_hw, self._read = augment, seed, input_hw, read
        self._first = np.concatenate([[0], np.cumsum(counts)])
        flat = [rows for found in self._members for rows in found]
        often = np.array([len(rows) > 1 for rows in flat])
        self._labels = np.where(often, np.cumsum(often) - 1, -1)
        self._taught, self._colour_seed = taught, colour_seed
        self._colourings = taught[0].shape[1] if taught else 1
        self._plan: tuple[int, list[Place]] = (-1, [])

    @property
    def classes(self) -> int:
        """People who were seen more than once."""
        return int((self._labels >= 0).sum())

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        batch, place = divmod(position, self.people * self.views)
        slot, view = divmod(place, self.views)
        plan = self._plan_of(batch)
        at, person, colouring = plan[slot]
        rng = np.random.default_rng((self._seed, _VIEW, position))
        row = self._row(batch, slot, view, self._members[at][person])
        found = self._view(at, row, colouring, plan[(slot + 1) % len(plan)], rng)
        identity = int(self._first[at]) + person
        label = int(self._labels[identity]) if colouring == 0 else -1
        taught = (
            {"taught": torch.from_numpy(self._taught[at][row, colouring])} if self._taught else {}
        )
        return {
            "image": torch.from_numpy(found.image),
            "points": torch.from_numpy(found.points),
            "scores": torch.from_numpy(found.scores),
            "other_points": torch.from_numpy(found.other_points),
            "other_scores": torch.from_numpy(found.other_scores),
            "identity": torch.tensor(identity),
            "label": torch.tensor(label),
            **taught,
        }

    def still(self, most: int) -> list[dict[str, Tensor]]:
        """Up to ``most`` sightings, spread over the sets by their shares, as they are: items with
        ``image``, ``points``, ``scores`` and nobody beside.
        """
        items = []
        for people, share in zip(self._sets, self._shares, strict=True):
            count = min(len(people), max(1, round(most * share)))
            for row in np.linspace(0, len(people) - 1, count).astype(int).tolist():
                crop = still_crop(self._pixels(people, row), people, row, self._input_hw)
                scores = torch.from_numpy(crop.labels.astype(np.float32) / 255)
                items.append({
                    "image": torch.from_numpy(crop.image),
                    "points": torch.from_numpy(crop.points.astype(np.float32)),
                    "scores": scores,
                    "other_points": torch.zeros(len(scores), 2),
                    "other_scores": torch.zeros_like(scores),
                })  # fmt: skip
        return items

    def _plan_of(self, batch: int) -> list[Place]:
        """Who is in each slot of a batch, in which colours; nobody is there twice."""
        if self._plan[0] != batch:
            rng = np.random.default_rng((self._seed, _PLAN, batch))
            sizes = np.array([len(found) for found in self._members])
            wanted = np.minimum(rng.multinomial(self.people, self._shares), sizes)
            while wanted.sum() < self.people:  # a small set has given all its people
                wanted[int(np.argmax(sizes - wanted))] += 1
            chosen = [
                (at, int(person))
                for at, count in enumerate(wanted)
                for person in rng.choice(sizes[at], count, replace=False)
            ]
            order = rng.permutation(len(chosen))
            colourings = rng.integers(self._colourings, size=len(chosen)).tolist()
            self._plan = batch, [(*chosen[i], colourings[i]) for i in order]
        return self._plan[1]

    def _row(self, batch: int, slot: int, view: int, rows: NDArray[np.intp]) -> int:
        """The sighting of a view: others for the next view, as far as there are any."""
        rng = np.random.default_rng((self._seed, _PLAN, batch, slot))
        return int(rows[rng.permutation(len(rows))[view % len(rows)]])

    def _view(
        self, at: int, row: int, colouring: int, partner: Place, rng: np.random.Generator
    ) -> View:
        config, people = self._augment, self._sets[at]
        crop = self._crop(people, row, colouring, config.crops, rng)
        other, behind = None, None
        if rng.random() < config.background_probability:
            behind = self._background(rng)
        if rng.random() < config.person_probability:
            theirs, rows = self._sets[partner[0]], self._members[partner[0]][partner[1]]
            chosen = int(rng.choice(rows))
            other = self._crop(theirs, chosen, partner[2], _STILL, rng)
        return make_view(crop, other, behind, people.skeleton, config, rng)

    def _crop(
        self,
        people: Sightings,
        row: int,
        colouring: int,
        config: AugmentConfig,
        rng: np.random.Generator,
    ) -> Crop:
        crop = person_crop(self._pixels(people, row), people, row, config, rng, self._input_hw)
        chosen = person_colours(people, row, colouring, self._colour_seed)
        return replace(crop, image=recoloured(crop, people.skeleton, chosen))

    def _background(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """A piece of any picture, as large as a crop or larger."""
        people = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        pixels = self._read(people.images[int(rng.integers(len(people.images)))])
        height, width = self._input_hw
        factor = min(pixels.shape[0] / height, pixels.shape[1] / width)
        side = factor * rng.uniform(0.5, 1.0)
        rows, columns = (max(1, int(side * length)) for length in (height, width))
        y = int(rng.integers(0, pixels.shape[0] - rows + 1))
        x = int(rng.integers(0, pixels.shape[1] - columns + 1))
        return _resized(pixels[y : y + rows, x : x + columns], self._input_hw)

    def _pixels(self, people: Sightings, row: int) -> NDArray[np.uint8]:
        return self._read(people.images[int(people.image_rows[row])])


def crops_of(
    batch: Mapping[str, Tensor], renderer: GuidanceRenderer, device: torch.device | str
) -> Tensor:
    """A batch's crops as the network takes them, on ``device``."""
    pixels = pixels_of(batch, device)
    points, scores = batch["points"].to(device), batch["scores"].to(device)
    own = renderer(points, scores)
    others = renderer.silhouette(
        batch["other_points"].to(device), batch["other_scores"].to(device)
    )
    return packed(pixels, with_others(own, others))


def pixels_of(batch: Mapping[str, Tensor], device: torch.device | str) -> Tensor:
    """A batch's RGB crops alone, (N, 3, h, w) in 0..255, on ``device``."""
    return batch["image"].to(device).permute(0, 3, 1, 2).float()


def _members(people: Sightings) -> list[NDArray[np.intp]]:
    """The rows of every known person."""
    known = np.unique(people.identities[people.identities >= 0])
    order = np.argsort(people.identities, kind="stable")
    ends = np.searchsorted(people.identities[order], known, side="right")
    starts = np.searchsorted(people.identities[order], known, side="left")
    return [order[a:b] for a, b in zip(starts, ends, strict=True)]


def _resized(pixels: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)
