# SPDX-License-Identifier: Apache-2.0
"""Parts of other pictures on people: points go where their pixels go, sizes are a person's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from coco_scenes import coco_file, person, save
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, HAND21, Skeleton
from alphapose_ros.data.augment import AugmentConfig, Crop
from alphapose_ros.data.hands import (
    Hand,
    arm_length,
    arms_of,
    hand_points,
    palm_of,
    palm_ratio,
    paste_hand,
)
from alphapose_ros.data.parts import part_alone, place_part
from alphapose_ros.data.pasting import blend, similarity, soft_shape
from alphapose_ros.data.people import read_people
from alphapose_ros.data.pose_samples import PoseSamples
from alphapose_ros.data.proposals import ProposalModel, part_features

STILL = replace(AugmentConfig().scaled(0), flip_probability=0)
LEFT, RIGHT = HALPE136.parts["left_hand"], HALPE136.parts["right_hand"]


def hand(side: str = "right") -> Hand:
    """A skin-coloured hand, fingers up, with red tips of the middle and green of the thumb."""
    points = np.zeros((21, 2), np.float32)
    points[0] = 60, 110
    points[1:5] = [(45, 100), (35, 90), (28, 82), (22, 75)]
    for finger, x in enumerate((42, 55, 68, 80)):
        points[5 + 4 * finger : 9 + 4 * finger] = [(x, y) for y in (70, 55, 42, 30)]
    image = np.full((130, 120, 3), (190, 150, 120), np.uint8)
    for joint, colour in ((12, (230, 20, 20)), (4, (20, 230, 20))):
        x, y = points[joint].astype(int)
        cv2.circle(image, (int(x), int(y)), 7, colour, -1)
    return Hand(image, points, np.full(21, 2, np.uint8), side)


def body(elbow: tuple[float, float], wrist: tuple[float, float], side: str = "right") -> Crop:
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    for name, place in (("elbow", elbow), ("wrist", wrist)):
        points[HALPE136.index(f"{side}_{name}")] = place
        labels[HALPE136.index(f"{side}_{name}")] = 2
    grey = np.full((256, 192, 3), 100, np.uint8)
    return Crop(grey, points, labels)


def brightest(image: NDArray[np.uint8], channel: int) -> NDArray[np.floating]:
    """Centroid of what has more of one channel than of the others."""
    others = [c for c in range(3) if c != channel]
    excess = image[..., channel].astype(float) - image[..., others].max(2)
    # The skin too is reddish: only the dots count.
    weight = np.where(excess > 0.6 * excess.max(), excess, 0)
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("own", ["left", "right"])
@pytest.mark.parametrize("turn", [0.0, 40.0])
@pytest.mark.parametrize("elbow", [(96.0, 190.0), (40.0, 110.0), (140.0, 90.0)])
def test_a_hand_continues_the_forearm_at_the_size_of_a_palm(side, own, turn, elbow) -> None:
    wrist = (96.0, 130.0)
    crop = body(elbow, wrist, side)
    (arm,) = arms_of(HALPE136, crop)
    assert arm.side == side
    out = paste_hand(crop, arm, hand(own), 0.5, turn, HALPE136)
    part = HALPE136.parts[f"{side}_hand"]
    pasted = out.points[part]
    np.testing.assert_allclose(pasted[0], wrist, atol=1e-3)
    forearm = np.linalg.norm(np.subtract(wrist, elbow))
    assert palm_of(pasted) == pytest.approx(0.5 * forearm, rel=1e-4)
    line = pasted[9] - pasted[0]
    ahead = np.subtract(wrist, elbow) / forearm
    angle = np.arctan2(ahead[0] * line[1] - ahead[1] * line[0], ahead @ line)
    assert np.rad2deg(angle) == pytest.approx(turn, abs=0.01)
    # A mirrored hand has its thumb on the other side of the middle finger.
    thumb = pasted[4] - pasted[0]
    chirality = np.sign(line[0] * thumb[1] - line[1] * thumb[0])
    assert chirality == (-1 if side == own else 1)
    assert np.linalg.norm(brightest(out.image, 0) - pasted[12]) < 1.5
    assert np.linalg.norm(brightest(out.image, 1) - pasted[4]) < 1.5
    assert (out.labels[part] == 2).all()
    rest = np.ones(136, bool)
    rest[part] = False
    np.testing.assert_array_equal(out.points[rest], crop.points[rest])
    np.testing.assert_array_equal(out.labels[rest], crop.labels[rest])
    assert not crop.labels[part].any()
    assert (crop.image == 100).all()


def test_unknown_joints_of_a_hand_stay_unknown() -> None:
    partial = hand()
    labels = partial.labels.copy()
    labels[[7, 8, 20]] = 0
    crop = body((96, 190), (96, 130))
    out = paste_hand(crop, arms_of(HALPE136, crop)[0], replace(partial, labels=labels), 0.5, 0,
                     HALPE136)  # fmt: skip
    np.testing.assert_array_equal(out.labels[RIGHT], labels)
    assert not out.points[RIGHT][[7, 8, 20]].any()


def test_a_hand_takes_the_colour_of_the_face() -> None:
    crop = body((96, 220), (96, 160))
    for name, place in (("nose", (50, 60)), ("left_eye", (60, 50)), ("right_eye", (40, 50))):
        crop.points[HALPE136.index(name)] = place
        crop.labels[HALPE136.index(name)] = 2
    image = crop.image.copy()
    image[30:80, 30:80] = (80, 50, 40)
    plain = replace(hand(), image=np.full((130, 120, 3), 90, np.uint8))
    out = paste_hand(replace(crop, image=image), arms_of(HALPE136, crop)[0], plain, 0.5, 0,
                     HALPE136)  # fmt: skip
    x, y = out.points[RIGHT][9].astype(int)
    np.testing.assert_allclose(out.image[y, x], (80, 50, 40), atol=4)


def test_without_a_face_a_hand_takes_the_brightness_of_the_wrist() -> None:
    crop = body((96, 220), (96, 160))
    out = paste_hand(crop, arms_of(HALPE136, crop)[0], hand(), 0.5, 0, HALPE136)
    x, y = out.points[RIGHT][9].astype(int)
    np.testing.assert_allclose(out.image[y, x].mean(), 100, atol=6)
    assert out.image[y, x, 0] > out.image[y, x, 2] + 30  # it is still skin


def test_arms_that_can_take_no_hand() -> None:
    assert len(arms_of(HALPE136, body((96, 190), (96, 130)))) == 1
    assert arms_of(HALPE136, body((96, 138), (96, 130))) == []  # too small
    assert arms_of(HALPE136, body((96, 190), (96, 270))) == []  # outside
    assert arms_of(HALPE26, body((96, 190), (96, 130))) == []  # no hands in the skeleton
    for joint in ("right_wrist", "right_elbow"):
        guessed = body((96, 190), (96, 130))
        guessed.labels[HALPE136.index(joint)] = 1
        assert arms_of(HALPE136, guessed) == []
    taken = body((96, 190), (96, 130))
    taken.labels[RIGHT] = 1
    assert arms_of(HALPE136, taken) == []
    nobody = Crop(np.zeros((256, 192, 3), np.uint8), np.zeros((136, 2), np.float32),
                  np.zeros(136, np.uint8))  # fmt: skip
    assert arms_of(HALPE136, nobody) == []


def test_a_foreshortened_forearm_is_measured_by_the_upper_arm() -> None:
    crop = body((96, 150), (96, 130))
    assert arm_length(crop.points, crop.labels, "right", HALPE136) == pytest.approx(20)
    crop.points[HALPE136.index("right_shoulder")] = 96, 50
    crop.labels[HALPE136.index("right_shoulder")] = 2
    assert arm_length(crop.points, crop.labels, "right", HALPE136) == pytest.approx(85)
    assert arm_length(crop.points, crop.labels, "left", HALPE136) is None


def test_the_ratio_of_a_pasted_hand_is_the_one_asked_for() -> None:
    crop = body((96, 190), (96, 130))
    assert palm_ratio(crop.points, crop.labels, "right", HALPE136) is None
    out = paste_hand(crop, arms_of(HALPE136, crop)[0], hand(), 0.37, 10, HALPE136)
    assert palm_ratio(out.points, out.labels, "right", HALPE136) == pytest.approx(0.37, rel=1e-4)
    assert palm_ratio(out.points, out.labels, "left", HALPE136) is None


def test_hands_are_found_in_every_skeleton_that_has_them() -> None:
    one = hand()
    side, points, labels = hand_points(one.points, one.labels, HAND21)
    assert side == "right"
    np.testing.assert_array_equal(points, one.points)
    whole, known = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    assert hand_points(whole, known, HALPE136) is None
    whole[LEFT], known[LEFT] = one.points, 1
    side, points, labels = hand_points(whole, known, HALPE136)
    assert side == "left"
    np.testing.assert_array_equal(labels, 1)
    known[LEFT.start + 9] = 0  # a root of a finger
    assert hand_points(whole, known, HALPE136) is None
    with pytest.raises(InputError, match="expected a skeleton with hands, got 'coco17'"):
        hand_points(whole[:17], known[:17], COCO17)


def test_two_points_onto_two_points(rng: np.random.Generator) -> None:
    for _ in range(20):
        source, target = rng.normal(0, 50, (2, 2, 2)).astype(np.float32)
        matrix = similarity(source, target)
        np.testing.assert_allclose(source @ matrix[:, :2].T + matrix[:, 2], target, atol=1e-2)


def test_a_shape_is_full_within_and_empty_far_away() -> None:
    points = np.array([(20, 20), (80, 20), (50, 70)], np.float32)
    mask = soft_shape(points, [(0, 1, 2)], 4, (100, 100))
    assert mask[30, 50] > 0.99
    assert mask[23, 50] > 0.9
    assert mask[5, 50] == 0
    assert mask[90, 50] == 0
    assert not soft_shape(points, [], 4, (100, 100)).any()
    far = soft_shape(points + 1e7, [(0, 1, 2)], 4, (100, 100))
    assert not far.any()
    image = np.full((100, 100, 3), 7, np.uint8)
    np.testing.assert_array_equal(blend(image, image + 50, far), image)


def test_what_is_a_part_alone() -> None:
    labels = np.zeros(136, np.uint8)
    assert part_alone(labels, HALPE136) is None
    labels[LEFT] = 2
    assert part_alone(labels, HALPE136) == "left_hand"
    labels[HALPE136.parts["face"]] = 1
    assert part_alone(labels, HALPE136) == "face"
    labels[5] = 2  # a shoulder: the box is that of a person
    assert part_alone(labels, HALPE136) is None
    assert part_alone(np.full(21, 2, np.uint8), HAND21) is None  # nothing but a hand: as it is
    dog = Skeleton(
        "dog", ("nose", "tail_1", "tail_2"), {"body": slice(0, 1), "tail": slice(1, 3)}, (), (),
        np.ones(3, np.float32),
    )  # fmt: skip
    assert part_alone(np.array([0, 2, 2], np.uint8), dog) is None  # a part of nobody known


@settings(max_examples=25)
@given(
    st.sampled_from(["face", "left_hand", "right_hand"]),
    st.integers(0, 2**31),
    st.tuples(st.integers(40, 300), st.integers(40, 300)),
)
def test_a_part_alone_gets_its_place_and_size_on_a_person(part, seed, size_hw) -> None:
    rng = np.random.default_rng(seed)
    height, width = size_hw
    image = np.full((height, width, 3), 128, np.uint8)
    slot = HALPE136.parts[part]
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    points[slot] = rng.uniform((0.2 * width, 0.2 * height), (0.8 * width, 0.8 * height),
                               (slot.stop - slot.start, 2))  # fmt: skip
    labels[slot] = 2
    scene = place_part(image, points, labels, HALPE136, ProposalModel.default(), rng)
    mine = scene.points[slot]
    extent = np.concatenate([mine.min(0), mine.max(0)])[None]
    u, v, log_size, _ = part_features(extent, scene.box[None])[0]
    name = part.removeprefix("left_").removeprefix("right_")
    wanted = ProposalModel.default().parts[name]
    assert abs(log_size - wanted.mean[2]) <= 2 * wanted.deviation[2] + 1e-3
    assert abs(v - wanted.mean[1]) <= 2 * wanted.deviation[1] + 1e-3
    assert abs(u - 0.5) <= 2 * wanted.deviation[0] + 1e-3
    # One similarity moved all points, and the scene is a crop's size with room to turn.
    ratio = np.ptp(mine, 0) / np.ptp(points[slot], 0)
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3)
    assert scene.image.shape == (461, 346, 3)


def test_the_pixels_of_a_part_alone_go_where_its_points_go() -> None:
    image = np.full((120, 120, 3), 60, np.uint8)
    cv2.circle(image, (40, 50), 6, (250, 30, 30), -1)
    cv2.circle(image, (80, 70), 6, (30, 250, 30), -1)
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    face = HALPE136.parts["face"]
    points[face] = np.random.default_rng(0).uniform(30, 90, (68, 2))
    points[face.start], points[face.start + 1] = (40, 50), (80, 70)
    labels[face] = 2
    for seed in range(8):
        scene = place_part(image, points, labels, HALPE136, ProposalModel.default(),
                           np.random.default_rng(seed))  # fmt: skip
        for joint, channel in ((face.start, 0), (face.start + 1, 1)):
            x, y = np.round(scene.points[joint]).astype(int)
            pixel = scene.image[y, x].astype(int)
            assert pixel[channel] > np.delete(pixel, channel).max() + 60


def test_part_only_sets_keep_all_other_joints_unknown(tmp_path: Path) -> None:
    keypoints = np.zeros((136, 3))
    face = HALPE136.parts["face"]
    keypoints[face] = np.column_stack([np.random.default_rng(0).uniform(30, 80, (68, 2)),
                                       np.full(68, 2)])  # fmt: skip
    faces = read_people(coco_file(tmp_path, [person(keypoints.reshape(-1))]), tmp_path)
    stream = PoseSamples([(faces, 1.0)], None, STILL, seed=0)
    sizes = []
    for position in range(10):
        sample = stream[position]
        assert sample["image"].shape == (256, 192, 3)
        known = sample["labels"].numpy() > 0
        assert known[face].all()
        assert known.sum() == 68
        sizes.append(float(np.ptp(sample["points"].numpy()[face], 0).mean()))
    assert max(sizes) < 90  # a face alone in its own box would be 150 px
    assert len(set(sizes)) == 10


@pytest.mark.parametrize("whole", [True, False])
def test_hands_join_the_stream(tmp_path: Path, whole: bool) -> None:
    bodies = [0.0] * 51
    for joint, (x, y) in ((8, (60, 60)), (10, (60, 85))):
        bodies[3 * joint : 3 * joint + 3] = [x, y, 2]
    people = read_people(coco_file(tmp_path, [person(bodies)]), tmp_path)
    one = hand()
    save(tmp_path / "a.png", one.image)
    if whole:
        keypoints = np.zeros((136, 3))
        keypoints[RIGHT] = np.column_stack([one.points, np.full(21, 2)])
        hands = read_people(coco_file(tmp_path, [person(keypoints.reshape(-1))], "h.json"),
                            tmp_path)  # fmt: skip
    else:
        triples = np.column_stack([one.points, np.full(21, 2)]).reshape(-1)
        hands = read_people(coco_file(tmp_path, [person(triples)], "h.json"), tmp_path, HAND21)
    config = replace(STILL, hand_probability=1.0)
    stream = PoseSamples([(people, 1.0)], None, config, seed=0, hands=hands)
    first, again = stream[3], stream[3]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert (first["labels"][RIGHT.start : RIGHT.stop] == 2).all()
    assert not first["labels"][LEFT.start : LEFT.stop].any()
    wrist = first["points"][HALPE136.index("right_wrist")]
    np.testing.assert_allclose(first["points"][RIGHT.start], wrist, atol=1e-3)
    bare = PoseSamples([(people, 1.0)], None, replace(config, hand_probability=0), seed=0,
                       hands=hands)[3]  # fmt: skip
    assert not bare["labels"][RIGHT.start : RIGHT.stop].any()
    assert not torch.equal(bare["image"], first["image"])
