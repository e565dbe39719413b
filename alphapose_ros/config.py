# SPDX-License-Identifier: Apache-2.0
"""One configuration: the rooms' own dataclasses side by side, read strictly from YAML.

The file is a ROS 2 parameter file (``/**: ros__parameters:``), so that the node and the command
line share it. A key exists once, in the room that uses it; an unknown key is an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.parameter_sections import parameters_of, sections_in
from alphapose_ros.base.plain_yaml import read_yaml
from alphapose_ros.base.settings import check_settings, setting, setting_of, unquoted_off
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.registry.bundled import POSE_NANO, REID_NANO
from alphapose_ros.registry.catalogue import MODELS, PRESET_DETECTOR_HW
from alphapose_ros.registry.catalogue import PRESETS as PRESET_MODELS
from alphapose_ros.registry.spec import ModelSpec
from alphapose_ros.registry.store import spec_of
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.runtime.config import PRECISIONS, RUNTIMES, RuntimeOptions
from alphapose_ros.tracking.config import TrackerConfig

T = TypeVar("T")
Section = TypeVar("Section", DetectorConfig, PoseConfig)
DEVICES = ("auto", "cpu", "cuda", "cuda:N")
PRESETS = tuple(PRESET_MODELS)
NODE_NAME = "alphapose_ros"
# What ROS itself and its diagnostics take from a parameter file.
OF_ROS = ("use_sim_time", "qos_overrides", "start_type_description_service", "diagnostic_updater")


@dataclass(frozen=True)
class PipelineConfig:
    """Everything between an image and its people.

    Attributes:
        preset: a set of models: nano or fast (bundled), balanced or accurate (alphapose-ros models
            fetch NAME brings them, and they need ONNX Runtime), in place of detector's name,
            weights, format and input size and of pose's weights, format and decode; empty: these
            count. fast is for fewer pixels: the detector of nano at 320x320, people at 192x128.
        device: auto (CUDA where there is one), cpu, cuda or cuda:N.
        runtime: what runs the networks: torch, compile (torch.compile, with CUDA graphs on a
            GPU), onnxruntime, tensorrt or openvino; auto: on a CPU onnxruntime, else openvino,
            where they and the package onnx are installed; torch otherwise.
        precision: of the networks: float32, float16 or bfloat16; decoding is float32 always.
        threads: CPU threads of the networks; 0: one less than there are cores, or than a
            container's share of them, four at most, or what the variable OMP_NUM_THREADS says.
            PyTorch gets one in the whole process where another runtime runs the networks: its
            idle threads would spin on their cores.
        detector: see :class:`DetectorConfig`.
        pose: see :class:`PoseConfig`.
        nms: see :class:`PoseNmsConfig`.
        reid: see :class:`ReidConfig`.
        tracker: see :class:`TrackerConfig`.
    """

    preset: str = setting("", choices=("", *PRESETS), live=False)
    device: str = setting("auto", live=False)
    runtime: str = setting("auto", choices=RUNTIMES, live=False)
    precision: str = setting("float32", choices=PRECISIONS, live=False)
    threads: int = setting(0, low=0, live=False)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    nms: PoseNmsConfig = field(default_factory=PoseNmsConfig)
    reid: ReidConfig = field(default_factory=ReidConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise ConfigError(f"device: expected {', '.join(DEVICES)}, got {self.device!r}")
        check_settings(self)
        if self.detector.interval_s and self.tracker.camera_motion:
            raise ConfigError(
                "detector.interval_s: expected 0 with tracker.camera_motion: where people are "
                "expected is not known before the camera's motion is"
            )

    @classmethod
    def from_file(cls, path: Path) -> PipelineConfig:
        """Read a parameter file; what belongs to the node alone is left to the node.

        Raises:
            ConfigError: unreadable, an unknown key, a wrong type or value.
        """
        return build(cls, split_parameters(read_parameters(path))[0])

    @classmethod
    def preset_named(cls, name: str) -> PipelineConfig:
        """A named configuration.

        Raises:
            ConfigError: no such preset.
        """
        if name not in PRESETS:
            raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
        detector, pose = (MODELS[model] for model in PRESET_MODELS[name])
        chosen = cls(detector=_detector_of(detector), pose=_pose_of(pose))
        if name not in PRESET_DETECTOR_HW:
            return chosen
        height, width = PRESET_DETECTOR_HW[name]
        small = dataclasses.replace(chosen.detector, input_height=height, input_width=width)
        return dataclasses.replace(chosen, detector=small)

    def resolved(self) -> PipelineConfig:
        """With the models of ``preset`` and the cosines of the re-ID network; the rest stays.

        The tracker's thresholds are then those of ``reid.distance_scale``, which is 1 from there
        on: a configuration that is resolved stays as it is.
        """
        own = dataclasses.replace(
            self,
            reid=dataclasses.replace(self.reid, distance_scale=1.0),
            tracker=self.tracker.for_distances(self.distance_scale),
        )
        if not self.preset:
            return own
        chosen = PipelineConfig.preset_named(self.preset)
        return dataclasses.replace(
            own,
            preset="",
            detector=_with_model(self.detector, chosen.detector, _DETECTOR_MODEL),
            pose=_with_model(self.pose, chosen.pose, _POSE_MODEL),
        )

    @property
    def distance_scale(self) -> float:
        """``reid.distance_scale``, or the known network's where that is 0."""
        known = spec_of(self.reid.weights or REID_NANO)
        return self.reid.distance_scale or (known.distance_scale if known else 0.0) or 1.0

    def runtime_on(self, device: object) -> RuntimeOptions:
        """What runs the networks on a device that was chosen."""
        return RuntimeOptions(self.runtime, self.precision, str(device), self.threads)


