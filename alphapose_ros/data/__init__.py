# SPDX-License-Identifier: Apache-2.0
"""Data sets: readers onto one record per task, and what training does to the samples."""
