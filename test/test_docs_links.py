# SPDX-License-Identifier: Apache-2.0
"""What the documents name exists: files, headings, options, parameters, a place in the menu."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import yaml
from docs_pages import ROOT, anchors, blocks, links, name_of, pages, prose, spans
from docs_shell import check_parameters, parameters
from plugin_packages import Site

from alphapose_ros.base.settings import options_of
from alphapose_ros.config import PipelineConfig
from alphapose_ros.front.config import NodeConfig

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import command_reference
import repository_links as site_links

# Options of other programs.
FOREIGN = {
    "--all": "docker",
    "--build-arg": "docker build",
    "--clock": "ros2 bag play",
    "--gpus": "docker run",
    "--ignore-src": "rosdep",
    "--index-url": "pip",
    "--net": "docker run",
    "--network": "docker run",
    "--params-file": "ros2 run",
    "--ros-args": "ros2 run",
    "--runtime": "docker run",
    "--show-args": "ros2 launch",
    "--symlink-install": "colcon build",
    "--system-site-packages": "python3 -m venv",
}
BUILT = {"alphapose_ros/share/"}  # made by the build
# What looks like a parameter and is a name of Python, of a message or of a file.
SECTIONS = sorted({key.partition(".")[0] for key in parameters() if "." in key})
_PARAMETER = re.compile(rf"^({'|'.join(SECTIONS)})\.([a-z][a-z0-9_]*)$")
_FLOW = re.compile(r"^([a-z][a-z0-9_]*): ?(\{.*\}|\S+)$")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*")
_FOLDERS = "alphapose_ros benchmarks config docs examples launch msg test docker".split()
_PATH = re.compile(rf"^(?:{'|'.join(_FOLDERS)})/[\w./*-]+$")
ENDINGS = (".py", ".md", ".yaml", ".json", ".rviz")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = Path(os.path.normpath(page.parent / path)) if path else page
        named = not anchor or file.suffix != ".md"
        if not file.exists() or not (named or anchor in anchors(file)):
            wrong.append(target)
    assert not wrong


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_named_file_exists(page: Path) -> None:
    named = {span.split(":")[0] for span in spans(page) if _PATH.match(span)} - BUILT
    assert not [path for path in named if not any(ROOT.glob(path.rstrip("/")))]


@pytest.fixture(scope="module")
def options() -> set[str]:
    """Of every command and script."""
    found = {o for p in command_reference.parsers() for a in p._actions for o in a.option_strings}
    for folder in ("benchmarks", "docs", "examples"):
        for script in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', script.read_text("utf-8")))
    return found


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_option_exists(page: Path, options: set[str]) -> None:
    named = {option for span in spans(page) for option in _OPTION.findall(span)}
    assert not named - options - FOREIGN.keys()


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_parameter_exists(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tracker.gap_s`` is a key; ``tracker: {camera_motion: true}`` is what the node takes."""
    Site(tmp_path, monkeypatch).install_page(page)  # a detector's name may be of its package
    known, wrong = parameters(), []
    for span in spans(page):
        dotted = _PARAMETER.match(span.partition(":")[0])
        if dotted and not span.endswith(ENDINGS) and dotted[0] not in known:
            wrong.append(span)
        flow = _FLOW.match(span)
        if flow and flow[1] in {*SECTIONS, *known} and "..." not in span:
            check_parameters({flow[1]: flow_value(flow[2])})
    assert not wrong


def flow_value(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        pytest.fail(f"not YAML: {text}")


def test_every_parameter_has_a_meaning() -> None:
    for kind in (PipelineConfig, NodeConfig):
        assert not [o.key for o in options_of(kind) if not o.help and o.key != "cameras"]


def test_every_page_is_in_the_menu() -> None:
    index = ROOT / "docs" / "index.md"
    listed = [
        line.strip()
        for block in blocks(index)
        if block.language == "{toctree}"
        for line in block.code.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    there = [name_of(page)[5:-3] for page in pages() if page.is_relative_to(ROOT / "docs")]
    assert sorted(listed) == sorted(set(there) - {"index"})
    linked = {target.removesuffix(".md") for target in links(index) if target.endswith(".md")}
    assert set(listed) <= linked  # for those who read it on the code host


def test_prose_has_no_long_dashes() -> None:
    assert not [name_of(page) for page in pages() if "\u2014" in prose(page)]


# ---- the built site


@pytest.mark.parametrize(
    ("target", "means"),
    [
        ("../config/pose.yaml", "config/pose.yaml"),
        ("../README.md#topics", "README.md"),
        ("../README", "README.md"),  # as MyST hands it on
        ("../msg", "msg"),
        ("ros2.md", None),
        ("https://example.org/a", None),
        ("#here", None),
        ("../../../etc/passwd", None),
        ("../nowhere.md", None),
    ],
)
def test_links_that_leave_the_pages(target: str, means: str | None) -> None:
    docs = ROOT / "docs"
    found = site_links.outside(target, docs / "models.md", docs)
    assert (found.as_posix() if found else None) == means


def test_where_such_links_lead(tmp_path: Path) -> None:
    file, folder = Path("config/pose.yaml"), Path("msg")
    url = "https://example.org/people"
    assert site_links.address(file, url, ROOT, 1) == f"{url}/blob/HEAD/config/pose.yaml"
    assert site_links.address(folder, url, ROOT, 1) == f"{url}/tree/HEAD/msg"
    for path in (file, folder):
        site_links.copy(path, ROOT, tmp_path)
        assert (tmp_path / "a" / site_links.address(path, "", ROOT, 1)).resolve().is_file()
    assert "PersonPose.msg.txt" in (tmp_path / "_repository/msg/index.html").read_text("utf-8")
