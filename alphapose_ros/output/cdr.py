# SPDX-License-Identifier: Apache-2.0
"""Messages as bytes: CDR (XCDR1, little-endian), as every ROS 2 middleware writes it."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import ArrayLike

_HEADER = b"\x00\x01\x00\x00"  # plain CDR, little-endian; offsets count from behind it


class CdrWriter:
    """Appends values, each aligned to its own size."""

    def __init__(self) -> None:
        self._out = bytearray(_HEADER)

    def pack(self, kinds: str, *values: float) -> None:
        """Numbers of one size, in the letters of :mod:`struct`."""
        self.align(struct.calcsize("<" + kinds[-1]))
        self._out += struct.pack("<" + kinds, *values)

    def string(self, text: str) -> None:
        """Length with the closing zero, then the bytes."""
        data = text.encode() + b"\x00"
        self.pack("I", len(data))
        self._out += data

    def stamp(self, stamp_ns: int) -> None:
        """``builtin_interfaces/Time``."""
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        self.pack("i", seconds)
        self.pack("I", nanoseconds)

    def array(self, values: ArrayLike, dtype: str) -> None:
        """Numbers of a fixed-size array, ``dtype`` as ``<f4``."""
        flat = np.ascontiguousarray(values, dtype)
        if flat.size:
            self.align(flat.dtype.itemsize)
            self._out += flat.tobytes()

    def sequence(self, values: ArrayLike, dtype: str) -> None:
        """Numbers with their count before them."""
        self.pack("I", np.size(values))
        self.array(values, dtype)

    def raw(self, data: bytes) -> None:
        """Bytes that are CDR already, where they stand."""
        self._out += data

    def align(self, size: int) -> None:
        """Zeros up to a multiple of ``size``."""
        self._out += bytes(-(len(self._out) - len(_HEADER)) % size)

    def getvalue(self) -> bytes:
        """Everything, with the header."""
        return bytes(self._out)
