# SPDX-License-Identifier: Apache-2.0
"""Recordings and files in and out: cameras, videos, image folders, bags, JSON formats."""
