# SPDX-License-Identifier: Apache-2.0
"""Messages, topics and services, from ``msg/`` and from the calls that make the publishers."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_text import code, plain, table

from alphapose_ros.output import humans

_FIELD = re.compile(r"^([\w/]+(?:\[\d*\])?) +(\w+)(?: *= *(\S+))? *(?:# *(.*))?$")
_KIND = re.compile(r"^\w+/msg/\w+$")
# What the code does not say about its topics. A topic that is missing here stops the build.
MEANINGS = {
    "poses": "one for every processed image, empty when nobody is there",
    "markers": "skeletons for RViz, coloured by identity; made while somebody listens",
    "pose_image": "the image with skeletons, boxes and identities; drawn while somebody listens",
    "skeleton": "what the joints mean",
    "/diagnostics": "what works, and why nothing comes out when nothing does",
    "detections": "the same people as boxes",
    "target": "one person to follow, with the TF frame `person_<id>`",
}
WANTED_BY = {"detections": "detections: true", "target": "target: nearest, id or raised_hand"}
SERVICES = {
    "~/enable": "false: pauses; true: goes on",
    "~/reset_identities": "forgets everybody; numbers go on",
}
INPUTS = {
    "image": (
        "sensor_msgs/msg/Image",
        "any QoS; `image_transport: compressed` for CompressedImage",
    ),
    "camera_info": ("sensor_msgs/msg/CameraInfo", "calibration; by default beside the images"),
    "depth": ("sensor_msgs/msg/Image", "aligned with the image; 16UC1 (mm) or 32FC1 (m)"),
}


@dataclass(frozen=True)
class Field:
    """A line of a message: ``value`` of a constant is not empty."""

    kind: str
    name: str
    value: str
    text: str


@dataclass(frozen=True)
class Topic:
    """A topic that the code publishes."""

    name: str
    kind: str
    latched: bool


def read_message(path: Path) -> tuple[str, list[Field]]:
    """(what it says about itself, its lines); a comment below a field belongs to it."""
    about: list[str] = []
    fields: list[Field] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = _FIELD.match(line)
        if found:
            kind, name, value, text = found.groups("")
            fields.append(Field(kind, name, value, text))
        elif line.startswith("#") and not fields:
            about.append(line.lstrip("# "))
        elif line.strip().startswith("#"):
            last = fields[-1]
            fields[-1] = replace(last, text=f"{last.text} {line.strip().lstrip('# ')}")
        elif line.strip():
            raise ValueError(f"{path}: not a line of a message: {line}")
    return " ".join(about), fields


def messages(root: Path) -> str:
    """Every message with its fields."""
    parts = []
    for path in sorted((root / "msg").glob("*.msg")):
        about, fields = read_message(path)
        parts.append(f"## {path.stem}\n\n{plain(about)}\n")
        constants = [(code(f.name), code(f.value), plain(f.text)) for f in fields if f.value]
        if constants:
            parts.append(table(("constant", "value", "meaning"), constants))
        rows = [(code(f.name), code(f.kind), plain(f.text)) for f in fields if not f.value]
        parts.append(table(("field", "type", "meaning"), rows))
    return "\n".join(parts)


def published(root: Path) -> list[Topic]:
    """The topics that both fronts' common code and the ros front's adapters publish."""
    found = [
        topic
        for file in ("front/results.py", "ros/adapters.py")
        for topic in _publishers(root / "alphapose_ros" / file)
    ]
    return [*found, Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", False)]


def _publishers(path: Path) -> Iterator[Topic]:
    """Calls with a name and a message type after each other."""
    for call in _calls(path):
        texts = [a.value if isinstance(a, ast.Constant) else None for a in call.args]
        latched = any(k.arg == "latched" and ast.unparse(k.value) == "True" for k in call.keywords)
        for name, kind in itertools.pairwise(texts):
            if isinstance(name, str) and isinstance(kind, str) and _KIND.match(kind):
                yield Topic(name, kind, latched)


def declared_services(root: Path) -> list[tuple[str, str]]:
    """(name, type) of the node's services."""
    return sorted(
        (str(call.args[1].value), ast.unparse(call.args[0]))
        for call in _calls(root / "alphapose_ros/ros/pose_node.py")
        if ast.unparse(call.func).endswith("create_service")
        and isinstance(call.args[1], ast.Constant)
    )


def _calls(path: Path) -> Iterator[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def topics(root: Path) -> str:
    """What the node hears and says."""
    heard = [(code(name), code(kind), text) for name, (kind, text) in INPUTS.items()]
    said = [(code(topic.name), code(topic.kind), _meaning(topic)) for topic in published(root)]
    return "\n".join(
        (
            "### In\n",
            table(("topic", "type", "meaning"), heard),
            "### Out\n",
            table(("topic", "type", "meaning"), said),
            "### Out, with `humans: true` (REP-155)\n",
            table(("topic", "type"), _humans()),
        )
    )


def _meaning(topic: Topic) -> str:
    wanted = WANTED_BY.get(topic.name)
    latched = "; latched" if topic.latched else ""
    return (f"with `{wanted}`: " if wanted else "") + MEANINGS[topic.name] + latched


def _humans() -> Iterator[tuple[str, str]]:
    for topic in humans.HumansWriter().topics:
        yield code(topic.name), code(topic.type)
    for group, own in humans._OWN.items():
        for name, kind in own.items():
            yield code(f"humans/{group}/<id>/{name}"), code(kind)


def services(root: Path) -> str:
    """The node's services."""
    rows = [
        (code(name), code(f"std_srvs/srv/{kind}"), SERVICES[name])
        for name, kind in declared_services(root)
    ]
    return table(("service", "type", "does"), rows)
