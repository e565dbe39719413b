# SPDX-License-Identifier: Apache-2.0
"""What it costs to embed people: the bundled re-ID network and others, in one run on one thread.

    python benchmarks/reid_cost.py --weights person_reidentification_retail_0287
    python benchmarks/reid_cost.py --people 1 5 20 --weights osnet_x0_25.pth

The people overlap in one 640x480 image of noise, so everybody's neighbours are drawn for the
attention, too. Milliseconds are the median of ``--rounds`` calls, of all networks in turns; the
ratio to the first network is what compares between machines.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np
import torch

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.cli.console import table
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.registry.bundled import REID_NANO
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder
from alphapose_ros.reid.factory import create_embedder
from alphapose_ros.runtime.config import RuntimeOptions


def crowd(count: int, rng: np.random.Generator) -> Poses:
    """People 100 px wide and 350 px high, side by side and before each other."""
    left = rng.uniform(0, 540, count)
    boxes = np.stack([left, np.full(count, 50.0), left + 100, np.full(count, 400.0)], 1)
    inside = rng.uniform(0.2, 0.8, (count, len(HALPE136), 2))
    points = boxes[:, None, :2] + inside * (boxes[:, 2:] - boxes[:, :2])[:, None]
    scores = np.full(points.shape[:2], 0.9)
    return Poses(points, scores, boxes, np.ones(count), np.arange(count), HALPE136)


def milliseconds(
    embedders: Mapping[str, Embedder], batch: ImageBatch, poses: Poses, rounds: int
) -> dict[str, float]:
    """Name -> median time of a call, ms."""
    spent: dict[str, list[float]] = {name: [] for name in embedders}
    for turn in range(rounds + 1):  # the first warms up
        for name, embedder in embedders.items():
            begin = time.perf_counter()
            embedder(batch, [poses])
            if turn:
                spent[name].append(1e3 * (time.perf_counter() - begin))
    return {name: float(np.median(each)) for name, each in spent.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--weights", nargs="*", default=[], help="files or names, beside reid_nano"
    )
    parser.add_argument("--people", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runtime = RuntimeOptions("onnxruntime", threads=1)
    embedders = {}
    for name in (REID_NANO, *args.weights):
        made = create_embedder(ReidConfig(weights=name), runtime=runtime)
        assert made
        embedders[name] = made
    rng = np.random.default_rng(0)
    batch = ImageBatch.upload([rng.integers(0, 256, (480, 640, 3), np.uint8)])
    rows = []
    for count in args.people:
        found = milliseconds(embedders, batch, crowd(count, rng), args.rounds)
        rows += [
            [str(count), name, f"{ms:.1f}", f"{ms / found[REID_NANO]:.1f}"]
            for name, ms in found.items()
        ]
    print(table(rows, ["people", "network", "ms", "ratio"]))


if __name__ == "__main__":
    main()
