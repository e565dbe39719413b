# SPDX-License-Identifier: Apache-2.0
"""A trained pose network as the start of one for another skeleton.

The trunk and the decoder are kept as they are. Of the last convolution, which makes the maps, a
joint of equal name keeps its map. A new one starts from the map of the joint whose name is most
alike on the same side of the body, else from that of its mirror partner's start on the other
side, else from the mean of all maps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.skeletons import Skeleton

_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
# Words that other data sets have for the same place, or for the one beside it.
_PLACES = {
    "hand": "wrist", "palm": "wrist", "foot": "ankle", "heel": "ankle", "toe": "ankle",
    "thorax": "neck", "chin": "nose", "top": "head_top", "crown": "head_top", "head": "head_top",
    "spine": "pelvis", "waist": "pelvis", "back": "pelvis", "torso": "pelvis",
    "collar": "shoulder", "clavicle": "shoulder", "thigh": "hip", "shin": "knee",
    "calf": "knee", "forearm": "elbow", "chest": "neck",
}  # fmt: skip
_HEADS = ("heatmaps.", "conv_out.", "final_layer.")


@dataclass(frozen=True)
class JointStart:
    """Where the map of a joint begins: the mean of the maps of ``sources`` (rows), and why."""

    joint: str
    sources: tuple[int, ...]
    why: str


def joint_starts(
    target: Skeleton, source: Skeleton | None, count: int, given: Mapping[str, str] | None = None
) -> tuple[JointStart, ...]:
    """The start of every joint of ``target``.

    Args:
        target: what will be trained.
        source: what the file was trained for; None where nobody knows.
        count: maps of the file.
        given: joint of ``target`` -> joint of ``source``, where the user knows better.

    Raises:
        ConfigError: ``given`` names a joint that is not there.
    """
    names = () if source is None else source.keypoint_names
    given = given or {}
    for joint, origin in given.items():
        if joint not in target.keypoint_names or origin not in names:
            raise ConfigError(
                f"joint_starts: expected a joint of {target.name!r} and one of "
                f"{source.name if source else 'a known skeleton'!r}, got {joint}={origin}"
            )
    first: dict[int, JointStart] = {}
    for k, joint in enumerate(target.keypoint_names):
        if joint in given:
            first[k] = JointStart(joint, (names.index(given[joint]),), f"given: {given[joint]}")
        elif joint in names:
            first[k] = JointStart(joint, (names.index(joint),), "equal name")
        elif (near := _nearest(joint, names)) is not None:
            first[k] = JointStart(joint, (near,), f"nearest name: {names[near]}")
    everything = tuple(range(count))
    out = []
    for k, joint in enumerate(target.keypoint_names):
        partner = int(target.flip_permutation[k])
        if k in first:
            out.append(first[k])
        elif partner in first and source is not None:
            rows = tuple(int(source.flip_permutation[row]) for row in first[partner].sources)
            text = ", ".join(names[row] for row in rows)
            out.append(JointStart(joint, rows, f"mirror of {first[partner].joint}: {text}"))
        else:
            out.append(JointStart(joint, everything, "mean of all maps"))
    return tuple(out)


def with_starts(state: Mapping[str, Tensor], starts: Iterable[JointStart]) -> dict[str, Tensor]:
    """A network's state with the rows of its last convolution chosen anew.

    Raises:
        WeightsError: there is no such convolution.
    """
    head = next((h for h in _HEADS if h + "weight" in state), None)
    if head is None:
        raise WeightsError(f"expected a last convolution named one of {', '.join(_HEADS)}")
    rows = [list(start.sources) for start in starts]
    chosen = {
        key: torch.stack([value[row].mean(0) for row in rows])
        for key, value in state.items()
        if key.startswith(head)
    }
    return dict(state) | chosen


def _nearest(joint: str, names: tuple[str, ...]) -> int | None:
    """The name on the same side that shares most words; the first and shortest of equals."""
    side, words = _parsed(joint)
    best, index = 0.0, None
    for k, name in enumerate(names):
        other_side, other = _parsed(name)
        shared = len(words & other)
        if side != other_side or not shared:
            continue
        score = shared / len(words | other)
        if score > best:
            best, index = score, k
    return index


def _parsed(name: str) -> tuple[str, frozenset[str]]:
    """Side and place: RightHand, r_hand and hand.R are all ("right", {"wrist"})."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    rest = [word for word in words if word not in _SIDES]
    if len(rest) == 2 and set(rest) == {"head", "top"}:
        rest = ["head"]
    return side, frozenset(_PLACES.get(word, word) for word in rest)
