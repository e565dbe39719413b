# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2's trunk is torchvision's, and the bundled networks run without torchvision."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from alphapose_ros.models.mobilenet import mobilenet_v2

pytestmark = pytest.mark.usefixtures("one_thread")


def test_names_and_numbers_are_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models", reason="PARITY NOT CHECKED: no torchvision")
    torch.manual_seed(0)
    theirs = models.mobilenet_v2(weights=None).features
    ours = mobilenet_v2()
    images = torch.randn(2, 3, 96, 64)
    theirs.train()(images)  # running moments of their own
    ours.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=0, atol=0)
    for name, module in theirs.named_modules():
        assert type(ours.get_submodule(name)).__name__ in (type(module).__name__, "Sequential")


def test_random_weights_keep_the_scale_of_activations() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        found = mobilenet_v2()(torch.randn(4, 3, 64, 64))
    assert found.shape == (4, 1280, 2, 2)
    assert 0.1 < found.std() < 10


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_bundled_pipeline_starts_alone_and_leaves_nothing(
    tmp_path: Path, runtime: str
) -> None:
    """No torchvision: one for another PyTorch, as on many a Jetson, cannot be imported.

    No file either: of a runtime's reports to its makers, or of an export.
    """
    pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    if importlib.util.find_spec(runtime) is None:
        pytest.skip(f"RUNTIME NOT CHECKED: no {runtime}")
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from alphapose_ros.config import PipelineConfig\n"
        "from alphapose_ros.pipeline import PosePipeline\n"
        f"pipeline = PosePipeline(PipelineConfig(device='cpu', runtime={runtime!r}))\n"
        "pipeline.warm_up()\n"
        "print(sorted(name for name in sys.modules if name.startswith('torchvision')))"
    )
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | places
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if "bundled weights" in done.stderr and "missing" in done.stderr:
        pytest.skip("THE BUNDLED WEIGHTS ARE ABSENT")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["['torchvision']"]
    assert [path.name for path in tmp_path.iterdir()] == []
