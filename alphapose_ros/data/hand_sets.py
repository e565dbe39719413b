# SPDX-License-Identifier: Apache-2.0
"""Hand sets given in 3-D: FreiHAND and InterHand2.6M, projected into their images.

FreiHAND (Zimmermann et al., ICCV 2019) holds right hands alone, its joints in our order.
InterHand2.6M (Moon et al., ECCV 2020) holds both, each finger from its tip to its root and the
wrist last: 0..20 the right hand, 21..41 the left. Both are mapped by names. A row is one hand;
its box is the tight one of its joints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE136, HAND21, Skeleton
from alphapose_ros.data.coco import read_coco, read_json
from alphapose_ros.data.people import (
    AREA_OF_BOX,
    BROKEN,
    People,
    Person,
    assemble,
    box_of_points,
    image_entry,
    placed,
    usable_images,
)

FloatArray = NDArray[np.float64]
INTERHAND_NAMES = (
    *(f"{finger}_{i}" for finger in ("thumb", "index", "middle", "ring", "little")
      for i in (4, 3, 2, 1)), "wrist",
)  # fmt: skip
_JOINTS = len(HAND21)
_SIDES = {"right": slice(0, _JOINTS), "left": slice(_JOINTS, 2 * _JOINTS)}


def read_freihand(xyz: Path, images_dir: Path, skeleton: Skeleton = HALPE136) -> People:
    """Right hands of ``*_xyz.json`` with the cameras of the ``*_K.json`` beside it.

    Image n is ``%08d.jpg``. The training part repeats its hands with other backgrounds: image
    n + count shows hand n again, and such repetitions are read where they exist.

    Raises:
        InputError: a file is not as expected, the two do not fit, or no image is there.
    """
    cameras = xyz.with_name(xyz.name.replace("_xyz", "_K"))
    places, matrices = _numbers(xyz, (_JOINTS, 3)), _numbers(cameras, (3, 3))
    if len(places) != len(matrices):
        raise InputError(
            f"{cameras}: expected a camera for each of {len(places)} hands, got {len(matrices)}"
        )
    images, problems = usable_images(_freihand_paths(images_dir, len(places)))
    if len(places) and not images:
        raise InputError(f"{images_dir}: expected the images of {xyz}, found none of them")
    people: list[Person] = []
    for number in images:
        hand = number % len(places)
        points, seen = _divided(places[hand] @ matrices[hand].T)
        found = _hand(number, "right", (points, seen, HAND21.keypoint_names), skeleton)
        if isinstance(found, Person):
            people.append(found)
        else:
            problems[found] += 1
    return assemble(people, images, skeleton, problems)


def read_interhand(data: Path, images_dir: Path, skeleton: Skeleton = HALPE136) -> People:
    """Hands of ``*_data.json`` with ``*_camera.json`` and ``*_joint_3d.json`` beside it.

    Raises:
        InputError: a file is not as expected, no image is there, or no annotation can be used.
    """
    content = read_coco(data)
    cameras = read_json(data.with_name(data.name.replace("_data", "_camera")))
    joints = read_json(data.with_name(data.name.replace("_data", "_joint_3d")))
    paths = [image_entry(entry, images_dir) for entry in content["images"]]
    images, problems = usable_images(paths)
    entries = {p[0]: e for p, e in zip(paths, content["images"], strict=True) if p is not None}
    if paths and not images:
        raise InputError(f"{images_dir}: expected the images of {data}, found none of them")
    people: list[Person] = []
    first = ""
    for item in content["annotations"]:
        try:
            number = item["image_id"]
            if number not in images:
                problems["annotation of a missing image"] += 1
                continue
            points, seen = _both_hands(item, entries[number], cameras, joints)
        except (KeyError, TypeError, ValueError) as error:
            problems[BROKEN], first = problems[BROKEN] + 1, first or repr(error)
            continue
        for side, part in _SIDES.items():
            if not seen[part].any():
                continue
            hand = (points[part], seen[part], INTERHAND_NAMES)
            found = _hand(number, side, hand, skeleton)
            if isinstance(found, Person):
                people.append(found)
            else:
                problems[found] += 1
    if not people and problems[BROKEN]:
        raise InputError(f"{data}: no annotation can be used: {first}")
    return assemble(people, images, skeleton, problems)


def _both_hands(
    item: dict[str, Any], entry: dict[str, Any], cameras: Any, joints: Any
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(42, 2) px and (42,) whether the joint is known, of an InterHand annotation."""
    capture, camera = str(entry["capture"]), str(entry["camera"])
    setup = cameras[capture]
    world = np.array(joints[capture][str(entry["frame_idx"])]["world_coord"], np.float64)
    valid = np.array(item["joint_valid"], np.float64).reshape(-1) > 0
    if world.shape != (2 * _JOINTS, 3) or valid.shape != (2 * _JOINTS,):
        raise InputError(f"expected 42 joints, got {world.shape} and {valid.shape}")
    turn = np.array(setup["camrot"][camera], np.float64)
    # ``campos`` is where the camera stands, not the translation behind the rotation.
    local = (world - np.array(setup["campos"][camera], np.float64)) @ turn.T
    points, before = _divided(local)
    focal = np.array(setup["focal"][camera], np.float64)
    centre = np.array(setup["princpt"][camera], np.float64)
    return points * focal + centre, before & valid


def _divided(local: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """X / z and y / z (J, 2), and whether the joint lies before the camera."""
    depth = local[:, 2:]
    before = np.isfinite(local).all(1) & (depth[:, 0] > 0)
    return local[:, :2] / np.where(before[:, None], depth, 1), before


def _hand(
    number: int,
    side: str,
    hand: tuple[FloatArray, NDArray[np.bool_], tuple[str, ...]],
    skeleton: Skeleton,
) -> Person | str:
    """The row of a hand (points, whether seen, names), or why it makes none."""
    points, seen, names = hand
    if seen.sum() < 2:
        return "fewer than two joints"
    whole = "thumb_1" not in skeleton.keypoint_names
    named = [f"{side}_hand_{name}" if whole else name for name in names]
    pixels = points.astype(np.float32)
    box = box_of_points(pixels[seen])
    joints = placed(pixels, np.where(seen, 2, 0), named, skeleton)
    return Person(number, box, AREA_OF_BOX * box[2] * box[3], joints)


def _numbers(path: Path, shape: tuple[int, int]) -> FloatArray:
    """(N, *shape) of a JSON list."""
    try:
        values = np.array(read_json(path), np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected a list of {shape[0]} x {shape[1]} numbers") from error
    values = values.reshape(0, *shape) if values.size == 0 else values
    if values.shape[1:] != shape:
        raise InputError(
            f"{path}: expected a list of {shape[0]} x {shape[1]} numbers, got {values.shape}"
        )
    return values


def _freihand_paths(folder: Path, count: int) -> list[tuple[int, Path]]:
    """Image n of the first repetition always, of later ones where any image of it exists."""
    existing = {path.name for path in folder.glob("*.jpg")}
    last = max((int(name[:-4]) for name in existing if name[:-4].isdigit()), default=0)
    total = count * (last // count + 1) if count else 0
    return [(n, folder / f"{n:08d}.jpg") for n in range(total)]
