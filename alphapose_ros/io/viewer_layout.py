# SPDX-License-Identifier: Apache-2.0
"""Where the viewer shows what: names of entities, and the views that open with a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alphapose_ros.base.errors import require

INSTALL_VIEWER = "pip install 'rerun-sdk>=0.39,<0.42'"


def lay_out(cameras: Sequence[str], spaces: Sequence[str]) -> Any:
    """The cameras side by side, each space beside them, the curves below."""
    blueprint = require("rerun.blueprint", needed_for="the viewer", install=INSTALL_VIEWER)
    pictures = [
        blueprint.Spatial2DView(origin=f"{camera}/image", name=camera) for camera in cameras
    ]
    scenes = [
        blueprint.Spatial3DView(origin=f"space/{entity(frame)}", name=frame or "space")
        for frame in spaces
    ]
    curves = [
        blueprint.TimeSeriesView(
            name=f"{name} of {camera}" if len(cameras) > 1 else name,
            origin=f"{camera}/{curve}",
        )
        for camera in cameras
        for name, curve in (("people", "people"), ("milliseconds", "timings"))
    ]
    return blueprint.Blueprint(
        blueprint.Vertical(
            blueprint.Grid(*pictures, *scenes),
            blueprint.Horizontal(*curves),
            row_shares=[3, 1],
        ),
        blueprint.SelectionPanel(state="collapsed"),
        blueprint.BlueprintPanel(state="collapsed"),
        blueprint.TimePanel(state="collapsed"),
    )


def camera_path(camera: str) -> str:
    """A camera's name as an entity path: ``/robot/front`` -> ``robot/front``."""
    return "/".join(entity(part) for part in camera.split("/") if part) or "camera"


def entity(name: str) -> str:
    """One part of an entity path; what is not a letter, digit, ``_``, ``-`` or ``.`` becomes _."""
    return "".join(c if c.isalnum() or c in "_-." else "_" for c in name) or "_"
