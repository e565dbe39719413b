# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose --detected``: the people that the detector finds, not those given.

The pipeline's detector, pose network and pose NMS answer each image, COCO's matching by OKS
judges the poses. People without annotated joints and crowds are regions where a pose counts
neither way, as in COCO.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import xywh_to_xyxy
from alphapose_ros.base.keypoints import map_keypoints
from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.coco import persons_among, read_coco, read_image
from alphapose_ros.data.people import AREA_OF_BOX, Annotation, People, image_entry
from alphapose_ros.data.readers import is_part
from alphapose_ros.eval.detection import evaluation_config
from alphapose_ros.eval.metrics import ImageMatches, bootstrap
from alphapose_ros.eval.parts import Measures, PosedImage, match_parts, mean_ap, part_measures
from alphapose_ros.eval.pose import Estimates, posed
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pipeline import PosePipeline

_SCORE_THRESHOLD = 0.05  # every box costs a pose, and 20 poses count
_MAX_PEOPLE = 50
Region = tuple[NDArray[np.float32], float, bool]  # box (4,) px, area px², is a crowd


def evaluation_limits(config: PipelineConfig) -> PipelineConfig:
    """The same pipeline with a detector that also answers people it is hardly sure of."""
    detector = replace(
        evaluation_config(config.detector),
        score_threshold=_SCORE_THRESHOLD,
        max_people=_MAX_PEOPLE,
    )
    return replace(config, detector=detector)


def find_people(
    pipeline: PosePipeline,
    people: People,
    ignored: Sequence[Sequence[Region]],
    on_image: Callable[[], object] = lambda: None,
) -> list[PosedImage]:
    """What the pipeline answers in every image of ``people``, and what it should.

    Args:
        pipeline: made with :func:`evaluation_limits`, or AP stops at its detector's threshold.
        people: the annotated ones.
        ignored: of each image, see :func:`ignored_regions`.
        on_image: called after each image.
    """
    out = []
    for row, path in enumerate(people.images):
        batch = ImageBatch.upload([read_image(path)], pipeline.device)
        (poses,) = pipeline.detect_and_estimate(batch)
        out.append(posed_image(people[people.image_rows == row], ignored[row], poses))
        on_image()
    return out


def ignored_regions(
    annotations: Path, images: Path, people: People, keep: Callable[[Annotation], bool]
) -> list[list[Region]]:
    """Per image of ``people`` the people that are not among them: crowds, no joints, left out.

    Of a skeleton of one's own also people of whom only other joints are labelled.

    Raises:
        InputError: the file cannot be read.
    """
    content = read_coco(annotations)
    names = dict(filter(None, (image_entry(entry, images) for entry in content["images"])))
    persons = persons_among(content.get("categories"))
    rows = zip(people.image_ids.tolist(), people.boxes, strict=True)
    mine = {(number, box.tobytes()) for number, box in rows}
    by_box = people.skeleton.is_own and not is_part(people.skeleton)
    regions: dict[Path, list[Region]] = defaultdict(list)
    for item in content["annotations"]:
        other = persons is not None and item.get("category_id", 1) not in persons
        judged = not item.get("iscrowd") and any((item.get("keypoints") or ())[2::3])
        if other or len(item.get("bbox", ())) != 4:
            continue
        (box,) = xywh_to_xyxy([item["bbox"]])
        foreign = by_box and (item.get("image_id"), box.tobytes()) not in mine
        if judged and keep(item) and not foreign:
            continue
        area = float(item.get("area") or AREA_OF_BOX * item["bbox"][2] * item["bbox"][3])
        regions[names.get(item.get("image_id"), Path())].append(
            (box, area, bool(item.get("iscrowd")))
        )
    return [regions[path] for path in people.images]


def posed_image(people: People, ignored: Sequence[Region], poses: Poses) -> PosedImage:
    """The people and the regions to ignore of one image, and the poses that answer them."""
    answers, _ = map_keypoints(poses.keypoints, poses.scores, poses.skeleton, people.skeleton)
    joints, extra = len(people.skeleton), len(ignored)
    boxes = np.array([box for box, _, _ in ignored], np.float32).reshape(-1, 4)
    areas = np.array([area for _, area, _ in ignored], np.float32)
    crowd = np.array([crowd for _, _, crowd in ignored], bool)
    return PosedImage(
        np.concatenate([people.keypoints, np.zeros((extra, joints, 2), np.float32)]),
        np.concatenate([people.labels, np.zeros((extra, joints), np.uint8)]),
        np.concatenate([people.boxes, boxes]),
        np.concatenate([people.areas, areas]),
        np.concatenate([np.zeros(len(people), bool), crowd]),
        answers,
        poses.person_scores,
    )


def measure_detected(
    images: Sequence[PosedImage],
    skeleton: Skeleton,
    given: Estimates | None = None,
    *,
    repeats: int = 200,
    seed: int = 0,
) -> Measures:
    """AP and AR per part of found people (keys ``detected_``), and their share of the given ones.

    With ``given``, the same people answered in their annotated boxes, ``detected_body_ap_ratio``
    is AP with the detector's boxes over AP with the annotated ones; its interval draws the same
    images for both. NaN where nobody is to be found.
    """
    out: Measures = {
        "detected_images": len(images),
        "detected_poses": sum(len(image.scores) for image in images),
    }
    measures = part_measures(images, skeleton, repeats=repeats, seed=seed)
    out |= {f"detected_{name}": value for name, value in measures.items()}
    if given is None:
        return out
    rows = [np.flatnonzero(given.people.image_rows == row) for row in range(len(images))]
    below = match_parts([posed(given, chosen) for chosen in rows], skeleton)
    for name, matches in match_parts(images, skeleton).items():
        ratio = ap_ratio(matches, below[name])
        out[f"detected_{name}_ap_ratio"] = ratio(np.arange(len(images)))
        out[f"detected_{name}_ap_ratio_95"] = bootstrap(
            ratio, len(images), repeats=repeats, seed=seed
        )
    return out


def ap_ratio(
    above: Sequence[ImageMatches], below: Sequence[ImageMatches]
) -> Callable[[NDArray[np.intp]], float]:
    """AP over AP as a statistic of image indices; NaN where the lower one is 0 or unknown."""
    upper, lower = mean_ap(above), mean_ap(below)

    def ratio(chosen: NDArray[np.intp]) -> float:
        divisor = lower(chosen)
        return upper(chosen) / divisor if divisor > 0 else float("nan")

    return ratio
