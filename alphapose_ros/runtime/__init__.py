# SPDX-License-Identifier: Apache-2.0
"""What runs a network: PyTorch, ONNX Runtime, OpenVINO. Tensors in, tensors out."""
