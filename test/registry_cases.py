# SPDX-License-Identifier: Apache-2.0
"""Models to fetch from a server on loopback, and what the tests of the registry share."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from file_server import FileServer

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.registry.download import FetchOptions, fetch
from alphapose_ros.registry.spec import ModelSpec


def model(server: FileServer, **values: object) -> ModelSpec:
    known = {"file": "net.bin", "url": f"{server.address}/a/net.bin", **values}
    return ModelSpec(
        name="net", task="pose", format="light", input_hw=(256, 192), licence="x", **known
    )  # type: ignore[arg-type]


def archive_model(server: FileServer, **values: object) -> ModelSpec:
    known = {"file": "net.onnx", "url": f"{server.address}/kit.zip", "member": "end2end.onnx"}
    return model(server, **(known | values))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(method: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def refused(spec: ModelSpec, match: str, options: FetchOptions | None = None) -> None:
    """One line that says what is wrong."""
    with pytest.raises(WeightsError, match=match) as caught:
        fetch(spec, options)
    assert "\n" not in str(caught.value)
