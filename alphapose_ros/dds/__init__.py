# SPDX-License-Identifier: Apache-2.0
"""The embedded front: ROS 2's topics and message types on the wire without a ROS 2 installation.

The only room that imports ``cyclonedds``.
"""
