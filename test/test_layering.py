# SPDX-License-Identifier: Apache-2.0
"""Which room may import which; read from the source, so an import inside a function counts too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "alphapose_ros"
STAGES = ("detection", "pose", "reid", "tracking", "spatial")
FLOOR = ("base", "weights", "registry", "imaging", "models", "runtime")
PIPELINE = (*FLOOR, *STAGES, "config", "pipeline")
SERVING = ("output", "io")

# Each room with all that it may import; itself is always allowed.
ALLOWED: dict[str, tuple[str, ...]] = {
    "base": (),
    "weights": ("base",),
    "registry": ("base", "weights"),
    "imaging": ("base",),
    "models": ("base", "weights", "registry"),
    "runtime": ("base", "weights", "registry", "models"),
    **dict.fromkeys(STAGES, FLOOR),
    "config": (*FLOOR, *STAGES),
    "pipeline": (*FLOOR, *STAGES, "config"),
    "session": PIPELINE,
    "output": ("base",),
    "io": ("base", "output"),
    "front": (*PIPELINE, "session", *SERVING),
    "ros": (*PIPELINE, "session", *SERVING, "front"),
    "dds": (*PIPELINE, "session", *SERVING, "front"),
    "data": (*FLOOR, *STAGES),  # pseudo-labels are decoded as poses are
    "train": (*FLOOR, *STAGES, "data"),
    "eval": (*PIPELINE, *SERVING, "data"),
    "batch": (*FLOOR, *STAGES, "config", *SERVING),  # the pipeline comes from the roof
}
ROOF = ("cli", "demo", "__main__")  # may import everything below
HEAVY = ("torch", "torchvision", "cv2", "scipy", "numpy", "rclpy", "cyclonedds", "rosbags", "onnx")
MIDDLEWARE = {"rclpy": "ros", "cyclonedds": "dds"}


def room_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return parts[0]


def imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import; relative ones are refused elsewhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == PACKAGE:
                yield from ((node.lineno, f"{PACKAGE}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def may_import(room: str, module: str) -> bool:
    top, *rest = module.split(".")
    if top == PACKAGE:
        return not rest or rest[0] in (room, "__version__", *ALLOWED.get(room, ()))
    if top in ("torch", "torchvision"):
        return room not in ("base", "registry", "tracking")
    return top not in MIDDLEWARE or room == MIDDLEWARE[top]


def forbidden(room: str, source: str) -> list[str]:
    """What the room imports and may not; an empty top is a relative import."""
    return [
        f"{line}: {room} imports {module}"
        for line, module in imports(source)
        if module.startswith(".") or (room not in ROOF and not may_import(room, module))
    ]


def sources(root: Path) -> list[Path]:
    return sorted((root / PACKAGE).rglob("*.py"))


def test_every_import_follows_the_order(root: Path) -> None:
    package = root / PACKAGE
    problems = [
        f"{path.relative_to(root)}:{problem}"
        for path in sources(root)
        for problem in forbidden(room_of(path, package), path.read_text(encoding="utf-8"))
    ]
    assert not problems, "\n".join(problems)


def test_every_room_is_known(root: Path) -> None:
    package = root / PACKAGE
    known = {*ALLOWED, *ROOF, "__init__"}
    unknown = {room_of(path, package) for path in sources(root)} - known
    assert not unknown, f"give {unknown} a place in the order"


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("base", "from alphapose_ros.models.layers import conv"),
        ("base", "import torch"),
        ("tracking", "import torch.nn as nn"),
        ("registry", "import torch"),
        ("registry", "from alphapose_ros.models.light import LightPose"),
        ("models", "from alphapose_ros.runtime.factory import accelerate"),
        ("runtime", "from alphapose_ros.pose.sikr import SikrDecoder"),
        ("tracking", "def f():\n    from alphapose_ros.pose.nms import PoseNms"),
        ("pose", "from alphapose_ros.detection import yolox"),
        ("detection", "from alphapose_ros import pipeline"),
        ("output", "import alphapose_ros.pipeline"),
        ("pipeline", "from alphapose_ros.output.draw import draw"),
        ("train", "from alphapose_ros.pipeline import PosePipeline"),
        ("batch", "from alphapose_ros.pipeline import PosePipeline"),
        ("session", "import rclpy"),
        ("ros", "from cyclonedds.domain import DomainParticipant"),
        ("io", "from . import sources"),
    ],
)
def test_a_wrong_import_is_seen(room: str, line: str) -> None:
    assert forbidden(room, line)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("pose", "from alphapose_ros.base.records import Poses\nimport torch"),
        ("detection", "from alphapose_ros.registry.store import resolve"),
        ("io", "from alphapose_ros.output.draw import draw"),
        ("dds", "from cyclonedds.domain import DomainParticipant"),
        ("cli", "from alphapose_ros.train.loop import train"),
    ],
)
def test_a_right_import_is_let_through(room: str, line: str) -> None:
    assert not forbidden(room, line)


def loaded_by(statement: str, root: Path) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_package_itself_loads_nothing_heavy(root: Path) -> None:
    """Every ROS 2 process that imports alphapose_ros.msg runs it."""
    assert not loaded_by(f"import {PACKAGE}", root) & set(HEAVY)


@pytest.mark.parametrize("room", ["base", "registry", "tracking"])
def test_these_rooms_load_no_torch(room: str, root: Path) -> None:
    files = sorted((root / PACKAGE / room).glob("*.py"))
    modules = [f"{PACKAGE}.{room}.{path.stem}" for path in files if path.stem != "__init__"]
    assert modules, f"{room} has no module"
    assert not loaded_by(f"import {', '.join(modules)}", root) & {"torch", "torchvision", "cv2"}
