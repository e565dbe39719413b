# SPDX-License-Identifier: Apache-2.0
"""What strangers send or write: images, annotations, parameter files, graphs."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.base.plain_yaml import read_yaml
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.detection import read_coco_boxes
from alphapose_ros.data.file_names import image_path
from alphapose_ros.data.people import image_entry
from alphapose_ros.io.image_header import MAX_PIXELS, check_promise
from alphapose_ros.io.image_messages import decode_image

# ---- images that promise more than they hold


def png(width: int, height: int, *, whole: bool = False) -> bytes:
    """Black, one bit a pixel; without ``whole`` the pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + (width + 7) // 8) * height) if whole else b""
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def jpeg(width: int, height: int, before: bytes = b"", marker: int = 0xC0) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + before + bytes([0xFF, marker, 0, len(frame) + 2]) + frame


def compressed(data: bytes) -> Any:
    return SimpleNamespace(format="x", data=np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    "bomb",
    [
        png(16000, 16000),
        png(2**31 - 1, 2**31 - 1),
        jpeg(16000, 16000),
        jpeg(65535, 65535, before=b"\xff\xe0\x00\x04ab"),
        jpeg(65535, 65535, before=b"\xff\xe1\x00\x10" + jpeg(8, 8)[:14]),  # with a thumbnail
        jpeg(65535, 65535, before=b"\xff\xe0\0\2garbage\xff\xff\xff\xd0\xff\0"),
        jpeg(65535, 65535, marker=0xC2),
    ],
)
def test_a_bomb_is_refused_before_it_is_decoded(
    bomb: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match=rf"expected at most {MAX_PIXELS} px, its header prom"):
        decode_image(compressed(bomb))


def test_the_largest_image_that_a_camera_has_is_decoded() -> None:
    pytest.importorskip("cv2")
    assert decode_image(compressed(png(7680, 4320, whole=True))).shape == (4320, 7680, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("size_hw", [(1, 1), (7, 300), (301, 5)])
def test_the_promise_is_read_as_the_decoder_reads_it(
    suffix: str, size_hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2 = pytest.importorskip("cv2")
    _, data = cv2.imencode(suffix, np.zeros((*size_hw, 3), np.uint8))
    pixels = size_hw[0] * size_hw[1]
    monkeypatch.setattr("alphapose_ros.io.image_header.MAX_PIXELS", pixels)
    check_promise(data, "x")
    monkeypatch.setattr("alphapose_ros.io.image_header.MAX_PIXELS", pixels - 1)
    with pytest.raises(InputError, match=f"promises {size_hw[1]}x{size_hw[0]}$"):
        check_promise(data, "x")


@pytest.mark.parametrize(
    "data", [b"II*\0" + bytes(40), b"BM" + bytes(60), b"RIFF\0\0\0\0WEBPVP8 ", b"\x76\x2f\x31\x01"]
)
def test_decoders_that_no_camera_needs_are_not_reached(data: bytes) -> None:
    with pytest.raises(InputError, match="expected a JPEG or PNG"):
        decode_image(compressed(data))


@given(st.binary(max_size=80), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b""]))
def test_any_header_is_judged(tail: bytes, head: bytes) -> None:
    try:
        check_promise(np.frombuffer(head + tail, np.uint8), "x")
    except InputError:
        return
    assert head  # nothing else passes


