# SPDX-License-Identifier: Apache-2.0
"""How well the six joints of the feet are placed: OKS per person, per foot and per kind of joint.

OKS takes COCO-WholeBody's own constants and the area of the person, as its metric of feet does:
a point half a foot's length off still scores about .5. So the same is said of feet guessed from
the legs alone, with nothing seen of the foot, and errors are also given in lower-leg lengths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.keypoints import joint_similarity
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.feet import POINTS, SIDES
from alphapose_ros.data.people import People
from alphapose_ros.eval.metrics import clustered_mean
from alphapose_ros.eval.parts import ANNOTATED
from alphapose_ros.eval.pose import Estimates, Measures

FloatArray = NDArray[np.float32]
BEYOND = 0.25  # lower legs behind the ankle lies the middle of an average foot


def measure_feet(found: Estimates, *, repeats: int = 200, seed: int = 0) -> Measures:
    """OKS of annotated (label 2) feet, and distances relative to the lower leg.

    Keys: ``feet_oks``, the mean over people of the OKS of all their known foot joints;
    ``foot_oks``, the mean over feet; of each kind of joint ``big_toe_oks`` and the median
    ``big_toe_error`` in lengths of the own lower leg, where knee and ankle are annotated. OKS
    with ``legs_`` before it is that of :func:`feet_from_legs`, the mark to pass. Means have
    image-bootstrap intervals (``_95``) and ``_joints``, ``feet``, ``feet_people`` say how many
    there are; NaN where there are none.
    """
    known = found.people.labels[:, _feet_of(found.people.skeleton)] == ANNOTATED  # (N, 2, 3)
    seen = _similarities(found.people, found.keypoints, known, repeats=repeats, seed=seed)
    guess = feet_from_legs(found.keypoints, found.people.skeleton)
    legs = _similarities(found.people, guess, known, repeats=repeats, seed=seed)
    out: Measures = {"feet_people": int(known.any((1, 2)).sum()), "feet": int(known.any(2).sum())}
    out |= {f"{name}_joints": int(n) for name, n in zip(POINTS, known.sum((0, 1)), strict=True)}
    out |= seen | {f"legs_{key}": value for key, value in legs.items()}
    return out | _errors(found, known)


def feet_from_legs(keypoints: FloatArray, skeleton: Skeleton) -> FloatArray:
    """(N, K, 2) with every point of a foot straight below the lower leg, ``BEYOND`` legs on."""
    out = keypoints.copy()
    for side, joints in zip(SIDES.values(), _feet_of(skeleton), strict=True):
        knee, ankle = (keypoints[:, skeleton.index(f"{side}_{n}")] for n in ("knee", "ankle"))
        out[:, joints] = (ankle + BEYOND * (ankle - knee))[:, None]
    return out


def lower_legs(people: People) -> FloatArray:
    """(N, 2) px from knee to ankle, left and right; NaN where either is not annotated."""
    knees, ankles = (
        [people.skeleton.index(f"{side}_{name}") for side in SIDES.values()]
        for name in ("knee", "ankle")
    )
    length = np.linalg.norm(people.keypoints[:, knees] - people.keypoints[:, ankles], axis=-1)
    known = (people.labels[:, knees] == ANNOTATED) & (people.labels[:, ankles] == ANNOTATED)
    return np.where(known & (length > 0), length, np.nan).astype(np.float32)


def _feet_of(skeleton: Skeleton) -> NDArray[np.intp]:
    """(2, 3) joints: left and right, in the order of ``POINTS``."""
    return np.array(
        [[skeleton.index(f"{side}_{name}") for name in POINTS] for side in SIDES.values()]
    )


def _similarities(
    people: People, answer: FloatArray, known: NDArray[np.bool_], *, repeats: int, seed: int
) -> Measures:
    near = joint_similarity(people.keypoints, answer, people.areas, people.skeleton.sigmas)
    near = near[:, _feet_of(people.skeleton)]
    by_row = {
        "feet": (near.reshape(-1, 6), known.reshape(-1, 6), people.image_rows),
        "foot": (near.reshape(-1, 3), known.reshape(-1, 3), people.image_rows.repeat(2)),
    }
    by_row |= {
        name: (near[..., kind], known[..., kind], people.image_rows)
        for kind, name in enumerate(POINTS)
    }
    out: Measures = {}
    for name, (values, counted, images) in by_row.items():
        if name in POINTS:
            answers = values[counted], images[counted.nonzero()[0]]  # every joint by itself
        else:
            answers = _means(values, counted, images)
        mean, interval = clustered_mean(*answers, repeats=repeats, seed=seed)
        out |= {f"{name}_oks": mean, f"{name}_oks_95": interval}
    return out


def _errors(found: Estimates, known: NDArray[np.bool_]) -> Measures:
    distance = np.linalg.norm(found.keypoints - found.people.keypoints, axis=-1)
    relative = distance[:, _feet_of(found.people.skeleton)] / lower_legs(found.people)[..., None]
    relative = np.where(known, relative, np.nan)
    out: Measures = {}
    for kind, name in enumerate(POINTS):
        errors = relative[..., kind][~np.isnan(relative[..., kind])]
        out[f"{name}_error"] = float(np.median(errors)) if len(errors) else float("nan")
    return out


def _means(
    values: FloatArray, known: NDArray[np.bool_], groups: NDArray[np.int64]
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Mean per row over its known values, and the group of each, of rows that have one."""
    some = known.any(1)
    total = np.where(known, values, 0).sum(1)[some]
    return total / known.sum(1)[some], groups[some]
