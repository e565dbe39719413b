# SPDX-License-Identifier: Apache-2.0
"""Frames and the bare networks on their inputs, timed in turn; no test asserts a time."""

from __future__ import annotations

import os
import sys
import threading
import time

import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame
from alphapose_ros.config import PipelineConfig
from alphapose_ros.eval.benchmark import measure_turns, run_benchmark
from alphapose_ros.eval.network_tap import NetworkTap
from alphapose_ros.eval.usage import processor_s, resident_mb, thread_count


class Network:
    """Counts its calls; the second output is what the stage makes of the first argument."""

    def __init__(self):
        self.calls = []

    def __call__(self, *arguments):
        self.calls.append(arguments)


class FakePipeline:
    """A detector's network and a pose estimator's, which is called twice."""

    device = "cpu"
    embedder = None
    config = PipelineConfig(threads=1)

    def __init__(self, people=2):
        from fake_pipeline import FakePipeline as Whole

        self.detector, self.estimator = type("Held", (), {})(), type("Held", (), {})()
        self.detector.model, self.estimator.network = Network(), Network()
        self._whole, self.inputs = Whole(keypoints=np.zeros((people, 136, 2))), []

    def process(self, frames):
        self.detector.model(len(frames))
        for part in range(2):
            self.estimator.network(part, frames[0].stamp_ns)
        return self._whole.process(frames)


def turns(count, cameras=1):
    image = np.zeros((8, 16, 3), np.uint8)
    return [[Frame(image, i + 1, f"c{k}") for k in range(cameras)] for i in range(count)]


def test_bare_networks_see_the_very_inputs_of_their_own_turn():
    pipeline = FakePipeline()
    detector, pose = pipeline.detector.model, pipeline.estimator.network
    report = measure_turns(pipeline, turns(3, cameras=2), warm_up=1)
    # Each call of the pipeline, then once more alone; the second turn's inputs are its own.
    assert detector.calls == [(2,)] * 6
    assert pose.calls == [(p, t) for t in (1, 2, 3) for _ in range(2) for p in range(2)]
    assert (report.cameras, report.people, report.size_hw) == (2, 4, (8, 16))
    assert set(report.networks_ms) == {"detector", "pose"}
    assert report.stages_ms == {"pose": 1.0}
    assert pipeline.detector.model is detector
    assert pipeline.estimator.network is pose


def test_numbers_of_a_report_belong_together():
    report = run_benchmark(FakePipeline(0), np.zeros((4, 4, 3), np.uint8), frames=3)
    numbers = report.numbers()
    assert numbers["people"] == 0
    assert numbers["outside_share"] == pytest.approx(max(1 - 1 / numbers["ratio"], 0))
    assert numbers["frame_p95_ms"] >= numbers["frame_ms"] > 0
    for text in ("all but the networks", "pose network alone", "ratio", "memory"):
        assert text in report.text()


def test_networks_are_put_back_when_the_pipeline_fails():
    pipeline = FakePipeline()
    pose = pipeline.estimator.network
    with pytest.raises(ZeroDivisionError), NetworkTap(pipeline):
        _ = 1 / 0
    assert pipeline.estimator.network is pose


def test_reid_is_one_of_the_networks():
    from alphapose_ros.reid.config import ReidConfig
    from alphapose_ros.reid.embedder import Embedder, ReidNetwork

    pipeline, network = FakePipeline(), Network()
    pipeline.embedder = Embedder(ReidNetwork(network, (8, 4), 3, guide=None), ReidConfig())
    with NetworkTap(pipeline) as tap:
        pipeline.embedder.network.run("crops")
        assert tap.called == ["reid"]
        tap.forward("reid")
    assert network.calls == [("crops",)] * 2
    assert pipeline.embedder.network.run is network


def test_turns_beyond_the_warm_up_are_needed():
    with pytest.raises(InputError, match="more than the 3 of the warm-up"):
        measure_turns(FakePipeline(), turns(3), warm_up=3)
    with pytest.raises(InputError, match="at least 1, got 0"):
        run_benchmark(FakePipeline(), np.zeros((4, 4, 3), np.uint8), frames=0)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc IS ABSENT")
def test_usage_of_processes():
    before = processor_s(os.getpid())
    while time.process_time() < before + 0.05:
        pass
    assert processor_s(os.getpid()) >= before
    assert resident_mb() > 10
    assert thread_count(os.getpid()) >= len(threading.enumerate())
    nobody = 2**22 + 1  # beyond the highest process number
    assert (resident_mb(nobody), processor_s(nobody), thread_count(nobody)) == (0, 0, 0)
