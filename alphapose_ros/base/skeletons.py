# SPDX-License-Identifier: Apache-2.0
"""Keypoint sets as data: names, parts, edges, mirror pairs, OKS sigmas, and maps between them.

Left and right are the person's own. Names are shared between sets, so a map between two sets is
a matter of equal names; COCO-WholeBody and Halpe order the feet differently and come out right.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError, InputError

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A keypoint set of K joints.

    Attributes:
        name: as used in configurations and messages.
        keypoint_names: K names, unique.
        parts: part name -> slice of joints; the slices cover all joints once.
        edges: joint pairs to draw, each once.
        flip_pairs: joints that change places in a mirror image.
        sigmas: (K,) OKS constants (COCO convention: the variance is (2 sigma)²).
    """

    name: str
    keypoint_names: tuple[str, ...]
    parts: Mapping[str, slice]
    edges: Pairs
    flip_pairs: Pairs
    sigmas: NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.keypoint_names)
        if len(set(self.keypoint_names)) != count:
            raise InputError(f"skeleton {self.name!r}: expected unique keypoint names")
        if self.sigmas.shape != (count,):
            raise InputError(
                f"skeleton {self.name!r}: expected {count} sigmas, got {self.sigmas.shape}"
            )
        for a, b in (*self.edges, *self.flip_pairs):
            if not (0 <= a < count and 0 <= b < count):
                raise InputError(
                    f"skeleton {self.name!r}: pair {(a, b)} is outside 0..{count - 1}"
                )

    def __len__(self) -> int:
        return len(self.keypoint_names)

    @cached_property
    def flip_permutation(self) -> NDArray[np.intp]:
        """(K,) index: joint k of the mirror image is the person's ``flip_permutation[k]``."""
        out = np.arange(len(self))
        for a, b in self.flip_pairs:
            out[a], out[b] = b, a
        return out

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.keypoint_names)}

    def index(self, name: str) -> int:
        """Position of a keypoint name; InputError if the skeleton lacks it."""
        if name not in self._positions:
            raise InputError(f"skeleton {self.name!r} has no keypoint {name!r}")
        return self._positions[name]

    @property
    def is_own(self) -> bool:
        """Whether it is none of the known sets: somebody's own."""
        return self.name not in SKELETONS

    def source_of(self, source: Skeleton, prefix: str = "") -> NDArray[np.intp]:
        """For each joint here the joint of ``source`` with the same name, -1 where it has none.

        ``prefix`` is put before the names of ``source`` ("left_hand_" places a hand on a body).
        """
        positions = {prefix + name: i for i, name in enumerate(source.keypoint_names)}
        return np.array([positions.get(name, -1) for name in self.keypoint_names], np.intp)


_COCO = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
).split()
_HALPE_EXTRA = "head_top neck pelvis".split()
_HALPE_FEET = (
    "left_big_toe right_big_toe left_small_toe right_small_toe left_heel right_heel".split()
)
_WHOLEBODY_FEET = (
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel".split()
)
_FACE = [f"face_{i}" for i in range(68)]
_HAND = ["wrist"] + [
    f"{finger}_{i}"
    for finger in ("thumb", "index", "middle", "ring", "little")
    for i in range(1, 5)
]
_HANDS = [f"{side}_hand_{name}" for side in ("left", "right") for name in _HAND]

_COCO_SIGMAS = (
    ".026 .025 .025 .035 .035 .079 .079 .072 .072 .062 .062 .107 .107 .087 .087 .089 .089"
).split()
# Official COCO-WholeBody constants, named so that every set takes the same one for the same joint.
_WHOLEBODY_FEET_SIGMAS = ".068 .066 .066 .092 .094 .094".split()
_FACE_SIGMAS = (
    ".042 .043 .044 .043 .040 .035 .031 .025 .020 .023 .029 .032 .037 .038 .043 .041 .045 "
    ".013 .012 .011 .011 .012 .012 .011 .011 .013 .015 .009 .007 .007 .007 .012 .009 .008 "
    ".016 .010 .017 .011 .009 .011 .009 .007 .013 .008 .011 .012 .010 .034 .008 .008 .009 "
    ".008 .008 .007 .010 .008 .009 .009 .009 .007 .007 .008 .011 .008 .008 .008 .010 .008"
).split()
_HAND_SIGMAS = (
    ".029 .022 .035 .037 .047 .026 .025 .024 .035 .018 .024 .022 .026 .017 .021 .021 .032 .020 "
    ".019 .022 .031"
).split()
_SIGMA = {
    **dict(zip(_COCO, _COCO_SIGMAS, strict=True)),
    **dict(zip(_WHOLEBODY_FEET, _WHOLEBODY_FEET_SIGMAS, strict=True)),
    **dict.fromkeys(_HALPE_EXTRA, ".080"),
    **dict(zip(_FACE, _FACE_SIGMAS, strict=True)),
    **dict(zip(_HANDS, _HAND_SIGMAS * 2, strict=True)),
    **dict(zip(_HAND, _HAND_SIGMAS, strict=True)),
}

