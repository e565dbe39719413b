# SPDX-License-Identifier: Apache-2.0
"""What ``run --view`` and ``view`` share: the viewer's options, and the viewer itself."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.cli.console import say

if TYPE_CHECKING:
    from alphapose_ros.io.viewer_process import ViewerProcess

_POLL_S = 0.2


def add_viewer_options(group: Any) -> None:
    """Where and how the viewer opens; ``group`` of a parser, or the parser itself."""
    group.add_argument(
        "--web",
        action="store_true",
        help="as a page for a browser, also where a window could be opened",
    )
    group.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address that the viewer listens on (default: 127.0.0.1, this machine alone)",
    )
    group.add_argument(
        "--port",
        type=int,
        default=9090,
        metavar="N",
        help="of its page; the next one is the data's (default: 9090)",
    )
    group.add_argument(
        "--memory",
        default="1GB",
        metavar="SIZE",
        help="how much the viewer keeps, the newest (500MB, 25%%; default: 1GB)",
    )


def open_viewer(args: argparse.Namespace, recording: Path | None = None) -> ViewerProcess:
    """A window where there is a display, else a page whose address is printed.

    It waits for data, or shows a ``recording``.

    Raises:
        MissingDependencyError: the Rerun SDK is not installed.
        TransportError: the viewer does not start.
    """
    from alphapose_ros.io.viewer_process import ViewerOptions, ViewerProcess, has_display

    web = args.web or not has_display(os.environ)
    viewer = ViewerProcess(ViewerOptions(web, args.host, args.port, args.memory), recording)
    if viewer.page:
        say(f"viewer     {viewer.page}")
    return viewer


def serve_until_interrupted(viewer: ViewerProcess) -> None:
    """Keep a page for those who look; a window needs nobody."""
    if not viewer.page:
        return
    say(f"the viewer stays at {viewer.page} until Ctrl-C")
    with suppress(KeyboardInterrupt):
        while viewer.running:
            time.sleep(_POLL_S)
