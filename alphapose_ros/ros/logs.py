# SPDX-License-Identifier: Apache-2.0
"""The package's log lines -> rclpy's logger, so that they reach the console and /rosout."""

from __future__ import annotations

import logging
from typing import Any


class RosHandler(logging.Handler):
    """Hands records of ``alphapose_ros`` to a node's logger."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a traceback goes with it."""
        text = self.format(record)
        # One call site for each level: rclpy binds a site to the level of its first call.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)

    def attach(self) -> None:
        """Begin to receive the package's records, and keep them from Python's own handlers."""
        package = logging.getLogger("alphapose_ros")
        package.addHandler(self)
        package.setLevel(logging.DEBUG)  # rclpy's level decides
        package.propagate = False

    def detach(self) -> None:
        """Receive no more."""
        package = logging.getLogger("alphapose_ros")
        package.removeHandler(self)
        package.setLevel(logging.NOTSET)
        package.propagate = True