_HEAD_EDGES = ((0, 1), (0, 2), (1, 3), (2, 4))
_ARMS = ((5, 7), (7, 9), (6, 8), (8, 10))
_LEGS = ((11, 13), (12, 14), (13, 15), (14, 16))
_BODY26_EDGES = (
    *_HEAD_EDGES, (5, 18), (6, 18), *_ARMS, (17, 18), (18, 19), (19, 11), (19, 12), *_LEGS,
    (20, 24), (21, 25), (23, 25), (22, 24), (15, 24), (16, 25),
)  # fmt: skip
_FACE_CHAINS = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35), (36, 41), (42, 47), (48, 67))
_FACE_FLIPS = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (31, 35), (32, 34),
    (48, 54), (49, 53), (50, 52), (61, 63), (67, 65), (60, 64), (59, 55), (58, 56),
)  # fmt: skip


def _face_edges(start: int) -> Pairs:
    return tuple((start + i, start + i + 1) for a, b in _FACE_CHAINS for i in range(a, b))


def _hand_edges(root: int) -> Pairs:
    fingers = ((root, *range(root + 4 * f + 1, root + 4 * f + 5)) for f in range(5))
    return tuple(pair for chain in fingers for pair in itertools.pairwise(chain))


def _shifted(pairs: Iterable[tuple[int, int]], offset: int) -> Pairs:
    return tuple((a + offset, b + offset) for a, b in pairs)


def _sides(names: list[str]) -> Pairs:
    """Mirror pairs of joints named left_* and right_*."""
    return tuple(
        (i, names.index("right_" + name[5:]))
        for i, name in enumerate(names)
        if name.startswith("left_")
    )


def _make(
    name: str, names: list[str], parts: dict[str, int], edges: Pairs, face_at: int | None = None
) -> Skeleton:
    flips = _sides(names) + (_shifted(_FACE_FLIPS, face_at) if face_at is not None else ())
    stops = np.cumsum(list(parts.values()))
    slices = {
        part: slice(int(b - n), int(b)) for (part, n), b in zip(parts.items(), stops, strict=True)
    }
    sigmas = np.array([float(_SIGMA[n]) for n in names], np.float32)
    return Skeleton(name, tuple(names), slices, edges, flips, sigmas)


COCO17 = _make(
    "coco17", _COCO, {"body": 17},
    (*_HEAD_EDGES, (5, 6), *_ARMS, (5, 11), (6, 12), (11, 12), *_LEGS),
)  # fmt: skip
HALPE26 = _make(
    "halpe26", _COCO + _HALPE_EXTRA + _HALPE_FEET, {"body": 20, "feet": 6}, _BODY26_EDGES
)
HALPE68_NOFACE = _make(
    "halpe68_noface", _COCO + _HALPE_EXTRA + _HALPE_FEET + _HANDS,
    {"body": 20, "feet": 6, "left_hand": 21, "right_hand": 21},
    (*_BODY26_EDGES, *_hand_edges(26), *_hand_edges(47)),
)  # fmt: skip
HALPE136 = _make(
    "halpe136", _COCO + _HALPE_EXTRA + _HALPE_FEET + _FACE + _HANDS,
    {"body": 20, "feet": 6, "face": 68, "left_hand": 21, "right_hand": 21},
    (*_BODY26_EDGES, *_face_edges(26), *_hand_edges(94), *_hand_edges(115)), face_at=26,
)  # fmt: skip
WHOLEBODY133 = _make(
    "wholebody133", _COCO + _WHOLEBODY_FEET + _FACE + _HANDS,
    {"body": 17, "feet": 6, "face": 68, "left_hand": 21, "right_hand": 21},
    (
        *_HEAD_EDGES, (5, 6), *_ARMS, (5, 11), (6, 12), (11, 12), *_LEGS,
        (18, 19), (21, 22), (20, 22), (17, 19), (15, 19), (16, 22),
        *_face_edges(23), *_hand_edges(91), *_hand_edges(112),
    ), face_at=23,
)  # fmt: skip
HAND21 = _make("hand21", _HAND, {"hand": 21}, _hand_edges(0))
FACE68 = _make("face68", _FACE, {"face": 68}, _face_edges(0), face_at=0)

# Of sets with equally many joints the first is meant where only the number is known.
SKELETONS = {
    s.name: s for s in (COCO17, HALPE26, HALPE68_NOFACE, HALPE136, WHOLEBODY133, HAND21, FACE68)
}


def get_skeleton(name: str) -> Skeleton:
    """A known keypoint set by name.

    Raises:
        ConfigError: no such set; the message lists those that exist.
    """
    if name not in SKELETONS:
        raise ConfigError(f"unknown skeleton {name!r}; known: {', '.join(SKELETONS)}")
    return SKELETONS[name]
