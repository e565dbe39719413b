# SPDX-License-Identifier: Apache-2.0
"""Building a detector from its configuration."""

from __future__ import annotations

from pathlib import Path

import torch

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.onnx import OnnxDetector
from alphapose_ros.detection.protocol import Detector
from alphapose_ros.detection.replay import ReplayDetector, read_boxes
from alphapose_ros.detection.torchvision import TorchvisionDetector, build_torchvision
from alphapose_ros.detection.yolox import YOLOXDetector
from alphapose_ros.models.yolox_weights import load_yolox
from alphapose_ros.weights import DETECTOR_NANO, bundled_path, load_tensors


def create_detector(config: DetectorConfig, device: torch.device | str = "cpu") -> Detector:
    """The configured detector with its weights on ``device``; nothing is downloaded.

    Raises:
        ConfigError: the detector needs a file and none is named.
        WeightsError: the file is missing, damaged or of another network.
        InputError: the file of boxes to replay cannot be used.
    """
    if config.name == "yolox":
        path = Path(config.weights) if config.weights else bundled_path(DETECTOR_NANO)
        model = load_yolox(load_tensors(path)).to(device)
        return YOLOXDetector(model.to(memory_format=torch.channels_last), config)
    if not config.weights:
        raise ConfigError(f"detector.weights: the detector {config.name!r} needs a file, got none")
    if config.name == "replay":
        return ReplayDetector(read_boxes(config.weights))
    if config.name == "onnx":
        return OnnxDetector(config.weights, config)
    state = load_tensors(_local_file(config.weights))
    return TorchvisionDetector(build_torchvision(config, state).to(device), config)


def _local_file(name: str) -> Path:
    """The file itself, or a file of that name among those torch's hub has fetched earlier."""
    hub = Path(torch.hub.get_dir()) / "checkpoints" / name
    for path in (Path(name), hub):
        if path.is_file():
            return path
    raise WeightsError(f"expected a weight file at {name} or {hub}, there is none")
