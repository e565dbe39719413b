# SPDX-License-Identifier: Apache-2.0
"""Every format of people with identities becomes the same record; views and batches made of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136
from alphapose_ros.data import reid_sets
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.people import People
from alphapose_ros.data.reid_augment import ReidAugment, beside, make_view, over
from alphapose_ros.data.reid_folder import CropFolder
from alphapose_ros.data.reid_samples import ReidSamples, crops_of
from alphapose_ros.data.reid_sets import (
    Sighting,
    instances,
    read_crop_list,
    read_market,
    read_mot,
    read_posetrack,
    sightings,
)
from alphapose_ros.reid.render import GuidanceRenderer

pytestmark = pytest.mark.usefixtures("one_thread")


def picture(path: Path, colour: tuple[int, int, int] = (90, 120, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((96, 48, 3), colour[::-1], np.uint8))
    return path


def test_market_names(tmp_path: Path) -> None:
    for name in ("0002_c1s1_000451_03.jpg", "0002_c3s2_000017_00.jpg", "-1_c2s1_000001_01.jpg",
                 "0000_c6s1_000009_01.jpg", "readme.jpg"):  # fmt: skip
        picture(tmp_path / name)
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    found = read_market(tmp_path)
    assert found.identities.tolist() == [-1, 0, 2, 2]
    assert found.cameras.tolist() == [2, 6, 1, 3]
    assert found.times_s.tolist() == [1, 9, 451, 17]
    assert not found.boxes.any()
    assert found.scores.shape == (4, len(HALPE136))
    with pytest.raises(InputError, match="0002_c1s1"):
        read_market(picture(tmp_path / "empty" / "a.jpg").parent)
    with pytest.raises(InputError, match="folder of pictures"):
        read_market(tmp_path / "nowhere")


def test_a_list_of_crops(tmp_path: Path) -> None:
    listed = tmp_path / "list_train.txt"
    listed.write_text(
        "0000/0000_000_01_0303morning_0015_0.jpg 0\n0007/0007_003_14_0303noon_0001_1.jpg 7\n"
        "a folder/other.jpg 7\n",
        encoding="utf-8",
    )
    found = read_crop_list(listed, tmp_path / "train")
    assert found.identities.tolist() == [0, 7, 7]
    assert found.cameras.tolist() == [1, 14, -1]
    assert found.images[2] == tmp_path / "train" / "a folder" / "other.jpg"
    for bad in ("lonely.jpg", "a.jpg seven"):
        listed.write_text(f"a.jpg 1\n{bad}\n", encoding="utf-8")
        with pytest.raises(InputError, match="line 2"):
            read_crop_list(listed, tmp_path)


def test_mot_rows(tmp_path: Path) -> None:
    picture(tmp_path / "img1" / "000001.jpg")
    truth = tmp_path / "gt.txt"
    truth.write_text(
        "1,4,11,21,30,60,1,1,0.8\n31,4,12,21,30,60,1,1,1\n1,5,1,1,5,5,0,1,1\n1,6,1,1,5,5,1,7,1\n",
        encoding="utf-8",
    )
    found = read_mot(truth, tmp_path / "img1", fps=30)
    assert found.identities.tolist() == [4, 4]  # ignored rows and other classes are left out
    np.testing.assert_allclose(found.boxes[0], [10, 20, 40, 80])
    assert found.times_s.tolist() == [0, 1]
    assert [path.name for path in found.images] == ["000001.jpg", "000031.jpg"]
    detected = tmp_path / "det.txt"
    detected.write_text("2,-1,1,1,10,20,0.4,-1,-1,-1\n", encoding="utf-8")
    truth.write_text("1,3,1,1,20,40,1,-1,-1,-1\n1,4,1,1,20,40,0,-1,-1,-1\n")  # places, no classes
    assert read_mot(truth, tmp_path / "img1").identities.tolist() == [3]
    truth.write_text("1,3,1,1,20,40,1,2,1\n")  # no pedestrian
    with pytest.raises(InputError, match="expected rows of pedestrians that count, got none"):
        read_mot(truth, tmp_path / "img1")
    assert read_mot(detected, tmp_path / "img1").identities.tolist() == [-1]
    truth.write_text("1,4,eleven\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gt\.txt:1: expected numbers"):
        read_mot(truth, tmp_path / "img1")


def test_posetrack_tracks(tmp_path: Path) -> None:
    names = ["nose", "head_bottom", "head_top", "left_wrist"]
    content = {
        "categories": [{"keypoints": names}],
        "images": [{"id": 7, "file_name": "clip/000030.jpg", "vid_id": "000012", "frame_id": 7}],
        "annotations": [
            {"image_id": 7, "track_id": 3, "bbox": [10, 20, 30, 60],
             "keypoints": [1, 2, 1, 3, 4, 1, 5, 6, 0, 7, 8, 1]},
            {"image_id": 7, "track_id": 4, "bbox": []},
        ],
    }  # fmt: skip
    path = tmp_path / "val.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    found = read_posetrack(path, tmp_path, fps=30, skeleton=HALPE26)
    assert (found.identities.tolist(), found.cameras.tolist()) == ([3], [12])
    assert found.times_s.tolist() == [1.0]
    known = {HALPE26.keypoint_names[k] for k in np.flatnonzero(found.scores[0])}
    assert known == {"nose", "neck", "left_wrist"}
    np.testing.assert_array_equal(found.keypoints[0, HALPE26.index("neck")], [3, 4])
    content["annotations"][0]["image_id"] = 8  # type: ignore[index]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="PoseTrack"):
        read_posetrack(path, tmp_path)


def test_a_written_folder_reads_back(tmp_path: Path) -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:200, 100:150] = (200, 30, 10)
    joints = np.zeros((len(COCO17), 3), np.float32)
    joints[0] = 120, 110, 0.8
    folder = CropFolder(tmp_path / "clip", COCO17, margin=1.5, largest=100)
    for identity, time_s in ((4, 0.0), (4, 0.5), (4, 0.5), (9, 0.5)):
        seen = Sighting(Path("x"), (100, 100, 150, 200), identity, 2, time_s, joints)
        folder.add(image, seen)
    assert (len(folder), folder.people) == (4, 2)
    folder.close(least=2)
    found = read_market(tmp_path / "clip", HALPE136)
    assert found.identities.tolist() == [4, 4, 4]
    assert found.cameras.tolist() == [2, 2, 2]
    assert found.times_s.tolist() == [0, 0.5, 0.5]
    pixels = cv2.imread(str(found.images[0]))[..., ::-1]
    assert max(pixels.shape[:2]) == 100  # 150 px with the margin, shrunk
    x, y = found.keypoints[0, HALPE136.index("nose")]
    np.testing.assert_allclose([x, y], [(120 - 87) * 100 / 150, (110 - 75) * 100 / 150], atol=0.05)
    x1, y1, x2, y2 = found.boxes[0].round().astype(int)
    inside = pixels[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(inside, [200, 30, 10], atol=8)
    assert found.scores[0].sum() == pytest.approx(0.8)
    with pytest.raises(InputError, match="within"):
        folder.add(image, Sighting(Path("x"), (500, 0, 600, 50)))
    with pytest.raises(InputError, match="clip: expected an empty folder, got one with crops"):
        CropFolder(tmp_path / "clip", COCO17)  # whose numbers are other people's


def figure(at: float, size: float = 80) -> np.ndarray:
    """(K, 3) of HALPE26, an upright figure about column ``at``."""
    rng = np.random.default_rng(7)
    joints = rng.uniform(0.25, 0.75, (len(HALPE26), 3)).astype(np.float32)
    joints[:, :2] = joints[:, :2] * (size / 2, size) + (at - size / 4, 8)
    joints[:, 2] = 1
    return joints


def crowd(folder: Path, people: int, each: int = 1, start: int = 0):
    rows = []
    for person in range(people):
        for number in range(each):
            colour = (40 + 20 * person, 200 - 15 * person, 30 + 10 * number)
            path = picture(folder / f"{start}_{person}_{number}.png", colour)
            rows.append(Sighting(path, (4, 8, 44, 88), start + person, joints=figure(24)))
    return sightings(rows, HALPE26)


def samples(sets, *, seed: int = 0, people: int = 3, views: int = 2) -> ReidSamples:
    return ReidSamples(
        sets, people=people, views=views, augment=ReidAugment(), seed=seed, input_hw=(64, 32)
    )


def test_batches_hold_each_person_once_with_all_views(tmp_path: Path) -> None:
    alone, often = crowd(tmp_path, 5), crowd(tmp_path, 2, each=4, start=50)
    stream = samples([(alone, 0.5), (often, 0.5)], people=4, views=3)
    assert stream.classes == 2
    seen = set()
    for batch in range(6):
        items = [stream[batch * 12 + i] for i in range(12)]
        people = [int(item["identity"]) for item in items]
        assert [people[i] for i in range(0, 12, 3)] == [people[i] for i in range(2, 12, 3)]
        assert len(set(people)) == 4
        for item in items:
            assert int(item["label"]) == (
                int(item["identity"]) - 5 if item["identity"] >= 5 else -1
            )
        seen |= set(people)
    assert seen == set(range(7))


def test_a_sample_depends_on_seed_and_position_alone(tmp_path: Path) -> None:
    people = crowd(tmp_path, 4)
    one, other = samples([(people, 1)]), samples([(people, 1)])
    for position in (17, 3, 17):
        first, second = one[position], other[position]
        assert all(torch.equal(first[key], second[key]) for key in first)
    changed = samples([(people, 1)], seed=1)
    assert not all(torch.equal(changed[i]["image"], one[i]["image"]) for i in range(6))


def test_views_of_a_tracklet_are_different_sightings(tmp_path: Path) -> None:
    stream = samples([(crowd(tmp_path, 2, each=3), 1)], people=2, views=3)
    rows = {stream._row(0, 0, view, np.array([4, 7, 9])) for view in range(3)}
    assert rows == {4, 7, 9}


def test_nobody_to_learn_from(tmp_path: Path) -> None:
    people = crowd(tmp_path, 2)
    with pytest.raises(InputError, match="3 people"):
        samples([(people, 1)])
    with pytest.raises(InputError, match="people in each"):
        samples([(people[[]], 1)])
    with pytest.raises(InputError, match="one skeleton"):
        samples([(people, 1), (sightings([Sighting(Path("a"), identity=1)]), 1)])


def test_instances_are_people_of_their_own() -> None:
    labels = np.array([[2, 0], [1, 1]], np.uint8)
    labels = np.pad(labels, ((0, 0), (0, len(HALPE26) - 2)))
    people = People(
        np.array([0, 0]), np.array([5, 5]), np.ones((2, 4)), np.ones(2),
        np.zeros((2, len(HALPE26), 2)), labels, (Path("a.jpg"),), HALPE26,
    )  # fmt: skip
    found = instances(people)
    assert found.identities.tolist() == [0, 1]
    assert found.scores[:, :2].tolist() == [[1, 0], [1, 1]]


def test_the_second_person_hides_and_is_known() -> None:
    rng = np.random.default_rng(0)
    levels = np.full(len(HALPE26), 255, np.uint8)
    crop = Crop(np.full((96, 48, 3), 80, np.uint8), figure(24)[:, :2], levels)
    other = Crop(np.full((96, 48, 3), 220, np.uint8), figure(24)[:, :2], levels)
    config = ReidAugment(front_probability=1, other_known_probability=1,
                         joint_loss_probability=0, pose_loss_probability=0)  # fmt: skip
    alone = make_view(crop, None, None, HALPE26, config, rng)
    assert not alone.other_scores.any()
    assert (alone.scores > 0.1).all()
    both = [make_view(crop, other, None, HALPE26, config, rng) for _ in range(8)]
    assert all(view.other_scores.any() for view in both)
    assert min(view.scores.min() for view in both) < 0.3  # behind the other
    moved = beside(other, rng)
    assert abs(moved.points.mean(0)[0] - other.points.mean(0)[0]) > 0.15 * 48


def test_over_is_a_weighted_mean() -> None:
    under, above = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 110, np.uint8)
    mask = np.array([[0, 1], [0.5, 0]], np.float32)
    assert over(under, above, mask)[..., 0].tolist() == [[10, 110], [60, 10]]


def test_crops_of_a_batch_carry_both_people(tmp_path: Path) -> None:
    stream = samples([(crowd(tmp_path, 3), 1)])
    items = [stream[i] for i in range(6)]
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    found = crops_of(batch, GuidanceRenderer(HALPE26, (64, 32)), "cpu")
    assert found.shape == (6, 4, 64, 32)
    torch.testing.assert_close(
        (found[:, :3] + 1) * 127.5, batch["image"].permute(0, 3, 1, 2).float(), atol=1e-3, rtol=0
    )


def test_tracklets_are_mined_from_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people, one of them briefly; a third overlaps too much."""
    from alphapose_ros.base.records import Frame, FrameResult, Header, Poses, Tracks, TrackState
    from alphapose_ros.cli import train_reid as command

    class Followed:
        skeleton = HALPE26

        def __init__(self, *_: object) -> None:
            self.resets = 0

        def reset(self) -> None:
            self.resets += 1

        def __call__(self, frame: Frame) -> FrameResult:
            early = frame.stamp_ns < 300_000_000
            boxes = np.array([[10, 10, 40, 90], [60, 10, 90, 90], [62, 10, 92, 90]], np.float32)
            who = np.array([1, 2, 3]) if not early else np.array([1, 2])
            count = len(who)
            poses = Poses(
                np.full((count, 26, 2), 30, np.float32), np.full((count, 26), 0.9, np.float32),
                boxes[:count], np.ones(count, np.float32), np.arange(count), HALPE26,
            )  # fmt: skip
            states = np.full(count, TrackState.TRACKED, np.uint8)
            seconds = np.zeros(count, np.float32)
            tracks = Tracks(
                who, who, poses, states, np.zeros((count, 2)), seconds, seconds, seconds
            )
            return FrameResult(Header("c", "c", frame.stamp_ns, (100, 100)), tracks)

    monkeypatch.setattr(command, "PosePipeline", Followed)
    clip = tmp_path / "lobby"
    for number in range(30):  # a second at 30 frames per second
        picture(clip / f"{number:03d}.png")
        cv2.imwrite(str(clip / f"{number:03d}.png"), np.full((100, 100, 3), 60, np.uint8))
    config = command.TrackletConfig(
        clips=[str(clip)], out=str(tmp_path / "out"), every_s=0.2, min_crops=3, min_height=50
    )
    made = command.mine_tracklets(config)
    found = read_market(made / "lobby", HALPE26)
    assert found.identities.tolist() == [1, 1, 1, 1, 1]
    np.testing.assert_allclose(found.times_s, [0, 0.2, 0.4, 0.6, 0.8], atol=0.04)
    with pytest.raises(InputError, match="clips: expected different names, got"):
        command.mine_tracklets(replace(config, clips=["a/cam.mp4", "b/cam.mp4"]))
    with pytest.raises(ConfigError, match="clips"):
        command.TrackletConfig()


