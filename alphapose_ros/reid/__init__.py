# SPDX-License-Identifier: Apache-2.0
"""Who a pose looks like: image, Poses -> Appearance."""
