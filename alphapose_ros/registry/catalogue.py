# SPDX-License-Identifier: Apache-2.0
"""All known models by name, and the presets made of them."""

from __future__ import annotations

from alphapose_ros.registry.alphapose import ALPHAPOSE
from alphapose_ros.registry.bundled import BUNDLED, DETECTOR_NANO, POSE_FAST, POSE_NANO
from alphapose_ros.registry.detectors import DARKNET, EFFICIENTDET, TORCHVISION, YOLOX
from alphapose_ros.registry.open_model_zoo import OPEN_MODEL_ZOO
from alphapose_ros.registry.openmmlab import OPENMMLAB
from alphapose_ros.registry.spec import ModelSpec

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        *BUNDLED, *OPENMMLAB, *ALPHAPOSE, *YOLOX, *TORCHVISION, *DARKNET, *EFFICIENTDET,
        *OPEN_MODEL_ZOO,
    )
}  # fmt: skip

# Preset -> the detector and the pose network. Whole bodies each; the sizes follow MMPose's own
# pairs, and at equal input DWPose-m is two points of AP above RTMW-m for half its work.
PRESETS: dict[str, tuple[str, str]] = {
    "nano": (DETECTOR_NANO, POSE_NANO),
    "fast": (DETECTOR_NANO, POSE_FAST),
    "balanced": ("yolox_m_human", "dwpose_m_wholebody133_256x192"),
    "accurate": ("yolox_x_human", "rtmw_l_wholebody133_384x288"),
}
# Height and width of a preset's detector input, where it is not the model's own.
PRESET_DETECTOR_HW: dict[str, tuple[int, int]] = {"fast": (320, 320)}
