# SPDX-License-Identifier: Apache-2.0
"""Networks: nn.Modules, tensors in, tensors out. They know neither images nor people."""
