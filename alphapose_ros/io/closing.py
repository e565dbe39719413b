# SPDX-License-Identifier: Apache-2.0
"""What sources and sinks have in common: they are context managers that close themselves."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

Self = TypeVar("Self", bound="Closing")


class Closing:
    """A context manager around ``close()``."""

    def close(self) -> None:
        """Give back what is held; closing twice is allowed."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
