# SPDX-License-Identifier: Apache-2.0
"""The file of a viewer's recording, which the SDK writes through a pipe.

Where the disk is full, the SDK's own writer ends and tells nobody; the command then waits for it
forever when the recording is closed (seen with rerun-sdk 0.41). Here the SDK writes into a pipe
that always takes what comes, and what is the matter with the disk is known at the next frame.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from alphapose_ros.io.part import GrowingFile, growing_place, publish
from alphapose_ros.io.sinks import check_folder

_PIECE = 1 << 20


class RecordingFile:
    """``path``, which grows as ``path.part`` and is replaced when it is complete.

    Attributes:
        path: where the recording lies after closing; the part where the disk was full.
        inlet: what the SDK shall write to.

    Raises:
        InputError: no such folder.
    """

    def __init__(self, path: Path) -> None:
        check_folder(path)
        self.path = self._final = path
        self._part = growing_place(path)
        self._file = GrowingFile(self._part, path)
        self._error: OSError | None = None
        self._outlet, self._inlet = os.pipe()
        self.inlet = Path(f"/dev/fd/{self._inlet}")
        self._copying = threading.Thread(target=self._copy, name="recording", daemon=True)
        self._copying.start()

    def opened(self) -> None:
        """The SDK holds the pipe now, or never will: when it lets go, the recording is over."""
        os.close(self._inlet)

    def check(self) -> None:
        """Raise what became of writing.

        Raises:
            OSError: the disk is full or broken; it names ``path``.
        """
        if self._error is not None:
            raise self._error

    def close(self, *, keep: bool) -> None:
        """Wait until all is written, and give the file its name.

        Args:
            keep: false: nobody has seen anything, there shall be no file.

        Raises:
            OSError: the disk is full or broken.
        """
        self._copying.join()
        self._file.close()
        self.check()
        if self._part == self._final:
            return
        if not keep:
            self._part.unlink()
            return
        self.path = self._part  # in case that this does not go well
        publish(self._part, self._final)
        self.path = self._final

    def _copy(self) -> None:
        with os.fdopen(self._outlet, "rb", buffering=0) as outlet:
            while data := outlet.read(_PIECE):
                if self._error is not None:
                    continue  # or the SDK would wait for room in the pipe
                try:
                    self._file.append(data)
                except OSError as error:
                    self._error, self.path = error, self._part
