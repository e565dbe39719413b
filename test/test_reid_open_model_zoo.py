# SPDX-License-Identifier: Apache-2.0
"""Open Model Zoo's re-identification networks in the place of this project's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.factory import create_embedder, load_reid

pytestmark = pytest.mark.usefixtures("one_thread")


def test_blue_goes_in_first_and_any_number_of_crops(open_model_zoo: Path) -> None:
    network, input_hw, dim = load_reid(open_model_zoo)
    assert (input_hw, dim) == ((64, 32), 3)
    colours = torch.tensor([[90.0, 0, 0], [0, 0, 200], [30, 40, 0]])
    crops = colours[:, :, None, None].expand(-1, -1, 64, 32)
    found = network(crops)
    torch.testing.assert_close(found, torch.tensor([[0, 0, 1.0], [1, 0, 0], [0, 0.8, 0.6]]))
    assert network(crops[:0]).shape == (0, 3)
    torch.testing.assert_close(network(crops[1:2]), found[1:2])


def test_people_of_an_image_are_embedded(open_model_zoo: Path) -> None:
    config = ReidConfig(weights=str(open_model_zoo), max_batch=2, attention=False)
    embedder = create_embedder(config)
    assert embedder is not None
    image = np.zeros((80, 200, 3), np.uint8)
    image[:, :100], image[:, 100:] = (0, 0, 200), (200, 0, 0)
    boxes = np.array([[20, 10, 50, 70], [130, 10, 160, 70], [30, 10, 60, 70]], np.float32)
    count = len(boxes)
    poses = Poses(
        np.zeros((count, 17, 2)), np.ones((count, 17)), boxes, np.ones(count), np.arange(count),
        COCO17,
    )  # fmt: skip
    (found,) = embedder(ImageBatch.upload([image]), [poses])
    np.testing.assert_allclose(found.embeddings, [[1, 0, 0], [0, 0, 1], [1, 0, 0]], atol=1e-5)
    (nobody,) = embedder(ImageBatch.upload([image]), [Poses.empty(COCO17)])
    assert nobody.embeddings.shape == (0, 3)


def test_what_does_not_go_is_told(open_model_zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected input_height and input_width \(64, 32\)"):
        create_embedder(ReidConfig(weights=str(open_model_zoo), input_height=128, input_width=64))
    openvino = pytest.importorskip("openvino")
    flat = openvino.opset13.parameter([1, 8])
    openvino.save_model(openvino.Model([flat], [flat]), str(tmp_path / "flat.xml"), False)
    with pytest.raises(WeightsError, match="expected a network from crops"):
        load_reid(tmp_path / "flat.xml")
    open_model_zoo.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"\.bin: there is no such file"):
        load_reid(open_model_zoo)
