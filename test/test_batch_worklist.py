# SPDX-License-Identifier: Apache-2.0
"""Which recordings the inputs of a batch name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.batch.worklist import Recording, find_recordings


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings of every kind, and what is none."""
    for name in (
        "a/clip10.mp4", "a/clip2.MP4", "a/notes.md", "a/.hidden.mp4", "a/.cache/x.mp4",
        "bags/one.mcap", "bags/split/metadata.yaml", "bags/split/split_0.mcap",
        "bags/split/split_1.mcap", "b/clip2.mp4", "photos/1.png", "photos/2.jpg",
        "poses/batch.json", "poses/clip2-0/poses.mcap",
    ):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    monkeypatch.chdir(tmp_path / "in")
    return tmp_path / "in"


def found(*inputs: str) -> list[str]:
    return [os.path.relpath(each.path) for each in find_recordings(inputs)]


def test_a_folder_is_searched_without_results_and_hidden_files(tree: Path) -> None:
    assert found(".") == [
        "a/clip2.MP4", "a/clip10.mp4", "b/clip2.mp4", "bags/one.mcap", "bags/split",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["a/clip10.mp4", "a/clip10.mp4", "./a"], ["a/clip2.MP4", "a/clip10.mp4"]),
        (["bags/split"], ["bags/split"]),
        (["photos"], ["photos"]),
        (["*/clip2.*"], ["a/clip2.MP4", "b/clip2.mp4"]),
        (["**/*.mcap"], ["bags/one.mcap"]),
        (["bags/*"], ["bags/one.mcap", "bags/split"]),
        (["a/*"], ["a/clip2.MP4", "a/clip10.mp4"]),
        (["phot*"], ["photos"]),
        (["a/notes.md"], ["a/notes.md"]),  # named itself: reading it will say what it is
    ],
)
def test_what_inputs_name(tree: Path, inputs: list[str], expected: list[str]) -> None:
    assert found(*inputs) == expected


def test_a_list_names_recordings_beside_itself(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a" / "night.txt").write_text("# of Tuesday\nclip10.mp4\n\n../bags\n*.MP4\n")
    assert found("a/night.txt") == [
        "a/clip2.MP4", "a/clip10.mp4", "bags/one.mcap", "bags/split",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere.mp4", "nowhere.mp4: no such file or folder"),
        ("0", "0: expected recordings, a live source"),
        ("rtsp://camera/1", "expected recordings, a live source"),
        ("*.mkv", "nothing matches the pattern"),
        ("*/notes.md", "no bag or video in"),
        ("poses", "poses: no bag or video in it or below it"),
    ],
)
def test_what_is_no_recording_is_refused(tree: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("*", r"\*")):
        find_recordings([text])


def test_a_list_that_is_none_is_refused(tree: Path) -> None:
    (tree / "night.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a list of paths"):
        find_recordings(["night.txt"])


def test_names_are_readable_and_of_one_path_alone(tree: Path) -> None:
    names = {each.path: each.name for each in find_recordings(["."])}
    assert len(set(names.values())) == len(names) == 5
    assert names[str(tree / "a/clip2.MP4")].startswith("clip2-")
    alone = find_recordings(["b"])[0]
    assert names[alone.path] == alone.name  # whatever else the batch holds
    odd = tree / "ein Würfel (2).mp4"
    odd.touch()
    assert Recording.at(odd).name.startswith("ein_W_rfel_2-")


@pytest.mark.parametrize("name", ["photos", "bags/split"])
def test_results_inside_a_recording_are_none_of_it(tree: Path, name: str) -> None:
    before = find_recordings([name])
    for inner in ("poses/batch.json", "poses/one-0/people.parquet", ".cache/x", ".DS_Store"):
        path = tree / name / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert find_recordings([name]) == before
    (tree / name / "new").mkdir()
    (tree / name / "new" / "3.png").write_bytes(b"xyz")
    assert Recording.at(tree / name).size == before[0].size + 3


def test_links_lead_to_each_recording_once(tree: Path) -> None:
    plain = found(".")
    (tree / "1st").symlink_to("b")
    assert found("1st", "b") == found("b", "1st") == ["b/clip2.mp4"]
    assert found("1st/*.mp4") == ["1st/clip2.mp4"]  # under the name that it was asked for by
    for link, target in (
        ("a/0", "../bags"), ("a/up", ".."), ("b/up", ".."), ("b/0.mp4", "clip2.mp4"),
    ):  # fmt: skip
        (tree / link).symlink_to(target)
    assert found(".") == plain


def test_links_out_of_the_folder_are_followed(tree: Path) -> None:
    (tree / "new").mkdir()
    (tree / "new" / "day").symlink_to(tree / "a")
    (tree / "new" / "gone").symlink_to(tree / "nowhere")
    (tree / "new" / "gone.mp4").symlink_to(tree / "nowhere.mp4")  # fails alone
    assert found("new") == ["new/day/clip2.MP4", "new/day/clip10.mp4", "new/gone.mp4"]


def test_a_recording_is_known_by_its_files(tree: Path) -> None:
    before = Recording.at(tree / "bags" / "split")
    assert before.size == sum(p.stat().st_size for p in (tree / "bags/split").iterdir())
    assert Recording.at(tree / "bags" / "split") == before
    (tree / "bags/split/split_1.mcap").write_bytes(b"longer than it was before")
    after = Recording.at(tree / "bags" / "split")
    assert after.name == before.name
    assert after.size != before.size
    os.utime(tree / "a/clip10.mp4", ns=(5, 7))
    assert Recording.at(tree / "a/clip10.mp4").mtime_ns == 7
