# SPDX-License-Identifier: Apache-2.0
"""Rank-1 and mAP by hand and against a slow loop; what attention and movement reports say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import HALPE26
from alphapose_ros.data.reid_sets import Sighting, Sightings, sightings
from alphapose_ros.eval.reid import (
    Embedded,
    attention_report,
    embed_both,
    movement,
    movement_report,
    rank,
)
from alphapose_ros.eval.reid_evaluation import evaluate_views
from alphapose_ros.eval.reid_poses import posed
from alphapose_ros.eval.reid_views import (
    BACKGROUND,
    BASE,
    CONDITIONS,
    ELSEWHERE,
    GALLERY,
    IN_FRONT,
    OCCLUDED,
    SECOND,
    UNSEEN,
    changed_views,
    identity_views,
    next_other,
)
from alphapose_ros.models.osnet import WIDTHS, OSNet
from alphapose_ros.models.reid import GUIDANCE, ReidNet, packed, unpacked_guidance
from alphapose_ros.reid.factory import Normalised
from alphapose_ros.reid.masking import masked, masked_again

pytestmark = pytest.mark.usefixtures("one_thread")


def angles(*degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], 1)


def embedded(degrees: list[float], people: list[int], cameras: list[int]) -> Embedded:
    return Embedded(angles(*degrees), np.array(people), np.array(cameras))


def test_by_hand() -> None:
    gallery = embedded([1, 10, 20, 30], [1, 2, 1, 2], [0, 0, 0, 0])
    found = rank(embedded([0, 28], [1, 2], [1, 1]), gallery)
    assert found.hits.tolist() == [True, True]
    # Person 1 at places 1 and 3; person 2 (nearest 30, 20, 10, 1) at places 1 and 3.
    np.testing.assert_allclose(found.precisions, [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2])
    assert (found.rank1, found.mean_ap) == (1.0, pytest.approx(5 / 6))


def test_the_own_camera_and_the_nameless_do_not_count() -> None:
    gallery = embedded([0, 5, 6, 20], [1, -1, 2, 1], [0, 3, 0, 1])
    found = rank(embedded([0], [1], [0]), gallery)
    assert found.hits.tolist() == [False]  # the same camera's picture is out, a stranger is first
    assert found.precisions.tolist() == [0.5]
    unknown = rank(embedded([0], [1], [-1]), gallery)
    assert unknown.hits.tolist() == [True]
    nobody = rank(embedded([0, 0], [7, -1], [0, 0]), gallery)
    assert len(nobody.hits) == 0
    assert np.isnan(nobody.rank1)
    assert np.isnan(nobody.interval()["rank1"]).all()


def test_against_a_slow_loop(rng: np.random.Generator) -> None:
    def some(count: int) -> Embedded:
        vectors = rng.normal(size=(count, 5))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embedded(vectors, rng.integers(-1, 6, count), rng.integers(0, 3, count))

    queries, gallery = some(40), some(60)
    found, at = rank(queries, gallery), 0
    for row in range(40):
        person, camera = queries.identities[row], queries.cameras[row]
        order = sorted(range(60), key=lambda g: -(queries.embeddings[row] @ gallery.embeddings[g]))
        order = [
            g for g in order
            if gallery.identities[g] >= 0
            and not (gallery.identities[g] == person and gallery.cameras[g] == camera)
        ]  # fmt: skip
        right = [gallery.identities[g] == person for g in order]
        if person < 0 or not any(right):
            continue
        precisions = [sum(right[: i + 1]) / (i + 1) for i, hit in enumerate(right) if hit]
        assert found.precisions[at] == pytest.approx(np.mean(precisions))
        assert found.hits[at] == right[0]
        at += 1
    assert at == len(found.hits)
    low, high = found.interval()["mean_ap"]
    assert low < found.mean_ap < high


def test_wrong_input() -> None:
    with pytest.raises(InputError, match="rows"):
        Embedded(np.zeros((2, 3)), np.zeros(1, int), np.zeros(2, int))
    three = Embedded(np.zeros((1, 3)), np.zeros(1, int), np.zeros(1, int))
    with pytest.raises(InputError, match="one length"):
        rank(embedded([0], [1], [0]), three)
    with pytest.raises(InputError, match="at least one"):
        movement_report({w: np.zeros((0, 2)) for w in (True, False)},
                        {w: np.zeros((0, 2)) for w in (True, False)})  # fmt: skip


def test_movements_are_compared() -> None:
    before = angles(0, 0)
    after = {True: angles(30, 30), False: angles(60, 60)}
    np.testing.assert_allclose(movement(before, after[False]), [0.5, 0.5])
    found = movement_report({True: before, False: before}, after)
    assert found.ratio == pytest.approx((1 - np.cos(np.pi / 6)) / 0.5)
    assert found.interval[0] == pytest.approx(found.interval[1])


def test_attention_on_a_person_and_uniform_attention() -> None:
    torch.manual_seed(0)
    network = ReidNet(width=16, dim=8).eval()
    guidance = torch.zeros(3, len(GUIDANCE), 16, 8)
    guidance[:2, GUIDANCE.index("torso"), 4:12, 2:5] = 1
    found = attention_report(network, guidance)
    assert found.crops == 2  # nobody's pose is known in the third
    assert found.on_person == 1
    assert found.contrast > 2
    assert found.weight_on_person > 1.3 * found.area_of_person
    assert found.area_of_person == pytest.approx(24 / 128)
    torch.nn.init.zeros_(network.attention.conv.weight)
    uniform = attention_report(network, guidance)
    assert uniform.contrast == pytest.approx(1)
    assert uniform.weight_on_person == pytest.approx(uniform.area_of_person)
    assert attention_report(network, guidance[2:]).crops == 0


def test_both_embeddings_of_one_pass() -> None:
    torch.manual_seed(0)
    network = ReidNet(width=16, dim=8)
    crops = packed(torch.rand(5, 3, 128, 64) * 255, torch.rand(5, len(GUIDANCE), 16, 8))
    found = embed_both(network, crops.split(2))
    with torch.inference_mode():
        np.testing.assert_allclose(found[True], network(crops).numpy(), atol=1e-5)
    assert found[False].shape == (5, 8)
    assert not np.allclose(found[True], found[False])
    assert embed_both(network, [crops[:0]])[True].shape == (0, 8)


def test_the_attention_of_a_network_that_masks_is_both() -> None:
    torch.manual_seed(0)
    network = ReidNet(width=16, dim=8, masks=True).eval()
    crops = packed(torch.rand(4, 3, 128, 64) * 255, torch.rand(4, len(GUIDANCE), 16, 8))
    found = embed_both(network, [crops])
    with torch.inference_mode():
        np.testing.assert_allclose(found[True], network(masked_again(crops)), atol=1e-5)
        network.attend = False
        np.testing.assert_allclose(found[False], network(crops), atol=1e-5)


def crowd(folder: Path, people: int) -> Sightings:
    """Standing figures of a colour each before one wall."""
    names = HALPE26.keypoint_names
    rows = []
    for person in range(people):
        image = np.full((160, 100, 3), 128, np.uint8)
        image[20:150, 30:70] = (40 * person, 200 - 30 * person, 90)
        path = folder / f"{person}.png"
        cv2.imwrite(str(path), image)
        joints = np.zeros((len(names), 3), np.float32)
        for i, name in enumerate(names):
            x = 40 if name.startswith("left") else 60 if name.startswith("right") else 50
            y = {"head_top": 22, "nose": 35, "neck": 45, "hip": 90, "pelvis": 90, "knee": 115,
                 "ankle": 145, "shoulder": 50, "elbow": 70, "wrist": 88}  # fmt: skip
            found = next((y[part] for part in y if part in name), 35)
            joints[i] = x, found, 1
        rows.append(Sighting(path, (25, 18, 75, 152), person, joints=joints))
    return sightings(rows, HALPE26)


def test_held_out_people_in_changed_boxes(tmp_path: Path) -> None:
    people = crowd(tmp_path, 4)
    found = changed_views(people, most=3)
    assert {len(views) for views in found.views.values()} == {3}
    base = found.crops(BASE)
    again = changed_views(people, most=3)
    assert all(torch.equal(found.crops(name), again.crops(name)) for name in found.views)
    for name in (SECOND, IN_FRONT, ELSEWHERE, BACKGROUND, OCCLUDED, GALLERY):
        assert (found.crops(name)[:, :3] - base[:, :3]).abs().mean() > 0.01, name
    second, unseen = found.crops(SECOND), found.crops(UNSEEN)
    assert torch.equal(second[:, :3], unseen[:, :3])  # the same pixels, one pose fewer
    assert unpacked_guidance(second)[:, -1].amax((1, 2)).min() > 0.1
    assert unpacked_guidance(unseen)[:, -1].max() == 0
    own = unpacked_guidance(base)[:, :-1]  # the first person is found alike: nothing else moves
    assert all(torch.equal(unpacked_guidance(x)[:, :-1], own) for x in (second, unseen))
    assert torch.equal(unpacked_guidance(found.crops(BACKGROUND))[:, :-1], own)
    torch.manual_seed(0)
    report = evaluate_views(ReidNet(width=16, dim=8), found)
    assert report["people"] == 3
    assert set(report["movement"]) == set(CONDITIONS) - {BASE}
    assert len(report["ranking"]) == 2 * len(CONDITIONS) == 14
    assert 0 <= report["ranking"][f"{BASE}, attention"]["rank1"] <= 1
    nobody = changed_views(people[[]])
    assert {len(views) for views in nobody.views.values()} == {0}
    assert evaluate_views(ReidNet(width=16, dim=8), nobody)["people"] == 0


def test_a_network_without_attention_sees_crops_that_are_masked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Normalised(OSNet(WIDTHS["0_25"])).eval()
    found = changed_views(crowd(tmp_path, 3), input_hw=(64, 32))
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    report = evaluate_views(network, found)
    ways = "attention", "none"
    assert set(report["ranking"]) == {f"{name}, {way}" for name in CONDITIONS for way in ways}
    assert report["attention"] == {}  # no maps to look at
    base, guidance = found.crops(BASE), unpacked_guidance(found.crops(BASE))
    pixels = (base[:, :3] + 1) * 127.5
    torch.testing.assert_close(seen[0], masked(pixels, guidance))
    torch.testing.assert_close(seen[1], pixels)  # RGB as it was
    assert report["movement"][BACKGROUND]["ratio"] < 1


def twice(folder: Path, people: int) -> Sightings:
    """Everybody by two cameras, a stranger, and somebody whose body is not known."""
    once = crowd(folder, people)
    again = replace(once, cameras=np.ones(people))
    stranger = replace(once[:1], identities=np.array([-1]))
    faint = replace(once[:1], scores=np.zeros_like(once.scores[:1]), cameras=np.array([2]))
    first = replace(once, cameras=np.zeros(people))
    return Sightings.concatenate([first, again, stranger, faint])


def test_identities_are_looked_for_in_all_pictures(tmp_path: Path) -> None:
    people = twice(tmp_path, 4)
    found = identity_views(people, people, input_hw=(64, 32))
    assert {len(found.crops(name)) for name in CONDITIONS} == {8} == {len(found.queries)}
    assert len(found.crops(GALLERY)) == len(found.gallery) == 9  # the stranger does not count
    assert sorted(found.queries.identities.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    # What the gallery shows of a query is the query: nothing is drawn at random in it.
    same = found.gallery.identities == found.queries.identities[0]
    same &= found.gallery.cameras == found.queries.cameras[0]
    assert torch.equal(found.crops(BASE)[0], found.crops(GALLERY)[np.flatnonzero(same)[0]])
    torch.manual_seed(0)
    report = evaluate_views(ReidNet(width=16, dim=8), found)
    assert (report["people"], report["queries"], report["gallery"]) == (4, 8, 9)
    # The other camera's picture is the same one.
    assert report["ranking"][f"{BASE}, attention"]["rank1"] == 1
    few = identity_views(people, people, most=3, input_hw=(64, 32))
    assert torch.equal(few.crops(BASE), found.crops(BASE)[: len(few.queries)])
    nobody = identity_views(people[[]], people, input_hw=(64, 32))
    assert evaluate_views(ReidNet(width=16, dim=8), nobody)["queries"] == 0


@pytest.mark.parametrize(
    ("who", "me", "after", "expected"),
    [
        ([0, 0, 1, 0], 0, 0, 2),
        ([0, 0, 1, 2], 1, 2, 3),
        ([0, 1, 0, 0], 3, 3, 1),  # round the end
        ([0, 1, 2], 0, 2, 1),  # himself is passed over
        ([5, 5, 5], 1, 1, 2),  # nobody else is there: the next picture
        ([5], 0, 0, 0),
    ],
)
def test_the_next_person_is_another(who: list[int], me: int, after: int, expected: int) -> None:
    assert next_other(who, me, after) == expected


def test_without_cameras_the_own_picture_alone_is_no_match(tmp_path: Path) -> None:
    people = twice(tmp_path, 3)
    torch.manual_seed(0)
    network = ReidNet(width=16, dim=8)
    for cameras in (np.full(len(people), -1), np.zeros(len(people))):
        alone = replace(people, cameras=cameras)
        found = identity_views(alone, alone, input_hw=(64, 32))
        assert (found.itself >= 0).all()
        same = found.gallery.identities[found.itself]
        assert np.array_equal(same, found.queries.identities)
        report = evaluate_views(network, found)
        assert report["ranking"][f"{BASE}, attention"]["rank1"] == 1  # by the other picture
    once = replace(people[:3], cameras=np.full(3, -1))
    alone = identity_views(once, once, input_hw=(64, 32))
    nothing = evaluate_views(network, alone)["ranking"][f"{BASE}, attention"]["rank1"]
    assert np.isnan(nothing)  # nobody is there twice
    against = identity_views(once, people, input_hw=(64, 32))
    assert (against.itself == -1).all()


def test_pictures_without_joints_are_posed(tmp_path: Path) -> None:
    people = twice(tmp_path, 2)
    boxed = replace(people, boxes=np.where(np.arange(6)[:, None] == 4, 0, people.boxes))
    unknown = replace(boxed, scores=np.where(np.arange(6)[:, None] >= 4, 0, boxed.scores))
    asked: list[np.ndarray] = []

    class Stub:
        finds_people, skeleton = False, HALPE26

        def __call__(self, batch: object, boxes: list[Detections]) -> list[Poses]:
            asked.append(boxes[0].boxes)
            joints = np.full((1, len(HALPE26), 2), 7, np.float32)
            scores = np.full((1, len(HALPE26)), 0.5, np.float32)
            return [Poses(joints, scores, boxes[0].boxes, [1], [0], HALPE26)]

    ticks: list[int] = []
    found = posed(unknown, Stub(), lambda: ticks.append(1))
    assert len(asked) == len(ticks) == 2
    np.testing.assert_array_equal(asked[0], [[0, 0, 100, 160]])  # the whole picture
    np.testing.assert_array_equal(asked[1], boxed.boxes[5:])
    assert (found.keypoints[4:] == 7).all()
    assert np.array_equal(found.keypoints[:4], unknown.keypoints[:4])
    one_stage = Stub()
    one_stage.finds_people = True
    with pytest.raises(InputError, match="answers given boxes"):
        posed(unknown, one_stage)
