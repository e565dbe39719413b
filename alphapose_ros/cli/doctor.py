# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from alphapose_ros import __version__
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.cli.console import Commands, add_command, say, table
from alphapose_ros.cli.node import installed_ros
from alphapose_ros.cli.packages import PACKAGES, ROS_PACKAGES, Package

if TYPE_CHECKING:
    from alphapose_ros.detection.plugins import Plugin
    from alphapose_ros.registry.spec import ModelSpec

_VARIABLES = (
    "ROS_DISTRO",
    "ROS_DOMAIN_ID",
    "RMW_IMPLEMENTATION",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_STATIC_PEERS",
    "ROS_LOCALHOST_ONLY",
    "CYCLONEDDS_URI",
    "ROS_SECURITY_ENABLE",
    "ROS_SECURITY_STRATEGY",
    "ROS_SECURITY_KEYSTORE",
)
_OF_NUMPY_1 = ("_ARRAY_API", "numpy.core.multiarray", "compiled using NumPy 1", "from 'numpy'")
# What is imported of a package that does little until its parts are.
_USED = {"scipy": "scipy.optimize", "rosbags": "rosbags.highlevel"}


class Finding(NamedTuple):
    """One line of the report; ``remedy`` is what to do when it is not ``good``."""

    name: str
    good: bool
    state: str
    remedy: str = ""
    needed: bool = False


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        "What is installed, what is missing and how to get it, and which detectors other packages "
        "bring. Ends with 1 when something that every use needs is missing.",
    )
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    packages = [p for p in PACKAGES if p.module not in ROS_PACKAGES or find_spec("rclpy")]
    findings = [
        _python(), *map(_package, packages), _device(), _ros(), *_weights(), *_detectors()
    ]  # fmt: skip
    say(f"alphapose_ros {__version__} on {platform.platform()}")
    marks = {True: "ok", False: "--"}
    rows = [
        ("MISSING" if f.needed and not f.good else marks[f.good], f.name, f.state)
        for f in findings
    ]
    say(table(rows))
    variables = [(name, os.environ[name]) for name in _VARIABLES if name in os.environ]
    say("\nROS environment: " + ("" if variables else "no variable is set"))
    if variables:
        say(table(variables))
    remedies = _remedies(findings)
    if remedies:
        say("\nTo get what is missing:")
        say("\n".join(remedies))
    return 1 if any(f.needed and not f.good for f in findings) else 0


def _remedies(findings: Iterable[Finding]) -> list[str]:
    """A line for each, whatever number of findings it is for."""
    names: dict[str, list[str]] = {}
    for finding in findings:
        if finding.remedy:
            names.setdefault(finding.remedy, []).append(finding.name)
    return [f"  {', '.join(each)}: {remedy}" for remedy, each in names.items()]


def _python() -> Finding:
    good = sys.version_info >= (3, 10)
    remedy = "" if good else "Python 3.10 or newer"
    return Finding("python", good, platform.python_version(), remedy, True)


def _package(package: Package) -> Finding:
    """Imported, not only found: a package that is there and broken is the common trouble."""
    remedy = (installed_ros() and package.with_ros) or package.install
    if find_spec(package.module) is None:
        state = f"not installed; for {package.purpose}"
        return Finding(package.module, False, state, remedy, package.needed)
    try:
        importlib.import_module(_USED.get(package.module, package.module))
    except Exception as error:  # noqa: BLE001 - whatever the code of others raises
        if any(word in str(error) for word in _OF_NUMPY_1):
            remedy = "pip install 'numpy<2': it was built for NumPy 1"
        state = f"installed but broken ({_first_line(error)})"
        return Finding(package.module, False, state, remedy, package.needed)
    return Finding(package.module, True, f"{_version(package)}; for {package.purpose}")


def _first_line(error: Exception) -> str:
    """What it says, else what it is; NumPy's text begins with a line break."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _version(package: Package) -> str:
    for name in package.distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "version unknown"


def _device() -> Finding:
    if find_spec("torch") is None:
        return Finding("GPU", False, "unknown without torch")
    try:
        return _gpu()
    except Exception as error:  # noqa: BLE001 - whatever the code of others raises
        return Finding("GPU", False, f"unknown, torch is broken ({_first_line(error)})")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", True, f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU torch"
    return Finding("GPU", False, f"none usable, the networks run on the CPU ({built})")


def _ros() -> Finding:
    distributions = installed_ros()
    if not distributions:
        return Finding("ROS 2", False, "not installed; the dds front works without it")
    if find_spec("rclpy") is None:
        remedy = f"source /opt/ros/{distributions[0]}/setup.bash"
        return Finding("ROS 2", False, f"{', '.join(distributions)}, not sourced", remedy)
    return Finding("ROS 2", True, ", ".join(distributions))


def _weights() -> list[Finding]:
    from alphapose_ros.cli.models import verify_all
    from alphapose_ros.registry.store import known_spec

    try:
        problems = verify_all()
    except ImportError as error:  # reading them needs torch
        return [Finding("weights", False, f"not checked ({error})")]
    return [
        Finding(
            f"weights {name}",
            not problem,
            problem or "verified",
            problem and _mending(known_spec(name)),
            True,
        )
        for name, problem in problems.items()
    ]


def _detectors() -> list[Finding]:
    """Those that other packages bring."""
    from alphapose_ros.detection.config import DETECTOR_NAMES
    from alphapose_ros.detection.plugins import installed_plugins, refusal

    plugins = installed_plugins()
    found = []
    for plugin in plugins:
        problem = refusal(plugin, plugins, DETECTOR_NAMES) or _import_problem(plugin)
        state = f"of {plugin.origin}" + (f", not usable: {problem}" if problem else "")
        found.append(Finding(f"detector {plugin.name}", not problem, state))
    return found


def _import_problem(plugin: Plugin) -> str:
    """What happens where it is asked for by its name; empty: nothing."""
    try:
        plugin.load()
    except ConfigError as error:
        cause = error.__cause__
        text = f"{type(cause).__name__}: {cause}" if cause else str(error)
        return " ".join(text.split())
    return ""


def _mending(spec: ModelSpec) -> str:
    """What to do about a model's missing or damaged file."""
    if spec.bundled:
        return "install the package again: the file is missing or damaged"
    return f"alphapose-ros models fetch {spec.name}"
