# SPDX-License-Identifier: Apache-2.0
"""What a release needs: versions that agree, a changelog that ROS's tools read, sound images."""

from __future__ import annotations

import os
import re
import shlex
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

import alphapose_ros

pytestmark = pytest.mark.filterwarnings("ignore:nodes.Node.traverse:DeprecationWarning")

# ---- the version and its changelog


def text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


@pytest.fixture
def catkin() -> Any:
    """The tools of catkin_prepare_release and bloom that read the changelog."""
    reason = "CHANGELOG NOT CHECKED: catkin_pkg is absent"
    pytest.importorskip("catkin_pkg.changelog", reason=reason)
    return pytest.importorskip("catkin_pkg.cli.tag_changelog", reason=reason)


def sections(catkin: Any, changelog: str) -> list[tuple[str, str, list[str]]]:
    """(version, date, entries) as bloom reads them, the newest first."""
    from catkin_pkg.changelog import Changelog, populate_changelog_from_rst

    found = Changelog("alphapose_ros")
    populate_changelog_from_rst(found, changelog)
    return [(v, str(d), [str(e) for e in entries]) for v, d, entries in found.foreach_version()]


def test_the_changelog_is_one_that_ros_can_release(root: Path, catkin: Any) -> None:
    """Forthcoming becomes a version in the way of catkin_prepare_release."""
    changelog = text(root, "CHANGELOG.rst")
    coming = catkin.get_forthcoming_label(changelog)
    if coming is not None:
        changelog = catkin.rename_section(changelog, coming, "999.0.0 (2030-01-31)")
    (version, date, entries), *older = sections(catkin, changelog)
    told = "\n".join("\n".join(lines) for _, _, lines in [(version, date, entries), *older])
    bullets = re.compile(r"^\* ", re.MULTILINE)
    assert len(bullets.findall(told)) == len(bullets.findall(changelog))
    if coming is not None:
        assert (version, date[:10]) == ("999.0.0", "2030-01-31")


def test_a_released_version_is_the_newest_of_the_changelog(root: Path, catkin: Any) -> None:
    """At a tag (RELEASE_TAG, set by the release workflow) everything has its number."""
    tag = os.environ.get("RELEASE_TAG", "")
    found = [version for version, *_ in sections(catkin, text(root, "CHANGELOG.rst"))]
    if not tag:
        assert alphapose_ros.__version__ not in found[1:], "the changelog is ahead"
        return
    assert tag == f"v{alphapose_ros.__version__}"
    assert found[:1] == [alphapose_ros.__version__]
    assert catkin.get_forthcoming_label(text(root, "CHANGELOG.rst")) is None


