# SPDX-License-Identifier: Apache-2.0
"""Trackers compared on simulated crowds: the same detections and equal buffers, in one run.

``python benchmarks/tracking.py --seeds 5 --seconds 180 --people 30 --json numbers.json``

Boxes are the detections', matched to the truth by IoU 0.5; returns and newcomers are judged by
whose detection it was, exactly. Intervals are 95 % of a bootstrap over the sequences, by pairs for
differences. A tracker that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tracking_rivals import Step, all_trackers

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.eval.crowd import CrowdFrame, simulate
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.reentry import Reentries, Sighting, reentries
from alphapose_ros.eval.track_metrics import Counts, MatchedFrame, count, measures

SHOWN = ("HOTA", "IDF1", "MOTA", "AssA", "DetA")
DRAWS = 2000


@dataclass(frozen=True)
class Outcome:
    """One tracker on one sequence."""

    counts: Counts
    returns: Reentries
    ms_per_frame: float


def follow(step: Step, frames: Sequence[CrowdFrame]) -> Outcome:
    """Run a tracker over a sequence."""
    matched, sightings, spent_s = [], [], 0.0
    for frame in frames:
        begin = time.thread_time()  # whatever else the machine does
        identities = step(frame)
        spent_s += time.thread_time() - begin
        named = identities > 0
        truth = frame.truth
        overlap = box_iou(truth.boxes, frame.poses.boxes[named])
        matched.append(MatchedFrame(truth.names, identities[named], overlap))
        given = dict.fromkeys(truth.names.tolist(), 0)
        whose = zip(frame.owners.tolist(), identities.tolist(), strict=True)
        given |= {owner: identity for owner, identity in whose if owner in given}
        sightings.append(Sighting(frame.time_s, given))
    per_frame = 1e3 * spent_s / max(len(frames), 1)
    return Outcome(count(matched), reentries(sightings), per_frame)


def compare(
    sequence: Callable[[int], Sequence[CrowdFrame]],
    seeds: Sequence[int],
    buffer_s: float,
    only: str = "",
    scale: float = 1.0,
) -> dict[str, list[Outcome]]:
    """Tracker -> its outcomes, one for each seed, on what ``sequence`` makes of the seed.

    ``scale``: of the embeddings' distances.
    """
    out: dict[str, list[Outcome]] = {}
    makers = all_trackers(buffer_s, scale)
    chosen = [name for name in makers if not only or name in only.split(",")]
    for seed in seeds:
        frames = sequence(seed)
        for name in list(chosen):
            try:
                step = makers[name]()
            except ImportError as error:
                print(f"{name}: left out, {error}")
                chosen.remove(name)
                continue
            out.setdefault(name, []).append(follow(step, frames))
        print(f"seed {seed}: {len(frames)} frames", flush=True)
        if len(seeds) > 1:
            print_table(summarise({name: each[-1:] for name, each in out.items()}))
    return out


def _values(outcomes: Sequence[Outcome], picked: Sequence[int]) -> dict[str, float]:
    counts = outcomes[picked[0]].counts
    for k in picked[1:]:
        counts = counts + outcomes[k].counts
    return {k: float(v) for k, v in measures(counts).items()}


def summarise(found: dict[str, list[Outcome]]) -> dict[str, dict[str, Any]]:
    """Numbers over all sequences with their intervals, and ours minus each rival."""
    any_outcomes = next(iter(found.values()))
    size, rng = len(any_outcomes), np.random.default_rng(0)
    draws = rng.integers(0, size, (DRAWS if size > 1 else 0, size))
    single = {
        name: [[_values(each, [k])[m] for m in SHOWN] for k in range(size)]
        for name, each in found.items()
    }
    means = {name: np.array(v)[draws].mean(1) for name, v in single.items()}
    out: dict[str, dict[str, Any]] = {}
    for name, outcomes in found.items():
        returns = sum((o.returns for o in outcomes), Reentries())
        row: dict[str, Any] = dict(_values(outcomes, range(size)))
        row["ms_per_frame"] = float(np.mean([o.ms_per_frame for o in outcomes]))
        row |= {f"returns_{k}": v for k, v in vars(returns).items()} | {"returns": returns.returns}
        if size > 1:
            low, high = np.percentile(means[name], [2.5, 97.5], axis=0)
            row.update({f"{m}_interval": [low[k], high[k]] for k, m in enumerate(SHOWN)})
            if "ours" in found and name != "ours":
                low, high = np.percentile(means["ours"] - means[name], [2.5, 97.5], axis=0)
                row.update({f"ours_minus_{m}": [low[k], high[k]] for k, m in enumerate(SHOWN)})
        out[name] = row
    return out


def print_table(numbers: dict[str, dict[str, Any]]) -> None:
    """What a reader wants at first."""
    titles = [*SHOWN, "switches", "frag", "returns kept", "mistaken", "thefts", "ms"]
    print(f"{'':31}" + "".join(f"{t:>19}" if t in SHOWN[:2] else f"{t:>14}" for t in titles))
    for name, row in numbers.items():
        cells = [f"{name:31}"]
        for m in SHOWN:
            low, high = row.get(f"{m}_interval", (None, None))
            text = f"{100 * row[m]:.1f}"
            if m in SHOWN[:2]:
                text += f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None else ""
                cells.append(f"{text:>19}")
            else:
                cells.append(f"{text:>14}")
        cells += [f"{int(row['switches']):14}", f"{int(row['fragmentations']):14}"]
        cells.append(f"{row['returns_kept']:>8}/{row['returns']:<5}")
        cells.append(f"{row['returns_mistaken']:14}")
        cells.append(f"{row['returns_thefts']:>8}/{row['returns_newcomers']:<5}")
        cells.append(f"{row['ms_per_frame']:14.2f}")
        print("".join(cells), flush=True)


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--visits", type=int, default=8)
    parser.add_argument("--buffer", type=float, default=60.0, help="s, of every tracker")
    parser.add_argument("--same", type=float, default=0.75, help="mean cosine of one person")
    parser.add_argument("--other", type=float, default=0.3, help="mean cosine of two people")
    parser.add_argument("--only", default="", help="names, joined by commas")
    parser.add_argument("--json")
    args = parser.parse_args()
    config = CrowdConfig(
        duration_s=args.seconds,
        people=args.people,
        visits=args.visits,
        same_cosine=args.same,
        other_cosine=args.other,
    )
    seeds = range(args.first, args.first + args.seeds)
    numbers = summarise(
        compare(lambda seed: list(simulate(config, seed)), seeds, args.buffer, args.only)
    )
    print_table(numbers)
    if args.json:
        Path(args.json).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
