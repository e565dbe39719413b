# SPDX-License-Identifier: Apache-2.0
"""Parameters of the person detector."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.detection.plugins import plugin_named

TORCHVISION_NAMES = (
    "fasterrcnn_mobilenet_v3", "fasterrcnn_resnet50", "retinanet_resnet50", "fcos_resnet50",
    "ssdlite320",
)  # fmt: skip
REPLAY = "replay"
EFFICIENTDET_NAMES = tuple(f"efficientdet_d{size}" for size in range(8))
DETECTOR_NAMES = (
    "yolox", "yolov3", *TORCHVISION_NAMES, *EFFICIENTDET_NAMES, "onnx", REPLAY,
)  # fmt: skip
ONNX_FORMATS = ("auto", "yolox", "yolov5", "yolov8", "end2end", "mmdeploy", "boxes_scores")
STRIDE = 32


@dataclass(frozen=True)
class DetectorConfig:
    """Which detector, on which resolution, and what counts as a person.

    Attributes:
        name: yolox, yolov3 (Darknet's, SPP and tiny too), fasterrcnn_mobilenet_v3,
            fasterrcnn_resnet50, retinanet_resnet50, fcos_resnet50, ssdlite320, efficientdet_d0 to
            efficientdet_d7, onnx, replay, or the name of an installed package's detector.
        weights: file of weights or name of a known model (alphapose-ros models list); replay: a
            file of COCO result rows, whose image_id counts the images; empty: the bundled YOLOX.
            A bare file name is also looked for in torch's hub folder for torchvision's detectors.
        format: outputs of an ONNX file: auto (seen from their shapes), yolox, yolov5 (and YOLOv6,
            YOLOv7), yolov8 (and later), end2end (boxes suppressed in the graph), mmdeploy or
            boxes_scores.
        input_height: rows that an image may take in the network, px, a multiple of 32.
        input_width: columns that an image may take in the network, px, a multiple of 32.
        score_threshold: least score of a person, in [0, 1].
        nms_iou: overlap above which the lower score of two boxes is dropped, in [0, 1].
        max_people: most people per image, the best scores first.
        min_box_px: least shorter side of a box in the image, px.
        interval_s: look for people this often at most; in images between, boxes are where the
            people followed are expected, and newcomers wait, s. 0: in every image.
    """

    name: str = setting("yolox", choices=DETECTOR_NAMES, others="an installed one", live=False)
    weights: str = setting("", live=False)
    format: str = setting("auto", choices=ONNX_FORMATS, live=False)
    input_height: int = setting(416, low=STRIDE, live=False)
    input_width: int = setting(416, low=STRIDE, live=False)
    score_threshold: float = setting(0.25, low=0, high=1)
    nms_iou: float = setting(0.65, low=0, high=1)
    max_people: int = setting(30, low=1)
    min_box_px: float = setting(6.0, low=0)
    interval_s: float = setting(0.0, low=0)

    def __post_init__(self) -> None:
        check_settings(self, "detector")
        if self.name == REPLAY and self.interval_s:
            raise ConfigError(
                f"detector.interval_s: expected 0 where boxes are replayed, got {self.interval_s}"
            )
        if self.name not in DETECTOR_NAMES:
            plugin_named(self.name, DETECTOR_NAMES)
        for side in ("input_height", "input_width"):
            value = getattr(self, side)
            if value % STRIDE:
                raise ConfigError(f"detector.{side}: expected a multiple of {STRIDE}, got {value}")

    @property
    def in_torch(self) -> bool:
        """Whether PyTorch runs it, whatever runs the other networks; a plugin's may be."""
        return self.name not in ("yolox", "yolov3", "onnx", REPLAY)
