# SPDX-License-Identifier: Apache-2.0
"""Every runtime gives what PyTorch gives, and says in one line when it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.models.export import GraphNames, onnx_bytes, with_metadata
from alphapose_ros.runtime import factory
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import accelerate, choose_runtime, open_graph
from alphapose_ros.runtime.onnx_model import OnnxModel, SizeRange, _tensorrt
from alphapose_ros.runtime.quantise import quantise
from alphapose_ros.runtime.recording import recorded
from alphapose_ros.runtime.torch_runner import TorchRunner

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = GraphNames(("x",), ("maps", "sums"), {n: {0: "N"} for n in ("x", "maps", "sums")})
GRAPHS = ("onnxruntime", "openvino")


class Small(nn.Module):
    """Two outputs, as the networks here have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.body(images / 255)
        return maps, maps.sum((2, 3))


def images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 32, 24, generator=torch.Generator().manual_seed(seed)) * 255


def runner(name: str, **options: str) -> factory.Runner:
    if name in GRAPHS:
        pytest.importorskip(name, reason=f"RUNTIME NOT CHECKED: no {name}")
        pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    chosen = choose_runtime(RuntimeOptions(name, **options))
    return accelerate(Small(), images(2), chosen, NAMES, max_batch=4)


def test_a_signal_after_networks_that_are_gone_is_handled(tmp_path: Path) -> None:
    """In a process of its own: it was a segmentation fault, Ctrl-C after a cleanup of the node."""
    pytest.importorskip("openvino", reason="RUNTIME NOT CHECKED: no openvino")
    (tmp_path / "small.onnx").write_bytes(onnx_bytes(Small(), images(2), NAMES))
    code = (
        "import signal\n"
        "from alphapose_ros.runtime.openvino_model import OpenVinoModel\n"
        "models = [OpenVinoModel('small.onnx') for _ in range(3)]\n"
        "while models:\n"
        "    del models[0]  # in the order in which they were made\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.parametrize("name", ["torch", *GRAPHS])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_runtimes_equal_eager(name: str, count: int) -> None:
    given = images(count)
    with torch.inference_mode():
        expected = Small().eval()(given)
    found = runner(name)(given)
    assert len(found) == 2
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_results_are_not_overwritten_by_the_next_call() -> None:
    run = runner("openvino")
    first = run(images(2))[0]
    kept = first.clone()
    run(images(2, seed=5))
    assert torch.equal(first, kept)


@pytest.mark.skipif(shutil.which("g++") is None, reason="COMPILING NOT CHECKED: no g++")
@pytest.mark.filterwarnings("ignore")  # of the compiler, about the machine
def test_compiled_equals_eager_for_every_number_of_images() -> None:
    run = runner("compile")
    for count in (3, 4, 1):
        given = images(count)
        with torch.inference_mode():
            expected = Small().eval()(given)
        for a, b in zip(run(given), expected, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_half_precision_stays_near_and_comes_back_in_float32() -> None:
    given = images(2)
    exact, half = runner("torch")(given), runner("torch", precision="bfloat16")(given)
    assert all(out.dtype == torch.float32 for out in half)
    assert not torch.equal(half[0], exact[0])  # it did run in fewer bits
    torch.testing.assert_close(half[0], exact[0], atol=0.02, rtol=0.02)


def test_a_module_with_one_output_gives_one() -> None:
    module = nn.Conv2d(3, 1, 1)
    (out,) = TorchRunner(module, RuntimeOptions("torch"))(images(2))
    assert out.shape == (2, 1, 32, 24)
    assert TorchRunner(module, RuntimeOptions("torch"))(images(0))[0].shape == (0, 1, 32, 24)


def test_automatic_choice_follows_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*installed: str, **options: str) -> str:
        monkeypatch.setattr(factory, "_installed", lambda module: module in installed)
        return choose_runtime(RuntimeOptions(**options)).name

    assert chosen("onnx", "onnxruntime", "openvino") == "onnxruntime"
    assert chosen("onnx", "openvino") == "openvino"
    assert chosen("onnxruntime", "openvino") == "torch"  # no graph can be written
    assert chosen() == "torch"
    assert chosen("onnx", "onnxruntime", precision="bfloat16") == "torch"
    assert chosen("onnx", "onnxruntime", device="cuda") == "torch"
    assert choose_runtime(RuntimeOptions(device="cuda"), graph=True).name == "onnxruntime"


@pytest.mark.parametrize(
    ("options", "graph", "text"),
    [
        (RuntimeOptions("tensorrt"), False, "tensorrt needs a CUDA device, got 'cpu'"),
        (RuntimeOptions("openvino", device="cuda:1"), False, "openvino runs on the CPU"),
        (RuntimeOptions("torch"), True, "torch cannot run an ONNX file"),
        (RuntimeOptions("onnxruntime", "float16"), False, "precision: onnxruntime"),
    ],
)
def test_impossible_choices_are_refused(options: RuntimeOptions, graph: bool, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        choose_runtime(options, graph=graph)


def test_tensorrt_plans_for_every_size_that_comes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no TensorRT here: what it is asked for is looked at."""
    planned: list[dict[str, object]] = []

    def opened(graph: bytes, options: RuntimeOptions, *, limits: dict[str, SizeRange]) -> None:
        planned.append(_tensorrt(graph, options, 0, limits))

    monkeypatch.setattr(factory, "open_graph", opened)
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path))
    options = RuntimeOptions("tensorrt", device="cuda")
    accelerate(Small(), torch.zeros(2, 3, 64, 32), options, NAMES, max_batch=16)
    of_any_form = replace(NAMES, open_dims=NAMES.open_dims | {"x": {0: "N", 2: "H", 3: "W"}})
    accelerate(Small(), torch.zeros(1, 3, 416, 416), options, of_any_form, max_batch=8)
    shapes = [
        [one[f"trt_profile_{key}_shapes"] for key in ("min", "opt", "max")] for one in planned
    ]
    assert shapes == [
        ["x:1x3x64x32", "x:16x3x64x32", "x:16x3x64x32"],
        ["x:1x3x32x32", "x:1x3x416x416", "x:8x3x416x416"],  # VGA is 320x416 in it
    ]


def test_an_engine_is_found_by_the_same_weights_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the names in a graph, as ONNX Runtime names its engines, all weights are one."""
    pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "cache"))

    def folder(model: bytes | Path) -> str:
        options = RuntimeOptions("tensorrt", device="cuda")
        return str(_tensorrt(model, options, 0, {})["trt_engine_cache_path"])

    trained = Small()
    trained.body[0].weight.data *= 2
    old, again, new = (onnx_bytes(m, images(2), NAMES) for m in (Small(), Small(), trained))
    assert folder(old) == folder(again) != folder(new)
    file, beside = tmp_path / "a.onnx", tmp_path / "a.onnx.data"
    file.write_bytes(old)
    (tmp_path / "a.onnx_pictures").mkdir()
    assert folder(file) == folder(old)
    beside.write_bytes(b"weights outside of the graph")
    first = folder(file)
    beside.write_bytes(b"others")
    assert len({folder(file), first, folder(old)}) == 3
    assert Path(first).is_dir()


