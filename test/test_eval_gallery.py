# SPDX-License-Identifier: Apache-2.0
"""The gallery shows the worst people first, both poses where they are, and needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.people import People
from alphapose_ros.eval.gallery import draw_person, person_scores, write_gallery
from alphapose_ros.eval.gallery_page import Person, Section, page
from alphapose_ros.eval.pose import Estimates


def found_in(folder: Path, offsets: list[float], name: str = "grey.png") -> Estimates:
    """A person per offset, all in one image, answered with all joints moved to the right."""
    cv2.imwrite(str(folder / name), np.full((300, 400, 3), 128, np.uint8))
    n = len(offsets)
    rng = np.random.default_rng(0)
    keypoints = np.array([100, 60]) + rng.uniform(0, 1, (1, 136, 2)) * (80, 160)
    keypoints = np.repeat(keypoints, n, 0).astype(np.float32)
    labels = np.zeros((n, 136), np.uint8)
    labels[:, :17], labels[:, 26:94] = 2, 1
    people = People(
        np.zeros(n, np.int64), np.full(n, 7), np.tile(np.array([[100, 60, 180, 220]]), (n, 1)),
        np.full(n, 8000.0), keypoints, labels, (folder / name,), HALPE136,
    )  # fmt: skip
    moved = keypoints + np.array(offsets, np.float32).reshape(-1, 1, 1) * np.array([1, 0])
    scores = np.full((n, 136), 0.1, np.float32)  # only joints that the truth has are drawn
    return Estimates(people, moved.astype(np.float32), scores, np.full(n, 0.5, np.float32))


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [str(v) for k, v in attrs if k in ("href", "src")]
        self.ids += [str(v) for k, v in attrs if k == "id"]


def test_the_worst_come_first_with_their_numbers(tmp_path: Path) -> None:
    found = found_in(tmp_path, [1, 30, 0, 10, 5])
    target = write_gallery(found, tmp_path / "out", worst=3, measured_on="val: 5 <people>")
    text = target.read_text(encoding="utf-8")
    body = text[text.index('<section id="body"') : text.index('<section id="face"')]
    assert re.findall(r'src="body_(\d+)\.jpg"', body) == ["00001", "00003", "00004"]
    values = [float(v) for v in re.findall(r"\d\. OKS ([\d.]+)", body)]
    scores = person_scores(found)
    np.testing.assert_allclose(values, scores["body"].oks[[1, 3, 4]], atol=5e-4)
    assert "3 shown of 5 people, annotated joints" in body
    assert "annotated and pseudo labels" in text[text.index('<section id="face"') :]
    assert "val: 5 &lt;people&gt;" in text
    assert "17 joints annotated, 68 derived or pseudo" in body
    assert "80 × 160 px" in body


def test_the_page_needs_only_the_pictures_beside_it(tmp_path: Path) -> None:
    target = write_gallery(found_in(tmp_path, [1, 30]), tmp_path / "out")
    links = Links(target.read_text(encoding="utf-8"))
    assert "script" not in links.tags
    anchors = [t[1:] for t in links.targets if t.startswith("#")]
    assert anchors == links.ids == ["body", "face", "whole"][: len(anchors)]
    pictures = [t for t in links.targets if not t.startswith("#")]
    assert sorted(set(pictures)) == sorted(p.name for p in target.parent.glob("*.jpg"))
    for name in pictures:
        assert cv2.imread(str(target.parent / name)) is not None


def test_a_file_name_cannot_break_the_page(tmp_path: Path) -> None:
    found = found_in(tmp_path, [4], name="a&b'c.png")
    text = write_gallery(found, tmp_path / "out").read_text(encoding="utf-8")
    assert "a&amp;b&#x27;c.png" in text
    evil = Person(0, 'x".jpg', "<b>", 1, (2, 3), 0.5, 17, 0, {"body": 0.1})
    text = page([Section("body", False, 1, 0.1, [evil])], "<script>")
    assert "<b>" not in text
    assert "<script>" not in text


def test_both_poses_are_drawn_where_they_are(tmp_path: Path) -> None:
    found = found_in(tmp_path, [30])
    picture = draw_person(found, 0).astype(int)
    middle = (picture.shape[1] - 6) // 2
    assert (picture[:, middle : middle + 6] == 255).all()
    left, right = picture[:, :middle], picture[:, middle + 6 :]
    scale = 360 / 208  # the box is 160 px high and has a margin of 24 on either side
    assert picture.shape[0] == 360
    centers = []
    for half in (left, right):
        drawn = np.abs(half - 128).max(-1) > 60
        drawn[:, : round(20 * scale)] = False
        xs = np.flatnonzero(drawn.any(0))
        centers.append((xs.min() + xs.max()) / 2)
    # The corners of the box stay, so that the extent moves by less than the pose does.
    assert 5 < centers[1] - centers[0] <= 30 * scale + 1
    same = draw_person(found_in(tmp_path, [0]), 0)
    np.testing.assert_array_equal(same[:, :middle], same[:, middle + 6 :])


def test_a_face_is_shown_from_near(tmp_path: Path) -> None:
    found = found_in(tmp_path, [3])
    keypoints = found.people.keypoints.copy()
    face = HALPE136.parts["face"]
    keypoints[:, face] = keypoints[:, face] / 4 + 90
    people = People(
        found.people.image_rows, found.people.image_ids, found.people.boxes, found.people.areas,
        keypoints, found.people.labels, found.people.images, HALPE136,
    )  # fmt: skip
    near = Estimates(people, keypoints + np.float32(1), found.scores, found.person_scores)
    assert draw_person(near, 0, "face").shape[0] == 360
    assert (draw_person(near, 0, "face").shape != draw_person(near, 0, "body").shape) or (
        draw_person(near, 0, "face") != draw_person(near, 0, "body")
    ).any()


def test_people_far_outside_the_image_can_be_drawn(tmp_path: Path) -> None:
    found = found_in(tmp_path, [1e5])
    assert draw_person(found, 0, "face").shape[2] == 3
    outside = found.people.keypoints - 900
    people = People(
        found.people.image_rows, found.people.image_ids, found.people.boxes - 900,
        found.people.areas, outside, found.people.labels, found.people.images, HALPE136,
    )  # fmt: skip
    picture = draw_person(Estimates(people, outside, found.scores, found.person_scores), 0)
    assert min(picture.shape) > 0


def test_scores_are_of_the_parts_that_somebody_has(tmp_path: Path) -> None:
    found = found_in(tmp_path, [0, 5])
    labels = found.people.labels.copy()
    labels[1, 26:94] = 0
    people = People(
        found.people.image_rows, found.people.image_ids, found.people.boxes, found.people.areas,
        found.people.keypoints, labels, found.people.images, HALPE136,
    )  # fmt: skip
    scores = person_scores(Estimates(people, found.keypoints, found.scores, found.person_scores))
    assert list(scores) == ["body", "face"]  # the whole is the body: no face is annotated
    assert scores["face"].oks[0] == pytest.approx(1)
    assert np.isnan(scores["face"].oks[1])
    assert scores["face"].pseudo
    assert not scores["body"].pseudo


def test_people_with_few_joints_are_counted_but_not_shown(tmp_path: Path) -> None:
    found = found_in(tmp_path, [30, 5])
    found.people.labels[0, 3:17] = 0
    text = write_gallery(found, tmp_path / "out").read_text(encoding="utf-8")
    body = text[text.index('<section id="body"') : text.index('<section id="face"')]
    assert re.findall(r'src="body_(\d+)\.jpg"', body) == ["00001"]
    assert "1 shown of 2 people" in body


def test_nobody_makes_a_page_that_says_so(tmp_path: Path) -> None:
    text = write_gallery(found_in(tmp_path, []), tmp_path / "out").read_text(encoding="utf-8")
    assert "there is nothing to show" in text
    assert not list((tmp_path / "out").glob("*.jpg"))


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot write the gallery"):
        write_gallery(found_in(tmp_path, [1]), tmp_path / "out")
