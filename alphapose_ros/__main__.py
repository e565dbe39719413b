# SPDX-License-Identifier: Apache-2.0
"""``python -m alphapose_ros`` is ``alphapose-ros``."""

import sys

from alphapose_ros.cli import main

sys.exit(main())
