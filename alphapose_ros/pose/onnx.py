# SPDX-License-Identifier: Apache-2.0
"""Pose networks of others as ONNX, and our own exported ones; what they are is seen in the graph.

| form | outputs | networks |
|---|---|---|
| simcc | (N, K, 2W) and (N, K, 2H) | RTMPose, RTMW, DWPose |
| heatmap | (N, K, h, w) | ViTPose, HRNet, and AlphaPose's raw maps |
| rtmo | (1, N, 5) and (1, N, K, 3) | RTMO |
| decoded | (N, K, 2) and (N, K) | what ``models export`` writes; with a third, (N, K), where \
                                     ``pose.keypoint_std`` was set |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.base.skeletons import SKELETONS, Skeleton, get_skeleton
from alphapose_ros.models.stored_skeleton import skeleton_described
from alphapose_ros.pose.combined import CombinedDecoder
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.pose.dark import decode_dark
from alphapose_ros.pose.estimator import Estimator, PoseEstimator, described, output_skeleton
from alphapose_ros.pose.graph import PoseGraph
from alphapose_ros.pose.heatmap import decode_heatmaps
from alphapose_ros.pose.rtmo import OneStageEstimator
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.pose.simcc import SimccDecoder
from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD, RAW_STD, ModelSpec
from alphapose_ros.registry.store import spec_of
from alphapose_ros.runtime.config import RuntimeOptions

Decode = Callable[..., tuple[Tensor, ...]]

# What a file's name says of maps. HRNet-DARK was trained on classic crops, the others on UDP's.
_UDP_NAMES = ("vitpose", "udp")
_DARK_NAMES = (*_UDP_NAMES, "dark")


@dataclass(frozen=True)
class Pixels:
    """How crops enter a graph: each channel as (p / 255 - mean) / std.

    Attributes:
        mean, std: in the order of ``channels``.
        channels: RGB or BGR.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channels: str = "RGB"

    def __call__(self, crops: Tensor) -> Tensor:
        """RGB crops (N, 3, H, W) of 0..255 as the graph wants them."""
        factor = crops.new_tensor([1 / (255 * s) for s in self.std]).view(3, 1, 1)
        shift = crops.new_tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)]).view(
            3, 1, 1
        )
        return (crops.flip(1) if self.channels == "BGR" else crops) * factor + shift


AS_THEY_ARE = Pixels((0.0, 0.0, 0.0), RAW_STD)


class GraphNetwork:
    """Crops (N, 3, h, w) RGB 0..255 -> keypoints and scores, in batches that the graph takes.

    Args:
        graph: what runs.
        pixels: preprocessing.
        decode: the graph's outputs -> keypoints (N, K, 2), scores (N, K) and perhaps spreads.
    """

    def __init__(self, graph: PoseGraph, pixels: Pixels, decode: Decode) -> None:
        self.graph, self.pixels, self.decode = graph, pixels, decode

    def __call__(self, crops: Tensor) -> tuple[Tensor, ...]:
        """What ``decode`` gives of at least one crop.

        The last part of a fixed batch is filled up with zeros, which nobody sees.
        """
        images, batch = self.pixels(crops), self.graph.batch or len(crops)
        parts = []
        for part in images.split(batch):
            missing = part.new_zeros((batch - len(part), *part.shape[1:]))
            found = self.graph(torch.cat([part, missing]) if len(missing) else part)
            decoded = self.decode(*(output.float() for output in found))
            parts.append([output[: len(part)] for output in decoded])
        return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))


def load_onnx_pose(
    path: Path,
    options: RuntimeOptions,
    config: PoseConfig | None = None,
    *,
    max_batch: int = 64,
    spec: ModelSpec | None = None,
) -> Estimator:
    """The estimator of an ONNX file.

    Args:
        path: of the file.
        options: runtime and device.
        config: its ``format`` may force the form; ``decode``, ``tail_cut`` and ``window`` speak of
            raw maps, ``score_threshold`` of RTMO, ``skeleton`` of the joints that come out, and
            of what they are where the file does not tell.
        max_batch: crops per call.
        spec: what is known of the file: preprocessing, skeleton, input size. None: the registry's
            entry for a file of this name, else what networks of this form usually take.

    Raises:
        WeightsError: no usable graph, or one of an unknown form.
        ConfigError: the options or the wanted skeleton do not go with it.
        MissingDependencyError: onnxruntime is not installed.
    """
    config = config or PoseConfig()
    spec = spec or spec_of(path)
    size = spec.input_hw if spec else None
    graph = PoseGraph(path, options, max_batch=max_batch, input_hw=size)
    form = _form(graph, config.format)
    skeleton = _skeleton(graph, form, spec, config.skeleton)
    output = output_skeleton(config.skeleton, skeleton)
    if config.keypoint_std and (form != "decoded" or len(graph.shapes) == 2):
        raise ConfigError(
            "pose.keypoint_std: expected a file of alphapose-ros models export with "
            f"pose.keypoint_std=true, got {graph.name}, which does not tell it"
        )
    if form == "rtmo":
        return OneStageEstimator(
            graph,
            skeleton,
            input_hw=graph.input_hw,
            score_threshold=config.score_threshold,
            output=output,
        )
    pixels = AS_THEY_ARE if form == "decoded" else Pixels()
    if spec:
        pixels = Pixels(spec.mean, spec.std, spec.channels)
    reading = {"simcc": _read_simcc, "heatmap": _read_maps, "decoded": _read_decoded}[form]
    crop, decode = reading(graph, skeleton, config)
    return PoseEstimator(
        GraphNetwork(graph, pixels, decode),
        skeleton,
        crop=crop,
        max_batch=max_batch,
        output=output,
        spread=config.keypoint_std,
    )


