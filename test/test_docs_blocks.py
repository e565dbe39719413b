# SPDX-License-Identifier: Apache-2.0
"""Every block of code in the documents runs, or is read to its end with a reason why not more.

A block that cannot run says so above itself: ``<!-- not run: REASON -->``. Commands of one kind
that cannot stand in ``NOT_RUN``.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from cli_stand_in import stand_in_pipeline
from docs_pages import ROOT, Block, Command, blocks, commands, of_language, pages
from docs_shell import (
    SYSTEM,
    check_apt,
    check_docker,
    check_make,
    check_parameters,
    check_pip,
    check_python,
    check_ros2,
    read_message,
)

import alphapose_ros.cli as cli
from alphapose_ros.base.custom_skeleton import load_skeleton
from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.cli import train
from alphapose_ros.cli.node import parse_remaps
from alphapose_ros.cli.options import build_config
from alphapose_ros.cli.pipelines import load_config
from alphapose_ros.config import read_parameters
from alphapose_ros.detection.plugins import GROUP

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of libraries
]

SHELL, PYTHON = ("sh", "bash"), ("python",)
# Drawings and output, and what Sphinx fills.
READ_ONLY = ("", "text", "{toctree}", "{eval-rst}")
# Of ``alphapose-ros``: read by the real parser, then
NOT_RUN = {
    r"run (0|rtsp:\S+|/dev/\S+) ": "a camera",
    r"run \S+ .*--preset (balanced|accurate)": "weights that `models fetch` brings",
    r"node ": "until it is stopped; its file and remaps are read",
    r"play ": "a middleware",
    r"view ": "a viewer, until it is closed",
    r"batch ": "recordings, and processes of their own",
    r"bench ": "minutes",
    r"models fetch ": "a network",
    r"models convert ": "a checkpoint of AlphaPose",
    r"models quantise ": "minutes",
    r"models list \w": "a name of the catalogue, which is looked up",
    r"eval (pose|detector|reid) ": "annotated images that are not distributed",
    r"eval tracking .*--truth gt.txt": "labelled clips that are not distributed",
    r"train blend ": "a file of MoveNet",
}
# Names that a page has from its own sentences, not from a block.
GIVEN: dict[str, dict[str, Any]] = {
    "README.md": {
        "np": np,
        "person": SimpleNamespace(keypoints=[0.0] * (3 * len(HALPE136))),
        "skeleton": SimpleNamespace(keypoint_names=list(HALPE136.keypoint_names)),
    }
}


MESSAGES = {
    path.stem: {field.name for field in read_message(path)[1]}
    for path in (ROOT / "msg").glob("*.msg")
}


def named(found: list[Block]) -> Any:
    return pytest.mark.parametrize("block", found, ids=str)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: the repository's own folders, a photograph, a clip, some photographs."""
    for name in ("alphapose_ros", "benchmarks", "config", "examples", "launch", "msg", "test"):
        (tmp_path / name).symlink_to(ROOT / name)
    image = person_image()
    cv2.imwrite(str(tmp_path / "people.jpg"), image)
    (tmp_path / "photos").mkdir()
    for name in ("a_1.jpg", "a_2.jpg"):
        cv2.imwrite(str(tmp_path / "photos" / name), image)
    for name in ("street.mp4", "clip.mp4", "my_video.mp4"):
        write_clip(tmp_path / name, image)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def person_image() -> np.ndarray:
    """BGR, 256x256 px."""
    data = pytest.importorskip("skimage.data", reason="NO PERSON: scikit-image is absent")
    return cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)[..., ::-1]


def write_clip(path: Path, image: np.ndarray) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (256, 256))
    for shift in range(6):
        writer.write(np.ascontiguousarray(np.roll(image, 2 * shift, 1)))
    writer.release()


def test_every_block_says_what_it_is() -> None:
    known = (*SHELL, *PYTHON, "yaml", "json", "toml", "cpp", "cmake", *READ_ONLY)
    found = [block for page in pages() for block in blocks(page)]
    assert len(found) > 30
    unknown = [f"{b}: {b.language}" for b in found if b.language not in known and not b.not_run]
    assert not unknown, "nothing checks them, and they do not say why"
    shell = re.compile(r"^(alphapose-ros|ros2|pip|make|python3?) ", re.MULTILINE)
    assert not [str(b) for b in found if b.language in ("", "text") and shell.search(b.code)]


# ---- shell


@pytest.fixture(scope="module")
def done() -> set[tuple[str, ...]]:
    return set()


