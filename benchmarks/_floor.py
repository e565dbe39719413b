# SPDX-License-Identifier: Apache-2.0
"""The floor of an answer's time: the bare networks on the same images, in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from _node import NodeSettings
from _scenes import scenes


@dataclass(frozen=True)
class Forwards:
    """An order: how often the bare networks run, on one image per camera with these people."""

    rounds: int
    people: int
    size_hw: tuple[int, int]


def floor_main(connection: Connection, settings: NodeSettings) -> None:
    """The floor's process: for every :class:`Forwards` the milliseconds of each round."""
    from alphapose_ros.base.records import Frame
    from alphapose_ros.config import PipelineConfig, build
    from alphapose_ros.eval.network_tap import NetworkTap
    from alphapose_ros.pipeline import PosePipeline

    pipeline = PosePipeline(build(PipelineConfig, settings.pipeline_parameters()))
    with NetworkTap(pipeline) as tap:
        known: tuple[int, tuple[int, int]] | None = None
        stamp_ns = 0
        while True:
            order: Forwards = connection.recv()
            if (order.people, order.size_hw) != known:
                known = order.people, order.size_hw
                scene = scenes(*known, 1)[0]
                for _ in range(2):  # the first warms up
                    stamp_ns += 33_333_333
                    tap.clear()
                    pipeline.process([Frame(scene.image, stamp_ns, n) for n in settings.names])
            times = []
            for _ in range(order.rounds):
                begin = time.perf_counter()
                for name in tap.called:
                    tap.forward(name)
                times.append((time.perf_counter() - begin) * 1e3)
            connection.send(times)
