# SPDX-License-Identifier: Apache-2.0
"""Pose NMS of whole-body candidates: ours, the frozen loops, and the pose network's time.

    python benchmarks/pose_nms.py [--people 30 100] [--copies 3] [--rounds 15] [--json out.json]

Candidates are people of 136 joints, each seen three times (``--copies``) through boxes that were
moved by some per cent, some joints hidden. Before anything is timed, all three must keep the same
candidates and place the merged joints alike. Ours is timed ten times in a row, for the loops are
long enough to warm up on their way, and once after the network, whose data took the caches. The
network is the bundled ``nano`` on the runtime that a CPU chooses, a crop for each candidate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from frozen_nms import literal_pose_nms, per_pick_pose_nms
from turns import Turns, about, take_turns

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.config import PipelineConfig
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.runtime.devices import choose_device

REPEATS = 10
WITHIN_PX = 0.01
OURS, COLD = "ours, ten in a row", "ours, once after a network"
LITERAL, PER_PICK = "frozen: lists, joint by joint", "frozen: arrays, pick by pick"
NETWORK = "pose network of as many people"


def candidates(count: int, seed: int = 0, copies: int = 3) -> Poses:
    """``count`` poses of ``count / copies`` people in an image of 1280x720."""
    rng = np.random.default_rng(seed)
    joints, people = len(HALPE136), max(1, round(count / copies))
    middles = rng.uniform([80, 150], [1200, 570], (people, 2))
    sides = rng.uniform(120, 300, (people, 1)) * np.array([0.4, 1.0])
    figures = rng.uniform(-0.45, 0.45, (people, joints, 2))
    who = rng.permutation(np.arange(count) % people)
    noise = rng.normal(0, 0.006, (count, joints, 2)) * rng.choice([0.3, 1, 3], (count, joints, 1))
    keypoints = middles[who, None] + (figures[who] + noise) * sides[who, None]
    low, high = middles[who] - sides[who] / 2, middles[who] + sides[who] / 2
    boxes = (
        np.concatenate([low, high], 1)
        + rng.normal(0, 0.05, (count, 4)) * sides[who].min(1)[:, None]
    )
    scores = rng.uniform(0.2, 0.95, (count, 1)) * rng.uniform(0.7, 1, (count, joints))
    scores[rng.random((count, joints)) < 0.15] = 0.02  # hidden
    return Poses(
        keypoints, scores, boxes, rng.uniform(0.3, 0.95, count), np.arange(count), HALPE136
    )


def network_on(count: int) -> Callable[[], object]:
    """The bundled pose network on ``count`` crops, in the batches that the estimator makes."""
    device = choose_device("cpu")
    config = PipelineConfig.preset_named("nano").resolved()
    estimator = create_estimator(config.pose, device, config.runtime_on(device))
    crops = torch.rand((count, 3, *estimator.crop.input_hw)) * 255
    return lambda: [estimator.network(part) for part in crops.split(estimator.limit.most)]


def check_equal(poses: Poses, config: PoseNmsConfig) -> float:
    """Largest distance in px between our joints and the frozen loops' on the same survivors."""
    found, worst = PoseNms(config)(poses), 0.0
    for frozen in (literal_pose_nms, per_pick_pose_nms):
        expected = frozen(poses, config)
        if found.source.tolist() != expected.source.tolist():
            raise SystemExit(f"pose NMS: expected rows {expected.source}, got {found.source}")
        apart = np.abs(found.keypoints - expected.keypoints).max(initial=0)
        worst = max(worst, float(apart))
    if worst > WITHIN_PX:
        raise SystemExit(f"pose NMS: merged joints lie up to {worst:.3f} px apart")
    return worst


def measure(count: int, copies: int, rounds: int, clock: str) -> dict[str, Any]:
    """Print one table; its numbers."""
    config = PoseNmsConfig()
    poses = candidates(count, copies=copies)
    worst = check_equal(poses, config)
    nms = PoseNms(config)
    turns = take_turns(
        {
            LITERAL: lambda: literal_pose_nms(poses, config),
            PER_PICK: lambda: per_pick_pose_nms(poses, config),
            OURS: lambda: [nms(poses) for _ in range(REPEATS)],
            NETWORK: network_on(count),
            COLD: lambda: nms(poses),
        },
        rounds,
        clock=clock,
    )
    turns = Turns({**turns.seconds, OURS: turns.seconds[OURS] / REPEATS})
    kept = len(nms(poses))
    share = 100 * float(np.median(turns.seconds[COLD] / turns.seconds[NETWORK]))
    print(f"\n{count} candidates, {kept} people remain, joints within {worst:.1e} px\n")
    print(turns.table(LITERAL))
    print(f"\nonce after the network ours takes {share:.2f} % of the network's time")
    return {
        "kept": kept,
        "worst_px": worst,
        "share_of_network_percent": share,
        **turns.numbers(LITERAL),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--people", type=int, nargs="+", default=[30, 100], help="candidates")
    parser.add_argument("--copies", type=int, default=3, help="candidates of each person")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="6 candidates, 2 rounds")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    people, rounds = ([6], 2) if args.quick else (args.people, args.rounds)
    print(about(args.threads, args.clock))
    numbers = {str(count): measure(count, args.copies, rounds, args.clock) for count in people}
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
