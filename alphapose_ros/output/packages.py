# SPDX-License-Identifier: Apache-2.0
"""Which package each message comes from that is written here."""

from __future__ import annotations

_NAMES = {
    "alphapose_ros": "Skeleton SkeletonPart",
    "hri_msgs": "FacialLandmarks IdsList IdsMatch NormalizedPointOfInterest2D "
    "NormalizedRegionOfInterest2D Skeleton2D",
    "std_msgs": "Bool Float32 Header String",
    "builtin_interfaces": "Time",
    "geometry_msgs": "Point Vector3 Pose Quaternion PoseStamped Transform TransformStamped",
    "sensor_msgs": "Image CompressedImage CameraInfo",
    "vision_msgs": "BoundingBox2D Detection2D Detection2DArray ObjectHypothesis "
    "ObjectHypothesisWithPose",
}

# Short name -> (package, name there).
PACKAGE_OF: dict[str, tuple[str, str]] = {
    name: (package, name) for package, names in _NAMES.items() for name in names.split()
} | {
    "VisionPoint2D": ("vision_msgs", "Point2D"),
    "VisionPose2D": ("vision_msgs", "Pose2D"),  # geometry_msgs has another of this name
}
