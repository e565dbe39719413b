# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch import nn

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.detection.config import TORCHVISION_NAMES, DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.torchvision import TorchvisionDetector, build_torchvision
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.weights import save_tensors

pytest.importorskip("torchvision")


@pytest.mark.parametrize("name", TORCHVISION_NAMES)
def test_random_networks_answer_every_image(name):
    torch.manual_seed(0)
    config = DetectorConfig(
        name=name, input_height=128, input_width=128, score_threshold=0.0, min_box_px=0
    )
    detector = TorchvisionDetector(build_torchvision(config, None), config)
    images = [np.full((60, 90, 3), 80, np.uint8), np.zeros((90, 40, 3), np.uint8)]
    found = detector(ImageBatch.upload(images))
    assert len(found) == 2
    for image, people in zip(images, found, strict=True):
        assert len(people) <= config.max_people
        assert (people.boxes >= 0).all()
        assert (people.boxes <= [*image.shape[1::-1]] * 2).all()
    assert detector(ImageBatch.upload([])) == []


class TwoThings(nn.Module):
    """torchvision's answer format: a person and a dog."""

    def forward(self, images):
        assert images[0].max() <= 1
        return [
            {
                "boxes": torch.tensor([[1.0, 2, 30, 40], [5, 5, 50, 50]]),
                "labels": torch.tensor([1, 18]),
                "scores": torch.tensor([0.7, 0.9]),
            }
        ]


def test_only_people_are_taken():
    detector = TorchvisionDetector(TwoThings(), DetectorConfig(name="ssdlite320", weights="x"))
    people = detector(ImageBatch.upload([np.full((60, 60, 3), 255, np.uint8)]))[0]
    np.testing.assert_allclose(people.boxes, [[1, 2, 30, 40]])
    np.testing.assert_allclose(people.scores, [0.7])


def test_weights_come_from_a_local_file_or_the_hub_folder_only(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    config = DetectorConfig(name="ssdlite320", weights="ssdlite-123.pth")
    with pytest.raises(WeightsError, match=r"ssdlite-123\.pth"):
        create_detector(config)
    (tmp_path / "checkpoints").mkdir()
    state = build_torchvision(config, None).state_dict()
    torch.save(state, tmp_path / "checkpoints" / "ssdlite-123.pth")
    loaded = create_detector(config).model.state_dict()
    name = next(iter(state))
    torch.testing.assert_close(loaded[name], state[name])


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_tensors({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="ssdlite320"):
        create_detector(DetectorConfig(name="ssdlite320", weights=str(path)))