@pytest.mark.parametrize("name", GRAPHS)
def test_threads_get_the_answers_to_their_own_images(name: str) -> None:
    run, wrong = runner(name), []
    start, network = threading.Barrier(3), Small().eval()

    def ask(seed: int) -> None:
        given = images(4, seed)
        with torch.inference_mode():
            expected = network(given)[0]
        start.wait()
        wrong.extend(
            seed for _ in range(200) if not torch.allclose(run(given)[0], expected, atol=1e-3)
        )

    threads = [threading.Thread(target=ask, args=(seed,), daemon=True) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


@pytest.mark.parametrize("name", GRAPHS)
def test_files_that_are_no_graph(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"RUNTIME NOT CHECKED: no {name}")
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\x08not a graph at all" * 5)
    with pytest.raises(WeightsError, match=r"bad\.onnx: not "):
        open_graph(bad, RuntimeOptions(name))
    with pytest.raises(WeightsError, match=r"none\.onnx: expected an ONNX file, there is none"):
        open_graph(tmp_path / "none.onnx", RuntimeOptions(name))


@pytest.mark.parametrize("name", GRAPHS)
def test_inputs_that_do_not_fit(name: str) -> None:
    run = runner(name)
    with pytest.raises(InputError, match=r"expected|cannot run"):
        run(torch.zeros(1, 5, 32, 24))


def test_onnx_describes_itself_and_reads_from_the_devices_memory() -> None:
    pytest.importorskip("onnxruntime", reason="RUNTIME NOT CHECKED: no onnxruntime")
    pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    graph = with_metadata(onnx_bytes(Small(), images(2), NAMES), {"skeleton": "coco17"})
    model = OnnxModel(graph)
    assert [(v.name, v.shape, v.dtype) for v in model.inputs] == [
        ("x", (None, 3, 32, 24), torch.float32)
    ]
    assert [v.name for v in model.outputs] == ["maps", "sums"]
    assert model.metadata == {"alphapose_ros": '{"skeleton": "coco17"}'}
    with pytest.raises(InputError, match="expected 1 inputs, got 2"):
        model(images(1), images(1))
    bound = model._on_cuda([images(3)])  # the way of CUDA, with memory of the host
    for a, b in zip(bound, model(images(3)), strict=True):
        np.testing.assert_allclose(a, b.numpy(), atol=1e-6)


def test_cuda_without_its_provider_is_said() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="RUNTIME NOT CHECKED: no onnxruntime")
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    graph = onnx_bytes(Small(), images(2), NAMES)
    with pytest.raises(ConfigError, match=r"no CUDAExecutionProvider.*onnxruntime-gpu"):
        OnnxModel(graph, RuntimeOptions("onnxruntime", device="cuda"))


