# SPDX-License-Identifier: Apache-2.0
"""Parameters of the pose estimator. No network is imported here: launch files read them too."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.affine import parse_input_hw
from alphapose_ros.base.settings import check_settings, setting

DECODERS = ("auto", "heatmap", "sikr", "combined")
POSE_FORMATS = ("auto", "simcc", "heatmap", "rtmo", "decoded")
OWN = -1.0  # of tail_cut and window: what the model was measured with


@dataclass(frozen=True)
class PoseConfig:
    """Which pose network, and how its maps become joints.

    Attributes:
        weights: file of weights (this project's, AlphaPose's, or ONNX) or name of a known model
            (alphapose-ros models list); empty: the bundled one.
        decode: what AlphaPose's maps mean: heatmap, sikr or combined; auto: as the file, its name
            or its shape says.
        format: outputs of an ONNX file: auto (seen from their shapes), simcc, heatmap, rtmo or
            decoded.
        skeleton: joints that come out, as halpe136 or a YAML file of your own ones, matched by
            name; joints that the network does not know get score 0. A YAML file of as many
            joints also describes a network that does not tell its joints. Empty: the network's
            own.
        input_size: height x width of a crop, multiples of 32, as 224x160: fewer pixels take less
            time and give less accuracy. Not for ONNX files, whose size is fixed. Empty: the size
            that the network was trained on.
        tail_cut: confidences below this share of a map's peak are dropped before SIKR's sum; 0
            is AlphaPose's own decoding; -1: what the file says that it was trained with, else 0.3
            for this project's networks and 0 for AlphaPose's.
        window: standard deviation, in map cells of 4 px, of a Gaussian around the peak that
            SIKR's sum is taken in; 0 is AlphaPose's own decoding; -1: 6 for networks with a tail
            cut, 0 for others.
        calibration: file of alphapose-ros train calibration, which makes joint scores chances of
            being right; empty: scores are the maps' peaks.
        flip_test: run each crop and its mirror image and average; twice the time.
        keypoint_std: fill keypoint_std of the messages: the spread of each joint's probability
            map, px in the image. Networks that SIKR decodes, from files of weights, give it.
        max_batch: crops per network call; on a CPU never more than 4, which is fastest there.
        score_threshold: least score of a person that a one-stage network (RTMO) finds itself.
        face_weights: network of a face alone that looks again at every face found, as weights;
            empty: none.
        hand_weights: network of a hand alone that looks again at both hands, as weights; empty:
            none.
        least_part_px: longer side of the smallest face or hand that is looked at again, px in
            the image.
    """

    weights: str = setting("", live=False)
    decode: str = setting("auto", choices=DECODERS, live=False)
    format: str = setting("auto", choices=POSE_FORMATS, live=False)
    skeleton: str = setting("", live=False)
    input_size: str = setting("", live=False)
    tail_cut: float = setting(OWN, low=OWN, high=0.99, live=False)
    window: float = setting(OWN, low=OWN, live=False)
    calibration: str = setting("", live=False)
    flip_test: bool = setting(False, live=False)
    keypoint_std: bool = setting(False, live=False)
    max_batch: int = setting(64, low=1, live=False)
    score_threshold: float = setting(0.3, low=0, high=1, live=False)
    face_weights: str = setting("", live=False)
    hand_weights: str = setting("", live=False)
    least_part_px: float = setting(10.0, low=0, live=False)

    def __post_init__(self) -> None:
        check_settings(self, "pose")
        _ = self.input_hw  # refused here rather than after the weights were read

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """``input_size`` as numbers; None where the network's own counts.

        Raises:
            ConfigError: it is no size, or not of multiples of 32.
        """
        return parse_input_hw(self.input_size, "pose.input_size") if self.input_size else None
