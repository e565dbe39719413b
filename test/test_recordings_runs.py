# SPDX-License-Identifier: Apache-2.0
"""``run`` on bags of every kind, into bags of every kind: the same poses, every time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cli_stand_in import OnePerson, fails, stand_in_pipeline
from recording_scenes import (
    POSES,
    STORE,
    S,
    cdr_of,
    command,
    image_bag,
    poses,
    raw_image,
    read,
    variables,
)
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

import alphapose_ros.cli as cli
from alphapose_ros.io.bag import BagWriter

pipeline = pytest.fixture(stand_in_pipeline)
COUNT = 7


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return image_bag(tmp_path / "plain.mcap", COUNT)


def outputs_of(folder: Path) -> list[list[str]]:
    return [
        ["--bag", str(folder / "o.mcap")],
        ["--bag", str(folder / "o.db3")],
        ["--bag", str(folder / "o_mcap")],
        ["--bag", str(folder / "o_sqlite") + "/", "--bag-storage", "sqlite3"],
    ]


def test_every_kind_in_and_out_says_the_same(
    pipeline: OnePerson, plain: Path, tmp_path: Path
) -> None:
    sources = [
        plain,
        image_bag(tmp_path / "file.db3", COUNT),
        image_bag(tmp_path / "folder", COUNT),
        image_bag(tmp_path / "sqlite_folder", COUNT, storage="sqlite3"),
        zipped(tmp_path / "zipped", StoragePlugin.MCAP, CompressionMode.MESSAGE),
        zipped(tmp_path / "zipped_sqlite", StoragePlugin.SQLITE3, CompressionMode.FILE),
    ]
    found = []
    for number, source in enumerate(sources):
        folder = tmp_path / f"out{number}"
        folder.mkdir()
        for options in outputs_of(folder)[: 4 if number == 0 else 1]:
            pipeline.frames.clear()
            assert cli.main(["run", str(source), *options]) == 0
            found.append([(m.stamp_ns, m.cdr) for m in read(Path(options[1]), POSES)])
    assert len(found) == 9
    assert [stamp_ns for stamp_ns, _ in found[0]] == [S + k * S // 30 for k in range(COUNT)]
    assert all(each == found[0] for each in found[1:])
    names = {p.name for p in (tmp_path / "out0").iterdir()}
    assert names == {"o.mcap", "o.db3", "o_mcap", "o_sqlite"}
    assert (tmp_path / "out0" / "o_sqlite" / "o_sqlite_0.db3").is_file()


def zipped(path: Path, plugin: StoragePlugin, mode: CompressionMode) -> Path:
    bag = Writer(path, version=9, storage_plugin=plugin)
    bag.set_compression(mode, CompressionFormat.ZSTD)
    with bag:
        connection = bag.add_connection("/cam/image", "sensor_msgs/msg/Image", typestore=STORE)
        for k in range(COUNT):
            stamp_ns = S + k * S // 30
            bag.write(connection, stamp_ns, cdr_of(raw_image(stamp_ns, k)))
    return path


def test_a_run_twice_is_the_same_to_the_byte(
    pipeline: OnePerson, plain: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("a", "b"):
        pipeline.frames.clear()
        (tmp_path / name).mkdir()
        outputs = [tmp_path / name / "o.mcap", tmp_path / name / "o.jsonl"]
        argv = ["run", str(plain), "--bag", str(outputs[0]), "--json", str(outputs[1])]
        assert cli.main(argv) == 0
        found.append([output.read_bytes() for output in outputs])
    assert found[0] == found[1]


def test_the_skeleton_of_a_run_is_latched(
    pipeline: OnePerson, plain: Path, tmp_path: Path
) -> None:
    bag = tmp_path / "o"
    assert cli.main(["run", str(plain), "--bag", str(bag)]) == 0
    with AnyReader([bag]) as reader:
        offers = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    assert [offer.durability.name for offer in offers["/skeleton"]] == ["TRANSIENT_LOCAL"]
    assert offers[POSES] == []


def test_a_cut_off_bag_is_run_to_where_it_ends(
    pipeline: OnePerson, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, out = tmp_path / "cut.mcap", tmp_path / "o.mcap"
    cut.write_bytes(plain.read_bytes()[:12_000])
    assert cli.main(["run", str(cut), "--bag", str(out)]) == 2
    captured = capsys.readouterr()
    count = len(poses(out))
    assert 0 < count < COUNT
    assert f"cut.mcap: cut off after {count} images" in captured.err
    assert f"frames      {count}" in captured.out


def test_a_bag_of_before_outlives_a_run_that_fails_at_once(
    pipeline: OnePerson, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No image can be read, or another output cannot be opened."""
    bag, lines = tmp_path / "o.mcap", tmp_path / "o.jsonl"
    outputs = ["--bag", str(bag), "--json", str(lines)]
    assert cli.main(["run", str(plain), *outputs]) == 0
    before = bag.read_bytes(), lines.read_bytes()
    bad = tmp_path / "bad.mcap"
    with BagWriter(bad) as writer:
        writer.write_message("/image", raw_image(S, encoding="yuv17"), S)
    capsys.readouterr()
    assert "no image could be decoded" in fails(capsys, ["run", str(bad), *outputs])
    folder = ["--rrd", "nowhere/o.rrd"]
    fails(capsys, ["run", str(plain), *outputs, *folder])
    assert (bag.read_bytes(), lines.read_bytes()) == before
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_is_never_overwritten(
    pipeline: OnePerson, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = tmp_path / "o"
    assert cli.main(["run", str(plain), "--bag", str(bag)]) == 0
    capsys.readouterr()
    assert f"{bag}: exists already" in fails(capsys, ["run", str(plain), "--bag", str(bag)])


def test_lines_and_the_summary_go_into_one_file_one_behind_the_other(
    plain: Path, tmp_path: Path
) -> None:
    """``--json /dev/stdout > file``, as through a pipe."""
    target = tmp_path / "o.txt"
    argv = command("run", plain, "--json", "/dev/stdout")
    with target.open("w") as file:
        subprocess.run(argv, env=variables(), stdout=file, check=True, timeout=120)
    lines = target.read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines[:COUNT]] == list(range(COUNT))
    assert lines[COUNT].split() == ["frames", str(COUNT)]
