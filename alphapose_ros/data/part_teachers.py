# SPDX-License-Identifier: Apache-2.0
"""Teachers of hands and faces, and the rules by which their answers become labels.

The networks were made by others for pictures of one hand or one face, and answer something on any
crop. An answer is therefore held against what a person has annotated: the wrist, the eyes and the
nose. What passes is a pseudo label, 1, and never an annotation, 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.hands import arm_length
from alphapose_ros.data.part_crops import (
    Answer,
    ask_twice,
    face_window,
    hand_window,
    window_round_face,
    window_round_hand,
)
from alphapose_ros.data.tflite import PointNetwork

FloatArray = NDArray[np.float32]

HAND_POINTS, MESH_POINTS = 21, 468
SIDES = ("left", "right")
# For each of the 68 points of 300-W its vertex of MediaPipe's face mesh, measured: jaw and brows
# fitted to annotated faces, the others the usual ones.
FACE_MAP = (
    127, 234, 93, 215, 138, 136, 150, 176, 152, 400, 379, 365, 367, 435, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 6, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
_FACE_MIRRORED = HALPE136.flip_permutation[HALPE136.parts["face"]] - HALPE136.parts["face"].start
_HAND_MIRRORED = np.arange(HAND_POINTS)  # the mirror image of a hand is the other hand
_FINGERS = (5, 9, 13, 17)  # their roots, each followed by its three other joints
_HAND_PER_ARM, _FACE_PER_EYES = 0.64, 2.3  # medians, for what is too small to be tried
_LEAST_DIRECTION = 4.0  # px, and a quarter of the arm: shorter forearms point at the camera

NOT_SEEN, LABELLED, SMALL = "joints not seen", "labelled already", "too small"
ABSENT, SPREAD = "presence", "spread"


@dataclass(frozen=True)
class HandRules:
    """When the answers on a hand become labels.

    Attributes:
        presence: least mean chance that there is a hand.
        spread: most mean distance of the answers from their mean, in longer sides of the hand.
        wrist: most distance from the annotated wrist, in lengths of the longest finger.
        min_px: least longer side of a hand, px.
        small_px: below this longer side, px, spread and wrist are held to small_factor of both.
        small_factor: see small_px.
        anchor: least label of wrist and elbow: 2 annotated and seen, 1 pseudo labels as well.
    """

    presence: float = setting(0.85, low=0, high=1)
    spread: float = setting(0.07, low=0)
    wrist: float = setting(0.35, low=0)
    min_px: float = setting(13.0, low=0)
    small_px: float = setting(20.0, low=0)
    small_factor: float = setting(0.7, low=0, high=1)
    anchor: int = setting(2, low=1, high=2)

    def __post_init__(self) -> None:
        check_settings(self, "hand_rules")

    def refusal(self, answer: Answer, wrist: FloatArray, others: FloatArray) -> str | None:
        """Why the answer is refused, or None.

        Args:
            answer: of 21 points.
            wrist: (2,) px, annotated.
            others: (M, 2) px, all other wrists of the image.
        """
        size = answer.size
        if answer.presence <= self.presence:
            return ABSENT
        if size < self.min_px:
            return SMALL
        factor = self.small_factor if size < self.small_px else 1.0
        if answer.spread >= self.spread * factor:
            return SPREAD
        away = float(np.hypot(*(answer.points[0] - wrist)))
        if away > self.wrist * factor * _finger_length(answer.points):
            return "wrist off"
        if len(others) and float(np.hypot(*(others - answer.points[0]).T).min()) <= away:
            return "another wrist nearer"
        return None


@dataclass(frozen=True)
class FaceRules:
    """When the answers on a face become labels.

    Attributes:
        presence: least mean chance that there is a face.
        spread: most mean distance of the answers from their mean, in longer sides of the face.
        eyes: most distance of either eye's middle from the annotated eye, in longer sides.
        nose: most distance of the nose's tip from the annotated nose, in longer sides.
        min_px: least longer side of the 68 points, px.
        anchor: least label of nose and eyes: 2 annotated and seen, 1 pseudo labels as well.
    """

    presence: float = setting(0.9, low=0, high=1)
    spread: float = setting(0.03, low=0)
    eyes: float = setting(0.10, low=0)
    nose: float = setting(0.13, low=0)
    min_px: float = setting(15.0, low=0)
    anchor: int = setting(2, low=1, high=2)

    def __post_init__(self) -> None:
        check_settings(self, "face_rules")

    def refusal(self, answer: Answer, joints: FloatArray) -> str | None:
        """Why the answer is refused, or None; ``joints`` (3, 2): nose, left eye, right eye."""
        size = answer.size
        if answer.presence <= self.presence:
            return ABSENT
        if size < self.min_px:
            return SMALL
        if answer.spread >= self.spread:
            return SPREAD
        points = answer.points
        found = np.stack([points[30], points[42:48].mean(0), points[36:42].mean(0)])
        nose, *eyes = np.hypot(*(found - joints).T) / size
        if max(eyes) > self.eyes:
            return "eyes off"
        return "nose off" if nose > self.nose else None


@dataclass(frozen=True, eq=False)
class Subject:
    """A person of whom a part is wanted.

    Attributes:
        points, labels: (136, 2) px and (136,), of Halpe's joints.
        evidence: (136,) 2 annotated and seen, 1 derived or pseudo, 0 hidden or not known.
    """

    points: FloatArray
    labels: NDArray[np.uint8]
    evidence: NDArray[np.uint8]

    @property
    def wrists(self) -> dict[str, FloatArray]:
        """Side -> (2,) px of the wrists that have a label."""
        index = {side: HALPE136.index(f"{side}_wrist") for side in SIDES}
        return {side: self.points[k] for side, k in index.items() if self.labels[k] > 0}


class HandTeacher:
    """Labels hands by networks of 21 points; an answer or the reason why there is none."""

    def __init__(self, networks: Sequence[PointNetwork], rules: HandRules | None = None) -> None:
        if not networks:
            raise InputError("hand teacher: expected one network or more, got none")
        self._networks, self._rules = tuple(networks), rules or HandRules()

    def __call__(
        self, image: NDArray[np.uint8], person: Subject, side: str, others: FloatArray
    ) -> Answer | str:
        """The hand of the person's ``side``; ``others`` (M, 2): all other wrists of the image."""
        wrist, elbow = (HALPE136.index(f"{side}_{name}") for name in ("wrist", "elbow"))
        if person.labels[HALPE136.parts[f"{side}_hand"]].any():
            return LABELLED
        if person.evidence[[wrist, elbow]].min() < self._rules.anchor:
            return NOT_SEEN
        known = np.where(person.evidence >= self._rules.anchor, 2, 0).astype(np.uint8)
        arm = arm_length(person.points, known, side, HALPE136)
        line = person.points[wrist] - person.points[elbow]
        reach = float(np.hypot(*line))
        if arm is None or arm * _HAND_PER_ARM < self._rules.min_px:
            return SMALL
        if reach < max(_LEAST_DIRECTION, arm / 4):
            return "forearm without direction"
        answer = ask_twice(
            self._networks,
            image,
            hand_window(person.points[wrist], line / np.float32(reach), arm),
            window_round_hand,
            _HAND_MIRRORED,
        )
        return self._rules.refusal(answer, person.points[wrist], others) or answer


