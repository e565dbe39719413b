# SPDX-License-Identifier: Apache-2.0
"""The two ends of a topic: what writes messages, and what takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from alphapose_ros.base.errors import TransportError, require
from alphapose_ros.dds.types import NEEDED, CdrSample, WireTypes

Reliability = Literal["best_effort", "reliable"]


class Publisher:
    """Writes messages of one type to one topic; thread safe."""

    def __init__(self, writer: Any, types: WireTypes, topic: str, type_name: str) -> None:
        self.writer, self._types = writer, types
        self.topic, self.type_name = topic, type_name

    @property
    def matched(self) -> int:
        """How many subscriptions hear this."""
        return len(self.writer.get_matched_subscriptions())

    def publish(self, message: Any) -> None:
        """Serialize and send one message."""
        self.publish_cdr(self._types.serialize(message))

    def publish_cdr(self, cdr: bytes) -> None:
        """Send bytes that are CDR already."""
        core = require("cyclonedds.core", **NEEDED)
        try:
            self.writer.write(self._types.sample_type(self.type_name)(cdr))
        except core.DDSException as error:
            raise TransportError(f"{self.topic}: cannot publish: {error}") from error


class Subscription:
    """Takes CDR samples of one topic and hands them to a callback, the oldest first."""

    def __init__(
        self,
        make_reader: Callable[[Reliability], tuple[Any, Any]],
        drop_reader: Callable[[Any, Any], None],
        topic: str,
        callback: Callable[[list[CdrSample]], None],
        reliability: Reliability,
    ) -> None:
        self._make_reader, self._drop_reader = make_reader, drop_reader
        self.topic, self.callback, self.reliability = topic, callback, reliability
        self.reader, self.condition = make_reader(reliability)

    @property
    def offers(self) -> list[Reliability]:
        """What each publisher that is heard offers."""
        policy = require("cyclonedds.qos", **NEEDED).Policy.Reliability
        handles = self.reader.get_matched_publications()
        found = [self.reader.get_matched_publication_data(handle) for handle in handles]
        return [
            "reliable" if isinstance(data.qos[policy], policy.Reliable) else "best_effort"
            for data in found
            if data is not None
        ]

    @property
    def refused(self) -> int:
        """How many publishers offered less than was asked for, since the reader exists."""
        return int(self.reader.get_requested_incompatible_qos_status().total_count)

    def take(self, limit: int) -> list[CdrSample]:
        """What has come since the last call; a publisher's farewell is not a sample."""
        kind = self.reader.topic.data_type
        return [sample for sample in self.reader.take(limit) if isinstance(sample, kind)]

    def change(self, reliability: Reliability) -> None:
        """Listen anew in another way; only on the participant's thread."""
        self._drop_reader(self.reader, self.condition)
        self.reliability = reliability
        self.reader, self.condition = self._make_reader(reliability)
