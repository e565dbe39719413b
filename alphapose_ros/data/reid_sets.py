# SPDX-License-Identifier: Apache-2.0
"""People with identities: every format of re-identification and tracking as one record.

An identity of -1 means "somebody, nobody knows who": such a sighting is neither query nor match.
Frames of a clip and pictures of a gallery are the same here: a picture, a box in it, a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.skeletons import HALPE136, Skeleton, get_skeleton
from alphapose_ros.data.coco import read_coco, read_json
from alphapose_ros.data.file_names import image_path
from alphapose_ros.data.mot import FIRST, PEDESTRIAN, read_mot_rows
from alphapose_ros.data.people import People, placed

POSES_FILE = "poses.json"
UNKNOWN = -1
_WHOLE_PICTURE = (0.0, 0.0, 0.0, 0.0)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
_MARKET = re.compile(r"^(-?\d+)_c(\d+)(?:s\d+)?_(\d+)")
_PKU = re.compile(r"^(\d+)_(\d+)_(\d+)\.")
_MSMT = re.compile(r"^(\d+)_\d+_(\d+)_")
_POSETRACK_NAMES = {"head_bottom": "neck"}
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass(frozen=True)
class Sightings(Rows):
    """Sightings of people, a row each.

    Attributes:
        image_rows: (N,) index into ``images``.
        boxes: (N, 4) px corners; four zeros mean the whole picture.
        identities: (N,) equal for the same person; -1 where nobody knows.
        cameras: (N,) number of the camera; -1 where nobody knows.
        times_s: (N,) seconds within the camera's recording; NaN where nobody knows.
        keypoints: (N, K, 2) px in the picture. scores: (N, K) in 0..1, 0 for unknown joints.
        images: paths. skeleton: of the joints.
    """

    image_rows: NDArray[np.int64] = array("N", dtype=np.int64)
    boxes: NDArray[np.float32] = array("N", 4, dtype=np.float32)
    identities: NDArray[np.int64] = array("N", dtype=np.int64)
    cameras: NDArray[np.int64] = array("N", dtype=np.int64)
    times_s: NDArray[np.float64] = array("N", dtype=np.float64)
    keypoints: NDArray[np.float32] = array("N", "K", 2, dtype=np.float32)
    scores: NDArray[np.float32] = array("N", "K", dtype=np.float32)
    images: tuple[Path, ...] = ()
    skeleton: Skeleton = HALPE136


@dataclass(frozen=True)
class Sighting:
    """One row to be: the picture, a box (xyxy), who, by which camera, when, joints (K, 3)."""

    image: Path
    box: Sequence[float] = _WHOLE_PICTURE
    identity: int = UNKNOWN
    camera: int = -1
    time_s: float = float("nan")
    joints: NDArray[np.float32] | None = None


def sightings(rows: Iterable[Sighting], skeleton: Skeleton = HALPE136) -> Sightings:
    """One record of rows, each picture listed once."""
    rows = list(rows)
    images = {path: i for i, path in enumerate(dict.fromkeys(row.image for row in rows))}
    none = np.zeros((len(skeleton), 3), np.float32)
    joints = np.array([none if row.joints is None else row.joints for row in rows], np.float32)
    joints = joints.reshape(-1, len(skeleton), 3)
    return Sightings(
        np.array([images[row.image] for row in rows], np.int64),
        np.array([row.box for row in rows], np.float32).reshape(-1, 4),
        np.array([row.identity for row in rows], np.int64),
        np.array([row.camera for row in rows], np.int64),
        np.array([row.time_s for row in rows], np.float64),
        joints[..., :2],
        joints[..., 2].clip(0, 1),
        tuple(images),
        skeleton,
    )


def read_identities(source: str, skeleton: Skeleton = HALPE136) -> Sightings:
    """A set with identities, the format told by what ``source`` names.

    Args:
        source: FOLDER of :func:`read_market`, LIST@ROOT of :func:`read_crop_list`, GT@IMAGES of
            :func:`read_mot`, or ANNOTATIONS.json@IMAGES of :func:`read_posetrack`.
        skeleton: of the joints.
    """
    first, at, second = source.partition("@")
    if not at:
        return read_market(Path(first), skeleton)
    if first.endswith(".json"):
        return read_posetrack(Path(first), Path(second), skeleton=skeleton)
    if "gt" in Path(first).stem or "det" in Path(first).stem:
        return read_mot(Path(first), Path(second), skeleton=skeleton)
    return read_crop_list(Path(first), Path(second), skeleton)


def read_market(folder: Path, skeleton: Skeleton = HALPE136) -> Sightings:
    """A folder of crops named as Market-1501's, ``0002_c1s1_000451_03.jpg``, or ``2_1_5.png``.

    That is identity 2 of camera 1 in its frame 451; -1 is nobody known. The other is PKU-Reid's
    way of identity, camera and number. A file ``poses.json``
    beside the crops, as ``train tracklets`` writes it, gives boxes, joints and times.

    Raises:
        InputError: no such folder, or no crop of such a name in it.
    """
    poses = _stored_poses(folder / POSES_FILE, skeleton)
    rows: list[Sighting] = []
    for path in _pictures(folder):
        found = _MARKET.match(path.name) or _PKU.match(path.name)
        if found:
            identity, camera, frame = map(int, found.groups())
            box, joints, time_s = poses.get(path.name, (_WHOLE_PICTURE, None, float(frame)))
            rows.append(Sighting(path, box, max(identity, UNKNOWN), camera, time_s, joints))
    if not rows:
        raise InputError(f"{folder}: expected crops named as 0002_c1s1_000451_03.jpg, found none")
    return sightings(rows, skeleton)


def read_crop_list(listed: Path, root: Path, skeleton: Skeleton = HALPE136) -> Sightings:
    """A list of MSMT17's kind: a line holds a path below ``root`` and an identity.

    The camera is the third number of the file's name, ``0000_000_01_0303morning_0015_0.jpg``.

    Raises:
        InputError: unreadable, or a line of another form.
    """
    rows: list[Sighting] = []
    for number, line in _lines(listed):
        name, _, identity = line.rpartition(" ")
        found = _MSMT.match(Path(name).name)
        try:
            person = int(identity)
        except ValueError:
            name = ""
        if not name.strip():
            raise InputError(f"{listed}: line {number}: expected PATH IDENTITY, got {line!r}")
        camera = int(found.group(2)) if found else -1
        rows.append(Sighting(image_path(root, name.strip()), identity=person, camera=camera))
    return sightings(rows, skeleton)


def read_mot(
    truth: Path, images: Path, fps: float = 30.0, skeleton: Skeleton = HALPE136
) -> Sightings:
    """A MOT Challenge ``gt.txt`` or ``det.txt``; frame 1 is ``000001.jpg``.

    People of other classes than pedestrians and those who do not count are left out.

    Raises:
        InputError: as ``read_mot_rows``, nobody, or no pictures.
    """
    suffix = next(iter(_pictures(images))).suffix
    rows: list[Sighting] = []
    for row in read_mot_rows(truth):
        if row.identity >= 0 and (row.confidence == 0 or row.kind != PEDESTRIAN):
            continue
        path = images / f"{row.frame + FIRST:06d}{suffix}"
        rows.append(Sighting(path, row.box, max(row.identity, UNKNOWN), 0, row.frame / fps))
    if not rows:
        raise InputError(f"{truth}: expected rows of pedestrians that count, got none")
    return sightings(rows, skeleton)


def read_posetrack(
    annotations: Path, images: Path, fps: float = 30.0, skeleton: Skeleton = HALPE136
) -> Sightings:
    """A PoseTrack18 or PoseTrack21 annotation file: COCO's form with ``track_id``.

    Raises:
        InputError: unreadable, or an entry of another form.
    """
    content = read_coco(annotations)
    try:
        names = [_POSETRACK_NAMES.get(n, n) for n in content["categories"][0]["keypoints"]]
        frames = {entry["id"]: entry for entry in content["images"]}
        rows = [
            _posetrack_row(item, frames[item["image_id"]], images, names, fps, skeleton)
            for item in content["annotations"]
            if item.get("bbox")
        ]
    except _MALFORMED as error:
        raise InputError(f"{annotations}: expected a PoseTrack file: {error!r}") from error
    return sightings(rows, skeleton)


def instances(people: People) -> Sightings:
    """Annotated people, each a person of his own, seen once."""
    count = len(people)
    return Sightings(
        people.image_rows,
        people.boxes,
        np.arange(count),
        np.full(count, -1),
        np.full(count, np.nan),
        people.keypoints,
        (people.labels > 0).astype(np.float32),
        people.images,
        people.skeleton,
    )


def _posetrack_row(
    item: Mapping[str, Any],
    frame: Mapping[str, Any],
    images: Path,
    names: Sequence[str],
    fps: float,
    skeleton: Skeleton,
) -> Sighting:
    x, y, width, height = map(float, item["bbox"])
    flat = np.array(item.get("keypoints") or [0] * (3 * len(names)), np.float32).reshape(-1, 3)
    joints = placed(flat[:, :2], (flat[:, 2] > 0).astype(np.uint8), names, skeleton)
    number = frame.get("frame_id", frame["id"])
    digits = re.findall(r"\d+", Path(frame["file_name"]).stem) or [number]
    return Sighting(
        image_path(images, frame["file_name"]),
        (x, y, x + width, y + height),
        int(item.get("track_id", UNKNOWN)),
        int(str(frame.get("vid_id") or 0).lstrip("0") or 0),
        int(digits[-1]) / fps,
        joints,
    )


def _stored_poses(
    path: Path, skeleton: Skeleton
) -> dict[str, tuple[Sequence[float], NDArray[np.float32], float]]:
    """Crop's name -> box, joints (K, 3) of ``skeleton``, time; empty where there is no file."""
    if not path.is_file():
        return {}
    content = read_json(path)
    try:
        names = get_skeleton(content["skeleton"]).keypoint_names
        index = {name: i for i, name in enumerate(names)}
        order = np.array([index.get(name, -1) for name in skeleton.keypoint_names])
        out: dict[str, tuple[Sequence[float], NDArray[np.float32], float]] = {}
        for name, entry in content["crops"].items():
            joints = np.array(entry["keypoints"], np.float32).reshape(len(names), 3)
            mine = np.where((order >= 0)[:, None], joints[order], 0).astype(np.float32)
            box = [float(v) for v in entry["box"]]
            out[name] = box, mine, float(entry["time_s"])
    except _MALFORMED as error:
        raise InputError(f"{path}: expected poses of crops: {error!r}") from error
    return out


def _pictures(folder: Path) -> list[Path]:
    found = (
        sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
        if folder.is_dir()
        else []
    )
    if not found:
        raise InputError(f"{folder}: expected a folder of pictures, found none")
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read it: {error}") from error
    return [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
