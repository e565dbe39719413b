# SPDX-License-Identifier: Apache-2.0
"""Person detectors as ONNX; what they are is seen in the graph.

| form | outputs | graphs |
|---|---|---|
| yolox | (1, A, 5 + C): raw heads, decoded here | YOLOX's own exports |
| mmdeploy | dets (1, N, 5) and labels (1, N) | RTMDet and YOLOX of OpenMMLab |
| boxes_scores | boxes (N, A, 4) px and scores (N, A, C) | what ``models export`` writes |
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.detection.yolox import PAD, PERSON
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import METADATA
from alphapose_ros.models.yolox import anchor_grid, decode_boxes
from alphapose_ros.registry.spec import RAW_STD
from alphapose_ros.registry.store import spec_of
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.onnx_model import OnnxModel

FORMS = ("yolox", "mmdeploy", "boxes_scores")


class OnnxDetector:
    """People by an ONNX graph; a fixed input size is the file's, an open one the configuration's.

    Args:
        path: of the file.
        config: thresholds, input size and ``format``.
        options: runtime and device; None: chosen automatically, on the CPU.

    Raises:
        WeightsError: the file is no usable graph, or of no known form.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(
        self, path: str | Path, config: DetectorConfig, options: RuntimeOptions | None = None
    ) -> None:
        self.model = OnnxModel(path, options or RuntimeOptions())
        self.config = config
        self.form = _form(self.model) if config.format == "auto" else config.format
        shape = self.model.inputs[0].shape
        if len(shape) != 4 or shape[1] != 3:
            raise WeightsError(f"{path}: expected an input (1, 3, H, W), got {shape}")
        self._size_hw = shape[2] or config.input_height, shape[3] or config.input_width
        spec = spec_of(path)
        known = spec is not None and spec.task == "detection"
        self._channels = spec.channels if spec and known else "BGR"
        self._mean = spec.mean if spec and known else (0.0, 0.0, 0.0)
        self._std = spec.std if spec and known else RAW_STD
        if METADATA in self.model.metadata:
            network = json.loads(self.model.metadata[METADATA]).get("network")
            if network == "yolov3":  # the one of ours that takes RGB of 0..1
                self._channels, self._std = "RGB", (1.0, 1.0, 1.0)

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds."""
        self.config = config

    @torch.inference_mode()
    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image."""
        images, scales = batch.letterbox(self._size_hw, PAD)
        out = []
        for image, scale, size_hw in zip(images, scales, batch.sizes_hw, strict=True):
            boxes, scores = self._people(self.model(self._pixels(image)[None]))
            found = best_candidates(boxes, scores, self.config.score_threshold)
            out.append(select_people(found[0] / scale, found[1], size_hw, self.config))
        return out

    def _pixels(self, image: Tensor) -> Tensor:
        """RGB of 0..255 -> (p / 255 - mean) / std in the graph's channel order."""
        ordered = image.flip(0) if self._channels == "BGR" else image
        mean, std = (ordered.new_tensor(v).view(3, 1, 1) for v in (self._mean, self._std))
        return (ordered / 255 - mean) / std

    def _people(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Boxes (A, 4) in px of the input and the probability of a person (A,)."""
        if self.form == "yolox":
            raw = outputs[0][0]
            points, strides = anchor_grid(self._size_hw)
            return decode_boxes(raw[:, :4], points, strides), raw[:, 4] * raw[:, 5 + PERSON]
        if self.form == "mmdeploy":
            found, labels = outputs[0][0], outputs[1][0]
            person = labels == PERSON
            return found[person, :4], found[person, 4]
        return outputs[0][0], outputs[1][0][:, PERSON]


def _form(model: OnnxModel) -> str:
    names = [value.name for value in model.outputs]
    ranks = [len(value.shape) for value in model.outputs]
    last = [value.shape[-1] if value.shape else None for value in model.outputs]
    if names == ["boxes", "scores"] and ranks == [3, 3] and last[0] in (4, None):
        return "boxes_scores"
    if ranks == [3, 2] and last[0] == 5:
        return "mmdeploy"
    if ranks == [3] and (last[0] or 0) > 5:
        return "yolox"
    found = ", ".join(f"{value.name} {value.shape}" for value in model.outputs)
    raise WeightsError(
        f"{model.name}: expected outputs of yolox (1, A, 5 + C), mmdeploy (1, N, 5) and (1, N), "
        f"or boxes (N, A, 4) and scores (N, A, C); got {found}"
    )
