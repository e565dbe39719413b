# SPDX-License-Identifier: Apache-2.0
"""What a wheel carries; everything else stands in pyproject.toml.

``msg/`` and ``config/`` lie at the top because ROS 2 expects them there; in a wheel they lie under
``alphapose_ros/share/``, where an installed package finds them.
"""

from setuptools import find_packages, setup

SHARED = {"alphapose_ros.share.msg": "msg", "alphapose_ros.share.config": "config"}

setup(
    packages=[*find_packages(include=["alphapose_ros", "alphapose_ros.*"]), *SHARED],
    package_dir=SHARED,
    package_data={
        "alphapose_ros": ["py.typed", "bundled/*.safetensors"],
        "alphapose_ros.share.msg": ["*.msg"],
        "alphapose_ros.share.config": ["*.yaml"],
    },
)
