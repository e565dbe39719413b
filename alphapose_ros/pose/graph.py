# SPDX-License-Identifier: Apache-2.0
"""A pose network's ONNX graph: what goes in, what comes out, and running it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alphapose_ros.base.errors import InputError, WeightsError
from alphapose_ros.models.export import METADATA
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import Runner, choose_runtime, open_graph
from alphapose_ros.runtime.onnx_model import OnnxModel, SizeRange


class PoseGraph:
    """Images (N, 3, H, W) -> the graph's outputs.

    Sizes that the file leaves open are learnt from one run on a black image.

    Args:
        path: of the file.
        options: runtime and device.
        max_batch: images per call, where the batch is open; TensorRT plans for it.
        input_hw: size of the images, where the file leaves it open.

    Attributes:
        batch: fixed size of the batch; None: any.
        input_hw: of the images.
        names, shapes: of the outputs.
        about: what this project wrote into the file; empty for others' files.

    Raises:
        WeightsError: no usable graph, or not one of images alone.
        ConfigError: the runtime does not go with the device or with a graph.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(
        self,
        path: Path,
        options: RuntimeOptions,
        *,
        max_batch: int = 64,
        input_hw: tuple[int, int] | None = None,
    ) -> None:
        chosen = choose_runtime(options, graph=True)
        alone = chosen.name == "onnxruntime"
        # ONNX Runtime reads the file, whoever runs it: only it tells names and sizes.
        reader = replace(chosen, name="onnxruntime", device="cpu")
        model = OnnxModel(path, chosen if alone else reader)
        self.name = model.name
        self.about = _about(model)
        if self.about.get("task", "pose") != "pose":
            raise WeightsError(
                f"{self.name}: expected a pose network, this file is for {self.about['task']}"
            )
        self.batch, self.input_hw = _input(model, input_hw)
        self.names = tuple(value.name for value in model.outputs)
        self._dtype = model.inputs[0].dtype
        self.shapes = self._shapes(model)
        self._run: Runner = model
        if not alone:
            size = self.batch or max_batch, 3, *self.input_hw
            self._run = open_graph(
                path, chosen, limits={model.inputs[0].name: SizeRange.batches(size)}
            )

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run once; images are cast to the graph's own type."""
        if not self._dtype.is_floating_point:
            images = images.round().clamp(0, 255)
        return self._run(images.to(self._dtype))

    def _shapes(self, model: OnnxModel) -> tuple[tuple[int, ...], ...]:
        stated = [value.shape for value in model.outputs]
        if all(size is not None for shape in stated for size in shape[1:]):
            return tuple(tuple(size or 1 for size in shape) for shape in stated)
        black = torch.zeros((self.batch or 1, 3, *self.input_hw), dtype=self._dtype)
        try:
            return tuple(tuple(output.shape) for output in model(black.to(model.device)))
        except InputError as error:
            raise WeightsError(str(error)) from error


def _input(
    model: OnnxModel, given_hw: tuple[int, int] | None
) -> tuple[int | None, tuple[int, int]]:
    """The batch, where it is fixed, and the size of the images."""
    shapes = [value.shape for value in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] not in (3, None):
        raise WeightsError(f"{model.name}: expected one input (N, 3, H, W), got {shapes}")
    batch, _, height, width = shapes[0]
    if height is None or width is None:
        if given_hw is None:
            raise WeightsError(
                f"{model.name}: expected an input of fixed height and width, got {shapes[0]}"
            )
        height, width = given_hw
    return batch, (height, width)


def _about(model: OnnxModel) -> dict[str, Any]:
    try:
        about = json.loads(model.metadata.get(METADATA, "{}"))
    except ValueError as error:
        raise WeightsError(f"{model.name}: its {METADATA} entry is damaged: {error}") from error
    if not isinstance(about, dict):
        raise WeightsError(f"{model.name}: its {METADATA} entry: expected a map, got {about!r}")
    return about
