# SPDX-License-Identifier: Apache-2.0
"""What a peer can set over the wire: no file that the node was not started with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from domains import new_domain
from ros_helpers import FarEnd, node_process

from alphapose_ros.front.confine import FILES


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


def test_a_peer_names_models_and_no_files(domain: int, far: FarEnd, tmp_path: Path) -> None:
    mine = tmp_path / "mine.onnx"
    mine.touch()
    with node_process(domain, "-p", f"detector.weights:={mine}"):
        assert far.transition("deactivate")
        assert far.transition("cleanup")
        for name, kind in FILES.items():
            refusal = far.set_parameter(name, "/etc/passwd")
            assert refusal.startswith(f"{name}: expected the name of a known {kind}, nothing, or")
            assert f"known {kind}" in far.describe(name).additional_constraints
        assert far.parameter("detector.weights") == str(mine)
        assert not far.set_parameter("detector.weights", "yolox_s")
        assert not far.set_parameter("detector.weights", str(mine))
        assert not far.set_parameter("detector.weights", "")
        assert far.set_parameter("detector.weights", str(mine) + "2")
        assert far.state() == "unconfigured"
