# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs on ONNX Runtime, called as a network is: tensors in, tensors out."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError, require
from alphapose_ros.registry.store import cache_dir
from alphapose_ros.runtime.config import RuntimeOptions

_INSTALL = "pip install onnxruntime onnx (NVIDIA GPU: onnxruntime-gpu onnx)"
# A thread that has no work waits awake for so long, then asleep: a layer of a small network takes
# no longer than it takes to wake a thread, but a core that somebody else needs is not held.
_AWAKE_US = 20
_BOUNDED_SPINNING = (1, 26)  # the first version that keeps to that time
_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(uint8)": torch.uint8,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
}
_NUMPY = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.uint8: np.uint8,
    torch.int64: np.int64,
    torch.int32: np.int32,
}


@dataclass(frozen=True)
class GraphValue:
    """An input or output of a graph: name, sizes (None where any will do), element type."""

    name: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class SizeRange:
    """Sizes of an input: the smallest, the one to be fast at, the largest."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]

    @classmethod
    def batches(cls, most: tuple[int, ...]) -> SizeRange:
        """From one row to as many as ``most`` has; all else is fixed."""
        return cls((1, *most[1:]), most, most)


class OnnxModel:
    """A graph, ready to run; outputs lie on the device of the inputs.

    Args:
        model: path of an .onnx file, or a serialised graph.
        options: device, threads, and ``tensorrt`` instead of CUDA's own kernels.
        limits: per input, the sizes that will come; TensorRT plans for them.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        ConfigError: the installed onnxruntime has no provider for the device.
        WeightsError: no file, or no usable graph.
    """

    def __init__(
        self,
        model: str | Path | bytes,
        options: RuntimeOptions | None = None,
        *,
        limits: Mapping[str, SizeRange] | None = None,
    ) -> None:
        options = options or RuntimeOptions()
        runtime = require("onnxruntime", needed_for="an ONNX model", install=_INSTALL)
        self.name = "an exported graph" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise WeightsError(f"{model}: expected an ONNX file, there is none")
        session_options = runtime.SessionOptions()
        session_options.intra_op_num_threads = options.threads or torch.get_num_threads()
        for key, value in _waiting(runtime.__version__).items():
            session_options.add_session_config_entry(key, value)
        session_options.log_severity_level = 3  # errors alone: they are raised as well
        self._errors = _errors_of(runtime)
        source = model if isinstance(model, bytes) else str(model)
        providers = _providers(runtime, model, options, limits or {})
        try:
            self._session = runtime.InferenceSession(source, session_options, providers=providers)
        except self._errors as error:
            raise WeightsError(f"{self.name}: not a usable ONNX file: {error}") from error
        self.device = torch.device(options.device)
        self.inputs = tuple(_value(self.name, v) for v in self._session.get_inputs())
        self.outputs = tuple(_value(self.name, v) for v in self._session.get_outputs())
        meta = self._session.get_modelmeta()
        self.metadata: dict[str, str] = dict(meta.custom_metadata_map)

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run once; the tensors are the graph's inputs in its order.

        Raises:
            InputError: another number of tensors, or shapes that the graph does not take.
        """
        if len(tensors) != len(self.inputs):
            raise InputError(
                f"{self.name}: expected {len(self.inputs)} inputs, got {len(tensors)}"
            )
        given = [
            tensor.detach().to(value.dtype).contiguous()
            for tensor, value in zip(tensors, self.inputs, strict=True)
        ]
        try:
            found = self._on_cuda(given) if self.device.type == "cuda" else self._on_cpu(given)
        except self._errors as error:
            shapes = [tuple(tensor.shape) for tensor in given]
            expected = [value.shape for value in self.inputs]
            raise InputError(
                f"{self.name}: cannot run on {shapes}, expected {expected}: {error}"
            ) from error
        return tuple(torch.from_numpy(np.asarray(out)).to(self.device) for out in found)

    def _on_cpu(self, given: list[Tensor]) -> list[Any]:
        feed = {v.name: t.cpu().numpy() for v, t in zip(self.inputs, given, strict=True)}
        return list(self._session.run(None, feed))

    def _on_cuda(self, given: list[Tensor]) -> list[Any]:
        """Inputs are read where they lie; outputs, which are small, come back to the host."""
        binding = self._session.io_binding()
        index = self.device.index or 0
        for value, tensor in zip(self.inputs, given, strict=True):
            binding.bind_input(
                name=value.name,
                device_type=tensor.device.type,
                device_id=index,
                element_type=_NUMPY[value.dtype],
                shape=tuple(tensor.shape),
                buffer_ptr=tensor.data_ptr(),
            )
        for value in self.outputs:
            binding.bind_output(value.name, "cpu")
        if given and given[0].device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()  # the graph has its own stream
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())


