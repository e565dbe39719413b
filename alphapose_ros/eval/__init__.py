# SPDX-License-Identifier: Apache-2.0
"""Measuring: accuracy of poses and detections on annotated images, with intervals."""
