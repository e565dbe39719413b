# SPDX-License-Identifier: Apache-2.0
"""Many recordings through one configuration, one file set each, begun again where it stopped."""
