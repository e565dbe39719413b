# SPDX-License-Identifier: Apache-2.0
"""A DDS participant that ROS 2 takes for one of its nodes: publishers, subscriptions, one thread.

ROS 2 sees a node's name through user data on the participant and one latched sample on
``ros_discovery_info``, and a type's hash through user data on every reader and writer.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from alphapose_ros.base.errors import TransportError, require
from alphapose_ros.dds.endpoints import Publisher, Reliability, Subscription
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.types import NEEDED, CdrSample, MessageClasses, WireTypes, topic_name

logger = logging.getLogger(__name__)

_ENTITIES = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_ANYTHING = 1 + 2 + 4 + 8 + 16 + 32 + 64  # every sample, view and instance state
_TICK_NS = 1_000_000_000
_TAKE = 64
_MAX_BLOCKING_NS = 100_000_000  # a slow reliable reader holds a writer no longer than this


class Participant:
    """One ROS 2 node's worth of DDS.

    Args:
        node_name, namespace: as ROS 2 lists the node, ``namespace`` with a leading slash.
        environment: domain, discovery range, peers.

    Raises:
        TransportError: no network interface, or the settings are refused.
        MissingDependencyError: ``cyclonedds`` or ``rosbags`` is not installed.
    """

    def __init__(self, node_name: str, namespace: str, environment: RosEnvironment) -> None:
        self.node_name, self.namespace = node_name, namespace
        self.environment = environment
        self.types = WireTypes(environment.distribution)
        self.messages = MessageClasses(self.types)
        self._qos = require("cyclonedds.qos", **NEEDED)
        self._core = require("cyclonedds.core", **NEEDED)
        if "zenoh" in environment.middleware:
            logger.warning(
                "RMW_IMPLEMENTATION is %s: this node speaks DDS and will not be heard by Zenoh "
                "nodes; run the ros front or rmw_cyclonedds_cpp",
                environment.middleware,
            )
        self._participant = self._join()
        self._topics: dict[str, Any] = {}
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._wake = self._core.GuardCondition(self._participant)
        self._waitset = self._core.WaitSet(self._participant)
        self._waitset.attach(self._wake)
        self._entities = self._writer("ros_discovery_info", _ENTITIES, "reliable", True, 1)

    def publisher(
        self,
        topic: str,
        type_name: str,
        reliability: Reliability = "reliable",
        *,
        latched: bool = False,
        depth: int = 10,
    ) -> Publisher:
        """A publisher on a resolved topic name; ``latched`` reaches those who come later."""
        writer = self._writer(topic_name(topic), type_name, reliability, latched, depth)
        publisher = Publisher(writer, self.types, topic, type_name)
        self._publishers.append(publisher)
        return publisher

    def subscribe(
        self,
        topic: str,
        type_name: str,
        callback: Callable[[list[CdrSample]], None],
        reliability: Reliability = "best_effort",
        *,
        latched: bool = False,
        depth: int = 10,
    ) -> Subscription:
        """Call ``callback`` on the participant's thread with what came; see :meth:`start`."""
        sub = require("cyclonedds.sub", **NEEDED)
        dds_topic = self._topic(topic_name(topic), type_name)

        def make_reader(wanted: Reliability) -> tuple[Any, Any]:
            qos = self._endpoint_qos(type_name, wanted, latched, depth)
            try:
                reader = sub.DataReader(self._participant, dds_topic, qos=qos)
            except self._core.DDSException as error:
                raise TransportError(f"{topic}: cannot subscribe: {error}") from error
            condition = self._core.ReadCondition(reader, _ANYTHING)
            self._waitset.attach(condition)
            return reader, condition

        subscription = Subscription(make_reader, self._drop_reader, topic, callback, reliability)
        self._subscriptions.append(subscription)
        return subscription

    def start(self, on_tick: Callable[[], None] | None = None) -> None:
        """Announce the node and begin to call back; ``on_tick`` about once a second."""
        self.announce()
        self._thread = threading.Thread(
            target=self._run, args=(on_tick or (lambda: None),), name="dds", daemon=True
        )
        self._thread.start()

    def raise_failure(self) -> None:
        """Raise what ended the participant's thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def announce(self) -> None:
        """Tell ROS 2 which readers and writers belong to this node."""
        gid = "rmw_dds_common/msg/Gid"
        new = self.types.new

        def gids(entities: list[Any]) -> list[Any]:
            return [new(gid, data=self._gid(entity)) for entity in entities]

        node = new(
            "rmw_dds_common/msg/NodeEntitiesInfo",
            node_namespace=self.namespace,
            node_name=self.node_name,
            reader_gid_seq=gids([s.reader for s in self._subscriptions]),
            writer_gid_seq=gids([p.writer for p in self._publishers]),
        )
        own = new(gid, data=self._gid(self._participant))
        message = new(_ENTITIES, gid=own, node_entities_info_seq=[node])
        self._entities.write(self.types.sample_type(_ENTITIES)(self.types.serialize(message)))

    def stop(self) -> None:
        """End the thread: nothing is called back any more, publishing still works."""
        self._stop.set()
        if self._thread is not None:
            self._wake.set(True)
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Stop and leave the domain; a second call does nothing."""
        self.stop()
        if self._participant is not None:
            self._participant._delete(self._participant._ref)  # with all that belongs to it
            self._participant = None
            self._subscriptions.clear()
            self._publishers.clear()

    def __enter__(self) -> Participant:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _run(self, on_tick: Callable[[], None]) -> None:
        next_tick = time.monotonic()
        try:
            while not self._stop.is_set():
                self._waitset.wait(_TICK_NS)
                for subscription in tuple(self._subscriptions):
                    samples = subscription.take(_TAKE)
                    if samples and not self._stop.is_set():
                        subscription.callback(samples)
                if time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + 1
                    on_tick()
        except Exception as error:  # noqa: BLE001 - raised on the thread that waits for this one
            self._failure = error

    def _join(self) -> Any:
        domain = require("cyclonedds.domain", **NEEDED)
        number = self.environment.domain_id
        userdata = self._qos.Policy.Userdata(b"enclave=/;")
        try:
            with _cyclone_uri(self.environment.reachable().cyclone_config()):
                return domain.DomainParticipant(number, qos=self._qos.Qos(userdata))
        except self._core.DDSException as error:
            raise TransportError(
                f"DDS domain {number}: cannot join ({error}); check CYCLONEDDS_URI, "
                "ROS_STATIC_PEERS, that a network interface is up, and that fewer than 32 "
                "participants are on this machine: ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT "
                "has no such limit"
            ) from error

    def _drop_reader(self, reader: Any, condition: Any) -> None:
        self._waitset.detach(condition)  # it would keep every reader that there ever was
        for entity in (condition, reader):
            entity._delete(entity._ref)

    def _topic(self, name: str, type_name: str) -> Any:
        if name not in self._topics:
            topic = require("cyclonedds.topic", **NEEDED)
            try:
                self._topics[name] = topic.Topic(
                    self._participant, name, self.types.sample_type(type_name)
                )
            except self._core.DDSException as error:
                raise TransportError(f"topic {name!r} of {type_name}: {error}") from error
        return self._topics[name]

    def _writer(
        self, name: str, type_name: str, reliability: Reliability, latched: bool, depth: int
    ) -> Any:
        pub = require("cyclonedds.pub", **NEEDED)
        qos = self._endpoint_qos(type_name, reliability, latched, depth)
        try:
            return pub.DataWriter(self._participant, self._topic(name, type_name), qos=qos)
        except self._core.DDSException as error:
            raise TransportError(f"topic {name!r}: cannot publish: {error}") from error

    def _endpoint_qos(
        self, type_name: str, reliability: Reliability, latched: bool, depth: int
    ) -> Any:
        policy = self._qos.Policy
        durability = policy.Durability.TransientLocal if latched else policy.Durability.Volatile
        best_effort = policy.Reliability.BestEffort
        reliable = policy.Reliability.Reliable(_MAX_BLOCKING_NS)
        return self._qos.Qos(
            reliable if reliability == "reliable" else best_effort,
            durability,
            policy.History.KeepLast(depth),
            policy.DataRepresentation(use_cdrv0_representation=True),
            policy.Userdata(f"typehash={self.types.hash(type_name)};".encode()),
        )

    def _gid(self, entity: Any) -> np.ndarray:
        data = np.zeros(self.types.gid_size, np.uint8)
        data[:16] = np.frombuffer(entity.guid.bytes, np.uint8)
        return data


@contextmanager
def _cyclone_uri(config: str) -> Iterator[None]:
    """Settings for a domain that is born inside; the library counts its users and ends it."""
    before = os.environ.get("CYCLONEDDS_URI")
    os.environ["CYCLONEDDS_URI"] = config
    try:
        yield
    finally:
        if before is None:
            del os.environ["CYCLONEDDS_URI"]
        else:
            os.environ["CYCLONEDDS_URI"] = before
