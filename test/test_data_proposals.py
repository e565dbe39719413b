# SPDX-License-Identifier: Apache-2.0
"""Proposals: boxes given the pose and the part, stored and refused, and drawn by the stream."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_scenes import coco_file, flat, person
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.data.atomic_poses import (
    JOINTS,
)
from alphapose_ros.data.augment import AugmentConfig
from alphapose_ros.data.mixtures import Mixture
from alphapose_ros.data.people import read_people
from alphapose_ros.data.pose_samples import PoseSamples
from alphapose_ros.data.proposals import (
    MATCH_IOU,
    PARTS,
    ProposalModel,
    mirror_offsets,
    part_features,
    person_of,
    perturbed,
    side_offsets,
)

boxes = st.tuples(
    st.floats(-200, 500), st.floats(-200, 500), st.floats(5, 400), st.floats(5, 400)
).map(lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], np.float32))


@given(boxes, boxes)
def test_features_and_people_are_inverse(part, whole) -> None:
    features = part_features(part[None], whole[None])
    np.testing.assert_allclose(person_of(part[None], features)[0], whole, atol=0.05)


@given(boxes, boxes)
def test_offsets_in_the_mirror_are_those_of_mirrored_boxes(one, other) -> None:
    def mirrored(box):
        return np.array([[100 - box[2], box[1], 100 - box[0], box[3]]], np.float32)

    offsets = side_offsets(one[None], other[None])
    wanted = side_offsets(mirrored(one), mirrored(other))
    np.testing.assert_allclose(mirror_offsets(offsets), wanted, atol=1e-3, rtol=1e-3)
    np.testing.assert_array_equal(mirror_offsets(mirror_offsets(offsets)), offsets)


def test_offsets_are_in_sides_of_the_person() -> None:
    person_box = np.array([[10, 20, 60, 120]], np.float32)
    found = np.array([[5, 30, 65, 110]], np.float32)
    np.testing.assert_allclose(side_offsets(found, person_box), [[-0.1, 0.1, 0.1, -0.1]])


def exact(*offsets: float) -> Mixture:
    return Mixture(np.ones(1), np.array([offsets]), 1e-9 * np.eye(4)[None])


def model(first: Mixture, second: Mixture) -> ProposalModel:
    """Pose 0 reaches out to the right with the left arm, pose 1 is all in one place."""
    poses = np.zeros((2, len(JOINTS), 2))
    poses[0, JOINTS.index("left_wrist")] = 0.5, 0
    poses[0, JOINTS.index("left_elbow")] = 0.3, 0
    base = ProposalModel.default()
    return ProposalModel(
        poses, (first, second), exact(0, 0, 0, 0), base.parts, base.palm, base.counts
    )


def somebody(x: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Box, joints and labels with one arm reaching x box sides from the middle."""
    points, labels = np.full((136, 2), 100, np.float32), np.zeros(136, np.uint8)
    side = "left" if x > 0 else "right"
    points[HALPE136.index(f"{side}_wrist")] = 100 + 100 * x, 100
    points[HALPE136.index(f"{side}_elbow")] = 100 + 60 * x, 100
    labels[:17] = 2
    return np.array([50, 50, 150, 150], np.float32), points, labels


def test_a_box_depends_on_the_pose_and_its_side(rng: np.random.Generator) -> None:
    proposals = model(exact(0, 0, 0.2, 0), exact(0, -0.1, 0, 0))
    for x, wanted in ((0.5, (50, 50, 170, 150)), (-0.5, (30, 50, 150, 150))):
        box = proposals.sample(*somebody(x), HALPE136, rng)
        np.testing.assert_allclose(box, wanted, atol=0.05)
    np.testing.assert_allclose(
        proposals.sample(*somebody(0.01), HALPE136, rng), (50, 40, 150, 150), atol=0.05
    )
    box, points, labels = somebody(0.5)
    labels[:] = 0  # the pose cannot be told
    np.testing.assert_allclose(
        proposals.sample(box, points, labels, HALPE136, rng), box, atol=0.05
    )


@given(st.integers(0, 2**32))
def test_every_proposal_is_one_that_would_be_matched(seed: int) -> None:
    wide = Mixture(np.ones(1), np.zeros((1, 4)), 0.5 * np.eye(4)[None])
    proposals = model(wide, wide)
    args = (*somebody(0.5), HALPE136)
    box = proposals.sample(*args, np.random.default_rng(seed))
    assert box_iou(box[None], args[0][None])[0, 0] >= MATCH_IOU
    np.testing.assert_array_equal(box, proposals.sample(*args, np.random.default_rng(seed)))


def test_a_proposal_takes_the_same_draws_whatever_comes_out() -> None:
    wide, states = Mixture(np.ones(1), np.zeros((1, 4)), 0.5 * np.eye(4)[None]), set()
    for mixture in (wide, exact(0, 0, 0, 0), TWO_IN_FOUR):
        rng = np.random.default_rng(3)
        model(mixture, mixture).sample(*somebody(0.5), HALPE136, rng)
        states.add(rng.random())
    assert len(states) == 1


TWO_IN_FOUR = Mixture(np.array([0.5, 0.5]), np.zeros((2, 4)), np.tile(1e-4 * np.eye(4), (2, 1, 1)))


