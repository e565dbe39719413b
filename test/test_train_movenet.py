# SPDX-License-Identifier: Apache-2.0
"""MoveNet's own file as a start of training."""

import re
from pathlib import Path

import pytest
import torch

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.models.light import LightPose
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.train.movenet import load_movenet

TEACHERS = Path(__file__).parents[2] / "shared" / "data" / "teachers"
MOVENET = TEACHERS / "movenet_single_pose_lightning_ptq.tflite"


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("tflite", reason="MOVENET'S FILE NOT CHECKED: no tflite")
    path = tmp_path / "other.tflite"
    path.write_bytes(b"something else entirely")
    with pytest.raises(WeightsError, match=re.escape("other.tflite")):
        load_movenet(LightPose(len(HALPE136)), path)
    with pytest.raises(WeightsError, match="there is none"):
        load_movenet(LightPose(len(HALPE136)), tmp_path / "missing.tflite")


@pytest.mark.skipif(not MOVENET.exists(), reason=f"NOT TESTED: no MoveNet file at {MOVENET}")
def test_movenet_without_training_finds_the_astronauts_face_and_shoulders() -> None:
    data = pytest.importorskip("skimage.data")
    pytest.importorskip("tflite", reason="MOVENET'S FILE NOT CHECKED: no tflite")
    network = LightPose(len(HALPE136)).eval()
    load_movenet(network, MOVENET)
    image = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float()
    crop = torch.nn.functional.interpolate(image, (256, 256))[..., 22:214]
    with torch.inference_mode():
        points, scores = SikrDecoder(tail_cut=0.5)(network(crop / 127.5 - 1))
    inputs = {
        name: (points[0, HALPE136.index(name)] * 4 + torch.tensor([22.0, 0.0])) * 2
        for name in ("nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder")
    }
    truth = {
        "nose": (220, 122), "left_eye": (246, 103), "right_eye": (203, 102),
        "left_shoulder": (310, 270), "right_shoulder": (108, 255),
    }  # fmt: skip
    for name, where in truth.items():
        assert torch.dist(inputs[name], torch.tensor(where).float()) < 25, name
    assert (scores[0, :7] > 0.2).all()
    assert (scores[0, 26:] < 0.05).all()  # the face mesh and hands are unknown to MoveNet
