# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2's trunk is torchvision's, and the bundled networks run without torchvision."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_bundled_pipeline_never_imports_torchvision() -> None:
    """One that was built for another PyTorch, as on many a Jetson, cannot be imported."""
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from alphapose_ros.pipeline import PosePipeline\n"
        "pipeline = PosePipeline.from_preset('nano', device='cpu')\n"
        "pipeline.warm_up()\n"
        "print(sorted(name for name in sys.modules if name.startswith('torchvision')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    if "bundled weights" in done.stderr and "missing" in done.stderr:
        pytest.skip("THE BUNDLED WEIGHTS ARE ABSENT")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["['torchvision']"]
