# SPDX-License-Identifier: Apache-2.0
"""A name or a path means one file, or one line says how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.registry.bundled import BUNDLED, POSE_NANO
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.spec import ModelSpec
from alphapose_ros.registry.store import (
    bundled_path,
    cache_dir,
    check_file,
    known_spec,
    location,
    record_path,
    recorded_hash,
    resolve,
    spec_of,
    state_of,
)
from alphapose_ros.weights import sha256_of

NAME = "yolox_s"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def model(path: Path, **values: object) -> ModelSpec:
    return ModelSpec(
        name="w", task="pose", format="light", file=str(path), input_hw=(1, 1), licence="x",
        **values,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_cache_follows_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ALPHAPOSE_ROS_CACHE", "ROS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert cache_dir() == Path.home() / ".ros" / "alphapose_ros"
    monkeypatch.setenv("ROS_HOME", "")
    assert cache_dir() == Path.home() / ".ros" / "alphapose_ros"
    monkeypatch.setenv("ROS_HOME", "~/robot")
    assert cache_dir() == Path.home() / "robot" / "alphapose_ros"
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", "/data/models")
    assert cache_dir() == Path("/data/models")


def test_a_home_that_nobody_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", "~nobody_is_called_so/models")
    with pytest.raises(WeightsError, match=r"~nobody_is_called_so/models: .*no such home folder"):
        cache_dir()
    with pytest.raises(WeightsError, match="no such home folder; write the path out"):
        resolve("~nobody_is_called_so/net.pth")
    assert location(MODELS[POSE_NANO]).name == MODELS[POSE_NANO].file  # which needs no cache


def test_a_path_that_exists_stays(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.pth").write_bytes(b"x")
    assert resolve(tmp_path / "mine.pth") == tmp_path / "mine.pth"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/mine.pth") == tmp_path / "mine.pth"
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_bytes(b"x")
    assert resolve(NAME) == Path(NAME)  # a file of that name is meant before the model


def test_a_name_means_the_bundled_or_the_cached_file(cache: Path) -> None:
    if state_of(MODELS[POSE_NANO]) == "bundled":
        assert resolve(POSE_NANO) == bundled_path(POSE_NANO)
    file = cache / "yolox_s.pth"
    assert state_of(MODELS[NAME]) == "not fetched"
    file.write_bytes(b"x")
    assert state_of(MODELS[NAME]) == "cached"
    assert location(MODELS[NAME]) == file
    assert resolve(NAME) == resolve("yolox_s.pth") == file


def test_what_is_not_there_is_told_with_the_remedy(cache: Path) -> None:
    for name in (NAME, "yolox_s.pth"):
        with pytest.raises(WeightsError, match=f"{name}: not fetched yet") as caught:
            resolve(name)
        assert str(cache / "yolox_s.pth") in str(caught.value)
        assert str(caught.value).endswith("run: alphapose-ros models fetch yolox_s")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("yolox_ss", "did you mean yolox_s"),
        ("pose_nano.safetensor", "did you mean pose_nano"),
        ("rtmw_l", "did you mean rtmw_l_wholebody133_256x192 or rtmw_l_wholebody133_384x288"),
        ("/data/yolox_s.pth", "did you mean yolox_s"),
        ("/data", "models list"),
        ("", "models list"),
    ],
)
def test_what_nobody_knows_is_told_with_what_is_alike(cache: Path, text: str, hint: str) -> None:
    with pytest.raises(WeightsError, match="expected a file or the name of a known mod") as caught:
        resolve(text)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_entry_is_found_by_name_and_by_file_name() -> None:
    for spec in MODELS.values():
        assert spec_of(spec.name) is spec
        assert spec_of(spec.file) is spec
        assert spec_of(Path("/elsewhere") / spec.file) is spec
        assert known_spec(spec.name) is spec
    assert spec_of("other.pth") is None
    assert spec_of("") is None
    with pytest.raises(WeightsError, match="nope: expected the name of a known model"):
        known_spec("nope")


def test_the_hash_of_a_bundled_file_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"abc")
    right = sha256_of(path)
    assert bundled_path("w", {"w": model(path, sha256=right)}) == path
    with pytest.raises(WeightsError, match=f"expected SHA-256 {'0' * 64}, got {right}"):
        bundled_path("w", {"w": model(path, sha256="0" * 64)})


def test_unknown_and_missing_bundled_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected one of pose_nano, pose_fast, detector_nano"):
        bundled_path("huge")
    with pytest.raises(WeightsError, match="expected one of pose_nano, pose_fast, detector_nano"):
        bundled_path(NAME)
    missing = model(tmp_path / "w.safetensors")
    assert state_of(missing) == "missing"
    with pytest.raises(WeightsError, match="missing from this install"):
        bundled_path("w", {"w": missing})


def test_every_bundled_file_is_the_one_that_was_measured() -> None:
    for spec in BUNDLED:
        if state_of(spec) == "missing":
            pytest.skip(f"THE BUNDLED WEIGHTS ARE ABSENT: {spec.file}")
        assert bundled_path(spec.name).name == spec.file


def test_a_file_is_compared_with_all_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    right = sha256_of(path)
    assert check_file(model(path), path) == ""
    assert check_file(model(path, size_bytes=3), path) == "size"
    assert check_file(model(path, sha256=right, size_bytes=3), path) == "SHA-256"
    prefix = model(path, sha256_prefix=right[:8])
    assert check_file(prefix, path) == "first 8 digits of SHA-256"
    record_path(path).write_text(f"{right}  w\n")
    assert recorded_hash(path) == right
    assert check_file(model(path), path) == "SHA-256 recorded at download"
    basis = check_file(prefix, path)
    assert basis == "SHA-256 recorded at download and first 8 digits of SHA-256"


def test_whatever_differs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    right = sha256_of(path)
    for known, match in (
        ({"size_bytes": 4}, "expected 4 bytes, got 3"),
        ({"sha256": right[:-1] + "z"}, f"expected SHA-256 {right[:-1]}z, got {right}"),
        ({"sha256_prefix": "zz"}, f"expected the first 2 digits of SHA-256, zz, got {right}"),
    ):
        with pytest.raises(WeightsError, match=match):
            check_file(model(path, **known), path)
    record_path(path).write_text("0" * 64)
    with pytest.raises(WeightsError, match=f"the SHA-256 recorded at download, 0+, got {right}"):
        check_file(model(path, sha256_prefix=right[:8]), path)


def test_an_empty_record_is_none(tmp_path: Path) -> None:
    record_path(tmp_path / "w").write_bytes(b"")
    assert recorded_hash(tmp_path / "w") == ""
