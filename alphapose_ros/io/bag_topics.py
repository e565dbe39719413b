# SPDX-License-Identifier: Apache-2.0
"""What a bag says about its topics, and the metadata that ``ros2 bag`` looks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

VERSION = 8  # of rosbag2's metadata: written by Iron, read by Humble's successors and Foxglove

# What a late subscriber needs of a latched topic, in the numbers of rmw: keep the last one,
# reliable, transient local. Zeros leave the rest to the middleware.
LATCHED = """\
- history: 1
  depth: 1
  reliability: 1
  durability: 1
  deadline: {sec: 0, nsec: 0}
  lifespan: {sec: 0, nsec: 0}
  liveliness: 1
  liveliness_lease_duration: {sec: 0, nsec: 0}
  avoid_ros_namespace_conventions: false"""


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        number: from 1, its own within the bag.
        msgtype: as ``sensor_msgs/msg/Image``. definition: its ``.msg`` text with all that it
            uses. digest: its ``RIHS01_...`` hash.
        qos: the publishers' offer as rosbag2 writes it; empty: not known.
    """

    number: int
    name: str
    msgtype: str
    definition: str = ""
    digest: str = ""
    qos: str = ""


@dataclass(frozen=True)
class BagContent:
    """What was written into the bag's one file.

    Attributes:
        file: its name. storage: ``mcap`` or ``sqlite3``.
        counts: messages by the topic's number. start_ns, end_ns: of the stamps, 0 where none is.
    """

    file: str
    storage: str
    topics: Iterable[BagTopic]
    counts: dict[int, int]
    start_ns: int
    end_ns: int


def bag_metadata(content: BagContent) -> tuple[str, str]:
    """``metadata.yaml``, and the part of it that the bag's file holds itself."""
    span = {
        "starting_time": {"nanoseconds_since_epoch": content.start_ns},
        "duration": {"nanoseconds": content.end_ns - content.start_ns},
        "message_count": sum(content.counts.values()),
    }
    information: dict[str, Any] = {
        "version": VERSION,
        "storage_identifier": content.storage,
        **span,
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.msgtype,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": topic.qos,
                    "type_description_hash": topic.digest,
                },
                "message_count": content.counts[topic.number],
            }
            for topic in content.topics
        ],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [content.file],
        "files": [{"path": content.file, **span}],
        "custom_data": None,
        "ros_distro": "alphapose_ros",
    }
    return _yaml({"rosbag2_bagfile_information": information}), _yaml(information)


def _yaml(values: dict[str, Any]) -> str:
    return yaml.dump(values, Dumper=_Plain, sort_keys=False, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Without anchors: rosbag2 reads them, people do not."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written where it stands."""
        return True
