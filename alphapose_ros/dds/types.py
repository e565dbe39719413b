# SPDX-License-Identifier: Apache-2.0
"""ROS 2 message types as DDS types: names, type hashes, CDR, and the samples that carry it.

Types come from ``msg/*.msg`` and from ``rosbags``' own ROS 2 definitions; nothing exists twice.
A sample holds CDR bytes and the DDS library sees only those: letting it walk through the fields of
a 640x480 image costs some 30 ms, handing over the bytes about one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError, TransportError, require
from alphapose_ros.io.typestore import message_typestore
from alphapose_ros.output.packages import PACKAGE_OF

NEEDED = {
    "needed_for": "the dds front",
    "install": "pip install 'cyclonedds>=11' 'rosbags>=0.11.6'",
}
_BASE, _NAME, _ARRAY, _SEQUENCE = 1, 2, 3, 4  # rosbags' node types
_ENTITIES = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_OLD_GID = ("humble", "galactic", "foxy")  # distributions with 24 bytes in a Gid


class CdrSample:
    """What DDS writers send and readers give back: one message as CDR with its 4-byte header."""

    cdr: bytes
    sample_info: Any

    def __init__(self, cdr: bytes) -> None:
        self.cdr = cdr

    def serialize(self, *_args: Any, **_options: Any) -> bytes:
        """The bytes as they are; called by ``cyclonedds``."""
        return self.cdr

    @classmethod
    def deserialize(cls, data: bytes, *_args: Any, **_options: Any) -> CdrSample:
        """Wrap the bytes; called by ``cyclonedds``, so damaged content cannot break its take."""
        return cls(data)

    @classmethod
    def deserialize_key(cls, data: bytes, *_args: Any, **_options: Any) -> CdrSample:
        """Wrap a publisher's farewell, which has no fields; called by ``cyclonedds``."""
        return cls(data)