def test_a_person_around_a_part_is_as_large_as_the_part_says() -> None:
    proposals = ProposalModel.default()
    face = np.array([100, 100, 140, 140], np.float32)
    people = np.stack(
        [proposals.around("face", face, np.random.default_rng(s)) for s in range(300)]
    )
    heights = people[:, 3] - people[:, 1]
    assert 200 < np.median(heights) < 600  # ten faces or so, of a standing adult
    assert (people[:, 1] < 120).all()
    assert (np.median(people[:, 3]) - 120) > 4 * (120 - np.median(people[:, 1]))
    one = [proposals.around("face", face, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*one)
    with pytest.raises(InputError, match="expected one of body, face, hand, feet, got 'tail'"):
        proposals.around("tail", face, np.random.default_rng(0))


def test_left_and_right_hands_lie_on_opposite_sides() -> None:
    base = ProposalModel.default()
    parts = dict(base.parts) | {"hand": exact(0.2, 0.5, -2.0, -0.7)}
    proposals = ProposalModel(base.poses, (), base.pooled, parts, base.palm, base.counts)
    box = np.array([100, 100, 120, 120], np.float32)
    for part, wanted in (("right_hand", 0.2), ("left_hand", 0.8), ("hand", 0.2)):
        whole = proposals.around(part, box, np.random.default_rng(0))
        assert part_features(box[None], whole[None])[0, 0] == pytest.approx(wanted, abs=1e-3)


def test_a_model_is_stored_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "proposals.json"
    saved = model(exact(0, 0, 0.2, 0), TWO_IN_FOUR)
    saved.save(path)
    loaded = ProposalModel.load(path)
    assert loaded.palm == saved.palm
    assert loaded.counts == saved.counts
    assert set(loaded.parts) == set(PARTS)
    for seed in range(5):
        one, two = (
            m.sample(*somebody(0.5), HALPE136, np.random.default_rng(seed))
            for m in (saved, loaded)
        )
        np.testing.assert_allclose(one, two, atol=0.05)
    again = tmp_path / "again.json"
    loaded.save(again)
    assert again.read_text() == path.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "expected a file of proposals"),
        ({"version": 2}, "expected proposals of version 1, got 2"),
        ({"version": None}, "expected proposals of version 1, got None"),
        ({"joints": ["nose"]}, "damaged proposals: expected the joints"),
        ({"offsets": []}, r"damaged proposals: expected poses \(0, 13, 2\)"),
        ({"offsets": 3}, "damaged proposals"),
        ({"pooled": None}, "damaged proposals"),
        ({"parts": {}}, "damaged proposals: expected four-dimensional mixtures"),
        ({"palm": [1]}, "damaged proposals"),
        ({"counts": [1]}, "damaged proposals"),
        ({"poses": [1, 2]}, "damaged proposals"),
    ],
)
def test_another_file_is_refused_by_one_line(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "proposals.json"
    model(TWO_IN_FOUR, TWO_IN_FOUR).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        ProposalModel.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read proposals"):
        ProposalModel.load(tmp_path / "absent.json")
    for text in ("{", "[]", "3"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match="proposals"):
            ProposalModel.load(tmp_path / "bad.json")


def test_jittered_boxes_follow_the_published_constants() -> None:
    box, rng = np.array([300, 300, 400, 500], np.float32), np.random.default_rng(0)
    drawn = np.stack([perturbed(box, (2000, 2000), rng) for _ in range(6000)])
    inside = (drawn >= box).all(1, where=[True, True, False, False]) & (drawn <= box + 1e-3).all(
        1, where=[False, False, True, True]
    )
    shares = (drawn[:, 2:] - drawn[:, :2]) / (100, 200)
    even = inside & (np.abs(shares[:, 0] - shares[:, 1]) < 1e-5)
    assert even.mean() == pytest.approx(0.15, abs=0.015)
    assert shares[even].min() > 0.85
    offsets = side_offsets(drawn[~even], np.repeat(box[None], (~even).sum(), 0))
    np.testing.assert_allclose(offsets.mean(0), (-0.0142, 0.0043, 0.0154, -0.0013), atol=0.006)
    np.testing.assert_allclose(offsets.std(0), (0.1158, 0.068, 0.1337, 0.0711), atol=0.005)


@given(boxes, st.integers(0, 2**32), st.tuples(st.integers(8, 300), st.integers(8, 300)))
def test_jittered_boxes_keep_two_pixels(box, seed, image_hw) -> None:
    out = perturbed(box, image_hw, np.random.default_rng(seed))
    assert np.isfinite(out).all()
    assert (out[2:] - out[:2] >= 1.9).all()


def test_the_stream_takes_its_boxes_from_the_file(tmp_path: Path) -> None:
    people = read_people(coco_file(tmp_path, [person(flat(COCO17))]), tmp_path)
    still = AugmentConfig().scaled(0)
    pooled = exact(0.1, 0.1, 0.1, 0.1)
    model(pooled, pooled).save(tmp_path / "moved.json")

    def points(**change: object) -> torch.Tensor:
        config = AugmentConfig(
            **{f: getattr(still, f) for f in still.__dataclass_fields__}
            | {"flip_probability": 0.0, "scale": 0.5, "shift": 0.1}
            | change
        )
        return PoseSamples([(people, 1.0)], None, config, seed=0)[0]["points"]

    plain = points(scale=0.0, shift=0.0)
    moved = points(proposals=str(tmp_path / "moved.json"))
    # The box (width 70, height 100) moved down by a tenth of its height and to one side by one of
    # its width, so the joints moved up and to the other side; which side depends on the pose.
    per_px = 192 / (1.25 * 75)
    moves = (moved - plain)[:17].numpy()
    wanted = np.broadcast_to([7 * per_px, -10 * per_px], (17, 2))
    np.testing.assert_allclose(moves * (np.sign(moves[0, 0]), 1), wanted, atol=0.1)
    jittered = points(scale=0.0, shift=0.0, dpg_probability=1.0)
    assert not torch.equal(jittered, plain)
    with pytest.raises(InputError, match="cannot read proposals"):
        points(proposals=str(tmp_path / "absent.json"))
