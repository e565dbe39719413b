# SPDX-License-Identifier: Apache-2.0
"""A recording as a camera of the embedded front, stamped by the clock."""

from __future__ import annotations

import os
import time
from functools import partial

from alphapose_ros.base.errors import InputError
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.participant import Participant
from alphapose_ros.front.playback import CameraPublisher, played
from alphapose_ros.front.signals import stop_signals
from alphapose_ros.io.sources import open_source


def play(
    uri: str | int,
    topic: str = "image",
    *,
    camera: str | None = None,
    rate: float | None = None,
    compressed: bool = False,
    loop: bool = False,
) -> int:
    """Publish a recording or a camera until it ends, or until SIGINT or SIGTERM.

    Args:
        uri: what :func:`~alphapose_ros.io.sources.open_source` takes.
        topic: of the images; relative to the root namespace.
        camera: image topic of a bag, which may have several.
        rate: images per second; None: the source's own.
        compressed: JPEG on ``topic/compressed`` instead of raw images.
        loop: begin again at the end.

    Returns:
        How many images were published.

    Raises:
        AlphaPoseError: the source cannot be read or is of several cameras, the middleware cannot
            be joined.
    """
    if rate is not None and not rate > 0:
        raise InputError(f"rate: expected images per second above 0, got {rate}")
    names = NodeNames("alphapose_camera", remaps={"image": topic})
    count = 0
    with (
        stop_signals() as stop,
        Participant(names.name, "/", RosEnvironment.from_variables(os.environ)) as participant,
    ):
        publisher = CameraPublisher(
            participant.publisher,
            participant.messages,
            names.resolve("image"),
            raw=not compressed,
            compressed=compressed,
        )
        participant.start()
        frames = played(partial(open_source, uri, topic=camera), stop, rate=rate or 0.0, loop=loop)
        for frame in frames:
            publisher.publish(frame, time.time_ns())
            count += 1
    return count
