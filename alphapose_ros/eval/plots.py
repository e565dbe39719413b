# SPDX-License-Identifier: Apache-2.0
"""``eval --plot`` and ``bench --plot``: what the numbers come from, as panels of one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alphapose_ros.data.people import People
from alphapose_ros.eval.curves import precision_recall, reliability, share_above
from alphapose_ros.eval.detection import FoundPeople, match_people
from alphapose_ros.eval.gallery import person_scores
from alphapose_ros.eval.metrics import THRESHOLDS
from alphapose_ros.eval.panels import Panel
from alphapose_ros.eval.parts import (
    ANNOTATED,
    DERIVED,
    Part,
    body_part,
    match_part,
    official_parts,
)
from alphapose_ros.eval.placement import FINE_PARTS
from alphapose_ros.eval.pose import Estimates, placed_joints, posed
from alphapose_ros.eval.track_metrics import ALPHAS, Counts, by_threshold, measures

_SHOWN = (0, 5)  # .50 and .75 of the thresholds
_LEAST = 20  # joints in a bin of scores, or its share says nothing
_PSEUDO = "pseudo_"


def pose_panels(found: Estimates, parts: Mapping[str, Any]) -> list[Panel]:
    """Precision and recall, OKS, AP of each part with its interval, and how true the scores are.

    ``parts`` is what :func:`alphapose_ros.eval.pose.measure_parts` says of the same people.
    """
    name, part, label = _judged_part(found.people)
    matches = [match_part(posed(found, rows), part, label) for rows in found.by_image]
    pseudo = ", pseudo labels" if label == DERIVED else ""
    return [
        _precision_panel(f"{name}, in annotated boxes{pseudo}", "OKS", matches),
        Panel(
            "people at least so well placed",
            "OKS",
            "share of people",
            {_words(name): share_above(s.oks) for name, s in person_scores(found).items()},
        ),
        _parts_panel(parts),
        _reliability_panel(found),
    ]


def detector_panels(images: Sequence[FoundPeople]) -> list[Panel]:
    """Precision and recall of all people."""
    return [_precision_panel("person boxes", "IoU", [match_people(image) for image in images])]


def tracking_panels(counts: Mapping[str, Counts]) -> list[Panel]:
    """HOTA and its parts over the threshold, HOTA and IDF1 of each sequence, and the mistakes.

    ``counts`` are of sequences by name; with several, the last are of all together.
    """
    *single, whole = counts
    numbers = {name: measures(each) for name, each in counts.items()}
    mistakes = ("misses", "false_positives", "switches", "fragmentations")
    lines = {name: (ALPHAS, values) for name, values in by_threshold(counts[whole]).items()}
    sequences = [
        Panel(
            f"{measure} of each sequence", measure, bars={n: numbers[n][measure] for n in single}
        )
        for measure in ("HOTA", "IDF1")
        if single
    ]
    return [
        Panel(f"{whole}: agreement over the threshold", "least similarity", "share", lines),
        *sequences,
        Panel(
            f"{whole}: mistakes in {numbers[whole]['true_boxes']} boxes",
            "number",
            bars={_words(name): numbers[whole][name] for name in mistakes},
        ),
    ]


def stage_panels(frame_ms: float, stages_ms: Mapping[str, float]) -> list[Panel]:
    """Milliseconds of a frame by stage; what no stage took is the rest."""
    rest = max(frame_ms - sum(stages_ms.values()), 0.0)
    return [Panel("where a frame's time goes", "ms", bars={**stages_ms, "rest": rest})]


def _judged_part(people: People) -> tuple[str, Part, int]:
    """The body, or the only part of a face or a hand alone, and the least label that counts."""
    body = body_part(people.skeleton)
    if len(body.joints):
        return "body", body, ANNOTATED
    ((name, part),) = official_parts(people.skeleton).items()
    annotated = (people.labels[:, part.joints] == ANNOTATED).any()
    return name, part, ANNOTATED if annotated else DERIVED


def _precision_panel(title: str, measure: str, matches: Sequence[Any]) -> Panel:
    lines = {f"{measure} {THRESHOLDS[row]:.2f}": precision_recall(matches, row) for row in _SHOWN}
    return Panel(title, "recall", "precision", lines)


def _parts_panel(parts: Mapping[str, Any]) -> Panel:
    """AP of each part with COCO-WholeBody's constants; pseudo labels where nobody annotated."""
    names = [key.removesuffix("_ap") for key in parts if key.endswith("_ap")]
    shown = {
        name: _words(name.removeprefix(_PSEUDO)) + (", pseudo labels" if _PSEUDO in name else "")
        for name in names
        if "flat_" not in name and np.isfinite(parts[f"{name}_ap"])
        if not (name.startswith(_PSEUDO) and name.removeprefix(_PSEUDO) in names)
    }
    return Panel(
        "AP by part",
        "AP, with 95 % interval",
        bars={label: float(parts[f"{name}_ap"]) for name, label in shown.items()},
        intervals={
            label: parts[f"{name}_ap_95"]
            for name, label in shown.items()
            if f"{name}_ap_95" in parts
        },
    )


def _reliability_panel(found: Estimates) -> Panel:
    people, placed = found.people, placed_joints(found)
    lines = {}
    own = people.skeleton.parts if people.skeleton.is_own else ("body", *FINE_PARTS)
    for name in own:
        joints = people.skeleton.parts.get(name, slice(0, 0))
        known = people.labels[:, joints] > (1 if name == "body" else 0)
        if known.any():
            means, shares, counts = reliability(
                found.scores[:, joints][known], placed[:, joints][known]
            )
            enough = counts >= _LEAST
            lines[_words(name)] = (means[enough], shares[enough])
    return Panel(
        "joint scores against the truth",
        "score",
        "share of joints in place (similarity above 1/2)",
        lines,
        diagonal=True,
        marked=True,
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
