# SPDX-License-Identifier: Apache-2.0
"""Training samples: points stay on their pixels, sample p is a function of (seed, p) alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from coco_scenes import coco_file, flat, person
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.data.augment import AugmentConfig, Crop, crop_person, halves
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.degrade import degrade
from alphapose_ros.data.faces import Face, eyes_of, face_labelled, paste_face
from alphapose_ros.data.people import People, read_people
from alphapose_ros.data.pose_samples import PoseSamples, SetSpec, trusted

STILL = replace(AugmentConfig().scaled(0), flip_probability=0, face_probability=0)
DOTS = {"left_shoulder": (255, 0, 0), "right_shoulder": (0, 255, 0), "nose": (0, 0, 255),
        "left_heel": (255, 255, 0), "right_ankle": (255, 0, 255)}  # fmt: skip


def dotted() -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """An image with a soft coloured dot at five joints."""
    places = [(250, 160), (150, 170), (201, 90), (240, 330), (160, 340)]
    image = np.zeros((400, 400, 3), np.float32)
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    ys, xs = np.mgrid[:400, :400]
    for (name, colour), (x, y) in zip(DOTS.items(), places, strict=True):
        blob = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 4.0**2))
        image += blob[..., None] * np.array(colour)
        points[HALPE136.index(name)] = x, y
        labels[HALPE136.index(name)] = 2
    return image.clip(0, 255).astype(np.uint8), points, labels


def found_dot(crop: Crop, colour: tuple[int, int, int]) -> NDArray[np.floating]:
    """Where a colour is strongest: the centroid around its peak."""
    lit = np.array(colour) > 0
    pixels = crop.image.astype(np.float64)
    match = pixels[..., lit].min(2) - pixels[..., ~lit].max(2)
    match = np.where(match > 0.3 * match.max(), match, 0)
    ys, xs = np.mgrid[: match.shape[0], : match.shape[1]]
    return np.array([(xs * match).sum(), (ys * match).sum()]) / match.sum()


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_points_follow_their_pixels(flip: float, rotation: float) -> None:
    image, points, labels = dotted()
    before = image.copy(), points.copy(), labels.copy()
    config = AugmentConfig(flip, rotation, 1.0, scale=0.3, shift=0.04, half_body_probability=0)
    box = np.array([110, 40, 290, 380], np.float32)
    seen = 0
    for seed in range(12):
        crop = crop_person(
            image, box, points, labels, HALPE136, config, np.random.default_rng(seed)
        )
        assert crop.image.shape == (256, 192, 3)
        for name, colour in DOTS.items():
            # Mirrored, the person's left shoulder is seen as a right one.
            side = {"left": "right", "right": "left"} if flip else {}
            head, _, rest = name.partition("_")
            joint = HALPE136.index("_".join([side.get(head, head), rest]) if rest else name)
            assert crop.labels[joint] == 2
            x, y = crop.points[joint]
            if 12 < x < 180 and 12 < y < 244:
                seen += 1
                assert np.linalg.norm(found_dot(crop, colour) - (x, y)) < 0.5, name
        assert (crop.labels > 0).sum() == len(DOTS)
    assert seen > 40
    for old, new in zip(before, (image, points, labels), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_mirrored_crop_is_the_mirror_image() -> None:
    image, points, labels = dotted()
    box = np.array([110, 40, 290, 380], np.float32)

    def cut(flip: float) -> Crop:
        config = replace(STILL, flip_probability=flip)
        rng = np.random.default_rng(0)
        return crop_person(image, box, points, labels, HALPE136, config, rng)

    plain, mirrored = cut(0), cut(1)
    difference = plain.image[:, ::-1].astype(int) - mirrored.image
    assert np.abs(difference).max() <= 8  # positions are rounded to a 32nd of a pixel
    swapped = plain.points[HALPE136.flip_permutation]
    np.testing.assert_allclose(mirrored.points[:, 0], 191 - swapped[:, 0], atol=1e-3)
    np.testing.assert_allclose(mirrored.points[:, 1], swapped[:, 1], atol=1e-3)


def test_half_bodies_are_of_people_with_many_joints_only() -> None:
    image, points, labels = dotted()
    box = np.array([110, 40, 290, 380], np.float32)
    config = replace(STILL, half_body_probability=1.0)

    def extent(labels: NDArray[np.uint8], seed: int) -> float:
        rng = np.random.default_rng(seed)
        crop = crop_person(image, box, points, labels, HALPE136, config, rng)
        return float(np.linalg.norm(crop.points[5] - crop.points[6]))

    assert len({round(extent(labels, seed), 3) for seed in range(8)}) == 1
    points[:11] = np.random.default_rng(0).uniform((150, 90), (250, 170), (11, 2))
    points[11:17] = np.random.default_rng(1).uniform((160, 300), (240, 340), (6, 2))
    labels[:17] = 2
    sizes = {round(extent(labels, seed), 3) for seed in range(12)}
    assert len(sizes) == 2  # the upper or the lower body


def test_upper_halves_have_face_and_hands_and_lower_ones_feet() -> None:
    upper, lower = halves(HALPE136)
    assert (upper ^ lower).all()
    for name in ("face", "left_hand", "right_hand"):
        assert upper[HALPE136.parts[name]].all()
    assert lower[HALPE136.parts["feet"]].all()
    wanted = "left_hip right_hip left_knee right_knee left_ankle right_ankle pelvis".split()
    body = HALPE136.parts["body"]
    names = np.array(HALPE136.keypoint_names)[body]
    assert sorted(names[lower[body]]) == sorted(wanted)


@pytest.mark.parametrize(("half", "part"), [(0, "right_hand"), (1, "feet")])
def test_half_bodies_of_whole_bodies_hold_all_parts_of_their_half(half: int, part: str) -> None:
    """A window around the body joints alone would cut the part off."""
    image, points, labels = dotted()
    rng = np.random.default_rng(2)
    points[:17] = rng.uniform((150, 90), (250, 170), (17, 2))
    points[11:17] = rng.uniform((160, 300), (240, 340), (6, 2))
    points[HALPE136.parts["feet"]] = rng.uniform((160, 385), (240, 395), (6, 2))
    points[HALPE136.parts["right_hand"]] = rng.uniform((30, 100), (40, 140), (21, 2))
    labels[:] = 0
    for known in (slice(0, 17), HALPE136.parts["feet"], HALPE136.parts["right_hand"]):
        labels[known] = 2
    config = replace(STILL, half_body_probability=1.0)
    box = np.array([20, 40, 290, 399], np.float32)
    mine = halves(HALPE136)[half] & (labels > 0)
    seen = 0
    for seed in range(12):
        crop = crop_person(
            image, box, points, labels, HALPE136, config, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(crop.labels, labels)  # those outside stay labelled, outside
        inside = ((crop.points >= 0) & (crop.points < (192, 256))).all(1)
        if inside[mine].all() and not inside[labels > 0].all():
            seen += 1
            assert inside[HALPE136.parts[part]].all()
            assert np.ptp(crop.points[mine], 0).max() > 100  # it fills the crop
    assert seen >= 2


def test_strength_scales_what_distorts() -> None:
    config = AugmentConfig().scaled(0.5)
    assert config.rotation_deg == 12.5
    assert config.blur_probability == AugmentConfig().blur_probability / 2
    assert config.flip_probability == 0.5
    assert AugmentConfig().scaled(100).occlusion_probability == 1


@pytest.mark.parametrize("name", ["flip_probability", "scale", "jpeg_probability"])
def test_impossible_strengths_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"augment\.{name}: expected a number"):
        replace(AugmentConfig(), **{name: -0.1})
    with pytest.raises(ConfigError, match=r"expected 0 beside augment\.proposals"):
        AugmentConfig(proposals="a.json", dpg_probability=0.5)


def test_colour_and_occlusion_leave_geometry_and_input_alone(rng: np.random.Generator) -> None:
    image = dotted()[0][100:356, 100:292]
    before = image.copy()
    assert np.array_equal(degrade(image, STILL, np.random.default_rng(1)), image)
    outputs = [degrade(image, AugmentConfig(), rng) for _ in range(20)]
    assert all(out.shape == image.shape and out.dtype == np.uint8 for out in outputs)
    assert len({out.tobytes() for out in outputs}) == 20
    np.testing.assert_array_equal(image, before)


def landmarks() -> NDArray[np.float32]:
    """A schematic face of 68 points in a 100 x 100 image; the eyes are rings of six points."""
    angle = np.linspace(0, np.pi, 17)
    points = np.full((68, 2), 50, np.float32)
    points[:17] = np.stack([50 - 40 * np.cos(angle), 45 + 45 * np.sin(angle)], 1)
    points[17:27] = np.stack([np.linspace(15, 85, 10), np.full(10, 25)], 1)
    ring = np.stack([np.cos(np.arange(6)), np.sin(np.arange(6))], 1)
    ring = 6 * (ring - ring.mean(0))
    points[36:42] = ring + np.array([30, 40])
    points[42:48] = ring + np.array([70, 40])
    points[48:] = np.stack([np.linspace(35, 65, 20), np.full(20, 75)], 1)
    return points


def head(right: tuple[float, float], left: tuple[float, float]) -> Crop:
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    points[2], points[1] = right, left
    points[0] = (points[1] + points[2]) / 2 + (0, 8)
    labels[:3] = 2
    grey = np.random.default_rng(0).integers(90, 160, (256, 192, 3), dtype=np.uint8)
    return Crop(grey, points, labels)


@pytest.mark.parametrize(
    ("right", "left"), [((80, 60), (110, 60)), ((80, 60), (105, 80)), ((60, 120), (130, 115))]
)
def test_a_pasted_face_has_its_eyes_on_the_persons_eyes(right, left) -> None:
    crop = head(right, left)
    eyes = eyes_of(HALPE136, crop)
    assert eyes is not None
    face = np.full((100, 100, 3), 120, np.uint8)
    for place in ((30, 40), (70, 40)):
        cv2.circle(face, place, 6, (250, 20, 20), -1)
    everything = np.full(68, 2, np.uint8)
    out = paste_face(crop, eyes, Face(face, landmarks(), everything), HALPE136)
    part = HALPE136.parts["face"]
    pasted = out.points[part]
    np.testing.assert_allclose(pasted[36:42].mean(0), right, atol=1e-3)
    np.testing.assert_allclose(pasted[42:48].mean(0), left, atol=1e-3)
    assert (out.labels[part] == 2).all()
    np.testing.assert_array_equal(out.points[:26], crop.points[:26])
    assert (crop.labels[part] == 0).all()  # the crop that came in is as it was
    for x, y in (right, left):
        red, green, _ = out.image[y, x].astype(int)
        assert red > green + 40  # the pixels went where the points went
    chin = pasted[8]
    mouth = np.asarray((right, left), float).mean(0)
    assert np.linalg.norm(chin - mouth) > 0.8 * np.linalg.norm(np.subtract(left, right))
    far = np.s_[235:, :]
    np.testing.assert_array_equal(out.image[far], crop.image[far])


def test_points_that_a_face_lacks_are_not_labelled() -> None:
    crop, part = head((80, 60), (110, 60)), HALPE136.parts["face"]
    eyes = eyes_of(HALPE136, crop)
    assert eyes is not None
    points, labels = landmarks(), np.ones(68, np.uint8)
    labels[:17] = points[:17] = 0  # no jaw
    face = np.full((100, 100, 3), 250, np.uint8)
    out = paste_face(crop, eyes, Face(face, points, labels), HALPE136)
    assert out.labels[part].tolist() == [0] * 17 + [2] * 51
    assert (out.points[part][:17] == 0).all()
    whole = paste_face(crop, eyes, Face(face, landmarks(), labels), HALPE136)
    np.testing.assert_array_equal(out.image, whole.image)  # its place is that of known points
    np.testing.assert_array_equal(out.points, whole.points)


def test_a_face_is_placed_by_its_eyes() -> None:
    everything = np.full(68, 2, np.uint8)
    assert face_labelled(landmarks(), everything)
    for point in (36, 41, 42, 47):
        lacking = everything.copy()
        lacking[point] = 0
        assert not face_labelled(landmarks(), lacking)
    assert not face_labelled(landmarks() / 10, everything)  # too small to tell
    assert not face_labelled(np.zeros((68, 2), np.float32), np.zeros(68, np.uint8))


def test_people_without_a_face_give_none(tmp_path: Path) -> None:
    people = read_people(coco_file(tmp_path, [person(flat(COCO17))]), tmp_path)
    config = replace(AugmentConfig(), face_probability=1.0)
    stream = PoseSamples([(people, 1.0)], people, config, seed=0)
    part = HALPE136.parts["face"]
    for position in range(20):
        crop = head((80, 60), (110, 60))
        assert stream._with_face(crop, np.random.default_rng(position)) is crop
        assert not stream[position]["labels"][part].any()


def test_a_head_seen_from_the_side_or_behind_takes_no_face() -> None:
    assert eyes_of(HALPE136, head((80, 60), (83, 60))) is None  # too small to tell
    profile = head((80, 60), (110, 60))
    profile.points[0] = 125, 70
    assert eyes_of(HALPE136, profile) is None
    for joint in (0, 1, 2):
        guessed = head((80, 60), (110, 60))
        guessed.labels[joint] = 1
        assert eyes_of(HALPE136, guessed) is None


def samples(folder: Path, seed: int = 0, faces: bool = True) -> PoseSamples:
    body = coco_file(folder, [person(flat(HALPE136)), person(flat(COCO17))])
    other = coco_file(folder, [person(flat(HALPE136, label=1))], "other.json")
    sets = [(read_people(body, folder), 3.0), (read_people(other, folder), 1.0)]
    pasted = read_people(body, folder) if faces else None
    return PoseSamples(sets, pasted, AugmentConfig(), seed=seed)


def test_a_sample_is_a_function_of_seed_and_position_alone(tmp_path: Path) -> None:
    first, second, other = samples(tmp_path), samples(tmp_path), samples(tmp_path, seed=1)
    order = [0, 5, 3, 12345678901, 1, 2]
    again = {position: second[position] for position in reversed(order)}
    for position in order:
        one = first[position]
        assert one["image"].shape == (256, 192, 3)
        assert one["image"].dtype == torch.uint8
        assert one["points"].dtype == torch.float32
        assert one["labels"].dtype == torch.uint8
        assert all(torch.equal(one[key], again[position][key]) for key in one)
        assert not torch.equal(one["image"], other[position]["image"])
    assert not torch.equal(first[0]["image"], first[1]["image"])


def test_images_may_come_from_elsewhere_and_are_only_read(tmp_path: Path) -> None:
    stream = samples(tmp_path)
    kept = read_image(tmp_path / "a.png")
    kept.setflags(write=False)
    seen: list[str] = []

    def read(path: Path) -> NDArray[np.uint8]:
        seen.append(path.name)
        return kept

    people = read_people(tmp_path / "set.json", tmp_path)
    other = read_people(tmp_path / "other.json", tmp_path)
    sets = [(people, 3.0), (other, 1.0)]
    again = PoseSamples(sets, people, AugmentConfig(), seed=0, read=read)
    for position in range(6):
        one, two = stream[position], again[position]
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert seen.count("a.png") == len(seen) >= 6


def test_sets_are_mixed_by_their_ratio(tmp_path: Path) -> None:
    stream = samples(tmp_path, faces=False)
    pseudo = sum(bool((stream[p]["labels"] == 1).any()) for p in range(200))
    assert 30 < pseudo < 72  # a quarter of 200, four standard deviations


def test_a_set_without_people_is_refused(tmp_path: Path) -> None:
    some = read_people(coco_file(tmp_path, [person(flat(COCO17))]), tmp_path)
    nobody = read_people(coco_file(tmp_path, []), tmp_path)
    for sets, faces in (([], None), ([(nobody, 1.0)], None), ([(some, 1.0)], nobody)):
        with pytest.raises(InputError, match="training sets"):
            PoseSamples(sets, faces, STILL, seed=0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("a.json@b=2.5", ("a.json", "b", 2.5)), ("a.json@b/c", ("a.json", "b/c", 1))],
)
def test_data_sets_are_written_in_one_word(text: str, wanted: tuple[str, str, float]) -> None:
    assert SetSpec.parse(text) == SetSpec(Path(wanted[0]), Path(wanted[1]), wanted[2])


@pytest.mark.parametrize(
    "text",
    ["", "a.json", "a.json=1", "@b", "a@", "a@b=0", "a@b=-1", "a@b=x", "a@b=nan", "a@b=inf"],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected ANNOTATIONS@IMAGES=RATIO"):
        SetSpec.parse(text)


def test_doubtful_labels_are_left_out_of_training(tmp_path: Path) -> None:
    one_joint = [0.0] * 48 + [5, 5, 2]
    rows = [
        person(flat(COCO17), lr_suspect=True),
        person(flat(COCO17), teacher_oks=0.1),
        person(one_joint),
        person(flat(COCO17), teacher_oks=0.9, lr_suspect=False),
    ]
    assert [trusted(row) for row in rows] == [False, False, False, True]
    spec = SetSpec(coco_file(tmp_path, rows), tmp_path, 1.0)
    assert len(spec.read(HALPE136)) == 1


def test_real_annotations_are_read(shared: Path) -> None:
    folder = shared / "data" / "coco_person"
    if not folder.is_dir():
        pytest.skip(f"NOT TESTED: no data at {folder}")
    people = read_people(folder / "val.json", folder / "images")
    assert len(people) == 744
    assert (people.labels[:, :17] == 2).sum() == 7789
    assert not people.labels[:, HALPE136.parts["feet"]].any()
    assert "missing image" not in people.problems
    assert isinstance(people, People)
    stream = PoseSamples([(people, 1.0)], None, AugmentConfig(), seed=0)
    assert stream[3]["image"].shape == (256, 192, 3)
