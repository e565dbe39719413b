# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose --gallery``: the people that went worst, truth beside prediction.

One folder: a page and a picture per person, nothing from the net, no scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.keypoints import oks
from alphapose_ros.base.records import ImageArray, Poses
from alphapose_ros.data.coco import read_image
from alphapose_ros.eval.gallery_page import Person, Section, page
from alphapose_ros.eval.parts import official_parts
from alphapose_ros.eval.pose import Estimates
from alphapose_ros.output.draw import DrawStyle, draw_poses

FloatArray = NDArray[np.floating]

_PANEL_PX = 360  # longer side of each half of a picture
_MARGIN = 0.15  # of the shown people's longer side
_GAP_PX = 6
_MIN_JOINTS = 4  # whoever shows a single wrist says little about the network
_STYLE = DrawStyle(min_score=0.3, min_fine_score=0.15, min_part_px=0.0, labels=False)


@dataclass(frozen=True)
class PartScores:
    """OKS of every person in one part: (N,), NaN for people without a labelled joint of it."""

    oks: FloatArray
    joints: NDArray[np.intp]  # (N,) labelled ones
    pseudo: bool  # some of the labels are derived or pseudo labels


def person_scores(found: Estimates) -> dict[str, PartScores]:
    """OKS per person and part, COCO-WholeBody's constants; body and whole by annotated joints.

    Feet, face and hands take pseudo labels too. A part that nobody has is left out, and so is
    the whole where it is the body alone.
    """
    people, out = found.people, {}
    for name, part in official_parts(people.skeleton).items():
        labels = people.labels[:, part.joints]
        known = labels == 2 if name in ("body", "whole") else labels > 0
        if not known.any():
            continue
        values = oks(
            people.keypoints[:, part.joints],
            found.keypoints[:, part.joints],
            people.areas,
            part.sigmas.astype(np.float32),
            known.astype(np.float32),
        )
        pseudo = bool((known & (labels == 1)).any())
        out[name] = PartScores(np.where(known.any(1), values, np.nan), known.sum(1), pseudo)
    if {"body", "whole"} <= out.keys() and np.array_equal(out["body"].joints, out["whole"].joints):
        del out["whole"]
    return out


def write_gallery(
    found: Estimates, folder: Path, *, worst: int = 24, measured_on: str = ""
) -> Path:
    """Write ``index.html`` and a picture of each of the ``worst`` people of every part.

    People with fewer than four labelled joints of the part, or than all of a smaller one, count in
    its mean but are not shown.

    Args:
        found: people with the poses that were answered in their boxes.
        folder: made where it is missing; files of the same names are replaced.
        worst: people per part.
        measured_on: one line for the top of the page.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written.
    """
    scores = person_scores(found)
    sections = [_section(found, name, scores, worst) for name in scores]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for section in sections:
            for person in section.people:
                image = draw_person(found, person.row, section.part)
                (folder / person.picture).write_bytes(_jpeg(image))
        target = folder / "index.html"
        target.write_text(page(sections, measured_on), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot write the gallery: {error}") from error
    return target


def _section(found: Estimates, name: str, scores: dict[str, PartScores], worst: int) -> Section:
    part = scores[name]
    whole = len(official_parts(found.people.skeleton)[name].joints)
    rows = np.flatnonzero(part.joints >= min(_MIN_JOINTS, whole))
    rows = rows[np.argsort(part.oks[rows], kind="stable")][:worst]
    return Section(
        name,
        part.pseudo,
        int((part.joints > 0).sum()),
        float(np.nanmean(part.oks)),
        [_person(found, row, name, scores) for row in rows.tolist()],
    )


def _person(found: Estimates, row: int, part: str, scores: dict[str, PartScores]) -> Person:
    people = found.people
    box = people.boxes[row]
    return Person(
        row=row,
        picture=f"{part}_{row:05d}.jpg",
        image=people.images[people.image_rows[row]].name,
        image_id=int(people.image_ids[row]),
        box_hw=(round(float(box[3] - box[1])), round(float(box[2] - box[0]))),
        score=float(found.person_scores[row]),
        annotated=int((people.labels[row] == 2).sum()),
        pseudo=int((people.labels[row] == 1).sum()),
        oks={n: float(s.oks[row]) for n, s in scores.items() if np.isfinite(s.oks[row])},
    )


def draw_person(found: Estimates, row: int, part: str = "body") -> ImageArray:
    """Truth to the left, prediction to the right, both on the same piece of the image.

    The piece shows the person, or the part alone where it is a face, a hand or the feet. Of the
    truth every labelled joint is drawn; of the prediction those that the truth has, whatever
    their score, and others that the network is sure of.
    """
    cv2 = require("cv2", needed_for="the gallery", install="pip install opencv-python-headless")
    people = found.people
    image = read_image(people.images[people.image_rows[row]])
    labelled = people.labels[row] > 0
    if part in people.skeleton.parts and part != "body":
        joints = np.flatnonzero(labelled)
        joints = joints[np.isin(joints, np.arange(len(labelled))[people.skeleton.parts[part]])]
        shown = np.concatenate([people.keypoints[row, joints], found.keypoints[row, joints]])
    else:
        shown = np.concatenate([people.keypoints[row, labelled], people.boxes[row].reshape(2, 2)])
    (left, top), (right, bottom) = _window(shown, image.shape)
    scale = _PANEL_PX / max(right - left, bottom - top)
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    piece = image[top:bottom, left:right]
    canvas: Any = cv2.resize(
        piece, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    )
    halves = [
        draw_poses(canvas, _on_canvas(found, row, keypoints, scores, (left, top), scale), _STYLE)
        for keypoints, scores in (
            (people.keypoints[row], labelled.astype(np.float32)),
            (found.keypoints[row], np.where(labelled, 1, found.scores[row]).astype(np.float32)),
        )
    ]
    gap = np.full((halves[0].shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([halves[0], gap, halves[1]], 1)


def _window(points: FloatArray, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Corners of whole pixels inside the image around ``points`` with a margin, never empty."""
    low, high = points.min(0), points.max(0)
    margin = _MARGIN * float((high - low).max())
    limits = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(low - margin), 0, limits - 1)
    high = np.clip(np.ceil(high + margin), low + 1, limits)
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


def _on_canvas(
    found: Estimates,
    row: int,
    keypoints: FloatArray,
    scores: FloatArray,
    corner: tuple[int, int],
    scale: float,
) -> Poses:
    # Pixel centres are whole numbers: a resized image is shifted by half a pixel of each size.
    points = (keypoints - corner + 0.5) * scale - 0.5
    box = (found.people.boxes[row].reshape(2, 2) - corner) * scale
    return Poses(
        points[None].astype(np.float32),
        scores[None],
        box.reshape(1, 4).astype(np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.int64),
        found.people.skeleton,
    )


def _jpeg(image: ImageArray) -> bytes:
    cv2 = require("cv2", needed_for="the gallery", install="pip install opencv-python-headless")
    done, data = cv2.imencode(".jpg", red_blue_swapped(image), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done, "an RGB image of uint8 can always be written as JPEG"
    return bytes(data)
