# SPDX-License-Identifier: Apache-2.0
"""Training: one visible loop per task, on shared pieces from ``loop``."""
