# SPDX-License-Identifier: Apache-2.0
"""The two ends of a topic: what writes messages, and what takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from alphapose_ros.base.errors import TransportError, require
from alphapose_ros.dds.types import NEEDED, CdrSample, WireTypes

Reliability = Literal["best_effort", "reliable"]
_CHANGES = 1000  # publishers that came or left, looked at in one go


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
        self._publications: Any = None  # of the whole domain; made when first asked for
        self._best_effort: set[Any] = set()  # keys of those of this topic

    @property
    def offers(self) -> list[Reliability]:
        """What each publisher that is heard offers."""
        handles = self.reader.get_matched_publications()
        found = [self.reader.get_matched_publication_data(handle) for handle in handles]
        return [_offer(data.qos) for data in found if data is not None]

    @property
    def refused(self) -> int:
        """How many publishers offered less than was asked for, since the reader exists."""
        return int(self.reader.get_requested_incompatible_qos_status().total_count)

    @property
    def offered_less(self) -> bool:
        """Whether a publisher is there now that offers less than is asked for."""
        if not self.refused:
            return False
        builtin = require("cyclonedds.builtin", **NEEDED)
        if self._publications is None:
            self._publications = builtin.BuiltinDataReader(
                self.reader.participant, builtin.BuiltinTopicDcpsPublication
            )
        for change in self._publications.take(_CHANGES):
            self._best_effort.discard(change.key)
            here = change.sample_info.valid_data and change.topic_name == self.reader.topic.name
            if here and _offer(change.qos) == "best_effort":  # neither gone nor of another topic
                self._best_effort.add(change.key)
        return bool(self._best_effort)

    def take(self, limit: int) -> list[CdrSample]:
        """What has come since the last call; a publisher's farewell is not a sample."""
        kind = self.reader.topic.data_type
        return [sample for sample in self.reader.take(limit) if isinstance(sample, kind)]

    def change(self, reliability: Reliability) -> None:
        """Listen anew in another way; only on the participant's thread."""
        self._drop_reader(self.reader, self.condition)
        self.reliability = reliability
        self.reader, self.condition = self._make_reader(reliability)


def _offer(qos: Any) -> Reliability:
    policy = require("cyclonedds.qos", **NEEDED).Policy.Reliability
    return "reliable" if isinstance(qos[policy], policy.Reliable) else "best_effort"
