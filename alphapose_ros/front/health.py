# SPDX-License-Identifier: Apache-2.0
"""Why a camera gives no results, in words that name the remedy."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alphapose_ros.front.config import NodeConfig
from alphapose_ros.front.intake import ImageIntake
from alphapose_ros.front.throttle import Throttle
from alphapose_ros.session import CameraStatistics

logger = logging.getLogger("alphapose_ros.node")

OK, WARN, ERROR = 0, 1, 2  # diagnostic_msgs/DiagnosticStatus


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong.

    Attributes:
        level: WARN, or ERROR where no result can come.
        kind: the same for the same cause; its numbers may differ.
        text: for people.
        logged: whoever found it has written it down.
    """

    level: int
    kind: str
    text: str
    logged: bool = False


@dataclass(frozen=True)
class Health:
    """A camera's state: the worst level, a message, and numbers as text."""

    level: int
    message: str
    values: Mapping[str, str]


class CameraHealth:
    """Looks at one camera once a second, and logs each cause now and then.

    Args:
        config: after how long silence and age are worth a word.
        intake: the camera's.
    """

    def __init__(self, config: NodeConfig, intake: ImageIntake) -> None:
        self.config, self._intake = config, intake
        self._throttle = Throttle(30.0)
        self._seen = dataclasses.replace(intake.counts)
        self._failed = 0

    def judge(
        self,
        why_silent: str,
        statistics: CameraStatistics | None,
        others: Sequence[Trouble] = (),
    ) -> Health:
        """What is wrong now, the worst first; ``others`` are the front's own findings.

        Args:
            why_silent: the reason, should no images come.
            statistics: the session's, once it has any.
            others: the front's own findings.
        """
        found = sorted(
            [*self._silence(why_silent), *self._images(), *self._results(statistics), *others],
            key=lambda trouble: -trouble.level,
        )
        for trouble in found:
            if not trouble.logged and self._throttle(trouble.kind):
                logger.warning("%s: %s", self._intake.topic, trouble.text)
        inputs = {f"input.{key}": text for key, text in flat(self._intake.counts).items()}
        return Health(
            max((trouble.level for trouble in found), default=OK),
            "; ".join(trouble.text for trouble in found) or "running",
            {**inputs, **flat(statistics)},
        )

    def _silence(self, why: str) -> Iterator[Trouble]:
        silent_s = time.monotonic() - self._intake.heard_s
        if silent_s >= self.config.silence_warning_s > 0:
            yield Trouble(ERROR, "silence " + why, f"no images for {silent_s:.0f} s: {why}")

    def _images(self) -> Iterator[Trouble]:
        before, now = self._seen, self._intake.counts
        self._seen = dataclasses.replace(now)
        if now.refused > before.refused:
            refusal = self._intake.refusal
            yield Trouble(ERROR, "refused", f"images are refused: {refusal}", logged=True)
        if now.out_of_order > before.out_of_order:
            count = now.out_of_order - before.out_of_order
            yield Trouble(WARN, "order", f"{count} images came late or twice and were dropped")
        if now.clock_changes > before.clock_changes:
            text = "the clock was set back; tracks have started over"
            yield Trouble(WARN, "clock", text, logged=True)
        limit, age_s = self.config.stale_warning_s, self._intake.age_s
        if 0 < limit < age_s:
            yield Trouble(
                WARN,
                "stale",
                f"images are {age_s:.1f} s old when they come: the network or the camera lags, "
                "its clock is another, or a bag is played without --clock and use_sim_time",
            )
        if 0 < limit < -age_s:
            yield Trouble(
                WARN, "future", f"stamps lie {-age_s:.1f} s ahead of the clock: the clocks differ"
            )

    def _results(self, statistics: CameraStatistics | None) -> Iterator[Trouble]:
        failed, self._failed = self._failed, statistics.failed if statistics else 0
        if self._failed > failed:
            text = f"{self._failed - failed} images failed; see the log"
            yield Trouble(ERROR, "failed", text, logged=True)


def flat(record: Any) -> dict[str, str]:
    """Fields of a statistics record as text, nested ones with dotted names."""
    if record is None:
        return {}
    out: dict[str, str] = {}
    for key, value in dataclasses.asdict(record).items():
        items = value.items() if isinstance(value, dict) else [("", value)]
        for inner, number in items:
            name = f"{key}.{inner}" if inner else key
            out[name] = f"{number:.3g}" if isinstance(number, float) else str(number)
    return out