def _form(graph: PoseGraph, wanted: str) -> str:
    """What the outputs look like; the forms do not overlap.

    Raises:
        WeightsError: like nothing known, or not like what was wanted.
    """
    found = "unknown"
    match graph.shapes:
        case ((_, k, columns), (_, j, rows)) if k == j and _axes(graph, columns, rows):
            found = "simcc"
        case ((_, _, _, _),):
            found = "heatmap"
        case ((_, _, 5), (_, _, _, 3)):
            found = "rtmo"
        case ((_, k, 2), (_, j)) | ((_, k, 2), (_, j), (_, _)) if k == j:
            found = "decoded"
    if found == "unknown" or wanted not in ("auto", found):
        asked = "" if wanted == "auto" else f" (pose.format: {wanted})"
        outputs = ", ".join(
            f"{name} {shape}" for name, shape in zip(graph.names, graph.shapes, strict=True)
        )
        raise WeightsError(
            f"{graph.name}: expected outputs of simcc (N, K, 2W) and (N, K, 2H), of heatmap "
            f"(N, K, h, w), of rtmo (1, N, 5) and (1, N, K, 3), or of decoded (N, K, 2) and "
            f"(N, K){asked}; got {outputs}"
        )
    return found


def _axes(graph: PoseGraph, first: int, second: int) -> tuple[int, int] | None:
    """Which of two SimCC outputs speaks of columns and which of rows; None: it is not SimCC."""
    height, width = graph.input_hw
    if first * height == second * width:
        return 0, 1
    return (1, 0) if first * width == second * height else None


def _skeleton(graph: PoseGraph, form: str, spec: ModelSpec | None, wanted: str) -> Skeleton:
    """What the joints are: as the file or its name tells, as configured, or by their number."""
    joints = graph.shapes[1][2] if form == "rtmo" else graph.shapes[0][1]
    named = spec.skeleton if spec else ""
    try:
        told = skeleton_described(graph.about) if form == "decoded" else None
        if told and named not in ("", told.name):
            raise WeightsError(
                f"{graph.name}: expected joints of {named}, got a file that says {told.name!r}"
            )
        told = told or (get_skeleton(named) if named else None)
    except (ConfigError, InputError) as error:
        raise WeightsError(f"{graph.name}: {error}") from error
    by_number = next((s for s in SKELETONS.values() if len(s) == joints), None)
    skeleton = described(wanted, told, joints) or by_number
    if skeleton is None:
        known = ", ".join(f"{len(s)} ({s.name})" for s in SKELETONS.values())
        raise WeightsError(
            f"{graph.name}: expected joints of a known set, {known}, or of a YAML file as "
            f"pose.skeleton; got {joints}"
        )
    if len(skeleton) != joints:
        raise WeightsError(
            f"{graph.name}: expected {len(skeleton)} joints of {skeleton.name}, got {joints}"
        )
    return skeleton


def _read_simcc(
    graph: PoseGraph, skeleton: Skeleton, config: PoseConfig
) -> tuple[CropSpec, Decode]:
    bins = graph.shapes[0][2], graph.shapes[1][2]
    across, down = _axes(graph, *bins) or (0, 1)
    decoder = SimccDecoder(bins[across] / graph.input_hw[1])

    def decode(*outputs: Tensor) -> tuple[Tensor, Tensor]:
        points, scores = decoder(outputs[across], outputs[down])
        return points, scores

    return CropSpec(input_hw=graph.input_hw, unit_px=1.0), decode


def _read_maps(
    graph: PoseGraph, skeleton: Skeleton, config: PoseConfig
) -> tuple[CropSpec, Decode]:
    file = Path(graph.name).name.lower()
    tail_cut, window = max(config.tail_cut, 0.0), max(config.window, 0.0)
    decoder: Decode = decode_heatmaps
    if config.decode == "sikr":
        decoder = SikrDecoder("sigmoid", tail_cut, window)
    elif config.decode == "combined":
        decoder = CombinedDecoder(len(skeleton), tail_cut, window)
    elif any(name in file for name in _DARK_NAMES):
        decoder = decode_dark

    corners = any(name in file for name in _UDP_NAMES)
    unit = graph.input_hw[1] / graph.shapes[0][3]
    return CropSpec(input_hw=graph.input_hw, unit_px=unit, corners=corners), decoder


def _read_decoded(
    graph: PoseGraph, skeleton: Skeleton, config: PoseConfig
) -> tuple[CropSpec, Decode]:
    untaught = graph.about.get("untaught", ())
    taught = torch.tensor([float(name not in untaught) for name in skeleton.keypoint_names])

    def decode(points: Tensor, scores: Tensor, *spreads: Tensor) -> tuple[Tensor, ...]:
        wanted = spreads if config.keypoint_std else ()
        return points, scores * taught.to(scores.device), *wanted

    unit = graph.about.get("unit_px", CropSpec().unit_px)
    if not isinstance(unit, (int, float)) or unit <= 0:
        raise WeightsError(f"{graph.name}: expected unit_px above 0, got {unit!r}")
    return CropSpec(input_hw=graph.input_hw, unit_px=float(unit)), decode
