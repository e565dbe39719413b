# SPDX-License-Identifier: Apache-2.0
"""Which package each message comes from that is written here."""

from __future__ import annotations

_NAMES = {
    "alphapose_ros": "PoseArray PersonPose BoundingBox Skeleton SkeletonPart",
    "std_msgs": "Header ColorRGBA String",
    "builtin_interfaces": "Time Duration",
    "geometry_msgs": "Point Vector3 Pose Quaternion PoseStamped Transform TransformStamped",
    "visualization_msgs": "Marker MarkerArray",
    "sensor_msgs": "Image CompressedImage CameraInfo RegionOfInterest",
}

# Short name -> (package, name there).
PACKAGE_OF: dict[str, tuple[str, str]] = {
    name: (package, name) for package, names in _NAMES.items() for name in names.split()
}
