# SPDX-License-Identifier: Apache-2.0
"""Networks that Darknet's cfg files describe: YOLOv3 (Redmon & Farhadi, arXiv 1804.02767), its
SPP and tiny forms, and others of the same layers, YOLOv4 (arXiv 2004.10934) among them.

A network is a list of layers. Map 0 is the image and map k + 1 what layer k gives; each layer
names the maps that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from alphapose_ros.models.darknet_cfg import CfgSection
from alphapose_ros.models.darknet_layers import Convolution, MaxPool, Route, Shortcut, YoloLayer

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
    "linear": nn.Identity,
    "logistic": nn.Sigmoid,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "swish": nn.SiLU,
}


class MapShape(NamedTuple):
    """Channels of a map, and how many input px a cell of it is wide; 0 channels: not readable."""

    channels: int
    stride: int


class BuiltLayer(NamedTuple):
    """A layer, the maps that it reads, and the shape of the map that it gives."""

    module: nn.Module
    sources: tuple[int, ...]
    shape: MapShape


class DarknetNetwork(nn.Module):
    """A detector made by a cfg.

    Args:
        sections: as :func:`darknet_cfg.read_cfg` gives them.

    Attributes:
        classes: C, how many classes are told apart.
        stride: the input's sides are multiples of it.

    Raises:
        WeightsError: the layers do not fit each other, or none of them is a ``[yolo]``.
    """

    def __init__(self, sections: Sequence[CfgSection]) -> None:
        super().__init__()
        net, *layers = sections
        shapes = [MapShape(net.integer("channels", 3, 1), 1)]
        if shapes[0].channels != 3:
            raise net.error(f"channels: expected 3, got {shapes[0].channels}", "channels")
        built: list[BuiltLayer] = []
        for section in layers:
            built.append(_BUILDERS[section.kind](section, shapes))
            shapes.append(built[-1].shape)
        self.layers = nn.ModuleList(layer.module for layer in built)
        self._sources = [layer.sources for layer in built]
        last_reader = {source: k for k, layer in enumerate(built) for source in layer.sources}
        self._unread_after = [
            [source for source, last in last_reader.items() if last == k]
            for k in range(len(built))
        ]
        classes = {layer.classes for layer in self.layers if isinstance(layer, YoloLayer)}
        if len(classes) != 1:
            raise net.error(f"expected [yolo] layers with the same classes, got {sorted(classes)}")
        self.classes = classes.pop()
        self.stride = max(shape.stride for shape in shapes)

    def raw(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB 0..1 -> the map (B, A (5 + C), h, w) of each ``[yolo]`` layer."""
        maps, found = {0: images}, []
        for k, layer in enumerate(self.layers):
            inputs = [maps[source] for source in self._sources[k]]
            if isinstance(layer, YoloLayer):
                found += inputs
            else:
                maps[k + 1] = layer(*inputs)
            for source in self._unread_after[k]:
                del maps[source]
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB 0..1 -> boxes (B, A, 4) xyxy px, scores (B, A, C) in [0, 1].

        A score is the probability of an object times that of the class, as Darknet reports it.
        """
        heads = (layer for layer in self.layers if isinstance(layer, YoloLayer))
        decoded = [head(x) for head, x in zip(heads, self.raw(images), strict=True)]
        return torch.cat([d[0] for d in decoded], 1), torch.cat([d[1] for d in decoded], 1)

    def stored(self) -> Iterator[tuple[str, torch.Size]]:
        """Name and shape of every tensor in the order of a weights file."""
        state = self.state_dict()
        for k, layer in enumerate(self.layers):
            if isinstance(layer, Convolution):
                for name in layer.stored():
                    yield f"layers.{k}.{name}", state[f"layers.{k}.{name}"].shape

    def fold_norms(self) -> None:
        """Merge every norm into its convolution, in place; in evaluation mode only."""
        for layer in self.layers:
            if isinstance(layer, Convolution):
                layer.fold()


def _activation(section: CfgSection, default: str) -> nn.Module:
    name = section.text("activation", default)
    if name not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise section.error(f"activation: expected one of {known}, got {name!r}", "activation")
    return _ACTIVATIONS[name]()


def _map(section: CfgSection, shapes: Sequence[MapShape], layer: int, option: str = "") -> int:
    """The map of a layer, counted from the first or, below 0, back from this one."""
    count = len(shapes) - 1  # layers before this one
    number = layer if layer >= 0 else count + layer
    if (option and number < 0) or not -1 <= number < count:
        raise section.error(f"{option}: expected a layer before this one, got {layer}", option)
    if not shapes[number + 1].channels:
        raise section.error(f"expected to read a layer with a map, got a [yolo] ({number})")
    return number + 1


def _check_padding(section: CfgSection, size: int, step: int, padding: int) -> None:
    """The stride says where a cell lies: of H cells, a multiple of it, H / stride must be left."""
    if (padding - size) // step != -1:
        raise section.error(
            f"padding: expected {max(size - step, 0)} to {size - 1} cells in all for a window of "
            f"{size} and stride {step}, got {padding}",
            "padding",
        )


def _convolution(section: CfgSection, shapes: Sequence[MapShape]) -> BuiltLayer:
    source = _map(section, shapes, -1)
    inputs, stride = shapes[source]
    size, step = section.integer("size", 1, 1), section.integer("stride", 1, 1)
    filters, groups = section.integer("filters", 1, 1), section.integer("groups", 1, 1)
    if inputs % groups or filters % groups:
        raise section.error(f"groups: expected a divisor of {inputs} and {filters}", "groups")
    norm = bool(section.integer("batch_normalize", 0))
    padding = size // 2 if section.integer("pad", 0) else section.integer("padding", 0)
    _check_padding(section, size, step, 2 * padding)
    conv = nn.Conv2d(inputs, filters, size, step, padding, groups=groups, bias=not norm)
    module = Convolution(conv, norm, _activation(section, "logistic"))
    return BuiltLayer(module, (source,), MapShape(filters, stride * step))


def _maxpool(section: CfgSection, shapes: Sequence[MapShape]) -> BuiltLayer:
    source = _map(section, shapes, -1)
    step = section.integer("stride", 1, 1)
    size = section.integer("size", step, 1)
    padding = section.integer("padding", size - 1)
    _check_padding(section, size, step, padding)
    channels, stride = shapes[source]
    return BuiltLayer(MaxPool(size, step, padding), (source,), MapShape(channels, stride * step))


def _upsample(section: CfgSection, shapes: Sequence[MapShape]) -> BuiltLayer:
    source = _map(section, shapes, -1)
    channels, stride = shapes[source]
    factor = section.integer("stride", 2, 1)
    if stride % factor:
        raise section.error(f"stride: expected a divisor of {stride}, got {factor}", "stride")
    module = nn.Upsample(scale_factor=float(factor), mode="nearest")
    return BuiltLayer(module, (source,), MapShape(channels, stride // factor))


def _route(section: CfgSection, shapes: Sequence[MapShape]) -> BuiltLayer:
    layers = section.integers("layers")
    sources = tuple(_map(section, shapes, layer, "layers") for layer in layers)
    strides = {shapes[source].stride for source in sources}
    if len(strides) != 1:
        raise section.error(f"layers: expected maps of one stride, got {sorted(strides)}")
    groups, group = section.integer("groups", 1, 1), section.integer("group_id", 0)
    channels = [shapes[source].channels for source in sources]
    if group >= groups or any(c % groups for c in channels):
        raise section.error(f"groups: part {group} of {groups} of {channels} channels is nothing")
    return BuiltLayer(
        Route(groups, group), sources, MapShape(sum(channels) // groups, strides.pop())
    )


def _shortcut(section: CfgSection, shapes: Sequence[MapShape]) -> BuiltLayer:
    layers = section.integers("from")
    if len(layers) != 1:
        raise section.error(f"from: expected one layer, got {len(layers)}", "from")
    sources = _map(section, shapes, -1), _map(section, shapes, layers[0], "from")
    shape, earlier = (shapes[source] for source in sources)
    if shape != earlier:
        raise section.error(
            f"from: expected {shape.channels} channels at stride {shape.stride}, got "
            f"{earlier.channels} at {earlier.stride}",
            "from",
        )
    return BuiltLayer(Shortcut(_activation(section, "linear")), sources, shape)


def _yolo(section: CfgSection, shapes: Sequence[MapShape]) -> BuiltLayer:
    source = _map(section, shapes, -1)
    channels, stride = shapes[source]
    sides = section.numbers("anchors")
    pairs = list(zip(sides[::2], sides[1::2], strict=False))
    mask = section.integers("mask", tuple(range(len(pairs))))
    if len(sides) % 2 or not mask or not all(0 <= k < len(pairs) for k in mask):
        raise section.error(f"mask: expected numbers of the {len(pairs)} anchors, got {mask}")
    classes = section.integer("classes", 20, 1)
    if channels != len(mask) * (5 + classes):
        raise section.error(
            f"expected {len(mask)} anchors x (5 + {classes} classes) channels, got {channels}"
        )
    stretch = section.numbers("scale_x_y", (1.0,))[0]
    module = YoloLayer([pairs[k] for k in mask], classes, stride, stretch)
    return BuiltLayer(module, (source,), MapShape(0, stride))


_BUILDERS: dict[str, Callable[[CfgSection, Sequence[MapShape]], BuiltLayer]] = {
    "convolutional": _convolution,
    "maxpool": _maxpool,
    "upsample": _upsample,
    "route": _route,
    "shortcut": _shortcut,
    "yolo": _yolo,
}
