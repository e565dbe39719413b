# SPDX-License-Identifier: Apache-2.0
"""Open Model Zoo's person-reidentification networks, as OpenVINO's .xml and .bin."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.openvino_model import OpenVinoModel
from alphapose_ros.weights import parts_of


class OpenModelZooReid(nn.Module):
    """RGB crops (N, 3, H, W) in 0..255 -> unit embeddings (N, dim), on the CPU.

    The networks take BGR in 0..255, as their documentation says.

    Args:
        path: of the .xml; its .bin lies beside it.
        threads: of the CPU, 0 for PyTorch's number. OpenVINO alone runs such a file, whatever
            runs the other networks.

    Raises:
        WeightsError: no such file, or not a network from crops to embeddings.
        MissingDependencyError: openvino is not installed.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        super().__init__()
        for part in parts_of(path):
            if not part.is_file():
                raise WeightsError(f"{part}: there is no such file; an .xml and a .bin are one")
        self._model = OpenVinoModel(path, RuntimeOptions(threads=threads), any_batch=True)
        shapes = self._model.input_shapes, self._model.output_shapes
        self.input_hw, self.dim = _sizes(path, *shapes)

    def forward(self, crops: Tensor) -> Tensor:
        """Unit embeddings, none of none."""
        if not len(crops):
            return crops.new_zeros((0, self.dim))
        found = self._model(crops.flip(1))[0].flatten(1)
        return functional.normalize(found, dim=1)


def _sizes(
    path: Path, inputs: list[list[int]], outputs: list[list[int]]
) -> tuple[tuple[int, int], int]:
    """Height and width of a crop, numbers of an embedding; -1 stands for any."""
    given = inputs[0] if len(inputs) == 1 else []
    found = outputs[0] if len(outputs) == 1 else []
    if len(given) != 4 or given[1] != 3 or min(given[2:]) < 1 or min(found[1:], default=0) < 1:
        raise WeightsError(
            f"{path}: expected a network from crops (N, 3, H, W) to embeddings (N, D), got "
            f"{inputs} to {outputs}"
        )
    dim = 1
    for size in found[1:]:
        dim *= size
    return (given[2], given[3]), dim
