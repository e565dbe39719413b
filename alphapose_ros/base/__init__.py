# SPDX-License-Identifier: Apache-2.0
"""The ground floor: records, skeletons and geometry. NumPy only; every other room stands on it."""
