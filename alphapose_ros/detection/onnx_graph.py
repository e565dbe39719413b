# SPDX-License-Identifier: Apache-2.0
"""A detector's ONNX graph: what goes in, what comes out, and running it."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alphapose_ros.base.errors import InputError, WeightsError
from alphapose_ros.models.export import METADATA
from alphapose_ros.runtime.batching import CAMERAS
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import choose_runtime, open_graph
from alphapose_ros.runtime.onnx_model import GraphValue, OnnxModel, SizeRange

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))


@dataclass(frozen=True)
class Output:
    """An output of a graph: name, shape for one image, whether its numbers are floating point."""

    name: str
    shape: tuple[int, ...]
    floating: bool = True


@dataclass(frozen=True)
class GraphInfo:
    """What a form is recognised by.

    Attributes:
        name: of the file.
        input_hw: of the graph, px.
        outputs: in its order.
        classes: names that the file carries, by index; None where it carries none.
    """

    name: str
    input_hw: tuple[int, int]
    outputs: tuple[Output, ...]
    classes: dict[int, str] | None = None

    def cells(self, strides: tuple[int, ...] = STRIDES[0]) -> int:
        """Cells of the input at all strides together."""
        return sum((self.input_hw[0] // s) * (self.input_hw[1] // s) for s in strides)

    def head(self) -> tuple[int, tuple[int, ...]]:
        """Place and shape of the only output of three dimensions; (-1, (0, 0, 0)) if not one."""
        found = [(k, out.shape) for k, out in enumerate(self.outputs) if len(out.shape) == 3]
        return found[0] if len(found) == 1 else (-1, (0, 0, 0))

    def person(self, first: int = 0) -> int:
        """Class of people: as the file says, else ``first``.

        Raises:
            WeightsError: the file names several classes and none is a person.
        """
        if not self.classes:
            return first
        for index, name in self.classes.items():
            if name.strip().lower() == "person":
                return index
        if len(self.classes) == 1:
            return next(iter(self.classes))
        names = ", ".join(list(self.classes.values())[:10])
        raise WeightsError(f"{self.name}: expected a class 'person', its classes are {names}")

    def column(self, count: int) -> int:
        """Column of people among ``count`` classes.

        Raises:
            WeightsError: there is no such column.
        """
        person = self.person()
        if person >= count:
            raise WeightsError(
                f"{self.name}: expected scores of class {person}, a person, got {count} classes"
            )
        return person


@dataclass(frozen=True)
class _Input:
    """Where the image goes: axes of rows, columns and channels, sizes, element type."""

    axes: str  # BCHW, BHWC or CHW
    shape: tuple[int | None, ...]
    dtype: torch.dtype

    def size(self, axis: str) -> int | None:
        """Length along ``axis``; None: any."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def arranged(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in the axes and the type of the graph; bytes are rounded."""
        if not self.dtype.is_floating_point:
            images = images.round().clamp(0, 255)
        axes = {"BCHW": images, "BHWC": images.permute(0, 2, 3, 1), "CHW": images[0]}
        return axes[self.axes].to(self.dtype).contiguous()