# What a preset decides; thresholds and the rest are the user's.
_DETECTOR_MODEL = ("name", "weights", "format", "input_height", "input_width")
_POSE_MODEL = ("weights", "format", "decode")


def _with_model(own: Section, chosen: Section, names: tuple[str, ...]) -> Section:
    return dataclasses.replace(own, **{name: getattr(chosen, name) for name in names})


def _detector_of(spec: ModelSpec) -> DetectorConfig:
    height, width = spec.input_hw
    return DetectorConfig(
        name=spec.detector_name,
        weights="" if spec.bundled else spec.name,
        format=spec.decode or "auto",
        input_height=height,
        input_width=width,
    )


def _pose_of(spec: ModelSpec) -> PoseConfig:
    return PoseConfig(weights="" if spec.name == POSE_NANO else spec.name)


def read_parameters(
    path: Path, node: str = NODE_NAME, namespace: str | None = None
) -> dict[str, Any]:
    """The nested parameters that a ROS 2 parameter file has for a node; dotted keys are unfolded.

    A robot's file may serve all of its nodes: what counts are the sections for every node
    (``/**``) and those of this one, merged in the file's order. Where no namespace is known, a
    single section that is named otherwise counts as well: it is of a node that will be called so.

    Args:
        path: of the file.
        node: name of the node, its namespace left out.
        namespace: of the node; None: not known, any.

    Raises:
        ConfigError: missing, not YAML, without a ``ros__parameters`` section for the node, or with
            sections of several namespaces that differ, where none is known.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read parameters: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    sections = list(sections_in(content))
    if not sections:
        raise ConfigError(f"{path}: expected '/**:' with 'ros__parameters:' below it")
    out: dict[str, Any] = {}
    for section in parameters_of(sections, node, namespace, path):
        if section is not None and not isinstance(section, Mapping):
            raise ConfigError(f"{path}: ros__parameters: expected a mapping, got {section!r}")
        _merge(out, section or {})
    return out


def split_parameters(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of the pipeline, and the others, which a front must know.

    What is of ROS itself, ``use_sim_time`` for instance, is in neither.
    """
    names = {item.name for item in dataclasses.fields(PipelineConfig)}
    mine = {key: value for key, value in values.items() if key in names}
    known = names.union(OF_ROS)
    return mine, {key: value for key, value in values.items() if key not in known}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names -> nested mappings.

    Raises:
        ConfigError: a name is both a value and a section.
    """
    out: dict[str, Any] = {}
    _merge(out, values)
    return out


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Make a config dataclass of nested values; the same keys, the same types, nothing else.

    An integer is taken where a float is meant.

    Raises:
        ConfigError: names the dotted key, what was expected and what came.
    """
    types = typing.get_type_hints(kind)
    known = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {prefix}{close[0]}?" if close else ""
            raise ConfigError(f"unknown parameter {prefix}{key}{hint}")
        given = unquoted_off(value, setting_of(known[key]))
        arguments[key] = _converted(types[key], given, f"{prefix}{key}")
    return kind(**arguments)


def _converted(kind: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        value = {} if value is None else value  # every line below the section commented out
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name}: expected a section of parameters, got {value!r}")
        return build(typing.cast(type, kind), value, f"{name}.")
    if kind is float and type(value) is int:
        return float(value)
    origin = typing.get_origin(kind)
    if origin is list:
        (inner,) = typing.get_args(kind)
        if not isinstance(value, list) or any(type(v) is not inner for v in value):
            raise ConfigError(f"{name}: expected a list of {inner.__name__}, got {value!r}")
        return list(value)
    if type(value) is not kind:
        raise ConfigError(f"{name}: expected {kind.__name__}, got {value!r}")
    return value


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        head, _, rest = str(key).partition(".")
        if rest:
            _merge(target, {head: {rest: value}})
        elif isinstance(value, Mapping):
            below = target.setdefault(head, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{head}: both a value and a section of parameters")
            _merge(below, value)
        else:
            target[head] = value
