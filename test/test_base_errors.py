# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import os

import pytest

from alphapose_ros.base import errors
from alphapose_ros.base.errors import AlphaPoseError, MissingDependencyError, require


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        require("no_such_package.part", needed_for="reading bags", install="pip install it")
    message = str(caught.value)
    assert "reading bags needs the Python package 'no_such_package'" in message
    assert message.endswith("pip install it")
    assert isinstance(caught.value, ImportError)


def test_a_package_that_is_there_is_handed_over() -> None:
    assert require("math", needed_for="sums", install="") is math


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert all(name in (errors.__doc__ or "") for name in raised)
    assert all(issubclass(getattr(errors, name), AlphaPoseError) for name in raised)


@pytest.mark.parametrize(("theirs", "found"), [(None, "1"), ("0", "0")])
def test_packages_report_to_nobody_unless_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch, theirs: str | None, found: str
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", theirs or "")
    if theirs is None:
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    monkeypatch.setattr("importlib.import_module", lambda name: name)
    require("onnxruntime.quantization", needed_for="x", install="y")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == found