def test_a_bomb_in_a_file_is_refused_too(tmp_path: Path) -> None:
    """By OpenCV, which reads the limit that the command line sets when it is first imported."""
    pytest.importorskip("cv2")
    (tmp_path / "bomb.png").write_bytes(png(17000, 17000))
    script = (
        "import sys; from pathlib import Path; from alphapose_ros.cli import main\n"
        "main(['models', 'list'])\n"
        "from alphapose_ros.io.sources import read_image; read_image(Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "bomb.png")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert "bomb.png: not a readable image (pixels <= CV_IO_MAX_IMAGE_PIXELS)" in done.stderr


# ---- file names in annotations

OUTSIDE = ["../x.jpg", "a/../../x.jpg", "/etc/passwd", "", "a\0b", 7, None, ["x"]]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_folder(name: object) -> None:
    with pytest.raises(InputError, match=r"file_name: expected (a|the) name"):
        image_path(Path("images"), name)
    assert image_entry({"id": 1, "file_name": name}, Path("images")) is None


def test_names_below_the_folder_are_kept() -> None:
    assert image_path(Path("images"), "val/a..b/1.jpg") == Path("images/val/a..b/1.jpg")


def test_a_detector_is_not_taught_from_elsewhere(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "private.jpg"), np.zeros((8, 8, 3), np.uint8))
    file = tmp_path / "boxes.json"
    file.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "../private.jpg", "height": 8, "width": 8}],
                "annotations": [],
                "categories": [{"id": 1, "name": "person"}],
            }
        )
    )
    with pytest.raises(InputError, match=r"within the folder of images, got '\.\./private\.jpg'"):
        read_coco_boxes(file, tmp_path / "images")


def test_a_tower_of_brackets_is_no_annotation_file(tmp_path: Path) -> None:
    (tmp_path / "tower.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"tower.json: cannot read annotations: maximum recurs"):
        read_coco_boxes(tmp_path / "tower.json", tmp_path)


# ---- parameter files

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n/**: {ros__parameters: {device: *c}}\n"


def test_aliases_of_aliases_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(BOMB)
    with pytest.raises(ConfigError, match=r"bomb.yaml: not a YAML file: aliases .* line 2"):
        PipelineConfig.from_file(file)


def test_a_tower_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tower.yaml"
    file.write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        PipelineConfig.from_file(file)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getpid []", "!!python/name:os.getpid"])
def test_yaml_runs_nothing(tmp_path: Path, tag: str) -> None:
    file = tmp_path / "tag.yaml"
    file.write_text(f"/**:\n  ros__parameters:\n    device: {tag}\n")
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        PipelineConfig.from_file(file)


@pytest.mark.parametrize(
    "scalar",
    [
        "2024-13-01", "2024-01-01 00:00:00 +99:99", "0x_", "0b_", "9" * 5000, "!!bool x",
        "!!int ''", "!!float ''", "!!timestamp x",
    ],
    ids=lambda scalar: scalar[:20],
)  # fmt: skip
def test_a_scalar_that_is_no_value_is_named(tmp_path: Path, scalar: str) -> None:
    file = tmp_path / "scalar.yaml"
    for place in (f"target_frame: {scalar}", f"cameras: [a, {scalar}]", f"{scalar}: 1"):
        file.write_text(f"/**:\n  ros__parameters:\n    {place}\n")
        with pytest.raises(ConfigError, match=r"scalar.yaml: not a YAML file: .* line 3") as error:
            PipelineConfig.from_file(file)
        assert "\n" not in str(error.value)


def test_plain_yaml_is_yaml(root: Path) -> None:
    yaml = pytest.importorskip("yaml")
    for file in (root / "config").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert read_yaml(text) == yaml.safe_load(text)


# ---- graphs whose numbers lie elsewhere


def graph_beside(onnx: Any, location: str) -> bytes:
    """y = x + w, where w lies in a file of its own."""
    weight = onnx.TensorProto(name="w", data_type=1, dims=[4])
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", "16")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    ends = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "xy"]
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    opset = onnx.helper.make_opsetid("", 17)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("location", ["../secret", "{folder}/secret", "link", "x/../../secret"])
def test_a_graph_reads_nothing_outside_its_folder(
    tmp_path: Path, onnx: Any, location: str
) -> None:
    from alphapose_ros.runtime.onnx_model import OnnxModel

    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to("../secret")
    file = tmp_path / "model" / "net.onnx"
    file.write_bytes(graph_beside(onnx, location.format(folder=tmp_path)))
    with pytest.raises(WeightsError, match=r"not a usable ONNX file: .*External data path"):
        OnnxModel(file)
