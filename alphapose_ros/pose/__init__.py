# SPDX-License-Identifier: Apache-2.0
"""From person boxes to whole-body poses: crops, the pose network, decoding, pose NMS."""
