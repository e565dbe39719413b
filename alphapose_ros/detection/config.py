# SPDX-License-Identifier: Apache-2.0
"""Parameters of the person detector."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError

TORCHVISION_NAMES = ("fasterrcnn_mobilenet_v3", "fasterrcnn_resnet50", "ssdlite320")
DETECTOR_NAMES = ("yolox", *TORCHVISION_NAMES, "onnx", "replay")
STRIDE = 32


@dataclass(frozen=True)
class DetectorConfig:
    """Which detector, on which resolution, and what counts as a person.

    Attributes:
        name: one of yolox, fasterrcnn_mobilenet_v3, fasterrcnn_resnet50, ssdlite320, onnx, replay.
        weights: file of weights (replay: of COCO result rows); empty: the bundled YOLOX. A bare
            file name is also looked for in torch's hub folder for torchvision's detectors.
        input_height: rows that an image may take in the network, px, a multiple of 32.
        input_width: columns that an image may take in the network, px, a multiple of 32.
        score_threshold: least score of a person, in [0, 1].
        nms_iou: overlap above which the lower score of two boxes is dropped, in [0, 1].
        max_people: most people per image, the best scores first.
        min_box_px: least shorter side of a box in the image, px.
    """

    name: str = "yolox"
    weights: str = ""
    input_height: int = 416
    input_width: int = 416
    score_threshold: float = 0.25
    nms_iou: float = 0.65
    max_people: int = 30
    min_box_px: float = 6.0

    def __post_init__(self) -> None:
        if self.name not in DETECTOR_NAMES:
            known = ", ".join(DETECTOR_NAMES)
            raise ConfigError(f"detector.name: expected one of {known}, got {self.name!r}")
        for side in ("input_height", "input_width"):
            value = getattr(self, side)
            if value < STRIDE or value % STRIDE:
                raise ConfigError(f"detector.{side}: expected a multiple of {STRIDE}, got {value}")
        for share in ("score_threshold", "nms_iou"):
            value = getattr(self, share)
            if not 0 <= value <= 1:
                raise ConfigError(f"detector.{share}: expected 0..1, got {value}")
        if self.max_people < 1:
            raise ConfigError(f"detector.max_people: expected at least 1, got {self.max_people}")
        if not self.min_box_px >= 0:
            raise ConfigError(f"detector.min_box_px: expected 0 or more, got {self.min_box_px}")
