# SPDX-License-Identifier: Apache-2.0
"""The worker behind the cameras, with pipelines that wait for the test instead of for time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, FrameResult, Header, Tracks
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.session import Session

WAIT_S = 20.0  # a limit for what must happen, never a measure


def frame(number: int, camera: str = "camera") -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), number, camera)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the worker does after the last thing that a test can see."""
    limit = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


def answer(source: Frame) -> FrameResult:
    header = Header(source.camera, "", source.stamp_ns, source.size_hw)
    return FrameResult(header, Tracks.empty(COCO17), {"pose": float(source.stamp_ns)})


def done(session: Session) -> int:
    found = session.statistics()["camera"]
    return found.processed + found.failed


class Gate:
    """A pipeline whose turns are let through one by one; everything is written to ``events``."""

    def __init__(self, held: bool = True) -> None:
        self.events: list[tuple[object, ...]] = []
        self.entered = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.held = held
        self.fault: Callable[[list[Frame]], None] = lambda frames: None

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        self.events.append(("process", *((f.camera, f.stamp_ns) for f in frames)))
        if self.held:
            self.entered.release()
            assert self.allowed.acquire(timeout=WAIT_S)
        self.fault(frames)
        return [answer(f) for f in frames]

    def reset(self, camera: str | None = None) -> None:
        self.events.append(("reset", camera))


class Results:
    """Collects results and can be waited for."""

    def __init__(self) -> None:
        self.stamps: list[tuple[str, int]] = []
        self._changed = threading.Condition()
        self.fault: Callable[[Frame], None] = lambda source: None

    def __call__(self, source: Frame, result: FrameResult) -> None:
        assert result.header.stamp_ns == source.stamp_ns
        with self._changed:
            self.stamps.append((source.camera, source.stamp_ns))
            self._changed.notify_all()
        self.fault(source)

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.stamps) >= count, WAIT_S)


@contextmanager
def running(
    pipeline: Gate,
    results: Results,
    clock_ns: Callable[[], int] = lambda: 0,
    images_at_once: int | None = None,
) -> Iterator[Session]:
    before = set(threading.enumerate())
    session = Session(pipeline, results, images_at_once=images_at_once, clock_ns=clock_ns)
    try:
        yield session
    finally:
        pipeline.held = False
        pipeline.allowed.release()
        session.close()
        assert set(threading.enumerate()) <= before  # no thread is left


def held_on_first(pipeline: Gate, session: Session, first: Frame) -> None:
    """The worker is inside the pipeline with ``first``."""
    session.submit(first)
    assert pipeline.entered.acquire(timeout=WAIT_S)


def let_through(pipeline: Gate) -> None:
    """Whatever waits is worked on without a stop."""
    pipeline.held = False
    pipeline.allowed.release()


def test_the_newest_image_wins() -> None:
    pipeline, results = Gate(), Results()
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0))
        for number in range(1, 100):
            session.submit(frame(number))
        let_through(pipeline)
        results.wait_for(2)
    assert results.stamps == [("camera", 0), ("camera", 99)]
    found = session.statistics()["camera"]
    assert (found.received, found.processed, found.dropped, found.failed) == (100, 2, 98, 0)


def test_waiting_images_of_several_cameras_go_in_one_batch() -> None:
    pipeline, results = Gate(), Results()
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0, "front"))
        session.submit(frame(1, "front"))
        session.submit(frame(2, "rear"))
        session.submit(frame(3, "front"))
        let_through(pipeline)
        results.wait_for(3)
    assert pipeline.events == [
        ("process", ("front", 0)),
        ("process", ("front", 3), ("rear", 2)),
    ]
    assert session.statistics()["front"].dropped == 1
    assert session.statistics()["rear"].dropped == 0


def test_cameras_take_turns_where_a_batch_gains_nothing() -> None:
    """Whoever has waited longest is next, with its newest image."""
    pipeline, results = Gate(), Results()
    with running(pipeline, results, images_at_once=1) as session:
        held_on_first(pipeline, session, frame(0, "front"))
        for number, camera in enumerate(["rear", "front", "side", "front", "rear"], 1):
            session.submit(frame(number, camera))
        pipeline.allowed.release()
        assert pipeline.entered.acquire(timeout=WAIT_S)  # with the rear camera's newest
        session.submit(frame(6, "rear"))  # has had its turn: it goes last
        let_through(pipeline)
        results.wait_for(5)
    assert results.stamps == [("front", 0), ("rear", 5), ("front", 4), ("side", 3), ("rear", 6)]


