# SPDX-License-Identifier: Apache-2.0
"""The pose room's configuration and how an estimator is built from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.skeletons import get_skeleton
from alphapose_ros.models.export import DecodedPose
from alphapose_ros.models.light import LightPose, fold_batch_norm
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.flip import FlipTested
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.weights import POSE_NANO, WEIGHTS, bundled_path, load_tensors


@dataclass(frozen=True)
class PoseConfig:
    """Which pose network, and how its maps become joints.

    Attributes:
        weights: file of a light network's weights; empty: the bundled one.
        tail_cut: confidences below this share of a map's peak are dropped before SIKR's sum; 0
            is AlphaPose's own decoding.
        window: standard deviation, in map cells of 4 px, of a Gaussian around the peak that
            SIKR's sum is taken in; 0 is AlphaPose's own decoding.
        flip_test: run each crop and its mirror image and average; twice the time.
        max_batch: crops per network call.
    """

    weights: str = ""
    tail_cut: float = 0.3
    window: float = 6.0
    flip_test: bool = False
    max_batch: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.tail_cut < 1:
            raise ConfigError(f"pose.tail_cut: expected a number in [0, 1), got {self.tail_cut}")
        if not self.window >= 0:
            raise ConfigError(f"pose.window: expected 0 or more cells, got {self.window}")
        if self.max_batch < 1:
            raise ConfigError(f"pose.max_batch: expected at least 1, got {self.max_batch}")


def create_estimator(config: PoseConfig, device: torch.device | str = "cpu") -> PoseEstimator:
    """The configured pose estimator with its weights on ``device``; nothing is downloaded.

    Raises:
        WeightsError: the weight file is missing, damaged or of another network.
    """
    spec = WEIGHTS[POSE_NANO]
    skeleton = get_skeleton(spec.skeleton)
    path = Path(config.weights) if config.weights else bundled_path(POSE_NANO)
    network = load_light(path, len(skeleton))
    supervised = torch.tensor([n not in spec.untaught for n in skeleton.keypoint_names])
    decoded: torch.nn.Module = DecodedPose(
        network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        SikrDecoder("sigmoid", config.tail_cut, config.window, supervised),
        mean=spec.mean,
        std=spec.std,
    )
    if config.flip_test:
        decoded = FlipTested(decoded, skeleton.flip_permutation)
    return PoseEstimator(
        decoded.to(device), skeleton, input_hw=spec.input_hw, max_batch=config.max_batch
    )


def load_light(path: Path, num_joints: int) -> LightPose:
    """A light network for inference from a file with its norms folded or still in place.

    Raises:
        WeightsError: the file's tensors do not fit this network.
    """
    state = {key: value.float() for key, value in load_tensors(path).items()}
    network = LightPose(num_joints).eval()
    try:
        if any(key.endswith("running_mean") for key in state):
            network.load_state_dict(state)
            return fold_batch_norm(network)
        folded = fold_batch_norm(network)
        folded.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: expected the tensors of a light network with {num_joints} joints: {error}"
        ) from error
    return folded.eval()
