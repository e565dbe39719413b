# SPDX-License-Identifier: Apache-2.0
"""Building a pose estimator from its configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.skeletons import SKELETONS, Skeleton
from alphapose_ros.models.checkpoint import CheckpointInfo, load_checkpoint
from alphapose_ros.models.export import DecodedPose, pose_names
from alphapose_ros.models.family import LIGHT
from alphapose_ros.models.stored_skeleton import stored_skeleton
from alphapose_ros.pose.combined import CombinedDecoder
from alphapose_ros.pose.confidence import CalibratedDecoder, Calibration
from alphapose_ros.pose.config import OWN, PoseConfig
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.pose.estimator import Estimator, PoseEstimator, described, output_skeleton
from alphapose_ros.pose.flip import FlipTested
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.onnx import load_onnx_pose
from alphapose_ros.pose.refiner import PartRefiner, RefinedEstimator
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.registry.bundled import POSE_NANO
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.store import resolve
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import accelerate, choose_runtime

_CPU_BATCH = 4  # activations of more crops leave the caches: a crop of 24 takes half as long again
_TAIL_CUT, _WINDOW = 0.3, 6.0  # the light network's, chosen on training people


def create_estimator(
    config: PoseConfig,
    device: torch.device | str = "cpu",
    runtime: RuntimeOptions | None = None,
) -> Estimator:
    """The configured pose estimator with its weights on ``device``; nothing is downloaded.

    Args:
        config: which network, and how it is decoded.
        device: where it runs.
        runtime: what runs its network; None: PyTorch.

    Raises:
        ConfigError: nobody can tell how a file is decoded, or the options contradict it.
        WeightsError: a weight file is missing, damaged or of another network.
        MissingDependencyError: one needs a package that is not installed.
    """
    whole = _one_network(config, device, runtime)
    refiners = []
    for kind, weights in (("face", config.face_weights), ("hand", config.hand_weights)):
        if weights:
            network = _one_network(_of_part(config, weights), device, runtime)
            refiner = PartRefiner(network, kind, whole.skeleton, least_px=config.least_part_px)
            refiners.append(refiner)
    return RefinedEstimator(whole, refiners) if refiners else whole


def _of_part(config: PoseConfig, weights: str) -> PoseConfig:
    """A part's network: what the configuration says of the body's maps is not said of its."""
    own = PoseConfig(weights=weights, keypoint_std=config.keypoint_std)
    return replace(own, flip_test=config.flip_test, max_batch=config.max_batch)


def _one_network(
    config: PoseConfig, device: torch.device | str, runtime: RuntimeOptions | None
) -> Estimator:
    options = runtime or RuntimeOptions("torch", device=str(device))
    path = resolve(config.weights or POSE_NANO)
    on_cpu = torch.device(device).type == "cpu"
    max_batch = min(config.max_batch, _CPU_BATCH) if on_cpu else config.max_batch
    if path.suffix == ".onnx":
        if config.flip_test:
            raise ConfigError("pose.flip_test: an ONNX file cannot be asked for its raw maps")
        if config.calibration:
            raise ConfigError("pose.calibration: an ONNX file decodes its maps itself")
        if config.input_size:
            raise ConfigError("pose.input_size: the size of an ONNX file's crops is its own")
        graph_options = runtime or RuntimeOptions(device=str(device))
        return load_onnx_pose(path, graph_options, config, max_batch=max_batch)
    decoded, info, skeleton = decoded_network(path, config)
    crops = torch.zeros((min(2, max_batch), 3, *info.input_hw))
    names = pose_names(spread=config.keypoint_std)
    network = accelerate(decoded, crops, choose_runtime(options), names, max_batch=max_batch)
    return PoseEstimator(
        network,
        skeleton,
        crop=CropSpec(input_hw=info.input_hw),
        max_batch=max_batch,
        output=output_skeleton(config.skeleton, skeleton),
        spread=config.keypoint_std,
    )


def decoded_network(path: Path, config: PoseConfig) -> tuple[nn.Module, CheckpointInfo, Skeleton]:
    """A weight file's network from crops of 0..255 to joints, what it is, and its skeleton.

    Raises:
        ConfigError: nobody can tell how it is decoded or what its joints are.
        WeightsError: the weight file is missing, damaged or of another network.
    """
    network, info = load_checkpoint(path, decode=config.decode)
    info = replace(info, input_hw=config.input_hw or info.input_hw)
    told = stored_skeleton(path) or SKELETONS.get(info.skeleton)
    skeleton = described(config.skeleton, told, info.num_joints)
    if skeleton is None:
        raise ConfigError(
            f"{path}: no known skeleton has {info.num_joints} joints; pose.skeleton takes a YAML "
            "file that describes them"
        )
    if len(skeleton) != info.num_joints:
        raise WeightsError(
            f"{path}: its skeleton has {len(skeleton)} joints, its maps are {info.num_joints}"
        )
    decoder = _decoder(path, config, info, skeleton)
    if config.calibration:
        calibration = Calibration.load(Path(config.calibration))
        decoder = CalibratedDecoder(decoder, calibration, skeleton)
    decoded: nn.Module = DecodedPose(
        network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        decoder,
        mean=info.mean,
        std=info.std,
    )
    if config.flip_test:
        decoded = FlipTested(decoded, skeleton.flip_permutation)
    return decoded.eval(), info, skeleton


def untaught_joints(info: CheckpointInfo, skeleton: Skeleton) -> tuple[str, ...]:
    """Joints that the training of a network never supervised, as far as that is known.

    Light networks' files that do not say, as that of the bundled one, were not taught what it
    was not.
    """
    if info.untaught is not None:
        return info.untaught
    grown = info.family == LIGHT and skeleton.name in SKELETONS
    return MODELS[POSE_NANO].untaught if grown else ()


def _decoder(
    path: Path, config: PoseConfig, info: CheckpointInfo, skeleton: Skeleton
) -> nn.Module:
    own_cut, own_window = _own_sum(info)
    tail_cut = own_cut if config.tail_cut == OWN else config.tail_cut
    window = own_window if config.window == OWN else config.window
    if min(tail_cut, window) < 0:
        raise ConfigError(
            f"pose: expected tail_cut and window of 0 or more, or -1, got {tail_cut} and {window}"
        )
    untaught = untaught_joints(info, skeleton)
    supervised = torch.tensor([n not in untaught for n in skeleton.keypoint_names])
    if config.keypoint_std and info.decode in ("heatmap", "combined"):
        raise ConfigError(
            "pose.keypoint_std: expected a network whose joints are all decoded by SIKR; "
            f"{path.name} is decoded as {info.decode}"
        )
    if info.decode == "heatmap":
        return HeatmapDecoder(supervised)
    if info.decode == "combined":
        return CombinedDecoder(info.num_joints, tail_cut, window, supervised)
    if info.decode != "sikr":
        raise ConfigError(
            f"{path}: {info.text()}; this file does not say how its maps are decoded: set "
            "pose.decode to heatmap, sikr or combined"
        )
    return SikrDecoder(info.norm, tail_cut, window, supervised, spread=config.keypoint_std)


def _own_sum(info: CheckpointInfo) -> tuple[float, float]:
    """Tail cut and window that a network's maps were made for."""
    if info.tail_cut is None:
        return (_TAIL_CUT, _WINDOW) if info.family == LIGHT else (0.0, 0.0)
    # A window leaves cells out of the sum as a tail cut does. Maps that were trained without
    # either balance all their cells, and a window would move their joints.
    return info.tail_cut, _WINDOW if info.tail_cut > 0 else 0.0