def test_results_of_a_camera_keep_its_order_and_nothing_is_lost_without_pressure() -> None:
    pipeline, results = Gate(held=False), Results()
    wanted: list[tuple[str, int]] = []
    with running(pipeline, results) as session:
        for number in range(50):
            camera = ("front", "rear")[number % 2]
            wanted.append((camera, number))
            session.submit(frame(number, camera))
            results.wait_for(len(wanted))
    assert results.stamps == wanted


def test_order_per_camera_holds_under_pressure_from_many_threads() -> None:
    pipeline, results = Gate(held=False), Results()
    with running(pipeline, results) as session:
        senders = [
            threading.Thread(
                target=lambda c=camera: [session.submit(frame(n, c)) for n in range(300)]
            )
            for camera in ("a", "b", "c")
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        until(lambda: all(s.processed + s.dropped == 300 for s in session.statistics().values()))
    for camera in ("a", "b", "c"):
        stamps = [stamp for name, stamp in results.stamps if name == camera]
        assert stamps == sorted(set(stamps))
        assert stamps[-1] == 299
        found = session.statistics()[camera]
        assert found.received == 300
        assert found.processed == len(stamps)


@pytest.mark.parametrize("error", [InputError("no such image"), KeyError("a bug")])
def test_a_raising_pipeline_costs_only_its_images(error: Exception, caplog) -> None:
    pipeline, results = Gate(held=False), Results()

    def fail_on_odd(frames: list[Frame]) -> None:
        if frames[0].stamp_ns % 2:
            raise error

    pipeline.fault = fail_on_odd
    with caplog.at_level(logging.ERROR), running(pipeline, results) as session:
        for number in range(4):
            session.submit(frame(number))
            until(lambda: done(session) > number)  # noqa: B023 (called at once)
    assert [stamp for _, stamp in results.stamps] == [0, 2]
    found = session.statistics()["camera"]
    assert (found.processed, found.failed) == (2, 2)
    told = [record for record in caplog.records if record.name == "alphapose_ros.session"]
    assert len(told) == 2
    # An error that the package raises on purpose is one line, a bug comes with its traceback.
    assert all((r.exc_info is not None) == isinstance(error, KeyError) for r in told)


@pytest.mark.parametrize("error", [InputError("refused"), ZeroDivisionError("a bug")])
def test_a_raising_receiver_costs_only_that_result(error: Exception) -> None:
    pipeline, results = Gate(), Results()

    def fail_on_front(source: Frame) -> None:
        if source.camera == "front":
            raise error

    results.fault = fail_on_front
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0, "front"))
        session.submit(frame(1, "rear"))
        session.submit(frame(2, "front"))
        session.submit(frame(3, "side"))
        let_through(pipeline)
        results.wait_for(4)
    counts = {name: (s.processed, s.failed) for name, s in session.statistics().items()}
    assert counts == {"front": (0, 2), "rear": (1, 0), "side": (1, 0)}


def test_a_pipeline_that_answers_too_little_is_a_failure_of_all_its_images() -> None:
    class Forgetful(Gate):
        def process(self, frames: list[Frame]) -> list[FrameResult]:
            return super().process(frames)[:1]

    pipeline, results = Forgetful(), Results()
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0, "front"))
        session.submit(frame(1, "front"))
        session.submit(frame(2, "rear"))
        let_through(pipeline)
        until(lambda: session.statistics()["rear"].failed == 1)
    counts = {name: (s.processed, s.failed) for name, s in session.statistics().items()}
    assert counts == {"front": (1, 1), "rear": (0, 1)}


class Undecoded:
    """An image that counts how often it is opened."""

    def __init__(self, number: int, opened: list[int], outcome: Frame | Exception | None) -> None:
        self.camera, self._number, self._opened, self._outcome = "camera", number, opened, outcome

    def open(self) -> Frame | None:
        self._opened.append(self._number)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def test_an_image_that_is_replaced_is_never_decoded() -> None:
    pipeline, results, opened = Gate(), Results(), []
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0))
        for number in range(1, 100):
            session.submit(Undecoded(number, opened, frame(number)))
        let_through(pipeline)
        results.wait_for(2)
    assert results.stamps == [("camera", 0), ("camera", 99)]
    assert opened == [99]


def test_what_cannot_be_decoded_costs_its_own_image() -> None:
    pipeline, results, opened = Gate(), Results(), []
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0, "front"))
        session.submit(Undecoded(1, opened, None))  # refused: its decoder said why
        session.submit(frame(2, "rear"))
        let_through(pipeline)
        results.wait_for(2)
        session.submit(Undecoded(3, opened, KeyError("a bug")))
        until(lambda: session.statistics()["camera"].failed == 1)
        session.submit(Undecoded(4, opened, frame(4)))
        results.wait_for(3)
    assert results.stamps == [("front", 0), ("rear", 2), ("camera", 4)]
    found = session.statistics()["camera"]
    assert (found.received, found.processed, found.dropped, found.failed) == (3, 1, 0, 1)


