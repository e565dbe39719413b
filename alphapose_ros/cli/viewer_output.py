# SPDX-License-Identifier: Apache-2.0
"""``run --rrd`` and ``run --view``: a recording for the Rerun viewer, and the viewer itself."""

from __future__ import annotations

from pathlib import Path

from alphapose_ros.base.records import Frame, FrameResult, ImageArray
from alphapose_ros.io.viewer import ViewerStream
from alphapose_ros.io.viewer_process import ViewerProcess


class RecordingOutput:
    """A file that the viewer opens."""

    def __init__(self, path: Path) -> None:
        self._stream = ViewerStream(path=path)

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Append the frame; the viewer draws by itself."""
        self._stream.write(result, frame)
        return True

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()

    def summary(self) -> list[str]:
        """The file."""
        return [f"recording  {self._stream.path}"]


class ViewerOutput:
    """A viewer that is open; closing its window ends the run."""

    def __init__(self, viewer: ViewerProcess) -> None:
        self._viewer = viewer
        self._stream = ViewerStream(url=viewer.url)

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Show the frame."""
        if not self._viewer.running:
            return False
        self._stream.write(result, frame)
        return True

    def close(self) -> None:
        """Send what is left; the viewer stays."""
        self._stream.close()

    def summary(self) -> list[str]:
        """Nothing stays."""
        return []
