# SPDX-License-Identifier: Apache-2.0
"""The node, the camera, the ear and the floor together, and what is measured with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from _camera import Ear, Play, camera_main, match
from _floor import Forwards, floor_main
from _node import Node, NodeSettings, child, node_command, running
from _results import median, percentiles, ratio
from turns import ratio_of

from alphapose_ros.base.errors import TransportError
from alphapose_ros.demo.node_process import private_environment

_LOADING_S = 600.0  # until the node answers its first image, on a busy machine
_ANSWER_S = 15.0
_SETTLE_S = 1.0
_IN_TURN = 12  # blocks of single images, each between two blocks of the floor


@dataclass(frozen=True)
class View:
    """What is in the pictures."""

    people: int = 3
    size_hw: tuple[int, int] = (480, 640)


class Rig:
    """A node that answers.

    Args:
        settings: of the node.
        node, ear: the node and what it says.
        camera: the helper's end.
        stop: set by Ctrl-C.

    Attributes:
        floor: the helper's end, once there is one.
    """

    def __init__(
        self,
        settings: NodeSettings,
        node: Node,
        ear: Ear,
        camera: Connection,
        stop: threading.Event,
    ) -> None:
        self.settings, self.node, self.ear = settings, node, ear
        self.floor: Connection | None = None
        self._camera, self._stop = camera, stop

    def begin(self, view: View) -> None:
        """Wait until the node answers each of several images in succession."""
        end, run = time.monotonic() + _LOADING_S, 0
        while run < 5:
            if time.monotonic() > end:
                raise TransportError(f"the node answered no image within {_LOADING_S:.0f} s")
            run = run + 1 if self._single(view, 1.0 if run == 0 else _ANSWER_S) else 0
        # The node looks once a second whether it may listen reliably, and listens anew.
        self._until(lambda: False, 1.5)
        self._single(view, 2.0)
        self.ear.clear()

    def one_at_a_time(self, view: View, images: int) -> list[float]:
        """Milliseconds from publishing to the answer, the next image after the answer."""
        found: list[float] = []
        for _ in range(images):
            found += self._single(view, _ANSWER_S)
        return found

    def against_floor(self, view: View, images: int) -> dict[str, Any]:
        """Single images in turn with the bare networks: a row of numbers."""
        self.one_at_a_time(view, 2)
        self.ear.clear()
        begin, spent = time.monotonic(), self.node.processor_s
        answers, floors, ratios = [], [self._forwards(view, images)], []
        for _ in range(_IN_TURN):
            block = self.one_at_a_time(view, images)
            floors.append(self._forwards(view, images))
            between = median([median(floors[-2]), median(floors[-1])])
            ratios.append(ratio(median(block), between))
            answers += block
        p50, p95, p99 = percentiles(answers)
        told = [value for value in ratios if value is not None]
        against = ratio_of(np.array(told), np.ones(len(told))) if told else None
        return {
            "people": view.people,
            "found": self.ear.people,
            "size": "{1}x{0}".format(*view.size_hw),
            "p50 ms": p50,
            "p95 ms": p95,
            "p99 ms": p99,
            "floor ms": median([value for block in floors for value in block]),
            "p50 / floor": against and against.median,
            "95 % interval": against and f"{against.low:.3g} to {against.high:.3g}",
            "node's own ms": self._processing()[0],
            "unanswered": _IN_TURN * images * self.settings.cameras - len(answers),
            "memory MB": self.node.memory_mb,
            "_processor": (self.node.processor_s - spent) / (time.monotonic() - begin),
        }

    def stream(self, view: View, rate_hz: float, seconds: float) -> dict[str, Any]:
        """Images at a rate, whether they are answered or not: a row of numbers."""
        self._play(view, max(1, round(rate_hz * _SETTLE_S)), rate_hz)
        self.ear.clear()
        begin, spent = time.monotonic(), self.node.processor_s
        sent = self._play(view, max(2, round(rate_hz * seconds)), rate_hz)
        lasted, spent = time.monotonic() - begin, self.node.processor_s - spent
        self._until(lambda: self._answered([stamps[-1] for stamps in sent if stamps]), 3.0)
        found = [
            match(stamps, list(self.ear.answers[name]))
            for name, stamps in zip(self.settings.names, sent, strict=True)
        ]
        p50, p95, p99 = percentiles([ms for each in found for ms in each.latencies_ms])
        own, stages = self._processing()
        answered, all_sent = sum(m.answered for m in found), sum(m.sent for m in found)
        return {
            "cameras": self.settings.cameras,
            "rate Hz": rate_hz,
            "sent Hz": all_sent / self.settings.cameras / lasted,
            "p50 ms": p50,
            "p95 ms": p95,
            "p99 ms": p99,
            "answers/s": answered / lasted,
            "sent": all_sent,
            "answered": answered,
            "skipped": sum(m.skipped for m in found),
            "wrong": sum(m.repeated + m.disorder for m in found),
            "node's own ms": own,
            "stages ms": stages,
            "p95 / own": ratio(p95, own),
            "processor %": 100 * spent / lasted,
            "memory MB": self.node.memory_mb,
        }

    def _single(self, view: View, patience_s: float) -> list[float]:
        """One image of each camera: latencies, nothing where not all cameras were answered."""
        sent = self._play(view, 1, 1000.0)
        stamps = [each[0] for each in sent]
        if not self._until(lambda: self._answered(stamps), patience_s):
            return []
        names = self.settings.names
        return [
            ms
            for name, stamp in zip(names, stamps, strict=True)
            for ms in match([stamp], list(self.ear.answers[name])).latencies_ms
        ]

    def _answered(self, stamps: list[int]) -> bool:
        heard = zip(self.settings.names, stamps, strict=True)
        return all(
            any(a.stamp_ns == stamp for a in reversed(self.ear.answers[name]))
            for name, stamp in heard
        )

    def _processing(self) -> tuple[float | None, float | None]:
        """The node's own time of a turn, from the work's begin to the answer, and its stages' sum.

        The node reports running means once a second; their median counts, each report that was
        followed by no new image once.
        """
        now = time.monotonic()
        self._until(lambda: any(when > now for when, _, _ in self.ear.reports), 2.5)
        found = [(who, v) for _, who, v in self.ear.reports if "latency_ms" in v]
        values = list({(who, v["processed"]): v for who, v in found}.values())
        own = [float(v["latency_ms"]) - float(v["input_age_ms"]) for v in values]
        stages = [
            sum(float(text) for key, text in v.items() if key.startswith("stages_ms."))
            for v in values
        ]
        return median(own), median(stages)

    def _play(self, view: View, images: int, rate_hz: float) -> list[list[int]]:
        found: list[list[int]] = self._ask(
            self._camera, Play(images, rate_hz, view.people, view.size_hw), "the camera"
        )
        return found

    def _forwards(self, view: View, rounds: int) -> list[float]:
        if self.floor is None:
            return []
        order = Forwards(rounds, view.people, view.size_hw)
        found: list[float] = self._ask(self.floor, order, "the floor")
        return found

    def _ask(self, connection: Connection, order: object, who: str) -> Any:
        connection.send(order)
        try:
            if self._until(connection.poll, _LOADING_S):
                return connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise TransportError(f"{who}'s process ended; it said above why") from error
        raise TransportError(f"{who} did not answer within {_LOADING_S:.0f} s")

    def _until(self, condition: Callable[[], bool], patience_s: float) -> bool:
        end = time.monotonic() + patience_s
        while not condition():
            if self._stop.is_set():
                raise KeyboardInterrupt
            self.node.check()
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True


@contextmanager
def rig(
    settings: NodeSettings,
    stop: threading.Event,
    folder: Path,
    *,
    floor: bool,
    reliability: str = "reliable",
) -> Iterator[Rig]:
    """All processes started; all of them ended in any case."""
    environment, parameters = private_environment(), folder / "node.yaml"
    settings.write(parameters)
    with ExitStack() as stack:
        command = node_command(settings, parameters)
        node = stack.enter_context(running(command, environment, folder / "node.log"))
        camera = stack.enter_context(child(camera_main, settings, environment, reliability))
        ear = stack.enter_context(Ear(settings, environment))
        found = Rig(settings, node, ear, camera, stop)
        found.begin(View())
        if floor:  # one after the other: networks load for seconds
            found.floor = stack.enter_context(child(floor_main, settings))
        yield found
