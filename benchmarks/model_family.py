# SPDX-License-Identifier: Apache-2.0
"""Size and speed of the networks: parameters, multiply-adds, milliseconds per runtime.

    python benchmarks/model_family.py [--threads 1] [--rounds 15] [--json out.json] [NAME ...]

Weights are random, which changes nothing about the time. All runtimes of a network take turns in
one run, so that a busy machine slows each of them, and medians are compared; the table gives the
milliseconds of PyTorch eager in float32 and the factor by which the others are faster. Pose
networks see four crops, decoding included, and the time is per person; detectors see one image.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.detection.factory import DETECTOR_GRAPH
from alphapose_ros.models.deform import has_operator
from alphapose_ros.models.export import POSE_NAMES, DecodedPose, GraphNames, onnx_bytes
from alphapose_ros.models.fastpose import fastpose_duc_resnet, fastpose_resnet
from alphapose_ros.models.hrnet import HRNet
from alphapose_ros.models.light import LightPose, fold_batch_norm
from alphapose_ros.models.simplepose import SimplePose
from alphapose_ros.models.yolox import YOLOX
from alphapose_ros.models.yolox_weights import fold_norms
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import Runner, accelerate, choose_runtime, open_graph
from alphapose_ros.runtime.quantise import quantise

CROPS = 4
RUNTIMES = ("torch", "compile", "onnxruntime", "openvino", "int8")


class Entry(NamedTuple):
    """A network with its input and the names of its graph."""

    module: nn.Module
    images: Tensor
    names: GraphNames
    per: int  # the time is divided by it


def pose(build: Callable[[], nn.Module], decode: nn.Module) -> Entry:
    """A pose network on four crops."""
    module = DecodedPose(build().eval(), decode).eval()
    return Entry(module, torch.rand(CROPS, 3, 256, 192) * 255, POSE_NAMES, CROPS)


def yolox(size: str, height: int, width: int, classes: int = 80) -> Entry:
    """A YOLOX on one letterboxed image of 4:3."""
    network = YOLOX(size, classes).eval()
    fold_norms(network)
    return Entry(network, torch.rand(1, 3, height, width) * 255, DETECTOR_GRAPH, 1)


def light() -> nn.Module:
    """The bundled pose network's architecture, its norms folded."""
    return fold_batch_norm(LightPose(136).eval())


NETWORKS: dict[str, Callable[[], Entry]] = {
    "LightPose 136 (nano)": lambda: pose(light, SikrDecoder("sigmoid", 0.3, 6.0)),
    "FastPose R50 136": lambda: pose(
        partial(fastpose_resnet, num_joints=136, conv_dim=256), SikrDecoder()
    ),
    "FastPose R50-DCN 136": lambda: pose(
        partial(fastpose_resnet, num_joints=136, conv_dim=256, dcn=True), SikrDecoder()
    ),
    "FastPose R152 136": lambda: pose(
        partial(fastpose_resnet, depth=152, num_joints=136, conv_dim=256), SikrDecoder()
    ),
    "FastPose-DUC R50 17": lambda: pose(
        partial(fastpose_duc_resnet, num_joints=17, unshuffle=True), HeatmapDecoder()
    ),
    "FastPose-DUC R152 17": lambda: pose(
        partial(fastpose_duc_resnet, depth=152, num_joints=17), HeatmapDecoder()
    ),
    "SimplePose R50 17": lambda: pose(partial(SimplePose, num_joints=17), HeatmapDecoder()),
    "HRNet-W32 17": lambda: pose(partial(HRNet, num_joints=17), HeatmapDecoder()),
    "YOLOX-nano person 416x320": lambda: yolox("nano", 320, 416, classes=1),
    "YOLOX-tiny 416x320": lambda: yolox("tiny", 320, 416),
    "YOLOX-s 640x480": lambda: yolox("s", 480, 640),
    "YOLOX-m 640x480": lambda: yolox("m", 480, 640),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="parts of the networks' names; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    runtimes = ["torch", *(name for name in args.runtimes if name != "torch")]
    print(
        "| network | M parameters | G multiply-adds | torch, ms |", " | ".join(runtimes[1:]), "|"
    )
    print("|---|---|---|---|" + "---|" * (len(runtimes) - 1))
    rows = {}
    for name, build in NETWORKS.items():
        if args.names and not any(part in name for part in args.names):
            continue
        rows[name] = row = measured(build(), runtimes, args.rounds)
        cells = [
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['multiply_adds']:.2f}",
            f"{row['torch']:.1f}",
        ]
        cells += [
            f"{row['torch'] / row[runtime]:.2f}" if runtime in row else "-"
            for runtime in runtimes[1:]
        ]
        print("|", " | ".join([name, *cells]), "|", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measured(entry: Entry, runtimes: Sequence[str], rounds: int) -> dict[str, Any]:
    """Parameters, 1e9 multiply-adds, and the median milliseconds of each installed runtime."""
    parameters = sum(p.numel() for p in entry.module.parameters())
    row = {"parameters": parameters, "multiply_adds": multiply_adds(entry)}
    runners: dict[str, Runner] = {}
    for name in runtimes:
        try:
            runners[name] = runner(entry, name)
        except AlphaPoseError as error:
            print(f"<!-- {name}: {error} -->")
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(rounds + 2):
        for name, run in runners.items():
            start = time.perf_counter()
            run(entry.images)
            if turn >= 2:  # the first calls compile and allocate
                times[name].append((time.perf_counter() - start) * 1e3 / entry.per)
    return row | {name: float(np.median(values)) for name, values in times.items()}


def multiply_adds(entry: Entry) -> float:
    """1e9 multiply-adds of a person or an image."""
    # PyTorch counts none of torchvision's operator, which exists where torchvision was imported.
    mapping = {torch.ops.torchvision.deform_conv2d: _deformable} if has_operator() else {}
    counter = FlopCounterMode(display=False, custom_mapping=mapping)
    with counter, torch.inference_mode():
        entry.module(entry.images)
    return float(counter.get_total_flops() / 2 / entry.per / 1e9)


def _deformable(
    _features: Sequence[int],
    weight: Sequence[int],
    *_others: object,
    out_shape: Sequence[int],
    **_named: object,
) -> int:
    """Operations of a deformable convolution, of the shapes of its tensors; its samples are free.

    Those of a bilinear sampler are not counted elsewhere either.
    """
    count, _, height, width = out_shape
    return 2 * math.prod(weight) * count * height * width


def runner(entry: Entry, name: str) -> Runner:
    """The network on a runtime; int8 is ONNX Runtime's."""
    if name != "int8":
        options = choose_runtime(RuntimeOptions(name))
        return accelerate(entry.module, entry.images, options, entry.names, max_batch=CROPS)
    graph = quantise(onnx_bytes(entry.module, entry.images, entry.names), [entry.images])
    return open_graph(graph, RuntimeOptions("onnxruntime"))


if __name__ == "__main__":
    main()
