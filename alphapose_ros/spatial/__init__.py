# SPDX-License-Identifier: Apache-2.0
"""Tracks, depth and intrinsics -> 3-D joints, position, velocity and heading."""
