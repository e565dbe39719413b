# SPDX-License-Identifier: Apache-2.0
"""Trackers compared on simulated crowds that are drawn, their people made of crops of real ones.

    python benchmarks/tracking_pictures.py --clips vtest.avi hall.mp4 --people vtest.txt hall.txt
    python benchmarks/tracking_pictures.py --clips street.mp4 --mine people

Each file of people, in MOTChallenge's format, names the boxes of one clip by who is in them;
``people_vtest.txt`` and ``people_hall.txt`` (Intel's one-by-one-person-detection.mp4) lie beside
this. The first command draws crowds of these people and compares trackers as ``tracking.py``
does, with one difference: embeddings are those that the re-ID network gives for the picture. Each
visit of a person is played from frames of its own, at least two seconds apart from those of any
other visit. Boxes and joints are the simulation's, with its errors.

The second proposes the people of other clips: everybody whom the bundled networks follow for some
seconds, as ``people/street.txt``, and ``people/street.jpg`` to look at. One person may have two
ids there, and one id two people: that is for the eye to find and for the hand to mend.
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
from alphapose_ros.eval.crowd_crops import cut_crops, mine_people, sheet
from alphapose_ros.eval.crowd_images import CropTrack, CrowdPainter, visits_of
from alphapose_ros.eval.track_files import TrackRows, read_mot, write_mot
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.io.sources import open_source
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.reid.embedder import Embedder


def mine(clips: Sequence[Path], folder: Path, least_s: float) -> None:
    """Write who is followed for long enough, and a picture of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        pipeline = PosePipeline(PipelineConfig.preset_named("nano"))
        with open_source(str(clip)) as source:
            people = mine_people(pipeline, source, least_s)
        tracks = crops_of(clip, people)
        print(f"{clip.name}: {len(tracks)} people followed for {least_s:g} s or more", flush=True)
        write_mot(folder / f"{clip.stem}.txt", people)
        cv2.imwrite(str(folder / f"{clip.stem}.jpg"), sheet(tracks)[..., ::-1])


def crops_of(clip: Path, people: TrackRows) -> list[CropTrack]:
    """The people of a clip."""
    with open_source(str(clip)) as source:
        return cut_crops(source, people, clip.stem)


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
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="recordings")
    parser.add_argument("--people", type=Path, nargs="+", help="MOT files, one for each clip")
    parser.add_argument("--mine", type=Path, help="folder for people proposed, and nothing else")
    parser.add_argument("--least", type=float, default=3.0, help="s, the shortest track mined")
    parser.add_argument("--weights", default="", help="of the re-ID network")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10, help="the first seed")
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--buffer", type=float, default=60.0, help="s, of every tracker")
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.mine:
        mine(args.clips, args.mine, args.least)
        return
    if len(args.people or ()) != len(args.clips):
        parser.error("expected --people with one file for each clip, or --mine")
    tracks = [
        track
        for clip, people in zip(args.clips, args.people, strict=True)
        for track in crops_of(clip, read_mot(people))
    ]
    config = CrowdConfig(duration_s=args.seconds, people=len(tracks), visits=8)
    visits = visits_of(tracks)
    print(f"{len(tracks)} people, {sum(visits)} visits at most")
    pipeline = PipelineConfig.preset_named("nano")
    pipeline = replace(pipeline, reid=replace(pipeline.reid, weights=args.weights))
    embedder = PosePipeline(pipeline).embedder
    assert embedder
    seeds = range(args.first, args.first + args.seeds)
    numbers = summarise(
        compare(
            lambda seed: drawn(config, tracks, embedder, seed),
            seeds,
            args.buffer,
            args.only,
            pipeline.distance_scale,
        )
    )
    print_table(numbers)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
