# SPDX-License-Identifier: Apache-2.0
"""A teacher of re-identification: asked once, in every colouring, and compared by cosines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.skeletons import HALPE26, Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.reid_sets import Sighting, Sightings, sightings
from alphapose_ros.models.osnet import WIDTHS, OSNet
from alphapose_ros.models.reid import ReidNet
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder, ReidNetwork
from alphapose_ros.train.reid_losses import teaching
from alphapose_ros.train.reid_teacher import Teacher, load_teacher, projected, taught
from alphapose_ros.weights import save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def people(folder: Path, count: int = 3) -> Sightings:
    rows = []
    for person in range(count):
        path = folder / f"{person}.png"
        cv2.imwrite(str(path), np.full((40, 20, 3), (30, 60 * person, 220), np.uint8))
        rows.append(Sighting(path, identity=person))
    return sightings(rows, HALPE26)


def crop_of(pixels: np.ndarray, *, middle: bool = False) -> Crop:
    """With every joint in a line down the middle, or none."""
    height, width = pixels.shape[:2]
    points = np.full((len(HALPE26), 2), width / 2, np.float32)
    points[:, 1] = np.linspace(0.3 * height, 0.7 * height, len(points))
    return Crop(pixels, points, np.full(len(points), 255 * middle, np.uint8))


class Counting(Teacher):
    """Says the mean colour, and notes how often."""

    calls = 0

    def __call__(self, crops: Sequence[Crop], skeleton: Skeleton) -> np.ndarray:
        type(self).calls += len(crops)
        means = np.stack([crop.image.reshape(-1, 3).mean(0) for crop in crops])
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(Counting, "calls", 0)
    network = ReidNetwork(lambda crops: (crops,), (64, 32), 3, None)
    return Counting(Embedder(network, ReidConfig()), "one")


def ask(teacher: Teacher, sets: list[Sightings], kept: Path, **changes: int) -> list[np.ndarray]:
    chosen = {"number": 2, "seed": 0} | changes
    return taught(teacher, sets, read=read_image, kept=kept, **chosen)


def test_everybody_is_asked_once_in_every_colouring(teacher: Counting, tmp_path: Path) -> None:
    seen, kept = people(tmp_path), tmp_path / "run" / "teacher.npz"
    found = ask(teacher, [seen, seen[:1]], kept)
    assert [each.shape for each in found] == [(3, 2, 3), (1, 2, 3)]
    assert teacher.calls == 8
    plain = np.array([220, 60, 30]) / np.linalg.norm([220, 60, 30])
    np.testing.assert_allclose(found[0][1, 0], plain, atol=0.02)
    assert np.abs(found[0][1, 1] - plain).max() > 0.1  # in other colours somebody else
    again = ask(teacher, [seen, seen[:1]], kept)
    assert teacher.calls == 8
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_answers_to_another_question_are_not_taken(teacher: Counting, tmp_path: Path) -> None:
    seen, kept = people(tmp_path), tmp_path / "teacher.npz"
    ask(teacher, [seen], kept)
    moved = replace(seen, boxes=seen.boxes + np.array([0, 0, 10, 20]))
    other = replace(seen, identities=np.array([0, 0, 1]))
    questions = [
        lambda: ask(teacher, [other], kept),
        lambda: ask(teacher, [seen], kept, seed=1),
        lambda: ask(teacher, [seen], kept, number=1),
        lambda: ask(teacher, [moved], kept),
        lambda: ask(replace(teacher, digest="two"), [seen], kept),
    ]
    for question in questions:
        before = teacher.calls
        question()
        assert teacher.calls > before
    os.utime(seen.images[0], ns=(0, 0))
    questions[0]()
    assert teacher.calls > before


def test_nobody_is_asked_about(teacher: Counting, tmp_path: Path) -> None:
    seen = people(tmp_path)
    found = ask(teacher, [seen[[]], seen], tmp_path / "teacher.npz")
    assert [each.shape for each in found] == [(0, 2, 0), (3, 2, 3)]
    assert [each.shape for each in projected(found, 2)] == [(0, 2, 2), (3, 2, 2)]
    assert projected(found[:1], 5)[0].shape == (0, 2, 5)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_a_damaged_file_of_answers_is_replaced(
    teacher: Counting, tmp_path: Path, content: bytes
) -> None:
    kept = tmp_path / "teacher.npz"
    kept.write_bytes(content)
    found = ask(teacher, [people(tmp_path)], kept)
    assert teacher.calls == 6
    with np.load(kept) as stored:
        assert np.array_equal(stored["set0"], found[0])
    np.savez(kept, other=np.zeros(3))
    ask(teacher, [people(tmp_path)], kept)
    assert {path.name for path in tmp_path.glob("teacher*")} == {"teacher.npz"}


def test_fewer_numbers_keep_how_people_differ(rng: np.random.Generator) -> None:
    common = np.full(12, 0.4)
    flat = common + rng.normal(size=(40, 3)) @ rng.normal(size=(3, 12))  # three directions alone
    flat = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
    sets = [flat[:30].reshape(15, 2, 12), flat[30:].reshape(5, 2, 12)]
    apart = flat - flat.mean(0)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    for dim in (4, 12, 20):
        short = projected(sets, dim)
        assert [each.shape for each in short] == [(15, 2, dim), (5, 2, dim)]
        joined = np.concatenate([each.reshape(-1, dim) for each in short])
        np.testing.assert_allclose(joined @ joined.T, apart @ apart.T, atol=1e-3)
    alike = projected([np.ones((4, 1, 3), np.float32)], 2)[0]
    assert np.isfinite(alike).all()


def test_the_distance_from_a_teacher() -> None:
    answers = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = teaching(torch.tensor([[5.0, 0.0], [3.0, 3.0]]), answers)
    assert found.item() == pytest.approx((0 + 1 - 0.5**0.5) / 2)


def test_osnet_teaches_and_a_reid_net_does_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "osnet.safetensors"
    save_tensors(OSNet(WIDTHS["0_25"]).state_dict(), weights)
    teacher = load_teacher(str(weights))
    answer = teacher([crop_of(np.full((256, 128, 3), 90, np.uint8))], HALPE26)
    assert (teacher.embedder.network.input_hw, answer.shape) == ((256, 128), (1, 512))
    assert np.linalg.norm(answer) == pytest.approx(1, abs=1e-5)
    save_tensors(ReidNet(width=16, dim=8).state_dict(), tmp_path / "reid.safetensors")
    with pytest.raises(WeightsError, match="sees pixels alone"):
        load_teacher(str(tmp_path / "reid.safetensors"))
    with pytest.raises(WeightsError, match="nowhere"):
        load_teacher(str(tmp_path / "nowhere.xml"))


def test_a_teacher_that_masks_sees_the_person_alone(
    open_model_zoo: Path, tmp_path: Path, teacher: Counting
) -> None:
    """Red in the middle, where the joints are, blue around it."""
    pixels = np.zeros((64, 32, 3), np.uint8)
    pixels[..., 2] = 200
    pixels[16:48, 12:20] = (200, 0, 0)
    crops = [crop_of(pixels, middle=True)]
    open_eyes, masking = (load_teacher(str(open_model_zoo), masks=m) for m in (False, True))
    before, after = (each(crops, HALPE26)[0] for each in (open_eyes, masking))
    assert before[0] > 5 * before[2]  # blue is its first number, as BGR goes in
    assert after[0] < 2 * after[2]
    kept = tmp_path / "teacher.npz"
    for each in (open_eyes, masking):
        ask(replace(teacher, digest=each.digest), [people(tmp_path)], kept)
    assert teacher.calls == 12  # what it said with open eyes is no answer here


def test_open_model_zoo_teaches(open_model_zoo: Path) -> None:
    teacher = load_teacher(str(open_model_zoo))
    pixels = np.zeros((64, 32, 3), np.uint8)
    pixels[..., 2] = 100
    crops = [crop_of(pixels), crop_of(2 * pixels)]
    np.testing.assert_allclose(teacher(crops, HALPE26), [[1, 0, 0]] * 2, atol=1e-6)
    before = teacher.digest
    with open_model_zoo.with_suffix(".bin").open("ab") as file:
        file.write(b"0")
    assert load_teacher(str(open_model_zoo)).digest != before
