# SPDX-License-Identifier: Apache-2.0
"""The outputs of ``run`` as one thing: video, JSON lines, bag and window."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import MissingDependencyError
from alphapose_ros.base.records import Frame, FrameResult, ImageArray
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.io.sinks import JsonLinesWriter, VideoWriter, check_folder
from alphapose_ros.io.source_base import INSTALL_OPENCV
from alphapose_ros.output.draw import draw_result

if TYPE_CHECKING:
    from alphapose_ros.io.source_base import Source
    from alphapose_ros.io.viewer_process import ViewerProcess


class Output(Protocol):
    """Takes each frame with its result and, drawn once for all, its annotated image."""

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """False ends the run."""

    def close(self) -> None:
        """Finish."""

    def summary(self) -> list[str]:
        """Lines about what was written."""


class Outputs:
    """All outputs that were asked for; the image is drawn only if one of them shows it."""

    def __init__(self, outputs: list[Output], *, draws: bool) -> None:
        self._outputs = outputs
        self._draws = draws

    def write(self, frame: Frame, result: FrameResult) -> bool:
        """Give one frame to every output; False when one wants to end."""
        drawn = draw_result(frame.image, result) if self._draws else None
        go_on = True
        for output in self._outputs:  # all of them get the frame, whichever wants to end
            go_on = output.write(frame, result, drawn) and go_on
        return go_on

    def close(self) -> None:
        """Finish every output, also when one of them fails."""
        with ExitStack() as stack:
            for output in self._outputs:
                stack.callback(output.close)

    def summary(self) -> list[str]:
        """What was written, one line per file."""
        return [line for output in self._outputs for line in output.summary()]


def open_outputs(
    args: argparse.Namespace,
    source: Source,
    skeleton: Skeleton,
    viewer: ViewerProcess | None = None,
) -> Outputs:
    """Open what ``--video --json --bag --rrd --show`` ask for; all or none stay open."""
    outputs: list[Output] = []
    with ExitStack() as stack:

        def add(output: Output) -> None:
            outputs.append(output)
            stack.callback(output.close)

        if args.video:
            add(VideoOutput(Path(args.video), source))
        if args.json:
            add(JsonOutput(Path(args.json)))
        if args.bag:
            from alphapose_ros.cli.bag_output import BagOutput

            add(BagOutput(Path(args.bag), skeleton, storage=args.bag_storage))
        if args.rrd:
            from alphapose_ros.cli.viewer_output import RecordingOutput

            add(RecordingOutput(Path(args.rrd)))
        if viewer is not None:
            from alphapose_ros.cli.viewer_output import ViewerOutput

            add(ViewerOutput(viewer))
        if args.show:
            add(Window())
        stack.pop_all()
    return Outputs(outputs, draws=bool(args.video or args.bag or args.show))


class VideoOutput:
    """An annotated video at its camera's rate; a second camera gets a file named after it."""

    def __init__(self, path: Path, source: Source) -> None:
        self._path, self._source = path, source
        self._writers: dict[str, VideoWriter] = {}
        self._taken: set[Path] = set()
        check_folder(path)

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Append the annotated image."""
        assert drawn is not None
        writer = self._writers.get(frame.camera)
        if writer is None:
            fps = self._source.fps_of(frame.camera)
            writer = VideoWriter(self._place(frame.camera), fps)
            self._writers[frame.camera] = writer
        if self._source.live:
            writer.write_at(drawn, frame.stamp_ns)
        else:
            writer.write(drawn)
        return True

    def _place(self, camera: str) -> Path:
        """A path that no camera had before: ``/a/b`` and ``/a_b`` are alike in a file's name."""
        path = self._path
        if self._taken:
            stem = f"{path.stem}_{camera.strip('/').replace('/', '_')}"
            ends = ("", *(f"_{number}" for number in range(2, len(self._taken) + 2)))
            paths = (path.with_name(f"{stem}{end}{path.suffix}") for end in ends)
            path = next(each for each in paths if each not in self._taken)
        self._taken.add(path)
        return path

    def close(self) -> None:
        """Finish all videos."""
        for writer in self._writers.values():
            writer.close()

    def summary(self) -> list[str]:
        """The files."""
        lines = [problem for writer in self._writers.values() for problem in writer.problems]
        return [*lines, *(f"video      {writer.path}" for writer in self._writers.values())]


class JsonOutput:
    """JSON lines."""

    def __init__(self, path: Path) -> None:
        self._writer = JsonLinesWriter(path)

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Append the frame's line."""
        self._writer.write(result)
        return True

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def summary(self) -> list[str]:
        """The file."""
        return [f"JSON       {self._writer.path}"]


class Window:
    """A live window; q, Esc or closing it ends the run."""

    _TITLE = "alphapose-ros (q ends)"

    def __init__(self) -> None:
        from alphapose_ros.base.errors import require

        self._cv2: Any = require("cv2", needed_for="--show", install=INSTALL_OPENCV)
        try:
            self._cv2.namedWindow(self._TITLE, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            raise MissingDependencyError(
                "--show needs an OpenCV with windows and a display: "
                "pip uninstall opencv-python-headless; pip install opencv-python"
            ) from error

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Show the annotated image."""
        assert drawn is not None
        self._cv2.imshow(self._TITLE, red_blue_swapped(drawn))
        if self._cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            return False
        shown = self._cv2.getWindowProperty(self._TITLE, self._cv2.WND_PROP_VISIBLE)
        return bool(shown >= 1)

    def close(self) -> None:
        """Close the window."""
        self._cv2.destroyWindow(self._TITLE)

    def summary(self) -> list[str]:
        """Nothing stays."""
        return []
