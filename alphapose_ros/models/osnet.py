# SPDX-License-Identifier: Apache-2.0
"""OSNet and OSNet-AIN: re-identification at several scales at once.

Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019, and "Learning
Generalisable Omni-Scale Representations", TPAMI 2021. Every module has the name that it has in the
published checkpoints, so that they load strictly by key.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.state import State, fitted, without_prefix

log = logging.getLogger(__name__)

OSNET_HW = (256, 128)
# Channels of the stem and three stages, by the width in a published file's name.
WIDTHS = {
    "0_25": (16, 64, 96, 128),
    "0_5": (32, 128, 192, 256),
    "0_75": (48, 192, 288, 384),
    "1_0": (64, 256, 384, 512),
}
_DIM = 512  # of the embedding, whatever the width
_STREAMS = "abcd"
_REDUCTION = 16
# Which blocks of the three stages end in instance norm (TPAMI 2021, table of the found network).
_AIN_LAYOUT = ((True, True), (False, True), (True, False))
_CLASSIFIER = "classifier."


class ConvUnit(nn.Module):
    """Convolution without bias, then a norm (batch norm, instance norm or none), then ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, norm: str = "batch", relu: bool = True
    ) -> None:
        super().__init__()
        stride = 2 if kernel == 7 else 1  # the stem alone is not 1x1
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        if norm == "batch":
            self.bn: nn.Module = nn.BatchNorm2d(outputs)
        elif norm == "instance":
            self.bn = nn.InstanceNorm2d(outputs, affine=True)
        else:
            self.bn = nn.Identity()
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W), half of it for the 7x7 stem."""
        x = self.bn(self.conv(x))
        return functional.relu(x) if self.relu else x


class LightConv(nn.Module):
    """Linear 1x1, depthwise 3x3, batch norm, ReLU: a 3x3 convolution at a ninth of the cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return functional.relu(self.bn(self.conv2(self.conv1(x))))


class Stream(nn.Module):
    """``depth`` light convolutions in a row, named as OSNet-AIN's file names them."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LightConv(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return self.layers(x)


class Gate(nn.Module):
    """A factor in 0..1 for each channel from the map's own mean; one gate serves all streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // _REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(mean))))


class OmniScaleBlock(nn.Module):
    """Residual block of four streams that see 3, 5, 7 and 9 cells, mixed by one shared gate.

    Args:
        inputs, outputs: channels; they work on a quarter of ``outputs``.
        ain: names of OSNet-AIN's file for the streams.
        instance_norm: in place of the last batch norm.
    """

    def __init__(
        self, inputs: int, outputs: int, *, ain: bool = False, instance_norm: bool = False
    ) -> None:
        super().__init__()
        middle = outputs // 4
        self.conv1 = ConvUnit(inputs, middle)
        if ain:
            self.conv2 = nn.ModuleList(Stream(middle, depth) for depth in range(1, 5))
        else:
            self.conv2a = LightConv(middle)
            for letter, depth in zip(_STREAMS[1:], range(2, 5), strict=True):
                stream = nn.Sequential(*(LightConv(middle) for _ in range(depth)))
                setattr(self, f"conv2{letter}", stream)
        self.gate = Gate(middle)
        norm = "none" if instance_norm else "batch"
        self.conv3 = ConvUnit(middle, outputs, norm=norm, relu=False)
        self.downsample = ConvUnit(inputs, outputs, relu=False) if inputs != outputs else None
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance_norm else None
        self._ain = ain

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        narrow = self.conv1(x)
        mixed = torch.stack([self.gate(stream(narrow)) for stream in self._streams()]).sum(0)
        out = self.conv3(mixed)
        if self.IN is not None:
            out = self.IN(out)
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)))

    def _streams(self) -> Sequence[nn.Module]:
        if self._ain:
            return tuple(self.conv2)
        return tuple(getattr(self, f"conv2{letter}") for letter in _STREAMS)


