# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a soak, by chance but the same for the same seed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _node import Node
from _soak_rig import ENCODINGS, SIZES, FaultyCamera, FaultyEar, camera_messages, file_count

from alphapose_ros.base.errors import TransportError
from alphapose_ros.dds.environment import RosEnvironment

FAULTS = (
    "dies",
    "stalls",
    "floods",
    "other size",
    "other encoding",
    "damaged images",
    "stamps ahead",
    "stamps behind",
    "no stamps",
    "clock leaps",
    "slow subscriber",
    "killed subscriber",
)
_LOADING_S = 300.0
_SETTLE_S = 2.5  # the node reports once a second
_HOUR_NS = 3600 * 10**9
_PROGRAM = Path(__file__).with_name("soak.py")


@dataclass(frozen=True)
class Sample:
    """What the node used, and what had come of it, at one moment."""

    seconds: float
    memory_mb: float
    threads: int
    files: int
    sent: int
    damaged: int
    answers: int
    faults: int


class Soak:
    """The cameras, the ear, and what goes wrong.

    Args:
        node: under test.
        environment: where on the network.
        names: of the cameras.
        rate_hz: images of a camera per second.
        seed: of the faults.
    """

    def __init__(
        self, node: Node, environment: RosEnvironment, names: list[str], rate_hz: float, seed: int
    ) -> None:
        self.node, self.environment = node, environment
        self.chance = random.Random(seed)  # noqa: S311 (nothing secret)
        messages = camera_messages(environment)
        self.cameras = [FaultyCamera(name, environment, messages) for name in names]
        self.ear = FaultyEar({c.name: c.numbers for c in self.cameras}, environment)
        self.faults: Counter[str] = Counter()
        self.chosen: tuple[str, ...] = ()  # none: all
        self._rate_hz, self._number = rate_hz, 0
        self._due = dict.fromkeys(names, 0.0)
        self._rates = dict.fromkeys(names, rate_hz)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._listeners: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """Everybody leaves."""
        for process in self._listeners:
            process.kill()
            process.wait()
        for camera in self.cameras:
            camera.close()
        self.ear.close()

    def begin(self) -> None:
        """Wait until the node answers every camera."""
        end = time.monotonic() + _LOADING_S
        while not all(heard.answers for heard in self.ear.heard.values()):
            self.node.check()
            if time.monotonic() > end:
                raise TransportError(f"the node answered no image within {_LOADING_S:.0f} s")
            for camera in self.cameras:
                camera.send(0)
            time.sleep(0.5)

    def settle(self) -> None:
        """No more images; the last answers and the node's last word; then the ear leaves.

        It leaves first, because Cyclone DDS can crash a process whose readers take while all their
        writers are leaving.
        """
        time.sleep(_SETTLE_S)
        self.ear.close()

    def step(self) -> None:
        """Send what is due, end the faults that are over, sleep a moment."""
        now = time.monotonic()
        over = [action for due, action in self._later if due <= now]
        self._later = [(due, action) for due, action in self._later if due > now]
        for action in over:
            action()
        for camera in self.cameras:
            rate = self._rates[camera.name]
            if rate and self._due[camera.name] <= now:
                self._due[camera.name] = max(self._due[camera.name] + 1 / rate, now - 0.1)
                self._number += 1
                camera.send(self._number // len(self.cameras))
        time.sleep(0.004)

    def misbehave(self) -> None:
        """One fault by chance."""
        camera = self.chance.choice(self.cameras)
        name = self.chance.choice(self.chosen or FAULTS)
        self._faults()[name](camera)
        self.faults[name] += 1

    def _faults(self) -> dict[str, Callable[[FaultyCamera], None]]:
        return {
            "dies": self._die,
            "stalls": lambda c: self._rate(c, 0.0, self.chance.uniform(2, 7)),
            "floods": lambda c: self._rate(c, 100.0, 2.0),
            "other size": lambda c: self._become(c, size=self.chance.choice(SIZES)),
            "other encoding": lambda c: self._become(c, encoding=self.chance.choice(ENCODINGS)),
            "damaged images": self._damage,
            "stamps ahead": lambda c: self._shift(c, _HOUR_NS, 3.0),
            "stamps behind": lambda c: self._shift(c, -_HOUR_NS, 3.0),
            "no stamps": self._unstamped,
            "clock leaps": lambda c: self._shift(c, self.chance.randrange(-(10**10), 10**10), 0),
            "slow subscriber": lambda c: self._listen(0.5),
            "killed subscriber": lambda c: self._listen(0.0),
        }

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _die(self, camera: FaultyCamera) -> None:
        if camera.alive:
            camera.die()
            self._after(self.chance.uniform(1, 8), camera.connect)

    def _rate(self, camera: FaultyCamera, rate_hz: float, seconds: float) -> None:
        self._rates[camera.name] = rate_hz
        self._after(seconds, lambda: self._rates.update({camera.name: self._rate_hz}))

    def _become(self, camera: FaultyCamera, size: Any = None, encoding: str = "") -> None:
        camera.kind = size or camera.kind[0], encoding or camera.kind[1]

    def _damage(self, camera: FaultyCamera) -> None:
        for number in range(30):
            self._after(number / 20, lambda: camera.send_damaged(self.chance))

    def _shift(self, camera: FaultyCamera, shift_ns: int, seconds: float) -> None:
        camera.shift_ns = shift_ns
        if seconds:
            self._after(seconds, lambda: setattr(camera, "shift_ns", 0))

    def _unstamped(self, camera: FaultyCamera) -> None:
        camera.zero_stamps = True
        self._after(3.0, lambda: setattr(camera, "zero_stamps", False))

    def _listen(self, delay_s: float) -> None:
        """A process that takes everything, and is killed after a while."""
        names = ",".join(camera.name for camera in self.cameras)
        words = [str(self.environment.domain_id), names, str(delay_s)]
        process = subprocess.Popen([sys.executable, str(_PROGRAM), "--listen", *words])
        self._listeners.append(process)
        self._after(self.chance.uniform(5, 12), lambda: self._kill(process))

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        self._listeners.remove(process)

    def sample(self, seconds: float) -> Sample:
        """What the node uses now."""
        return Sample(
            round(seconds, 1),
            round(self.node.memory_mb, 2),
            self.node.threads,
            file_count(self.node.process.pid),
            sum(camera.sent for camera in self.cameras),
            sum(camera.damaged for camera in self.cameras),
            sum(heard.answers for heard in self.ear.heard.values()),
            self.faults.total(),
        )