class WireTypes:
    """All message types of one process.

    Args:
        distribution: ROS 2 distribution to be seen by (``ROS_DISTRO``); only Humble and older
            differ, in the message that announces nodes.
    """

    def __init__(self, distribution: str = "") -> None:
        self._store = message_typestore()
        self._idl: dict[str, Any] = {}
        self._samples: dict[str, type[CdrSample]] = {}
        size = 24 if distribution in _OLD_GID else 16
        # rosbags keeps the definition's "char", which ROS 2 hashes as the uint8 that it means.
        gid_data = ("data", (_ARRAY, ((_BASE, ("uint8", 0)), size)))
        self._store.fielddefs["rmw_dds_common/msg/Gid"] = ([], [gid_data])
        self.gid_size = size

    def message_class(self, name: str) -> type:
        """The dataclass of ``pkg/msg/Name``.

        Raises:
            TransportError: no such type.
        """
        if name not in self._store.types:
            raise TransportError(f"unknown message type {name!r}: expected pkg/msg/Name")
        found: type = self._store.types[name]
        return found

    def field_count(self, name: str) -> int:
        """How many fields ``pkg/msg/Name`` has."""
        return len(self._store.fielddefs[name][1])

    def new(self, name: str, /, **fields: Any) -> Any:
        """A message with the given fields, everything else zero, empty or its own default."""
        cls = self.message_class(name)
        known = self._store.fielddefs[name][1]
        values = {key: fields[key] if key in fields else self._zero(desc) for key, desc in known}
        unknown = fields.keys() - values.keys()
        if unknown:
            raise InputError(f"{name} has no field {', '.join(sorted(unknown))}")
        return cls(**values)

    def serialize(self, message: Any) -> bytes:
        """Little-endian XCDR1 with the header 00 01 00 00, as ROS 2 writes it."""
        return bytes(self._store.serialize_cdr(message, message.__msgtype__, little_endian=True))

    def deserialize(self, cdr: bytes, name: str) -> Any:
        """A message; large arrays are read-only views of ``cdr``.

        Raises:
            InputError: the bytes are not such a message.
        """
        serde = require("rosbags.serde", **NEEDED)
        try:
            return self._store.deserialize_cdr(cdr, name)
        except (serde.SerdeError, IndexError, MemoryError) as error:
            raise InputError(f"expected CDR of {name}, got {len(cdr)} bytes: {error}") from error

    def hash(self, name: str) -> str:
        """The type's ``RIHS01_...`` hash (REP-2016)."""
        self.message_class(name)
        return str(self._store.hash_rihs01(name))

    def sample_type(self, name: str) -> type[CdrSample]:
        """The DDS type ``pkg::msg::dds_::Name_`` whose samples carry plain CDR."""
        if name not in self._samples:
            idl = require("cyclonedds.idl", **NEEDED)
            made = idl.make_idl_struct(*_dds_names(name), self._members(name), dataclassify=False)
            # Not a base class: the library takes every base for a type of its own.
            for method in ("__init__", "serialize", "deserialize", "deserialize_key"):
                setattr(made, method, CdrSample.__dict__[method])
            self._samples[name] = made
        return self._samples[name]

    def _members(self, name: str) -> dict[str, Any]:
        self.message_class(name)
        return {key: self._member(desc) for key, desc in self._store.fielddefs[name][1]}

    def _member(self, desc: Any) -> Any:
        types = require("cyclonedds.idl.types", **NEEDED)
        kind, rest = desc
        if kind == _SEQUENCE:
            return types.sequence[self._member(rest[0])]
        if kind == _ARRAY:
            return types.array[self._member(rest[0]), rest[1]]
        if kind == _NAME:
            if rest not in self._idl:
                idl = require("cyclonedds.idl", **NEEDED)
                self._idl[rest] = idl.make_idl_struct(*_dds_names(rest), self._members(rest))
            return self._idl[rest]
        own = {"string": str, "bool": bool, "char": types.uint8}
        return own.get(rest[0]) or getattr(types, rest[0])

    def _zero(self, desc: Any) -> Any:
        kind, rest = desc
        if kind == _NAME:
            return self.new(rest)
        if kind == _BASE:
            return {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}.get(rest[0], 0)
        (item_kind, item), length = rest
        length = length if kind == _ARRAY else 0
        if item_kind == _BASE and item[0] != "string":
            return np.zeros(length, _dtype(item[0]))
        return [self._zero((item_kind, item)) for _ in range(length)]


class MessageClasses:
    """The types as constructors that fill in what is not given: the namespace of ``output``.

    ``MessageClasses(types).Marker(id=3)`` is a ``visualization_msgs/msg/Marker``.
    """

    def __init__(self, types: WireTypes) -> None:
        self._types = types

    @staticmethod
    def sequence(values: NDArray[Any]) -> NDArray[Any]:
        """What a numeric array field holds here: a flat, contiguous NumPy array."""
        return np.ascontiguousarray(values).reshape(-1)

    def __getattr__(self, name: str) -> Any:
        if name not in PACKAGE_OF:
            raise AttributeError(name)
        full = "/msg/".join(PACKAGE_OF[name])
        cls = self._types.message_class(full)
        count = self._types.field_count(full)

        def make(**fields: Any) -> Any:
            # Thousands of points a frame are given in full and need no defaults.
            return cls(**fields) if len(fields) == count else self._types.new(full, **fields)

        setattr(self, name, make)
        return make


def topic_name(name: str) -> str:
    """DDS topic of a ROS topic, ``/front/poses`` -> ``rt/front/poses``; others keep their name."""
    return f"rt{name}" if name.startswith("/") else name


def _dds_names(name: str) -> tuple[str, str]:
    package, _, short = name.split("/")
    return f"{short}_", f"{package}::msg::dds_::{short}_"


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype({"byte": "uint8", "char": "uint8"}.get(name, name))
