# SPDX-License-Identifier: Apache-2.0
"""Teachers of hands and faces: their crops, their rules, and the files that run them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from part_scenes import FACE_MIRRORED, DotNetwork, dotted, face_points, hand_points, subject

from alphapose_ros.base import affine
from alphapose_ros.base.errors import (
    ConfigError,
    InputError,
    MissingDependencyError,
    WeightsError,
)
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.part_crops import (
    Answer,
    Window,
    ask,
    face_window,
    hand_window,
    window_round_face,
    window_round_hand,
)
from alphapose_ros.data.part_teachers import (
    FACE_MAP,
    FaceRules,
    FaceTeacher,
    HandRules,
    HandTeacher,
    read_face_map,
)
from alphapose_ros.data.tflite import TflitePoints

NOBODY = np.zeros((0, 2), np.float32)
SAME = np.arange(21)
HAND, FACE = hand_points(), face_points()
ARM = {"left_wrist": (120, 200), "left_elbow": (120, 290), "left_shoulder": (20, 290)}
HEAD = {"nose": (200, 146), "left_eye": (224, 120), "right_eye": (176, 120)}
PLACE = st.floats(-300, 300)


def turned(points: np.ndarray, degrees: float, about: np.ndarray) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - about) @ turn.T + about).astype(np.float32)


@given(PLACE, PLACE, st.floats(5, 400), st.floats(-180, 180), PLACE, PLACE)
def test_a_window_stands_upright_in_its_crop(
    x: float, y: float, side: float, degrees: float, px: float, py: float
) -> None:
    up = np.array([np.sin(np.deg2rad(degrees)), -np.cos(np.deg2rad(degrees))])
    window = Window(np.array([x, y], np.float32), side, up.astype(np.float32))
    found = affine.apply_affine(window.matrix((192, 192)), np.array([[px, py]], np.float32))[0]
    offset = np.array([px - x, py - y])
    right = np.array([-up[1], up[0]])
    wanted = 96 + 192 / side * np.array([offset @ right, -(offset @ up)])
    np.testing.assert_allclose(found, wanted, atol=0.05, rtol=1e-3)


@pytest.mark.parametrize("degrees", [0, 37, 180, -100])
@pytest.mark.parametrize("side", [110, 260])
def test_the_answers_on_crop_and_mirror_meet_in_the_image(degrees: float, side: float) -> None:
    points = turned(HAND, degrees, np.array([200, 150]))
    up = turned(np.array([[0, -1]]), degrees, np.zeros(2))[0]
    window = Window(points.mean(0), side, up)
    found = ask([DotNetwork(21)], dotted(points), window, SAME)
    assert np.abs(found.points - points).max() < 0.6
    assert found.spread * found.size < 0.35  # a pixel's shift in one of them would be .5


def test_a_mirrored_face_changes_its_sides() -> None:
    window = window_round_face(FACE)
    found = ask([DotNetwork(68)], dotted(FACE), window, FACE_MIRRORED)
    assert np.abs(found.points - FACE).max() < 0.6
    wrong = ask([DotNetwork(68)], dotted(FACE), window, np.arange(68))
    assert wrong.spread > 0.1


def test_presence_and_spread_are_means_over_all_networks() -> None:
    networks = [DotNetwork(21, 0.9), DotNetwork(21, 0.5, shift=8.0)]
    window = Window(HAND.mean(0), 112, np.array([0, -1], np.float32))
    found = ask(networks, dotted(HAND), window, SAME)
    assert [n.asked for n in networks] == [2, 2]
    assert found.presence == pytest.approx(0.7)
    # 8 crop px are 4 image px; the mirror's shift goes the other way in x.
    single = [HAND + offset for offset in ([0, 0], [0, 0], [4, 4], [-4, 4])]
    mean = sum(single) / 4
    spread = np.mean(
        [np.hypot(*(p - q)) for one in single for p, q in zip(one, mean, strict=True)]
    )
    assert found.size == pytest.approx(np.ptp(HAND, 0).max(), abs=0.7)
    assert found.spread == pytest.approx(spread / np.ptp(HAND, 0).max(), rel=0.08)


@pytest.mark.parametrize("degrees", [0, 90, 200])
def test_windows_hold_the_part_upright(degrees: float) -> None:
    hand = turned(HAND, degrees, np.array([200, 150]))
    face = turned(FACE, degrees, np.array([200, 150]))
    nose, left, right = face[30], face[42:48].mean(0), face[36:42].mean(0)
    elbow = turned(np.array([[120, 290]]), degrees, np.array([200, 150]))[0]
    direction = (hand[0] - elbow) / 90
    for window, points, top, low in (
        (hand_window(hand[0], direction, 90), hand, 12, 0),
        (window_round_hand(hand), hand, 12, 0),
        (face_window(nose, left, right), face, 38, 30),
        (window_round_face(face), face, 38, 30),
    ):
        inside = affine.apply_affine(window.matrix((100, 100)), points)
        assert inside.min() > 0
        assert inside.max() < 100
        assert inside[top, 1] < inside[low, 1]
        assert abs(inside[:, 0].mean() - 50) < 15
    level = affine.apply_affine(
        window_round_face(face).matrix((100, 100)), np.stack([left, right])
    )
    assert level[0, 0] > level[1, 0]  # the person's left eye is on the image's right
    assert level[0, 1] == pytest.approx(level[1, 1], abs=0.01)


def test_windows_of_degenerate_points_are_finite() -> None:
    for window in (window_round_hand(HAND * 0), window_round_face(FACE * 0)):
        assert np.isfinite(window.matrix((224, 224))).all()


SURE = Answer(HAND, 0.99, 0.01)
WRIST = HAND[0]
LOWER, LOW = np.add(WRIST, [0, 12]), np.add(WRIST, [0, 11])  # its longest finger has 33 px
TINY = Answer((HAND - WRIST) * np.float32(18 / SURE.size) + WRIST, 0.99, 0.06)


@pytest.mark.parametrize(
    ("answer", "wrist", "others", "reason"),
    [
        (SURE, WRIST, NOBODY, None),
        (replace(SURE, presence=0.85), WRIST, NOBODY, "presence"),
        (replace(SURE, spread=0.07), WRIST, NOBODY, "spread"),
        (replace(SURE, spread=0.069), WRIST, NOBODY, None),
        (SURE, LOWER, NOBODY, "wrist off"),
        (SURE, LOW, NOBODY, None),
        (SURE, LOW, np.add(WRIST, [[10, 0]]), "another wrist nearer"),
        (SURE, LOW, np.add(WRIST, [[12, 0]]), None),
        (TINY, WRIST, NOBODY, "spread"),  # below 20 px .049 is the most
        (replace(TINY, spread=0.04), WRIST, NOBODY, None),
        (replace(SURE, points=HAND / 7), WRIST / 7, NOBODY, "too small"),
    ],
)
def test_rules_of_hands(
    answer: Answer, wrist: np.ndarray, others: np.ndarray, reason: str | None
) -> None:
    assert HandRules().refusal(answer, wrist, others) == reason


SEEN = Answer(FACE, 0.99, 0.01)
JOINTS = np.array(list(HEAD.values()), np.float32)
TALL = float(np.ptp(FACE, 0).max())


@pytest.mark.parametrize(
    ("answer", "moved", "reason"),
    [
        (SEEN, (0, 0, 0), None),
        (replace(SEEN, presence=0.9), (0, 0, 0), "presence"),
        (replace(SEEN, spread=0.03), (0, 0, 0), "spread"),
        (replace(SEEN, points=FACE / 10), (0, 0, 0), "too small"),
        (SEEN, (0.14, 0, 0), "nose off"),
        (SEEN, (0.12, 0, 0), None),
        (SEEN, (0, 0.11, 0), "eyes off"),
        (SEEN, (0, 0, 0.11), "eyes off"),
        (SEEN, (0, 0.09, 0.09), None),
    ],
)
def test_rules_of_faces(
    answer: Answer, moved: tuple[float, float, float], reason: str | None
) -> None:
    shifts = TALL * np.array(moved)[:, None] * [0, 1]
    assert FaceRules().refusal(answer, (JOINTS + shifts).astype(np.float32)) == reason


def test_exchanged_eyes_are_refused() -> None:
    assert FaceRules().refusal(SEEN, JOINTS[[0, 2, 1]]) == "eyes off"


def test_rules_have_limits() -> None:
    with pytest.raises(ConfigError, match=r"hand_rules\.presence"):
        HandRules(presence=1.1)
    with pytest.raises(ConfigError, match=r"face_rules\.anchor"):
        FaceRules(anchor=0)


def test_a_hand_is_found_on_its_side() -> None:
    teacher = HandTeacher([DotNetwork(21), DotNetwork(21)])
    image, person = dotted(HAND), subject(ARM)
    found = teacher(image, person, "left", NOBODY)
    assert isinstance(found, Answer)
    assert np.abs(found.points - HAND).max() < 0.6
    assert teacher(image, person, "right", NOBODY) == "joints not seen"
    assert teacher(image, person, "left", HAND[:1]) == "another wrist nearer"


def test_hands_that_are_not_tried() -> None:
    network = DotNetwork(21)
    teacher, image = HandTeacher([network]), dotted(HAND)
    labelled = subject(ARM | {"left_hand_wrist": (1, 1)})
    assert teacher(image, labelled, "left", NOBODY) == "labelled already"
    hidden = subject(ARM)
    hidden.evidence[HALPE136.index("left_wrist")] = 0
    assert teacher(image, hidden, "left", NOBODY) == "joints not seen"
    short = subject({"left_wrist": (120, 200), "left_elbow": (120, 215)})
    assert teacher(image, short, "left", NOBODY) == "too small"
    pointing = subject(ARM | {"left_elbow": (120, 210)})  # the upper arm says how long it is
    assert teacher(image, pointing, "left", NOBODY) == "forearm without direction"
    derived = subject(ARM, label=1)
    assert teacher(image, derived, "left", NOBODY) == "joints not seen"
    assert network.asked == 0
    trusting = HandTeacher([network], HandRules(anchor=1))
    assert isinstance(trusting(image, derived, "left", NOBODY), Answer)


def test_a_face_is_found() -> None:
    teacher = FaceTeacher([DotNetwork(68)])
    found = teacher(dotted(FACE), subject(HEAD))
    assert isinstance(found, Answer)
    assert np.abs(found.points - FACE).max() < 0.6


def test_faces_that_are_not_tried() -> None:
    network = DotNetwork(68)
    teacher, image = FaceTeacher([network]), dotted(FACE)
    assert teacher(image, subject({"nose": (9, 9)})) == "joints not seen"
    assert teacher(image, subject(HEAD | {"face_3": (9, 9)})) == "labelled already"
    near = {name: (200 + k, 120) for k, name in enumerate(HEAD)}
    assert teacher(image, subject(near)) == "too small"
    assert network.asked == 0
    unsure = FaceTeacher([DotNetwork(68, presence=0.4)])
    assert unsure(image, subject(HEAD)) == "presence"


def test_a_teacher_needs_a_network() -> None:
    with pytest.raises(InputError, match="hand teacher: expected one network"):
        HandTeacher([])
    with pytest.raises(InputError, match="face teacher: expected one network"):
        FaceTeacher([])


def test_the_face_map_is_data(tmp_path: Path) -> None:
    assert len(set(FACE_MAP)) == 68
    assert read_face_map("builtin") == FACE_MAP
    file = tmp_path / "map.json"
    for content in (list(range(68)), {"map": list(range(68))}):
        file.write_text(json.dumps(content))
        assert read_face_map(str(file)) == tuple(range(68))
    for wrong in (list(range(67)), [468] * 68, [True] * 68, {"other": 1}, 5):
        file.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"map\.json: expected 68 vertices in 0\.\.467"):
            read_face_map(str(file))
    file.write_text("{")
    with pytest.raises(InputError, match=r"map\.json: cannot read"):
        read_face_map(str(file))


def test_the_face_map_is_that_of_the_labels(shared: Path) -> None:
    file = shared / "data" / "coco_person" / "face_map_468_to_68.json"
    if not file.exists():
        pytest.skip(f"FACE MAP NOT CHECKED: no {file}")
    assert read_face_map(str(file)) == FACE_MAP


def test_the_interpreter_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(
        MissingDependencyError, match=r"ai_edge_litert.*pip install ai-edge-litert"
    ):
        TflitePoints(tmp_path / "hand.tflite", 21)


@pytest.fixture
def teachers(shared: Path) -> Path:
    pytest.importorskip("ai_edge_litert.interpreter", reason="TEACHERS NOT RUN: no ai-edge-litert")
    folder = shared / "data" / "teachers"
    if not folder.is_dir():
        pytest.skip(f"TEACHERS NOT RUN: no {folder}")
    return folder


def test_a_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter", reason="NOT CHECKED: no ai-edge-litert")
    with pytest.raises(WeightsError, match=r"none\.tflite: expected a \.tflite file"):
        TflitePoints(tmp_path / "none.tflite", 21)
    file = tmp_path / "other.tflite"
    file.write_bytes(b"something else entirely")
    with pytest.raises(WeightsError, match=r"other\.tflite: .* another format"):
        TflitePoints(file, 21)
    file.write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 64)
    with pytest.raises(WeightsError, match=r"other\.tflite: not a usable"):
        TflitePoints(file, 21)


def test_a_cut_off_or_foreign_file_is_refused(teachers: Path, tmp_path: Path) -> None:
    whole = next(teachers.glob("mediapipe_hand_landmark_A_*.tflite"))
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole.read_bytes()[:200_000])
    with pytest.raises(WeightsError, match=r"cut\.tflite"):
        TflitePoints(cut, 21)
    with pytest.raises(WeightsError, match="expected an output of 1404 numbers"):
        TflitePoints(whole, 468)
    movenet = next(teachers.glob("movenet*.tflite"))
    with pytest.raises(WeightsError, match="expected one float32 input"):
        TflitePoints(movenet, 21)
    face = next(teachers.glob("mediapipe_face*.tflite"))
    with pytest.raises(WeightsError, match=r"expected a presence in \[0, 1\]"):
        TflitePoints(face, 468)(np.zeros((192, 192, 3), np.uint8))


def test_the_mesh_labels_the_astronaut(teachers: Path) -> None:
    data = pytest.importorskip("skimage.data", reason="FACE NOT LABELLED: no scikit-image")
    network = TflitePoints(
        next(teachers.glob("mediapipe_face*.tflite")), 468, keep=FACE_MAP, logit=True
    )
    person = subject({"nose": (220, 122), "left_eye": (246, 103), "right_eye": (203, 102)})
    found = FaceTeacher([network])(data.astronaut(), person)
    assert isinstance(found, Answer)
    assert found.presence > 0.99
    assert 80 < found.size < 150
    points = found.points
    assert points[8, 1] > points[57, 1] > points[30, 1] > points[36:48, 1].max()  # chin to eyes
    assert points[0, 0] < points[36, 0] < points[45, 0] < points[16, 0]
    elsewhere = subject({"nose": (420, 422), "left_eye": (446, 403), "right_eye": (403, 402)})
    assert isinstance(FaceTeacher([network])(data.astronaut(), elsewhere), str)