class DetectorGraph:
    """Images (B, 3, H, W) -> the graph's outputs.

    Sizes of outputs that the file leaves open are learnt from one run on a black image.

    Args:
        path: of the file.
        options: runtime and device.
        input_hw: size of the images, where the file leaves it open.

    Attributes:
        info: what its form is recognised by.
        batch: most images per call.
        takes_bytes: whether pixels go in as integers, so that the graph scales them itself.
        about: what this project wrote into the file; empty for others' files.

    Raises:
        WeightsError: no usable graph, or not one of images.
        ConfigError: the runtime does not go with the device or with a graph.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, path: Path, options: RuntimeOptions, input_hw: tuple[int, int]) -> None:
        chosen = choose_runtime(options, graph=True)
        alone = chosen.name == "onnxruntime"
        # ONNX Runtime reads the file, whoever runs it: only it tells names and sizes.
        reader = replace(chosen, name="onnxruntime", device="cpu", precision="float32")
        model = OnnxModel(path, chosen if alone else reader)
        self._input, self._size_dtype = _inputs(model)
        self.input_hw = (
            self._input.size("H") or input_hw[0],
            self._input.size("W") or input_hw[1],
        )
        self.takes_bytes = not self._input.dtype.is_floating_point
        self.about = _about(model)
        self._run: Callable[..., tuple[Tensor, ...]] = model
        outputs = self._outputs(model)
        self.info = GraphInfo(model.name, self.input_hw, outputs, _classes(model))
        without_batch = max(len(out.shape) for out in outputs) < 3
        self.batch = 1 if self._input.size("B") or without_batch else CAMERAS
        if not alone:
            most = {"B": self.batch, "C": 3, "H": self.input_hw[0], "W": self.input_hw[1]}
            limit = tuple(most[axis] for axis in self._input.axes)
            limits = {model.inputs[0].name: SizeRange.batches(limit)}
            if self._size_dtype is not None:
                limits[model.inputs[1].name] = SizeRange.batches((self.batch, 2))
            self._run = open_graph(path, chosen, limits=limits)

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Run once, on at most ``batch`` images."""
        given = [self._input.arranged(images)]
        if self._size_dtype is not None:  # RT-DETR scales its boxes itself: to the input's px
            size_wh = torch.tensor([self.input_hw[::-1]], dtype=self._size_dtype)
            given.append(size_wh.repeat(len(images), 1).to(images.device))
        return self._run(*given)

    def _outputs(self, model: OnnxModel) -> tuple[Output, ...]:
        shapes = [value.shape for value in model.outputs]
        if not all(shape and None not in shape[1:] for shape in shapes):
            black = torch.zeros((1, 3, *self.input_hw), device=model.device)
            try:
                shapes = [tuple(output.shape) for output in self(black)]
            except InputError as error:
                raise WeightsError(str(error)) from error
        return tuple(
            Output(value.name, tuple(size or 1 for size in shape), value.dtype.is_floating_point)
            for value, shape in zip(model.outputs, shapes, strict=True)
        )


def _inputs(model: OnnxModel) -> tuple[_Input, torch.dtype | None]:
    """The image's place, and the type of a second input that asks for the image's size."""
    image, *more = model.inputs
    axes = _axes(image.shape)
    asks_size = len(more) == 1 and _is_size(more[0])
    if not axes or (more and not asks_size):
        shapes = ", ".join(f"{value.name} {value.shape}" for value in model.inputs)
        raise WeightsError(
            f"{model.name}: expected one input of a batch of 1 or any, (1, 3, H, W), (1, H, W, 3) "
            f"or (3, H, W), got {shapes}"
        )
    return _Input(axes, image.shape, image.dtype), more[0].dtype if more else None


def _axes(shape: tuple[int | None, ...]) -> str:
    if len(shape) == 3 and shape[0] == 3:
        return "CHW"
    if len(shape) != 4 or shape[0] not in (1, None):
        return ""
    if shape[1] == 3:
        return "BCHW"
    if shape[3] == 3:
        return "BHWC"
    return "BCHW" if shape[1] is None else ""


def _is_size(value: GraphValue) -> bool:
    return len(value.shape) == 2 and value.shape[1] == 2 and not value.dtype.is_floating_point


def _about(model: OnnxModel) -> dict[str, Any]:
    """What this project wrote into the file."""
    try:
        about = json.loads(model.metadata.get(METADATA, "{}"))
    except ValueError as error:
        raise WeightsError(f"{model.name}: its {METADATA} entry is damaged: {error}") from error
    if not isinstance(about, dict) or about.get("task", "detection") != "detection":
        raise WeightsError(f"{model.name}: expected a graph of a detector, it says {about}")
    return about


def _classes(model: OnnxModel) -> dict[int, str] | None:
    """Class names by index from the entry ``names``, the text of a Python dict or list."""
    text = model.metadata.get("names")
    if text is None:
        return None
    try:
        names = ast.literal_eval(text)
        table = dict(enumerate(names)) if isinstance(names, list) else dict(names)
        return {int(index): str(name) for index, name in table.items()}
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise WeightsError(
            f"{model.name}: its entry 'names': expected a dict or list of class names, "
            f"got {text[:60]!r}"
        ) from error
