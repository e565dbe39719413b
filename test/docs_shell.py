# SPDX-License-Identifier: Apache-2.0
"""Checks of the documents' shell commands that are not this package's own command line."""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from docs_pages import ROOT

from alphapose_ros.base.settings import options_of
from alphapose_ros.config import PipelineConfig, build, nested, split_parameters
from alphapose_ros.front.config import NodeConfig

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import interface_reference
from interface_reference import read_message

__all__ = ["read_message"]
Words = tuple[str, ...]
# Programs of the system, whose lines are only read: they would change this machine.
SYSTEM = {
    ".": "sources a file of the reader's",
    "cd": "goes to a folder of the reader's",
    "colcon": "builds a workspace",
    "export": "sets a variable",
    "git": "needs the repository's address",
    "mkdir": "makes a folder of the reader's",
    "rosdep": "installs packages of the system",
    "source": "sources a file of the reader's",
}
_WORD = re.compile(r"^[\w$./@:=+~-]+$")
_REQUIREMENT = re.compile(r"^[\w.-]+(\[[\w,-]+\])?([<>=!~]=?[\w.*,<>=]+)?$")
_EXTRAS = re.compile(r"^(?:\.|alphapose[-_]ros)(?:\[([\w,-]+)\])?$")


class Parsed(Exception):
    """A script has read its command line to the end."""


def check_make(words: Words) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^(\w+) \?=", makefile, re.MULTILINE))
    for word in words[1:]:
        name, sign, _ = word.partition("=")
        assert name in (variables if sign else targets), f"make knows no {name}"


def check_pip(words: Words) -> None:
    extras = _extras()
    verb, *names = words[1:]
    assert verb in ("install", "uninstall"), words
    names = [
        n for k, n in enumerate(names) if not n.startswith("-") and names[k - 1] not in _VALUED
    ]
    assert names, words
    for name in names:
        own = _EXTRAS.match(name)
        if own:
            unknown = set((own[1] or "").split(",")) - extras - {""}
            assert not unknown, f"pyproject.toml has no extra {unknown}"
        else:
            assert _REQUIREMENT.match(name), name


_VALUED = ("--index-url", "--extra-index-url", "--find-links", "-r", "-c")


def _extras() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    return set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))


def check_apt(words: Words) -> None:
    assert words[1] in ("install", "update"), words
    assert all(_WORD.match(word) for word in words[2:]), words


def check_docker(words: Words) -> None:
    """Files and folders that a build takes are there."""
    if words[1] == "build":
        for flag, value in itertools.pairwise(words):
            if flag in ("-f", "--file"):
                assert (ROOT / value).is_file(), f"no {value}"
    else:
        assert words[1] in ("run", "compose", "pull"), words


def check_python(words: Words, patch: pytest.MonkeyPatch) -> None:
    """``python FILE ...`` reads its options by its own parser; ``python -c`` is compiled."""
    if words[1] == "-c":
        compile(words[2], "-c", "exec")
        return
    if words[1] == "-m":
        assert words[2] in ("venv", "http.server", "pip"), words
        return
    script = ROOT / words[1]
    assert script.is_file(), f"no {words[1]}"
    kind = argparse.ArgumentParser
    parse, parse_known = kind.parse_args, kind.parse_known_args

    def stop(read: Callable[..., Any]) -> Callable[..., None]:
        """Reads as ``read`` does, parsers of subcommands too, and ends the script there."""

        def then(self: Any, *args: Any, **options: Any) -> None:
            kind.parse_known_args = parse_known  # type: ignore[method-assign]
            read(self, *args, **options)
            raise Parsed

        return then

    with patch.context() as patched:
        patched.setattr(kind, "parse_args", stop(parse))
        patched.setattr(kind, "parse_known_args", stop(parse_known))
        patched.setattr(sys, "argv", list(words[1:]))
        patched.syspath_prepend(str(script.parent))
        with pytest.raises(Parsed):
            runpy.run_path(str(script), run_name="__main__")


