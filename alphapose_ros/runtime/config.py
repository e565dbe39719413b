# SPDX-License-Identifier: Apache-2.0
"""Which runtime, in which precision. No runtime is imported here: launch files read it too."""

from __future__ import annotations

from dataclasses import dataclass

RUNTIMES = ("auto", "torch", "compile", "onnxruntime", "tensorrt", "openvino")
PRECISIONS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class RuntimeOptions:
    """How the networks of a pipeline run.

    Attributes:
        name: one of ``RUNTIMES``.
        precision: of the networks; decoding is always float32.
        device: cpu, cuda or cuda:N.
        threads: CPU threads; 0 for PyTorch's number, so that two libraries do not differ.
    """

    name: str = "auto"
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 0
