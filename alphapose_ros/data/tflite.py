# SPDX-License-Identifier: Apache-2.0
"""Networks in .tflite files that find the points of one hand or face in a crop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import WeightsError, require

FloatArray = NDArray[np.float32]
_IDENTIFIER = b"TFL3"  # of the file's format, at byte 4


class PointNetwork(Protocol):
    """Finds K points of a part that fills about half of an upright crop."""

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size of a crop in px."""
        ...

    def __call__(self, crop: NDArray[np.uint8]) -> tuple[FloatArray, float]:
        """RGB crop (h, w, 3) -> points (K, 2) in its px, and the chance that the part is there."""
        ...


class TflitePoints:
    """A .tflite file: RGB / 255 (1, h, w, 3) -> K points of x, y, z in crop px, and a presence.

    MediaPipe's hand and face networks are such files: the first output with 3 K numbers holds the
    points, the first with a single number the presence; which hand it is, if told, comes after.

    Args:
        path: of the file.
        count: K, points that it finds.
        keep: which of them are answered, in this order; None: all.
        logit: the presence comes as a logit (MediaPipe's face), not as a chance (its hands).

    Raises:
        MissingDependencyError: the interpreter is not installed.
        WeightsError: no file, no .tflite file, or one with other inputs or outputs.
    """

    def __init__(
        self, path: Path, count: int, *, keep: Sequence[int] | None = None, logit: bool = False
    ) -> None:
        self._path, self._logit = path, logit
        self._keep = np.arange(count) if keep is None else np.array(keep, np.intp)
        self._interpreter = _opened(path)
        source, *more = self._interpreter.get_input_details()
        shape = tuple(int(side) for side in source["shape"])
        if more or len(shape) != 4 or shape[::3] != (1, 3) or source["dtype"] != np.float32:
            raise WeightsError(
                f"{path}: expected one float32 input (1, h, w, 3), got {source['dtype'].__name__} "
                f"{shape} and {len(more)} more"
            )
        self.input_hw = shape[1], shape[2]
        self._source = source["index"]
        self._points = self._output(3 * count)
        self._presence = self._output(1)

    def __call__(self, crop: NDArray[np.uint8]) -> tuple[FloatArray, float]:
        """RGB crop (h, w, 3) -> points (K, 2) in its px, and the chance that the part is there.

        Raises:
            WeightsError: the file's presence is no chance although it was said to be.
        """
        self._interpreter.set_tensor(self._source, crop[None].astype(np.float32) / 255)
        self._interpreter.invoke()
        points = self._interpreter.get_tensor(self._points).reshape(-1, 3)[self._keep, :2]
        presence = float(self._interpreter.get_tensor(self._presence).reshape(()))
        if self._logit:
            presence = float(1 / (1 + np.exp(-np.float64(presence).clip(-50, 50))))
        elif not 0 <= presence <= 1:
            raise WeightsError(f"{self._path}: expected a presence in [0, 1], got {presence:g}")
        return points, presence

    def _output(self, size: int) -> int:
        details = self._interpreter.get_output_details()
        sizes = [int(np.prod(detail["shape"])) for detail in details]
        if size not in sizes:
            raise WeightsError(
                f"{self._path}: expected an output of {size} numbers, got outputs of {sizes}"
            )
        return int(details[sizes.index(size)]["index"])


def _opened(path: Path) -> Any:
    """An interpreter with its memory laid out, on one thread: crops come one by one."""
    runtime = require(
        "ai_edge_litert.interpreter",
        needed_for="a .tflite teacher",
        install="pip install ai-edge-litert",
    )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: expected a .tflite file: {error.strerror}") from error
    if content[4:8] != _IDENTIFIER:
        raise WeightsError(f"{path}: expected a .tflite file, got another format")
    try:
        interpreter = runtime.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: not a usable .tflite file: {error}") from error
    return interpreter