class FaceTeacher:
    """Labels faces by networks of the 68 points; an answer or the reason why there is none."""

    def __init__(self, networks: Sequence[PointNetwork], rules: FaceRules | None = None) -> None:
        if not networks:
            raise InputError("face teacher: expected one network or more, got none")
        self._networks, self._rules = tuple(networks), rules or FaceRules()

    def __call__(self, image: NDArray[np.uint8], person: Subject) -> Answer | str:
        """The face of a person."""
        index = [HALPE136.index(name) for name in ("nose", "left_eye", "right_eye")]
        if person.labels[HALPE136.parts["face"]].any():
            return LABELLED
        if person.evidence[index].min() < self._rules.anchor:
            return NOT_SEEN
        joints = person.points[index]
        nose, left, right = joints
        if float(np.hypot(*(left - right))) * _FACE_PER_EYES < self._rules.min_px / 2:
            return SMALL
        answer = ask_twice(
            self._networks, image, face_window(nose, left, right), window_round_face,
            _FACE_MIRRORED,
        )  # fmt: skip
        return self._rules.refusal(answer, joints) or answer


def read_face_map(name: str) -> tuple[int, ...]:
    """``builtin``, or a JSON file with 68 mesh vertices, plain or under the key ``map``.

    Raises:
        InputError: no such file, or not 68 numbers in 0..467.
    """
    if name == "builtin":
        return FACE_MAP
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{name}: cannot read a face map: {error}") from error
    listed = content.get("map") if isinstance(content, Mapping) else content
    if (
        not isinstance(listed, list)
        or len(listed) != len(FACE_MAP)
        or not all(type(vertex) is int and 0 <= vertex < MESH_POINTS for vertex in listed)
    ):
        raise InputError(
            f"{name}: expected {len(FACE_MAP)} vertices in 0..{MESH_POINTS - 1}, "
            f"got {listed!s:.60}"
        )
    return tuple(listed)


def _finger_length(points: FloatArray) -> float:
    """Of the longest of the four fingers, root to tip along its joints, px."""
    return max(
        float(np.hypot(*np.diff(points[root : root + 4], axis=0).T).sum()) for root in _FINGERS
    )
