# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train WHAT``: options are the training's own config fields."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from alphapose_ros.cli.console import Commands, add_command, say
from alphapose_ros.cli.options import add_config_options, build_config

_EXAMPLES = """\
Every field of the training's configuration is an option; a YAML file given by --config holds the
same keys, and options override it. An interrupted training continues where its folder stands.
Under torchrun several processes train one network, with the samples that one process would see.

examples:
  alphapose-ros train pose --help                     all options
  alphapose-ros train pose --config pose.yaml --steps 6000
  alphapose-ros train pose --init pose_nano --skeleton mine.yaml --sets mine.json@images \\
      --out runs/mine --steps 200         joints of your own from some 50 pictures
  torchrun --nproc-per-node 4 -m alphapose_ros train pose --config pose.yaml
  alphapose-ros train detector --annotations train.json --images-dir images --output-dir runs/det
  alphapose-ros train nms --people train.json@images --held-out val.json@images --out runs/nms
  alphapose-ros train ablation --training pose.yaml --held-out val.json@images --steps 400
  alphapose-ros train blend --weights runs/mine/pose.safetensors --other pose_nano --share 0.2
  alphapose-ros train calibration --people fit.json@images --held-out val.json@images
  alphapose-ros train proposals --people train.json@images --out runs/proposals.json
  alphapose-ros train pseudo --people train.json@images --out runs/pseudo.json \\
      --hands hand_a.tflite hand_b.tflite --face mesh.tflite     hands and faces by teachers
"""


def register(commands: Commands) -> None:
    """Add the command; the options of each training are added when it is chosen."""
    parser = add_command(
        commands,
        "train",
        "Train the pose network or the detector, or fit proposals.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("what", choices=tuple(_TRAININGS), help="what to train")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see: train WHAT --help")


def run(args: argparse.Namespace) -> int:
    """Train to the end of the schedule."""
    config_type, train = _TRAININGS[args.what]()
    parser = argparse.ArgumentParser(
        prog=f"alphapose-ros train {args.what}",
        description=(config_type.__doc__ or "").strip().splitlines()[0],
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file with these options as keys")
    add_config_options(parser, config_type)
    given = vars(parser.parse_args(args.options))
    made = train(build_config(config_type, given.pop("config"), given))
    if made is not None and os.environ.get("RANK", "0") == "0":
        say(f"written    {made}")
    return 0


def _pose() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.train.pose import PoseTrainConfig, train_pose

    return PoseTrainConfig, train_pose


def _detector() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.train.detector import DetectorTrainConfig, train_detector

    return DetectorTrainConfig, train_detector


def _proposals() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.cli.console import ticking
    from alphapose_ros.train.proposals import ProposalConfig, fit_proposals

    def fit(config: ProposalConfig) -> Any:
        with ticking(" images", quiet=False) as tick:
            return fit_proposals(config, tick)

    return ProposalConfig, fit


def _nms() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.cli.train_nms import NmsTrainConfig, train_nms

    return NmsTrainConfig, train_nms


def _ablation() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.cli.ablation import AblationConfig, ablate

    return AblationConfig, ablate


def _calibration() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.cli.calibrate import CalibrationConfig, calibrate

    return CalibrationConfig, calibrate


def _pseudo() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.cli.train_pseudo import PseudoConfig, label_set

    return PseudoConfig, label_set


def _blend() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.train.blend import BlendConfig, blend

    return BlendConfig, blend


def _tracklets() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.cli.train_reid import TrackletConfig, mine_tracklets

    return TrackletConfig, mine_tracklets


def _reid() -> tuple[type, Callable[[Any], Any]]:
    from alphapose_ros.train.reid import ReidTrainConfig, train_reid

    return ReidTrainConfig, train_reid


_TRAININGS: dict[str, Callable[[], tuple[type, Callable[[Any], Any]]]] = {
    "pose": _pose,
    "detector": _detector,
    "proposals": _proposals,
    "nms": _nms,
    "ablation": _ablation,
    "calibration": _calibration,
    "pseudo": _pseudo,
    "blend": _blend,
    "tracklets": _tracklets,
    "reid": _reid,
}
