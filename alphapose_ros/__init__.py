# SPDX-License-Identifier: Apache-2.0
"""alphapose_ros: people, their whole-body poses and their identities from a robot's cameras.

This module imports nothing heavy: ``import alphapose_ros.msg`` in any ROS 2 process runs it.
"""

from pkgutil import extend_path

# The generated messages (alphapose_ros.msg) may lie in another folder of the path than this file.
__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"
