# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import (
    COCO17,
    FACE68,
    HALPE26,
    HALPE68_NOFACE,
    HALPE136,
    HAND21,
    SKELETONS,
    WHOLEBODY133,
    Skeleton,
    get_skeleton,
)

EVERY = pytest.mark.parametrize("skeleton", list(SKELETONS.values()), ids=list(SKELETONS))


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "alphapose_keys" / "skeletons.json").read_text())


def as_set(pairs: Any) -> set[tuple[int, int]]:
    out = {(min(a, b), max(a, b)) for a, b in pairs}
    assert len(out) == len(pairs), "a pair stands twice"
    return out


def test_the_sets_have_their_sizes() -> None:
    assert {name: len(skeleton) for name, skeleton in SKELETONS.items()} == {
        "coco17": 17, "halpe26": 26, "halpe68_noface": 68, "halpe136": 136,
        "wholebody133": 133, "hand21": 21, "face68": 68,
    }  # fmt: skip


@EVERY
def test_parts_cover_every_joint_once(skeleton: Skeleton) -> None:
    joints = [j for part in skeleton.parts.values() for j in range(part.start, part.stop)]
    assert joints == list(range(len(skeleton)))


@EVERY
def test_mirroring_twice_changes_nothing(skeleton: Skeleton) -> None:
    flip = skeleton.flip_permutation
    np.testing.assert_array_equal(flip[flip], np.arange(len(skeleton)))


@EVERY
def test_mirroring_swaps_left_and_right_names(skeleton: Skeleton) -> None:
    for name, other in zip(
        skeleton.keypoint_names,
        (skeleton.keypoint_names[k] for k in skeleton.flip_permutation),
        strict=True,
    ):
        if name.startswith(("left_", "right_")):
            side, rest = name.split("_", 1)
            assert other == {"left": "right", "right": "left"}[side] + "_" + rest
        elif not name.startswith("face_"):
            assert other == name


@EVERY
def test_a_drawn_limb_has_a_drawn_mirror_image(skeleton: Skeleton) -> None:
    if skeleton is HAND21:
        return  # one hand has no mirror image in itself
    edges, flip = as_set(skeleton.edges), skeleton.flip_permutation
    body = {pair for pair in edges if max(pair) < skeleton.parts.get("body", slice(0)).stop}
    assert as_set([(int(flip[a]), int(flip[b])) for a, b in body]) == body


@EVERY
def test_sigmas_are_those_of_a_human(skeleton: Skeleton) -> None:
    assert np.all((skeleton.sigmas > 0.005) & (skeleton.sigmas < 0.11))
    body = [k for k, name in enumerate(skeleton.keypoint_names) if not name.startswith("face_")]
    flip = skeleton.flip_permutation
    symmetric = [k for k in body if not skeleton.keypoint_names[k].endswith(("toe", "heel"))]
    np.testing.assert_allclose(skeleton.sigmas[symmetric], skeleton.sigmas[flip[symmetric]])


@pytest.mark.parametrize("name", [name for name in SKELETONS if name != "face68"])
def test_mirror_pairs_are_the_references(name: str, reference: dict[str, Any]) -> None:
    assert as_set(SKELETONS[name].flip_pairs) == as_set(reference[name]["flip_pairs"])


@pytest.mark.parametrize("name", ["halpe26", "halpe68_noface", "halpe136", "hand21"])
def test_limbs_are_the_references(name: str, reference: dict[str, Any]) -> None:
    assert as_set(SKELETONS[name].edges) == as_set(reference[name]["limbs"])


def test_the_trunk_of_the_short_sets_is_closed_by_its_own_joints(reference) -> None:
    """The reference draws COCO's trunk from a neck that the set lacks, WholeBody's never."""
    bars = {(5, 6), (5, 11), (6, 12), (11, 12)}
    whole = as_set(reference["wholebody133"]["limbs"])
    assert as_set(WHOLEBODY133.edges) == whole | bars
    coco = {pair for pair in as_set(reference["coco17"]["limbs_vis_master"]) if max(pair) < 17}
    assert as_set(COCO17.edges) == coco | bars


