# SPDX-License-Identifier: Apache-2.0
"""What the source may not do, read from its syntax, so that no comment can silence it."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("alphapose_ros", "benchmarks", "docs", "examples", "launch")

# Exceptions: (file, what) -> why it is no danger. An entry that is not needed any more fails too.
ALLOWED = {
    ("alphapose_ros/weights.py", "import pickle"): "for the name of the error that refuses one",
    ("alphapose_ros/base/plain_yaml.py", "yaml.load"): "with a loader made from the safe one",
    ("alphapose_ros/base/plain_yaml.py", "noqa S506"): "the same",
    ("alphapose_ros/registry/transfer.py", "noqa S310"): "the scheme was checked before",
    ("alphapose_ros/io/viewer_process.py", "a server on every network"): "where a user says so",
    ("alphapose_ros/io/viewer_process.py", "noqa S104"): "the same",
}

SERIALISERS = (
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
)
BUILTINS = ("eval", "exec", "compile", "__import__")
CALLS = {
    "os.system": "os.system",
    "os.popen": "os.popen",
    "subprocess.getoutput": "a shell",
    "subprocess.getstatusoutput": "a shell",
    "asyncio.create_subprocess_shell": "a shell",
    "yaml.load": "yaml.load",
    "yaml.load_all": "yaml.load",
    "yaml.full_load": "yaml.load",
    "yaml.unsafe_load": "yaml.load",
    "tempfile.mktemp": "tempfile.mktemp",
    "torch.hub.load": "torch.hub",
    "torch.jit.load": "torch.jit.load",
    "pandas.read_pickle": "a pickle",
    "ssl._create_unverified_context": "TLS without verification",
    "urllib.request.urlopen": "a download of its own",
    "urllib.request.urlretrieve": "a download of its own",
    "requests.get": "a download of its own",
}
EVERYWHERE = ("0.0.0.0", "::")  # addresses that bind to every network


def keyword(call: ast.Call, name: str) -> object:
    """The constant that a keyword argument is given; None without it or where it is computed."""
    found = [item.value for item in call.keywords if item.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def faults_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name in BUILTINS:
        yield name
    if name in CALLS:
        yield CALLS[name]
    if any(item.arg == "shell" and keyword(call, "shell") is not False for item in call.keywords):
        yield "shell="
    if name == "torch.load" and keyword(call, "weights_only") is not True:
        yield "torch.load without weights_only=True"
    if name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") is not False:
        yield "np.load without allow_pickle=False"
    if any(item.arg == "verify" and keyword(call, "verify") is False for item in call.keywords):
        yield "TLS without verification"
    first = call.args[0] if name.endswith(".bind") and call.args else None
    if isinstance(first, ast.Tuple) and ast.unparse(first.elts[0]) in ("''", "INADDR_ANY"):
        yield "a server on every network"


def faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from faults_of_call(node)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (f"import {name}" for name in names if name in SERIALISERS)
        elif isinstance(node, ast.ImportFrom) and node.module in SERIALISERS:
            yield f"import {node.module}"
        elif isinstance(node, ast.ImportFrom):
            called = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (CALLS[name] for name in called if name in CALLS)
        elif isinstance(node, ast.Constant) and node.value in EVERYWHERE:
            yield "a server on every network"


def silenced(path: Path) -> Iterator[str]:
    """Rules of ruff's family S that a comment switches off."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and "noqa" in token.string:
                rules = re.findall(r"\b([A-Z]+\d+)\b", token.string)
                yield from (f"noqa {rule}" for rule in rules if re.match(r"S\d", rule))
                if not rules:
                    yield "noqa without a rule"


def sources(root: Path) -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    return [root / "setup.py", *found]


def test_nothing_forbidden_is_done(root: Path) -> None:
    found = {
        (path.relative_to(root).as_posix(), fault)
        for path in sources(root)
        for fault in faults(path.read_text(encoding="utf-8"))
    }
    found |= {
        (path.relative_to(root).as_posix(), rule)
        for path in sorted((root / "alphapose_ros").rglob("*.py"))
        for rule in silenced(path)
    }
    new, gone = sorted(found - ALLOWED.keys()), sorted(ALLOWED.keys() - found)
    assert not new, f"do it in another way, or give a reason in ALLOWED: {new}"
    assert not gone, f"not needed any more: {gone}"
    assert all(ALLOWED.values())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("import pickle", "import pickle"),
        ("def f():\n    from dill import loads", "import dill"),
        ("eval('1')", "eval"),
        ("exec(text)", "exec"),
        ("subprocess.run('ls', shell=True)", "shell="),
        ("subprocess.run('ls', shell=wanted)", "shell="),
        ("os.system('ls')", "os.system"),
        ("from os import system", "os.system"),
        ("yaml.load(text, Loader=yaml.Loader)", "yaml.load"),
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=flag)", "torch.load without weights_only=True"),
        ("np.load(path)", "np.load without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "np.load without allow_pickle=False"),
        ("socket.bind(('0.0.0.0', 80))", "a server on every network"),
        ("socket.bind(('', 80))", "a server on every network"),
        ("serve(host='0.0.0.0')", "a server on every network"),
        ("session.get(address, verify=False)", "TLS without verification"),
        ("urllib.request.urlopen(address)", "a download of its own"),
        ("tempfile.mktemp()", "tempfile.mktemp"),
    ],
)
def test_a_fault_is_seen(line: str, fault: str) -> None:
    assert list(faults(line)) == [fault]


@pytest.mark.parametrize(
    "line",
    [
        "network.eval()",
        "re.compile('x')",
        "torch.compile(network)",
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "subprocess.run(['ls'], shell=False)",
        "yaml.safe_load(text)",
        "socket.bind(('127.0.0.1', 0))",
    ],
)
def test_what_is_sound_passes(line: str) -> None:
    assert not list(faults(line))