def test_a_reset_comes_before_the_next_image_and_drops_the_waiting_one() -> None:
    pipeline, results = Gate(), Results()
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0, "front"))
        session.submit(frame(1, "front"))
        session.submit(frame(2, "rear"))
        session.reset("front")
        session.submit(frame(3, "front"))
        let_through(pipeline)
        results.wait_for(3)
    assert pipeline.events == [
        ("process", ("front", 0)),
        ("reset", "front"),
        ("process", ("rear", 2), ("front", 3)),
    ]
    assert session.statistics()["front"].dropped == 1


def test_a_reset_of_all_needs_no_image() -> None:
    pipeline, results = Gate(held=False), Results()
    called = threading.Event()
    pipeline.reset = lambda camera=None: called.set()  # type: ignore[method-assign]
    with running(pipeline, results) as session:
        session.reset()
        assert called.wait(WAIT_S)


def test_a_raising_reset_leaves_the_worker_alive() -> None:
    pipeline, results = Gate(held=False), Results()

    def broken(camera: str | None = None) -> None:
        raise KeyError(camera)

    pipeline.reset = broken  # type: ignore[method-assign]
    with running(pipeline, results) as session:
        session.reset()
        session.submit(frame(1))
        results.wait_for(1)


def test_close_gives_up_what_waits_and_may_be_called_again() -> None:
    pipeline, results = Gate(), Results()
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0))
        session.submit(frame(1))
        closing = threading.Thread(target=session.close)
        closing.start()
        until(lambda: not session._open)
        session.submit(frame(2))  # after close: ignored
        let_through(pipeline)
        closing.join(WAIT_S)
        session.close()
        session.submit(frame(3))
        session.reset()
    assert results.stamps == [("camera", 0)]
    assert session.statistics()["camera"].received == 2


def test_close_from_the_receiver_does_not_wait_for_itself() -> None:
    pipeline, results = Gate(held=False), Results()
    with running(pipeline, results) as session:
        results.fault = lambda source: session.close()
        session.submit(frame(0))
        results.wait_for(1)
        session._worker.join(WAIT_S)
        assert not session._worker.is_alive()


def test_a_worker_that_hangs_is_told(caplog) -> None:
    pipeline, results = Gate(), Results()
    with running(pipeline, results) as session:
        held_on_first(pipeline, session, frame(0))
        with caplog.at_level(logging.WARNING):
            session.close(timeout_s=0.01)
        assert "did not stop" in caplog.text


def test_a_first_image_that_takes_long_does_not_stay_in_the_means() -> None:
    pipeline, results = Gate(held=False), Results()
    now = [0]
    with running(pipeline, results, lambda: now[0]) as session:
        for number, late_ms in enumerate((3000, 30, 40), start=1):
            stamp = number * 10_000_000_000
            now[0] = stamp + late_ms * 1_000_000
            session.submit(frame(stamp))
            until(lambda: done(session) == number)  # noqa: B023 (called at once)
            latency = session.statistics()["camera"].latency_ms
            assert latency == pytest.approx({1: 3000, 2: 30, 3: 31}[number])


def test_statistics_follow_the_stamps_clock() -> None:
    pipeline, results = Gate(held=False), Results()
    now = [0]
    with running(pipeline, results, lambda: now[0]) as session:
        for number in range(1, 6):
            stamp = number * 100_000_000
            now[0] = stamp + 30_000_000
            session.submit(frame(stamp))
            results.wait_for(number)
            until(lambda: done(session) == number)  # noqa: B023 (called at once)
        found = session.statistics()["camera"]
        assert found.rate_hz == pytest.approx(10)
        assert found.input_age_ms == pytest.approx(30)
        assert found.latency_ms == pytest.approx(30)
        assert 1e8 < found.stages_ms["pose"] < 5e8
        assert found.people == 0
        now[0] = 0  # the clock was set back: the rate is not a thousand million
        session.submit(frame(0))
        until(lambda: done(session) == 6)
    assert session.statistics()["camera"].rate_hz == pytest.approx(10)


def test_a_snapshot_does_not_move() -> None:
    pipeline, results = Gate(held=False), Results()
    with running(pipeline, results) as session:
        assert session.statistics() == {}
        session.submit(frame(0))
        results.wait_for(1)
        first = session.statistics()
        session.submit(frame(1))
        results.wait_for(2)
        assert first["camera"].received == 1
