# SPDX-License-Identifier: Apache-2.0
"""Building a detector from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.detection.config import (
    DETECTOR_NAMES,
    EFFICIENTDET_NAMES,
    REPLAY,
    DetectorConfig,
)
from alphapose_ros.detection.darknet import DarknetDetector
from alphapose_ros.detection.efficientdet import EfficientDetDetector, build_efficientdet
from alphapose_ros.detection.onnx import OnnxDetector
from alphapose_ros.detection.plugins import plugin_named
from alphapose_ros.detection.protocol import Detector
from alphapose_ros.detection.replay import ReplayDetector, read_boxes
from alphapose_ros.detection.torchvision import TorchvisionDetector, build_torchvision
from alphapose_ros.detection.yolox import YOLOXDetector
from alphapose_ros.models.darknet_files import load_darknet
from alphapose_ros.models.export import GraphNames
from alphapose_ros.models.yolox_weights import load_yolox
from alphapose_ros.registry.bundled import DETECTOR_NANO
from alphapose_ros.registry.store import resolve
from alphapose_ros.runtime.batching import CAMERAS
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import Runner, accelerate, choose_runtime
from alphapose_ros.weights import load_tensors

Network = TypeVar("Network", bound=nn.Module)

# Images of any size that the network takes, any number of them.
DETECTOR_GRAPH = GraphNames(
    inputs=("images",),
    outputs=("boxes", "scores"),
    open_dims={
        "images": {0: "N", 2: "H", 3: "W"},
        "boxes": {0: "N", 1: "A"},
        "scores": {0: "N", 1: "A"},
    },
)


def create_detector(
    config: DetectorConfig,
    device: torch.device | str = "cpu",
    runtime: RuntimeOptions | None = None,
) -> Detector:
    """The configured detector with its weights on ``device``; nothing is downloaded.

    One of an installed package is made by what its entry point names, with ``config`` and the
    device.

    Args:
        config: which one, and its thresholds.
        device: where it runs.
        runtime: what runs its network; None: PyTorch. torchvision's and EfficientDet always run
            in PyTorch: their graphs have branches.

    Raises:
        ConfigError: the detector needs a file and none is named; or it is that of another package
            and its name is taken, or its code fails.
        WeightsError: the file is missing, damaged or of another network.
        InputError: the file of boxes to replay cannot be used.
        MissingDependencyError: it needs a package that is not installed.
    """
    plugin = plugin_named(config.name, DETECTOR_NAMES)
    if plugin:
        theirs: Detector = plugin.make(config, torch.device(device))
        return theirs
    options = runtime or RuntimeOptions("torch", device=str(device))
    if config.name == "yolox":
        return YOLOXDetector(_running(config, options), config)
    if not config.weights:
        raise ConfigError(f"detector.weights: the detector {config.name!r} needs a file, got none")
    if config.name == REPLAY:
        return ReplayDetector(read_boxes(config.weights))
    if config.name == "onnx":
        return OnnxDetector(
            resolve(config.weights), config, runtime or RuntimeOptions(device=str(device))
        )
    if config.name == "yolov3":
        return DarknetDetector(_running(config, options), config)
    path = local_file(config.weights)
    if config.name in EFFICIENTDET_NAMES:
        efficientdet = _from_file(partial(build_efficientdet, config), path)
        return EfficientDetDetector(efficientdet.to(device), config)
    network = _from_file(partial(build_torchvision, config), path)
    return TorchvisionDetector(network.to(device), config)


def detector_network(config: DetectorConfig) -> nn.Module:
    """The network of a YOLOX or YOLOv3: images (N, 3, H, W) -> boxes (N, A, 4), scores (N, A, C).

    Raises:
        ConfigError: another detector, whose graph has branches.
        WeightsError: the file is missing, damaged or of another network.
    """
    if config.name == "yolox":
        return _from_file(load_yolox, resolve(config.weights or DETECTOR_NANO)).eval()
    if config.name == "yolov3":
        return load_darknet(resolve(config.weights)).eval()
    raise ConfigError(f"detector.name: expected yolox or yolov3 for a graph, got {config.name!r}")


def _from_file(build: Callable[[dict[str, Tensor]], Network], path: Path) -> Network:
    """What ``build`` makes of the tensors of a file; where they do not fit, the file is named."""
    state = load_tensors(path)
    try:
        return build(state)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _running(config: DetectorConfig, options: RuntimeOptions) -> Runner:
    example = torch.zeros((1, 3, config.input_height, config.input_width))
    chosen = choose_runtime(options)
    network = detector_network(config)
    return accelerate(network, example, chosen, DETECTOR_GRAPH, max_batch=CAMERAS)


def local_file(name: str) -> Path:
    """The file, a known model's, or one of that name among those torch's hub has fetched.

    Raises:
        WeightsError: there is none.
    """
    hub = Path(torch.hub.get_dir()) / "checkpoints" / name
    if hub.is_file() and not Path(name).is_file():
        return hub
    try:
        return resolve(name)
    except WeightsError as error:
        raise WeightsError(f"{error} (nor is there {hub})") from error
