# SPDX-License-Identifier: Apache-2.0
"""Pose NMS judged by AP: candidates are estimated once, then any parameters answer in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import non_maximum_suppression
from alphapose_ros.base.errors import InputError, WeightsError
from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import get_skeleton
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.people import People
from alphapose_ros.detection.factory import local_file
from alphapose_ros.eval.detected import (
    Region,
    evaluation_limits,
    ignored_regions,
    posed_image,
)
from alphapose_ros.eval.metrics import ImageMatches, average_precision, bootstrap
from alphapose_ros.eval.parts import body_part, match_part
from alphapose_ros.eval.pose import people_with_joints
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.registry.bundled import DETECTOR_NANO, POSE_NANO
from alphapose_ros.weights import sha256_of

_COLUMNS = ("keypoints", "scores", "boxes", "box_scores", "source")


@dataclass(frozen=True)
class Candidates:
    """Poses of every box of each image before pose NMS, and the people who are there.

    Attributes:
        poses: of each image.
        people: annotated ones.
        ignored: regions of each image in which a pose counts neither way.
    """

    poses: list[Poses]
    people: People
    ignored: list[list[Region]]

    def matches(self, config: PoseNmsConfig) -> list[ImageMatches]:
        """COCO's matching of the body's 17 joints, image by image, after this pose NMS."""
        nms, part = PoseNms(config), body_part(self.people.skeleton)
        out = []
        for row, poses in enumerate(self.poses):
            people = self.people[self.people.image_rows == row]
            out.append(match_part(posed_image(people, self.ignored[row], nms(poses)), part))
        return out

    def with_box_nms(self, iou: float) -> Candidates:
        """What a detector leaves that drops the lower score of two boxes above this overlap."""
        kept = [
            poses[non_maximum_suppression(poses.boxes, poses.box_scores, iou)]
            for poses in self.poses
        ]
        return replace(self, poses=kept)

    def ap(self, config: PoseNmsConfig) -> float:
        """AP of the body after this pose NMS; NaN without a person."""
        return float(average_precision(self.matches(config)).mean())


def collect_candidates(
    config: PipelineConfig,
    annotations: Path,
    images: Path,
    *,
    nms_iou: float,
    cache: Path | None = None,
    most: int = 0,
    on_image: Callable[[], object] = lambda: None,
) -> Candidates:
    """Run detector and pose network over the images, boxes that overlap included.

    Args:
        config: of the pipeline; its pose NMS is not run.
        annotations: COCO-format file. images: its images.
        nms_iou: overlap below which the detector keeps both boxes: high, so that several are left
            on one person.
        cache: .npz file that keeps the poses; read where it is there, and refused where other
            settings, weights or pixels made it.
        most: images, evenly spread over the set; 0: all.
        on_image: called after each image.

    Raises:
        InputError: the set or the cache cannot be used.
    """
    people = _spread(people_with_joints(annotations, images), most)
    ignored = ignored_regions(annotations, images, people, lambda _: True)
    limits = evaluation_limits(config)
    limits = replace(limits, detector=replace(limits.detector, nms_iou=nms_iou))
    made_with = _made_with(limits.resolved(), people) if cache is not None else {}
    if cache is not None and cache.is_file():
        return Candidates(_load(cache, people, made_with), people, ignored)
    pipeline = PosePipeline(limits)
    poses = []
    for path in people.images:
        batch = ImageBatch.upload([read_image(path)], pipeline.device)
        (found,) = pipeline.estimator(batch, pipeline.detector(batch))
        poses.append(found)
        on_image()
    if cache is not None:
        _store(cache, poses, people, made_with)
    return Candidates(poses, people, ignored)


def paired_gain(
    better: Sequence[ImageMatches], worse: Sequence[ImageMatches], *, repeats: int = 1000
) -> tuple[float, tuple[float, float]]:
    """AP of one less that of the other, with a 95 % interval: the same images of both."""

    def gain(chosen: NDArray[np.intp]) -> float:
        pair = ([side[i] for i in chosen] for side in (better, worse))
        first, second = (float(average_precision(side).mean()) for side in pair)
        return first - second

    return gain(np.arange(len(better))), bootstrap(gain, len(better), repeats=repeats)


def _spread(people: People, most: int) -> People:
    """The people of at most ``most`` images that have any, evenly spread over the set."""
    used = np.unique(people.image_rows)
    if most:
        used = used[np.unique(np.linspace(0, len(used) - 1, most).round().astype(int))]
    chosen = people[np.isin(people.image_rows, used)]
    return replace(
        chosen,
        image_rows=np.searchsorted(used, chosen.image_rows),
        images=tuple(people.images[row] for row in used),
    )


def _made_with(config: PipelineConfig, people: People) -> dict[str, str]:
    """What decides about the candidates: settings, and SHA-256 of the weights and the images."""
    pose, detector = config.pose, config.detector
    files = (
        detector.weights or DETECTOR_NANO,
        pose.weights or POSE_NANO,
        pose.face_weights,
        pose.hand_weights,
        pose.calibration,
    )
    pixels = "".join(map(sha256_of, people.images))
    return {
        "settings": f"{pose} {detector}",
        "weights": " ".join(_digest(file) for file in files if file),
        "pixels": hashlib.sha256(pixels.encode()).hexdigest(),
    }


def _digest(name: str) -> str:
    """SHA-256 of a configured file; "" where the name is none, as a plugin's may be."""
    try:
        return sha256_of(local_file(name))
    except WeightsError:
        return ""


def _store(
    path: Path, poses: Sequence[Poses], people: People, made_with: Mapping[str, str]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    content: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in poses]) for name in _COLUMNS
    }
    content["images"] = np.array([image.name for image in people.images])
    content["skeleton"] = np.array(poses[0].skeleton.name)
    content |= {what: np.array(value) for what, value in made_with.items()}
    content["counts"] = np.array([len(each) for each in poses])
    np.savez(partial, **content)
    partial.replace(path)


def _load(path: Path, people: People, made_with: Mapping[str, str]) -> list[Poses]:
    try:
        with np.load(path, allow_pickle=False) as held:
            content = dict(held)
        names = content["images"].tolist()
        skeleton = get_skeleton(str(content["skeleton"]))
        ends = np.cumsum(content["counts"])[:-1]
        columns = {name: np.split(content[name], ends) for name in _COLUMNS}
    except (OSError, ValueError, LookupError, BadZipFile) as error:
        raise InputError(f"{path}: expected candidates of pose NMS, got {error}") from error
    if names != [image.name for image in people.images]:
        raise InputError(f"{path}: its candidates are of other images; remove it to collect anew")
    others = [what for what, value in made_with.items() if str(content.get(what)) != value]
    if others:
        raise InputError(
            f"{path}: made with other {' and '.join(others)}; remove it to collect anew"
        )
    return [
        Poses(**{name: parts[row] for name, parts in columns.items()}, skeleton=skeleton)
        for row in range(len(names))
    ]
