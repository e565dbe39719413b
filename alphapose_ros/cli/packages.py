# SPDX-License-Identifier: Apache-2.0
"""The packages that ``doctor`` asks for, and how to get each."""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    """An import with the distributions that provide it, what it is for, and how to get it.

    The remedy is the one package, not an extra of ours: built by colcon there are no extras, and
    on a robot those would bring a second torch and OpenCV. ``with_ros`` takes its place where ROS
    2 is installed, which was built for apt's versions.
    """

    module: str
    distributions: tuple[str, ...]
    purpose: str
    install: str
    needed: bool = False
    with_ros: str = ""


def _apt(name: str) -> str:
    return f"sudo apt install {name}"


def _ros_apt(name: str) -> str:
    return _apt(f"ros-$ROS_DISTRO-{name}")


def _beside_ros(install: str) -> str:
    return f"{install} 'numpy<2'"  # cv_bridge was built for NumPy 1


_TORCH = "pip install torch torchvision, on a Jetson NVIDIA's builds; docs/start.md says more"
PACKAGES = (
    Package("numpy", ("numpy",), "arrays", "pip install numpy", True, _apt("python3-numpy")),
    Package("scipy", ("scipy",), "tracking", "pip install scipy", True, _apt("python3-scipy")),
    Package(
        "yaml", ("PyYAML",), "parameter files", "pip install PyYAML", True, _apt("python3-yaml")
    ),
    Package("safetensors", ("safetensors",), "weights", "pip install safetensors", True),
    Package("torch", ("torch",), "the networks", _TORCH, True),
    Package("torchvision", ("torchvision",), "other detectors, DCN", _TORCH),
    Package(
        "cv2",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
        "images, videos, drawing",
        "pip install 'opencv-python-headless>=4.5'",
        True,
        _apt("python3-opencv"),
    ),
    Package("cyclonedds", ("cyclonedds",), "the dds front", "pip install 'cyclonedds>=11'"),
    Package(
        "rosbags",
        ("rosbags",),
        "bags, messages of the dds front",
        "pip install 'rosbags>=0.11.6'",
    ),
    Package(
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu"),
        "ONNX models, and networks at twice the speed on a CPU",
        "pip install 'onnxruntime>=1.15'",
        with_ros=_beside_ros("pip install 'onnxruntime>=1.15'"),
    ),
    Package(
        "onnx",
        ("onnx",),
        "networks as ONNX graphs",
        "pip install 'onnx>=1.14'",
        with_ros=_beside_ros("pip install 'onnx>=1.14'"),
    ),
    Package(
        "openvino",
        ("openvino",),
        "a runtime",
        "pip install 'openvino>=2024.0'",
        with_ros=_beside_ros("pip install 'openvino>=2024.0'"),
    ),
    Package("effdet", ("effdet",), "EfficientDet", "pip install 'effdet>=0.4'"),
    Package(
        "rerun",
        ("rerun-sdk",),
        "the viewer",
        "pip install 'rerun-sdk>=0.39,<0.42'",
        with_ros="in an environment of its own, because it brings NumPy 2; see docs/viewer.md",
    ),
    Package("ray", ("ray",), "batch with several workers", "pip install 'ray>=2.46'"),
    Package("pyarrow", ("pyarrow",), "tables of batch", "pip install 'pyarrow>=14'"),
    Package(
        "matplotlib",
        ("matplotlib",),
        "--plot",
        "pip install 'matplotlib>=3.5'",
        with_ros=_beside_ros("pip install 'matplotlib>=3.5'"),
    ),
    Package("tqdm", ("tqdm",), "progress bars", "pip install tqdm"),
    Package("rclpy", ("rclpy",), "the ros front", ""),
    Package(
        "alphapose_ros.msg",
        (),
        "the ros front",
        "build this package with colcon and source the workspace's install/setup.bash",
    ),
    Package(
        "message_filters",
        ("message_filters",),
        "the ros front: depth",
        _ros_apt("message-filters"),
    ),
    Package("tf2_ros", ("tf2_ros_py",), "the ros front: transforms", _ros_apt("tf2-ros-py")),
    Package(
        "diagnostic_updater",
        ("diagnostic_updater",),
        "the ros front: diagnostics",
        _ros_apt("diagnostic-updater"),
    ),
    Package(
        "cv_bridge", ("cv_bridge",), "the ros front: rare image encodings", _ros_apt("cv-bridge")
    ),
    Package("vision_msgs", ("vision_msgs",), "the parameter detections", _ros_apt("vision-msgs")),
    Package("hri_msgs", ("hri_msgs",), "the parameter humans", _ros_apt("hri-msgs")),
    Package("bondpy", ("bondpy",), "the parameter bond", _ros_apt("bondpy")),
)
# Only asked for where there is a ROS 2.
ROS_PACKAGES = ("rclpy", *(p.module for p in PACKAGES if "ros-$ROS" in p.install),
                 "alphapose_ros.msg")  # fmt: skip
