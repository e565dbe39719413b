# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train proposals``: where a detector's boxes and people's parts lie, fitted."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou, xyxy_to_xywh
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data import atomic_poses
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.hands import palm_ratio
from alphapose_ros.data.mixtures import Mixture, fit_mixture
from alphapose_ros.data.people import People
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.data.proposals import (
    MATCH_IOU,
    PARTS,
    ProposalModel,
    default_parts,
    mirror_offsets,
    part_features,
    side_offsets,
)
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.replay import read_boxes
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.train.proposal_plot import draw_proposals

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]
_LEAST_PARTS = 20  # fewer say less than an adult's proportions do


@dataclass(frozen=True)
class ProposalConfig:
    """What to fit the proposals on.

    Attributes:
        out: the JSON file to write; the plot lies beside it as .png, the detector's boxes as
            .boxes.json.
        people: annotated people as ANNOTATIONS@IMAGES.
        boxes: a file of COCO result rows instead of a run of the detector; empty: run it.
        weights: the detector's, file or name; empty: the bundled ones.
        score_threshold: least score of a detected person, in [0, 1].
        images: most images that are looked at, evenly spread over the set; 0: all.
        atomic_poses: how many poses the error is conditioned on.
        components: most Gaussians of a mixture.
        device: of the detector.
        seed: of the clustering and the mixtures.
    """

    out: str = "runs/proposals.json"
    people: str = ""
    boxes: str = ""
    weights: str = ""
    score_threshold: float = setting(0.1, low=0, high=1)
    images: int = setting(0, low=0)
    atomic_poses: int = setting(6, low=1)
    components: int = setting(3, low=1)
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self)


def fit_proposals(config: ProposalConfig, on_image: Callable[[], object] = lambda: None) -> Path:
    """Detect, match, fit, and write the model and its plot; returns the model's file.

    Raises:
        InputError: the set or the boxes cannot be used, or too few people were found again.
        WeightsError: the detector's weights cannot be used.
    """
    out = Path(config.out)
    people = _thinned(SetSpec.parse(config.people).read(HALPE136), config.images)
    found = _detected(people, config, on_image)
    rows, boxes = matched(people, found)
    log.info("%d of %d people found again", len(rows), len(people))
    if len(rows) < 2 * config.atomic_poses:
        raise InputError(
            f"{config.people}: expected at least {2 * config.atomic_poses} people whom the "
            f"detector finds, got {len(rows)}"
        )
    model = fit_model(people[rows], boxes, config)
    model.save(out)
    for name, count in model.counts.items():
        log.info("%s: %d", name, count)
    draw_proposals(model, people[rows], boxes, out.with_suffix(".png"))
    log.info("wrote %s", out)
    return out


def matched(people: People, found: dict[int, FloatArray]) -> tuple[NDArray[np.intp], FloatArray]:
    """People whom the detector found and their detected boxes: rows (M,) and boxes (M, 4).

    One box belongs to one person: the pair of an image with the largest overlap comes first, down
    to ``MATCH_IOU``. ``found`` has boxes (B, 4) per row of ``people.images``.
    """
    rows: list[int] = []
    boxes: list[FloatArray] = []
    for image in np.unique(people.image_rows):
        mine = np.flatnonzero(people.image_rows == image)
        detected = found.get(int(image), np.zeros((0, 4), np.float32))
        overlap = box_iou(people.boxes[mine], detected)
        while overlap.size and overlap.max() >= MATCH_IOU:
            person, box = np.unravel_index(overlap.argmax(), overlap.shape)
            rows.append(int(mine[person]))
            boxes.append(detected[box])
            overlap[person], overlap[:, box] = 0, 0
    order = np.argsort(rows, kind="stable").astype(np.intp)
    matrix = np.array(boxes, np.float32).reshape(-1, 4)
    return np.array(rows, np.intp)[order], matrix[order]


