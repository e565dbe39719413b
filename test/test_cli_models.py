# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros models list|fetch|verify`` against a server on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

import pytest
import torch
from cli_stand_in import fails
from custom_joints import own_network, own_skeleton
from file_server import FileServer, Served

import alphapose_ros.cli as cli
from alphapose_ros.cli import models
from alphapose_ros.models.stored_skeleton import skeleton_text, stored_skeleton
from alphapose_ros.registry.catalogue import MODELS, PRESETS
from alphapose_ros.registry.spec import Beside
from alphapose_ros.registry.store import state_of
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.factory import create_embedder
from alphapose_ros.weights import load_tensors

Capture = pytest.CaptureFixture[str]
ALPHAPOSE = "alphapose_fastpose_res50_coco17"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def printed(capsys: Capture, *argv: str) -> str:
    assert cli.main(["models", *argv]) == 0
    return capsys.readouterr().out


def unsound(capsys: Capture, *argv: str) -> str:
    """The one line on stderr, below the table of all files."""
    assert cli.main(["models", "verify", *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def line_of(out: str, name: str) -> list[str]:
    return next(line.split() for line in out.splitlines() if line.split()[:1] == [name])


def test_the_table_names_every_model_with_its_licence(capsys: Capture, cache: Path) -> None:
    out = printed(capsys, "list")
    for spec in MODELS.values():
        words = line_of(out, spec.name)
        assert words[1] == spec.task
        assert ("non-commercial" in words) == spec.non_commercial
        assert ("bundled" in words or "missing" in words) == spec.bundled
    assert max(map(len, out.splitlines())) <= 110
    for text in ("Apache-2.0", "BSD-3-Clause", "public domain", "as published", str(cache)):
        assert text in out
    for name, pair in PRESETS.items():
        assert line_of(out, name) == [name, pair[0], "+", pair[1]]


def test_a_line_says_joints_size_and_number(capsys: Capture) -> None:
    out = printed(capsys, "list")
    words = "dwpose_m_wholebody133_256x192 pose 133 Apache-2.0 ? not fetched whole AP 0.606"
    assert line_of(out, "dwpose_m_wholebody133_256x192") == words.split()
    words = "yolov3 detection public domain 248 MB not fetched COCO AP50 0.579"
    assert line_of(out, "yolov3") == words.split()


def test_a_task_is_chosen(capsys: Capture) -> None:
    out = printed(capsys, "list", "--task", "detection")
    assert "yolox_s" in out
    assert "dwpose_s_wholebody133_256x192" not in out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["models", "list", "--task", "cooking"])


def test_a_named_model_is_shown_whole(capsys: Capture, cache: Path) -> None:
    out = printed(capsys, "list", "pose_nano", ALPHAPOSE)
    nano, other = out.split("\n\n")
    for text in (
        "sha256 ",
        "untaught ",
        "left_small_toe",
        "recipe ",
        "mean OKS 0.675",
        "bundled, ",
    ):
        assert text in nano
    for text in (
        "id=1kQhnMRURFiy7NsdS8EFL-8vtqEXOgECn", "non_commercial", "as published by its authors",
        f"not fetched, {cache / 'fast_res50_256x192.pth'}", "0.406, 0.457, 0.48",
    ):  # fmt: skip
        assert text in other
    assert "drive_id" not in out
    assert "did you mean yolox_s" in fails(capsys, ["models", "list", "yolox_ss"])


def test_a_model_is_fetched_listed_and_verified(
    server: FileServer, capsys: Capture, cache: Path
) -> None:
    server.files["/m/yolox_s.pth"] = Served(b"x" * 2_000_000)
    out = printed(capsys, "fetch", "yolox_s", "--mirror", f"{server.address}/m")
    assert str(cache / "yolox_s.pth") in out
    assert "recorded at download: nothing was known of it before" in out
    assert line_of(printed(capsys, "list"), "yolox_s")[3:6] == ["2", "MB", "cached"]
    out = printed(capsys, "verify", "yolox_s")
    assert "ok (SHA-256 recorded at download)" in out
    (cache / "yolox_s.pth").write_bytes(b"y" * 2_000_000)
    assert "yolox_s.pth: expected the SHA-256 recorded" in unsound(capsys)
    assert models.verify_all()["yolox_s"].startswith(str(cache))
    printed(capsys, "fetch", "yolox_s", "--mirror", f"{server.address}/m")
    assert models.verify_all()["yolox_s"] == ""


def test_both_files_of_open_model_zoo_are_fetched_and_verified(
    server: FileServer, capsys: Capture, cache: Path, open_model_zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """An OpenVINO pair from a server, by its name to the network that it is."""
    name, known = "person_reidentification_retail_0287", {}
    spec = MODELS[name]
    for part, path in zip(
        spec.files, (open_model_zoo.with_suffix(".bin"), open_model_zoo), strict=True
    ):
        content = path.read_bytes()
        server.files[f"/m/{part.file}"] = Served(content)
        known[part.file] = (len(content), hashlib.sha256(content).hexdigest())
    beside = spec.beside
    assert beside is not None
    size, sha256 = known[spec.files[0].file]
    of_xml = dict(zip(("size_bytes", "sha256"), known[spec.file], strict=True))
    stand_in = dataclasses.replace(spec, beside=Beside(beside.url, size, sha256), **of_xml)
    monkeypatch.setitem(MODELS, name, stand_in)
    assert "not fetched yet" in unsound(capsys, name)
    out = printed(capsys, "fetch", name, "--mirror", f"{server.address}/m")
    assert out.strip() == f"{name}: {cache / spec.file}"
    assert sorted(path.name for path in cache.iterdir()) == sorted(known)
    assert "ok (SHA-256)" in printed(capsys, "verify", name)
    made = create_embedder(ReidConfig(weights=name))
    assert made is not None
    assert (made.network.input_hw, made.network.dim) == ((64, 32), 3)
    (cache / spec.files[0].file).write_bytes(b"other")
    assert f"{spec.files[0].file}: expected" in unsound(capsys, name)


def test_a_converted_file_keeps_its_own_skeleton(capsys: Capture, tmp_path: Path) -> None:
    source, target = own_network(tmp_path / "own.safetensors"), tmp_path / "converted.safetensors"
    out = printed(capsys, "convert", str(source), str(target))
    assert str(target) in out
    kept = stored_skeleton(target)
    assert kept is not None
    assert skeleton_text(kept) == skeleton_text(own_skeleton())
    printed(capsys, "convert", "pose_nano", str(target))
    assert stored_skeleton(target) is None


def test_a_file_converted_to_int8_is_small_and_nearly_the_same(
    capsys: Capture, tmp_path: Path
) -> None:
    source = own_network(tmp_path / "own.safetensors")
    target, again = tmp_path / "small.safetensors", tmp_path / "again.safetensors"
    printed(capsys, "convert", str(source), str(target), "--int8")
    printed(capsys, "convert", str(target), str(again))
    assert target.stat().st_size < 0.4 * again.stat().st_size  # which is float32
    kept = stored_skeleton(target)
    assert kept is not None
    assert kept.name == own_skeleton().name
    before, after = load_tensors(source), load_tensors(again)
    assert before.keys() == after.keys()
    for name, values in before.items():
        most = values.float().abs().max()
        torch.testing.assert_close(after[name], values.float(), rtol=0, atol=most / 220)


def test_verify_says_what_is_bundled_and_what_nobody_knows(capsys: Capture, cache: Path) -> None:
    out = printed(capsys, "verify")
    bundled = [name for name, spec in MODELS.items() if state_of(spec) == "bundled"]
    assert out.count("ok (SHA-256)") == len(bundled)
    assert "yolox" not in out
    cache.mkdir()
    (cache / "yolox_m.pth").write_bytes(b"by hand")
    out = printed(capsys, "verify")
    assert "no SHA-256 of it is known and none was recorded" in out
    assert "not fetched yet" in unsound(capsys, "yolox_l")
    assert "expected the name of a known model" in fails(capsys, ["models", "verify", "nope"])


def test_what_was_put_there_by_hand_is_said(capsys: Capture, cache: Path) -> None:
    cache.mkdir()
    (cache / "yolox_m.pth").write_bytes(b"by hand")
    assert "put there by hand" in printed(capsys, "fetch", "yolox_m")


def test_a_wrong_hash_is_one_line(server: FileServer, capsys: Capture, cache: Path) -> None:
    server.files["/ssdlite320_mobilenet_v3_large_coco-a79551df.pth"] = Served(b"other")
    line = fails(capsys, ["models", "fetch", "ssdlite320", "--mirror", server.address])
    assert "expected a SHA-256 that begins with a79551df, got" in line
    assert list(cache.iterdir()) == []


def test_a_non_commercial_file_needs_a_yes(
    server: FileServer, capsys: Capture, cache: Path
) -> None:
    server.files["/fast_res50_256x192.pth"] = Served(b"x")
    server.files["/yolox_s.pth"] = Served(b"x")
    argv = ["models", "fetch", "yolox_s", ALPHAPOSE, "--mirror", server.address]
    line = fails(capsys, argv)
    assert ALPHAPOSE in line
    assert "academic and non-profit research only" in line
    assert "--accept-non-commercial" in line
    assert server.requests == []  # refused before anything came
    assert cli.main([*argv, "--accept-non-commercial"]) == 0
    assert f"{ALPHAPOSE}: non-commercial: AlphaPose's own licence" in capsys.readouterr().err
    assert (cache / "fast_res50_256x192.pth").is_file()


def test_a_preset_is_both_its_models_once(server: FileServer, capsys: Capture) -> None:
    for name in PRESETS["balanced"]:
        server.files[f"/{MODELS[name].source_file}"] = Served(b"no archive")
    line = fails(capsys, ["models", "fetch", "balanced", "--mirror", server.address])
    assert "not a usable zip archive" in line
    assert [r.path for r in server.requests] == [f"/{MODELS['yolox_m_human'].source_file}"]
    if all(state_of(MODELS[name]) == "bundled" for name in PRESETS["nano"]):
        out = printed(capsys, "fetch", "nano", "pose_nano")
        assert [line.partition(":")[0] for line in out.splitlines()] == [*PRESETS["nano"]]


def test_an_unknown_name_stops_before_anything_is_fetched(
    server: FileServer, capsys: Capture
) -> None:
    line = fails(capsys, ["models", "fetch", "yolox_s", "rtmw_l", "--mirror", server.address])
    assert "did you mean rtmw_l_wholebody133_256x192" in line
    assert server.requests == []


def test_no_server_and_a_strange_mirror_are_one_line(capsys: Capture, cache: Path) -> None:
    line = fails(capsys, ["models", "fetch", "yolox_s", "--mirror", "http://127.0.0.1:9/x"])
    assert f"belongs at {cache / 'yolox_s.pth'}" in line
    line = fails(capsys, ["models", "fetch", "yolox_s", "--mirror", "/mnt/models"])
    assert "expected an http or https address" in line


@pytest.mark.parametrize("argv", [["models"], ["models", "fetch"], ["models", "cook"]])
def test_bad_usage(argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)


def test_a_terminal_gets_a_bar_and_quiet_none(
    server: FileServer, capsys: Capture, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    pytest.importorskip("tqdm")
    server.files["/yolox_s.pth"] = Served(b"x" * 200_000)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    argv = ["models", "fetch", "yolox_s", "--mirror", server.address]
    assert cli.main([*argv, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    (cache / "yolox_s.pth").unlink()
    assert cli.main(argv) == 0
    err = capsys.readouterr().err
    assert "100%" in err
    assert "yolox_s" in err
    assert cli.main(argv) == 0
    assert capsys.readouterr().err == ""  # nothing came


def test_an_interrupted_fetch_is_130_and_goes_on(
    server: FileServer, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alphapose_ros.registry import transfer

    real, blocks = transfer._read, iter(range(3))

    def interrupted(*args: object) -> bytes:
        if next(blocks, None) is None:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    server.files["/yolox_s.pth"] = Served(b"x" * 1_000_000)
    argv = ["models", "fetch", "yolox_s", "--mirror", server.address]
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_read", interrupted)
        assert cli.main(argv) == 130
    assert cli.main(argv) == 0
    assert server.requests[-1].status == 206