@named(of_language(*SHELL))
def test_shell(
    block: Block, folder: Path, done: set[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a pipeline that costs nothing; the same command is run once."""
    made = stand_in_pipeline(monkeypatch)
    monkeypatch.setattr("alphapose_ros.pipeline.PosePipeline", lambda config: made)
    for command in commands(block):
        if command.words not in done:
            check_command(command, monkeypatch)
            done.add(command.words)


def check_command(command: Command, patch: pytest.MonkeyPatch) -> None:
    words = command.words
    if words[0] == "torchrun":
        words = ("alphapose-ros", *words[words.index("alphapose_ros") + 1 :])
    if words[:3] == ("ros2", "run", "alphapose_ros") and words[3] == "alphapose-ros":
        words = words[3:]
    program = words[0].rpartition("/")[2]
    if program == "alphapose-ros":
        check_own(list(words[1:]), command, patch)
    elif program in ("python", "python3"):
        check_python(words, patch)
    elif program in _CHECKS:
        _CHECKS[program](words)
    else:
        assert program in SYSTEM, f"{command}: nothing checks {program}"


_CHECKS = {
    "apt": check_apt,
    "docker": check_docker,
    "make": check_make,
    "pip": check_pip,
    "ros2": check_ros2,
}


def check_own(argv: list[str], command: Command, patch: pytest.MonkeyPatch) -> None:
    if "--help" in argv:
        with pytest.raises(SystemExit) as end:
            cli.main(argv)
        assert end.value.code == 0, command
        return
    args = cli.build_parser().parse_args(argv)
    if getattr(args, "params_file", None):
        Path(args.params_file).write_text("/**: {ros__parameters: {}}\n", encoding="utf-8")
        load_config(args)
    parse_remaps(getattr(args, "remaps", []))
    text = " ".join(argv) + " "
    if command.block.not_run or any(re.match(pattern, text) for pattern in NOT_RUN):
        return
    if argv[0] == "train":
        patch.setitem(train._TRAININGS, argv[1], stopping_training(argv[1]))
    assert cli.main(argv) in ((0, 1) if argv[0] == "doctor" else (0,)), command


def stopping_training(what: str) -> Any:
    """Its configuration is made of the file and the options; then it ends."""
    config, _ = train._TRAININGS[what]()
    return lambda: (config, lambda made: None)


def test_every_reason_is_needed() -> None:
    lines = [
        " ".join(command.words[command.words.index("alphapose-ros") + 1 :]) + " "
        for block in of_language(*SHELL)
        for command in commands(block)
        if "alphapose-ros" in command.words
    ]
    unused = [p for p in NOT_RUN if not any(re.match(p, line) for line in lines)]
    assert not unused


# ---- Python


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if any(b.language in PYTHON for b in blocks(page))],
    ids=lambda page: page.name,
)
def test_python(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of one page, one after the other in one namespace."""
    module = ModuleType("docs_page")
    monkeypatch.setitem(sys.modules, "docs_page", module)
    for name in re.findall(r"`(\w+)\.py`", page.read_text()):
        if name not in sys.modules and not find_spec(name):  # its blocks are that file
            monkeypatch.setitem(sys.modules, name, module)
    found = [block for block in blocks(page) if block.language in PYTHON]
    vars(module).update(GIVEN.get(found[0].page, {}))
    for block in found:
        code = "\n" * (block.line - 1) + block.code
        tree = ast.parse(code, str(page))
        if block.not_run or needs_ros(tree):
            check_imports(tree)
        else:
            exec(compile(code, str(page), "exec"), vars(module))


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(module, name or nothing) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def needs_ros(tree: ast.Module) -> bool:
    names = [module for module, _ in imports(tree)]
    return any(n.partition(".")[0] == "rclpy" or re.search(r"\.(msg|srv)$", n) for n in names)


def check_imports(tree: ast.Module) -> None:
    """What comes from this package exists; with ROS 2 sourced, the rest too."""
    fields = {field for message in MESSAGES.values() for field in message}
    unknown = {f"{name}.{field}" for name, field in message_fields(tree) if field not in fields}
    assert not unknown, "no message has such a field"
    for module, name in imports(tree):
        if module == "alphapose_ros.msg":
            assert (ROOT / "msg" / f"{name}.msg").is_file(), f"no message {name}"
        elif module.startswith("alphapose_ros.ros") and not find_spec("rclpy"):
            file = ROOT / (module.replace(".", "/") + ".py")
            defined = {getattr(node, "name", "") for node in ast.parse(file.read_text()).body}
            assert name in defined, f"{module} has no {name}"
        elif module.startswith("alphapose_ros") or find_spec("rclpy"):
            loaded = import_module(module)
            assert not name or hasattr(loaded, name), f"{module} has no {name}"


def message_fields(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(variable, field) of everything that is annotated as a message, or one of its ``poses``."""
    nodes = list(ast.walk(tree))
    names = {n.arg for n in nodes if isinstance(n, ast.arg) and _is_message(n.annotation)}
    names |= {
        ast.unparse(node.target)
        for node in nodes
        if isinstance(node, (ast.For, ast.comprehension)) and ".poses" in ast.unparse(node.iter)
    }
    for node in nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in names:
            yield ast.unparse(node.value), node.attr


def _is_message(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation).rpartition(".")[2] in MESSAGES


# ---- C++, CMake: nothing here compiles them


def test_cpp() -> None:
    """Headers, types, constants and fields of our messages are there."""
    names = "|".join(MESSAGES)
    headers = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in MESSAGES}
    for block in of_language("cpp"):
        code = block.code
        assert set(re.findall(r"<alphapose_ros/msg/(\w+)\.hpp>", code)) <= headers, block
        assert set(re.findall(r"alphapose_ros::msg::(\w+)", code)) <= set(MESSAGES), block
        for kind, constant in re.findall(rf"\b({names})::([A-Z_]+)\b", code):
            assert constant in MESSAGES[kind], f"{block}: {kind} has no {constant}"
        known: dict[str, set[str]] = {}
        for kind, variable in re.findall(rf"\b({names}) & (\w+)", code):
            known[variable] = known.get(variable, set()) | MESSAGES[kind]
        for variable, fields in known.items():
            unknown = set(re.findall(rf"\b{variable}\.(\w+)", code)) - fields
            assert not unknown, f"{block}: {variable} has no {unknown}"


def test_cmake() -> None:
    for block in of_language("cmake"):
        assert "find_package(alphapose_ros REQUIRED)" in block.code, block
        assert block.code.count("(") == block.code.count(")"), block


# ---- YAML, JSON, TOML


def test_yaml(tmp_path: Path) -> None:
    """By the loader that would read it: parameters, a skeleton, or a training."""
    for block in of_language("yaml"):
        content = yaml.safe_load(block.code)
        assert isinstance(content, dict), block
        file = tmp_path / f"{Path(block.page).stem}_{block.line}.yaml"
        file.write_text(block.code, encoding="utf-8")
        if not block.not_run:
            check_yaml(file, content)


def check_yaml(file: Path, content: dict[str, Any]) -> None:
    if "keypoints" in content:
        load_skeleton(file)
    elif any(isinstance(v, dict) and "ros__parameters" in v for v in content.values()):
        check_parameters(read_parameters(file))
    elif not is_training(file):
        check_parameters(content)


def is_training(file: Path) -> bool:
    """Whether it is the ``--config`` of a training."""
    for make in train._TRAININGS.values():
        try:
            build_config(make()[0], str(file), {})
        except AlphaPoseError:
            continue
        return True
    return False


def test_json() -> None:
    for block in of_language("json"):
        for text in block.code.splitlines() if "\n{" in block.code else [block.code]:
            json.loads(text)


def test_toml() -> None:
    """Entry points name a group that is read and a function of their page."""
    tomllib = pytest.importorskip("tomllib", reason="TOML NOT CHECKED: no tomllib before 3.11")
    for block in of_language("toml"):
        points = tomllib.loads(block.code)["project"]["entry-points"]
        assert points.keys() == {GROUP}, block
        for value in points[GROUP].values():
            page = [b.code for b in blocks(ROOT / block.page) if b.language in PYTHON]
            assert any(f"def {value.partition(':')[2]}(" in code for code in page), block


# ---- the tests themselves


def test_a_wrong_command_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (
        "alphapose-ros run street.mp4 --jsn out.jsonl",
        "alphapose-ros train pose --stepps 5",
        "alphapose-ros frobnicate",
        "ros2 launch alphapose_ros pose.launch.py imge:=/x",
        "ros2 param set /alphapose_ros tracker.max_lost_s -1",
        "ros2 param get /alphapose_ros tracker.max_lost",
        "ros2 topic echo /posess",
        "ros2 service call /alphapose_ros/enable std_srvs/srv/Trigger",
        "ros2 run alphapose_ros pose_nod",
        "python benchmarks/scaling.py --thread 1 --jsn x",
        "python benchmarks/scalling.py",
        "make everything",
        "pip install '.[standalon]'",
        "frobnicate",
    )
    stand_in_pipeline(monkeypatch)
    for line in wrong:
        (command,) = commands(Block("test", 1, "sh", line, ""))
        with pytest.raises((AssertionError, SystemExit, AlphaPoseError)):
            check_command(command, monkeypatch)


def test_commands_are_taken_apart() -> None:
    code = "A=1 make run # it's\ncd x && y 'a b' \\\n  c; python3 -c 'p(1)' | head > z\n"
    found = [c.words for c in commands(Block("test", 1, "sh", code, ""))]
    assert found == [
        ("make", "run"), ("cd", "x"), ("y", "a b", "c"), ("python3", "-c", "p(1)"), ("head",),
    ]  # fmt: skip