class OSNet(nn.Module):
    """(B, 3, H, W) RGB, ImageNet's mean and deviation taken off -> unit embeddings (B, 512).

    Args:
        channels: of the stem and the three stages; 64, 256, 384, 512 is x1.0.
        ain: OSNet-AIN, with instance norms where its search put them.
        dim: of the embedding.
    """

    def __init__(
        self, channels: Sequence[int] = WIDTHS["1_0"], *, ain: bool = False, dim: int = _DIM
    ) -> None:
        super().__init__()
        self.conv1 = ConvUnit(3, channels[0], 7, norm="instance" if ain else "batch")
        for stage, layout in enumerate(_AIN_LAYOUT):
            inputs, outputs = channels[stage], channels[stage + 1]
            blocks: list[nn.Module] = [
                OmniScaleBlock(before, outputs, ain=ain, instance_norm=ain and normed)
                for before, normed in zip((inputs, outputs), layout, strict=True)
            ]
            transition = ConvUnit(outputs, outputs) if stage < 2 else None
            if transition is not None and ain:
                setattr(self, f"pool{stage + 2}", nn.Sequential(transition, nn.AvgPool2d(2)))
            elif transition is not None:
                blocks.append(nn.Sequential(transition, nn.AvgPool2d(2)))
            setattr(self, f"conv{stage + 2}", nn.Sequential(*blocks))
        self.conv5 = ConvUnit(channels[3], channels[3])
        self.fc = nn.Sequential(nn.Linear(channels[3], dim), nn.BatchNorm1d(dim), nn.ReLU())
        self.channels, self.dim, self.ain = tuple(channels), dim, ain

    @property
    def stages(self) -> list[nn.Module]:
        """The convolutions in five pieces, from the input on; all but the last layer."""
        names = [(f"conv{stage}", f"pool{stage}") for stage in range(1, 6)]
        return [
            nn.ModuleList(getattr(self, n) for n in each if hasattr(self, n)) for each in names
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Unit embeddings (B, dim); no value is below 0, as the last layer is a ReLU."""
        return functional.normalize(self.raw(images), dim=1)

    def raw(self, images: Tensor) -> Tensor:
        """The same before their length is made 1, as training looks at them."""
        if not len(images):  # instance norm takes no empty batch
            return images.new_zeros((0, self.dim))
        x = functional.max_pool2d(self.conv1(images), 3, 2, 1)
        for stage in (2, 3, 4):
            x = getattr(self, f"conv{stage}")(x)
            if self.ain and stage < 4:
                x = getattr(self, f"pool{stage}")(x)
        return self.fc(self.conv5(x).mean((2, 3)))


def is_osnet(state: State) -> bool:
    """Whether a state dict is that of an OSNet or OSNet-AIN, of any width."""
    return "conv2.0.gate.fc1.weight" in without_prefix(state)


def osnet_of(state: State) -> OSNet:
    """The OSNet or OSNet-AIN of a checkpoint, its width read from the shapes.

    The classifier knows the people of its training set alone and is left out.

    Raises:
        WeightsError: not such a checkpoint, or tensors are missing or left over.
    """
    state = without_prefix(state)
    ain = "conv2.0.conv2.0.layers.0.conv1.weight" in state
    keys = ["conv1", *(f"conv{stage}.0.conv3" for stage in (2, 3, 4))]
    try:
        channels = [len(state[f"{key}.conv.weight"]) for key in keys]
        dim = len(state["fc.0.weight"])
    except KeyError as error:
        raise WeightsError(f"expected a checkpoint of OSNet, it lacks {error}") from error
    classes = state.get(f"{_CLASSIFIER}weight")
    if classes is not None:
        log.info("the classifier of %d people is left out", len(classes))
    kept = {key: value for key, value in state.items() if not key.startswith(_CLASSIFIER)}
    return fitted(lambda: OSNet(channels, ain=ain, dim=dim), kept)