def fit_model(people: People, boxes: FloatArray, config: ProposalConfig) -> ProposalModel:
    """The distributions of detected ``boxes`` (N, 4) of ``people`` (N), and of the people's parts.

    Raises:
        InputError: fewer people with enough known joints than atomic poses.
    """
    rng = np.random.default_rng(config.seed)
    offsets = side_offsets(boxes, people.boxes)
    whole = atomic_poses.body_poses(people.boxes, people.keypoints, people.labels, people.skeleton)
    told = np.flatnonzero(whole.usable)
    poses = atomic_poses.BodyPoses(whole.points[told], whole.known[told])
    centers = atomic_poses.cluster(poses, config.atomic_poses, rng)
    nearest, flipped = atomic_poses.assign(poses, centers)
    mine = np.where(flipped[:, None], mirror_offsets(offsets[told]), offsets[told])
    pooled = fit_mixture(offsets, config.components, rng)
    counts = {"people": len(people)}
    mixtures: list[Mixture] = []
    for row in range(config.atomic_poses):
        members = mine[nearest == row]
        counts[f"pose {row}"] = len(members)
        enough = len(members) >= 2
        mixtures.append(fit_mixture(members, config.components, rng) if enough else pooled)
    parts = default_parts()
    for name in PARTS:
        features = _features_of(name, people, boxes)
        counts[name] = len(features)
        if len(features) >= _LEAST_PARTS:
            parts[name] = fit_mixture(features, config.components, rng)
    palms = _palms(people)
    counts["palm"] = len(palms)
    palm = ProposalModel.default().palm
    if len(palms) >= _LEAST_PARTS:
        palm = float(palms.mean()), float(palms.std())
    return ProposalModel(centers, tuple(mixtures), pooled, parts, palm, counts)


def _features_of(name: str, people: People, boxes: FloatArray) -> NDArray[np.float64]:
    """(M, 4) of all people whose part ``name`` is labelled; hands as if all were right ones."""
    sides = [f"{side}_{name}" for side in ("left", "right")] if name == "hand" else [name]
    features = [np.zeros((0, 4))]
    for side in sides:
        if side not in people.skeleton.parts:
            continue
        index = _joints_of(side, people.skeleton)
        labelled = people.labels[:, index] > 0
        # Of the body nobody has all joints labelled; of other parts half would give no box.
        rows = labelled.mean(1) >= (0.7 if name == "body" else 0.9)
        points, known = people.keypoints[rows][:, index], labelled[rows]
        low = np.where(known[..., None], points, np.inf).min(1, initial=np.inf)
        high = np.where(known[..., None], points, -np.inf).max(1, initial=-np.inf)
        fit = part_features(np.concatenate([low, high], 1).astype(np.float32), boxes[rows])
        if side.startswith("left_"):
            fit[:, 0] = 1 - fit[:, 0]
        features.append(fit)
    return np.concatenate(features)


def _joints_of(part: str, skeleton: Skeleton) -> NDArray[np.intp]:
    index = np.arange(len(skeleton))[skeleton.parts[part]]
    if part == "body":  # head top, neck and pelvis are derived or missing in most sets
        names = skeleton.keypoint_names
        index = index[[names[i] not in ("head_top", "neck", "pelvis") for i in index]]
    return index


def _palms(people: People) -> NDArray[np.float64]:
    """log(palm / arm) of every labelled hand with a labelled arm."""
    ratios = [
        palm_ratio(people.keypoints[row], people.labels[row], side, people.skeleton)
        for row in range(len(people))
        for side in ("left", "right")
    ]
    return np.log([ratio for ratio in ratios if ratio is not None])


def _thinned(people: People, images: int) -> People:
    """The people of at most ``images`` images, evenly spread."""
    every = np.unique(people.image_rows)
    if not images or len(every) <= images:
        return people
    kept = every[np.linspace(0, len(every) - 1, images).astype(int)]
    return people[np.isin(people.image_rows, kept)]


def _detected(
    people: People, config: ProposalConfig, on_image: Callable[[], object]
) -> dict[int, FloatArray]:
    """Boxes (B, 4) per row of ``people.images``."""
    ids = dict(zip(people.image_rows.tolist(), people.image_ids.tolist(), strict=True))
    if config.boxes:
        given = read_boxes(config.boxes)
        return {row: given[number].boxes for row, number in ids.items() if number in given}
    found = dict(_run_detector(people, sorted(ids), config, on_image))
    rows = [
        {"image_id": ids[row], "bbox": box, "score": score}
        for row, (boxes, scores) in found.items()
        for box, score in zip(xyxy_to_xywh(boxes).tolist(), scores.tolist(), strict=True)
    ]
    kept = Path(config.out).with_suffix(".boxes.json")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(rows))
    return {row: boxes for row, (boxes, _) in found.items()}


def _run_detector(
    people: People, rows: list[int], config: ProposalConfig, on_image: Callable[[], object]
) -> Iterable[tuple[int, tuple[FloatArray, FloatArray]]]:
    detector = create_detector(
        DetectorConfig(weights=config.weights, score_threshold=config.score_threshold),
        config.device,
    )
    for row in rows:
        batch = ImageBatch.upload([read_image(people.images[row])], config.device)
        answer = detector(batch)[0]
        yield row, (answer.boxes, answer.scores)
        on_image()
