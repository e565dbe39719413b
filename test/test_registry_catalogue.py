# SPDX-License-Identifier: Apache-2.0
"""Every entry says what a reader and a user need, and claims nothing that nobody has seen."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import parse_qs, urlsplit

import pytest

from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.detection.config import DETECTOR_NAMES, ONNX_FORMATS
from alphapose_ros.registry.alphapose import ALPHAPOSE
from alphapose_ros.registry.bundled import BUNDLED, DETECTOR_NANO, POSE_NANO
from alphapose_ros.registry.catalogue import MODELS, PRESETS
from alphapose_ros.registry.detectors import DARKNET, EFFICIENTDET, TORCHVISION, YOLOX
from alphapose_ros.registry.open_model_zoo import OPEN_MODEL_ZOO
from alphapose_ros.registry.openmmlab import OPENMMLAB
from alphapose_ros.registry.spec import FORMATS, TASKS, ModelSpec

TABLES = (
    BUNDLED, OPENMMLAB, ALPHAPOSE, YOLOX, TORCHVISION, DARKNET, EFFICIENTDET, OPEN_MODEL_ZOO
)  # fmt: skip
every = pytest.mark.parametrize("spec", MODELS.values(), ids=list(MODELS))


def test_no_two_entries_meet() -> None:
    assert len(MODELS) == sum(map(len, TABLES))
    files = [part for spec in MODELS.values() for part in spec.files]
    for key in ("file", "source_file"):
        names = [getattr(part, key) for part in files]
        assert len(set(names)) == len(names), key
    addresses = [part.address for part in files if not part.bundled]
    assert len(set(addresses)) == len(addresses)


@every
def test_an_entry_is_sound(spec: ModelSpec) -> None:
    assert re.fullmatch(r"[a-z0-9_]+", spec.name)
    assert spec.task in TASKS
    assert spec.format in FORMATS
    assert spec.channels in ("RGB", "BGR")
    assert min(spec.input_hw) > 0
    assert min(spec.std) > 0
    for text in (spec.licence, spec.origin, spec.data):
        assert text
    assert PurePosixPath(spec.file).name == spec.file
    assert bool(spec.metrics) == bool(spec.measured_on)
    assert all(0 < value < 1 for value in spec.metrics.values())
    assert re.fullmatch(r"([0-9a-f]{64})?", spec.sha256)
    assert re.fullmatch(r"[0-9a-f]*", spec.sha256_prefix)


@every
def test_a_pose_network_has_a_skeleton_and_a_detector_a_name(spec: ModelSpec) -> None:
    assert bool(spec.skeleton) == (spec.task == "pose")
    assert bool(spec.detector_name) == (spec.task == "detection")
    if spec.task == "pose":
        assert spec.decode in ("sikr", "heatmap", "combined", "simcc", "rtmo")
        assert set(spec.untaught) <= set(SKELETONS[spec.skeleton].keypoint_names)
    if spec.task == "detection":
        assert spec.detector_name in DETECTOR_NAMES
        assert spec.decode in ("", *ONNX_FORMATS)


@every
def test_an_address_is_https_and_names_the_file(spec: ModelSpec) -> None:
    assert bool(spec.url) + bool(spec.drive_id) + spec.bundled == 1
    if spec.bundled:
        return
    parts = urlsplit(spec.address)
    assert parts.scheme == "https"
    if spec.drive_id:
        assert re.fullmatch(r"[\w-]{33}", spec.drive_id)
        assert parse_qs(parts.query)["id"] == [spec.drive_id]
        assert spec.web_page == f"https://drive.google.com/file/d/{spec.drive_id}/view"
        return
    assert spec.web_page == ""
    assert parts.path.endswith(f"/{spec.source_file}")
    assert spec.source_file.endswith(".zip") == bool(spec.member)


@every
def test_foreign_numbers_and_hashes_are_marked(spec: ModelSpec) -> None:
    if spec.bundled:
        assert len(spec.sha256) == 64
        assert "published" not in spec.measured_on
        assert spec.recipe
    else:
        # Of the others nobody has published one.
        assert [len(part.sha256) for part in spec.files] in ([0], [64, 64])
        assert not spec.measured_on or spec.measured_on.startswith("as published by its authors")


def test_openvinos_files_lie_beside_each_other_under_one_name() -> None:
    for spec in OPEN_MODEL_ZOO:
        weights, graph = spec.files
        assert graph is spec
        assert PurePosixPath(weights.file).stem == PurePosixPath(graph.file).stem
        assert (PurePosixPath(weights.file).suffix, weights.beside) == (".bin", None)
        assert PurePosixPath(graph.file).suffix == ".xml"
        assert urlsplit(weights.url).path.rpartition("/")[0] in graph.url


def test_only_alphaposes_own_are_non_commercial() -> None:
    assert [spec for spec in MODELS.values() if spec.non_commercial] == list(ALPHAPOSE)
    assert all("non-commercial" in spec.licence for spec in ALPHAPOSE)


def test_torchvisions_names_end_in_the_first_digits() -> None:
    for spec in TORCHVISION:
        assert spec.file.endswith(f"-{spec.sha256_prefix}.pth")
        assert len(spec.sha256_prefix) == 8


def test_torchvisions_entries_are_torchvisions() -> None:
    detection = pytest.importorskip("torchvision.models.detection")
    weights = {
        weight.url: weight.meta["_metrics"]["COCO-val2017"]["box_map"]
        for name in dir(detection)
        if name.endswith("_Weights") and "Keypoint" not in name and "Mask" not in name
        for weight in getattr(detection, name)
    }
    for spec in TORCHVISION:
        assert weights[spec.url] / 100 == pytest.approx(spec.metrics["COCO AP"])


def test_presets_are_a_detector_and_a_whole_body_network() -> None:
    assert PRESETS["nano"] == (DETECTOR_NANO, POSE_NANO)
    for detector, pose in PRESETS.values():
        assert MODELS[detector].task == "detection"
        assert MODELS[pose].task == "pose"
        assert len(SKELETONS[MODELS[pose].skeleton]) > 100
        assert not MODELS[pose].non_commercial
    assert not set(PRESETS) & set(MODELS)  # a name means one thing


def test_the_presets_grow() -> None:
    for part, key in ((0, "person AP"), (1, "whole AP")):
        small, large = (
            MODELS[PRESETS[name][part]].metrics[key] for name in ("balanced", "accurate")
        )
        assert small < large
