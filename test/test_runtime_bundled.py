# SPDX-License-Identifier: Apache-2.0
"""The bundled networks on a real photograph: every runtime finds what PyTorch finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alphapose_ros.base.records import Poses
from alphapose_ros.cli import main
from alphapose_ros.config import PipelineConfig, build
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pipeline import PosePipeline

pytestmark = pytest.mark.usefixtures("one_thread")

WITHIN_CROP_PX = 0.1  # of the 256x192 crop
SCORE = 0.2  # joints below are guesses, and may be guessed elsewhere


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="NO PHOTOGRAPH: no scikit-image")
    return data.astronaut()


def poses(photograph: np.ndarray, **values: object) -> Poses:
    pipeline = PosePipeline(build(PipelineConfig, {"device": "cpu", **values}))
    return pipeline.detect_and_estimate(ImageBatch.upload([photograph]))[0]


def largest_difference(found: Poses, expected: Poses) -> float:
    """In px of the crop, over joints that are seen."""
    assert len(found) == len(expected) == 1
    seen = expected.scores > SCORE
    height = float((expected.boxes[0, 3] - expected.boxes[0, 1]) * 1.25)
    apart = np.linalg.norm(found.keypoints - expected.keypoints, axis=-1)
    return float(apart[seen].max() * 256 / height)


@pytest.fixture(scope="module")
def expected(photograph: np.ndarray) -> Poses:
    found = poses(photograph, runtime="torch")
    assert (found.scores > SCORE).sum() > 50  # her body, face and a hand
    return found


@pytest.mark.parametrize("name", ["auto", "onnxruntime", "openvino"])
def test_runtimes_find_the_same_person(name: str, photograph: np.ndarray, expected: Poses) -> None:
    if name != "auto":
        pytest.importorskip(name, reason=f"RUNTIME NOT CHECKED: no {name}")
    pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    found = poses(photograph, runtime=name)
    assert largest_difference(found, expected) < WITHIN_CROP_PX
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def test_exported_and_quantised_files_are_models_of_their_own(
    photograph: np.ndarray, expected: Poses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="EXPORT NOT CHECKED: no onnxruntime")
    pytest.importorskip("onnx", reason="EXPORT NOT CHECKED: no onnx")
    cv2 = pytest.importorskip("cv2")
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "astronaut.png"), photograph[..., ::-1])
    files = {name: str(tmp_path / f"{name}.onnx") for name in ("pose", "detector", "int8")}
    for what in ("pose", "detector"):
        assert main(["models", "export", what, files[what], "--device", "cpu"]) == 0
    capsys.readouterr()
    quantise = ["models", "quantise", "pose", files["int8"], "--images", str(images), "--quiet"]
    assert main(quantise) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2  # what it does and what it wrote; none of the library's lines
    assert said[0].endswith(": 1")
    exported = poses(
        photograph,
        pose={"weights": files["pose"]},
        detector={"name": "onnx", "weights": files["detector"]},
    )
    assert largest_difference(exported, expected) < 0.5  # the detector's input is not the same
    coarse = poses(photograph, pose={"weights": files["int8"]})
    seen = expected.scores > SCORE
    apart = np.linalg.norm(coarse.keypoints - expected.keypoints, axis=-1)[seen]
    assert 0 < np.median(apart) < 8  # image px, of a person 500 px tall; calibrated on one image
    assert not coarse.scores[:, 22:24].any()  # small toes were never taught; the file knows


def test_targets_that_cannot_be_written(tmp_path: Path, capsys) -> None:
    assert main(["models", "export", "pose", str(tmp_path / "pose.pt")]) == 2
    assert "expected a name ending in .onnx" in capsys.readouterr().err
    assert main(["models", "export", "pose", str(tmp_path / "no" / "pose.onnx")]) == 2
    assert main(["models", "convert", "nothing.pth", str(tmp_path / "a.safetensors")]) == 2
    assert "nothing.pth" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
