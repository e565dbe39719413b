# SPDX-License-Identifier: Apache-2.0
"""The viewer's picture: ``python docs/_pictures/viewer.py``.

Needs Chromium, ``pip install playwright`` and the extra ``viewer``.

Three people with the bundled networks, each put at a distance of their own to show the view in
space, and a photograph of the viewer's page by a browser without a screen.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from alphapose_ros.base.errors import require
from alphapose_ros.base.records import Frame, Spatial, Tracks
from alphapose_ros.eval.bench_scene import three_people
from alphapose_ros.io.viewer import ViewerStream
from alphapose_ros.io.viewer_process import ViewerOptions, ViewerProcess
from alphapose_ros.pipeline import PosePipeline

PICTURE = Path(__file__).parents[1] / "images" / "viewer.jpg"
_FRAME, _STEP_NS, _FRAMES = "front_optical", 100_000_000, 12
_FOCAL_PX = 500.0
_WIDTH, _HEIGHT = 1280, 800
_PATIENCE_MS = 40_000  # a browser without a graphics card is slow
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


def record(path: Path) -> None:
    """A second of the scene."""
    image, pipeline = three_people(), PosePipeline.from_preset("nano", device="cpu")
    with ViewerStream(path=path) as stream:
        for number in range(_FRAMES):
            frame = Frame(np.roll(image, 4 * number, 1), number * _STEP_NS, "front", _FRAME)
            result = pipeline(frame)
            stream.write(result, frame, in_space(result.tracks, frame.size_hw))


def in_space(tracks: Tracks, size_hw: tuple[int, int]) -> Spatial:
    """Everybody flat and upright, half a metre behind the one before."""
    people, joints = tracks.poses.scores.shape
    depth = 2 + 0.5 * np.arange(people, dtype=np.float32)[:, None, None]
    centre = np.array(size_hw[::-1], np.float32) / 2
    across = (tracks.poses.keypoints - centre) / _FOCAL_PX * depth
    points = np.concatenate([across, np.broadcast_to(depth, (people, joints, 1))], -1)
    return replace(
        Spatial.unknown(people, joints, _FRAME),
        keypoints=points.astype(np.float32),
        positions=points[:, 5:7].mean(1).astype(np.float32),
        velocities=np.tile(np.float32([0.4, 0, 0]), (people, 1)),
        has_depth=True,
    )


def photograph(url: str, path: Path) -> None:
    """The page as a browser shows it, once it has had the time to draw."""
    room = require(
        "playwright.sync_api", needed_for="the picture", install="pip install playwright"
    )
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        sys.exit(f"expected a browser, one of {', '.join(_BROWSERS)}")
    with room.sync_playwright() as driver:
        window = driver.chromium.launch(executable_path=browser, args=list(_OPTIONS))
        page = window.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.goto(url)
        page.wait_for_timeout(_PATIENCE_MS)
        page.screenshot(path=str(path), timeout=_PATIENCE_MS)
        window.close()


def main() -> None:
    """Record, show, photograph."""
    require("rerun", needed_for="the picture", install="pip install '.[viewer]'")
    with tempfile.TemporaryDirectory() as name:
        recording, shot = Path(name) / "scene.rrd", Path(name) / "shot.png"
        record(recording)
        with ViewerProcess(ViewerOptions(web=True, port=0), recording) as viewer:
            photograph(viewer.page, shot)
        cv2.imwrite(str(PICTURE), cv2.imread(str(shot)), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
