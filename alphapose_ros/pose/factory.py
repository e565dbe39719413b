# SPDX-License-Identifier: Apache-2.0
"""Building a pose estimator from its configuration."""

from __future__ import annotations

from pathlib import Path

import torch

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.skeletons import get_skeleton
from alphapose_ros.models.export import DecodedPose
from alphapose_ros.models.light import LightPose, fold_batch_norm
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.flip import FlipTested
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.weights import POSE_NANO, WEIGHTS, bundled_path, load_tensors

_CPU_BATCH = 4  # activations of more crops leave the caches: a crop of 24 takes half as long again


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
    on_cpu = torch.device(device).type == "cpu"
    max_batch = min(config.max_batch, _CPU_BATCH) if on_cpu else config.max_batch
    return PoseEstimator(decoded.to(device), skeleton, input_hw=spec.input_hw, max_batch=max_batch)


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
