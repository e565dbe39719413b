# SPDX-License-Identifier: Apache-2.0
"""300-W's .pts files beside images: 68 points that start at one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_scenes import save
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.data.people import People
from alphapose_ros.data.points import read_pts
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.data.readers import read_set


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def at(people: People, row: int, name: str) -> list[float]:
    """x, y and label of a joint."""
    k = people.skeleton.index(name)
    return [*people.keypoints[row, k].tolist(), float(people.labels[row, k])]


def pts_text(points: NDArray[Any]) -> str:
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    return f"version: 1\nn_points:  {len(points)}\n{{\n{lines}\n}}\n"


def face_points() -> NDArray[np.float64]:
    """The first point on MATLAB's first pixel."""
    return np.column_stack([1 + np.arange(68) * 0.5, 1 + np.arange(68) % 20])


def test_a_training_reads_a_folder_of_faces(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    points = np.random.default_rng(2).uniform(10, 50, (68, 2))
    (tmp_path / "a.pts").write_text(pts_text(points + 1))
    people = SetSpec.parse(f"{tmp_path}@{tmp_path}=0.5").read(HALPE136)
    face = people.keypoints[0, HALPE136.parts["face"]]
    np.testing.assert_allclose(face, points, atol=1e-3)


def test_faces_beside_images_start_at_one(tmp_path: Path) -> None:
    for name in ("indoor/a.png", "outdoor/b.jpg"):
        picture(tmp_path / name)
        (tmp_path / name).with_suffix(".pts").write_text(pts_text(face_points()))
    people = read_set(tmp_path, tmp_path)
    assert [p.name for p in people.images] == ["a.png", "b.jpg"]
    face = HALPE136.parts["face"]
    np.testing.assert_allclose(people.keypoints[1, face], face_points() - 1, atol=1e-4)
    assert at(people, 0, "face_0") == [0, 0, 2]
    assert people.labels.sum() == 2 * 2 * 68
    np.testing.assert_allclose(people.boxes[0], [0, 0, 33.5, 19], atol=1e-4)
    with pytest.raises(ConfigError, match="expected joints of 'coco17'"):
        read_set(tmp_path, tmp_path, COCO17)


def test_broken_faces_are_counted(tmp_path: Path) -> None:
    texts = {
        "a": pts_text(face_points()),
        "b": pts_text(face_points()[:-1]),
        "c": "",
        "d": pts_text(face_points()).replace("}", ""),
        "e": pts_text(face_points()).replace("1.000 1.000", "1.000"),
        "f": pts_text(np.ones((68, 2))),
        "g": pts_text(face_points()),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.pts").write_text(text)
        if name != "g":
            picture(tmp_path / f"{name}.jpg")
    people = read_set(tmp_path, tmp_path, format="pts")
    assert len(people) == 1
    assert people.problems == {"missing image": 1, "broken annotation": 5}
    for name in "bcdef":
        with pytest.raises(InputError, match=rf"{name}\.pts: expected 68"):
            read_pts(tmp_path / f"{name}.pts")
    for name in "ag":
        (tmp_path / f"{name}.pts").unlink()
    with pytest.raises(InputError, match=r"no \.pts file can be used"):
        read_set(tmp_path, tmp_path)
