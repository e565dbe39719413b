# SPDX-License-Identifier: Apache-2.0
"""The cfgs of YOLOv3, YOLOv3-SPP and YOLOv3-tiny for COCO, written from tables.

So that the public `.weights` files of these names work without their cfg.
"""

from __future__ import annotations

from collections.abc import Iterable

from alphapose_ros.base.errors import WeightsError

STANDARD_NAMES = ("yolov3", "yolov3-spp", "yolov3-tiny")
COCO_CLASSES = 80
_ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
_TINY_ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"
_RESIDUALS = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))  # channels and count of a stage


def standard_cfg(name: str) -> str:
    """The cfg of one of :data:`STANDARD_NAMES` as text.

    Raises:
        WeightsError: another name.
    """
    if name not in STANDARD_NAMES:
        raise WeightsError(f"expected one of {', '.join(STANDARD_NAMES)}, got {name!r}")
    layers = _tiny() if name == "yolov3-tiny" else _darknet53(pyramid=name == "yolov3-spp")
    return "\n".join(["[net]\nwidth=416\nheight=416\nchannels=3", *layers, ""])


def _darknet53(pyramid: bool) -> list[str]:
    """The trunk of 52 convolutions (paper, table 1), then three scales from coarse to fine."""
    layers = [_conv(32, 3)]
    for channels, count in _RESIDUALS:
        layers.append(_conv(channels, 3, 2))
        for _ in range(count):
            layers += [
                _conv(channels // 2, 1),
                _conv(channels, 3),
                _section("shortcut", "from=-3"),
            ]
    layers += _pairs(512, 1)
    if pyramid:
        layers += [_conv(512, 1), *_pyramid(), *_pairs(512, 1), _conv(512, 1), _conv(1024, 3)]
    else:
        layers += _pairs(512, 2)
    layers += _yolo((6, 7, 8), _ANCHORS)
    # Layers 61 and 36 are the last of the trunk at strides 16 and 8.
    layers += [*_finer(256, 61), *_pairs(256, 3), *_yolo((3, 4, 5), _ANCHORS)]
    layers += [*_finer(128, 36), *_pairs(128, 3), *_yolo((0, 1, 2), _ANCHORS)]
    return layers


def _tiny() -> list[str]:
    layers = []
    for channels in (16, 32, 64, 128, 256, 512):
        step = 1 if channels == 512 else 2
        layers += [_conv(channels, 3), _section("maxpool", "size=2", f"stride={step}")]
    layers += [_conv(1024, 3), *_pairs(256, 1), *_yolo((3, 4, 5), _TINY_ANCHORS)]
    # The public weights were trained with anchors 1 to 3 here, as the cfg of that day said; the
    # later cfg's 0 to 2 are for networks trained anew.
    return [*layers, *_finer(128, 8), _conv(256, 3), *_yolo((1, 2, 3), _TINY_ANCHORS)]


def _pairs(channels: int, count: int) -> list[str]:
    """``count`` times 1x1 to ``channels`` and 3x3 to twice as many."""
    return [_conv(channels, 1), _conv(2 * channels, 3)] * count


def _pyramid() -> list[str]:
    """Spatial pyramid pooling: maxima over 5, 9 and 13 cells beside the map itself."""
    layers: list[str] = []
    for back, size in ((0, 5), (-2, 9), (-4, 13)):
        layers += [_section("route", f"layers={back}")] if back else []
        layers += [_section("maxpool", "stride=1", f"size={size}")]
    return [*layers, _section("route", "layers=-1,-3,-5,-6")]


def _finer(channels: int, trunk: int) -> list[str]:
    """From before a scale's last two convolutions to the next scale, beside a trunk's layer."""
    return [
        _section("route", "layers=-4"),
        _conv(channels, 1),
        _section("upsample", "stride=2"),
        _section("route", f"layers=-1,{trunk}"),
    ]


def _yolo(mask: Iterable[int], anchors: str) -> list[str]:
    mask = tuple(mask)
    return [
        _section(
            "convolutional", "size=1", f"filters={len(mask) * (5 + COCO_CLASSES)}",
            "activation=linear",
        ),
        _section(
            "yolo", f"mask={','.join(map(str, mask))}", f"anchors={anchors}",
            f"num={anchors.count(',') // 2 + 1}", f"classes={COCO_CLASSES}",
        ),
    ]  # fmt: skip


def _conv(filters: int, size: int, stride: int = 1) -> str:
    return _section(
        "convolutional", "batch_normalize=1", f"filters={filters}", f"size={size}",
        f"stride={stride}", "pad=1", "activation=leaky",
    )  # fmt: skip


def _section(kind: str, *options: str) -> str:
    return "\n".join([f"\n[{kind}]", *options])