def test_quantised_graph_is_small_and_near() -> None:
    pytest.importorskip("onnxruntime", reason="QUANTISATION NOT CHECKED: no onnxruntime")
    pytest.importorskip("onnx", reason="QUANTISATION NOT CHECKED: no onnx")
    graph = onnx_bytes(Small(), images(2), NAMES)
    made = quantise(graph, (images(2, seed) for seed in range(4)))
    exact, found = OnnxModel(graph)(images(3)), OnnxModel(made)(images(3))
    assert b"QuantizeLinear" in made
    assert not torch.equal(exact[0], found[0])
    torch.testing.assert_close(found[0], exact[0], atol=0.03, rtol=0.05)
    with pytest.raises(InputError, match="at least one input"):
        quantise(graph, [])


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_layers_without_a_range_are_refused() -> None:
    pytest.importorskip("onnxruntime", reason="QUANTISATION NOT CHECKED: no onnxruntime")
    pytest.importorskip("onnx", reason="QUANTISATION NOT CHECKED: no onnx")
    graph = onnx_bytes(Small(), images(2), NAMES)
    with pytest.raises(InputError, match="no usable range"):
        quantise(graph, [torch.full_like(images(2), float("nan"))])


class Owner:
    def __init__(self) -> None:
        self.network = nn.Identity()


def test_recording_keeps_inputs_and_puts_the_network_back() -> None:
    owner, given = Owner(), torch.ones(2)
    network = owner.network
    with recorded({"a": (owner, "network"), "b": (owner, "network")}) as calls:
        owner.network(given)
        owner.network(given * 2)
        given.zero_()
    assert owner.network is network
    assert [float(args[0][0]) for args in calls["b"]] == [1, 2]
    with pytest.raises(ValueError, match="stop"), recorded({"a": (owner, "network")}):
        raise ValueError("stop")
    assert owner.network is network
