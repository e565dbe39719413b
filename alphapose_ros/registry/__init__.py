# SPDX-License-Identifier: Apache-2.0
"""The known models as data: what they are, where they lie, and how they are fetched. No torch."""
