# SPDX-License-Identifier: Apache-2.0
"""A result in the forms that others read: overlay, messages, markers. Pure functions."""
