# SPDX-License-Identifier: Apache-2.0
"""Image -> person boxes: the bundled YOLOX, torchvision's detectors, an ONNX file, a replay."""
