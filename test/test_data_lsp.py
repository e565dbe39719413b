# SPDX-License-Identifier: Apache-2.0
"""Leeds Sports Pose: both layouts of joints.mat, and files that are something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coco_scenes import save

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.data.lsp import read_lsp
from alphapose_ros.data.people import People
from alphapose_ros.data.readers import read_set, seen_format


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def at(people: People, row: int, name: str) -> list[float]:
    """x, y and label of a joint."""
    k = people.skeleton.index(name)
    return [*people.keypoints[row, k].tolist(), float(people.labels[row, k])]


_LSP = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow "
    "right_shoulder left_shoulder left_elbow left_wrist neck head_top"
).split()


def lsp_set(folder: Path, extended: bool, count: int = 3) -> Path:
    """Joint j of person n (from 1) at (10 n + j, 5 j + n); the flag is 0 for the first joint."""
    scipy_io = pytest.importorskip("scipy.io")
    joints = np.zeros((3, 14, count))
    for n in range(count):
        joints[0, :, n] = 10 * (n + 1) + np.arange(14)
        joints[1, :, n] = 5 * np.arange(14) + n + 1
        joints[2, 1:, n] = 1
        picture(folder / (f"im{n + 1:05d}.jpg" if extended else f"im{n + 1:04d}.jpg"))
    folder.mkdir(exist_ok=True)
    scipy_io.savemat(
        str(folder / "joints.mat"), {"joints": joints.transpose(1, 0, 2) if extended else joints}
    )
    return folder / "joints.mat"


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_lsp(tmp_path: Path, extended: bool, count: int) -> None:
    path = lsp_set(tmp_path, extended, count)
    assert seen_format(path) == "lsp"
    people = read_set(path, tmp_path)
    assert people.image_ids.tolist() == list(range(1, count + 1))
    assert (people.labels.sum(1) == (26 if extended else 28)).all()
    for j, name in enumerate(_LSP):
        for row in range(count):
            seen = j > 0 or not extended  # LSP's flag says hidden, its place counts
            expected = [10 * (row + 1) + j, 5 * j + row + 1, 2] if seen else [0, 0, 0]
            assert at(people, row, name) == expected
    first = people.keypoints[0][people.labels[0] > 0]
    low, high = first.min(0), first.max(0)
    margin = 0.1 * (high - low).max()
    np.testing.assert_allclose(people.boxes[0], [*(low - margin), *(high + margin)], rtol=1e-5)


def test_lsp_without_some_images_or_joints(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    path = lsp_set(tmp_path, extended=True)
    joints = scipy_io.loadmat(str(path))["joints"]
    joints[2:, 2, 0] = 0  # a single joint
    joints[3, 0, 2] = np.nan
    scipy_io.savemat(str(path), {"joints": joints})
    (tmp_path / "im00002.jpg").write_bytes(b"")
    people = read_set(path, tmp_path, COCO17)
    assert people.image_ids.tolist() == [3]
    assert people.problems == {"unreadable image": 1, "fewer than two joints": 1}
    assert at(people, 0, "left_hip") == [0, 0, 0]
    with pytest.raises(InputError, match="found none of them"):
        read_set(path, tmp_path / "elsewhere")


def test_other_mat_files_are_refused(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    path = tmp_path / "joints.mat"
    scipy_io.savemat(str(path), {"joints": np.zeros((2, 14, 3))})
    with pytest.raises(InputError, match=r"joints\.mat: joints: expected shape \(3, 14, N\)"):
        read_set(path, tmp_path)
    scipy_io.savemat(str(path), {"points": np.zeros(3)})
    with pytest.raises(InputError, match=r"joints\.mat: expected a variable 'joints'"):
        read_set(path, tmp_path)
    for data in (b"", b"MATLAB 5.0", b"nonsense " * 40):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"joints\.mat: expected a MATLAB file"):
            read_set(path, tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_mat_files_are_refused_by_name(
    tmp_path: Path, rng: np.random.Generator, packed: bool
) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    path = tmp_path / "joints.mat"
    joints = rng.random((14, 3, 20))
    scipy_io.savemat(str(path), {"joints": joints}, do_compression=packed)
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 97):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"joints\.mat: expected"):
            read_lsp(path, tmp_path)
