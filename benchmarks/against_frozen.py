# SPDX-License-Identifier: Apache-2.0
"""Our pose estimation and pose NMS against the frozen per-person pipeline, the network the same.

    python benchmarks/against_frozen.py [--network r50] [--people 5] [--rounds 7]
        [--ours torch onnxruntime openvino int8 bfloat16] [--json out.json]

Both get the same RGB image and the same boxes and end with poses after pose NMS. FastPose R50 has
random weights, its last layer scaled so that maps have peaks; ``nano`` is the bundled network.
Contestants take turns; joints are compared before anything is timed. ``bfloat16`` is PyTorch's
and pays only where the processor has it. int8 is ONNX Runtime's, its ranges measured on the crops
of the image.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from frozen_pipeline import Decoding, FrozenPipeline
from numpy.typing import NDArray
from torch import Tensor
from turns import about, take_turns

from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import POSE_NAMES, DecodedPose, onnx_bytes
from alphapose_ros.models.fastpose import fastpose_resnet
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.factory import decoded_network, untaught_joints
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.registry.bundled import POSE_NANO
from alphapose_ros.registry.store import resolve
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import accelerate, choose_runtime, open_graph
from alphapose_ros.runtime.quantise import quantise

OURS = ("torch", "onnxruntime", "openvino", "int8", "bfloat16")
MEAN = (0.406, 0.457, 0.480)  # of the published FastPose networks
BATCH = 4  # what the package takes on a CPU
FROZEN, BATCHED, FLOOR = "frozen", "frozen, crops in one batch", "frozen's network alone"
Image = NDArray[np.uint8]
Estimate = Callable[[Image, Detections], Poses]


@dataclass(frozen=True)
class Subject:
    """A network and how it is used: ``decoded`` for ours, the rest for the frozen pipeline."""

    decoded: DecodedPose
    skeleton: Skeleton
    decoding: Decoding
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def frozen(self, *, batched: bool = False) -> FrozenPipeline:
        """The reference on a copy of the network, its memory as PyTorch has it by default."""
        network = copy.deepcopy(self.decoded.network).to(memory_format=torch.contiguous_format)
        return FrozenPipeline(
            network.eval(),
            self.skeleton,
            self.decoding,
            mean=self.mean,
            std=self.std,
            batched=batched,
        )


def fastpose_r50() -> Subject:
    """FastPose R50 of 136 joints with random weights and maps that have peaks."""
    torch.manual_seed(0)
    network = fastpose_resnet(num_joints=136, conv_dim=256).eval()
    with torch.inference_mode(), torch.random.fork_rng():
        spread = float(network(torch.rand(1, 3, 256, 192) - 0.5).std())
    with torch.no_grad():
        network.conv_out.weight.mul_(3 / spread)
        network.conv_out.bias.fill_(-4)
    network = network.to(memory_format=torch.channels_last)
    decoded = DecodedPose(network, SikrDecoder(), mean=MEAN).eval()
    return Subject(decoded, HALPE136, Decoding(), MEAN, (1.0, 1.0, 1.0))


def nano() -> Subject:
    """The bundled network with its own decoding."""
    decoded, info, skeleton = decoded_network(resolve(POSE_NANO), PoseConfig())
    sikr = decoded.decode
    decoding = Decoding("sikr", sikr.tail_cut, sikr.window, tuple(untaught_joints(info, skeleton)))
    return Subject(decoded, skeleton, decoding, tuple(info.mean), tuple(info.std))


def scene(people: int) -> tuple[Image, Detections]:
    """1280x720 with people side by side, and their boxes; noise where there is no photograph."""
    try:
        from skimage.data import astronaut

        person = astronaut()[:, 90:360]
    except ImportError:
        person = np.random.default_rng(0).integers(0, 255, (512, 270, 3), dtype=np.uint8)
    canvas = np.full((720, 1280, 3), 96, np.uint8)
    boxes = []
    for i in range(people):
        width = min(1280 // people, 260)
        height = round(width * person.shape[0] / person.shape[1])
        left, top = i * 1280 // people, 40 + 17 * (i % 7)
        tile = cv2.resize(
            person if i % 2 else np.ascontiguousarray(person[:, ::-1]), (width, height)
        )
        canvas[top : top + height, left : left + width] = tile
        boxes.append([left, top, left + width, top + height])
    scores = np.linspace(0.9, 0.8, people)
    return canvas, Detections(np.array(boxes, np.float32).reshape(-1, 4), scores)


def ours(subject: Subject, name: str, crops: Tensor) -> Estimate:
    """Our estimator and pose NMS, the network on a runtime."""
    module = copy.deepcopy(subject.decoded)
    if name == "int8":
        graph = quantise(onnx_bytes(module, crops, POSE_NAMES), list(crops.split(1)))
        runner: Any = open_graph(graph, RuntimeOptions("onnxruntime"))
    else:
        bits = {"bfloat16": RuntimeOptions("torch", "bfloat16")}
        options = choose_runtime(bits.get(name, RuntimeOptions(name)))
        runner = accelerate(module, crops[:2], options, POSE_NAMES, max_batch=BATCH)
    estimator, nms = PoseEstimator(runner, subject.skeleton, max_batch=BATCH), PoseNms()

    def estimate(image: Image, detections: Detections) -> Poses:
        return nms(estimator(ImageBatch.upload([image]), [detections])[0])

    return estimate


def apart_px(found: Poses, expected: Poses) -> tuple[float, float]:
    """Largest and median distance of joints that score, px; other people than expected: inf."""
    if sorted(found.source) != sorted(expected.source):
        return float("inf"), float("inf")
    order = [found.source.tolist().index(s) for s in expected.source]
    distance = np.linalg.norm(found.keypoints[order] - expected.keypoints, axis=-1)
    seen = distance[expected.scores > 0.2]
    return float(seen.max(initial=0)), float(np.median(seen)) if len(seen) else 0.0


def floor(frozen: FrozenPipeline, people: int) -> Callable[[], object]:
    """The frozen pipeline's forwards and nothing else."""
    crops = torch.rand(people, 3, 256, 192)

    @torch.no_grad()
    def run() -> object:
        return [frozen.network(crop[None]) for crop in crops]

    return run