def test_pku_reids_names_are_read(tmp_path: Path) -> None:
    for name in ("002_1_3.png", "002_2_8.png", "0000_000_01_0303morning_0015_0.jpg"):
        picture(tmp_path / name)
    found = read_market(tmp_path)
    assert found.identities.tolist() == [2, 2]
    assert found.cameras.tolist() == [1, 2]


def test_formats_are_told_by_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("read_market", "read_posetrack", "read_mot", "read_crop_list"):
        monkeypatch.setattr(reid_sets, name, lambda *_, name=name, **__: asked.append(name))
    for text in ("crops", "a.json@images", "gt.txt@img1", "list_train.txt@train"):
        reid_sets.read_identities(text)
    assert asked == ["read_market", "read_posetrack", "read_mot", "read_crop_list"]


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    try:
        folder = CropFolder(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")), COCO17)
    except OSError:
        pytest.skip("NAMES NOT CHECKED: this file system takes text alone")
    image = np.full((60, 40, 3), (200, 30, 10), np.uint8)
    made = folder.add(image, Sighting(Path("cam"), (5, 5, 35, 55), 3))
    np.testing.assert_allclose(read_image(made)[20, 15], image[0, 0], atol=4)


def test_a_crop_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = CropFolder(tmp_path / "crops", COCO17)
    (tmp_path / "crops").rmdir()
    with pytest.raises(InputError, match="cannot be written"):
        folder.add(np.zeros((60, 40, 3), np.uint8), Sighting(Path("cam"), (5, 5, 35, 55), 3))