def _waiting(version: str) -> dict[str, str]:
    """How the session's threads wait for work; never beyond the end of a run."""
    numbers = re.findall(r"\d+", version)
    if tuple(int(each) for each in numbers[:2]) < _BOUNDED_SPINNING:
        return {"session.intra_op.allow_spinning": "0"}
    return {
        "session.intra_op.allow_spinning": "1",
        "session.intra_op.spin_duration_us": str(_AWAKE_US),
        "session.force_spinning_stop": "1",
    }


def _errors_of(runtime: Any) -> tuple[type[Exception], ...]:
    """Its errors have no common base but Exception: the binding's own, by their module."""
    binding = runtime.capi.onnxruntime_pybind11_state
    found = (v for v in vars(binding).values() if isinstance(v, type))
    return (RuntimeError, ValueError, *(v for v in found if issubclass(v, Exception)))


def _value(model: str, value: Any) -> GraphValue:
    if value.type not in _TYPES:
        raise WeightsError(f"{model}: {value.name}: cannot use elements of {value.type}")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return GraphValue(value.name, shape, _TYPES[value.type])


def _providers(
    runtime: Any,
    model: str | Path | bytes,
    options: RuntimeOptions,
    limits: Mapping[str, SizeRange],
) -> list[Any]:
    if torch.device(options.device).type != "cuda":
        return ["CPUExecutionProvider"]
    index = torch.device(options.device).index or 0
    wanted: list[Any] = [
        ("CUDAExecutionProvider", {"device_id": index}),
        "CPUExecutionProvider",  # for the few operators that the others lack
    ]
    if options.name == "tensorrt":
        wanted.insert(0, ("TensorrtExecutionProvider", _tensorrt(model, options, index, limits)))
    name = wanted[0][0]
    if name not in runtime.get_available_providers():
        raise ConfigError(
            f"runtime: this onnxruntime has no {name} (it has "
            f"{', '.join(runtime.get_available_providers())}); pip install onnxruntime-gpu"
        )
    return wanted


def _tensorrt(
    model: str | Path | bytes,
    options: RuntimeOptions,
    index: int,
    limits: Mapping[str, SizeRange],
) -> dict[str, Any]:
    """Engines are planned once, which takes minutes, and kept in the cache folder.

    Each model has a folder of its own there: ONNX Runtime names an engine by the graph's inputs
    and outputs, which other weights have as well.
    """
    engines = cache_dir() / "tensorrt" / _digest(model)
    engines.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "device_id": index,
        "trt_fp16_enable": options.precision == "float16",
        "trt_bf16_enable": options.precision == "bfloat16",
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(engines),
    }
    for key, which in (("min", "least"), ("opt", "usual"), ("max", "most")) if limits else ():
        sizes = {name: "x".join(map(str, getattr(size, which))) for name, size in limits.items()}
        found[f"trt_profile_{key}_shapes"] = ",".join(f"{n}:{size}" for n, size in sizes.items())
    return found


def _digest(model: str | Path | bytes) -> str:
    """Of a graph, with the weights that lie in files beside its own and begin with its name."""
    digest = hashlib.sha256()
    if isinstance(model, bytes):
        digest.update(model)
    else:
        path = Path(model)
        for each in sorted(path.parent.glob(f"{glob.escape(path.name)}*")):
            if each.is_file():
                digest.update(each.read_bytes())
    return digest.hexdigest()[:16]