def measure(subject: Subject, names: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """Print the tables; their numbers."""
    image, detections = scene(args.people)
    frozen = subject.frozen()
    expected = frozen(image, detections)
    boxes = PoseEstimator(lambda x: (x,), subject.skeleton).crop.boxes(detections.boxes)
    crops = ImageBatch.upload([image]).crops(boxes, np.zeros(len(boxes), np.intp))
    contestants: dict[str, Callable[[], object]] = {
        FROZEN: partial(frozen, image, detections),
        BATCHED: partial(subject.frozen(batched=True), image, detections),
        FLOOR: floor(frozen, args.people),
    }
    joints: dict[str, tuple[float, float]] = {}
    for name in names:
        estimate = ours(subject, name, crops)
        joints[name] = apart_px(estimate(image, detections), expected)
        contestants[f"ours, {name}"] = partial(estimate, image, detections)
    turns = take_turns(contestants, args.rounds, clock=args.clock)
    print(f"\n{args.network}, {args.people} people, 1280x720\n\n{turns.table(FROZEN)}")
    print("\n| ours | largest distance of a joint from frozen's, px | median |\n|---|---|---|")
    for name, (largest, median) in joints.items():
        print(f"| {name} | {largest:.2g} | {median:.2g} |")
    return {"times_as_fast": turns.numbers(FROZEN), "joints_px": joints}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", choices=("r50", "nano"), default="r50")
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument(
        "--ours", nargs="+", choices=OURS, default=["torch", "onnxruntime", "openvino", "int8"]
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="nano, 2 people, 2 rounds, torch")
    args = parser.parse_args()
    if args.quick:
        args.network, args.people, args.rounds, args.ours = "nano", 2, 2, ["torch"]
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    print(about(args.threads, args.clock))
    subject = fastpose_r50() if args.network == "r50" else nano()
    numbers = measure(subject, args.ours, args)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
