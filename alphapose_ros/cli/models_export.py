# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros models convert|export|quantise``: files of networks in other forms."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import Commands, add_pipeline_options, progress, say

if TYPE_CHECKING:
    from torch import Tensor

    from alphapose_ros.config import PipelineConfig

_DECODE_HELP = "how its maps become joints: heatmap, sikr or combined (default: as it says)"
_EXPORT_EPILOG = """\
The graph takes RGB crops (pose) or letterboxed images (detector) of 0..255, decoding included, and
carries what this package needs to run it, a skeleton of your own too: pose.weights: OUT, or
detector.name: onnx with detector.weights: OUT.
"""


def register(commands: Commands) -> None:
    """Add the commands below ``models``."""
    convert = commands.add_parser("convert", help="a checkpoint as safetensors")
    convert.set_defaults(handler=run_convert)
    convert.add_argument("source", metavar="IN", help="AlphaPose's or this project's weights")
    convert.add_argument("target", metavar="OUT", help="safetensors file to write")
    convert.add_argument("--decode", default="auto", metavar="KIND", help=_DECODE_HELP)
    convert.add_argument(
        "--int8", action="store_true", help="a quarter of the size; networks run in floats as ever"
    )
    for name, handler, text in (
        ("export", run_export, "the configured network as ONNX, decoding included"),
        ("quantise", run_quantise, "the same in int8, its ranges measured on images"),
    ):
        parser = commands.add_parser(
            name,
            help=text,
            epilog=_EXPORT_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(handler=handler)
        parser.add_argument("what", choices=("pose", "detector"))
        parser.add_argument("target", metavar="OUT", help="ONNX file to write")
        add_pipeline_options(parser)
        if name == "quantise":
            parser.add_argument("--images", required=True, metavar="DIR", help="what it will see")
            parser.add_argument("--limit", type=int, default=100, metavar="N", help="images")
            parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run_convert(args: argparse.Namespace) -> int:
    """Read, say what it is, write."""
    from alphapose_ros.models.checkpoint import load_checkpoint, save_checkpoint
    from alphapose_ros.models.stored_skeleton import add_skeleton, stored_skeleton
    from alphapose_ros.registry.store import resolve

    target, source = _target(args.target, ".safetensors"), resolve(args.source)
    network, info = load_checkpoint(source, decode=args.decode)
    own = stored_skeleton(source)
    save_checkpoint(network, info, target, int8=args.int8)
    if own is not None:
        add_skeleton(target, own)
    say(f"{info.text()}: {target}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Export the configured network."""
    target = _target(args.target, ".onnx")
    graph, about = _graph(args.what, _config(args))
    _write(target, graph, about)
    return 0


def run_quantise(args: argparse.Namespace) -> int:
    """Export, run the pipeline over the images, and quantise by what the network was given."""
    from alphapose_ros.runtime.quantise import quantise

    if args.limit < 1:
        raise InputError(f"--limit: expected at least 1, got {args.limit}")
    target = _target(args.target, ".onnx")
    config = _config(args)
    graph, about = _graph(args.what, config)
    inputs = list(_inputs(args, config))
    if not inputs:
        raise InputError(f"{args.images}: expected people to calibrate with, found none")
    say(f"inputs that the layers' ranges are measured on: {len(inputs)}")
    with contextlib.redirect_stdout(io.StringIO()):  # the library's lines, some for every input
        quantised = quantise(graph, inputs)
    _write(target, quantised, {**about, "precision": "int8"})
    return 0


def _config(args: argparse.Namespace) -> PipelineConfig:
    from alphapose_ros.cli.pipelines import load_config

    return load_config(args)[0]


def _target(name: str, suffix: str) -> Path:
    from alphapose_ros.io.sinks import check_folder

    path = Path(name)
    if path.suffix != suffix:
        raise InputError(f"{name}: expected a name ending in {suffix}")
    check_folder(path)
    return path


def _write(target: Path, graph: bytes, about: dict[str, Any]) -> None:
    from alphapose_ros.models.export import with_metadata

    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(with_metadata(graph, about))
    partial.replace(target)
    say(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


def _graph(what: str, config: PipelineConfig) -> tuple[bytes, dict[str, Any]]:
    """The graph of the configured network, and what its reader must know."""
    import torch

    from alphapose_ros.models.export import onnx_bytes, pose_names

    if what == "detector":
        from alphapose_ros.detection.factory import DETECTOR_GRAPH, detector_network

        detector = config.detector
        network = detector_network(detector)
        image = torch.zeros((1, 3, detector.input_height, detector.input_width))
        about: dict[str, Any] = {"task": "detection", "network": detector.name}
        return onnx_bytes(network, image, DETECTOR_GRAPH), about
    from alphapose_ros.models.stored_skeleton import described_skeleton
    from alphapose_ros.pose.factory import decoded_network, untaught_joints
    from alphapose_ros.registry.bundled import POSE_NANO
    from alphapose_ros.registry.store import resolve

    path = resolve(config.pose.weights or POSE_NANO)
    decoded, info, skeleton = decoded_network(path, config.pose)
    height, width = info.input_hw
    about = {
        "task": "pose",
        **described_skeleton(skeleton),
        "input_hw": [height, width],
        "unit_px": 4.0,
        "untaught": list(untaught_joints(info, skeleton)),
    }
    names = pose_names(spread=config.pose.keypoint_std)
    return onnx_bytes(decoded, torch.zeros((2, 3, height, width)), names), about


def _inputs(args: argparse.Namespace, config: PipelineConfig) -> Iterator[Tensor]:
    """What the network is given for the images, one call after the other."""
    from dataclasses import replace

    from alphapose_ros.imaging import ImageBatch
    from alphapose_ros.io.sources import find_images, read_image
    from alphapose_ros.pipeline import PosePipeline
    from alphapose_ros.pose.refiner import whole_of
    from alphapose_ros.runtime.recording import Place, recorded

    pipeline = PosePipeline(replace(config, runtime="torch"))
    places: dict[str, Place] = {
        "detector": (pipeline.detector, "model"),
        "pose": (whole_of(pipeline.estimator), "network"),
    }
    paths = find_images(Path(args.images))[: args.limit]
    for path in progress(paths, total=len(paths), unit=" images", quiet=args.quiet):
        with recorded({args.what: places[args.what]}) as calls:
            pipeline.detect_and_estimate(ImageBatch.upload([read_image(path)], pipeline.device))
        for (given,) in calls.get(args.what, []):
            yield given
