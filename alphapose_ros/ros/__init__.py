# SPDX-License-Identifier: Apache-2.0
"""The ros front: an rclpy lifecycle node around the session."""
