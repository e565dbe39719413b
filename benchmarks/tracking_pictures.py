# SPDX-License-Identifier: Apache-2.0
"""Trackers compared on simulated crowds that are drawn, their people made of crops of real ones.

    python benchmarks/tracking_pictures.py --crops crops --clips vtest.avi street.mp4
    python benchmarks/tracking_pictures.py --crops crops --people people.json --json numbers.json

The first mines the clips: each person that the bundled networks follow for some seconds becomes a
folder of crops, and ``crops.jpg`` shows them all. One person may be in two folders, a folder may
hold two people: look at it, and write a list of who is who, ``{"anna": ["vtest-011",
"vtest-048"], ...}``; folders that it does not name are left out. The second draws crowds of these
people and compares trackers as ``tracking.py`` does, with one difference: embeddings are those
that the bundled re-ID network gives for the picture. Each visit of a person is played from frames
of its own, at least two seconds apart from those of any other visit. Boxes and joints are the
simulation's, with its errors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
from tracking import compare, print_table, summarise

from alphapose_ros.config import PipelineConfig
from alphapose_ros.eval.crowd import CrowdFrame, simulate
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.crowd_crops import gather, mine_crops, sheet
from alphapose_ros.eval.crowd_images import (
    CropTrack,
    CrowdPainter,
    read_crops,
    visits_of,
    write_crops,
)
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.io.sources import open_source
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.reid.embedder import Embedder


def mine(clips: Sequence[Path], folder: Path, least_s: float) -> None:
    """Write the crops of everybody who is followed for long enough, and the sheet of them."""
    tracks: list[CropTrack] = []
    for clip in clips:
        pipeline = PosePipeline(PipelineConfig.preset_named("nano"))
        with open_source(str(clip)) as source:
            found = mine_crops(pipeline, source, clip.stem, least_s)
        print(f"{clip.name}: {len(found)} people followed for {least_s:g} s or more", flush=True)
        tracks += found
    write_crops(folder, tracks)
    cv2.imwrite(f"{folder}.jpg", sheet(tracks)[..., ::-1])


def drawn(
    config: CrowdConfig, tracks: Sequence[CropTrack], embedder: Embedder, seed: int
) -> list[CrowdFrame]:
    """A crowd whose embeddings are the network's, from its pictures."""
    painter = CrowdPainter(config, tracks, seed)
    frames = []
    for frame in simulate(config, seed, visits_of(tracks)):
        image, _ = painter(frame)
        (looks,) = embedder(ImageBatch.upload([image]), [frame.poses])
        frames.append(replace(frame, appearance=looks))
    return frames


def main() -> None:
    """Mine, or compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=Path, required=True, help="folder of folders of crops")
    parser.add_argument("--clips", type=Path, nargs="+", help="recordings to mine them from")
    parser.add_argument("--people", type=Path, help="JSON, person -> folders; default: one each")
    parser.add_argument("--least", type=float, default=3.0, help="s, the shortest track mined")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10, help="the first seed")
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--buffer", type=float, default=60.0, help="s, of every tracker")
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.clips:
        mine(args.clips, args.crops, args.least)
        return
    tracks = read_crops(args.crops)
    if args.people:
        tracks = gather(tracks, json.loads(args.people.read_text(encoding="utf-8")))
    config = CrowdConfig(duration_s=args.seconds, people=len(tracks), visits=8)
    visits = visits_of(tracks)
    print(f"{len(tracks)} people, {sum(visits)} visits at most")
    embedder = PosePipeline(PipelineConfig.preset_named("nano")).embedder
    assert embedder
    seeds = range(args.first, args.first + args.seeds)
    numbers = summarise(
        compare(lambda seed: drawn(config, tracks, embedder, seed), seeds, args.buffer, args.only)
    )
    print_table(numbers)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