# ---- ros2


def check_ros2(words: Words) -> None:
    """Against the source; the launch files by ROS 2 itself where it is sourced."""
    check = _ROS2.get(words[1])
    assert check, f"nothing here checks ros2 {words[1]}"
    check(words[2:])


def launch_arguments(name: str) -> set[str]:
    """Of a launch file of this package, with those of the file that it includes."""
    found: set[str] = set()
    for file in {name, "pose.launch.py"}:
        for node in ast.parse((ROOT / "launch" / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ARGUMENTS":
                assert isinstance(node.value, ast.Dict)
                found |= {ast.literal_eval(key) for key in node.value.keys if key}
    return found


def _launch(words: Words) -> None:
    if words[0] != "alphapose_ros":
        return
    given = dict(word.split(":=", 1) for word in words[2:] if not word.startswith("-"))
    unknown = given.keys() - launch_arguments(words[1])
    assert not unknown, f"{words[1]} knows no {unknown}"
    if shutil.which("ros2"):
        command = ["ros2", "launch", *words, "--show-args"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def topic_names() -> set[str]:
    """Last parts of the names of all topics."""
    own = {topic.name.lstrip("/") for topic in interface_reference.published(ROOT)}
    return own | {"image", "camera_info", "depth"}


def _topic(words: Words) -> None:
    if words[0] in ("echo", "hz", "info", "delay", "bw"):
        (name, *_) = [word for word in words[1:] if not word.startswith("-")]
        folder, _, last = name.rpartition("/")
        known = last in topic_names() or folder.startswith(("humans", "/humans"))
        assert known or name in ("/tf", "/tf_static"), f"no topic {name}"
    else:
        assert words[0] == "list", words


def parameters() -> set[str]:
    names = {item.key for kind in (PipelineConfig, NodeConfig) for item in options_of(kind)}
    return names | {"use_sim_time"}


def _param(words: Words) -> None:
    verb, rest = words[0], [word for word in words[1:] if not word.startswith("--")]
    if verb in ("set", "get", "describe"):
        assert rest[1] in parameters(), f"no parameter {rest[1]}"
    if verb == "set" and rest[1] != "use_sim_time":
        check_parameters(nested({rest[1]: yaml.safe_load(rest[2])}))
    assert verb in ("set", "get", "describe", "list", "dump", "load"), words


def check_parameters(values: dict[str, Any]) -> None:
    """What the node would say to them."""
    ours, others = split_parameters(values)
    build(PipelineConfig, ours)
    NodeConfig.from_parameters(others)


def _service(words: Words) -> None:
    declared = {
        name.lstrip("~/"): kind for name, kind in interface_reference.declared_services(ROOT)
    }
    assert words[0] == "call", words
    name, kind = words[1].rpartition("/")[2], words[2].rpartition("/")[2]
    assert declared.get(name) == kind, f"no service {words[1]} of type {words[2]}"


def _run(words: Words) -> None:
    if words[0] != "alphapose_ros":
        return
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"/ros/{words[1]}\n" in cmake, f"no executable {words[1]}"


def _interface(words: Words) -> None:
    package, _, name = words[1].partition("/")
    assert package != "alphapose_ros" or (ROOT / f"{name}.msg").is_file(), words


def _lifecycle(words: Words) -> None:
    assert words[0] in ("get", "set", "list", "nodes"), words
    transitions = ("configure", "activate", "deactivate", "cleanup", "shutdown")
    assert words[0] != "set" or words[2] in transitions, words


def _security(words: Words) -> None:
    for flag, value in itertools.pairwise(words):
        if flag == "-p":
            assert (ROOT / value).is_file(), f"no policy {value}"


_ROS2: dict[str, Callable[[Words], None]] = {
    "launch": _launch,
    "topic": _topic,
    "param": _param,
    "service": _service,
    "run": _run,
    "interface": _interface,
    "lifecycle": _lifecycle,
    "bag": lambda words: None,
    "node": lambda words: None,
    "security": _security,
}
