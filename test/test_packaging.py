# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import re
import stat
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import alphapose_ros


def text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def test_the_licence_is_there(root: Path) -> None:
    licence = text(root, "LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_every_python_file_begins_with_its_licence(root: Path) -> None:
    folders = ("alphapose_ros", "benchmarks", "launch", "test")
    files = [root / "setup.py", *(f for folder in folders for f in (root / folder).rglob("*.py"))]
    line = "# SPDX-License-Identifier: Apache-2.0"
    without = [str(f) for f in files if not f.read_text(encoding="utf-8").startswith(line)]
    assert not without


def test_package_xml_agrees_with_the_package(root: Path) -> None:
    package = ElementTree.fromstring(text(root, "package.xml"))
    assert package.get("format") == "3"
    assert package.findtext("name") == alphapose_ros.__name__
    assert package.findtext("version") == alphapose_ros.__version__
    assert package.findtext("license") == "Apache-2.0"
    assert package.findtext("export/build_type") == "ament_cmake"
    assert package.findtext("member_of_group") == "rosidl_interface_packages"


def test_package_xml_and_cmake_name_the_same_packages(root: Path) -> None:
    package = ElementTree.fromstring(text(root, "package.xml"))
    found = set(re.findall(r"find_package\((\w+)", text(root, "CMakeLists.txt")))
    tags = ("buildtool_depend", "depend", "test_depend")
    declared = {item.text for tag in tags for item in package.findall(tag)}
    imported = {"tf2_msgs"}  # by tests alone, in Python
    assert found == {n for n in declared if n and not n.startswith("python3-")} - imported


def test_every_message_is_built(root: Path) -> None:
    listed = re.findall(r'"(msg/\w+\.msg)"', text(root, "CMakeLists.txt"))
    there = [f"msg/{path.name}" for path in (root / "msg").glob("*.msg")]
    assert listed == sorted(there)


def test_cmake_lays_our_package_over_the_generated_one(root: Path) -> None:
    """In this order; and ament_python_install_package would stop the build."""
    commands = "\n".join(
        line for line in text(root, "CMakeLists.txt").splitlines() if not line.startswith("#")
    )
    assert "ament_python_install_package" not in commands
    assert commands.index("rosidl_generate_interfaces(") < commands.index("install(DIRECTORY")


def test_what_cmake_installs_exists(root: Path) -> None:
    cmake = text(root, "CMakeLists.txt").replace("${PROJECT_NAME}", "alphapose_ros")
    pattern = re.compile(r"install\((DIRECTORY|PROGRAMS)\s+(.*?)\s+DESTINATION", re.DOTALL)
    found = pattern.findall(cmake)
    assert {kind for kind, _ in found} == {"DIRECTORY", "PROGRAMS"}
    for kind, names in found:
        for name in names.split():
            path = root / name
            assert path.is_dir() if kind == "DIRECTORY" else path.stat().st_mode & stat.S_IXUSR


def test_a_source_archive_has_all_that_cmake_installs(root: Path) -> None:
    """What has another suffix than .py is in an archive only by name."""
    manifest = text(root, "MANIFEST.in")
    for path in (root / "alphapose_ros" / "ros").iterdir():
        if path.is_file() and path.suffix != ".py":
            assert path.relative_to(root).as_posix() in manifest.split()


def test_one_lower_bound_of_rosbags(root: Path) -> None:
    bound = re.compile(r"rosbags>=([\d.]+)")
    files = [root / "pyproject.toml", *(root / "alphapose_ros").rglob("*.py")]
    found = {each for path in files for each in bound.findall(path.read_text(encoding="utf-8"))}
    assert len(found) == 1


def test_units_stand_in_the_messages(root: Path) -> None:
    """Every field says what it is on its own line or on the one above."""
    for path in (root / "msg").glob("*.msg"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not line.strip() or "#" in line, f"{path.name}: {line}"


def test_torch_is_never_a_hard_dependency(root: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads(text(root, "pyproject.toml"))["project"]
    base = {re.split(r"[<>=;\s]", need)[0] for need in project["dependencies"]}
    assert base == {"numpy", "scipy", "PyYAML", "safetensors"}
    assert {"standalone", "train", "onnx", "viewer", "dev"} <= set(
        project["optional-dependencies"]
    )
    assert project["scripts"] == {"alphapose-ros": "alphapose_ros.cli:main"}


def test_setup_carries_messages_and_configuration(root: Path) -> None:
    tree = ast.parse(text(root, "setup.py"))
    shared = next(
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SHARED"
    )
    assert {name.rsplit(".", 1)[1]: folder for name, folder in shared.items()} == {
        "msg": "msg",
        "config": "config",
    }
    assert all((root / folder).is_dir() for folder in shared.values())


def test_bundled_weights_fit_into_git(root: Path) -> None:
    files = list((root / "alphapose_ros" / "bundled").glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= 20 * 1024 * 1024


def test_the_ci_script_can_be_run(root: Path) -> None:
    assert (root / ".ci" / "run").stat().st_mode & stat.S_IXUSR
