# SPDX-License-Identifier: Apache-2.0
"""A YOLOX exported to ONNX by its own project: raw head outputs, decoded here."""

from __future__ import annotations

from pathlib import Path

import torch

from alphapose_ros.base.errors import WeightsError, require
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.detection.yolox import PAD, PERSON
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.yolox import anchor_grid, decode_boxes


class OnnxDetector:
    """People by onnxruntime on the CPU; the input size is the file's.

    Args:
        path: graph from (1, 3, H, W) BGR 0..255 to (1, A, 5 + C) offsets, log sizes, objectness
            and classes as probabilities.
        config: thresholds; its input size is not used.

    Raises:
        WeightsError: the file is no such graph.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, config: DetectorConfig) -> None:
        runtime = require(
            "onnxruntime", needed_for="the onnx detector", install="pip install onnxruntime"
        )
        if not Path(path).is_file():
            raise WeightsError(f"{path}: expected an ONNX file, there is none")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except (RuntimeError, ValueError) as error:
            raise WeightsError(f"{path}: not a usable ONNX file: {error}") from error
        shape = session.get_inputs()[0].shape
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(s, int) for s in shape[2:]):
            raise WeightsError(
                f"{path}: expected an input (1, 3, H, W) of fixed size, got {shape}"
            )
        self._session, self._input = session, session.get_inputs()[0].name
        self._size_hw = int(shape[2]), int(shape[3])
        self.config = config

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds."""
        self.config = config

    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image."""
        images, scales = batch.letterbox(self._size_hw, PAD)
        points, strides = anchor_grid(self._size_hw)
        out = []
        for image, scale, size_hw in zip(images, scales, batch.sizes_hw, strict=True):
            pixels = image.flip(0)[None].cpu().numpy()
            raw = torch.from_numpy(self._session.run(None, {self._input: pixels})[0][0])
            boxes = decode_boxes(raw[:, :4], points, strides)
            scores = raw[:, 4] * raw[:, 5 + PERSON]
            found = best_candidates(boxes, scores, self.config.score_threshold)
            out.append(select_people(found[0] / scale, found[1], size_hw, self.config))
        return out