def test_ros_reads_the_manifest_without_a_warning(root: Path) -> None:
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is absent")
    warnings: list[str] = []
    found = package.parse_package(str(root / "package.xml"), warnings=warnings)
    found.validate(warnings=warnings)
    assert not warnings
    assert [licence.file for licence in found.licenses] == ["LICENSE"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", alphapose_ros.__version__)  # bloom takes nothing else


# ---- workflows


def workflows(root: Path) -> dict[str, dict[str, Any]]:
    files = sorted((root / ".github" / "workflows").glob("*.yml"))
    return {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def test_actions_are_pinned_and_may_only_read(root: Path) -> None:
    found = workflows(root)
    assert found.keys() == {"ci.yml", "docker.yml", "release.yml"}
    for name, content in found.items():
        assert content["permissions"] == {"contents": "read"}, name
        for job in content["jobs"].values():
            assert job["timeout-minutes"], name
            for step in job["steps"]:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a@" + "0" * 40))
                # What a stranger writes (a title, a branch) would be run as code.
                assert "${{ github.event" not in step.get("run", "")


def test_what_the_release_runs_exists(root: Path) -> None:
    steps = workflows(root)["release.yml"]["jobs"]["build"]["steps"]
    named = re.findall(r"test/\w+\.py", " ".join(step.get("run", "") for step in steps))
    assert named
    assert all((root / name).is_file() for name in named)
    copied = re.search(r"cp -r (.*?) /tmp/away", " ".join(s.get("run", "") for s in steps), re.S)
    assert copied is not None
    words = copied[1].replace("\\\n", " ").split()
    assert all(list(root.glob(word.removeprefix("./"))) for word in words)


# ---- images

DOCKERFILES = ("Dockerfile.l4t", "Dockerfile.ros")


def instructions(root: Path, name: str) -> list[list[str]]:
    lines = [ln for ln in text(root, f"docker/{name}").splitlines() if not ln.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip()]


def is_sent(root: Path, path: str) -> bool:
    """Whether .dockerignore lets a path through: the last line that fits counts."""
    sent = True
    for line in text(root, ".dockerignore").splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not line.startswith("#") and fnmatch(path, pattern):
            sent = line.startswith("!")
    return sent


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_an_image_copies_exists_and_is_sent(root: Path, name: str) -> None:
    stages: set[str] = set()
    copies = 0
    for word, *rest in instructions(root, name):
        if word == "FROM" and "AS" in rest:
            stages.add(rest[rest.index("AS") + 1])
        if word != "COPY":
            continue
        options = [item for item in rest if item.startswith("--")]
        paths = [item for item in rest if not item.startswith("--")][:-1]
        origin = [item.removeprefix("--from=") for item in options if item.startswith("--from=")]
        if origin:
            assert origin[0] in stages
            continue
        copies += len(paths)
        assert all((root / path).exists() and is_sent(root, path) for path in paths)
    assert copies > 10


def test_an_image_gets_all_that_cmake_installs(root: Path) -> None:
    cmake = text(root, "CMakeLists.txt").replace("${PROJECT_NAME}", "alphapose_ros")
    folders = {
        word.strip("/")
        for names in re.findall(r"install\(DIRECTORY\s+(.*?)\s+DESTINATION", cmake)
        for word in names.split()
    }
    for name in DOCKERFILES:
        copied = {word for line in instructions(root, name) if line[0] == "COPY" for word in line}
        assert folders <= copied
    assert not is_sent(root, "shared")
    assert not is_sent(root, ".git")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_nobody(root: Path, name: str) -> None:
    """The last user counts, as a number, which a cluster can check (runAsNonRoot)."""
    users = [line[1] for line in instructions(root, name) if line[0] == "USER"]
    assert users[-1:] == ["10001"]
    assert ["useradd" in line for line in instructions(root, name)].count(True) == 1


def test_the_composed_node_sees_the_network_and_little_else(root: Path) -> None:
    service = yaml.safe_load(text(root, "docker/compose.yaml"))["services"]["pose"]
    assert service["network_mode"] == service["ipc"] == "host"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert (root / service["build"]["dockerfile"]).is_file()


def test_the_entrypoint_can_be_run(root: Path) -> None:
    assert os.access(root / "docker" / "entrypoint.sh", os.X_OK)


# ---- SROS 2


def test_the_policy_allows_the_node_what_it_does_and_only_an_operator_to_change_it(
    root: Path,
) -> None:
    """Against the source: a service or an output that the policy forgets stops the node."""
    tree = ElementTree.parse(root / "config" / "security" / "alphapose_ros.policy.xml")
    enclaves = {e.get("path"): e for e in tree.iterfind("enclaves/enclave")}
    assert enclaves.keys() == {"/alphapose_ros", "/camera", "/people_reader", "/operator"}

    def allowed(path: str, kind: str, what: str) -> set[str]:
        found = enclaves[path].iterfind(f"profiles/profile/{kind}s[@{what}='ALLOW']/{kind}")
        return {(item.text or "").lstrip("/") for item in found}

    node = "/alphapose_ros"
    source = text(root, "alphapose_ros/ros/pose_node.py")
    services = set(re.findall(r'create_service\(\w+, "(~/\w+)"', source))
    assert services
    assert services < allowed(node, "service", "reply")
    outputs = {"poses", "markers", "pose_image", "skeleton", "diagnostics", "tf", "rosout"}
    assert outputs < allowed(node, "topic", "publish")
    assert {"image", "image/compressed", "camera_info", "depth"} < allowed(
        node, "topic", "subscribe"
    )
    change = "alphapose_ros/set_parameters"
    assert [path for path in enclaves if change in allowed(path, "service", "request")] == [
        "/operator"
    ]
    for path in enclaves:  # since Jazzy a node does not start without it
        assert "~/get_type_description" in allowed(path, "service", "reply")
