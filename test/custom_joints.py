# SPDX-License-Identifier: Apache-2.0
"""A network of joints that nobody taught before, made from the bundled one, and its skeleton."""

from __future__ import annotations

import json
from pathlib import Path

from alphapose_ros.base.custom_skeleton import make_skeleton
from alphapose_ros.base.skeletons import Skeleton

NAMES = ["left_glove", "right_glove", "helmet", "tool", "tool_tip"]
GLOVES = {
    "name": "operator",
    "keypoints": NAMES,
    "limbs": [["left_glove", "tool"], ["right_glove", "tool"], ["tool", "tool_tip"]],
    "sigmas": {"helmet": 0.03, "tool_tip": 0.07},
    "parts": {"person": ["left_glove", "right_glove", "helmet"], "tool": ["tool", "tool_tip"]},
}
STARTS = {
    "left_glove": "left_wrist",
    "right_glove": "right_wrist",
    "helmet": "head_top",
    "tool": "left_elbow",
    "tool_tip": "right_elbow",
}


def own_skeleton(**changes: object) -> Skeleton:
    """The five joints, with other keys of their file changed."""
    return make_skeleton({**GLOVES, **changes})


def skeleton_file(folder: Path, **changes: object) -> str:
    """The YAML file of the five joints, with other keys changed."""
    path = folder / "operator.yaml"
    path.write_text(json.dumps({**GLOVES, **changes}), encoding="utf-8")  # JSON is YAML too
    return str(path)


def own_network(path: Path, skeleton: Skeleton | None = None) -> Path:
    """A weight file that finds wrists, head top and elbows under the names of other joints."""
    from alphapose_ros.train.students import make_student, write_student

    skeleton = skeleton or own_skeleton()
    given = {name: STARTS[name] for name in skeleton.keypoint_names if name in STARTS}
    student = make_student("pose_nano", skeleton, given=given)
    return write_student(student, student.network.state_dict(), path)
