# SPDX-License-Identifier: Apache-2.0
"""What the fuzzers feed: everything that reads bytes which somebody else wrote.

Each target takes bytes and ends in a value or in one of the package's own errors; whatever else
is raised is a bug.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.config import PipelineConfig, build, read_parameters, split_parameters
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.detection.replay import read_boxes
from alphapose_ros.eval.track_files import read_json_lines
from alphapose_ros.front.config import NodeConfig
from alphapose_ros.front.intake import ImageIntake, LiveImage
from alphapose_ros.io.image_messages import compressed_message, decode_depth, image_message

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO, POSES = "sensor_msgs/msg/CameraInfo", "alphapose_ros/msg/PoseArray"
TYPES = WireTypes()
CLASSES = MessageClasses(TYPES)


@dataclass(frozen=True)
class Target:
    """Something that reads bytes.

    Attributes:
        name: on the command line.
        samples: valid ones, from which mutations start.
        read: True where it took the bytes, False where it refused them.
    """

    name: str
    samples: tuple[bytes, ...]
    read: Callable[[bytes], bool]


def targets() -> dict[str, Target]:
    """All of them by name."""
    made = (
        Target("image", _images(), lambda data: take_image(data, IMAGE)),
        Target("compressed", _compressed(), lambda data: take_image(data, COMPRESSED)),
        Target("depth", _depths(), _refusing(lambda data: decode_depth(read(data, IMAGE)))),
        Target("camera_info", _camera_infos(), take_camera_info),
        Target("poses", _pose_arrays(), _refusing(lambda data: read(data, POSES))),
        Target("yaml", _parameter_files(), _refusing(_read_yaml)),
        Target("json_lines", _json_lines(), _refusing(_as_file(read_json_lines, ".jsonl"))),
        Target("boxes", _boxes(), _refusing(_as_file(read_boxes, ".json"))),
    )
    return {target.name: target for target in made}


def read(data: bytes, name: str) -> Any:
    """A message from CDR."""
    return TYPES.deserialize(data, name)


def take_image(data: bytes, name: str) -> bool:
    """What the node does with an image: it is one frame, or one refusal; anything else raises."""
    frames: list[Any] = []

    def submit(image: LiveImage) -> None:
        frames.append(image.open())

    intake = ImageIntake("camera", "/image", submit, lambda camera: None)
    try:
        message = read(data, name)
    except AlphaPoseError:
        return False
    intake.image(message)
    taken = [frame for frame in frames if frame is not None]
    assert len(taken) + intake.counts.refused == 1, "neither one frame nor one refusal"
    return bool(taken)


def take_camera_info(data: bytes) -> bool:
    """What the node does with a calibration: an unusable one leaves none."""
    intake = ImageIntake("camera", "/image", lambda image: None, lambda camera: None)
    try:
        intake.camera_info(read(data, CAMERA_INFO), "/camera_info")
    except AlphaPoseError:
        return False
    return intake.intrinsics is not None


def mutated(sample: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """``sample`` with a few changes: bits, bytes, numbers at the limits, cuts, copies, splices."""
    data = bytearray(sample)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(data)) if data else 0
        kind = chance.randrange(8)
        if kind == 0 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[at] = chance.randrange(256)
        elif kind == 2:
            data[at : at + 4] = chance.choice(_LIMITS).to_bytes(4, chance.choice(_ORDERS))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            del data[at : at + chance.randrange(1, 32)]
        elif kind == 5:
            data[at:at] = data[at : at + chance.randrange(1, 64)]
        elif kind == 6:
            data[at:at] = chance.randbytes(chance.randrange(1, 16))
        elif others:
            other = chance.choice(list(others))
            data[at:] = other[chance.randrange(len(other)) :] if other else b""
    return bytes(data)


_ORDERS = ("little", "big")
_LIMITS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 16384, 16385, 10**9)


def _refusing(function: Callable[[bytes], Any]) -> Callable[[bytes], bool]:
    def take(data: bytes) -> bool:
        try:
            function(data)
        except AlphaPoseError:
            return False
        return True

    return take


def _as_file(function: Callable[[Path], Any], suffix: str) -> Callable[[bytes], Any]:
    memory = Path("/dev/shm")  # noqa: S108 (no disk is worn)
    folder = memory if memory.is_dir() else None

    def take(data: bytes) -> Any:
        with tempfile.NamedTemporaryFile(suffix=suffix, dir=folder) as file:
            file.write(data)
            file.flush()
            return function(Path(file.name))

    return take


def _read_yaml(data: bytes) -> Any:
    pipeline, node = split_parameters(_as_file(read_parameters, ".yaml")(data))
    return build(PipelineConfig, pipeline).resolved(), NodeConfig.from_parameters(node)


def _header(stamp_s: int = 7) -> Any:
    return CLASSES.Header(stamp=CLASSES.Time(sec=stamp_s, nanosec=5), frame_id="optical")


def _images() -> tuple[bytes, ...]:
    pixels = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    return tuple(
        TYPES.serialize(image_message(pixels, CLASSES, _header(k), encoding))
        for k, encoding in enumerate(("rgb8", "bgr8"))
    )


def _compressed() -> tuple[bytes, ...]:
    import cv2

    pixels = np.arange(24 * 32 * 3).reshape(24, 32, 3).astype(np.uint8)
    png = cv2.imencode(".png", pixels)[1].reshape(-1)
    messages = (
        compressed_message(pixels, CLASSES, _header()),
        CLASSES.CompressedImage(header=_header(), format="png", data=png),
    )
    return tuple(map(TYPES.serialize, messages))


def _depths() -> tuple[bytes, ...]:
    out = []
    for kind, encoding in (("<u2", "16UC1"), ("<f4", "32FC1")):
        depth = np.ones((4, 6), kind)
        fields = {"height": 4, "width": 6, "step": 6 * depth.itemsize, "encoding": encoding}
        data = np.frombuffer(depth.tobytes(), np.uint8)
        out.append(TYPES.serialize(CLASSES.Image(header=_header(), data=data, **fields)))
    return tuple(out)


def _camera_infos() -> tuple[bytes, ...]:
    k = np.array([500.0, 0, 4, 0, 500, 3, 0, 0, 1])
    p = np.array([500.0, 0, 4, 0, 0, 500, 3, 0, 0, 0, 1, 0])
    info = CLASSES.CameraInfo(
        header=_header(), height=6, width=8, distortion_model="plumb_bob", d=k[:5], k=k, r=k, p=p
    )
    return (TYPES.serialize(info),)


def _pose_arrays() -> tuple[bytes, ...]:
    person = TYPES.new("alphapose_ros/msg/PersonPose", id=1, keypoints=np.ones(6, np.float32))
    message = TYPES.new(POSES, header=_header(), skeleton="halpe136", poses=[person, person])
    return (TYPES.serialize(message),)


def _parameter_files() -> tuple[bytes, ...]:
    values = {
        "preset": "nano",
        "device": "cpu",
        "threads": 1,
        "tracker": {"max_lost_s": 1.5},
        "cameras": ["front"],
        "front": {"image_topic": "/front/image"},
        "marker_depth": 2.0,
    }
    dotted = {"tracker.max_lost_s": 2.0, "detector.score_threshold": 0.4}
    files = [{"/**": {"ros__parameters": each}} for each in (values, dotted)]
    return tuple(yaml.safe_dump(each).encode() for each in files)


def _json_lines() -> tuple[bytes, ...]:
    person = {"id": 3, "state": "tracked", "box": [1.0, 2.0, 30.0, 40.0], "score": 0.5}
    lines = [{"frame": k, "people": [person] * k} for k in range(3)]
    return ("\n".join(map(json.dumps, lines)).encode(),)


def _boxes() -> tuple[bytes, ...]:
    rows = [{"image_id": k, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} for k in (1, 2)]
    return (json.dumps(rows).encode(),)
