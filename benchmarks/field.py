# SPDX-License-Identifier: Apache-2.0
"""Other packages' own code beside ours in one run; what is not installed is named and left out.

    python benchmarks/field.py [--only rtmlib norfair torchvision] [--rounds 15] [--json out.json]

``rtmlib`` (Apache-2.0) and ours run the very same ONNX file in SimCC form, the bundled ``nano``
network with a head of maxima, on the same boxes and the same threads: what differs is everything
around the network. ``norfair`` (BSD-3-Clause) and our tracker get the same detections of 136
joints; its ``mean_euclidean`` is a scalar distance, and it warns itself that vectorised ones would
be faster. Of torchvision's Keypoint R-CNN (BSD-3-Clause) only the resize and the trunk are timed,
which is less than it takes, against all of our ``nano``: its weights are random here, and how many
people it would pose says nothing.

    pip install --no-deps rtmlib norfair filterpy && pip install rich
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from against_frozen import scene
from torch import Tensor, nn
from torch.nn import functional
from tracker_cost import Crowd
from turns import about, take_turns

from alphapose_ros.base.records import Frame, Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.config import PipelineConfig
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import GraphNames, onnx_bytes
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator, decoded_network
from alphapose_ros.registry.bundled import POSE_NANO
from alphapose_ros.registry.store import resolve
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

SPLIT = 2  # SimCC cells per pixel of the crop
FRAME_NS = 33_333_333
SIMCC = GraphNames(
    ("input",), ("simcc_x", "simcc_y"), {n: {0: "N"} for n in ("input", "simcc_x", "simcc_y")}
)
Numbers = dict[str, Any]


class SimccHead(nn.Module):
    """Crops -> SimCC vectors (N, K, 384) and (N, K, 512): maxima of columns and of rows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 256, 192) -> both."""
        maps = self.network(crops).sigmoid()
        factor = 4.0 * SPLIT
        return (
            functional.interpolate(maps.amax(2), scale_factor=factor, mode="linear"),
            functional.interpolate(maps.amax(3), scale_factor=factor, mode="linear"),
        )


def rtmlib(args: argparse.Namespace) -> Numbers:
    """Its RTMPose class and our estimator on one SimCC file."""
    import onnxruntime
    from rtmlib import RTMPose

    decoded, info, _ = decoded_network(resolve(POSE_NANO), PoseConfig())
    example = torch.zeros(2, 3, *info.input_hw)
    numbers = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simcc.onnx"
        path.write_bytes(onnx_bytes(SimccHead(decoded.network), example, SIMCC))
        theirs = RTMPose(str(path), info.input_hw[::-1], backend="onnxruntime", device="cpu")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads  # it would take all cores
        theirs.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        runtime = RuntimeOptions("onnxruntime", threads=args.threads)
        mine = create_estimator(PoseConfig(weights=str(path)), "cpu", runtime)
        for people in args.people:
            image, found = scene(people)

            def ours(image: Any = image, found: Any = found) -> Poses:
                return mine(ImageBatch.upload([image]), [found])[0]

            def other(image: Any = image, found: Any = found) -> Any:
                return theirs(image, found.boxes)

            poses, (points, scores) = ours(), other()
            apart = np.linalg.norm(poses.keypoints - points, axis=-1)[scores > 0.3]
            numbers[f"{people} people"] = printed(
                f"rtmlib, {people} people; joints differ by {np.median(apart):.2f} px (median)",
                {"rtmlib": other, "ours": ours},
                args,
            )
    return numbers


def norfair(args: argparse.Namespace) -> Numbers:
    """Its tracker on all joints and on boxes alone, and ours with poses smoothed."""
    import norfair as package

    numbers = {}
    for people in args.crowds:
        crowd = Crowd(people)
        frames = [crowd.at(i / 30)[0] for i in range(args.rounds + 2)]

        def by_joints(frames: list[Poses] = frames) -> Callable[[], object]:
            tracker, waiting = package.Tracker("mean_euclidean", 60), iter(frames)

            def step() -> object:
                poses = next(waiting)
                return tracker.update(
                    [
                        package.Detection(points=k, scores=s)
                        for k, s in zip(poses.keypoints, poses.scores, strict=True)
                    ]
                )

            return step

        def by_boxes(frames: list[Poses] = frames) -> Callable[[], object]:
            tracker, waiting = package.Tracker("iou", 0.7), iter(frames)

            def step() -> object:
                boxes = next(waiting).boxes.reshape(-1, 2, 2)
                return tracker.update([package.Detection(points=box) for box in boxes])

            return step

        def ours(frames: list[Poses] = frames) -> Callable[[], object]:
            tracker = Tracker(TrackerConfig(smoothing=True), HALPE136, IdentitySource())
            waiting = zip(frames, itertools.count(FRAME_NS, FRAME_NS), strict=False)
            return lambda: tracker.update(*next(waiting))

        numbers[f"{people} people"] = printed(
            f"norfair, {people} people",
            {
                "norfair, 136 joints": by_joints(),
                "norfair, boxes alone": by_boxes(),
                "ours, 136 joints, smoothed": ours(),
            },
            args,
        )
    return numbers


def torchvision(args: argparse.Namespace) -> Numbers:
    """Keypoint R-CNN's resize and trunk against our whole pipeline with ``nano``."""
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    network = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    image = cv2.resize(scene(3)[0], (640, 480))
    config = replace(PipelineConfig.preset_named("nano"), device="cpu", threads=args.threads)
    pipeline, stamps = PosePipeline(config), itertools.count(0, FRAME_NS)
    torch.set_num_threads(args.threads)  # the pipeline takes one where another runtime runs it

    @torch.inference_mode()
    def trunk() -> object:
        given = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        return network.backbone(network.transform([given])[0].tensors)

    def ours() -> object:
        return pipeline(Frame(image, next(stamps), "bench"))

    contestants = {"Keypoint R-CNN, trunk alone": trunk, "ours, nano, all stages": ours}
    return {"640x480": printed("torchvision, 640x480, 3 people", contestants, args)}


def printed(title: str, contestants: dict[str, Callable[[], object]], args: Any) -> Numbers:
    """Take turns, print the table, return its numbers."""
    turns = take_turns(contestants, args.rounds, clock=args.clock, warm_up=2)
    first = next(iter(contestants))
    print(f"\n{title}\n\n{turns.table(first)}", flush=True)
    return turns.numbers(first)


PACKAGES: dict[str, tuple[Callable[[argparse.Namespace], Numbers], str]] = {
    "rtmlib": (rtmlib, "pip install --no-deps rtmlib (and onnxruntime, onnx)"),
    "norfair": (norfair, "pip install --no-deps norfair filterpy && pip install rich"),
    "torchvision": (torchvision, "pip install torchvision"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=tuple(PACKAGES), default=list(PACKAGES))
    parser.add_argument("--people", type=int, nargs="+", default=[1, 5], help="for rtmlib")
    parser.add_argument("--crowds", type=int, nargs="+", default=[5, 20, 50], help="for norfair")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="1 person, crowds of 2, 2 rounds")
    args = parser.parse_args()
    if args.quick:
        args.people, args.crowds, args.rounds = [1], [2], 2
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    print(about(args.threads, args.clock))
    numbers = {}
    for name in args.only:
        measure, install = PACKAGES[name]
        if importlib.util.find_spec(name) is None:
            print(f"\n{name} is absent: {install}")
            continue
        numbers[name] = measure(args)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
