# SPDX-License-Identifier: Apache-2.0
"""``make run``: a clip of real people goes through the middleware and comes back tracked."""
