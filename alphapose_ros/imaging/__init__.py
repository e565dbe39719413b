# SPDX-License-Identifier: Apache-2.0
"""Images where the networks run: brought there once, then letterboxed and cut into crops."""

from alphapose_ros.imaging.batch import ImageBatch

__all__ = ["ImageBatch"]
