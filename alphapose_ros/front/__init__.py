# SPDX-License-Identifier: Apache-2.0
"""What the fronts share: parameters, images in, results out, health; no middleware."""
