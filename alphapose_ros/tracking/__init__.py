# SPDX-License-Identifier: Apache-2.0
"""Poses and time -> people with identities. NumPy and SciPy only, no torch."""
