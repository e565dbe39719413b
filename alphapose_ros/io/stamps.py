# SPDX-License-Identifier: Apache-2.0
"""What to make of the stamps of a live camera: which image to take, and when a clock has moved."""

from __future__ import annotations

from dataclasses import dataclass

_JUMP_NS = 10**9
_REFUSALS = 10


@dataclass(frozen=True)
class StampVerdict:
    """What a stamp means.

    Attributes:
        stamp_ns: time of the image to work with; that of receipt where the camera gave none.
        accepted: False for an image that is late or repeated.
        new_clock: the camera's clock was set back: what is known of earlier times is void.
        missing: the camera gave no stamp.
    """

    stamp_ns: int
    accepted: bool = True
    new_clock: bool = False
    missing: bool = False


class StampGuard:
    """Judges the stamps of one camera in the order of arrival.

    A late or repeated stamp is refused. A jump back by more than a second, or ten refusals in a
    row, is a new clock (a bag that starts over, a restarted simulation).
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._refused = 0

    def judge(self, stamp_ns: int, received_ns: int) -> StampVerdict:
        """The verdict on an image stamped ``stamp_ns`` (0: without stamp) just received."""
        missing = stamp_ns == 0
        time_ns = received_ns if missing else stamp_ns
        last = self._last_ns
        if last is None or time_ns > last:
            return self._accept(time_ns, new_clock=False, missing=missing)
        self._refused += 1
        if last - time_ns > _JUMP_NS or self._refused >= _REFUSALS:
            return self._accept(time_ns, new_clock=True, missing=missing)
        return StampVerdict(time_ns, accepted=False, missing=missing)

    def _accept(self, time_ns: int, *, new_clock: bool, missing: bool) -> StampVerdict:
        self._last_ns, self._refused = time_ns, 0
        return StampVerdict(time_ns, new_clock=new_clock, missing=missing)