def test_sigmas_are_the_references_where_there_is_an_official_one(reference) -> None:
    np.testing.assert_allclose(COCO17.sigmas, reference["coco17"]["sigmas"], atol=1e-6)
    official = reference["wholebody133"]["sigmas_official"]
    np.testing.assert_allclose(WHOLEBODY133.sigmas, official, atol=1e-6)
    np.testing.assert_allclose(HALPE26.sigmas[:20], reference["halpe26"]["sigmas"][:20], atol=1e-6)


def test_wholebody_maps_to_halpe_by_meaning() -> None:
    """The feet stand in another order: toe by toe against foot by foot."""
    source = HALPE136.source_of(WHOLEBODY133)
    to = {17: 20, 20: 21, 18: 22, 21: 23, 19: 24, 22: 25}
    to |= {k: k for k in range(17)} | {k: k + 3 for k in range(23, 133)}
    expected = np.full(136, -1)
    for joint, target in to.items():
        expected[target] = joint
    np.testing.assert_array_equal(source, expected)
    assert [HALPE136.keypoint_names[k] for k in np.flatnonzero(source < 0)] == [
        "head_top", "neck", "pelvis",
    ]  # fmt: skip


def test_halpe_sets_are_each_others_beginning() -> None:
    assert HALPE136.keypoint_names[:26] == HALPE26.keypoint_names
    np.testing.assert_array_equal(HALPE26.source_of(COCO17)[:17], np.arange(17))
    without_face = [*range(26), *range(94, 136)]
    np.testing.assert_array_equal(HALPE68_NOFACE.source_of(HALPE136), without_face)


def test_a_face_alone_is_that_of_a_body() -> None:
    face = HALPE136.parts["face"]
    assert FACE68.keypoint_names == HALPE136.keypoint_names[face]
    np.testing.assert_array_equal(FACE68.sigmas, HALPE136.sigmas[face])
    np.testing.assert_array_equal(FACE68.source_of(HALPE136), np.arange(68) + face.start)
    moved = HALPE136.flip_permutation[face] - face.start
    np.testing.assert_array_equal(FACE68.flip_permutation, moved)
    drawn = {(a, b) for a, b in as_set(HALPE136.edges) if face.start <= a < face.stop}
    assert {(a + face.start, b + face.start) for a, b in as_set(FACE68.edges)} == drawn


def test_a_hand_is_placed_on_a_body_by_a_prefix() -> None:
    source = HALPE136.source_of(HAND21, prefix="right_hand_")
    np.testing.assert_array_equal(source[115:], np.arange(21))
    assert np.all(source[:115] == -1)


def test_joints_are_found_by_name() -> None:
    assert HALPE136.index("left_hip") == 11
    with pytest.raises(InputError, match="'coco17' has no keypoint 'pelvis'"):
        COCO17.index("pelvis")


def test_an_unknown_set_is_answered_with_the_known_ones() -> None:
    assert get_skeleton("halpe136") is HALPE136
    with pytest.raises(ConfigError, match="unknown skeleton 'coco18'; known: coco17, halpe26"):
        get_skeleton("coco18")


@pytest.mark.parametrize(
    ("names", "edges", "sigmas", "message"),
    [
        (("a", "a"), (), 2, "expected unique keypoint names"),
        (("a", "b"), ((0, 2),), 2, r"pair \(0, 2\) is outside 0\.\.1"),
        (("a", "b"), ((-1, 0),), 2, r"pair \(-1, 0\) is outside 0\.\.1"),
        (("a", "b"), (), 3, r"expected 2 sigmas, got \(3,\)"),
    ],
)
def test_a_skeleton_that_contradicts_itself_is_refused(names, edges, sigmas, message) -> None:
    with pytest.raises(InputError, match=message):
        Skeleton("x", names, {}, edges, (), np.ones(sigmas, np.float32))
