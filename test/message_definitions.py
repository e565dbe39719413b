# SPDX-License-Identifier: Apache-2.0
"""Message classes made from the real definitions, as strict about fields as rclpy's are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.typesys import get_types_from_msg

from alphapose_ros.dds.types import WireTypes

# Fields of vision_msgs 4 (Humble and later) and hri_msgs 2 (2.0.0 to 2.3.2); rosbags has neither.
DEFINITIONS = {
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    "vision_msgs/msg/Detection2DArray": (
        "std_msgs/Header header\nvision_msgs/Detection2D[] detections"
    ),
    "hri_msgs/msg/IdsList": "std_msgs/Header header\nstring[] ids",
    "hri_msgs/msg/IdsMatch": (
        "string id1\nint8 id1_type\nstring id2\nint8 id2_type\nfloat32 confidence"
    ),
    "hri_msgs/msg/NormalizedPointOfInterest2D": "float32 x\nfloat32 y\nfloat32 c",
    "hri_msgs/msg/NormalizedRegionOfInterest2D": (
        "std_msgs/Header header\nfloat32 xmin\nfloat32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c"
    ),
    "hri_msgs/msg/Skeleton2D": (
        "std_msgs/Header header\nhri_msgs/NormalizedPointOfInterest2D[18] skeleton"
    ),
    "hri_msgs/msg/FacialLandmarks": (
        "std_msgs/Header header\nhri_msgs/NormalizedPointOfInterest2D[70] landmarks\n"
        "uint32 height\nuint32 width"
    ),
}
NAMES = {
    **{name.rpartition("/")[2]: name for name in DEFINITIONS},
    **{name: f"geometry_msgs/msg/{name}" for name in ("Point", "Vector3", "Quaternion", "Pose")},
    **{f"Vision{name}": f"vision_msgs/msg/{name}" for name in ("Point2D", "Pose2D")},
    **{name: f"std_msgs/msg/{name}" for name in ("Header", "Bool", "String", "Float32")},
    "Time": "builtin_interfaces/msg/Time",
    "PoseStamped": "geometry_msgs/msg/PoseStamped",
    "Transform": "geometry_msgs/msg/Transform",
    "TransformStamped": "geometry_msgs/msg/TransformStamped",
}
del NAMES["Point2D"], NAMES["Pose2D"]
_BASE, _NAME, _ARRAY = 1, 2, 3  # rosbags' node types
_PYTHON = {"string": str, "bool": bool, "float32": float, "float64": float}


class Definitions(WireTypes):
    """The namespace of ``output``: ``classes.Name(**fields)``."""

    def __init__(self) -> None:
        super().__init__()
        found: dict[str, Any] = {}
        for name, text in DEFINITIONS.items():
            found.update(get_types_from_msg(text, name))
        self._store.register(found)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in NAMES:
            raise AttributeError(name)

        def make(**fields: Any) -> Any:
            known = dict(self._store.fielddefs[NAMES[name]][1])
            for key, value in fields.items():
                assert key in known, f"{NAMES[name]} has no field {key!r}"
                check(value, known[key])
            return self.new(NAMES[name], **fields)

        return make

    def again(self, message: Any) -> Any:
        """The message as it comes out of the wire."""
        return self.deserialize(self.serialize(message), message.__msgtype__)


def check(value: Any, description: Any) -> None:
    kind, rest = description
    if kind == _BASE:
        assert type(value) is _PYTHON.get(rest[0], int), f"{value!r} is no {rest[0]}"
    elif kind == _NAME:
        assert value.__msgtype__ == rest
    elif not isinstance(value, np.ndarray):
        assert isinstance(value, list)
        assert kind != _ARRAY or len(value) == rest[1]
        for item in value:
            check(item, rest[0])
