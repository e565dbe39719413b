# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train pseudo``: what teachers know of a set's people, written as labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.settings import check_settings
from alphapose_ros.cli.console import say, table, ticking
from alphapose_ros.data.missed_boxes import ACCEPTED, BoxRules
from alphapose_ros.data.part_teachers import (
    HAND_POINTS,
    MESH_POINTS,
    FaceRules,
    FaceTeacher,
    HandRules,
    HandTeacher,
    read_face_map,
)
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.data.pseudo import AcceptanceRules
from alphapose_ros.data.pseudo_set import (
    Counts,
    PseudoSet,
    add_bodies,
    add_boxes,
    add_parts,
    open_set,
)
from alphapose_ros.data.tflite import TflitePoints
from alphapose_ros.detection.config import DETECTOR_NAMES, DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.plugins import installed_plugins
from alphapose_ros.imaging import ImageBatch

Step = Callable[[PseudoSet, Callable[[], object]], tuple[PseudoSet, Counts]]


@dataclass(frozen=True)
class PseudoConfig:
    """Who teaches what about which people.

    Attributes:
        out: COCO-format file to write, in place of the set it was made from.
        people: the set, as ANNOTATIONS@IMAGES.
        hands: .tflite networks of a hand's 21 points, one or more; empty: no hands.
        face: .tflite network of the face mesh's 468 points; empty: no faces.
        face_map: builtin, or a JSON file with the mesh's vertex for each of the 68 points.
        body: ONNX network of Halpe's 136 joints, for people with a box only; empty: none.
        detector: yolox (bundled), an .onnx file, a file of YOLOX's weights, or NAME=FILE; it finds
            people whom the set misses; empty: none.
    """

    out: str = "runs/pseudo.json"
    people: str = ""
    hands: list[str] = field(default_factory=list)
    face: str = ""
    face_map: str = "builtin"
    body: str = ""
    detector: str = ""
    hand_rules: HandRules = HandRules()
    face_rules: FaceRules = FaceRules()
    body_rules: AcceptanceRules = AcceptanceRules()
    box_rules: BoxRules = BoxRules()

    def __post_init__(self) -> None:
        check_settings(self)
        if not (self.hands or self.face or self.body or self.detector):
            raise ConfigError(
                "expected a teacher: --hands, --face, --body or --detector, got none"
            )


def label_set(config: PseudoConfig) -> Path:
    """Ask the teachers, detector first, and write what they added; say what was refused and why.

    Raises:
        InputError: the set cannot be used.
        WeightsError: a teacher's file cannot be used.
        MissingDependencyError: what runs a teacher is not installed.
    """
    spec = SetSpec.parse(config.people)
    steps = list(_steps(config))  # a file that cannot be used is refused before the set is read
    made = open_set(spec.annotations, spec.images)
    counts: Counts = Counter()
    with ticking(" images", quiet=False) as tick:
        for step in steps:
            made, told = step(made, tick)
            counts += told
    target = Path(config.out)
    made.write(target)
    left_out = [("left out", why, count) for why, count in sorted(made.problems.items())]
    say(table(left_out + counted(counts), ("", "", "number")))
    return target


def counted(counts: Counts) -> list[tuple[str, str, int]]:
    """Rows (what, outcome, number): of each kind the accepted first, then refusals, most first."""
    kinds = dict.fromkeys(kind for kind, _ in counts)
    rows = []
    for kind in kinds:
        rows.append((kind, ACCEPTED, counts[kind, ACCEPTED]))
        refused = [(why, n) for (k, why), n in counts.most_common() if k == kind != why]
        rows += [(kind, f"refused: {why}", n) for why, n in refused if why != ACCEPTED]
    return rows


def _steps(config: PseudoConfig) -> list[Step]:
    steps: list[Step] = []
    if config.detector:
        detect = _detecting(config.detector)
        steps.append(lambda made, tick: add_boxes(made, detect, config.box_rules, tick))
    if config.body:
        body = Path(config.body)
        steps.append(lambda made, tick: add_bodies(made, body, config.body_rules, tick))
    hands, faces = _hands(config), _faces(config)
    if hands or faces:
        steps.append(lambda made, tick: add_parts(made, hands, faces, tick))
    return steps


def _hands(config: PseudoConfig) -> HandTeacher | None:
    networks = [TflitePoints(Path(file), HAND_POINTS) for file in config.hands]
    return HandTeacher(networks, config.hand_rules) if networks else None


def _faces(config: PseudoConfig) -> FaceTeacher | None:
    if not config.face:
        return None
    keep = read_face_map(config.face_map)
    network = TflitePoints(Path(config.face), MESH_POINTS, keep=keep, logit=True)
    return FaceTeacher([network], config.face_rules)


def _detecting(text: str) -> Callable[[NDArray[np.uint8]], Detections]:
    detector = create_detector(detector_config(text))
    return lambda image: detector(ImageBatch.upload([image]))[0]


def detector_config(text: str) -> DetectorConfig:
    """The detector that an option names: NAME, FILE, or NAME=FILE."""
    name, _, file = text.partition("=")
    if name in (*DETECTOR_NAMES, *(plugin.name for plugin in installed_plugins())):
        return DetectorConfig(name=name, weights=file, max_people=100)
    kind = "onnx" if text.endswith(".onnx") else "yolox"
    return DetectorConfig(name=kind, weights=text, max_people=100)
