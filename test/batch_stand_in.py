# SPDX-License-Identifier: Apache-2.0
"""Recordings that tell a pipeline without networks what to see, and to kill its process.

As a program: a batch on a Ray cluster of two workers, see ``test_batch_ray.py``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fake_pipeline import make_tracks

from alphapose_ros.base.records import Frame, FrameResult, Header, TrackState
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.batch.recording import Plan
from alphapose_ros.batch.settings import BatchOptions
from alphapose_ros.batch.tables import FRAMES, PEOPLE
from alphapose_ros.batch.worklist import Recording
from alphapose_ros.cli.bag_output import BagOutput
from alphapose_ros.io.sinks import flat_keypoints

CONFIG = "0123456789abcdef"
DEADLY, DEADLY_ONCE, RAISING = 250, 240, 230  # red of the first pixel


class Seeing:
    """As many people as the first pixel is red; each frame gives each of them a new identity.

    The last is tentative and, of three or more, the first is lost.
    """

    skeleton = HALPE136

    def __init__(self, diary: str = "", delay_s: float = 0.0) -> None:
        self.diary, self.delay_s = diary, delay_s
        self.identities = 0

    def begin_again(self) -> None:
        self.identities = 0

    def __call__(self, frame: Frame) -> FrameResult:
        time.sleep(self.delay_s)
        count = int(frame.image[0, 0, 0])
        self._die_where_told(count, frame.camera)
        tracks = make_tracks(count, HALPE136, seed=count)
        ids = self.identities + np.arange(1, count + 1)
        states = np.full(count, TrackState.TRACKED, np.uint8)
        if count:
            ids[-1], states[-1] = 0, TrackState.TENTATIVE
        if count > 2:
            states[0] = TrackState.LOST
        self.identities += count
        if self.diary:
            with Path(self.diary).open("a", encoding="utf-8") as file:
                file.write(frame.camera + "\n")
        header = Header(frame.camera, frame.frame_id, frame.stamp_ns, frame.size_hw)
        return FrameResult(header, replace(tracks, ids=ids, states=states), {"pose": 1.0})

    def _die_where_told(self, red: int, camera: str) -> None:
        if red == RAISING:
            raise RuntimeError("a bug\nin two lines")
        once = Path(f"{self.diary}.{camera}.died")
        if red == DEADLY or (red == DEADLY_ONCE and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def images(folder: Path, reds: list[int]) -> Path:
    """A recording: a folder of one image for each."""
    folder.mkdir(parents=True)
    for number, red in enumerate(reds):
        image = np.full((24, 32, 3), 120, np.uint8)
        image[0, 0, 2] = red
        assert cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def video(path: Path, frames: int = 3) -> Path:
    """A black recording: nobody is in it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for _ in range(frames):
        writer.write(np.zeros((24, 32, 3), np.uint8))
    writer.release()
    return path


def plan(out: Path, diary: str = "", delay_s: float = 0.0, **options: Any) -> Plan:
    return Plan(out, CONFIG, BatchOptions(**options), Load(diary, delay_s), BagOutput)


class Load:
    """Makes the pipeline; a class, so that it can be sent to another process."""

    def __init__(self, diary: str, delay_s: float) -> None:
        self.diary, self.delay_s = diary, delay_s

    def __call__(self) -> Seeing:
        return Seeing(self.diary, self.delay_s)


def json_lines_of(folder: Path) -> list[dict[str, Any]]:
    """What ``run --json`` writes, made of the tables."""
    from pyarrow.parquet import read_table

    people: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in read_table(folder / PEOPLE).to_pylist():
        joints = np.array(row["keypoints"], np.float32).reshape(1, -1, 3)
        person = {
            "id": row["id"],
            "state": row["state"],
            "score": round(row["score"], 4),
            "box": [round(value, 2) for value in row["box"]],
            "keypoints": flat_keypoints(joints[..., :2], joints[..., 2])[0],
        }
        people.setdefault((row["camera"], row["frame"]), []).append(person)
    return [
        {
            "frame": row["frame"],
            "stamp": row["stamp_ns"] / 1e9,
            "camera": row["camera"],
            "people": people.get((row["camera"], row["frame"]), []),
        }
        for row in read_table(folder / FRAMES).to_pylist()
    ]


def family(root: int) -> set[int]:
    """A process and all that it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
    found = {root}
    for _ in range(6):  # generations
        found |= {child for child, parent in parents.items() if parent in found}
    return found


def listening() -> list[str]:
    """Addresses, as the kernel writes them, on which this process and its children listen."""
    sockets = set()
    for process in family(os.getpid()):
        try:
            sockets |= {str(fd.readlink()) for fd in Path(f"/proc/{process}/fd").iterdir()}
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(fields[1].partition(":")[0])
    return found


def main() -> None:
    """Rows as JSON lines on stdout; the first line is where the cluster listens."""
    from alphapose_ros.batch.cluster import ClusterConfig
    from alphapose_ros.batch.manifest import BatchFolder, Row
    from alphapose_ros.batch.ray_pool import work_on_ray

    out, diary, *inputs = sys.argv[1:]
    recordings = [Recording.at(Path(each)) for each in inputs]
    told = False
    with BatchFolder(Path(out), {"of": "a test"}, CONFIG) as folder:
        cluster = ClusterConfig(workers=2, gpus=0, retries=1)
        for report in work_on_ray(plan(Path(out), diary, 0.02), recordings, cluster):
            if not told:
                sys.stdout.write(json.dumps(listening()) + "\n")
                told = True
            if isinstance(report, Row):
                folder.add(report)
                sys.stdout.write(report.line())
            sys.stdout.flush()


if __name__ == "__main__":
    main()
