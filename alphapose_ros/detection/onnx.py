# SPDX-License-Identifier: Apache-2.0
"""Detectors of others as ONNX files, and our own exported ones: what they are is seen in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.onnx_formats import recognise
from alphapose_ros.detection.onnx_graph import DetectorGraph
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD, RAW_STD
from alphapose_ros.registry.store import spec_of
from alphapose_ros.runtime.batching import BatchLimit
from alphapose_ros.runtime.config import RuntimeOptions


@dataclass(frozen=True)
class Pixels:
    """How an image enters a graph: each channel as (p / 255 - mean) / std.

    Attributes:
        channels: RGB or BGR.
        mean, std: in the order of ``channels``.
        pad: grey beside the image, 0..255.
    """

    channels: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad: float = 114.0

    def __call__(self, images: Tensor) -> Tensor:
        """RGB images (B, 3, H, W) of 0..255 as the graph wants them."""
        ordered = images.flip(1) if self.channels == "BGR" else images
        factor = images.new_tensor([1 / (255 * s) for s in self.std]).view(3, 1, 1)
        shift = images.new_tensor([m / s for m, s in zip(self.mean, self.std, strict=True)])
        return ordered * factor - shift.view(3, 1, 1)


RGB = Pixels()
RAW_BGR = Pixels("BGR", std=RAW_STD)
RTMDET = Pixels("BGR", IMAGENET_MEAN[::-1], IMAGENET_STD[::-1])
_OWN = {"yolox": RAW_BGR, "yolov3": Pixels(pad=127.5)}  # what ``models export`` writes


class OnnxDetector:
    """People of each image, by an ONNX graph.

    How pixels enter is what is known of the model by its file's name (:mod:`registry`), else what
    this project wrote into the file, else the form's usual way: YOLOX takes BGR 0..255,
    OpenMMLab's files are RTMDet's (BGR, ImageNet's mean and deviation) unless their name says
    yolox, all others take RGB 0..1. A graph that takes bytes gets 0..255. The class of people is
    0, or the one that the file's entry ``names`` calls person.

    Args:
        path: of the file. Its inputs are (1, 3, H, W), (1, H, W, 3) or (3, H, W), of any float or
            of bytes, H and W fixed or open, the batch 1 or open.
        config: thresholds, and the input's size where neither file nor registry gives one.
        options: runtime and device; None: chosen automatically, on the CPU.
        form: auto, or one of :data:`onnx_formats.FORMS` where the outputs alone do not tell it;
            empty: the configuration's ``format``.

    Raises:
        WeightsError: no usable graph, or outputs of no known form, or of more than one.
        ConfigError: the runtime does not go with the device or with a graph.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        config: DetectorConfig,
        options: RuntimeOptions | None = None,
        *,
        form: str = "",
    ) -> None:
        self.config = config
        spec = spec_of(path)
        spec = spec if spec and spec.task == "detection" else None
        open_hw = spec.input_hw if spec else (config.input_height, config.input_width)
        self._graph = DetectorGraph(Path(path), options or RuntimeOptions(), open_hw)
        self.limit = BatchLimit(self._graph.batch, "detector")
        self.form, self._decode = recognise(self._graph.info, form or config.format)
        pixels = _usual_pixels(self.form, Path(path), self._graph.about)
        if self._graph.takes_bytes:
            pixels = replace(pixels, mean=(0.0, 0.0, 0.0), std=RAW_STD)
        if spec:
            pixels = Pixels(spec.channels, spec.mean, spec.std, pixels.pad)
        self.pixels = pixels

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds."""
        self.config = config

    @torch.inference_mode()
    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image."""
        rows = range(len(batch))
        parts = self.limit.run(len(rows), lambda part: self._detect(batch[rows[part]]))
        return [each for part in parts for each in part]

    def _detect(self, batch: ImageBatch) -> list[Detections]:
        images, scales = batch.letterbox(self._graph.input_hw, self.pixels.pad)
        boxes, scores = self._decode(self._graph(self.pixels(images)))
        out = []
        for k, (scale, size_hw) in enumerate(zip(scales, batch.sizes_hw, strict=True)):
            found = best_candidates(boxes[k], scores[k], self.config.score_threshold)
            out.append(select_people(found[0] / scale, found[1], size_hw, self.config))
        return out


def _usual_pixels(form: str, path: Path, about: dict[str, Any]) -> Pixels:
    """A form's own way; OpenMMLab's files are RTMDet's unless their name says YOLOX."""
    if form == "mmdeploy":
        name = path.name.lower()
        return RAW_BGR if "yolox" in name and "rtmdet" not in name else RTMDET
    if form == "yolox":
        return RAW_BGR
    return _OWN.get(about.get("network", ""), RGB)
